"""What fails the same way again and again is not helped by the same try: what was derived is dropped and fetched anew.

Of a list, of what other gates recorded, and of how far both were read, the centre has it all. The gate's own log is never
touched: it is not derived, and what of it the centre lacks is nowhere else.
"""

from collections.abc import Callable

STUCK_TIMES = 5
"""Failures in a row for one reason; with their pauses they take half a minute at least, while nothing else is wrong."""
FIRST_PAUSE_S = 60.0
PAUSE_MAX_S = 6 * 3600.0
"""Between two beginnings anew, the second twice as long as the first and so on: what is wrong at the centre is fetched four
times a day, not for ever."""


class Stuck:
    """Counts failures by what fails. `mono_s`: monotonic seconds."""

    def __init__(self, mono_s: Callable[[], float]) -> None:
        self._mono_s = mono_s
        self._failures: dict[str, tuple[str, int]] = {}
        self._not_before_s: dict[str, float] = {}
        self._pause_s: dict[str, float] = {}

    def failed(self, name: str, why: str) -> bool:
        """Count a failure; whether to begin anew now."""
        before, times = self._failures.get(name, (why, 0))
        times = times + 1 if before == why else 1
        self._failures[name] = (why, times)
        now_s = self._mono_s()
        if times < STUCK_TIMES or now_s < self._not_before_s.get(name, now_s):
            return False
        pause_s = self._pause_s.get(name, FIRST_PAUSE_S)
        self._not_before_s[name], self._pause_s[name] = now_s + pause_s, min(2 * pause_s, PAUSE_MAX_S)
        self._failures[name] = (why, 0)
        return True

    def works(self, name: str) -> None:
        """It went well: what fails after this is another matter, but a pause once begun is kept."""
        self._failures.pop(name, None)
        if self._mono_s() >= self._not_before_s.get(name, 0.0):
            self._pause_s.pop(name, None)
