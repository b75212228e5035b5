"""Old acknowledged records leave the disk: never one too many, presence stays, and what is left still verifies."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.entitlements import Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, TicketId, ZoneId
from admission.presence import PresenceRow, fold
from admission.records import Direction, Kind, Record, Trust
from edge.export import Format, export_log
from edge.memory import refold
from edge.store.committer import (
    IDLE_S,
    KEEP_ACKED_US,
    KEEP_PRESSED_US,
    PRUNE_EVERY_S,
    PRUNE_FIRST_S,
    PRUNE_PAUSE_S,
    Committer,
    Urgency,
)
from edge.store.disk import LocalDisk
from edge.store.faults import FaultKind, StoreFault
from edge.store.log import PRUNE_RECORDS_MAX, LogStore
from edge.store.log_reader import LogReader
from edge.store.log_schema import CENTRE, Batch, Cursor, StoredRecord
from edge.verify import verify_log
from sync.wire.replication import head_in
from tests.edge.crash_points import OWN, QUIET, Gate, key_of
from tests.edge.power_cut import Mark, Medium, RecordingDisk, crash_points
from tests.sync.logs import EpochLog

LATER_US = 1 << 60
ZONES = ZoneTree((Zone(ZoneId(1), "Arena"),))
KEYS = {OWN: key_of(OWN).public_key()}


def log_of(store: LogStore, epochs: int = 3, scans: int = 12, head_every: int = 4) -> None:
    """Some runs of a gate: people come and go, a reset in each run."""
    writer, chance, token = Gate(OWN), random.Random(epochs), 0
    for epoch in range(1, epochs + 1):
        writer.begin(Epoch(2**63 + epoch))
        for number in range(scans):
            token += 1
            way = Direction.EXIT if number % 3 == 2 else Direction.ENTRY
            writer.scan(chance.randint(1, 8), way)
            if number == scans // 2:
                writer.reset()
            store.append([writer.batch(token, head=number % head_every == head_every - 1)])


def ack(store: LogStore, part: Callable[[int], int] = lambda last: last) -> dict[Epoch, int]:
    acked = {row.epoch: part(row.last_seq) for row in store.epochs()}
    store.append([Batch(1, cursors=tuple(Cursor(CENTRE, OWN, epoch, seq) for epoch, seq in acked.items()))])
    return acked


def records(reader: LogReader) -> dict[tuple[GateId, Epoch, int], bytes]:
    found = (reader.records(row.gate, row.epoch, 0, 10_000) for row in reader.epochs())
    return {(one.gate, one.epoch, one.seq): one.blob for rows in found for one in rows}


def rows_of(reader: LogReader) -> dict[tuple[EventId, TicketId], set[PresenceRow]]:
    by_ticket: dict[tuple[EventId, TicketId], set[PresenceRow]] = defaultdict(set)
    for row in reader.all_presence():
        by_ticket[row.event, row.ticket].add(row)
    return by_ticket


def folded(reader: LogReader) -> dict[TicketId, object]:
    """Who is inside and what was used, by ticket."""
    resets = reader.resets()
    return {
        ticket: (one.inside(ZoneId(1)), one.bounds(ZoneId(1)), one.live, one.counted, one.doubles(1))
        for (_, ticket), rows in rows_of(reader).items()
        for one in (fold(rows, resets, ZONES),)
    }


def assert_true(data: Path) -> None:
    verdict = verify_log(data, KEYS)
    assert not verdict.altered, list(verdict.lines())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 14), st.integers(1, 5), st.data())
def test_who_is_inside_is_the_same_before_and_after(
    tmp_path_factory: pytest.TempPathFactory, epochs: int, scans: int, head_every: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")
    store = LogStore.open(folder, QUIET)
    log_of(store, epochs, scans, head_every)
    whole, rows, inside = records(store), rows_of(store), folded(store)
    predecessors = [one.predecessor for one in store.states(OWN)]
    acked = ack(store, lambda last: data.draw(st.integers(0, last)))
    older_us = 1_700_000_000_000_000 + data.draw(st.integers(0, 60))
    while store.prune((CENTRE,), older_us):
        assert [one.predecessor for one in store.states(OWN)] == predecessors
    left = records(store)
    assert left.items() <= whole.items()
    for _, epoch, seq in whole.keys() - left.keys():
        assert seq <= acked[epoch]
    assert (rows_of(store), folded(store)) == (rows, inside)
    refold(store)
    assert (rows_of(store), folded(store)) == (rows, inside)
    assert_true(folder)
    # The next run goes on from what is left as from the whole.
    last = store.newest_state(OWN)
    assert last is not None
    assert last.seq == max(seq for _, epoch, seq in whole if epoch == last.epoch)
    store.close()
    shutil.rmtree(folder)


def test_a_record_lost_behind_what_was_pruned_is_still_found(tmp_path: Path) -> None:
    store = LogStore.open(tmp_path, QUIET)
    log_of(store)
    ack(store)
    assert store.prune((CENTRE,), LATER_US)
    (row, *_) = store.epochs()
    with (tmp_path / "export.jsonl").open("w") as out:
        assert export_log(tmp_path, Format.JSONL, out) == len(records(store))
    assert_true(tmp_path)
    lost = row.pruned_seq + 1
    store._connection.execute("DELETE FROM record WHERE epoch = ? AND seq = ?", (row.epoch - 2**64, lost))
    assert verify_log(tmp_path, KEYS).altered
    store.close()


def test_what_a_clock_of_1970_recorded_is_as_young_as_what_came_after_it(tmp_path: Path) -> None:
    """Two runs without a clock, in 1970 and in 2036, then one that knew the time."""
    store = LogStore.open(tmp_path, QUIET)
    known_us = 1_795_900_000_000_000
    for epoch, (at_us, trust) in enumerate(
        ((7, Trust.UNKNOWN), (1 << 55, Trust.FLOOR), (known_us, Trust.SYNCED)), 1
    ):
        log = EpochLog(Epoch(epoch), OWN, key_of(OWN))
        for seq in range(1, 9):
            log.add(Record(Kind.DEVICE, seq, at_us + seq, seq, trust=trust).to_bytes())
        log.sign()
        blobs = tuple(StoredRecord(OWN, log.epoch, seq, blob) for seq, blob in log.read(0, 99))
        heads = tuple(one for blob in blobs if (one := head_in(OWN, log.epoch, blob.blob)) is not None)
        if epoch == 3:
            ack(store)
            assert store.prune((CENTRE,), LATER_US) == 0  # nobody ever knew the time after them
        store.append([Batch(epoch, blobs, heads=heads)])
    ack(store)
    assert store.prune((CENTRE,), known_us) == 0
    assert [store.prune((CENTRE,), known_us + 2) for _ in range(3)] == [8, 8, 0]
    assert store.prune((CENTRE,), LATER_US) == 8
    store.close()


def test_a_slice_is_small_and_no_wide_gap_between_heads_stops_it(tmp_path: Path) -> None:
    store = LogStore.open(tmp_path, QUIET)
    log_of(store, epochs=1, scans=700, head_every=100)
    ack(store)
    whole, removed = len(records(store)), []
    while count := store.prune((CENTRE,), LATER_US):
        removed.append(count)
    assert max(removed) <= PRUNE_RECORDS_MAX
    assert sum(removed) + len(records(store)) == whole
    assert len(records(store)) < 10
    log_of(store, epochs=2, scans=700, head_every=700)
    ack(store)
    wide = store.prune((CENTRE,), LATER_US)
    assert wide > PRUNE_RECORDS_MAX
    store.close()


def test_what_was_acknowledged_is_kept_with_what_goes_on_its_account(tmp_path: Path) -> None:
    store = LogStore.open(tmp_path, QUIET)
    log_of(store, epochs=1)
    (row,) = store.epochs()
    heard = Cursor(CENTRE, OWN, row.epoch, row.last_seq)
    assert store.prune((CENTRE,), 0, (heard,)) == 0
    assert store.cursors() == ()
    assert store.prune((CENTRE,), LATER_US, (heard,)) > 0
    assert store.cursors() == (heard,)
    # A centre restored from a backup asks again: its newer word counts, though it is the lower one.
    assert store.prune((CENTRE,), LATER_US, (heard._replace(acked_seq=0),)) == 0
    store.close()


@pytest.mark.parametrize(("free", "pressed"), [(31, False), (30, True), (0, True)])
def test_a_disk_of_which_70_percent_are_used_is_pressed(tmp_path: Path, free: int, pressed: bool) -> None:
    class SizedDisk(LocalDisk):
        def free_bytes(self, path: Path) -> int:  # noqa: ARG002 - the Protocol's
            return free << 30

        def total_bytes(self, path: Path) -> int:  # noqa: ARG002 - the Protocol's
            return 100 << 30

    store = LogStore.open(tmp_path, SizedDisk())
    assert store.is_pressed() is pressed
    store.close()


def test_room_that_pruning_made_inside_the_file_counts(tmp_path: Path) -> None:
    class TightDisk(LocalDisk):
        def free_bytes(self, path: Path) -> int:  # noqa: ARG002 - the Protocol's
            return 290_000

        def total_bytes(self, path: Path) -> int:  # noqa: ARG002 - the Protocol's
            return 1_000_000

    store = LogStore.open(tmp_path, TightDisk())
    log_of(store, epochs=1, scans=200)
    ack(store)
    assert store.is_pressed()
    while store.prune((CENTRE,), LATER_US):
        pass
    assert not store.is_pressed()
    store.close()


# --- when -------------------------------------------------------------------------------------------------------


@dataclass
class PrunedLog:
    """A log that has slices to give, and writes down what it was asked."""

    slices: int = 0
    pressed: bool = False
    failing: bool = False
    wal_pages: int = 0
    asked: list[tuple[int, tuple[Cursor, ...]]] = field(default_factory=list)
    commits: list[Batch] = field(default_factory=list)

    def append(self, batches: list[Batch], /) -> None:
        self.commits += batches

    def prune(self, peers: Collection[GateId], older_than_us: int, heard: Iterable[Cursor] = ()) -> int:
        assert tuple(peers) == (CENTRE,)
        if self.failing:
            raise StoreFault(FaultKind.IO, "scripted")
        self.asked.append((older_than_us, tuple(heard)))
        self.slices -= 1
        return max(0, self.slices + 1)

    def is_pressed(self) -> bool:
        return self.pressed

    def checkpoint(self, *, wait: bool = False) -> None:
        raise AssertionError(wait)

    def free_reserve(self) -> bool:
        return False

    def keep_reserve(self) -> bool:
        return False

    def reopen(self) -> None:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


class Deaf:
    """Hears of faults only."""

    def __init__(self) -> None:
        self.faults: list[int] = []

    def durable(self, token: int) -> None: ...

    def faulted(self, _fault: StoreFault, token: int) -> None:
        self.faults.append(token)

    def refused(self, fault: StoreFault, token: int) -> None:
        raise AssertionError(fault, token)

    def alive(self, ticket: int) -> None: ...

    def died(self, error: Exception) -> None:
        raise error


PAST_US = 1_795_000_000_000_000


def committer_of(log: PrunedLog, listener: Deaf | None = None) -> Committer:
    return Committer(log, listener or Deaf(), lambda call, *values: call(*values), past_us=lambda: PAST_US)


def batch(token: int) -> Batch:
    return Batch(token, (StoredRecord(OWN, Epoch(1), token, bytes(56)),))


def test_slices_go_one_by_one_while_nobody_is_about() -> None:
    log = PrunedLog(slices=2)
    committer = committer_of(log)
    first_s = committer.turn(100.0)
    assert (first_s, log.asked) == (100.0 + PRUNE_FIRST_S, [])
    assert committer.turn(160.0) == 160.0 + PRUNE_PAUSE_S
    assert log.asked == [(PAST_US - KEEP_ACKED_US, ())]
    committer.put(batch(1), Urgency.NOW, 160.1)
    assert committer.turn(160.1) == 160.1 + IDLE_S  # somebody was there: quiet first
    assert committer.turn(160.5) == 160.1 + IDLE_S
    assert len(log.asked) == 1
    log.pressed = True
    assert committer.turn(162.0) == 162.0 + PRUNE_PAUSE_S
    assert log.asked[1:] == [(PAST_US - KEEP_PRESSED_US, ())]
    assert committer.turn(163.0) == 163.0 + PRUNE_EVERY_S  # none was left


def test_an_acknowledgement_rides_where_nobody_waits_and_is_never_worth_a_commit() -> None:
    log = PrunedLog()
    committer = committer_of(log)
    old, new = Cursor(CENTRE, OWN, Epoch(1), 4), Cursor(CENTRE, OWN, Epoch(1), 9)
    committer.put_acked([old])
    committer.put_acked([new])
    committer.turn(10.0)
    assert log.commits == []
    committer.put(batch(1), Urgency.NOW, 11.0)
    committer.turn(11.0)
    assert log.commits == [batch(1)]
    committer.put(batch(2), Urgency.RIDE, 12.0)
    committer.turn(13.0)
    assert log.commits[1:] == [batch(2), Batch(2, cursors=(new,))]
    committer.put(batch(3), Urgency.RIDE, 14.0)
    committer.turn(15.0)
    assert log.commits[3:] == [batch(3)]  # once
    committer.put_acked([old])
    committer.turn(75.0)
    assert log.asked == [(PAST_US - KEEP_ACKED_US, (old,))]
    committer.turn(76.0, last=True)
    assert log.commits[4:] == [
        Batch(0, cursors=(old,))
    ]  # who asks a gate at rest what is unsent is told the truth


def test_a_disk_that_fails_while_pruning_is_told_of() -> None:
    log, told = PrunedLog(failing=True), Deaf()
    committer = committer_of(log, told)
    committer.turn(0.0)
    assert committer.turn(100.0) == 100.0 + PRUNE_EVERY_S
    assert told.faults == [0]


# --- power and kill ---------------------------------------------------------------------------------------------------


def test_wherever_the_power_fails_a_slice_is_whole_or_not_there(tmp_path: Path) -> None:
    made, lived, cut = tmp_path / "made", tmp_path / "lived", tmp_path / "cut"
    store = LogStore.open(made, QUIET)
    log_of(store, scans=150, head_every=10)
    acked = ack(store, lambda last: last * 3 // 4)
    whole, rows = records(store), rows_of(store)
    store.close()
    shutil.copytree(made, lived)
    disk = RecordingDisk()
    start, store = Medium.of_folder(lived), LogStore.open(lived, disk)
    steps = 0
    while store.prune((CENTRE,), LATER_US):
        steps += 1
        disk.trace.append(Mark(steps))
    trace = list(disk.trace)
    left = records(store)
    store.close()
    disk.close()
    assert steps > 1
    chance, seen = random.Random(1), set()
    for number, _, medium in crash_points(trace, start):
        if number % 3:
            continue
        shutil.rmtree(cut, ignore_errors=True)
        medium.cut(chance, lived, cut)
        again = LogStore.open(cut, QUIET)
        assert again.salvaged is None
        found = records(again)
        assert left.items() <= found.items() <= whole.items()
        assert all(seq <= acked[epoch] for _, epoch, seq in whole.keys() - found.keys())
        assert rows_of(again) == rows
        again.close()
        assert_true(cut)
        seen.add(len(found))
    assert len(seen) > 1


PRUNER = """
import sys
from pathlib import Path
from edge.store.log import LogStore
from edge.store.log_schema import CENTRE
from tests.edge.crash_points import QUIET
store = LogStore.open(Path(sys.argv[1]), QUIET)
while removed := store.prune((CENTRE,), 1 << 60):
    print(removed, flush=True)
"""


@pytest.mark.parametrize("slices", [0, 1, 2])
def test_a_process_killed_while_it_prunes_leaves_a_log_that_verifies(tmp_path: Path, slices: int) -> None:
    store = LogStore.open(tmp_path, QUIET)
    log_of(store, epochs=4, scans=300, head_every=20)
    acked = ack(store, lambda last: last - 30)
    whole, rows = records(store), rows_of(store)
    store.close()
    process = subprocess.Popen(
        [sys.executable, "-c", PRUNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(slices):
        assert process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    again = LogStore.open(tmp_path, QUIET)
    gone = whole.keys() - records(again).keys()
    assert len(gone) >= slices
    assert all(seq <= acked[epoch] for _, epoch, seq in gone)
    assert rows_of(again) == rows
    assert_true(tmp_path)
    while again.prune((CENTRE,), LATER_US):
        pass
    again.close()
    assert_true(tmp_path)
