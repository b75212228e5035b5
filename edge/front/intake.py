"""Records of other gates, from the centre and from neighbours alike: judged in one thread, handed to the lane in order.

One judge for all that comes (`edge.front.merged`), or a log that two of them brought in parts would have two states. A
batch is given whole before the next one is, which is judged meanwhile: so what lies on the lane's disk of a log has no holes.
Where one is not taken, what was judged behind it is not given, and all begin again with what the log holds. Judging ahead
is for a gate that was away: 100,000 records took it 5.6 s, and 6.6 s one after the other (medians of 8, in turns).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from admission.ids import Epoch, GateId
from edge.front.merged import Merged
from edge.link import Done, Foreign
from edge.store.log_schema import EpochRow
from sync.wire.messages import Chunk, Held, Pushed

AT_ONCE = 6
"""Slices on their way to the lane at once, some 300 records: it takes each in between two scans, and none behind one that
it refused (`edge.others`)."""


class Taker(Protocol):
    """Who takes slices (`edge.front.lane_client.LaneClient`)."""

    async def give(self, slice_: Foreign) -> Done:
        """Hand records of another gate over. ConnectionError where none answers."""
        ...


class Epochs(Protocol):
    """What is read of the log."""

    def epochs(self) -> tuple[EpochRow, ...]:
        """Return what is held of every epoch, in the order they were first met."""
        ...


InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs what reads the log, in the one thread that may."""


class Intake:
    """Takes records in. StoreFault and OSError from whatever takes: it comes again, from whomever."""

    def __init__(self, merged: Merged, lane: Taker, in_thread: InThread) -> None:
        self.merged = merged
        self._lane = lane
        self._in_thread = in_thread
        self._judging = asyncio.Lock()
        self._giving = asyncio.Lock()
        self._failures = 0

    async def feed(self, cursor: bytes, chunks: Iterable[Chunk]) -> bool:
        """Take a part of the centre's feed; whether there was any news in it."""
        return await self._take(lambda: self.merged.take(cursor, chunks))

    async def of_gate(self, gate: GateId, chunks: Iterable[Chunk], answer: Callable[[Pushed], None]) -> None:
        """Take what a gate handed over of its own; returns once the next decision knows of all.

        `answer` is called as soon as it is judged, so that the gate makes its next part ready meanwhile. What the lane
        does not take after all is an error here: whoever answered must ask the gate anew then.
        """
        judged = Pushed(())

        def judge() -> tuple[Foreign, ...]:
            nonlocal judged
            slices, judged = self.merged.take_from(gate, chunks)
            return slices

        await self._take(judge, lambda: answer(judged))

    async def carried(self, chunks: Iterable[Chunk]) -> bool:
        """Take what a neighbour carried; whether there was any news in it."""
        return await self._take(lambda: self.merged.take_carried(chunks))

    async def held_of(self, gate: GateId) -> tuple[Held, ...]:
        """Return how far a gate's own logs are held."""
        async with self._judging, self._giving:
            found: tuple[Held, ...] = await self._in_thread(lambda: self.merged.held_of(gate))
        return found

    async def _take(
        self, judge: Callable[[], tuple[Foreign, ...]], judged: Callable[[], None] = lambda: None
    ) -> bool:
        async with self._judging:
            failures = self._failures
            try:
                slices: tuple[Foreign, ...] = await self._in_thread(judge)
                judged()
                # In here, so that they are given in the order in which they were judged.
                await self._giving.acquire()
            except BaseException:
                await self._begin_anew()
                raise
        try:
            self._stands_since(failures)
            await self._give(slices)
        except BaseException:
            await self._begin_anew()
            raise
        finally:
            self._giving.release()
        return bool(slices)

    def _stands_since(self, failures: int) -> None:
        """ConnectionError where something was not taken on which this may rest."""
        if self._failures != failures:
            raise ConnectionError("the lane did not take what came before")

    async def _begin_anew(self) -> None:
        """What was judged did not come to the lane: it comes again, and what was judged meanwhile is not given."""
        self._failures += 1
        await self._in_thread(self.merged.forget)

    async def _give(self, slices: tuple[Foreign, ...]) -> None:
        """Hand slices over, one behind the other, and wait for all answers. OSError where the lane does not take one."""
        on_their_way: deque[asyncio.Task[Done]] = deque()
        try:
            for one in slices:
                # A cursor says that all before it is here, which the lane does not see: it would take it also while records
                # wait for its disk, or were refused, and nobody would ask for those again.
                while len(on_their_way) == AT_ONCE or (one.cursor and on_their_way):
                    await _taken(on_their_way)
                on_their_way.append(asyncio.create_task(self._giving_one(one)))
            while on_their_way:
                await _taken(on_their_way)
        finally:
            for task in on_their_way:
                task.cancel()
            await asyncio.gather(*on_their_way, return_exceptions=True)

    async def _giving_one(self, slice_: Foreign) -> Done:
        return await self._lane.give(slice_)


async def _taken(on_their_way: deque[asyncio.Task[Done]]) -> None:
    """Wait for the first of them. OSError where the lane does not take it."""
    done = await on_their_way.popleft()
    if not done.ok:
        raise OSError(f"the lane did not take records: {done.code}")


def held_by(rows: Iterable[EpochRow]) -> dict[tuple[GateId, Epoch], int]:
    """Return up to where logs are held, by what the disk says."""
    return {(one.gate, one.epoch): one.last_seq for one in rows}


__all__ = ["Epochs", "InThread", "Intake", "held_by"]
