"""Handhelds on the LAN that send each code as a line over TCP: Zebra DataWedge and Bluebird in IP output, and their like.

Nothing proves who sends: a line is believed because of the address it comes from, so the addresses must be named and
nothing listens where no such reader is configured. Everything that a sender can make large is bounded. What comes faster
than people walk is dropped, never kept for later: an arm that turns for a code of ten seconds ago turns for nobody.
"""

import asyncio
import errno
import ipaddress
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, cast

from drivers.base import DeviceGone, Emit, Garbled, Medium, Misconfigured, Opened, Signal
from drivers.framing.frame import Complete, Framed
from drivers.framing.lines import LineFramer
from drivers.framing.uid import ByteOrder, UidForm, as_uid

CONNECTIONS_MAX: Final = 8
"""Handhelds of one reader. One more takes the place of the one that was silent longest: Wi-Fi leaves dead ones behind."""
READ_BYTES_MAX: Final = 4096
"""Most bytes taken from one connection in a loop turn."""
REST_WITHIN_NS: Final = 2_000_000_000
"""A line may come in pieces, and a lost piece is sent again within so long. What has no end by then is no code, and its connection
is closed."""
BURST: Final = 10
"""Codes that may come at once before the rate holds."""
SOURCES_MAX: Final = 64

CUT = "cut"
TOO_FAST = "too_fast"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class TcpReaderConfig:
    """Where to listen and to whom. `sources`: addresses or networks; all others are turned away. `port` 0: a free one.

    `rate_max`: codes a second that are passed on, over all connections. A code must end with CR, LF, ETX or NUL.
    """

    sources: Sequence[str]
    listen: str = "0.0.0.0"  # noqa: S104 - a box's address changes; who may send is said by `sources`
    port: int = 9100
    rate_max: int = 5
    aim: bool = True
    medium: Medium = Medium.BARCODE
    uid_order: ByteOrder = ByteOrder.UID0_FIRST
    uid_form: UidForm = UidForm.HEX


class TcpReader:
    """A listening port. Raises Misconfigured at once for settings that cannot be."""

    reports_removal = False

    def __init__(self, config: TcpReaderConfig, complete: Complete | None = None) -> None:
        if config.rate_max < 1:
            raise Misconfigured(f"rate_max is {config.rate_max}", "Set rate_max to 1 or more codes a second.")
        self._config = config
        self._complete = complete
        self._sources = sources_of(config.sources)
        self.address: tuple[str, int] | None = None
        """Where it listens, while it does."""

    async def run(self, emit: Emit) -> NoReturn:
        """Listen until cancelled; DeviceGone where the address is not there or taken."""
        listening = _listen(self._config)
        inbox = _Inbox(self._config, self._complete, self._sources, emit)
        server = None
        try:
            server = await asyncio.get_running_loop().create_server(
                lambda: _Handheld(inbox), sock=listening, backlog=CONNECTIONS_MAX
            )
            host, port = listening.getsockname()[:2]
            self.address = (host, port)
            emit(Opened(f"TCP input at {host}:{port}"))
            await asyncio.get_running_loop().create_future()
        finally:
            self.address = None
            if server is None:
                listening.close()
            else:
                server.close()
            inbox.close()
        raise AssertionError("a listening port ends by being cancelled")

    def feedback(self, signal: Signal) -> None:
        """Do nothing: a handheld in IP output hears nothing."""


def sources_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks that may send; Misconfigured where none is named, or where one is everybody."""
    hint = 'Name handhelds or their network in sources, such as "192.168.7.21" or "192.168.7.0/24".'
    if not 1 <= len(texts) <= SOURCES_MAX:
        raise Misconfigured(f"{len(texts)} sources are named", hint)
    networks = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise Misconfigured(f"{text!r:.60} is no address and no network", hint) from error
        if network.prefixlen == 0:
            raise Misconfigured("sources lets everybody send", hint)
        networks.append(network)
    return tuple(networks)


def _listen(config: TcpReaderConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.listen else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.listen, config.port))
    except OSError as error:
        listening.close()
        where = f"{config.listen}:{config.port}"
        if error.errno == errno.EADDRNOTAVAIL:
            raise DeviceGone(f"{where} is not there", "Plug the network in, or correct listen.") from error
        if error.errno == errno.EADDRINUSE:
            raise DeviceGone(f"{where} is in use by another program", "Set another port.") from error
        raise Misconfigured(
            f"{where}: {error.strerror}", "Set an address of this box, a port above 1023."
        ) from error
    return listening


class _Inbox:
    """What the connections of one reader share: who may send, how many and how fast."""

    def __init__(
        self, config: TcpReaderConfig, complete: Complete | None, sources: tuple[Network, ...], emit: Emit
    ) -> None:
        self.config = config
        self.complete = complete
        self._sources = sources
        self._emit = emit
        self._open: list[_Handheld] = []
        self._tokens = float(BURST)
        self._filled_ns = time.monotonic_ns()

    def welcomes(self, host: str) -> bool:
        """Whether this address may send."""
        try:
            found = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return any((mapped or found) in network for network in self._sources)

    def enter(self, handheld: "_Handheld") -> None:
        """Take a connection in; the one that was silent longest makes room for it."""
        if len(self._open) >= CONNECTIONS_MAX:
            min(self._open, key=lambda one: one.heard_ns).drop()
        self._open.append(handheld)

    def leave(self, handheld: "_Handheld") -> None:
        """Forget a connection."""
        if handheld in self._open:
            self._open.remove(handheld)

    def pass_on(self, frames: Sequence[Framed], now_ns: int) -> None:
        """Emit what the rate allows; the rest is told as one `Garbled`."""
        passed = 0
        since_ns = now_ns - self._filled_ns
        self._tokens = min(float(BURST), self._tokens + since_ns * self.config.rate_max / 1e9)
        self._filled_ns = now_ns
        for frame in frames:
            if self._tokens < 1:
                break
            self._tokens -= 1
            passed += 1
            config = self.config
            self._emit(
                as_uid(frame, config.uid_order, config.uid_form) if config.medium is Medium.UID else frame
            )
        if passed < len(frames):
            self._emit(Garbled(TOO_FAST, len(frames) - passed, now_ns))

    def tell(self, garbled: Garbled) -> None:
        """Say that something is no code."""
        self._emit(garbled)

    def close(self) -> None:
        """Drop everybody."""
        for one in tuple(self._open):
            one.drop()


class _Handheld(asyncio.BufferedProtocol):
    """One connection: its framer, and the time it was last heard."""

    def __init__(self, inbox: _Inbox) -> None:
        self.heard_ns = time.monotonic_ns()
        self._inbox = inbox
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(READ_BYTES_MAX)
        self._framer = self._fresh()
        self._timer: asyncio.TimerHandle | None = None

    def _fresh(self) -> LineFramer:
        return LineFramer(gap_ns=REST_WITHIN_NS, aim=self._inbox.config.aim, complete=self._inbox.complete)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it in, or turn it away before a byte of it is read."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if not peer or not self._inbox.welcomes(peer[0]):
            self.drop()
            return
        connection = transport.get_extra_info("socket")
        # A handheld that walked out of the Wi-Fi says nothing; the kernel finds out.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        self._inbox.enter(self)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - bounded whatever is asked for
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes."""
        if self._transport is None:
            return
        self.heard_ns = now_ns = time.monotonic_ns()
        frames = self._framer.feed(bytes(self._buffer[:nbytes]), now_ns)
        if frames:
            self._inbox.pass_on(frames, now_ns)
        if self._framer.deadline_ns is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REST_WITHIN_NS / 1e9, self._look)

    def _look(self) -> None:
        """Give up a line whose rest does not come."""
        self._timer = None
        deadline_ns = self._framer.deadline_ns
        if deadline_ns is None:
            return
        late_ns = time.monotonic_ns() - deadline_ns
        if late_ns >= 0:
            # Its rest may still come, and would be a line of its own; over another connection it cannot.
            self._cut()
            self.drop()
        else:
            self._timer = asyncio.get_running_loop().call_later(-late_ns / 1e9, self._look)

    def _cut(self) -> None:
        if self._framer.deadline_ns is not None:
            self._inbox.tell(Garbled(CUT, self._framer.size, time.monotonic_ns()))
            self._framer = self._fresh()

    def eof_received(self) -> None:
        """Close. What has no end was cut off: a network cuts where it likes, so half a code looks like a short one."""
        self._cut()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended
        """It is gone, with what was not whole."""
        if self._transport is not None:
            self._cut()
        self._forget()

    def drop(self) -> None:
        """Close at once, without a word."""
        transport = self._transport
        self._forget()
        if transport is not None:
            transport.abort()

    def _forget(self) -> None:
        self._transport = None
        self._inbox.leave(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
