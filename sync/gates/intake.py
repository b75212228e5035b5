"""Records of many gates in few transactions: what comes in while one is committed goes into the next.

So a lone push is committed at once, and under load the disk is asked once for many gates. A gate is answered after the
commit that holds its records; what is wrong with one gate's push is that gate's alone.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from admission.ids import GateId
from sync.gates import ingest
from sync.gates.ingest import Arrival
from sync.store.database import Database
from sync.store.engines import DatabaseFault
from sync.wire.messages import Push, Pushed

BATCH_RECORDS_MAX = 8_000
"""Of one transaction: a quarter of a second of one core, for which a board or a cancel may have to wait."""
BATCHES_POSTGRESQL = 2
"""At a time: one is judged here while the server writes the other. SQLite has one writer."""

log = logging.getLogger("sync.gates")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A push, and who waits for its answer."""

    arrival: Arrival
    answer: asyncio.Future[Pushed]

    @property
    def records(self) -> int:
        return sum(len(chunk.blobs) for chunk in self.arrival.push.chunks)


class Intake:
    """Takes pushes in. Of one event loop; `close` it before its database."""

    def __init__(self, database: Database, now_s: Callable[[], int]) -> None:
        self._database = database
        self._now_s = now_s
        self._batches_max = BATCHES_POSTGRESQL if database.is_postgresql else 1
        self._waiting: list[_Waiting] = []
        self._busy: set[GateId] = set()
        """Gates with a push in a transaction that is under way: the next one goes on from what that leaves."""
        self._running: set[asyncio.Task[None]] = set()
        self.commits = 0

    async def take(self, gate: GateId, public: bytes, push: Push) -> Pushed:
        """Store what a gate pushed that is new and return what is held, once it is on the disk. CentreFault while it
        cannot be."""
        return await self.arrive(Arrival(gate, public, push))

    async def arrive(self, arrival: Arrival) -> Pushed:
        """`take` what came, whoever brought it."""
        answer: asyncio.Future[Pushed] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(arrival, answer))
        self._begin()
        return await answer

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._running:
            await asyncio.wait(set(self._running))

    def _begin(self) -> None:
        while len(self._running) < self._batches_max:
            batch = self._next()
            if not batch:
                return
            task = asyncio.create_task(self._commit(batch))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._begin()

    def _next(self) -> list[_Waiting]:
        """Take the oldest pushes, one for each gate that is not under way, as many as one transaction may hold."""
        batch: list[_Waiting] = []
        left: list[_Waiting] = []
        room = BATCH_RECORDS_MAX
        for one in self._waiting:
            gate = one.arrival.gate
            if gate in self._busy or (batch and one.records > room):
                left.append(one)
                continue
            room -= one.records
            self._busy.add(gate)
            batch.append(one)
        self._waiting = left
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            await self._answer(batch)
        finally:
            self._busy.difference_update(one.arrival.gate for one in batch)
            for one in batch:
                if not one.answer.done():  # the centre ends: the gate asks again
                    one.answer.cancel()

    async def _answer(self, batch: list[_Waiting]) -> None:
        now_s = self._now_s()
        arrivals = [one.arrival for one in batch]
        try:
            answers = await self._database.write(
                lambda connection: ingest.take_all(connection, arrivals, now_s)
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one gate's, and told to that gate alone
            if len(batch) == 1 or isinstance(error, DatabaseFault):
                for one in batch:
                    if not one.answer.done():
                        one.answer.set_exception(error)
                return
            log.warning(
                "a push of %d gates failed and is taken gate by gate: %s", len(batch), type(error).__name__
            )
            for one in batch:
                await self._answer([one])
            return
        self.commits += 1
        for one, answer in zip(batch, answers, strict=True):
            if not one.answer.done():  # who asked may be gone
                one.answer.set_result(answer)
