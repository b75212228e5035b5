"""A box beside the centre: its real log, its uplink, and what the uplink says."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from admission.chain import Head
from admission.ids import Epoch
from edge.clock import Clock, SystemClock
from edge.enrolment import Enrolment
from edge.front.pace import IDLE
from edge.front.uplink import Uplink
from edge.link import HELD_MAX, Appended, Changes, Done, Foreign, HeardGates, HeldRecords, UplinkSaid
from edge.settings import CentreSettings
from edge.store.disk import LocalDisk
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from edge.store.log_schema import FEED_CURSOR, Batch, StoredRecord
from sync.wire.counted import Limit
from sync.wire.deltas import LaneWays
from sync.wire.replication import head_in
from tests.sync.logs import EpochLog

SETTINGS = CentreSettings(poll_s=0.05, push_s=0.05)
WAIT_S = 20.0
"""Only reached where something is broken."""
LOOK_S = 0.05


class Box:
    """A gate's data folder with its real log, and an uplink whose sayings are kept."""

    def __init__(self, data: Path, enrolment: Enrolment) -> None:
        self.data, self.enrolment = data, enrolment
        self.store = LogStore.open(data, LocalDisk())
        self.said: list[UplinkSaid] = []
        self.lists: list[Path] = []
        self.changes: list[Changes] = []
        self.answer = Done(0, ok=True)
        self.changed = asyncio.Event()
        self.tokens = 0
        self.clock: Clock = SystemClock()
        self.settings = SETTINGS
        self.idle = IDLE
        self.change_answer = Done(0, ok=True)
        self.chance = random.Random(1)
        self.away = False
        """The next list finds no lane."""
        self.memory: EpochLog | None = None
        """What of the running epoch the disk has not taken is held as this log."""
        self.is_busy = False
        """The lane gives nothing of its memory."""
        self.limits: tuple[Limit, ...] = ()
        """What the lane was told of whose records count."""
        self.ways: tuple[LaneWays, ...] = ()
        self.verdict = "ready"
        self.doubted: tuple[int, ...] = ()
        self.heard = HeardGates({})
        """What the lane was told of other gates."""
        self.acked: dict[Epoch, int] = {}
        """What the lane was told that the centre has."""

    def append(self, log: EpochLog, first: int = 1) -> Appended:
        self.tokens += 1
        records = tuple(
            StoredRecord(log.gate, log.epoch, seq, blob)
            for seq, blob in enumerate(log.blobs[first - 1 :], start=first)
        )
        found = (head_in(log.gate, log.epoch, one.blob) for one in records)
        heads: tuple[Head, ...] = tuple(one for one in found if one is not None)
        self.store.append([Batch(self.tokens, records=records, heads=heads)])
        return Appended(log.epoch, len(log.blobs))

    def say(self, said: UplinkSaid) -> None:
        self.said.append(said)
        self.changed.set()

    async def take(self, path: Path) -> Done:
        if self.away:
            self.away = False
            raise ConnectionError("the lane is starting")
        self.lists.append(path)
        self.changed.set()
        return self.answer

    @property
    def in_memory(self) -> tuple[Epoch, int]:
        return (self.memory.epoch, len(self.memory.blobs)) if self.memory is not None else (Epoch(0), 0)

    async def held(self, after: int) -> HeldRecords:
        if self.is_busy:
            raise ConnectionError("the lane does not answer")
        assert self.memory is not None
        blobs = self.memory.blobs[after : after + HELD_MAX]
        return HeldRecords(0, self.memory.epoch, after + 1 if blobs else 0, tuple(blobs))

    def say_acked(self, epochs: Mapping[Epoch, int]) -> None:
        self.acked |= epochs
        self.changed.set()

    async def change(self, asked: Changes) -> Done:
        """Keep changes, and answer as is set."""
        self.changes.append(asked)
        self.changed.set()
        return self.change_answer

    async def give(self, slice_: Foreign) -> Done:
        """Keep a slice as the lane would."""
        self.tokens += 1

        def stored(blobs: tuple[bytes, ...]) -> tuple[StoredRecord, ...]:
            found = enumerate(blobs, start=slice_.first_seq)
            return tuple(StoredRecord(slice_.gate, slice_.epoch, seq, blob) for seq, blob in found)

        meta = ((FEED_CURSOR, slice_.cursor),) if slice_.cursor else ()
        batch = Batch(
            self.tokens, stored(slice_.blobs), slice_.rows, slice_.heads, slice_.resets,
            forks=stored(slice_.forks), meta=meta,
        )  # fmt: skip
        self.store.append([batch])
        self.changed.set()
        return Done(slice_.number, ok=True)

    async def believe(self, limits: Sequence[Limit]) -> Done:
        self.limits = tuple(limits)
        self.changed.set()
        return Done(0, ok=True)

    def say_heard(self, heard: HeardGates) -> None:
        self.heard = heard
        self.changed.set()

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not true():
                self.changed.clear()
                with suppress(TimeoutError):  # the centre's tables tell nobody when they change
                    await asyncio.wait_for(self.changed.wait(), LOOK_S)

    def is_told(self, code: str) -> bool:
        return bool(self.said) and self.said[-1].code == code

    def is_drained(self) -> bool:
        return self.is_told("uplink.ok") and self.said[-1].args.get("queued") == 0

    def uplink(self) -> Uplink:
        return Uplink(
            self.enrolment,
            self.data,
            self.settings,
            LogReader.open(self.data),
            self.say,
            self.take,
            self,
            clock=self.clock,
            chance=self.chance,
            idle=self.idle,
        )

    @asynccontextmanager
    async def linked(self) -> AsyncIterator[Uplink]:
        uplink = self.uplink()
        task = asyncio.create_task(uplink.run())
        try:
            yield uplink
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
