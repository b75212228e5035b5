"""Errors as RFC 9457 problem details, whoever raised them."""

import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from sync.store.engines import DatabaseFault

RETRY_AFTER_S = 2

log = logging.getLogger("sync.web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, code: str, detail: str, *, more: Mapping[str, object] | None = None) -> web.Response:
    """Return a problem. `code`: one word for programs; `detail`: for people, with the next step."""
    body = {"type": f"urn:gatehouse:problem:{code}", "title": code, "status": status, "detail": detail}
    return web.Response(
        status=status,
        body=msgspec.json.encode({**body, **(more or {})}),
        content_type="application/problem+json",
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem; what is our own fault is logged once, here."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer = problem(
            error.status, error.reason.lower().replace(" ", "_"), f"{request.method} {request.path}"
        )
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except DatabaseFault as fault:
        log.error("the database does not answer: %s", fault)  # noqa: TRY400 - the fault says it all, in one line
        answer = problem(503, "database", "The centre's database does not answer. Try again in a moment.")
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
        return answer
    except Exception:  # the HTTP edge: one bad request must not end the server
        resource = request.match_info.route.resource  # what came in is not written: a path may hold anything
        log.exception("a request failed: %s", resource.canonical if resource is not None else "?")
        return problem(500, "internal", "The centre failed on this request; its journal says why. Try again.")
