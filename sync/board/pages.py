"""The board's pages: one event's board, the stream that keeps it true, and one ticket's way over all gates."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from admission.ids import EventId, TicketId
from sync.accounts.principal import Principal, Role
from sync.board import timeline
from sync.board.boards import Boards, Seen
from sync.board.sheet import sheet
from sync.events import programme
from sync.store.database import Database
from sync.web.api import Refused
from sync.web.pages import (
    HEADERS,
    Form,
    PageAsked,
    PageRoute,
    SignedIn,
    View,
    wanted_language,
)
from sync.web.perimeter import session_cookie
from sync.web.rendering import Templates
from sync.web.words import Words

TICK_S = 1.0
BEHIND_TICK_S = 0.05
"""While there is more to count than one step takes: the database's threads are asked in between, but seldom wait."""
HEARTBEAT_S = 15.0
"""A proxy or a phone's network drops what is silent for a minute or less."""
RETRY_MS = 2_000
STREAMS_MAX = 400
"""Streams of people on one replica; a gate's have their own."""
CHECK_S = 30.0
"""So often it is asked whether the session still stands: who is signed out sees no more after that."""
WRITE_S = 20.0

log = logging.getLogger("sync.board")


@dataclass(slots=True)
class _Sent:
    """What of an event was rendered last, for everybody with the same language and span."""

    version: int
    minute: int
    html: str


class BoardPages:
    """The board's routes. `stop` ends its streams."""

    def __init__(
        self,
        database: Database,
        boards: Boards,
        templates: Templates,
        signed_in: SignedIn,
        now_s: Callable[[], int],
    ) -> None:
        self._database, self._boards, self._templates = database, boards, templates
        self._signed_in, self._now_s = signed_in, now_s
        self._streams = 0
        self._closing = asyncio.Event()
        self._sent: dict[tuple[int, str, str], _Sent] = {}

    def pages(self) -> tuple[PageRoute, ...]:
        """Return the pages."""
        return (
            PageRoute("GET", "/events/{event}/board", self.board),
            PageRoute("GET", "/events/{event}/tickets/{ticket}/way", self.way, Role.STEWARD),
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the stream's route."""
        return [web.get("/events/{event}/board/live", self.live, allow_head=False)]

    async def stop(self, _app: web.Application) -> None:
        """End every stream: goes to the application's `on_shutdown`."""
        self._closing.set()

    def board(self, connection: Connection, asked: PageAsked) -> View:
        """GET: the board as it stands; the stream goes on from there."""
        event = programme.event(connection, asked.who.organization, asked.number("event"))
        span = span_of(asked.query)
        seen = self._boards.see(connection, event.group, EventId(event.id), asked.now_s)
        context = sheet(connection, event, seen, asked.now_s, span, asked.words)
        return View("board/board.html", {"event": event, "tab": "board", "place": "events", **context})

    def way(self, connection: Connection, asked: PageAsked) -> View:
        """GET: what all gates recorded of one ticket, in order of time."""
        event = programme.event(connection, asked.who.organization, asked.number("event"))
        ticket = TicketId(asked.number("ticket"))
        steps = timeline.steps(connection, event.group, EventId(event.id), ticket, asked.words)
        return View(
            "board/way.html",
            {"event": event, "ticket": ticket, "steps": steps, "tab": "board", "place": "events"},
        )

    async def live(self, request: web.Request) -> web.StreamResponse:
        """GET: server-sent events, one fragment whenever something changed (HTML Living Standard, 9.2)."""
        if self._streams >= STREAMS_MAX:
            return web.Response(status=503, headers={**HEADERS, "Retry-After": "30"})
        token = request.cookies.get(session_cookie(request), "")
        number = request.match_info["event"]
        if not token or not number.isascii() or not number.isdigit() or len(number) > 10:
            return web.Response(status=404, headers=HEADERS)
        words = Words(wanted_language(request))
        look = _Look(int(number), token, span_of(Form(list(request.query.items()))), words)
        first = await self._database.read(lambda connection: self._look(connection, look))
        if first is None:
            return web.Response(status=404, headers=HEADERS)
        response = web.StreamResponse(
            headers={**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        self._streams += 1
        try:
            await response.prepare(request)
            await _write(response, f"retry: {RETRY_MS}\n\n")
            await self._follow(response, look, first)
        except (OSError, TimeoutError):  # the browser is gone, or takes nothing: it asks again
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._streams -= 1
        return response

    async def _follow(self, response: web.StreamResponse, look: "_Look", html: str) -> None:
        loop = asyncio.get_running_loop()
        said_s = loop.time()
        await _write(response, as_event(html))
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEHIND_TICK_S if look.behind else TICK_S):
                    await self._closing.wait()
            look.check = loop.time() - look.checked_s >= CHECK_S
            if look.check:
                look.checked_s = loop.time()
            now = await self._database.read(lambda connection: self._look(connection, look))
            if now is None:
                return
            if now != html:
                html, said_s = now, loop.time()
                await _write(response, as_event(html))
            elif loop.time() - said_s >= HEARTBEAT_S:
                said_s = loop.time()
                await _write(response, ": still here\n\n")

    def _look(self, connection: Connection, look: "_Look") -> str | None:
        """Return the fragment as it is now; None for somebody who may not see it."""
        now_s = self._now_s()
        if look.check:
            look.principal = self._signed_in(connection, look.token, now_s)
            look.check = False
        if look.principal is None or not look.principal.role.may(Role.VIEWER):
            return None
        try:
            event = programme.event(connection, look.principal.organization, look.event)
        except Refused:
            return None
        seen = self._boards.see(connection, event.group, EventId(event.id), now_s)
        look.behind = seen is not None and seen.behind > 0
        return self._render(connection, event, seen, now_s, look)

    def _render(
        self, connection: Connection, event: programme.Event, seen: Seen | None, now_s: int, look: "_Look"
    ) -> str:
        key = (event.id, look.words.language.value, look.span)
        version = -1 if seen is None else seen.version
        known = self._sent.get(key)
        if known is not None and (known.version, known.minute) == (version, now_s // 60):
            return known.html
        context: Mapping[str, Any] = sheet(connection, event, seen, now_s, look.span, look.words)
        html = self._templates.render("board/figures.html", look.words, {"event": event, **context})
        if len(self._sent) > 200:
            self._sent.clear()
        self._sent[key] = _Sent(version, now_s // 60, html)
        return html


@dataclass(slots=True)
class _Look:
    event: int
    token: str
    span: str
    words: Words
    check: bool = True
    checked_s: float = 0.0
    principal: Principal | None = None
    behind: bool = False
    """Whether there was more to count at the last look."""


def span_of(query: Form) -> str:
    """Return which stretch of time the chart shows: the last two hours or the last day."""
    return "day" if query.text("span") == "day" else "hours"


def as_event(html: str) -> str:
    """Return a fragment as one event; each line of it is a data line."""
    return "event: board\n" + "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(text.encode())
