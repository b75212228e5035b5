"""What befalls a whole zone: who an alarm sends out and who comes in again, what a count by hand and a reset settle."""

from admission.ids import GateId, RecordId, ZoneId
from admission.presence import (
    Bounds,
    DoubleKind,
    PresenceRow,
    Reset,
    ResetKind,
    Resets,
    Role,
    State,
    fold,
    since_count,
)
from admission.records import Flag
from tests.admission.test_presence import (
    BOX,
    HALL,
    HERE,
    SESSION,
    THERE,
    ZONES,
    annulled,
    back,
    name,
    passed,
    reset,
    row,
    see,
)  # fmt: skip


def befell(
    seq: int, kind: ResetKind, *heard: RecordId, zone: ZoneId = HALL, people: int = 0, gate: GateId = HERE
) -> Reset:
    return Reset(name(seq, gate), zone, seq * 1_000_000, heard, kind, people)


RANG, CLEAR, OVER = befell(5, ResetKind.ALARM), befell(6, ResetKind.CLEARED), befell(8, ResetKind.ENDED)
GONE_IN = [row(1), passed(2, name(1))]


def test_an_alarm_sends_everybody_out_and_keeps_who_was_inside() -> None:
    rung = see(GONE_IN, [RANG])
    assert rung.live == ()
    assert rung.uses(HALL, SESSION) == 1
    assert rung.fled(HALL) == 1
    assert rung.frozen(HALL, SESSION) == (), "not before staff cleared it"
    assert see(GONE_IN, [RANG, CLEAR]).frozen(HALL, SESSION) == (name(1),)
    assert see(GONE_IN, [RANG, CLEAR, OVER]).frozen(HALL, SESSION) == ()
    assert see(GONE_IN, [RANG, CLEAR, befell(7, ResetKind.ALARM)]).frozen(HALL, SESSION) == (), (
        "it rings again"
    )


def test_who_was_let_in_after_the_alarm_is_inside_and_each_entry_lets_one_in_again() -> None:
    again = row(7, Role.ENTRY, name(1), flags=Flag.REENTRY)
    found = see([*GONE_IN, again], [RANG, CLEAR])
    assert (found.live, found.frozen(HALL, SESSION), found.uses(HALL, SESSION)) == ((name(7),), (), 1)
    turned_back = see([*GONE_IN, again, back(9, name(7))], [RANG, CLEAR])
    assert turned_back.frozen(HALL, SESSION) == (name(1),)
    twice = row(7, Role.ENTRY, name(1), gate=THERE, at=9, flags=Flag.REENTRY)
    (double,) = see([*GONE_IN, again, twice], [RANG, CLEAR]).doubles(1)
    assert (double.kind, double.first, double.second) == (DoubleKind.READMITTED, name(7), name(7, THERE))


def test_who_had_left_before_the_alarm_was_not_inside() -> None:
    left = row(4, Role.EXIT, name(1), gate=THERE, state=State.COMMITTED)
    assert see([*GONE_IN, left], [RANG, CLEAR]).frozen(HALL, SESSION) == ()
    again = row(7, Role.ENTRY, name(1), flags=Flag.REENTRY)
    (double,) = see([*GONE_IN, left, again], [RANG, CLEAR]).doubles(1)
    assert (double.kind, double.first) == (DoubleKind.READMITTED, name(1))
    during = row(6, Role.EXIT, gate=THERE, state=State.COMMITTED, flags=Flag.NO_PULSE)
    assert see([*GONE_IN, during], [RANG, befell(7, ResetKind.CLEARED)]).frozen(HALL, SESSION) == (name(1),)


def test_who_stood_under_an_arm_is_free_or_was_inside_as_it_turned_out() -> None:
    """Given back at his own lane: the use is free. Let in by another gate whose alarm came later: he is sent out too."""
    at_arm = row(4)
    given_back = see([at_arm, back(6, name(4))], [RANG, befell(7, ResetKind.CLEARED)])
    assert (given_back.uses(HALL, SESSION), given_back.frozen(HALL, SESSION)) == (0, ())
    walked = see([at_arm, passed(6, name(4))], [RANG, befell(7, ResetKind.CLEARED)])
    assert (walked.uses(HALL, SESSION), walked.frozen(HALL, SESSION)) == (1, (name(4),))
    # The lane's own log decides by seq, whatever the clock does; another log by what was heard, or the time.
    assert see([row(6, at=1)], [RANG]).live == (name(6),)
    assert see([row(9, gate=THERE, at=4)], [RANG]).live == ()
    assert see([row(9, gate=THERE, at=6)], [RANG]).live == (name(9, THERE),)
    assert see([row(9, gate=THERE, at=6)], [befell(5, ResetKind.ALARM, name(9, THERE))]).live == ()


def test_a_use_that_was_taken_back_is_taken_by_whoever_came_in_again_for_it() -> None:
    again = row(7, Role.ENTRY, name(1), flags=Flag.REENTRY)
    found = see([*GONE_IN, again, annulled(9, name(1))], [RANG, CLEAR])
    assert found.uses(HALL, SESSION) == 1
    assert found.doubles(1) == ()


def test_a_reset_before_or_after_the_alarm_leaves_nobody_to_come_in_again() -> None:
    for seq in (4, 7):
        assert see(GONE_IN, [RANG, CLEAR, reset(seq, HALL)]).frozen(HALL, SESSION) == ()
    assert see(GONE_IN, [RANG, CLEAR, reset(7, BOX)]).frozen(HALL, SESSION) == (name(1),)


def test_alarms_hold_for_the_zones_inside() -> None:
    inner = [row(1, zone=BOX), passed(2, name(1))]
    found = see(inner, [RANG, CLEAR])
    assert (found.frozen(BOX, SESSION), found.fled(HALL), found.fled(BOX)) == ((name(1),), 1, 1)
    elsewhere = befell(5, ResetKind.ALARM, zone=BOX)
    assert see(GONE_IN, [elsewhere]).live == (name(1),)


def test_a_count_by_hand_is_what_people_are_reckoned_from() -> None:
    count = befell(10, ResetKind.COUNTED, people=40)
    index = Resets([RANG, CLEAR, count], ZONES)
    assert index.counted(HALL) == count
    assert index.counted(BOX) is None, "who counts the hall has not counted its boxes"
    late = row(11, at=11)
    in_and_out = [late, passed(12, name(11)), row(13, Role.EXIT, name(11), state=State.COMMITTED)]

    def since(*rows: PresenceRow) -> Bounds:
        return since_count(rows, fold(rows, index, ZONES), count, index, ZONES)

    assert since(*GONE_IN) == Bounds(0, 0)
    assert since(*GONE_IN, late) == Bounds(0, 1)
    assert since(*GONE_IN, *in_and_out[:2]) == Bounds(1, 1)
    assert since(*in_and_out) == Bounds(0, 0)
    # He came back without a scan, was counted by hand, and leaves by the reader.
    assert since(*GONE_IN, row(13, Role.EXIT, state=State.COMMITTED)) == Bounds(-1, -1)
    # What another gate recorded before, and is heard only now, is in the number.
    assert since(row(9, gate=THERE, at=9), passed(10, name(9, THERE))) == Bounds(0, 0)
    assert Resets([count, reset(11, HALL)], ZONES).counted(HALL) is None


def test_occupancy_is_settled_by_a_count_or_a_reset() -> None:
    settled = [RANG, befell(10, ResetKind.COUNTED, people=3)]
    assert see(GONE_IN, settled).fled(HALL) == 0
    assert see(GONE_IN, [*settled, befell(11, ResetKind.ALARM)]).fled(HALL) == 0, "who was sent out is out"
    new = row(11, at=11)
    assert see([*GONE_IN, new], [*settled, befell(12, ResetKind.ALARM)]).fled(HALL) == 1
    assert see(GONE_IN, [RANG, reset(7, HALL)]).fled(HALL) == 0
