"""What gates ask of changes over HTTP, and how they say that they are (`sync.wire.deltas` has the table)."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Protocol

import msgspec
from aiohttp import web
from sqlalchemy import select

from admission.ids import EventId, GateId
from sync.gates import tables
from sync.gates.changes import Changes, TooFar
from sync.gates.hints import Full, Hints
from sync.gates.statuses import Statuses
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.web.problems import problem
from sync.wire.deltas import STATUS_BYTES_MAX, TAKE_LIST, GateStatus
from sync.wire.messages import PROOF_HEADER, answer_text

_DIGITS_MAX = 18
"""Numbers below 2^63."""
_NOTHING = sha256(b"").digest()


class Asker(Protocol):
    """A gate that proved itself."""

    @property
    def gate(self) -> GateId:
        """Which it is."""
        ...

    @property
    def public(self) -> bytes:
        """The key it signed with."""
        ...

    @property
    def nonce(self) -> str:
        """Of its request."""
        ...


Known = Callable[[web.Request, bytes], Awaitable[Asker | web.Response]]
"""Returns who signed a request, or the answer that refuses it."""


class NewsApi:
    """The part of the gates' interface that tells them what is new."""

    def __init__(self, database: Database, keys: VenueKeys, now_s: Callable[[], int], known: Known) -> None:
        self._database = database
        self._time_key = keys.time_key
        self._now_s = now_s
        self._known = known
        self.changes = Changes(database, keys)
        self.hints = Hints(self.changes, database, now_s)
        self.statuses = Statuses(database)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes with their handlers."""
        return [
            web.get("/api/v1/gate/changes", self.page, allow_head=False),
            web.get("/api/v1/gate/settings", self.settings, allow_head=False),
            web.get("/api/v1/gate/events", self.events, allow_head=False),
            web.post("/api/v1/gate/status", self.status),
        ]

    async def start(self) -> None:
        """The centre listens."""
        await self.hints.start()
        await self.statuses.start()

    async def close(self) -> None:
        """The centre ends."""
        await self.hints.close()
        await self.statuses.close()

    async def page(self, request: web.Request) -> web.StreamResponse:
        """GET changes: of one event after a version."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        numbers = [_number(request.query.get(name, "")) for name in ("event", "generation", "since")]
        if None in numbers:
            return self._problem(known, 400, "malformed", "Give event, generation and since as numbers.")
        event, generation, since = (number or 0 for number in numbers)
        group = await self._group(known.gate)
        try:
            found = await asyncio.to_thread(self.changes.page, group, EventId(event), generation, since)
        except TooFar:
            return self._problem(known, 409, TAKE_LIST, "Only the whole list leads on from there.")
        return self._answer(known, found)

    async def settings(self, request: web.Request) -> web.StreamResponse:
        """GET settings: all of a list but its rows."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        group = await self._group(known.gate)
        try:
            return self._answer(known, await asyncio.to_thread(self.changes.settings, group))
        except TooFar:
            return self._problem(known, 409, TAKE_LIST, "There is no event yet.")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET events: a stream of what is new, as long as the gate listens."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        group = await self._group(known.gate)
        headers = {PROOF_HEADER: self._proof(known, 200, _NOTHING)}
        try:
            return await self.hints.serve(request, known.gate, group, known.public, headers)
        except Full:
            refusal = self._problem(known, 503, "busy", "This replica has as many streams as it holds.")
            refusal.headers["Retry-After"] = "10"
            return refusal

    async def status(self, request: web.Request) -> web.StreamResponse:
        """POST status: how a gate is."""
        body = await request.read()
        known = await self._known(request, body)
        if isinstance(known, web.Response):
            return known
        try:
            told = msgspec.msgpack.decode(body[: STATUS_BYTES_MAX + 1], type=GateStatus)
        except msgspec.DecodeError:
            return self._problem(known, 400, "malformed", "This is no status of a gate.")
        self.statuses.heard(known.gate, told, self._now_s())
        return self._answer(known, b"")

    async def _group(self, gate: GateId) -> int:
        t = tables.gate.c
        return await self._database.read(
            lambda connection: connection.execute(select(t.group_id).where(t.id == gate)).scalar_one()
        )

    def _answer(self, asker: Asker, body: bytes) -> web.Response:
        proof = self._proof(asker, 200, sha256(body).digest())
        return web.Response(body=body, headers={PROOF_HEADER: proof}, content_type="application/octet-stream")

    def _problem(self, asker: Asker, status: int, code: str, detail: str) -> web.Response:
        refusal = problem(status, code, detail)
        assert isinstance(refusal.body, bytes), "a problem is a small document"
        refusal.headers[PROOF_HEADER] = self._proof(asker, status, sha256(refusal.body).digest())
        return refusal

    def _proof(self, asker: Asker, status: int, digest: bytes) -> str:
        return b64encode(self._time_key.sign(answer_text(asker.nonce, status, "", digest))).decode()


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else None
