"""The log-writer thread: whatever waits goes into one commit, and the loop hears when it is durable.

`Committer` holds the rules and has no thread and no clock; `LogWriter` runs it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from edge.store.faults import FaultKind, StoreFault
from edge.store.log_schema import Batch

LINGER_S = 1.0
"""Longest wait of what is not urgent for a commit to ride along with (DESIGN.md: group commit within 1 s)."""
RETRY_S = 1.0
"""Pause between tries on a disk that failed; a card that hangs is not helped by being asked more often."""
HELD_RECORDS_MAX = 36_000
"""Records kept in memory while the disk takes nothing (DESIGN.md): 20 h of a lane, some 10 MB."""
GROUP_RECORDS_MAX = 2_000
"""Most records in one commit: about 10 ms of work before the sync, so that a scan behind a long drain waits no more."""
IDLE_S = 1.0
"""Quiet time before a checkpoint: its syncs would make a scan that comes meanwhile wait."""
CHECKPOINT_PAGES = 256
"""Journal (1 MB) worth a checkpoint when idle; less is left, so that an idle box writes nothing."""
CHECKPOINT_PAUSE_S = 10.0
"""Least time between checkpoints, also when one failed or a reader held it up; a busy lane fills 1 MB in 30 s."""
WAL_PAGES_MAX = 4_096
"""Journal (16 MB) from which a checkpoint is due however busy we are: it bounds the recovery at start to 0.1 s."""

CLOSE_MAX_S = 5.0
"""Longest wait for the last commit. systemd kills what has not ended after 10 s, of which the front may take 3."""


class Urgency(Enum):
    """Whether somebody waits for the commit."""

    NOW = 1  # a person at the arm, or a peer, waits
    RIDE = 2  # denials, passages: with the next commit, within LINGER_S


class Log(Protocol):
    """What the writer asks of the log (`edge.store.log.LogStore`). All but the reserve raise StoreFault."""

    wal_pages: int

    def append(self, batches: list[Batch], /) -> None:
        """Make all of it durable in one transaction."""

    def checkpoint(self, *, wait: bool = False) -> None:
        """Bring the journal in."""

    def free_reserve(self) -> bool:
        """Give the reserve's room to the log; whether there was any."""

    def keep_reserve(self) -> bool:
        """Make the reserve again where there is room."""

    def reopen(self) -> None:
        """Start over with a new connection."""

    def close(self) -> None:
        """Let go of the file."""


class WriterListener(Protocol):
    """Who hears of commits. Called on the loop's side of `post`."""

    def durable(self, token: int) -> None:
        """Every batch up to `token` is on the medium. After a fault it also means: the disk works again."""

    def faulted(self, fault: StoreFault, token: int) -> None:
        """The disk took nothing: batches after the last durable one, up to `token`, are in memory only.

        Token 0: all is durable, but the journal could not be brought in."""

    def refused(self, fault: StoreFault, token: int) -> None:
        """Memory is full too: the batch `token` is held nowhere, so nothing may be done on its account.

        Nor will any later batch be: only a new run of the gate begins a log without a gap."""

    def alive(self, ticket: int) -> None:
        """The writer came round (`noop`)."""

    def died(self, error: Exception) -> None:
        """A defect of ours ended the writer: nothing that is not durable by now ever will be in this run."""


class Committer:
    """Group commit, faults and checkpoints. `turn` does what is due; any thread may `put`, one may `turn`."""

    def __init__(
        self, log: Log, listener: WriterListener, post: Callable[..., object], linger_s: float = LINGER_S
    ) -> None:
        self._log = log
        self._listener = listener
        self._post = post
        self._linger_s = linger_s
        self._queue: deque[tuple[Batch, Urgency, float]] = deque()
        self._noops: deque[int] = deque()
        self._held: deque[Batch] = deque()
        self._held_lock = threading.Lock()
        """The loop looks at what is held while the thread changes it."""
        self._held_records = 0
        self._overflowed = False
        """A batch was refused: a later one would leave a gap in the chain, so from then on all are."""
        self._due_s: float | None = None
        self._retry_s: float | None = None
        self._last_s = 0.0
        self._checkpoint_s = -CHECKPOINT_PAUSE_S
        self._fault: StoreFault | None = None

    @property
    def fault(self) -> StoreFault | None:
        """What keeps the disk from taking records now."""
        return self._fault

    def held(self) -> tuple[Batch, ...]:
        """Return what is in memory only because the disk failed: to be pushed up while it lasts."""
        if self._fault is None:
            return ()
        with self._held_lock:
            return tuple(self._held)

    def unwritten(self) -> int:
        """Return how many records are in memory only, as far as can be told beside a thread that may be at work."""
        with self._held_lock:
            batches = [*self._held, *(batch for batch, _, _ in tuple(self._queue))]
        return sum(len(batch.records) for batch in batches)

    def put(self, batch: Batch, urgency: Urgency, now_s: float) -> bool:
        """Queue a batch. Returns whether `turn` must be called now."""
        self._queue.append((batch, urgency, now_s))
        # Looked at after the append: had the thread drained the queue just before, nobody else would wake it.
        return urgency is Urgency.NOW or len(self._queue) == 1

    def put_noop(self, ticket: int) -> None:
        """Ask for a sign of life at the next turn."""
        self._noops.append(ticket)

    def turn(self, now_s: float, *, last: bool = False) -> float | None:
        """Do what is due at `now_s`, all of it if `last`. Returns when to come again; None: when something is put."""
        while self._noops:
            self._post(self._listener.alive, self._noops.popleft())
        self._take(now_s)
        retry_due = self._retry_s is not None and (now_s >= self._retry_s or last)
        if self._held and (retry_due or (self._fault is None and (last or self._is_due(now_s)))):
            self._commit_held(now_s)
        if self._fault is None and not self._held:
            self._bring_in(now_s)
        return self._next_s(now_s)

    # --- queue to memory -------------------------------------------------------------------------------------------

    def _take(self, now_s: float) -> None:
        """Move the queue to what is held, telling of each batch what a failed disk means for it."""
        newest = None
        while self._queue:
            batch, urgency, put_s = self._queue.popleft()
            too_many = self._held_records + len(batch.records) > HELD_RECORDS_MAX
            if self._overflowed or (too_many and self._fault is not None):
                self._overflowed = True
                full = StoreFault(
                    FaultKind.MEMORY_FULL, f"{self._held_records} records wait for a disk that takes none"
                )
                self._post(self._listener.refused, full, batch.token)
                continue
            with self._held_lock:
                self._held.append(batch)
            self._held_records += len(batch.records)
            newest = batch.token
            due_s = now_s if urgency is Urgency.NOW else put_s + self._linger_s
            self._due_s = due_s if self._due_s is None else min(self._due_s, due_s)
        if newest is not None and self._fault is not None:
            self._post(self._listener.faulted, self._fault, newest)

    def _is_due(self, now_s: float) -> bool:
        return self._due_s is not None and now_s >= self._due_s

    # --- memory to disk --------------------------------------------------------------------------------------------

    def _commit_held(self, now_s: float) -> None:
        """Commit all that is held, group by group, until done or the disk fails."""
        while self._held:
            group = self._group()
            fault = self._try_append(group)
            if fault is not None:
                self._note_fault(fault, now_s)
                return
            with self._held_lock:
                for _ in group:
                    self._held_records -= len(self._held.popleft().records)
            self._fault = None
            self._retry_s = None
            self._post(self._listener.durable, group[-1].token)
        self._due_s = None
        self._last_s = now_s

    def _group(self) -> list[Batch]:
        group: list[Batch] = []
        records = 0
        for batch in self._held:
            if group and records + len(batch.records) > GROUP_RECORDS_MAX:
                break
            group.append(batch)
            records += len(batch.records)
        return group

    def _try_append(self, group: list[Batch]) -> StoreFault | None:
        """Commit a group; on a fault free the reserve and try once more, with a new connection."""
        try:
            if self._fault is not None:
                self._log.reopen()
            self._log.append(group)
        except StoreFault as first:
            if self._fault is not None:
                return first
            self._log.free_reserve()
            try:
                self._log.reopen()
                self._log.append(group)
            except StoreFault as second:
                return second
        return None

    def _note_fault(self, fault: StoreFault, now_s: float) -> None:
        is_news = self._fault is None or self._fault.kind is not fault.kind
        self._fault = fault
        self._retry_s = now_s + RETRY_S
        if is_news:
            self._post(self._listener.faulted, fault, self._held[-1].token)

    # --- quiet hours -----------------------------------------------------------------------------------------------

    def _bring_in(self, now_s: float) -> None:
        """Checkpoint where it disturbs nobody, or where the journal leaves no choice."""
        pages = self._log.wal_pages
        if pages < CHECKPOINT_PAGES or now_s < self._bring_in_s(pages):
            return
        self._checkpoint_s = now_s
        try:
            self._log.checkpoint(wait=pages >= WAL_PAGES_MAX)
            self._log.keep_reserve()
        except StoreFault as fault:  # nothing is lost: the journal holds it all
            self._post(self._listener.faulted, fault, 0)

    def _bring_in_s(self, pages: int) -> float:
        """Return from when on a journal of so many pages may be brought in."""
        pause_s = IDLE_S if pages < WAL_PAGES_MAX else 0.0
        return max(self._last_s + pause_s, self._checkpoint_s + CHECKPOINT_PAUSE_S)

    def _next_s(self, now_s: float) -> float | None:
        if self._queue or self._noops:
            return now_s
        if self._retry_s is not None:
            return self._retry_s
        if self._held:
            return self._due_s
        if self._log.wal_pages >= CHECKPOINT_PAGES:
            return self._bring_in_s(self._log.wal_pages)
        return None


class LogWriter:
    """The thread. `submit` and `noop` are for the loop; answers come through `post` (loop.call_soon_threadsafe)."""

    def __init__(
        self,
        log: Log,
        listener: WriterListener,
        post: Callable[..., object],
        clock: Callable[[], float] = time.monotonic,
        linger_s: float = LINGER_S,
    ) -> None:
        self._log = log
        self._listener = listener
        self._post = post
        self._clock = clock
        self._committer = Committer(log, listener, post, linger_s)
        # A bare lock as a signal: cheaper per hop than a Condition, which makes a lock for every wait.
        self._signal = threading.Lock()
        self._signal.acquire()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def fault(self) -> StoreFault | None:
        """What keeps the disk from taking records now."""
        return self._committer.fault

    def held(self) -> tuple[Batch, ...]:
        """Return what is in memory only because the disk failed."""
        return self._committer.held()

    def submit(self, batch: Batch, urgency: Urgency) -> None:
        """Queue a batch; `durable`, `faulted` or `refused` follows for its token."""
        if self._committer.put(batch, urgency, self._clock()):
            self._wake()

    def noop(self, ticket: int) -> None:
        """Ask for `alive(ticket)`: the watchdog's proof that the thread makes progress."""
        self._committer.put_noop(ticket)
        self._wake()

    def close(self, limit_s: float = CLOSE_MAX_S) -> int:
        """Commit what waits, end the thread and close the log; returns how many records the disk did not take.

        A disk that hangs is not waited for beyond `limit_s`: the thread ends with the process then.
        """
        self._closing = True
        self._wake()
        self._thread.join(limit_s)
        return self._committer.unwritten()

    def _wake(self) -> None:
        # Released already: the thread has not yet taken the last signal and will see this too.
        try:
            self._signal.release()
        except RuntimeError:
            return

    def _run(self) -> None:
        try:
            while not self._closing:
                at_s = self._committer.turn(self._clock())
                self._signal.acquire(timeout=-1 if at_s is None else max(0.0, at_s - self._clock()))
            self._committer.turn(self._clock(), last=True)
        except Exception as error:  # noqa: BLE001 - the thread's own supervisor: who waits for a commit must hear
            self._post(self._listener.died, error)
        finally:
            self._log.close()
