"""What gates ask for over HTTP (`sync.wire.messages` has the table)."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import zstandard
from aiohttp import web

from admission.ids import GateId
from sync.gates import enrolment, feed_asked, hints, ingest, key_rolls
from sync.gates.carried import CarriedApi
from sync.gates.feed_asked import Feeds
from sync.gates.intake import Intake
from sync.gates.news import NewsApi
from sync.gates.proofs import Asker, Proofs
from sync.gates.published import PublishedApi
from sync.gates.requests import claim_of, nonce_is_formed
from sync.gates.seal_clock import SealClock
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.web.problems import problem
from sync.wire.feed import ASK_BYTES_MAX, Ask
from sync.wire.gate_keys import OFFER_BYTES_MAX, KeyOffer
from sync.wire.messages import (
    PUSH_BYTES_MAX,
    PUSH_RECORDS_MAX,
    UNREADABLE,
    WRONG_TIME,
    Enrol,
    Enrolled,
    Push,
    sign_time,
)
from sync.wire.pace import Pace
from sync.wire.record_columns import is_packed, unpack_chunks

ENROL_BYTES_MAX = 4096
ENROLMENTS_PER_S = 5
"""In all: 4,500 guesses in the 15 min of a code, of 2^40."""
ENROL_RETRY_S = 2
PIECE_BYTES = 128 * 1024
"""More than aiohttp buffers, so that each piece waits for the gate."""
PIECE_S = 60.0
"""A piece in a minute is 17 kbit/s; a gate that takes less is not there."""
WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""Largest zstd window taken: a frame may ask for far more memory than its content has."""

log = logging.getLogger("sync.gates")


class Nets(NamedTuple):
    """How often is looked for what no signal told of, seconds: on SQLite nobody else writes, on PostgreSQL replicas do."""

    changes_s: float = hints.POLL_S
    records_s: float = feed_asked.POLL_S


NETS = Nets()


class BadBody(ValueError):
    """A body that no gate of ours sends."""


class GateApi:
    """The gates' part of the HTTP interface."""

    def __init__(
        self,
        database: Database,
        keys: VenueKeys,
        data: Path,
        now_s: Callable[[], int],
        mono_s: Callable[[], float] = time.monotonic,
        nets: Nets = NETS,
    ) -> None:
        self._database = database
        self._keys = keys
        self._proofs = Proofs(keys)
        self._now_s = now_s
        self.counts: Counter[str] = Counter()
        self._enrolments = Pace(ENROLMENTS_PER_S, ENROLMENTS_PER_S, mono_s)
        self._intake = Intake(database, now_s)
        self.feeds = Feeds(database, now_s, mono_s, nets.records_s)
        self.carried = CarriedApi(database, self._proofs, self._known, self._intake, self.feeds, self.counts)
        self.clock = SealClock(database)
        self.published = PublishedApi(
            database, keys, data, now_s, self._known, self.counts, mono_s, clock=self.clock
        )
        self.news = NewsApi(database, keys, now_s, self._known, nets.changes_s, self.clock)
        self.feeds.on_news = self.news.hints.recorded
        self.feeds.on_rouse = self.news.hints.rouse

    def routes(self) -> list[web.RouteDef]:
        """Return the routes with their handlers."""
        return [
            web.post("/api/v1/gate/enrol", self.enrol),
            web.get("/api/v1/gate/time", self.time, allow_head=False),
            web.post("/api/v1/gate/records", self.records),
            web.get("/api/v1/gate/have", self.have, allow_head=False),
            web.post("/api/v1/gate/feed", self.feed),
            web.post("/api/v1/gate/keys", self.offer_keys),
            *self.carried.routes(),
            *self.news.routes(),
            *self.published.routes(),
        ]

    async def start(self, _app: web.Application) -> None:
        """The centre begins to listen."""
        await self.news.start()

    async def close(self, _app: web.Application) -> None:
        """The centre ends: answer whoever waits."""
        await self.news.close()
        self.published.close()
        self.feeds.close()
        await self._intake.close()

    async def enrol(self, request: web.Request) -> web.Response:
        """POST enrol: a box becomes a gate."""
        if not self._enrolments.take():
            answer = problem(503, "busy", "Too many boxes enrol at a time. Try again in a few seconds.")
            answer.headers["Retry-After"] = str(ENROL_RETRY_S)
            return answer
        body = await request.read()
        try:
            asked = msgspec.json.decode(body[: ENROL_BYTES_MAX + 1], type=Enrol)
        except UNREADABLE:
            return problem(400, "malformed", "This is no enrolment; use gatehouse-edge enrol.")
        now_s = self._now_s()
        made: Enrolled | None = None
        if not enrolment.is_formed(asked):
            pass
        elif not enrolment.is_proved(asked):
            if await self._database.read(lambda connection: enrolment.is_open(connection, self._keys, asked)):
                await self._database.write(lambda connection: enrolment.tried(connection, self._keys, asked))
        elif await self._database.read(lambda connection: enrolment.is_open(connection, self._keys, asked)):
            made = await self._database.write(
                lambda connection: enrolment.enrol(connection, self._keys, asked, now_s)
            )
        if made is None:
            self.counts["enrol_refused"] += 1
            log.warning("enrolment refused from %s", request.remote)
            return problem(403, "code_refused", enrolment.WRONG_CODE)
        log.info("gate %d is enrolled", made.gate)
        return web.Response(body=msgspec.json.encode(made), content_type="application/json")

    async def time(self, request: web.Request) -> web.Response:
        """GET time: signed for the asker's nonce; asked also by boxes whose clock is too wrong for anything else."""
        nonce = request.query.get("nonce", "")
        if not nonce_is_formed(nonce):
            return problem(400, "malformed", "Give a nonce of 32 hex digits: ?nonce=…")
        answer = sign_time(self._keys.time_key, nonce, self._now_s())
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def have(self, request: web.Request) -> web.StreamResponse:
        """GET have: what the centre holds of the asking gate."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        answer = await self._database.read(
            lambda connection: ingest.have(connection, known.gate, known.public)
        )
        return await self._msgpack(request, known, answer)

    async def records(self, request: web.Request) -> web.StreamResponse:
        """POST records: taken once, however often they are sent."""
        body = await request.read()
        known = await self._known(request, body)
        if isinstance(known, web.Response):
            return known
        gate, public, _ = known
        try:
            push = await asyncio.to_thread(read_push, body)
        except BadBody as error:
            self.counts["pushes_malformed"] += 1
            return self._proofs.problem(known, 400, "malformed", f"These records cannot be read: {error}.")
        answer = await self._intake.take(gate, public, push)
        await self.feeds.arrived(gate, push.chunks)
        self.counts["pushes"] += 1
        self.counts["records_offered"] += sum(len(chunk.blobs) for chunk in push.chunks)
        for one in answer.troubles:
            self.counts[f"trouble_{one.what}"] += 1
            log.warning("gate %d, epoch %016x, record %d: %s", gate, one.epoch, one.seq, one.what)
        return await self._msgpack(request, known, answer)

    async def feed(self, request: web.Request) -> web.StreamResponse:
        """POST feed: what other gates recorded; waits for it where there is nothing new."""
        body = await request.read()
        known = await self._known(request, body)
        if isinstance(known, web.Response):
            return known
        try:
            ask = msgspec.msgpack.decode(body[: ASK_BYTES_MAX + 1], type=Ask)
        except UNREADABLE:
            self.counts["malformed"] += 1
            return self._proofs.problem(known, 400, "malformed", "This question cannot be read.")
        answer = await self.feeds.answer(known.gate, ask)
        self.counts["feeds"] += 1
        return await _in_pieces(request, answer, self._proofs.headers(known, answer))

    async def offer_keys(self, request: web.Request) -> web.StreamResponse:
        """POST keys: what a gate offers because it was asked for new ones."""
        body = await request.read()
        known = await self._known(request, body)
        if isinstance(known, web.Response):
            return known
        claim = claim_of(request.headers)
        assert claim is not None, "it was proved"
        try:
            offer = msgspec.msgpack.decode(body[: OFFER_BYTES_MAX + 1], type=KeyOffer)
        except UNREADABLE:
            return self._proofs.problem(known, 400, "malformed", "This is no offer of keys.")
        try:
            await self._database.write(
                lambda connection: key_rolls.offer(
                    connection, self._keys, known.gate, known.public, offer, claim.time_s
                )
            )
        except key_rolls.OfferRefused as refused:
            self.counts["offers_refused"] += 1
            log.warning("gate %d: its new keys are refused: %s", known.gate, refused.code)
            return self._proofs.problem(known, 409, refused.code, str(refused))
        return await self._msgpack(request, known, None)

    async def _known(self, request: web.Request, body: bytes) -> Asker | web.Response:
        """Return who signed the request; else the answer, with signed time.

        The time is signed for the request's nonce, so that a box with a wrong clock can mend it from the refusal. A gate
        that signs with the key it offered has it on its disk: that key is its own from this request on.
        """
        claim = claim_of(request.headers)
        code = "unknown_gate"
        detail = "No enrolled gate signed this request. Enrol this box again: gatehouse-sync gate code NAME."
        if claim is not None:
            gate = claim.gate
            keys = await self._database.read(lambda connection: key_rolls.keys_of(connection, gate))
            text = (request.method, request.raw_path, body)
            public = next((one for one in keys if one and claim.proved(one, *text)), b"")
            if public and not claim.is_timely(self._now_s()):
                code, detail = (
                    WRONG_TIME,
                    "The request is too old or too new. Sign it with the time given here.",
                )
            elif public and (public == keys[0] or await self._took(gate, public)):
                return Asker(gate, public, claim.nonce)
        self.counts["refused"] += 1
        more = {}
        if claim is not None:
            more["time"] = msgspec.to_builtins(sign_time(self._keys.time_key, claim.nonce, self._now_s()))
        return problem(401, code, detail, more=more)

    async def _took(self, gate: GateId, public: bytes) -> bool:
        """Have the key that a gate offered be its own; whether it is."""
        now_s = self._now_s()
        taken = await self._database.write(lambda connection: key_rolls.take(connection, gate, public, now_s))
        if taken:
            self.published.rolled()
            log.info("gate %d signs with its new key", gate)
        return taken

    async def _msgpack(self, request: web.Request, asker: Asker, answer: object) -> web.StreamResponse:
        body = msgspec.msgpack.encode(answer)
        return await _in_pieces(request, body, self._proofs.headers(asker, body))


async def _in_pieces(request: web.Request, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Send a body as fast as the gate takes it; one that takes nothing for `PIECE_S` is dropped."""
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream", **headers})
    response.content_length = len(body)
    view = memoryview(body)
    try:
        await response.prepare(request)
        for at in range(0, len(body), PIECE_BYTES):
            async with asyncio.timeout(PIECE_S):
                await response.write(view[at : at + PIECE_BYTES])
        await response.write_eof()
    except (OSError, TimeoutError):  # the gate is gone, or does not take it: it asks again
        if request.transport is not None:
            request.transport.abort()
    return response


def read_push(body: bytes) -> Push:
    """Return the records of a request body; BadBody for anything larger or other than a gate sends."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).stream_reader(body) as stream:
            packed = stream.read(PUSH_BYTES_MAX + 1)
    except zstandard.ZstdError as error:
        raise BadBody("not zstd") from error
    if len(packed) > PUSH_BYTES_MAX:
        raise BadBody(f"more than {PUSH_BYTES_MAX} bytes")
    try:
        if is_packed(packed):
            return Push(unpack_chunks(packed))
        push = msgspec.msgpack.decode(packed, type=Push)
    except (*UNREADABLE, ValueError) as error:
        raise BadBody("not a push") from error
    if sum(len(one.blobs) for one in push.chunks) > PUSH_RECORDS_MAX:
        raise BadBody(f"more than {PUSH_RECORDS_MAX} records")
    return push
