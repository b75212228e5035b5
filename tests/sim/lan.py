"""The venue's own network: gates that hear each other directly, by the very `Conversations`, whatever the centre does.

A line stands for a connection. What a real one proves by keys and hides from listeners (`sync.wire.channel`) is taken for
proved here; messages are packed and unpacked as they are there. Who finds whom, and how often it is tried, is the world's.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

from admission.ids import GateId
from edge.front.peers.conversations import Conversations
from edge.front.peers.shared import Shared, Told
from edge.front.peers.table import Table
from edge.front.peers.trust import Trust
from edge.store.faults import StoreFault
from sync.wire.peers import Message, pack, unpack
from tests.sim.loop import NOBODY, Machine, VirtualLoop
from tests.sim.network import Link, Network

AGAIN_S = 1.0
"""Whoever is not there is tried again so soon."""
LIVE_S = 1.0
"""Seldomer than a real gate, which looks twice a second."""
SILENCE_S = 20.0
"""A line that says nothing for so long is dead (`edge.front.peers.connection.SILENCE_S`)."""
BASE_S = 0.002
"""What a message takes from box to box."""


class Line:
    """One end of a line (`edge.front.peers.connection.Connection`)."""

    address = ("lan", 0)

    def __init__(self, lan: "Lan", own: str, other: str, peer: GateId, *, dialled: bool) -> None:
        self.peer, self.dialled = peer, dialled
        self.far: Line | None = None
        self._lan, self._own, self._other = lan, own, other
        self._parts: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._last_s = 0.0
        self.is_open = True
        self.is_dead = False
        """A cut took it, of which nobody heard: nothing comes through any more."""

    def say(self, message: Message) -> None:
        """Send a message; a cut loses it, and with it all that follows."""
        far, network = self.far, self._lan.network
        if not self.is_open or far is None:
            return
        if self.is_dead or not network.link(self._own, self._other).up:
            self.is_dead = far.is_dead = True
            return
        self._last_s = max(self._last_s, network.loop.time() + network.delay_s(self._own, self._other))
        network.loop.call_at(self._last_s, far._arrive, pack(message), context=NOBODY)

    async def sent(self) -> None:
        """Nothing here waits to be read."""

    def _arrive(self, data: bytes) -> None:
        if self.is_dead or not self._lan.network.link(self._own, self._other).up:
            self.is_dead = True
            return
        self._parts.append(data)
        self._arrived.set()

    def close(self) -> None:
        """End it; the other end hears of it where it can."""
        if self.is_open:
            self.is_open = False
            self._arrived.set()
            if self.far is not None and not self.is_dead:
                self._lan.network.loop.call_soon(self.far.close, context=NOBODY)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what the neighbour says, until it is silent or gone (OSError)."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._arrived.wait()
            except TimeoutError:
                raise ConnectionError("the neighbour is silent") from None
            self._arrived.clear()
            while self._parts:
                yield unpack(self._parts.popleft())
            if not self.is_open:
                raise ConnectionError("the neighbour is gone")


class Lan:
    """Who is there, and between whom there are lines."""

    def __init__(self, loop: VirtualLoop, network: Network) -> None:
        self.network = network
        self.here: dict[str, Neighbour] = {}
        """By card, whose front runs."""
        self._loop = loop

    def join(self, card: str, others: list[str]) -> None:
        """Lay cables from a box to all others."""
        for other in others:
            self.network.join(card, other, Link("lan", base_s=BASE_S, slow=0.0, twice=0.0))

    def dial(self, own: "Neighbour", other: "Neighbour") -> None:
        """Join two that believe each other by a line; each talks in its own machine."""
        near = Line(self, own.card, other.card, other.gate, dialled=True)
        far = Line(self, other.card, own.card, own.gate, dialled=False)
        near.far, far.far = far, near
        for one, line in ((own, near), (other, far)):
            one.lines[line._other] = line
            one.machine.on_end.append(line.close)
            one.talking.append(one.machine.spawn(one.converse(line)))


class Neighbour:
    """What `edge.front.peers.neighbours.Neighbours` does beside what is said: lines are made, kept and ended."""

    def __init__(
        self,
        lan: Lan,
        card: str,
        gate: GateId,
        machine: Machine,
        shared: Shared,
        lane: Told,
        mono_ns: Callable[[], int],
        chance: random.Random,
        on_defect: Callable[[BaseException], None],
    ) -> None:
        self.card, self.gate, self.machine = card, gate, machine
        self.lines: dict[str, Line] = {}
        self.talking: list[asyncio.Task[None]] = []
        self.trust = Trust(gate, shared)
        self._lan, self._on_defect = lan, on_defect

        def mono_s() -> float:
            return mono_ns() / 1e9

        table = Table(gate, mono_s, chance)
        self.talks = Conversations(gate, shared, self.trust, table, lane, mono_s, near_only=False)

    async def run(self) -> NoReturn:
        """Talk to the others until cancelled."""
        self._lan.here[self.card] = self
        self.machine.on_end.append(self._gone)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.talks.push())
                tasks.create_task(self._live())
        finally:
            self._gone()
            for task in self.talking:
                task.cancel()
            await asyncio.gather(*self.talking, return_exceptions=True)
        raise AssertionError("it goes on for ever")

    def _gone(self) -> None:
        if self._lan.here.get(self.card) is self:
            del self._lan.here[self.card]
        for line in tuple(self.lines.values()):
            line.close()

    async def _live(self) -> NoReturn:
        while True:
            for one in list(self.talks.all):
                if self.trust.key_of(one.talk.peer) is None:
                    one.connection.close()
            await self.talks.live()
            self._dial()
            await asyncio.sleep(LIVE_S)

    def _dial(self) -> None:
        network = self._lan.network
        for card, other in sorted(self._lan.here.items()):
            if card <= self.card or card in self.lines or self.card in other.lines:
                continue
            believed = self.trust.key_of(other.gate) and other.trust.key_of(self.gate)
            if believed and other.gate != self.gate and network.link(self.card, card).up:
                self._lan.dial(self, other)

    async def converse(self, line: Line) -> None:
        """Hold one conversation to its end."""
        connection: Any = line
        one = self.talks.open(connection)
        try:
            await self.talks.begin(one)
            async for message in line.messages():
                await self.talks.take(one, message)
        except (StoreFault, OSError):
            pass
        except Exception as error:  # noqa: BLE001 - between gates of ours, whatever else it is, is a defect
            self._on_defect(error)
        finally:
            line.close()
            with contextlib.suppress(ValueError):
                await self.talks.close(one)
            if self.lines.get(line._other) is line:
                del self.lines[line._other]


__all__ = ["Lan", "Neighbour"]
