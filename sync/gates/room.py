"""Room in zones, as the centre knows it: who is inside at most, and which gates may be letting people in unseen.

What gates tell is counted by a board, some moments late, as a gate hears of the others. What this replica itself lets
in is added at once, so that a zone is never filled twice over between two countings.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from admission.ids import GateId, ZoneId
from admission.observed import PresenceRow
from admission.presence import fold
from admission.rules import share_of
from sync.board.boards import Inside
from sync.gates.known import GroupFacts
from sync.store.schema import signed

COUNTED_EVERY_S = 1.0
"""A gate hears of others' entries as late."""


@dataclass(frozen=True, slots=True)
class _Move:
    """What a record of ours changed, and where it stands."""

    gate: GateId
    epoch: int
    seq: int
    zones: Mapping[ZoneId, int]


@dataclass(frozen=True, slots=True)
class _Known:
    """A counting, and what was let in by us since."""

    inside: Inside
    moves: tuple[_Move, ...] = ()
    since: Mapping[ZoneId, int] = field(default_factory=dict)


class Room:
    """The zones of one group in one transaction."""

    def __init__(
        self,
        facts: GroupFacts,
        cut_off: Collection[ZoneId],
        at_cut: dict[ZoneId, int],
        known: _Known | None,
        log: tuple[GateId, int],
    ) -> None:
        self._facts, self._cut_off, self._at_cut, self._known, self._log = facts, cut_off, at_cut, known, log
        self._limited = facts.limited if known is not None else ()
        self._moved: dict[ZoneId, int] = {}
        self.moves: list[_Move] = []
        """To be told to `Rooms.committed` once they are."""

    @property
    def is_limited(self) -> bool:
        """Whether a zone of the group holds so many people and no more."""
        return bool(self._facts.limited)

    def capacity(self, zone: ZoneId) -> int:
        """Return how many people a zone holds; 0 is unlimited."""
        return self._facts.venue.zones.by_id[zone].capacity if zone in self._facts.limited else 0

    def is_cut_off(self, zone: ZoneId) -> bool:
        """Whether a gate of the zone was not heard, so that it may have taken a use unseen."""
        return zone in self._cut_off

    def high(self, zone: ZoneId) -> int | None:
        """Return how many people are in a zone at most, or may be let in by others meanwhile; None while unknown."""
        if self._known is None or zone not in self._limited:
            return None
        found = sum(one.get(zone, 0) for one in (self._known.inside.high, self._known.since, self._moved))
        if zone not in self._cut_off:
            return found
        capacity, gates = self.capacity(zone), self._facts.zone_gates.get(zone, ())
        return found + capacity - share_of(capacity, self._at_cut.setdefault(zone, found), 1 + len(gates))

    def move(self, seq: int, before: Sequence[PresenceRow], row: PresenceRow) -> None:
        """Count what a new row changes for its ticket; `seq`: of the last record that belongs to it."""
        if not self._limited:
            return
        resets, zones = self._facts.resets, self._facts.venue.zones
        was, now = fold(before, resets, zones), fold([*before, row], resets, zones)
        moved = {zone: now.bounds(zone).high - was.bounds(zone).high for zone in self._limited}
        if any(moved.values()):
            self.moves.append(_Move(*self._log, seq, moved))
            _add(self._moved, moved)


class Rooms:
    """The rooms of all groups, kept from one transaction to the next. Of one event loop, but for `of`."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._at_cut: dict[int, dict[ZoneId, int]] = {}

    def of(
        self, group: int, facts: GroupFacts, cut_off: Collection[ZoneId], gate: GateId, epoch: int
    ) -> Room:
        """Return a group's room, for one transaction; in its thread."""
        at_cut = self._at_cut.setdefault(group, {})
        for zone in [zone for zone in at_cut if zone not in cut_off]:
            del at_cut[zone]  # in touch again: shares are dealt anew at the next cut
        return Room(facts, cut_off, at_cut, self._known.get(group), (gate, signed(epoch)))

    def committed(self, group: int, room: Room) -> None:
        """What was let in is on the disk."""
        known = self._known.get(group)
        if known is not None and room.moves:
            self._known[group] = _since(known.inside, (*known.moves, *room.moves))

    def counted(self, group: int, inside: Inside | None) -> None:
        """A board was counted anew; None: it is not counted to the end for the first time."""
        if inside is not None:
            known = self._known.get(group)
            self._known[group] = _since(inside, known.moves if known is not None else ())


def _since(inside: Inside, moves: Sequence[_Move]) -> _Known:
    left = tuple(one for one in moves if one.seq > inside.marks.get((one.gate, one.epoch), 0))
    since: dict[ZoneId, int] = {}
    for one in left:
        _add(since, one.zones)
    return _Known(inside, left, since)


def _add(to: dict[ZoneId, int], more: Mapping[ZoneId, int]) -> None:
    for zone, number in more.items():
        to[zone] = to.get(zone, 0) + number
