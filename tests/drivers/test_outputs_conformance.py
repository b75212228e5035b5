"""One suite over every output driver, each against its simulated device over the real transport."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.base import DeviceGone, Misconfigured, Outputs
from drivers.guard import GuardSettings, make_outputs
from drivers.relays import gpio, lcus
from drivers.sims.gpio_chip import SimChip, SimChips
from drivers.sims.lcus_board import LcusBoard
from drivers.transport.gpiochip import OutputLine
from drivers.transport.tty import Tty

WAIT_S = 5.0
LINES = 2


@dataclass
class Rig:
    settings: GuardSettings
    levels: Callable[[], list[bool]]
    """The relays' levels once everything sent has arrived."""
    turned_on: Callable[[], list[int]]
    """The lines that were switched on since the last call."""
    leave_on: Callable[[], None]
    """Line 1 left on by a process that is gone."""
    unplug: Callable[[], None]
    plug: Callable[[], None]

    def make(self) -> Outputs:
        return make_outputs(self.settings)


def lcus_rig(folder: Path) -> tuple[Rig, Callable[[], None]]:
    board = LcusBoard(LINES, folder / "relays")

    def levels() -> list[bool]:
        while board.port.plugged and (data := board.port.read()):
            board._feed(data)
        return list(board.levels)

    def turned_on() -> list[int]:
        levels()
        lines = [change.line for change in board.changes if change.on]
        board.changes.clear()
        return lines

    def leave_on() -> None:
        port = Tty(board.path, lcus.BAUD)
        port.write(lcus.frame(1, on=True))
        port.close()
        assert board.wait_until(lambda b: b.levels[1], WAIT_S)
        board.changes.clear()

    settings = GuardSettings("lcus", {"path": board.path, "lines": LINES})
    return Rig(settings, levels, turned_on, leave_on, board.unplug, board.plug), board.close


def gpio_rig(folder: Path) -> tuple[Rig, Callable[[], None]]:
    """Active-low relays on lines 17 and 27, as on most HATs; the chip persists on release."""
    chips: list[SimChip] = []

    def plug() -> None:
        chips.append(SimChip(str(folder), "header", 28, pulled_high=(17, 27)))

    def turned_on() -> list[int]:
        return [(17, 27).index(change.line) for change in chips[-1].output_changes() if not change.high]

    def leave_on() -> None:
        held = SimChips(str(folder)).request(str(folder / "header"), [OutputLine(27, active_low=True)])
        held.set_active({27: True})
        held.release()
        assert chips[-1].output_changes(WAIT_S)

    def close() -> None:
        for chip in chips:
            chip.close()

    def unplug() -> None:
        chips[-1].unplug()

    plug()
    settings = GuardSettings(
        "gpio", {"chip": "header", "offsets": [17, 27], "active_low": True, "sim": str(folder)}
    )
    rig = Rig(
        settings,
        lambda: [not chips[-1].is_high(line) for line in (17, 27)],
        turned_on,
        leave_on,
        unplug,
        plug,
    )
    return rig, close


@pytest.fixture(params=[lcus_rig, gpio_rig], ids=["lcus", "gpio"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    rig, close = request.param(tmp_path)
    yield rig
    close()


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


def test_a_device_without_a_timer_says_so(outputs: Outputs) -> None:
    outputs.open()
    assert not outputs.own_timer
    with pytest.raises(Misconfigured):
        outputs.pulse(0, 300)


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
