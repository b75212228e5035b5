"""This gate's own log as the uplink sends it: what the file holds, and behind it what only the lane's memory holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from admission.chain import Head, link, seed
from admission.ids import Epoch, GateId
from admission.records import FORMAT, Kind
from edge.link import HeldRecords
from edge.store.faults import StoreFault
from edge.store.log_schema import CENTRE, Cursor, EpochRow, StoredRecord

HEADS_WINDOW = 1024
"""A head stands every 256 records: this far back there is one."""
COUNT_ROWS = 1000
"""Records looked at in one go: 100 kB."""
_SCANS = frozenset(bytes((FORMAT, kind)) for kind in (Kind.SCAN, Kind.STORED))
"""How the body of a scan begins (`admission.records`)."""


class LogSource(Protocol):
    """What is read of the log; `edge.store.log_reader.LogReader` is one."""

    def epochs(self) -> tuple[EpochRow, ...]:
        """Return what is held of every epoch, in the order they were first met."""
        ...

    def records(self, gate: GateId, epoch: Epoch, after: int, limit: int) -> tuple[StoredRecord, ...]:
        """Return up to `limit` records of a log with seq above `after`, in order."""
        ...

    def heads(self, gate: GateId, epoch: Epoch, after: int = 0) -> tuple[Head, ...]:
        """Return the signed heads of a log above `after`, in order."""
        ...

    def cursors(self) -> tuple[Cursor, ...]:
        """Return how far each peer has acknowledged each log, as far as it is kept."""
        ...


@dataclass(slots=True)
class _Memory:
    """Records of the running epoch behind `after`, which the disk has not taken."""

    epoch: Epoch
    after: int
    blobs: list[bytes] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The last seq there is."""
        return self.after + len(self.blobs)


class OwnLog:
    """This gate's own log, as the sender reads it. `look` before each use.

    What the lane gave from its memory (`add`) stays here until the file has it: at most the 36,000 records that the
    lane itself keeps, some 4 MB.
    """

    def __init__(self, source: LogSource, gate: GateId) -> None:
        self._source = source
        self._gate = gate
        self._rows: dict[Epoch, EpochRow] = {}
        self._memory: _Memory | None = None
        self._counted: dict[Epoch, tuple[int, int, int]] = {}
        """By epoch: scans after this seq, counted up to that one, and how many."""
        self.last: dict[Epoch, int] = {}
        """The last seq of each epoch, oldest epoch first."""

    def look(self) -> None:
        """See how far the log has grown. Beside records in memory a disk that cannot be read either stands as it was."""
        try:
            found = self._source.epochs()
        except StoreFault:
            if self._memory is None:
                raise
            return
        self._rows = {row.epoch: row for row in found if row.gate == self._gate}
        self.last = {epoch: row.last_seq for epoch, row in self._rows.items()}
        memory = self._memory
        if memory is not None:
            if self.last.get(memory.epoch, 0) >= memory.last:
                self._memory = None
            else:
                self.last[memory.epoch] = memory.last

    def add(self, given: HeldRecords) -> bool:
        """Take records from the lane's memory; False where they do not go on from what is known. `look` before."""
        epoch = Epoch(given.epoch)
        if not given.blobs or given.first_seq != self.last.get(epoch, 0) + 1:
            return False
        if self._memory is None or self._memory.epoch != epoch:
            self._memory = _Memory(epoch, given.first_seq - 1)
        self._memory.blobs += given.blobs
        self.last[epoch] = self._memory.last
        return True

    def kept_cursors(self) -> dict[Epoch, int]:
        """Return what the log says that the centre has acknowledged."""
        return {
            one.epoch: one.acked_seq
            for one in self._source.cursors()
            if (one.peer, one.gate) == (CENTRE, self._gate)
        }

    def scans_after(self, acked: Callable[[Epoch], int]) -> int:
        """Return how many scans stand behind what was acknowledged of each epoch; only what is new is read. `look` before."""
        return sum(self._scans_after(epoch, acked(epoch)) for epoch in self.last)

    def _scans_after(self, epoch: Epoch, after: int) -> int:
        since, upto, scans = self._counted.get(epoch, (after, after, 0))
        if since != after or upto > self.last[epoch]:
            upto, scans = after, 0
        while found := self.read(epoch, upto, COUNT_ROWS):
            scans += sum(blob[:2] in _SCANS for _, blob in found)
            upto = found[-1][0]
        self._counted[epoch] = (after, upto, scans)
        return scans

    def read(self, epoch: Epoch, after: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Return records of an epoch, for the sender."""
        if after >= self.last.get(epoch, 0):
            return ()
        memory = self._memory
        if memory is not None and memory.epoch == epoch and after >= memory.after:
            at = after - memory.after
            return list(enumerate(memory.blobs[at : at + limit], start=after + 1))
        return [(one.seq, one.blob) for one in self._source.records(self._gate, epoch, after, limit)]

    def link_at(self, epoch: Epoch, seq: int) -> bytes | None:
        """Return what the log ends in at `seq`: from the nearest head before it, hashed on."""
        memory = self._memory
        if memory is not None and memory.epoch == epoch and memory.after < seq <= memory.last:
            at = self.link_at(epoch, memory.after) if memory.after else seed(self._gate, epoch)
            for blob in memory.blobs[: seq - memory.after]:
                at = link(at, blob) if at is not None else None
            return at
        row = self._rows.get(epoch)
        if row is None or not row.pruned_seq <= seq <= row.last_seq:
            return None
        at_seq, at = row.pruned_seq, row.pruned_link or seed(self._gate, epoch)
        for head in self._source.heads(self._gate, epoch, max(at_seq, seq - HEADS_WINDOW)):
            if head.seq <= seq:
                at_seq, at = head.seq, head.link
        while at_seq < seq:
            found = self._source.records(self._gate, epoch, at_seq, seq - at_seq)
            if not found:
                return None
            for one in found:
                at_seq, at = one.seq, link(at, one.blob)
        return at


__all__ = ["LogSource", "OwnLog"]
