"""What the log-writer thread does and when: group commit, faults, checkpoints, pruning. No thread and no clock here."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from typing import Protocol

from admission.ids import Epoch, GateId
from edge.store.faults import FaultKind, StoreFault
from edge.store.log_schema import CENTRE, Batch, Cursor, StoredRecord

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
PRUNE_EVERY_S = 3600.0
"""Pause between looks for records that may go, where the last one found none: a card fills over days."""
PRUNE_PAUSE_S = 0.25
"""Pause between two slices: the disk and the processor stay a scan's, and a month of a busy gate goes in minutes."""
KEEP_ACKED_US = 30 * 86_400 * 1_000_000
"""Acknowledged records stay so long (DESIGN.md): a dispute about an evening is settled at the gate itself."""
KEEP_PRESSED_US = 86_400 * 1_000_000
"""They stay a day also where the disk is pressed: what was let in today is annulled by its record."""
PRUNE_FIRST_S = 60.0
"""Not before the gate has run so long: a start has better things to do with the disk."""


class Urgency(Enum):
    """Whether somebody waits for the commit."""

    NOW = 1  # a person at the arm, or a peer, waits
    RIDE = 2  # denials, passages: with the next commit, within LINGER_S


class Log(Protocol):
    """What the writer asks of the log (`edge.store.log.LogStore`). All but the reserve raise StoreFault."""

    @property
    def wal_pages(self) -> int:
        """Pages in the journal that the file does not hold yet."""
        ...

    def append(self, batches: list[Batch], /) -> None:
        """Make all of it durable in one transaction."""

    def checkpoint(self, *, wait: bool = False) -> None:
        """Bring the journal in."""

    def prune(self, peers: Collection[GateId], older_than_us: int, heard: Iterable[Cursor] = ()) -> int:
        """Remove a slice of what all peers have and is old enough; how many records it was."""

    def is_pressed(self) -> bool:
        """Whether the disk is so full that acknowledged records go early."""

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
    """Group commit, faults, checkpoints and pruning. `turn` does what is due; any thread may `put`, one may `turn`.

    `past_us`: a time that is certainly over, in Unix microseconds, by which acknowledged records are old; without it
    none goes. The box's own clock would not do: ten years ahead it would take all of them.
    """

    def __init__(
        self,
        log: Log,
        listener: WriterListener,
        post: Callable[..., object],
        linger_s: float = LINGER_S,
        past_us: Callable[[], int] | None = None,
    ) -> None:
        self._log = log
        self._listener = listener
        self._post = post
        self._linger_s = linger_s
        self._past_us = past_us
        self._queue: deque[tuple[Batch, Urgency, float]] = deque()
        self._noops: deque[int] = deque()
        self._held: deque[Batch] = deque()
        self._held_lock = threading.Lock()
        """The loop looks at what is held while the thread changes it."""
        self._held_records = 0
        self._overflowed = False
        """A batch was refused: a later one would leave a gap in the chain, so from then on all are."""
        self._acked: dict[tuple[GateId, GateId, Epoch], Cursor] = {}
        """Acknowledgements that are not durable yet; the next commit that nobody waits for takes them along."""
        self._acked_lock = threading.Lock()
        """The loop adds to them while the thread writes them."""
        self._is_awaited = False
        """Somebody waits for what is held: a page more in that commit would be a page more to sync for them."""
        self._due_s: float | None = None
        self._retry_s: float | None = None
        self._last_s = 0.0
        self._checkpoint_s = -CHECKPOINT_PAUSE_S
        self._prune_s: float | None = None
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

    def held_records(self, epoch: Epoch, after: int, limit: int) -> tuple[StoredRecord, ...]:
        """Return up to `limit` records of an epoch that are in memory only because the disk failed, above `after`."""
        found: list[StoredRecord] = []
        for batch in self.held():
            if batch.records and batch.records[-1].seq > after and batch.records[0].epoch == epoch:
                found += [one for one in batch.records if one.seq > after]
                if len(found) >= limit:
                    break
        return tuple(found[:limit])

    def put_acked(self, cursors: Iterable[Cursor]) -> None:
        """Keep what a peer acknowledged, by and by: never worth a commit, and only the newest of each log counts."""
        with self._acked_lock:
            self._acked.update(((one.peer, one.gate, one.epoch), one) for one in cursors)

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
            if last:
                self._keep_acked(now_s)
            else:
                self._prune(now_s)
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
            self._is_awaited = self._is_awaited or urgency is Urgency.NOW
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
            riding = self._riding() if not self._is_awaited else ()
            more = [Batch(group[-1].token, cursors=riding)] if riding else []
            fault = self._try_append([*group, *more])
            if fault is not None:
                self._note_fault(fault, now_s)
                return
            # First of all the arm: somebody stands before it.
            for batch in group:
                if batch.then is not None:
                    batch.then()
            self._forget(riding)
            with self._held_lock:
                for _ in group:
                    self._held_records -= len(self._held.popleft().records)
            self._fault = None
            self._retry_s = None
            self._post(self._listener.durable, group[-1].token)
        self._due_s = None
        self._is_awaited = False
        self._last_s = now_s

    def _riding(self) -> tuple[Cursor, ...]:
        """Return the acknowledgements that are not durable yet."""
        with self._acked_lock:
            return tuple(self._acked.values())

    def _forget(self, written: Iterable[Cursor]) -> None:
        """Drop the acknowledgements that became durable, but for those that a newer one took the place of."""
        with self._acked_lock:
            for one in written:
                key = (one.peer, one.gate, one.epoch)
                if self._acked.get(key) == one:
                    del self._acked[key]

    def _keep_acked(self, now_s: float) -> None:
        """Write the acknowledgements at the end: whoever asks the log of a gate at rest what is unsent reads them."""
        riding = self._riding()
        if not riding:
            return
        fault = self._try_append([Batch(0, cursors=riding)])
        if fault is None:
            self._forget(riding)
        else:
            self._post(self._listener.faulted, fault, 0)
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

    def _prune(self, now_s: float) -> None:
        """Remove a slice of what the centre has and is old, where nobody has been about for a while."""
        if self._past_us is None:
            return
        if self._prune_s is None:
            self._prune_s = now_s + PRUNE_FIRST_S
        if now_s < self._next_prune_s(self._prune_s):
            return
        removed = 0
        riding = self._riding()
        try:
            keep_us = KEEP_PRESSED_US if self._log.is_pressed() else KEEP_ACKED_US
            removed = self._log.prune((CENTRE,), self._past_us() - keep_us, riding)
        except StoreFault as fault:  # nothing is lost: what was to go is there still
            self._post(self._listener.faulted, fault, 0)
        self._prune_s = now_s + (PRUNE_PAUSE_S if removed else PRUNE_EVERY_S)

    def _next_prune_s(self, due_s: float) -> float:
        """Return from when on a slice that is due may be removed."""
        return max(self._last_s + IDLE_S, due_s)

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
        due = [self._next_prune_s(self._prune_s)] if self._prune_s is not None else []
        if self._log.wal_pages >= CHECKPOINT_PAGES:
            due.append(self._bring_in_s(self._log.wal_pages))
        return min(due, default=None)
