"""The lane process's end of its socket: whoever listens gets everything, and nobody can hold it up."""

import asyncio
import stat
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.hub import BACKLOG_BYTES_MAX, CLIENTS_MAX, Hub
from edge.link import (
    MESSAGE_BYTES_MAX,
    Asked,
    Done,
    LinkBroken,
    PageSaid,
    Pulse,
    Said,
    Seen,
    Status,
    pack,
    read_from_lane,
)

WELCOME = Status(
    gate=1, name="North", epoch="1", version="0", tiles=(), lanes=(), list_version=0, list_rows=0, records=0,
    inside={}, zones={}, gates={}, time_s=0, started_s=0,
)  # fmt: skip


def seen(seq: int, ticket: str = "") -> Seen:
    return Seen(
        seq=seq, time_s=0, lane=1, reader=1, direction=1, kind="uid", outcome=1, reason=0, ticket=ticket
    )


class Served:
    """A hub, and what it was told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lane.sock"
        self.commands: list[Asked] = []
        self.said: asyncio.Queue[Said] = asyncio.Queue()
        self.hub = Hub(self.path, lambda: WELCOME, self._do, self.said.put_nowait)

    async def _do(self, command: Asked) -> Done:
        self.commands.append(command)
        return Done(command.number, ok=True)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        stream, out = await asyncio.open_unix_connection(str(self.path))
        try:
            yield stream, out
        finally:
            out.close()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Served]:
    served = Served(folder)
    await served.hub.start()
    try:
        yield served
    finally:
        await served.hub.stop()


async def test_who_connects_is_told_all_and_then_what_is_new(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert stat.S_IMODE(served.path.stat().st_mode) == 0o600
        served.hub.push(seen(1))  # nobody listens
        async with served.client() as (one, _), served.client() as (other, _):
            for stream in (one, other):
                assert await read_from_lane(stream) == WELCOME
            assert served.hub.listeners == 2
            served.hub.push(seen(2))
            for stream in (one, other):
                assert await read_from_lane(stream) == seen(2)
    assert not served.path.exists()


async def test_a_command_has_its_answer_and_what_is_said_none(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as (stream, out):
        await read_from_lane(stream)
        out.write(pack(PageSaid("https://here")) + pack(Pulse(7, 1, 1)) + pack(Pulse(8, 1, 2)))
        assert await read_from_lane(stream) == Done(7, ok=True)
        assert await read_from_lane(stream) == Done(8, ok=True)
        assert served.commands == [Pulse(7, 1, 1), Pulse(8, 1, 2)]
        assert await served.said.get() == PageSaid("https://here")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        struct.pack(">I", MESSAGE_BYTES_MAX + 1),
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        struct.pack(">I", 1) + b"\x80",
        pack(Done(1, ok=True)),
    ],
    ids=["huge", "too large", "no MessagePack", "no type", "not its to say"],
)
async def test_who_sends_no_message_is_cut_off_and_others_are_not(tmp_path: Path, data: bytes) -> None:
    async with serving(tmp_path) as served, served.client() as (good, _), served.client() as (bad, out):
        await read_from_lane(good)
        await read_from_lane(bad)
        out.write(data)
        with pytest.raises(LinkBroken):
            await read_from_lane(bad)
        served.hub.push(seen(1))
        assert await read_from_lane(good) == seen(1)
        assert served.commands == []


async def test_there_is_an_end_to_clients(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        streams = [await asyncio.open_unix_connection(str(served.path)) for _ in range(CLIENTS_MAX)]
        for stream, _ in streams:
            await read_from_lane(stream)
        async with served.client() as (late, _):
            with pytest.raises(LinkBroken):
                await read_from_lane(late)
        for _, out in streams:
            out.close()


async def test_a_front_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as (stream, _):
        await read_from_lane(stream)
        big = seen(1, "x" * 100_000)
        for _ in range(BACKLOG_BYTES_MAX // 100_000 + 10):
            served.hub.push(big)
        assert served.hub.listeners == 0


def test_a_gate_that_ends_while_somebody_listens_logs_no_defect(tmp_path: Path) -> None:
    told: list[dict[str, object]] = []

    async def ends() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        served = Served(tmp_path)
        await served.hub.start()
        async with served.client() as (stream, _):
            assert await read_from_lane(stream) == WELCOME
            await served.hub.stop()

    asyncio.run(ends())
    assert told == []
