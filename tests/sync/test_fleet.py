"""The fleet over the API, on both engines: codes, revocation with its streams, lane plans, lane states, the device board."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import aiohttp
import msgspec
import pytest
from sqlalchemy import Connection, select

from admission.ids import Epoch, GateId
from edge.enrol import enrol
from edge.enrolment import Enrolment
from sync import demo
from sync.accounts.principal import Role
from sync.events import tables
from sync.gates.feed_asked import FRESH_S
from sync.wire.deltas import EventVersion, GateStatus, read_settings
from sync.wire.feed import Ask
from sync.wire.messages import Push
from sync.wire.sealed import SealedRefused, unseal
from sync.wire.seals import read_seal
from sync.wire.snapshots import Manifest, SnapshotRefused, read_snapshot
from tests.sync.conftest import Home
from tests.sync.logs import EpochLog
from tests.sync.people import Caller, token_of
from tests.sync.requests import Answer, GateClient
from tests.sync.venue import NOW_S, Venue, venue_at

GATES, GATE = "/api/v1/groups/1/gates", f"/api/v1/gates/{demo.MAIN_GATE}"


@pytest.fixture
async def venue(home: Home) -> AsyncIterator[Venue]:
    async with venue_at(home.data / "centre", home.url) as made:
        yield made


@pytest.fixture
async def organizer(venue: Venue) -> AsyncIterator[Caller]:
    async with Caller(venue.url, token_of(venue.centre.database, Role.ORGANIZER)) as made:
        yield made


class Listener:
    """A gate's open stream."""

    def __init__(self, client: GateClient, response: aiohttp.ClientResponse) -> None:
        self.client, self.response = client, response

    async def part(self) -> tuple[str, bytes] | None:
        """The next message; None once the centre ended the stream."""
        name = ""
        async with asyncio.timeout(10):
            try:
                async for line in self.response.content:
                    if line.startswith(b"event: "):
                        name = line[7:].strip().decode()
                    if line.startswith(b"data: "):
                        return name, b64decode(line[6:])
            except aiohttp.ClientError:
                pass
        self.response.close()
        return None


async def listening(client: GateClient) -> Listener:
    target = "/api/v1/gate/events"
    response = await client.session.get(client.url + target, headers=client.headers("GET", target))
    assert response.status == 200
    return Listener(client, response)


async def test_a_gate_is_made_named_and_enrolled_once(
    venue: Venue, organizer: Caller, tmp_path: Path
) -> None:
    made = await organizer.ask("POST", GATES, {"name": "North", "zones": [demo.ARENA]})
    assert (made.status, made.json["state"], made.json["zones"]) == (201, "new", [demo.ARENA])
    number = made.json["id"]
    assert (await organizer.ask("POST", GATES, {"name": "North"})).code == "name_taken"
    assert (await organizer.ask("POST", GATES, {"name": "X", "zones": [99]})).code == "unknown_zone"
    url = f"/api/v1/gates/{number}"
    assert (await organizer.ask("PUT", url, {"name": "North 2"})).json["name"] == "North 2"
    code = await organizer.ask("POST", f"{url}/codes", {"url": venue.url})
    assert "<svg" in code.json["qr_svg"]
    box = await asyncio.to_thread(enrol, tmp_path / "north", venue.url, code.json["code"], "box")
    assert (box.gate, box.name) == (number, "North 2")
    assert (await organizer.ask("GET", url)).json["state"] == "enrolled"
    found = (await organizer.ask("GET", GATES)).json["items"]
    assert [one["id"] for one in found] == [demo.MAIN_GATE, demo.TERRACE_GATE, number]


def versions(connection: Connection) -> dict[int, int]:
    """The version of each event's list."""
    return {
        row.id: row.version for row in connection.execute(select(tables.event.c.id, tables.event.c.version))
    }


async def test_a_revoked_gate_is_shut_out_at_once_until_it_is_enrolled_anew(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller, tmp_path: Path
) -> None:
    stream = await listening(gate)
    key = venue.centre.keys.list_key.public_key()
    sealed: set[int] = set()
    while sealed != {demo.EVENT, demo.OTHER_EVENT}:
        part = await stream.part()
        assert part is not None
        sealed |= {read_seal(part[1], key).event} if part[0] == "seal" else set()
    before = await venue.centre.database.read(versions)
    said = await organizer.ask("POST", f"{GATE}/revocations", {"reason": "stolen"})
    assert (said.status, said.json["state"], said.json["reason"]) == (200, "revoked", "stolen")
    while (heard := await stream.part()) is not None:
        assert heard[0] in {"settings", "seal", "changes"}
        if heard[0] == "settings":
            head = read_settings(heard[1], key).head
            gates = {one.id: one.public for one in head.gates}
            newer = any(one.version > before[one.id] for one in head.events)
            # What was before the enrolment, and what it changed, may still be on its way; from the revocation on there
            # is no key.
            if all(one.version >= before[one.id] for one in head.events):
                assert (gates[demo.MAIN_GATE] == b"") == newer
    for target in ("/api/v1/gate/have", "/api/v1/gate/events", "/api/v1/gate/settings"):
        assert (await gate.ask("GET", target)).status == 401
    assert (await organizer.ask("POST", f"{GATE}/revocations", {"reason": "again"})).code == "not_enrolled"
    again = await venue.enrolled(tmp_path / "other box")
    assert again.gate == box.gate
    async with GateClient(venue.url, again.gate, again.key) as other:
        assert (await other.ask("GET", "/api/v1/gate/have")).status == 200
    assert (await gate.ask("GET", "/api/v1/gate/have")).status == 401
    assert (await organizer.ask("GET", GATE)).json["state"] == "enrolled"


def told(answer: Answer, venue: Venue) -> tuple[Manifest, Path]:
    manifest = msgspec.msgpack.decode(answer.body, type=Manifest)
    assert manifest.snapshot is not None
    return manifest, venue.data / "snapshots" / manifest.snapshot.address


@pytest.mark.parametrize("query", ["", "?fresh=1"])
async def test_who_was_revoked_cannot_read_the_next_list(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller, tmp_path: Path, query: str
) -> None:
    target = f"/api/v1/gate/manifest{query}"
    code = (await organizer.ask("POST", f"/api/v1/gates/{demo.TERRACE_GATE}/codes", {"url": venue.url})).json[
        "code"
    ]
    other = await asyncio.to_thread(enrol, tmp_path / "other", venue.url, code, "box")
    manifest, _ = told(await gate.ask("GET", "/api/v1/gate/manifest?fresh=1"), venue)
    stolen = unseal(manifest.secrets, box.group, box.gate, box.sealing).list_secret
    async with GateClient(venue.url, other.gate, other.key) as client:
        before, path = told(await client.ask("GET", target), venue)
        with path.open("rb") as file:
            read_snapshot(file, BytesIO(), box.group, stolen)  # so far the box could read it
        said = await organizer.ask("POST", f"{GATE}/revocations", {"reason": "stolen"})
        assert said.status == 200
        after, path = told(await client.ask("GET", target), venue)
    assert after.snapshot != before.snapshot
    with path.open("rb") as file:
        with pytest.raises(SnapshotRefused) as caught:
            read_snapshot(file, BytesIO(), box.group, stolen)
        assert caught.value.code == "snapshot.foreign_key"
        renewed = unseal(after.secrets, other.group, other.gate, other.sealing)
        read_snapshot(file, BytesIO(), other.group, renewed.list_secret)
    with pytest.raises(SealedRefused):
        unseal(after.secrets, box.group, box.gate, box.sealing)


async def test_a_new_stream_takes_the_place_of_the_old_one(gate: GateClient) -> None:
    first = await listening(gate)
    await first.part()
    second = await listening(gate)
    assert await second.part() is not None
    while await first.part() is not None:
        pass
    second.response.close()


async def test_lane_plans_and_states(venue: Venue, organizer: Caller) -> None:
    plan = {"zone": demo.VIP, "mode": "entry_exit", "sessions": [[demo.EVENT, demo.TODAY]], "attended": True}
    assert (await organizer.ask("PUT", f"{GATE}/lanes/3", plan)).json == {"lane": 3, **plan}
    assert [one["lane"] for one in (await organizer.ask("GET", f"{GATE}/lanes")).json["items"]] == [1, 2, 3]
    bad = {**plan, "sessions": [[demo.EVENT, 77]]}
    assert (await organizer.ask("PUT", f"{GATE}/lanes/3", bad)).code == "unknown_session"
    bad = {**plan, "sessions": [[demo.EVENT, 0]]}
    assert (await organizer.ask("PUT", f"{GATE}/lanes/3", bad)).code == "unknown_session", "nor for any"
    assert (await organizer.ask("PUT", f"{GATE}/lanes/0", plan)).status == 404
    assert (await organizer.ask("DELETE", f"{GATE}/lanes/3")).status == 204
    assert (await organizer.ask("DELETE", f"{GATE}/lanes/3")).status == 404
    states = "/api/v1/groups/1/lane-states"
    first = await organizer.ask("POST", states, {"state": "closed", "zone": demo.ARENA})
    second = await organizer.ask("POST", states, {"state": "controlled", "gate": demo.MAIN_GATE, "lane": 1})
    assert first.json["version"] < second.json["version"]
    assert (await organizer.ask("POST", states, {"state": "ajar", "zone": 1})).code == "unknown_state"
    assert (await organizer.ask("POST", states, {"state": "closed"})).code == "bad_target"
    assert (await organizer.ask("POST", states, {"state": "closed", "gate": 99})).status == 404
    async with Caller(venue.url, token_of(venue.centre.database, Role.STEWARD)) as steward:
        assert (await steward.ask("POST", states, {"state": "closed", "zone": 1})).status == 403


async def test_the_device_board_shows_how_far_each_gate_is(
    venue: Venue, gate: GateClient, organizer: Caller
) -> None:
    (version,) = {one["version"] for one in await board_versions(venue)}
    status = GateStatus(
        versions=(EventVersion(demo.EVENT, 1, version - 1),), software="1.2", outbox=7, outbox_age_s=30,
        clock_off_s=-4, uplink="uplink.ok", verdict="ok",
    )  # fmt: skip
    assert (await gate.ask("POST", "/api/v1/gate/status", msgspec.msgpack.encode(status))).status == 200
    assert (await gate.ask("POST", "/api/v1/gate/status", b"nonsense")).status == 400
    long = msgspec.msgpack.encode(GateStatus(software="x" * 41))
    assert (await gate.ask("POST", "/api/v1/gate/status", long)).status == 400
    await venue.stop()  # what gates told is written at the end, if not before
    await venue.start()
    shown, other = (await organizer.ask("GET", "/api/v1/groups/1/devices")).json["items"]
    assert shown["lists"] == [
        {"event": demo.EVENT, "version": version - 1, "behind": 1},
        {"event": demo.OTHER_EVENT, "version": 0, "behind": -1},
    ]
    wanted = {"software": "1.2", "outbox": 7, "clock_off_s": -4, "away": False, "heard_s": NOW_S}
    assert wanted.items() <= shown.items()
    assert (other["gate"], other["away"], other["heard_s"]) == (GateId(2), True, 0)


async def test_the_device_board_shows_what_a_gate_has_not_read_of_the_others(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller, tmp_path: Path
) -> None:
    async def unread() -> list[int]:
        said = await organizer.ask("GET", "/api/v1/groups/1/devices")
        return [one["unread"] for one in said.json["items"]]

    assert await unread() == [-1, -1], "neither asked for them"
    venue.mono_now_s = venue.mono_s()
    asking = msgspec.msgpack.encode(Ask())
    assert (await gate.ask("POST", "/api/v1/gate/feed", asking)).status == 200
    assert await unread() == [0, -1]
    name = [one["name"] for one in (await organizer.ask("GET", GATES)).json["items"]][1]
    other = await venue.enrolled(tmp_path / "other", name)
    async with GateClient(venue.url, other.gate, other.key) as client:
        for epoch in (5, 6):
            log = EpochLog(Epoch(epoch), other.gate, other.key).begin()
            log.sign()
            assert (await client.push(Push((log.chunk(),)))).status == 200
    assert await unread() == [2, -1]
    venue.mono_now_s += FRESH_S  # how far gates have read is written now and then
    assert (await gate.ask("POST", "/api/v1/gate/feed", asking)).status == 200
    assert await unread() == [0, -1]


async def board_versions(venue: Venue) -> list[dict[str, int]]:
    with venue.centre.database.reading() as connection:
        found = connection.exec_driver_sql("SELECT id, version FROM event")
        return [{"version": row.version} for row in found]
