"""A live board over a million records: how long it takes to know what gates pushed a moment ago, and to count it all.

Measured is one look, as the stream takes one a second, after each of the group's gates pushed a few visits; the floor
reads the same new records and nothing else, interleaved.
"""

import time

from sqlalchemy import Connection, text

from admission.ids import Epoch, GateId
from admission.observed import rows_of
from admission.records import Record, record_from_bytes
from sync.board import logs as reading
from sync.board.boards import Boards
from sync.events import rows as events
from sync.gates import bulk, roster
from sync.store.database import Database
from sync.store.schema import signed
from tests.bench.ingest import EVENT, GATES, NOW_S, Log
from tests.bench.report import Row, percentile
from tests.bench.scale import Scale

LOOKS = 100
NEW_RECORDS = 10
"""Of each gate between two looks: five people a second at each of them."""
_AT = text(
    "INSERT INTO log_epoch (gate_id, epoch, seq, link, head_seq) VALUES (:gate, :epoch, :seq, :link, 0)"
)
_ON = text("UPDATE log_epoch SET seq = :seq, link = :link WHERE gate_id = :gate AND epoch = :epoch")
_ZONE = text("INSERT INTO zone (group_id, id, name, parent, capacity, gate) VALUES (1, 1, 'Hall', 0, 0, 0)")


def measure(size: Scale) -> list[Row]:
    """Return the figure, on SQLite."""
    data = size.folder / "boards"
    data.mkdir()
    database = Database.open(data)
    try:
        with database.writing() as connection:
            events.add_group(connection, "Bench", bytes(32))
            events.add_event(connection, EVENT, "Bench", "UTC")
            connection.execute(_ZONE)
            for number in range(1, GATES + 1):
                roster.add_gate(
                    connection, roster.Gate(GateId(number), f"Gate {number}", ()), (), events.GROUP
                )
        logs = [Log(GateId(number), Epoch(number)) for number in range(1, GATES + 1)]
        for log in logs:
            log.grow(size.ingest_held // GATES)
            with database.writing() as connection:
                _keep(connection, log)
                connection.execute(_AT, _place(log))
        return [_row(database, logs, size)]
    finally:
        database.close()


def _row(database: Database, logs: list[Log], size: Scale) -> Row:
    boards = Boards(_Ticking())
    began = time.perf_counter()
    while _look(database, boards):
        pass
    whole_s = time.perf_counter() - began
    took_ms, floor_ms = [], []
    for _ in range(LOOKS):
        first = {log.gate: log.seq + 1 for log in logs}
        with database.writing() as connection:
            for log in logs:
                log.grow(NEW_RECORDS)
                _keep(connection, log)
                connection.execute(_ON, _place(log))
        began = time.perf_counter()
        _look(database, boards)
        took_ms.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        with database.reading() as connection:
            for log in logs:
                reading.records(connection, (log.gate, signed(log.epoch)), first[log.gate], log.seq)
        floor_ms.append((time.perf_counter() - began) * 1000)
    return Row(
        name="board_1m_ms",
        value=percentile(took_ms, 99),
        unit="ms",
        floor=percentile(floor_ms, 99),
        conditions=f"p99 of {LOOKS} looks with {GATES * NEW_RECORDS} new records each, {size.ingest_held} there, "
        f"p50 {percentile(took_ms, 50):.1f} ms; all counted from nothing in {whole_s:.0f} s, in steps",
    )


class _Ticking:
    """A clock on which each look comes two seconds after the last."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def __call__(self) -> float:
        self._now_s += 2
        return self._now_s


def _look(database: Database, boards: Boards) -> int:
    with database.reading() as connection:
        seen = boards.see(connection, events.GROUP, EVENT, NOW_S)
    assert seen is not None
    return seen.behind


def _keep(connection: Connection, log: Log) -> None:
    first = log.seq - len(log.blobs) + 1
    bodies = [(seq, blob, record_from_bytes(blob)) for seq, blob in enumerate(log.blobs, start=first)]
    bulk.add_records(connection, [(log.gate, signed(log.epoch), seq, blob) for seq, blob, _ in bodies])
    rows = [
        row.as_columns()
        for _, _, body in bodies
        if isinstance(body, Record)
        for row in rows_of(log.gate, log.epoch, body, (), body.time_us)
    ]
    bulk.add_presence(connection, rows)
    log.blobs.clear()


def _place(log: Log) -> dict[str, object]:
    return {"gate": log.gate, "epoch": signed(log.epoch), "seq": log.seq, "link": log.at}
