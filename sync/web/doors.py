"""The centre's listening sockets: connections are bounded, paced, and closed when idle. aiohttp limits none of this.

Gates come first: when the house is full, whoever has been quiet longest goes, and a gate that was dropped comes again.
"""

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from sync.web.problems import Handler, problem
from sync.web.senders import Proxies
from sync.web.uploads import STREAMED
from sync.wire.pace import Pace

CONNECTIONS_MAX = 6144
"""2,000 gates that each hold a stream, a question for news, and one more now and then; some 100 kB each with TLS."""
FILES_KEPT = 256
"""Descriptors left for the database and for what this process opens itself."""
PER_HOUSE_MAX = 512
"""One address (IPv6: one /64) alone never fills the house; a venue's gates may share one. Loopback and proxies are not limited."""
CONNECTIONS_PER_S = 300
"""A TLS handshake costs a millisecond of a core; 2,000 gates that come back are in within 20 s."""
HANDSHAKES_MAX = 256
HANDSHAKE_S = 5.0
IDLE_S = 15.0
"""No whole request head for so long: closed. A request that is being answered is not idle."""
BODY_S = 60.0
"""4 MiB, the largest push, come in over 0.6 Mbit/s."""
BODIES_MAX = 64
"""Bodies coming in at a time: 4 MiB each, held before it is known who sends them."""
BODIES_PER_HOUSE_MAX = 16
RETRY_AFTER_S = 2
SWEEP_S = 1.0
BACKLOG = 2048
"""Connections that wait for the pace in the kernel, 7 s of it: a gate gives up after 10. One that finds no room there is
not refused but forgotten, and asks again after 1, 3, 7 s, which a storm makes longer than the wait. Linux caps it at
`net.core.somaxconn`, 4,096 by default."""

log = logging.getLogger("sync.web.doors")


class Doors:
    """Accepts connections for an aiohttp server within limits: `open`, then `close`. Put `middleware` in its app."""

    def __init__(
        self, mono_s: Callable[[], float], proxies: Proxies | None = None, *, connections_max: int = 0
    ) -> None:
        """`proxies`: who may hold any number of connections, as this machine may."""
        self._mono_s = mono_s
        self._proxies = proxies or Proxies()
        self._connections_max = connections_max or house_size()
        self._pace = Pace(CONNECTIONS_PER_S, CONNECTIONS_PER_S, mono_s)
        self._knocking: dict[asyncio.Task[None], str] = {}
        self._quiet_since: dict[asyncio.BaseProtocol, float] = {}
        self._under_way: Counter[asyncio.BaseProtocol] = Counter()
        self._bodies: Counter[str] = Counter()
        self._houses: dict[asyncio.BaseProtocol, str] = {}
        """Of each connection let in; those gone since are found when it matters, and once a second."""
        self._held: Counter[str] = Counter()
        """Connections by house, handshakes among them."""
        self._runs: list[asyncio.Task[None]] = []
        self._sockets: list[socket.socket] = []

    def open(self, server: web.Server, sockets: list[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Accept on these sockets until `close`, which also closes them."""
        self._server, self._tls, self._sockets = server, tls, sockets
        self._runs = [asyncio.create_task(self._accept(one)) for one in sockets]
        self._runs.append(asyncio.create_task(self._sweep()))

    async def close(self) -> None:
        """Accept no more, and let go of handshakes under way."""
        ending = [*self._runs, *self._knocking]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for one in self._sockets:
            one.close()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request as under way, and read its body within `BODY_S`."""
        protocol = request.protocol
        self._under_way[protocol] += 1
        try:
            streamed = getattr(request.match_info.handler, STREAMED, None) == request.content_type
            if request.can_read_body and request.match_info.http_exception is None and not streamed:
                trouble = await self._read_body(request)
                if trouble is not None:
                    return trouble
            return await handler(request)
        finally:
            self._under_way[protocol] -= 1
            if not self._under_way[protocol]:
                del self._under_way[protocol]
            self._quiet_since[protocol] = self._mono_s()

    async def _read_body(self, request: web.Request) -> web.Response | None:
        if request.content.is_eof():  # it came with its head, as short ones do
            await request.read()
            return None
        house = self._proxies.sender(request)
        if self._bodies.total() >= BODIES_MAX or self._bodies[house] >= BODIES_PER_HOUSE_MAX:
            answer = problem(503, "busy", "Too much comes in at a time. Try again in a moment.")
            answer.headers["Retry-After"] = str(RETRY_AFTER_S)
            answer.force_close()
            return answer
        self._bodies[house] += 1
        try:
            async with asyncio.timeout(BODY_S):
                await request.read()
        except TimeoutError:
            answer = problem(408, "slow", f"The request took more than {BODY_S:.0f} s to come in.")
            answer.force_close()
            return answer
        finally:
            self._bodies[house] -= 1
            if not self._bodies[house]:
                del self._bodies[house]
        return None

    async def _accept(self, listening: socket.socket) -> None:
        """Accept until cancelled. Over the pace the kernel's queue waits, and then refuses for us."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._pace.take():  # noqa: ASYNC110 - waits for time to pass, which sets no event
                await asyncio.sleep(1 / CONNECTIONS_PER_S)
            try:
                sock, peer = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("cannot accept connections: %s", error.strerror)
                await asyncio.sleep(SWEEP_S)
                continue
            house = self._proxies.house_of(str(peer[0]))
            if not self._makes_room(house):
                sock.close()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._welcome(sock, house))
            self._knocking[task] = house
            self._held[house] += 1
            task.add_done_callback(self._welcomed)

    def _makes_room(self, house: str) -> bool:
        """Whether one more may come in from there; where the house is full, the one quiet longest goes for it."""
        most = min(PER_HOUSE_MAX, self._connections_max // 2)
        if (house and self._held[house] >= most) or self._total >= self._connections_max:
            self._forget_gone()
        if house and self._held[house] >= most:
            return False
        if len(self._knocking) >= min(HANDSHAKES_MAX, self._connections_max // 2):
            next(iter(self._knocking)).cancel()
        if self._total < self._connections_max:
            return True
        idle = [one for one in self._server.connections if not self._under_way[one] and one.transport]
        if not idle:
            return False
        longest = min(idle, key=lambda one: self._quiet_since.get(one, 0.0))
        longest.force_close()
        if longest.transport is not None:
            longest.transport.abort()
        return True

    @property
    def _total(self) -> int:
        return len(self._knocking) + len(self._houses)

    def _welcomed(self, task: asyncio.Task[None]) -> None:
        """Count a handshake no more; the connection it led to is counted by then."""
        self._leave(self._knocking.pop(task))

    def _leave(self, house: str) -> None:
        self._held[house] -= 1
        if not self._held[house]:
            del self._held[house]

    def _forget_gone(self) -> None:
        alive = set(self._server.connections)
        for protocol in [one for one in self._houses if one not in alive]:
            self._leave(self._houses.pop(protocol))

    async def _welcome(self, sock: socket.socket, house: str) -> None:
        """Shake hands; the server's own list holds the connection from then on."""
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                self._server,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
            )
            self._quiet_since[protocol] = self._mono_s()
            self._houses[protocol] = house
            self._held[house] += 1
        except OSError:
            sock.close()  # no TLS spoken, or gone again: strangers' business, not worth a line in the journal
        except asyncio.CancelledError:
            sock.close()
            raise

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep_once()

    def sweep_once(self) -> None:
        """Close each connection on which no request was under way for `IDLE_S`."""
        now_s = self._mono_s()
        self._forget_gone()
        alive = set(self._server.connections)
        for protocol in [one for one in self._quiet_since if one not in alive]:
            del self._quiet_since[protocol]
        for protocol in self._server.connections:
            quiet_s = now_s - self._quiet_since.setdefault(protocol, now_s)
            transport = protocol.transport
            if transport is not None and not self._under_way[protocol] and quiet_s >= IDLE_S:
                transport.abort()


def house_size() -> int:
    """Return how many connections this process can hold: `CONNECTIONS_MAX`, or what its descriptors allow."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(16, min(CONNECTIONS_MAX, soft - FILES_KEPT))


async def listening(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of `host`. OSError where one is not ours or the port is taken."""
    infos = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    with contextlib.ExitStack() as opened:
        sockets = []
        for family, kind, protocol, _, address in dict.fromkeys(infos):
            sock = opened.enter_context(socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
            sock.setblocking(False)
            sockets.append(sock)
        opened.pop_all()
        return sockets
