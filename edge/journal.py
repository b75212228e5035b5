"""The gate's own log, on the lane's side: numbers and stamps records, chains them, signs heads, waits for the disk.

One `Journal` per daemon run, since an epoch is a run. It hands batches to the writer thread and keeps what is on its
way visible to the next decision. "Record" here is the bytes; what they mean is `admission.records`.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission import chain
from admission.entitlements import Mode
from admission.ids import Epoch, EventId, GateId, LaneId, RecordId, SessionId, TicketId, ZoneId
from admission.lane import Write
from admission.presence import PresenceRow, Reset, rows_of
from admission.records import Extension, ExtensionRecord, Flag, Kind, Record
from edge.clock import Clock, TrustedTime

HEAD_EVERY = 256
"""A head is signed every so many records, 1 s after the last unsigned one, or on request (DESIGN.md, Records)."""
HEAD_AFTER_S = 1.0

log = logging.getLogger("edge.journal")


@dataclass(frozen=True, slots=True)
class Batch:
    """What becomes durable together. `last_seq` is how the writer says that it did."""

    last_seq: int
    records: tuple[tuple[int, bytes], ...]
    presence: tuple[PresenceRow, ...] = ()
    resets: tuple[Reset, ...] = ()
    head: chain.Head | None = None
    urgent: bool = False


class Writer(Protocol):
    """The thread that owns the disk."""

    def submit(self, batch: Batch) -> None:
        """Take a batch; returns at once."""
        ...


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a record comes from."""

    lane: LaneId = LaneId(0)
    zone: ZoneId = ZoneId(0)
    mode: Mode = Mode.NORMAL


class Journal:
    """Appends to the log of this gate's running epoch."""

    def __init__(
        self,
        gate: GateId,
        epoch: Epoch,
        key: Ed25519PrivateKey,
        clock: Clock,
        time: TrustedTime,
        writer: Writer,
        predecessor: chain.Predecessor | None,
    ) -> None:
        self.gate = gate
        self.epoch = epoch
        self.last_seq = 0
        self.durable_seq = 0
        self._key = key
        self._clock = clock
        self._time = time
        self._writer = writer
        self._link = chain.seed(gate, epoch)
        self._started_ns = clock.mono_ns()
        self._signed_seq = 0
        self._pending: dict[tuple[EventId, TicketId], list[PresenceRow]] = {}
        self._landing: deque[tuple[int, PresenceRow]] = deque()
        self._on_durable: list[Callable[[int], None]] = []
        self._begin(predecessor)

    def _begin(self, predecessor: chain.Predecessor | None) -> None:
        """An epoch's first record names the last head known."""
        extensions = () if predecessor is None else ((Extension.PREDECESSOR, predecessor.to_bytes()),)
        self.append((Write(0, Kind.RESTART, extensions=extensions, urgent=True),), Stamp())

    def append(
        self, writes: Sequence[Write], stamp: Stamp, refs: Callable[[int], int] | None = None
    ) -> list[int]:
        """Append the records of one step, in one commit; returns the seq of each body.

        `refs` turns a `ref_token` into the seq it stands for; tokens of this very step are known here.
        """
        now_us = self._clock.now_us()
        mono_ms = (self._clock.mono_ns() - self._started_ns) // 1_000_000
        trust = self._time.trust
        records: list[tuple[int, bytes]] = []
        presence: list[PresenceRow] = []
        seqs: dict[int, int] = {}
        for write in writes:
            ref = seqs.get(write.ref_token) or (refs(write.ref_token) if refs and write.ref_token else 0)
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
                mode=stamp.mode,
                trust=trust,
                flags=write.flags,
                subject=write.subject,
                ref=ref,
                data=write.data,
            )
            seqs[write.token] = body.seq
            self._chain(body.seq, body.to_bytes(), records)
            extensions: list[ExtensionRecord] = []
            for kind, payload in write.extensions:
                extension = ExtensionRecord(kind, self._next(), payload)
                self._chain(extension.seq, extension.to_bytes(), records)
                extensions.append(extension)
            if write.flags & Flag.TICKET:
                presence.extend(rows_of(self.gate, self.epoch, body, tuple(extensions), now_us))
        for row in presence:
            self._pending.setdefault((row.event, row.ticket), []).append(row)
            self._landing.append((self.last_seq, row))
        urgent = any(write.urgent for write in writes)
        head = self.sign_head(records) if self.last_seq - self._signed_seq >= HEAD_EVERY else None
        self._writer.submit(Batch(self.last_seq, tuple(records), tuple(presence), (), head, urgent))
        return [seqs[write.token] for write in writes]

    def _next(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def _chain(self, seq: int, blob: bytes, records: list[tuple[int, bytes]]) -> None:
        self._link = chain.link(self._link, blob)
        records.append((seq, blob))

    @property
    def unsigned(self) -> int:
        """Records after the last signed head."""
        return self.last_seq - self._signed_seq

    def sign_head(self, records: list[tuple[int, bytes]] | None = None) -> chain.Head:
        """Sign what stands so far; with `records`, as part of their commit, else as a batch of its own."""
        head = chain.Head.sign(self._key, self.gate, self.epoch, self.last_seq, self._link)
        extension = ExtensionRecord(Extension.HEAD, self._next(), head.payload())
        own: list[tuple[int, bytes]] = [] if records is None else records
        self._chain(extension.seq, extension.to_bytes(), own)
        self._signed_seq = self.last_seq
        if records is None:
            self._writer.submit(Batch(self.last_seq, tuple(own), head=head))
        return head

    def durable(self, seq: int) -> None:
        """The writer says: everything up to `seq` is on disk. Runs on the loop."""
        self.durable_seq = max(self.durable_seq, seq)
        while self._landing and self._landing[0][0] <= seq:
            _, row = self._landing.popleft()
            rows = self._pending[row.event, row.ticket]
            rows.remove(row)
            if not rows:
                del self._pending[row.event, row.ticket]
        for callback in self._on_durable:
            callback(seq)

    def on_durable(self, callback: Callable[[int], None]) -> None:
        """Have `callback(seq)` called whenever more of the log is durable."""
        self._on_durable.append(callback)

    def pending(self, event: EventId, ticket: TicketId) -> Sequence[PresenceRow]:
        """Return what is on its way to the disk about one ticket."""
        return self._pending.get((event, ticket), ())

    def id_of(self, seq: int) -> RecordId:
        """Return the name of a record of this run."""
        return RecordId(self.gate, self.epoch, seq)


__all__ = ["Batch", "Journal", "SessionId", "Stamp", "Writer"]
