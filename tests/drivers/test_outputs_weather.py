"""Boards that answer, in every weather: what is confirmed is true, what is not is told in time, with what to do."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Outputs, Sensing
from drivers.sims.weather import Weather
from tests.drivers.output_rig import ASKED, LINES, RIGS, Rig

GONE_S = 1.0
"""Unplug to gone."""
SWITCHES = 8
PAUSE_S = 0.1
PATIENCE_S = 20.0
"""For a machine that is late itself with every other answer."""
LOOKS = 3


@pytest.fixture(params=ASKED)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with RIGS[request.param](tmp_path) as rig:
        yield rig


@pytest.fixture
def outputs(rig: Rig) -> Iterator[Outputs]:
    outputs = rig.make()
    outputs.open()
    yield outputs
    weather(rig, Weather.CLEAR)
    outputs.close()
    assert rig.levels() == [False] * LINES


def weather(rig: Rig, kind: Weather) -> None:
    assert rig.board is not None
    rig.board.wire.weather = kind


def failure(act: Callable[[], object]) -> tuple[DriverError, float]:
    began_s = time.monotonic()
    with pytest.raises(DriverError) as failed:
        act()
    assert failed.value.hint
    return failed.value, time.monotonic() - began_s


def look_on(outputs: Outputs) -> None:
    """Look as the guard does, until it gives up."""
    assert isinstance(outputs, Sensing)
    while True:
        outputs.look()


@pytest.mark.parametrize("kind", [Weather.BYTEWISE, Weather.DELAYED, Weather.GARBAGE])
def test_it_works_all_the_same(rig: Rig, outputs: Outputs, kind: Weather) -> None:
    weather(rig, kind)
    outputs.set(1, True)
    assert rig.levels() == [False, True]
    assert isinstance(outputs, Sensing)
    # An answer that a busy machine has late is one look without one.
    assert any(outputs.look() is not None for _ in range(LOOKS))
    outputs.set(1, False)
    assert rig.levels() == [False, False]


def test_with_a_fifth_lost_what_is_confirmed_is_true_and_nothing_is_done_that_was_not_said(
    rig: Rig, outputs: Outputs
) -> None:
    assert isinstance(outputs, Sensing)
    weather(rig, Weather.LOSSY)
    confirmed = number = 0
    until_s = time.monotonic() + PATIENCE_S
    while number < SWITCHES or (confirmed < SWITCHES // 2 and time.monotonic() < until_s):
        line, on = number % LINES, number // LINES % 2 == 0
        number += 1
        try:
            outputs.set(line, on)
        except DriverError:
            time.sleep(PAUSE_S)  # a board of a bus that did not answer is let alone for a while
            with contextlib.suppress(DriverError):
                outputs.look()  # and comes back when it is looked for, as the guard does
            continue
        confirmed += 1
        assert rig.levels()[line] is on
    assert confirmed >= SWITCHES // 2


@pytest.mark.parametrize("kind", [Weather.MUTE, Weather.BABBLE, Weather.SCRAMBLED])
def test_nothing_else_is_taken_for_an_answer_and_a_person_is_told_in_time(
    rig: Rig, outputs: Outputs, kind: Weather
) -> None:
    """It never answers, babbles at full speed, or is set to another baud rate."""
    weather(rig, kind)
    error, took_s = failure(lambda: outputs.set(0, True))
    assert took_s < GONE_S
    if kind is Weather.BABBLE:
        assert isinstance(error, DeviceMisbehaved)
    elif kind is not Weather.SCRAMBLED:
        assert isinstance(error, DeviceGone)
    assert rig.levels() == [kind is Weather.MUTE, False]


@pytest.mark.parametrize(
    ("kind", "told"), [(Weather.DEAF, DeviceGone), (Weather.BABBLE, DeviceMisbehaved)], ids=["deaf", "babble"]
)
def test_between_commands_it_is_noticed_within_a_second(
    tmp_path: Path, kind: Weather, told: type[DriverError]
) -> None:
    with RIGS["modbus"](tmp_path) as rig:
        outputs = rig.make()
        outputs.open()
        weather(rig, kind)
        error, took_s = failure(lambda: look_on(outputs))
        assert isinstance(error, told)
        assert took_s < (GONE_S if kind is Weather.DEAF else 2 * GONE_S)
        weather(rig, Weather.CLEAR)
        outputs.close()


def test_unplugged_in_the_middle_of_an_answer_it_is_gone_and_back_it_works(
    rig: Rig, outputs: Outputs
) -> None:
    weather(rig, Weather.CUT)
    error, _ = failure(lambda: outputs.set(0, True))
    assert isinstance(error, DriverError)
    rig.unplug()
    error, took_s = failure(lambda: outputs.set(0, True))
    assert isinstance(error, DeviceGone)
    assert took_s < GONE_S
    outputs.close()
    rig.plug()
    weather(rig, Weather.CLEAR)
    outputs.open()
    assert rig.levels() == [False, False]
