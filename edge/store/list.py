"""The allow-list as a file: built beside the old one, renamed into its place, then only read (DESIGN.md, Gate stores).

It has no migrations: whatever is not what this version writes is unusable, and is built again from the snapshot.
"""

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec

from admission.entitlements import CredentialStanding, Standing, Ticket
from admission.ids import EventId, HolderId, TicketId
from edge.store.disk import Disk, LocalDisk
from edge.store.faults import FaultKind, StoreFault, fault_of
from sync.wire.lists import ListHead, ListRow, ticket_of

LIST_FILE = "list.sqlite3"
"""The list in use, in the data folder. The builder renames a new one into its place."""
APPLICATION_ID = 0x47484C49
""" "GHLI": file(1) and we know it by this number in SQLite's header."""
SCHEMA = 1
HASH_ROWS = 1024
"""Rows hashed and inserted at a time; keeps the builder's memory small."""
BUILD_CACHE_KIB = 512
"""Rows come in digest order, so a page once full is not touched again."""
READ_CACHE_KIB = 768
"""Interior pages of a million rows take 0.4 MB; a leaf is rarely needed twice, and the kernel keeps the file."""

_CREATE = """
CREATE TABLE credential(
  digest BLOB NOT NULL, event INTEGER NOT NULL, ticket INTEGER NOT NULL, profile INTEGER NOT NULL,
  holder INTEGER NOT NULL, standing INTEGER NOT NULL, credential_standing INTEGER NOT NULL,
  PRIMARY KEY(digest, event, ticket)) WITHOUT ROWID;
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
_INSERT = "INSERT INTO credential VALUES(?,?,?,?,?,?,?)"
_LOOKUP = (
    "SELECT event, ticket, profile, holder, standing, credential_standing FROM credential WHERE digest = ?"
)
_ALL = "SELECT * FROM credential ORDER BY digest, event, ticket"
_ROW = struct.Struct(">16sIqIqBB")
_U64 = 2**64 - 1
"""Two's complement carries u64 numbers through SQLite's signed integers; `and` with this reads them back."""
_PAGE_COUNT_AT = 28
"""SQLite file format 1.3.9: the size of the database file in pages."""


class ListUnusable(StoreFault):
    """A list file that must not be decided by: not there, of another schema, cut short, altered or unreadable."""


def build(path: Path, head: ListHead, rows: Iterable[ListRow], disk: Disk | None = None) -> None:
    """Write a list file and put it in `path`'s place: after a power cut `path` is the old file or this one, whole.

    Rows should come in digest order (other orders work, slowly). StoreFault where the disk takes no more; the old
    file is then untouched. ValueError for two rows with the same digest, event and ticket.
    """
    disk = disk or LocalDisk()
    fresh = path.with_name(path.name + ".new")
    try:
        disk.remove(fresh)
        _write(fresh, head, rows, disk)
        disk.sync(fresh)
        disk.rename(fresh, path)
        disk.sync_folder(path.parent)
    except apsw.ConstraintError as error:
        raise ValueError("two rows of the list name the same credential and ticket") from error
    except (apsw.Error, OSError) as error:
        raise fault_of(error, f"the list {path} could not be written") from error


def _write(path: Path, head: ListHead, rows: Iterable[ListRow], disk: Disk) -> None:
    """Fill a new SQLite file. No journal and no syncs: until it is whole and renamed nobody looks at it."""
    connection = apsw.Connection(str(path), vfs=disk.vfs or None)
    try:
        connection.execute(
            f"PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            f"PRAGMA cache_size=-{BUILD_CACHE_KIB}; PRAGMA locking_mode=EXCLUSIVE; PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA}"
        ).fetchall()  # a pragma that answers stops the run until its answer is taken
        connection.execute("BEGIN")
        connection.execute(_CREATE)
        encoded = msgspec.msgpack.encode(head)
        content = hashlib.sha256(encoded)
        count = 0
        last: tuple[object, ...] = ()
        in_order = True
        for slab in _slabs(_signed_rows(rows)):
            content.update(b"".join([_ROW.pack(*row) for row in slab]))
            connection.executemany(_INSERT, slab)
            count += len(slab)
            in_order = in_order and last < slab[0] and slab == sorted(slab)
            last = slab[-1]
        if not in_order:  # the digest is over the rows as they are stored
            content = _content(encoded, connection)[0]
        connection.executemany(
            "INSERT INTO meta VALUES(?,?)",
            (
                ("head", encoded),
                ("head_digest", hashlib.sha256(encoded).digest()),
                ("rows", count.to_bytes(8, "big")),
                ("content_digest", content.digest()),
            ),
        )
        connection.execute("COMMIT")
    finally:
        connection.close()


class ListStore:
    """A list file open for reading. Every read raises ListUnusable once the file or disk fails."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        """Use `ListStore.open`."""
        self._connection = connection
        self._path = path
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        encoded = meta["head"]
        if hashlib.sha256(encoded).digest() != meta["head_digest"]:
            raise ListUnusable(FaultKind.CORRUPT, f"the head of the list {path} was altered")
        self.head = msgspec.msgpack.decode(encoded, type=ListHead)
        self.row_count = int.from_bytes(meta["rows"], "big")
        self._content_digest = meta["content_digest"]
        self._encoded = encoded

    @classmethod
    def open(cls, path: Path, disk: Disk | None = None) -> "ListStore":
        """Open the list; it stays this very file even when another is renamed into its place. ListUnusable if not."""
        disk = disk or LocalDisk()
        connection = None
        try:
            _check_header(path)
            # immutable: no locks and no look at a journal, since nobody ever writes to a file of this name.
            connection = apsw.Connection(
                f"{path.resolve().as_uri()}?immutable=1",
                flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
                vfs=disk.vfs or None,
            )
            connection.execute(f"PRAGMA cache_size=-{READ_CACHE_KIB}")
            return cls(connection, path)
        except (
            apsw.Error,
            OSError,
            KeyError,
            ListUnusable,
            msgspec.DecodeError,
            TypeError,
            ValueError,
        ) as error:
            if connection is not None:
                connection.close()
            raise _unusable(error, path) from error

    def lookup(self, digest: bytes) -> tuple[tuple[Ticket, CredentialStanding], ...]:
        """Return the tickets a credential stands for, by event and ticket number; empty where it is not listed."""
        try:
            found: list[Any] = self._connection.execute(_LOOKUP, (digest,)).fetchall()
            profiles = self.head.profiles
            return tuple(
                (
                    ticket_of(
                        profiles[profile],
                        EventId(event),
                        TicketId(ticket & _U64),
                        HolderId(holder & _U64),
                        Standing(standing),
                    ),
                    CredentialStanding(credential),
                )
                for event, ticket, profile, holder, standing, credential in found
            )
        except (apsw.Error, IndexError, TypeError, ValueError) as error:
            raise _unusable(error, self._path) from error

    def check(self) -> None:
        """Read the whole file and compare it with its digest; ListUnusable if a bit differs.

        Takes about a second per million rows: for the builder and for `gatehouse-edge check`, never the lane.
        """
        try:
            content, count = _content(self._encoded, self._connection)
        except (apsw.Error, struct.error, TypeError) as error:
            raise _unusable(error, self._path) from error
        if count != self.row_count or content.digest() != self._content_digest:
            raise ListUnusable(FaultKind.CORRUPT, f"the rows of the list {self._path} were altered")

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()


def keep_near(path: Path) -> None:
    """Have the kernel read again what it let go of a list, if it is there: a lookup must not wait for an SD card.

    For a thread of a process that has time: what is not in memory is asked for at once.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(file)


def _content(encoded: bytes, connection: apsw.Connection) -> "tuple[hashlib._Hash, int]":
    """Hash the head and every row in the order stored; return that and the number of rows."""
    content = hashlib.sha256(encoded)
    count = 0
    for slab in _slabs(connection.execute(_ALL)):
        content.update(b"".join([_ROW.pack(*row) for row in slab]))
        count += len(slab)
    return content, count


def _check_header(path: Path) -> None:
    """Refuse what is not ours, or not whole, before SQLite looks at it."""
    with path.open("rb") as file:
        header = file.read(100)
        size = file.seek(0, 2)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise ListUnusable(FaultKind.CORRUPT, f"{path} is no list file")
    application, schema = struct.unpack_from(">I", header, 68)[0], struct.unpack_from(">I", header, 60)[0]
    if application != APPLICATION_ID or schema != SCHEMA:
        raise ListUnusable(FaultKind.OTHER_FORMAT, f"{path} was made by another version (schema {schema})")
    page_size, pages = (
        struct.unpack_from(">H", header, 16)[0],
        struct.unpack_from(">I", header, _PAGE_COUNT_AT)[0],
    )
    if size != page_size * pages:
        raise ListUnusable(FaultKind.CORRUPT, f"{path} was cut short")


def _unusable(error: Exception, path: Path) -> ListUnusable:
    """Return the error an operator sees; what no longer fits our types was altered on the medium."""
    if isinstance(error, ListUnusable):
        return error
    if isinstance(error, apsw.Error | OSError):
        cause = fault_of(error, f"the list {path} cannot be read")
        return ListUnusable(cause.kind, str(cause), cause.hint)
    return ListUnusable(FaultKind.CORRUPT, f"the list {path} was altered: {error!r}")


def _signed_rows(rows: Iterable[ListRow]) -> Iterator[tuple[bytes, int, int, int, int, int, int]]:
    """Yield rows as SQLite stores them."""
    half, whole = 1 << 63, 1 << 64
    for digest, event, ticket, profile, holder, standing, credential in rows:
        yield (
            digest,
            event,
            ticket if ticket < half else ticket - whole,
            profile,
            holder if holder < half else holder - whole,
            standing,
            credential,
        )


def _slabs(rows: Iterable[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    """Yield rows in lists of `HASH_ROWS`."""
    slab: list[tuple[object, ...]] = []
    for row in rows:
        slab.append(row)
        if len(slab) == HASH_ROWS:
            yield slab
            slab = []
    if slab:
        yield slab
