"""What runs for every record that comes in: one statement per table, written for each engine.

SQLite takes them row by row from one prepared statement; PostgreSQL by COPY in its binary form, which is a third of
the cost of an INSERT on both sides. Rows are new by what the chain says, so no statement looks for others first.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from admission.observed import COLUMNS, RESET_COLUMNS

RecordRow = tuple[int, int, int, bytes]
"""gate, epoch as i64, seq, blob."""

_RECORD = "INSERT INTO record (gate_id, epoch, seq, blob) VALUES (?, ?, ?, ?)"
_PRESENCE = f"INSERT INTO presence ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - fixed names
_RESET = (
    f"INSERT INTO presence_reset ({', '.join(RESET_COLUMNS)}) VALUES ({', '.join('?' * len(RESET_COLUMNS))})"  # noqa: S608 - fixed names
)

_COPY_RECORD = "COPY record (gate_id, epoch, seq, blob) FROM STDIN (FORMAT BINARY)"
_COPY_PRESENCE = f"COPY presence ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_COPY_RESET = f"COPY presence_reset ({', '.join(RESET_COLUMNS)}) FROM STDIN (FORMAT BINARY)"

# PostgreSQL, COPY, "Binary Format": signature, flags u32, header extension u32; then for each tuple a count i16 and
# for each field its length i32 and its bytes; at the end the count -1.
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_RECORD_FIELDS = struct.Struct(">h iq iq iq i")
_PRESENCE_FIELDS = struct.Struct(">h iq iq iq iq iq ih iq ih ih ii ii ii ih ii i")
_RESET_FIELDS = struct.Struct(">h iq iq iq ii iq i")


def add_records(connection: Connection, rows: Sequence[RecordRow]) -> None:
    """Store records that are new."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            _RECORD, [(gate, epoch, seq, bytearray(blob)) for gate, epoch, seq, blob in rows]
        )
        return
    pack = _RECORD_FIELDS.pack
    _copy(
        connection,
        _COPY_RECORD,
        [pack(4, 8, gate, 8, epoch, 8, seq, len(blob)) + blob for gate, epoch, seq, blob in rows],
    )


def add_presence(connection: Connection, rows: Sequence[tuple[int | bytes, ...]]) -> None:
    """Store what new records say of their tickets: rows of `admission.observed.COLUMNS`."""
    if not rows:
        return
    ordered = sorted(rows)  # neighbours in the table share its pages
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_PRESENCE, list(map(_plain, ordered)))
    else:
        _copy(connection, _COPY_PRESENCE, map(_presence_fields, ordered))


def add_resets(connection: Connection, rows: Sequence[tuple[int | bytes, ...]]) -> None:
    """Store resets: rows of `admission.observed.RESET_COLUMNS`."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_RESET, list(rows))
    else:
        _copy(connection, _COPY_RESET, map(_reset_fields, rows))


def _plain(row: Sequence[Any]) -> tuple[int | bytearray, ...]:
    """Return a row of presence in the types that go to SQLite as they are.

    Python's driver looks for an adapter for each value whose type is not exactly int, float, str or bytearray: for an
    enum's member or bytes that takes as long as the rest of the value's way into the table.
    """
    event, ticket, gate, epoch, seq, role, time_us, state, way, zone, session, lane, mode, flags, names = row
    return (
        event, ticket, gate, epoch, seq, role + 0, time_us, state + 0, way + 0, zone, session, lane, mode + 0, flags,
        bytearray(names),
    )  # fmt: skip


def _presence_fields(row: tuple[int | bytes, ...]) -> bytes:
    event, ticket, gate, epoch, seq, role, time_us, state, way, zone, session, lane, mode, flags, names = row
    assert isinstance(names, bytes), "the last column is"
    return _PRESENCE_FIELDS.pack(
        15, 8, event, 8, ticket, 8, gate, 8, epoch, 8, seq, 2, role, 8, time_us, 2, state, 2, way, 4, zone,
        4, session, 4, lane, 2, mode, 4, flags, len(names),
    ) + names  # fmt: skip


def _reset_fields(row: tuple[int | bytes, ...]) -> bytes:
    gate, epoch, seq, zone, time_us, heard = row
    assert isinstance(heard, bytes), "the last column is"
    return _RESET_FIELDS.pack(6, 8, gate, 8, epoch, 8, seq, 4, zone, 8, time_us, len(heard)) + heard


def _copy(connection: Connection, sql: str, rows: Iterable[bytes]) -> None:
    driver = connection.connection.dbapi_connection
    assert driver is not None, "in a transaction"
    with driver.cursor().copy(sql) as copy:
        copy.write(b"".join((_HEADER, *rows, _TRAILER)))
