"""People at a lane: what each of them leaves in the log, and when the arm moves."""

import pytest
from msgspec.structs import replace

from admission import lane
from admission.ids import Epoch, GateId, RecordId
from admission.lane import (
    Alert,
    Durable,
    FireChanged,
    Judged,
    LaneState,
    Pulsed,
    ReadyChanged,
    Release,
    Show,
    Withhold,
    Write,
)
from admission.presence import PresenceRow, Role, rows_of
from admission.question import Verdict
from admission.reasons import DisplayState, Reason
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    pack_record_ids,
    record_from_bytes,
    unpack_record_ids,
)
from tests.admission.lanes import (
    CONFIG,
    ENTRY_LINE,
    ENTRY_READER,
    EXIT_LINE,
    LINE_OFF_MS,
    WINDOW_MS,
    Trial,
    grant,
    only,
    subject,
)

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT


# --- one person -------------------------------------------------------------------------------------------------


def test_walks_through() -> None:
    at = Trial(auto=False)
    (scan,) = at.do(grant(7))
    assert isinstance(scan, Write)
    assert (scan.kind, scan.outcome, scan.subject, scan.urgent) == (
        Kind.SCAN,
        Outcome.GRANT,
        subject(7),
        True,
    )
    release, show = at.do(Durable(scan.token), after_ms=3)
    assert release == Release(scan.token, ENTRY_LINE, CONFIG.pulse_ms)
    assert isinstance(show, Show)
    assert (show.display, show.reader) == (DisplayState.ADMIT, ENTRY_READER)
    assert at.do(Pulsed(scan.token)) == ()
    (passage,) = at.walk(after_ms=1800)
    assert isinstance(passage, Write)
    assert (passage.kind, passage.ref_token, passage.subject) == (Kind.PASSAGE, scan.token, subject(7))
    assert passage.flags == Flag.TICKET
    assert at.wait_ms(60_000) == ()
    assert at.lane.next_deadline_ms is None


def test_the_arm_is_free_for_the_next_as_soon_as_one_passed() -> None:
    at = Trial()
    at.do(grant(1))
    assert at.lane.facts() == (True, True, True)
    at.walk(after_ms=1000)
    assert at.lane.facts() == (True, True, False)
    assert only(at.do(grant(2)), Release)


def test_turns_back() -> None:
    at = Trial()
    at.do(grant(7))
    assert only(at.wait_ms(WINDOW_MS - 1), Write) == []
    (back,) = only(at.wait_ms(1), Write)
    assert (back.kind, back.ref_token, back.subject) == (Kind.GIVE_BACK, 1, subject(7))
    assert at.lane.facts() == (True, True, False)


def test_the_window_runs_from_the_relay_command() -> None:
    at = Trial(auto=False)
    at.do(grant(7))
    at.do(Durable(1), after_ms=200)
    at.do(Pulsed(1), after_ms=100)
    assert at.lane.next_deadline_ms == 300 + WINDOW_MS


@pytest.mark.parametrize(
    ("late_ms", "kind"),
    [(0, Kind.LATE_PASSAGE), (CONFIG.grace_ms - 1, Kind.LATE_PASSAGE), (CONFIG.grace_ms, Kind.INTRUSION)],
)
def test_walks_late(late_ms: int, kind: Kind) -> None:
    at = Trial()
    at.do(grant(7))
    at.wait_ms(WINDOW_MS)
    (write,) = only(at.walk(after_ms=late_ms), Write)
    assert write.kind is kind
    assert (write.ref_token, write.subject) == (
        (1, subject(7)) if kind is Kind.LATE_PASSAGE else (0, bytes(16))
    )


def test_a_passage_after_a_tick_that_came_too_late_is_judged_by_the_time() -> None:
    at = Trial()
    at.do(grant(7))
    at.walk(after_ms=WINDOW_MS + 100)
    assert at.kinds() == [Kind.SCAN, Kind.GIVE_BACK, Kind.LATE_PASSAGE]


def test_an_open_reservation_is_committed_before_a_late_one() -> None:
    at = Trial()
    at.do(grant(1))
    at.wait_ms(WINDOW_MS)
    at.do(grant(2))
    at.walk(after_ms=500)
    at.walk(after_ms=500)
    passage, late = at.of(Write)[-2:]
    assert (passage.kind, passage.subject) == (Kind.PASSAGE, subject(2))
    assert (late.kind, late.subject) == (Kind.LATE_PASSAGE, subject(1))


def test_leaves_by_the_entry() -> None:
    at = Trial()
    at.do(grant(7))
    (write,) = only(at.walk(EXIT, after_ms=500), Write)
    assert (write.kind, write.direction, write.ref_token) == (Kind.INTRUSION, EXIT, 0)
    assert at.of(Alert) == [Alert("intrusion")]
    (passage,) = only(at.walk(after_ms=500), Write)
    assert (passage.kind, passage.ref_token) == (Kind.PASSAGE, 1)


@pytest.mark.parametrize("after_ms", [300, WINDOW_MS - 1000 + CONFIG.grace_ms - 1])
def test_tailgates(after_ms: int) -> None:
    at = Trial()
    at.do(grant(7))
    at.walk(after_ms=1000)
    (write,) = only(at.walk(after_ms=after_ms), Write)
    assert (write.kind, write.ref_token, write.subject) == (Kind.TAILGATE, 1, subject(7))
    assert at.of(Alert) == [Alert("tailgate")]


def test_tailgates_a_latecomer() -> None:
    at = Trial()
    at.do(grant(7))
    at.wait_ms(WINDOW_MS)
    at.walk()
    at.walk()
    assert at.kinds()[-2:] == [Kind.LATE_PASSAGE, Kind.TAILGATE]


def test_a_passage_heard_before_the_relays_answer_is_the_visitors() -> None:
    at = Trial(auto=False)
    at.do(grant(7))
    at.do(Durable(1))
    at.walk()
    at.do(Pulsed(1))
    assert at.kinds() == [Kind.SCAN, Kind.PASSAGE]


def test_without_a_sensor_passage_is_assumed_at_the_windows_end() -> None:
    at = Trial(replace(CONFIG, entry_sensor=False))
    at.do(grant(7))
    (passage,) = only(at.wait_ms(WINDOW_MS), Write)
    assert (passage.kind, passage.flags) == (Kind.PASSAGE, Flag.TICKET | Flag.ASSUMED)
    assert at.lane.counters[ENTRY].assumed == 1
    assert at.lane.counters[ENTRY].passages == 0


def test_a_lane_without_barrier_and_sensor_keeps_nobody_waiting() -> None:
    at = Trial(replace(CONFIG, entry_line=None, entry_sensor=False))
    for ticket in range(1, 4):
        out = at.do(grant(ticket))
        assert only(out, Write)[0].flags == Flag.TICKET | Flag.NO_PULSE
        assert only(out, Show)[-1].display is DisplayState.ADMIT
        assert not only(out, Release)
    at.wait_ms(WINDOW_MS)
    assert [write.subject for write in at.writes(Kind.PASSAGE)] == [subject(1), subject(2), subject(3)]


# --- groups and staff -------------------------------------------------------------------------------------------


def test_a_group_of_three_of_whom_two_come() -> None:
    at = Trial()
    out = at.do(grant(7, count=3))
    scans = only(out, Write)
    assert [scan.urgent for scan in scans] == [False, False, True]
    assert only(out, Release) == [Release(1, ENTRY_LINE, 300)]
    assert only(out, Show)[-1].count == 3
    first = at.walk(after_ms=WINDOW_MS - 100)
    assert only(first, Release) == [Release(2, ENTRY_LINE, 300)]
    second = at.walk(after_ms=WINDOW_MS - 100)
    assert only(second, Release) == [Release(3, ENTRY_LINE, 300)]
    assert at.wait_ms(WINDOW_MS - 1) == ()
    at.wait_ms(1)
    assert [(w.kind, w.ref_token) for w in at.of(Write)[3:]] == [
        (Kind.PASSAGE, 1),
        (Kind.PASSAGE, 2),
        (Kind.GIVE_BACK, 3),
    ]


def test_a_group_given_back_comes_late_one_by_one() -> None:
    at = Trial()
    at.do(grant(7, count=2))
    at.wait_ms(WINDOW_MS)
    for _ in range(3):
        at.walk(after_ms=300)
    assert [(w.kind, w.ref_token) for w in at.of(Write)[4:]] == [
        (Kind.LATE_PASSAGE, 1),
        (Kind.LATE_PASSAGE, 2),
        (Kind.TAILGATE, 2),
    ]


def test_a_group_is_barred_when_ready_drops_between_two_of_them() -> None:
    at = Trial()
    at.do(grant(7, count=3))
    at.do(ReadyChanged(ready=False), after_ms=500)
    out = at.walk(after_ms=500)
    assert not only(out, Release)
    assert [(w.kind, w.ref_token) for w in only(out, Write)] == [
        (Kind.PASSAGE, 1),
        (Kind.GIVE_BACK, 2),
        (Kind.GIVE_BACK, 3),
    ]


@pytest.mark.parametrize("count", [0, -1, 51, 10**9])
def test_a_group_beyond_the_limit_is_refused_unrecorded(count: int) -> None:
    at = Trial()
    at.do(lane.Override(12, "coach", ENTRY, subject(7), Flag.TICKET, count=count))
    assert at.of(Write) == []
    at.do(grant(7, count=count))
    assert [write.outcome for write in at.of(Write)] == [Outcome.DENY]
    assert at.of(Release) == []


def test_override_reserves_like_a_grant_and_names_the_steward() -> None:
    at = Trial()
    reason = "lost her bag, ü" * 40
    at.do(lane.Override(4711, reason, ENTRY, subject(7), Flag.TICKET, count=2))
    first, second = at.writes(Kind.OVERRIDE)
    assert (first.outcome, first.direction, first.subject) == (Outcome.GRANT, ENTRY, subject(7))
    ((kind, payload),) = first.extensions
    assert kind is Extension.STAFF
    assert payload[:4] == (4711).to_bytes(4, "big")
    assert reason.startswith(payload[4:].decode())
    assert 190 < len(payload) <= 204
    assert second.extensions == ((Extension.STAFF, (4711).to_bytes(4, "big")),)
    at.walk()
    at.wait_ms(LINE_OFF_MS + WINDOW_MS)
    assert at.kinds()[2:] == [Kind.PASSAGE, Kind.GIVE_BACK]


CAUGHT = (RecordId(GateId(3), Epoch(98), 17), RecordId(GateId(3), Epoch(98), 21))


def test_who_is_let_in_after_a_restart_names_the_reservation_on_disk() -> None:
    at = Trial()
    flags = Flag.AFTER_RESTART | Flag.FLAGGED
    verdict = Verdict(Outcome.GRANT, flags=flags, observed=CAUGHT[:1])
    at.do(Judged(ENTRY_READER, verdict, subject(7), Flag.TICKET))
    (scan,) = at.writes(Kind.SCAN)
    assert scan.flags == flags | Flag.TICKET
    assert scan.extensions == ((Extension.OBSERVED, pack_record_ids(CAUGHT[:1])[0]),)
    (row,) = rows_written(scan)
    assert row.names == CAUGHT[:1]


def test_staff_admit_whom_the_restart_caught_once() -> None:
    at = Trial()
    flags = Flag.AFTER_RESTART | Flag.FLAGGED
    at.do(lane.Override(12, "saw her", ENTRY, subject(7), Flag.TICKET, observed=CAUGHT[:1], flags=flags))
    (override,) = at.writes(Kind.OVERRIDE)
    assert override.flags == flags | Flag.TICKET
    assert override.extensions == (
        (Extension.STAFF, b"\x00\x00\x00\x0csaw her"),
        (Extension.OBSERVED, pack_record_ids(CAUGHT[:1])[0]),
    )
    (row,) = rows_written(override)
    assert (row.role, row.names) == (Role.ENTRY, CAUGHT[:1])


@pytest.mark.parametrize(("count", "names"), [(2, [1, 1]), (3, [1, 1, 0])])
def test_of_a_group_each_names_one_reservation_and_the_others_none(count: int, names: list[int]) -> None:
    at = Trial()
    act = lane.Override(
        12, "", ENTRY, subject(7), Flag.TICKET, count=count, observed=CAUGHT, flags=Flag.AFTER_RESTART
    )
    at.do(act)
    rows = [row for write in at.writes(Kind.OVERRIDE) for row in rows_written(write)]
    assert [len(row.names) for row in rows] == names
    assert [bool(row.flags & Flag.AFTER_RESTART) for row in rows] == [bool(n) for n in names]
    assert tuple(name for row in rows for name in row.names) == CAUGHT


def test_of_a_group_that_leaves_the_first_names_one_persons_entries_of_every_zone() -> None:
    """Hall and box in it: with the two shared out, one of two was taken out of the box alone and the other out of the hall."""
    at = Trial()
    at.do(lane.Override(12, "", EXIT, subject(7), Flag.TICKET, count=2, observed=CAUGHT))
    first, second = [row for write in at.writes(Kind.OVERRIDE) for row in rows_written(write)]
    assert (first.names, second.names) == (CAUGHT, ())


def test_a_command_says_of_an_override_only_what_decide_could() -> None:
    at = Trial()
    everything = ~Flag.NONE
    at.do(lane.Override(12, "", ENTRY, subject(7), Flag.TICKET, flags=everything))
    (override,) = at.writes(Kind.OVERRIDE)
    said = Flag.FLAGGED | Flag.UNSURE | Flag.REENTRY | Flag.UNLISTED | Flag.AFTER_RESTART
    assert override.flags == said | Flag.TICKET


def rows_written(write: Write) -> tuple[PresenceRow, ...]:
    """Return what presence reads in a record of the lane."""
    body = Record(
        write.kind, write.token, 0, 0, outcome=write.outcome, direction=write.direction, flags=write.flags,
        subject=write.subject,
    )  # fmt: skip
    assert record_from_bytes(body.to_bytes()) == body
    follow = tuple(ExtensionRecord(kind, 1, payload) for kind, payload in write.extensions)
    return rows_of(GateId(3), Epoch(99), body, follow, 0)


def test_the_next_pulse_waits_until_the_line_was_off_long_enough_to_be_seen() -> None:
    at = Trial()
    at.do(grant(7, count=2))
    at.walk(after_ms=100)
    assert len(at.of(Release)) == 1
    at.wait_ms(LINE_OFF_MS - 101)
    assert len(at.of(Release)) == 1
    at.wait_ms(1)
    assert len(at.of(Release)) == 2
    at.walk()
    assert at.kinds() == [Kind.SCAN, Kind.SCAN, Kind.PASSAGE, Kind.PASSAGE]


@pytest.mark.parametrize("state", [LaneState.CLOSED, LaneState.OUT_OF_SERVICE, LaneState.EMERGENCY])
def test_override_opens_no_closed_lane(state: LaneState) -> None:
    at = Trial(state=state)
    at.do(lane.Override(1, "vip", ENTRY, bytes(16), Flag.NONE))
    assert at.of(Write) == []
    assert at.of(Release) == []
    assert at.of(Show)[-1].display is DisplayState.NOT_READY


def test_override_waits_its_turn() -> None:
    at = Trial()
    at.do(grant(1))
    (show,) = at.do(lane.Override(1, "vip", ENTRY, bytes(16), Flag.NONE))
    assert isinstance(show, Show)
    assert show.display is DisplayState.WAIT


def test_annul_of_an_open_reservation_takes_the_pulse_back() -> None:
    at = Trial()
    at.do(grant(7))
    record = RecordId(GateId(3), Epoch(99), 17)
    out = at.do(lane.Annul(12, "wrong person", record, subject(7), Flag.TICKET, token=1))
    (annul,) = only(out, Write)
    assert (annul.kind, annul.ref_token, annul.subject) == (Kind.ANNUL, 1, subject(7))
    extensions = dict(annul.extensions)
    assert unpack_record_ids(extensions[Extension.OBSERVED]) == (record,)
    assert extensions[Extension.STAFF] == b"\x00\x00\x00\x0cwrong person"
    assert only(out, Withhold) == [Withhold(ENTRY_LINE)]
    at.walk()
    at.wait_ms(WINDOW_MS)
    assert at.kinds() == [Kind.SCAN, Kind.ANNUL, Kind.INTRUSION]


def test_annul_before_the_disk_answered_opens_nothing() -> None:
    at = Trial(auto=False)
    at.do(grant(7))
    at.do(lane.Annul(1, "", RecordId(GateId(1), Epoch(1), 1), subject(7), Flag.TICKET, token=1))
    at.do(Durable(2))
    assert at.of(Release) == []


def test_annul_in_the_grace_leaves_nothing_to_commit() -> None:
    at = Trial()
    at.do(grant(7))
    at.wait_ms(WINDOW_MS)
    at.do(lane.Annul(1, "", RecordId(GateId(1), Epoch(1), 1), subject(7), Flag.TICKET, token=1))
    at.walk()
    assert at.kinds()[-1] is Kind.INTRUSION


def test_test_pulse_is_a_logged_opening_and_its_passages_are_no_intrusions() -> None:
    at = Trial(state=LaneState.OUT_OF_SERVICE, auto=False)
    (write,) = at.do(lane.TestPulse(9, EXIT))
    assert isinstance(write, Write)
    assert (write.kind, write.data, write.urgent) == (Kind.TEST_PULSE, 300, True)
    assert write.extensions == ((Extension.STAFF, b"\x00\x00\x00\x09"),)
    (release,) = at.do(Durable(write.token))
    assert release == Release(write.token, EXIT_LINE, 300)
    at.do(Pulsed(write.token))
    at.walk(EXIT, after_ms=500)
    at.walk(EXIT, after_ms=500)
    at.wait_ms(60_000)
    assert at.kinds() == [Kind.TEST_PULSE, Kind.PASSAGE, Kind.PASSAGE]
    assert {passage.ref_token for passage in at.writes(Kind.PASSAGE)} == {write.token}
    assert at.lane.counters[EXIT].tested == 2
    assert at.of(Alert) == []


@pytest.mark.parametrize("event", [ReadyChanged(ready=False), FireChanged(active=True)])
def test_test_pulse_needs_ready_and_no_fire(event: lane.LaneEvent) -> None:
    at = Trial()
    at.do(event)
    at.do(lane.TestPulse(9, ENTRY))
    assert at.writes(Kind.TEST_PULSE) == []
    at = Trial(auto=False)
    at.do(lane.TestPulse(9, ENTRY))
    at.do(event)
    at.do(Durable(1))
    assert at.of(Release) == []


def test_what_a_tag_counted_is_recorded_once_and_never_with_a_wait() -> None:
    tap = (Extension.TAP, bytes(20))
    at = Trial()
    at.do(grant(1))
    assert only(at.do(replace(grant(2), extensions=(tap,))), Write) == []
    at.walk()
    (scan,) = only(at.do(replace(grant(2), extensions=(tap,))), Write)
    assert scan.extensions == (tap,)
    group = only(Trial().do(replace(grant(3, count=3), extensions=(tap,))), Write)
    assert [write.extensions for write in group] == [(tap,), (), ()]
    refused = Judged(ENTRY_READER, Verdict(Outcome.DENY, Reason.CANCELLED), subject(4), Flag.TICKET)
    (denied,) = only(Trial().do(replace(refused, extensions=(tap,))), Write)
    assert denied.extensions == (tap,)
