"""The PIN at a page's door: given once, held as a session in a cookie."""

import asyncio
import logging
from collections.abc import Callable

import msgspec
from aiohttp import web

from edge.front.asked import PinBody, Refused, body
from edge.front.perimeter import is_trustworthy, place
from edge.front.pin import Locked, NoPin, PinLock, Right, Wrong
from edge.front.sessions import AGE_S, Sessions

_COOKIE_TLS = "__Host-gatehouse"
"""A browser takes this name only with Secure, for this host alone, from this host alone."""
_COOKIE_LOOPBACK = "gatehouse"

log = logging.getLogger("edge.front.unlock")


class Unlock:
    """Who may change something. `give` and `leave` are routes."""

    def __init__(self, pin: PinLock, mono_s: Callable[[], float]) -> None:
        self._pin = pin
        self._turn = asyncio.Lock()
        self._sessions = Sessions(mono_s, pin.mark)

    def holds(self, request: web.Request, *, touch: bool) -> bool:
        """Whether a request comes with a live session; `touch` where a person did something."""
        return self._sessions.holds(request.cookies.get(_cookie(request), ""), touch=touch)

    async def give(self, request: web.Request) -> web.Response:
        """POST /api/pin: a session for the right PIN; Refused with the wait for a wrong one."""
        if not is_trustworthy(request):
            raise Refused("page.not_secure")
        tried = await body(request, PinBody)
        async with self._turn:  # each try takes 16 MiB and a core: one at a time
            checked = await asyncio.to_thread(self._pin.check, tried.pin, place(request.remote or ""))
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
        answer.set_cookie(
            _cookie(request),
            token,
            max_age=AGE_S,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
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


def _cookie(request: web.Request) -> str:
    return _COOKIE_TLS if request.secure else _COOKIE_LOOPBACK
