"""Whether other gates, who were not asked while nobody came, are being asked just now.

While nobody comes the uplink rests (`edge.front.rounds`): nobody is then heard within 30 s, though nothing is wrong. The first
presentation has them asked, and whoever would be refused only because they were not heard waits a moment for it.
"""

from collections.abc import Callable

ASK_MAX_S = 2.4
"""How long a presentation waits for the others at most. A mobile link that slept wakes in 0.3 s and shakes hands in three
round trips, at both ends, one after the other: a second at 100 ms each. The lane lets go of one that waited for 3 s and
judges it again each half second (`admission.presentations`): the fifth time is behind this, and before that."""


class Asking:
    """Asks once in each rest. `mono_s`: monotonic seconds; `ask` has the front do it, False where there is none."""

    def __init__(self, mono_s: Callable[[], float], ask: Callable[[], bool]) -> None:
        self._mono_s = mono_s
        self._ask = ask
        self._rests = False
        self._asked_s: float | None = None
        """When they were asked; None while nobody was since the rest began."""

    def rests(self, *, rests: bool) -> None:
        """The front says whether the uplink rests."""
        if rests and (self._asked_s is None or self._mono_s() - self._asked_s >= ASK_MAX_S):
            self._asked_s = None  # what was said before it heard of the question is not another rest
        self._rests = rests

    def hope(self) -> bool:
        """Somebody would be refused because others were not heard: whether their answer may still come."""
        if self._asked_s is None:
            if not self._rests or not self._ask():
                return False
            self._asked_s = self._mono_s()
        return self._mono_s() - self._asked_s < ASK_MAX_S


__all__ = ["ASK_MAX_S", "Asking"]
