"""A venue's key is rolled under a running centre: it signs at once, gates follow within seconds, nothing is refused.

Each gate is a whole one, with the uplink as its front keeps it. Its list is never polled, so that it follows because it
was told, or because it met an answer by the new key.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from admission.entitlements import Standing
from admission.reasons import Reason
from admission.records import Outcome
from edge.enrolment import load
from edge.front.centre import UNPROVEN
from edge.held_roster import load_roster
from sync.events.rows import GROUP
from sync.keys import Role, roll
from sync.wire.lists import read_list
from sync.wire.messages import PROOF_HEADER
from sync.wire.roster import Roster
from sync.wire.sealed import unseal
from sync.wire.snapshots import Manifest, read_snapshot
from tests.edge.rig import running
from tests.sync.box import Box
from tests.sync.connected import tickets
from tests.sync.fronted import OFTEN, Fronted, front_of, fronted
from tests.sync.requests import GateClient
from tests.sync.test_between import Between, proof_gone
from tests.sync.test_deltas import stand
from tests.sync.venue import Venue, venue_at

ROLLED = [Role.LISTS, Role.TIME, Role.ROSTER, Role.IDENTITY]
SOON_S = 15.0
"""Seconds for a gate that follows; the machine is busy with other tests."""


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(tmp_path / "centre") as made:
        yield made


def refusals(caught: pytest.LogCaptureFixture) -> list[str]:
    return [
        one.getMessage()
        for one in caught.records
        if one.name.startswith("edge.front") and one.levelno >= logging.ERROR
    ]


async def follows(venue: Venue, one: Fronted, number: int) -> None:
    """Wait until the gate goes by the new keys, for lists, the roster and whatever it asks."""
    async with asyncio.timeout(SOON_S):
        await one.until(lambda: one.enrolment.keys_number == number, "the keys are followed")
        await one.until(one.is_well, "it talks to the centre")
        await one.until(lambda: roster_of(one) is not None, "it has the roster")
    known, keys = one.enrolment, venue.centre.keys
    assert known.list_public == keys.list_key.public_key().public_bytes_raw()
    assert known.time_public == keys.time_key.public_key().public_bytes_raw()
    assert known.roster_public == keys.roster_key.public_key().public_bytes_raw()


def roster_of(one: Fronted) -> Roster | None:
    return load_roster(one.gate.data, one.enrolment)


async def goes_on(venue: Venue, one: Fronted) -> None:
    """A cancel comes down, a record goes up, and a list for who has none is signed by the present key."""
    sold = tickets(venue)
    stand(venue, "day", Standing.CANCELLED)
    await one.until(lambda: one.judged.of(sold["day"]).reason is Reason.CANCELLED, "the cancel is there")
    await one.gate.hardware.entry.scan(sold["day_2"].data.encode())
    assert (await one.gate.seen()).outcome is Outcome.GRANT
    await one.until(one.is_sent, "the record is at the centre")
    box = one.enrolment
    async with GateClient(venue.url, box.gate, box.key) as client:
        for query in ("", "?fresh=1"):
            answer = await client.ask("GET", f"/api/v1/gate/manifest{query}")
            told = msgspec.msgpack.decode(answer.body, type=Manifest)
            assert told.snapshot is not None
            secret = unseal(told.secrets, box.group, box.gate, box.sealing)
            listed = BytesIO()
            with (venue.data / "snapshots" / told.snapshot.address).open("rb") as file:
                read_snapshot(file, listed, GROUP, secret.list_secret)
            assert read_list(listed, box.list_key, secret.digest_key).head.group == GROUP


@pytest.mark.parametrize("role", ROLLED)
async def test_a_gate_follows_within_seconds_and_refuses_nothing(
    venue: Venue, tmp_path: Path, caplog: pytest.LogCaptureFixture, role: Role
) -> None:
    day = tickets(venue)["day"]
    async with fronted(venue, tmp_path) as one:
        await one.until(lambda: roster_of(one), "it has the roster")
        at = len(one.said)
        number = roll(venue.data, role).number
        assert one.judged.of(day).outcome is Outcome.GRANT
        await follows(venue, one, number)
        assert one.judged.of(day).outcome is Outcome.GRANT
        await goes_on(venue, one)
        assert set(one.said[at:]) <= {"uplink.ok", "uplink.starting"}
    assert refusals(caplog) == []


async def test_all_keys_at_once(venue: Venue, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with fronted(venue, tmp_path) as one:
        for role in ROLLED:
            number = roll(venue.data, role).number
        await follows(venue, one, number)
        await goes_on(venue, one)
    assert refusals(caplog) == []


class Deaf(Between):
    """A centre of before, which tells no stream of its keys."""

    async def stream(self, request: web.Request) -> web.StreamResponse:
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.venue.url + request.path_qs, headers=request.headers) as answer,
        ):
            if answer.status != 200:
                return web.Response(status=answer.status, body=await answer.read())
            response = web.StreamResponse(headers={PROOF_HEADER: answer.headers[PROOF_HEADER]})
            await response.prepare(request)
            with suppress(aiohttp.ClientError, ConnectionError):  # cut at either end
                while message := await answer.content.readuntil(b"\n\n"):
                    if not message.startswith(b"event: keys"):
                        await response.write(message)
            return response


@pytest.mark.parametrize("role", ROLLED)
async def test_who_is_not_told_meets_the_new_key_and_asks(
    venue: Venue, tmp_path: Path, caplog: pytest.LogCaptureFixture, role: Role
) -> None:
    deaf = Deaf(venue)
    app = web.Application()
    app.router.add_get("/api/v1/gate/events", deaf.stream)
    app.router.add_route("*", "/{path:.*}", deaf.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with fronted(venue, tmp_path, OFTEN, url=url) as one:
            at = len(one.said)
            number = roll(venue.data, role).number
            await follows(venue, one, number)
            await goes_on(venue, one)
            assert set(one.said[at:]) <= {"uplink.ok", "uplink.starting", "uplink.cut_off"}
    finally:
        await runner.cleanup()
    assert refusals(caplog) == []


class AtOnce(logging.Handler):
    """Does something the moment that a line is logged."""

    def __init__(self, do: Callable[[], object]) -> None:
        super().__init__()
        self._do = do

    def emit(self, record: logging.LogRecord) -> None:
        if "rolled its keys" in record.getMessage():
            self._do()


async def test_an_uplink_that_is_to_end_ends_also_where_it_is_about_to_begin_anew(
    venue: Venue, tmp_path: Path
) -> None:
    box = Box(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
    living = asyncio.create_task(box.uplink().run())
    ending = AtOnce(living.cancel)
    logger = logging.getLogger("edge.front.documents")
    logger.addHandler(ending)
    try:
        await box.until(lambda: box.is_told("uplink.ok"))
        number = roll(venue.data, Role.TIME).number
        async with asyncio.timeout(SOON_S):
            await asyncio.wait([living])
    finally:
        logger.removeHandler(ending)
    assert load(box.data).keys_number == number
    assert living.cancelled(), "else its front would wait for it for ever"
    box.store.close()


async def test_what_is_signed_by_a_stranger_is_refused_once_the_venue_has_no_newer_keys(
    venue: Venue, tmp_path: Path
) -> None:
    between = Between(venue)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", between.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    enrolment = msgspec.structs.replace(await venue.enrolled(tmp_path / "box"), centre_url=url)
    box = Box(tmp_path / "box", enrolment)
    box.store.close()
    asked = 0

    def spoil(answer: web.Response) -> None:
        nonlocal asked
        if "ETag" in answer.headers:
            proof_gone(answer)
        asked += answer.body is not None and b'"identity"' in bytes(answer.body)  # type: ignore[arg-type]  # bytes here

    between.spoil = spoil
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.list_refused"))
        assert box.said[-1].args == {"why": UNPROVEN}
    assert asked == 1
    await runner.cleanup()


async def test_a_roster_by_the_former_key_is_no_roster_and_nobody_is_doubted_for_it(
    venue: Venue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The roster key is rolled while the box is off: until the new roster is there, others' records are left out."""
    async with fronted(venue, tmp_path) as one:
        await one.until(lambda: roster_of(one), "it has the roster")
        folder = one.gate.data.parent
    number = roll(venue.data, Role.ROSTER).number
    async with running(folder) as gate, front_of(gate) as one:
        await follows(venue, one, number)
    assert refusals(caplog) == []
