"""The commissioning page: the only page of a box that has no configuration yet. Everything needs the PIN."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, cast

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from edge import config
from edge.commission import code128
from edge.commission.board_search import BoardHands
from edge.commission.candidates import (
    BOARDS,
    BUS_LINES_MAX,
    GPIO_KEY,
    INPUTS,
    LINES,
    board_of,
    inputs_of_device,
)
from edge.commission.contacts import Contact
from edge.commission.kinds import Kind
from edge.commission.known import known
from edge.commission.labels import LABELS
from edge.commission.made import settings_of
from edge.commission.modbus_orders import ModbusOrders
from edge.commission.orders import lock, to_serial
from edge.commission.osdp import BusHands
from edge.commission.osdp_orders import OsdpOrders
from edge.commission.placing import Earlier, place
from edge.commission.remarks import with_remarks
from edge.commission.searches import Searches
from edge.commission.session import LANES_MAX, Lane, Seat
from edge.commission.shell import PulseFailed, Shell
from edge.commission.toml_text import toml_of
from edge.commission.uid_form import known_cards, known_uid
from edge.commission.view import CommissionShown, commission_view
from edge.commission.words import label, say, sentence_of
from edge.enrol import EnrolFailed, enrol
from edge.enrolment import Enrolment, NotEnrolled
from edge.enrolment import load as load_enrolment
from edge.front import qr
from edge.front.answers import answer, counting, saying
from edge.front.asked import LANG_COOKIE, Asked, NoBody, Refused, body, language_of, named
from edge.front.doors import Doors
from edge.front.perimeter import (
    BODY_BYTES_MAX,
    BURST,
    REQUESTS_PER_S,
    Hosts,
    harden,
    is_trustworthy,
    perimeter,
)
from edge.front.pin import PinLock
from edge.front.template import filled
from edge.front.unlock import Unlock
from edge.settings import MediumSetting, ModbusInputs, ModbusRelay, Way, WiegandBits, WiegandReader
from edge.words import Sentence
from sync.wire.pace import Pace

PAGE: Final = Path(__file__).parent / "page"
FRONT_PAGE: Final = Path(__file__).parent.parent / "front" / "page"
_FILES: Final = {
    "page.css": (FRONT_PAGE, "text/css; charset=utf-8"),
    "icon.svg": (FRONT_PAGE, "image/svg+xml"),
    "commission.css": (PAGE, "text/css; charset=utf-8"),
    "commission.js": (PAGE, "text/javascript; charset=utf-8"),
}
log = logging.getLogger("edge.commission.server")

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
LaneNumber = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Chip = Annotated[str, msgspec.Meta(min_length=1, max_length=96)]
Offset = Annotated[int, msgspec.Meta(ge=0, lt=1024)]
Line = Annotated[int, msgspec.Meta(ge=0, lt=BUS_LINES_MAX)]
OneWay = Literal["entry", "exit"]


class LaneBody(Asked, frozen=True):
    """One lane of a plan."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    two_way: bool = False
    kind: Kind = Kind.TRIPOD


class PlanBody(Asked, frozen=True):
    """POST plan. `name`: the gate's."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    lanes: Annotated[tuple[LaneBody, ...], msgspec.Meta(min_length=1, max_length=LANES_MAX)]


class SeatBody(Asked, frozen=True):
    """POST ask, forget. `uid`: what is printed on the card that will be held to a tag reader."""

    lane: LaneNumber
    way: OneWay
    medium: Literal["barcode", "uid"]
    uid: Annotated[str, msgspec.Meta(max_length=64)] = ""

    def seat(self) -> Seat:
        """Return the seat that is meant."""
        return Seat(self.lane, Way(self.way), MediumSetting(self.medium))


class PulseBody(Asked, frozen=True):
    """POST pulse."""

    key: Key
    driver: Annotated[str, msgspec.Meta(max_length=16)]
    lines: Annotated[int, msgspec.Meta(ge=1, le=LINES[-1])]
    """Of one board."""
    line: Line


class TurnedBody(Asked, frozen=True):
    """POST turned: the arm that gave way when this line was pulsed."""

    key: Key
    line: Line
    lane: LaneNumber
    way: OneWay


class PinBody(Asked, frozen=True):
    """POST pulse-pin: a line of a GPIO chip, by the chip's label."""

    chip: Chip
    offset: Offset


class WireBody(Asked, frozen=True):
    """POST wire: D0 and D1 of a Wiegand reader."""

    chip: Chip
    d0: Offset
    d1: Offset
    bits: Literal[26, 34, 37]


class NoWireBody(Asked, frozen=True):
    """POST no-wire."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class UnlockedBody(PinBody, frozen=True):
    """POST unlocked: the arm that gave way when this line was pulsed. `inverse`: it was free all the time, and locked meanwhile."""

    lane: LaneNumber
    way: OneWay
    inverse: bool = False


class OtherBody(Asked, frozen=True):
    """POST drop: a reader that no seat is for, by its number."""

    lane: LaneNumber
    number: LaneNumber


class AdapterBody(Asked, frozen=True):
    """POST adapter: whether a PN532 is behind it."""

    key: Key
    pn532: bool


class WatchBody(Asked, frozen=True):
    """POST watch: so many contacts hang on it; 0 for none."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=96)]
    lines: Annotated[int, msgspec.Meta(ge=0, le=INPUTS[-1])]


class ContactBody(Asked, frozen=True):
    """POST move, unwire."""

    lane: LaneNumber
    contact: Literal[
        "ready_contact",
        "entry_contact",
        "exit_contact",
        "fire_contact",
        "fault_contact",
        "detector_contact",
        "door_contact",
        "exit_button",
    ]


class EnrolBody(Asked, frozen=True):
    """POST enrol."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


class CommissionPage:
    """The web application. `written` is set once the configuration is in its place. `before`: the gate that it was."""

    def __init__(
        self,
        shell: Shell,
        pin: PinLock,
        *,
        data: Path,
        path: Path,
        before: Earlier,
        hosts: Hosts,
        mono_s: Callable[[], float],
    ) -> None:
        self.written = asyncio.Event()
        self.doors: Doors | None = None
        self._searches = Searches()
        self._asker = ""
        self._shell = shell
        self._data = data
        self._path = path
        self._before = before
        self._base = before.settings
        self._unlock = Unlock(pin, mono_s)
        self._enrol_turn = asyncio.Lock()
        self._write_turn = asyncio.Lock()
        self._index = (PAGE / "commission.html").read_text("utf-8")
        self._files = {file: (folder / file).read_bytes() for file, (folder, _) in _FILES.items()}
        around = (
            counting(lambda: self.doors),
            perimeter(hosts, Pace(REQUESTS_PER_S, BURST, mono_s)),
            saying(self._sentence),
        )
        self.app = web.Application(
            middlewares=[cast(Middleware, one) for one in around], client_max_size=BODY_BYTES_MAX
        )
        self.app.on_response_prepare.append(harden)
        self._does: dict[str, Callable[[web.Request], Awaitable[None]]] = {
            "plan": self._plan,
            "ask": self._ask,
            "stop": self._stop,
            "forget": self._forget,
            "pulse": self._pulse,
            "turned": self._turned,
            "pulse-pin": self._pulse_pin,
            "wire": self._wire,
            "no-wire": self._no_wire,
            "unlocked": self._unlocked,
            "drop": self._drop,
            "adapter": self._adapter,
            "watch": self._watch,
            "move": self._move,
            "unwire": self._unwire,
            **self._at_buses(shell, data),
            "anew": self._anew,
            "enrol": self._enrol,
            "write": self._write,
        }
        self.app.add_routes(
            [
                web.get("/", self._get_index),
                web.get("/commission", self._get_index),
                web.get("/{file:page.css|icon.svg|commission.css|commission.js}", self._get_file),
                web.get("/healthz", self._get_health),
                web.get("/api/commission", self._get_state),
                web.get("/api/commission/code.svg", self._get_code),
                web.get("/api/commission/order.svg", self._get_order),
                web.post("/api/pin", self._unlock.give),
                web.post("/api/logout", self._unlock.leave),
                web.post(f"/api/commission/{{what:{'|'.join(self._does)}}}", self._post),
            ]
        )

    def _at_buses(self, shell: Shell, data: Path) -> Mapping[str, Callable[[web.Request], Awaitable[None]]]:
        searches = self._searches
        readers, boards = BusHands(shell, data, searches), BoardHands(shell, searches)
        self.app.on_cleanup.append(lambda _app: searches.close())
        return {**OsdpOrders(readers).all(), **ModbusOrders(boards).all()}

    # --- who asks -----------------------------------------------------------------------------------------------

    def _sentence(self, request: web.Request, refused: Refused) -> Sentence:
        return sentence_of(refused.code, refused.args_said, language_of(request))

    def _want_session(self, request: web.Request) -> None:
        if not is_trustworthy(request):
            raise Refused("page.not_secure")
        if not self._has_session(request, touch=True):
            raise Refused("page.no_session")

    def _has_session(self, request: web.Request, *, touch: bool) -> bool:
        """Whether the PIN was given; strangers take no connection's place that has a session."""
        holds = is_trustworthy(request) and self._unlock.holds(request, touch=touch)
        if self.doors is not None:
            self.doors.vouch(request, has_session=holds)
        return holds

    # --- what is read --------------------------------------------------------------------------------------------

    async def _get_index(self, request: web.Request) -> web.Response:
        language = language_of(request)
        words = {key: label(key, language) for key in LABELS}
        script = {key[3:]: text for key, text in words.items() if key.startswith("js_")}
        values = {**words, "lang": language.value, "words": msgspec.json.encode(script).decode()}
        answer = web.Response(text=filled(self._index, values), content_type="text/html")
        answer.headers[hdrs.VARY] = "Accept-Language, Cookie"
        if named(request.query.get("lang", "")):
            answer.set_cookie(LANG_COOKIE, language.value, max_age=365 * 86_400, samesite="Strict", path="/")
        return answer

    async def _get_file(self, request: web.Request) -> web.Response:
        file = request.match_info["file"]
        headers = {hdrs.CONTENT_TYPE: _FILES[file][1], hdrs.CACHE_CONTROL: "no-cache"}
        return web.Response(body=self._files[file], headers=headers)

    async def _get_health(self, request: web.Request) -> web.Response:
        said = say("commission.under_way", {}, language_of(request))
        told = {"word": "not_ready", "code": "commission.under_way", "cause": said.cause, "fix": said.fix}
        return answer(told, 503)

    async def _get_state(self, request: web.Request) -> web.Response:
        # Looked at by itself every second: that renews no session.
        if not self._has_session(request, touch=False):
            return answer(CommissionShown(session=False))
        language = language_of(request)
        own = self._enrolment()
        name = self._base.gate.name if own is None else own.name or self._base.gate.name
        return answer(
            commission_view(
                self._shell,
                language,
                enrolled=own is not None,
                name=self._shell.session.name or name,
                path=str(self._path),
                before=self._before,
            )
        )

    async def _get_code(self, request: web.Request) -> web.Response:
        """Draw the code that is asked for now."""
        self._want_session(request)
        asked = self._shell.session.asked
        if asked is None or not asked.code:
            raise Refused("commission.nothing_asked")
        return _svg(qr.svg(asked.code))

    async def _get_order(self, request: web.Request) -> web.Response:
        """Draw a device's programming code: `for` is serial or lock."""
        self._want_session(request)
        key, what = request.query.get("key", ""), request.query.get("for", "")
        device = next((one for one in self._shell.found.plugged if one.place == key), None)
        order = None if device is None else (lock if what == "lock" else to_serial)(known(device))
        if order is None or not order.text:
            raise Refused("commission.nothing_asked")
        return _svg(code128.svg(order.text))

    # --- what is done --------------------------------------------------------------------------------------------

    async def _post(self, request: web.Request) -> web.Response:
        self._want_session(request)
        await self._does[request.match_info["what"]](request)
        return answer({"ok": True})

    async def _plan(self, request: web.Request) -> None:
        plan = await body(request, PlanBody)
        session = self._shell.session
        # Lanes that are there keep their numbers, in their order; others get the lowest that are free.
        free = (number for number in range(1, 2 * LANES_MAX) if number not in session.lanes)
        numbers = [*session.lanes, *free][: len(plan.lanes)]
        lanes = {
            at: Lane(one.name, one.two_way, kind=one.kind)
            for at, one in zip(numbers, plan.lanes, strict=True)
        }
        session.plan(lanes, plan.name)

    async def _ask(self, request: web.Request) -> None:
        asked = await body(request, SeatBody)
        uid, cards = b"", frozenset[bytes]()
        if asked.medium == "uid":
            uid = known_uid(asked.uid) or b""
            cards = frozenset() if uid else known_cards(asked.uid)
            if not uid and not cards:
                raise Refused("commission.no_uid")
        self._take_turn(request)
        self._shell.session.ask(self._lane(asked.seat()), uid, cards)
        for one in self._shell.listening.values():
            one.last = None
        await self._shell.look()

    def _take_turn(self, request: web.Request) -> None:
        """One question at a time, and only who asks it asks the next one: another's code would be scanned for the wrong place."""
        session, browser = self._shell.session, self._unlock.browser(request)
        if (session.asked is not None or session.moving is not None) and browser != self._asker:
            raise Refused("commission.asks_other")
        self._asker = browser

    async def _stop(self, request: web.Request) -> None:
        await body(request, NoBody)
        self._shell.session.stop()

    async def _forget(self, request: web.Request) -> None:
        self._shell.session.forget((await body(request, SeatBody)).seat())

    async def _pulse(self, request: web.Request) -> None:
        asked = await body(request, PulseBody)
        device = next((one for one in self._shell.found.plugged if one.place == asked.key), None)
        session = self._shell.session
        board, many = None, 1
        if device is not None and asked.driver in BOARDS:
            board = board_of(device, asked.driver, asked.lines)
        on_bus = session.relays_on(asked.key)
        if isinstance(board, ModbusRelay) and on_bus is not None:
            many = len(on_bus.units) or 1
            board = msgspec.structs.replace(on_bus, lines=min(asked.lines, BUS_LINES_MAX // many), inputs=0)
        if board is None or asked.line >= asked.lines * many:
            raise Refused("commission.no_board")
        if session.is_reader(asked.key):
            raise Refused("commission.is_reader")
        if session.is_asked(asked.key):
            raise Refused("commission.is_asked")
        try:
            await self._shell.pulse(asked.key, board, asked.line)
        except PulseFailed as failed:
            raise Refused(failed.code, {"what": str(failed), "hint": failed.hint}) from None

    async def _turned(self, request: web.Request) -> None:
        turned = await body(request, TurnedBody)
        session = self._shell.session
        if turned.key not in session.boards:
            raise Refused("commission.no_board")
        lane = self._lane(Seat(turned.lane, Way(turned.way), MediumSetting.BARCODE)).lane
        session.assign(turned.key, turned.line, lane, Way(turned.way))

    async def _pulse_pin(self, request: web.Request) -> None:
        asked = await body(request, PinBody)
        session = self._shell.session
        if asked.offset in session.wires_of(asked.chip):
            raise Refused("commission.is_reader")
        free = self._shell.free_lines(asked.chip)
        if asked.offset not in free and asked.offset not in session.outputs_of(asked.chip):
            raise Refused("commission.no_board")
        if session.is_contact(asked.chip, asked.offset):
            raise Refused("commission.is_contact")
        try:
            await self._shell.pulse_pin(asked.chip, asked.offset)
        except PulseFailed as failed:
            raise Refused(failed.code, {"what": str(failed), "hint": failed.hint}) from None

    async def _wire(self, request: web.Request) -> None:
        """A Wiegand reader hangs on two lines of a GPIO chip: it is listened to, and chosen by a card as others are."""
        said = await body(request, WireBody)
        session, wires = self._shell.session, {said.d0, said.d1}
        if len(wires) < 2 or not wires <= {*self._shell.free_lines(said.chip)}:
            raise Refused("commission.no_board")
        if wires & session.outputs_of(said.chip) or any(session.is_contact(said.chip, one) for one in wires):
            raise Refused("commission.is_contact")
        bits = WiegandBits(said.bits)
        session.wire(WiegandReader(id=1, way=Way.ENTRY, chip=said.chip, d0=said.d0, d1=said.d1, bits=bits))
        await self._shell.look()

    async def _no_wire(self, request: web.Request) -> None:
        self._shell.session.unwire_reader((await body(request, NoWireBody)).key)
        await self._shell.look()

    async def _unlocked(self, request: web.Request) -> None:
        said = await body(request, UnlockedBody)
        was_high = self._shell.rests.get((said.chip, said.offset))
        if was_high is None:
            raise Refused("commission.not_pulsed")
        lane = self._lane(Seat(said.lane, Way(said.way), MediumSetting.BARCODE)).lane
        # At rest nothing is switched, unless the arm was free all the time: then the other level is the quiet one.
        self._shell.session.use_pin(
            said.chip, said.offset, active_low=was_high is not said.inverse, lane=lane, way=Way(said.way)
        )
        await self._shell.look()

    async def _drop(self, request: web.Request) -> None:
        said = await body(request, OtherBody)
        if said.lane not in self._shell.session.lanes:
            raise Refused("commission.no_lane")
        self._shell.session.drop(said.lane, said.number)

    async def _adapter(self, request: web.Request) -> None:
        said = await body(request, AdapterBody)
        (self._shell.pn532.add if said.pn532 else self._shell.pn532.discard)(said.key)
        self._shell.session.no_board(said.key)

    async def _watch(self, request: web.Request) -> None:
        """Contacts hang on a device, or on the box's own header."""
        said = await body(request, WatchBody)
        session = self._shell.session
        if not said.lines:
            session.unwatch(said.key)
            return
        if session.is_reader(said.key):
            raise Refused("commission.is_reader")
        if session.is_asked(said.key):
            raise Refused("commission.is_asked")
        if (relays := session.relays_on(said.key)) is not None and said.key not in session.boards:
            session.use_board(said.key, msgspec.structs.replace(relays, inputs=0))
        if said.key.startswith(GPIO_KEY):
            made = self._shell.pins_to_watch(said.key)
        else:
            device = next((one for one in self._shell.found.plugged if one.place == said.key), None)
            board = session.boards.get(said.key)
            bus = session.modbus.get(said.key)
            alone = None if bus is None else bus.inputs
            made = None if device is None else inputs_of_device(device, board, said.lines)
            if alone is not None and isinstance(made, ModbusInputs):
                lines = min(said.lines, BUS_LINES_MAX // max(1, len(alone.units)))
                made = msgspec.structs.replace(alone, lines=lines)
        if made is None:
            raise Refused("commission.no_inputs")
        session.watch(said.key, made, said.lines, again=said.key.startswith(GPIO_KEY))
        await self._shell.look()

    async def _move(self, request: web.Request) -> None:
        asked = await body(request, ContactBody)
        lane, contact = self._contact(asked)
        if not self._shell.session.inputs:
            raise Refused("commission.no_inputs")
        self._take_turn(request)
        self._shell.session.move(lane, contact)

    async def _unwire(self, request: web.Request) -> None:
        self._shell.session.unwire(*self._contact(await body(request, ContactBody)))

    def _contact(self, asked: ContactBody) -> tuple[int, Contact]:
        lane, contact = self._shell.session.lanes.get(asked.lane), Contact(asked.contact)
        if lane is None or contact not in lane.takes:
            raise Refused("commission.no_lane")
        return asked.lane, contact

    async def _anew(self, request: web.Request) -> None:
        """Forget all that was said and shown; nothing was written yet."""
        await body(request, NoBody)
        await self._searches.close()
        self._shell.begin(anew=True)
        await self._shell.look()

    async def _enrol(self, request: web.Request) -> None:
        asked = await body(request, EnrolBody)
        try:
            async with self._enrol_turn:
                if self._enrolment() is not None:
                    return  # pressed twice: the code is used, and the box has joined
                await asyncio.to_thread(enrol, self._data, asked.url, asked.code, self._base.gate.name)
        except EnrolFailed as failed:
            raise Refused(f"enrol.{failed.why}", {"what": str(failed), "hint": failed.hint}) from None

    async def _write(self, request: web.Request) -> None:
        """Put the configuration in its place, once; the process then goes on as a gate.

        Pressed again meanwhile it changes nothing: the file that stood there before stays the one beside it.
        """
        await body(request, NoBody)
        async with self._write_turn:
            if not self.written.is_set():
                await self._write_once()

    async def _write_once(self) -> None:
        session = self._shell.session
        # Without a centre no gate would start, and this page would be gone.
        if self._enrolment() is None or not session.lanes or session.missing() or session.relay_less():
            raise Refused("commission.incomplete")
        made = settings_of(session, self._base)
        try:
            text = with_remarks(toml_of(made), self._before.text)
            await asyncio.to_thread(place, self._path, text)
        except (config.ConfigErrors, OSError) as error:
            raise Refused("commission.not_written", {"what": str(error)}) from None
        log.info("commissioned", extra={"code": "commission.written", "count": len(made.lanes)})
        self.written.set()

    def _enrolment(self) -> Enrolment | None:
        try:
            return load_enrolment(self._data)
        except (NotEnrolled, ValueError, OSError):
            return None

    def _lane(self, seat: Seat) -> Seat:
        lane = self._shell.session.lanes.get(seat.lane)
        if lane is None or seat.way not in {*lane.ways, *lane.outputs}:
            raise Refused("commission.no_lane")
        return seat


def _svg(drawn: str) -> web.Response:
    return web.Response(text=drawn, content_type="image/svg+xml")
