"""The lane itself: its states, READY, relay, disk, fire, rehearsal."""

import pytest
from msgspec.structs import replace

from admission import lane
from admission.lane import (
    Alert,
    Durable,
    FireChanged,
    LaneState,
    NotDurable,
    Pulsed,
    ReadyChanged,
    Release,
    Show,
    StaffCleared,
    StateSet,
    Write,
)
from admission.lane_machine import Lane
from admission.reasons import DisplayState, Reason
from admission.records import Direction, Extension, Flag, Kind, Outcome
from tests.admission.lanes import (
    CONFIG,
    ENTRY_LINE,
    ENTRY_READER,
    LINE_OFF_MS,
    WINDOW_MS,
    Trial,
    deny,
    grant,
    only,
    subject,
)

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT


# --- the lane itself --------------------------------------------------------------------------------------------


def test_a_grant_the_lane_may_not_carry_out_any_more_is_denied() -> None:
    for state in (LaneState.CLOSED, LaneState.OUT_OF_SERVICE, LaneState.EMERGENCY, LaneState.FREE_BOTH):
        at = Trial(state=state)
        at.do(grant(7))
        (scan,) = at.of(Write)
        assert (scan.outcome, scan.reason) == (Outcome.DENY, Reason.NOT_READY)
        assert at.lane.facts()[0] is False


@pytest.mark.parametrize("event", [ReadyChanged(ready=False), FireChanged(active=True)])
def test_a_grant_without_ready_or_in_a_fire_is_denied(event: lane.LaneEvent) -> None:
    at = Trial()
    at.do(event)
    at.forget()
    at.do(grant(7))
    assert [(w.kind, w.outcome, w.reason) for w in at.of(Write)] == [
        (Kind.SCAN, Outcome.DENY, Reason.NOT_READY)
    ]


def test_a_relays_answer_nobody_waits_for_means_nothing() -> None:
    at = Trial(replace(CONFIG, entry_line=None))
    at.do(grant(7))
    for token in (-1, 0, 1, 99):
        assert at.do(Pulsed(token, ok=False)) == ()
    assert at.lane.facts() == (True, True, True)


@pytest.mark.parametrize(
    "event", [ReadyChanged(ready=False), StateSet(LaneState.CLOSED), FireChanged(active=True)]
)
def test_what_drops_between_record_and_pulse_gives_the_use_back(event: lane.LaneEvent) -> None:
    at = Trial(auto=False)
    at.do(grant(7))
    at.do(event)
    at.do(Durable(at.of(Write)[-1].token))
    at.walk(after_ms=100)
    assert at.of(Release) == []
    back = at.writes(Kind.GIVE_BACK)
    assert [(write.ref_token, write.subject) for write in back] == [(1, subject(7))]
    assert at.writes(Kind.LATE_PASSAGE) == []


def test_ready_that_drops_while_somebody_walks_takes_nothing_from_them() -> None:
    at = Trial()
    at.do(grant(7))
    at.do(ReadyChanged(ready=False), after_ms=200)
    at.walk(after_ms=200)
    assert at.kinds() == [Kind.SCAN, Kind.PASSAGE]


def test_how_long_it_has_been_ready_in_all() -> None:
    at = Trial()
    at.do(ReadyChanged(ready=False), after_ms=100)
    assert at.lane.facts() == (True, False, False)
    assert (at.lane.ready_ms(100), at.lane.ready_ms(5000)) == (100, 100)
    at.do(ReadyChanged(ready=True), after_ms=100)
    at.do(ReadyChanged(ready=True), after_ms=100)
    assert (at.lane.ready_ms(300), at.lane.ready_ms(1200)) == (200, 1100)
    at.do(ReadyChanged(ready=False), after_ms=100)
    assert at.lane.ready_ms(1200) == 300


def test_a_lane_starts_not_ready() -> None:
    assert Lane(CONFIG, LaneState.CONTROLLED).facts() == (True, False, False)


def test_a_dead_relay_gives_the_use_back_at_once() -> None:
    at = Trial(auto=False)
    at.do(grant(7))
    at.do(Durable(1))
    out = at.do(Pulsed(1, ok=False))
    assert [(w.kind, w.ref_token) for w in only(out, Write)] == [(Kind.GIVE_BACK, 1)]
    assert [show.display for show in only(out, Show)] == [DisplayState.NOT_READY]
    assert only(out, Alert) == [Alert("relay")]
    assert at.lane.facts() == (True, False, False)
    at.do(ReadyChanged(ready=True))
    assert at.lane.facts() == (True, True, False)


def test_a_relay_that_never_answers_gives_the_use_back_and_tells() -> None:
    at = Trial(replace(CONFIG, entry_sensor=False), auto=False)
    at.do(grant(7))
    at.do(Durable(1))
    at.wait_ms(WINDOW_MS)
    assert at.kinds() == [Kind.SCAN, Kind.GIVE_BACK]
    assert at.of(Alert) == [Alert("relay")]


def test_a_disk_that_takes_nothing_gives_the_use_back_or_admits_by_policy() -> None:
    at = Trial(auto=False)
    at.do(grant(7))
    assert only(at.do(NotDurable(1, admit=True)), Release) == [Release(1, ENTRY_LINE, 300)]
    at = Trial(auto=False)
    at.do(grant(7))
    out = at.do(NotDurable(1, admit=False))
    assert [write.kind for write in only(out, Write)] == [Kind.GIVE_BACK]
    assert [show.display for show in only(out, Show)] == [DisplayState.NOT_READY]
    at.do(Durable(1))
    assert at.of(Release) == []


def test_a_durable_for_a_record_never_written_opens_nothing() -> None:
    at = Trial(auto=False)
    at.do(grant(7))
    for token in (-1, 0, 2, 10**9):
        at.do(Durable(token))
        at.do(NotDurable(token, admit=True))
    assert at.of(Release) == []


def test_a_disk_that_never_answers_gives_the_use_back() -> None:
    at = Trial(auto=False)
    at.do(grant(7))
    at.wait_ms(5000)
    at.do(Durable(1))
    assert at.kinds() == [Kind.SCAN, Kind.GIVE_BACK]
    assert at.of(Release) == []


def test_fire_and_clear() -> None:
    at = Trial()
    at.do(grant(7))
    out = at.do(FireChanged(active=True), after_ms=500)
    assert [(w.kind, w.ref_token) for w in only(out, Write)] == [(Kind.FIRE, 0), (Kind.GIVE_BACK, 1)]
    assert only(out, Alert) == [Alert("fire")]
    assert [show.words for show in only(out, Show)] == ["leave"]
    at.walk(after_ms=100)  # no use is burned by an alarm
    at.walk(EXIT, after_ms=100)
    assert [(w.kind, w.subject) for w in at.of(Write)[-2:]] == [(Kind.PASSAGE, bytes(16))] * 2
    at.do(StaffCleared(5))
    at.do(FireChanged(active=False))
    assert (at.lane.fire, at.lane.facts()) == (
        True,
        (True, False, False),
    )  # cleared while the contact was closed
    out = at.do(StaffCleared(5))
    (cleared,) = only(out, Write)
    assert (cleared.kind, cleared.data, cleared.extensions) == (
        Kind.FIRE,
        0,
        ((Extension.STAFF, b"\x00\x00\x00\x05"),),
    )
    assert [show.words for show in only(out, Show)] == ["welcome"]
    assert only(at.do(grant(7)), Release)


def test_who_turned_back_before_an_alarm_and_walks_in_it_uses_nothing() -> None:
    at = Trial()
    at.do(grant(7))
    at.wait_ms(WINDOW_MS)
    at.do(FireChanged(active=True))
    at.walk()
    assert [(w.kind, w.ref_token) for w in at.of(Write)[1:]] == [
        (Kind.GIVE_BACK, 1),
        (Kind.FIRE, 0),
        (Kind.PASSAGE, 0),
    ]


def test_a_flapping_fire_contact_writes_one_alarm() -> None:
    at = Trial()
    for number in range(1000):
        at.do(FireChanged(active=number % 2 == 0))
    assert at.kinds() == [Kind.FIRE]


def test_a_fire_lets_an_open_exit_be_committed() -> None:
    at = Trial()
    at.do(grant(7, EXIT))
    at.do(FireChanged(active=True))
    at.walk(EXIT)
    assert [(w.kind, w.ref_token) for w in at.of(Write)[-1:]] == [(Kind.PASSAGE, 1)]


@pytest.mark.parametrize(
    ("state", "kind_in", "kind_out"),
    [
        (LaneState.CLOSED, Kind.INTRUSION, Kind.INTRUSION),
        (LaneState.CONTROLLED, Kind.INTRUSION, Kind.INTRUSION),
        (LaneState.OUT_OF_SERVICE, Kind.INTRUSION, Kind.INTRUSION),
        (LaneState.REHEARSAL, Kind.INTRUSION, Kind.INTRUSION),
        (LaneState.FREE_EXIT, Kind.INTRUSION, Kind.PASSAGE),
        (LaneState.FREE_BOTH, Kind.PASSAGE, Kind.PASSAGE),
        (LaneState.EMERGENCY, Kind.PASSAGE, Kind.PASSAGE),
    ],
)
def test_passages_are_counted_in_every_state(state: LaneState, kind_in: Kind, kind_out: Kind) -> None:
    at = Trial(state=state)
    at.walk(ENTRY)
    at.walk(EXIT)
    assert at.kinds() == [kind_in, kind_out]
    assert len(at.of(Alert)) == at.kinds().count(Kind.INTRUSION)
    assert [at.lane.counters[way].passages for way in (ENTRY, EXIT)] == [1, 1]


def test_each_change_of_state_is_a_record() -> None:
    at = Trial()
    at.do(StateSet(LaneState.CLOSED, steward=3))
    at.do(StateSet(LaneState.CLOSED, steward=3))
    at.do(StateSet(LaneState.FREE_BOTH))
    assert [(w.data, w.extensions) for w in at.writes(Kind.LANE_STATE)] == [
        (LaneState.CLOSED, ((Extension.STAFF, b"\x00\x00\x00\x03"),)),
        (LaneState.FREE_BOTH, ()),
    ]
    assert [show.words for show in at.of(Show)[-2:]] == ["closed", "admit"]


def test_rehearsal_turns_the_arm_and_counts_for_nothing() -> None:
    at = Trial(state=LaneState.REHEARSAL)
    assert only(at.do(grant(7)), Release)
    at.walk()
    at.walk()
    at.do(deny(8))
    at.do(lane.TestPulse(1, EXIT))
    at.do(lane.Override(1, "", ENTRY, bytes(16), Flag.NONE))
    assert at.of(Write)
    assert all(write.flags & Flag.REHEARSAL for write in at.of(Write))


def test_a_reservation_stays_what_it_was_when_rehearsal_begins_or_ends() -> None:
    at = Trial()
    at.do(grant(7))
    at.do(StateSet(LaneState.REHEARSAL))
    at.walk()
    at.do(grant(8))
    at.wait_ms(LINE_OFF_MS)
    at.do(StateSet(LaneState.CONTROLLED))
    at.walk()
    flags = {write.subject: write.flags for write in at.writes(Kind.PASSAGE)}
    assert flags == {subject(7): Flag.TICKET, subject(8): Flag.TICKET | Flag.REHEARSAL}


@pytest.mark.parametrize(
    ("state", "words"),
    [(LaneState.FREE_BOTH, "admit"), (LaneState.CLOSED, "closed"), (LaneState.EMERGENCY, "leave")],
)
def test_a_lane_that_takes_no_tickets_says_why(state: LaneState, words: str) -> None:
    at = Trial(state=state)
    out = at.do(deny(7, Reason.NOT_READY))
    assert [(show.words, show.reader) for show in only(out, Show)] == [(words, ENTRY_READER)]
