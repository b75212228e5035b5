"""Gates that ask for the merged log, and wait for news of it: one reading for all who stand at the same place.

A group may have 2,000 gates that all wait. Whatever wakes them costs an answer each, so they share what can be shared,
a gate's return wakes a large group seldomer than a small one, and few answers are packed at a time: the loop and its
threads are there for list changes and records meanwhile.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from admission.ids import GateId
from sync.gates import feed
from sync.gates.feed import Page
from sync.store.database import CentreFault, Database
from sync.wire.feed import WAIT_MAX_MS, Ask, HeardOf, pack_feed
from sync.wire.messages import Chunk, of_people

FRESH_S = 2.0
"""How far each gate has read is written down so often, for all gates in one transaction."""
SILENT_S = 15.0
"""A gate heard again after so long is news: who waits is told that it is there."""
TURN_S_PER_GATE = 0.005
"""Least time between two such turns, for each gate of the group: they cost 200 answers a second at most."""
POLL_S = 0.4
"""The net below the signal: another replica may have taken the records, and a second is promised. One look for all who wait in
a group."""
SHARED_S = 0.5
"""A reading that found nothing serves whoever asks from the same place for so long, unless news comes."""
READINGS_MAX = 256
"""Readings kept; they found nothing, so each is small."""
AGES_MS = 250
"""How long ages are shared. They are told older by as much, so that none is ever told too young."""
REPLICA_MS = 2_000
"""How old what is heard of a replica may be: another one's records are looked for every `POLL_S`, and readings are shared."""
PACKED_AT_A_TIME = 4


class _Reading(NamedTuple):
    """A page that is being read, or was just now."""

    task: asyncio.Task[Page]
    began_s: float


class _Ages(NamedTuple):
    """What is heard of a group's gates, as of a moment."""

    page: Page
    at_s: float
    told: tuple[HeardOf, ...]


class Feeds:
    """Answers gates that ask for news, and lets them wait for it. One in each process of the centre."""

    def __init__(
        self,
        database: Database,
        now_s: Callable[[], int],
        mono_s: Callable[[], float] = time.monotonic,
        poll_s: float = POLL_S,
    ) -> None:
        self._database = database
        self._now_s = now_s
        self._mono_s = mono_s
        self._poll_s = poll_s
        self._groups: dict[GateId, int] = {}
        self._signals: dict[int, asyncio.Event] = {}
        self._readings: dict[tuple[int, bytes], _Reading] = {}
        self._heard: dict[GateId, float] = {}
        """By gate of this process's connections, until when all is known of it, by the monotonic clock."""
        self._present: Counter[int] = Counter()
        """By group, how many gates were heard."""
        self._ages: dict[int, _Ages] = {}
        self._turns: dict[int, int] = {}
        """By group, how often gates came back."""
        self._turned_s: dict[int, float] = {}
        self._turning: dict[int, asyncio.TimerHandle] = {}
        self._unwritten: dict[GateId, tuple[int, int]] = {}
        self._written_s = 0.0
        self._packing = asyncio.Semaphore(PACKED_AT_A_TIME)
        self._read_up_to: dict[int, int] = {}
        """By group with gates that wait, the least piece that one of them has read up to since the last news."""
        self._waiting: Counter[int] = Counter()
        self._polls: dict[int, asyncio.Task[None]] = {}
        self._closing = False
        self.on_news: Callable[[int], None] = lambda _group: None
        """Called with the group whenever this process took records of people of it."""
        self.on_rouse: Callable[[int], None] = lambda _group: None
        """Called with the group when somebody stands at a gate of it for whom all others must be heard."""

    def close(self) -> None:
        """Let nobody wait any longer: the centre ends."""
        self._closing = True
        for timer in self._turning.values():
            timer.cancel()
        for poll in self._polls.values():
            poll.cancel()
        for signal in self._signals.values():
            signal.set()

    def changed(self, group: int) -> asyncio.Event:
        """Return what is set at the next news of a group; ask anew each time, and look at `newest` in between."""
        return self._signals.setdefault(group, asyncio.Event())

    async def arrived(self, gate: GateId, chunks: Sequence[Chunk] = ()) -> None:
        """A transaction that took these records of a gate was committed: tell who waits in its group, and, where they are of
        people, who only listens."""
        group = await self._group(gate)
        if group is not None:
            self.recorded(group, of_people=of_people(chunks))

    def recorded(self, group: int, *, of_people: bool = True) -> None:
        """Records of a group were committed: tell who waits for them, and who only listens."""
        self.tell(group)
        if of_people:
            self.on_news(group)

    async def newest(self, group: int) -> int:
        """Return the number of the last piece that became known in a group."""
        return await self._database.read(lambda connection: feed.newest(connection, group))

    async def answer(self, gate: GateId, ask: Ask) -> bytes:
        """Return the feed for a gate, as it travels; waits as long as it was asked to where there is nothing new."""
        group = await self._group(gate)
        assert group is not None, "an enrolled gate is in a group"
        began_s = self._mono_s()
        self._hear(gate, group, began_s - ask.behind_s)
        if ask.rouses:
            self.on_rouse(group)
        chunks: tuple[Chunk, ...] = ()
        complete = True
        if ask.wants:
            chunks, complete = await self._database.read(lambda one: feed.wanted(one, group, ask.wants))
        turn = self._turns.get(group, 0)
        deadline_s = began_s + min(ask.wait_ms, WAIT_MAX_MS) / 1000
        cursor = ask.cursor
        while True:
            signal = self.changed(group)
            found = await self._page(group, cursor)
            others = tuple(one for one in found.chunks if one.gate != gate)
            left_s = deadline_s - self._mono_s()
            is_over = left_s <= 0 or self._closing or self._turns.get(group, 0) != turn
            if others or chunks or is_over:
                break
            cursor = found.cursor  # what there was is the asker's own
            if found.more:
                continue
            await self._wait(group, signal, found.n, left_s)
        await self._keep(gate, found.n, ask.behind_s)
        more = found.more or not complete
        async with self._packing:
            heard = tuple(one for one in self._ages_of(group, found) if one.gate != gate)
            return await asyncio.to_thread(pack_feed, found.cursor, (*chunks, *others), heard, more=more)

    async def _group(self, gate: GateId) -> int | None:
        known = self._groups.get(gate)
        if known is None:
            known = await self._database.read(lambda connection: feed.group_of(connection, gate))
            if known is not None:
                self._groups[gate] = known
        return known

    # --- waiting ------------------------------------------------------------------------------------------------

    async def _wait(self, group: int, signal: asyncio.Event, n: int, left_s: float) -> None:
        """Wait for news behind piece `n`, at most so long."""
        self._read_up_to[group] = min(n, self._read_up_to.get(group, n))
        self._waiting[group] += 1
        if group not in self._polls:
            self._polls[group] = asyncio.create_task(self._poll(group))
        try:
            with contextlib.suppress(TimeoutError):  # the asker is answered that there is nothing
                async with asyncio.timeout(left_s):
                    await signal.wait()
        finally:
            self._waiting[group] -= 1

    async def _poll(self, group: int) -> None:
        """See what other replicas took, as long as somebody waits."""
        try:
            while self._waiting[group]:
                await asyncio.sleep(self._poll_s)
                with contextlib.suppress(
                    CentreFault, SQLAlchemyError
                ):  # whoever waits finds that out by itself
                    if await self.newest(group) > self._read_up_to.get(group, 0):
                        self.tell(group)
        finally:
            del self._polls[group]

    # --- what waiting gates share -------------------------------------------------------------------------------

    async def _page(self, group: int, cursor: bytes) -> Page:
        """Read a page; gates that stand at the same place share one reading."""
        key, now_s = (group, cursor), asyncio.get_running_loop().time()
        known = self._readings.get(key)
        if known is not None and (not known.task.done() or now_s - known.began_s < SHARED_S):
            return await asyncio.shield(known.task)
        if len(self._readings) >= READINGS_MAX:
            self._readings = {at: one for at, one in self._readings.items() if not one.task.done()}
        task = asyncio.create_task(self._database.read(lambda one: feed.page(one, group, cursor)))
        reading = self._readings[key] = _Reading(task, now_s)
        try:
            found = await asyncio.shield(task)
        except BaseException:
            self._forget(key, reading)
            raise
        if found.chunks or found.more:
            self._forget(key, reading)  # it is large, and the next one asks from further on
        return found

    def _forget(self, key: tuple[int, bytes], reading: _Reading) -> None:
        if self._readings.get(key) is reading:
            del self._readings[key]

    def tell(self, group: int) -> None:
        """Wake up who waits for news of a group: a transaction that took records of it was committed."""
        # Whoever read a page before this commit must read again, so no reading of then is shared any more.
        for key in [key for key in self._readings if key[0] == group]:
            del self._readings[key]
        self._read_up_to.pop(group, None)
        self._signals.pop(group, asyncio.Event()).set()

    def _ages_of(self, group: int, found: Page) -> tuple[HeardOf, ...]:
        """Return how long ago each gate of a group was heard, by whichever replica."""
        now_s, mono_s = self._now_s(), self._mono_s()
        known = self._ages.get(group)
        if known is not None and known.page is found and 0 <= mono_s - known.at_s < AGES_MS / 1000:
            return known.told
        ages = {gate: max(0, now_s - heard_s) * 1000 for gate, heard_s in found.heard_s.items()}
        for gate, until_s in self._heard.items():
            if self._groups.get(gate) == group:
                age_ms = max(0, int((mono_s - until_s) * 1000))
                ages[gate] = min(age_ms, ages.get(gate, age_ms))
        ages.update(dict.fromkeys(found.replicas, REPLICA_MS))
        told = tuple(HeardOf(gate, age_ms + AGES_MS) for gate, age_ms in ages.items())
        self._ages[group] = _Ages(found, mono_s, told)
        return told

    # --- gates that come back -----------------------------------------------------------------------------------

    def _hear(self, gate: GateId, group: int, until_s: float) -> None:
        before = self._heard.get(gate)
        self._heard[gate] = max(until_s, before if before is not None else until_s)
        if before is None:
            self._present[group] += 1
        if before is None or until_s - before > SILENT_S:
            self._come_back(group)

    def _come_back(self, group: int) -> None:
        """Have who waits told that a gate is there: at once, or together with others that came since the last turn."""
        if group in self._turning or self._closing:
            return
        loop = asyncio.get_running_loop()
        pause_s = TURN_S_PER_GATE * self._present[group]
        wait_s = self._turned_s.get(group, loop.time() - pause_s) + pause_s - loop.time()
        if wait_s <= 0:
            self._turn(group)
        else:
            self._turning[group] = loop.call_later(wait_s, self._turn, group)

    def _turn(self, group: int) -> None:
        self._turning.pop(group, None)
        self._turned_s[group] = asyncio.get_running_loop().time()
        self._turns[group] = self._turns.get(group, 0) + 1
        self.tell(group)

    # --- how far they have read ---------------------------------------------------------------------------------

    async def _keep(self, gate: GateId, n: int, behind_s: int) -> None:
        """Write down how far gates have read, now and then and for all of them at once."""
        self._unwritten[gate] = (n, self._now_s() - behind_s)
        if self._mono_s() - self._written_s < FRESH_S and self._written_s:
            return
        self._written_s = self._mono_s()
        rows, self._unwritten = self._unwritten, {}
        await self._database.write(lambda connection: feed.has_read(connection, rows))
