"""Streams over several replicas of the centre, and whatever may keep one from ending when its gate is shut out."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import SQLAlchemyError

from admission.entitlements import Standing
from admission.ids import EventId, GateId, TicketId
from edge.enrolment import Enrolment
from sync import compose, demo
from sync.accounts.principal import Role
from sync.events.rows import GROUP
from sync.gates import enrolment, fleet
from sync.gates.changes import Changes, News, TooFar
from sync.gates.handlers import Nets
from sync.gates.hints import Hints
from sync.keys import FILE, VenueKeys, load_or_make
from sync.store.database import Database
from sync.tickets import changes, rows
from sync.wire.deltas import read_delta
from tests.postgres import Postgres
from tests.sync.conftest import Home
from tests.sync.people import Caller, token_of
from tests.sync.requests import GateClient
from tests.sync.test_fleet import listening
from tests.sync.venue import NOW_S, Venue, venue_at

SELDOM = Nets(changes_s=600.0)
"""Nets so wide that a stream is told nothing but what a signal brought."""
WAIT_S = 10.0
"""Only reached where a stream did not end, or was not told."""


@asynccontextmanager
async def replica_of(venue: Venue, data: Path) -> AsyncIterator[str]:
    """A second centre on the same database, which looks when it is told to; its address."""
    data.mkdir()
    shutil.copy(venue.data / FILE, data / FILE)
    centre = compose.open_centre(data, venue.database)
    serving = await compose.listen(centre, "127.0.0.1", 0, now_s=lambda: NOW_S, nets=SELDOM)
    try:
        yield serving.url
    finally:
        await serving.stop()
        centre.close()


async def test_a_cancel_at_one_replica_reaches_a_stream_of_another(server: Postgres, tmp_path: Path) -> None:
    """By LISTEN and NOTIFY alone: the poll is not due for minutes."""
    url = server.make("streams", "migrated")
    async with (
        venue_at(tmp_path / "first", url) as venue,
        replica_of(venue, tmp_path / "second") as other,
    ):
        box = await venue.enrolled(tmp_path / "box")
        key = venue.centre.keys.list_key.public_key()
        async with GateClient(other, box.gate, box.key) as gate:
            stream = await listening(gate)
            assert await stream.part() is not None
            ticket = TicketId(1)
            # Again and again: a look that the enrolment brought about may come upon the first.
            for standing in (Standing.CANCELLED, Standing.VALID, Standing.CANCELLED, Standing.VALID):
                with changes.change(venue.centre.database, [demo.EVENT], NOW_S) as connection:
                    assert rows.set_standing(connection, demo.EVENT, ticket, standing)
                while (part := await stream.part()) is not None:
                    if part[0] == "changes" and (told := read_delta(part[1], key)).rows:
                        break
                assert part is not None
                assert {(row.ticket, row.standing) for row in told.rows} == {(ticket, standing)}
            stream.response.close()
    server.drop("streams")


@dataclass
class Streams:
    """Streams served without the centre around them: whose key the asker showed is the test's to say."""

    hints: Hints
    address: str
    served: list[asyncio.Event] = field(default_factory=list)
    """Of each stream, set once it is served no more."""


@asynccontextmanager
async def streams_of(
    database: Database, keys: VenueKeys, gate: Enrolment, told: Changes | None = None
) -> AsyncIterator[Streams]:
    hints = Hints(told or Changes(database, keys), database, keys, lambda: NOW_S, 600.0)
    made = Streams(hints, "")
    shown = {"present": gate.public, "former": bytes(32)}

    async def serve(request: web.Request) -> web.StreamResponse:
        made.served.append(asyncio.Event())
        try:
            return await hints.serve(request, gate.gate, GROUP, shown[request.query["key"]], {})
        finally:
            made.served[-1].set()

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield made
    finally:
        await hints.close()
        await runner.cleanup()


async def ended(response: aiohttp.ClientResponse) -> bytes:
    """Read a stream to its end; return what it brought."""
    heard = bytearray()
    async with asyncio.timeout(WAIT_S):
        try:
            async for part in response.content.iter_any():
                heard += part
        except aiohttp.ClientError:
            pass  # cut, as streams end
    response.close()
    return bytes(heard)


async def test_a_stream_for_a_key_that_is_the_gates_no_more_ends_at_once(
    venue: Venue, box: Enrolment
) -> None:
    """As where a gate is shut out between the proof of its request and the stream."""
    async with (
        streams_of(venue.centre.database, venue.centre.keys, box) as made,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(made.address, params={"key": "present"}) as response:
            assert (await response.content.readline()).startswith(b"retry:")
        async with session.get(made.address, params={"key": "former"}) as response:
            assert await ended(response) == b""


class OldNews(Changes):
    """Always tells of the group as it was before any of its gates was enrolled."""

    def look(self, now_s: int) -> tuple[News, ...]:  # noqa: ARG002 - what it says is older
        return (News(GROUP, (("settings", b"old"),), {}),)


async def test_news_from_before_a_gate_was_enrolled_does_not_shut_it_out(
    venue: Venue, box: Enrolment
) -> None:
    database = venue.centre.database
    async with (
        streams_of(database, venue.centre.keys, box, OldNews(database, venue.centre.keys)) as made,
        aiohttp.ClientSession() as session,
        session.get(made.address, params={"key": "present"}) as response,
    ):
        async with asyncio.timeout(WAIT_S):
            assert (await response.content.readline()).startswith(b"retry:")
            await made.hints.start()
            for _ in range(3):
                made.hints.poke()
                while (await response.content.readline()) != b"event: settings\n":
                    pass
        assert made.hints.streams == 1
        await asyncio.to_thread(revoked, database, box.gate)
        made.hints.poke()
        await ended(response)


async def test_a_stream_that_a_gate_does_not_read_ends_at_once_too(venue: Venue, box: Enrolment) -> None:
    """What was written for it waits in buffers; nobody waits for a gate to take that before its stream ends."""
    async with streams_of(venue.centre.database, venue.centre.keys, box) as made:
        host, port = made.address.removeprefix("http://").strip("/").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(b"GET /?key=present HTTP/1.1\r\nHost: centre\r\n\r\n")
        async with asyncio.timeout(WAIT_S):
            while not (await reader.readline()).startswith(b"retry:"):
                pass
            (stream,) = made.hints._streams.values()
            stream.put(bytes(64 * 1024 * 1024))  # more than any buffer holds
            while stream.parts:
                await asyncio.sleep(0)
            made.hints.end(box.gate)
            await made.served[0].wait()
        writer.transport.abort()


def revoked(database: Database, gate: GateId, group: int = GROUP) -> None:
    with database.writing() as connection:
        events = changes.events_of_group(connection, group)
        with changes.change(connection, events, NOW_S + 1):
            fleet.revoke(connection, gate, "stolen", NOW_S + 1)


def enrolled(database: Database, gate: GateId, key: Ed25519PrivateKey, group: int = GROUP) -> None:
    public = key.public_key().public_bytes_raw()
    with database.writing() as connection:
        events = changes.events_of_group(connection, group)
        with changes.change(connection, events, NOW_S):
            enrolment.join(connection, gate, public, bytes(range(32)), NOW_S)


async def test_a_stream_opened_in_the_very_instant_of_the_revocation_ends(home: Home) -> None:
    """Revoked before, in, and after each step of the opening, as far as the loop's turns tell them apart."""
    async with venue_at(home.data / "centre", home.url, SELDOM) as venue:
        database, key = venue.centre.database, Ed25519PrivateKey.generate()
        for turns in range(0, 120, 4):
            await asyncio.to_thread(enrolled, database, demo.MAIN_GATE, key)
            async with GateClient(venue.url, demo.MAIN_GATE, key) as gate:
                opening = asyncio.create_task(opened(gate))
                for _ in range(turns):
                    await asyncio.sleep(0)
                await asyncio.to_thread(revoked, database, demo.MAIN_GATE)
                response = await opening
                if response.status == 200:
                    await ended(response)
                else:
                    assert response.status == 401
                response.close()


async def opened(gate: GateClient) -> aiohttp.ClientResponse:
    return await gate.session.get(
        gate.url + "/api/v1/gate/events", headers=gate.headers("GET", "/api/v1/gate/events")
    )


async def without_event(venue: Venue) -> tuple[int, GateId]:
    """Make an event group that has a gate and no event yet."""
    async with Caller(venue.url, token_of(venue.centre.database, Role.ORGANIZER)) as organizer:
        group = (await organizer.ask("POST", "/api/v1/groups", {"name": "Next year"})).json["id"]
        made = await organizer.ask("POST", f"/api/v1/groups/{group}/gates", {"name": "Yard"})
        assert made.status == 201, made.body
        return group, GateId(made.json["id"])


async def test_a_gate_of_a_group_without_an_event_is_shut_out_all_the_same(home: Home) -> None:
    """No list tells of its gates, so no version rises."""
    async with venue_at(home.data / "centre", home.url, SELDOM) as venue:
        group, number = await without_event(venue)
        key = Ed25519PrivateKey.generate()
        enrolled(venue.centre.database, number, key, group)
        async with GateClient(venue.url, number, key) as gate:
            response = await opened(gate)
            assert await response.content.readline(), "it is open"
            await asyncio.to_thread(revoked, venue.centre.database, number, group)
            await ended(response)


async def test_another_replica_shuts_it_out_as_soon(server: Postgres, tmp_path: Path) -> None:
    url = server.make("shut_out", "migrated")
    async with (
        venue_at(tmp_path / "first", url, SELDOM) as venue,
        replica_of(venue, tmp_path / "second") as other,
    ):
        group, number = await without_event(venue)
        key = Ed25519PrivateKey.generate()
        for gate, of_group in ((number, group), (demo.MAIN_GATE, GROUP)):
            enrolled(venue.centre.database, gate, key, of_group)
            async with GateClient(other, gate, key) as client:
                response = await opened(client)
                assert await response.content.readline(), (
                    "it is open; what the enrolment changed may come first"
                )
                await asyncio.to_thread(revoked, venue.centre.database, gate, of_group)
                await ended(response)
    server.drop("shut_out")


def keys_told(found: tuple[News, ...]) -> list[bytes]:
    return [one.public[demo.MAIN_GATE] for one in found]


def test_what_another_question_came_upon_is_told_all_the_same(home: Home) -> None:
    """A page or settings of what is not known yet look at the tables; streams are told of what they found, once."""
    database = home.open()
    keys = load_or_make(home.data, may_make=True)
    demo.make_demo(database, keys, home.data, NOW_S)
    made, key = Changes(database, keys), Ed25519PrivateKey.generate()
    enrolled(database, demo.MAIN_GATE, key)
    assert keys_told(made.look(NOW_S)) == [key.public_key().public_bytes_raw()]
    asks: tuple[Callable[[], bytes], ...] = (
        lambda: made.page(GROUP, EventId(999), 1, 0),
        lambda: made.settings(999),
    )
    for ask in asks:
        enrolled(database, demo.MAIN_GATE, key)
        made.look(NOW_S)
        revoked(database, demo.MAIN_GATE)
        with pytest.raises(TooFar):
            ask()
        assert keys_told(made.look(NOW_S)) == [b""]
        assert made.look(NOW_S) == ()
    database.close()


def test_what_could_not_be_read_is_told_by_the_next_look(home: Home) -> None:
    database = home.open()
    keys = load_or_make(home.data, may_make=True)
    demo.make_demo(database, keys, home.data, NOW_S)
    made, key = Changes(database, keys), Ed25519PrivateKey.generate()
    enrolled(database, demo.MAIN_GATE, key)
    made.look(NOW_S)
    revoked(database, demo.MAIN_GATE)
    rename(database, "credential", "elsewhere")
    with pytest.raises(SQLAlchemyError):
        made.look(NOW_S)
    rename(database, "elsewhere", "credential")
    assert keys_told(made.look(NOW_S)) == [b""]
    database.close()


def rename(database: Database, table: str, name: str) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {name}")
