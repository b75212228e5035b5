"""Room in zones: whatever is let in and counted in between, nobody is forgotten and nobody counts twice."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from admission.entitlements import Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, RecordId, TicketId, ZoneId
from admission.keys import KeyRing
from admission.observed import PresenceRow, Resets, Role, State
from admission.presence import fold
from admission.question import VenueFacts
from admission.records import Direction
from sync.board.boards import Inside
from sync.gates.known import GroupFacts
from sync.gates.room import Room, Rooms
from sync.store.schema import signed

HALL, BALCONY = ZoneId(1), ZoneId(2)
ZONES = ZoneTree((Zone(HALL, "Hall", capacity=10), Zone(BALCONY, "Balcony", parent=HALL, capacity=4)))
GATE, EPOCH, EVENT = GateId(9), Epoch(2**63 + 5), EventId(1)
LOG = (GATE, signed(EPOCH))


def facts(*gates: int) -> GroupFacts:
    """Of a hall that these gates serve."""
    venue = VenueFacts(ZONES, {}, {}, {}, GATE)
    serve = {HALL: tuple(GateId(one) for one in gates), BALCONY: ()}
    return GroupFacts(venue, KeyRing(()), b"", {}, (EVENT,), Resets([], ZONES), serve, (HALL, BALCONY))


def entry(ticket: int, seq: int, zone: ZoneId) -> PresenceRow:
    name = RecordId(GATE, EPOCH, seq)
    return PresenceRow(EVENT, TicketId(ticket), name, Role.ENTRY, seq, State.COMMITTED, Direction.ENTRY, zone)


def exit_(ticket: int, seq: int, zone: ZoneId) -> PresenceRow:
    name = RecordId(GATE, EPOCH, seq)
    return PresenceRow(EVENT, TicketId(ticket), name, Role.EXIT, seq, State.COMMITTED, Direction.EXIT, zone)


def inside(rows: dict[int, list[PresenceRow]], upto: int) -> Inside:
    """What a board finds that has counted our log up to a seq."""
    high: dict[ZoneId, int] = {}
    for one in rows.values():
        folded = fold([row for row in one if row.id.seq <= upto], [], ZONES)
        for zone in (HALL, BALCONY):
            high[zone] = high.get(zone, 0) + folded.bounds(zone).high
    return Inside(high, {LOG: upto})


MOVES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["in", "out"]), st.integers(1, 5), st.sampled_from([HALL, BALCONY])),
        st.tuples(st.just("commit"), st.booleans(), st.none()),
        st.tuples(st.just("count"), st.integers(0, 40), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(MOVES)
def test_who_is_inside_is_known_whenever_it_was_counted(moves: list[Any]) -> None:
    rooms, known = Rooms(), facts()
    rooms.counted(1, inside({}, 0))
    held: dict[int, list[PresenceRow]] = {}
    new: dict[int, list[PresenceRow]] = {}
    seq = committed = counted = 0

    def room() -> Room:
        return rooms.of(1, known, (), GATE, EPOCH)

    now = room()
    for what, number, zone in moves:
        if what == "commit":
            if number:
                rooms.committed(1, now)
                held, committed = {ticket: [*rows] for ticket, rows in new.items()}, seq
            new, now = {ticket: [*rows] for ticket, rows in held.items()}, room()
        elif what == "count":
            counted = max(counted, min(number, committed))  # a board never counts less than before
            rooms.counted(1, inside(held, counted))
            new, now = {ticket: [*rows] for ticket, rows in held.items()}, room()
        else:
            seq += 1
            row = (entry if what == "in" else exit_)(number, seq, zone)
            rows = new.setdefault(number, [])
            now.move(seq, rows, row)
            rows.append(row)
        for at in (HALL, BALCONY):
            assert now.high(at) == sum(fold(rows, [], ZONES).bounds(at).high for rows in new.values())


def test_places_are_shared_with_gates_that_are_not_heard_as_they_were_at_the_cut() -> None:
    rooms, known = Rooms(), facts(1, 2)
    rooms.counted(1, Inside({HALL: 4}, {}))
    assert rooms.of(1, known, (), GATE, EPOCH).high(HALL) == 4
    now = rooms.of(1, known, {HALL}, GATE, EPOCH)
    assert now.is_cut_off(HALL)
    assert now.high(HALL) == 4 + 10 - 6  # six places were free: two for each of three
    rows: list[PresenceRow] = []
    for seq in (1, 2):
        row = entry(seq, seq, HALL)
        now.move(seq, rows, row)
    assert now.high(HALL) == 10
    rooms.committed(1, now)
    assert rooms.of(1, known, {HALL}, GATE, EPOCH).high(HALL) == 10
    assert rooms.of(1, known, (), GATE, EPOCH).high(HALL) == 6
    assert rooms.of(1, known, {HALL}, GATE, EPOCH).high(HALL) == 6 + 10 - 7  # dealt anew


def test_what_was_never_counted_and_what_is_unlimited_is_not_judged() -> None:
    rooms, known = Rooms(), facts()
    assert rooms.of(1, known, (), GATE, EPOCH).high(HALL) is None
    rooms.counted(1, None)
    assert rooms.of(1, known, (), GATE, EPOCH).high(HALL) is None
    rooms.counted(1, Inside({}, {}))
    assert rooms.of(1, known, (), GATE, EPOCH).high(HALL) == 0
    assert rooms.of(1, known, (), GATE, EPOCH).high(ZoneId(7)) is None
    assert rooms.of(1, known, (), GATE, EPOCH).capacity(ZoneId(7)) == 0
