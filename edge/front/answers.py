"""How the box's pages answer, whichever page it is: JSON, and what stands around every route of theirs."""

import logging
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from edge.front.asked import Refused
from edge.front.doors import Doors
from edge.front.perimeter import Handler, refusal
from edge.words import Sentence

STATUS_OF: Final = {
    "page.no_session": 401,
    "page.not_secure": 403,
    "page.pin_wrong": 401,
    "page.pin_locked": 429,
    "page.no_pin": 409,
    "page.bad_request": 400,
    "front.no_lane": 503,
}
"""Every other code is something that could not be done now: 409."""

log = logging.getLogger("edge.front.answers")


def answer(told: object, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=msgspec.json.encode(told), status=status, content_type="application/json")


def counting(doors: Callable[[], Doors | None]) -> Middleware:
    """Make what tells the doors which connections are at work; there are none where a test needs none."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        at = doors()
        if at is None:
            return await handler(request)
        with at.serving(request):
            return await handler(request)

    return count


def saying(sentence_of: Callable[[web.Request, Refused], Sentence]) -> Middleware:
    """Make what turns a refusal into its sentence, and a defect of ours into a plain 500 with a trace in the journal."""

    @web.middleware
    async def say(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            said = sentence_of(request, refused)
            told = {"ok": False, "code": refused.code, "text": said.cause, "fix": said.fix}
            refused_so = answer(told, STATUS_OF.get(refused.code, 409))
            if "wait_s" in refused.args_said:
                refused_so.headers[hdrs.RETRY_AFTER] = str(refused.args_said["wait_s"])
            return refused_so
        except web.HTTPException as error:
            return refusal(
                error.status,
                error.reason,
                {hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else None,
            )
        except Exception:
            log.exception("a request failed", extra={"code": "page.defect"})
            return refusal(500, "A defect of this page; it is in the journal of gatehouse-edge.")

    return say
