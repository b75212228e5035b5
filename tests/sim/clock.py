"""A box's clocks: they run off the world's true time, drift, jump, and may start anywhere."""

from collections.abc import Callable

EPOCH_S = 1_795_310_000
"""True time when a world begins: an hour after the build date."""


class TrueTime:
    """The world's time, which no box sees."""

    def __init__(self, world_s: Callable[[], float]) -> None:
        self._world_s = world_s

    @property
    def now_us(self) -> int:
        """UTC microseconds since 1970."""
        return EPOCH_S * 1_000_000 + round(self._world_s() * 1e6)

    @property
    def now_s(self) -> int:
        """Unix seconds."""
        return self.now_us // 1_000_000

    @property
    def world_s(self) -> float:
        """Seconds since the world began."""
        return self._world_s()


class SimClock:
    """One box's clock (`edge.clock.Clock`). The monotonic clock begins anew at each start, as a box's does."""

    def __init__(
        self, truth: TrueTime, drift: float = 0.0, off_s: float = 0.0, *, synced: bool = True
    ) -> None:
        self._truth = truth
        self._drift = drift
        self._began_s = truth.world_s
        self._base_us = truth.now_us + round(off_s * 1e6)
        self.synced = synced

    def _ran_s(self) -> float:
        return (self._truth.world_s - self._began_s) * (1 + self._drift)

    def now_us(self) -> int:
        """UTC microseconds since 1970, as the box has it."""
        return self._base_us + round(self._ran_s() * 1e6)

    def mono_ns(self) -> int:
        """Monotonic nanoseconds; never 0, which some of our code takes for never."""
        return round((1.0 + self._ran_s()) * 1e9)

    def marked_synced(self) -> bool:
        """A time server set the clock."""
        return self.synced

    # --- what happens to it --------------------------------------------------------------------------------------

    def step(self, seconds: float, *, synced: bool) -> None:
        """Somebody sets the clock."""
        self._base_us += round(seconds * 1e6)
        self.synced = synced

    def set_right(self) -> None:
        """A time server sets it."""
        self._base_us += self._truth.now_us - self.now_us()
        self.synced = True

    @property
    def off_s(self) -> float:
        """How far it is ahead of the truth."""
        return (self.now_us() - self._truth.now_us) / 1e6
