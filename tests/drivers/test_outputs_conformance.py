"""One suite over every output driver, each against its simulated device over the real transport."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.base import DeviceGone, Misconfigured, Outputs, Parted, Sensing
from drivers.guard import GuardSettings, make_outputs
from drivers.relays import gpio, lcus
from drivers.sims.gpio_chip import SimChip, SimChips
from drivers.sims.lcus_board import LcusBoard
from tests.drivers.output_rig import LINES, RIGS, WAIT_S, Rig


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with RIGS[request.param](tmp_path) as rig:
        yield rig


@pytest.fixture
def outputs(rig: Rig) -> Iterator[Outputs]:
    outputs = rig.make()
    yield outputs
    outputs.close()


def test_it_is_an_output_that_names_itself(outputs: Outputs) -> None:
    assert isinstance(outputs, Outputs)
    assert outputs.lines == LINES
    assert "2" in outputs.open()


def test_opening_switches_nothing_on(rig: Rig, outputs: Outputs) -> None:
    outputs.open()
    assert rig.levels() == [False, False]
    assert rig.turned_on() == []


def test_opening_switches_off_what_was_left_on(rig: Rig, outputs: Outputs) -> None:
    rig.leave_on()
    assert rig.levels() == [False, True]
    outputs.open()
    assert rig.levels() == [False, False]


def test_each_line_is_switched_on_its_own(rig: Rig, outputs: Outputs) -> None:
    outputs.open()
    outputs.set(1, True)
    assert rig.levels() == [False, True]
    outputs.set(0, True)
    assert rig.levels() == [True, True]
    outputs.set(1, False)
    assert rig.levels() == [True, False]
    assert rig.turned_on() == [1, 0]


def test_setting_the_same_level_again_is_no_edge(rig: Rig, outputs: Outputs) -> None:
    outputs.open()
    outputs.set(0, True)
    outputs.set(0, True)
    assert rig.turned_on() == [0]


def test_all_off(rig: Rig, outputs: Outputs) -> None:
    outputs.open()
    outputs.set(0, True)
    outputs.set(1, True)
    outputs.all_off()
    assert rig.levels() == [False, False]


def test_closing_switches_off_and_may_be_done_twice(rig: Rig, outputs: Outputs) -> None:
    outputs.open()
    outputs.set(1, True)
    outputs.close()
    outputs.close()
    assert rig.levels() == [False, False]


def test_closed_it_takes_nothing(outputs: Outputs) -> None:
    with pytest.raises(DeviceGone):
        outputs.set(0, True)
    with pytest.raises(DeviceGone):
        outputs.all_off()


@pytest.mark.parametrize("line", [-1, LINES])
def test_a_line_that_is_not_there(rig: Rig, outputs: Outputs, line: int) -> None:
    outputs.open()
    with pytest.raises(Misconfigured) as failure:
        outputs.set(line, True)
    assert failure.value.hint
    assert rig.turned_on() == []


def test_a_second_owner_is_kept_out(rig: Rig, outputs: Outputs) -> None:
    outputs.open()
    outputs.set(0, True)
    second = rig.make()
    with pytest.raises(DeviceGone) as failure:
        second.open()
    assert failure.value.hint
    second.close()
    assert rig.levels() == [True, False]
    outputs.close()
    second.open()
    second.close()


def test_an_absent_device_is_gone(rig: Rig, outputs: Outputs) -> None:
    rig.unplug()
    with pytest.raises(DeviceGone) as failure:
        outputs.open()
    assert failure.value.hint


def test_a_device_pulled_out_is_gone_until_it_is_back(rig: Rig, outputs: Outputs) -> None:
    outputs.open()
    rig.unplug()
    with pytest.raises(DeviceGone):
        outputs.set(0, True)
    outputs.close()
    rig.plug()
    outputs.open()
    outputs.set(0, True)
    assert rig.levels() == [True, False]


def test_a_device_s_own_timer_ends_a_pulse_or_it_has_none(rig: Rig, outputs: Outputs) -> None:
    outputs.open()
    if outputs.own_timer:
        outputs.pulse(1, 60)
        assert rig.turned_on() == [1]
        until(lambda: rig.levels() == [False, False])
    else:
        with pytest.raises(Misconfigured):
            outputs.pulse(0, 300)


def test_a_board_that_can_be_asked_tells_of_its_contacts(outputs: Outputs) -> None:
    outputs.open()
    if isinstance(outputs, Sensing):
        told: dict[int, bool] = {}
        while (levels := outputs.look()) is None or len(told) < outputs.inputs:
            first = outputs.looked.start if isinstance(outputs, Parted) else 0
            told |= dict(enumerate(levels or (), first))
        assert told == dict.fromkeys(range(outputs.inputs), False)
        assert 0 < outputs.look_ms <= 200


def test_a_relay_that_nobody_switched_is_switched_off_at_the_next_looks(rig: Rig, outputs: Outputs) -> None:
    outputs.open()
    if isinstance(outputs, Sensing):
        outputs.set(0, True)
        rig.leave_on()
        until(lambda: outputs.look() is not None and rig.levels() == [True, False])


def until(holds: Callable[[], bool]) -> None:
    """Wait for a board that keeps its own time."""
    end_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end_s
        os.sched_yield()


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("lcus", {}),
        ("lcus", {"path": "/dev/null", "lines": 3}),
        ("lcus", {"path": "/dev/null", "lines": "2"}),
        ("gpio", {"chip": "header", "offsets": [17]}),
        ("gpio", {"chip": "header", "offsets": [17, 17], "active_low": True, "sim": "x"}),
        ("gpio", {"chip": "header", "offsets": [], "active_low": True, "sim": "x"}),
        ("gpio", {"chip": "header", "offsets": ["17"], "active_low": True, "sim": "x"}),
        ("gipo", {}),
        ("kmtronic", {}),
        ("kmtronic", {"path": "/dev/null", "lines": 3}),
        ("numato", {"path": "/dev/null"}),
        ("numato", {"path": "/dev/null", "lines": 3}),
        ("numato", {"path": "/dev/null", "lines": 4, "inputs": 9}),
        ("numato", {"path": "/dev/null", "lines": 4, "poll_ms": 0}),
        ("hid", {}),
        ("hid", {"lines": 3}),
        ("hid", {"lines": 2, "name": 5}),
        ("modbus", {}),
        ("modbus", {"path": "/dev/null", "lines": 0}),
        ("modbus", {"path": "/dev/null", "lines": 8, "unit": 0}),
        ("modbus", {"path": "/dev/null", "lines": 8, "unit": "1"}),
        ("modbus", {"path": "/dev/null", "lines": 8, "flash_unit_ms": 0}),
        ("modbus", {"path": "/dev/null", "lines": 8, "units": 1}),
        ("modbus", {"path": "/dev/null", "lines": 8, "units": [1]}),
        ("modbus", {"path": "/dev/null", "lines": 8, "units": [1, 1]}),
        ("modbus", {"path": "/dev/null", "lines": 8, "units": [1, "2"]}),
        ("modbus", {"path": "/dev/null", "lines": 8, "units": [0, 1]}),
        ("modbus", {"path": "/dev/null", "lines": 8, "units": [1, 2, 3, 4, 5]}),
        ("modbus", {"path": "/dev/null", "lines": 8, "units": [1, 2], "flash": False}),
    ],
)
def test_wrong_settings_are_told_with_a_hint(driver: str, options: dict[str, object]) -> None:
    with pytest.raises(Misconfigured) as failure:
        make_outputs(GuardSettings(driver, options))
    assert failure.value.hint


@pytest.mark.parametrize("path", ["/dev/null", "/etc/hostname", "/"])
def test_a_path_that_is_no_serial_port(path: str) -> None:
    with pytest.raises(Misconfigured, match="serial port"):
        lcus.LcusOutputs(path, 2).open()


@pytest.mark.parametrize(
    ("line", "on", "data"),
    [(0, True, "A0 01 01 A2"), (0, False, "A0 01 00 A1"), (1, True, "A0 02 01 A3"), (7, True, "A0 08 01 A9")],
)
def test_lcus_frames(line: int, on: bool, data: str) -> None:
    assert lcus.frame(line, on) == bytes.fromhex(data)


def test_the_lcus_board_obeys_frames_only(tmp_path: Path) -> None:
    board = LcusBoard(2, tmp_path / "relays")
    stream = bytes.fromhex("A0 01 01 A3 A0 A0 02 01 A3 00 A0 03 01 A4")
    for at in range(len(stream)):
        board._feed(stream[at : at + 1])
    assert board.levels == [False, True]
    assert board.commands == 2
    board.close()


def test_gpio_takes_all_lines_or_none(tmp_path: Path) -> None:
    chip = SimChip(str(tmp_path), "header", 28)
    chips = SimChips(str(tmp_path))
    first = gpio.GpioOutputs(chips, "header", [5], active_low=False)
    first.open()
    with pytest.raises(DeviceGone, match="in use"):
        gpio.GpioOutputs(chips, "header", [4, 5], active_low=False).open()
    assert chip.line_consumer(5) == "gatehouse"
    assert chip.line_consumer(4) is None
    first.close()
    assert chip.line_consumer(5) is None
    with pytest.raises(Misconfigured, match="no such line"):
        gpio.GpioOutputs(chips, "header", [28], active_low=False).open()
    with pytest.raises(DeviceGone, match="there: header"):
        gpio.GpioOutputs(chips, "pinctrl-rp1", [5], active_low=False).open()
    chip.close()
