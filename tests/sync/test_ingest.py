"""Records come in: on both engines, of many gates at a time, cut anywhere; presence is what the whole log says."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import insert, select, text

from admission.chain import ROOT
from admission.entitlements import Mode
from admission.ids import Epoch, EventId, GateId, ProductId, RecordId, TicketId, ZoneId
from admission.observed import Reset, from_columns, reset_from_columns, reset_of, rows_of
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    pack_record_ids,
    record_from_bytes,
    ticket_subject,
)
from edge.front.centre import SMALL_BYTES_MAX
from sync.events import rows as events
from sync.events.rows import GROUP
from sync.gates import enrolment, fleet, ingest, roster, tables
from sync.gates.ingest import Arrival
from sync.gates.intake import Intake
from sync.store.database import Database
from sync.wire.messages import Chunk, Push
from tests.sync.logs import PUBLIC, EpochLog

NOW_S = 1_800_000_000
KEY = PUBLIC.public_bytes_raw()
GATES = 5


@pytest.fixture
def gates(database: Database) -> Database:
    with database.writing() as connection:
        events.add_group(connection, "Venue", bytes(32))
        events.add_event(connection, EventId(1), "Event", "UTC")
        for number in range(1, GATES + 1):
            roster.add_gate(connection, roster.Gate(GateId(number), f"Gate {number}", ()), (), GROUP)
    return database


def log_of(gate: int, epoch: int = 2**64 - 9) -> EpochLog:
    """A log with all that matters to presence, and with what does not."""
    log = EpochLog(Epoch(epoch), GateId(gate)).begin(ROOT)
    for number in (1, 2**63 + gate, 2**64 - 1):
        subject = ticket_subject(EventId(2**32 - 1), TicketId(number), ProductId(1))
        entry = len(log.blobs) + 1
        of = Record(
            Kind.SCAN, entry, -5, 0, zone=ZoneId(65_535), outcome=Outcome.GRANT, direction=Direction.ENTRY,
            mode=Mode.ENTRY_EXIT, flags=Flag.TICKET, subject=subject,
        )  # fmt: skip
        log.add(of.to_bytes())
        passage = replace(of, kind=Kind.PASSAGE, seq=entry + 1, time_us=7, outcome=Outcome.NONE, ref=entry)
        log.add(passage.to_bytes())
        log.add(replace(of, seq=entry + 2, time_us=9, direction=Direction.EXIT).to_bytes())
        staff = ExtensionRecord(Extension.STAFF, entry + 3, b"\0\0\0\1why")
        log.add(staff.to_bytes())
        closed = [RecordId(GateId(gate), log.epoch, one) for one in range(1, 40)]
        for payload in pack_record_ids(tuple(closed)):
            log.add(ExtensionRecord(Extension.OBSERVED, len(log.blobs) + 1, payload).to_bytes())
        log.sign()
        reset = len(log.blobs) + 1
        log.add(Record(Kind.RESET, reset, 11, 0, zone=ZoneId(1)).to_bytes())
        for payload in pack_record_ids(tuple(closed)):
            log.add(ExtensionRecord(Extension.RESET, len(log.blobs) + 1, payload).to_bytes())
    log.sign()
    return log


def presence_of(log: EpochLog) -> tuple[list[object], list[Reset]]:
    """What the whole log says, read at once."""
    rows: list[object] = []
    resets: list[Reset] = []
    bodies: list[tuple[Record, list[ExtensionRecord]]] = []
    for blob in log.blobs:
        one = record_from_bytes(blob)
        if isinstance(one, Record):
            bodies.append((one, []))
        else:
            bodies[-1][1].append(one)
    for body, extensions in bodies:
        at = (log.gate, log.epoch, body, tuple(extensions), body.time_us)
        rows += rows_of(*at)
        reset = reset_of(*at)
        resets += [] if reset is None else [reset]
    return rows, resets


def held(database: Database) -> tuple[list[bytes], list[object], list[Reset]]:
    with database.reading() as connection:
        r, p, q = tables.record, tables.presence, tables.presence_reset
        blobs = connection.execute(select(r.c.blob).order_by(r.c.gate_id, r.c.epoch, r.c.seq)).scalars()
        rows = connection.execute(select(p).order_by(p.c.gate, p.c.epoch, p.c.seq))
        resets = connection.execute(select(q).order_by(q.c.gate, q.c.epoch, q.c.seq))
        return (
            list(blobs),
            [from_columns(tuple(row)) for row in rows],
            [reset_from_columns(tuple(row)) for row in resets],
        )


def clear(database: Database) -> None:
    with database.writing() as connection:
        for name in ("record", "presence", "presence_reset", "log_epoch", "head", "arrival", "trouble"):
            connection.execute(text(f"DELETE FROM {name}"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 60), max_size=8), together=st.booleans())
def test_presence_is_what_the_whole_log_says_wherever_pushes_are_cut(
    gates: Database, cuts: Sequence[int], together: bool
) -> None:
    log = log_of(1)
    ends = sorted({*(one for one in cuts if one < len(log.blobs)), len(log.blobs)})
    chunks = [log.chunk(first + 1, last) for first, last in zip([0, *ends[:-1]], ends, strict=True)]
    pushes = [Push(tuple(chunks))] if together else [Push((one,)) for one in chunks]
    for push in pushes:
        for _ in range(2):
            answer = gates.transact(
                lambda connection, push=push: ingest.take(connection, log.gate, KEY, push, NOW_S)  # type: ignore[misc]  # bound now
            )
            assert not answer.troubles
    assert held(gates) == (log.blobs, *presence_of(log))
    clear(gates)


async def test_many_gates_are_taken_in_few_transactions(gates: Database) -> None:
    logs = [log_of(number) for number in range(1, GATES + 1)]
    intake = Intake(gates, lambda: NOW_S)

    async def push(log: EpochLog) -> None:
        for first in range(1, len(log.blobs) + 1, 7):
            chunk = log.chunk(first, first + 6)
            answer = await intake.take(log.gate, KEY, Push((chunk,)))
            assert answer.held[0].seq == first + len(chunk.blobs) - 1
            with gates.reading() as connection:  # answered after the commit, not before
                assert ingest.have(connection, log.gate, KEY).held == answer.held

    await asyncio.gather(*(push(one) for one in logs))
    await intake.close()
    assert held(gates)[0] == [blob for log in logs for blob in log.blobs]
    assert intake.commits < sum(len(log.blobs) // 7 for log in logs)


async def test_what_is_wrong_with_one_gate_is_that_gates_alone(gates: Database) -> None:
    with gates.writing() as connection:  # a row that nothing of ours writes
        connection.execute(
            text(
                "INSERT INTO log_epoch (gate_id, epoch, seq, link, head_seq, predecessor) VALUES (2, 1, 1, :b, 0, :b)"
            ),
            {"b": b"short"},
        )
    intake = Intake(gates, lambda: NOW_S)
    logs = [log_of(number) for number in (1, 2, 3)]
    answers = await asyncio.gather(
        *(intake.take(log.gate, KEY, Push((log.chunk(),))) for log in logs), return_exceptions=True
    )
    await intake.close()
    assert isinstance(answers[1], ValueError)
    assert held(gates)[0] == [*logs[0].blobs, *logs[2].blobs]


async def test_a_gates_pushes_are_taken_one_after_the_other(
    gates: Database, caplog: pytest.LogCaptureFixture
) -> None:
    log = log_of(1)
    intake = Intake(gates, lambda: NOW_S)
    parts = [log.chunk(first, first + 9) for first in range(1, len(log.blobs) + 1, 10)]
    answers = await asyncio.gather(*(intake.take(log.gate, KEY, Push((one,))) for one in parts))
    await intake.close()
    assert [one.troubles for one in answers] == [()] * len(parts)
    assert answers[-1].held[0].seq == len(log.blobs)
    assert intake.commits == len(parts)
    assert not caplog.records, "none of them failed and was taken anew"


def test_a_fork_and_the_largest_numbers_are_kept(gates: Database) -> None:
    log = log_of(3, 2**64 - 1)
    twin = log.copy(12).scans(9, data=2**32 - 1)
    far = Chunk(log.gate, log.epoch, 2**32 - 1, (b"x",), bytes(32))
    for push in (Push((log.chunk(),)), Push((twin.chunk(),)), Push((far,)), Push((twin.chunk(),))):
        gates.transact(
            lambda connection, push=push: ingest.take_all(connection, [Arrival(log.gate, KEY, push)], NOW_S)  # type: ignore[misc]  # bound now
        )
    with gates.reading() as connection:
        forks = connection.execute(text("SELECT blob FROM record_fork ORDER BY seq")).scalars().all()
        assert forks == twin.blobs[12:]
        assert connection.execute(text("SELECT forked_seq FROM log_epoch")).scalar() == len(twin.blobs)
        found = connection.execute(text("SELECT what, seq, times FROM trouble ORDER BY seq")).all()
    assert [tuple(one) for one in found] == [("fork", len(twin.blobs), 2), ("malformed", 2**32 - 1, 1)]


@pytest.mark.parametrize("carrier", [None, GateId(2)])
def test_what_waits_while_its_gate_is_shut_out_is_not_taken(gates: Database, carrier: GateId | None) -> None:
    """Its request was proved before, its records come to the tables behind the revocation, which does not name their run."""
    with gates.writing() as connection:
        enrolment.join(connection, GateId(1), KEY, bytes(32), NOW_S)
    before, later = log_of(1), log_of(1, 7)
    for log in (before, later):
        arrival = Arrival(log.gate, KEY, Push((log.chunk(),)), carrier)
        with gates.writing() as connection:
            (answer,) = ingest.take_all(connection, [arrival], NOW_S)
        if log is before:
            with gates.writing() as connection:
                fleet.revoke(connection, GateId(1), "stolen", NOW_S)
    assert (answer.held[0].epoch, answer.held[0].seq, answer.troubles) == (later.epoch, 0, ())
    assert held(gates) == (before.blobs, *presence_of(before))


def test_a_gate_that_started_very_often_is_told_of_all_its_runs(gates: Database) -> None:
    """What is not named counts as not held: it would be pushed once more after each cut, or be missed where it was pruned."""
    runs = 20_000
    values = [
        {"gate_id": 1, "epoch": -number, "seq": 2**31 - 2, "link": bytes(32), "head_seq": 0}
        for number in range(1, runs + 1)
    ]
    with gates.writing() as connection:
        connection.execute(insert(tables.log_epoch), values)
    with gates.reading() as connection:
        told = ingest.have(connection, GateId(1), KEY)
    assert len(told.held) == runs
    size = len(msgspec.msgpack.encode(told))
    assert size / runs * ingest.HELD_MAX < SMALL_BYTES_MAX
