"""The clock and how far it is believed."""

import pytest

from admission.records import Trust
from edge.clock import AGREES_S, BUILD_TIME_S, STEP_S, TrustedTime

NOW_S = BUILD_TIME_S + 1_000_000


class HandClock:
    """A clock that a test turns by hand."""

    def __init__(self, now_s: int = NOW_S, *, synced: bool = False) -> None:
        self.wall_us, self.mono, self.synced = now_s * 1_000_000, 5_000_000_000, synced

    def now_us(self) -> int:
        return self.wall_us

    def mono_ns(self) -> int:
        return self.mono

    def marked_synced(self) -> bool:
        return self.synced

    def go_on(self, seconds: float, *, step_s: float = 0.0) -> None:
        self.mono += int(seconds * 1e9)
        self.wall_us += int((seconds + step_s) * 1e6)


@pytest.mark.parametrize(
    ("now_s", "synced", "rtc", "trust"),
    [
        (NOW_S, True, False, Trust.SYNCED),
        (NOW_S, False, True, Trust.RTC),
        (NOW_S, False, False, Trust.FLOOR),
        (BUILD_TIME_S - AGREES_S, False, False, Trust.FLOOR),
        (BUILD_TIME_S - AGREES_S - 1, False, True, Trust.UNKNOWN),
        (0, True, True, Trust.UNKNOWN),
    ],
)
def test_trust(now_s: int, synced: bool, rtc: bool, trust: Trust) -> None:
    time = TrustedTime(HandClock(now_s, synced=synced), rtc=rtc)
    assert time.trust is trust
    assert time.facts().trust is trust


def test_a_clock_below_the_floor_is_told_as_the_floor() -> None:
    assert TrustedTime(HandClock(7), rtc=False).facts().now_s == BUILD_TIME_S
    assert TrustedTime(HandClock(), rtc=False).facts().now_s == NOW_S


def test_only_the_centre_raises_the_floor_and_nothing_lowers_it() -> None:
    clock = HandClock(NOW_S + 10_000_000)
    time = TrustedTime(clock, rtc=True, floor_s=NOW_S)
    time.look()
    assert time.floor_s == NOW_S
    time.heard_centre(NOW_S + 5)
    time.heard_centre(NOW_S - 5)
    assert time.floor_s == NOW_S + 5
    assert TrustedTime(clock, rtc=True, floor_s=3).floor_s == BUILD_TIME_S


@pytest.mark.parametrize(
    ("apart_s", "trust"), [(0, Trust.SYNCED), (AGREES_S, Trust.SYNCED), (AGREES_S + 1, Trust.FLOOR)]
)
def test_the_centre_vouches_for_a_clock_that_agrees(apart_s: int, trust: Trust) -> None:
    time = TrustedTime(HandClock(), rtc=False)
    time.heard_centre(NOW_S - apart_s)
    assert time.trust is trust


def test_a_step_is_told_once_and_ends_the_centres_word() -> None:
    clock = HandClock()
    time = TrustedTime(clock, rtc=False)
    time.heard_centre(NOW_S - 10)
    clock.go_on(1, step_s=STEP_S / 2)
    assert (time.look(), time.trust) == (0.0, Trust.SYNCED)
    clock.go_on(1, step_s=3600)
    assert round(time.look()) == 3600
    assert TrustedTime(clock, rtc=False).trust is time.trust  # what the centre vouched for is forgotten
    clock.go_on(1)
    assert time.look() == 0.0
