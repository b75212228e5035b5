"""What gates ask for over HTTP (`sync.wire.messages` has the table)."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

import msgspec
import zstandard
from aiohttp import web

from admission.ids import GateId
from sync.gates import enrolment, ingest, roster
from sync.gates.lists import ListFile
from sync.gates.requests import claim_of, nonce_is_formed
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.web.problems import problem
from sync.wire.messages import PUSH_BYTES_MAX, PUSH_RECORDS_MAX, Enrol, Push, sign_time
from sync.wire.replication import CHUNKS_MAX

ENROL_BYTES_MAX = 4096
WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""Largest zstd window taken: a frame may ask for far more memory than its content has."""

log = logging.getLogger("sync.gates")


class BadBody(ValueError):
    """A body that no gate of ours sends."""


class GateApi:
    """The gates' part of the HTTP interface."""

    def __init__(self, database: Database, keys: VenueKeys, now_s: Callable[[], int]) -> None:
        self._database = database
        self._keys = keys
        self._now_s = now_s
        self._list = ListFile(database, keys)
        self.counts: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes with their handlers."""
        return [
            web.post("/api/v1/gate/enrol", self.enrol),
            web.get("/api/v1/gate/list", self.list_file, allow_head=False),
            web.get("/api/v1/gate/time", self.time, allow_head=False),
            web.post("/api/v1/gate/records", self.records),
            web.get("/api/v1/gate/have", self.have, allow_head=False),
        ]

    async def enrol(self, request: web.Request) -> web.Response:
        """POST enrol: a box becomes a gate."""
        body = await request.read()
        try:
            asked = msgspec.json.decode(body[: ENROL_BYTES_MAX + 1], type=Enrol)
        except msgspec.DecodeError:
            return problem(400, "malformed", "This is no enrolment; use gatehouse-edge enrol.")
        now_s = self._now_s()
        answer = await self._database.write(
            lambda connection: enrolment.enrol(connection, self._keys, asked, now_s)
        )
        if answer is None:
            self.counts["enrol_refused"] += 1
            log.warning("enrolment refused from %s", request.remote)
            return problem(403, "code_refused", enrolment.WRONG_CODE)
        log.info("gate %d is enrolled", answer.gate)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def time(self, request: web.Request) -> web.Response:
        """GET time: signed for the asker's nonce; asked also by boxes whose clock is too wrong for anything else."""
        nonce = request.query.get("nonce", "")
        if not nonce_is_formed(nonce):
            return problem(400, "malformed", "Give a nonce of 32 hex digits: ?nonce=…")
        answer = sign_time(self._keys.time_key, nonce, self._now_s())
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def list_file(self, request: web.Request) -> web.Response:
        """GET list: the signed file, or 304."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        asked = request.headers.get("If-None-Match", "")
        tag, file = await asyncio.to_thread(self._list.current, asked)
        if file is None:
            self.counts["lists_unchanged"] += 1
            return web.Response(status=304, headers={"ETag": tag})
        self.counts["lists_sent"] += 1
        return web.Response(body=file, headers={"ETag": tag}, content_type="application/octet-stream")

    async def have(self, request: web.Request) -> web.Response:
        """GET have: what the centre holds of the asking gate."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        gate, public = known
        answer = await self._database.read(lambda connection: ingest.have(connection, gate, public))
        return _msgpack(answer)

    async def records(self, request: web.Request) -> web.Response:
        """POST records: taken once, however often they are sent."""
        body = await request.read()
        known = await self._known(request, body)
        if isinstance(known, web.Response):
            return known
        gate, public = known
        try:
            push = await asyncio.to_thread(read_push, body)
        except BadBody as error:
            self.counts["pushes_malformed"] += 1
            return problem(400, "malformed", f"These records cannot be read: {error}.")
        now_s = self._now_s()
        answer = await self._database.write(
            lambda connection: ingest.take(connection, gate, public, push, now_s)
        )
        self.counts["pushes"] += 1
        self.counts["records_offered"] += sum(len(chunk.blobs) for chunk in push.chunks)
        for one in answer.troubles:
            self.counts[f"trouble_{one.what}"] += 1
            log.warning("gate %d, epoch %016x, record %d: %s", gate, one.epoch, one.seq, one.what)
        return _msgpack(answer)

    async def _known(self, request: web.Request, body: bytes) -> tuple[GateId, bytes] | web.Response:
        """Return the gate that signed the request, with its key; else the answer, with signed time.

        The time is signed for the request's nonce, so that a box with a wrong clock can mend it from the refusal.
        """
        claim = claim_of(request.headers)
        if claim is not None:
            gate = claim.gate
            public = await self._database.read(lambda connection: roster.gate_key(connection, gate))
            if public and claim.proved(public, request.method, request.raw_path, body):
                return gate, public
        self.counts["refused"] += 1
        more = {}
        if claim is not None:
            more["time"] = msgspec.to_builtins(sign_time(self._keys.time_key, claim.nonce, self._now_s()))
        return problem(
            401,
            "unknown_gate",
            "No enrolled gate signed this request. Enrol this box again: gatehouse-sync gate code NAME.",
            more=more,
        )


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
        push = msgspec.msgpack.decode(packed, type=Push)
    except msgspec.DecodeError as error:
        raise BadBody("not a push") from error
    if len(push.chunks) > CHUNKS_MAX or sum(len(one.blobs) for one in push.chunks) > PUSH_RECORDS_MAX:
        raise BadBody(f"more than {PUSH_RECORDS_MAX} records or {CHUNKS_MAX} logs")
    return push


def _msgpack(answer: object) -> web.Response:
    return web.Response(body=msgspec.msgpack.encode(answer), content_type="application/msgpack")
