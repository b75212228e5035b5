"""Boxes with real uplinks and real talks between them, without the lanes' part: what a front does, in this process."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from edge.clock import SystemClock
from edge.front.peers.knock import knock_of
from edge.front.peers.neighbours import Neighbours
from edge.front.uplink import Uplink
from edge.link import PeersSaid
from edge.settings import PeerSettings
from tests.sync.box import LOOK_S, Box


@dataclass
class Site:
    """A box, its uplink, and its talks once it may knock."""

    box: Box
    uplink: Uplink
    said: list[PeersSaid] = field(default_factory=list)
    neighbours: Neighbours | None = None

    @property
    def port(self) -> int:
        return self.neighbours.listener.port if self.neighbours is not None else 0

    async def listens(self) -> int:
        """Wait until others can come; return where."""
        await self.box.until(lambda: self.port)
        return self.port

    async def meets(self, count: int = 1) -> None:
        await self.box.until(lambda: self.neighbours is not None and len(self.neighbours.connected) == count)

    async def _talk(self, ports: tuple[int, ...]) -> None:
        box = self.box
        while (knock := knock_of(box.data, box.enrolment)) is None:
            await asyncio.sleep(LOOK_S)
        told = PeerSettings(
            listen="127.0.0.1", port=0, addresses=tuple(f"127.0.0.1:{one}" for one in ports), discover=False
        )
        self.neighbours = Neighbours(
            box.enrolment, told, knock, self.uplink.shared(), box, self.said.append,
            clock=SystemClock(), chance=random.Random(box.enrolment.gate),
        )  # fmt: skip
        await self.neighbours.run()


@asynccontextmanager
async def site(box: Box, *ports: int) -> AsyncIterator[Site]:
    """A box that talks to its centre, and to who listens at these ports."""
    uplink = box.uplink()
    made = Site(box, uplink)
    tasks = [asyncio.create_task(uplink.run()), asyncio.create_task(made._talk(ports))]
    try:
        yield made
    finally:
        for task in tasks[::-1]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


__all__ = ["Site", "site"]
