"""What is due by itself: nights in a venue's own time zone, ends of sessions, lane states, clocks that go astray."""

from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.entitlements import LaneOrder, LanePlan, LaneSchedule, Session, Zone
from admission.ids import EventId, GateId, LaneId, SessionId, ZoneId
from admission.lane import LaneState
from edge.schedule import (
    CALENDAR_S,
    RESET_BACK_S,
    STATE_BACK_S,
    LaneMark,
    Schedule,
    by_hand,
    looked_on,
    nightly_s,
    resets_due,
    state_due,
    timezone_of,
)
from edge.venue import venue_of
from sync.wire.lists import ListHead
from tests.edge.rig import ARENA, EVENT, GATE, list_head

ZURICH, BEIRUT, APIA = ZoneInfo("Europe/Zurich"), ZoneInfo("Asia/Beirut"), ZoneInfo("Pacific/Apia")
ST_JOHNS = ZoneInfo("America/St_Johns")
HALL, FOYER = ZoneId(1), ZoneId(2)
DAY_S = 86_400
CLOSED, CONTROLLED, FREE = LaneState.CLOSED, LaneState.CONTROLLED, LaneState.FREE_EXIT


def at(text: str) -> int:
    """Unix seconds of an ISO time; UTC where it says nothing."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def plan(nightly: tuple[tuple[int, ZoneId], ...] = (), ends: tuple[tuple[int, ZoneId], ...] = ()) -> Schedule:
    return Schedule("Europe/Zurich", nightly, ends, {}, {})


@pytest.mark.parametrize(
    ("zone", "minutes", "now", "last"),
    [
        (ZURICH, 240, "2026-11-22T04:00:00+01:00", "2026-11-22T03:00:00"),
        (ZURICH, 240, "2026-11-22T03:59:59+01:00", "2026-11-21T03:00:00"),
        (ZURICH, 240, "2026-07-01T12:00:00+02:00", "2026-07-01T02:00:00"),
        # 2026-03-29: 02:00 becomes 03:00. Half past two would have been at 01:30 UTC.
        (ZURICH, 150, "2026-03-29T12:00:00+02:00", "2026-03-29T01:30:00"),
        (ZURICH, 150, "2026-03-29T03:29:59+02:00", "2026-03-28T01:30:00"),
        (ZURICH, 240, "2026-03-29T12:00:00+02:00", "2026-03-29T02:00:00"),
        # 2026-10-25: 03:00 becomes 02:00. Half past two comes twice; the first is meant, the second is none.
        (ZURICH, 150, "2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00"),
        (ZURICH, 150, "2026-10-25T02:30:00+01:00", "2026-10-25T00:30:00"),
        (ZURICH, 150, "2026-10-26T02:29:59+01:00", "2026-10-25T00:30:00"),
        # A midnight that is left out: Beirut goes from 2026-03-28 24:00 to 01:00.
        (BEIRUT, 0, "2026-03-29T12:00:00+03:00", "2026-03-28T22:00:00"),
        # A whole date that is left out: Apia had no 2011-12-30.
        (APIA, 240, "2011-12-31T12:00:00+14:00", "2011-12-30T14:00:00"),
        # There yesterday's time was still to come when the day after it had begun.
        (APIA, 1439, "2011-12-31T00:10:00+14:00", "2011-12-30T09:59:00"),
        # One minute past midnight became one past eleven: tomorrow's midnight had been already.
        (ST_JOHNS, 0, "2010-11-06T23:30:00-03:30", "2010-11-07T02:30:00"),
        # Years.
        (ZURICH, 0, "2026-12-31T23:59:59+01:00", "2026-12-30T23:00:00"),
        (ZURICH, 0, "2027-01-01T00:00:00+01:00", "2026-12-31T23:00:00"),
        (ZURICH, 1439, "2027-01-01T00:00:00+01:00", "2026-12-31T22:59:00"),
        (ZURICH, 240, "2028-02-29T12:00:00+01:00", "2028-02-29T03:00:00"),
    ],
)
def test_the_last_night_is_by_the_venues_own_clocks(
    zone: ZoneInfo, minutes: int, now: str, last: str
) -> None:
    assert nightly_s(minutes, zone, at(now)) == at(last)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([ZURICH, BEIRUT, APIA, ZoneInfo("UTC"), ST_JOHNS]),
    st.integers(0, 1439),
    st.integers(at("2026-01-01"), at("2031-01-01")),
)
def test_each_date_has_one_moment_and_they_are_about_a_day_apart(
    zone: ZoneInfo, minutes: int, now: int
) -> None:
    last = nightly_s(minutes, zone, now)
    assert now - 26 * 3600 < last <= now
    assert nightly_s(minutes, zone, last) == last
    before = nightly_s(minutes, zone, last - 1)
    assert 22 * 3600 <= last - before <= 26 * 3600


def test_one_reset_stands_for_all_that_was_missed() -> None:
    morning = at("2026-11-22T08:00:00+01:00")
    night = at("2026-11-22T04:00:00+01:00")
    nightly = plan(((240, HALL), (300, FOYER)))
    assert resets_due(nightly, ZURICH, night - 1, night) == {HALL: night}
    assert resets_due(nightly, ZURICH, night, morning) == {FOYER: night + 3600}
    assert resets_due(nightly, ZURICH, night - 9 * DAY_S, morning) == {HALL: night, FOYER: night + 3600}
    assert resets_due(nightly, None, night - 1, morning) == {}


def test_a_session_ends_once() -> None:
    ends = plan(((240, HALL),), ((1000, FOYER), (2000, FOYER)))
    assert resets_due(ends, None, 500, 999) == {}
    assert resets_due(ends, None, 999, 1000) == {FOYER: 1000}
    assert resets_due(ends, None, 1000, 1999) == {}
    assert resets_due(ends, None, 999, 3000) == {FOYER: 2000}


@pytest.mark.parametrize("now", [CALENDAR_S, 2**40, 2**62, -1, 0])
def test_a_clock_beyond_the_calendar_has_nothing_due(now: int) -> None:
    assert resets_due(plan(((240, HALL),), ((5, HALL),)), ZURICH, 1, now) == {}
    assert resets_due(plan(((240, HALL),), ((5, HALL),)), ZURICH, -5, now) == {}


def test_only_a_wild_clock_takes_what_was_looked_after_back() -> None:
    assert looked_on(1000, 1001) == 1001
    assert looked_on(1000, 10) == 1000
    assert looked_on(10 + RESET_BACK_S, 10) == 10 + RESET_BACK_S
    assert looked_on(11 + RESET_BACK_S, 10) == 10


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 1439),
    st.lists(st.tuples(st.integers(-RESET_BACK_S // 4, 2 * DAY_S), st.booleans()), max_size=40),
)
def test_no_moment_is_acted_on_twice_and_none_is_forgotten(
    minutes: int, steps: list[tuple[int, bool]]
) -> None:
    """A clock that goes on, stops, jumps and goes back, with restarts that know only what was kept."""
    schedule, now = plan(((minutes, HALL),)), at("2026-03-27T12:00:00")
    began = looked = kept = furthest = now
    done: Counter[int] = Counter()
    for step_s, restarts in steps:
        # Going back it may not go far from where it was at its furthest: that would be a wild clock.
        now = max(now + step_s, furthest - RESET_BACK_S)
        furthest = max(furthest, now)
        if restarts:
            looked = kept
        due = resets_due(schedule, ZURICH, looked, now)
        done.update(due.values())
        looked = looked_on(looked, now)
        if due:
            kept = looked
        last = nightly_s(minutes, ZURICH, furthest)
        assert last <= began or done[last] == 1
    assert set(done.values()) <= {1}


@pytest.mark.parametrize(
    ("mark", "now", "became"),
    [
        # The plan: closed from 100, controlled from 200, free exit from 300.
        (LaneMark(CONTROLLED), 99, LaneMark(CONTROLLED)),
        (LaneMark(CONTROLLED), 100, LaneMark(CLOSED, 100)),
        (LaneMark(CLOSED, 100), 199, LaneMark(CLOSED, 100)),
        (LaneMark(CLOSED, 100), 200, LaneMark(CONTROLLED, 200)),
        # Off from 150 to 350: only what holds now is taken.
        (LaneMark(CLOSED, 100), 350, LaneMark(FREE, 300)),
        # By hand at 250: until the next moment, also where the moment before it had been missed.
        (LaneMark(CLOSED, 200, 250), 299, LaneMark(CLOSED, 200, 250)),
        (LaneMark(CLOSED, 100, 250), 299, LaneMark(CLOSED, 100, 250)),
        (LaneMark(CLOSED, 200, 250), 300, LaneMark(FREE, 300, 250)),
        # At the very moment: the hand.
        (LaneMark(CLOSED, 100, 200), 200, LaneMark(CLOSED, 100, 200)),
        # A clock set back by seconds; and one that had been hours ahead.
        (LaneMark(FREE, 300), 299, LaneMark(FREE, 300)),
        (LaneMark(FREE, 250 + STATE_BACK_S), 250, LaneMark(FREE, 250 + STATE_BACK_S)),
        (LaneMark(FREE, 251 + STATE_BACK_S), 250, LaneMark(CONTROLLED, 200)),
        (LaneMark(FREE, 100, 251 + STATE_BACK_S), 250, LaneMark(CONTROLLED, 200, 251 + STATE_BACK_S)),
        # A clock that is not to be believed.
        (LaneMark(CLOSED, 100), None, LaneMark(CLOSED, 100)),
    ],
)
def test_a_lane_takes_what_the_plan_says_now(mark: LaneMark, now: int | None, became: LaneMark) -> None:
    entries = ((100, CLOSED), (200, CONTROLLED), (300, FREE))
    assert state_due(entries, None, mark, now) == became


@pytest.mark.parametrize(
    ("order", "mark", "now", "became"),
    [
        (LaneOrder(7, 150, CLOSED), LaneMark(CONTROLLED), 160, LaneMark(CLOSED, 150, 0, 7)),
        (LaneOrder(7, 150, CLOSED), LaneMark(CONTROLLED), None, LaneMark(CLOSED, 150, 0, 7)),
        (LaneOrder(7, 150, CLOSED), LaneMark(CONTROLLED, 100, 0, 7), 160, LaneMark(CONTROLLED, 100, 0, 7)),
        (LaneOrder(6, 150, CLOSED), LaneMark(CONTROLLED, 100, 0, 7), 160, LaneMark(CONTROLLED, 100, 0, 7)),
        # Staff were before it; they may set another state after it.
        (LaneOrder(7, 150, CLOSED), LaneMark(FREE, 0, 155, 0), 160, LaneMark(CLOSED, 150, 155, 7)),
        # Heard late: the plan's moment at 200 is newer than the order, and is what holds.
        (LaneOrder(7, 150, CLOSED), LaneMark(CLOSED, 100), 210, LaneMark(CONTROLLED, 200, 0, 7)),
        (LaneOrder(7, 150, CLOSED), LaneMark(CONTROLLED, 200), 210, LaneMark(CONTROLLED, 200, 0, 7)),
    ],
)
def test_an_order_is_taken_once(order: LaneOrder, mark: LaneMark, now: int | None, became: LaneMark) -> None:
    assert state_due(((100, FREE), (200, CONTROLLED)), order, mark, now) == became


def test_an_order_holds_though_the_clock_here_is_behind_the_centres() -> None:
    """A box by its battery's clock, ten minutes behind: the plan took the lane back a second later."""
    entries, order = ((100, FREE),), LaneOrder(7, 10_000, CLOSED)
    now_s = order.at - 2 * STATE_BACK_S
    mark = state_due(entries, order, LaneMark(FREE, 100), now_s)
    assert mark.state is CLOSED
    assert state_due(entries, order, mark, now_s + 1) == mark
    # The plan's next moment is newer, by the same clock.
    assert state_due((*entries, (now_s + 60, FREE)), order, mark, now_s + 60).state is FREE


def test_who_sets_a_lane_overrules_what_was_ordered_until_then() -> None:
    order = LaneOrder(7, 150, CLOSED)
    mark = by_hand(LaneMark(CONTROLLED, 100), FREE, 160, order)
    assert mark == LaneMark(FREE, 100, 160, 7)
    assert state_due(((100, CONTROLLED),), order, mark, 170) == mark
    assert state_due((), LaneOrder(8, 170, CLOSED), mark, 170).state is CLOSED


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 500), st.sampled_from(LaneState)), max_size=8, unique_by=lambda one: one[0]
    ),
    st.lists(st.tuples(st.integers(0, 100), st.none() | st.sampled_from(LaneState)), max_size=30),
)
def test_a_lane_is_as_the_last_of_plan_and_hand_says(
    entries: list[tuple[int, LaneState]], acts: list[tuple[int, LaneState | None]]
) -> None:
    plan = tuple(sorted(entries))
    mark, now, expected = LaneMark(CONTROLLED), 0, CONTROLLED
    hand_s = 0
    for wait_s, hand in acts:
        now += wait_s
        mark = state_due(plan, None, mark, now)
        newest = [one for one in plan if hand_s < one[0] <= now]
        expected = newest[-1][1] if newest else expected
        assert mark.state is expected
        assert state_due(plan, None, mark, now) == mark
        if hand is not None and hand is not mark.state:
            mark, expected, hand_s = by_hand(mark, hand, now, None), hand, now
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(mark), type=LaneMark) == mark


# --- from the list ----------------------------------------------------------------------------------------------

OTHER = GateId(2)
VIP, TERRACE = ZoneId(2), ZoneId(3)


def head(**changes: object) -> ListHead:
    base = list_head(1_800_000_000)
    zones = (
        Zone(ARENA, "Arena", reset_at=240),
        Zone(VIP, "VIP", ARENA, reset_at=60),
        Zone(TERRACE, "T", reset_at=5),
    )
    return msgspec.structs.replace(base, **{"zones": zones, **changes})


def schedule(**changes: object) -> Schedule:
    return venue_of(head(**changes), GATE).schedule


def test_a_gate_resets_what_it_serves_and_what_lies_around_it() -> None:
    sessions = (
        Session(SessionId(1), EVENT, "One", 20261122, ARENA, 500),
        Session(SessionId(2), EVENT, "Elsewhere", 20261122, TERRACE, 600),
        Session(SessionId(3), EVENT, "No end", 20261122, ARENA),
        Session(SessionId(4), EVENT, "No zone", 20261122, ZoneId(0), 700),
    )
    found = schedule(sessions=sessions)
    assert found.nightly == ((240, ARENA),)
    assert found.ends == ((500, ARENA),)
    plans = (LanePlan(LaneId(1), VIP),)
    assert schedule(plans=plans, gate_lanes={GATE: (0,)}, gates=()).nightly == ((240, ARENA), (60, VIP))
    assert schedule(plans=(), gate_lanes={}, gates=()).nightly == ()
    assert found.timezone == "UTC"


def test_orders_find_their_lanes() -> None:
    plans = (LanePlan(LaneId(1), ARENA), LanePlan(LaneId(2), VIP), LanePlan(LaneId(3), TERRACE))
    common = {"plans": plans, "gate_lanes": {GATE: (0, 1, 2)}}

    def versions(*orders: LaneOrder) -> dict[LaneId, int]:
        return {lane: order.version for lane, order in schedule(orders=orders, **common).orders.items()}

    assert versions(LaneOrder(1, 5, 0, zone=ARENA)) == {1: 1, 2: 1}
    assert versions(LaneOrder(1, 5, 0, zone=VIP)) == {2: 1}
    assert versions(LaneOrder(1, 5, 0, gate=GATE)) == {1: 1, 2: 1, 3: 1}
    assert versions(LaneOrder(1, 5, 0, gate=GATE, lane=LaneId(3))) == {3: 1}
    assert versions(LaneOrder(1, 5, 0, gate=OTHER)) == {}
    assert versions(LaneOrder(9, 5, 0, gate=GATE, lane=LaneId(1)), LaneOrder(4, 5, 0, zone=ARENA)) == {
        1: 9,
        2: 4,
    }


def test_a_schedule_is_of_its_gate() -> None:
    one = LaneSchedule(GATE, LaneId(1), ((5, 0), (9, 1)))
    found = schedule(schedules=(one, LaneSchedule(OTHER, LaneId(2), ((5, 0),))))
    assert found.states == {1: ((5, CLOSED), (9, CONTROLLED))}


@pytest.mark.parametrize(
    "changes",
    [
        {"schedules": (LaneSchedule(OTHER, LaneId(1), ((5, 0), (5, 1))),)},
        {"schedules": (LaneSchedule(OTHER, LaneId(1), ((9, 0), (5, 1))),)},
        {"schedules": (LaneSchedule(OTHER, LaneId(1), ((5, 7),)),)},
        {"schedules": (LaneSchedule(OTHER, LaneId(1), ((5, LaneState.EMERGENCY),)),)},
        {"orders": (LaneOrder(1, 5, 9, zone=ARENA),)},
        {"orders": (LaneOrder(1, 5, 0),)},
        {"zones": (Zone(ARENA, "Arena", reset_at=1440),)},
        {"zones": (Zone(ARENA, "Arena", reset_at=-2),)},
        {"sessions": (Session(SessionId(1), EventId(1), "One", 20261122, ZoneId(9), 500),)},
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        schedule(**changes)


def test_another_list_with_the_same_resets_is_the_same_plan() -> None:
    first = schedule()
    assert schedule(orders=(LaneOrder(1, 5, 0, zone=ARENA),)).resets_id == first.resets_id
    assert schedule(zones=(Zone(ARENA, "Arena", reset_at=241),)).resets_id != first.resets_id


@pytest.mark.parametrize(
    "name", ["", "Nowhere/Land", "../etc/passwd", "Europe", "/etc/passwd", "Europe/Zürich\0"]
)
def test_a_time_zone_that_is_not_known_is_none(name: str) -> None:
    assert timezone_of(name) is None
    assert timezone_of("Europe/Zurich") == ZURICH
