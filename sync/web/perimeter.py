"""Who may speak to the centre's pages and API: names, origins, headers; who it is that asks.

A page on somebody else's site can make an organizer's browser call the centre (CSRF), or point a name of its own at
the centre's address (DNS rebinding). So a request must name the centre in `Host`, and one that changes something by a
cookie must come from a page of ours. What gates sign needs neither.
"""

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from sync.accounts import sessions, tokens
from sync.accounts.principal import Principal
from sync.store.database import CentreFault, Database
from sync.web.api import Refused
from sync.web.problems import Handler, problem
from sync.web.senders import address_of, proxies_of

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""For what is no page; a page brings its own policy."""
HSTS = "max-age=31536000"
USED_STEP_S = 60
"""A token's or session's last use is written down once a minute."""
REMEMBERED_MAX = 10_000
_SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_LOOPBACK = frozenset({"localhost", "localhost.localdomain"})
_GATES = ("/api/v1/gate/", "/api/v1/snapshots/", "/healthz", "/metrics")
"""Asked by programs that prove themselves by their keys, or that learn nothing of anybody's: a snapshot is sealed. A gate reaches
the centre by the address it was enrolled with, whatever the centre goes by."""


class Hosts:
    """The names the centre answers to. An address counts only if the request came in on it."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = _LOOPBACK | {name.lower().rstrip(".") for name in names}

    def allowed(self, host: str, local_address: str) -> bool:
        """Whether a `Host` header names the centre, on a connection to `local_address`."""
        name = host_name(host)
        address = address_of(name)
        if address is None:
            return name in self._names
        return address.is_loopback or name in self._names or address == address_of(local_address)


def host_name(host: str) -> str:
    """Return the name in a `Host` header: no port, lower case, no brackets, no dot at the end; "" for none."""
    if host.startswith("["):
        name, end, port = host[1:].partition("]")
        port = port.removeprefix(":") if end else "?"
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return ""
    return name.lower().rstrip(".")


def perimeter(hosts: Hosts) -> Middleware:
    """Return the middleware that refuses requests for names that are not the centre's."""

    @web.middleware
    async def stand(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(_GATES) and not hosts.allowed(request.host, _local_address(request)):
            return problem(
                421,
                "misdirected",
                "The centre does not go by that name. Add it: gatehouse-sync serve --name NAME",
            )
        return await handler(request)

    return stand


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer that brings none of its own (an `on_response_prepare` signal)."""
    for name, value in HEADERS.items():
        if name not in response.headers:
            response.headers[name] = value
    response.headers[hdrs.SERVER] = "Gatehouse"  # aiohttp has put its own there by now
    if scheme(request) == "https":
        response.headers.setdefault("Strict-Transport-Security", HSTS)


def identify(connection: Connection, request: web.Request, now_s: int) -> Principal | None:
    """Return who asks: by a token, else by the cookie of a session; None where neither says so.

    Refused (403) where a cookie's request would change something and no page of ours made it.
    """
    sent = request.headers.get(hdrs.AUTHORIZATION)
    if sent is not None:
        scheme, _, secret = sent.partition(" ")
        return tokens.principal(connection, secret.strip(), now_s) if scheme.lower() == "bearer" else None
    found = sessions.principal(connection, request.cookies.get(session_cookie(request), ""), now_s)
    if found is not None and request.method not in _SAFE and not same_site(request):
        raise Refused(403, "other_site", "Only a page of the centre may change something with its cookie.")
    return found


def sent_token(request: web.BaseRequest) -> bytes | None:
    """Return the digest of the token that was sent; None where none of ours was."""
    scheme, _, secret = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return tokens.sent_digest(secret.strip()) if scheme.lower() == "bearer" else None


def same_site(request: web.BaseRequest) -> bool:
    """Whether a change was made by one of our own pages: by Sec-Fetch-Site, and by Origin where it is sent.

    Browsers send Origin with every POST, and all but the oldest Sec-Fetch-Site; a request with neither is none of ours.
    """
    fetched = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get(hdrs.ORIGIN)
    if fetched is None and origin is None:
        return False
    if fetched is not None and fetched != "same-origin":
        return False
    return origin is None or urlsplit(origin).netloc == request.host


def session_cookie(request: web.Request) -> str:
    """Return the cookie's name: over TLS one that no other host and no plain page can set (RFC 6265bis, 4.1.3)."""
    return "__Host-session" if scheme(request) == "https" else "session"


def scheme(request: web.Request) -> str:
    """Return what the browser speaks, to us or to the proxy before us."""
    return proxies_of(request).scheme(request)


def sender(request: web.Request) -> str:
    """Return what is counted as one sender: an IPv4 address or an IPv6 /64; "" for this machine itself."""
    return proxies_of(request).sender(request)


class Uses:
    """Middleware that notes when a token or session was used last, once a minute each."""

    def __init__(self, database: Database, now_s: Callable[[], int]) -> None:
        self._database, self._now_s = database, now_s
        self._noted: dict[bytes, int] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer, then note the use."""
        answer = await handler(request)
        if answer.status < 400:
            sent = request.headers.get(hdrs.AUTHORIZATION, "").rpartition(" ")[2]
            # Whoever sends a token is known by nothing else, and its program asks often: no cookie is looked for then.
            cookie = "" if sent else request.cookies.get(session_cookie(request), "")
            if sent.startswith(tokens.PREFIX) or cookie:
                await self._note(sent, cookie)
        return answer

    async def _note(self, secret: str, cookie: str) -> None:
        now_s = self._now_s()
        digest = sessions.digest_of(secret or cookie)
        if now_s - self._noted.get(digest, 0) < USED_STEP_S:
            return
        if len(self._noted) >= REMEMBERED_MAX:
            self._noted.clear()
        self._noted[digest] = now_s

        def work(connection: Connection) -> None:
            if secret:
                tokens.used(connection, secret, now_s)
            else:
                sessions.used(connection, cookie, now_s)

        try:
            await self._database.write(work)
        except (SQLAlchemyError, CentreFault):  # the answer stands; the next request says it again
            self._noted.pop(digest, None)


def _local_address(request: web.Request) -> str:
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return str(name[0]) if isinstance(name, tuple) else ""
