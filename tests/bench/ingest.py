"""Records that the centre takes in a second, on both engines, with as many there as a large event leaves.

40 gates push what they hold, each the next push when the last is answered: the wire's bytes read, every record
checked against the chain, duplicates told, presence derived, committed as durably as in a venue. The floor is the
same rows inserted into the same tables by one bare loop, in turns with the load.
"""

import asyncio
import gc
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.chain import Head, link, seed
from admission.entitlements import Mode
from admission.ids import Epoch, EventId, GateId, LaneId, ReaderId, SessionId, TicketId, ZoneId
from admission.observed import rows_of
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    Trust,
    record_from_bytes,
    ticket_subject,
)
from sync.events import rows as events
from sync.gates import bulk, roster
from sync.gates.handlers import read_push
from sync.gates.intake import BATCH_RECORDS_MAX, Intake
from sync.store.database import Database
from sync.wire.messages import Chunk, Push
from tests.bench.report import Goal, Row, file_system
from tests.bench.scale import Scale
from tests.postgres import postgres, programs

GATES = 40
PUSH_RECORDS = 500
"""One of a gate that empties its queue."""
REPEATED = 20
"""One push in so many comes twice, as after an answer that was lost."""
TWINS = 1000
"""Added to a gate's number for the floor's rows."""
SLICES = 8
"""Load and floor take turns so often."""
FILL_RECORDS = 20_000
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
EVENT = EventId(1)
NOW_S = 1_800_000_000
SPREAD = 0x9E37_79B1
"""Tickets come in no order: multiples of this odd number, modulo the next power of two."""


@dataclass
class Log:
    """One gate's log, growing by visits: a scan and its passage; a head every 256 records."""

    gate: GateId
    epoch: Epoch
    seq: int = 0
    at: bytes = b""
    sent: bytes = b""
    """The link of what was pushed last."""
    blobs: list[bytes] = field(default_factory=list)
    """Not yet pushed."""
    visits: int = 0

    def __post_init__(self) -> None:
        self.at = self.sent = seed(self.gate, self.epoch)
        self._add(Record(Kind.RESTART, 1, NOW_S * 1_000_000, 0).to_bytes())

    def _add(self, blob: bytes) -> None:
        self.seq += 1
        self.at = link(self.at, blob)
        self.blobs.append(blob)

    def grow(self, records: int) -> None:
        """Add about so many records."""
        until = self.seq + records
        while self.seq < until:
            number = (self.visits * GATES + self.gate) * SPREAD % (1 << 32)
            self.visits += 1
            subject = ticket_subject(EVENT, TicketId(number), 1)  # type: ignore[arg-type]  # any product
            scan = self.seq + 1
            self._visit(Kind.SCAN, Outcome.GRANT, subject, 0)
            self._visit(Kind.PASSAGE, Outcome.NONE, subject, scan)
            if self.seq % 256 < 2:
                head = Head.sign(KEY, self.gate, self.epoch, self.seq, self.at)
                self._add(ExtensionRecord(Extension.HEAD, self.seq + 1, head.payload()).to_bytes())

    def _visit(self, kind: Kind, outcome: Outcome, subject: bytes, ref: int) -> None:
        seq = self.seq + 1
        self._add(
            Record(
                kind, seq, NOW_S * 1_000_000 + seq, seq, LaneId(1), ReaderId(1), ZoneId(1), SessionId(1), outcome, 0,
                Direction.ENTRY, Mode.NORMAL, Trust.SYNCED, Flag.TICKET, subject, ref,
            ).to_bytes()
        )  # fmt: skip

    def take(self, size: int) -> "list[Chunk]":
        """Return what was not yet pushed, cut into chunks."""
        first = self.seq - len(self.blobs) + 1
        chunks = []
        for at in range(0, len(self.blobs), size):
            chunks.append(
                Chunk(self.gate, self.epoch, first + at, tuple(self.blobs[at : at + size]), self.sent)
            )
            for blob in chunks[-1].blobs:
                self.sent = link(self.sent, blob)
        self.blobs.clear()
        return chunks


class Slice:
    """A part of the load, ready to be sent, and the same rows ready to be inserted."""

    def __init__(self, logs: list[Log], records: int) -> None:
        self.bodies: dict[GateId, list[bytes]] = {}
        self.records: list[bulk.RecordRow] = []
        self.presence: list[tuple[int | bytes, ...]] = []
        for log in logs:
            log.grow(records // len(logs))
            chunks = log.take(PUSH_RECORDS)
            self.bodies[log.gate] = [
                zstandard.compress(msgspec.msgpack.encode(Push((one,)))) for one in chunks
            ]
            for chunk in chunks:
                self._rows(chunk)

    def _rows(self, chunk: Chunk) -> None:
        twin = GateId(chunk.gate + TWINS)
        for seq, blob in enumerate(chunk.blobs, start=chunk.first_seq):
            self.records.append((twin, chunk.epoch, seq, blob))
            body = record_from_bytes(blob)
            if isinstance(body, Record):
                rows = rows_of(twin, Epoch(chunk.epoch), body, (), body.time_us)
                self.presence += [row.as_columns() for row in rows]

    async def push(self, intake: Intake) -> float:
        """Push it as the gates would; returns the seconds."""

        async def gate(number: GateId, bodies: list[bytes]) -> None:
            for count, body in enumerate(bodies):
                for _ in range(2 if count % REPEATED == REPEATED - 1 else 1):
                    push = await asyncio.to_thread(read_push, body)
                    answer = await intake.take(number, PUBLIC, push)
                    assert not answer.troubles, answer

        began = time.perf_counter()
        await asyncio.gather(*(gate(*one) for one in self.bodies.items()))
        return time.perf_counter() - began

    def insert(self, database: Database) -> float:
        """Insert the same rows without a question; returns the seconds."""
        began = time.perf_counter()
        for at in range(0, len(self.records), BATCH_RECORDS_MAX):
            with database.writing() as connection:
                bulk.add_records(connection, self.records[at : at + BATCH_RECORDS_MAX])
                bulk.add_presence(connection, self.presence[at : at + BATCH_RECORDS_MAX])
        return time.perf_counter() - began


async def _rates(database: Database, size: Scale) -> tuple[float, float]:
    """Return records a second: taken in, and bare."""
    with database.writing() as connection:
        events.add_group(connection, "Bench", bytes(32))
        events.add_event(connection, EVENT, "Bench", "UTC")
        for number in range(1, GATES + 1):
            roster.add_gate(connection, roster.Gate(GateId(number), f"Gate {number}", ()), (), events.GROUP)
    intake = Intake(database, lambda: NOW_S)
    logs = [Log(GateId(number), Epoch(number)) for number in range(1, GATES + 1)]
    for _ in range(0, size.ingest_held, FILL_RECORDS):
        await Slice(logs, min(FILL_RECORDS, size.ingest_held)).push(intake)
    taken = seconds = bare_seconds = 0.0
    for _ in range(SLICES):
        part = Slice(logs, size.ingest_records // SLICES)
        gc.collect()  # what was made for the measurement is not the centre's to look through
        seconds += await part.push(intake)
        bare_seconds += await asyncio.to_thread(part.insert, database)
        taken += len(part.records)
    await intake.close()
    return taken / seconds, taken / bare_seconds


def _measure(name: str, goal: float, data: Path, url: str, size: Scale, where: str) -> Row:
    database = Database.open(data, url)
    try:
        value, floor = asyncio.run(_rates(database, size))
    finally:
        database.close()
    return Row(
        name=name,
        value=value,
        unit="records/s",
        floor=floor,
        goal=Goal(goal, at_least=True),
        conditions=f"{size.ingest_held} records there, {size.ingest_records} measured, {GATES} gates, pushes of "
        f"{PUSH_RECORDS}, one in {REPEATED} twice; floor: the same rows, bare, in turns; {where}",
    )


def measure(size: Scale) -> list[Row]:
    """Return the figures of both engines; PostgreSQL's only where it is installed."""
    home = size.folder / "centre"
    home.mkdir(exist_ok=True)
    rows = [_measure("ingest_sqlite_per_s", 40_000, home, "", size, "synchronous FULL")]
    if programs() is not None:
        with postgres(durable=True) as server:
            where = f"fsync on, PostgreSQL's own defaults, {file_system(server.folder)}"
            rows.append(_measure("ingest_pg_per_s", 50_000, home, server.make("bench"), size, where))
    return rows
