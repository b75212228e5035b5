"""Room in zones, as the centre knows it: who is inside at most, and which gates may be letting people in unseen.

What gates tell is counted by a board, some moments late, as a gate hears of the others. What replicas let in stands in a
table by the commit that lets them in, and is read in each transaction that judges: who stands in the group's queue sees
all that was let in before, so that no zone is filled twice over, neither between two countings nor at two replicas.

While a gate of a zone is not heard, the places that were free are dealt out once: the deal stands in a table too, all
replicas together keep to theirs, and a restart deals no second time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection

from admission.ids import GateId, ZoneId
from admission.observed import PresenceRow
from admission.presence import fold
from admission.rules import share_of
from sync.board.boards import Inside
from sync.gates.known import GroupFacts, Unheard
from sync.store.schema import signed
from sync.store.together import Changes, Insert, Round, Statement

COUNTED_EVERY_S = 1.0
"""A gate hears of others' entries as late."""
STALE_S = 5.0
"""A count that is older is gone on with before anybody is judged by it: nobody scanned meanwhile, but gates let in."""
MOVES_KEPT = 50_000
"""Half a minute of the fastest replica. Who has missed more counts anew."""
FORGOTTEN_EVERY = 1_000
"""Older moves are removed so many at once."""

_MOVES = Statement(
    "SELECT n, gate_id, epoch, seq, zone, people FROM room_move WHERE group_id = :group AND n > :after ORDER BY n",
    *("n", "gate", "epoch", "seq", "zone", "people"),
)
_NEWEST = Statement("SELECT max(n) FROM room_move WHERE group_id = :group", "n")
_DEALS = Statement("SELECT zone, known FROM room_deal WHERE group_id = :group", *("zone", "known"))
_ADD = Insert(
    "room_move", group_id="integer", n="bigint", gate_id="bigint", epoch="bigint", seq="bigint", zone="integer",
    people="integer",
)  # fmt: skip
_FORGET = Statement("DELETE FROM room_move WHERE group_id = :group AND n <= :last")
_DEAL = Statement("""
INSERT INTO room_deal (group_id, zone, known) VALUES (:group, :zone, :known) ON CONFLICT (group_id, zone) DO NOTHING
""")
_UNDEAL = Statement("DELETE FROM room_deal WHERE group_id = :group AND zone = :zone")


class _Move(NamedTuple):
    """By how many people a record of a replica changed a zone, as the table has it."""

    n: int
    gate: GateId
    epoch: int
    seq: int
    zone: ZoneId
    people: int


@dataclass(frozen=True, slots=True)
class _Known:
    """A counting, None until there is one, and what replicas let in since."""

    limited: tuple[ZoneId, ...]
    inside: Inside | None = None
    moves: tuple[_Move, ...] = ()
    since: Mapping[ZoneId, int] = field(default_factory=dict)

    def counted(self, inside: Inside) -> "_Known":
        """Return the same by another counting."""
        return replace(self, inside=inside).let_in(())

    def let_in(self, more: Sequence[_Move]) -> "_Known":
        """Return the same after these moves."""
        marks = self.inside.marks if self.inside is not None else {}
        moves = tuple(one for one in (*self.moves, *more) if one.seq > marks.get((one.gate, one.epoch), 0))
        since: dict[ZoneId, int] = {}
        for one in moves:
            since[one.zone] = since.get(one.zone, 0) + one.people
        return replace(self, moves=moves, since=since)


@dataclass(slots=True)
class Asked:
    """What the tables say of a group's room, within one transaction."""

    after: int | None
    """Up to which move this replica knew; None: it knew nothing."""
    newest: int = 0
    moves: list[_Move] = field(default_factory=list)
    deals: dict[ZoneId, int] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether no move was missed."""
        return self.after is not None and (not self.moves or self.moves[0].n == self.after + 1)

    def take_newest(self, rows: list[Any]) -> None:
        """Where the moves stand."""
        self.newest = rows[0].n or 0

    def take_moves(self, rows: list[Any]) -> None:
        """What was let in behind `after`."""
        self.moves = [
            _Move(row.n, GateId(row.gate), row.epoch, row.seq, ZoneId(row.zone), row.people) for row in rows
        ]
        self.newest = rows[-1].n if rows else self.after or 0

    def take_deals(self, rows: list[Any]) -> None:
        """What was dealt out."""
        self.deals = {ZoneId(row.zone): row.known for row in rows}


class Room:
    """The zones of one group in one transaction."""

    def __init__(
        self, facts: GroupFacts, unheard: Unheard, known: _Known, asked: Asked, log: tuple[GateId, int]
    ) -> None:
        self._facts, self._cut_off, self._log = facts, unheard.cut_off, log
        self.known, self.asked = known, asked
        self._moved: dict[ZoneId, int] = {}
        self._deals = {zone: number for zone, number in asked.deals.items() if zone in unheard.lately}
        self._over = asked.deals.keys() - self._deals.keys()
        self._dealt: dict[ZoneId, int] = {}
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
        """Whether a gate of the zone was not heard, so that it may have taken a use unseen; or who is inside was never
        counted to the end since this replica began, so that the zone may be full unseen."""
        return zone in self._cut_off or (zone in self._facts.limited and self.known.inside is None)

    def high(self, zone: ZoneId) -> int | None:
        """Return how many people are in a zone at most, or may be let in by others meanwhile; None while unknown, as after
        a fire alarm until staff counted."""
        inside = self.known.inside
        if inside is None or zone not in self._facts.limited or zone in inside.unknown:
            return None
        found = sum(one.get(zone, 0) for one in (inside.high, self.known.since, self._moved))
        if zone not in self._cut_off:
            return found
        if zone not in self._deals:
            self._deals[zone] = self._dealt[zone] = found
        capacity, of_us = self.capacity(zone), self._facts.of_us(zone)
        gates = of_us + len(self._facts.zone_gates.get(zone, ()))
        return found + capacity - share_of(capacity, self._deals[zone], gates, of_us)

    def move(self, seq: int, before: Sequence[PresenceRow], row: PresenceRow) -> None:
        """Count what a new row changes for its ticket; `seq`: of the last record that belongs to it."""
        if not self._facts.limited:
            return
        resets, zones = self._facts.resets, self._facts.venue.zones
        was, now = fold(before, resets, zones), fold([*before, row], resets, zones)
        for zone in self._facts.limited:
            people = now.bounds(zone).high - was.bounds(zone).high
            if people:
                n = self.asked.newest + len(self.moves) + 1
                self.moves.append(_Move(n, *self._log, seq, zone, people))
                self._moved[zone] = self._moved.get(zone, 0) + people

    def store(self, connection: Connection, changes: Changes, group: int) -> None:
        """Write what was let in and dealt out."""
        if self.moves:
            rows = [(group, *map(int, one)) for one in self.moves]
            changes.add("let_in", _ADD.ask(connection, rows))
            first, last = self.moves[0].n - 1, self.moves[-1].n
            if first // FORGOTTEN_EVERY != last // FORGOTTEN_EVERY and last > MOVES_KEPT:
                changes.add("forgotten", _FORGET.ask(group=group, last=last - MOVES_KEPT))
        for zone in sorted(self._over):
            changes.add(f"over_{zone}", _UNDEAL.ask(group=group, zone=zone))
        for zone, known in sorted(self._dealt.items()):
            changes.add(f"dealt_{zone}", _DEAL.ask(group=group, zone=zone, known=known))


class Rooms:
    """The rooms of all groups, kept from one transaction to the next, of which one runs at a time."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._read: dict[int, int] = {}
        """By group, up to which move this replica knows."""
        self._asked: dict[int, Asked] = {}
        self._counted: dict[int, Inside] = {}
        """Counted beside the transactions, for the next one."""
        self._eras: dict[int, int] = {}
        """By group, how often moves were missed: what was counted before that is not gone on with."""

    def ask(self, round_: Round, group: int) -> None:
        """Ask what was let in and dealt out; behind the lock of the group's queue."""
        after = self._read.get(group)
        asked = self._asked[group] = Asked(after)
        if after is None:
            round_.add(_NEWEST.ask(group=group), asked.take_newest)
        else:
            round_.add(_MOVES.ask(group=group, after=after), asked.take_moves)
        round_.add(_DEALS.ask(group=group), asked.take_deals)

    def limits(self, group: int) -> bool:
        """Whether a zone of the group could be full, when it was last looked at."""
        return group in self._read

    def of(
        self,
        connection: Connection,
        group: int,
        facts: GroupFacts,
        unheard: Unheard,
        log: tuple[GateId, int],
        count: Callable[[bool], Inside | None],
    ) -> Room:
        """Return a group's room, for one transaction; in its thread.

        `count`: counts on, where the last count is old; told that moves were missed, to the end.
        """
        log, asked = (log[0], signed(log[1])), self._asked.pop(group, None)
        if not facts.limited:
            return Room(facts, unheard, _Known(()), Asked(None), log)
        if asked is None:
            round_ = Round(connection)
            self.ask(round_, group)
            round_.run()
            asked = self._asked.pop(group)
        known, counted = self._known.get(group), self._counted.pop(group, None)
        if known is None or known.limited != facts.limited or not asked.is_whole:
            self._eras[group] = self.era(group) + 1
            known = _Known(facts.limited)
            inside = count(True)
        else:
            known = known.let_in(asked.moves)
            if counted is not None and (known.inside is not None or not counted.behind):
                known = known.counted(counted)
            inside = count(False)
        if inside is not None and (known.inside is not None or not inside.behind):
            known = known.counted(inside)
        return Room(facts, unheard, known, asked, log)

    def committed(self, group: int, room: Room) -> None:
        """What was let in is on the disk."""
        if not room.is_limited:
            self._read.pop(group, None)
            return
        self._read[group] = room.moves[-1].n if room.moves else room.asked.newest
        self._known[group] = room.known.let_in(room.moves) if room.moves else room.known

    def era(self, group: int) -> int:
        """Return what `counted` is to be told, as of before the counting."""
        return self._eras.get(group, 0)

    def counted(self, group: int, inside: Inside | None, era: int) -> None:
        """A board was counted anew beside the transactions; None: it is not counted to the end for the first time."""
        if inside is not None and era == self.era(group):
            self._counted[group] = inside
