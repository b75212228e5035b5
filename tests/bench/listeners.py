"""Gates that only listen, in a process of their own: `python -m tests.bench.listeners KEYS OUT`.

Each opens the centre's stream as an enrolled gate does, and keeps it. Said on standard output: `open N` once all are
told the first seal. On SIGTERM what came is written to OUT: how many streams are still open, and for each change of
the list when the last of them had it (CLOCK_MONOTONIC, which all processes share).
"""

import asyncio
import os
import signal
import sys
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from edge.enrolment import Enrolment
from sync.wire.messages import NONCE_BYTES, request_text
from tests.bench.centre import allow_files, read_keys

TARGET = "/api/v1/gate/events"
OPENING_MAX = 64
"""Streams being opened at a time; the centre paces connections anyway."""
OPEN_S = 60.0
_CHANGE, _SEAL = b"event: changes", b"event: seal"
TAIL = len(_CHANGE) - 1


class Heard(msgspec.Struct):
    """What came of it all."""

    opened: int = 0
    """Streams that the centre opened."""
    lost: int = 0
    """Streams that ended by themselves."""
    refused: int = 0
    counts: list[int] = []
    """Of each change in turn, at how many streams it arrived."""
    last_ns: list[int] = []
    """Of each change in turn, when it arrived last."""


class _Stream(asyncio.Protocol):
    """One gate's stream; counts what arrives."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._tail = b""
        self._changes = 0
        self.sealed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        text = self._tail + data
        if not self.sealed.done() and not self._begins(text):
            return
        for _ in range(text.count(_CHANGE)):
            self._change()
        self._tail = text[-TAIL:]

    def _begins(self, text: bytes) -> bool:
        """Whether the answer's head and the first seal are there."""
        if not b"HTTP/1.1 200".startswith(text[:12]):
            self._heard.refused += 1
            self.sealed.set_result(False)
            return False
        if _SEAL not in text:
            self._tail = text
            return False
        self._heard.opened += 1
        self.sealed.set_result(True)
        return True

    def _change(self) -> None:
        heard, at = self._heard, self._changes
        if len(heard.counts) <= at:
            heard.counts.append(0)
            heard.last_ns.append(0)
        heard.counts[at] += 1
        heard.last_ns[at] = time.monotonic_ns()
        self._changes += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why makes no difference
        if self.sealed.done() and self.sealed.result():
            self._heard.lost += 1
        elif not self.sealed.done():
            self.sealed.set_result(False)


def request(gate: Enrolment, host: str) -> bytes:
    """Return the request that opens a gate's stream."""
    nonce, now_s = os.urandom(NONCE_BYTES).hex(), int(time.time())
    signature = b64encode(gate.key.sign(request_text("GET", TARGET, b"", nonce, now_s))).decode()
    lines = (
        f"GET {TARGET} HTTP/1.1",
        f"Host: {host}",
        "Accept-Encoding: identity",
        f"Gatehouse-Gate: {gate.gate}",
        f"Gatehouse-Nonce: {nonce}",
        f"Gatehouse-Time: {now_s}",
        f"Gatehouse-Signature: {signature}",
    )
    return "\r\n".join((*lines, "", "")).encode()


async def listen(gates: list[Enrolment], heard: Heard) -> list[asyncio.Transport]:
    """Open every gate's stream; one that the centre did not take is asked for again."""
    loop = asyncio.get_running_loop()
    at_a_time = asyncio.Semaphore(OPENING_MAX)
    held: list[asyncio.Transport] = []

    async def one(gate: Enrolment) -> None:
        parts = urlsplit(gate.centre_url)
        async with at_a_time, asyncio.timeout(OPEN_S):
            assert parts.hostname is not None, "a centre's address"
            while True:
                transport, protocol = await loop.create_connection(
                    lambda: _Stream(heard), parts.hostname, parts.port or 80
                )
                transport.write(request(gate, parts.netloc))
                if await protocol.sealed:
                    held.append(transport)
                    return
                transport.abort()

    await asyncio.gather(*(one(gate) for gate in gates))
    return held


async def main(keys: Path, out: Path) -> None:
    allow_files()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    heard = Heard()
    held = await listen(read_keys(keys), heard)
    print(f"open {heard.opened}", flush=True)
    await ended.wait()
    out.write_bytes(msgspec.json.encode(heard))
    for transport in held:
        transport.abort()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
