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

RTC_AHEAD_MAX_S = 400 * 86_400
"""A battery clock that is further past whatever the centre signed last, or this code was made, is not believed: a box that
heard nobody for a year may be asked to hear somebody, and a clock of 2036 must not end every ticket."""
RTC_FOLDER = Path("/sys/class/rtc")


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


def chip_s(folder: Path = RTC_FOLDER) -> int | None:
    """Return what a clock chip of this machine says, unix seconds; None where there is none, or it does not answer.

    The kernel sets its clock from it at boot. One without a battery says 1970, or when it was last without power.
    """
    for chip in sorted(folder.glob("rtc*")):
        try:
            return int((chip / "since_epoch").read_text())
        except (OSError, ValueError):
            continue
    return None


def runs_by_chip(clock: Clock, chip_s: int | None) -> bool:
    """Whether the system's clock is that of a clock chip: one that the kernel could not use says another time."""
    return chip_s is not None and abs(chip_s - clock.now_us() / 1e6) <= AGREES_S


class TrustedTime:
    """The time with its trust. `look()` is called about once a second, off the scan path, and after `heard_centre`.

    Once the centre said what time it is, the monotonic clock carries that on: a wall clock that says otherwise, whoever
    set it, is not asked any more. The centre is the only one who signs what it says.
    """

    def __init__(self, clock: Clock, *, rtc: bool, floor_s: int = 0) -> None:
        self._clock = clock
        self._rtc = rtc
        self.floor_s = max(BUILD_TIME_S, floor_s)
        self._origin_us: int | None = None
        """By the centre's word, when the monotonic clock stood at 0."""
        self._agreed = False
        """Our own clock fits the centre's word, which it is finer than."""
        self._synced = clock.marked_synced()
        self._offset_us = self._measure()
        self._own_us = self._offset_us
        """What `now_us` is ahead of the monotonic clock, as of the last look."""

    def _measure(self) -> int:
        return self._clock.now_us() - self._clock.mono_ns() // 1000

    def look(self) -> float:
        """Return the seconds that the time moved by since the last look; 0.0 where it only went on."""
        self._synced = self._clock.marked_synced()  # first: who sets the clock makes the mark after it
        self._offset_us = self._measure()
        origin_us = self._origin_us
        self._agreed = origin_us is not None and abs(self._offset_us - origin_us) <= AGREES_S * 1_000_000
        own_us = self._offset_us if origin_us is None or self._agreed else origin_us
        stepped_s, self._own_us = (own_us - self._own_us) / 1e6, own_us
        return 0.0 if abs(stepped_s) < STEP_S else stepped_s

    def heard_centre(self, centre_s: int) -> None:
        """Take a time that the centre signed for our nonce: it raises the floor, and is what time it is. `look` next."""
        if centre_s < self.floor_s - AGREES_S:
            return  # it signed a later one: its own clock went back
        self.signed_before(centre_s)
        origin_us = centre_s * 1_000_000 - self._clock.mono_ns() // 1000
        if self._origin_us is None or abs(origin_us - self._origin_us) >= STEP_S * 1e6:
            self._origin_us = origin_us  # else it is the same but for whole seconds and the way here

    def signed_before(self, signed_s: int) -> None:
        """Take a time that the centre signed for somebody, whoever brought it: it is over, and says no more."""
        self.floor_s = max(self.floor_s, signed_s)

    @property
    def off_s(self) -> int:
        """How far our own clock is ahead of the centre's word, where that is gone by because of it; else 0."""
        if self._origin_us is None or self._agreed:
            return 0
        return round((self._offset_us - self._origin_us) / 1e6)

    def now_us(self) -> int:
        """UTC microseconds since 1970, as well as they are known."""
        if self._origin_us is not None and not self._agreed:
            return self._origin_us + self._clock.mono_ns() // 1000
        return self._clock.now_us()

    def mono_ns(self) -> int:
        """Monotonic nanoseconds."""
        return self._clock.mono_ns()

    def marked_synced(self) -> bool:
        """Whether the time is that of a time server or the centre."""
        return self.trust is Trust.SYNCED

    def stamp(self) -> tuple[int, int, Trust]:
        """Return the time (us), the monotonic clock (ns) and the trust of this very moment, for a record."""
        mono_ns = self._clock.mono_ns()
        if self._origin_us is not None and not self._agreed:
            time_us = self._origin_us + mono_ns // 1000
            return time_us, mono_ns, self._trust_of(time_us // 1_000_000)
        time_us = self._clock.now_us()
        trust = self._trust_of(time_us // 1_000_000)
        if trust > Trust.FLOOR and abs(time_us - mono_ns // 1000 - self._offset_us) >= STEP_S * 1e6:
            trust = Trust.FLOOR  # somebody set the clock since the last look: who that was is not known yet
        return time_us, mono_ns, trust

    @property
    def trust(self) -> Trust:
        """How far the time is to be believed now."""
        return self._trust_of(self.now_us() // 1_000_000)

    def _trust_of(self, now_s: int) -> Trust:
        if now_s < self.floor_s - AGREES_S:
            return Trust.UNKNOWN
        if self._synced or self._origin_us is not None:
            return Trust.SYNCED
        return Trust.RTC if self._rtc and now_s <= self.floor_s + RTC_AHEAD_MAX_S else Trust.FLOOR

    def facts(self) -> ClockFacts:
        """What `decide()` is told. A clock below the floor is certainly behind: the floor is nearer the truth."""
        now_s = self.now_us() // 1_000_000
        trust = self._trust_of(now_s)
        return ClockFacts(max(now_s, self.floor_s) if trust is Trust.UNKNOWN else now_s, trust, self.floor_s)
