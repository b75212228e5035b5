"""How often is asked: as ever while anybody comes, in one round every so often while nobody does.

The pace itself is `edge.front.pace`; this is what a running uplink knows of it.
"""

import random
from collections.abc import Callable

from edge.clock import Clock
from edge.front.pace import Idle, Quiet, round_in_s


class Rounds:
    """Begins as a gate where somebody may come at any moment. `awake` is called when the quiet ends.

    `may_rest`: whether there is a centre to rest with.
    """

    def __init__(
        self,
        clock: Clock,
        chance: random.Random,
        idle: Idle,
        may_rest: Callable[[], bool],
        awake: Callable[[], None],
    ) -> None:
        self._clock, self._idle = clock, idle
        self._may_rest, self._awake = may_rest, awake
        self._quiet = Quiet(self._mono_s(), idle.quiet_after_s)
        self._phase_s = chance.uniform(0.0, idle.round_s)
        self._rested_s: float | None = None

    def _mono_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    @property
    def round_s(self) -> float:
        """How long a round takes."""
        return self._idle.round_s

    def is_quiet(self) -> bool:
        """Whether nothing goes on anywhere."""
        if not self._quiet.is_quiet(self._mono_s()) or not self._may_rest():
            return False
        self._rested_s = self._mono_s()
        return True

    def was_quiet_within(self, seconds: float) -> bool:
        """Whether it is quiet, or was so short a time ago."""
        if self.is_quiet():
            return True
        return self._rested_s is not None and self._mono_s() - self._rested_s < seconds

    def moved(self) -> None:
        """Somebody came, here or elsewhere: ask as often as ever from now on."""
        was_quiet = self.is_quiet()
        self._quiet.moved(self._mono_s())
        if was_quiet:
            self._awake()

    def pause_s(self, active_s: float, place: int, every: int = 1) -> float:
        """Return how long a loop waits: while it is quiet, until all ask together."""
        return self.next_s(place, every) if self.is_quiet() else active_s

    def next_s(self, place: int, every: int = 1) -> float:
        """Return how long it is to the next round."""
        return round_in_s(self._mono_s(), self._phase_s, place, every, self._idle.round_s)


__all__ = ["Rounds"]
