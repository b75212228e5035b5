"""Somebody between a gate and its centre: may cut the line, may not speak for the centre."""

import asyncio
import hashlib
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest
import zstandard
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.ids import Epoch
from edge.clock import SystemClock
from edge.enrolment import Enrolment
from edge.front.centre import KEPT_FREE_BYTES, UNPROVEN, Centre, CentreRefused
from edge.front.snapshot import SNAPSHOT_FILE
from edge.front.uplink import STALE_S
from edge.link import Health
from sync.wire import lists
from sync.wire.lists import ListHead, ListRefused, pack_list, read_head, unpack_list
from sync.wire.messages import Push, Pushed
from tests.sync.box import Box
from tests.sync.logs import OTHER_KEY, EpochLog
from tests.sync.venue import Venue, venue_at

Spoil = Callable[[web.Response], None]


class Between:
    """Passes requests on, and what it likes of the answers back."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.url = ""
        self.spoil: Spoil = lambda _: None
        self.lets_list_drip = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.lets_list_drip and request.path.endswith("/list"):
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"GHL0")
            await asyncio.Event().wait()
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                self.venue.url + request.path_qs,
                data=await request.read() or None,
                headers=request.headers,
            ) as answer,
        ):
            made = web.Response(status=answer.status, body=await answer.read())
            for name in ("ETag", "Gatehouse-Proof"):
                if name in answer.headers:
                    made.headers[name] = answer.headers[name]
        self.spoil(made)
        return made


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(tmp_path / "centre") as made:
        yield made


@pytest.fixture
async def between(venue: Venue) -> AsyncIterator[Between]:
    made = Between(venue)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def enrolment(venue: Venue, between: Between, tmp_path: Path) -> Enrolment:
    made = await venue.enrolled(tmp_path / "box")
    return msgspec.structs.replace(made, centre_url=between.url)


def body_changed(answer: web.Response) -> None:
    answer.body = msgspec.msgpack.encode(Pushed(())) + b"\xc0"


def proof_gone(answer: web.Response) -> None:
    answer.headers.popall("Gatehouse-Proof", None)


def proof_of_another(answer: web.Response) -> None:
    answer.headers["Gatehouse-Proof"] = "A" * 86 + "=="


def status_changed(answer: web.Response) -> None:
    answer.set_status(304)
    answer.body = None


def tag_changed(answer: web.Response) -> None:
    answer.headers["ETag"] = '"other"'


def not_found(answer: web.Response) -> None:
    answer.set_status(404)


async def asked(centre: Centre, what: str, folder: Path) -> None:
    log = EpochLog(Epoch(5)).begin().scans(3)
    asks: dict[str, Callable[[], Awaitable[object]]] = {
        "have": centre.have,
        "push": lambda: centre.push(Push((log.chunk(),))),
        "list": lambda: centre.fetch_list("", folder / "list"),
    }
    await asks[what]()


@pytest.mark.parametrize("what", ["have", "push", "list"])
@pytest.mark.parametrize(
    "spoil", [body_changed, proof_gone, proof_of_another, status_changed, tag_changed, not_found]
)
async def test_what_the_centre_did_not_say_is_not_believed(
    between: Between, enrolment: Enrolment, tmp_path: Path, what: str, spoil: Spoil
) -> None:
    async with Centre(enrolment) as centre:
        await asked(centre, what, tmp_path)
        between.spoil = spoil
        with pytest.raises(CentreRefused, match=UNPROVEN):
            await asked(centre, what, tmp_path)


@pytest.mark.parametrize("what", ["have", "list"])
async def test_an_answer_of_yesterday_is_not_believed(
    between: Between, enrolment: Enrolment, tmp_path: Path, what: str
) -> None:
    kept: list[tuple[int, object, dict[str, str]]] = []
    between.spoil = lambda answer: kept.append((answer.status, answer.body, dict(answer.headers)))

    def again(answer: web.Response) -> None:
        status, body, headers = kept[-1]
        answer.set_status(status)
        answer.body = body
        for name in {"ETag", "Gatehouse-Proof"} & set(headers):
            answer.headers[name] = headers[name]

    async with Centre(enrolment) as centre:
        await asked(centre, what, tmp_path)
        between.spoil = again
        with pytest.raises(CentreRefused, match=UNPROVEN):
            await asked(centre, what, tmp_path)


@pytest.mark.parametrize("clock_s", [0, 1_000, 4_000_000_000])
async def test_a_wrong_clock_locks_no_gate_out(enrolment: Enrolment, clock_s: int) -> None:
    async with Centre(enrolment, now_s=lambda: clock_s) as centre:
        for _ in range(2):
            assert await centre.have() == Pushed(())


async def test_words_of_strangers_do_not_reach_the_page(between: Between, enrolment: Enrolment) -> None:
    def evil(answer: web.Response) -> None:
        answer.set_status(401)
        answer.body = b'{"title":"<img src=x onerror=alert(1)>"}'

    between.spoil = evil
    async with Centre(enrolment) as centre:
        with pytest.raises(CentreRefused) as refused:
            await centre.have()
    assert refused.value.code == "refused"


async def test_a_list_leaves_the_log_its_room(enrolment: Enrolment, tmp_path: Path) -> None:
    async with Centre(enrolment, free_bytes=lambda _folder: KEPT_FREE_BYTES + 100) as centre:
        with pytest.raises(OSError, match="last space"):
            await centre.fetch_list("", tmp_path / "list")
    assert (tmp_path / "list").stat().st_size == 0


# --- what the tile says --------------------------------------------------------------------------------------------


class HandClock(SystemClock):
    """The machine's clock, moved ahead by hand."""

    ahead_s = 0.0

    def mono_ns(self) -> int:
        return time.monotonic_ns() + int(self.ahead_s * 1e9)


@pytest.fixture
def box(enrolment: Enrolment, tmp_path: Path) -> Box:
    made = Box(tmp_path / "box", enrolment)
    made.clock = HandClock()
    made.store.close()
    return made


async def test_a_list_held_back_is_told(between: Between, box: Box) -> None:
    assert isinstance(box.clock, HandClock)
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.ok"))
    between.spoil = lambda answer: proof_gone(answer) if "ETag" in answer.headers else None
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.list_refused"))
        assert box.said[-1].args == {"why": UNPROVEN}
        box.clock.ahead_s = STALE_S + 1
        await box.until(lambda: box.is_told("uplink.list_stale"))
    assert box.said[-1].health is Health.DEGRADED
    assert box.said[-1].args == {"why": UNPROVEN}
    assert not (box.data / (SNAPSHOT_FILE + ".new")).exists()


async def test_a_list_that_drips_is_told(between: Between, box: Box) -> None:
    assert isinstance(box.clock, HandClock)
    between.lets_list_drip = True
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.ok") and (box.data / (SNAPSHOT_FILE + ".new")).exists())
        box.clock.ahead_s = STALE_S + 1
        await box.until(lambda: box.is_told("uplink.list_stale"))
    assert not (box.data / (SNAPSHOT_FILE + ".new")).exists()


# --- list files ----------------------------------------------------------------------------------------------------

HEAD = ListHead(
    group=1, events=(), products=(), sessions=(), zones=(), plans=(), gate_lanes={}, keys=(), gates=(), profiles=(),
    digest_key=bytes(32),
)  # fmt: skip


def test_a_head_is_read_from_a_file_only_when_all_of_it_is_signed(tmp_path: Path) -> None:
    path, key = tmp_path / "list", Ed25519PrivateKey.generate()
    whole = pack_list(HEAD, (), key)

    def read(content: bytes, by: Ed25519PrivateKey = key) -> ListHead:
        path.write_bytes(content)
        with path.open("rb") as file:
            return read_head(file, by.public_key())

    assert read(whole) == HEAD
    with pytest.raises(ListRefused, match="not signed"):
        read(whole, OTHER_KEY)
    for at in range(len(whole)):
        with pytest.raises(ListRefused):
            read(whole[:at])
        with pytest.raises(ListRefused):
            read(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


def test_a_list_gets_no_more_memory_than_its_rows_need() -> None:
    """The file as `sync.wire.lists` lays it out: no rows, and columns that unpack to 64 MB."""
    key = Ed25519PrivateKey.generate()
    head, bomb = msgspec.msgpack.encode(HEAD), zstandard.compress(bytes(64 * 1024 * 1024))
    lengths = struct.pack(">I", len(head)), struct.pack(">II", 0, len(bomb))
    body = b"".join((lists.MAGIC, lengths[0], head, lengths[1], bomb))
    signed = body + key.sign(lists.DOMAIN + hashlib.sha256(body).digest())
    assert lists.ROWS_MAX * lists.ROW_BYTES > 64 * 1024 * 1024
    tracemalloc.start()
    try:
        with pytest.raises(ListRefused):
            unpack_list(signed, key.public_key())
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()
