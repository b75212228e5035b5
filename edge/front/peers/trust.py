"""Who is believed on the LAN: the gates of the newest roster in force, whoever brought it."""

import contextlib

from admission.ids import GateId
from edge.front.peers.shared import Shared
from edge.store.faults import StoreFault
from sync.wire.channel import RosterStamp


class Trust:
    """The roster, as the channel and the talks ask for it."""

    def __init__(self, own: GateId, shared: Shared) -> None:
        self._own = own
        self._shared = shared
        self._is_news = False
        """A newer roster came, which the lane does not go by yet."""

    def key_of(self, gate: GateId) -> bytes | None:
        """Return a gate's public key; None for who is not believed."""
        roster = self._shared.in_force()
        found = roster.gate(gate) if roster is not None else None
        return found.public if found is not None else None

    def stamp(self) -> RosterStamp:
        """Return which roster is gone by; (0, 0) without one."""
        roster = self._shared.in_force()
        return (roster.version, roster.issued_at_s) if roster is not None else (0, 0)

    def offered(self, roster: bytes) -> None:
        """Go by a roster that a neighbour brought, if it is newer and genuine."""
        if self._shared.offered(roster):
            self._is_news = True

    def signed(self) -> bytes:
        """Return the roster as it was signed; empty where there is none."""
        return self._shared.roster()

    @property
    def others(self) -> tuple[GateId, ...]:
        """The other gates that are believed."""
        roster = self._shared.in_force()
        gates = roster.gates if roster is not None else ()
        return tuple(one.id for one in gates if one.id != self._own)

    @property
    def is_alone(self) -> bool:
        """Whether the roster names nobody else. Without one, somebody may come and bring it."""
        return self._shared.in_force() is not None and not self.others

    async def settle(self) -> None:
        """Have the lane go by a roster that came; where it or the disk does not take it, at the next call."""
        if not self._is_news:
            return
        self._is_news = False
        with contextlib.suppress(OSError, StoreFault):
            await self._shared.believe()
            return
        self._is_news = True


__all__ = ["Trust"]
