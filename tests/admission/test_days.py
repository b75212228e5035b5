"""On which day a use is: of its session, or of the hour at which it was made, where a session does not say."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from admission.days import NO_DAYS, Days, day_of, days_of
from admission.entitlements import Product, Session
from admission.ids import EventId, ProductId, SessionId
from admission.limits import NO_LIMITS, Limits, limits_of

ZURICH = ZoneInfo("Europe/Zurich")
EVENT = EventId(1)
ONE, OTHER = SessionId(1), SessionId(2)
SATURDAY, SUNDAY, MONDAY = 20261121, 20261122, 20261123


def at(text: str, zone: tzinfo = ZURICH) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def us(text: str) -> int:
    return at(text) * 1_000_000


def session(end: str = "", day: int = SATURDAY, number: SessionId = ONE) -> Session:
    return Session(number, EVENT, "", day, end=at(end) if end else 0)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-21T23:59:59", SATURDAY),
        ("2026-11-22T05:59:59", SATURDAY),
        ("2026-11-22T06:00:00", SUNDAY),
        ("2026-03-29T05:59:00", 20260328),  # the night on which an hour is left out
        ("2026-03-29T06:00:00", 20260329),
        ("2026-10-25T05:59:00", 20261024),  # the night on which one comes twice
        ("2026-10-25T06:00:00", 20261025),
        ("2027-01-01T05:00:00", 20261231),
    ],
)
def test_a_night_belongs_to_the_day_before_by_the_venues_clocks(moment: str, day: int) -> None:
    assert day_of(at(moment), ZURICH) == day


@pytest.mark.parametrize("moment", [-(2**63), -1.0, 0.0, 2.0**63])
def test_a_time_that_no_calendar_holds_has_a_day_too(moment: float) -> None:
    assert 19700101 <= day_of(moment, ZURICH) <= 99991231


@pytest.mark.parametrize(
    ("what", "end", "said"),
    [
        ("an evening", "2026-11-21T23:00:00", SATURDAY),
        ("one that goes on after midnight", "2026-11-22T04:00:00", SATURDAY),
        ("a long night", "2026-11-22T12:00:00", SATURDAY),
        ("two days", "2026-11-22T18:00:00", None),
        ("a season", "2027-05-01T18:00:00", None),
        ("without an end", "", None),
    ],
)
def test_a_session_of_one_day_says_it(what: str, end: str, said: int | None) -> None:
    days = Days([session(end)], ZURICH)
    assert days.said(ONE) == said
    wanted = said or SUNDAY
    assert days.of(ONE, us("2026-11-22T10:00:00")) == wanted


def test_of_a_session_of_several_days_each_has_its_own_and_none_is_before_the_first() -> None:
    days = Days([session("2026-12-24T18:00:00")], ZURICH)
    assert days.of(ONE, us("2026-11-20T10:00:00")) == SATURDAY, "let in before it began"
    assert days.of(ONE, us("2026-11-22T01:00:00")) == SATURDAY
    today = days.today(ONE, us("2026-11-22T10:00:00"))
    assert today.day == SUNDAY
    seen = ["2026-11-22T05:00:00", "2026-11-22T06:00:00", "2026-11-23T05:00:00", "2026-11-24T10:00:00"]
    assert [today.has(ONE, us(one)) for one in seen] == [False, True, True, True], "nobody was there tomorrow"


def test_sessions_of_one_day_count_together_also_one_of_several_days() -> None:
    days = Days([session("2026-12-24T18:00:00"), session("2026-11-22T23:00:00", SUNDAY, OTHER)], ZURICH)
    today = days.today(ONE, us("2026-11-22T10:00:00"))
    assert today == days.today(OTHER, us("2026-11-25T10:00:00")), "the plan says which session, no clock"
    assert today.has(OTHER, us("2026-11-25T10:00:00"))
    tomorrow = days.today(ONE, us("2026-11-23T10:00:00"))
    assert not tomorrow.has(OTHER, us("2026-11-22T10:00:00"))


def test_without_an_end_and_a_clock_to_be_believed_it_is_the_sessions_day() -> None:
    days = Days([session(), session("2026-12-24T18:00:00", number=OTHER)], ZURICH)
    wild = us("2031-01-01T10:00:00")
    today = days.today(ONE, wild, is_believed=False)
    assert today.day == SATURDAY
    assert today.has(ONE, us("2026-11-21T20:00:00"))
    assert today.has(ONE, wild), "by the same clock a moment ago"
    assert days.today(ONE, us("2026-11-22T10:00:00")).day == SUNDAY
    # Of several days it says none by itself.
    assert days.today(OTHER, wild, is_believed=False).day == 20310101


def test_of_a_session_that_nobody_knows_the_hour_says_the_day() -> None:
    assert NO_DAYS.of(SessionId(0), at("2026-11-22T10:00:00", UTC) * 1_000_000) == SUNDAY
    assert Days([session()], None) == Days([session()], UTC) != Days([session()], ZURICH)


def test_each_event_has_the_days_of_its_own_sessions_in_its_own_time_zone() -> None:
    other = Session(ONE, EventId(2), "", MONDAY, end=at("2026-11-23T20:00:00"))
    found = days_of([session("2026-11-21T20:00:00"), other], {EVENT: ZURICH, EventId(2): None})
    assert (found[EVENT].said(ONE), found[EventId(2)].said(ONE)) == (SATURDAY, MONDAY)


def test_limits_are_the_products() -> None:
    product = Product(ProductId(1), EVENT, "", limit_session=1, limit_day=2, limit_total=3)
    days = Days([session()], ZURICH)
    assert limits_of(product, days) == Limits(1, 2, 3, days)
    assert limits_of(Product(ProductId(1), EVENT, ""), NO_DAYS) == NO_LIMITS
