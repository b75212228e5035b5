"""Somebody between a gate and its centre: may cut the line, may not speak for the centre."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from admission.ids import Epoch
from edge.clock import SystemClock
from edge.enrolment import Enrolment
from edge.front.centre import UNPROVEN, Centre, CentreRefused, CutOff
from edge.front.download import KEPT_FREE_BYTES
from edge.front.snapshot import SNAPSHOT_FILE
from edge.front.uplink_tile import STALE_S
from edge.link import Health
from sync.wire.messages import Push, Pushed
from sync.wire.snapshots import Published
from tests.sync.box import Box
from tests.sync.logs import EpochLog
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
        if self.lets_list_drip and "/snapshots/" in request.path:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"GHS0")
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
            for name in ("ETag", "Gatehouse-Proof", "Content-Range"):
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


async def asked(centre: Centre, what: str) -> None:
    log = EpochLog(Epoch(5)).begin().scans(3)
    asks: dict[str, Callable[[], Awaitable[object]]] = {
        "have": centre.have,
        "push": lambda: centre.push(Push((log.chunk(),))),
        "list": lambda: centre.manifest("", fresh=True),
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
        await asked(centre, what)
        between.spoil = spoil
        with pytest.raises(CentreRefused, match=UNPROVEN):
            await asked(centre, what)


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
        await asked(centre, what)
        between.spoil = again
        with pytest.raises(CentreRefused, match=UNPROVEN):
            await asked(centre, what)


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


@pytest.mark.parametrize("what", ["have", "time", "keys"])
async def test_words_of_strangers_that_nest_without_end_are_none_of_the_centre(
    between: Between, enrolment: Enrolment, what: str
) -> None:
    """They would have ended the uplink, and the talk with the neighbours with it."""

    def evil(answer: web.Response) -> None:
        answer.set_status(401 if what == "have" else 200)
        answer.body = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

    between.spoil = evil
    async with Centre(enrolment) as centre:
        asks: dict[str, Callable[[], Awaitable[object]]] = {
            "have": centre.have, "time": centre.time_s, "keys": centre.key_document,
        }  # fmt: skip
        with pytest.raises(CutOff):
            await asks[what]()


async def test_a_list_leaves_the_log_its_room(enrolment: Enrolment, tmp_path: Path) -> None:
    async with Centre(enrolment, free_bytes=lambda _folder: KEPT_FREE_BYTES + 100) as centre:
        published = await newest(centre)
        with pytest.raises(OSError, match="last space"):
            await centre.fetch_snapshot(published, tmp_path / "list")
    assert not (tmp_path / "list").exists()


async def test_a_stream_that_is_refused_and_not_to_the_end_is_silent_as_any_other(
    enrolment: Enrolment,
) -> None:
    """The radio dies in the middle of a proxy's words."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nhalf")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with Centre(msgspec.structs.replace(enrolment, centre_url=url)) as centre:
        with pytest.raises(CutOff):
            async with asyncio.timeout(10):
                await anext(centre.listen(0.2))
    server.close()


# --- snapshots on bad lines ----------------------------------------------------------------------------------------


async def newest(centre: Centre) -> Published:
    said = await centre.manifest("", fresh=True)
    assert said is not None
    assert said[1].snapshot is not None
    return said[1].snapshot


@pytest.mark.parametrize("pieces", [2, 7])
async def test_a_snapshot_that_is_cut_again_and_again_comes_whole(
    between: Between, enrolment: Enrolment, tmp_path: Path, pieces: int
) -> None:
    into, ranges = tmp_path / "list", []

    async with Centre(enrolment) as centre:
        published = await newest(centre)
        step = published.size // pieces + 1

        def cut(answer: web.Response) -> None:
            assert isinstance(answer.body, bytes)
            ranges.append(answer.headers.get("Content-Range"))
            answer.body = answer.body[:step]

        between.spoil = cut
        for _ in range(pieces - 1):
            with pytest.raises(CutOff):
                await centre.fetch_snapshot(published, into)
        await centre.fetch_snapshot(published, into)
        await centre.fetch_snapshot(published, into)  # what is whole is not asked for again
    assert ranges == [None] + [
        f"bytes {step * n}-{published.size - 1}/{published.size}" for n in range(1, pieces)
    ]
    assert hashlib.sha256(into.read_bytes()).hexdigest() == published.address


@pytest.mark.parametrize("place", [0, 4, 20, 59, 60, 100, -1])
async def test_a_snapshot_altered_on_its_way_is_thrown_away(
    between: Between, enrolment: Enrolment, tmp_path: Path, place: int
) -> None:
    def alter(answer: web.Response) -> None:
        body = bytearray(answer.body if isinstance(answer.body, bytes) else b"")
        body[place] ^= 1
        answer.body = bytes(body)

    async with Centre(enrolment) as centre:
        published = await newest(centre)
        between.spoil = alter
        with pytest.raises(CentreRefused, match=r"snapshot\.altered"):
            await centre.fetch_snapshot(published, tmp_path / "list")
        assert not (tmp_path / "list").exists()
        between.spoil = lambda _: None
        await centre.fetch_snapshot(published, tmp_path / "list")


async def test_another_part_than_asked_for_and_another_address_are_refused(
    between: Between, enrolment: Enrolment, tmp_path: Path
) -> None:
    into = tmp_path / "list"

    def shifted(answer: web.Response) -> None:
        answer.headers["Content-Range"] = "bytes 0-9/10"

    async with Centre(enrolment) as centre:
        published = await newest(centre)
        into.write_bytes(b"GHS0")
        between.spoil = shifted
        with pytest.raises(CutOff, match="another part"):
            await centre.fetch_snapshot(published, into)
        for address in ("../../etc/passwd", "0" * 63, "A" * 64):
            with pytest.raises(CentreRefused, match=r"snapshot\.altered"):
                await centre.fetch_snapshot(msgspec.structs.replace(published, address=address), into)
        with pytest.raises(CutOff, match="404"):
            await centre.fetch_snapshot(msgspec.structs.replace(published, address="0" * 64), into)


async def test_a_page_in_the_place_of_the_rest_of_a_snapshot_costs_nothing_of_what_came(
    between: Between, enrolment: Enrolment, tmp_path: Path
) -> None:
    """A proxy says "back soon", with 200."""
    into = tmp_path / "list"

    def page(answer: web.Response) -> None:
        answer.set_status(200)
        answer.headers.popall("Content-Range", None)
        answer.body = b"<html>Back soon</html>"

    async with Centre(enrolment) as centre:
        published = await newest(centre)
        await centre.fetch_snapshot(published, into)
        whole = into.read_bytes()
        into.write_bytes(whole[:200])
        between.spoil = page
        with pytest.raises(CutOff):
            await centre.fetch_snapshot(published, into)
        assert into.read_bytes() == whole[:200]
        between.spoil = lambda _: None
        await centre.fetch_snapshot(published, into)
        assert into.read_bytes() == whole


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
    assert not (box.data / SNAPSHOT_FILE).exists()


async def test_a_list_that_drips_is_told(between: Between, box: Box) -> None:
    assert isinstance(box.clock, HandClock)
    between.lets_list_drip = True
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.ok") and list(box.data.glob(f"{SNAPSHOT_FILE}.*")))
        box.clock.ahead_s = STALE_S + 1
        await box.until(lambda: box.is_told("uplink.list_stale"))
    assert not (box.data / SNAPSHOT_FILE).exists()


def _raw(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = (b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Connection: close", *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "answer",
    [
        _raw(b"", b"ETag: \xff", b"Gatehouse-Proof: " + b"A" * 86 + b"=="),
        _raw(b"", b"Gatehouse-Proof: \xff"),
        _raw(b"", b"X: " + b"y" * 100_000),
        _raw(b'{"title":"\xff"}', status=b"401 No"),
        _raw(b'{"nonce":"\xff"}', status=b"401 No"),
        _raw(b"[" * 100_000, status=b"401 No"),
        _raw(b'{"identity":"\xff"}'),
        _raw(b"", b"Content-Encoding: \xff"),
        b"HTTP/1.1 999 \xff\r\n\r\n",
        b"\xff\x00" * 5000,
    ],
    ids=["tag", "proof", "header", "title", "nonce", "nested", "keys", "encoding", "status", "noise"],
)
async def test_whatever_bytes_a_stranger_answers_with_are_an_answer_like_any_other_of_his(
    enrolment: Enrolment, answer: bytes
) -> None:
    """A defect of ours would end all talk with the centre and the neighbours."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Centre(msgspec.structs.replace(enrolment, centre_url=url)) as centre:
        asks: tuple[Callable[[], Awaitable[object]], ...] = (
            centre.have, centre.time_s, centre.key_document, lambda: anext(centre.listen(5.0)),
        )  # fmt: skip
        for ask in asks:
            with pytest.raises((CutOff, CentreRefused)):
                await ask()
