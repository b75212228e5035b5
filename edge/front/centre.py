"""The centre as the uplink sees it: signed requests, checked answers (`sync.wire.messages` has the table)."""

import asyncio
import binascii
import errno
import hashlib
import io
import os
import re
import shutil
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import aiohttp
import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.enrolment import Enrolment
from sync.wire.messages import (
    NONCE_BYTES,
    PROOF_HEADER,
    WRONG_TIME,
    Push,
    Pushed,
    SignedTime,
    answer_text,
    is_signed,
    request_text,
    time_is_genuine,
)

CONNECT_S = 10.0
SILENCE_S = 30.0
"""Longest silence of the centre; also over a bad mobile link it has said something by then."""
ANSWER_S = 120.0
"""For a whole answer that is no list: 4 MiB over 0.3 Mbit/s."""
LIST_S = 900.0
"""For a whole list: 200 MB over 2 Mbit/s. Who lets it drip cannot hold back the next question for longer."""
SMALL_BYTES_MAX = 4 * 1024 * 1024
"""Answers that are no list: what is held of 10,000 epochs takes 0.6 MB."""
LIST_BYTES_MAX = 512 * 1024 * 1024
"""A list of 10 million tickets takes some 200 MB."""
KEPT_FREE_BYTES = 64 * 1024 * 1024
"""A list never takes the disk's last: the log comes first."""
READ_BYTES = 256 * 1024
ZSTD_LEVEL = 3
UNPROVEN = "centre.unproven"
"""`CentreRefused.code` of an answer that the centre did not prove: somebody stands between, or it is an old centre."""
_CODE = re.compile(r"[a-z_]{1,40}", re.ASCII)


class CutOff(Exception):
    """The centre does not answer, or not as itself. Try again, with growing waits."""


class CentreRefused(Exception):
    """The centre answered and said no; `code` is its one word. `centre_time_s`: signed for this request, or 0."""

    def __init__(self, code: str, centre_time_s: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self.centre_time_s = centre_time_s


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back for a nonce, not yet proved. `body` is empty where it went to a file; `digest` is of all of it."""

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
    ) -> None:
        self._gate = enrolment.gate
        self._key = enrolment.key
        self._time_key = Ed25519PublicKey.from_public_bytes(enrolment.time_public)
        self._base = enrolment.centre_url.rstrip("/")
        self._ca_file = ca_file
        self._now_s = now_s
        self._free_bytes = free_bytes
        self._ahead_s = 0
        """How far the centre's clock is ahead of ours, as far as it made a difference."""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        tls = ssl.create_default_context(cafile=self._ca_file) if self._base.startswith("https:") else None
        connector = aiohttp.TCPConnector(limit=4, ssl=tls if tls is not None else True)
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=SILENCE_S)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def time_s(self) -> int:
        """Return the centre's time, signed for a nonce of ours."""
        nonce = _nonce()
        said = await self._exchange("GET", f"/api/v1/gate/time?nonce={nonce}", nonce=nonce)
        if said.status != 200:
            self._raise(said)
        try:
            answer = msgspec.json.decode(said.body, type=SignedTime)
        except msgspec.DecodeError as error:
            raise CutOff("what answers is not the centre") from error
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

    async def fetch_list(self, tag: str, into: Path) -> str | None:
        """Write the list to a file, if it is another than `tag`; return its tag, None where nothing changed.

        Whatever is raised may leave a part in the file. OSError where the disk does not take it.
        """
        said = await self._ask("GET", "/api/v1/gate/list", tag=tag, into=into)
        return None if said.status == 304 else said.tag

    async def _ask(
        self, method: str, target: str, body: bytes = b"", *, tag: str = "", into: Path | None = None
    ) -> _Answer:
        """Return a proved answer, 200 or 304. Asks again, once, with the centre's time where ours is refused."""
        try:
            return self._proved(await self._exchange(method, target, body, tag=tag, into=into))
        except CentreRefused as error:
            if error.code != WRONG_TIME or not error.centre_time_s:
                raise
            self._ahead_s = error.centre_time_s - self._now_s()
        return self._proved(await self._exchange(method, target, body, tag=tag, into=into))

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
        into: Path | None = None,
    ) -> _Answer:
        """Send a signed request; return whatever answers. A body with status 200 goes to `into`, where given."""
        assert self._session is not None, "use the centre as a context manager"
        nonce = nonce or _nonce()
        now_s = self._now_s() + self._ahead_s
        signature = self._key.sign(request_text(method, target, body, nonce, now_s))
        headers = {
            "Accept-Encoding": "identity",
            "Gatehouse-Gate": str(self._gate),
            "Gatehouse-Nonce": nonce,
            "Gatehouse-Time": str(now_s),
            "Gatehouse-Signature": b64encode(signature).decode(),
            **({"If-None-Match": tag} if tag else {}),
        }
        try:
            async with (
                asyncio.timeout(ANSWER_S if into is None else LIST_S),
                self._session.request(
                    method,
                    self._base + target,
                    data=io.BytesIO(body) if body else None,
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                if into is None or response.status != 200:
                    content = await _read(response)
                    digest = hashlib.sha256(content).digest()
                else:
                    content, digest = b"", await _write(response, into, self._free_bytes)
                found, proof = response.headers.get("ETag", ""), response.headers.get(PROOF_HEADER, "")
                return _Answer(nonce, response.status, found, content, digest, proof)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CutOff(str(error) or type(error).__name__) from error

    def _raise(self, said: _Answer) -> NoReturn:
        if said.status >= 500:
            raise CutOff(f"the centre is in trouble ({said.status})")
        try:
            problem = msgspec.json.decode(said.body, type=_Problem)
        except msgspec.DecodeError:
            raise CutOff(f"what answers is not the centre ({said.status})") from None
        told = problem.time
        genuine = told is not None and time_is_genuine(self._time_key, told, said.nonce)
        code = problem.title if _CODE.fullmatch(problem.title) else "refused"
        raise CentreRefused(code, told.time_s if told is not None and genuine else 0)


def _nonce() -> str:
    return os.urandom(NONCE_BYTES).hex()


def _pack(push: Push) -> bytes:
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(msgspec.msgpack.encode(push))


def _pushed(body: bytes) -> Pushed:
    try:
        return msgspec.msgpack.decode(body, type=Pushed)
    except msgspec.DecodeError as error:
        raise CutOff("what answers is not the centre") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for part in response.content.iter_chunked(READ_BYTES):
        found += part
        if len(found) > SMALL_BYTES_MAX:
            raise CutOff("the answer is larger than any the centre sends")
    return bytes(found)


async def _write(response: aiohttp.ClientResponse, into: Path, free_bytes: Callable[[Path], int]) -> bytes:
    """Write a body to a file as it comes, durable at the end; return its SHA-256. OSError where the disk is full."""
    size, digest = 0, hashlib.sha256()
    with into.open("wb") as file:
        free = free_bytes(into.parent) - KEPT_FREE_BYTES
        async for part in response.content.iter_chunked(READ_BYTES):
            size += len(part)
            if size > LIST_BYTES_MAX:
                raise CutOff("the list is larger than any the centre sends")
            if size > free:
                raise OSError(errno.ENOSPC, "a new list would take the disk's last space")
            digest.update(part)
            file.write(part)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    return digest.digest()
