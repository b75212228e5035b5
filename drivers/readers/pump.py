"""What every reader does while it is open: read when there is something, frame it, emit it, mind the quiet gap."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, NoReturn, Protocol, TypeVar

from drivers.base import DeviceMisbehaved, Misconfigured, ReaderEvent

Event = TypeVar("Event", bound=ReaderEvent)
Made_co = TypeVar("Made_co", bound=ReaderEvent, covariant=True)

FRAMES_PER_TURN_MAX = 8
"""Most frames emitted per loop turn. One code may hold a thousand line ends; each emit costs a decision."""

TIMER_SLACK_S = 0.001
"""A timer this close to its deadline stays: a loop's clock is no finer."""

SPIN_S = 0.0015
"""So long before an exact deadline the loop is asked at each turn: its timers are late by a millisecond and what the machine adds."""

QUIET_S = 0.03
"""Longest pause within a code: 16 ms of a USB adapter's latency timer, 20 ms between Wiegand's bits, 25 ms of a Bluetooth keyboard."""
QUIET_WITHIN_S = 5.0
"""The longest code, SCAN_BYTES_MAX at 9600 baud, takes 4.3 s."""

GAP_MS_MIN = 5
GAP_MS_MAX = 2000
"""Bounds of the quiet gap: longer than a USB polling interval, shorter than a visitor's patience."""

_BABBLES_HINT = "Unplug the reader for five seconds; check that it is set to this interface, and its baud."


def gap_ns(gap_ms: int) -> int:
    """Return a configured quiet gap in nanoseconds; raises Misconfigured outside its bounds."""
    if not GAP_MS_MIN <= gap_ms <= GAP_MS_MAX:
        raise Misconfigured(f"gap_ms is {gap_ms}", f"Set gap_ms between {GAP_MS_MIN} and {GAP_MS_MAX}.")
    return gap_ms * 1_000_000


class Framer(Protocol[Made_co]):
    """The part of a framer that the quiet gap needs."""

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes, or None."""
        ...

    def quiet(self, now_ns: int) -> Sequence[Made_co]:
        """End what a quiet line ends. May raise DriverError, where the device owes an answer."""
        ...


class Pump(Generic[Event]):
    """Moves frames from an open device to `emit`, from the loop's own callbacks: no task switch lies between.

    `take` reads the device once and returns its frames, or None where nothing waited; it raises DriverError. `emit` is
    called at most `per_turn` times a turn. Whatever else `take`, the framer or `emit` raise is our own defect and ends `run` too:
    left to the loop, it would be a line in the journal, and the reader deaf and shown as well. `pause_s`: between turns, where nobody waits for the frames;
    those that wait in here are emitted when it is cancelled, since the device may have forgotten them. `exact`: whether somebody
    waits for the deadline that stands just now, which is then kept at the price of a core for its last `SPIN_S`.
    """

    def __init__(
        self,
        fd: int,
        take: Callable[[], Sequence[Event] | None],
        framer: Framer[Event],
        emit: Callable[[Event], None],
        *,
        per_turn: int = FRAMES_PER_TURN_MAX,
        pause_s: float = 0.0,
        exact: Callable[[], bool] = lambda: False,
    ) -> None:
        self._fd = fd
        self._take = take
        self._framer = framer
        self._emit = emit
        self._per_turn, self._pause_s, self._exact = per_turn, pause_s, exact
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Exception] = self._loop.create_future()
        """By what: as a result, since a future takes no StopIteration for an exception."""
        self._timer: asyncio.TimerHandle | None = None
        self._spin_handle: asyncio.Handle | None = None
        self._drain_handle: asyncio.Handle | None = None
        self._backlog: deque[Event] = deque()

    async def settle(self, within_s: float = QUIET_WITHIN_S) -> None:
        """Hear what is under way at a device just opened, and throw it away; to be awaited before the device counts as open.

        Whose beginning nobody heard may be the rest of a code, or a device's own memory of one that was read long ago. Raises
        DeviceMisbehaved where a device does not pause `within_s`.
        """
        now_s, idle_ns = self._loop.time(), self._framer.deadline_ns
        give_up_s, until_s = now_s + within_s, now_s + QUIET_S
        while (left_s := until_s - self._loop.time()) > 0:
            await self._readable(left_s)
            before_ns = self._framer.deadline_ns
            # What is neither framed nor moves the deadline is no part of a code: a key that hangs repeats for ever.
            if self._take() or self._framer.deadline_ns != before_ns:
                until_s = self._loop.time() + QUIET_S
                if until_s > give_up_s:
                    raise DeviceMisbehaved("the reader sends without a pause", _BABBLES_HINT)
        deadline_ns = self._framer.deadline_ns
        if deadline_ns is not None and deadline_ns != idle_ns:
            self._framer.quiet(deadline_ns)

    async def begins_within(self) -> bool:
        """Whether something comes so soon after the opening that its beginning may have been missed; nothing is read."""
        return await self._readable(QUIET_S)

    async def _readable(self, within_s: float) -> bool:
        readable = asyncio.Event()
        self._loop.add_reader(self._fd, readable.set)
        try:
            async with asyncio.timeout(within_s):
                return await readable.wait()
        except TimeoutError:
            return False
        finally:
            self._loop.remove_reader(self._fd)

    async def run(self) -> NoReturn:
        """Run until cancelled, until the device raises, or until a defect does. A partial frame is dropped then."""
        self._loop.add_reader(self._fd, self._on_readable)
        try:
            raise await self._ended
        finally:
            self._loop.remove_reader(self._fd)
            for handle in (self._timer, self._spin_handle, self._drain_handle):
                if handle is not None:
                    handle.cancel()
            while self._pause_s and self._backlog:
                self._emit(self._backlog.popleft())

    def _on_readable(self) -> None:
        try:
            self._read()
            self.arm()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the reader runs
            self.fail(error)

    def _read(self) -> bool:
        """Read once; return whether something came."""
        frames = self._take()
        if frames:
            self._pass_on(frames)
        return frames is not None

    def fail(self, error: Exception) -> None:
        """End `run` by this error; to be called too where something fails that the loop did not call."""
        self._loop.remove_reader(self._fd)
        if not self._ended.done():
            self._ended.set_result(error)

    def _pass_on(self, frames: Sequence[Event]) -> None:
        if len(frames) <= self._per_turn:
            for frame in frames:
                self._emit(frame)
            return
        # Nothing more is read before these are gone, so the backlog is at most the frames of one read.
        self._loop.remove_reader(self._fd)
        self._backlog.extend(frames)
        self._drain()

    def _drain(self) -> None:
        if self._ended.done():
            return
        try:
            self._emit_some()
        except Exception as error:  # noqa: BLE001 - as above
            self.fail(error)

    def _emit_some(self) -> None:
        now = [self._backlog.popleft() for _ in range(min(self._per_turn, len(self._backlog)))]
        # What comes next is set up first, so that it comes whatever happens in an emit.
        if self._backlog:
            self._drain_handle = self._soon(self._drain)
        else:
            self._drain_handle = None
            self._loop.add_reader(self._fd, self._on_readable)
            self.arm()
        for frame in now:
            self._emit(frame)

    def _soon(self, what: Callable[[], None]) -> asyncio.Handle:
        if not self._pause_s:
            return self._loop.call_soon(what)
        return self._loop.call_later(self._pause_s, what)

    def arm(self) -> None:
        """Have the framer's deadline kept; to be called too when something else than bytes moved it.

        One timer looks again when it fires, so that bytes, which only move a deadline back, never touch it.
        """
        deadline_ns = self._framer.deadline_ns
        if deadline_ns is None or self._backlog or self._spin_handle is not None or self._ended.done():
            return
        if self._timer is not None:
            # One that is due already must not be put off by the bytes that come before it in this turn.
            if self._timer.when() <= max(deadline_ns / 1e9, self._loop.time()) + TIMER_SLACK_S:
                return
            self._timer.cancel()
        delay_s = max(0, deadline_ns - time.monotonic_ns()) / 1e9
        if self._exact():
            if delay_s <= SPIN_S:
                self._spin_handle = self._loop.call_soon(self._on_timer)
                return
            delay_s -= SPIN_S
        self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = self._spin_handle = None
        if self._backlog or self._ended.done():
            return
        try:
            self._look()
            self.arm()
        except Exception as error:  # noqa: BLE001 - as above
            self.fail(error)

    def _look(self) -> None:
        # A busy loop may come here late: bytes that wait in the kernel prove that the line was not quiet.
        if not self._read():
            for frame in self._framer.quiet(time.monotonic_ns()):
                self._emit(frame)
