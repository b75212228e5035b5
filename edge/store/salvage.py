"""A log file that cannot be trusted: set aside whole, never overwritten, and what is readable taken over.

The folder `log` is what counts. A new one is filled as `log.salvaged`, synced, and takes the place of `log`, which
becomes `log.aside-N`. Wherever the power fails, the next start finds either the damaged `log` (and begins again) or
`log.salvaged` without `log` (and finishes the last step).
"""

import contextlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from admission.presence import from_columns
from edge.store.disk import Disk
from edge.store.faults import StoreFault
from edge.store.log_schema import APPLIED_KEY, FEED_CURSOR, RUN_KEY, SALVAGED, signed

ASIDES_MAX = 8
"""Damaged logs kept. The oldest goes first: whatever of it was readable lives on in the present log."""
PAGE_BYTES = 4096
"""SQLite's page size where nobody chose another; ours are made so."""
RECORD_BYTES_MIN = 56
"""A record's body alone; with its key it takes some 75 bytes of the file."""
PROBE_RECORDS = 32
"""Records asked for at once around a damaged page; a page holds about fifty."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """What came of a damaged log: for the page, the journal and the chain_break record."""

    cause: StoreFault
    aside: Path
    """Where the damaged folder lies now."""
    records_kept: int
    records_missing: int
    """Gaps below the last record known; peers and the centre may still hold them."""


def finish(data: Path, disk: Disk) -> None:
    """Complete or undo a salvage that a power cut interrupted. OSError as the disk says."""
    log, fresh = data / "log", data / "log.salvaged"
    if not fresh.exists():
        return
    if log.exists():
        disk.remove(fresh)
    else:
        disk.rename(fresh, log)
        disk.sync_folder(data)


def salvage(data: Path, disk: Disk, cause: StoreFault, create: Callable[[Path], apsw.Connection]) -> Salvage:
    """Replace the damaged log of a data folder. `create` makes an empty log file and returns its connection.

    apsw.Error or OSError where the disk cannot take the new file; the damaged one is then where it was.
    """
    log, fresh = data / "log", data / "log.salvaged"
    disk.remove(fresh)
    fresh.mkdir()
    records_max = sum(path.stat().st_size for path in log.iterdir()) // RECORD_BYTES_MIN
    target = create(fresh / "log.sqlite3")
    try:
        target.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        first_page = (fresh / "log.sqlite3").read_bytes()[:PAGE_BYTES]
        target.execute("BEGIN")
        with _damaged(log / "log.sqlite3", fresh / "damaged.sqlite3", first_page, disk) as source:
            for table, keys in SALVAGED:
                _copy(source, target, table, keys, records_max)
        kept, missing = _settle(target)
        target.execute("COMMIT")
        target.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        target.close()
    disk.sync(fresh / "log.sqlite3")
    disk.sync_folder(fresh)
    aside = _next_aside(data, disk)
    disk.rename(log, aside)
    # The old name must be gone for good before the new one appears, or a power cut could leave both.
    disk.sync_folder(data)
    finish(data, disk)
    return Salvage(cause, aside, kept, missing)


@contextlib.contextmanager
def _damaged(path: Path, copy: Path, first_page: bytes, disk: Disk) -> Iterator[apsw.Connection | None]:
    """Open a damaged file so that nothing writes to it; None where it cannot be opened at all.

    Where the first page is what is damaged, a copy is read that has the one of a new log instead: tables made in the
    same order begin at the same pages.
    """
    copies = (copy, copy.with_name(copy.name + "-wal"))
    connection = _opened(path, disk)
    if connection is None:
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            pages = (len(content) // PAGE_BYTES).to_bytes(4, "big")
            copy.write_bytes(first_page[:28] + pages + first_page[32:] + content[PAGE_BYTES:])
            journal = path.with_name(path.name + "-wal")
            if journal.exists():
                copies[1].write_bytes(journal.read_bytes())
            connection = _opened(copy, disk)
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()
        for one in (*copies, copy.with_name(copy.name + "-shm")):
            one.unlink(missing_ok=True)


def _opened(path: Path, disk: Disk) -> apsw.Connection | None:
    """Open a file whose tables SQLite can name, for reading."""
    connection = None
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=disk.vfs or None)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'record'").get:
            return connection
    except apsw.Error:
        pass
    if connection is not None:
        connection.close()
    return None


def _copy(
    source: apsw.Connection | None, target: apsw.Connection, table: str, keys: int, records_max: int
) -> None:
    """Take over every row of a table that can be read: from the front, from the back, and between."""
    if source is None:
        return
    order = [str(column + 1) for column in range(keys)]
    if _take(source, target, table, f"ORDER BY {', '.join(order)}"):
        return
    _take(source, target, table, f"ORDER BY {', '.join(one + ' DESC' for one in order)}")
    if table == "record":
        _probe(source, target, records_max)


def _take(source: apsw.Connection, target: apsw.Connection, table: str, rest: str) -> bool:
    """Copy the rows of one query as far as it can be read. Returns whether it was read to its end."""
    columns: int = target.execute("SELECT count(*) FROM pragma_table_info(?)", (table,)).get
    insert = f"INSERT INTO {table} VALUES({','.join('?' * columns)}) ON CONFLICT DO NOTHING"
    rows = None
    while True:
        try:
            rows = rows or source.execute(f"SELECT * FROM {table} {rest}")  # noqa: S608 - our own names
            row = next(rows, None)
        except apsw.Error:
            return False
        if row is None:
            return True
        # A row of another shape, or with values its columns refuse, was not written by us: it is damage too.
        with contextlib.suppress(apsw.ConstraintError, apsw.BindingsError):
            if table != "presence" or _is_presence(row):
                target.execute(insert, row)


def _is_presence(row: tuple[Any, ...]) -> bool:
    """Whether a row says something of presence: one that says nonsense would have every reader of its ticket fail."""
    try:
        from_columns(row)
    except (ValueError, IndexError, TypeError, struct.error):
        return False
    return True


def _probe(source: apsw.Connection, target: apsw.Connection, records_max: int) -> None:
    """Ask for the records of every known epoch in small windows, so that one bad page costs only its own.

    No more than `records_max` of an epoch, whatever a damaged row says of its seq.
    """
    lasts = (
        "SELECT gate, epoch, coalesce(pruned_seq, 0) + 1, min(max(seq), coalesce(pruned_seq, 0) + ?) "
        "FROM record LEFT JOIN epoch USING (gate, epoch) GROUP BY gate, epoch"
    )
    known: list[Any] = target.execute(lasts, (records_max,)).fetchall()
    for gate, epoch, first_seq, last_seq in known:
        for at in range(first_seq, last_seq + 1, PROBE_RECORDS):
            _take(
                source,
                target,
                "record",
                f"WHERE gate = {gate} AND epoch = {epoch} AND seq >= {at} AND seq < {at + PROBE_RECORDS}",
            )


def _settle(target: apsw.Connection) -> tuple[int, int]:
    """Give every log its epoch, all of it to be folded anew; return how many records are held, and how many gaps."""
    target.execute(
        "INSERT INTO epoch(gate, epoch, ordinal) SELECT gate, epoch, (SELECT coalesce(max(ordinal), 0) FROM epoch) "
        "+ row_number() OVER (ORDER BY gate, epoch) FROM (SELECT DISTINCT gate, epoch FROM record) AS held "
        "WHERE NOT EXISTS (SELECT 1 FROM epoch WHERE epoch.gate = held.gate AND epoch.epoch = held.epoch)"
    )
    target.execute("UPDATE epoch SET unfolded = 1")
    # Rows of changes may be missing, so these are asked for again from the list on; so may be records of other gates.
    target.execute("DELETE FROM meta WHERE key IN (?, ?)", (APPLIED_KEY, FEED_CURSOR))
    known: int = target.execute(
        "SELECT coalesce(sum(max(coalesce(held, 0), coalesce(signed, 0), pruned_seq) - pruned_seq), 0) FROM ("
        "SELECT pruned_seq, (SELECT max(seq) FROM record WHERE gate = e.gate AND epoch = e.epoch) AS held, "
        "(SELECT max(seq) FROM head WHERE gate = e.gate AND epoch = e.epoch) AS signed FROM epoch AS e)"
    ).get
    _cut_others(target)
    kept: int = target.execute("SELECT count(*) FROM record").get
    return kept, max(0, known - kept)


def _cut_others(target: apsw.Connection) -> None:
    """Let the logs of other gates end before their first gap: what is behind it counts as held, and is never asked for.

    All of them comes again, and what was derived of it stays. Our own, which the last run names, others may not have.
    """
    run = target.execute("SELECT value FROM meta WHERE key = ?", (RUN_KEY,)).get
    epoch = signed(int.from_bytes(run, "big")) if run is not None else None
    own: int | None = target.execute("SELECT gate FROM epoch WHERE epoch = ?", (epoch,)).get
    if own is None:
        return
    ends: list[Any] = target.execute(
        "SELECT gate, epoch, pruned_seq + coalesce(sum(whole.seq = pruned_seq + place), 0) FROM epoch LEFT JOIN ("
        "SELECT gate, epoch, seq, row_number() OVER (PARTITION BY gate, epoch ORDER BY seq) AS place FROM record"
        ") AS whole USING (gate, epoch) WHERE gate <> ? GROUP BY gate, epoch",
        (own,),
    ).fetchall()
    for gate, of, end in ends:
        for table in ("record", "head"):
            target.execute(f"DELETE FROM {table} WHERE gate = ? AND epoch = ? AND seq > ?", (gate, of, end))  # noqa: S608 - our own names


def _next_aside(data: Path, disk: Disk) -> Path:
    """Return a free name for a damaged log, the oldest making room."""
    numbers = sorted(
        int(number)
        for path in data.glob("log.aside-*")
        if (number := path.name.removeprefix("log.aside-")).isdecimal()
    )
    for old in numbers[: max(0, len(numbers) - ASIDES_MAX + 1)]:
        disk.remove(data / f"log.aside-{old}")
    return data / f"log.aside-{(numbers[-1] if numbers else 0) + 1}"
