"""A gate's page at the centre shows what became of its devices, and what of its records does not count."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from admission.ids import Epoch, LaneId, ReaderId
from admission.records import (
    DeviceChange,
    DeviceKind,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Record,
    device_data,
)
from sync.demo import ARENA, EVENT, MAIN_GATE, MAIN_GATE_NAME, TERRACE_GATE
from sync.gates import device_history, ingest
from sync.gates.statuses import Statuses
from sync.store.database import Database
from sync.wire.deltas import GateStatus
from sync.wire.gate_keys import make_offer
from sync.wire.messages import Push
from sync.wire.snapshots import Manifest
from tests.sync.conftest import Home
from tests.sync.logs import EpochLog
from tests.sync.pages.evening import KEYS, GateLog, enrolled
from tests.sync.pages.seat import EVENT_PATH, client, house
from tests.sync.requests import GateClient
from tests.sync.venue import Venue, query, venue_at


def device_log(epoch: int = 70) -> EpochLog:
    """A reader that came, left and flapped, a relay board with a name, and something of a newer gate."""
    log = EpochLog(Epoch(epoch), MAIN_GATE, KEYS[MAIN_GATE])
    log.begin()

    def add(at_s: int, data: int, lane: int, number: int, name: str = "", flags: Flag = Flag.NONE) -> None:
        seq = len(log.blobs) + 1
        body = Record(
            Kind.DEVICE, seq, at_s * 1_000_000, seq, LaneId(lane), ReaderId(number), flags=flags, data=data
        )
        log.add(body.to_bytes())
        if name:
            log.add(ExtensionRecord(Extension.DETAIL, seq + 1, name.encode()).to_bytes())

    add(1_800_000_000, device_data(DeviceKind.READER, DeviceChange.OPENED), 1, 2)
    add(1_800_000_060, device_data(DeviceKind.RELAY, DeviceChange.MISCONFIGURED), 0, 1, "arm <b>left</b>")
    add(1_800_000_120, device_data(DeviceKind.READER, DeviceChange.GONE, 17), 1, 2, flags=Flag.REPEATED)
    add(1_800_000_180, 99 << 24 | 1 << 16, 0, 1)
    log.sign()
    return log


def push(database: Database, log: EpochLog) -> None:
    with database.writing() as connection:
        enrolled(connection, MAIN_GATE)
        public = KEYS[MAIN_GATE].public_key().public_bytes_raw()
        taken = ingest.take(connection, MAIN_GATE, public, Push((log.chunk(1),)), 1_800_000_200)
        assert taken.troubles == ()


async def test_the_newest_changes_come_first_with_names_and_what_was_left_out(home: Home) -> None:
    async with venue_at(home.data, home.url) as venue:
        push(venue.centre.database, device_log())
        with venue.centre.database.reading() as connection:
            found = device_history.steps(connection, MAIN_GATE)
            assert device_history.steps(connection, TERRACE_GATE) == []
    told = [(one.kind.name, one.change.name, one.lane, one.number, one.name, one.counted) for one in found]
    assert told == [
        ("READER", "GONE", 1, 2, "", 17),
        ("RELAY", "MISCONFIGURED", 0, 1, "arm <b>left</b>", 0),
        ("READER", "OPENED", 1, 2, "", 0),
    ]
    assert found[0].at_us == 1_800_000_120_000_000


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Venue]:
    async with house(tmp_path / "centre") as venue:
        yield venue


async def test_the_page_of_the_gate_says_them(hall: Venue) -> None:
    push(hall.centre.database, device_log())
    async with client(hall) as ada, ada.get(f"/gates/{MAIN_GATE}") as answer:
        page = await answer.text()
    said = [
        " ".join(html.unescape(re.sub(r"<[^>]+>", " ", one)).split())
        for one in re.findall(r"<li class=.*?</li>", page, re.DOTALL)
    ]
    assert said == [
        "Gone: unplugged, without power, or silent Reader 2 · lane 1 and 17 changes before 08:02:00 2027-01-15",
        "Not as configured Relay board arm <b>left</b> 08:01:00 2027-01-15",
        "Came Reader 2 · lane 1 08:00:00 2027-01-15",
    ]
    async with client(hall) as ada, ada.get(f"/gates/{TERRACE_GATE}") as answer:
        assert "No change recorded yet." in await answer.text()


async def test_a_gate_that_others_doubt_is_named_with_those_who_do(hall: Venue) -> None:
    with hall.centre.database.writing() as connection:
        for one in (MAIN_GATE, TERRACE_GATE):
            enrolled(connection, one)
    statuses = Statuses(hall.centre.database)
    statuses.heard(MAIN_GATE, GateStatus(verdict="degraded", doubted=(TERRACE_GATE,)), hall.now_s)
    statuses.heard(TERRACE_GATE, GateStatus(verdict="not_ready"), hall.now_s)
    await statuses.write()
    async with client(hall) as ada:
        async with ada.get("/gates") as answer:
            rows = re.findall(r"<tr><th scope=.row.*?</tr>", await answer.text(), re.DOTALL)
        told = {re.findall(r"/gates/(\d+)", one)[0]: "Claims more than it can do" in one for one in rows}
        assert told == {str(MAIN_GATE): False, str(TERRACE_GATE): True}
        async with ada.get(f"/gates/{TERRACE_GATE}") as answer:
            assert f"{MAIN_GATE_NAME}: this gate claims" in html.unescape(await answer.text())
        async with ada.get(f"/gates/{MAIN_GATE}") as answer:
            assert "this gate claims" not in await answer.text()


async def test_a_gate_is_asked_for_new_keys_and_shown_to_have_them(hall: Venue, tmp_path: Path) -> None:
    path = f"/gates/{MAIN_GATE}"
    async with client(hall) as ada:
        async with ada.get(path) as answer:
            assert "Ask for new keys" not in await answer.text(), "there is no box yet"
        async with ada.post(f"{path}/roll") as answer:
            assert answer.status == 422
            assert "No box is enrolled as this gate; there is nobody to ask." in await answer.text()
        box = await hall.enrolled(tmp_path / "box")
        async with ada.get(path) as answer:
            page = await answer.text()
        assert f'action="{path}/roll"' in page
        assert "New keys asked for" not in page
        async with ada.post(f"{path}/roll") as answer:
            page = await answer.text()
        assert f'action="{path}/roll"' not in page, "once is enough"
        assert page.count("New keys asked for") == 2
        async with ada.get("/gates") as answer:
            assert (await answer.text()).count("New keys asked for") == 1
        signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        async with GateClient(hall.url, box.gate, box.key, hall.now_s) as gate:
            told = await gate.ask("GET", "/api/v1/gate/manifest")
            order = msgspec.msgpack.decode(told.body, type=Manifest).roll
            assert order is not None
            offer = make_offer(box.gate, order, box.public, signing, sealing)
            answered = await gate.ask("POST", "/api/v1/gate/keys", msgspec.msgpack.encode(offer))
            assert answered.status == 200
            async with ada.get(path) as answer:
                assert "Changing keys" in await answer.text()
            gate.key = signing
            assert (await gate.ask("GET", "/api/v1/gate/have")).status == 200
        async with ada.get(path) as answer:
            page = await answer.text()
        assert f'action="{path}/roll"' in page
        assert not {"New keys asked for", "Changing keys"} & set(re.split(r"[<>]", page))
        async with ada.post(f"{path}/revoke", data={"reason": "stolen"}) as answer:
            page = await answer.text()
        assert "No box yet" in page, "who was shut out is no box of ours"
        assert "Own keys since" not in page


async def test_records_set_aside_are_counted_apart(hall: Venue) -> None:
    log = GateLog(MAIN_GATE, EVENT)
    log.enter(1, 1, ARENA, hall.now_s - 30)
    with hall.centre.database.writing() as connection:
        enrolled(connection, MAIN_GATE)
        log.push(connection, hall.now_s)
    async with client(hall) as ada:
        async with ada.get(f"{EVENT_PATH}/board") as answer:
            assert "set aside" not in await answer.text()
        async with ada.post(f"/gates/{MAIN_GATE}/revoke", data={"reason": "stolen"}) as answer:
            assert answer.status == 200
        last = query(hall, "SELECT seq FROM log_epoch")[0][0]
        assert isinstance(last, int)
        with hall.centre.database.writing() as connection:
            connection.exec_driver_sql(f"UPDATE log_epoch SET seq = {last + 3}")  # what came in afterwards
        for path in (f"{EVENT_PATH}/board", f"/gates/{MAIN_GATE}"):
            async with ada.get(path) as answer:
                page = await answer.text()
            assert re.search(r"3 records( set aside)?<", page), path
