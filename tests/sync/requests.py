"""Requests as a gate sends them, so that tests can also send what no gate would."""

import io
import os
from base64 import b64encode
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDictProxy

from sync.wire.messages import Push, Pushed, request_text

NOW_S = 1_795_305_600 + 43_200


@dataclass
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]

    @property
    def problem(self) -> dict[str, object]:
        assert self.headers["Content-Type"].startswith("application/problem+json")
        return msgspec.json.decode(self.body, type=dict[str, object])

    @property
    def pushed(self) -> Pushed:
        assert self.status == 200, self.body
        return msgspec.msgpack.decode(self.body, type=Pushed)


class GateClient:
    """A gate's requests, each signed with `key`."""

    def __init__(self, url: str, gate: int, key: Ed25519PrivateKey, now_s: int = NOW_S) -> None:
        self.url, self.gate, self.key, self.now_s = url, gate, key, now_s
        self.nonce = ""
        """Of the last request."""
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    async def ask(
        self, method: str, target: str, body: bytes = b"", signed_body: bytes | None = None, **headers: str
    ) -> Answer:
        sent = {
            **self.headers(method, target, body if signed_body is None else signed_body),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with self.session.request(
            method, self.url + target, data=io.BytesIO(body) if body else None, headers=sent
        ) as response:
            return Answer(response.status, await response.read(), response.headers)

    def headers(self, method: str, target: str, body: bytes = b"") -> dict[str, str]:
        """The headers of a request, signed."""
        self.nonce = os.urandom(16).hex()
        text = request_text(method, target, body, self.nonce, self.now_s)
        return {
            "Gatehouse-Gate": str(self.gate),
            "Gatehouse-Nonce": self.nonce,
            "Gatehouse-Time": str(self.now_s),
            "Gatehouse-Signature": b64encode(self.key.sign(text)).decode(),
        }

    async def push(self, push: Push) -> Answer:
        return await self.ask("POST", "/api/v1/gate/records", packed(push))


def packed(push: Push) -> bytes:
    return zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(push))
