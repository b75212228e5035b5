"""What runs for every record that comes in: one statement per table, written for each engine.

SQLite takes them row by row from one prepared statement; PostgreSQL by COPY in its binary form, which is a third of
the cost of an INSERT on both sides. Rows are new by what the chain says, so no statement looks for others first.
"""

import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from admission.observed import COLUMNS, RESET_COLUMNS

RecordRow = tuple[int, int, int, bytes]
"""gate, epoch as i64, seq, blob."""

RECORDS_TOGETHER = 40
PRESENCE_TOGETHER = 8
"""Rows of one INSERT on SQLite: a narrow row costs more to begin than to store; of a wide one many at a time cost again."""

_RECORD, _RECORD_VALUES = "INSERT INTO record (gate_id, epoch, seq, blob) VALUES ", "(?, ?, ?, ?)"
_PRESENCE = f"INSERT INTO presence ({', '.join(COLUMNS)}) VALUES "  # noqa: S608 - fixed names
_PRESENCE_VALUES = f"({', '.join('?' * len(COLUMNS))})"
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
_ROLE = COLUMNS.index("role")
_RECORD_FIELDS = struct.Struct(">h iq iq iq i")
_PRESENCE_FIELDS = struct.Struct(">h iq iq iq iq iq ih iq ih ih ii ii ii ih ii i")
_RESET_FIELDS = struct.Struct(">h iq iq iq ii iq i")


def add_records(connection: Connection, rows: Sequence[RecordRow]) -> None:
    """Store records that are new."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        plain = [(gate, epoch, seq, bytearray(blob)) for gate, epoch, seq, blob in rows]
        _insert(connection, _RECORD, _RECORD_VALUES, plain, RECORDS_TOGETHER)
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
        plain = list(map(_plain, ordered))
        _insert(connection, _PRESENCE, _PRESENCE_VALUES, plain, PRESENCE_TOGETHER)
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
    if type(row[_ROLE]) is int:  # of `columns_of`, which leaves no enum's member in a row
        return (*row[:-1], bytearray(row[-1]))
    event, ticket, gate, epoch, seq, role, time_us, state, way, zone, session, lane, mode, flags, names = row
    return (
        event, ticket, gate, epoch, seq, role + 0, time_us, state + 0, way + 0, zone, session, lane, mode + 0, flags,
        bytearray(names),
    )  # fmt: skip


def _insert(
    connection: Connection, into: str, values: str, rows: Sequence[tuple[Any, ...]], together: int
) -> None:
    """Insert on SQLite so many rows by one run of the statement; what is left over row by row."""
    whole = len(rows) - len(rows) % together
    if whole:
        runs = [tuple(chain.from_iterable(rows[at : at + together])) for at in range(0, whole, together)]
        connection.exec_driver_sql(into + ", ".join([values] * together), runs)
    if whole < len(rows):
        connection.exec_driver_sql(into + values, list(rows[whole:]))


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
