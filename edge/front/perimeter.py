"""Who may speak to the page, and how much: names, origins, headers, rate.

A page on somebody else's site can make a technician's browser call this box (CSRF), or point a name of its own at the
box's address (DNS rebinding). So a request must name this box in `Host`, and one that changes something must come
from this very page.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import hdrs, web

from sync.wire.pace import Pace

REQUESTS_PER_S = 200
"""A page needs one or two; what is beyond is shed, so that a flood leaves the processor to the lane."""
BURST = 200
BODY_BYTES_MAX = 4096
"""The largest command is some 200 bytes."""
RETRY_AFTER_S = 2
IPV6_PLACE_BITS = 64
"""RFC 4291 2.5.4: the host part is 64 bits long, and its owner's to choose."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Server": "Gatehouse",
}
"""No Strict-Transport-Security: with it a browser offers no way past a self-signed certificate."""

_SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Hosts:
    """The names this box answers to. An address counts only if the request came in on it."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = _LOOPBACK_NAMES | {name.lower().rstrip(".") for name in names}

    def allowed(self, host: str, local_address: str) -> bool:
        """Whether a `Host` header names this box, on a connection to `local_address`."""
        name = host_name(host)
        address = _address(name)
        if address is None:
            return name in self._names
        return address.is_loopback or address == _address(local_address)


def host_name(host: str) -> str:
    """Return the name in a `Host` header: no port, lower case, no brackets, no dot at the end."""
    if host.startswith("["):
        name, end, port = host[1:].partition("]")
        port = port.removeprefix(":") if end else "?"
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return ""
    return name.lower().rstrip(".")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def is_loopback(address: str) -> bool:
    """Whether an address is this box's own; also one of IPv4 as a socket for IPv6 tells it."""
    found = _address(address)
    return found is not None and found.is_loopback


def place(address: str) -> str:
    """Return what is counted as one sender: an IPv4 address, or the /64 that one IPv6 host chooses its addresses from."""
    found = _address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((found, IPV6_PLACE_BITS), strict=False))
    return address if found is None else str(found)


def local_address(request: web.BaseRequest) -> str:
    """Return the address of ours that a request came in on."""
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return str(name[0]) if isinstance(name, tuple) else ""


def is_trustworthy(request: web.BaseRequest) -> bool:
    """Whether a secret may travel here: TLS, or a browser on the box itself.

    A proxy on the box is no browser: it forwards a name that is not loopback's.
    """
    return request.secure or is_on_box(request)


def is_on_box(request: web.BaseRequest) -> bool:
    """Whether a browser on the box itself asks, or somebody through a tunnel that ends there."""
    name = host_name(request.host)
    return is_loopback(request.remote or "") and (name in _LOOPBACK_NAMES or is_loopback(name))


def is_from_this_page(request: web.BaseRequest) -> bool:
    """Whether a state change was made by our own page.

    Every browser sends `Origin` with a POST; those since 2023 `Sec-Fetch-Site` too, which no script can set.
    """
    return _is_own_origin(request) and request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"


def _is_own_origin(request: web.BaseRequest) -> bool:
    scheme = "https" if request.secure else "http"
    return request.headers.get(hdrs.ORIGIN, "") == f"{scheme}://{request.host}"


def is_read_here(request: web.BaseRequest) -> bool:
    """Whether a read may be answered: not when another site's script or image asks; following a link is fine.

    A browser of before 2023 sends no `Sec-Fetch-Site`, but `Origin` where a script of another site asks.
    """
    if hdrs.ORIGIN in request.headers and not _is_own_origin(request):
        return False
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site in {"none", "same-origin"} or request.headers.get("Sec-Fetch-Mode") == "navigate"


def refusal(status: int, words: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return a short plain answer."""
    return web.Response(status=status, text=words + "\n", headers=headers)


def perimeter(hosts: Hosts, pace: Pace) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """Return the middleware that stands before every route; the cheapest question comes first."""

    @web.middleware
    async def stand(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not pace.take():
            answer = refusal(503, "Too many requests.", {hdrs.RETRY_AFTER: str(RETRY_AFTER_S)})
            answer.force_close()  # what comes next must knock anew, and knocking is paced
            return answer
        if not hosts.allowed(request.host, local_address(request)):
            return refusal(
                421, "This box does not go by that name. Add it to page.names, or use the box's address."
            )
        if request.method in _SAFE:
            if not is_read_here(request):
                return refusal(403, "Only this box's own page may read this.")
        elif not is_from_this_page(request):
            return refusal(403, "Only this box's own page may change something.")
        return await handler(request)

    return stand


async def harden(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on every answer (an `on_response_prepare` signal)."""
    response.headers.update(HEADERS)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
