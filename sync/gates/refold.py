"""A gate's presence made to fit what of its records counts, after it was shut out or told otherwise of its lanes.

Only what changed is touched: the rest may rest on records that retention has taken since.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, text

from admission.corrected import EpochTime, is_believed
from admission.ids import Epoch, GateId, RecordId
from admission.observed import PresenceRow, Role, rows_of
from admission.records import Direction, ExtensionRecord, MalformedRecord, Record, record_from_bytes
from sync.gates import bulk, log_times, quarantine
from sync.store.schema import unsigned

SLICE_ROWS = 10_000
"""Read at a time: some 5 MB."""

_ROWS = text("SELECT event, ticket, epoch, seq, role FROM presence WHERE gate = :gate")
_FORGET = text("""
DELETE FROM presence WHERE event = :event AND ticket = :ticket AND gate = :gate AND epoch = :epoch AND seq = :seq
""")
_RESETS = text("SELECT epoch, seq FROM presence_reset WHERE gate = :gate")
_FORGET_RESET = text("DELETE FROM presence_reset WHERE gate = :gate AND epoch = :epoch AND seq = :seq")
_RECORDS = text("SELECT epoch, seq, blob FROM record WHERE gate_id = :gate ORDER BY epoch, seq")


def forget(connection: Connection, gate: GateId) -> None:
    """Take out of presence what does not count of a gate, in a writing transaction."""
    counted = quarantine.counted(connection, (gate,))
    if not counted:
        return
    gone = [
        {"event": event, "ticket": ticket, "gate": gate, "epoch": epoch, "seq": seq}
        for event, ticket, epoch, seq, role in _rows(connection, gate)
        if not counted.said(RecordId(gate, Epoch(unsigned(epoch)), seq), Role(role))
    ]
    if gone:
        connection.execute(_FORGET, gone)
    lost = [
        {"gate": gate, "epoch": row.epoch, "seq": row.seq}
        for row in connection.execute(_RESETS, {"gate": gate}).all()
        if not counted.record(RecordId(gate, Epoch(unsigned(row.epoch)), row.seq))
    ]
    if lost:
        connection.execute(_FORGET_RESET, lost)


def recall_exits(connection: Connection, gate: GateId) -> None:
    """Bring the exits of a gate into presence, now that they count, in a writing transaction."""
    counted = quarantine.counted(connection, (gate,))
    there = {row[:4] for row in _rows(connection, gate)}
    found = [row.as_columns() for row in _exits(connection, gate) if counted.row(row)]
    bulk.add_presence(connection, [row for row in found if (row[0], row[1], row[3], row[4]) not in there])


def _rows(connection: Connection, gate: GateId) -> Iterator[Any]:
    """Walk through a gate's presence rows once, whatever their tickets: the table is keyed by those."""
    found = connection.execute(_ROWS.execution_options(yield_per=SLICE_ROWS), {"gate": gate})
    for some in found.partitions(SLICE_ROWS):
        yield from some


def _exits(connection: Connection, gate: GateId) -> Iterator[PresenceRow]:
    """Derive the exits of a gate from its records; an extension belongs to the nearest body before it."""
    body: Record | None = None
    epoch, clock, placed_us = Epoch(0), EpochTime(), 0
    extensions: list[ExtensionRecord] = []
    found = connection.execute(_RECORDS.execution_options(yield_per=SLICE_ROWS), {"gate": gate})
    for some in found.partitions(SLICE_ROWS):
        for row in some:
            record = _read(row.blob)
            if isinstance(record, ExtensionRecord):
                extensions.append(record)
                continue
            if body is not None:
                yield from rows_of(gate, epoch, body, tuple(extensions), placed_us)
            if epoch != unsigned(row.epoch):
                epoch, clock = Epoch(unsigned(row.epoch)), EpochTime()
                if record is None or not is_believed(record):
                    clock.back = log_times.mark_back(connection, gate, row.epoch)
            if record is not None:
                placed_us = clock.place(record)
            body = record if record is not None and record.direction is Direction.EXIT else None
            extensions = []
    if body is not None:
        yield from rows_of(gate, epoch, body, tuple(extensions), placed_us)


def _read(blob: bytes) -> Record | ExtensionRecord | None:
    try:
        return record_from_bytes(bytes(blob))
    except MalformedRecord:
        return None
