"""The merged log at the centre: what became known, in commit order, only what heads cover, on either engine."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, update

from admission.ids import Epoch, GateId
from sync.events import rows as events
from sync.gates import feed, roster, tables
from sync.store.database import Database
from sync.store.schema import signed
from sync.wire.feed import FEED_BYTES_MAX, Want
from sync.wire.messages import Chunk
from sync.wire.replication import UNSIGNED_MAX, Accepted, Duplicate, Replica, Source, head_in
from tests.sync.logs import EpochLog
from tests.sync.ready import with_tables

ONE, TWO, STRANGER = GateId(1), GateId(2), GateId(3)
GROUP, OTHER = 1, 2
BIG = Epoch(2**64 - 5)


def prepare(database: Database) -> None:
    with database.writing() as connection:
        for group in (GROUP, OTHER):
            events.add_group(connection, f"Group {group}", bytes(32), group=group)
        for gate, group in ((ONE, GROUP), (TWO, GROUP), (STRANGER, OTHER)):
            roster.add_gate(connection, roster.Gate(gate, f"Gate {gate}", ()), (), group=group)


def store(connection: Connection, log: EpochLog, first: int = 1) -> int:
    """Put records from `first` on into the tables, as taking them in does, and note them."""
    at = {"gate_id": log.gate, "epoch": signed(log.epoch)}
    blobs = log.blobs[first - 1 :]
    heads = [head for blob in blobs if (head := head_in(log.gate, log.epoch, blob)) is not None]
    connection.execute(
        insert(tables.record),
        [{**at, "seq": seq, "blob": blob} for seq, blob in enumerate(blobs, start=first)],
    )
    if heads:
        connection.execute(
            insert(tables.head),
            [{**at, "seq": one.seq, "link": one.link, "signature": one.signature} for one in heads],
        )
    state = {"seq": len(log.blobs), "link": log.links[-1], **({"head_seq": heads[-1].seq} if heads else {})}
    t = tables.log_epoch
    if first == 1:
        connection.execute(insert(t), {**at, "head_seq": 0, **state})
    else:
        connection.execute(update(t).where(t.c.gate_id == log.gate, t.c.epoch == at["epoch"]).values(**state))
    return feed.note(connection, log.gate, [log.epoch])


def read_on(database: Database, cursor: bytes = b"") -> tuple[list[Chunk], bytes]:
    """Read until nothing more comes."""
    found: list[Chunk] = []
    with database.reading() as connection:
        while True:
            page = feed.page(connection, GROUP, cursor)
            found += page.chunks
            cursor = page.cursor
            if not page.more:
                return found, cursor


def records(chunks: Sequence[Chunk]) -> dict[tuple[int, int, int], bytes]:
    return {
        (one.gate, one.epoch, seq): blob
        for one in chunks
        for seq, blob in enumerate(one.blobs, start=one.first_seq)
    }


def of(*logs: EpochLog) -> dict[tuple[int, int, int], bytes]:
    return records([one.chunk() for one in logs])


def a_log(gate: GateId, epoch: int, scans: int) -> EpochLog:
    log = EpochLog(Epoch(epoch), gate).begin().scans(scans)
    log.sign()
    return log


def test_what_heads_cover_is_read_in_the_order_it_became_known(database: Database) -> None:
    prepare(database)
    first, second = a_log(ONE, 7, 30), a_log(TWO, BIG, 12)
    with database.writing() as connection:
        store(connection, first)
    with database.writing() as connection:
        store(connection, second)
    chunks, cursor = read_on(database)
    assert [one.gate for one in chunks] == [ONE, TWO]
    assert records(chunks) == of(first, second)
    assert read_on(database, cursor) == ([], cursor)
    for log in (first, second):
        reader = Replica(log.gate, log.key.public_key())
        answers = [reader.offer(one, lambda *_: (), Source.CARRIER) for one in chunks if one.gate == log.gate]
        assert all(isinstance(one, Accepted) and one.refused is None for one in answers)


def test_a_tail_without_a_head_waits_for_one(database: Database) -> None:
    prepare(database)
    log = a_log(ONE, 7, 5)
    signed_up_to = len(log.blobs)
    log.scan()
    with database.writing() as connection:
        assert store(connection, log) == 1
    chunks, cursor = read_on(database)
    assert records(chunks) == {at: blob for at, blob in of(log).items() if at[2] <= signed_up_to}
    log.sign()
    with database.writing() as connection:
        assert store(connection, log, signed_up_to + 2) == 1
    more, _ = read_on(database, cursor)
    assert more == [log.chunk(signed_up_to + 1)]


def test_a_long_log_comes_in_pages_that_each_end_with_a_head(database: Database) -> None:
    prepare(database)
    log = EpochLog(Epoch(9), ONE).begin().scans(20_000, head_every=256)
    log.sign()
    with database.writing() as connection:
        pieces = store(connection, log)
    assert pieces >= len(log.blobs) // feed.PIECE_RECORDS
    reader = Replica(ONE, log.key.public_key())
    cursor, pages, taken = b"", 0, 0
    with database.reading() as connection:
        while True:
            page = feed.page(connection, GROUP, cursor)
            for chunk in page.chunks:
                assert sum(map(len, chunk.blobs)) <= FEED_BYTES_MAX
                answer = reader.offer(chunk, lambda *_: (), Source.CARRIER)
                assert isinstance(answer, Accepted)
                assert answer.refused is None
                taken += len(answer.blobs)
            cursor, pages = page.cursor, pages + 1
            if not page.more:
                break
    assert taken == len(log.blobs)
    assert pages > 1


def test_records_that_no_head_covers_for_long_are_not_forwarded(database: Database) -> None:
    prepare(database)
    log = EpochLog(Epoch(9), ONE).begin()
    log.scans(UNSIGNED_MAX + 1, head_every=10**9)
    log.sign()
    with database.writing() as connection:
        assert store(connection, log) == 0
    assert read_on(database) == ([], b"")


@pytest.mark.parametrize("cursor", [b"x", bytes(16), b"\xff" * 16, (1).to_bytes(8, "big") + bytes(8)])
def test_a_cursor_that_was_never_given_begins_at_the_start(database: Database, cursor: bytes) -> None:
    prepare(database)
    log = a_log(ONE, 7, 3)
    with database.writing() as connection:
        store(connection, log)
    assert records(read_on(database, cursor)[0]) == of(log)


def test_another_group_reads_nothing_of_it(database: Database) -> None:
    prepare(database)
    log, own = a_log(ONE, 7, 3), a_log(STRANGER, 8, 3)
    with database.writing() as connection:
        store(connection, log)
        store(connection, own)
    with database.reading() as connection:
        assert records(feed.page(connection, OTHER, b"").chunks) == of(own)
        assert feed.wanted(connection, OTHER, [Want(ONE, 7, 0)]) == ((), True)
        assert feed.newest(connection, OTHER) == 1


def test_a_log_is_asked_for_by_name_from_anywhere(database: Database) -> None:
    prepare(database)
    log = a_log(ONE, 7, 40)
    with database.writing() as connection:
        store(connection, log)
    for after in (0, 1, 15, len(log.blobs) - 1):
        with database.reading() as connection:
            (chunk,), complete = feed.wanted(connection, GROUP, [Want(ONE, 7, after)])
        assert complete
        assert chunk.first_seq <= after + 1, "from a head on, whose link proves where it stands"
        assert chunk == log.chunk(chunk.first_seq) or chunk.first_seq == 1
        assert records([chunk]).items() <= of(log).items()
    with database.reading() as connection:
        assert feed.wanted(connection, GROUP, [Want(ONE, 7, len(log.blobs))]) == ((), True)


def test_a_revoked_gate_is_believed_up_to_the_head_named(database: Database) -> None:
    prepare(database)
    log, whole = a_log(ONE, 7, 25), a_log(ONE, 8, 5)
    believed = 10
    with database.writing() as connection:
        store(connection, log)
        store(connection, whole)
        feed.revoke(connection, ONE, 1000, {Epoch(7): believed})
    chunks, _ = read_on(database)
    assert records(chunks) == {at: blob for at, blob in of(log).items() if at[2] <= believed + 1}
    with database.reading() as connection:
        assert feed.quarantined(connection, GROUP) == (
            feed.Quarantined(ONE, Epoch(7), believed + 2, len(log.blobs)),
            feed.Quarantined(ONE, Epoch(8), 1, len(whole.blobs)),
        )
        assert feed.quarantined(connection, OTHER) == ()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whoever_reads_between_any_two_commits_gets_all_and_nothing_twice(data: st.DataObject) -> None:

    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(with_tables(Path(folder)))
        try:
            _interleave(database, data)
        finally:
            database.close()


def _interleave(database: Database, data: st.DataObject) -> None:
    prepare(database)
    logs = [EpochLog(Epoch(epoch), gate) for epoch, gate in ((7, ONE), (8, TWO), (9, ONE))]
    got: list[Chunk] = []
    cursor = b""
    for log in data.draw(st.lists(st.sampled_from(logs), max_size=8)):
        first = len(log.blobs) + 1
        log.begin() if first == 1 else log.scan()
        log.scans(data.draw(st.integers(0, 15)), head_every=data.draw(st.integers(3, 9)))
        with database.writing() as connection:
            store(connection, log, first)
        if data.draw(st.booleans()):
            more, cursor = read_on(database, cursor)
            got += more
    for log in logs:
        if log.blobs:
            first = len(log.blobs) + 1
            log.sign()
            with database.writing() as connection:
                store(connection, log, first)
    got += read_on(database, cursor)[0]
    assert records(got) == of(*logs)
    replicas = {gate: Replica(gate, logs[0].key.public_key()) for gate in (ONE, TWO)}
    for one in got:
        answer = replicas[GateId(one.gate)].offer(one, lambda *_: (), Source.CARRIER)
        assert not isinstance(answer, Duplicate)
        assert isinstance(answer, Accepted)
        assert len(answer.blobs) == len(one.blobs)
