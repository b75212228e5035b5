"""What staff are called for, until somebody acknowledges it or it is old: for the page."""

import itertools
from collections.abc import Callable

import msgspec

from edge.link import StaffAlert

ALERTS_MAX = 32
"""More than a page of a phone holds; beyond, the oldest goes."""
AGE_S = 600.0
"""Whoever has not come by then will not find the person any more; the record stays."""


class Alerts:
    """Open alerts of one gate. The same again at a lane is counted, not listed twice."""

    def __init__(
        self, now_s: Callable[[], int], mono_s: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        self._now_s = now_s
        self._mono_s = mono_s
        self._changed = changed
        # A page that was open before a restart must not acknowledge what it never showed.
        self._numbers = itertools.count(now_s())
        self._open: dict[tuple[int, str], tuple[float, StaffAlert]] = {}
        """The one said last at the end."""

    @property
    def open(self) -> tuple[StaffAlert, ...]:
        """Return what is to be shown, newest first."""
        return tuple(alert for _, alert in reversed(self._open.values()))

    def call(self, lane: int, what: str) -> None:
        """Call staff to a lane."""
        known = self._open.pop((lane, what), None)
        if known is None:
            alert = StaffAlert(next(self._numbers), lane, what, self._now_s())
        else:
            alert = msgspec.structs.replace(known[1], time_s=self._now_s(), count=known[1].count + 1)
        self._open[lane, what] = self._mono_s(), alert
        if len(self._open) > ALERTS_MAX:
            del self._open[next(iter(self._open))]
        self._changed()

    def acknowledge(self, number: int) -> bool:
        """Show an alert no more; False where it is not shown anyway."""
        for key, (_, alert) in self._open.items():
            if alert.number == number:
                del self._open[key]
                self._changed()
                return True
        return False

    def expire(self) -> None:
        """Drop what is old."""
        since_s = self._mono_s() - AGE_S
        old = [key for key, (at_s, _) in self._open.items() if at_s <= since_s]
        for key in old:
            del self._open[key]
        if old:
            self._changed()
