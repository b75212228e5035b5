"""The relay guard as a real process, against the latching LCUS board over a real pty (and GPIO that persists)."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Misconfigured
from drivers.framing.guard import FRAME_BYTES, Exit, Frame, Frames, Kind, encode
from drivers.guard import GuardSettings, all_off, settings_from_json
from drivers.guard_link import GuardEvents, GuardLimits, GuardLink, GuardState
from drivers.pulses import PULSE_MS_LONGEST
from drivers.sims.gpio_chip import SimChip
from drivers.sims.lcus_board import LcusBoard, RelayChange

WAIT_S = 3.0
"""Shorter than the longest pulse: a relay that goes off within it was not left to its own deadline."""

LONG_MS = PULSE_MS_LONGEST
ROOT = Path(__file__).parents[2]


def argv(settings: GuardSettings) -> list[str]:
    return [sys.executable, "-m", "drivers.guard", settings.to_json()]


class Guard:
    """A guard started by the test itself; reads its answers with a limit in time."""

    def __init__(self, settings: GuardSettings) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            argv(settings), cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
        )
        self._frames = Frames()
        self._waiting: list[Frame] = []

    def send(self, *frames: Frame) -> None:
        self.raw(b"".join(map(encode, frames)))

    def raw(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)

    def next(self) -> Frame:
        assert self.process.stdout
        while not self._waiting:
            assert select.select([self.process.stdout], [], [], WAIT_S)[0], "the guard says nothing"
            data = os.read(self.process.stdout.fileno(), 4096)
            assert data, "the guard is gone"
            self._waiting = self._frames.feed(data)
        return self._waiting.pop(0)

    def ready(self) -> "Guard":
        assert self.next().kind is Kind.READY
        return self

    def eof(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def exit(self) -> int:
        return self.process.wait(WAIT_S)

    def complaint(self) -> str:
        assert self.process.stderr
        return self.process.stderr.read().decode()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


@pytest.fixture
def board(tmp_path: Path) -> Iterator[LcusBoard]:
    board = LcusBoard(2, tmp_path / "relays")
    yield board
    board.close()


@pytest.fixture
def settings(board: LcusBoard) -> GuardSettings:
    return GuardSettings("lcus", {"path": board.path, "lines": 2}, LONG_MS)


@pytest.fixture
def guard(settings: GuardSettings) -> Iterator[Guard]:
    guard = Guard(settings)
    yield guard
    guard.end()


def pulse(line: int = 0, ms: int = LONG_MS, ident: int = 1) -> Frame:
    return Frame(Kind.PULSE, line, ms, ident)


def on(line: int, board: LcusBoard) -> bool:
    return board.wait_until(lambda b: b.levels[line], WAIT_S)


def off(board: LcusBoard) -> bool:
    return board.wait_until(lambda b: not any(b.levels), WAIT_S)


def test_it_says_how_many_lines_it_has(guard: Guard) -> None:
    assert guard.next() == Frame(Kind.READY, line=2)


def test_a_pulse_is_taken_and_ends_by_itself(guard: Guard, board: LcusBoard) -> None:
    guard.ready().send(pulse(1, 50, 77))
    assert guard.next() == Frame(Kind.ACK, line=1, id=77)
    assert guard.next() == Frame(Kind.ENDED, line=1, id=77)
    assert board.wait_until(lambda b: len(b.changes) == 2, WAIT_S)
    assert [(c.line, c.on) for c in board.changes] == [(1, True), (1, False)]


def test_no_pulse_is_longer_than_the_cap(settings: GuardSettings, board: LcusBoard) -> None:
    guard = Guard(replace(settings, pulse_ms_max=50))
    guard.ready().send(pulse(ms=65_535))
    assert guard.next().kind is Kind.ACK
    assert guard.next().kind is Kind.ENDED
    assert off(board)
    guard.end()


def test_overlapping_pulses_are_one_edge_and_end_together(settings: GuardSettings, board: LcusBoard) -> None:
    guard = Guard(replace(settings, pulse_ms_max=300))
    guard.ready().send(*(pulse(0, 60_000, ident) for ident in (1, 2, 3)))
    assert [guard.next() for _ in range(6)] == [
        *(Frame(Kind.ACK, 0, 0, ident) for ident in (1, 2, 3)),
        *(Frame(Kind.ENDED, 0, 0, ident) for ident in (1, 2, 3)),
    ]
    assert board.wait_until(lambda b: len(b.changes) == 2, WAIT_S)
    assert off(board)
    guard.end()


def test_off_ends_every_pulse(guard: Guard, board: LcusBoard) -> None:
    guard.ready().send(pulse(0, LONG_MS, 1), pulse(1, LONG_MS, 2), Frame(Kind.OFF, id=3))
    assert [guard.next() for _ in range(5)] == [
        Frame(Kind.ACK, 0, 0, 1),
        Frame(Kind.ACK, 1, 0, 2),
        Frame(Kind.ACK, 0, 0, 3),
        Frame(Kind.ENDED, 0, 0, 1),
        Frame(Kind.ENDED, 1, 0, 2),
    ]
    assert off(board)


def test_off_of_one_line_leaves_the_others_on(guard: Guard, board: LcusBoard) -> None:
    guard.ready().send(pulse(0, LONG_MS, 1), pulse(1, LONG_MS, 2), Frame(Kind.OFF_LINE, 0, 0, 3))
    assert [guard.next() for _ in range(4)] == [
        Frame(Kind.ACK, 0, 0, 1),
        Frame(Kind.ACK, 1, 0, 2),
        Frame(Kind.ACK, 0, 0, 3),
        Frame(Kind.ENDED, 0, 0, 1),
    ]
    assert board.wait_until(lambda b: len(b.changes) == 3, WAIT_S)
    assert board.levels[:2] == [False, True]


def test_ping_is_answered_in_order(guard: Guard) -> None:
    guard.ready().send(Frame(Kind.PING, id=5), Frame(Kind.PING, id=65_535))
    assert [guard.next(), guard.next()] == [Frame(Kind.PONG, id=5), Frame(Kind.PONG, id=65_535)]


def test_end_of_file_switches_off(guard: Guard, board: LcusBoard) -> None:
    guard.ready().send(pulse())
    assert on(0, board)
    guard.eof()
    assert off(board)
    assert guard.exit() == Exit.CLEAN


def test_sigterm_switches_off_and_ctrl_c_does_nothing(guard: Guard, board: LcusBoard) -> None:
    guard.ready().send(pulse())
    assert on(0, board)
    guard.process.send_signal(signal.SIGINT)
    guard.send(Frame(Kind.PING))
    assert [guard.next().kind, guard.next().kind] == [Kind.ACK, Kind.PONG]
    assert board.levels[0]
    guard.process.send_signal(signal.SIGTERM)
    assert off(board)
    assert guard.exit() == Exit.CLEAN


GARBAGE = [
    b"GET / HT",
    bytes(FRAME_BYTES),
    b"\n",
    encode(Frame(Kind.READY, 2)),
    encode(pulse(line=2)),
    encode(pulse(ms=0)),
    b"".join(encode(pulse(ident=ident)) for ident in range(40)),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_switches_off_and_ends(guard: Guard, board: LcusBoard, garbage: bytes) -> None:
    guard.ready().send(pulse(1))
    assert guard.next().kind is Kind.ACK
    guard.raw(garbage)
    assert guard.exit() == Exit.MALFORMED
    assert off(board)
    assert "no frame" in guard.complaint()


def test_a_lane_that_reads_no_answers_is_switched_off(guard: Guard, board: LcusBoard) -> None:
    guard.ready().send(pulse())
    assert on(0, board)
    with pytest.raises(BrokenPipeError):  # noqa: PT012 - one of the writes meets the end
        for _ in range(1_000):
            guard.send(*[Frame(Kind.PING)] * 512)
    assert off(board)
    assert guard.exit() == Exit.LANE_STUCK


def test_half_a_frame_and_the_end_is_an_end(guard: Guard, board: LcusBoard) -> None:
    guard.ready().send(pulse())
    assert on(0, board)
    guard.raw(encode(pulse(1))[:5])
    guard.eof()
    assert guard.exit() == Exit.CLEAN
    assert off(board)


LANE = """
import subprocess, sys
from drivers.framing.guard import Frame, Kind, encode
guard = subprocess.Popen([sys.executable, "-m", "drivers.guard", sys.argv[1]], stdin=subprocess.PIPE)
guard.stdin.write(encode(Frame(Kind.PULSE, 0, 5000, 1)))
guard.stdin.flush()
guard.wait()
"""


def test_a_killed_lane_leaves_no_relay_on(settings: GuardSettings, board: LcusBoard) -> None:
    lane = subprocess.Popen(
        [sys.executable, "-c", LANE, settings.to_json()], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        assert on(0, board)
    finally:
        lane.kill()
        lane.wait(WAIT_S)
    assert off(board)


def test_a_killed_lane_whose_pipe_lives_on_leaves_no_relay_on(
    settings: GuardSettings, board: LcusBoard
) -> None:
    """A process that inherited the pipe keeps it from ending; the guard sees that its parent is another."""
    code = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    read_fd, write_fd = os.pipe()
    lane = subprocess.Popen(
        [sys.executable, "-c", code, *argv(settings)], cwd=ROOT, stdin=read_fd, stdout=subprocess.DEVNULL
    )
    os.close(read_fd)
    try:
        os.write(write_fd, encode(pulse()))
        assert on(0, board)
    finally:
        lane.kill()
        lane.wait(WAIT_S)
    assert off(board)
    os.close(write_fd)


def test_a_killed_guard_leaves_it_on_and_the_next_starts_all_off(
    guard: Guard, settings: GuardSettings, board: LcusBoard
) -> None:
    guard.ready().send(pulse(1))
    assert on(1, board)
    guard.process.kill()
    guard.process.wait(WAIT_S)
    board.service()
    assert board.levels[1], "the board must latch, else this test shows nothing"
    again = Guard(settings)
    again.ready()
    assert off(board)
    again.end()


def test_all_off_by_hand(guard: Guard, settings: GuardSettings, board: LcusBoard) -> None:
    guard.ready().send(pulse(1))
    assert on(1, board)
    with pytest.raises(DeviceGone, match="held"):
        all_off(settings, wait_s=0)
    guard.process.kill()
    guard.process.wait(WAIT_S)
    assert "LCUS-2" in all_off(settings)
    assert off(board)


@pytest.mark.parametrize("while_on", [False, True])
def test_a_board_that_takes_no_more_ends_the_guard(
    guard: Guard, settings: GuardSettings, board: LcusBoard, while_on: bool
) -> None:
    guard.ready()
    assert board.wait_until(lambda b: b.commands == 2, WAIT_S)
    if while_on:
        guard.send(pulse(ms=300))
        assert on(0, board)
    board.hang()
    if not while_on:
        guard.send(pulse())
    assert guard.exit() == Exit.DEVICE_MISBEHAVED
    assert "Unplug" in guard.complaint()
    assert board.levels[0] is while_on
    board.recover()
    again = Guard(settings)
    again.ready()
    assert off(board)
    again.end()


def test_a_board_unplugged_while_idle_ends_the_guard(guard: Guard, board: LcusBoard) -> None:
    guard.ready()
    board.unplug()
    assert guard.next() == Frame(Kind.FAULT, line=Exit.DEVICE_GONE)
    assert guard.exit() == Exit.DEVICE_GONE
    assert "cable" in guard.complaint()


def test_gpio_that_persists_is_off_after_a_killed_guard_s_successor(tmp_path: Path) -> None:
    chip = SimChip(str(tmp_path), "header", 28, pulled_high=(17,))
    options = {"chip": "header", "offsets": [17], "active_low": True, "sim": str(tmp_path)}
    settings = GuardSettings("gpio", options, LONG_MS)
    guard = Guard(settings)
    guard.ready().send(pulse())
    assert guard.next().kind is Kind.ACK
    guard.process.kill()
    guard.end()
    assert not chip.is_high(17), "the chip must persist, else this test shows nothing"
    again = Guard(settings)
    again.ready()
    assert chip.is_high(17)
    again.end()
    chip.close()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", Exit.MISCONFIGURED),
        ("{}", Exit.MISCONFIGURED),
        ('{"driver": "gipo"}', Exit.MISCONFIGURED),
        ('{"driver": "lcus", "options": {"path": "/nowhere/relays", "lines": 2}}', Exit.DEVICE_GONE),
    ],
)
def test_what_cannot_start_says_why(text: str, code: Exit) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drivers.guard", text],
        cwd=ROOT,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == code
    assert b'"hint": ' in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize("cap", [0, PULSE_MS_LONGEST + 1, "300"])
def test_the_cap_has_bounds(cap: object) -> None:
    text = GuardSettings("lcus").to_json().replace("1000", repr(cap).replace("'", '"'))
    with pytest.raises(Misconfigured):
        settings_from_json(text)


LIMITS = GuardLimits(ping_every_s=0.05, pong_s=0.5, backoff_s=(0.0, 0.05))


class Told:
    """What a lane was told, each in a queue."""

    def __init__(self) -> None:
        self.ready: asyncio.Queue[int] = asyncio.Queue()
        self.acks: asyncio.Queue[int] = asyncio.Queue()
        self.ended: asyncio.Queue[int] = asyncio.Queue()
        self.faults: asyncio.Queue[DriverError] = asyncio.Queue()
        self.relays: asyncio.Queue[RelayChange] = asyncio.Queue()

    def events(self) -> GuardEvents:
        return GuardEvents(
            self.ready.put_nowait, self.acks.put_nowait, self.ended.put_nowait, self.faults.put_nowait
        )


T = TypeVar("T")


async def soon(queue: "asyncio.Queue[T]") -> T:
    async with asyncio.timeout(WAIT_S):
        return await queue.get()


@asynccontextmanager
async def linked(folder: Path) -> AsyncIterator[tuple[GuardLink, LcusBoard, Told, asyncio.Task[None]]]:
    told = Told()
    board = LcusBoard(2, folder / "relays", told.relays.put_nowait)
    board.attach(asyncio.get_running_loop())
    settings = GuardSettings("lcus", {"path": board.path, "lines": 2}, LONG_MS, open_wait_s=0.1)
    link = GuardLink(argv(settings), told.events(), LIMITS)
    task = asyncio.create_task(link.run())
    try:
        assert await soon(told.ready) == 2
        yield link, board, told, task
    finally:
        task.cancel()
        await asyncio.wait([task])
        board.close()


async def test_link_a_pulse_from_call_to_end(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _, told, _):
        assert link.state is GuardState.READY
        before = time.monotonic_ns()
        ident = link.pulse(1, 50)
        assert await soon(told.acks) == ident
        change = await soon(told.relays)
        assert (change.line, change.on) == (1, True)
        assert change.at_ns > before
        assert await soon(told.ended) == ident
        assert not (await soon(told.relays)).on
        assert link.pulse(0, 50) != ident


async def test_link_a_held_pulse_is_sent_once_by_any_thread(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _, told, _):
        held, dropped = link.hold(1, LONG_MS), link.hold(0, LONG_MS)
        assert dropped.drop()
        for one in (held, held, dropped):
            await asyncio.to_thread(one.send, 7)
        assert await soon(told.acks) == held.id
        assert (held.sent_ns, dropped.sent_ns, held.drop()) == (7, 0, False)
        change = await soon(told.relays)
        assert (change.line, change.on) == (1, True)
        assert told.relays.empty()


async def test_link_a_held_pulse_does_not_outlive_its_guard(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _, told, _):
        held = link.hold(1, LONG_MS)
        assert link.pid is not None
        os.kill(link.pid, signal.SIGKILL)
        await soon(told.faults)
        assert await soon(told.ready) == link.lines
        await asyncio.to_thread(held.send, 7)
        assert held.drop(), "it was not sent to the next guard"
        later = link.pulse(0, LONG_MS)
        assert await soon(told.acks) == later
        change = await soon(told.relays)
        assert (change.line, change.on) == (0, True)


async def test_link_end_switches_off_and_reaps(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _, told, task):
        pid = link.pid
        assert pid
        link.pulse(0, LONG_MS)
        assert (await soon(told.relays)).on
        task.cancel()
        async with asyncio.timeout(WAIT_S):
            await asyncio.wait([task])
        assert not (await soon(told.relays)).on
        assert link.state is GuardState.DOWN
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        with pytest.raises(DeviceGone):
            link.pulse(0, 300)


async def test_link_a_killed_guard_is_back_all_off(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _, told, _):
        assert link.pulse(0, LONG_MS) == await soon(told.acks)
        assert (await soon(told.relays)).on
        assert link.pid
        os.kill(link.pid, signal.SIGKILL)
        fault: DriverError = await soon(told.faults)
        assert isinstance(fault, DeviceGone)
        with pytest.raises(DeviceGone):
            link.pulse(0, 300)
        assert await soon(told.ready) == 2
        assert not (await soon(told.relays)).on
        assert link.starts == 2
        assert link.fault is None
        assert told.ended.empty()
        assert link.pulse(1, 50) == await soon(told.acks)


async def test_link_a_guard_that_hangs_is_killed_and_is_back_all_off(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _, told, _):
        link.pulse(0, LONG_MS)
        assert (await soon(told.relays)).on
        assert link.pid
        os.kill(link.pid, signal.SIGSTOP)
        fault: DriverError = await soon(told.faults)
        assert isinstance(fault, DeviceMisbehaved)
        assert await soon(told.ready) == 2
        assert not (await soon(told.relays)).on


async def test_link_a_guard_that_never_starts_is_a_fault() -> None:
    told = Told()
    argv_ = [sys.executable, "-c", "import signal; signal.pause()"]
    link = GuardLink(argv_, told.events(), GuardLimits(start_s=0.1, backoff_s=(60.0,)))
    task = asyncio.create_task(link.run())
    fault: DriverError = await soon(told.faults)
    assert "does not start" in str(fault)
    task.cancel()
    await asyncio.wait([task])


async def test_link_a_machine_too_busy_to_start_it_in_time_gives_it_longer_each_time(tmp_path: Path) -> None:
    told = Told()
    board = LcusBoard(2, tmp_path / "relays", told.relays.put_nowait)
    board.attach(asyncio.get_running_loop())
    settings = GuardSettings("lcus", {"path": board.path, "lines": 2}, LONG_MS)
    # 1 ms is less than any interpreter needs to start.
    limits = GuardLimits(start_s=0.001, start_s_max=WAIT_S, backoff_s=(0.0,))
    link = GuardLink(argv(settings), told.events(), limits)
    task = asyncio.create_task(link.run())
    try:
        # Times are doubled from 1 ms on until one is enough: on such a machine that is several times what a start takes.
        async with asyncio.timeout(4 * WAIT_S):
            assert await told.ready.get() == 2
        assert link.starts > 1
        fault: DriverError = await soon(told.faults)
        assert "does not start" in str(fault)
    finally:
        task.cancel()
        await asyncio.wait([task])
        board.close()


async def test_link_a_board_unplugged_is_back_when_plugged(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, board, told, _):
        board.unplug()
        error: DriverError = await soon(told.faults)
        assert isinstance(error, DeviceGone)
        assert "cable" in error.hint
        again = await soon(told.faults)
        assert "Plug the device in" in again.hint
        assert link.state is not GuardState.READY
        board.plug()
        assert await soon(told.ready) == 2
        link.pulse(0, 50)
        assert (await soon(told.relays)).on


async def test_link_a_hung_board_is_a_fault_with_the_guard_s_words(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, board, told, _):
        board.hang()
        link.pulse(0, 300)
        error: DriverError = await soon(told.faults)
        assert isinstance(error, DeviceMisbehaved)
        assert "takes no more bytes" in str(error)
        board.recover()
        assert await soon(told.ready) == 2


async def test_link_off(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _, told, _):
        first = link.pulse(0, LONG_MS)
        second = link.off()
        assert [await soon(told.acks), await soon(told.acks)] == [first, second]
        assert await soon(told.ended) == first


@pytest.mark.parametrize(("line", "ms"), [(2, 300), (-1, 300), (0, 0), (0, 65_536)])
async def test_link_refuses_what_the_guard_would_die_of(tmp_path: Path, line: int, ms: int) -> None:
    async with linked(tmp_path) as (link, _, told, _):
        with pytest.raises(Misconfigured):
            link.pulse(line, ms)
        link.pulse(0, 50)
        assert await soon(told.acks)


async def test_link_stops_where_starting_again_cannot_help() -> None:
    link = GuardLink(argv(GuardSettings("gipo")), GuardEvents())
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(Misconfigured, match="gipo") as failure:
            await link.run()
    assert "lcus, gpio" in failure.value.hint
    assert link.starts == 1


async def test_link_a_guard_that_talks_nonsense_is_ended() -> None:
    told = Told()
    link = GuardLink(
        [sys.executable, "-c", "print('hello, lane'); input()"],
        told.events(),
        limits=GuardLimits(backoff_s=(60.0,)),
    )
    task = asyncio.create_task(link.run())
    fault: DriverError = await soon(told.faults)
    assert isinstance(fault, DeviceMisbehaved)
    task.cancel()
    await asyncio.wait([task])


async def test_link_a_guard_that_cannot_be_started_is_a_fault() -> None:
    told = Told()
    link = GuardLink(["/nowhere/python"], told.events(), GuardLimits(backoff_s=(60.0,)))
    task = asyncio.create_task(link.run())
    fault: DriverError = await soon(told.faults)
    assert isinstance(fault, DeviceGone)
    assert link.state is GuardState.DOWN
    task.cancel()
    await asyncio.wait([task])
