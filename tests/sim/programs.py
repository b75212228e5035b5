"""Programs that a machine of the virtual loop starts: coroutines with an exit code, ended with their machine or by kill."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

KILLED = -9
_pids = itertools.count(2)


class Running:
    """A program as it sees itself: its command line, what it is given on standard input, what it says of errors."""

    def __init__(self, args: tuple[Any, ...], loop: asyncio.AbstractEventLoop) -> None:
        self.args = args
        self.given: asyncio.Future[bytes] = loop.create_future()
        """All of standard input, once its other end is closed."""
        self.errors = b""


Program = Callable[[Running], Awaitable[int]]


class _Stdin(asyncio.WriteTransport):
    """The parent's end of a program's standard input."""

    def __init__(self, running: Running) -> None:
        super().__init__()
        self._running = running
        self._data = b""
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._data += bytes(data)

    def close(self) -> None:
        self._closed = True
        if not self._running.given.done():
            self._running.given.set_result(self._data)

    def is_closing(self) -> bool:
        return self._closed or self._running.given.get_loop().is_closed()

    def get_write_buffer_size(self) -> int:
        return 0


class _Stderr(asyncio.ReadTransport):
    """The parent's end of what a program says."""

    def close(self) -> None:
        """Nothing is held."""

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing here is large enough to be held up."""

    def resume_reading(self) -> None:
        """See pause_reading."""


class _Transport(asyncio.SubprocessTransport):
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.SubprocessProtocol,
        running: Running,
        *,
        says: bool,
    ) -> None:
        super().__init__()
        self._protocol = protocol
        self._running = running
        self._pid = next(_pids)
        self._code: int | None = None
        self._ended: asyncio.Future[int] = loop.create_future()
        self._pipes: dict[int, asyncio.BaseTransport] = {0: _Stdin(running)}
        if says:
            self._pipes[2] = _Stderr()
        self.task: asyncio.Task[int] | None = None

    def get_pid(self) -> int:
        return self._pid

    def get_returncode(self) -> int | None:
        return self._code

    def get_pipe_transport(self, fd: int) -> asyncio.BaseTransport | None:
        return self._pipes.get(fd)

    def kill(self) -> None:
        self._end(KILLED)
        if self.task is not None:
            self.task.cancel()

    terminate = kill

    def send_signal(self, signal: int) -> None:  # noqa: ARG002 - the Protocol's
        self.kill()

    def close(self) -> None:
        """Nothing is held."""

    async def _wait(self) -> int:
        return await asyncio.shield(self._ended)

    def finished(self, task: "asyncio.Task[int]") -> None:
        if task.cancelled():
            self._end(KILLED)
        elif (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "a program failed", "exception": error})
            self._end(1)
        else:
            self._end(task.result())

    def _end(self, code: int) -> None:
        if self._code is not None:
            return
        self._code = code
        if 2 in self._pipes:
            if self._running.errors:
                self._protocol.pipe_data_received(2, self._running.errors)
            self._protocol.pipe_connection_lost(2, None)
        self._protocol.process_exited()
        if not self._ended.done():
            self._ended.set_result(code)


def begin(
    loop: asyncio.AbstractEventLoop,
    protocol: asyncio.SubprocessProtocol,
    program: Program,
    args: tuple[Any, ...],
    options: dict[str, Any],
) -> tuple[asyncio.SubprocessTransport, asyncio.SubprocessProtocol]:
    """Start a program in the context, and so on the machine, of who asks for it."""
    running = Running(args, loop)
    transport = _Transport(loop, protocol, running, says=options.get("stderr") == asyncio.subprocess.PIPE)
    protocol.connection_made(transport)

    async def live() -> int:
        return await program(running)

    transport.task = loop.create_task(live())
    transport.task.add_done_callback(transport.finished)
    return transport, protocol
