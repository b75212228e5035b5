"""A sort of ticket is folded once: whatever the rows, what is remembered is what folding them again would give."""

from hypothesis import given, settings
from hypothesis import strategies as st

from admission.entitlements import Mode, Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, LaneId, RecordId, SessionId, TicketId, ZoneId
from admission.observed import PresenceRow, Reset, Role, State
from admission.records import Direction, Flag
from admission.resets import Resets
from sync.board.tally import weight
from sync.board.weights import Weights, has_several_entries, until

ZONES = ZoneTree((Zone(ZoneId(1), "Ground"), Zone(ZoneId(2), "Hall", parent=ZoneId(1))))
GATES = (GateId(1), GateId(2))
EPOCH = Epoch(2**63 + 5)
"""Above the signed range, as half of all epochs are."""


@st.composite
def tickets(draw: st.DrawFn) -> list[PresenceRow]:
    """The rows of one ticket, mostly an entry with what is said of it."""
    found: list[PresenceRow] = []
    for n in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        entry = PresenceRow(
            EventId(1), TicketId(7), RecordId(draw(st.sampled_from(GATES)), EPOCH, draw(st.integers(1, 9)) * 10 + n),
            draw(st.sampled_from([Role.ENTRY, Role.ENTRY, Role.ENTRY, Role.EXIT])), draw(st.integers(1, 9)),
            draw(st.sampled_from([State.RESERVED, State.COMMITTED])),
            draw(st.sampled_from([Direction.ENTRY, Direction.EXIT])), draw(st.sampled_from([ZoneId(1), ZoneId(2)])),
            SessionId(1), LaneId(1), draw(st.sampled_from(list(Mode))),
            draw(st.sampled_from([0, int(Flag.REENTRY), int(Flag.ASSUMED), int(Flag.AFTER_RESTART)])),
        )  # fmt: skip
        found.append(entry)
        if draw(st.booleans()):
            about = draw(st.sampled_from([entry.id, entry.id, entry.id, RecordId(GateId(3), EPOCH, 1)]))
            state = draw(
                st.sampled_from([State.COMMITTED, State.COMMITTED, State.GIVEN_BACK, State.ANNULLED])
            )
            found.append(
                PresenceRow(
                    entry.event,
                    entry.ticket,
                    RecordId(entry.id.gate, EPOCH, entry.id.seq + 500),
                    Role.ANNUL if state is State.ANNULLED else Role.STATE,
                    entry.time_us + 1,
                    state,
                    draw(st.sampled_from([Direction.NONE, entry.way, Direction.EXIT])),
                    zone=entry.zone,
                    names=(about,),
                )
            )
    return draw(st.permutations(found))


@given(
    several=st.lists(tickets(), min_size=1, max_size=12),
    heard=st.none() | st.integers(0, 100),
    admits=st.integers(1, 2),
)
@settings(max_examples=200)
def test_what_is_remembered_is_what_folding_gives(
    several: list[list[PresenceRow]], heard: int | None, admits: int
) -> None:
    known = Weights(ZONES)
    reset = Reset(RecordId(GateId(9), EPOCH, 1), ZoneId(1), 5, (RecordId(GateId(1), EPOCH, heard or 0),))
    resets = Resets(() if heard is None else (reset,), ZONES)
    for rows in several * 2:
        columns = [row.as_columns() for row in rows]
        assert known.of(columns, resets, admits) == weight(rows, resets, ZONES, admits)
        assert has_several_entries(columns) == (sum(row.role is Role.ENTRY for row in rows) > 1)


def test_one_sort_is_one_object_and_another_gate_is_another_sort() -> None:
    known, none = Weights(ZONES), Resets((), ZONES)

    def came_in(gate: GateId, seq: int, state: State = State.COMMITTED) -> list[tuple[int | bytes, ...]]:
        entry = RecordId(gate, EPOCH, seq)
        return [
            PresenceRow(EventId(1), TicketId(seq), entry, Role.ENTRY, seq, way=Direction.ENTRY, zone=ZoneId(1)).as_columns(),
            PresenceRow(
                EventId(1), TicketId(seq), RecordId(gate, EPOCH, seq + 1), Role.STATE, seq + 1, state,
                Direction.ENTRY, ZoneId(1), names=(entry,),
            ).as_columns(),
        ]  # fmt: skip

    first = known.of(came_in(GateId(1), 1), none)
    assert known.of(came_in(GateId(1), 5), none) is first
    assert known.of(came_in(GateId(2), 5), none) != first
    assert known.of(came_in(GateId(1), 9, State.GIVEN_BACK), none).zones == {}
    assert first.zones == {ZoneId(1): (1, 1)}


def test_rows_are_taken_up_to_the_marks_of_their_logs() -> None:
    row = PresenceRow(EventId(1), TicketId(1), RecordId(GateId(1), EPOCH, 8), Role.ENTRY, 1).as_columns()
    at = (row[2], row[3])
    assert [until([row], {at: seq}) for seq in (7, 8)] == [[], [row]]
    assert until([row], {}) == []
