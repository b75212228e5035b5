"""One connection with a neighbour, over a real socket: what it does when the other side goes."""

import asyncio
import logging
import secrets

import pytest

from admission.ids import GateId
from edge.front.peers.connection import Connection
from sync.wire.channel import Channel, Self
from sync.wire.peers import Beat
from tests.edge.front.peers.node import GROUP, KNOCK, key_of

KNOWN = {GateId(one): key_of(one).public_key().public_bytes_raw() for one in (1, 2)}


def connection(
    gate: int, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], *, dialled: bool
) -> Connection:
    own = Self(GROUP, GateId(gate), key_of(gate), KNOCK, KNOWN.get)
    channel = Channel(own, secrets.token_bytes(32), dials=dialled)
    return Connection(channel, *streams, ("127.0.0.1", 1), dialled=dialled)


async def test_what_is_said_to_who_is_gone_is_no_line_in_the_journal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs = connection(2, (reader, writer), dialled=False)
        await theirs.prove()
        await anext(theirs.messages())
        theirs.close()

    server = await asyncio.start_server(welcome, "127.0.0.1", 0)
    ours = connection(1, await asyncio.open_connection(*server.sockets[0].getsockname()[:2]), dialled=True)
    assert await ours.prove() == 2
    ours.say(Beat(1, 0, whole=False))
    with pytest.raises(OSError, match=r"closed|reset"):
        await anext(ours.messages())
    with caplog.at_level(logging.DEBUG, "asyncio"):
        for stamp in range(2, 12):
            ours.say(Beat(stamp, 0, whole=False))
    assert caplog.records == []
    server.close()
