"""The PIN at a page's door: given once, held as a session in a cookie; a display that is put up with it, in one of its own.

A browser in which it was given once is known from then on: its tries are counted by themselves, so that nobody else's wrong ones
keep its technician out, from however many addresses they come. It must give the PIN all the same.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable

import msgspec
from aiohttp import web

from edge.front.asked import PinBody, Refused, body
from edge.front.perimeter import is_trustworthy, place
from edge.front.pin import Locked, NoPin, PinLock, Right, Wrong
from edge.front.sessions import AGE_S, DISPLAY_AGE_S, KNOWN_AGE_S, Sessions

_COOKIE_TLS = "__Host-gatehouse"
"""A browser takes this name only with Secure, for this host alone, from this host alone."""
_COOKIE_LOOPBACK = "gatehouse"
_DISPLAY, _KNOWN = "-display", "-known"
"""End the names of a display's cookie, and of a known browser's."""

log = logging.getLogger("edge.front.unlock")


class Unlock:
    """Who may change something. `give` and `leave` are routes."""

    def __init__(self, pin: PinLock, mono_s: Callable[[], float]) -> None:
        self._pin = pin
        self._turn = asyncio.Lock()
        self._mark = pin.mark
        self._sessions = Sessions(mono_s, pin.mark)
        self._displays = Sessions(mono_s, pin.mark, idle_s=DISPLAY_AGE_S, age_s=DISPLAY_AGE_S)
        self._known = Sessions(mono_s, pin.mark, idle_s=KNOWN_AGE_S, age_s=KNOWN_AGE_S)

    def holds(self, request: web.Request, *, touch: bool) -> bool:
        """Whether a request comes with a live session; `touch` where a person did something."""
        return self._sessions.holds(request.cookies.get(_cookie(request), ""), touch=touch)

    def browser(self, request: web.Request) -> str:
        """Tell browsers in which the PIN was given apart; the same one as long as it is known, whatever its session."""
        return hashlib.sha256(request.cookies.get(_cookie(request) + _KNOWN, "").encode()).hexdigest()

    def holds_display(self, request: web.Request) -> bool:
        """Whether a display asks that was put up with the PIN. It grants what a display shows, and no change."""
        return self._displays.holds(request.cookies.get(_cookie(request) + _DISPLAY, ""), touch=True)

    def put_up(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Let a display that is opened with a live session go on as one when that ends: it is put up once, and then left alone."""
        if self.holds(request, touch=False) and not self.holds_display(request):
            token = self._displays.open(self._mark())
            _set_cookie(request, answer, _cookie(request) + _DISPLAY, token, DISPLAY_AGE_S)

    async def give(self, request: web.Request) -> web.Response:
        """POST /api/pin: a session for the right PIN; Refused with the wait for a wrong one."""
        if not is_trustworthy(request):
            raise Refused("page.not_secure")
        tried = await body(request, PinBody)
        browser = request.cookies.get(_cookie(request) + _KNOWN, "")
        is_known = self._known.holds(browser, touch=True)
        sender = _name(browser) if is_known else place(request.remote or "")
        async with self._turn:  # each try takes 16 MiB and a core: one at a time
            checked = await asyncio.to_thread(self._pin.check, tried.pin, sender, is_known=is_known)
        match checked:
            case Right(mark=mark):
                token = self._sessions.open(mark)
            case Wrong(wait_s=wait_s) | Locked(wait_s=wait_s) if wait_s > 0:
                raise Refused("page.pin_locked", {"wait_s": int(wait_s) + 1})
            case NoPin():
                raise Refused("page.no_pin")
            case _:
                raise Refused("page.pin_wrong")
        self._sessions.close(request.cookies.get(_cookie(request), ""))
        answer = _done()
        _set_cookie(request, answer, _cookie(request), token, AGE_S)
        if not is_known:
            _set_cookie(request, answer, _cookie(request) + _KNOWN, self._known.open(mark), KNOWN_AGE_S)
        log.info("PIN given", extra={"code": "page.unlocked"})
        return answer

    async def leave(self, request: web.Request) -> web.Response:
        """POST /api/logout."""
        self._sessions.close(request.cookies.get(_cookie(request), ""))
        answer = _done()
        answer.del_cookie(_cookie(request), path="/", httponly=True, samesite="Strict", secure=request.secure)
        return answer


def _done() -> web.Response:
    return web.Response(body=msgspec.json.encode({"ok": True}), content_type="application/json")


def _name(browser: str) -> str:
    """Return what a known browser's tries are counted under: on disk too, so not its cookie."""
    return f"known {hashlib.sha256(browser.encode()).hexdigest()[:16]}"


def _set_cookie(request: web.Request, answer: web.StreamResponse, name: str, token: str, age_s: int) -> None:
    answer.set_cookie(
        name, token, max_age=age_s, path="/", httponly=True, samesite="Strict", secure=request.secure
    )


def _cookie(request: web.Request) -> str:
    return _COOKIE_TLS if request.secure else _COOKIE_LOOPBACK
