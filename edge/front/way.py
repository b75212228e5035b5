"""The way up to the centre, which all that send records share: the more urgent go first (`edge.front.pace.Kind`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge.clock import Clock
from edge.front.pace import HELD_MAX_S, Kind, Turns


class Way:
    """Has each wait for its turn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns = Turns()
        self._moved = asyncio.Event()

    @asynccontextmanager
    async def turn(self, kind: Kind) -> AsyncIterator[None]:
        """Wait until a piece of this kind may go; whoever is less urgent waits until the block ends."""
        self._turns.begin(kind)
        try:
            while not self._turns.may(kind, self._clock.mono_ns() / 1e9):
                self._moved.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HELD_MAX_S):
                        await self._moved.wait()
            yield
        finally:
            self._turns.end(kind)
            self._moved.set()


__all__ = ["Way"]
