"""The port for neighbours: who may knock at all, how often, and how many at once. None of it costs a signature.

Where all places for those who knock are taken, the one that has knocked for longest goes: strangers who only hold
connections take them from each other. Those who have proved themselves are counted apart, so no stranger takes a
neighbour's place.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import NoReturn

from edge.front.doors import listen
from edge.front.perimeter import is_loopback, place
from sync.wire.pace import Pace

KNOCKING_MAX = 24
"""Connections that have not proved themselves: 32 gates that come at once take a second."""
KNOCKING_PER_PLACE = 4
"""One address alone never fills them; gates behind one address (tests, a bridge) come one after the other."""
ACCEPTS_PER_S = 100
"""Beyond that the kernel's queue waits, and then refuses for us."""
PROOFS_PER_S = 20
PROOFS_BURST = 64
"""Handshakes of those who know the group's knock; each costs half a millisecond of a PC's core, and three of a Pi."""
AGAIN_S = 5.0
STREAM_BYTES = 256 * 1024

log = logging.getLogger("edge.front.peers.listen")

Welcome = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter, tuple[str, int], Callable[[], None]],
    Coroutine[object, object, None],
]
"""Talks to who knocked until that ends; calls its last argument once it has proved who it is."""


class Listener:
    """Accepts on the port for neighbours. `near_only`: both ends must be addresses of a private network."""

    def __init__(
        self,
        address: str,
        port: int,
        welcome: Welcome,
        mono_s: Callable[[], float],
        *,
        near_only: bool = True,
    ) -> None:
        self.port = 0
        """Where it listens; 0 while it does not."""
        self.turned_away = 0
        """Connections that were closed before anything was read."""
        self._address, self._asked_port = address, port
        self._welcome = welcome
        self._near_only = near_only
        self._mono_s = mono_s
        self._accepts = Pace(ACCEPTS_PER_S, ACCEPTS_PER_S, mono_s)
        self._proofs = Pace(PROOFS_PER_S, PROOFS_BURST, mono_s)
        self._knocking: dict[asyncio.Task[None], str] = {}
        """Who has not proved itself, by its place, the first first."""
        self._proved: set[asyncio.Task[None]] = set()

    def may_prove(self) -> bool:
        """Whether one more who knocked well is answered now."""
        return self._proofs.take()

    async def run(self) -> NoReturn:
        """Listen until cancelled; an address that is taken or not there yet is waited for."""
        told = False
        while True:
            try:
                sock = listen(self._address, self._asked_port)
            except OSError as error:
                if not told:
                    log.error(  # noqa: TRY400 - a trace would tell an operator nothing more
                        "cannot listen for the other gates; see peers.listen and peers.port",
                        extra={
                            "code": "peers.cannot_listen",
                            "port": self._asked_port,
                            "errno": error.errno or 0,
                        },
                    )
                told = True
                await asyncio.sleep(AGAIN_S)
                continue
            told = False
            self.port = sock.getsockname()[1]
            try:
                await self._accept(sock)
            finally:
                self.port = 0
                sock.close()
                for task in (*self._knocking, *self._proved):
                    task.cancel()
                await asyncio.gather(*self._knocking, *self._proved, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> NoReturn:
        loop = asyncio.get_running_loop()
        while True:
            while not self._accepts.take():  # noqa: ASYNC110 - waits for time to pass, which sets no event
                await asyncio.sleep(1 / ACCEPTS_PER_S)
            try:
                sock, peer = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("cannot accept", extra={"code": "peers.accept", "errno": error.errno or 0})
                await asyncio.sleep(1.0)
                continue
            at = str(peer[0])
            if not self._may_enter(sock, at):
                self.turned_away += 1
                sock.close()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._talk(sock, (at, int(peer[1]))))
            self._knocking[task] = place(at)
            task.add_done_callback(self._gone)
            await asyncio.sleep(0)  # it holds the socket from its first step on, whoever cancels it then

    def _may_enter(self, sock: socket.socket, at: str) -> bool:
        """Whether who comes from here may knock; where all places are taken, the one that knocked first goes."""
        if self._near_only and not (is_near(at) and is_near(str(sock.getsockname()[0]))):
            return False
        here = [task for task, where in self._knocking.items() if where == place(at)]
        if len(here) >= KNOCKING_PER_PLACE and not is_loopback(at):
            here[0].cancel()
        elif len(self._knocking) >= KNOCKING_MAX:
            next(iter(self._knocking)).cancel()
        return True

    async def _talk(self, sock: socket.socket, address: tuple[str, int]) -> None:
        task = asyncio.current_task()
        assert task is not None, "this runs as a task"

        def proved() -> None:
            if self._knocking.pop(task, None) is not None:
                self._proved.add(task)

        try:
            reader, writer = await asyncio.open_connection(sock=sock, limit=STREAM_BYTES)
        except OSError:
            sock.close()
            return
        try:
            await self._welcome(reader, writer, address, proved)
        finally:
            writer.transport.abort()

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._knocking.pop(task, None)
        self._proved.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a talk with a neighbour failed", exc_info=error, extra={"code": "peers.defect"})


def is_near(address: str) -> bool:
    """Whether an address is one of a private network, of this link or of this box: no neighbour is anywhere else."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    near = mapped or found
    return near.is_private or near.is_link_local or near.is_loopback


__all__ = ["Listener", "is_near"]
