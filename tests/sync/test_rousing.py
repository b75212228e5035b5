"""Gates that rest: what their streams are told meanwhile, and how one gate has the centre wake the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psycopg
from sqlalchemy import make_url

from edge.enrolment import Enrolment
from edge.front.centre import Centre
from sync.events.rows import GROUP
from sync.gates.changes import Changes
from sync.gates.hints import ROUSE, Hints
from sync.keys import load_or_make
from sync.store.database import Database
from sync.tickets.changes import CHANNEL
from sync.wire.deltas import RECORDS_PART, GateStatus
from sync.wire.feed import Ask
from sync.wire.seals import RENEW_S, REST_RENEW_S
from tests.postgres import Postgres
from tests.sync.gates import SECOND_NAME, add_second_gate
from tests.sync.requests import GateClient
from tests.sync.test_fleet import listening
from tests.sync.test_half_open import TurnedLoop, on_turned_time
from tests.sync.test_streams import replica_of
from tests.sync.venue import NOW_S, Venue, venue_at

WAIT_S = 10.0
"""Only reached where nothing came."""
EVENTS = 2
"""Of the demo venue, each with a seal of its own."""
TRIES = 8
LOOK_S = 0.1
"""Of real time, in which a part that is due comes over loopback."""


async def roused(url: str, gate: Enrolment, asker: Enrolment) -> None:
    """Have one gate ask while another only listens, at `url`; returns once that one was told to ask, too."""
    async with (
        GateClient(url, gate.gate, gate.key) as client,
        Centre(asker, now_s=lambda: NOW_S) as centre,
        asyncio.timeout(WAIT_S),
    ):
        stream = await listening(client)
        while (await stream.part() or ("",))[0] != "seal":
            pass  # it is open, and known to those who tell
        await centre.feed(Ask(rouses=True))
        while (await stream.part() or ("",))[0] != RECORDS_PART:
            pass
        stream.response.close()


async def two_of(venue: Venue, folder: Path) -> tuple[Enrolment, Enrolment]:
    add_second_gate(venue)
    return await venue.enrolled(folder / "box"), await venue.enrolled(folder / "second", SECOND_NAME)


async def test_who_needs_the_others_has_those_told_that_only_listen(venue: Venue, tmp_path: Path) -> None:
    asker, other = await two_of(venue, tmp_path)
    await roused(venue.url, other, asker)


async def test_who_listens_to_another_replica_is_told_too(server: Postgres, tmp_path: Path) -> None:
    url = server.make("roused", "migrated")
    async with (
        venue_at(tmp_path / "first", url) as venue,
        replica_of(venue, tmp_path / "second") as replica,
    ):
        asker, other = await two_of(venue, tmp_path)
        await roused(replica, other, asker)
    server.drop("roused")


async def test_to_tell_other_replicas_who_is_needed_is_no_change_of_a_list(
    server: Postgres, tmp_path: Path
) -> None:
    """It was taken for one: after scans all looked for changes, and whoever watched for one saw it come by itself."""
    url = server.make("roused", "migrated")
    database, keys = Database.open(tmp_path, url), load_or_make(tmp_path, may_make=True)
    hints = Hints(Changes(database, keys), database, keys, lambda: NOW_S)
    written: list[None] = []
    database.on_written.append(lambda: written.append(None))
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as other:
        other.execute(f"LISTEN {CHANNEL}")
        hints.rouse(GROUP)
        heard = other.notifies(timeout=WAIT_S, stop_after=1)
        assert [one.payload for one in await asyncio.to_thread(list, heard)] == [f"{ROUSE}{GROUP}"]
    await hints.close()
    await asyncio.to_thread(database.close)  # what runs in its threads is done then
    assert not written
    server.drop("roused")


@asynccontextmanager
async def heard(centre: Centre) -> AsyncIterator[list[str]]:
    """Listen as a gate does, and note what the stream's messages are called."""
    names: list[str] = []

    async def listen() -> None:
        async for name, _ in centre.listen(10 * REST_RENEW_S):
            names.append(name)

    listener = asyncio.create_task(listen())
    try:
        yield names
    finally:
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener


async def seals_in(seconds: int, names: list[str]) -> list[int]:
    """Turn a minute at a time; how many seals came in each."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TurnedLoop)
    found = []
    for _ in range(seconds // RENEW_S):
        before = names.count("seal")
        loop.ahead_s += RENEW_S
        await asyncio.sleep(LOOK_S)
        found.append(names.count("seal") - before)
    return found


def test_a_gate_that_rests_is_sent_seals_of_what_did_not_change_seldomer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with venue_at(tmp_path / "centre") as venue:
            box = await venue.enrolled(tmp_path / "box")
            async with Centre(box, now_s=lambda: NOW_S) as centre, heard(centre) as names:
                while "seal" not in names:
                    await asyncio.sleep(LOOK_S)
                await centre.tell(GateStatus(again_s=1200))
                assert sorted(await seals_in(REST_RENEW_S, names)) == [0, 0, 0, 0, EVENTS]
                await centre.tell(GateStatus())
                assert await seals_in(2 * RENEW_S, names) == [EVENTS, EVENTS]

    on_turned_time(scenario())


def test_a_gate_rests_also_where_it_says_so_to_another_replica_than_it_listens_to(
    server: Postgres, tmp_path: Path
) -> None:
    """By a proxy's turns: it was sent all seals, over a link that is paid for."""
    url = server.make("rests", "migrated")

    async def scenario() -> None:
        async with (
            venue_at(tmp_path / "first", url) as venue,
            replica_of(venue, tmp_path / "second") as replica,
        ):
            box = await venue.enrolled(tmp_path / "box")
            elsewhere = msgspec.structs.replace(box, centre_url=replica)
            async with (
                Centre(box, now_s=lambda: NOW_S) as centre,
                Centre(elsewhere, now_s=lambda: NOW_S) as other,
                heard(centre) as names,
            ):
                while "seal" not in names:
                    await asyncio.sleep(LOOK_S)
                await other.tell(GateStatus(again_s=1200))
                # It comes by and by: of two minutes in a row one had none.
                assert any([0 in await seals_in(2 * RENEW_S, names) for _ in range(TRIES)])
                assert sorted(await seals_in(REST_RENEW_S, names)) == [0, 0, 0, 0, EVENTS]
                await other.tell(GateStatus())
                assert any([await seals_in(2 * RENEW_S, names) == [EVENTS, EVENTS] for _ in range(TRIES)])

    on_turned_time(scenario())
    server.drop("rests")
