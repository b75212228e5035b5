"""The log file: precious. One writer, readers beside it, every acknowledged record on the medium (DESIGN.md, Gate stores).

WAL with `synchronous=FULL`: each commit is synced before `append` returns. NORMAL loses acknowledged records at a
power cut (measured, and held by a test).
"""

import contextlib
import os
from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from pathlib import Path

import apsw

from admission.chain import Head
from admission.corrected import is_believed
from admission.ids import Epoch, GateId
from admission.presence import PresenceRow, Reset, Role
from admission.records import (
    EXTENSION_BIT,
    NEVER_US,
    MalformedRecord,
    Record,
    made_us,
    record_from_bytes,
)
from edge.store import log_schema as schema
from edge.store.disk import Disk, LocalDisk, hold
from edge.store.faults import FaultKind, StoreFault, fault_of
from edge.store.log_reader import BUSY_MS, LogReader, log_path
from edge.store.log_schema import I64_END, U64_END, Batch, Cursor, StoredRecord, signed
from edge.store.salvage import Salvage, finish, salvage

RESERVE_BYTES = 8 * 1024 * 1024
"""Room kept for the log alone: about 20,000 records with what is derived from them."""
RESERVE_NEEDS_BYTES = 4 * RESERVE_BYTES
"""Room there must be before the reserve is made (again); taking the last of a disk helps nobody."""
CHECK_BYTES_MAX = 32 * 1024 * 1024
"""Largest file examined page by page at start: 100 ms here, half a second on a Pi. A larger one shows damage as it is
read; `gatehouse-edge verify` reads all of it."""
PRUNE_RECORDS_MAX = 512
"""Records removed in one go: 2 ms beside its commit, so that a scan that comes meanwhile waits little longer than for
another's commit. A head is signed every 256 records; where two lie further apart, one go takes what lies between."""
PRESSED_RATIO = 0.7
"""Share of the disk in use from which acknowledged records go before their 30 days are over."""

READERS_MS = 20
"""Longest wait of a checkpoint for readers, whose statements take a hundredth of that: one that takes longer stands still,
as the front does on a processor that is flooded, and whoever is at an arm would stand still with it. The next comes soon."""
WRITE_CACHE_KIB = 1024
"""Holds the inner pages of a month's log and the leaves that tonight's records go to."""


class Synchronous(Enum):
    """How far SQLite waits for the medium. NORMAL is here for the test that proves why FULL is needed."""

    FULL = "FULL"
    NORMAL = "NORMAL"


class LogStore(LogReader):
    """The log, opened by its one writer. For one thread; readers have a `LogReader` of their own.

    Every method raises StoreFault when the disk fails; nothing is then half done.
    """

    def __init__(self, data: Path, disk: Disk, synchronous: Synchronous, lock: int) -> None:
        """Use `LogStore.open`."""
        self._data = data
        self._disk = disk
        self._synchronous = synchronous
        self._lock: int | None = lock
        self._path = log_path(data)
        self._epochs: set[tuple[GateId, Epoch]] = set()
        """Epochs that surely have their row."""
        self._wal_pages: int | None = None
        """Of the journal, where nothing was written since it was asked."""
        self.salvaged: Salvage | None = None
        """What happened to a damaged log at this opening; None where all was well."""
        super().__init__(self._open_or_salvage())

    @classmethod
    def open(
        cls, data: Path, disk: Disk | None = None, synchronous: Synchronous = Synchronous.FULL
    ) -> "LogStore":
        """Open the log of a data folder, making what is not there; a damaged log is set aside and salvaged.

        StoreFault HELD while another daemon has it, READ_ONLY, FULL or IO where it cannot be written.
        """
        disk = disk or LocalDisk()
        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise fault_of(error, f"the data folder {data} cannot be made") from error
        lock = hold(disk, data / "log.lock")
        try:
            store = cls(data, disk, synchronous, lock)
        except (apsw.Error, OSError) as error:
            os.close(lock)
            raise fault_of(error, f"the log in {data} cannot be opened") from error
        except StoreFault:
            os.close(lock)
            raise
        store.keep_reserve()
        return store

    def append(self, batches: Sequence[Batch]) -> None:
        """Write batches in one transaction; once it returns they are on the medium.

        A record whose key is held already changes nothing; with other bytes it goes to `forks`. Seals and standings
        only ever rise. After StoreFault nothing of it is there, or (power, cable) all of it after the next start.
        """
        try:
            if len(batches) == 1 and self._is_step(batches[0]):
                self._write_step(batches[0])
            else:
                self._connection.execute("BEGIN IMMEDIATE")
                for batch in batches:
                    self._write(batch)
                self._connection.execute("COMMIT")
            self._wal_pages = None
        except apsw.Error as error:
            self._roll_back()
            raise fault_of(error, "the log could not be written") from error

    def rebuild_presence(self, rows: Iterable[PresenceRow], resets: Iterable[Reset]) -> None:
        """Replace what is derived from the records held.

        Rows of records that are not stay: those were pruned, or a damaged page took them, and whoever came in has all the same.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(schema.FORGET_DERIVED)
            self._connection.executemany(schema.UPSERT_PRESENCE, (row.as_columns() for row in rows))
            self._connection.executemany(schema.UPSERT_RESET, (reset.as_columns() for reset in resets))
            self._connection.execute("UPDATE epoch SET unfolded = 0")
            self._connection.execute("COMMIT")
            self._wal_pages = None
        except apsw.Error as error:
            self._roll_back()
            raise fault_of(error, "presence could not be rebuilt") from error

    @property
    def wal_pages(self) -> int:
        """Pages in the journal that the file does not hold yet.

        Asked for, never told by each commit: a call into Python would stand between a record's sync and its pulse.
        """
        if self._wal_pages is None:
            try:
                in_wal, done = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            except apsw.Error:
                return 0  # a connection that failed: the next commit meets it, and whoever waits is told
            self._wal_pages = in_wal if in_wal > done else 0
        return self._wal_pages

    def prune(self, peers: Collection[GateId], older_than_us: int, heard: Iterable[Cursor] = ()) -> int:
        """Remove closed prefixes that all `peers` acknowledged and whose last body is older; return how many records.

        A prefix is closed by a signed head, whose link is kept so that the rest can still be verified. About
        `PRUNE_RECORDS_MAX` go at once, oldest epoch first: call again until it returns 0. `heard`: acknowledgements
        newer than the cursors kept; they become durable with what is removed on their account, and not before.
        """
        newest = {(one.peer, one.gate, one.epoch): one for one in (*self.cursors(), *heard)}
        for gate, epoch in self._acknowledged_beyond(newest.values()):
            acked = [newest.get((peer, gate, epoch)) for peer in peers]
            by_all = min((one.acked_seq if one is not None else 0 for one in acked), default=0)
            closing = self._closing_head(gate, epoch, by_all, older_than_us)
            if closing is not None:
                return self._remove_prefix(closing, [one for one in acked if one is not None])
        return 0

    def is_pressed(self) -> bool:
        """Whether so much of the disk is in use that acknowledged records should go early.

        Room that pruning left inside the file counts as free: the next records go there.
        """
        (pages,), (page_bytes,) = self._all("PRAGMA freelist_count", ()) + self._all("PRAGMA page_size", ())
        try:
            whole, free = self._disk.total_bytes(self._data), self._disk.free_bytes(self._data)
        except OSError as error:
            raise fault_of(error, "the disk's room cannot be read") from error
        return whole > 0 and 1 - (free + pages * page_bytes) / whole >= PRESSED_RATIO

    def checkpoint(self, *, wait: bool = False) -> None:
        """Bring the journal's pages into the file. `wait`: for readers too, a moment, so that the journal starts over."""
        mode = apsw.SQLITE_CHECKPOINT_RESTART if wait else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            self._connection.set_busy_timeout(READERS_MS)
            in_wal, done = self._connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:
            return  # a reader is at it: the next one comes soon
        except apsw.Error as error:
            raise fault_of(error, "the log's journal could not be brought in") from error
        finally:
            with contextlib.suppress(
                apsw.ConnectionClosedError
            ):  # it could not be opened again: the next one waits so anyway
                self._connection.set_busy_timeout(BUSY_MS)
        self._wal_pages = max(0, in_wal - done)

    def free_reserve(self) -> bool:
        """Give the reserve's room to the log. Returns whether there was any."""
        reserve = self._data / "log.reserve"
        try:
            if not reserve.exists():
                return False
            self._disk.remove(reserve)
        except OSError:
            return False
        return True

    def keep_reserve(self) -> bool:
        """Make the reserve where it is missing and there is room. Returns whether it is there."""
        reserve = self._data / "log.reserve"
        try:
            if reserve.exists() and reserve.stat().st_size >= RESERVE_BYTES:
                return True
            if self._disk.free_bytes(self._data) < RESERVE_NEEDS_BYTES:
                return False
            self._disk.fill(reserve, RESERVE_BYTES)
        except OSError:
            return False
        return True

    def reopen(self) -> None:
        """Start over with a new connection, since one that met an I/O error may keep failing. StoreFault if it does."""
        self._epochs.clear()
        with contextlib.suppress(apsw.Error):
            self._connection.close()
        try:
            self._connection = self._connect(self._path)
        except apsw.Error as error:
            raise fault_of(error, "the log cannot be opened again") from error

    def close(self) -> None:
        """Bring the journal in as far as the disk allows, and let another daemon have the log. Again is nothing more."""
        with contextlib.suppress(apsw.Error):
            # Emptied too, unlike while running: the next start need not read a journal that is in the file already.
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        with contextlib.suppress(apsw.Error):
            self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- opening ---------------------------------------------------------------------------------------------------

    def _open_or_salvage(self) -> apsw.Connection:
        finish(self._data, self._disk)
        try:
            return self._open_checked()
        except StoreFault as fault:
            if fault.kind not in {FaultKind.CORRUPT, FaultKind.OTHER_FORMAT}:
                raise
            cause = fault
        self.salvaged = salvage(self._data, self._disk, cause, self._create)
        return self._open_checked()

    def _open_checked(self) -> apsw.Connection:
        """Open the present log, or make one. StoreFault CORRUPT or OTHER_FORMAT where it must be set aside."""
        folder = self._path.parent
        try:
            if not self._path.exists():
                folder.mkdir(exist_ok=True)
                connection = self._create(self._path)
                self._disk.sync_folder(folder)
                self._disk.sync_folder(self._data)
                return connection
            connection = self._connect(self._path)
        except (apsw.Error, OSError) as error:
            raise fault_of(error, f"the log {self._path} cannot be opened") from error
        try:
            if _is_empty(connection):  # the power failed before its first commit
                _fill_schema(connection)
                self._disk.sync_folder(folder)
                self._disk.sync_folder(self._data)
            _add_overlay(connection)
            _examine(connection, self._path)
        except (apsw.Error, OSError) as error:
            connection.close()
            raise fault_of(error, f"the log {self._path} cannot be read") from error
        except StoreFault:
            connection.close()
            raise
        return connection

    def _create(self, path: Path) -> apsw.Connection:
        connection = self._connect(path)
        try:
            if _is_empty(connection):
                _fill_schema(connection)
        except apsw.Error:
            connection.close()
            raise
        return connection

    def _connect(self, path: Path) -> apsw.Connection:
        connection = apsw.Connection(str(path), vfs=self._disk.vfs or None)
        try:
            connection.set_busy_timeout(BUSY_MS)
            # A damaged file must be set aside as it is, so closing never brings the journal in: `close` does.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            connection.execute(f"PRAGMA synchronous={self._synchronous.value}")
            connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
            connection.execute(f"PRAGMA cache_size=-{WRITE_CACHE_KIB}")
            connection.execute("PRAGMA temp_store=MEMORY").fetchall()
            connection.execute(schema.CREATE_STEP)
        except apsw.Error:
            connection.close()
            raise
        return connection

    # --- writing ---------------------------------------------------------------------------------------------------

    def _forget_taps(self, rows: Sequence[PresenceRow]) -> None:
        for row in rows:
            if row.role is Role.TAP:
                least = row.flags - schema.TAPS_KEPT
                self._connection.execute(schema.FORGET_TAPS, (*row.as_columns()[:3], int(Role.TAP), least))

    def _is_step(self, batch: Batch) -> bool:
        """Whether a batch is one record of a known epoch with its one row, and nothing else: somebody at an arm."""
        if len(batch.records) != 1 or len(batch.presence) != 1 or batch.presence[0].role is Role.TAP:
            return False
        beside = (
            batch.heads or batch.resets or batch.standings or batch.overlay or batch.list_versions
            or batch.snapshots or batch.cursors or batch.forks or batch.meta
        )  # fmt: skip
        return not beside and batch.records[0][:2] in self._epochs

    def _write_step(self, batch: Batch) -> None:
        """Write such a batch, durably."""
        before = self._connection.total_changes()
        columns = (*_record_columns(batch.records[0]), *batch.presence[0].as_columns())
        self._connection.execute(schema.INSERT_STEP, columns)
        if self._connection.total_changes() - before < 2:  # its key was held before
            self._connection.execute("BEGIN IMMEDIATE")
            self._keep_forks(batch.records)
            self._connection.execute("COMMIT")

    def _write(self, batch: Batch) -> None:
        run = self._connection.executemany
        self._write_records(batch.records)
        # A grant, with somebody at the arm, is one row: one statement is half the time of many.
        if len(batch.presence) == 1:
            self._connection.execute(schema.UPSERT_PRESENCE, batch.presence[0].as_columns())
        elif batch.presence:
            run(schema.UPSERT_PRESENCE, [row.as_columns() for row in batch.presence])
        self._forget_taps(batch.presence)
        if batch.heads:
            run(
                schema.INSERT_HEAD,
                [
                    (head.gate, signed(head.epoch), head.seq, head.link, head.signature)
                    for head in batch.heads
                ],
            )
        if batch.resets:
            run(schema.UPSERT_RESET, [reset.as_columns() for reset in batch.resets])
        if batch.standings:
            run(
                schema.UPSERT_STANDING,
                [(event, signed(ticket), *rest) for event, ticket, *rest in batch.standings],
            )
        if batch.overlay:
            run(
                schema.UPSERT_OVERLAY,
                [(event, signed(ticket), *rest) for event, ticket, *rest in batch.overlay],
            )
        if batch.list_versions:
            run(schema.UPSERT_LIST_VERSION, batch.list_versions)
        if batch.snapshots:
            run(schema.FORGET_STANDINGS, batch.snapshots)
            run(schema.FORGET_OVERLAY, batch.snapshots)
        self._write_cursors(batch.cursors)
        if batch.forks:
            run(schema.INSERT_FORK, map(_record_columns, batch.forks))
        if batch.meta:
            run(schema.UPSERT_META, batch.meta)

    def _write_cursors(self, cursors: Sequence[Cursor]) -> None:
        if cursors:
            self._connection.executemany(
                schema.UPSERT_CURSOR,
                [(peer, gate, signed(epoch), acked) for peer, gate, epoch, acked in cursors],
            )

    def _write_records(self, records: tuple[StoredRecord, ...]) -> None:
        if not records:
            return
        before = self._connection.total_changes()
        self._connection.executemany(schema.INSERT_RECORD, _records_columns(records))
        if self._connection.total_changes() - before < len(records):  # some keys were held before
            self._keep_forks(records)
        for at in {(gate, epoch): None for gate, epoch, _, _ in records}:
            if at not in self._epochs:
                self._connection.execute(schema.INSERT_EPOCH, (at[0], signed(at[1])))
                self._epochs.add(at)

    def _keep_forks(self, records: tuple[StoredRecord, ...]) -> None:
        """Keep the bytes that differ from those held under their key beside them."""
        for record in records:
            gate, epoch, seq, blob = _record_columns(record)
            held = self._connection.execute(
                "SELECT blob FROM record WHERE gate = ? AND epoch = ? AND seq = ?", (gate, epoch, seq)
            ).get
            if held != blob:
                self._connection.execute(schema.INSERT_FORK, (gate, epoch, seq, blob))

    def _roll_back(self) -> None:
        self._epochs.clear()
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    # --- pruning ---------------------------------------------------------------------------------------------------

    def _acknowledged_beyond(self, cursors: Iterable[Cursor]) -> list[tuple[GateId, Epoch]]:
        """Return the logs of which more was acknowledged than was removed, in the order they were first met."""
        found: dict[tuple[GateId, Epoch], int] = {}
        for _, gate, epoch, acked in cursors:
            for ordinal, pruned in self._all(schema.PRUNED, (gate, signed(epoch))):
                if acked > pruned:
                    found[gate, epoch] = ordinal
        return sorted(found, key=lambda one: found[one])

    def _closing_head(self, gate: GateId, epoch: Epoch, acked: int, older_than_us: int) -> Head | None:
        """Return the head up to which to remove: the furthest within one go, or the next one. None: nothing is due."""
        closing = None
        for seq, link_, signature, pruned in self._all(schema.CLOSING_HEADS, (gate, signed(epoch), acked)):
            head = Head(gate, epoch, seq, link_, signature)
            if closing is not None and seq - pruned > PRUNE_RECORDS_MAX:
                break
            if self._time_us(head) >= older_than_us:
                break
            closing = head
        return closing

    def _time_us(self, head: Head) -> int:
        """Return when the last body below a head was made, or a time after that where its clock was not believed.

        One that cannot be read, and one after which no clock was ever believed, is never old enough.
        """
        found = self._all(
            "SELECT blob FROM record WHERE gate = ? AND epoch = ? AND seq <= ? ORDER BY seq DESC LIMIT 64",
            (head.gate, signed(head.epoch), head.seq),
        )
        for (blob,) in found:
            if not blob[0] & EXTENSION_BIT:
                with contextlib.suppress(MalformedRecord):
                    body = record_from_bytes(blob)
                    if isinstance(body, Record):
                        return body.time_us if is_believed(body) else self._known_after_us(head)
        return NEVER_US

    def _known_after_us(self, head: Head) -> int:
        """Return the time of the gate's first record after a head whose clock was believed."""
        for (blob,) in self._all(schema.BELIEVED_AFTER, (head.gate, signed(head.epoch), head.seq)):
            return made_us(blob)
        return NEVER_US

    def _remove_prefix(self, head: Head, acked: Sequence[Cursor]) -> int:
        key = (head.gate, signed(head.epoch), head.seq)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            named = self.predecessor(head.gate, head.epoch)
            self._connection.execute("DELETE FROM record WHERE gate = ? AND epoch = ? AND seq <= ?", key)
            removed = self._connection.changes()
            self._connection.execute("DELETE FROM head WHERE gate = ? AND epoch = ? AND seq < ?", key)
            self._connection.execute(
                "UPDATE epoch SET pruned_seq = ?3, pruned_link = ?4, predecessor = ?5 WHERE gate = ?1 AND epoch = ?2",
                (*key, head.link, named.to_bytes() if named is not None else b""),
            )
            self._write_cursors(acked)
            self._connection.execute("COMMIT")
            self._wal_pages = None
        except (apsw.Error, StoreFault) as error:
            self._roll_back()
            if isinstance(error, StoreFault):
                raise
            raise fault_of(error, "old records could not be removed") from error
        return removed


def _records_columns(records: Iterable[StoredRecord]) -> list[tuple[int, int, int, bytes]]:
    """Return the columns of many: of a neighbour's day these are most of what the writer's thread does itself."""
    return [
        (gate, epoch if epoch < I64_END else epoch - U64_END, seq, blob) for gate, epoch, seq, blob in records
    ]


def _record_columns(record: StoredRecord) -> tuple[int, int, int, bytes]:
    gate, epoch, seq, blob = record
    return gate, signed(epoch), seq, blob


def _is_empty(connection: apsw.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_schema").get


def _fill_schema(connection: apsw.Connection) -> None:
    """Make the tables and the format number in one transaction: a power cut leaves all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(schema.CREATE)
        connection.execute(schema.CREATE_OVERLAY)
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}").fetchall()
        connection.execute(f"PRAGMA user_version={schema.FORMAT}").fetchall()
        connection.execute("COMMIT")
    except apsw.Error:
        with contextlib.suppress(apsw.Error):
            connection.execute("ROLLBACK")
        raise


def _add_overlay(connection: apsw.Connection) -> None:
    """Add the one table that a log of before has not."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if tables == schema.TABLES - {"overlay"}:
        connection.execute(schema.CREATE_OVERLAY)


def _examine(connection: apsw.Connection, path: Path) -> None:
    """StoreFault where the file is not ours, of another format, or damaged."""
    application = connection.execute("PRAGMA application_id").get
    version = connection.execute("PRAGMA user_version").get
    if application != schema.APPLICATION_ID or version != schema.FORMAT:
        raise StoreFault(
            FaultKind.OTHER_FORMAT,
            f"the log {path} has format {version}, this version writes {schema.FORMAT}",
        )
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if tables != schema.TABLES:
        raise StoreFault(FaultKind.CORRUPT, f"the log {path} lacks tables")
    if path.stat().st_size <= CHECK_BYTES_MAX:
        verdict = connection.execute("PRAGMA quick_check(1)").get
        if verdict != "ok":
            raise StoreFault(FaultKind.CORRUPT, f"the log {path} is damaged: {verdict}")
