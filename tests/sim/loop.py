"""An event loop on virtual time that stands for the operating system: timers, threads, processes, Unix sockets.

One thread, a queue of what is ready and a heap of what is due; when nothing is ready the clock jumps. Callbacks run in
the order in which they were asked for, timers of one instant likewise, so that a seed is one history. What code asks
the system for is given here: work for a thread is done at once, a program is a coroutine of `programs`, a Unix socket
joins two ends in memory.

Everything scheduled belongs to the machine whose context scheduled it (`Machine`). A machine that lost its power runs
nothing any more: its callbacks are dropped, its tasks stand still for ever, its programs and sockets are gone.
"""

import asyncio
import contextvars
import heapq
import itertools
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, TypeVar

from tests.sim import pipes, programs

STEPS_MAX = 20_000_000
"""Callbacks of one run; a loop that spins without time going on ends here."""
SPIN_MAX = 100_000
"""Callbacks of one instant: more than any start of a venue needs."""

Result = TypeVar("Result")
Callback = Callable[..., object]

machine_of: contextvars.ContextVar["Machine | None"] = contextvars.ContextVar("machine", default=None)
"""The machine that runs what is running; None: the world itself."""


NOBODY = contextvars.Context()
"""What the world itself does is scheduled with this: no machine's end keeps it from happening."""


class PowerCut(BaseException):
    """The machine that runs this has lost its power: nothing of it goes on."""


class Spinning(RuntimeError):
    """The loop goes round without time going on."""


class Machine:
    """A box with its own power. `context`: what runs in it must be scheduled with (a copy of) this."""

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.name = name
        self.alive = True
        self._loop = loop
        self.context = contextvars.copy_context()
        self.context.run(machine_of.set, self)
        self.on_end: list[Callable[[], None]] = []
        """What gives its sockets and files back."""

    def spawn(self, coroutine: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Begin something in this machine."""
        return self._loop.create_task(coroutine, context=self.context.copy())

    def cut(self) -> None:
        """Take the power away."""
        if self.alive:
            self.alive = False
            for end in self.on_end:
                end()
            self.on_end.clear()


class SimTask(asyncio.Task[Any]):
    """A task whose place in a set depends on the seed alone, not on where memory put it."""

    _numbers = itertools.count()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(*arguments, **named)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop. `run` a coroutine to its end, then `close`."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._due: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._running = False
        self._is_over = False
        self.steps = 0
        self.defects: list[str] = []
        """What nobody caught."""
        self.programs: dict[str, programs.Program] = {}
        """By the first word of a command line."""
        self._listening: dict[str, pipes.Listening] = {}

    # --- running ------------------------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """Run until `main` has ended."""
        SimTask._numbers = itertools.count()
        asyncio._set_running_loop(self)
        self._running = True
        hooks = sys.get_asyncgen_hooks()
        # What a dead machine's generators would still do at their end is not done.
        sys.set_asyncgen_hooks(None, lambda _: None)
        try:
            task = self.create_task(main)
            while not task.done():
                self._turn()
            return task.result()
        finally:
            self._running = False
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)

    def _turn(self) -> None:
        """Jump to the next instant where nothing is ready; then run what is."""
        if not self._ready:
            if not self._due:
                raise Spinning("nothing will ever happen again")
            self._now_s = max(self._now_s, self._due[0][0])
            while self._due and self._due[0][0] <= self._now_s:
                self._ready.append(heapq.heappop(self._due)[2])
        spin = 0
        while self._ready:
            handle = self._ready.popleft()
            if handle.cancelled():
                continue
            machine = handle._context.get(machine_of)  # type: ignore[attr-defined]
            if machine is not None and not machine.alive:
                continue
            self.steps += 1
            spin += 1
            if spin > SPIN_MAX or self.steps > STEPS_MAX:
                raise Spinning(f"at {self._now_s:.3f} s: {handle!r}")
            handle._run()

    def close(self) -> None:
        """Let go of all that never ended: the world is over."""
        self._is_over = True
        self._ready.clear()
        self._due.clear()
        asyncio._set_running_loop(self)
        try:
            for task in self._tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # of every task, though not in its stub
                coroutine = task.get_coro()
                if not task.done() and coroutine is not None:
                    with suppress(BaseException):
                        coroutine.close()
        finally:
            asyncio._set_running_loop(None)
        self._tasks.clear()
        for one in tuple(self._listening.values()):
            one.close()

    def time(self) -> float:
        """Seconds since the world began."""
        return self._now_s

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._is_over

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """There is nothing to see that the history does not hold."""

    # --- scheduling ---------------------------------------------------------------------------------------------

    def call_soon(  # type: ignore[override]
        self, callback: Callback, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._is_over:
            self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callback, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + max(0.0, delay), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callback, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._is_over:
            heapq.heappush(self._due, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Result],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> "asyncio.Task[Result]":
        task = SimTask(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > 4096:
            self._tasks = [one for one in self._tasks if not one.done()]
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught; a cut of the power is no defect."""
        error = context.get("exception")
        if not isinstance(error, PowerCut) and not self._is_over:
            self.defects.append(f"{context.get('message', '')}: {error!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    # --- threads, signals ---------------------------------------------------------------------------------------

    async def run_in_executor(  # type: ignore[override]
        self,
        executor: Executor | None,  # noqa: ARG002 - the Protocol's
        func: Callable[..., Result],
        *args: Any,
    ) -> Result:
        """Do a thread's work at once; whoever asked goes on at the next turn, as with a thread."""
        result: Result | None = None
        error: Exception | None = None
        try:
            result = func(*args)
        except Exception as caught:  # noqa: BLE001 - a thread hands over whatever it was
            error = caught
        await asyncio.sleep(0)
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def add_signal_handler(self, sig: int, callback: Callback, *args: Any) -> None:  # type: ignore[override]
        """Nobody sends signals here: a program is ended by its transport."""

    async def shutdown_asyncgens(self) -> None:
        return None

    async def shutdown_default_executor(self) -> None:
        return None

    # --- programs and sockets -----------------------------------------------------------------------------------

    async def subprocess_exec(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.SubprocessProtocol], *args: Any, **options: Any
    ) -> tuple[asyncio.SubprocessTransport, asyncio.SubprocessProtocol]:
        return programs.begin(self, protocol_factory(), self._program(args), args, options)

    def _program(self, args: tuple[Any, ...]) -> programs.Program:
        """Return what a command line runs; OSError, as the system would, for one that is not there."""
        for word in args:
            found = self.programs.get(str(word))
            if found is not None:
                return found
        raise FileNotFoundError(f"no program: {args}")

    async def create_unix_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        path: Any = None,
        *,
        sock: Any = None,
        **_: Any,
    ) -> pipes.Listening:
        name = str(path if sock is None else sock.getsockname())
        listening = pipes.Listening(self, protocol_factory, sock, lambda: self._listening.pop(name, None))
        self._listening[name] = listening
        machine = machine_of.get()
        if machine is not None:
            machine.on_end.append(listening.close)
        return listening

    async def create_unix_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], path: Any = None, **_: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        listening = self._listening.get(str(path))
        if listening is None:
            raise ConnectionRefusedError(str(path))
        end, protocol = listening.connect(protocol_factory())
        machine = machine_of.get()
        if machine is not None:
            machine.on_end.append(end.dropped)
        return end, protocol
