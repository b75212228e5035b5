"""The centre as the uplink sees it: signed requests, checked answers (`sync.wire.messages` has the table)."""

import asyncio
import binascii
import hashlib
import io
import os
import re
import shutil
import socket
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, TypeVar

import aiohttp
import msgspec
import zstandard
from aiohttp import AddrInfoType
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.ids import EventId
from edge.centre_tls import CentreTls, is_about_dates
from edge.clock import AGREES_S
from edge.enrolment import Enrolment
from edge.front import download
from sync.wire.carry import pack_carry
from sync.wire.deltas import GateStatus
from sync.wire.feed import Ask, BadFeed, Feed, Want, unpack_feed
from sync.wire.gate_keys import KeyOffer
from sync.wire.messages import (
    NONCE_BYTES,
    PROOF_HEADER,
    UNREADABLE,
    WRONG_TIME,
    Certified,
    Chunk,
    Push,
    Pushed,
    SignedKeys,
    SignedTime,
    answer_text,
    is_signed,
    request_text,
    time_is_genuine,
)
from sync.wire.record_columns import pack_chunks
from sync.wire.shown_names import NamesTold
from sync.wire.snapshots import Manifest, Published

CONNECT_S = 10.0
SILENCE_S = 30.0
"""Longest silence of the centre; also over a bad mobile link it has said something by then."""
CONNECTIONS_MAX = 6
"""List, records, time, what others recorded, the stream of hints, and one more for what is asked now and then."""
ANSWER_S = 120.0
"""For a whole answer that is no list: 4 MiB over 0.3 Mbit/s."""
SMALL_BYTES_MAX = 4 * 1024 * 1024
"""Answers that are no list: what is held of 10,000 epochs takes 0.6 MB."""
READ_BYTES = 256 * 1024
ZSTD_LEVEL = 3
UNPROVEN = "centre.unproven"
"""`CentreRefused.code` of an answer that the centre did not prove: somebody stands between, or it is an old centre."""
UNSAID = ("User-Agent", "Accept")
"""Headers that aiohttp adds by itself and that nobody reads: 60 B of each question over a link that is paid for."""
OPENINGS_MAX = 3
"""Tries to open the stream: by another time for the certificate, and again for the request."""
_CODE = re.compile(r"[a-z_]{1,40}", re.ASCII)


Answer = TypeVar("Answer")


class CutOff(Exception):
    """The centre does not answer, or not as itself. Try again, with growing waits."""


class Silent(CutOff):
    """A stream that was open says nothing any more: somebody on the way forgot it, or it is half-open."""


class CentreRefused(Exception):
    """The centre answered and said no; `code` is its one word. `centre_time_s`: signed for this request, or 0."""

    def __init__(self, code: str, centre_time_s: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self.centre_time_s = centre_time_s


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back for a nonce, not yet proved. `digest` is of the body."""

    nonce: str
    status: int
    tag: str
    body: bytes
    digest: bytes
    proof: str


class _Problem(msgspec.Struct):
    """What we read of a problem document (RFC 9457)."""

    title: str = "refused"
    time: SignedTime | None = None


class Centre:
    """One centre over HTTP or HTTPS; an async context manager. Every method raises CutOff or CentreRefused.

    Nothing is believed but what the centre's time key signed for the question asked: the answer alone would be
    anybody's who stands between.
    """

    def __init__(
        self,
        enrolment: Enrolment,
        ca_file: Path | None = None,
        now_s: Callable[[], int] = lambda: int(time.time()),
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        sockets: Callable[[AddrInfoType], socket.socket] | None = None,
    ) -> None:
        self._gate = enrolment.gate
        self._key = enrolment.key
        self._time_key = Ed25519PublicKey.from_public_bytes(enrolment.time_public)
        self._base = enrolment.centre_url.rstrip("/")
        self._ca_file = ca_file
        self._now_s = now_s
        self._free_bytes = free_bytes
        self._sockets = sockets
        """What makes its sockets, where their bytes are counted."""
        self._ahead_s = 0
        """How far the centre's clock is ahead of ours, as far as it made a difference."""
        self._tls: CentreTls | None = None
        self._tls_is_late = False
        """The last connection failed by the dates of a certificate."""
        self._dating = asyncio.Lock()
        """One asks for the time that certificates are looked at by; the others wait for it."""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._tls = CentreTls(self._ca_file) if self._base.startswith("https:") else None
        context = self._tls.context if self._tls is not None else True
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=context, socket_factory=self._sockets)
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=SILENCE_S)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, skip_auto_headers=UNSAID
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def time_s(self) -> int:
        """Return the centre's time, signed for a nonce of ours."""
        return await self._signed_time()

    async def _signed_time(self, tls: ssl.SSLContext | None = None) -> int:
        nonce = _nonce()
        said = await self._exchange("GET", f"/api/v1/gate/time?nonce={nonce}", nonce=nonce, tls=tls)
        if said.status != 200:
            self._raise(said)
        answer = _unproved(said.body, SignedTime)
        if not time_is_genuine(self._time_key, answer, nonce):
            raise CentreRefused("time_forged")
        return answer.time_s

    async def have(self) -> Pushed:
        """Return what the centre holds of our logs."""
        return _pushed((await self._ask("GET", "/api/v1/gate/have")).body)

    async def push(self, push: Push) -> Pushed:
        """Hand records over. Safe to repeat."""
        packed = await asyncio.to_thread(_pack, push)
        return _pushed((await self._ask("POST", "/api/v1/gate/records", packed)).body)

    async def carry(self, logs: tuple[Want, ...], chunks: tuple[Chunk, ...]) -> Pushed:
        """Hand over records of other gates; return what is held of these logs and of those asked about."""
        packed = await asyncio.to_thread(pack_carry, logs, chunks)
        return _pushed((await self._ask("POST", "/api/v1/gate/carried", packed)).body)

    async def feed(self, ask: Ask) -> tuple[Feed, tuple[Chunk, ...]]:
        """Ask for what other gates recorded; waits as long as `ask` says where there is nothing new."""
        answer = await self._ask("POST", "/api/v1/gate/feed", msgspec.msgpack.encode(ask))
        try:
            return await asyncio.to_thread(unpack_feed, answer.body)
        except BadFeed as error:
            raise CutOff("what answers is not the centre") from error

    async def manifest(self, tag: str, *, fresh: bool) -> tuple[str, Manifest] | None:
        """Return what this gate is told of its list, with its tag; None where that is `tag` still.

        `fresh`: of a snapshot that is behind nothing.
        """
        said = await self._ask("GET", f"/api/v1/gate/manifest{'?fresh=1' if fresh else ''}", tag=tag)
        if said.status == 304:
            return None
        return said.tag, _decoded(said.body, Manifest)

    async def fetch_snapshot(self, published: Published, into: Path) -> None:
        """Write a snapshot to a file, going on with what is in it already.

        CentreRefused `snapshot.altered`, and the file is empty, where it is not what its name says. OSError where the
        disk does not take it.
        """
        assert self._session is not None, "use the centre as a context manager"
        try:
            await download.fetch(self._session, self._base, published, into, self._free_bytes)
        except download.Cut as error:
            raise CutOff(str(error)) from error
        except download.Altered as error:
            raise CentreRefused("snapshot.altered") from error

    async def key_document(self) -> SignedKeys:
        """Return the venue's newest key document, not yet proved (`sync.wire.rotation`)."""
        # It proves itself, and may name the key without which no time can be believed: certificates of any date will do.
        undated = self._tls.undated if self._tls is not None and self._tls_is_late else None
        said = await self._exchange("GET", "/api/v1/gate/keys", tls=undated)
        if said.status != 200:
            self._raise(said)
        return _unproved(said.body, SignedKeys)

    async def roster(self) -> bytes:
        """Return the newest roster, not yet verified (`sync.wire.roster`)."""
        return (await self._ask("GET", "/api/v1/gate/roster")).body

    async def certificate(self, request: bytes) -> Certified:
        """Return a certificate for this gate's page. `request`: PKCS #10, DER."""
        return _decoded((await self._ask("POST", "/api/v1/gate/certificate", request)).body, Certified)

    async def offer_keys(self, offer: KeyOffer) -> None:
        """Offer new keys of ours, for an order of the centre; returns once it keeps them."""
        await self._ask("POST", "/api/v1/gate/keys", msgspec.msgpack.encode(offer))

    async def changes(self, event: EventId, generation: int, since: int) -> bytes:
        """Return a page of what changed in an event's list after a version, not yet read."""
        target = f"/api/v1/gate/changes?event={event}&generation={generation}&since={since}"
        return (await self._ask("GET", target)).body

    async def settings(self) -> bytes:
        """Return the settings in force, not yet read."""
        return (await self._ask("GET", "/api/v1/gate/settings")).body

    async def names(self) -> NamesTold:
        """Return the names that people asked to be shown by."""
        return _decoded((await self._ask("GET", "/api/v1/gate/names")).body, NamesTold)

    async def tell(self, status: GateStatus) -> None:
        """Say how this gate is."""
        await self._ask("POST", "/api/v1/gate/status", msgspec.msgpack.encode(status))

    @property
    def ahead_s(self) -> int:
        """How far the centre's clock is ahead of ours, as far as it made a difference."""
        return self._ahead_s

    async def listen(self, silence_s: float, beat_s: int = 0) -> AsyncGenerator[tuple[str, bytes], None]:
        """Yield what the centre tells as it becomes known: names and data of its stream's messages, and ("", b"") for
        a heartbeat, which is asked for every `beat_s`. Ends where the centre ends it; Silent where it says nothing for
        `silence_s`.

        The opening is proved; what comes after it is signed one by one.
        """
        try:
            target = f"/api/v1/gate/events?beat_s={beat_s}" if beat_s else "/api/v1/gate/events"
            async with await self._opened(target, silence_s) as response:
                name = ""
                while True:
                    try:
                        async with asyncio.timeout(silence_s):
                            line = await response.content.readline()
                    except TimeoutError as error:
                        raise Silent("the stream says nothing any more") from error
                    if not line:
                        return
                    field, _, value = line.strip().partition(b":")
                    if field == b"event":
                        name = value.strip().decode("ascii", "replace")
                    elif field == b"data":
                        yield name, b64decode(value.strip(), validate=True)
                    elif line.startswith(b":"):
                        yield "", b""
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise CutOff(str(error) or type(error).__name__) from error

    async def _opened(self, target: str, silence_s: float) -> aiohttp.ClientResponse:
        """Return a proved answer whose body comes by and by; asks again, once, with the centre's time."""
        assert self._session is not None, "use the centre as a context manager"
        for _ in range(OPENINGS_MAX):
            nonce = _nonce()
            try:
                async with asyncio.timeout(silence_s):
                    response = await self._session.get(
                        self._base + target,
                        headers=self._signed("GET", target, b"", nonce),
                        allow_redirects=False,
                        timeout=aiohttp.ClientTimeout(
                            total=None, connect=CONNECT_S
                        ),  # silence is ours to judge
                    )
            except aiohttp.ClientError as error:
                if not await self._is_dated(error):
                    raise
                continue
            try:
                body = b""
                if response.status != 200:
                    async with asyncio.timeout(silence_s):
                        body = await _read(response)
                proof = response.headers.get(PROOF_HEADER, "")
                self._proved(_Answer(nonce, response.status, "", body, hashlib.sha256(body).digest(), proof))
            except CentreRefused as error:
                response.close()
                if error.code != WRONG_TIME or not error.centre_time_s:
                    raise
                self._ahead_s = error.centre_time_s - self._now_s()
            except (CutOff, TimeoutError):
                response.close()
                raise
            else:
                return response
        raise CentreRefused(WRONG_TIME)

    async def _ask(self, method: str, target: str, body: bytes = b"", *, tag: str = "") -> _Answer:
        """Return a proved answer, 200 or 304. Asks again, once, with the centre's time where ours is refused."""
        try:
            return self._proved(await self._exchange(method, target, body, tag=tag))
        except CentreRefused as error:
            if error.code != WRONG_TIME or not error.centre_time_s:
                raise
            self._ahead_s = error.centre_time_s - self._now_s()
        return self._proved(await self._exchange(method, target, body, tag=tag))

    def _proved(self, said: _Answer) -> _Answer:
        if said.status == 401 or said.status >= 500:
            self._raise(said)
        try:
            signature = b64decode(said.proof, validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        if not is_signed(
            self._time_key, signature, answer_text(said.nonce, said.status, said.tag, said.digest)
        ):
            raise CentreRefused(UNPROVEN)
        if said.status not in {200, 304}:
            self._raise(said)
        return said

    async def _exchange(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        nonce: str = "",
        tag: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> _Answer:
        """Send a signed request; return whatever answers. `tls`: what to connect with, where it is not as ever."""
        assert self._session is not None, "use the centre as a context manager"
        nonce = nonce or _nonce()
        headers = {
            **self._signed(method, target, body, nonce),
            **({"If-None-Match": tag} if tag else {}),
        }
        try:
            async with (
                asyncio.timeout(ANSWER_S),
                self._session.request(
                    method,
                    self._base + target,
                    data=io.BytesIO(body) if body else None,
                    headers=headers,
                    allow_redirects=False,
                    ssl=True if tls is None else tls,
                ) as response,
            ):
                content = await _read(response)
                digest = hashlib.sha256(content).digest()
                found, proof = response.headers.get("ETag", ""), response.headers.get(PROOF_HEADER, "")
                return _Answer(nonce, response.status, found, content, digest, proof)
        except (aiohttp.ClientError, TimeoutError) as error:
            if tls is None and await self._is_dated(error):
                return await self._exchange(method, target, body, nonce=nonce, tag=tag, tls=self._context)
            raise CutOff(str(error) or type(error).__name__) from error

    @property
    def _context(self) -> ssl.SSLContext | None:
        return self._tls.context if self._tls is not None else None

    async def _is_dated(self, error: BaseException) -> bool:
        """Where a certificate's dates do not fit our clock, ask what time it is; whether to try again by that.

        Asked once over a connection that takes any date: the answer is signed for our nonce by the time key that this gate
        pinned, so whoever stands between can only keep it from us. CentreRefused where what came is signed by another key.
        """
        tls = self._tls
        if tls is None or not is_about_dates(error):
            return False
        self._tls_is_late = True
        async with self._dating:
            centre_s = await self._signed_time(tls.undated)
            self._tls_is_late = False
            ahead_s = centre_s - self._now_s()
            was_by_centre, was_ahead_s = tls.by_centre, self._ahead_s
            if abs(ahead_s) <= AGREES_S:  # our clock is right: a certificate that ran out did run out
                self._ahead_s = 0
                tls.by_own_clock()
                return was_by_centre
            self._ahead_s = ahead_s
            tls.by_time(lambda: self._now_s() + self._ahead_s)
            return not was_by_centre or abs(ahead_s - was_ahead_s) > AGREES_S

    def _signed(self, method: str, target: str, body: bytes, nonce: str) -> dict[str, str]:
        """Return the headers of a request of ours."""
        now_s = self._now_s() + self._ahead_s
        signature = self._key.sign(request_text(method, target, body, nonce, now_s))
        return {
            "Accept-Encoding": "identity",
            "Gatehouse-Gate": str(self._gate),
            "Gatehouse-Nonce": nonce,
            "Gatehouse-Time": str(now_s),
            "Gatehouse-Signature": b64encode(signature).decode(),
        }

    def _raise(self, said: _Answer) -> NoReturn:
        if said.status >= 500:
            raise CutOff(f"the centre is in trouble ({said.status})")
        problem = _unproved(said.body, _Problem)
        told = problem.time
        genuine = told is not None and time_is_genuine(self._time_key, told, said.nonce)
        code = problem.title if _CODE.fullmatch(problem.title) else "refused"
        raise CentreRefused(code, told.time_s if told is not None and genuine else 0)


def _nonce() -> str:
    return os.urandom(NONCE_BYTES).hex()


def _pack(push: Push) -> bytes:
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(pack_chunks(push.chunks))


def _pushed(body: bytes) -> Pushed:
    return _decoded(body, Pushed)


def _unproved(body: bytes, kind: type[Answer]) -> Answer:
    """Read what anybody may have said. CutOff for what the centre does not say."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise CutOff("what answers is not the centre") from error


def _decoded(body: bytes, kind: type[Answer]) -> Answer:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except UNREADABLE as error:
        raise CutOff("what answers is not the centre") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for part in response.content.iter_chunked(READ_BYTES):
        found += part
        if len(found) > SMALL_BYTES_MAX:
            raise CutOff("the answer is larger than any the centre sends")
    return bytes(found)
