"""Records on their way up: what the centre lacks of this gate's log, in batches that the link takes in two seconds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from admission.ids import Epoch, GateId
from edge.clock import Clock
from edge.front.centre import Centre, CutOff
from edge.front.own_log import OwnLog
from edge.front.pace import Batches, Kind
from edge.front.way import Way
from edge.link import HeldRecords
from sync.wire.messages import PUSH_RECORDS_MAX, Push, Pushed, of_people
from sync.wire.replication import Sender

log = logging.getLogger("edge.front.upload")

Result = TypeVar("Result")


class HeldMemory(Protocol):
    """What the lane tells of its own records (`edge.front.lane_client.LaneClient`)."""

    @property
    def in_memory(self) -> tuple[Epoch, int]:
        """The running epoch, and its last seq that only the lane's memory holds; 0: none, as far as is known."""
        ...

    async def held(self, after: int) -> HeldRecords:
        """Return the next records above `after` that only the lane's memory holds. ConnectionError where none answers."""
        ...

    def say_acked(self, epochs: Mapping[Epoch, int]) -> None:
        """Tell the lane up to where the centre has its logs."""
        ...


class InThread(Protocol):
    """Runs what reads the log, in the one thread that does."""

    def __call__(self, work: Callable[[], Result], /) -> Awaitable[Result]:
        """Return what `work` returns."""
        ...


class Upload:
    """Asks what the centre holds, and pushes what it lacks, for as long as `run` is awaited.

    `answered` whenever it is one with the centre; `refused` with the word of what keeps it from that. `lost` is told
    up to where epochs are here of which the centre holds more. `people` is called when somebody came,
    `short` when an end of our own log is to be asked for.
    """

    def __init__(
        self,
        gate: GateId,
        own: OwnLog,
        centre: Centre,
        lane: HeldMemory,
        way: Way,
        clock: Clock,
        in_thread: InThread,
        answered: Callable[[], None],
        refused: Callable[[str], None],
        lost: Callable[[Mapping[Epoch, int]], None],
        people: Callable[[], None],
        short: Callable[[], None],
    ) -> None:
        self._own, self._centre, self._lane, self._way = own, centre, lane, way
        self._clock, self._in_thread = clock, in_thread
        self._answered, self._refused, self._lost, self._people = answered, refused, lost, people
        self._short = short
        self._sender = Sender(gate, own.link_at)
        """Used in the log's thread only, as the log is."""
        self._batches = Batches(PUSH_RECORDS_MAX)
        self._more = asyncio.Event()
        self._acked: dict[Epoch, int] = {}
        """What the lane was told that the centre has."""
        self._is_back = False
        """The centre answers again; it may be one restored from a backup, which lost what it had of the log."""
        self.queued: int | None = None
        """Records the centre has not acknowledged; None until it said what it holds."""
        self.scans: int | None = None
        """Scans among them; None but after `count`."""
        self._behind_since_ns: int | None = clock.mono_ns()
        """Since when some record waits that the centre does not have."""

    @property
    def behind_s(self) -> int:
        """For how long the oldest record that the centre lacks has been waiting; 0 where there is none."""
        since_ns = self._behind_since_ns
        return 0 if since_ns is None else (self._clock.mono_ns() - since_ns) // 1_000_000_000

    def poke(self) -> None:
        """There is more of the log."""
        self._more.set()

    def back(self) -> None:
        """The centre answers again."""
        self._is_back = True
        self._more.set()

    async def run(self, pause_s: float, stuck_s: float, asked_every_s: Callable[[], float]) -> float:
        """Ask what is held, then push whatever comes. After a cut or a long quiet it ends, to begin with asking again.

        `pause_s`: a moment in which more comes along; `stuck_s`: until what people must mend is tried again.
        """
        self._is_back = False
        held = await self._centre.have()
        await self._in_thread(self._own.look)
        await self.take_held()
        await self._in_thread(lambda: self._heard(held))
        while True:
            self._more.clear()
            push = await self._in_thread(self._next)
            self._tell_acked()
            if self._sender.rewound:
                self._short()
            if push is not None:
                await self._push(push)
                continue
            if await self.take_held():
                if self._sender.rewound:
                    return 0.0  # what the centre has more than the file may be what memory holds
                continue
            if stuck := self._stuck():
                self._refused(stuck)
            else:
                self._answered()
            try:
                async with asyncio.timeout(stuck_s if stuck else asked_every_s()):
                    await self._more.wait()
            except TimeoutError:
                return 0.0
            if self._is_back:
                return 0.0
            await asyncio.sleep(pause_s)

    async def take_held(self) -> bool:
        """Fetch what only the lane's memory holds, while its disk takes nothing; whether there was any."""
        taken = False
        while (wanted := self._lane.in_memory)[1] > (newest := self._own.last.get(wanted[0], 0)):
            given = await self._lane.held(newest)
            if not self._own.add(given):
                await self._in_thread(self._own.look)  # the disk took some meanwhile
                if not self._own.add(given):
                    break
            taken = True
        return taken

    def _tell_acked(self) -> None:
        """Tell the lane what is news of what the centre has: what it has may leave the disk one day."""
        news = {
            epoch: acked
            for epoch in self._own.last
            if (acked := self._sender.acked(epoch)) != self._acked.get(epoch, 0)
        }
        if news:
            self._acked |= news
            self._lane.say_acked(news)

    def _stuck(self) -> str:
        """Return what keeps the logs from being one with the centre's; "" when nothing does."""
        if self._sender.stuck:
            return next(iter(self._sender.stuck.values()))
        return "fork" if self._sender.forked else "rewind" if self._sender.rewound else ""

    async def _push(self, push: Push) -> None:
        if of_people(push.chunks):
            self._people()
        try:
            async with self._way.turn(Kind.OWN):
                began_ns = self._clock.mono_ns()
                answer = await self._centre.push(push)
                took_s = (self._clock.mono_ns() - began_ns) / 1e9
        except CutOff:
            self._batches.failed()
            raise
        blobs = [blob for one in push.chunks for blob in one.blobs]
        self._batches.took(len(blobs), sum(map(len, blobs)), took_s)
        await self._in_thread(lambda: self._sender.answered(answer))
        for one in answer.troubles:
            facts = {"code": f"records.{one.what}", "seq": one.seq, "epoch": f"{one.epoch:016x}"}
            log.error("the centre reports trouble with records", extra=facts)
        serious = [one.what for one in answer.troubles if one.what != "gap"]
        if serious:
            self._refused(serious[0])

    def _heard(self, held: Pushed) -> None:
        if not self._acked:
            self._acked = self._own.kept_cursors()
        self._sender.retry()
        self._sender.heard_all(held)

    def _next(self) -> Push | None:
        self._own.look()
        push = self._sender.next(self._own.last, self._own.read, self._batches.records)
        self._count(self._sender.acked)
        self.scans = None
        self._lost({one: self._own.last.get(one, 0) for one in self._sender.rewound})
        return push

    def count(self) -> None:
        """Count what waits while the centre does not answer; what it had before this run is kept beside the log."""
        self._own.look()
        kept = self._own.kept_cursors()

        def acked(epoch: Epoch) -> int:
            return max(self._sender.acked(epoch), kept.get(epoch, 0))

        self._count(acked)
        self.scans = self._own.scans_after(acked)

    def _count(self, acked: Callable[[Epoch], int]) -> None:
        self.queued = sum(max(0, last - acked(one)) for one, last in self._own.last.items())
        if not self.queued:
            self._behind_since_ns = None
        elif self._behind_since_ns is None:
            self._behind_since_ns = self._clock.mono_ns()


__all__ = ["HeldMemory", "InThread", "Upload"]
