"""The log writer: who waits for what, what is told to whom, and what a failing disk changes."""

import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import pytest

from admission.ids import Epoch, GateId
from edge.store.committer import (
    CHECKPOINT_PAGES,
    CHECKPOINT_PAUSE_S,
    GROUP_RECORDS_MAX,
    HELD_RECORDS_MAX,
    IDLE_S,
    RETRY_S,
    WAL_PAGES_MAX,
    Committer,
    Urgency,
)
from edge.store.faults import FaultKind, StoreFault
from edge.store.log import LogStore
from edge.store.log_schema import Batch, Cursor, StoredRecord
from edge.store.writer import LogWriter
from tests.edge.crash_points import OWN, QUIET


class ScriptedLog:
    """A log in memory whose disk fails when told to."""

    def __init__(self) -> None:
        self.wal_pages = 0
        self.failing: FaultKind | None = None
        self.room_in_reserve = False
        self.commits: list[list[int]] = []
        self.checkpoints: list[bool] = []
        self.reopened = 0
        self.closed = False

    def append(self, batches: list[Batch], /) -> None:
        self._touch()
        self.commits.append([batch.token for batch in batches])

    def checkpoint(self, *, wait: bool = False) -> None:
        self._touch()
        self.checkpoints.append(wait)
        self.wal_pages = 0

    def prune(self, peers: Collection[GateId], older_than_us: int, heard: Iterable[Cursor] = ()) -> int:
        raise AssertionError(
            "nothing is pruned without a time that is certainly over", peers, older_than_us, heard
        )

    def is_pressed(self) -> bool:
        return True

    def free_reserve(self) -> bool:
        if self.room_in_reserve:
            self.failing = None
        return self.room_in_reserve

    def keep_reserve(self) -> bool:
        return False

    def reopen(self) -> None:
        self.reopened += 1

    def close(self) -> None:
        self.closed = True

    def _touch(self) -> None:
        if self.failing is not None:
            raise StoreFault(self.failing, "scripted")


class Told:
    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def durable(self, token: int) -> None:
        self.said.append(("durable", token))

    def faulted(self, fault: StoreFault, token: int) -> None:
        self.said.append(("faulted", fault.kind, token))

    def refused(self, fault: StoreFault, token: int) -> None:
        self.said.append(("refused", fault.kind, token))

    def alive(self, ticket: int) -> None:
        self.said.append(("alive", ticket))

    def died(self, error: Exception) -> None:
        self.said.append(("died", type(error)))


def at_once(callback: Callable[..., None], *values: object) -> None:
    callback(*values)


@pytest.fixture
def log() -> ScriptedLog:
    return ScriptedLog()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def committer(log: ScriptedLog, told: Told) -> Committer:
    return Committer(log, told, at_once, linger_s=1.0)


def batch(token: int, records: int = 1) -> Batch:
    return Batch(
        token, tuple(StoredRecord(OWN, Epoch(1), token * 100_000 + at, b"x") for at in range(records))
    )


def test_what_is_urgent_is_committed_at_once_and_takes_along_what_waits(
    committer: Committer, log: ScriptedLog, told: Told
) -> None:
    assert committer.put(batch(1), Urgency.RIDE, 10.0)
    assert committer.turn(10.0) == 11.0
    assert not committer.put(batch(2), Urgency.RIDE, 10.2) or log.commits == []
    assert committer.put(batch(3), Urgency.NOW, 10.3)
    assert committer.turn(10.3) is None
    assert log.commits == [[1, 2, 3]]
    assert told.said == [("durable", 3)]


def test_what_is_not_urgent_waits_no_longer_than_its_linger(committer: Committer, log: ScriptedLog) -> None:
    committer.put(batch(1), Urgency.RIDE, 10.0)
    committer.turn(10.0)
    committer.put(batch(2), Urgency.RIDE, 10.9)
    assert committer.turn(10.9) == 11.0
    assert log.commits == []
    assert committer.turn(11.0) is None
    assert log.commits == [[1, 2]]
    committer.put(batch(3), Urgency.RIDE, 11.5)
    assert committer.turn(11.5) == 12.5


def test_an_idle_writer_sleeps_until_something_comes(committer: Committer, log: ScriptedLog) -> None:
    assert committer.turn(5.0) is None
    assert (log.commits, log.checkpoints) == ([], [])


def test_a_long_drain_is_cut_into_groups(committer: Committer, log: ScriptedLog, told: Told) -> None:
    for token in (1, 2, 3):
        committer.put(batch(token, GROUP_RECORDS_MAX // 2), Urgency.NOW, 0.0)
    committer.put(batch(4, GROUP_RECORDS_MAX * 2), Urgency.NOW, 0.0)
    committer.turn(0.0)
    assert log.commits == [[1, 2], [3], [4]]
    assert told.said == [("durable", 2), ("durable", 3), ("durable", 4)]


def test_a_full_disk_costs_the_reserve_and_no_record(
    committer: Committer, log: ScriptedLog, told: Told
) -> None:
    log.failing, log.room_in_reserve = FaultKind.FULL, True
    committer.put(batch(1), Urgency.NOW, 0.0)
    assert committer.turn(0.0) is None
    assert (log.commits, told.said, committer.fault) == ([[1]], [("durable", 1)], None)


def test_an_ill_disk_is_told_of_and_asked_again(committer: Committer, log: ScriptedLog, told: Told) -> None:
    log.failing = FaultKind.IO
    committer.put(batch(1), Urgency.NOW, 0.0)
    assert committer.turn(0.0) == RETRY_S
    assert told.said == [("faulted", FaultKind.IO, 1)]
    committer.put(batch(2), Urgency.NOW, 0.1)
    committer.put(batch(3), Urgency.RIDE, 0.1)
    assert committer.turn(0.1) == RETRY_S  # each new one hears at once, without asking the disk
    assert told.said[1:] == [("faulted", FaultKind.IO, 3)]
    assert [one.token for one in committer.held()] == [1, 2, 3]
    log.failing = FaultKind.FULL
    assert committer.turn(RETRY_S) == 2 * RETRY_S
    assert told.said[2:] == [("faulted", FaultKind.FULL, 3)]
    assert committer.turn(2 * RETRY_S) == 3 * RETRY_S  # the same again is no news
    assert told.said[3:] == []
    log.failing = None
    assert committer.turn(3 * RETRY_S) is None
    assert told.said[3:] == [("durable", 3)]
    assert (log.commits, committer.held(), committer.fault) == ([[1, 2, 3]], (), None)
    assert log.reopened >= 2


def test_memory_has_an_end_and_says_so(committer: Committer, log: ScriptedLog, told: Told) -> None:
    log.failing = FaultKind.IO
    committer.put(batch(1), Urgency.NOW, 0.0)
    committer.turn(0.0)
    committer.put(batch(2, HELD_RECORDS_MAX - 1), Urgency.NOW, 0.0)
    committer.put(batch(3), Urgency.NOW, 0.0)
    committer.turn(0.1)
    assert told.said[1:] == [("refused", FaultKind.MEMORY_FULL, 3), ("faulted", FaultKind.IO, 2)]
    log.failing = None
    committer.turn(RETRY_S)
    assert log.commits == [[1], [2]]
    assert told.said[-1] == ("durable", 2)
    committer.put(batch(4), Urgency.NOW, 2.0)  # after what was refused it would leave a gap in the chain
    committer.turn(2.0)
    assert told.said[-1:] == [("refused", FaultKind.MEMORY_FULL, 4)]
    assert log.commits == [[1], [2]]


def test_the_journal_is_brought_in_only_when_quiet(committer: Committer, log: ScriptedLog) -> None:
    committer.put(batch(1), Urgency.NOW, 100.0)
    log.wal_pages = CHECKPOINT_PAGES - 1
    assert committer.turn(100.0) is None  # so little stays: an idle box writes nothing
    log.wal_pages = CHECKPOINT_PAGES
    assert committer.turn(100.1) == 100.0 + IDLE_S
    assert log.checkpoints == []
    assert committer.turn(100.0 + IDLE_S) is None
    assert log.checkpoints == [False]
    log.wal_pages = CHECKPOINT_PAGES
    assert committer.turn(102.0) == 100.0 + IDLE_S + CHECKPOINT_PAUSE_S


def test_a_long_journal_is_brought_in_however_busy(committer: Committer, log: ScriptedLog) -> None:
    log.wal_pages = WAL_PAGES_MAX
    committer.put(batch(1), Urgency.NOW, 100.0)
    committer.turn(100.0)
    assert (log.commits, log.checkpoints) == ([[1]], [True])


def test_a_checkpoint_that_fails_is_told_of_and_holds_up_nothing(
    committer: Committer, log: ScriptedLog, told: Told
) -> None:
    log.wal_pages, log.failing = CHECKPOINT_PAGES, FaultKind.IO
    assert committer.turn(50.0) == 50.0 + CHECKPOINT_PAUSE_S
    assert told.said == [("faulted", FaultKind.IO, 0)]
    log.failing = None
    committer.put(batch(1), Urgency.NOW, 51.0)
    committer.turn(51.0)
    assert told.said[1:] == [("durable", 1)]


def test_a_noop_is_answered_in_its_turn(committer: Committer, log: ScriptedLog, told: Told) -> None:
    committer.put_noop(7)
    committer.turn(0.0)
    assert (told.said, log.commits) == ([("alive", 7)], [])


class Hearing(Told):
    """Lets the test wait for what is said."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def post(self, callback: Callable[..., None], *values: object) -> None:
        with self._changed:
            callback(*values)
            self._changed.notify_all()

    def wait(self, *what: object) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: what in self.said, timeout=30)


def test_the_thread_commits_from_many_sides_and_closes_with_nothing_left(tmp_path: Path) -> None:
    hearing = Hearing()
    writer = LogWriter(LogStore.open(tmp_path, QUIET), hearing, hearing.post, linger_s=0.01)
    writer.submit(batch(1), Urgency.NOW)
    hearing.wait("durable", 1)
    writer.submit(batch(2), Urgency.RIDE)
    hearing.wait("durable", 2)
    writer.noop(5)
    hearing.wait("alive", 5)
    for token in range(3, 300):
        writer.submit(batch(token), Urgency.NOW if token % 3 == 0 else Urgency.RIDE)
    writer.close()
    assert hearing.said[-1] == ("durable", 299)
    again = LogStore.open(tmp_path, QUIET)  # the lock was given back
    assert len(again.records(OWN, Epoch(1), 0, 1000)) == 299
    again.close()


def test_what_waits_is_committed_at_close(tmp_path: Path) -> None:
    hearing = Hearing()
    writer = LogWriter(LogStore.open(tmp_path, QUIET), hearing, hearing.post, linger_s=3600)
    writer.submit(batch(1), Urgency.RIDE)
    assert writer.close() == 0
    assert hearing.said == [("durable", 1)]


def test_a_thread_whose_disk_never_heals_still_ends(log: ScriptedLog) -> None:
    hearing = Hearing()
    log.failing = FaultKind.IO
    writer = LogWriter(log, hearing, hearing.post)
    writer.submit(batch(1), Urgency.NOW)
    hearing.wait("faulted", FaultKind.IO, 1)
    assert writer.close() == 1
    assert [one.token for one in writer.held()] == [1]
    assert writer.fault is not None
    assert log.closed


def test_a_disk_that_hangs_does_not_keep_the_gate_from_ending() -> None:
    hearing, goes_on = Hearing(), threading.Event()

    class HangingLog(ScriptedLog):
        def append(self, batches: list[Batch], /) -> None:
            goes_on.wait()
            super().append(batches)

    hanging = HangingLog()
    writer = LogWriter(hanging, hearing, hearing.post)
    writer.submit(batch(1, 3), Urgency.NOW)
    writer.submit(batch(2, 2), Urgency.NOW)
    rescue = threading.Timer(30, goes_on.set)
    rescue.start()  # who waits for the disk all the same is let go, and finds everything written
    assert writer.close(limit_s=0.05) == 5
    rescue.cancel()
    goes_on.set()
    assert writer.close() == 0


def test_a_defect_ends_the_thread_and_is_told_with_what_it_leaves() -> None:
    """SQLite cannot hold a version beyond 63 bits: an error that is no fault of the disk."""
    hearing = Hearing()

    class NarrowLog(ScriptedLog):
        def append(self, batches: list[Batch], /) -> None:  # noqa: ARG002 - as Log
            raise OverflowError("Python int too large to convert to C long")

    narrow = NarrowLog()
    writer = LogWriter(narrow, hearing, hearing.post)
    writer.submit(batch(1, 2), Urgency.NOW)
    hearing.wait("died", OverflowError)
    writer.submit(batch(2), Urgency.NOW)
    assert writer.close() == 3
    assert narrow.closed
