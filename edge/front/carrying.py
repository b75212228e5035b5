"""Records of gates without a link carried up for them, up to the last signed head that is held here.

Of the gates here that the centre answers, the one with the lowest number carries: once is enough on links that cost
money. One that does not, for whatever reason, keeps nothing back: what the feed does not show at the centre by then is
carried by the next one, `RANK_S` later, and so on. What the centre has is asked, once for each log, and told by the feed.

Also for gates that are not here at all: the records of a box that died are where its neighbours are.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from admission.chain import Head
from admission.ids import Epoch, GateId
from edge.clock import Clock
from edge.front.centre import CentreRefused, CutOff
from edge.front.intake import InThread
from edge.front.near import Near
from edge.front.pace import Batches, Kind
from edge.front.way import Way
from edge.store.faults import StoreFault
from edge.store.log_schema import EpochRow
from sync.wire.carry import ASKED_MAX, OWNERS_MAX
from sync.wire.feed import Want
from sync.wire.messages import CHUNKS_MAX, PUSH_RECORDS_MAX, Chunk, Pushed
from sync.wire.replication import LinkAt, Read, Sender

RANK_S = 30.0
"""How much longer each further gate waits for one before it to carry: as long as a gate that is silent counts as here."""
PAUSE_S = 2.0
"""Between two batches: heads stand every second, and what comes together goes together."""
LOOK_S = 5.0
"""How often is looked where nobody says that something moved: ranks come due by the clock."""
AGAIN_S = 30.0
"""Pause after the centre refused, or the disk did not give what is to be carried."""
HEAD_EVERY = 600
"""Fewer records never go at once: two heads stand in so many, and only what ends in one is taken."""

log = logging.getLogger("edge.front.carrying")

Log = tuple[GateId, Epoch]
ReadOf = Callable[[GateId], tuple[LinkAt, Read]]


class CarriedLogs(Protocol):
    """What is read of the log (`edge.store.log_reader.LogReader`)."""

    def epochs(self) -> tuple[EpochRow, ...]:
        """Return what is held of every epoch, in the order they were first met."""
        ...

    def heads(self, gate: GateId, epoch: Epoch, after: int = 0) -> tuple[Head, ...]:
        """Return the signed heads of a log above `after`, in order."""
        ...

    def heads_backwards(self, gate: GateId, epoch: Epoch, limit: int) -> tuple[Head, ...]:
        """Return the last signed heads of a log, newest first."""
        ...


class Taker(Protocol):
    """Who takes what is carried (`edge.front.centre.Centre`)."""

    async def carry(self, logs: tuple[Want, ...], chunks: tuple[Chunk, ...]) -> Pushed:
        """Hand over records of others; return what is held of these logs and of those asked about."""
        ...


class Due(NamedTuple):
    """A log of which more is held here than the centre is known to have: up to `end`."""

    gate: GateId
    epoch: Epoch
    end: int


class Carrying:
    """Carries until cancelled. `others`: the gates that are believed; `is_up`: whether the centre answers us."""

    def __init__(
        self,
        own: GateId,
        logs: CarriedLogs,
        read_of: ReadOf,
        centre: Taker,
        near: Near,
        others: Callable[[], Iterable[GateId]],
        is_up: Callable[[], bool],
        way: Way,
        clock: Clock,
        in_thread: InThread,
    ) -> None:
        self._own, self._logs, self._read_of, self._centre = own, logs, read_of, centre
        self._near, self._others, self._is_up = near, others, is_up
        self._way, self._clock, self._in_thread = way, clock, in_thread
        self._batches = Batches(PUSH_RECORDS_MAX // 2)
        self._known: dict[Log, int] = {}
        """Up to where the centre has logs, as far as it said so; or would not take more."""
        self._asked: set[Log] = set()
        """Logs of which the senders know from where to go on."""
        self._since_s: dict[Log, float] = {}
        """Since when a log has been waiting here."""
        self._senders: dict[GateId, Sender] = {}
        self._is_back = False

    def back(self) -> None:
        """The centre answers again: it may be one restored from a backup, which has less than it told before."""
        self._is_back = True

    def centre_has(self, chunks: Iterable[Chunk]) -> None:
        """The centre told these records: it need not be given them."""
        for one in chunks:
            at, last = (GateId(one.gate), Epoch(one.epoch)), one.first_seq + len(one.blobs) - 1
            if last > self._known.get(at, -1):
                self._known[at] = last
                self._asked.discard(at)

    async def run(self) -> None:
        """Carry whatever is due, as soon as it is."""
        while True:
            wait_s = LOOK_S
            if self._is_up():
                try:
                    wait_s = PAUSE_S if await self._once() else LOOK_S
                except CutOff:
                    self.back()
                    self._batches.failed()
                except (CentreRefused, StoreFault, OSError) as error:
                    code = error.code if isinstance(error, CentreRefused) else type(error).__name__
                    log.warning("nothing can be carried now", extra={"code": "carry.waits", "why": code})
                    wait_s = AGAIN_S
            if wait_s != LOOK_S:
                await asyncio.sleep(wait_s)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._near.moved.wait()
            self._near.moved.clear()
            await asyncio.sleep(PAUSE_S / 2)

    async def _once(self) -> bool:
        """Ask, or hand one batch over; whether anything was due."""
        if self._is_back:
            self._is_back = False
            self._forget()
        due: list[Due] = []
        chunks: tuple[Chunk, ...] = ()

        def look() -> None:
            nonlocal due, chunks
            due = self.due()
            if due and all((one.gate, one.epoch) in self._asked for one in due):
                chunks = self._next(due)

        await self._in_thread(look)
        if not due:
            return False
        asked = tuple(
            Want(one.gate, one.epoch, one.end) for one in due if (one.gate, one.epoch) not in self._asked
        )[:ASKED_MAX]
        if asked or chunks:
            async with self._way.turn(Kind.CARRIED):
                began_ns = self._clock.mono_ns()
                answer = await self._centre.carry(asked, chunks)
            took_s = (self._clock.mono_ns() - began_ns) / 1e9
        else:  # the senders know of nothing that would be taken
            answer, took_s = Pushed(()), 0.0
        blobs = [blob for one in chunks for blob in one.blobs]
        self._batches.took(len(blobs), sum(map(len, blobs)), took_s)
        await self._in_thread(lambda: self._heard(due, asked, answer))
        if chunks:
            self._told_of(chunks, answer)
        return True

    def _told_of(self, chunks: Sequence[Chunk], answer: Pushed) -> None:
        self._near.carried += sum(len(one.blobs) for one in chunks)
        for one in answer.troubles:
            if one.what not in {"gap", "unsigned"}:
                facts = {"gate": one.gate, "code": f"records.{one.what}", "seq": one.seq}
                log.error("the centre reports trouble with records that were carried", extra=facts)

    def _forget(self) -> None:
        self._known.clear()
        self._asked.clear()
        self._senders.clear()

    # --- in the thread ------------------------------------------------------------------------------------------

    def due(self) -> list[Due]:
        """Return what this gate is to carry now, newest epochs first: they vouch for what a crash left unsigned."""
        now_s = self._clock.mono_ns() / 1e9
        rank = sum(one < self._own for one in self._near.up)
        here, others = self._near.gates, set(self._others())
        rows: dict[GateId, list[EpochRow]] = {}
        for row in self._logs.epochs():
            if row.gate in others and row.gate != self._own and not here.get(row.gate, False):
                rows.setdefault(row.gate, []).append(row)
        found: list[Due] = []
        waiting: dict[Log, float] = {}
        for gate, of_gate in rows.items():
            for number, row in enumerate(reversed(of_gate)):
                at = (gate, row.epoch)
                if row.last_seq <= (known := self._known.get(at, 0)):
                    continue
                end = row.last_seq if number else self._signed_end(row)
                if end <= known:
                    continue
                waiting[at] = self._since_s.get(at, now_s)
                if now_s - waiting[at] >= rank * RANK_S:
                    found.append(Due(gate, row.epoch, end))
        self._since_s = waiting
        owners = set(list(dict.fromkeys(one.gate for one in found))[:OWNERS_MAX])
        return [one for one in found if one.gate in owners][:CHUNKS_MAX]

    def _signed_end(self, row: EpochRow) -> int:
        """Return the record of the last head of a log that goes on: what stands behind it nobody else's word covers."""
        heads = self._logs.heads_backwards(row.gate, row.epoch, 1)
        return heads[0].seq + 1 if heads else 0

    def _next(self, due: Sequence[Due]) -> tuple[Chunk, ...]:
        chunks: list[Chunk] = []
        left = max(self._batches.records, HEAD_EVERY)
        ends: dict[GateId, dict[Epoch, int]] = {}
        for one in due:
            ends.setdefault(one.gate, {})[one.epoch] = one.end
        for gate, of_gate in ends.items():
            if left < 1 or len(chunks) >= CHUNKS_MAX // 2:
                break
            reading = self._reading(gate, of_gate, alone=not chunks)
            push = self._sender(gate).next(of_gate, reading, left)
            if push is not None:
                chunks += push.chunks
                left -= sum(len(one.blobs) for one in push.chunks)
        return tuple(chunks)

    def _sender(self, gate: GateId) -> Sender:
        """Return the machine for a gate's logs, which reads them as they stand now."""
        if gate not in self._senders:

            def link_at(epoch: Epoch, seq: int) -> bytes | None:
                return self._read_of(gate)[0](epoch, seq)

            self._senders[gate] = Sender(gate, link_at)
        return self._senders[gate]

    def _reading(self, gate: GateId, ends: Mapping[Epoch, int], *, alone: bool) -> Read:
        """Return how a gate's logs are read: up to a head that lies within what is asked for; or, where nothing else goes
        with it (`alone`), the next one behind that: with more the centre would take none of it."""
        _, read = self._read_of(gate)

        def upto_a_head(epoch: Epoch, after: int, limit: int) -> Sequence[tuple[int, bytes]]:
            nonlocal alone
            end = ends[epoch]
            if end - after > limit:
                heads = [one.seq + 1 for one in self._logs.heads(gate, epoch, after)]
                within = [seq for seq in heads if seq <= after + limit]
                if not within and not alone:
                    return ()
                end = max(within) if within else min(heads, default=end)
            found = read(epoch, after, end - after) if end > after else ()
            alone = alone and not found
            return found

        return upto_a_head

    def _heard(self, due: Sequence[Due], asked: Sequence[Want], answer: Pushed) -> None:
        """Take the centre's answer. A log that it does not speak of, or takes no further, is left until it grows."""
        held = {(GateId(one.gate), Epoch(one.epoch)): one.seq for one in answer.held}
        for gate in {one.gate for one in due}:
            sender, of_gate = self._sender(gate), [one for one in due if one.gate == gate]
            sender.answered(answer)
            for one in of_gate:
                at = (gate, one.epoch)
                if at in held:
                    self._known[at] = held[at]
                    self._asked.add(at)
                elif any((want.gate, want.epoch) == at for want in asked):
                    self._known[at] = one.end  # shut out, or of another group by now
                if one.epoch in sender.stuck or one.epoch in sender.rewound or not self._goes_on(sender, one):
                    self._known[at] = max(one.end, self._known.get(at, 0))
            sender.retry()

    @staticmethod
    def _goes_on(sender: Sender, one: Due) -> bool:
        """Whether there is more to send of a log that is not stuck."""
        return sender.acked(one.epoch) < one.end


__all__ = ["Carrying"]
