"""On which day a use was, where a ticket's uses are limited per day. Pure: the venue's time zone is an argument.

A session says its day, and a performance that goes on after midnight is of the day on which it began: no clock is asked. Where
it goes on for several days (a fair, a season), or does not say when it ends, each use is of the day on which it was made, by the
venue's own clocks; the night until 6:00 belongs to the day before. The session's day is the first that can be, and a use of a
later day than today is of today: its gate's clock was ahead. A session that does not say when it ends is of its own day where
the clock is not believed.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from admission.entitlements import Session
from admission.ids import EventId, SessionId

NIGHT: Final = timedelta(hours=6)
"""Until so long after midnight an evening goes on."""
SECOND_DAY: Final = timedelta(hours=12)
"""A session that ends by noon of the day after its own was one long night."""
QUARTER_US: Final = 900_000_000
"""Every time zone's days begin with a quarter of an hour of UTC."""
LAST_DAY: Final = 99_991_231
_ENDS_S: Final = 253_370_000_000
"""Up to here Python's calendar goes, less some days."""
_KNOWN_MAX: Final = 4096
"""Quarters of which the day is remembered: more than a month of them."""


def day_of(time_s: float, zone: tzinfo, until: timedelta = NIGHT) -> int:
    """Return the venue's day as yyyymmdd; a night belongs to the day before. Total: an absurd time is at the calendar's end."""
    local = datetime.fromtimestamp(min(max(time_s, 86_400.0), _ENDS_S), zone).replace(tzinfo=None) - until
    return local.year * 10_000 + local.month * 100 + local.day


class Days:
    """The days of one event's sessions. `zone` None: it is not known here, and is taken for UTC."""

    def __init__(self, sessions: Iterable[Session] = (), zone: tzinfo | None = None) -> None:
        self._zone = zone or UTC
        sessions = tuple(sessions)
        self._first = {one.id: one.day for one in sessions}
        self._said = {one.id: one.day for one in sessions if one.day and self._is_of_one_day(one)}
        self._open = frozenset(one.id for one in sessions if one.day and not one.end)
        self._known: dict[int, int] = {}

    def __eq__(self, other: object) -> bool:
        """Whether each use is of the same day by both."""
        return isinstance(other, Days) and self._facts == other._facts

    def __hash__(self) -> int:
        return hash(self._zone)

    @property
    def _facts(self) -> tuple[object, ...]:
        return self._zone, self._first, self._said, self._open

    def _is_of_one_day(self, session: Session) -> bool:
        return session.end > 0 and day_of(session.end - 1, self._zone, SECOND_DAY) <= session.day

    def said(self, session: SessionId) -> int | None:
        """Return the day that all uses of a session are of; None where that depends on when they were made."""
        return self._said.get(session)

    def of(self, session: SessionId, time_us: int, until: int = LAST_DAY) -> int:
        """Return the day of a use, yyyymmdd. `until`: the last that can be, but for a session that begins later."""
        said = self._said.get(session)
        if said is not None:
            return said
        return max(self._first.get(session, 0), min(self._day(time_us), until))

    def today(self, session: SessionId, now_us: int, *, is_believed: bool = True) -> "Today":
        """Return the day of a use of a session that is taken now. `is_believed`: whether the clock is."""
        if not is_believed and session in self._open:
            return Today(self, self._first[session])
        return Today(self, self.of(session, now_us))

    def _day(self, time_us: int) -> int:
        quarter = time_us // QUARTER_US
        day = self._known.get(quarter)
        if day is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            day = self._known[quarter] = day_of(quarter * 900, self._zone)
        return day


class Today(NamedTuple):
    """One day of an event."""

    days: Days
    day: int

    def has(self, session: SessionId, time_us: int) -> bool:
        """Whether a use was on this day."""
        return self.days.of(session, time_us, self.day) == self.day


def days_of(sessions: Iterable[Session], zones: Mapping[EventId, tzinfo | None]) -> dict[EventId, Days]:
    """Return the days of each event that has a time zone; of a zone that is not known here the value is None."""
    of_event: dict[EventId, list[Session]] = {}
    for one in sessions:
        of_event.setdefault(one.event, []).append(one)
    return {event: Days(of_event.get(event, ()), zone) for event, zone in zones.items()}


NO_DAYS: Final = Days()
"""Of an event that nothing is known of."""

__all__ = ["NIGHT", "NO_DAYS", "QUARTER_US", "Days", "Today", "day_of", "days_of"]
