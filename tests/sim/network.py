"""The network: what is sent arrives late, twice, in another order, or never; links are cut in the middle of it.

A link joins two machines, named in either order. A message under way is nobody's: it arrives although its sender has
lost its power, and is dropped where its link is down or its receiver off. Calls are answered or time out; streams give
messages in order until something of them is lost, and then nothing more. The bytes are those of `sync.wire`.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

from edge.front.centre import CentreRefused, CutOff
from tests.sim.loop import NOBODY, Machine, VirtualLoop

CONNECT_S = 10.0
"""A call over a link that is down is given up after so long at most (`edge.front.centre.CONNECT_S`)."""
SILENCE_S = 30.0
"""One whose answer does not come (`edge.front.centre.SILENCE_S`)."""

Reply = Callable[[bytes | CentreRefused | CutOff], None]


class Server(Protocol):
    """Who is called."""

    name: str
    machine: Machine

    def serve(self, who: str, what: str, body: bytes, reply: Reply) -> None:
        """Take a call; `reply` once, later."""
        ...


class StreamServer(Server, Protocol):
    """Who gives streams."""

    def opened(self, who: str, stream: "Stream") -> None:
        """Somebody listens from now on."""
        ...


@dataclass(slots=True)
class Link:
    """One way between two machines, there and back. `kind` tells an uplink from a neighbour's."""

    kind: str = "uplink"
    up: bool = True
    base_s: float = 0.02
    slow: float = 0.03
    """Share of messages that take seconds."""
    lost: float = 0.0
    twice: float = 0.02
    resets: bool = True
    """Whether a cut is heard at once by who waits."""


class Stream:
    """What a server tells one listener. `put` on the server's side, `parts` on the listener's."""

    def __init__(self, network: "Network", who: str, server: str) -> None:
        self._network, self._who, self._server = network, who, server
        self._parts: deque[tuple[str, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._last_s = 0.0
        self.is_open = True
        """Until something was lost, or either side ended it."""
        self._ended = False

    def put(self, name: str, data: bytes) -> None:
        """Send a message; a link that is down breaks the stream, silently."""
        network = self._network
        if not self.is_open:
            return
        if not network.link(self._who, self._server).up:
            self.is_open = False
            return
        self._last_s = max(self._last_s, network.loop.time() + network.delay_s(self._who, self._server))
        network.loop.call_at(self._last_s, self._arrive, name, data, context=NOBODY)

    def _arrive(self, name: str, data: bytes) -> None:
        if self.is_open and self._network.link(self._who, self._server).up:
            self._parts.append((name, data))
            self._arrived.set()
        else:
            self.is_open = False

    def reset(self) -> None:
        """The other side is gone, and that is heard."""
        self.is_open = False
        self._ended = True
        self._arrived.set()

    async def parts(self, silence_s: float) -> AsyncGenerator[tuple[str, bytes], None]:
        """Yield what arrives. CutOff where nothing does for `silence_s`."""
        try:
            while True:
                try:
                    async with asyncio.timeout(silence_s):
                        await self._arrived.wait()
                except TimeoutError:
                    raise CutOff("silence") from None
                while self._parts:
                    yield self._parts.popleft()
                if self._ended:
                    return
                self._arrived.clear()
        finally:
            self.is_open = False


class Network:
    """All links of a world."""

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self.loop = loop
        self._chance = chance
        self._links: dict[tuple[str, str], Link] = {}
        self._waiting: dict[tuple[str, str], list[asyncio.Future[bytes]]] = {}
        self._streams: dict[tuple[str, str], list[Stream]] = {}
        self.calls = 0

    def join(self, one: str, other: str, link: Link) -> None:
        """Lay a link."""
        self._links[_pair(one, other)] = link

    def link(self, one: str, other: str) -> Link:
        """Return a link."""
        return self._links[_pair(one, other)]

    def delay_s(self, one: str, other: str) -> float:
        """Return how long the next message takes."""
        link = self.link(one, other)
        late = self._chance.uniform(0.5, 4.0) if self._chance.random() < link.slow else 0.0
        return link.base_s * self._chance.uniform(0.5, 2.0) + late

    # --- cuts ---------------------------------------------------------------------------------------------------

    def cut(self, one: str, other: str, *, heard: bool) -> None:
        """Cut a link. `heard`: who waits learns of it at once; else by waiting."""
        self.link(one, other).up = False
        if heard:
            self.reset(one, other)

    def heal(self, one: str, other: str) -> None:
        """Mend a link."""
        self.link(one, other).up = True

    def reset(self, one: str, other: str) -> None:
        """End what is under way between two, so that who waits hears it."""
        at = _pair(one, other)
        for answer in self._waiting.pop(at, ()):
            if not answer.done():
                answer.set_exception(CutOff("connection reset"))
        for stream in self._streams.pop(at, ()):
            stream.reset()

    # --- calls --------------------------------------------------------------------------------------------------

    async def call(
        self, who: str, server: Server, what: str, body: bytes, limit_s: float = SILENCE_S
    ) -> bytes:
        """Ask a server; runs in the caller's machine. CutOff, or whatever refusal the server gives."""
        self.calls += 1
        link, chance = self.link(who, server.name), self._chance
        if not link.up:
            await asyncio.sleep(CONNECT_S * chance.random() if chance.random() < 0.5 else 0.05)
            raise CutOff("no way there")
        at = _pair(who, server.name)
        answer: asyncio.Future[bytes] = self.loop.create_future()
        waiting = self._waiting.setdefault(at, [])
        waiting.append(answer)
        copies = 2 if chance.random() < link.twice else 1
        for number in range(copies):
            reply = self._reply_to(who, server.name, answer) if number == copies - 1 else _drop
            late_s = 0.0 if number == copies - 1 else chance.uniform(0.0, 8.0)
            self._deliver(who, server, what, body, reply, self.delay_s(who, server.name) + late_s)
        try:
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError:
            raise CutOff("no answer") from None
        finally:
            if answer in waiting:
                waiting.remove(answer)

    def _deliver(self, who: str, server: Server, what: str, body: bytes, reply: Reply, in_s: float) -> None:
        def arrive() -> None:
            link = self.link(who, server.name)
            if not link.up or self._chance.random() < link.lost:
                return
            if not server.machine.alive:
                reply(CutOff("connection refused"))
                return
            server.machine.context.copy().run(server.serve, who, what, body, reply)

        self.loop.call_later(in_s, arrive, context=NOBODY)

    def _reply_to(self, who: str, server: str, answer: "asyncio.Future[bytes]") -> Reply:
        def arrive(said: bytes | CentreRefused | CutOff) -> None:
            if answer.done() or not self.link(who, server).up:
                return
            if isinstance(said, bytes):
                answer.set_result(said)
            else:
                answer.set_exception(said)

        def reply(said: bytes | CentreRefused | CutOff) -> None:
            link = self.link(who, server)
            if link.up and self._chance.random() >= link.lost:
                self.loop.call_later(self.delay_s(who, server), arrive, said, context=NOBODY)

        return reply

    async def open(self, who: str, server: StreamServer, limit_s: float) -> Stream:
        """Begin to listen to a server; CutOff where it is not there."""
        await self.call(who, server, "events", b"", limit_s)
        stream = Stream(self, who, server.name)
        if not server.machine.alive:
            raise CutOff("connection refused")
        self._streams.setdefault(_pair(who, server.name), []).append(stream)
        server.machine.context.copy().run(server.opened, who, stream)
        return stream


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _drop(_said: bytes | CentreRefused | CutOff) -> None:
    pass
