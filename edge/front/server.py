"""The box's own page: routes, PIN sessions and the live stream, in front of one `LaneClient`."""

import asyncio
import logging
import math
import re
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from admission.ids import Epoch, GateId, TicketId
from admission.reasons import Language
from edge.board import VerdictWord
from edge.front import display, qr, rehearsed, timeline
from edge.front.answers import answer, counting, saying
from edge.front.asked import LANG_COOKIE, BoxBody, Refused, body, command, language_of, named
from edge.front.bundle import bundle
from edge.front.connection import Connection
from edge.front.doors import Doors
from edge.front.labels import labels
from edge.front.lane_client import LaneAway, LaneClient
from edge.front.metrics import CONTENT_TYPE, metrics
from edge.front.perimeter import (
    BODY_BYTES_MAX,
    BURST,
    REQUESTS_PER_S,
    Hosts,
    harden,
    is_on_box,
    is_trustworthy,
    perimeter,
    place,
    refusal,
)
from edge.front.pin import PinLock
from edge.front.shown_names import ShownNames
from edge.front.template import filled
from edge.front.unlock import Unlock
from edge.front.view import Viewer, go_view, judged, scan_view, status_view, timeline_view, verdict_view
from edge.link import After, Seen
from edge.store.faults import StoreFault
from edge.words import Sentence, sentence
from sync.wire.pace import Pace

STREAMS_MAX = 16
"""Half of all connections: the page itself must still load."""
STREAMS_STRANGERS_MAX = 8
"""The other half is kept for those who gave the PIN."""
STREAMS_PER_ADDRESS_MAX = 4
"""Without a session; a person watches on a phone and in a few tabs."""
STREAM_SCANS_MAX = 50
"""Scans that wait for a slow phone; older ones are left out, the status is always the newest."""
STREAM_WRITE_S = 10.0
"""A phone that takes nothing for so long is gone."""
HEARTBEAT_S = 15.0
PACE_S = 0.2
"""At most five updates a second to each phone."""
RETRY_MS = 2000

PAGE = Path(__file__).parent / "page"
_FILES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "stream.js": "text/javascript; charset=utf-8",
    "display.css": "text/css; charset=utf-8",
    "display.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
log = logging.getLogger("edge.front.server")


class _Stream:
    """One phone or display that watches: what it has not been sent yet, bounded. `old_s`: after which a scan is not sent any more."""

    def __init__(self, mono_s: Callable[[], float], old_s: float = math.inf) -> None:
        self._mono_s = mono_s
        self._old_s = old_s
        self._scans: deque[tuple[Seen, float]] = deque(maxlen=STREAM_SCANS_MAX)
        self.something = asyncio.Event()

    def changed(self) -> None:
        """Listener: a new status."""
        self.something.set()

    def seen(self, scan: Seen) -> None:
        """Listener: a new scan."""
        self._scans.append((scan, self._mono_s()))
        self.something.set()

    def corrected(self, scan: Seen) -> None:
        """Listener: something became of a row."""
        self.seen(scan)

    def take(self) -> list[Seen]:
        """Return what was seen since the last call. What became of a row is never too old: it takes an invitation back."""
        from_s = self._mono_s() - self._old_s
        scans = [scan for scan, at_s in self._scans if at_s >= from_s or scan.after is not After.NOTHING]
        self._scans.clear()
        return scans


class Page:
    """The web application. `doors` is told which connections work; it is None where a test needs none.

    `language`: of readers who chose none; None: as their browser asks. `names`: what people asked to be called; only a display on
    the box itself shows them, or one where the PIN was given.
    """

    def __init__(
        self,
        client: LaneClient,
        pin: PinLock,
        *,
        data: Path,
        name: str,
        hosts: Hosts,
        mono_s: Callable[[], float],
        language: Language | None = None,
        fingerprint: str = "",
        names: ShownNames | None = None,
    ) -> None:
        self.url = ""
        self._language = language
        self.doors: Doors | None = None
        self.closing = asyncio.Event()
        self._client = client
        self._names = names or ShownNames()
        self._data = data
        self._bundle_turn = asyncio.Lock()
        self._unlock = Unlock(pin, mono_s)
        self._mono_s = mono_s
        self._name = name
        self._fingerprint = fingerprint
        self._streams: dict[_Stream, str] = {}
        self._index = {language: _index(language, fingerprint) for language in Language}
        self._display = (PAGE / "display.html").read_text("utf-8")
        self._files = {file: (PAGE / file).read_bytes() for file in _FILES}
        pace = Pace(REQUESTS_PER_S, BURST, mono_s)
        around = (counting(lambda: self.doors), perimeter(hosts, pace), saying(self._sentence))
        self.app = web.Application(
            middlewares=[cast(Middleware, one) for one in around],
            client_max_size=BODY_BYTES_MAX,
        )
        self.app.on_response_prepare.append(harden)
        self.app.add_routes(
            [
                web.get("/", self._get_index),
                web.get("/{file:page.css|page.js|stream.js|display.css|display.js|icon.svg}", self._get_file),
                web.get(r"/lanes/{lane:\d{1,5}}/display", self._get_display),
                web.get("/qr.svg", self._get_qr),
                web.get("/healthz", self._get_health),
                web.get("/metrics", self._get_metrics),
                web.get("/api/status", self._get_status),
                web.get("/api/events", self._get_events),
                web.post("/api/pin", self._unlock.give),
                web.post("/api/logout", self._unlock.leave),
                web.post(r"/api/lane/{id:\d{1,5}}/{what:state|pulse|fire|admit|annul}", self._post_command),
                web.post(r"/api/zone/{id:\d{1,5}}/{what:reset|count|readmission}", self._post_command),
                web.post("/api/box/{what:identify|restart|anew}", self._post_command),
                web.post(r"/api/gate/{id:\d{1,10}}/{what:believe}", self._post_command),
                web.post("/api/box/sync", self._post_sync),
                web.get("/api/bundle", self._get_bundle),
                web.get("/api/go", self._get_go),
                web.get(r"/api/timeline/{epoch:[0-9a-f]{16}}/{seq:\d{1,10}}", self._get_timeline),
                web.get(r"/api/timeline/{number:\d{1,20}}", self._get_timeline),
                web.post(r"/api/alert/{id:\d{1,10}}/{what:acknowledge}", self._post_command),
            ]
        )

    # --- who asks -----------------------------------------------------------------------------------------------

    def _sentence(self, request: web.Request, refused: Refused) -> Sentence:
        return sentence(refused.code, refused.args_said, self._viewer(request).page)

    def _viewer(self, request: web.Request, *, touch: bool = False) -> Viewer:
        wished = language_of(request, self._language)
        reasons = named(request.query.get("reasons", "")) or wished
        has_session = self._has_session(request, touch=touch)
        # Everybody looks at a display, whoever gave the PIN in that browser.
        return Viewer(wished, reasons, has_session and not _is_display(request))

    def _has_session(self, request: web.Request, *, touch: bool) -> bool:
        if not is_trustworthy(request):
            return False
        has_session = self._unlock.holds(request, touch=touch)
        if self.doors is not None:
            self.doors.vouch(request, has_session=has_session or self._is_our_display(request))
        return has_session

    def _is_our_display(self, request: web.Request) -> bool:
        """Whether a display asks that stands at the box, or was put up with the PIN: no stranger takes its place, and it may name."""
        if not _is_display(request):
            return False
        return is_on_box(request) or (is_trustworthy(request) and self._unlock.holds_display(request))

    # --- what anybody may read -----------------------------------------------------------------------------------

    async def _get_index(self, request: web.Request) -> web.Response:
        language = language_of(request, self._language)
        if self._client.on_looked is not None:
            self._client.on_looked()
        answer = web.Response(text=self._index[language], content_type="text/html")
        answer.headers[hdrs.VARY] = "Accept-Language, Cookie"
        if named(request.query.get("lang", "")):
            answer.set_cookie(LANG_COOKIE, language.value, max_age=365 * 86_400, samesite="Strict", path="/")
        return answer

    async def _get_display(self, request: web.Request) -> web.Response:
        """The display of one lane. A lane that is not there says so: the gate may only be starting."""
        shown = display.display_page(
            self._display, int(request.match_info["lane"]), language_of(request, self._language)
        )
        answer = web.Response(text=shown, content_type="text/html")
        answer.headers[hdrs.VARY] = "Accept-Language, Cookie"
        return answer

    async def _get_file(self, request: web.Request) -> web.Response:
        file = request.match_info["file"]
        answer = web.Response(body=self._files[file], headers={hdrs.CONTENT_TYPE: _FILES[file]})
        answer.headers[hdrs.CACHE_CONTROL] = "no-cache"  # a box is updated under the same address
        return answer

    async def _get_qr(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        try:
            drawn = qr.svg(f"{self.url}#{self._fingerprint.upper()}")
        except qr.TextTooLong:
            drawn = qr.svg(self.url[: qr.TEXT_BYTES_MAX])
        return web.Response(text=drawn, content_type="image/svg+xml")

    async def _get_health(self, request: web.Request) -> web.Response:
        found = judged(self._client.status, connected=self._client.connected)
        said = verdict_view(found, self._client.status, Viewer(self._viewer(request).page, Language.EN))
        return answer(said, 503 if found.word is VerdictWord.NOT_READY else 200)

    async def _get_metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        text = metrics(self._client.status, connected=self._client.connected)
        return web.Response(body=text.encode(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _get_status(self, request: web.Request) -> web.Response:
        client = self._client
        viewer = self._viewer(request)
        return answer(
            status_view(client.status, client.recent, viewer, connected=client.connected, name=self._name)
        )

    async def _get_events(self, request: web.Request) -> web.StreamResponse:
        is_ours = self._has_session(request, touch=False) or self._is_our_display(request)
        whose = "" if is_ours else place(request.remote or "")
        if not self._may_stream(whose):
            return refusal(503, "Too many watch already.", {hdrs.RETRY_AFTER: "5"})
        answer = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"}
        )
        if is_display := _is_display(request):
            self._unlock.put_up(request, answer)
        stream = _Stream(self._mono_s, display.OLD_S if is_display else math.inf)
        self._streams[stream] = whose
        if isinstance(request.protocol, Connection):
            request.protocol.when_lost = stream.something.set
        try:
            with self._client.listening(stream):
                await answer.prepare(request)
                await self._feed(request, answer, stream)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            del self._streams[stream]
        return answer

    def _may_stream(self, whose: str) -> bool:
        """Whether one more may watch; `whose` is "" with a session and for the box's own display, else where it comes from."""
        strangers = [one for one in self._streams.values() if one]
        if len(self._streams) >= STREAMS_MAX:
            return False
        if not whose:
            return True
        return len(strangers) < STREAMS_STRANGERS_MAX and strangers.count(whose) < STREAMS_PER_ADDRESS_MAX

    async def _feed(self, request: web.Request, answer: web.StreamResponse, stream: _Stream) -> None:
        """Send the whole status, then what changes, until the phone or the page goes away."""
        is_display = _is_display(request)
        beat_s, pace_s = (display.BEAT_S, display.PACE_S) if is_display else (HEARTBEAT_S, PACE_S)
        client = self._client
        viewer = self._viewer(request)
        whole = status_view(client.status, client.recent, viewer, connected=client.connected, name=self._name)
        await _write(answer, f"retry: {RETRY_MS}\n\n" + _event("status", whole))
        while not self.closing.is_set():
            try:
                async with asyncio.timeout(beat_s):
                    await stream.something.wait()
            except TimeoutError:
                await _write(answer, ": beat\nevent: beat\ndata: 1\n\n")
                continue
            await asyncio.sleep(pace_s)
            stream.something.clear()
            scans = stream.take()
            viewer = self._viewer(request)
            may_name = self._is_our_display(request) or (
                is_display and self._has_session(request, touch=False)
            )
            text = "".join(
                _event(
                    "seen",
                    scan_view(scan, client.status, viewer, self._names.of(scan.holder) if may_name else ""),
                )
                for scan in scans
            )
            view = status_view(client.status, None, viewer, connected=client.connected, name=self._name)
            await _write(answer, text + _event("status", view))

    # --- what needs the PIN --------------------------------------------------------------------------------------

    def _want_session(self, request: web.Request) -> None:
        if not is_trustworthy(request):
            raise Refused("page.not_secure")
        if not self._has_session(request, touch=True):
            raise Refused("page.no_session")

    async def _post_sync(self, request: web.Request) -> web.Response:
        self._want_session(request)
        await body(request, BoxBody)
        if self._client.on_sync is None:
            raise Refused("uplink.unenrolled")
        self._client.on_sync()
        return answer({"ok": True})

    async def _get_bundle(self, request: web.Request) -> web.Response:
        self._want_session(request)
        client = self._client
        async with self._bundle_turn:  # it reads and packs for a moment: one at a time
            packed = await asyncio.to_thread(bundle, self._data, client.status, connected=client.connected)
        gate = client.status.gate if client.status is not None else 0
        name = f"gatehouse-{gate}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.zip"
        answer = web.Response(body=packed, content_type="application/zip")
        answer.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{name}"'
        return answer

    async def _get_go(self, request: web.Request) -> web.Response:
        """Say whether every lane was rehearsed since the hour `since` (HH:MM)."""
        self._want_session(request)
        status, page = self._client.status, self._viewer(request).page
        if status is None or not self._client.connected:
            raise Refused("front.no_lane")
        asked = request.query.get("since", rehearsed.SINCE)[:5]
        try:
            since_s = rehearsed.since(asked, status.time_s)
        except ValueError:
            raise Refused("page.bad_request", {"what": "since"}) from None
        try:
            async with self._bundle_turn:
                found = await asyncio.to_thread(rehearsed.go, self._data, status, since_s)
        except StoreFault:
            raise Refused("command.not_done") from None
        return answer(go_view(found, asked, status, page))

    async def _get_timeline(self, request: web.Request) -> web.Response:
        """Tell what happened to a ticket at all gates: that of one of this gate's records, or of a number."""
        self._want_session(request)
        status, asked = self._client.status, request.match_info
        if status is None:
            raise Refused("front.no_lane")
        if "number" in asked:
            if (number := int(asked["number"])) >= 2**64:
                raise Refused("timeline.none")
            look = partial(timeline.of_number, self._data, TicketId(number))
        else:
            epoch = Epoch(int(asked["epoch"], 16))
            look = partial(timeline.of_record, self._data, GateId(status.gate), epoch, int(asked["seq"]))
        try:
            async with self._bundle_turn:
                found = await asyncio.to_thread(look)
        except StoreFault:
            raise Refused("command.not_done") from None
        if not found:
            raise Refused("timeline.none")
        return answer(timeline_view(found, status, self._viewer(request).page))

    async def _post_command(self, request: web.Request) -> web.Response:
        self._want_session(request)
        wish = await command(request)
        try:
            done = await self._client.command(wish)
        except LaneAway:
            raise Refused("front.no_lane") from None
        if not done.ok:
            raise Refused(done.code or "command.not_done", done.args)
        return answer({"ok": True})


def _is_display(request: web.Request) -> bool:
    return "display" in request.query


def _event(name: str, body: object) -> str:
    """One server-sent event; JSON has no line breaks, so one `data` line holds it."""
    return f"event: {name}\ndata: {msgspec.json.encode(body).decode()}\n\n"


async def _write(answer: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(STREAM_WRITE_S):
        await answer.write(text.encode())


def _index(language: Language, fingerprint: str) -> str:
    """Fill index.html in: `{{key}}` is a label, `{{words}}` those for the script, as JSON."""
    words = labels(language)
    script = {key[3:]: text for key, text in words.items() if key.startswith("js_")}
    values = {
        **words,
        "words": msgspec.json.encode(script).decode(),
        "fingerprint_text": ":".join(re.findall("..", fingerprint.upper())) or "–",
    }
    source = (PAGE / "index.html").read_text("utf-8")
    return filled(source, values)
