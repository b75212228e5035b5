"""The time that is certainly over, as the front knows it: what the centre signed, and what has passed since then.

The box's own clock has no say in it (DESIGN.md, Time): one that runs ahead would end what is still in force.
"""

import asyncio
from typing import Protocol

from edge.clock import BUILD_TIME_S, Clock

FLOOR_KEY = "floor"
"""The name under which the lane keeps the floor of the time beside its log (`edge.daemon`)."""


class Kept(Protocol):
    """What the lane keeps beside its log; `edge.store.log_reader.LogReader` is one."""

    def meta(self, key: str) -> bytes | None:
        """Return a value that was kept under a name."""
        ...


class Past:
    """Centre-signed time and the floor. `look` first, in the thread that reads the log."""

    def __init__(self, clock: Clock, kept: Kept) -> None:
        self._clock = clock
        self._kept = kept
        self._floor_s = BUILD_TIME_S
        self._heard_s, self._heard_ns = 0, 0
        self.known = asyncio.Event()
        """Set once the centre's time was heard in this run."""

    def look(self) -> None:
        """See what was over when the lane wrote it down last. StoreFault where the log cannot be read."""
        self._floor_s = max(self._floor_s, int(self._kept.meta(FLOOR_KEY) or b"0"))

    def heard(self, centre_s: int) -> None:
        """The centre signed the time for a nonce of ours."""
        self._heard_s, self._heard_ns = centre_s, self._clock.mono_ns()
        self.known.set()

    def signed(self, signed_s: int) -> None:
        """The centre signed something at a time, whoever brought it: that is over, and says nothing of now."""
        self._floor_s = max(self._floor_s, signed_s)

    @property
    def centre_s(self) -> int:
        """The time by the centre's own word, 0 before it was heard."""
        return self._heard_s and self._heard_s + (self._clock.mono_ns() - self._heard_ns) // 1_000_000_000

    @property
    def over_s(self) -> int:
        """A time that is certainly over; behind the truth for as long as the centre was not heard."""
        return max(self._floor_s, self.centre_s)
