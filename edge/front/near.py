"""Who of the other gates is here on the LAN, and whom of them the centre answers, as each says of itself.

Hints: whoever lies is believed nothing for it, but work is left to it for a while (`edge.front.carrying`).
"""

import asyncio
from collections.abc import Mapping

from admission.ids import GateId


class Near:
    """What talks with neighbours and the uplink tell each other. `moved` is set whenever something of it changed."""

    def __init__(self) -> None:
        self.moved = asyncio.Event()
        """Somebody came, went, or recorded something. Whoever waits for it clears it."""
        self.carried = 0
        """Records of others that were carried up since the start."""
        self._up: dict[GateId, bool] = {}

    def says(self, gate: GateId, *, up: bool) -> None:
        """A gate that is here says whether the centre answers it."""
        if self._up.get(gate) is not up:
            self._up[gate] = up
            self.moved.set()

    def gone(self, gate: GateId) -> None:
        """No conversation is held with a gate any more."""
        if self._up.pop(gate, None) is not None:
            self.moved.set()

    def recorded(self) -> None:
        """Records of others came in."""
        self.moved.set()

    @property
    def gates(self) -> Mapping[GateId, bool]:
        """Who is here, and whether the centre answers it."""
        return self._up

    @property
    def up(self) -> frozenset[GateId]:
        """Who of those that are here could carry."""
        return frozenset(gate for gate, up in self._up.items() if up)


__all__ = ["Near"]
