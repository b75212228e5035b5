"""Reservations of one use at gates that had not heard of each other: as many stay as are allowed, at every gate the same."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from admission.conflict import giving_way, mark
from admission.entitlements import Mode, Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, LaneId, ProductId, RecordId, SessionId, TicketId, ZoneId
from admission.lane import Conflict, Durable, Release, Show, Withhold, Write
from admission.limits import Limits
from admission.observed import PresenceRow, rows_of
from admission.presence import TicketPresence, fold
from admission.question import Verdict
from admission.reasons import DisplayState, Reason
from admission.records import Direction, Flag, Kind, Outcome, Record, ticket_subject
from tests.admission.lanes import ENTRY_LINE, LINE_OFF_MS, WINDOW_MS, Trial, grant, only, subject

HALL = ZoneId(4)
ZONES = ZoneTree((Zone(HALL, "Hall"),))
SUBJECT = ticket_subject(EventId(1), TicketId(9), ProductId(1))


def entry(gate: int, seq: int, mode: Mode = Mode.NORMAL, flags: Flag = Flag.NONE) -> list[PresenceRow]:
    one = Record(
        Kind.SCAN, seq, 1_000_000 * seq, seq, LaneId(1), zone=HALL, session=SessionId(1), outcome=Outcome.GRANT,
        direction=Direction.ENTRY, mode=mode, flags=Flag.TICKET | flags, subject=SUBJECT,
    )  # fmt: skip
    return list(rows_of(GateId(gate), Epoch(gate * 7), one, (), one.time_us))


def about(gate: int, seq: int, ref: int, kind: Kind, mode: Mode = Mode.NORMAL) -> list[PresenceRow]:
    one = Record(
        kind, seq, 1_000_000 * seq, seq, LaneId(1), zone=HALL, session=SessionId(1), direction=Direction.ENTRY,
        mode=mode, flags=Flag(Flag.TICKET), subject=SUBJECT, ref=ref,
    )  # fmt: skip
    return list(rows_of(GateId(gate), Epoch(gate * 7), one, (), one.time_us))


def folded(rows: Sequence[PresenceRow]) -> TicketPresence:
    return fold(rows, (), ZONES)


ends = st.sampled_from((None, None, Kind.PASSAGE, Kind.GIVE_BACK))
histories = st.lists(st.tuples(st.integers(1, 6), ends), max_size=8)
modes = st.sampled_from((Mode.NORMAL, Mode.ENTRY_EXIT))


def rows_from(history: Sequence[tuple[int, Kind | None]], mode: Mode) -> tuple[list[PresenceRow], int, int]:
    """Entries and what became of them; how many still count, and how many of those were passed."""
    rows: list[PresenceRow] = []
    passed = counted = 0
    for at, (gate, end) in enumerate(history):
        rows += entry(gate, 2 * at + 1, mode)
        if end is not None:
            rows += about(gate, 2 * at + 2, 2 * at + 1, end, mode)
        passed += end is Kind.PASSAGE
        counted += end is not Kind.GIVE_BACK
    return rows, counted, passed


@given(histories, st.integers(0, 4), modes, st.randoms(use_true_random=False))
def test_as_many_stay_as_are_allowed_and_everybody_finds_the_same(
    history: list[tuple[int, Kind | None]], admits: int, mode: Mode, chance: random.Random
) -> None:
    rows, counted, passed = rows_from(history, mode)
    leaving = giving_way(folded(rows), admits)
    assert counted - len(leaving) == min(counted, max(passed, admits, 1))
    by_passed = {row.id for row in rows if row.id in leaving}
    assert all(folded(rows).state(one).name == "RESERVED" for one in by_passed)
    shuffled = [*rows, *rows[:3]]
    chance.shuffle(shuffled)
    assert giving_way(folded(shuffled), admits) == leaving


@given(histories, st.integers(1, 3), modes)
def test_once_they_gave_way_nobody_else_has_to(
    history: list[tuple[int, Kind | None]], admits: int, mode: Mode
) -> None:
    rows, _, _ = rows_from(history, mode)
    leaving = giving_way(folded(rows), admits)
    after = [*rows]
    for number, one in enumerate(sorted(leaving)):
        after += about(one.gate, 100 + number, one.seq, Kind.GIVE_BACK, mode)
    assert giving_way(folded(after), admits) == frozenset()


def test_the_lower_mark_stays_whichever_came_first() -> None:
    for seqs in ((1, 3), (3, 1), (5, 8), (8, 5)):
        rows = [*entry(1, seqs[0]), *entry(2, seqs[1])]
        (leaving,) = giving_way(folded(rows), 1)
        names = [RecordId(GateId(gate), Epoch(gate * 7), seq) for gate, seq in zip((1, 2), seqs, strict=True)]
        assert leaving == max(names, key=mark)


def test_a_mark_is_this_hash() -> None:
    assert mark(RecordId(GateId(1), Epoch(7), 3)).hex() == (
        "ea1e1a1884d777cb90484ca17806e600a65767b809d991f08124298707fd0a73"
    )


@pytest.mark.parametrize("mode", [Mode.MULTIPLE])
def test_where_everybody_may_come_as_often_as_he_likes_nobody_gives_way(mode: Mode) -> None:
    rows = [*entry(1, 1, mode), *entry(2, 2, mode), *entry(3, 3, mode)]
    assert giving_way(folded(rows), 1) == frozenset()
    assert len(giving_way(folded(rows), 1, Limits(2))) == 1, "but for a limit"


def test_of_two_sessions_that_a_limit_is_over_one_use_gives_way() -> None:
    one = entry(1, 1, Mode.MULTIPLE)
    other = [replace(row, session=SessionId(2)) for row in entry(2, 2, Mode.MULTIPLE)]
    tomorrow = [replace(row, time_us=row.time_us + 2 * 86_400_000_000) for row in other]
    rows = [*one, *other]
    assert giving_way(folded(rows), 1) == giving_way(folded(rows), 1, Limits(1)) == frozenset()
    assert len(giving_way(folded(rows), 1, Limits(day=1))) == 1
    assert giving_way(folded([*one, *tomorrow]), 1, Limits(day=1)) == frozenset()
    assert len(giving_way(folded([*one, *tomorrow]), 1, Limits(total=1))) == 1
    normal = [*entry(1, 1), *(replace(row, session=SessionId(2)) for row in entry(2, 2))]
    assert len(giving_way(folded(normal), 1, Limits(total=1))) == 1, "also where each session is entered once"
    assert Limits(total=1).share(one[0], tomorrow[0])
    assert not Limits(day=1).share(one[0], tomorrow[0])
    assert not Limits(total=1).share(one[0], replace(other[0], zone=ZoneId(5)))


SAID = Verdict(Outcome.DENY, Reason.ALREADY_USED)


def test_a_lane_gives_way_before_the_passage_and_takes_the_pulse_back() -> None:
    at = Trial()
    at.do(grant(7))
    ((token, subject, _),) = at.lane.reservations()
    assert subject == at.writes(Kind.SCAN)[0].subject
    out = at.do(Conflict(token, SAID, withdraws=True))
    (back,) = only(out, Write)
    assert (back.kind, back.ref_token, back.reason) == (Kind.GIVE_BACK, token, Reason.ALREADY_USED)
    assert back.flags & Flag.WITHDRAWN
    assert only(out, Withhold) == [Withhold(ENTRY_LINE)]
    (show,) = only(out, Show)
    assert (show.display, show.verdict) == (DisplayState.ALREADY_USED, SAID)
    assert at.lane.reservations() == ()
    assert at.do(Conflict(token, SAID, withdraws=True)) == (), "said twice it is nothing"
    at.do(grant(8))
    at.wait_ms(LINE_OFF_MS)
    assert len(at.of(Release)) == 2, "the lane is free for the next one"


def test_who_walks_through_all_the_same_is_a_late_passage() -> None:
    at = Trial()
    at.do(grant(7))
    at.do(Conflict(1, SAID, withdraws=True))
    at.walk()
    assert at.kinds() == [Kind.SCAN, Kind.GIVE_BACK, Kind.LATE_PASSAGE]


def test_an_arm_that_gave_way_may_be_walked_through_as_long_as_it_holds() -> None:
    at = Trial()
    at.do(grant(7))
    at.do(Conflict(1, SAID, withdraws=True))
    at.walk(after_ms=WINDOW_MS - 1)
    assert at.kinds() == [Kind.SCAN, Kind.GIVE_BACK, Kind.LATE_PASSAGE]


def test_a_latecomer_is_whoever_the_arm_was_opened_for_last() -> None:
    at = Trial()
    at.do(grant(7))
    at.wait_ms(WINDOW_MS)
    at.do(grant(8))
    at.do(Conflict(at.lane.reservations()[0][0], SAID, withdraws=True))
    (late,) = only(at.walk(after_ms=100), Write)
    assert (late.kind, late.subject) == (Kind.LATE_PASSAGE, subject(8))


def test_a_conflict_before_the_disk_answered_opens_nothing() -> None:
    at = Trial(auto=False)
    at.do(grant(7))
    at.do(Conflict(1, SAID, withdraws=True))
    at.do(Durable(2))
    assert at.of(Release) == []
    assert at.kinds() == [Kind.SCAN, Kind.GIVE_BACK]


def test_who_stays_is_only_told_and_who_passed_keeps_the_use() -> None:
    at = Trial()
    at.do(grant(7))
    out = at.do(Conflict(1, SAID, withdraws=False))
    assert [type(one) for one in out] == [Show]
    at.walk()
    assert at.do(Conflict(1, SAID, withdraws=True)) == ()
    at.wait_ms(WINDOW_MS)
    assert at.kinds() == [Kind.SCAN, Kind.PASSAGE]


def test_of_a_group_one_use_is_given_back_and_the_others_go_on() -> None:
    at = Trial()
    at.do(replace(grant(7), count=3))
    at.do(Conflict(2, SAID, withdraws=True))
    assert at.of(Withhold) == []
    for _ in range(3):
        at.walk(after_ms=500)
    assert at.kinds().count(Kind.PASSAGE) == 2
    assert at.kinds().count(Kind.GIVE_BACK) == 1
