"""The centre as the uplink sees it: signed requests, checked answers (`sync.wire.messages` has the table)."""

import asyncio
import io
import os
import ssl
import time
from base64 import b64encode
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.enrolment import Enrolment
from sync.wire.messages import (
    NONCE_BYTES,
    Push,
    Pushed,
    SignedTime,
    request_text,
    time_is_genuine,
)

CONNECT_S = 10.0
ANSWER_S = 30.0
"""Longest silence of the centre; also over a bad mobile link it has said something by then."""
SMALL_BYTES_MAX = 4 * 1024 * 1024
"""Answers that are no list: what is held of 10,000 epochs takes 0.6 MB."""
LIST_BYTES_MAX = 512 * 1024 * 1024
"""A list of 10 million tickets takes some 200 MB."""
READ_BYTES = 256 * 1024
ZSTD_LEVEL = 3


class CutOff(Exception):
    """The centre does not answer, or not as itself. Try again, with growing waits."""


class CentreRefused(Exception):
    """The centre answered and said no; `code` is its one word. `centre_time_s`: signed for this request, or 0."""

    def __init__(self, code: str, centre_time_s: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self.centre_time_s = centre_time_s


class _Problem(msgspec.Struct):
    """What we read of a problem document (RFC 9457)."""

    title: str = "refused"
    time: SignedTime | None = None


class Centre:
    """One centre over HTTP or HTTPS; an async context manager. Every method raises CutOff or CentreRefused."""

    def __init__(self, enrolment: Enrolment, ca_file: Path | None = None) -> None:
        self._gate = enrolment.gate
        self._key = enrolment.key
        self._time_key = Ed25519PublicKey.from_public_bytes(enrolment.time_public)
        self._base = enrolment.centre_url.rstrip("/")
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        tls = ssl.create_default_context(cafile=self._ca_file) if self._base.startswith("https:") else None
        connector = aiohttp.TCPConnector(limit=4, ssl=tls if tls is not None else True)
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=ANSWER_S)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def time_s(self) -> int:
        """Return the centre's time, signed for a nonce of ours."""
        nonce = _nonce()
        body, _ = await self._ask("GET", f"/api/v1/gate/time?nonce={nonce}", nonce=nonce)
        try:
            answer = msgspec.json.decode(body, type=SignedTime)
        except msgspec.DecodeError as error:
            raise CutOff("what answers is not the centre") from error
        if not time_is_genuine(self._time_key, answer, nonce):
            raise CentreRefused("time_forged")
        return answer.time_s

    async def have(self) -> Pushed:
        """Return what the centre holds of our logs."""
        body, _ = await self._ask("GET", "/api/v1/gate/have")
        return _pushed(body)

    async def push(self, push: Push) -> Pushed:
        """Hand records over. Safe to repeat."""
        packed = await asyncio.to_thread(_pack, push)
        body, _ = await self._ask("POST", "/api/v1/gate/records", packed)
        return _pushed(body)

    async def fetch_list(self, tag: str, into: Path) -> str | None:
        """Write the list to a file, if it is another than `tag`; return its tag, None where nothing changed."""
        body, found = await self._ask("GET", "/api/v1/gate/list", tag=tag, into=into)
        return None if body == b"304" else found

    async def _ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        nonce: str = "",
        tag: str = "",
        into: Path | None = None,
    ) -> tuple[bytes, str]:
        """Send a signed request; return the body (b"304" for not modified, b"" where it went to a file) and ETag."""
        assert self._session is not None, "use the centre as a context manager"
        nonce = nonce or _nonce()
        now_s = int(time.time())
        signature = self._key.sign(request_text(method, target, body, nonce, now_s))
        headers = {
            "Gatehouse-Gate": str(self._gate),
            "Gatehouse-Nonce": nonce,
            "Gatehouse-Time": str(now_s),
            "Gatehouse-Signature": b64encode(signature).decode(),
            **({"If-None-Match": tag} if tag else {}),
        }
        try:
            async with self._session.request(
                method,
                self._base + target,
                data=io.BytesIO(body) if body else None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                found = response.headers.get("ETag", "")
                if response.status == 304:
                    return b"304", found
                if response.status != 200:
                    self._raise(response.status, await _read(response), nonce)
                if into is None:
                    return await _read(response), found
                await _write(response, into)
                return b"", found
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CutOff(str(error) or type(error).__name__) from error

    def _raise(self, status: int, body: bytes, nonce: str) -> None:
        if status >= 500:
            raise CutOff(f"the centre is in trouble ({status})")
        try:
            problem = msgspec.json.decode(body, type=_Problem)
        except msgspec.DecodeError:
            raise CutOff(f"what answers is not the centre ({status})") from None
        told = problem.time
        genuine = told is not None and time_is_genuine(self._time_key, told, nonce)
        raise CentreRefused(problem.title[:40], told.time_s if told is not None and genuine else 0)


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


async def _write(response: aiohttp.ClientResponse, into: Path) -> None:
    """Write a body to a file as it comes, durable at the end. OSError where the disk does not take it."""
    size = 0
    with into.open("wb") as file:
        async for part in response.content.iter_chunked(READ_BYTES):
            size += len(part)
            if size > LIST_BYTES_MAX:
                raise CutOff("the list is larger than any the centre sends")
            file.write(part)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
