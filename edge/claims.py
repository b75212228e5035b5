"""Whether what another gate says it let through can be true: nobody passes a lane faster than people walk.

A gate of the roster that is broken, or in wrong hands, may sign that every ticket was used, or that everybody left. Who
said so is certain, so it is kept and shown; whether it is so is not. From when a gate claims more than its lanes can do,
its claims are in doubt: back to where it was last seen to claim no more than it can, and until the centre says something
about it. What they take of a ticket is unsure then, as with a gate that is cut off, and the product's policy decides.

Two clocks bound a gate. While it is heard, all that it recorded is here, so what comes later was recorded later, by our
own clock. What waited at a gate that was away is bounded by the times that it gives itself; these may be made up, but then
they must have been long enough, one after the other, for its lanes. What handhelds stored is reckoned up so too, apart.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from admission.ids import Epoch, GateId, RecordId
from admission.observed import OF_DEVICE, PresenceRow, Reset, Role
from sync.wire.counted import Counted, Limit

LANE_PER_S = 2.0
"""Four times what the fastest optical lane does for a while, which is 30 people a minute; several handhelds may serve one."""
BURST = 400
"""Beyond that at once: groups that a steward lets in by hand, and what a box held back while its card stalled."""
LANES_UNKNOWN = 8
"""Of a gate that the list says nothing of yet."""
SLOTS_MAX = 4096
"""Stretches of a gate's own time that are kept apart, of 50 s for four lanes: two days and nights without a pause."""
_CLAIMS = (Role.ENTRY, Role.EXIT)


class Known(NamedTuple):
    """A gate: so many lanes, at this moment of our monotonic clock."""

    gate: GateId
    lanes: int
    now_s: float

    @property
    def per_s(self) -> float:
        """How many people it can let through in a second, at the very most."""
        return (self.lanes or LANES_UNKNOWN) * LANE_PER_S


class _OwnTimes:
    """How many a gate claims in each stretch of time in which its lanes can do `BURST`, by the times that it gives.

    A clock that is set back, or handhelds that are docked one after the other, come to the same time again honestly: what
    counts is how many there are in it, not in which order they are told.
    """

    def __init__(self) -> None:
        self._claimed: dict[int, int] = {}
        self._slot_us, self._first = 0, 0
        """Whatever is older than the first counts as of this stretch: those before it are no longer told apart."""

    def claim(self, time_us: int, per_s: float) -> bool:
        """Reckon somebody in; whether there was room."""
        slot_us = int(BURST / per_s * 1e6)
        if slot_us != self._slot_us:  # its lanes are others now
            self._slot_us, self._claimed, self._first = slot_us, {}, 0
        slot = max(time_us // slot_us, self._first)
        claimed = self._claimed[slot] = self._claimed.get(slot, 0) + 1
        if len(self._claimed) > SLOTS_MAX:
            kept = sorted(self._claimed)[SLOTS_MAX // 2 :]
            self._claimed, self._first = {one: self._claimed[one] for one in kept}, kept[0]
        return claimed <= BURST


@dataclass(slots=True)
class _Account:
    """What one gate may still claim. `sure`: up to where its logs stood when it had claimed no more than it could."""

    at_s: float
    ends: dict[Epoch, int]
    sure: dict[Epoch, int]
    was_heard: bool = False
    room: float = BURST
    """By our clock; grows without end while the gate is not heard."""
    own: _OwnTimes = field(default_factory=_OwnTimes)
    stored: _OwnTimes = field(default_factory=_OwnTimes)
    """The same of what devices stored."""


class Claims:
    """Reckons up other gates. `held`: up to where their logs are held at the start."""

    def __init__(self, held: Iterable[tuple[GateId, Epoch, int]] = ()) -> None:
        self._held: dict[GateId, dict[Epoch, int]] = {}
        for gate, epoch, seq in held:
            self._held.setdefault(gate, {})[epoch] = seq
        self._accounts: dict[GateId, _Account] = {}

    def _account(self, of: Known) -> _Account:
        found = self._accounts.get(of.gate)
        if found is None:
            ends = self._held.pop(of.gate, {})
            found = self._accounts[of.gate] = _Account(of.now_s, ends, dict(ends))
        found.room += max(0.0, of.now_s - found.at_s) * of.per_s
        found.at_s = of.now_s
        return found

    def heard(self, of: Known, age_s: float) -> None:
        """All that a gate had recorded so long ago is here."""
        one = self._account(of)
        full = BURST + age_s * of.per_s
        if not one.was_heard or one.room >= full:
            one.sure, one.room, one.was_heard = dict(one.ends), full, True
            one.own = _OwnTimes()  # our clock bounds it: its own may be wrong, and again at each start

    def took(self, of: Known, epoch: Epoch, last_seq: int, rows: Iterable[PresenceRow]) -> Limit | None:
        """Take in what a gate claims up to a record. Returns how far its records are to be believed, where this is too much."""
        one = self._account(of)
        before = one.ends.get(epoch, 0)
        is_too_much = False
        for row in rows:
            if row.role not in _CLAIMS or row.id.seq <= before:
                continue
            if row.flags & OF_DEVICE:
                is_too_much = not one.stored.claim(row.time_us, of.per_s) or is_too_much
                continue
            one.room -= 1
            has_room = one.own.claim(row.time_us, of.per_s) and (not one.was_heard or one.room >= 0)
            is_too_much = is_too_much or not has_room
        one.ends[epoch] = max(before, last_seq)
        return Limit(of.gate, dict(one.sure), others=False) if is_too_much else None

    def again(self, gate: GateId) -> None:
        """Somebody looked at a gate: it begins anew, and what it claimed until now stands."""
        one = self._accounts.get(gate)
        if one is not None:
            one.room, one.own, one.stored = BURST, _OwnTimes(), _OwnTimes()
            one.sure = dict(one.ends)


class Doubts:
    """Which claims are in doubt, by gate."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self.limits = tuple(limits)
        self._counted = Counted(self.limits)

    def __bool__(self) -> bool:
        return bool(self.limits)

    @property
    def gates(self) -> frozenset[GateId]:
        """The gates in doubt."""
        return frozenset(one.gate for one in self.limits)

    def record(self, of: RecordId) -> bool:
        """Whether a record is in doubt."""
        return not self._counted.record(of)

    def sure(self, rows: Iterable[PresenceRow]) -> tuple[PresenceRow, ...]:
        """Return the rows that are not."""
        return self._counted.rows(rows)

    def resets(self, resets: Iterable[Reset]) -> tuple[Reset, ...]:
        """Return the resets that are not."""
        return self._counted.resets(resets)

    def takes(self, rows: Iterable[PresenceRow]) -> bool:
        """Whether what is in doubt would take a use."""
        return any(row.role is Role.ENTRY and self.record(row.id) for row in rows)

    def also(self, limit: Limit) -> "Doubts":
        """Return these and one more; a gate that is in doubt already stays so from where it was."""
        return self if limit.gate in self.gates else Doubts((*self.limits, limit))

    def without(self, gates: Container[GateId]) -> "Doubts":
        """Return those of all other gates."""
        return Doubts(one for one in self.limits if one.gate not in gates)

    def settled(self, before: Mapping[GateId, Limit], now: Mapping[GateId, Limit]) -> "Doubts":
        """Return those of which the centre has said nothing new: it shut nobody out and enrolled nobody anew."""
        return Doubts(one for one in self.limits if _said(before.get(one.gate)) == _said(now.get(one.gate)))


def _said(limit: Limit | None) -> tuple[Mapping[Epoch, int], bool]:
    return (limit.ends, limit.others) if limit is not None else ({}, True)


__all__ = ["BURST", "LANES_UNKNOWN", "LANE_PER_S", "Claims", "Doubts", "Known"]
