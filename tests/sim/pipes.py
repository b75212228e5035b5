"""Unix sockets of the virtual loop: two ends in memory, each in the context of who made it."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any


class End(asyncio.Transport):
    """One end of a stream. What is written here arrives there at the next turn, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        super().__init__()
        self._loop = loop
        self._context = context
        self._protocol: asyncio.BaseProtocol | None = None
        self._closing = False
        self.other: End | None = None

    def open(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the end to its protocol; runs in the context of who made it."""
        self._protocol = protocol
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing and self.other is not None:
            self._loop.call_soon(self.other.arrived, bytes(data), context=self.other._context)

    def arrived(self, data: bytes) -> None:
        if not self._closing and isinstance(self._protocol, asyncio.Protocol):
            self._protocol.data_received(data)

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        other = self.other
        if other is not None:
            self._loop.call_soon(other.ended, context=other._context)
        self._loop.call_soon(self._lost, context=self._context)

    abort = close

    def dropped(self) -> None:
        """Whoever held this end is no more: the system closes it."""
        other = self.other
        if not self._closing and other is not None:
            self._closing = True
            self._loop.call_soon(other.ended, context=other._context)

    def ended(self) -> None:
        """The other side is gone."""
        if not self._closing:
            if isinstance(self._protocol, asyncio.Protocol):
                self._protocol.eof_received()
            self._closing = True
            self._loop.call_soon(self._lost, context=self._context)

    def _lost(self) -> None:
        if self._protocol is not None:
            self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self._closing or self._loop.is_closed()

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - the Protocol's
        return default

    def pause_reading(self) -> None:
        """Nothing here is large enough to be held up."""

    def resume_reading(self) -> None:
        """See pause_reading."""

    def can_write_eof(self) -> bool:
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol


class Listening(asyncio.AbstractServer):
    """A socket that is listened at."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], asyncio.BaseProtocol],
        sock: Any,
        on_close: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._sock = sock
        self._on_close = on_close
        self._context = contextvars.copy_context()

    def connect(self, protocol: asyncio.BaseProtocol) -> tuple[End, asyncio.BaseProtocol]:
        """Join a client, whose context this runs in, with a new end of ours."""
        near, far = End(self._loop, contextvars.copy_context()), End(self._loop, self._context.copy())
        near.other, far.other = far, near
        near.open(protocol)
        self._loop.call_soon(self._accept, far, context=far._context)
        return near, protocol

    def _accept(self, end: End) -> None:
        end.open(self._factory())

    def close(self) -> None:
        self._on_close()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    async def start_serving(self) -> None:
        return None

    async def serve_forever(self) -> None:
        await self._loop.create_future()

    def is_serving(self) -> bool:
        return self._sock is not None

    async def wait_closed(self) -> None:
        return None
