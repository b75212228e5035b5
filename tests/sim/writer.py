"""The log writer without its thread: the very `Committer`, its turns taken on the virtual loop, at a card's pace."""

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Any

from admission.ids import Epoch
from edge.store.committer import Committer, Log, Urgency, WriterListener
from edge.store.faults import StoreFault
from edge.store.log_schema import Batch, Cursor, StoredRecord
from edge.store.writer import LogWriter
from tests.sim.loop import PowerCut

HOP_S = 0.0002
"""From the loop to the thread."""


class Pace:
    """How long a card takes for a commit."""

    def __init__(self, chance: random.Random, base_s: float, tail: float) -> None:
        self._chance, self._base_s, self._tail = chance, base_s, tail
        self.extra_s = 0.0
        """While a card hangs."""

    def commit_s(self) -> float:
        """Return the length of the next commit."""
        slow = 0.25 if self._chance.random() < self._tail else 0.0
        return self._base_s * self._chance.uniform(0.5, 2.0) + slow + self.extra_s


class WatchedLog:
    """A log whose commits are seen by the history: what `append` returned from is on the medium, or should be."""

    def __init__(self, log: Log, on_commit: Callable[[Batch], None]) -> None:
        self._log, self._on_commit = log, on_commit

    def append(self, batches: list[Batch], /) -> None:
        self._log.append(batches)
        for batch in batches:
            self._on_commit(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class SimWriter(LogWriter):
    """`LogWriter` on virtual time. What a turn posts arrives when the card is done; a cut in between loses it."""

    def __init__(
        self,
        log: Log,
        listener: WriterListener,
        post: Callable[..., object],
        *,
        pace: Pace,
        on_batch: Callable[[Batch], None],
        on_commit: Callable[[Batch], None],
        on_cut: Callable[[], None],
        past_us: Callable[[], int] | None = None,
    ) -> None:
        self._log = log
        watched: Any = WatchedLog(log, on_commit)
        self._loop = asyncio.get_running_loop()
        self._pace = pace
        self._on_batch = on_batch
        self._on_cut = on_cut
        self._told: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._to_loop = post
        self._committer = Committer(watched, listener, self._later, past_us=past_us)
        self._busy = self._signalled = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def _later(self, call: Callable[..., object], *arguments: Any) -> None:
        self._told.append((call, arguments))

    def submit(self, batch: Batch, urgency: Urgency) -> None:
        self._on_batch(batch)
        if self._committer.put(batch, urgency, self._loop.time()):
            self._soon(HOP_S)

    def noop(self, ticket: int) -> None:
        self._committer.put_noop(ticket)
        self._soon(HOP_S)

    def acked(self, cursors: Iterable[Cursor]) -> None:
        self._committer.put_acked(cursors)

    def held_records(self, epoch: Epoch, after: int, limit: int) -> tuple[StoredRecord, ...]:
        return self._committer.held_records(epoch, after, limit)

    @property
    def fault(self) -> StoreFault | None:
        return self._committer.fault

    def _soon(self, in_s: float) -> None:
        """Take a turn soon, or when the one under way is over."""
        if self._closed:
            return
        if self._busy:
            self._signalled = True
            return
        if self._timer is not None:
            if self._timer.when() <= self._loop.time() + in_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(in_s, self._turn)

    def _turn(self) -> None:
        """Begin a turn: the card takes its time, then what was put by then is done at once."""
        self._timer = None
        self._busy = True
        committer = self._committer
        works = committer._queue or committer._held
        self._loop.call_later(self._pace.commit_s() if works else 0.0, self._work)

    def _work(self) -> None:
        self._signalled = False
        try:
            again_s = self._committer.turn(self._loop.time())
        except PowerCut:
            self._on_cut()
            return
        except Exception as error:  # noqa: BLE001 - as the thread does
            self._to_loop(self._committer._listener.died, error)
            return
        self._loop.call_later(HOP_S, self._done, again_s)

    def _done(self, again_s: float | None) -> None:
        self._busy = False
        told, self._told = self._told, []
        for call, arguments in told:
            self._to_loop(call, *arguments)
        if self._signalled or self._committer._queue:
            self._soon(HOP_S)
        elif again_s is not None:
            self._soon(max(0.0, again_s - self._loop.time()))

    def close(self, limit_s: float = 5.0) -> int:  # noqa: ARG002 - the Protocol's
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            self._committer.turn(self._loop.time(), last=True)
        except PowerCut:
            self._on_cut()
            raise
        told, self._told = self._told, []
        for call, arguments in told:
            self._to_loop(call, *arguments)
        self._log.close()
        return self._committer.unwritten()
