"""The centre over real HTTP: who may ask, what they get, and what of theirs is taken."""

import asyncio
import os
from base64 import b64decode, b64encode
from hashlib import sha256
from io import BytesIO

import aiohttp
import msgspec
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.entitlements import Standing
from admission.ids import Epoch, GateId, TicketId
from edge.enrolment import Enrolment
from sync import demo
from sync.tickets import changes, rows
from sync.wire.lists import ListFile, read_list
from sync.wire.messages import (
    PUSH_BYTES_MAX,
    PUSH_RECORDS_MAX,
    Chunk,
    Held,
    Push,
    SignedTime,
    Trouble,
    answer_text,
    request_text,
    time_is_genuine,
)
from sync.wire.sealed import unseal
from sync.wire.snapshots import Manifest, read_snapshot
from tests.sync.logs import OTHER_KEY, EpochLog
from tests.sync.requests import Answer, GateClient, packed
from tests.sync.venue import NOW_S, Venue, query

LIST, RECORDS, HAVE = "/api/v1/gate/manifest?fresh=1", "/api/v1/gate/records", "/api/v1/gate/have"


# --- who asks ------------------------------------------------------------------------------------------------------


async def test_only_an_enrolled_gate_is_answered_and_a_stranger_still_gets_the_time(
    venue: Venue, box: Enrolment
) -> None:
    time_key = Ed25519PublicKey.from_public_bytes(box.time_public)
    for number, key in ((box.gate, OTHER_KEY), (99, box.key), (demo.TERRACE_GATE, box.key)):
        async with GateClient(venue.url, number, key) as client:
            for method, path in (("GET", LIST), ("GET", HAVE), ("POST", RECORDS)):
                answer = await client.ask(method, path)
                assert (answer.status, answer.problem["title"]) == (401, "unknown_gate")
                told = msgspec.convert(answer.problem["time"], SignedTime)
                assert time_is_genuine(time_key, told, told.nonce)
                assert told.time_s == NOW_S


@pytest.mark.parametrize(
    "headers",
    [
        {"Gatehouse_Gate": "-1"}, {"Gatehouse_Gate": "1" * 30}, {"Gatehouse_Gate": "٣"}, {"Gatehouse_Nonce": "xyz"},
        {"Gatehouse_Gate": "9223372036854775808"}, {"Gatehouse_Gate": "4294967296"}, {"Gatehouse_Time": "9" * 20},
        {"Gatehouse_Nonce": "A" * 32}, {"Gatehouse_Time": "now"}, {"Gatehouse_Signature": "***"}, {"Gatehouse_Signature": ""},
    ],
)  # fmt: skip
async def test_headers_of_another_form_prove_nobody(gate: GateClient, headers: dict[str, str]) -> None:
    if not all(value.isascii() for value in headers.values()):
        headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    assert (await gate.ask("GET", HAVE, b"", None, **headers)).status == 401


async def test_a_signature_is_for_one_method_path_and_body(venue: Venue, gate: GateClient) -> None:
    assert (await gate.ask("POST", RECORDS, packed(Push(())), signed_body=b"other")).status == 401
    nonce, at = "0" * 32, str(NOW_S)
    for method, target in (("POST", HAVE), ("GET", LIST), ("GET", HAVE + "?x=1")):
        signature = b64encode(gate.key.sign(request_text(method, target, b"", nonce, int(at)))).decode()
        answer = await gate.ask(
            "GET", HAVE, Gatehouse_Nonce=nonce, Gatehouse_Time=at, Gatehouse_Signature=signature
        )
        assert answer.status == 401


async def test_a_request_of_another_time_is_refused_with_the_time_to_sign_with(
    box: Enrolment, gate: GateClient
) -> None:
    for off_s, status in ((-300, 200), (300, 200), (-301, 401), (301, 401), (-NOW_S, 401)):
        gate.now_s = NOW_S + off_s
        answer = await gate.ask("GET", HAVE)
        assert answer.status == status
    assert answer.problem["title"] == "wrong_time"
    told = msgspec.convert(answer.problem["time"], SignedTime)
    assert time_is_genuine(Ed25519PublicKey.from_public_bytes(box.time_public), told, gate.nonce)
    assert told.time_s == NOW_S


async def test_a_request_that_was_overheard_is_soon_worth_nothing(venue: Venue, gate: GateClient) -> None:
    assert (await gate.ask("GET", HAVE)).status == 200
    venue.now_s += 301
    assert (await gate.ask("GET", HAVE)).status == 401


async def test_every_answer_to_a_gate_is_proved(venue: Venue, box: Enrolment, gate: GateClient) -> None:
    time_key = Ed25519PublicKey.from_public_bytes(box.time_public)
    tag = ""
    for method, path, body, status in (
        ("GET", LIST, b"", 200), ("GET", LIST, b"", 304), ("GET", HAVE, b"", 200), ("POST", RECORDS, packed(Push(())), 200),
        ("POST", RECORDS, b"no push", 400),
    ):  # fmt: skip
        answer = await gate.ask(method, path, body, None, If_None_Match=tag)
        assert answer.status == status
        tag = answer.headers.get("ETag", "")
        text = answer_text(gate.nonce, status, tag, sha256(answer.body).digest())
        time_key.verify(b64decode(answer.headers["Gatehouse-Proof"]), text)


async def test_the_time_is_signed_for_the_askers_nonce(venue: Venue, box: Enrolment) -> None:
    nonce = "0123456789abcdef" * 2
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{venue.url}/api/v1/gate/time?nonce={nonce}") as response:
            answer = msgspec.json.decode(await response.read(), type=SignedTime)
        async with session.get(f"{venue.url}/api/v1/gate/time?nonce=1") as response:
            assert response.status == 400
    key = Ed25519PublicKey.from_public_bytes(box.time_public)
    assert time_is_genuine(key, answer, nonce)
    assert not time_is_genuine(key, answer, "f" * 32)


async def test_errors_are_problem_documents(venue: Venue, gate: GateClient) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("DELETE", HAVE, 405), ("GET", RECORDS, 405)):
        answer = await gate.ask(method, path)
        assert (answer.status, answer.problem["status"]) == (status, status)
    assert answer.headers["Allow"] == "POST"
    assert (await gate.ask("POST", RECORDS, bytes(PUSH_BYTES_MAX + 1))).status == 413


async def test_health_and_metrics(venue: Venue, gate: GateClient) -> None:
    await gate.ask("GET", LIST)
    assert (await gate.ask("GET", "/healthz")).status == 200
    assert b"gatehouse_sync_manifests_sent_total 1\n" in (await gate.ask("GET", "/metrics")).body
    with venue.centre.database.writing() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("ALTER TABLE event RENAME TO gone")
    answer = await gate.ask("GET", "/healthz")
    assert (answer.status, answer.problem["title"]) == (503, "database")
    answer = await gate.ask("GET", LIST)
    assert (answer.status, answer.problem["title"]) == (500, "internal")


# --- lists ---------------------------------------------------------------------------------------------------------


def listed_in(answer: Answer, box: Enrolment, venue: Venue) -> ListFile:
    """Return the list that a manifest tells of, as the gate reads it."""
    manifest = msgspec.msgpack.decode(answer.body, type=Manifest)
    assert manifest.snapshot is not None
    path = venue.data / "snapshots" / manifest.snapshot.address
    assert path.stat().st_size == manifest.snapshot.size
    secrets, listed = unseal(manifest.secrets, box.group, box.gate, box.sealing), BytesIO()
    with path.open("rb") as file:
        read_snapshot(file, listed, box.group, secrets.list_secret)
    return read_list(listed, box.list_key, secrets.digest_key)


async def test_the_list_verifies_and_is_the_same_snapshot_for_the_same_version(
    venue: Venue, box: Enrolment, gate: GateClient
) -> None:
    first = await gate.ask("GET", LIST)
    content = listed_in(first, box, venue)
    assert content.row_count == len(list(content.rows())) == 28
    assert content.head.group == box.group
    told = msgspec.msgpack.decode(first.body, type=Manifest)
    await venue.stop()
    for path in (venue.data / "snapshots").iterdir():
        path.unlink()
    await venue.start()
    again = msgspec.msgpack.decode((await gate.ask("GET", LIST)).body, type=Manifest)
    assert (again.snapshot, again.seals) == (told.snapshot, told.seals)


async def test_what_a_gate_has_already_is_not_sent_again(
    venue: Venue, box: Enrolment, gate: GateClient
) -> None:
    tag = (await gate.ask("GET", LIST)).headers["ETag"]
    same = await gate.ask("GET", LIST, If_None_Match=tag)
    assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag)
    with changes.change(venue.centre.database, [demo.EVENT], NOW_S + 60) as connection:
        assert rows.set_standing(connection, demo.EVENT, TicketId(1), Standing.CANCELLED)
        assert not rows.set_standing(connection, demo.EVENT, TicketId(999), Standing.CANCELLED)
    newer = await gate.ask("GET", LIST, If_None_Match=tag)
    assert newer.status == 200
    content = listed_in(newer, box, venue)
    event = content.head.events[0]
    # 1: the demo itself, 2: the enrolment, which tells the others the gate's key, 3: the change
    assert (event.id, event.generation, event.version, event.sealed_at_s) == (demo.EVENT, 1, 3, NOW_S + 60)
    assert [row.standing for row in content.rows() if (row.event, row.ticket) == (1, 1)] == [
        Standing.CANCELLED
    ]
    stamped = query(venue, "SELECT version, count(*) FROM ticket WHERE event_id = 1 GROUP BY version")
    assert stamped == [(1, 26), (3, 1)]


async def test_a_change_that_fails_leaves_no_version_behind(venue: Venue) -> None:
    def ban_and_fail() -> None:
        with changes.change(venue.centre.database, [demo.EVENT], NOW_S) as connection:
            rows.set_standing(connection, demo.EVENT, TicketId(1), Standing.BANNED)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ban_and_fail()
    assert query(venue, "SELECT version FROM event WHERE id = 1") == [(1,)]
    assert query(venue, "SELECT standing FROM ticket WHERE event_id = 1 AND id = 1") == [(0,)]


async def test_many_that_ask_at_once_get_one_build(venue: Venue, gate: GateClient) -> None:
    answers = await asyncio.gather(*(gate.ask("GET", LIST) for _ in range(20)))
    assert len({answer.body for answer in answers}) == 1


# --- records -------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(box: Enrolment) -> EpochLog:
    return EpochLog(Epoch(2**64 - 7), box.gate, box.key).begin().scans(40)


def stored(venue: Venue) -> list[bytes]:
    return [blob for (blob,) in query(venue, "SELECT blob FROM record ORDER BY gate_id, epoch, seq")]  # type: ignore[misc]  # one column of bytes


async def test_the_same_push_twice_is_taken_once(venue: Venue, gate: GateClient, log: EpochLog) -> None:
    first = await gate.push(Push((log.chunk(),)))
    assert first.pushed.held == (Held(1, log.epoch, len(log.blobs), log.links[-1]),)
    assert (await gate.push(Push((log.chunk(),)))).pushed == first.pushed
    assert (await gate.ask("GET", HAVE)).pushed.held == first.pushed.held
    assert stored(venue) == log.blobs
    assert query(venue, "SELECT seq FROM head") == [(seq,) for seq in (10, 20, 30, 40)]
    assert query(venue, "SELECT * FROM trouble") == []


async def test_a_gap_is_told_and_nothing_behind_it_taken(
    venue: Venue, gate: GateClient, log: EpochLog
) -> None:
    await gate.push(Push((log.chunk(1, 10),)))
    answer = await gate.push(Push((log.chunk(12),)))
    assert answer.pushed.troubles == (Trouble(1, log.epoch, 11, "gap"),)
    assert stored(venue) == log.blobs[:10]


async def test_a_fork_is_kept_told_and_listed(venue: Venue, gate: GateClient, log: EpochLog) -> None:
    twin = log.copy(15).scans(8, data=5)
    await gate.push(Push((log.chunk(),)))
    for _ in range(2):
        answer = await gate.push(Push((twin.chunk(),)))
        assert answer.pushed.troubles == (Trouble(1, log.epoch, len(twin.blobs), "fork"),)
        assert answer.pushed.held == (Held(1, log.epoch, len(log.blobs), log.links[-1]),)
    assert stored(venue) == log.blobs
    assert query(venue, "SELECT blob FROM record_fork ORDER BY seq") == [(blob,) for blob in twin.blobs[15:]]
    assert query(venue, "SELECT what, seq, times FROM trouble") == [("fork", len(twin.blobs), 2)]
    twin.scans(500)
    answer = await gate.push(Push((twin.chunk(25),)))
    assert answer.pushed.troubles == (Trouble(1, log.epoch, len(twin.blobs), "fork"),)


async def test_a_rewound_gate_is_listed(venue: Venue, gate: GateClient, log: EpochLog) -> None:
    restored = EpochLog(Epoch(3), log.gate, log.key).begin(log.copy(12)).scans(3)
    await gate.push(Push((log.chunk(),)))
    answer = await gate.push(Push((restored.chunk(),)))
    assert answer.pushed.troubles == (Trouble(1, 3, 0, "rewind"),)
    assert query(venue, "SELECT epoch, what FROM trouble") == [(3, "rewind")]
    assert (await gate.push(Push((restored.chunk(),)))).pushed.troubles == ()
    assert len(stored(venue)) == len(log.blobs) + len(restored.blobs)


async def test_an_altered_record_is_refused(venue: Venue, gate: GateClient, log: EpochLog) -> None:
    blobs = list(log.blobs)
    blobs[24] = blobs[24][:-1] + b"\x01"
    answer = await gate.push(Push((Chunk(1, log.epoch, 1, tuple(blobs)),)))
    assert [one.what for one in answer.pushed.troubles] == ["altered"]
    assert stored(venue) == log.blobs[:21]
    assert answer.pushed.held[0].seq == 21
    assert (await gate.push(Push((log.chunk(),)))).pushed.troubles == ()
    assert stored(venue) == log.blobs


async def test_a_gate_speaks_for_itself_alone(venue: Venue, gate: GateClient, log: EpochLog) -> None:
    other = EpochLog(Epoch(1), GateId(2), log.key).begin()
    answer = await gate.push(Push((other.chunk(), log.chunk())))
    assert [one.what for one in answer.pushed.troubles] == ["foreign"]
    assert stored(venue) == log.blobs


def bomb() -> bytes:
    return zstandard.ZstdCompressor().compress(bytes(256 * 1024 * 1024))


def wide() -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    maker = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return maker.compress(os.urandom(1000)) + maker.flush()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not zstd", bomb(), wide(), zstandard.compress(b"\xff" * 100), packed(Push(()))[:-2],
        zstandard.compress(msgspec.msgpack.encode({"chunks": []})),
        packed(Push((Chunk(1, 1, 1, (b"",) * (PUSH_RECORDS_MAX + 1)),))),
        packed(Push((Chunk(1, 1, 1, ()),) * 300)),
        packed(Push((Chunk(1, -5, 1, (b"x",)),))), packed(Push((Chunk(-1, 5, 1, (b"x",)),))),
        packed(Push((Chunk(2**32, 5, 1, (b"x",)),))), packed(Push((Chunk(1, 5, 2**64 - 1, (b"x",)),))),
    ],
    ids=[
        "empty", "noise", "bomb", "wide window", "not msgpack", "cut", "map", "many records", "many chunks",
        "epoch below 0", "gate below 0", "gate above u32", "seq above u32",
    ],
)  # fmt: skip
async def test_a_body_that_no_gate_sends_is_refused(venue: Venue, gate: GateClient, body: bytes) -> None:
    answer = await gate.ask("POST", RECORDS, body)
    assert (answer.status, answer.problem["title"]) == (400, "malformed")
    assert stored(venue) == []
