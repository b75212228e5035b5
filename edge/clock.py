"""The time as this box knows it, and how far to believe it (DESIGN.md, Time).

Nothing but the build date and centre-signed time raises the floor: one wrong clock must not expire every ticket.
"""

import time
from pathlib import Path
from typing import Protocol

from admission.decide import ClockFacts
from admission.records import Trust

BUILD_TIME_S = 1_795_305_600
"""2026-11-22 00:00 UTC: this code was not there before. Raised with each release."""
TIMESYNC_MARK = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd makes this file once it has set the clock (hardware.md 7.2)."""
AGREES_S = 60
"""Our clock and the centre's may differ by this much and still be called synced: windows have 600 s of slack."""
STEP_S = 2.0
"""Wall and monotonic clock drifting apart by more than this between two looks is a step, not drift."""


class Clock(Protocol):
    """Where time comes from; tests and the simulated venue bring their own."""

    def now_us(self) -> int:
        """UTC microseconds since 1970, as the box has it."""
        ...

    def mono_ns(self) -> int:
        """Monotonic nanoseconds."""
        ...

    def marked_synced(self) -> bool:
        """The system says that a time server set the clock."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_us(self) -> int:
        """UTC microseconds since 1970."""
        return time.time_ns() // 1000

    def mono_ns(self) -> int:
        """Monotonic nanoseconds."""
        return time.monotonic_ns()

    def marked_synced(self) -> bool:
        """Look for the mark of systemd-timesyncd."""
        return TIMESYNC_MARK.exists()


class TrustedTime:
    """The clock with its trust. `look()` is called about once a second, off the scan path."""

    def __init__(self, clock: Clock, *, rtc: bool, floor_s: int = 0) -> None:
        self._clock = clock
        self._rtc = rtc
        self.floor_s = max(BUILD_TIME_S, floor_s)
        self._agreed = False
        self._synced = clock.marked_synced()
        self._offset_us = self._measure()

    def _measure(self) -> int:
        return self._clock.now_us() - self._clock.mono_ns() // 1000

    def look(self) -> float:
        """Return the seconds that the wall clock was stepped by since the last look; 0.0 for none."""
        offset = self._measure()
        stepped_s = (offset - self._offset_us) / 1e6
        self._offset_us = offset
        self._synced = self._clock.marked_synced()
        if abs(stepped_s) < STEP_S:
            return 0.0
        self._agreed = False
        return stepped_s

    def heard_centre(self, centre_s: int) -> None:
        """Take a time that the centre signed for our nonce: it raises the floor and may vouch for our clock."""
        self.floor_s = max(self.floor_s, centre_s)
        self._agreed = abs(self._clock.now_us() / 1e6 - centre_s) <= AGREES_S

    @property
    def trust(self) -> Trust:
        """How far our clock is to be believed now."""
        return self.trust_at(self._clock.now_us() // 1_000_000)

    def trust_at(self, now_s: int) -> Trust:
        """How far our clock is to be believed where it shows `now_s`."""
        if now_s < self.floor_s - AGREES_S:
            return Trust.UNKNOWN
        if self._synced or self._agreed:
            return Trust.SYNCED
        return Trust.RTC if self._rtc else Trust.FLOOR

    def facts(self) -> ClockFacts:
        """What `decide()` is told. A clock below the floor is certainly behind: the floor is nearer the truth."""
        now_s = self._clock.now_us() // 1_000_000
        trust = self.trust_at(now_s)
        return ClockFacts(max(now_s, self.floor_s) if trust is Trust.UNKNOWN else now_s, trust, self.floor_s)
