"""One connection with a neighbour: a socket, the channel over it, and whole messages both ways."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from admission.ids import GateId
from edge.front.peers.table import Address
from sync.wire.channel import Channel, ChannelRefused
from sync.wire.peers import Message, pack, unpack

PROVE_S = 5.0
"""A handshake is three short flights: who takes longer holds a place for nothing."""
SILENCE_S = 20.0
"""Two beats of an idle neighbour missed: it is gone, whatever the network says."""
SEND_S = 10.0
"""Who does not read what we say for so long is cut off: what waits for it fills our memory."""
BACKLOG_BYTES_MAX = 2 * 1024 * 1024
READ_BYTES = 64 * 1024


class Connection:
    """A socket with a channel over it. `prove` first. Any trouble ends it: ChannelRefused, PeerMisbehaved or OSError."""

    def __init__(
        self,
        channel: Channel,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: Address,
        *,
        dialled: bool,
    ) -> None:
        self.address = address
        """Of the other side; its port is where it listens only where we dialled it."""
        self.dialled = dialled
        self._channel = channel
        self._reader = reader
        self._writer = writer
        self._early: list[bytes] = []

    @property
    def peer(self) -> GateId:
        """Who is at the other end."""
        peer = self._channel.peer
        assert peer is not None, "nobody talks before he has proved himself"
        return peer

    async def prove(self) -> GateId:
        """Have both sides prove themselves; return who the other one is."""
        try:
            async with asyncio.timeout(PROVE_S):
                self._writer.write(self._channel.to_send())
                while not self._channel.ready:
                    self._early += await self._some()
                await self._writer.drain()
        except TimeoutError:
            raise ChannelRefused("channel.slow") from None
        return self.peer

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what the neighbour says, until it is silent or gone (OSError)."""
        sealed, self._early = self._early, []
        while True:
            for one in sealed:
                yield unpack(one)
            try:
                async with asyncio.timeout(SILENCE_S):
                    sealed = await self._some()
            except TimeoutError:
                raise ConnectionError("the neighbour is silent") from None

    async def _some(self) -> list[bytes]:
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise ConnectionError("the neighbour closed the connection")
        messages = self._channel.receive(data)
        if answer := self._channel.to_send():
            self._writer.write(answer)
        return messages

    def say(self, message: Message) -> None:
        """Send a message. A neighbour that does not read is dropped; one that is gone is found so by whoever listens to it."""
        if self._writer.transport.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > BACKLOG_BYTES_MAX:
            self.close()
            return
        self._writer.write(self._channel.seal(pack(message)))

    async def sent(self) -> None:
        """Wait until the neighbour reads what was said; OSError where it does not."""
        try:
            async with asyncio.timeout(SEND_S):
                await self._writer.drain()
        except TimeoutError:
            raise ConnectionError("the neighbour does not read") from None

    def close(self) -> None:
        """End it at once, whatever is still to be sent."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.transport.abort()


__all__ = ["Connection"]
