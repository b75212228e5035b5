"""The demo's processes: each started in a session of its own, heard line by line, ended or cut off with all it started."""

import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Sequence
from pathlib import Path

TAIL_LINES = 12
"""What is shown of a log when its process ended by itself: enough for a trace's end."""
END_S = 15.0
"""A gate signs, saves and lets its front close; more than this is stuck."""
CALL_S = 30.0
CUT_S, CUT_LOOK_S = 10.0, 0.005
"""A killed process is gone within milliseconds; only one that waits for a broken disk takes longer."""
LINE_BYTES_MAX = 64 * 1024


class VenueFault(Exception):
    """The demo cannot go on. `lines` are the last words of whoever failed."""

    def __init__(self, what: str, lines: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.lines = tuple(lines)


class Program:
    """One running process; what it prints goes into a log file. Use `Program.start`."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.log = log
        self.pid = process.pid
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.ended = asyncio.Event()
        self._process = process
        self._pump = asyncio.create_task(self._copy())
        self._said = asyncio.Event()
        self._lines: list[str] = []

    @classmethod
    async def start(cls, name: str, argv: Sequence[str], log: Path) -> "Program":
        """Start a process that neither hears our terminal's Ctrl-C nor outlives us."""
        process = await asyncio.create_subprocess_exec(
            *leashed(argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            limit=LINE_BYTES_MAX,
        )
        return cls(name, process, log)

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.returncode

    async def line(self, start: str) -> str:
        """Wait for a line that begins so and return the rest of it. VenueFault where the process ends before."""
        while True:
            for line in self._lines:
                if line.startswith(start):
                    return line.removeprefix(start).strip()
            if self.ended.is_set():
                raise self.fault()
            self._said.clear()
            await self._said.wait()

    def fault(self) -> VenueFault:
        """Say that it ended by itself."""
        return VenueFault(
            f"{self.name} ended by itself (exit {self.code}); {self.log} says", tuple(self.tail)
        )

    async def stop(self) -> None:
        """Ask it to end; what does not in time is killed, and so is whatever it left behind."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), END_S)
        await self.cut()

    async def cut(self) -> None:
        """Kill it and everything of its session at once, as a power cut does."""
        async with asyncio.timeout(CUT_S):
            while left := session(self.pid):  # one was just being started, or is not quite gone
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(CUT_LOOK_S)
        await self._process.wait()
        await self._pump

    async def _copy(self) -> None:
        assert self._process.stdout is not None
        with self.log.open("ab", buffering=0) as file:
            while True:
                try:
                    data = await self._process.stdout.readuntil()
                except asyncio.IncompleteReadError as error:
                    data = error.partial
                except asyncio.LimitOverrunError as error:
                    data = await self._process.stdout.readexactly(error.consumed)
                if not data:
                    break
                file.write(data)
                line = data.decode(errors="replace").rstrip("\n")
                self.tail.append(line)
                if len(self._lines) < TAIL_LINES:
                    self._lines.append(line)
                self._said.set()
        await self._process.wait()
        self.ended.set()
        self._said.set()


async def call(argv: Sequence[str]) -> str:
    """Run a command to its end and return what it printed. VenueFault where it fails."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(CALL_S):
            out, err = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise VenueFault(
            f"{' '.join(argv[1:4])} failed (exit {process.returncode})",
            err.decode(errors="replace").splitlines(),
        )
    return out.decode().strip()


def leashed(argv: Sequence[str]) -> list[str]:
    """Return a command that the kernel ends even where we are killed ourselves (setpriv: util-linux, on every Debian)."""
    leash = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    return [*leash, *argv]


def session(leader: int) -> list[int]:
    """Return the processes of a session that still run, the leader's first: killed first, it starts nothing anew."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # "pid (name) state ppid pgrp session": a name may hold anything, so what follows its last bracket counts.
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(entry.name))
    return sorted(found, key=lambda pid: (pid != leader, pid))
