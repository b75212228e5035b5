"""Where neighbours may be found, and when each address is tried. An address proves nothing: the channel does.

Addresses come from the configuration, from neighbours that knocked here, and as hints over multicast. So a venue that
blocks multicast, or one where a box moved to another address, finds itself all the same.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from admission.ids import GateId

ADDRESSES_MAX = 256
"""Addresses that are tried: 32 gates, each known by a few. Hints beyond push out hints, nothing that was configured."""
AGAIN_FIRST_S = 0.5
AGAIN_MAX_S = 30.0
"""A neighbour that comes back is found within so long, and knocks by itself much earlier."""
SELF_AGAIN_S = 600.0
"""An address at which this very gate answers, such as one list of addresses for all boxes, is tried this seldom."""
HINT_AGAIN_S = 2.0
"""Whoever says again and again that somebody else is at an address has it dialled no oftener than this."""
HIGHER_WAITS_S = 0.3
"""Who has the higher number lets the other dial first: else both would, and one connection be for nothing."""

Address = tuple[str, int]
"""Host and port."""


@dataclass(slots=True)
class _Place:
    """One address. `gate`: who was found there last, or is said to be there; `proved`: it was found."""

    configured: bool
    due_s: float
    gate: GateId | None = None
    proved: bool = False
    failures: int = 0
    busy: bool = False
    dialled_s: float = -math.inf

    def needs_nobody(self, is_connected: Callable[[GateId], bool]) -> bool:
        """Whether it is of a gate that is talked to. A word that it is would keep whoever is there from being dialled."""
        return self.proved and self.gate is not None and is_connected(self.gate)


class Table:
    """Addresses and when they are due. Times are monotonic seconds."""

    def __init__(self, own: GateId, mono_s: Callable[[], float], chance: random.Random) -> None:
        self._own = own
        self._mono_s = mono_s
        self._chance = chance
        self._places: dict[Address, _Place] = {}

    def add(self, address: Address, gate: GateId | None = None, *, configured: bool = False) -> None:
        """Learn of an address. Said again it is tried soon, unless somebody is at it."""
        now_s = self._mono_s()
        known = self._places.get(address)
        if known is not None:
            known.configured = known.configured or configured
            if gate is not None and known.gate != gate:
                soon_s = max(now_s, known.dialled_s + HINT_AGAIN_S)
                known.gate, known.proved, known.failures, known.due_s = gate, False, 0, soon_s
            return
        if len(self._places) >= ADDRESSES_MAX and not self._make_room():
            return
        wait_s = HIGHER_WAITS_S * self._chance.uniform(0.5, 1.0) if gate is None or gate < self._own else 0.0
        self._places[address] = _Place(configured, now_s + wait_s, gate)

    def is_configured(self, address: Address) -> bool:
        """Whether an address stands in the configuration; anybody may have said any other."""
        one = self._places.get(address)
        return one is not None and one.configured

    def _make_room(self) -> bool:
        """Forget the hint that failed most often."""
        hints = [at for at, one in self._places.items() if not one.configured and not one.busy]
        if not hints:
            return False
        del self._places[max(hints, key=lambda at: self._places[at].failures)]
        return True

    def due(self, is_connected: Callable[[GateId], bool]) -> list[Address]:
        """Return the addresses to dial now; each is busy until it `failed` or `ended`."""
        now_s = self._mono_s()
        found = []
        for address, one in self._places.items():
            if one.busy or one.due_s > now_s or one.needs_nobody(is_connected):
                continue
            one.busy, one.dialled_s = True, now_s
            found.append(address)
        return found

    def next_s(self, is_connected: Callable[[GateId], bool]) -> float | None:
        """Return when the next address is due; None where none is."""
        times = [
            one.due_s for one in self._places.values() if not one.busy and not one.needs_nobody(is_connected)
        ]
        return min(times, default=None)

    def found(self, address: Address, gate: GateId) -> None:
        """A gate proved itself at an address that was dialled."""
        one = self._places.get(address)
        if one is not None:
            one.gate, one.proved, one.failures = gate, True, 0

    def ended(self, address: Address) -> None:
        """A connection that was dialled and found somebody ended."""
        self._later(address, AGAIN_FIRST_S)

    def failed(self, address: Address, *, is_self: bool = False) -> None:
        """Nobody of ours was found at an address."""
        one = self._places.get(address)
        if one is None:
            return
        one.failures += 1
        self._later(
            address,
            SELF_AGAIN_S if is_self else min(AGAIN_MAX_S, AGAIN_FIRST_S * 2.0 ** min(one.failures, 10)),
        )

    def again(self) -> None:
        """Who is believed has changed: whoever was not, or did not believe us, may by now."""
        for one in self._places.values():
            one.failures, one.due_s = 0, min(one.due_s, self._mono_s())

    def _later(self, address: Address, wait_s: float) -> None:
        one = self._places.get(address)
        if one is not None:
            one.busy, one.due_s = False, self._mono_s() + wait_s * self._chance.uniform(0.5, 1.0)


def address_of(text: str, port: int) -> Address:
    """Read `host`, `host:port` or `[v6]:port`. ValueError for a port that is none."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        rest = rest.removeprefix(":")
    else:
        host, _, rest = text.partition(":")
        if ":" in rest:
            host, rest = text, ""
    given = int(rest) if rest else port
    if not host or not 1 <= given <= 65_535:
        raise ValueError(f"{text!r} is no address")
    return host, given


__all__ = ["Address", "Table", "address_of"]
