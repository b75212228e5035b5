"""Streams over several replicas of the centre, and the one that is opened in the instant its gate is shut out."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from admission.entitlements import Standing
from admission.ids import TicketId
from edge.enrolment import Enrolment
from sync import compose, demo
from sync.events.rows import GROUP
from sync.gates.changes import Changes
from sync.gates.hints import Hints
from sync.keys import FILE
from sync.tickets import changes, rows
from sync.wire.deltas import read_delta
from tests.postgres import Postgres
from tests.sync.requests import GateClient
from tests.sync.test_fleet import listening
from tests.sync.venue import NOW_S, Venue, venue_at


@asynccontextmanager
async def replica_of(venue: Venue, data: Path) -> AsyncIterator[str]:
    """A second centre on the same database; its address."""
    data.mkdir()
    shutil.copy(venue.data / FILE, data / FILE)
    centre = compose.open_centre(data, venue.database)
    serving = await compose.listen(centre, "127.0.0.1", 0, now_s=lambda: NOW_S)
    try:
        yield serving.url
    finally:
        await serving.stop()
        centre.close()


async def test_a_cancel_at_one_replica_reaches_a_stream_of_another(server: Postgres, tmp_path: Path) -> None:
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
            with changes.change(venue.centre.database, [demo.EVENT], NOW_S) as connection:
                assert rows.set_standing(connection, demo.EVENT, ticket, Standing.CANCELLED)
            while (part := await stream.part()) is not None:
                if part[0] == "changes" and (told := read_delta(part[1], key)).rows:
                    break
            assert part is not None
            assert {(row.ticket, row.standing) for row in told.rows} == {(ticket, Standing.CANCELLED)}
            stream.response.close()
    server.drop("streams")


async def test_a_stream_for_a_key_that_is_the_gates_no_more_ends_at_once(
    venue: Venue, box: Enrolment, tmp_path: Path
) -> None:
    """As where a gate is shut out between the proof of its request and the stream."""
    database = venue.centre.database
    keys_of = venue.centre.keys
    hints = Hints(Changes(database, keys_of), database, keys_of, lambda: NOW_S)
    keys = {"present": box.public, "former": bytes(32)}

    async def serve(request: web.Request) -> web.StreamResponse:
        return await hints.serve(request, box.gate, GROUP, keys[request.query["key"]], {})

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        async with session.get(address, params={"key": "present"}) as response:
            assert (await response.content.readline()).startswith(b"retry:")
        async with session.get(address, params={"key": "former"}) as response:
            heard = bytearray()
            try:
                async for part in response.content.iter_any():
                    heard += part
            except aiohttp.ClientError:
                pass  # cut, as streams end
            assert bytes(heard) == b""
    await hints.close()
    await runner.cleanup()
