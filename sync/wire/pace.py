"""How often something may happen."""

from collections.abc import Callable


class Pace:
    """Lets `rate` things a second through, and up to `burst` at once. Times are monotonic seconds."""

    def __init__(self, rate: float, burst: float, mono_s: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._mono_s = mono_s
        self._left = burst
        self._at_s = mono_s()

    def take(self) -> bool:
        """Take one; False where there is none left."""
        now_s = self._mono_s()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
