"""The relay guard as a real process over every kind of board: killed, asked, unplugged and plugged in again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.base import DeviceGone, DriverError, InputChanged, Misconfigured
from drivers.framing.guard import Exit, Frame, Kind
from drivers.guard import GuardSettings
from drivers.guard_link import GuardEvents, GuardLink
from drivers.sims.modbus_board import ModbusBoard
from drivers.sims.weather import Weather
from tests.drivers.output_rig import LINES, RIGS, Rig, answering, modbus_settings
from tests.drivers.test_guard import WAIT_S, Guard, argv, pulse

GONE_S, READY_S = 1.0, 2.0
"""Issue: unplug to gone, replug to ready."""


def until_off(rig: Rig, limit_s: float) -> float:
    began_s = time.monotonic()
    while any(rig.levels()):
        assert time.monotonic() - began_s < limit_s, "a relay is still on"
        time.sleep(0.002)  # the board is another thread's; nothing tells of its relays
    return time.monotonic() - began_s


@pytest.mark.parametrize("name", RIGS)
def test_killed_in_a_pulse_it_is_off_within_the_longest_pulse(name: str, tmp_path: Path) -> None:
    """The board's own timer ends it, or else the guard that is started next."""
    with RIGS[name](tmp_path) as rig:
        guard = Guard(rig.settings)
        guard.ready().send(pulse(1, 400))
        while guard.next() != Frame(Kind.ACK, 1, 0, 1):
            pass
        assert rig.levels() == [False, True]
        guard.process.kill()
        guard.end()
        again = None
        if not rig.make().own_timer:
            assert rig.levels() == [False, True], "the board must latch, else this test shows nothing"
            again = Guard(rig.settings)
        until_off(rig, 1.0)
        if again is not None:
            again.end()


def test_a_board_s_contacts_are_told_through_the_guard(tmp_path: Path) -> None:
    board = ModbusBoard(8, LINES, tmp_path / "relays", unit=3)
    board.drive(2, active=True)
    with answering(board, modbus_settings(board.path)) as rig:
        guard = Guard(rig.settings).ready()
        first = [guard.next() for _ in range(8)]
        assert [(one.kind, one.line, one.ms) for one in first] == [
            (Kind.INPUT, line, 2 | (line == 2)) for line in range(8)
        ]
        board.drive(5, active=True)
        told = guard.next()
        assert (told.kind, told.line, told.ms) == (Kind.INPUT, 5, 1)
        # A pulse between two looks, and the contacts go on being told.
        guard.send(pulse(0, 50))
        assert [guard.next().kind, guard.next().kind] == [Kind.ACK, Kind.ENDED]
        board.drive(2, active=False)
        told = guard.next()
        assert (told.kind, told.line, told.ms) == (Kind.INPUT, 2, 0)
        guard.end()


def test_a_board_that_falls_silent_ends_the_guard_within_a_second(tmp_path: Path) -> None:
    """Its supply fails or its A/B wires come loose: the USB adapter says nothing of it."""
    with RIGS["modbus"](tmp_path) as rig:
        guard = Guard(rig.settings).ready()
        assert rig.board is not None
        rig.board.wire.weather = Weather.DEAF
        began_s = time.monotonic()
        while (frame := guard.next()).kind is Kind.INPUT:
            pass
        assert frame == Frame(Kind.FAULT, line=Exit.DEVICE_GONE)
        assert time.monotonic() - began_s < GONE_S + 0.3  # all off is tried once more before it is told
        assert guard.exit() == Exit.DEVICE_GONE
        assert "A/B wires" in guard.complaint()
        guard.end()


def test_inputs_that_switch_relays_by_themselves_are_given_up(tmp_path: Path) -> None:
    board = ModbusBoard(8, LINES, tmp_path / "relays", unit=3)
    board.linked = True
    with answering(board, modbus_settings(board.path)) as rig:
        guard = Guard(rig.settings).ready()
        switching = True
        while switching:
            board.drive(1, active=True)  # the contact chatters, and the relay with it
            switching = guard.process.poll() is None
            time.sleep(0.005)
        assert guard.process.returncode == Exit.DEVICE_MISBEHAVED
        assert "0x1000" in guard.complaint()
        guard.end()


def test_the_wrong_one_of_two_boards_is_gone_and_nothing_is_switched(tmp_path: Path) -> None:
    """Two of a kind swapped between ports: each has an address of its own, and hears only that."""
    swapped = ModbusBoard(8, LINES, tmp_path / "relays", unit=4)
    with answering(swapped, modbus_settings(swapped.path)) as rig:
        guard = Guard(replace(rig.settings, open_wait_s=0.0))
        assert guard.exit() == Exit.DEVICE_GONE
        assert "unit" in guard.complaint()
        assert rig.turned_on() == []
        guard.end()


class Told:
    def __init__(self) -> None:
        self.ready: asyncio.Queue[int] = asyncio.Queue()
        self.faults: asyncio.Queue[DriverError] = asyncio.Queue()
        self.contacts: asyncio.Queue[InputChanged] = asyncio.Queue()


@asynccontextmanager
async def linked(settings: GuardSettings) -> AsyncIterator[tuple[Told, GuardLink]]:
    told = Told()
    events = GuardEvents(
        ready=told.ready.put_nowait, fault=told.faults.put_nowait, contact=told.contacts.put_nowait
    )
    link = GuardLink(argv(settings), events)
    task = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(WAIT_S):
            await told.ready.get()
        yield told, link
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("name", [name for name in RIGS if name != "gpio"])
async def test_unplugged_it_is_gone_within_a_second_and_ready_again_within_two(
    name: str, tmp_path: Path
) -> None:
    with RIGS[name](tmp_path) as rig:
        async with linked(rig.settings) as (told, _):
            began_s = time.monotonic()
            rig.unplug()
            async with asyncio.timeout(WAIT_S):
                error = await told.faults.get()
            assert isinstance(error, DeviceGone)
            assert error.hint
            assert time.monotonic() - began_s < GONE_S
            began_s = time.monotonic()
            rig.plug()
            async with asyncio.timeout(WAIT_S):
                await told.ready.get()
            assert time.monotonic() - began_s < READY_S


async def test_a_contact_reaches_the_lane_with_the_time_it_was_seen(tmp_path: Path) -> None:
    board = ModbusBoard(1, LINES, tmp_path / "relays")
    options = {"path": board.path, "lines": LINES, "inputs": 1, "poll_ms": 2, "debounce_ms": 40}
    with answering(board, GuardSettings("modbus", options)):
        async with linked(GuardSettings("modbus", options)) as (told, _), asyncio.timeout(WAIT_S):
            first = await told.contacts.get()
            assert (first.line, first.active, first.first) == (0, False, True)
            driven_ns = time.monotonic_ns()
            board.drive(0, active=True)
            change = await told.contacts.get()
            assert (change.line, change.active, change.first) == (0, True, False)
            # Debounced for 40 ms, and yet stamped with when it was first seen.
            assert change.at_ns - driven_ns < 40_000_000


async def test_a_board_without_flash_on_is_for_a_person(tmp_path: Path) -> None:
    board = ModbusBoard(0, LINES, tmp_path / "relays", flashes=False)
    settings = GuardSettings("modbus", {"path": board.path, "lines": LINES})
    with answering(board, settings):
        async with linked(settings) as (told, link), asyncio.timeout(WAIT_S):
            link.pulse(0, 300)
            error = await told.faults.get()
    assert isinstance(error, Misconfigured)
    assert "flash = false" in error.hint
