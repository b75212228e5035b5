"""Several Modbus boards on one RS-485 bus: each comes and goes by itself, and none of them is ever left on."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.base import BoardPart, DeviceGone, DriverError, Sensing
from drivers.framing.guard import Exit, Frame, Kind, Malformed, part_frame, part_of
from drivers.guard import all_off
from drivers.guard_link import GuardEvents, GuardLink
from drivers.relays.modbus import ModbusOutputs, ModbusRelayBoard
from drivers.sims.modbus_board import ModbusBoard
from drivers.sims.modbus_bus import ModbusBus
from drivers.sims.served import Service
from drivers.sims.weather import Weather, Wire
from tests.drivers.output_rig import LINES, UNITS, Rig, answering, bus_settings
from tests.drivers.test_guard import WAIT_S, Guard, argv, pulse

INPUTS = 4
LOOKS = 60


def silent(bus: ModbusBus, at: int) -> None:
    """One board's supply fails, or its wires come loose."""
    bus.boards[at].wire = Wire(Weather.DEAF)


def back(bus: ModbusBus, at: int) -> None:
    bus.boards[at].wire = Wire()


def told(at: int, why: Exit) -> Frame:
    return Frame(Kind.PART, at, 1 | INPUTS << 8, UNITS[at] | why << 8)


@contextmanager
def on_bus(folder: Path) -> Iterator[tuple[ModbusBus, Rig]]:
    bus = ModbusBus(INPUTS, 1, folder / "relays", UNITS)
    with answering(bus, bus_settings(bus.path)) as rig:
        yield bus, rig


@contextmanager
def guarded(folder: Path) -> Iterator[tuple[ModbusBus, Guard]]:
    with on_bus(folder) as (bus, rig):
        guard = Guard(rig.settings).ready()
        yield bus, guard
        guard.end()


def told_next(guard: Guard) -> Frame:
    """What the guard says next besides of contacts."""
    while (frame := guard.next()).kind is Kind.INPUT:
        pass
    return frame


def test_a_board_that_falls_silent_is_gone_alone_and_the_other_goes_on(tmp_path: Path) -> None:
    with guarded(tmp_path) as (bus, guard):
        silent(bus, 1)
        assert told_next(guard) == told(1, Exit.DEVICE_GONE)
        guard.send(pulse(1, 300, 7), pulse(0, 100, 8))
        assert told_next(guard) == Frame(Kind.REFUSED, 1, 0, 7)
        assert told_next(guard) == Frame(Kind.ACK, 0, 0, 8)
        assert told_next(guard) == Frame(Kind.ENDED, 0, 0, 8)
        # Its contacts are told while the other one is not there.
        bus.drive(2, active=True)
        while (frame := guard.next()).kind is not Kind.INPUT or (frame.line, frame.ms) != (2, 1):
            pass
        assert bus.crowded == 0


def test_a_board_that_comes_back_has_every_relay_off_before_it_counts(tmp_path: Path) -> None:
    """It was left on by another hand, or kept its level through a cut of the wires."""
    with guarded(tmp_path) as (bus, guard):
        silent(bus, 1)
        assert told_next(guard) == told(1, Exit.DEVICE_GONE)
        bus.switch(1, on=True)
        bus.drive(INPUTS + 1, active=True)
        back(bus, 1)
        assert told_next(guard) == told(1, Exit.CLEAN)
        assert bus.levels == [False, False]
        # Its contacts come as they are found, all of them.
        found: dict[int, int] = {}
        while len(found) < INPUTS:
            frame = guard.next()
            if frame.line >= INPUTS:
                found[frame.line] = frame.ms
        assert found == {line: 2 | (line == INPUTS + 1) for line in range(INPUTS, 2 * INPUTS)}
        guard.send(pulse(1, 100, 9))
        assert told_next(guard) == Frame(Kind.ACK, 1, 0, 9)


def test_a_board_that_is_not_there_at_the_start_holds_up_nobody(tmp_path: Path) -> None:
    with on_bus(tmp_path) as (bus, rig):
        silent(bus, 0)
        guard = Guard(rig.settings).ready()
        assert told_next(guard) == told(0, Exit.DEVICE_GONE)
        guard.send(pulse(1, 100, 3))
        assert told_next(guard) == Frame(Kind.ACK, 1, 0, 3)
        back(bus, 0)
        while (frame := told_next(guard)).kind is not Kind.PART:
            pass
        assert frame == told(0, Exit.CLEAN)
        guard.end()


def test_a_pulse_under_way_is_ended_by_its_board_though_that_is_gone(tmp_path: Path) -> None:
    with guarded(tmp_path) as (bus, guard):
        guard.send(pulse(1, 1000, 5))
        assert told_next(guard) == Frame(Kind.ACK, 1, 0, 5)
        silent(bus, 1)
        assert told_next(guard) == told(1, Exit.DEVICE_GONE)
        end_s = time.monotonic() + WAIT_S
        while any(bus.levels):
            assert time.monotonic() < end_s
            time.sleep(0.002)  # the board is another thread's; nothing tells of its relays
        assert guard.process.poll() is None


def test_when_the_last_board_is_gone_the_guard_ends_and_says_what_to_check(tmp_path: Path) -> None:
    with guarded(tmp_path) as (bus, guard):
        for at in range(len(UNITS)):
            silent(bus, at)
        assert guard.exit() == Exit.DEVICE_GONE
        complaint = guard.complaint()
        assert "does not answer" in complaint
        assert "A/B wires" in complaint


def test_a_board_whose_inputs_switch_its_relays_is_given_up_alone(tmp_path: Path) -> None:
    with guarded(tmp_path) as (bus, guard):
        bus.boards[1].linked = True
        frame = guard.next()
        while frame.kind is not Kind.PART:
            bus.drive(INPUTS, active=True)  # the contact chatters, and the relay with it
            guard.send(Frame(Kind.PING, id=1))
            frame = guard.next()
        assert frame == told(1, Exit.DEVICE_MISBEHAVED)
        guard.send(pulse(0, 100, 4))
        while (frame := told_next(guard)).kind is Kind.PONG:
            pass
        assert frame == Frame(Kind.ACK, 0, 0, 4)


def test_everything_off_is_confirmed_only_where_every_board_said_so(tmp_path: Path) -> None:
    with guarded(tmp_path) as (bus, guard):
        guard.send(pulse(0, 1000, 1), pulse(1, 1000, 2))
        assert [told_next(guard).kind for _ in range(2)] == [Kind.ACK, Kind.ACK]
        silent(bus, 1)
        guard.send(Frame(Kind.OFF, id=3))
        frames = [told_next(guard) for _ in range(3)]
        assert set(frames) == {
            told(1, Exit.DEVICE_GONE),
            Frame(Kind.REFUSED, 0, 0, 3),
            Frame(Kind.ENDED, 0, 0, 1),
        }
        assert not bus.levels[0]


def test_boards_take_turns_and_one_question_is_on_the_bus_at_a_time(tmp_path: Path) -> None:
    with on_bus(tmp_path) as (bus, rig):
        outputs = rig.make()
        assert isinstance(outputs, Sensing)
        outputs.open()
        before = [board.polls for board in bus.boards]
        for _ in range(LOOKS):
            outputs.look()
        asked = [board.polls - first for board, first in zip(bus.boards, before, strict=True)]
        assert min(asked) >= LOOKS // 2 - 2
        assert bus.crowded == 0
        outputs.close()


def test_whoever_switches_all_off_is_told_which_board_did_not_hear(tmp_path: Path) -> None:
    with on_bus(tmp_path) as (bus, rig):
        silent(bus, 1)
        bus.switch(0, on=True)
        with pytest.raises(DeviceGone, match=f"unit {UNITS[1]} ") as failed:
            all_off(rig.settings, wait_s=0.0)
        assert failed.value.hint
        assert not bus.levels[0]
        back(bus, 1)
        assert f"units {UNITS[0]}, {UNITS[1]}" in all_off(rig.settings)


async def test_the_lane_hears_which_board_it_is_and_what_to_check(tmp_path: Path) -> None:
    parts: asyncio.Queue[BoardPart] = asyncio.Queue()
    refused: asyncio.Queue[int] = asyncio.Queue()
    faults: list[DriverError] = []
    with on_bus(tmp_path) as (bus, rig):
        events = GuardEvents(part=parts.put_nowait, refused=refused.put_nowait, fault=faults.append)
        link = GuardLink(argv(rig.settings), events)
        task = asyncio.create_task(link.run())
        silent(bus, 1)
        async with asyncio.timeout(WAIT_S):
            part = await parts.get()
            assert (part.unit, part.relays, part.inputs) == (UNITS[1], range(1, 2), range(INPUTS, 2 * INPUTS))
            assert isinstance(part.error, DeviceGone)
            assert f"unit {UNITS[1]}" in str(part.error)
            assert "A/B" in part.error.hint
            number = link.pulse(1, 300)
            assert await refused.get() == number
            back(bus, 1)
            assert (await parts.get()).error is None
        assert not faults
        task.cancel()
        await asyncio.wait([task])


def test_a_relay_that_is_on_is_never_told_to_stay_on_past_the_longest_pulse(tmp_path: Path) -> None:
    """The board's own timer holds where the guard is killed: so it is set to what is left, and rounded down."""
    board = ModbusBoard(0, LINES, tmp_path / "relays")
    with Service(board):
        outputs = ModbusOutputs(ModbusRelayBoard(board.path, LINES))
        outputs.open()
        for duration_ms in (250, 250, 99):
            outputs.pulse(1, duration_ms)
        assert list(board.flashed) == [(1, 3), (1, 2)]
        outputs.set(1, False)
        outputs.pulse(1, 30)
        assert board.flashed[-1] == (1, 1)
        outputs.close()
    board.close()


def test_a_second_pulse_gives_the_board_no_longer_than_is_left_of_the_first(tmp_path: Path) -> None:
    bus = ModbusBus(0, 1, tmp_path / "relays", UNITS)
    with answering(bus, bus_settings(bus.path, pulse_ms_max=1000)) as rig:
        options = {**rig.settings.options, "inputs": 0}
        guard = Guard(replace(rig.settings, options=options)).ready()
        guard.send(pulse(1, 1000, 1))
        assert told_next(guard).kind is Kind.ACK
        guard.send(pulse(1, 1000, 2))
        assert told_next(guard).kind is Kind.ACK
        first, *later = bus.boards[1].flashed
        assert first == (0, 10)
        assert all(units < 10 for _, units in later)
        guard.end()


@pytest.mark.parametrize("why", [Exit.CLEAN, Exit.DEVICE_GONE, Exit.DEVICE_MISBEHAVED, Exit.MISCONFIGURED])
def test_how_a_board_is_goes_over_the_pipe(why: Exit) -> None:
    part = BoardPart(247, range(64, 96), range(16, 24))
    assert part_of(part_frame(2, part, why)) == (part, why)


def test_a_reason_that_is_none_is_malformed() -> None:
    with pytest.raises(Malformed):
        part_of(Frame(Kind.PART, 0, 1, 99 << 8))
