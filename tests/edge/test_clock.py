"""The clock and how far it is believed."""

from pathlib import Path

import pytest

from admission.records import Trust
from edge.clock import (
    AGREES_S,
    BUILD_TIME_S,
    RTC_AHEAD_MAX_S,
    STEP_S,
    TrustedTime,
    chip_s,
    runs_by_chip,
)

NOW_S = BUILD_TIME_S + 1_000_000
YEARS_10_S = 10 * 365 * 86_400


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


@pytest.mark.parametrize("apart_s", [0, AGREES_S, -AGREES_S])
def test_the_centre_vouches_for_a_clock_that_agrees(apart_s: int) -> None:
    clock = HandClock()
    time = TrustedTime(clock, rtc=False)
    time.heard_centre(NOW_S - apart_s)
    time.look()
    assert (time.trust, time.off_s) == (Trust.SYNCED, 0)
    assert time.now_us() == clock.now_us()  # the finer of the two


@pytest.mark.parametrize("off_s", [YEARS_10_S, -YEARS_10_S, 3600])
@pytest.mark.parametrize(("synced", "rtc"), [(False, False), (False, True), (True, False)])
def test_a_clock_that_the_centre_contradicts_is_not_asked_any_more(
    off_s: int, synced: bool, rtc: bool
) -> None:
    clock = HandClock(NOW_S + off_s, synced=synced)
    time = TrustedTime(clock, rtc=rtc)
    time.heard_centre(NOW_S)
    assert round(time.look()) == -off_s
    assert (time.trust, time.off_s) == (Trust.SYNCED, off_s)
    clock.go_on(100)
    assert time.look() == 0.0
    assert time.facts().now_s == NOW_S + 100
    assert time.stamp() == ((NOW_S + 100) * 1_000_000, clock.mono, Trust.SYNCED)
    assert time.floor_s == NOW_S
    clock.go_on(1, step_s=-off_s)  # somebody set it right
    assert time.look() == 0.0
    assert (time.off_s, time.now_us()) == (0, clock.now_us())


def test_the_centres_word_is_carried_on_whoever_sets_the_clock() -> None:
    clock = HandClock()
    time = TrustedTime(clock, rtc=False)
    time.heard_centre(NOW_S)
    time.look()
    clock.go_on(1, step_s=STEP_S / 2)
    assert (time.look(), time.trust) == (0.0, Trust.SYNCED)
    clock.go_on(1, step_s=3600)
    assert time.stamp()[2] is Trust.FLOOR  # between the step and the look nobody knows who set it
    assert time.look() == 0.0
    assert (time.now_us() // 1_000_000, time.trust, time.off_s) == (NOW_S + 2, Trust.SYNCED, 3601)


def test_whole_seconds_of_the_centre_are_no_steps() -> None:
    clock = HandClock(NOW_S + 3600)
    time = TrustedTime(clock, rtc=False)
    time.heard_centre(NOW_S)
    time.look()
    before = time.now_us()
    time.heard_centre(NOW_S + 1)
    assert (time.look(), time.now_us()) == (0.0, before)


def test_a_centre_whose_own_clock_went_back_vouches_for_nothing() -> None:
    time = TrustedTime(HandClock(), rtc=False, floor_s=NOW_S)
    time.heard_centre(NOW_S - 2 * AGREES_S)
    assert (time.look(), time.trust, time.floor_s) == (0.0, Trust.FLOOR, NOW_S)


def test_what_the_centre_signed_for_others_raises_the_floor_and_vouches_for_nothing() -> None:
    time = TrustedTime(HandClock(), rtc=False)
    time.signed_before(NOW_S - 5)
    time.signed_before(NOW_S - 50)
    assert (time.floor_s, time.trust) == (NOW_S - 5, Trust.FLOOR)


def test_a_step_is_told_once_and_a_record_of_the_moment_before_says_that_it_is_not_sure() -> None:
    clock = HandClock(synced=True)
    time = TrustedTime(clock, rtc=False)
    clock.go_on(1, step_s=3600)
    assert time.stamp()[2] is Trust.FLOOR
    assert round(time.look()) == 3600
    assert time.stamp()[2] is Trust.SYNCED
    clock.go_on(1)
    assert time.look() == 0.0


def test_a_battery_clock_of_another_decade_is_not_believed() -> None:
    assert TrustedTime(HandClock(BUILD_TIME_S + RTC_AHEAD_MAX_S), rtc=True).trust is Trust.RTC
    assert TrustedTime(HandClock(BUILD_TIME_S + RTC_AHEAD_MAX_S + 1), rtc=True).trust is Trust.FLOOR
    assert TrustedTime(HandClock(BUILD_TIME_S - YEARS_10_S), rtc=True).trust is Trust.UNKNOWN


def test_a_clock_chip_is_read_as_the_kernel_shows_it(tmp_path: Path) -> None:
    clock = HandClock()
    assert chip_s(tmp_path) is None
    (tmp_path / "rtc0").mkdir()
    assert chip_s(tmp_path) is None  # it does not answer
    for said, runs in ((NOW_S + AGREES_S, True), (NOW_S + AGREES_S + 1, False), (0, False)):
        (tmp_path / "rtc0" / "since_epoch").write_text(f"{said}\n")
        assert chip_s(tmp_path) == said
        assert runs_by_chip(clock, chip_s(tmp_path)) is runs
    (tmp_path / "rtc0" / "since_epoch").write_text("no number")
    assert not runs_by_chip(clock, chip_s(tmp_path))
