"""Somebody with a gate's key, or without one, who says what no gate says."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.ids import GateId
from sync.wire.channel import Channel, Self
from sync.wire.messages import Held
from sync.wire.peer_lists import GivePart, Part
from sync.wire.peers import Beat, Holds, Log, Message, Records, Taken, Wanted, pack, unpack
from tests.edge.front.peers.node import GROUP, KNOCK, Node, key_of

WAIT_S = 10.0
Kind = TypeVar("Kind", GivePart, Part, Holds, Records, Taken, Wanted, Beat)


class Listens(Protocol):
    """Whoever may be dialled."""

    @property
    def port(self) -> int: ...


class Hostile:
    """A connection to a node that went through the handshake, if the node let it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, channel: Channel) -> None:
        self.reader, self.writer, self.channel = reader, writer, channel
        self.heard: list[Message] = []

    def say(self, *messages: Message) -> None:
        for message in messages:
            self.writer.write(self.channel.seal(pack(message)))

    def say_bytes(self, sealed: bytes) -> None:
        self.writer.write(sealed)

    async def hear(self, kind: type[Kind]) -> Kind:
        """Wait for the next message of a kind."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for at, message in enumerate(self.heard):
                    if isinstance(message, kind):
                        del self.heard[at]
                        return message
                if not (data := await self.reader.read(65_536)):
                    raise ConnectionError("ended")
                self.heard += [unpack(one) for one in self.channel.receive(data)]

    async def is_ended(self) -> bool:
        """Whether the node ends it, within the time given."""
        async with asyncio.timeout(WAIT_S):
            with suppress(ConnectionError):
                while await self.reader.read(65_536):
                    pass
        return True

    def begins(self, *logs: Log, yours: tuple[Held, ...] = ()) -> None:
        """Say what a talk begins with."""
        self.say(Holds(first=True, yours=yours, logs=logs), Beat(1, 0, whole=False))


def self_of(gate: int, node: Node, key: Ed25519PrivateKey | None = None, knock: bytes = KNOCK) -> Self:
    known = {node.gate: key_of(node.gate).public_key().public_bytes_raw()}
    return Self(GROUP, GateId(gate), key or key_of(gate), knock, known.get)


@asynccontextmanager
async def knocking(node: Listens, own: Self) -> AsyncIterator[Hostile]:
    """Dial a node and go through the handshake as somebody; ConnectionError where the node ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        channel = Channel(own, secrets.token_bytes(32), dials=True)
        writer.write(channel.to_send())
        early: list[bytes] = []
        async with asyncio.timeout(WAIT_S):
            while not channel.ready:
                data = await reader.read(65_536)
                if not data:
                    raise ConnectionError("not let in")
                early += channel.receive(data)
                writer.write(channel.to_send())
        found = Hostile(reader, writer, channel)
        found.heard += [unpack(one) for one in early]
        yield found
    finally:
        writer.transport.abort()
