"""Who sends, and over what: by the connection's address, or by the word of a proxy that stands before the centre.

Anybody may write the headers that proxies write, so they are read from machines that are known to be proxies alone: this
one, and those that `serve --proxy` names.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from aiohttp import web

ADDRESSES_MAX = 8192
"""Houses that are kept by their address: more than there are connections."""
READ_MAX = 4096
"""Addresses that are kept as they were read: a request asks for three, and a keep-alive connection for the same ones each time."""


@lru_cache(READ_MAX)
def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address, IPv4 also as a socket for IPv6 tells it; None for what is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


@lru_cache(ADDRESSES_MAX)
def house_of(address: str) -> str:
    """Return what is counted as one sender: an IPv4 address or an IPv6 /64; "" for loopback, which is the machine."""
    found = address_of(address)
    if found is None or found.is_loopback:
        return ""
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


class Proxies:
    """The machines that stand before the centre, this one among them."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        """`named`: addresses or networks, as 10.0.0.10 or 10.0.0.0/28. ValueError for what is neither."""
        self._networks = tuple(ipaddress.ip_network(one, strict=False) for one in named)
        self._houses: dict[str, str] = {}

    def house_of(self, address: str) -> str:
        """Return the house of who is connected; "" for a proxy, which speaks for many."""
        if not self._networks:
            return house_of(address)
        if address not in self._houses:
            if len(self._houses) >= ADDRESSES_MAX:
                self._houses.clear()
            found = address_of(address)
            named = found is not None and any(found in one for one in self._networks)
            self._houses[address] = "" if named else house_of(address)
        return self._houses[address]

    def sender(self, request: web.BaseRequest) -> str:
        """Return the house of who sent a request; "" for this machine itself.

        A proxy names the sender last in X-Forwarded-For; what stands before that, anybody may have written.
        """
        house = self.house_of(request.remote or "")
        return house or self.house_of(request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip())

    def scheme(self, request: web.BaseRequest) -> str:
        """Return what the browser speaks; a proxy says so by X-Forwarded-Proto."""
        known = bool(request.remote) and not self.house_of(request.remote or "")
        if known and request.headers.get("X-Forwarded-Proto") == "https":
            return "https"
        return request.scheme


PROXIES = web.AppKey("proxies", Proxies)
_THIS_MACHINE = Proxies()


def proxies_of(request: web.Request) -> Proxies:
    """Return the proxies of the application that is asked; this machine alone where none are named."""
    return request.app.get(PROXIES, _THIS_MACHINE)
