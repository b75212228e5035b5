"""The page's listening sockets: few connections, paced, none that sits idle. aiohttp itself limits none of this.

Whoever comes last gets in: where all places are taken, the connection that has sat or streamed for longest without a
session is dropped. So strangers who hold connections only take them from each other, and none from a technician.
"""

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web

from edge.front.connection import Connection
from edge.front.perimeter import is_loopback, place
from sync.wire.pace import Pace

CONNECTIONS_MAX = 32
"""Each costs some 100 kB with TLS; a box has a few technicians."""
PER_ADDRESS_MAX = 10
"""A browser opens six; one address alone (`perimeter.place`) never fills the house. Loopback is the box itself: no limit."""
CONNECTIONS_PER_S = 40
"""A handshake costs a millisecond of a PC's core, five on a Pi."""
HANDSHAKE_S = 5.0
IDLE_S = 15.0
"""No whole request for so long: closed. The live stream counts as a request under way."""
SWEEP_S = 1.0
BACKLOG = 64
RECEIVED_BYTES_MAX = 8 * 1024
"""What the kernel holds of a connection that was not read yet (it takes twice as much): a request is smaller, and of many that
were sent ahead, which all are read before the first is answered, each costs a stranger nothing and us a hundredth of a
millisecond."""

log = logging.getLogger("edge.front.doors")


@dataclass(frozen=True, slots=True)
class _Held:
    """One place that is taken: whose, since when it has done nothing new (or streams), and how it is given up."""

    place: str
    since_s: float
    may_go: bool
    drop: Callable[[], object]


class Doors:
    """Accepts connections for an aiohttp server within limits. Call `run` for each socket, `sweep` once."""

    def __init__(self, server: web.Server, tls: ssl.SSLContext | None, mono_s: Callable[[], float]) -> None:
        self._server = server
        self._tls = tls
        self._mono_s = mono_s
        self._paces = Pace(CONNECTIONS_PER_S, CONNECTIONS_PER_S, mono_s)
        self._knocking: dict[asyncio.Task[None], tuple[str, float]] = {}
        self._since_s: dict[asyncio.BaseProtocol, float] = {}
        self._under_way: Counter[asyncio.BaseProtocol] = Counter()
        self._with_session: set[asyncio.BaseProtocol] = set()

    @contextlib.contextmanager
    def serving(self, request: web.BaseRequest) -> Iterator[None]:
        """Count a request as under way: its connection is not idle."""
        protocol = request.protocol
        self._under_way[protocol] += 1
        self._since_s[protocol] = self._mono_s()
        try:
            yield
        finally:
            self._under_way[protocol] -= 1
            if not self._under_way[protocol]:
                del self._under_way[protocol]
            self._since_s[protocol] = self._mono_s()

    def vouch(self, request: web.BaseRequest, *, has_session: bool) -> None:
        """Say whether a request came with a session, or from the box's own display: such a connection keeps its place."""
        if has_session:
            self._with_session.add(request.protocol)
        else:
            self._with_session.discard(request.protocol)

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
            if not self._make_room(address):
                sock.close()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._welcome(sock))
            self._knocking[task] = place(address), self._mono_s()
            task.add_done_callback(functools.partial(self._knocking.pop))

    def _held(self) -> list[_Held]:
        """Return every place that is taken."""
        held = [
            _Held(at, since_s, may_go=True, drop=task.cancel)
            for task, (at, since_s) in self._knocking.items()
        ]
        for protocol in self._server.connections:
            transport = protocol.transport
            if transport is None or transport.is_closing():
                continue
            peer = transport.get_extra_info("peername")
            at = place(str(peer[0])) if isinstance(peer, tuple) else ""
            since_s = self._since_s.get(protocol, self._mono_s())
            held.append(_Held(at, since_s, protocol not in self._with_session, transport.abort))
        return held

    def _make_room(self, address: str) -> bool:
        """Whether one more may come in; where its house or its own share is full, somebody without a session goes."""
        at, held = place(address), self._held()
        own = [one for one in held if one.place == at]
        if len(own) >= PER_ADDRESS_MAX and not is_loopback(address):
            leaving = [one for one in own if one.may_go]
        elif len(held) >= CONNECTIONS_MAX:
            leaving = [one for one in held if one.may_go]
        else:
            return True
        if not leaving:
            return False
        min(leaving, key=lambda one: one.since_s).drop()
        return True

    async def _welcome(self, sock: socket.socket) -> None:
        """Shake hands; the server's own list holds the connection from then on."""
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self._server),
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
            )
            self._since_s.setdefault(protocol, self._mono_s())
        except OSError:
            sock.close()  # no TLS spoken, or gone again: strangers' business, not worth a line in the journal
        except asyncio.CancelledError:
            sock.close()  # it took too long, and somebody else wants the place
            raise

    async def sweep(self) -> None:
        """Close idle connections until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep_once()

    def sweep_once(self) -> None:
        """Close each connection on which no request was under way for `IDLE_S`."""
        now_s = self._mono_s()
        alive = set(self._server.connections)
        for protocol in [one for one in self._since_s if one not in alive]:
            del self._since_s[protocol]
        self._with_session.intersection_update(alive)
        for protocol in self._server.connections:
            quiet_s = now_s - self._since_s.setdefault(protocol, now_s)
            transport = protocol.transport
            if transport is not None and not self._under_way[protocol] and quiet_s >= IDLE_S:
                transport.abort()

    async def close(self) -> None:
        """Let go of handshakes under way."""
        knocking = tuple(self._knocking)
        for task in knocking:
            task.cancel()
        await asyncio.gather(*knocking, return_exceptions=True)


def listen(address: str, port: int) -> socket.socket:
    """Return a listening socket. OSError where the address is not ours or the port is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Set before it listens: connections have it from the listening socket.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES_MAX)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
