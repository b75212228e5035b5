"""Old pieces of the merged log are joined, and nobody who reads on misses a record; forgotten ones leave nothing to read."""

import random
import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.ids import Epoch, GateId, ZoneId
from sync.backup import retention
from sync.board.boards import Boards
from sync.compose import Centre
from sync.demo import EVENT
from sync.gates import arrivals, feed
from sync.store.database import Database
from sync.wire.messages import Chunk
from sync.wire.replication import Accepted, Duplicate, Replica, Source
from tests.sync.logs import EpochLog
from tests.sync.requests import NOW_S
from tests.sync.test_feed import GROUP, ONE, TWO, prepare, read_on, records, store
from tests.sync.test_retention import DAY_S, END_S, centre, count, ends, keep  # noqa: F401 - a fixture

KEPT, STEP = 12, 10


def pieces(database: Database) -> list[tuple[int, int, int, int]]:
    with database.reading() as connection:
        found = connection.exec_driver_sql(
            "SELECT n, gate_id, first_seq, last_seq FROM arrival ORDER BY n"
        ).all()
    return [tuple(row) for row in found]


class Reader:
    """Somebody who reads now and then, and believes only what heads cover."""

    def __init__(self) -> None:
        self.cursor = b""
        self.held: dict[tuple[int, int, int], bytes] = {}
        self.replicas: dict[int, Replica] = {}

    def read(self, database: Database, most: int = 1_000_000) -> None:
        for _ in range(most):
            with database.reading() as connection:
                page = feed.page(connection, GROUP, self.cursor)
            self.take(page.chunks)
            self.cursor = page.cursor
            if not page.more:
                return

    def take(self, chunks: tuple[Chunk, ...]) -> None:
        for one in chunks:
            machine = self.replicas.setdefault(
                GateId(one.gate), Replica(GateId(one.gate), EpochLog(Epoch(1)).key.public_key())
            )
            answer = machine.offer(one, partial(self.stored, GateId(one.gate)), Source.CARRIER)
            assert isinstance(answer, Accepted | Duplicate), answer
            assert not isinstance(answer, Accepted) or answer.refused is None
            self.held.update(records([one]))

    def stored(self, gate: GateId, epoch: Epoch, first: int, last: int) -> list[bytes | None]:
        return [self.held.get((gate, epoch, seq)) for seq in range(first, last + 1)]

    def stand(self, database: Database, gate: GateId) -> None:
        """Have it known where this reader stands, as a gate's question does."""
        n = int.from_bytes(self.cursor[:8], "big")
        with database.writing() as connection:
            feed.has_read(connection, {gate: (n, NOW_S)})


def pushed(database: Database, log: EpochLog, scans: int) -> None:
    first = len(log.blobs) + 1
    for _ in range(scans):
        log.scan()
    log.sign()
    with database.writing() as connection:
        store(connection, log, first if first > 2 else 1)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared database, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    database = Database.open(folder)
    prepare(database)
    database.close()
    return folder


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 4), min_size=30, max_size=60))
def test_who_reads_on_misses_nothing(template: Path, seed: int, steps: list[int]) -> None:
    chance = random.Random(seed)
    with TemporaryDirectory() as folder:
        for file in template.iterdir():
            shutil.copy(file, folder)
        database = Database.open(Path(folder))
        try:
            logs = [EpochLog(Epoch(7), ONE).begin(), EpochLog(Epoch(2**64 - 5), TWO).begin()]
            readers = [Reader() for _ in range(3)]
            for step in steps:
                if step < 3:
                    pushed(database, chance.choice(logs), chance.randint(1, 4))
                elif step == 3:
                    reader = chance.choice(readers)
                    reader.read(database)
                    if reader is readers[0]:
                        reader.stand(database, ONE)
                else:
                    arrivals.join_old(database, KEPT, STEP)
            arrivals.join_old(database, KEPT, STEP)
            whole = Reader()
            whole.read(database)
            for reader in readers:
                reader.read(database)
                assert reader.held == whole.held
            with database.reading() as connection:
                count = connection.exec_driver_sql("SELECT count(*) FROM record").scalar_one()
            assert len(whole.held) == count
        finally:
            database.close()


def test_a_thousand_small_pieces_become_few_and_the_newest_stay(database: Database) -> None:
    prepare(database)
    log, other = EpochLog(Epoch(7), ONE).begin(), EpochLog(Epoch(8), TWO).begin()
    reader = Reader()
    for n in range(200):
        pushed(database, (log, other)[n % 2], 2)
        if n == 60:
            reader.read(database)
            reader.stand(database, TWO)
    before = pieces(database)
    cursor = reader.cursor
    assert arrivals.join_old(database, kept=20, step=60) == 180 - 2 * 3 - 1
    after = pieces(database)
    assert after[-20:] == before[-20:], "gates in touch stand there"
    assert len(after) == 20 + 2 * 3 + 1
    assert {row[0] for row in after} <= {row[0] for row in before}
    reader.read(database)
    assert reader.held == records(read_on(database)[0])
    with database.reading() as connection:
        page = feed.page(connection, GROUP, cursor)
    assert all(one.first_seq > 1 for one in page.chunks), "the cursor holds: it was not begun anew"
    assert arrivals.join_old(database, kept=20, step=60) == 0, "each piece is looked at once"
    assert pieces(database) == after


def test_a_piece_grows_no_larger_than_one_may_be(database: Database) -> None:
    prepare(database)
    log = EpochLog(Epoch(7), ONE).begin()
    for _ in range(30):
        pushed(database, log, 100)
    arrivals.join_old(database, kept=0, step=30)
    sizes = [last - first + 1 for _, _, first, last in pieces(database)]
    assert sum(sizes) == len(log.blobs)
    assert max(sizes) <= feed.PIECE_RECORDS
    assert len(sizes) == 3


def test_nothing_is_joined_over_an_end_that_no_head_of_its_own_covers(database: Database) -> None:
    prepare(database)
    log = EpochLog(Epoch(7), ONE).begin()
    for _ in range(3):
        pushed(database, log, 2)
    first = len(log.blobs) + 1
    log.scan()
    log.scan()
    with database.writing() as connection:
        store(connection, log, first)
        feed.note(connection, ONE, [], {log.epoch: len(log.blobs)})
    arrivals.join_old(database, kept=0, step=4)
    assert [row[2:] for row in pieces(database)] == [(1, first - 1), (first, len(log.blobs))]


def test_a_board_is_the_same_before_and_after(centre: Centre) -> None:  # noqa: F811 - the fixture
    database = centre.database
    seen = [board(database)]
    arrivals.join_old(database, kept=0, step=1)
    seen.append(board(database))
    assert seen[0] == seen[1]
    assert seen[0][0] > 0


def board(database: Database) -> tuple[int, dict[ZoneId, list[int]], dict[int, list[int]]]:
    boards = Boards(lambda: 0.0)
    with database.reading() as connection:
        while True:
            seen = boards.see(connection, 1, EVENT, NOW_S)
            assert seen is not None
            if not seen.behind:
                break
    tally = seen.tally.events[EVENT]
    return sum(tally.admitted_by_gate.values()), dict(tally.zones), dict(tally.minutes)


def test_what_was_forgotten_leaves_the_newest_of_each_log_and_later_records_are_read(centre: Centre) -> None:  # noqa: F811 - the fixture
    database = centre.database
    ends(database, 1, 2)
    keep(database, scan_days=7)
    with database.reading() as connection:
        logs = connection.exec_driver_sql("SELECT count(*) FROM log_epoch WHERE seq > 0").scalar_one()
    assert count(database, "arrival") >= logs
    retention.run_due(database, END_S + 8 * DAY_S)
    assert count(database, "record") == 0
    assert count(database, "arrival") == logs
    assert count(database, "head") == logs
    with database.reading() as connection:
        assert feed.page(connection, 1, b"").chunks == ()
