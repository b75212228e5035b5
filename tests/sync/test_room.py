"""Room in zones: whatever replicas let in, commit and count in between, nobody is forgotten and nobody counts twice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from admission.entitlements import Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, RecordId, TicketId, ZoneId
from admission.keys import KeyRing
from admission.observed import PresenceRow, Role, State
from admission.presence import fold
from admission.question import VenueFacts
from admission.records import Direction
from admission.resets import Resets
from sync.board.boards import Inside
from sync.gates.known import GroupFacts, Unheard
from sync.gates.room import FORGOTTEN_EVERY, MOVES_KEPT, Room, Rooms, _Move
from sync.store.database import Database
from sync.store.schema import signed
from sync.store.together import Changes, Round

HALL, BALCONY = ZoneId(1), ZoneId(2)
ZONES = ZoneTree((Zone(HALL, "Hall", capacity=10), Zone(BALCONY, "Balcony", parent=HALL, capacity=4)))
EVENT = EventId(1)
LOGS = ((GateId(9), Epoch(2**63 + 5)), (GateId(10), Epoch(7)))
IN_TOUCH = Unheard()
AWAY = Unheard(frozenset({HALL}), frozenset({HALL}))
LATELY = Unheard(frozenset(), frozenset({HALL}))

_groups = count(1)


def facts(*gates: int, replicas: int = 1) -> GroupFacts:
    """Of a hall that these gates serve."""
    venue = VenueFacts(ZONES, {}, {}, {}, LOGS[0][0])
    serve = {HALL: tuple(GateId(one) for one in gates), BALCONY: ()}
    return GroupFacts(
        venue, KeyRing(()), b"", {}, (EVENT,), Resets([], ZONES), serve, (HALL, BALCONY), {HALL: replicas}, frozenset({HALL}),
    )  # fmt: skip


@dataclass
class House:
    """Two replicas on one database, and what is committed in it."""

    database: Database
    group: int = field(default_factory=lambda: next(_groups))
    rooms: tuple[Rooms, Rooms] = field(default_factory=lambda: (Rooms(), Rooms()))
    rows: dict[int, list[PresenceRow]] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=lambda: [0, 0])
    order: list[int] = field(default_factory=list)
    """Whose each record is, as they were committed. What a board has counted is a beginning of it, however far it is behind."""
    marks: list[list[int]] = field(default_factory=lambda: [[0, 0], [0, 0]])
    """How far the board of each replica has counted each log."""

    def inside(self, at: int, upto: float = 1.0) -> Inside:
        """What the board of a replica finds that counts on: never less than before."""
        marks = self.marks[at]
        come = self.order[: max(sum(marks), int(len(self.order) * upto))]
        marks[:] = [come.count(0), come.count(1)]
        counted = dict(zip(LOGS, marks, strict=True))
        high: dict[ZoneId, int] = {}
        for one in self.rows.values():
            folded = fold([row for row in one if row.id.seq <= counted[row.id[0], row.id[1]]], [], ZONES)
            for zone in (HALL, BALCONY):
                high[zone] = high.get(zone, 0) + folded.bounds(zone).high
        named = {(gate, signed(epoch)): mark for (gate, epoch), mark in counted.items()}
        return Inside(high, named, 0 if marks == self.seqs else 1)

    def high(self, zone: ZoneId, rows: Mapping[int, list[PresenceRow]]) -> int:
        return sum(fold(one, [], ZONES).bounds(zone).high for one in rows.values())

    def redeem(
        self, at: int, moves: list[tuple[str, int, ZoneId]], *, commits: bool = True, in_between: float | None = None,
        known: GroupFacts | None = None, unheard: Unheard = IN_TOUCH,
    ) -> Room:  # fmt: skip
        """A transaction of a replica; who is inside is looked at before each move. `in_between`: counted on so far meanwhile."""
        rooms = self.rooms[at]
        new = {ticket: [*rows] for ticket, rows in self.rows.items()}
        seq = self.seqs[at]
        with self.database.writing() as connection:
            if rooms.limits(self.group):
                asking = Round(connection)
                rooms.ask(asking, self.group)
                asking.run()
            room = rooms.of(
                connection, self.group, known or facts(), unheard, LOGS[at],
                lambda missed: self.inside(at) if missed else None,
            )  # fmt: skip
            if in_between is not None:
                rooms.counted(self.group, self.inside(at, in_between), rooms.era(self.group))
            room.high(HALL)  # somebody is judged
            for what, ticket, zone in moves:
                if unheard is IN_TOUCH:
                    assert [room.high(one) for one in (HALL, BALCONY)] == [
                        self.high(one, new) for one in (HALL, BALCONY)
                    ]
                seq += 1
                row = presence(at, what, ticket, seq, zone)
                of = new.setdefault(ticket, [])
                room.move(seq, of, row)
                of.append(row)
            store(connection, room, self.group)
            if not commits:
                connection.rollback()
                return room
        rooms.committed(self.group, room)
        self.order += [at] * (seq - self.seqs[at])
        self.rows, self.seqs[at] = new, seq
        return room

    def forget(self) -> None:
        """Remove all moves but the newest."""
        with self.database.writing() as connection:
            connection.execute(
                text("DELETE FROM room_move WHERE group_id = :group AND n < "
                     "(SELECT max(n) FROM room_move WHERE group_id = :group)"),
                {"group": self.group},
            )  # fmt: skip


def store(connection: Connection, room: Room, group: int) -> None:
    """Write what was let in and dealt out."""
    writing, changes = Round(connection), Changes(connection)
    room.store(connection, changes, group)
    changes.add_to(writing)
    writing.run()


def presence(at: int, what: str, ticket: int, seq: int, zone: ZoneId) -> PresenceRow:
    name = RecordId(*LOGS[at], seq)
    role, way = (Role.ENTRY, Direction.ENTRY) if what == "in" else (Role.EXIT, Direction.EXIT)
    return PresenceRow(EVENT, TicketId(ticket), name, role, seq, State.COMMITTED, way, zone)


@pytest.fixture(scope="module")
def one_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database.open(tmp_path_factory.mktemp("centre"))
    yield opened
    opened.close()


MOVE = st.tuples(st.sampled_from(["in", "in", "out"]), st.integers(1, 5), st.sampled_from([HALL, BALCONY]))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("redeem"), st.integers(0, 1), st.lists(MOVE, max_size=4), st.booleans(),
                  st.one_of(st.none(), st.floats(0, 1))),
        st.tuples(st.just("count"), st.integers(0, 1), st.floats(0, 1)),
        st.tuples(st.just("forget")),
        st.tuples(st.just("restart"), st.integers(0, 1)),
    ),
    max_size=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_two_replicas_know_who_is_inside_whenever_it_was_counted(
    one_database: Database, steps: list[Any]
) -> None:
    house = House(one_database)
    for step in steps:
        match step:
            case ("redeem", at, moves, commits, in_between):
                house.redeem(at, moves, commits=commits, in_between=in_between)
            case ("count", at, upto):
                rooms = house.rooms[at]
                rooms.counted(house.group, house.inside(at, upto), rooms.era(house.group))
            case ("forget",):
                house.forget()
            case ("restart", at):
                house.rooms = (Rooms(), house.rooms[1]) if at == 0 else (house.rooms[0], Rooms())
                house.marks[at] = [0, 0]
    for at in (0, 1):
        room = house.redeem(at, [])
        assert [room.high(one) for one in (HALL, BALCONY)] == [
            house.high(one, house.rows) for one in (HALL, BALCONY)
        ]


def enter(*tickets: int) -> list[tuple[str, int, ZoneId]]:
    return [("in", one, HALL) for one in tickets]


def test_places_are_dealt_once_at_the_cut_for_all_replicas_and_across_a_restart(database: Database) -> None:
    house = House(database)
    house.redeem(0, enter(1, 2, 3, 4))
    known = facts(1, 2, replicas=1)
    room = house.redeem(0, [], known=known, unheard=AWAY)
    assert room.is_cut_off(HALL)
    assert room.high(HALL) == 4 + 10 - 6  # six places were free: two for each of three
    room = house.redeem(0, enter(5, 6), known=known, unheard=AWAY)
    assert room.high(HALL) == 10
    for at in (0, 1):
        house.rooms = (Rooms(), Rooms())
        assert house.redeem(at, [], known=known, unheard=AWAY).high(HALL) == 10
    # heard again, but not for good: what was dealt stays dealt
    assert house.redeem(1, [], known=known, unheard=LATELY).high(HALL) == 6
    assert house.redeem(1, [], known=known, unheard=AWAY).high(HALL) == 10
    assert house.redeem(0, [], known=known, unheard=IN_TOUCH).high(HALL) == 6
    assert house.redeem(1, [], known=known, unheard=AWAY).high(HALL) == 6 + 10 - 7  # dealt anew


def test_replicas_that_count_together_have_the_share_of_each_of_them(database: Database) -> None:
    house = House(database)
    # ten places, two replicas and two gates that are silent: five for the replicas, together
    known = facts(1, 2, replicas=2)
    house.redeem(0, [], known=known, unheard=AWAY)
    house.redeem(0, enter(1, 2), known=known, unheard=AWAY)
    assert house.redeem(1, enter(3, 4), known=known, unheard=AWAY).high(HALL) == 9
    assert house.redeem(0, enter(5), known=known, unheard=AWAY).high(HALL) == 10
    assert house.redeem(1, [], known=known, unheard=AWAY).high(HALL) == 10


def test_what_was_never_counted_to_the_end_is_unsure_and_what_is_unlimited_is_not_judged(
    database: Database,
) -> None:
    rooms, log = Rooms(), LOGS[0]

    def room(counted: Inside | None) -> Room:
        with database.writing() as connection:
            made = rooms.of(connection, 1, facts(), IN_TOUCH, log, lambda _missed: counted)
        rooms.committed(1, made)
        return made

    assert room(None).high(HALL) is None
    assert room(Inside({HALL: 3}, {}, behind=7)).high(HALL) is None
    assert room(None).is_cut_off(
        HALL
    )  # full, perhaps: the product's policy says who comes in until that is known
    assert not room(None).is_cut_off(ZoneId(7))
    assert room(Inside({}, {})).high(HALL) == 0
    assert not room(None).is_cut_off(HALL)
    assert room(Inside({HALL: 3}, {}, behind=7)).high(HALL) == 3  # gone on with, from then on
    assert room(None).high(ZoneId(7)) is None
    assert room(None).capacity(ZoneId(7)) == 0


def test_a_count_of_before_moves_were_missed_is_not_gone_on_with(database: Database) -> None:
    rooms, log = Rooms(), LOGS[0]
    before = rooms.era(1)
    with database.writing() as connection:
        made = rooms.of(connection, 1, facts(), IN_TOUCH, log, lambda _missed: None)
    rooms.committed(1, made)
    rooms.counted(1, Inside({HALL: 1}, {}), before)
    with database.writing() as connection:
        assert rooms.of(connection, 1, facts(), IN_TOUCH, log, lambda _missed: None).high(HALL) is None


def test_old_moves_are_forgotten_and_the_newest_stay(database: Database) -> None:
    first = MOVES_KEPT + FORGOTTEN_EVERY - 3
    with database.writing() as connection:
        for n in (1, 500, FORGOTTEN_EVERY + 2, FORGOTTEN_EVERY + 3, first):
            connection.execute(
                text("INSERT INTO room_move VALUES (1, :n, 9, 1, 1, 1, 1)"), {"n": n}
            )  # fmt: skip
        rooms = Rooms()
        asking = Round(connection)
        rooms.ask(asking, 1)
        asking.run()
        room = rooms.of(connection, 1, facts(), IN_TOUCH, LOGS[0], lambda _missed: None)
        room.moves = [_Move(first + n, LOGS[0][0], 1, n, HALL, 1) for n in range(1, 6)]
        store(connection, room, 1)
        left = (
            connection.execute(text("SELECT n FROM room_move WHERE group_id = 1 ORDER BY n")).scalars().all()
        )
    assert left == [FORGOTTEN_EVERY + 3, *range(first, first + 6)]
