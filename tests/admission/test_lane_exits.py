"""Who leaves through a lane is never held."""

import pytest
from msgspec.structs import replace

from admission import lane
from admission.ids import Epoch, GateId, RecordId
from admission.lane import (
    FireChanged,
    JudgeAgain,
    Judged,
    LaneState,
    NotDurable,
    ReadyChanged,
    Release,
    Show,
    StateSet,
    Write,
)
from admission.question import Verdict
from admission.reasons import DisplayState
from admission.records import Direction, Flag, Kind, Outcome, unpack_record_ids
from tests.admission.lanes import (
    CONFIG,
    EXIT_LINE,
    EXIT_READER,
    Trial,
    grant,
    only,
    subject,
)

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT


# --- exits ------------------------------------------------------------------------------------------------------


def test_an_exit_commits_on_its_passage_only_and_names_the_entries_it_closes() -> None:
    at = Trial()
    seen = (RecordId(GateId(1), Epoch(5), 6), RecordId(GateId(2), Epoch(7), 8))
    verdict = Verdict(Outcome.GRANT, direction=EXIT, observed=seen)
    out = at.do(Judged(EXIT_READER, verdict, subject(7), Flag.TICKET))
    (scan,) = only(out, Write)
    assert scan.direction is EXIT
    assert [unpack_record_ids(payload) for kind, payload in scan.extensions] == [seen]
    assert only(out, Release) == [Release(1, EXIT_LINE, 300)]
    at.walk(EXIT)
    assert [(w.kind, w.direction, w.ref_token) for w in at.of(Write)[1:]] == [(Kind.PASSAGE, EXIT, 1)]


def test_an_exit_passage_never_commits_an_entry() -> None:
    at = Trial()
    at.do(grant(7))
    at.do(grant(8, EXIT))
    at.walk(EXIT)
    at.wait_ms(60_000)
    assert (Kind.PASSAGE, subject(7)) not in [(w.kind, w.subject) for w in at.of(Write)]
    assert (Kind.GIVE_BACK, subject(7)) in [(w.kind, w.subject) for w in at.of(Write)]


def test_an_exit_at_a_busy_arm_is_recorded_at_once_and_released_when_it_is_free() -> None:
    at = Trial()
    at.do(grant(1))
    out = at.do(grant(2, EXIT), after_ms=100)
    assert [write.subject for write in only(out, Write)] == [subject(2)]
    assert [show.display for show in only(out, Show)] == [DisplayState.WAIT]
    assert not only(out, Release)
    assert only(at.walk(after_ms=1000), Release) == [Release(2, EXIT_LINE, 300)]


def test_a_third_exit_waits_unrecorded_and_is_judged_again() -> None:
    at = Trial()
    at.do(grant(1))
    at.do(grant(2, EXIT))
    (show,) = at.do(grant(3, EXIT))
    assert isinstance(show, Show)
    assert show.display is DisplayState.WAIT
    out = at.walk(after_ms=1000)
    assert only(out, Release) == [Release(2, EXIT_LINE, 300)]
    assert only(out, JudgeAgain) == [JudgeAgain(EXIT_READER)]


def test_nobody_who_wants_out_waits_for_a_whole_group() -> None:
    at = Trial()
    at.do(grant(1, count=50))
    at.do(grant(2, EXIT))
    for _ in range(2):
        assert EXIT_LINE not in [release.line for release in only(at.walk(after_ms=4999), Release)]
    assert [release.line for release in only(at.wait_ms(2), Release)] == [EXIT_LINE]


def test_separate_ways_do_not_wait_for_each_other() -> None:
    at = Trial(replace(CONFIG, shared_path=False))
    at.do(grant(1))
    assert only(at.do(grant(2, EXIT)), Release) == [Release(2, EXIT_LINE, 300)]


def test_the_same_ticket_shown_again_while_it_leaves_is_one_exit() -> None:
    at = Trial()
    at.do(grant(7, EXIT))
    (show,) = at.do(grant(7, EXIT), after_ms=2500)
    assert isinstance(show, Show)
    assert show.display is DisplayState.ADMIT


@pytest.mark.parametrize("admit", [True, False])
def test_a_disk_that_takes_nothing_holds_no_exit(admit: bool) -> None:
    at = Trial(auto=False)
    at.do(grant(7, EXIT))
    assert only(at.do(NotDurable(1, admit=admit)), Release) == [Release(1, EXIT_LINE, 300)]


def test_a_disk_that_never_answers_holds_no_exit() -> None:
    at = Trial(auto=False)
    at.do(grant(7, EXIT))
    assert only(at.wait_ms(5000), Release) == [Release(1, EXIT_LINE, 300)]


@pytest.mark.parametrize(
    "event",
    [
        ReadyChanged(ready=False),
        FireChanged(active=True),
        StateSet(LaneState.OUT_OF_SERVICE),
        StateSet(LaneState.EMERGENCY),
    ],
)
def test_an_exit_that_cannot_be_pulsed_is_recorded_and_commits_all_the_same(event: lane.LaneEvent) -> None:
    at = Trial()
    at.do(event)
    at.forget()
    out = at.do(grant(7, EXIT))
    (scan,) = only(out, Write)
    assert scan.flags == Flag.TICKET | Flag.NO_PULSE
    assert not only(out, Release)
    assert only(out, Show)[-1].display is DisplayState.ADMIT
    at.walk(EXIT, after_ms=500)
    assert [(w.kind, w.ref_token) for w in at.of(Write)[1:]] == [(Kind.PASSAGE, scan.token)]


def test_a_passage_is_of_whom_the_arm_opened_for_not_of_an_exit_without_a_pulse_just_before() -> None:
    """Whose exit took no pulse has left by its record alone: were the passage theirs, the other would be inside for good."""
    at = Trial()
    at.do(StateSet(LaneState.OUT_OF_SERVICE))
    at.do(grant(7, EXIT))
    at.do(StateSet(LaneState.CONTROLLED), after_ms=1000)
    at.forget()
    out = at.do(grant(8, EXIT), after_ms=1000)
    at.walk(EXIT, after_ms=500)
    (scan,) = [one for one in only(out, Write) if one.kind is Kind.SCAN]
    assert [(w.kind, w.ref_token) for w in at.of(Write)[1:]] == [(Kind.PASSAGE, scan.token)]
    at.walk(EXIT, after_ms=500)
    assert [(w.kind, w.subject) for w in at.of(Write)[2:]] == [(Kind.PASSAGE, subject(7))]


def test_a_babbling_exit_reader_in_an_alarm_is_rationed() -> None:
    at = Trial()
    at.do(FireChanged(active=True))
    verdict = Verdict(Outcome.GRANT, direction=EXIT)
    for number in range(30_000):
        at.do(Judged(EXIT_READER, verdict, number.to_bytes(16, "big"), Flag.DIGEST), after_ms=20)
    # each recorded one is given back later: two records for one
    assert len(at.of(Write)) < 2 * (60 + 0.7 * 600)


def test_a_closed_lane_lets_out() -> None:
    at = Trial(state=LaneState.CLOSED)
    assert only(at.do(grant(7, EXIT)), Release) == [Release(1, EXIT_LINE, 300)]
