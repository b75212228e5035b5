"""Scans that a device stored until it was docked: they lie where the device says, whenever anybody hears of them."""

import pytest

from admission.corrected import EpochTime, placed
from admission.observed import OF_DEVICE, PresenceRow, Role, columns_of
from admission.presence import Bounds, DoubleKind, State, fold, rows_of
from admission.records import Direction, Flag, Kind, Outcome, Record, Trust, stored_data
from tests.admission.one_day import same_day
from tests.admission.test_presence import (
    EPOCH,
    HALL,
    HERE,
    OLD,
    SESSION,
    THERE,
    ZONES,
    back,
    name,
    passed,
    record,
    reset,
    row,
    see,
)

NOON_US = 1_790_000_000_000_000
NOON_S = NOON_US // 1_000_000


def stored(read_s: int, trust: Trust = Trust.SYNCED, time_us: int = NOON_US, seq: int = 9) -> Record:
    return Record(
        Kind.STORED,
        seq,
        time_us,
        5_000,
        trust=trust,
        outcome=Outcome.GRANT,
        data=stored_data(time_us, read_s),
    )


def kept(seq: int, role: Role = Role.ENTRY, at: int = 1, gate: int = HERE) -> PresenceRow:
    return row(seq, role, gate=gate, at=at, state=State.COMMITTED, flags=OF_DEVICE | Flag.NO_PULSE)  # type: ignore[arg-type]  # a gate's number


# --- where they lie ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trust", Trust)
@pytest.mark.parametrize("mark_s", [None, NOON_S + 900])
def test_they_lie_where_the_device_says_whatever_the_gate_s_clock_was(
    trust: Trust, mark_s: int | None
) -> None:
    clock = EpochTime()
    if mark_s is not None:
        clock.place(Record(Kind.CLOCK_STEP, 1, mark_s * 1_000_000, 1_000, trust=Trust.SYNCED))
    assert clock.place(stored(NOON_S - 3600, trust)) == (NOON_S - 3600) * 1_000_000


def test_the_gate_s_own_records_lie_by_its_own_clocks_all_the_same() -> None:
    lost = Record(Kind.SCAN, 3, 7, 6_000, trust=Trust.UNKNOWN)
    first = stored(NOON_S - 3600)
    assert list(placed((first, lost))) == [(first, (NOON_S - 3600) * 1_000_000), (lost, NOON_US + 1_000_000)]
    unset = stored(NOON_S - 3600, Trust.UNKNOWN, time_us=86_400_000_000)
    step = Record(Kind.CLOCK_STEP, 10, NOON_US, 9_000, trust=Trust.SYNCED)
    assert [at for _, at in placed((lost, unset, step))] == [
        NOON_US - 3_000_000, (NOON_S - 3600) * 1_000_000, NOON_US,
    ]  # fmt: skip
    assert [at for _, at in placed((unset,))] == [(NOON_S - 3600) * 1_000_000]


# --- what they say -----------------------------------------------------------------------------------------------

GRANT = {"outcome": Outcome.GRANT, "direction": Direction.ENTRY}


@pytest.mark.parametrize(
    ("what", "body", "wanted"),
    [
        ("who went in is inside", record(Kind.STORED, **GRANT), (Role.ENTRY, State.COMMITTED)),
        ("who went out has left", record(Kind.STORED, **{**GRANT, "direction": Direction.EXIT}), (Role.EXIT, State.COMMITTED)),
        ("a refusal moves nobody", record(Kind.STORED, **{**GRANT, "outcome": Outcome.DENY}), None),
        ("nor does a count", record(Kind.STORED, **GRANT, flags=Flag.TICKET | Flag.REPEATED), None),
        ("nor a rehearsal", record(Kind.STORED, **GRANT, flags=Flag.TICKET | Flag.REHEARSAL), None),
    ],
)  # fmt: skip
def test_what_they_say(what: str, body: Record, wanted: tuple[Role, State] | None) -> None:
    found = rows_of(HERE, EPOCH, body, (), 123)
    assert [(one.role, one.state) for one in found] == ([] if wanted is None else [wanted])
    assert all(one.flags & OF_DEVICE and one.time_us == 123 for one in found)
    columns = columns_of(HERE, EPOCH, body, (), 123)
    assert columns == (found[0].as_columns() if found else None)


# --- what they amount to -----------------------------------------------------------------------------------------


def test_a_use_that_is_heard_late_makes_a_double_of_the_one_that_came_after_it() -> None:
    live = row(2, gate=THERE, at=600)
    found = see([live, passed(3, live.id), kept(50, at=300)]).doubles(1)
    assert [(one.kind, one.first.seq, one.second.seq) for one in found] == [(DoubleKind.USE, 50, 2)]
    assert (found[0].first_us, found[0].second_us) == (300_000_000, 600_000_000)


def test_an_exit_of_the_same_log_takes_whom_a_device_let_in_before_it() -> None:
    leaving = row(20, Role.EXIT, state=State.COMMITTED, at=600)
    assert see([kept(50, at=300), leaving]).live == ()
    assert see([kept(50, at=700), leaving]).live == (name(50),)  # came after that somebody left
    came = row(20, at=600)
    assert see([came, passed(21, came.id), kept(50, Role.EXIT, at=700)]).live == ()
    assert see([came, passed(21, came.id), kept(50, Role.EXIT, at=500)]).live == (came.id,)


def test_a_reset_sends_out_whom_a_device_let_in_before_it_though_nobody_had_heard_of_him() -> None:
    emptied = [reset(90, HALL, name(40))]
    early, late = kept(95, at=80), kept(96, at=91)
    assert fold([early, late], emptied, ZONES).live == (late.id,)
    assert fold([early, late], [*emptied, reset(92, HALL)], ZONES).live == ()
    other = kept(3, at=80, gate=THERE)
    assert fold([other], [reset(90, HALL), reset(85, HALL)], ZONES).live == ()


def test_nobody_waits_for_a_passage_of_one_who_passed_hours_ago() -> None:
    presence = see([kept(50)])
    assert presence.bounds(HALL) == Bounds(1, 1)
    tally = presence.tally(HALL, SESSION, same_day(SESSION), HERE, OLD)
    assert (tally.unresolved, tally.uses_session, tally.passed) == (0, 1, 1)
    assert see([kept(50), back(51, name(50))]).live == (name(50),)  # nothing undoes it but staff
