"""A handheld in IP output: it sends each code as a line over TCP, and walks out of the Wi-Fi."""

import asyncio
import socket
from collections.abc import Callable

Address = Callable[[], tuple[str, int]]


class Handheld:
    """One handheld. It connects when it first sends, to where `address` says, and again after `vanish`."""

    def __init__(self, address: Address, *, suffix: bytes = b"\r\n", source: str = "127.0.0.1") -> None:
        self._address = address
        self._source = source
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.suffix = suffix
        self.slow_s = 0.0

    async def connect(self) -> asyncio.StreamReader:
        """Connect, if it is not; returns what the host sends back."""
        if self._stream is None:
            host, port = self._address()
            self._stream = await asyncio.open_connection(host, port, local_addr=(self._source, 0))
        return self._stream[0]

    async def scan(self, text: bytes, *, chunk: int | None = None, stop_after: int | None = None) -> None:
        """Read a code. `chunk`: bytes per segment. `stop_after`: send only so many, as a lost Wi-Fi does."""
        await self.send((text + self.suffix)[:stop_after], chunk=chunk)

    async def send(self, data: bytes, *, chunk: int | None = None) -> None:
        """Send any bytes."""
        await self.connect()
        assert self._stream is not None
        out = self._stream[1]
        out.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        step = chunk or max(1, len(data))
        for start in range(0, len(data), step):
            if self.slow_s:
                await asyncio.sleep(self.slow_s)
            out.write(data[start : start + step])
            await out.drain()

    async def hang_up(self) -> None:
        """End the connection in order."""
        if self._stream is not None:
            out, self._stream = self._stream[1], None
            out.close()
            await out.wait_closed()

    def vanish(self) -> None:
        """End it by a reset, as a box behind a NAT does."""
        if self._stream is not None:
            out, self._stream = self._stream[1], None
            out.transport.abort()
