"""One suite over every input driver, each against its simulated device over the real transport."""

import asyncio
import os
import select
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from drivers.base import (
    DeviceGone,
    DeviceMisbehaved,
    EmitInput,
    InputChanged,
    Inputs,
    InputsLost,
    Misconfigured,
    Opened,
)
from drivers.guard import GuardSettings
from drivers.guard_link import GuardEvents, GuardLink
from drivers.inputs.gpio import GpioInputs, input_line
from drivers.inputs.modbus import REPLY_TIMEOUT_S, ModbusInputs, ModbusLine
from drivers.inputs.modbus import ModbusBoard as BoardSettings
from drivers.sims.gpio_chip import SimChip, SimChips
from drivers.sims.modbus_board import ModbusBoard, Noise
from drivers.sims.modbus_bus import ModbusBus
from drivers.sims.numato_module import NumatoModule
from drivers.transport.gpiochip import Bias
from edge.board_inputs import BoardInputs

WAIT_S = 5.0


@dataclass
class Rig:
    """Line 0 is active-high, line 1 a contact to ground (active-low); both open at the start."""

    make: Callable[[], Inputs]
    contact: Callable[[int, bool], None]
    """The world closes (True) or opens the contact of a line."""
    unplug: Callable[[], None]
    plug: Callable[[], None]


def gpio_rig(folder: Path) -> tuple[Rig, Callable[[], None]]:
    chips: list[SimChip] = []

    def plug() -> None:
        chips.append(SimChip(str(folder), "header", 28, pulled_high=(23,)))

    def contact(line: int, closed: bool) -> None:
        chips[-1].drive((22, 23)[line], high=closed if line == 0 else not closed)

    def close() -> None:
        for chip in chips:
            chip.close()

    def unplug() -> None:
        chips[-1].unplug()

    plug()
    lines = [
        input_line(22, active_low=False, bias=Bias.PULL_DOWN),
        input_line(23, active_low=True, bias=Bias.PULL_UP),
    ]
    return Rig(lambda: GpioInputs(SimChips(str(folder)), "header", lines), contact, unplug, plug), close


def modbus_rig(folder: Path) -> tuple[Rig, Callable[[], None]]:
    board = ModbusBoard(inputs=8, coils=0, link=folder / "board", unit=3)
    board.attach(asyncio.get_running_loop())
    board.drive(6, active=True)

    def contact(line: int, closed: bool) -> None:
        board.drive((2, 6)[line], active=closed if line == 0 else not closed)

    lines = [ModbusLine(2, active_low=False), ModbusLine(6, active_low=True)]
    settings = BoardSettings(board.path, lines, unit=3, poll_ms=2, debounce_ms=4)
    return Rig(lambda: ModbusInputs(settings), contact, board.unplug, board.plug), board.close


def modbus_bus_rig(folder: Path) -> tuple[Rig, Callable[[], None]]:
    """One contact on each of two boards that share a bus."""
    bus = ModbusBus(1, 0, folder / "bus", (3, 5))
    bus.attach(asyncio.get_running_loop())
    bus.drive(1, active=True)

    def contact(line: int, closed: bool) -> None:
        bus.drive(line, active=closed if line == 0 else not closed)

    lines = [ModbusLine(0, active_low=False), ModbusLine(0, active_low=True)]
    settings = BoardSettings(bus.path, lines, units=(3, 5), poll_ms=2, debounce_ms=4)
    return Rig(lambda: ModbusInputs(settings), contact, bus.unplug, bus.plug), bus.close


class OnRelayBoard:
    """Contacts of a relay board: its guard, a real process, owns the port and tells of them."""

    def __init__(self, settings: GuardSettings, active_low: tuple[int, ...]) -> None:
        self._settings = settings
        self._active_low = active_low

    async def run(self, emit: EmitInput) -> NoReturn:
        inputs = BoardInputs()
        inputs.wired(self._active_low)
        events = GuardEvents(
            ready=lambda _lines: inputs.opened("contacts"), fault=inputs.lost, contact=inputs.changed
        )
        argv = [sys.executable, "-m", "drivers.guard", self._settings.to_json()]
        link = asyncio.create_task(GuardLink(argv, events).run())
        try:
            await inputs.run(emit)
        finally:
            link.cancel()
            await asyncio.wait([link])


def relay_modbus_rig(folder: Path) -> tuple[Rig, Callable[[], None]]:
    board = ModbusBoard(inputs=2, coils=1, link=folder / "board")
    board.attach(asyncio.get_running_loop())
    return relay_rig("modbus", board)


def relay_numato_rig(folder: Path) -> tuple[Rig, Callable[[], None]]:
    module = NumatoModule(1, folder / "module")
    module.attach(asyncio.get_running_loop())
    return relay_rig("numato", module)


def relay_rig(driver: str, board: ModbusBoard | NumatoModule) -> tuple[Rig, Callable[[], None]]:
    options = {"path": board.path, "lines": 1, "inputs": 2, "poll_ms": 2, "debounce_ms": 4}
    settings = GuardSettings(driver, options, open_wait_s=0.0)
    board.drive(1, active=True)

    def contact(line: int, closed: bool) -> None:
        board.drive(line, active=closed if line == 0 else not closed)

    return Rig(lambda: OnRelayBoard(settings, (1,)), contact, board.unplug, board.plug), board.close


@pytest.fixture(
    params=[gpio_rig, modbus_rig, modbus_bus_rig, relay_modbus_rig, relay_numato_rig],
    ids=["gpio", "modbus", "modbus bus", "relay-modbus", "relay-numato"],
)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    rig, close = request.param(tmp_path)
    yield rig
    close()


Events = asyncio.Queue[InputChanged | Opened | InputsLost]


@asynccontextmanager
async def running(inputs: Inputs) -> AsyncIterator[tuple[Events, asyncio.Task[None]]]:
    events: Events = asyncio.Queue()
    task = asyncio.create_task(inputs.run(events.put_nowait))
    try:
        yield events, task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def changed(events: Events) -> tuple[int, bool]:
    async with asyncio.timeout(WAIT_S):
        event = await events.get()
    assert isinstance(event, InputChanged)
    return event.line, event.active


async def opened(events: Events) -> None:
    async with asyncio.timeout(WAIT_S):
        event = await events.get()
    assert isinstance(event, Opened)
    assert event.what


async def failure(task: "asyncio.Task[None]") -> BaseException | None:
    async with asyncio.timeout(WAIT_S):
        await asyncio.wait([task])
    return task.exception()


async def test_it_is_an_input(rig: Rig) -> None:
    assert isinstance(rig.make(), Inputs)


async def test_first_it_is_open_then_each_level_once(rig: Rig) -> None:
    rig.contact(1, True)
    async with running(rig.make()) as (events, _):
        await opened(events)
        assert [await changed(events), await changed(events)] == [(0, False), (1, True)]
        rig.contact(0, True)
        assert await changed(events) == (0, True)
        assert events.empty()


@pytest.mark.parametrize("line", [0, 1])
async def test_each_change_is_told_with_polarity_and_rising_time(rig: Rig, line: int) -> None:
    async with running(rig.make()) as (events, _):
        await opened(events)
        first = [await events.get(), await events.get()]
        last = max(e.at_ns for e in first if isinstance(e, InputChanged))
        for active in (True, False, True):
            rig.contact(line, active)
            async with asyncio.timeout(WAIT_S):
                event = await events.get()
            assert isinstance(event, InputChanged)
            assert (event.line, event.active) == (line, active)
            assert event.at_ns >= last
            last = event.at_ns


async def test_an_absent_device_is_gone(rig: Rig) -> None:
    rig.unplug()
    async with running(rig.make()) as (events, task):
        error = await failure(task)
        assert isinstance(error, DeviceGone)
        assert error.hint
        assert events.empty()


async def test_pulled_out_it_is_gone_and_runs_again_when_back(rig: Rig) -> None:
    inputs = rig.make()
    async with running(inputs) as (events, task):
        await opened(events)
        await changed(events)
        await changed(events)
        rig.unplug()
        assert isinstance(await failure(task), DeviceGone)
    rig.plug()
    async with running(inputs) as (events, task):
        await opened(events)
        assert {(await changed(events))[0], (await changed(events))[0]} == {0, 1}


async def test_cancelled_it_gives_the_device_back(rig: Rig) -> None:
    async with running(rig.make()) as (events, _):
        await opened(events)
    async with running(rig.make()) as (events, _):
        await opened(events)


async def test_a_second_owner_is_kept_out(rig: Rig) -> None:
    async with running(rig.make()) as (events, _):
        await opened(events)
        async with running(rig.make()) as (_, second):
            error = await failure(second)
            assert isinstance(error, DeviceGone)
            assert error.hint


async def test_gpio_looks_again_where_edges_were_lost(tmp_path: Path) -> None:
    """A full buffer loses the last edges, here that of the second line: the level is looked at, not believed."""
    chip = SimChip(str(tmp_path), "header", 4)
    lines = [input_line(o, active_low=False, bias=Bias.AS_IS, debounce_ms=0) for o in (0, 1)]
    async with running(GpioInputs(SimChips(str(tmp_path)), "header", lines)) as (events, _):
        await opened(events)
        assert [await changed(events), await changed(events)] == [(0, False), (1, False)]
        chip.lose_edges(1)
        chip.drive(1, high=True)
        chip.drive(0, high=True)
        assert {await changed(events), await changed(events)} == {(0, True), (1, True)}
    chip.close()


async def test_gpio_ends_by_a_defect_in_who_listens(tmp_path: Path) -> None:
    chip = SimChip(str(tmp_path), "header", 4)
    line = input_line(0, active_low=False, bias=Bias.AS_IS, debounce_ms=0)

    def emit(event: InputChanged | Opened | InputsLost) -> None:
        if isinstance(event, InputChanged):
            if not event.first:
                raise ZeroDivisionError
            chip.drive(0, high=True)

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(GpioInputs(SimChips(str(tmp_path)), "header", [line]).run(emit), WAIT_S)
    chip.close()


@asynccontextmanager
async def modbus(folder: Path) -> AsyncIterator[tuple[ModbusBoard, ModbusInputs]]:
    board = ModbusBoard(inputs=1, coils=0, link=folder / "board")
    board.attach(asyncio.get_running_loop())
    yield (
        board,
        ModbusInputs(BoardSettings(board.path, [ModbusLine(0, active_low=False)], poll_ms=1, debounce_ms=1)),
    )
    board.close()


@pytest.mark.parametrize(("noise", "kind"), [(Noise.SILENT, DeviceGone), (Noise.CORRUPT, DeviceMisbehaved)])
async def test_modbus_bears_noise_up_to_a_limit(tmp_path: Path, noise: Noise, kind: type[Exception]) -> None:
    async with modbus(tmp_path) as (board, inputs), running(inputs) as (events, task):
        await opened(events)
        await changed(events)
        board.noise = noise
        error = await failure(task)
        assert isinstance(error, kind)
        assert inputs.misses + inputs.garbled == {Noise.SILENT: 8, Noise.CORRUPT: 20}[noise]


async def test_modbus_reads_through_turn_round_noise(tmp_path: Path) -> None:
    async with modbus(tmp_path) as (board, inputs), running(inputs) as (events, _):
        board.noise = Noise.PREFIXED
        await opened(events)
        assert await changed(events) == (0, False)
        board.drive(0, active=True)
        assert await changed(events) == (0, True)


async def test_modbus_one_bad_answer_is_no_change_and_no_failure(tmp_path: Path) -> None:
    async with modbus(tmp_path) as (board, inputs), running(inputs) as (events, _):
        await opened(events)
        assert await changed(events) == (0, False)
        noises = iter([Noise.CORRUPT, Noise.NONE])
        clean = asyncio.Event()

        def next_noise() -> None:
            board.noise = next(noises, Noise.NONE)
            if board.noise is Noise.NONE:
                clean.set()

        board.on_request = next_noise
        async with asyncio.timeout(WAIT_S):
            await clean.wait()
        assert inputs.garbled == 1
        board.drive(0, active=True)
        assert await changed(events) == (0, True)
        assert events.empty()


class TurnedLoop(asyncio.SelectorEventLoop):
    """A loop whose time is ahead by what it was turned."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


def test_modbus_an_answer_that_was_in_time_counts_though_the_loop_is_late(tmp_path: Path) -> None:
    loop = TurnedLoop()

    async def late_at_each_answer() -> None:
        async with modbus(tmp_path) as (board, inputs):
            end = os.open(board.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            answer = board.service

            def service() -> None:
                answer()
                select.select([end], [], [], WAIT_S)
                loop.ahead_s += 10 * REPLY_TIMEOUT_S

            loop.add_reader(board.port.fileno(), service)
            try:
                async with running(inputs) as (events, _):
                    await opened(events)
                    assert await changed(events) == (0, False)
                    assert (inputs.misses, loop.ahead_s > 0) == (0, True)
            finally:
                os.close(end)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(late_at_each_answer())


async def test_a_board_of_a_bus_that_falls_silent_is_told_alone_and_seen_again(tmp_path: Path) -> None:
    bus = ModbusBus(2, 0, tmp_path / "bus", (3, 5))
    bus.attach(asyncio.get_running_loop())
    lines = [ModbusLine(at % 2, active_low=False) for at in range(4)]
    inputs = ModbusInputs(BoardSettings(bus.path, lines, units=(3, 5), poll_ms=2, debounce_ms=0))
    async with running(inputs) as (events, task):
        await opened(events)
        assert [await changed(events) for _ in range(4)] == [(line, False) for line in range(4)]
        bus.boards[1].noise = Noise.SILENT
        lost = await asyncio.wait_for(events.get(), WAIT_S)
        assert isinstance(lost, InputsLost)
        assert (lost.lines, "unit 5" in str(lost.error)) == (range(2, 4), True)
        bus.drive(1, active=True)
        assert await changed(events) == (1, True)
        bus.drive(2, active=True)
        bus.boards[1].noise = Noise.NONE
        await opened(events)
        again = [await asyncio.wait_for(events.get(), WAIT_S) for _ in range(2)]
        assert all(isinstance(one, InputChanged) and one.first for one in again)
        assert [(one.line, one.active) for one in again if isinstance(one, InputChanged)] == [
            (2, True),
            (3, False),
        ]
        for board in bus.boards:
            board.noise = Noise.SILENT
        assert isinstance(await asyncio.wait_for(events.get(), WAIT_S), InputsLost)
        assert isinstance(await failure(task), DeviceGone)
    bus.close()


async def test_modbus_a_refusal_is_for_a_person(tmp_path: Path) -> None:
    async with modbus(tmp_path) as (board, _):
        inputs = ModbusInputs(BoardSettings(board.path, [ModbusLine(5, active_low=False)]))
        async with running(inputs) as (_, task):
            assert isinstance(await failure(task), Misconfigured)


@pytest.mark.parametrize(
    "settings",
    [
        BoardSettings("x", []),
        BoardSettings("x", [ModbusLine(0, active_low=False)] * 2),
        BoardSettings("x", [ModbusLine(0, active_low=False)], unit=0),
        BoardSettings("x", [ModbusLine(-1, active_low=False)]),
        BoardSettings("x", [ModbusLine(0, active_low=False), ModbusLine(64, active_low=False)]),
        BoardSettings("x", [ModbusLine(0, active_low=False)], poll_ms=0),
        BoardSettings("x", [ModbusLine(0, active_low=False)] * 3, units=(1, 2)),
        BoardSettings("x", [ModbusLine(0, active_low=False)] * 2, units=(1, 1)),
    ],
)
def test_modbus_settings_that_cannot_work(settings: BoardSettings) -> None:
    with pytest.raises(Misconfigured) as wrong:
        ModbusInputs(settings)
    assert wrong.value.hint
