"""One connection as aiohttp serves it, without what aiohttp says to strangers and to the journal by itself.

Bytes that are no request, or that fail before our routes, get a short answer of ours: no version of any library, none
of the sender's bytes. They leave no line: whoever sends them decides how many there are.
"""

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from edge.front.perimeter import HEADERS, refusal

LINGER_S = 2.0
"""How long the rest of a refused body is read, so that the sender sees the answer."""

AHEAD_MAX = 4
"""Requests that come in one piece: a browser waits for each answer. aiohttp makes all of them ready before it answers the first,
a tenth of a millisecond each, and a flood took the uplink's whole time that way."""

log = logging.getLogger("edge.front.connection")


class Connection(web.RequestHandler):
    """Use as the server's protocol: `when_lost` is called once it is gone."""

    def __init__(self, server: web.Server) -> None:
        # A compressed body has no use here: every body is some hundred bytes, and unpacking one is work for a stranger.
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to say that there is none
            auto_decompress=False,
            lingering_time=LINGER_S,
        )
        self.when_lost: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol. Whoever sends many requests ahead is no browser, and is dropped unread."""
        if data.count(b"\r\n\r\n") > AHEAD_MAX and self.transport is not None:
            self.transport.abort()
            return
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio.Protocol."""
        super().connection_lost(exc)
        if self.when_lost is not None:
            self.when_lost()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - quotes what was sent
    ) -> web.StreamResponse:
        """Answer what never reached our routes; a defect of ours is logged, a stranger's bytes are not."""
        if not isinstance(exc, HttpProcessingError) and status >= 500:
            log.error("a request failed", exc_info=exc, extra={"code": "page.defect"})
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        words = "A defect of this page." if status >= 500 else "This is no request."
        answer = refusal(status, words, dict(HEADERS))
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; one that aiohttp raised by itself (417, for an odd `Expect`) quotes the request."""
        if isinstance(resp, web.HTTPException):
            resp = refusal(resp.status, resp.reason or "", dict(HEADERS))
        return await super().finish_response(request, resp, start_time)
