"""Sessions that are all of one day, as a tally is asked for it."""

from admission.days import Days, Today
from admission.entitlements import Session
from admission.ids import EventId, SessionId

DAY = 20261122


def same_day(*sessions: SessionId) -> Today:
    """Return the day of these sessions, each over by then: no clock is asked."""
    return Today(Days([Session(one, EventId(1), "", DAY, end=1) for one in sessions]), DAY)
