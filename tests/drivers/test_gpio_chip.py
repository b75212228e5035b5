"""The simulated chip's own rules, and what our lines are to the real gpiod."""

import errno
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.base import DeviceGone, Misconfigured
from drivers.inputs.gpio import input_line
from drivers.sims.gpio_chip import SimChip, SimChips
from drivers.transport.gpiochip import Bias, InputLine, OutputLine, by_label, kernel_settings, level_of

gpiod = pytest.importorskip("gpiod")


@pytest.mark.parametrize(("persist", "after"), [(True, True), (False, False)])
def test_release_keeps_the_level_or_gives_it_back(tmp_path: Path, persist: bool, after: bool) -> None:
    chip = SimChip(str(tmp_path), "header", 8, persist_on_release=persist)
    held = SimChips(str(tmp_path)).request(str(tmp_path / "header"), [OutputLine(3, active_low=False)])
    held.set_active({3: True})
    assert chip.is_high(3)
    held.release()
    assert chip.is_high(3) is after
    chip.close()


def test_edges_have_polarity_order_and_no_debounced_chatter(tmp_path: Path) -> None:
    chip = SimChip(str(tmp_path), "header", 8, pulled_high=(1, 2))
    lines = [InputLine(1, True, Bias.PULL_UP, 10), InputLine(2, False, Bias.AS_IS, 0)]
    held = SimChips(str(tmp_path)).request(str(tmp_path / "header"), lines)
    assert held.get_active() == {1: False, 2: True}
    chip.bounce(1, 3)
    chip.drive(1, high=False)
    chip.bounce(2, 1)
    edges = held.read_edges()
    assert [(e.offset, e.active, e.seqno) for e in edges] == [(1, True, 1), (2, False, 2), (2, True, 3)]
    assert held.get_active() == {1: True, 2: True}
    chip.unplug()
    with pytest.raises(OSError) as failure:  # noqa: PT011 - its number is looked at below
        held.get_active()
    assert failure.value.errno == errno.ENODEV
    held.release()
    chip.close()


def test_a_free_line_says_how_it_stands_and_stays_so_and_one_in_use_is_told(tmp_path: Path) -> None:
    chip, chips = SimChip(str(tmp_path), "header", 8, pulled_high=(2,)), SimChips(str(tmp_path))
    assert [level_of(chips, "header", line) for line in (1, 2)] == [False, True]
    assert (chip.output_changes(), chip.line_consumer(2)) == ([], None)
    held = chips.request(str(tmp_path / "header"), [OutputLine(2, active_low=False)])
    with pytest.raises(DeviceGone, match="in use"):
        level_of(chips, "header", 2)
    with pytest.raises(DeviceGone, match="no GPIO chip"):
        level_of(chips, "elsewhere", 2)
    held.release()
    chip.close()


def test_our_outputs_as_gpiod_settings() -> None:
    line = gpiod.line
    assert kernel_settings(OutputLine(17, active_low=True)) == gpiod.LineSettings(
        direction=line.Direction.OUTPUT, active_low=True, output_value=line.Value.INACTIVE
    )


def test_our_inputs_as_gpiod_settings() -> None:
    line = gpiod.line
    ours = input_line(22, active_low=True, bias=Bias.PULL_UP, debounce_ms=10)
    assert kernel_settings(ours) == gpiod.LineSettings(
        direction=line.Direction.INPUT,
        active_low=True,
        bias=line.Bias.PULL_UP,
        edge_detection=line.Edge.BOTH,
        debounce_period=timedelta(milliseconds=10),
    )


@pytest.mark.parametrize("bias", Bias)
def test_gpiod_has_each_bias(bias: Bias) -> None:
    assert kernel_settings(InputLine(1, False, bias, 0)).bias.name == bias.name


@pytest.mark.parametrize("debounce_ms", [-1, 1001])
def test_a_debounce_out_of_reason(debounce_ms: int) -> None:
    with pytest.raises(Misconfigured):
        input_line(1, active_low=True, bias=Bias.PULL_UP, debounce_ms=debounce_ms)


def test_of_two_chips_with_one_label_neither_is_used() -> None:
    """Two USB expanders of a kind: their numbers change with the order of plugging, and so would the arm that turns."""
    header = ("pinctrl-bcm2711", "/dev/gpiochip0")
    twins = [("ftdi-cbus", "/dev/gpiochip1"), ("ftdi-cbus", "/dev/gpiochip2")]
    assert by_label([header, *twins]) == dict([header])
    assert by_label([header, twins[1]]) == dict([header, twins[1]])
