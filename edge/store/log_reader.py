"""Reading the log file, from any thread or process: each reader has a connection of its own."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import apsw

from admission.chain import PREDECESSOR_SEQ, ROOT, EpochState, Head, Predecessor, link, seed
from admission.ids import Epoch, EventId, GateId, RecordId, TicketId
from admission.observed import NO_EVENT
from admission.presence import COLUMNS, RESET_COLUMNS, PresenceRow, Reset, from_columns, reset_from_columns
from admission.records import Extension, ExtensionRecord, MalformedRecord, record_from_bytes
from edge.store.disk import Disk, LocalDisk
from edge.store.faults import FaultKind, StoreFault, fault_of
from edge.store.log_schema import (
    EPOCHS,
    RUN_KEY,
    Cursor,
    EpochRow,
    ListVersion,
    OverlayRow,
    StandingChange,
    StoredRecord,
    signed,
    unsigned,
)

BUSY_MS = 2000
"""Longest wait for a lock. Nobody but the one writer holds any, for a recovery at most."""
ROWS_MAX = 10_000
"""Most records handed out at once: 1 MB, a slice that a slow link or the lane's loop can take."""

_PRESENCE_OF = f"SELECT {','.join(COLUMNS)} FROM presence WHERE event = ? AND ticket = ?"  # noqa: S608 - our own names

_PRESENCE = (
    f"SELECT {','.join(COLUMNS)} FROM presence WHERE (event, ticket, gate, epoch, seq) > (?,?,?,?,?) "  # noqa: S608 - our own names
    "ORDER BY event, ticket, gate, epoch, seq LIMIT ?"
)
_TICKETS = (
    "SELECT DISTINCT event, ticket FROM presence WHERE (event, ticket) > (?,?) ORDER BY event, ticket LIMIT ?"
)
_RESETS = f"SELECT {','.join(RESET_COLUMNS)} FROM reset"  # noqa: S608 - our own names

READ_CACHE_KIB = 256
"""Each commit of the writer empties a reader's cache (SQLite, WAL): more would only be memory of the walk at the start."""
PAGE_ROWS = 64
"""Rows of one statement where all are read: 0.2 ms, so that a scan meanwhile does not wait, and no reader keeps the
journal from being brought in."""
_I64_MIN, _I64_MAX = -(2**63), 2**63 - 1

Row = tuple[Any, ...]
"""STRICT tables hold what their columns say."""
T = TypeVar("T")


def log_path(data: Path) -> Path:
    """Return where the log lies in a data folder. A folder of its own: it is set aside whole, with its journal."""
    return data / "log" / "log.sqlite3"


def _decoded(decode: Callable[[Row], T], rows: list[Row]) -> Iterator[T]:
    """Yield rows as values; what no row of ours could hold means a damaged file."""
    try:
        for row in rows:
            yield decode(row)
    except (ValueError, IndexError, TypeError, struct.error) as error:
        raise StoreFault(FaultKind.CORRUPT, f"the log holds a row nobody wrote: {error!r}") from error


class LogReader:
    """The log as it stood when each method was called. Every method raises StoreFault when the disk fails."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Use `LogReader.open`."""
        self._connection = connection

    @classmethod
    def open(cls, data: Path, disk: Disk | None = None) -> "LogReader":
        """Open the log of a data folder for reading. StoreFault MISSING where the daemon has not made it yet."""
        path = log_path(data)
        if not path.exists():
            raise StoreFault(FaultKind.MISSING, f"there is no log at {path}", "Start gatehouse-edge once.")
        try:
            connection = apsw.Connection(
                str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=(disk or LocalDisk()).vfs or None
            )
            connection.set_busy_timeout(BUSY_MS)
            # The last one to close would bring the journal in; that is the writer's.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.execute(f"PRAGMA cache_size=-{READ_CACHE_KIB}")
        except apsw.Error as error:
            raise fault_of(error, f"the log {path} cannot be opened") from error
        return cls(connection)

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def records(self, gate: GateId, epoch: Epoch, after: int, limit: int) -> tuple[StoredRecord, ...]:
        """Return up to `limit` (and `ROWS_MAX`) records of a log with seq above `after`, in order."""
        found = self._all(
            "SELECT seq, blob FROM record WHERE gate = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
            (gate, signed(epoch), after, min(limit, ROWS_MAX)),
        )
        return tuple(StoredRecord(gate, epoch, seq, blob) for seq, blob in found)

    def record(self, of: RecordId) -> bytes | None:
        """Return one record's bytes."""
        found = self._all(
            "SELECT blob FROM record WHERE gate = ? AND epoch = ? AND seq = ?",
            (of.gate, signed(of.epoch), of.seq),
        )
        return bytes(found[0][0]) if found else None

    def forks(self) -> tuple[StoredRecord, ...]:
        """Return the records that stand beside others of the same key."""
        return tuple(
            StoredRecord(GateId(gate), Epoch(unsigned(epoch)), seq, blob)
            for gate, epoch, seq, blob in self._all("SELECT * FROM fork", ())
        )

    def epochs(self) -> tuple[EpochRow, ...]:
        """Return what is held of every epoch, in the order they were first met."""
        return tuple(
            EpochRow(GateId(gate), Epoch(unsigned(epoch)), *rest)
            for gate, epoch, *rest in self._all(EPOCHS, ())
        )

    def newest(self, gate: GateId, limit: int) -> tuple[StoredRecord, ...]:
        """Return the last records of a gate, newest first, across its epochs."""
        rest = min(limit, ROWS_MAX)
        newest: list[StoredRecord] = []
        for epoch in self._epochs_backwards(gate):
            found = self._all(
                "SELECT seq, blob FROM record WHERE gate = ? AND epoch = ? ORDER BY seq DESC LIMIT ?",
                (gate, signed(epoch), rest - len(newest)),
            )
            newest += [StoredRecord(gate, epoch, seq, blob) for seq, blob in found]
            if len(newest) >= rest:
                break
        return tuple(newest)

    def states(self, gate: GateId) -> tuple[EpochState, ...]:
        """Return how far each epoch of a gate is held, oldest first: the last one's end is what the next one names.

        Reads and hashes what lies behind each epoch's last head, up to 256 records of an epoch that a crash ended.
        """
        return tuple(self._state(row) for row in self.epochs() if row.gate == gate)

    def newest_state(self, gate: GateId) -> EpochState | None:
        """Return how far the newest epoch of a gate is held: what the next epoch names as its predecessor.

        Of the own gate that is the last run made on this card. After an image was put back, a run that is fetched from
        others is met later, and named instead it would leave the end of the last one unsigned for ever.
        """
        rows = [row for row in self.epochs() if row.gate == gate]
        made = self.meta(RUN_KEY)
        own = next((row for row in rows if made == row.epoch.to_bytes(8, "big")), None)
        newest = own or max(rows, key=lambda row: row.ordinal, default=None)
        return None if newest is None else self._state(newest)

    def _state(self, row: EpochRow) -> EpochState:
        head = next(iter(self.heads_backwards(row.gate, row.epoch, 1)), None)
        seq, at = (
            (head.seq, head.link) if head else (row.pruned_seq, row.pruned_link or seed(row.gate, row.epoch))
        )
        while found := self.records(row.gate, row.epoch, seq, ROWS_MAX):
            for record in found:
                seq, at = record.seq, link(at, record.blob)
        return EpochState(row.epoch, seq, at, head.seq if head else 0, self.predecessor(row.gate, row.epoch))

    def predecessor(self, gate: GateId, epoch: Epoch) -> Predecessor | None:
        """Return what an epoch's second record names; None where that is not known."""
        kept = self._all("SELECT predecessor FROM epoch WHERE gate = ? AND epoch = ?", (gate, signed(epoch)))
        if kept and kept[0][0]:
            return Predecessor.from_bytes(kept[0][0])
        blob = self.record(RecordId(gate, epoch, PREDECESSOR_SEQ))
        if blob is None:
            return None
        try:
            record = record_from_bytes(blob)
            if isinstance(record, ExtensionRecord) and record.type is Extension.PREDECESSOR:
                return Predecessor.from_bytes(record.payload)
        except MalformedRecord:
            return None
        return ROOT

    def heads_backwards(self, gate: GateId, epoch: Epoch, limit: int) -> tuple[Head, ...]:
        """Return the last signed heads of a log, newest first."""
        found = self._all(
            "SELECT seq, link, signature FROM head WHERE gate = ? AND epoch = ? ORDER BY seq DESC LIMIT ?",
            (gate, signed(epoch), limit),
        )
        return tuple(Head(gate, epoch, *row) for row in found)

    def heads(self, gate: GateId, epoch: Epoch, after: int = 0) -> tuple[Head, ...]:
        """Return the signed heads of a log above `after`, in order."""
        found = self._all(
            "SELECT seq, link, signature FROM head WHERE gate = ? AND epoch = ? AND seq > ? ORDER BY seq",
            (gate, signed(epoch), after),
        )
        return tuple(Head(gate, epoch, *row) for row in found)

    def presence_rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        """Return everything presence knows of one ticket."""
        return tuple(_decoded(from_columns, self._all(_PRESENCE_OF, (event, signed(ticket)))))

    def all_presence(self) -> Iterator[PresenceRow]:
        """Yield every presence row, those of a ticket together, a statement per `PAGE_ROWS`."""
        after: tuple[int, ...] = (_I64_MIN,) * 5
        while page := self._all(_PRESENCE, (*after, PAGE_ROWS)):
            yield from _decoded(from_columns, page)
            after = tuple(page[-1][:5])

    def presence_tickets(self) -> Iterator[tuple[EventId, TicketId]]:
        """Yield every ticket that presence knows of, a statement per `PAGE_ROWS`: who is counted at start.

        What stands under no event is about tags (`admission.observed.tag_rows_of`), and nobody's presence.
        """
        after: tuple[int, ...] = (NO_EVENT, _I64_MAX)
        while page := self._all(_TICKETS, (*after, PAGE_ROWS)):
            for event, ticket in page:
                yield EventId(event), TicketId(unsigned(ticket))
            after = tuple(page[-1])

    def resets(self) -> tuple[Reset, ...]:
        """Return every reset that was heard of."""
        return tuple(_decoded(reset_from_columns, self._all(_RESETS, ())))

    def standings(self) -> tuple[StandingChange, ...]:
        """Return every standing change that the applied snapshot may not hold; they overrule its rows."""
        return tuple(
            StandingChange(EventId(event), TicketId(unsigned(ticket)), *rest)
            for event, ticket, *rest in self._all("SELECT * FROM standing", ())
        )

    def overlay(self) -> tuple[OverlayRow, ...]:
        """Return every row that the applied snapshot may not hold; they overrule its own."""
        return tuple(
            OverlayRow(EventId(event), TicketId(unsigned(ticket)), *rest)
            for event, ticket, *rest in self._all("SELECT * FROM overlay", ())
        )

    def list_versions(self) -> tuple[ListVersion, ...]:
        """Return the highest seal seen of each event; an older list is a rollback."""
        return tuple(
            ListVersion(EventId(event), *rest) for event, *rest in self._all("SELECT * FROM list_version", ())
        )

    def cursors(self) -> tuple[Cursor, ...]:
        """Return how far each peer has acknowledged each log."""
        return tuple(
            Cursor(GateId(peer), GateId(gate), Epoch(unsigned(epoch)), acked)
            for peer, gate, epoch, acked in self._all("SELECT * FROM cursor", ())
        )

    def meta(self, key: str) -> bytes | None:
        """Return a value that was kept under a name, such as the schema of what is derived."""
        found = self._all("SELECT value FROM meta WHERE key = ?", (key,))
        return bytes(found[0][0]) if found else None

    def needs_fold(self) -> bool:
        """Whether records are held that presence does not account for (after a salvage)."""
        return bool(self._all("SELECT 1 FROM epoch WHERE unfolded LIMIT 1", ()))

    def _epochs_backwards(self, gate: GateId) -> tuple[Epoch, ...]:
        found = self._all("SELECT epoch FROM epoch WHERE gate = ? ORDER BY ordinal DESC", (gate,))
        return tuple(Epoch(unsigned(epoch)) for (epoch,) in found)

    def _all(self, sql: str, values: tuple[int | str, ...]) -> list[Row]:
        try:
            return list(self._connection.execute(sql, values))
        except apsw.Error as error:
            raise fault_of(error, "the log cannot be read") from error
