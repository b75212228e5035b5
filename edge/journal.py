"""The gate's own log, on the lane's side: numbers and stamps records, chains them, signs heads, waits for the disk.

One `Journal` per daemon run, since an epoch is a run. It hands batches to the writer thread and keeps what is on its
way visible to the next decision. What the bytes mean is `admission.records`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from admission import chain
from admission.corrected import EpochTime
from admission.ids import Epoch, EventId, GateId, LaneId, TicketId, ZoneId
from admission.lane import Write
from admission.observed import RESETTING, tag_rows_of
from admission.presence import PresenceRow, Reset, reset_of, rows_of
from admission.records import Extension, ExtensionRecord, Flag, Kind, Record, stored_data
from edge.clock import Clock, TrustedTime
from edge.store.log_schema import (
    RUN_KEY,
    Batch,
    ListVersion,
    OverlayRow,
    SnapshotMark,
    StandingChange,
    StoredRecord,
)
from edge.store.writer import Urgency

HEAD_EVERY = 256
"""A head is signed every so many records, 1 s after the last unsigned one, or on request (DESIGN.md, Records)."""
HEAD_AFTER_S = 1.0
MONO_MS_MASK = 2**32 - 1
"""A record's mono_ms is a u32 and wraps after 49.7 days of uptime (admission.records)."""


class Writer(Protocol):
    """The thread that owns the disk (`edge.store.writer.LogWriter`)."""

    def submit(self, batch: Batch, urgency: Urgency) -> None:
        """Take a batch; returns at once."""
        ...


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """Where a record comes from."""

    lane: LaneId = LaneId(0)
    zone: ZoneId = ZoneId(0)


class Journal:
    """Appends to the log of this gate's running epoch."""

    def __init__(
        self,
        *,
        gate: GateId,
        epoch: Epoch,
        key: Ed25519PrivateKey,
        clock: Clock,
        time: TrustedTime,
        writer: Writer,
        predecessor: chain.Predecessor,
    ) -> None:
        self.gate = gate
        self.epoch = epoch
        self.last_seq = 0
        self.durable_seq = 0
        self.in_memory = False
        """The disk takes nothing and the policy admits all the same: what is granted now is flagged so."""
        self._key = key
        self._clock = clock
        self._time = time
        self._writer = writer
        self._link = chain.seed(gate, epoch)
        self._started_ns = clock.mono_ns()
        self._placed = EpochTime()
        self._signed_seq = 0
        self._token = 0
        self._unsigned_since_ns = 0
        self._recorded: set[tuple[EventId, TicketId]] = set()
        self.on_presence: Callable[[Sequence[PresenceRow]], None] = lambda _rows: None
        """Told at once what was recorded of presence, by this gate and by others."""
        self._changes: tuple[tuple[StandingChange, ...], tuple[OverlayRow, ...]] = ((), ())
        self._kept: tuple[tuple[str, bytes], ...] = ()
        self._seals: tuple[tuple[ListVersion, ...], tuple[SnapshotMark, ...]] = ((), ())
        """What goes into the next batch, beside its records."""
        self._submitted: deque[tuple[int, int, tuple[PresenceRow, ...]]] = deque()
        self._pending: dict[tuple[EventId, TicketId], list[PresenceRow]] = {}
        self._pending_resets: list[Reset] = []
        self._on_durable: list[Callable[[int], None]] = []
        self._committed = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._kept = ((RUN_KEY, epoch.to_bytes(8, "big")),)
        self.append(
            (
                Write(
                    0,
                    Kind.RESTART,
                    extensions=((Extension.PREDECESSOR, predecessor.to_bytes()),),
                    urgent=True,
                ),
            ),
            Stamp(),
        )

    def append(
        self,
        writes: Sequence[Write],
        stamp: Stamp,
        ref_of: Callable[[int], int] | None = None,
        then: Callable[[], None] | None = None,
    ) -> list[int]:
        """Append the records of one step, in one commit; returns the seq of each body.

        `ref_of` turns a `ref_token` into the seq it stands for; tokens of this very step are known here. `then` is
        called by the writer's thread as soon as they are durable (`Batch.then`).
        """
        seq, link = self.last_seq, self._link
        try:
            return self._append(writes, stamp, ref_of, then)
        except Exception:
            # What cannot be packed must not leave a hole: the log goes on where it stood.
            self.last_seq, self._link = seq, link
            raise

    def _append(
        self,
        writes: Sequence[Write],
        stamp: Stamp,
        ref_of: Callable[[int], int] | None,
        then: Callable[[], None] | None,
    ) -> list[int]:
        now_us, mono_ns, trust = self._time.stamp()
        mono_ms = (mono_ns - self._started_ns) // 1_000_000 & MONO_MS_MASK
        records: list[StoredRecord] = []
        presence: list[PresenceRow] = []
        resets: list[Reset] = []
        seqs: dict[int, int] = {}
        bodies: list[int] = []
        urgent = False
        for write in writes:
            urgent = urgent or write.urgent
            ref = 0
            if write.ref_token:
                ref = seqs.get(write.ref_token) or (ref_of(write.ref_token) if ref_of else 0)
            body = Record(
                kind=write.kind,
                seq=self._next(),
                time_us=now_us,
                mono_ms=mono_ms,
                lane=stamp.lane,
                reader=write.reader,
                zone=stamp.zone,
                session=write.session,
                outcome=write.outcome,
                reason=write.reason,
                direction=write.direction,
                mode=write.mode,
                trust=trust,
                flags=write.flags | Flag.BEFORE_DURABLE if self.in_memory else write.flags,
                subject=write.subject,
                ref=ref,
                data=_data(write, now_us),
            )
            seqs[write.token] = body.seq
            bodies.append(body.seq)
            self._chain(body.seq, body.to_bytes(), records)
            extensions = []
            for kind, payload in write.extensions:
                extension = ExtensionRecord(kind, self._next(), payload)
                self._chain(extension.seq, extension.to_bytes(), records)
                extensions.append(extension)
            placed_us = self._placed.place(body)
            at = (self.gate, self.epoch, body, tuple(extensions), placed_us)
            presence.extend(rows_of(*at))
            presence.extend(tag_rows_of(*at))
            if write.kind in RESETTING:
                reset = reset_of(*at)
                resets.extend(() if reset is None else (reset,))
        heads = (self._sign(records),) if self.unsigned >= HEAD_EVERY else ()
        if resets:
            self._pending_resets.extend(resets)
        self._submit(records, tuple(presence), tuple(resets), heads, urgent=urgent, then=then)
        return bodies

    def applied(
        self, writes: Sequence[Write], versions: tuple[ListVersion, ...], snapshots: tuple[SnapshotMark, ...]
    ) -> None:
        """Record that a list is in use, in one commit with the seals that must never be undercut again."""
        self._seals = (versions, snapshots)
        self.append(writes, Stamp())

    def changed(
        self,
        writes: Sequence[Write],
        standings: tuple[StandingChange, ...],
        overlay: tuple[OverlayRow, ...],
        meta: tuple[tuple[str, bytes], ...],
    ) -> None:
        """Keep changes newer than the list, in one commit and at once: the centre waits to hear that they hold."""
        self._changes = (standings, overlay)
        if writes:
            self._kept = meta
            self.append([replace(one, urgent=True) for one in writes], Stamp())
        else:
            self._submit([], (), (), (), urgent=True, meta=meta)

    def _next(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def _chain(self, seq: int, blob: bytes, records: list[StoredRecord]) -> None:
        self._link = chain.link(self._link, blob)
        records.append(StoredRecord(self.gate, self.epoch, seq, blob))

    def _submit(
        self,
        records: list[StoredRecord],
        presence: tuple[PresenceRow, ...],
        resets: tuple[Reset, ...],
        heads: tuple[chain.Head, ...],
        *,
        urgent: bool,
        meta: tuple[tuple[str, bytes], ...] = (),
        then: Callable[[], None] | None = None,
    ) -> None:
        self._token += 1
        if records and not self._unsigned_since_ns:
            self._unsigned_since_ns = self._clock.mono_ns()
        for row in presence:
            self._pending.setdefault((row.event, row.ticket), []).append(row)
            self._recorded.add((row.event, row.ticket))
        self.on_presence(presence)
        (versions, snapshots), self._seals = self._seals, ((), ())
        (standings, overlay), self._changes = self._changes, ((), ())
        kept, self._kept = self._kept, ()
        self._submitted.append((self._token, self.last_seq, presence))
        self._writer.submit(
            Batch(
                self._token,
                tuple(records),
                presence,
                heads,
                resets,
                standings=standings,
                overlay=overlay,
                list_versions=versions,
                snapshots=snapshots,
                meta=(*meta, *kept),
                then=then,
            ),
            Urgency.NOW if urgent else Urgency.RIDE,
        )

    def carry(self, batch: Batch, *, urgent: bool) -> None:
        """Keep records of other gates beside our own, and let the next decision see what they say of presence."""
        self._token += 1
        for row in batch.presence:
            self._pending.setdefault((row.event, row.ticket), []).append(row)
        self.on_presence(batch.presence)
        self._submitted.append((self._token, self.last_seq, batch.presence))
        self._writer.submit(
            msgspec.structs.replace(batch, token=self._token), Urgency.NOW if urgent else Urgency.RIDE
        )

    @property
    def unsigned(self) -> int:
        """Records after the last signed head."""
        return self.last_seq - self._signed_seq

    def sign_if_due(self) -> None:
        """Sign what stands unsigned for `HEAD_AFTER_S`."""
        since_ns = self._unsigned_since_ns
        if since_ns and self._clock.mono_ns() - since_ns >= HEAD_AFTER_S * 1e9:
            self.sign_head()

    def sign_head(self, *, urgent: bool = False) -> None:
        """Sign what stands so far, if any of it is unsigned; `urgent` where another gate waits to hear of it."""
        if self.unsigned:
            records: list[StoredRecord] = []
            head = self._sign(records)
            self._submit(records, (), (), (head,), urgent=urgent)
            self._unsigned_since_ns = 0

    @property
    def token(self) -> int:
        """Of the batch that was appended last."""
        return self._token

    async def saved(self, limit_s: float, token: int | None = None) -> bool:
        """Wait until all that was appended so far, or up to a batch, is on disk; False where it is not within `limit_s`."""
        wanted = self._token if token is None else token
        if self._committed >= wanted:
            return True
        waiter = (wanted, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            # wait_for() may swallow a cancellation (CPython issue 86296).
            async with asyncio.timeout(limit_s):
                await waiter[1]
        except TimeoutError:
            return False
        finally:
            self._waiters.remove(waiter)
        return True

    def keep(self, key: str, value: bytes) -> None:
        """Have a small value kept beside the log, at once: somebody was told that it is so."""
        self._submit([], (), (), (), urgent=True, meta=((key, value),))

    def keep_along(self, key: str, value: bytes) -> None:
        """Have a small value kept in one commit with what is appended next."""
        self._kept = (*self._kept, (key, value))

    def take_recorded(self) -> set[tuple[EventId, TicketId]]:
        """Return the tickets about which something was recorded since the last call, durable or on its way."""
        recorded, self._recorded = self._recorded, set()
        return recorded

    def uncounted_tickets(self) -> tuple[tuple[EventId, TicketId], ...]:
        """Return what the next `take_recorded` will."""
        return tuple(self._recorded)

    def pending_tickets(self) -> tuple[tuple[EventId, TicketId], ...]:
        """Return the tickets about which something is on its way to the disk."""
        return tuple(self._pending)

    def pending_resets(self) -> tuple[Reset, ...]:
        """Return the presence resets that are on their way to the disk."""
        self._pending_resets = [one for one in self._pending_resets if one.id.seq > self.durable_seq]
        return tuple(self._pending_resets)

    def _sign(self, records: list[StoredRecord]) -> chain.Head:
        head = chain.Head.sign(self._key, self.gate, self.epoch, self.last_seq, self._link)
        extension = ExtensionRecord(Extension.HEAD, self._next(), head.payload())
        self._chain(extension.seq, extension.to_bytes(), records)
        # The head's own record is vouched for by the next one; it alone is never worth a signature.
        self._signed_seq = self.last_seq
        return head

    def durable(self, token: int) -> None:
        """The writer says: every batch up to `token` is on disk. Runs on the loop."""
        seq = self.durable_seq
        landed: list[PresenceRow] = []
        while self._submitted and self._submitted[0][0] <= token:
            _, seq, presence = self._submitted.popleft()
            landed.extend(presence)
        self.durable_seq = seq
        self._committed = max(self._committed, token)
        # First of all the arm: somebody stands before it.
        for callback in self._on_durable:
            callback(seq)
        for row in landed:
            key = (row.event, row.ticket)
            rows = self._pending[key]
            rows.remove(row)
            if not rows:
                del self._pending[key]
        for wanted, waiter in self._waiters:
            if wanted <= token and not waiter.done():
                waiter.set_result(None)

    def seq_of(self, token: int) -> int:
        """Return the last seq of the batches up to `token` that are not durable yet; 0 where all are."""
        return max((seq for at, seq, _ in self._submitted if at <= token), default=0)

    def on_durable(self, callback: Callable[[int], None]) -> None:
        """Have `callback(seq)` called whenever more of the log is durable."""
        self._on_durable.append(callback)

    def pending(self, event: EventId, ticket: TicketId) -> Sequence[PresenceRow]:
        """Return what is on its way to the disk about one ticket."""
        return self._pending.get((event, ticket), ())


def _data(write: Write, now_us: int) -> int:
    if write.kind is not Kind.STORED or write.flags & Flag.REPEATED:
        return write.data
    return stored_data(now_us, write.data)
