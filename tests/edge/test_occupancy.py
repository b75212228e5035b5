"""Counting people: the same numbers however it was counted."""

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.entitlements import Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, RecordId, TicketId, ZoneId
from admission.presence import Bounds, PresenceRow, Resets, Role, State, bounds, fold
from admission.records import Direction
from edge.occupancy import SLICE_TICKETS, Occupancy, RowsOf, TicketKey

EVENT = EventId(1)
OUTER, INNER = ZoneId(1), ZoneId(2)
ZONES = ZoneTree((Zone(OUTER, "Ground"), Zone(INNER, "Stand", parent=OUTER)))
NO_RESETS = Resets((), ZONES)


def entry(ticket: int, seq: int, zone: ZoneId = OUTER, state: State = State.COMMITTED) -> PresenceRow:
    record = RecordId(GateId(1), Epoch(1), seq)
    return PresenceRow(EVENT, TicketId(ticket), record, Role.ENTRY, seq, state, Direction.ENTRY, zone)


def exit_of(ticket: int, seq: int, closes: int) -> PresenceRow:
    gate, epoch = GateId(1), Epoch(1)
    return PresenceRow(
        EVENT, TicketId(ticket), RecordId(gate, epoch, seq), Role.EXIT, seq, State.COMMITTED, Direction.EXIT, OUTER,
        names=(RecordId(gate, epoch, closes),),
    )  # fmt: skip


Rows = Sequence[PresenceRow]


def tickets(rows: Rows) -> list[TicketKey]:
    return sorted({(row.event, row.ticket) for row in rows})


def out_of(rows: Rows) -> RowsOf:
    """What the log holds now, ticket by ticket."""
    return lambda event, ticket: [row for row in rows if (row.event, row.ticket) == (event, ticket)]


def counted(rows: Rows) -> Occupancy:
    occupancy = Occupancy(ZONES, NO_RESETS)
    for _ in occupancy.count(tickets(rows), out_of(rows)):
        pass
    return occupancy


def test_unknown_until_all_was_counted() -> None:
    occupancy = Occupancy(ZONES, NO_RESETS)
    rows = [entry(n, n) for n in range(1, SLICE_TICKETS + 2)]
    steps = occupancy.count(tickets(rows), out_of(rows))
    assert next(steps) == SLICE_TICKETS
    assert occupancy.bounds(OUTER) is None
    assert next(steps, None) is None
    assert occupancy.bounds(OUTER) == Bounds(SLICE_TICKETS + 1, SLICE_TICKETS + 1)


def test_of_a_zone_that_was_not_counted_nothing_is_known() -> None:
    assert counted([entry(1, 1)]).bounds(ZoneId(3)) is None


def test_a_reservation_is_a_person_at_most_and_an_inner_zone_counts_in_the_outer() -> None:
    occupancy = counted([entry(1, 1), entry(2, 2, INNER), entry(3, 3, state=State.RESERVED)])
    assert (occupancy.bounds(OUTER), occupancy.bounds(INNER)) == (Bounds(2, 3), Bounds(1, 1))


@pytest.mark.parametrize("leaves", [1, SLICE_TICKETS + 1], ids=["counted already", "still to be counted"])
def test_who_leaves_while_all_are_counted_is_not_inside(leaves: int) -> None:
    rows = [entry(n, n) for n in range(1, SLICE_TICKETS + 2)]
    occupancy = Occupancy(ZONES, NO_RESETS)
    steps = occupancy.count(tickets(rows), out_of(rows))
    next(steps)
    rows.append(exit_of(leaves, 100, leaves))
    occupancy.update([(EVENT, TicketId(leaves))], out_of(rows))
    assert next(steps, None) is None
    assert occupancy.bounds(OUTER) == Bounds(SLICE_TICKETS, SLICE_TICKETS)


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["in", "stand", "out"])), max_size=30))
def test_kept_up_step_by_step_it_is_what_counting_anew_gives(steps: list[tuple[int, str]]) -> None:
    kept = counted([])
    rows: list[PresenceRow] = []
    for seq, (ticket, what) in enumerate(steps, 1):
        mine = [row for row in rows if row.ticket == ticket and row.role is Role.ENTRY]
        if what != "out":
            rows.append(entry(ticket, seq, INNER if what == "stand" else OUTER))
        elif mine:
            rows.append(exit_of(ticket, seq, mine[-1].id.seq))
        kept.update([(EVENT, TicketId(ticket))], out_of(rows))
    folds = [fold([row for row in rows if row.ticket == n], NO_RESETS, ZONES) for n in range(1, 6)]
    for zone in (OUTER, INNER):
        assert kept.bounds(zone) == counted(rows).bounds(zone) == bounds(folds, zone)


def test_somebody_inside_takes_a_place_and_nothing_of_their_own() -> None:
    people = 20_000
    occupancy = Occupancy(ZONES, NO_RESETS)
    tracemalloc.start()
    try:
        numbers = (TicketId(number) for number in range(1_000, 1_000 + people))
        for _ in occupancy.count(
            ((EVENT, number) for number in numbers), lambda _, ticket: [entry(ticket, 1)]
        ):
            pass
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert occupancy.bounds(OUTER) == Bounds(people, people)
    assert held / people < 120  # with a key and a share of its own each takes 240
