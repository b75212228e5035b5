"""Gates that come back, in a process of their own: `python -m tests.bench.returning KEYS`.

Each is a light one with the uplink's own client, waits and order of things: a stream that is kept open, a question for
news of others that waits at the centre, and after each cut what is held, what changed, and how it is. Said on standard
output: `in order SECONDS FIVES` each time all of them are, counted from the first cut; the cuts are the centre's.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from edge.enrolment import Enrolment
from edge.front.centre import Centre, CutOff
from edge.front.feed import FEED_PAUSE_S
from edge.front.pace import backoff_s
from edge.front.stream import AGAIN_MAX_S
from sync.wire.deltas import EventVersion, GateStatus, read_delta
from sync.wire.feed import WAIT_MAX_MS, Ask
from sync.wire.seals import read_seal
from tests.bench.centre import allow_files, read_keys

SILENCE_S = 35.0
TELL_S = 5.0
LOOPS = frozenset({"stream", "changes", "records", "feed"})


class Crowd:
    """All gates, and which of their loops were answered since the last cut."""

    def __init__(self, gates: list[Enrolment], say: Callable[[str], None]) -> None:
        self._say = say
        self.left: set[tuple[int, str]] = {(own.gate, loop) for own in gates for loop in LOOPS}
        self._all = frozenset(self.left)
        self._began_s = time.monotonic()
        self._was_whole = False
        self.cuts: Counter[str] = Counter()
        """Why loops were cut, for the journal."""
        self.wrong: Counter[str] = Counter()
        """Answers of the 5xx kind, and refusals, by what they said."""

    def well(self, gate: int, loop: str) -> None:
        """A loop was answered."""
        self.left.discard((gate, loop))
        if not self.left and not self._was_whole:
            self._was_whole = True
            self._say(f"in order {time.monotonic() - self._began_s:.3f} {dict(self.wrong) or ''}")

    def cut(self, gate: int, loop: str, error: Exception) -> None:
        """A loop was cut; the first one after all were well begins a new count."""
        if self._was_whole:
            self._was_whole = False
            self.left = set(self._all)
            self._began_s = time.monotonic()
            self.wrong.clear()
        self.left.add((gate, loop))
        self.cuts[f"{loop}: {type(error.__cause__ or error).__name__} {str(error)[:60]}"] += 1
        if "the centre is in trouble" in str(error):
            self.wrong[str(error)] += 1


class LightGate:
    """One gate: the loops of `edge.front.uplink`, without a lane, a list or a log behind them."""

    def __init__(
        self, own: Enrolment, crowd: Crowd, chance: random.Random, wait_ms: int = WAIT_MAX_MS
    ) -> None:
        self._own, self._crowd, self._chance, self._wait_ms = own, crowd, chance, wait_ms
        self._centre = Centre(own)
        self._list_key = own.list_key
        self._place: tuple[int, int, int] | None = None
        """Event, generation and version that a list would hold: as the first seal says."""
        self._due = {loop: asyncio.Event() for loop in ("changes", "records")}
        self._cursor = b""
        self._next_wait_ms = 0
        """As the uplink's own: after a cut the first question does not wait."""

    async def run(self) -> None:
        """Talk to the centre until cancelled."""
        async with self._centre, asyncio.TaskGroup() as loops:
            loops.create_task(self._keep("stream", self._listen))
            loops.create_task(self._keep("feed", self._feed))
            loops.create_task(self._keep("changes", self._changes))
            loops.create_task(self._keep("records", self._records))

    async def _keep(self, loop: str, once: Callable[[], Awaitable[float]]) -> None:
        failures = 0
        while True:
            try:
                wait_s = await once()
                failures = 0
            except CutOff as error:
                failures += 1
                wait_s = backoff_s(failures, self._chance)
                self._crowd.cut(self._own.gate, loop, error)
            await asyncio.sleep(wait_s)

    async def _listen(self) -> float:
        was_heard = False
        try:
            async for name, data in self._centre.listen(SILENCE_S, 15):
                if name == "seal":
                    seal = read_seal(data, self._list_key)
                    self._place = self._place or (seal.event, *seal.place)
                    if not was_heard:
                        was_heard = True
                        self._crowd.well(self._own.gate, "stream")
                        for due in self._due.values():
                            due.set()
        except CutOff as error:
            self._crowd.cut(self._own.gate, "stream", error)
            if not was_heard:
                raise
        else:
            self._crowd.cut(self._own.gate, "stream", CutOff("the centre ended it"))
        return AGAIN_MAX_S * self._chance.random()

    async def _changes(self) -> float:
        await self._due["changes"].wait()
        self._due["changes"].clear()
        assert self._place is not None, "a seal came"
        event, generation, version = self._place
        try:
            delta = read_delta(await self._centre.changes(event, generation, version), self._list_key)  # type: ignore[arg-type]  # an event's number
            self._place = (delta.event, delta.generation, delta.to)
            told = EventVersion(delta.event, delta.generation, delta.to)
            await self._centre.tell(GateStatus(versions=(told,), software="bench", uplink="uplink.ok"))
        except CutOff:
            self._due["changes"].set()
            raise
        self._crowd.well(self._own.gate, "changes")
        return 0.0

    async def _records(self) -> float:
        await self._due["records"].wait()
        self._due["records"].clear()
        try:
            await self._centre.have()
        except CutOff:
            self._due["records"].set()
            raise
        self._crowd.well(self._own.gate, "records")
        return 0.0

    async def _feed(self) -> float:
        wait_ms, self._next_wait_ms = self._next_wait_ms, 0
        feed, chunks = await self._centre.feed(Ask(self._cursor, wait_ms))
        self._next_wait_ms = self._wait_ms
        self._cursor = feed.cursor
        self._crowd.well(self._own.gate, "feed")
        return 0.0 if feed.more or chunks else FEED_PAUSE_S


def say(line: str) -> None:
    print(line, flush=True)


async def tell(crowd: Crowd) -> None:
    """Keep a journal of who is not in order yet: for whoever looks why it takes long."""
    while True:
        await asyncio.sleep(TELL_S)
        left = Counter(loop for _, loop in crowd.left)
        sys.stderr.write(f"{time.monotonic():.0f} left {dict(left)} cuts {dict(crowd.cuts)}\n")
        crowd.cuts.clear()


async def main(keys: Path) -> None:
    allow_files()
    gates = read_keys(keys)
    crowd = Crowd(gates, say)
    chance = random.Random(11)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tell(crowd))
        for own in gates:
            tasks.create_task(LightGate(own, crowd, chance).run())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
