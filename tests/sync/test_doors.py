"""Strangers at the centre's door: many, silent, slow; gates are still answered."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sync.journal import LINES_PER_MINUTE_MAX, Seldom
from sync.web import doors as limits
from sync.web.doors import BODIES_MAX, IDLE_S, Doors, listening
from sync.web.problems import problems
from sync.web.senders import house_of
from sync.wire.pace import Pace
from tests.sync.venue import venue_at

ROOM = 16
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


class House:
    """A small application behind doors, with a clock of its own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.doors = Doors(lambda: self.now_s, connections_max=ROOM)
        self.port = 0
        self.held: list[asyncio.StreamWriter] = []

    async def knock(self, said: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(said)
        await writer.drain()
        self.held.append(writer)
        return reader

    async def ask(self) -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/") as answer,
        ):
            return answer.status


@asynccontextmanager
async def house_open() -> AsyncIterator[House]:
    house = House()

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application(middlewares=[problems, house.doors.middleware])
    app.add_routes([web.get("/", hello), web.post("/", hello)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sockets = await listening("127.0.0.1", 0)
    house.port = sockets[0].getsockname()[1]
    assert runner.server is not None
    house.doors.open(runner.server, sockets, None)
    try:
        yield house
    finally:
        for one in house.held:
            one.transport.abort()
        await house.doors.close()
        await runner.cleanup()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with house_open() as made:
        yield made


@pytest.mark.parametrize("said", [b"", HEAD], ids=["silent", "half a head"])
async def test_many_that_hold_the_door_do_not_keep_others_out(house: House, said: bytes) -> None:
    for _ in range(3 * ROOM):
        await house.knock(said)
    assert await house.ask() == 200


@pytest.mark.parametrize("said", [b"", HEAD], ids=["silent", "half a head"])
async def test_who_is_idle_too_long_is_shown_out(house: House, said: bytes) -> None:
    reader = await house.knock(said)
    assert await house.ask() == 200  # by now the silent one is in
    house.now_s = IDLE_S - 0.1
    house.doors.sweep_once()
    assert not reader.at_eof()
    house.now_s = IDLE_S + 0.1
    house.doors.sweep_once()
    async with asyncio.timeout(10):
        assert await reader.read() == b""


async def test_bodies_that_do_not_come_are_few(house: House) -> None:
    assert BODIES_MAX < limits.CONNECTIONS_MAX / 10
    house.doors._bodies["somebody"] = BODIES_MAX
    reader = await house.knock(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    async with asyncio.timeout(10):
        answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in answer
    assert await house.ask() == 200


@pytest.mark.parametrize(
    ("address", "house_"),
    [
        ("127.0.0.1", ""), ("::1", ""), ("::ffff:127.0.0.1", ""), ("10.0.0.7", "10.0.0.7"), ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8::1", "2001:db8::/64"), ("2001:db8::ffff:1", "2001:db8::/64"), ("fe80::1%eth0", "fe80::/64"), ("", ""),
    ],
)  # fmt: skip
def test_senders_are_counted_by_address_and_by_network(address: str, house_: str) -> None:
    assert house_of(address) == house_


def test_a_pace_lets_a_burst_through_and_then_its_rate() -> None:
    now_s = 0.0
    pace = Pace(5, 5, lambda: now_s)
    assert sum(pace.take() for _ in range(100)) == 5
    now_s = 0.5
    assert sum(pace.take() for _ in range(100)) == 2
    now_s = 3600.0
    assert sum(pace.take() for _ in range(100)) == 5, "a rest saves up no more than the burst"


# --- the journal ---------------------------------------------------------------------------------------------------


def test_a_line_that_repeats_is_written_seldom_and_counted() -> None:
    now_s = 0.0
    seldom = Seldom(lambda: now_s)

    def said(text: str, *values: object) -> str | None:
        record = logging.LogRecord("sync", logging.WARNING, "", 0, text, values, None)
        return record.getMessage() if seldom.filter(record) else None

    written = [said("refused from %s", number) for number in range(1000)]
    assert [one for one in written if one] == [
        f"refused from {number}" for number in range(LINES_PER_MINUTE_MAX)
    ]
    assert said("another") == "another"
    now_s = 60.0
    assert said("refused from %s", "x") == "refused from x (990 more of these were left out)"
    assert said("refused from %s", "x") == "refused from x"


async def test_what_strangers_send_is_not_in_the_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sent = (
        b"GET / HTTP/1.1\r\nGatehouse-Signature CANARY\r\n\r\n",
        b"\x16\x03CANARY\r\n\r\n",
        b"POST /api/v1/gate/enrol HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nCANARY\r\n",
        b'POST /api/v1/gate/enrol HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{"code":"CANARY"}',
        b"GET /CANARY%0aINFO HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    async with venue_at(tmp_path / "centre") as venue:
        port = int(venue.url.rsplit(":", 1)[1])
        for one in sent:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(one)
            async with asyncio.timeout(10):
                await reader.readline()
            writer.close()
    assert not [one for one in caplog.records if "CANARY" in one.getMessage() + str(one.exc_info)]
