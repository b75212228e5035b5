"""The demo page's server: shows the venue and moves its people, plugs and switches. Loopback only, never on a box."""

import asyncio
import io
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import segno
from aiohttp import web

from admission.credentials import Medium
from admission.reasons import Language, Reason, say
from admission.records import Direction, Outcome
from drivers.base import SCAN_BYTES_MAX
from edge.board import verdict
from edge.link import Seen
from edge.words import sentence
from sync.demo import DemoTicket
from tests.venue.hardware import DEVICES
from tests.venue.people import PLACES, Visitor
from tests.venue.venue import Venue

FOLDER = Path(__file__).parent / "demo_page"
FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "scene.js": "text/javascript",
    "words.js": "text/javascript",
}
SETTLE_S = 0.03
"""Changes within this time are shown at once."""
HEARTBEAT_S = 15.0
CLIENTS_MAX = 16
BODY_BYTES_MAX = 16 * 1024
QR_CHARS_MAX = 1200
"""More does not fit a QR at level M that a phone's camera would read."""
UID = re.compile(r"\A([0-9A-Fa-f]{2}){4,10}\Z")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
Json = dict[str, object]


class Present(msgspec.Struct, frozen=True):
    """Hold something up: a demo ticket by its key, or any code."""

    place: str
    key: str = ""
    text: str = ""


class Switch(msgspec.Struct, frozen=True):
    """Switch something: what it is says the address, which one `lane` or `device`."""

    on: bool = True
    lane: int = 0
    device: str = ""


T = TypeVar("T")


class DemoPage:
    """Serves the page of one venue. `start` returns its address."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._runner: web.AppRunner | None = None
        self._clients: set[asyncio.Event] = set()
        self._closing = False
        self._due: asyncio.TimerHandle | None = None
        self._state = b""
        self._hosts: frozenset[str] = frozenset()
        self._power = asyncio.Lock()
        venue.changed = self._changed

    async def start(self, port: int = 0) -> str:
        """Listen on loopback; port 0 takes a free one."""
        app = web.Application(middlewares=[self._guard], client_max_size=BODY_BYTES_MAX)
        app.router.add_get("/", self._file)
        app.router.add_get("/{name:(?:page\\.css|page\\.js|scene\\.js|words\\.js)}", self._file)
        app.router.add_get("/qr.svg", self._qr)
        app.router.add_get("/api/tickets", self._tickets)
        app.router.add_get("/api/events", self._events)
        app.router.add_post("/api/present", self._present)
        app.router.add_post("/api/{what:walk|plug|power|fire|clear|ready|steward}", self._switch)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        bound = self._runner.addresses[0][1]
        self._hosts = frozenset(f"{name}:{bound}" for name in ("127.0.0.1", "localhost"))
        return f"http://127.0.0.1:{bound}/"

    async def stop(self) -> None:
        """Let every browser go and stop listening."""
        self._closing = True
        if self._due is not None:
            self._due.cancel()
        for client in self._clients:
            client.set()
        if self._runner is not None:
            await self._runner.cleanup()

    # --- what the browser gets ----------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer only our own page: another site's page in the same browser could press every button here."""
        if request.host not in self._hosts:
            raise web.HTTPMisdirectedRequest
        origin = request.headers.get("Origin")
        foreign = origin is not None and origin.removeprefix("http://") not in self._hosts
        if request.method == "POST" and (foreign or request.content_type != "application/json"):
            raise web.HTTPForbidden
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("name") or "index.html"
        return web.Response(
            body=(FOLDER / name).read_bytes(), content_type=FILES.get(name, "text/html"), charset="utf-8"
        )

    async def _qr(self, request: web.Request) -> web.StreamResponse:
        ticket = self._ticket(request.query.get("key", ""))
        text = ticket.data if ticket is not None else request.query.get("text", "")
        if not 0 < len(text) <= QR_CHARS_MAX:
            raise web.HTTPNotFound
        out = io.BytesIO()
        code = segno.make(text, error="m", micro=False, boost_error=False)
        code.save(out, kind="svg", scale=1, border=4, light="#fff", xmldecl=False, svgns=True, omitsize=True)
        return web.Response(body=out.getvalue(), content_type="image/svg+xml")

    async def _tickets(self, _request: web.Request) -> web.StreamResponse:
        return _json([_catalogued(ticket) for ticket in self._venue.tickets])

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._clients) >= CLIENTS_MAX:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        news = asyncio.Event()
        self._clients.add(news)
        if not self._state:
            self._state = self._snapshot()
        shown = b""
        try:
            await response.write(b"retry: 500\n\n")
            while not self._closing:
                news.clear()
                if self._state is not shown:
                    shown = self._state
                    await response.write(b"data: " + shown + b"\n\n")
                try:
                    await asyncio.wait_for(news.wait(), HEARTBEAT_S)
                except TimeoutError:
                    await response.write(b": still here\n\n")
        except ConnectionError:
            pass  # the browser went away
        finally:
            self._clients.discard(news)
        return response

    # --- what the browser asks for --------------------------------------------------------------------------------------

    async def _present(self, request: web.Request) -> web.StreamResponse:
        asked = await _body(request, Present)
        place, ticket = PLACES.get(asked.place), self._ticket(asked.key)
        text = ticket.data if ticket is not None else asked.text
        if place is None or not text or (asked.key and ticket is None):
            return _no("nothing")
        if place.medium is Medium.UID:
            text = text.replace(":", "").replace(" ", "")
            if not UID.match(text):
                return _no("uid")
        elif ticket is not None and ticket.medium is Medium.UID:
            return _no("tag")
        if len(text.encode(errors="replace")) > SCAN_BYTES_MAX:
            return _no("long")
        try:
            visitor = await self._venue.people.come(place, text)
        except ValueError:
            return _no("keys")
        return _json({"ok": True, "visitor": visitor.number})

    async def _switch(self, request: web.Request) -> web.StreamResponse:
        asked, venue = await _body(request, Switch), self._venue
        ok = True
        match request.match_info["what"]:
            case "walk":
                venue.set_walk(on=asked.on)
            case "plug" if asked.device in DEVICES:
                venue.plug(asked.device, into=asked.on)
            case "power":
                async with self._power:
                    await (venue.restore_power() if asked.on else venue.cut_power())
            case "fire":
                venue.set_fire(on=asked.on)
            case "clear":
                ok = await venue.clear_fire()
            case "ready" if asked.lane in venue.hardware.lanes:
                venue.set_ready(asked.lane, on=asked.on)
            case "steward":
                ok = await venue.admit(asked.lane)
            case _:
                ok = False
        return _json({"ok": ok}) if ok else _no("nothing")

    def _ticket(self, key: str) -> DemoTicket | None:
        return next((ticket for ticket in self._venue.tickets if ticket.key == key), None)

    # --- the venue as JSON ----------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        if self._due is None and not self._closing:
            self._due = asyncio.get_running_loop().call_later(SETTLE_S, self._show)

    def _show(self) -> None:
        self._due = None
        if self._clients:
            self._state = self._snapshot()
            for client in self._clients:
                client.set()
        else:
            self._state = b""

    def _snapshot(self) -> bytes:
        venue = self._venue
        return msgspec.json.encode(
            {
                "power": venue.powered,
                "gate": self._gate(),
                "lanes": [self._lane(number) for number in venue.hardware.lanes],
                "walk": venue.people.walk,
                "fire": venue.fire,
                "devices": {name: name not in venue.pulled for name in DEVICES},
                "records": venue.records.newest(),
                "technician": venue.page_url,
                "pin": venue.pin,
            }
        )

    def _gate(self) -> Json:
        """How the gate is, in its own words."""
        status = self._venue.status if self._venue.powered else None
        if status is None:
            return {"word": "off" if not self._venue.powered else "starting", "cause": {}, "inside": []}
        word, cause = verdict(status.tiles)
        return {
            "word": word.value,
            "cause": {
                language.value: sentence(cause.code, cause.args, language).cause if cause else ""
                for language in Language
            },
            "inside": [
                {"zone": status.zones.get(zone, str(zone)), "low": low, "high": high}
                for zone, (low, high) in status.inside.items()
            ],
        }

    def _lane(self, number: int) -> Json:
        venue = self._venue
        lane = venue.hardware.lanes[number]
        turns = venue.people.turns[number]
        view = next((one for one in venue.status.lanes if one.id == number), None) if venue.status else None
        latest = venue.people.latest.get(number)
        return {
            "id": number,
            "ready": venue.is_ready_on(number),
            "state": view.state if view else "",
            "alarm": bool(view and view.fire),
            "released": [way for way in lane.lines if lane.is_released(way)],
            "turned": turns["entry"] - turns["exit"],
            "entries": view.entries if view else 0,
            "exits": view.exits if view else 0,
            "people": [_person(one) for (at, _), one in venue.people.there.items() if at == number],
            "verdict": self._verdict(latest) if latest else None,
        }

    def _verdict(self, visitor: Visitor) -> Json:
        """What the gate told the last person at a lane, and what became of them."""
        seen = visitor.seen
        return {
            **_person(visitor),
            "ticket": next((one.key for one in self._venue.tickets if one.data == visitor.code), ""),
            "turned": visitor.turned,
            "outcome": Outcome(seen.outcome).name.lower() if seen else "",
            "reason": Reason(seen.reason).name.lower() if seen else "",
            "said": self._said(seen) if seen else {},
        }

    def _said(self, seen: Seen) -> Json:
        status = self._venue.status
        names = status.gates if status else {}
        last = time.strftime("%H:%M", time.localtime(seen.last_s)) if seen.last_s else ""
        return _sayings(
            Outcome(seen.outcome),
            Reason(seen.reason),
            Direction(seen.direction),
            names.get(seen.gate, ""),
            last,
        )


def _person(visitor: Visitor) -> Json:
    return {
        "number": visitor.number,
        "place": visitor.place.key,
        "way": visitor.place.way,
        "phase": visitor.phase.value,
    }


def _sayings(outcome: Outcome, reason: Reason, direction: Direction, gate: str = "", last: str = "") -> Json:
    """Return one answer in every language of a gate."""
    said: Json = {}
    for language in Language:
        saying = say(outcome, reason, language, direction=direction, gate=gate, time=last)
        said["display"] = saying.display.value
        said[language.value] = [saying.visitor, saying.steward]
    return said


def _catalogued(ticket: DemoTicket) -> Json:
    """Return a demo ticket and what must happen with it at the tripod's entry, the first time."""
    group = {Outcome.GRANT: "in", Outcome.CHECK: "check"}.get(ticket.outcome, "out")
    return {
        "key": ticket.key,
        "data": ticket.data,
        "medium": ticket.medium.value,
        "group": "tag" if ticket.medium is Medium.UID else group,
        "de": ticket.label_de,
        "en": ticket.label_en,
        "outcome": ticket.outcome.name.lower(),
        "said": _sayings(ticket.outcome, ticket.reason, Direction.ENTRY),
    }


async def _body(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError:
        raise web.HTTPBadRequest from None


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _no(why: str) -> web.Response:
    """Say what cannot be done; the page has the words. An answer, no error: browsers would log it as one."""
    return _json({"ok": False, "why": why})
