"""What is done to the box as a whole from its page: it shows which one it is, and it begins a new run."""

from pathlib import Path

from admission.records import Kind
from drivers.base import Signal
from edge.daemon import EX_TEMPFAIL
from edge.lane import LaneShell
from edge.link import Done, Identify, Restart, SetUpAnew
from tests.edge.rig import Gate, assert_verifies, code, quick, row, running
from tests.venue.hardware import FIRE_LINE


def signals_of(gate: Gate) -> list[Signal]:
    """Have every reader's signals written down from now on."""
    shown: list[Signal] = []
    for shell in gate.daemon.lanes.values():
        for reader in shell.settings.readers:
            shell.feedback_of(reader.id, shown.append)
    return shown


async def test_a_box_that_is_looked_for_beeps_and_blinks_and_opens_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=lambda text: quick(text, hold_ms=3000)) as gate:
        await gate.ready()
        shown = signals_of(gate)
        assert await gate.do(Identify(1)) == Done(1, ok=True)
        await gate.until(lambda: len(shown) >= 12, "three blinks of four readers")
        assert set(shown) == {Signal.WAIT, Signal.REJECT}, "nobody is told that they may pass"
        assert gate.records() == []
        await gate.hardware.entry.scan(code(7))
        await gate.seen()
        assert await gate.do(Identify(2)) == Done(2, ok=False, code="command.busy")


async def test_a_restart_is_answered_then_ends_the_run_for_systemd_to_begin_anew(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        assert await gate.do(Restart(3)) == Done(3, ok=True)
        await gate.until(gate.daemon._stopping.is_set, "the run ends")
    assert gate.exit_code == EX_TEMPFAIL
    assert_verifies(gate.data)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()


async def test_a_gate_whose_configuration_is_by_hand_is_not_set_up_anew(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        assert await gate.do(SetUpAnew(1, 42)) == Done(1, ok=False, code="command.by_hand")
        assert not gate.daemon._stopping.is_set()


async def test_no_restart_while_somebody_passes_or_an_alarm_stands(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=lambda text: quick(text, hold_ms=3000)) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await gate.seen()
        assert await gate.do(Restart(1)) == Done(1, ok=False, code="command.busy")
        await gate.walk()
        await gate.recorded(Kind.PASSAGE)
        gate.hardware.contacts.drive(FIRE_LINE, active=True)
        await gate.until(lambda: any(fires(one) for one in gate.daemon.lanes.values()), "the alarm")
        assert await gate.do(Restart(2)) == Done(2, ok=False, code="command.fire_on")
        assert not gate.daemon._stopping.is_set()


def fires(shell: LaneShell) -> bool:
    return shell.machine.fire
