"""Counting people: the same numbers however it was counted."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from admission.entitlements import Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, RecordId, TicketId, ZoneId
from admission.presence import Bounds, PresenceRow, Resets, Role, State, bounds, fold
from admission.records import Direction
from edge.occupancy import SLICE_TICKETS, Occupancy

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


def counted(rows: Sequence[PresenceRow]) -> Occupancy:
    occupancy = Occupancy(ZONES)
    for _ in occupancy.count(sorted(rows, key=lambda row: row.ticket), NO_RESETS):
        pass
    return occupancy


def test_unknown_until_all_was_counted() -> None:
    occupancy = Occupancy(ZONES)
    steps = occupancy.count([entry(n, n) for n in range(1, SLICE_TICKETS + 2)], NO_RESETS)
    assert next(steps) == SLICE_TICKETS
    assert occupancy.bounds(OUTER) is None
    assert next(steps, None) is None
    assert occupancy.bounds(OUTER) == Bounds(SLICE_TICKETS + 1, SLICE_TICKETS + 1)


def test_a_reservation_is_a_person_at_most_and_an_inner_zone_counts_in_the_outer() -> None:
    occupancy = counted([entry(1, 1), entry(2, 2, INNER), entry(3, 3, state=State.RESERVED)])
    assert (occupancy.bounds(OUTER), occupancy.bounds(INNER)) == (Bounds(2, 3), Bounds(1, 1))


def test_what_was_told_meanwhile_is_not_counted_twice() -> None:
    occupancy = Occupancy(ZONES)
    rows = [entry(1, 1), exit_of(1, 2, 1)]
    occupancy.update([(EVENT, TicketId(1))], lambda _event, _ticket: fold(rows, NO_RESETS, ZONES))
    # The log was read before the exit came.
    for _ in occupancy.count([entry(1, 1)], NO_RESETS):
        pass
    occupancy.update([(EVENT, TicketId(1))], lambda _event, _ticket: fold(rows, NO_RESETS, ZONES))
    assert occupancy.bounds(OUTER) == Bounds(0, 0)


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
        own = [row for row in rows if row.ticket == ticket]
        kept.update([(EVENT, TicketId(ticket))], lambda _event, _ticket, own=own: fold(own, NO_RESETS, ZONES))  # type: ignore[misc]  # mypy cannot infer a default of a lambda
    folds = [fold([row for row in rows if row.ticket == n], NO_RESETS, ZONES) for n in range(1, 6)]
    for zone in (OUTER, INNER):
        assert kept.bounds(zone) == counted(rows).bounds(zone) == bounds(folds, zone)
