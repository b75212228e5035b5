"""The page's listening sockets: few connections, paced, none that sits idle. aiohttp itself limits none of this."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator

from aiohttp import web

from edge.front.perimeter import Bucket

CONNECTIONS_MAX = 32
"""Each costs some 100 kB with TLS; a box has a few technicians."""
PER_ADDRESS_MAX = 10
"""A browser opens six; one address alone never fills the house. Loopback is not limited: it is the box itself."""
CONNECTIONS_PER_S = 40
"""A handshake costs a millisecond of a PC's core, five on a Pi."""
HANDSHAKE_S = 5.0
IDLE_S = 15.0
"""No whole request for so long: closed. The live stream counts as a request under way."""
SWEEP_S = 1.0
BACKLOG = 64

log = logging.getLogger("edge.front.doors")


class Doors:
    """Accepts connections for an aiohttp server within limits. Call `run` for each socket, `sweep` once."""

    def __init__(self, server: web.Server, tls: ssl.SSLContext | None, mono_s: Callable[[], float]) -> None:
        self._server = server
        self._tls = tls
        self._mono_s = mono_s
        self._paces = Bucket(CONNECTIONS_PER_S, CONNECTIONS_PER_S, mono_s)
        self._knocking: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet_since: dict[asyncio.BaseProtocol, float] = {}
        self._under_way: Counter[asyncio.BaseProtocol] = Counter()

    @contextlib.contextmanager
    def serving(self, request: web.BaseRequest) -> Iterator[None]:
        """Count a request as under way: its connection is not idle."""
        protocol = request.protocol
        self._under_way[protocol] += 1
        try:
            yield
        finally:
            self._under_way[protocol] -= 1
            if not self._under_way[protocol]:
                del self._under_way[protocol]
            self._quiet_since[protocol] = self._mono_s()

    async def run(self, listening: socket.socket) -> None:
        """Accept until cancelled. Over the pace the kernel's queue waits, and then refuses for us."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._paces.take():  # noqa: ASYNC110 - waits for time to pass, which sets no event
                await asyncio.sleep(1 / CONNECTIONS_PER_S)
            try:
                sock, peer = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("cannot accept", extra={"code": "page.accept", "errno": error.errno or 0})
                await asyncio.sleep(SWEEP_S)
                continue
            address = str(peer[0])
            if self._is_full(address):
                sock.close()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._knocking[address] += 1
            task = loop.create_task(self._welcome(sock, address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_full(self, address: str) -> bool:
        held = Counter(self._knocking)
        for protocol in self._server.connections:
            transport = protocol.transport
            peer = None if transport is None else transport.get_extra_info("peername")
            held[str(peer[0]) if isinstance(peer, tuple) else ""] += 1
        if held.total() >= CONNECTIONS_MAX:
            return True
        return held[address] >= PER_ADDRESS_MAX and not ipaddress.ip_address(address).is_loopback

    async def _welcome(self, sock: socket.socket, address: str) -> None:
        """Shake hands; the server's own list holds the connection from then on."""
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                self._server,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
            )
            self._quiet_since[protocol] = self._mono_s()
        except OSError:
            sock.close()  # no TLS spoken, or gone again: strangers' business, not worth a line in the journal
        finally:
            self._knocking[address] -= 1
            if not self._knocking[address]:
                del self._knocking[address]

    async def sweep(self) -> None:
        """Close idle connections until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep_once()

    def sweep_once(self) -> None:
        """Close each connection on which no request was under way for `IDLE_S`."""
        now_s = self._mono_s()
        alive = set(self._server.connections)
        for protocol in [one for one in self._quiet_since if one not in alive]:
            del self._quiet_since[protocol]
        for protocol in self._server.connections:
            quiet_s = now_s - self._quiet_since.setdefault(protocol, now_s)
            transport = protocol.transport
            if transport is not None and not self._under_way[protocol] and quiet_s >= IDLE_S:
                transport.abort()

    async def close(self) -> None:
        """Let go of handshakes under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def listen(address: str, port: int) -> socket.socket:
    """Return a listening socket. OSError where the address is not ours or the port is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
