"""A bad mobile link: a TCP proxy on loopback that delays, throttles, cuts, goes half-open, and counts what passes.

One `SlowLink` is one modem: all its connections share what it gives. Real time, real sockets; what it does is set by plain
fields, at any moment.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

GSM_BYTES_S = 9_600 / 8
"""Circuit-switched data of 2G: the worst that still is a link."""
EDGE_BYTES_S = 60_000 / 8
PIECE_BYTES = 16 * 1024
SLICE_S = 0.1
"""A throttled link gives in slices of so long, so that short messages of one connection pass between long ones."""
LOOK_S = 0.02


@dataclass(eq=False)
class _Line:
    """One connection through the proxy."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    half_open: bool = False
    """Neither side hears anything any more, nor that this is so."""
    passed: int = 0
    moves: asyncio.Event = field(default_factory=asyncio.Event)

    def abort(self) -> None:
        for one in (self.near, self.far):
            if one is not None:
                one.transport.abort()
        self.moves.set()


class SlowLink:
    """Passes connections on to a port of loopback. `near`: a socket that listens already, elsewhere than on loopback."""

    def __init__(self, port: int, near: socket.socket | None = None) -> None:
        self._port = port
        self._near = near
        self._server: asyncio.Server | None = None
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._free_s = {"up": 0.0, "down": 0.0}
        """Until when the link is taken, by direction."""
        self.delay_s = 0.0
        """One way."""
        self.bytes_s: float | None = None
        """What it gives in each direction; None: whatever comes."""
        self.cut_after: int | None = None
        """Each connection is cut once so many bytes have passed, in both directions together."""
        self.refuses = False
        """Nobody gets through: connections are reset at once."""
        self.swallows = False
        """New connections are taken, and nothing ever comes of them: the radio is gone and the operator's box answers."""
        self.holds = False
        """New connections are taken, and get through once this is over."""
        self.up_bytes = self.down_bytes = 0
        """What passed, as TCP carried it."""
        self.pieces = 0
        """How often something was sent on: with a header each, and an acknowledgement back."""
        self.opened = self.cuts = 0

    @property
    def port(self) -> int:
        """Where to connect to."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def bytes(self) -> int:
        """What passed in both directions."""
        return self.up_bytes + self.down_bytes

    @property
    def lines(self) -> int:
        """Connections that are open, as far as the proxy knows."""
        return len(self._lines)

    async def __aenter__(self) -> Self:
        if self._near is not None:
            self._server = await asyncio.start_server(self._taken, sock=self._near)
        else:
            self._server = await asyncio.start_server(self._taken, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset all connections."""
        for line in tuple(self._lines):
            self.cuts += 1
            line.abort()

    def half_open(self) -> int:
        """Have all present connections pass nothing any more, without a word to either side; how many there were."""
        for line in self._lines:
            line.half_open = True
        return len(self._lines)

    async def _taken(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        line = _Line(near)
        self._lines.add(line)
        try:
            if self.refuses:
                return
            self.opened += 1
            if self.swallows:
                line.half_open = True
            while self.holds:
                await asyncio.sleep(LOOK_S)
            far_reader, line.far = await asyncio.open_connection("127.0.0.1", self._port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(line, reader, line.far, "up"))
                both.create_task(self._pass(line, far_reader, near, "down"))
        except* OSError:
            pass
        finally:
            line.abort()
            self._lines.discard(line)
            self._tasks.discard(task)

    async def _pass(
        self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str
    ) -> None:
        while True:
            most = PIECE_BYTES if self.bytes_s is None else max(1, int(self.bytes_s * SLICE_S))
            data = await reader.read(most)
            if not data:  # either side is done: HTTP needs no half-closed connections
                if line.half_open:
                    await line.moves.wait()
                raise ConnectionResetError
            if line.half_open:
                continue  # read and lost, as a radio does that is out of reach
            await self._hold(way, len(data))
            if self._is_dead(line):
                continue
            left = None if self.cut_after is None else self.cut_after - line.passed
            if left is not None and left < len(data):
                writer.write(data[:left])
                self._count(way, max(left, 0))
                self.cuts += 1
                raise ConnectionResetError
            line.passed += len(data)
            self._count(way, len(data))
            writer.write(data)
            await writer.drain()

    def _is_dead(self, line: _Line) -> bool:
        """Whether the line went half-open meanwhile."""
        return line.half_open

    def _count(self, way: str, size: int) -> None:
        self.pieces += 1
        if way == "up":
            self.up_bytes += size
        else:
            self.down_bytes += size

    async def _hold(self, way: str, size: int) -> None:
        """Take as long as the link does."""
        now_s = asyncio.get_running_loop().time()
        ready_s = now_s
        if self.bytes_s is not None:
            ready_s = self._free_s[way] = max(now_s, self._free_s[way]) + size / self.bytes_s
        wait_s = ready_s + self.delay_s - now_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)


@asynccontextmanager
async def slow_link(port: int) -> AsyncIterator[SlowLink]:
    """A link to a port, for as long as the block runs."""
    async with SlowLink(port) as link:
        yield link


__all__ = ["EDGE_BYTES_S", "GSM_BYTES_S", "SlowLink", "slow_link"]
