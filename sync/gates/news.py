"""What gates ask of changes over HTTP, and how they say that they are (`sync.wire.deltas` has the table)."""

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from admission.ids import EventId, GateId
from sync.gates import hints, roster, shown_names
from sync.gates.changes import Changes, TooFar
from sync.gates.hints import Full, Hints
from sync.gates.proofs import Asker, Known, Proofs
from sync.gates.seal_clock import SealClock
from sync.gates.statuses import Statuses
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.wire.deltas import BEAT_LEAST_S, BEAT_MAX_S, HEARTBEAT_S, STATUS_BYTES_MAX, TAKE_LIST, GateStatus
from sync.wire.messages import UNREADABLE

_DIGITS_MAX = 18
"""Numbers below 2^63."""


class NewsApi:
    """The part of the gates' interface that tells them what is new."""

    def __init__(
        self,
        database: Database,
        keys: VenueKeys,
        now_s: Callable[[], int],
        known: Known,
        hints_s: float = hints.POLL_S,
        clock: SealClock | None = None,
    ) -> None:
        self._database = database
        self._proofs = Proofs(keys)
        self._now_s = now_s
        self._known = known
        self.changes = Changes(database, keys, clock)
        self.hints = Hints(self.changes, database, keys, now_s, hints_s)
        self.statuses = Statuses(database)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes with their handlers."""
        return [
            web.get("/api/v1/gate/changes", self.page, allow_head=False),
            web.get("/api/v1/gate/settings", self.settings, allow_head=False),
            web.get("/api/v1/gate/names", self.names, allow_head=False),
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
            return self._proofs.problem(
                known, 400, "malformed", "Give event, generation and since as numbers."
            )
        event, generation, since = (number or 0 for number in numbers)
        group = await self._group(known.gate)
        try:
            found = await asyncio.to_thread(self.changes.page, group, EventId(event), generation, since)
        except TooFar:
            return self._proofs.problem(known, 409, TAKE_LIST, "Only the whole list leads on from there.")
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
            return self._proofs.problem(known, 409, TAKE_LIST, "There is no event yet.")

    async def names(self, request: web.Request) -> web.StreamResponse:
        """GET names: what people asked to be greeted by."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        group = await self._group(known.gate)
        told = await self._database.read(lambda connection: shown_names.names(connection, group))
        return self._answer(known, msgspec.msgpack.encode(told))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET events: a stream of what is new, as long as the gate listens."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        group = await self._group(known.gate)
        headers = self._proofs.headers(known, b"")
        try:
            asked_s = _number(request.query.get("beat_s", ""))
            beat_s = HEARTBEAT_S if asked_s is None else min(max(asked_s, BEAT_LEAST_S), BEAT_MAX_S)
            return await self.hints.serve(request, known.gate, group, known.public, headers, beat_s)
        except Full:
            refusal = self._proofs.problem(
                known, 503, "busy", "This replica has as many streams as it holds."
            )
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
        except UNREADABLE:
            return self._proofs.problem(known, 400, "malformed", "This is no status of a gate.")
        self.statuses.heard(known.gate, told, self._now_s())
        self.hints.rests(known.gate, rests=told.again_s > 0)
        return self._answer(known, b"")

    async def _group(self, gate: GateId) -> int:
        return await self._database.read(lambda connection: roster.group_of(connection, gate))

    def _answer(self, asker: Asker, body: bytes) -> web.Response:
        headers = self._proofs.headers(asker, body)
        return web.Response(body=body, headers=headers, content_type="application/octet-stream")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else None
