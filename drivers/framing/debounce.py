"""Debouncing of polled input lines. Pure: samples with their monotonic nanoseconds in, changes out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """A line took a level and kept it. `at_ns` is when it was first seen to take it."""

    line: int
    active: bool
    at_ns: int


class Debouncer:
    """Accepts a level once every sample of at least `period_ns` showed it.

    The first sample of a line sets its level and is reported as a change, so that whoever listens knows the start. With
    `period_ns` 0 each sample counts. Between samples nothing is known: a contact shorter than the poll can be missed.
    """

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._levels: dict[int, bool] = {}
        self._pending_since: dict[int, int] = {}

    def sample(self, levels: Mapping[int, bool], at_ns: int) -> list[Change]:
        """One look at some or all lines; the changes that this look settles, by line."""
        return [change for line in sorted(levels) if (change := self._one(line, levels[line], at_ns))]

    def forget(self, lines: Iterable[int]) -> None:
        """Know nothing of these lines any more: their next sample is a first one."""
        for line in lines:
            self._levels.pop(line, None)
            self._pending_since.pop(line, None)

    def _one(self, line: int, active: bool, at_ns: int) -> Change | None:
        if line not in self._levels:
            self._levels[line] = active
            return Change(line, active, at_ns)
        if active == self._levels[line]:
            self._pending_since.pop(line, None)
            return None
        since = self._pending_since.setdefault(line, at_ns)
        if at_ns - since < self._period_ns:
            return None
        del self._pending_since[line]
        self._levels[line] = active
        return Change(line, active, since)
