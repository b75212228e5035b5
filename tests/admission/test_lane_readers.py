"""What readers show a lane: re-reads, who waits, bad codes and their repeats."""

import pytest

from admission.ids import ReaderId
from admission.lane import (
    Alert,
    JudgeAgain,
    Judged,
    Release,
    Show,
    Tick,
    Write,
)
from admission.question import Verdict
from admission.reasons import DisplayState, Reason
from admission.records import Direction, Flag, Kind, Outcome
from tests.admission.lanes import (
    ENTRY_READER,
    EXIT_READER,
    Trial,
    deny,
    grant,
    only,
    subject,
)

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT


# --- readers ----------------------------------------------------------------------------------------------------


def test_a_phone_left_on_the_glass_does_not_burn_n() -> None:
    at = Trial()
    judged = 0
    for _ in range(300):
        if at.lane.presented(ENTRY_READER, b"TK1ABC", at.now_ms):
            judged += 1
            at.do(grant(7))
            at.walk(after_ms=400)
        at.wait_ms(100)
    assert judged == 1
    assert at.kinds() == [Kind.SCAN, Kind.PASSAGE]


def test_a_screen_that_alternates_between_two_codes_shows_two_presentations() -> None:
    at = Trial()
    seen = [at.lane.presented(ENTRY_READER, code, t) for t in range(0, 20_000, 200) for code in (b"A", b"B")]
    assert seen.count(True) == 2


@pytest.mark.parametrize(("gap_ms", "fresh"), [(1999, False), (2000, True)])
def test_a_code_unseen_for_so_long_is_a_new_presentation(gap_ms: int, fresh: bool) -> None:
    at = Trial()
    assert at.lane.presented(ENTRY_READER, b"A", 1000)
    assert at.lane.presented(ENTRY_READER, b"A", 1000 + gap_ms) is fresh


@pytest.mark.parametrize(("gap_ms", "fresh"), [(499, False), (500, True)])
def test_a_reader_that_reports_removal_tells_sooner(gap_ms: int, fresh: bool) -> None:
    at = Trial()
    assert at.lane.presented(ENTRY_READER, b"A", 0)
    at.lane.removed(ENTRY_READER, 9000)  # it lay there for nine seconds
    assert at.lane.presented(ENTRY_READER, b"A", 9000 + gap_ms) is fresh


def test_readers_are_told_apart() -> None:
    at = Trial()
    assert at.lane.presented(ENTRY_READER, b"A", 0)
    assert at.lane.presented(EXIT_READER, b"A", 0)
    assert not at.lane.presented(ENTRY_READER, b"A", 1)


def test_two_readers_at_once_one_waits_and_is_judged_again() -> None:
    at = Trial()
    other = ReaderId(3)
    assert at.lane.presented(ENTRY_READER, b"A", 0)
    at.do(grant(1))
    assert at.lane.presented(other, b"B", 0)
    (show,) = at.do(grant(2, reader=other))
    assert isinstance(show, Show)
    assert (show.display, show.verdict and show.verdict.reason) == (DisplayState.WAIT, Reason.BUSY)
    assert at.kinds() == [Kind.SCAN]
    assert only(at.walk(after_ms=2500), JudgeAgain) == [JudgeAgain(other)]
    assert only(at.do(grant(2, reader=other)), Release)


@pytest.mark.parametrize(("held", "again"), [(False, False), (True, True)])
def test_who_waits_is_judged_again_within_three_seconds_of_last_being_seen(held: bool, again: bool) -> None:
    at = Trial()
    other = ReaderId(3)
    at.do(grant(1))
    at.lane.presented(other, b"B", 0)
    at.do(Judged(other, Verdict(Outcome.WAIT, Reason.BUSY), subject(2), Flag.TICKET))
    for now_ms in range(0, 5000, 500):
        if held:
            assert not at.lane.presented(other, b"B", now_ms)
    out = at.walk(after_ms=5000)
    assert only(out, JudgeAgain) == ([JudgeAgain(other)] if again else [])
    assert only(at.wait_ms(60_000), JudgeAgain) == []


def test_a_wait_for_another_lane_is_asked_again_twice_a_second_while_it_is_seen() -> None:
    at = Trial()
    at.lane.presented(ENTRY_READER, b"B", 0)
    waiting = Judged(ENTRY_READER, Verdict(Outcome.WAIT, Reason.EXIT_PENDING), subject(2), Flag.TICKET)
    at.do(waiting)
    times = []
    for _ in range(1000):
        due = at.lane.next_deadline_ms
        if due is None:
            break
        times.append(due)
        if only(at.do(Tick(), after_ms=due - at.now_ms), JudgeAgain):
            at.do(waiting)
    assert times == [500, 1000, 1500, 2000, 2500, 3000, 3500]
    assert at.of(Write) == []


def test_a_newer_presentation_ends_the_waiting_of_the_one_before() -> None:
    at = Trial()
    other = ReaderId(3)
    at.do(grant(1))
    at.lane.presented(other, b"B", 0)
    at.do(grant(2, reader=other))
    at.lane.presented(other, b"C", 100)
    at.do(Judged(other, Verdict(Outcome.DENY, Reason.UNKNOWN), bytes(16), Flag.DIGEST))
    assert only(at.walk(after_ms=500), JudgeAgain) == []


# --- denials ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judged", "display"),
    [
        (deny(1, Reason.CANCELLED), DisplayState.REFUSED),
        (deny(1, Reason.ALREADY_USED), DisplayState.ALREADY_USED),
        (deny(1, Reason.CHECK_ID, Outcome.CHECK), DisplayState.CHECK),
    ],
)
def test_a_denial_is_recorded_and_shown(judged: Judged, display: DisplayState) -> None:
    at = Trial()
    write, show = at.do(judged)
    assert isinstance(write, Write)
    assert (write.outcome, write.reason, write.urgent) == (
        judged.verdict.outcome,
        judged.verdict.reason,
        False,
    )
    assert isinstance(show, Show)
    assert (show.display, show.reader) == (display, ENTRY_READER)


def test_a_verdict_that_wants_staff_calls_them_once() -> None:
    at = Trial()
    verdict = Verdict(Outcome.DENY, Reason.BANNED, alert_staff=True)
    for _ in range(5):
        at.do(Judged(ENTRY_READER, verdict, subject(1), Flag.TICKET))
    assert at.of(Alert) == [Alert("banned")]


def test_the_same_scan_id_again_is_shown_and_nothing_else() -> None:
    at = Trial()
    for outcome in Outcome:
        verdict = Verdict(outcome, Reason.CANCELLED, repeated=True)
        (effect,) = at.do(Judged(ENTRY_READER, verdict, subject(1), Flag.TICKET))
        assert isinstance(effect, Show)


def test_repeats_of_one_bad_code_coalesce_to_a_count() -> None:
    at = Trial()
    for _ in range(100):
        at.do(deny(7), after_ms=2100 // 4)
    assert len(at.of(Show)) == 101
    at.wait_ms(120_000)
    scans = at.writes(Kind.SCAN)
    assert scans[0].flags == Flag.TICKET
    assert all(scan.flags == Flag.TICKET | Flag.REPEATED for scan in scans[1:])
    assert sum(scan.data for scan in scans) == 99
    assert all(scan.subject == subject(7) for scan in scans)


def test_a_babbling_reader_costs_about_a_record_a_second_and_every_code_is_in_some_count() -> None:
    at = Trial()
    span_ms = 600_000
    codes = 0
    while at.now_ms < span_ms:
        at.do(deny(1 + codes), after_ms=20)
        codes += 1
    written = len(at.of(Write))
    assert written < 60 + 1.2 * span_ms / 1000
    at.effects += at.lane.drain()
    assert sum(scan.data or 1 for scan in at.writes(Kind.SCAN)) == codes


def test_a_babbling_reader_with_few_codes_costs_less() -> None:
    at = Trial()
    codes = 0
    while at.now_ms < 600_000:
        at.do(deny(1 + codes % 40), after_ms=20)
        codes += 1
    assert len(at.of(Write)) < 60 + 1.2 * 600
    at.effects += at.lane.drain()
    assert sum(scan.data or 1 for scan in at.writes(Kind.SCAN)) == codes


class Subject(bytes):
    """Counts how often anything that holds it is looked up by it."""

    looked_up = 0

    def __hash__(self) -> int:
        Subject.looked_up += 1
        return super().__hash__()


def test_a_babbling_reader_costs_few_look_ups_a_presentation() -> None:
    """Whatever is remembered: walking over 40 counts with every scan of a babbling reader takes the loop."""
    at = Trial()
    for code in range(40):
        at.do(deny(1 + code), after_ms=20)
    verdict = Verdict(Outcome.DENY, Reason.UNKNOWN)
    Subject.looked_up = 0
    for scan in range(200):
        at.do(Judged(ENTRY_READER, verdict, Subject(subject(1 + scan % 40)), Flag.TICKET), after_ms=20)
    assert 0 < Subject.looked_up <= 4 * 200


def test_a_chattering_contact_is_counted_in_full_and_written_seldom() -> None:
    at = Trial()
    for _ in range(6000):
        at.walk(after_ms=10)
    assert len(at.of(Write)) < 20 + 2.5 * 60
    assert at.lane.counters[ENTRY].intrusions == 6000
    at.effects += at.lane.drain()
    assert sum(write.data or 1 for write in at.writes(Kind.INTRUSION)) == 6000
