"""A gate's way to the centre: the calls of `edge.front.centre.Centre` over the simulated network, by the same codecs."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec
import zstandard

from admission.ids import EventId
from edge.front.centre import ANSWER_S, ZSTD_LEVEL, Centre, CutOff
from sync.wire.carry import pack_carry
from sync.wire.deltas import GateStatus
from sync.wire.feed import WAIT_MAX_MS, Ask, BadFeed, Feed, Want, unpack_feed
from sync.wire.messages import Certified, Chunk, Push, Pushed, SignedKeys
from sync.wire.record_columns import pack_chunks
from sync.wire.snapshots import Manifest, Published
from tests.sim.centre import SimCentre
from tests.sim.network import SILENCE_S, Network

Answer = TypeVar("Answer")


class SimUplink(Centre):
    """One centre, seen by one gate. What `Centre` proves by signatures is taken for proved here."""

    def __init__(
        self, network: Network, who: str, centre: SimCentre, on_told: Callable[[GateStatus], None]
    ) -> None:
        self._network, self._who, self._server = network, who, centre
        self._on_told = on_told

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def _call(self, what: str, body: bytes = b"", limit_s: float = SILENCE_S) -> bytes:
        return await self._network.call(self._who, self._server, what, body, limit_s)

    async def time_s(self) -> int:
        return int(await self._call("time"))

    async def have(self) -> Pushed:
        return _decoded(await self._call("have"), Pushed)

    async def push(self, push: Push) -> Pushed:
        packed = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(pack_chunks(push.chunks))
        return _decoded(await self._call("records", packed), Pushed)

    async def carry(self, logs: tuple[Want, ...], chunks: tuple[Chunk, ...]) -> Pushed:
        return _decoded(await self._call("carried", pack_carry(logs, chunks)), Pushed)

    async def feed(self, ask: Ask) -> tuple[Feed, tuple[Chunk, ...]]:
        answer = await self._call("feed", msgspec.msgpack.encode(ask), WAIT_MAX_MS / 1000 + SILENCE_S)
        try:
            return unpack_feed(answer)
        except BadFeed as error:
            raise CutOff("what answers is not the centre") from error

    async def manifest(self, tag: str, *, fresh: bool) -> tuple[str, Manifest] | None:
        answer = await self._call("manifest", msgspec.msgpack.encode((tag, fresh)), ANSWER_S)
        found = msgspec.msgpack.decode(answer, type=tuple[str, bytes] | None)
        return None if found is None else (found[0], _decoded(found[1], Manifest))

    async def fetch_snapshot(self, published: Published, into: Path) -> None:
        into.write_bytes(await self._call("snapshot", published.address.encode(), ANSWER_S))

    async def key_document(self) -> SignedKeys:
        raise CutOff("no keys are rolled here")

    async def roster(self) -> bytes:
        return await self._call("roster")

    async def certificate(self, request: bytes) -> Certified:  # noqa: ARG002 - the Protocol's
        raise CutOff("no pages are served here")

    async def changes(self, event: EventId, generation: int, since: int) -> bytes:
        return await self._call("changes", msgspec.msgpack.encode((event, generation, since)))

    async def settings(self) -> bytes:
        return await self._call("settings")

    async def tell(self, status: GateStatus) -> None:
        self._on_told(status)
        await self._call("status", msgspec.msgpack.encode(status))

    @property
    def ahead_s(self) -> int:
        return 0

    async def listen(self, silence_s: float, beat_s: int = 0) -> AsyncGenerator[tuple[str, bytes], None]:
        del beat_s  # the simulated centre has one pace
        stream = await self._network.open(self._who, self._server, silence_s)
        async for part in stream.parts(silence_s):
            yield part


def _decoded(body: bytes, kind: type[Answer]) -> Answer:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise CutOff("what answers is not the centre") from error
