"""What is screwed to one real gate, as a process of its own: its devices on ptys, its arms, and who pushes them.

A box's devices have processors of their own: here they get a process each box, ahead of the box's programs, so that a machine
that is late never makes a scanner type in halves, a board answer late or an arm hold longer. All times are the devices' own, by
the monotonic clock that all processes share: what happened when is not judged by when it was heard of.

Run as `python -m tests.real.devices FOLDER` it reads commands from its standard input, a JSON list a line, and tells what
happened on its standard output, the same way; it ends with its input.
"""

import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import struct
import sys
import termios
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from drivers.sims.keyboard_scanner import KeyboardScanner
from drivers.sims.ports import SimPort
from tests.real.doctor_env import ROOT, with_env
from tests.venue.hardware import CONTACT_S, GateHardware
from tests.venue.hardware import Way as Side
from tests.venue.programs import leashed

AHEAD = -10
"""Their nice value, where we may set it."""
CONTACT_POLLS, CONTACT_S_MAX = 6, 2.0
"""An arm that stays pushed until it was asked so often has a contact that any gate sees which asks as it should; one that does not
ask for so long sees nobody."""
KEYBOARD, BUFFER_BYTES = "lane1-exit", 64 * 1024
"""A keyboard's buffer takes a code of 200 characters, which is 34 KiB of events."""
ANSWER_S = 15.0
"""A device process that is silent for so long hangs."""


class Pushed(NamedTuple):
    """Somebody pushed an arm."""

    went: bool
    """It gave way."""
    at_s: float
    """When its contact closed."""
    polled: bool
    """The gate asked for the contact often enough while it was closed."""


class Devices:
    """Our end. `start`, then the outside world's verbs. `on_release(lane, side, at_s)` hears of arms that their relays freed."""

    def __init__(self, folder: Path, on_release: Callable[[int, Side, float], None]) -> None:
        self.folder = folder
        self.plugged: set[str] = set()
        self._on_release = on_release
        self._process: asyncio.subprocess.Process
        self._hears: asyncio.Task[None]
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[list[Any]]] = {}

    async def start(self) -> None:
        """Start the process; nothing is plugged in yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = with_env([sys.executable, "-m", "tests.real.devices", str(self.folder)], PYTHONPATH=str(ROOT))
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*leashed(argv), stdin=pipe, stdout=pipe)
        self._hears = asyncio.create_task(self._hear())
        await self._ask("hello")

    async def put_in(self, name: str) -> None:
        """Plug one device in; nothing where it is in already."""
        await self._ask("put_in", name)
        self.plugged.add(name)

    async def pull(self, name: str) -> None:
        """Pull one device's plug."""
        self.plugged.discard(name)
        await self._ask("pull", name)

    def scan(self, name: str, code: str) -> None:
        """Hold a code before a scanner; one that still sends what it read before does not see it."""
        self._tell(0, "scan", name, code)

    async def push(self, lane: int, side: Side, late_s: float) -> Pushed:
        """Push an arm, whose contact closes so much later; return once that was over."""
        went, at_s, polled = await self._ask("push", lane, side, late_s, limit_s=late_s + ANSWER_S)
        return Pushed(bool(went), float(at_s), bool(polled))

    async def close(self) -> None:
        """Pull every plug, and end the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._hears

    def _tell(self, number: int, *what: object) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps([number, *what]).encode() + b"\n")

    async def _ask(self, *what: object, limit_s: float = ANSWER_S) -> list[Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            self._tell(number, *what)
            return await asyncio.wait_for(answer, limit_s)
        finally:
            del self._answers[number]

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            number, *what = json.loads(line)
            answer = self._answers.get(number)
            if number == 0:
                lane, side, at_s = what
                self._on_release(lane, side, at_s)
            elif answer is not None and not answer.done():
                answer.set_result(what)


class KeyboardPort(SimPort):
    """A keyboard's events in a buffer as the kernel keeps one: a code is in it whole, or, where there is no room, not at all."""

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self._pipe = -1

    @property
    def plugged(self) -> bool:
        return self._pipe >= 0

    def plug(self) -> None:
        if self._pipe < 0:
            os.mkfifo(self.link)
            self._pipe = os.open(self.link, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, BUFFER_BYTES)

    def unplug(self) -> None:
        if self._pipe >= 0:
            self.link.unlink(missing_ok=True)
            os.close(self._pipe)
            self._pipe = -1

    async def send(self, data: bytes) -> None:
        if self._pipe < 0:
            return
        (waits,) = struct.unpack("i", fcntl.ioctl(self._pipe, termios.FIONREAD, bytes(4)))
        # A pipe has pages, and the last one written may be half full.
        if waits + len(data) + 2 * os.sysconf("SC_PAGESIZE") <= BUFFER_BYTES:
            with contextlib.suppress(BlockingIOError):
                os.write(self._pipe, data)


class Box:
    """The process's own end: the devices, and what is asked of them."""

    def __init__(self, folder: Path) -> None:
        self._hardware = hardware = GateHardware(folder)
        for board in hardware.boards.values():
            board.unplug()  # whoever starts the box plugs its devices in
        for scanner in hardware.scanners.values():
            if isinstance(scanner, KeyboardScanner):
                scanner.port = KeyboardPort(folder / scanner.port.link.name)
        hardware.be_ready()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scans: dict[str, asyncio.Task[None]] = {}
        """By scanner, what it sends: it reads one code at a time."""
        for number, lane in hardware.lanes.items():
            lane.on_change = partial(self._moved, number)

    async def run(self) -> None:
        """Do what comes on standard input, until it ends."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async for line in reader:
            number, what, *values = json.loads(line)
            if what == "push":
                self._spawn(self._push(number, *values))
            elif what == "scan":
                self._scan(*values)
            else:
                await self._plug(number, what, *values)
        for name in (*self._hardware.scanners, *self._hardware.boards):
            self._hardware.pull(name)

    async def _plug(self, number: int, what: str, *names: str) -> None:
        for name in names:
            scan = self._scans.pop(name, None)
            if scan is not None:
                scan.cancel()
                await asyncio.gather(scan, return_exceptions=True)
            (self._hardware.put_in if what == "put_in" else self._hardware.pull)(name)
        _say(number)

    def _scan(self, name: str, code: str) -> None:
        sending = self._scans.get(name)
        scanner = self._hardware.scanners[name]
        if sending is None or sending.done():
            scan = scanner.scan(code) if isinstance(scanner, KeyboardScanner) else scanner.scan(code.encode())
            self._scans[name] = self._spawn(scan)

    async def _push(self, number: int, lane: int, side: Side, late_s: float) -> None:
        loop, arm, board = asyncio.get_running_loop(), self._hardware.lanes[lane], self._hardware.contacts
        if not arm.is_released(side):
            _say(number, False, loop.time(), False)
            return
        arm.released.pop(side)
        await asyncio.sleep(late_s)
        at_s, asked, line = loop.time(), board.polls, arm.contacts[side]
        board.drive(line, active=True)
        await asyncio.sleep(CONTACT_S)
        while board.polls < asked + CONTACT_POLLS and loop.time() < at_s + CONTACT_S_MAX:
            await asyncio.sleep(CONTACT_S / CONTACT_POLLS)
        board.drive(line, active=False)
        _say(number, True, at_s, board.polls >= asked + CONTACT_POLLS)

    def _moved(self, number: int) -> None:
        lane = self._hardware.lanes[number]
        while not lane.releases.empty():
            side = lane.releases.get_nowait()
            _say(0, number, side, lane.released[side] - lane.hold_s)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _say(number: int, *what: object) -> None:
    sys.stdout.write(json.dumps([number, *what]) + "\n")
    sys.stdout.flush()


async def _main(folder: Path) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, AHEAD)
    await Box(folder).run()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
