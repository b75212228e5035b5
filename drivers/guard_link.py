"""The lane's end of the relay guard: starts it, sends pulses, hears what became of them, starts it again.

`pulse` is a plain call that writes eight bytes to a pipe: no task switch lies between a decision and its command. Answers come
as callbacks on the event loop. No thread: the guard's death is seen by its process descriptor and by end of file.
"""

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NoReturn

from drivers.base import BoardPart, DeviceGone, DeviceMisbehaved, DriverError, InputChanged, Misconfigured
from drivers.framing.guard import FRAME_BYTES, ID_MAX, Exit, Frame, Frames, Kind, Malformed, encode, part_of
from drivers.pulses import NS_PER_MS

READ_BYTES = 512 * FRAME_BYTES
COMPLAINT_BYTES_MAX = 4096
"""What is kept of the guard's standard error; it writes one line."""

BACKOFF_S = (0.0, 0.1, 0.25, 0.5, 1.0)
"""Pauses before the starts that follow one another. The first is none: a relay may be stuck on until the guard is back. The
last leaves a board that is plugged in again ready within two seconds; the guard itself waits for one that is not there."""

STABLE_S = 10.0
"""A guard that served for as long starts again without a pause."""


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """How long the link bears with its guard, in seconds.

    `start_s`: from start to READY (interpreter, driver and first write on a slow, busy Pi); the next in a row has twice as long,
    up to `start_s_max`: on a machine too busy for the first, each that is ended before it is ready costs what would have made
    it so · `ping_every_s`: well below the
    daemon's watchdog period of 10 s · `pong_s`: a guard waits at most 0.5 s for a device, so a longer silence is a hang.
    """

    start_s: float = 5.0
    start_s_max: float = 40.0
    ping_every_s: float = 2.0
    pong_s: float = 3.0
    backoff_s: Sequence[float] = BACKOFF_S


class GuardState(Enum):
    """What the lane may expect of the guard."""

    STARTING = "starting"
    READY = "ready"
    DOWN = "down"


@dataclass(slots=True)
class GuardEvents:
    """Where a lane hears of its pulses. Ids are those that `pulse` returned.

    After `fault` no `ack` or `ended` comes for an earlier id: its pulse is over, or is ended by the guard's next start.
    """

    ready: Callable[[int], None] = field(default=lambda _lines: None)
    ack: Callable[[int], None] = field(default=lambda _id: None)
    ended: Callable[[int], None] = field(default=lambda _id: None)
    fault: Callable[[DriverError], None] = field(default=lambda _error: None)
    contact: Callable[[InputChanged], None] = field(default=lambda _event: None)
    """A contact of the board's own; `active` as it is wired."""
    refused: Callable[[int], None] = field(default=lambda _id: None)
    """A command that the guard could not carry out, and goes on."""
    part: Callable[[BoardPart], None] = field(default=lambda _part: None)
    """One of several boards went, or is back with every line off. At `ready` all are there that are not told of then."""


_LIMITS = GuardLimits()


class HeldPulse:
    """A pulse that is ready to go: any thread may send it, once, until it is dropped.

    `id` is what `ack` and `ended` will name · `sent_ns`: when it was sent, by its sender; 0 while it was not.
    """

    __slots__ = ("_is_open", "_lock", "_write", "id", "sent_ns")

    def __init__(self, number: int, lock: threading.Lock, write: Callable[[], None]) -> None:
        self.id = number
        self.sent_ns = 0
        self._lock = lock
        self._write = write
        self._is_open = True

    def send(self, now_ns: int) -> None:
        """Send it, unless it was dropped or its guard is gone: then whoever drops it hears that it was not sent."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            try:
                self._write()
            except OSError:
                return  # the loop sees the guard's end by itself
            self.sent_ns = now_ns

    def drop(self) -> bool:
        """Take it back; False where it was sent."""
        with self._lock:
            self._is_open = False
        return not self.sent_ns


class GuardLink:
    """One relay guard and its supervision.

    `argv` starts it, usually `[sys.executable, "-m", "drivers.guard", settings.to_json()]`. `state`, `fault` (the last
    DriverError, None while READY) and `last_pong_ns` (monotonic) are for the status page and the watchdog.
    """

    def __init__(self, argv: Sequence[str], events: GuardEvents, limits: GuardLimits = _LIMITS) -> None:
        self._argv = list(argv)
        self._events = events
        self._limits = limits
        self._start_s = limits.start_s
        self._ready = asyncio.Event()
        self._id = 0
        self._send_fd = -1
        self._sending = threading.Lock()
        """Around what another thread sends, so that its descriptor is not closed, and given to another file, meanwhile."""
        self._done: asyncio.Future[DriverError] | None = None
        self._frames = Frames()
        self.state = GuardState.DOWN
        self.fault: DriverError | None = None
        self.last_pong_ns = 0
        self.lines = 0
        self.starts = 0
        self.pid: int | None = None

    def pulse(self, line: int, duration_ms: int) -> int:
        """Send a pulse at once and return its id; raises DeviceGone when the guard cannot take it now.

        The guard shortens it to its own cap. Taking it is told by `ack`, its end by `ended`.
        """
        return self._send(Kind.PULSE, line, duration_ms)

    def hold(self, line: int, duration_ms: int) -> HeldPulse:
        """Make a pulse ready that another thread may send; raises DeviceGone when the guard could not take it now."""
        frame = encode(self._next(Kind.PULSE, line, duration_ms))
        life = self.starts

        def write() -> None:
            if self.starts != life or self._send_fd < 0:
                raise BrokenPipeError
            os.write(self._send_fd, frame)

        return HeldPulse(self._id, self._sending, write)

    def off(self) -> int:
        """Switch every line off at once; raises DeviceGone when the guard cannot take it now."""
        return self._send(Kind.OFF)

    def off_line(self, line: int) -> int:
        """Switch one line off at once; raises DeviceGone when the guard cannot take it now."""
        return self._send(Kind.OFF_LINE, line)

    async def run(self) -> NoReturn:
        """Keep a guard running until cancelled; then it gets end of file, switches off and is waited for.

        Raises Misconfigured when the guard says that starting it again will not help.
        """
        failures = 0
        try:
            while True:
                if failures:
                    pauses = self._limits.backoff_s
                    await asyncio.sleep(pauses[min(failures, len(pauses)) - 1])
                began = time.monotonic()
                error = await self._serve_once()
                failures = 1 if time.monotonic() - began > STABLE_S else failures + 1
                self.state, self.fault = GuardState.DOWN, error
                self._events.fault(error)
                if isinstance(error, Misconfigured):
                    raise error
        finally:
            self.state = GuardState.DOWN

    def _next(self, kind: Kind, line: int = 0, ms: int = 0) -> Frame:
        """Number the next frame; raises DeviceGone and Misconfigured where it makes no sense to send it."""
        if self.state is not GuardState.READY:
            raise DeviceGone("the relay guard is not ready", _WAIT_HINT)
        if not 0 <= line < self.lines or (kind is Kind.PULSE and not 0 < ms <= ID_MAX):
            raise Misconfigured(
                f"no pulse of {ms} ms on line {line}", "Correct the lane's output line and pulse."
            )
        self._id = self._id % ID_MAX + 1
        return Frame(kind, line, ms, self._id)

    def _send(self, kind: Kind, line: int = 0, ms: int = 0) -> int:
        frame = encode(self._next(kind, line, ms))
        try:
            # Eight bytes: POSIX writes them whole or not at all.
            os.write(self._send_fd, frame)
        except OSError as error:
            self._finish(DeviceGone(f"the relay guard takes nothing: {error.strerror}", _WAIT_HINT))
            raise DeviceGone("the relay guard takes nothing", _WAIT_HINT) from error
        return self._id

    async def _serve_once(self) -> DriverError:
        """One life of the guard: from its start to what ended it."""
        loop = asyncio.get_running_loop()
        self._frames, self._done = Frames(), loop.create_future()
        self.state = GuardState.STARTING
        self._ready.clear()
        self.starts += 1
        try:
            # Its own group: a Ctrl-C at the terminal must not kill it before the lane has ended in order.
            process = subprocess.Popen(  # noqa: ASYNC220 - vfork, 2 ms; asyncio's own needs a thread on 3.11
                self._argv,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,
            )
        except OSError as refused:
            return DeviceGone(f"the relay guard cannot be started: {refused.strerror}", _WAIT_HINT)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.pid = process.pid
        self._send_fd, answers = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._send_fd, False)
        os.set_blocking(answers, False)
        os.set_blocking(process.stderr.fileno(), False)
        loop.add_reader(answers, self._hear, answers)
        pinger = asyncio.ensure_future(self._watch())
        try:
            error = await self._done
        except asyncio.CancelledError:
            self.state = GuardState.DOWN
            raise
        finally:
            self.state = GuardState.DOWN
            pinger.cancel()
            loop.remove_reader(answers)
            with self._sending:
                self._send_fd = -1
                process.stdin.close()
            await asyncio.shield(asyncio.ensure_future(_reaped(process)))
            complaint = _complaint(process.stderr.fileno())
            process.stdout.close()
            process.stderr.close()
            self.pid = None
        return _error_of(process.returncode, complaint) or error

    def _hear(self, fd: int) -> None:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._finish(DeviceGone("the relay guard ended", _WAIT_HINT))
            return
        try:
            for frame in self._frames.feed(data):
                self._take(frame)
        except Malformed:
            self._finish(DeviceMisbehaved("the relay guard sent what is no frame", _WAIT_HINT))

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.ACK:
            self._events.ack(frame.id)
        elif frame.kind is Kind.ENDED:
            self._events.ended(frame.id)
        elif frame.kind is Kind.REFUSED:
            self._events.refused(frame.id)
        elif frame.kind is Kind.PART:
            part, why = part_of(frame)
            self._events.part(replace(part, error=_part_error(part, why)))
        elif frame.kind is Kind.INPUT:
            at_ns = time.monotonic_ns() - frame.id * NS_PER_MS
            self._events.contact(
                InputChanged(frame.line, bool(frame.ms & 1), at_ns, first=bool(frame.ms & 2))
            )
        elif frame.kind is Kind.PONG:
            self.last_pong_ns = time.monotonic_ns()
        elif frame.kind is Kind.READY:
            self.lines, self.state, self.fault = frame.line, GuardState.READY, None
            self.last_pong_ns = time.monotonic_ns()
            self._ready.set()
            self._events.ready(frame.line)
        elif frame.kind is Kind.FAULT:
            self._finish(DeviceGone("the relay guard reports a fault", _WAIT_HINT))

    async def _watch(self) -> None:
        """Ping it; end its life when it does not start in time or does not answer."""
        limits = self._limits
        try:
            async with asyncio.timeout(self._start_s):
                await self._ready.wait()
            self._start_s = limits.start_s
        except TimeoutError:
            self._start_s = min(2 * self._start_s, limits.start_s_max)
            self._finish(DeviceMisbehaved("the relay guard does not start", _WAIT_HINT))
            return
        while time.monotonic_ns() - self.last_pong_ns < (limits.ping_every_s + limits.pong_s) * 1e9:
            try:
                self._send(Kind.PING)
            except DriverError:
                return
            await asyncio.sleep(limits.ping_every_s)
        self._finish(DeviceMisbehaved("the relay guard does not answer", _WAIT_HINT))

    def _finish(self, error: DriverError) -> None:
        self.state = GuardState.DOWN
        if self._done is not None and not self._done.done():
            self._done.set_result(error)


def _part_error(part: BoardPart, why: Exit) -> DriverError | None:
    """What is wrong with one of several boards; None for nothing."""
    board = f"unit {part.unit} (relays {part.relays.start} to {part.relays.stop - 1})"
    if why is Exit.CLEAN:
        return None
    if why is Exit.DEVICE_GONE:
        return DeviceGone(
            f"{board} does not answer", "Check its supply, the A/B wires and its address (unit)."
        )
    if why is Exit.MISCONFIGURED:
        return Misconfigured(
            f"{board} refuses what it is asked", "Compare lines, inputs and flash-on with its manual."
        )
    return DeviceMisbehaved(
        f"{board} answers garbled, or its relays switch by themselves",
        "Check that no two boards share an address, and switch off the board's own link between inputs and relays.",
    )


_WAIT_HINT = "It is started again by itself; if it stays away, check the relay board's cable."

REAP_TIMEOUT_S = 1.5
"""Time for a guard to switch off and end after end of file: two device writes at their limit, and some."""


async def _reaped(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of the process, kill it when it does not come."""
    if process.poll() is not None:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    pidfd = os.pidfd_open(process.pid)
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(REAP_TIMEOUT_S):
            await ended.wait()
    except TimeoutError:
        process.send_signal(signal.SIGKILL)
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    process.wait()


def _complaint(fd: int) -> str:
    try:
        return os.read(fd, COMPLAINT_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""


def _error_of(status: int, complaint: str) -> DriverError | None:
    """The guard's own words as one of the three errors; None when it had none."""
    kinds: dict[int, type[DriverError]] = {
        Exit.DEVICE_GONE: DeviceGone,
        Exit.DEVICE_MISBEHAVED: DeviceMisbehaved,
        Exit.MISCONFIGURED: Misconfigured,
    }
    lines = complaint.splitlines()
    if status not in kinds or not lines:
        return DeviceMisbehaved(f"the relay guard crashed: {lines[-1]}", _WAIT_HINT) if lines else None
    try:
        said = json.loads(lines[-1])
        return kinds[status](str(said["error"]), str(said["hint"]))
    except (ValueError, KeyError, TypeError):
        return kinds[status](lines[-1], _WAIT_HINT)
