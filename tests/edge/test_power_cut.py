"""The power fails at every operation of the stores; the disk fails at every operation of the stores."""

import contextlib
import errno
import random
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from admission.ids import Epoch, GateId
from edge.store.committer import RETRY_S, Committer, Urgency
from edge.store.faults import FaultKind, StoreFault
from edge.store.list import ListStore, ListUnusable, build
from edge.store.log import LogStore, Synchronous
from edge.store.log_reader import log_path
from edge.store.log_schema import Batch
from tests.edge.crash_points import OWN, QUIET, Gate, digest_of, list_head, list_rows, run_points
from tests.edge.power_cut import FailingDisk, Medium, RecordingDisk, crash_points


def test_nothing_acknowledged_is_lost_wherever_the_power_fails() -> None:
    result = run_points(2_000, seed=1)
    assert (result.problems, result.acked_lost, result.corrupt, result.undone) == ([], 0, 0, 0)
    assert result.points == 2_000


def test_with_synchronous_normal_the_same_check_finds_what_is_lost() -> None:
    result = run_points(300, seed=2, synchronous=Synchronous.NORMAL)
    assert result.acked_lost > 0


class Told:
    """A writer's listener that remembers."""

    def __init__(self) -> None:
        self.token = 0
        self.faults: list[tuple[FaultKind, int]] = []

    def durable(self, token: int) -> None:
        assert token > self.token
        self.token = token

    def faulted(self, fault: StoreFault, token: int) -> None:
        self.faults.append((fault.kind, token))

    def refused(self, fault: StoreFault, token: int) -> None:
        raise AssertionError(f"{token} was refused with room in memory: {fault}")

    def alive(self, ticket: int) -> None:  # noqa: ARG002 - the Protocol's
        raise AssertionError("nobody asked")

    def died(self, error: Exception) -> None:
        raise error


def post(callback: Callable[..., None], *values: object) -> None:
    callback(*values)


def held(data: Path) -> set[tuple[GateId, Epoch, int]]:
    store = LogStore.open(data, QUIET)
    assert store.salvaged is None
    keys = {
        (one.gate, one.epoch, one.seq)
        for row in store.epochs()
        for one in store.records(row.gate, row.epoch, 0, 999)
    }
    store.close()
    return keys


def write_through_failures(data: Path, disk: FailingDisk, batches: list[Batch]) -> Told:
    """Commit batches while the disk fails and heals; whatever it does, the writer goes on and tells the truth."""
    told = Told()
    try:
        store = LogStore.open(data, disk)
    except StoreFault:
        disk.heal()  # the supervisor starts the daemon again
        store = LogStore.open(data, disk)
    committer = Committer(store, told, post)
    now_s = 0.0
    for batch in batches:
        committer.put(batch, Urgency.NOW, now_s)
        committer.turn(now_s)
        assert committer.held() or told.token == batch.token
        assert told.token == batch.token or told.faults[-1][1] <= batch.token
        now_s += RETRY_S / 3
        if batch.token % 4 == 0:
            with contextlib.suppress(StoreFault):
                store.checkpoint(wait=True)
    snapshot = data.with_name(data.name + "-killed")
    shutil.copytree(data, snapshot)
    assert {
        (one.gate, one.epoch, one.seq) for batch in batches[: told.token] for one in batch.records
    } <= held(snapshot)
    disk.heal()
    committer.turn(now_s + RETRY_S)
    assert (told.token, committer.held(), committer.fault) == (len(batches), (), None)
    store.close()
    return told


def a_day(count: int) -> list[Batch]:
    gate = Gate(OWN)
    gate.begin(Epoch(5))
    batches = []
    for token in range(1, count + 1):
        gate.scan(token)
        batches.append(gate.batch(token, head=token == 5))
    return batches


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("count", [1, 3, 1000])
def test_the_writer_survives_a_disk_that_fails_at_any_operation(
    tmp_path: Path, code: int, count: int
) -> None:
    batches = a_day(8)
    calm = FailingDisk(code, 0, 0, reads=code == errno.EIO)
    write_through_failures(tmp_path / "calm", calm, batches)
    calm.close()
    assert calm.operations > 60
    faulted = 0
    for first in range(1, calm.operations + 1, 2):
        disk = FailingDisk(code, first, count, reads=code == errno.EIO)
        data = tmp_path / str(first)
        faulted += bool(write_through_failures(data, disk, batches).faults)
        disk.close()
        assert held(data) == {(one.gate, one.epoch, one.seq) for batch in batches for one in batch.records}
    # One failure is met by the second try; a disk that stays ill is told of.
    assert faulted == 0 if count == 1 else faulted > 10


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_list_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, code: int) -> None:
    path = tmp_path / "list.sqlite3"
    build(path, list_head(1), list_rows(set()))
    kinds = []
    for first in range(1, 40):
        disk = FailingDisk(code, first, 1, reads=False)
        try:
            build(path, list_head(2), list_rows({3}), disk)
        except StoreFault as fault:
            kinds.append(fault.kind)
        disk.close()
        store = ListStore.open(path)
        store.check()
        assert store.head.events[0].version in {1, 2}
        store.close()
    assert len(kinds) >= 8
    assert set(kinds) == {FaultKind.FULL if code == errno.ENOSPC else FaultKind.IO}


def test_a_list_that_cannot_be_read_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "list.sqlite3"
    build(path, list_head(1), list_rows(set(), 20_000))
    disk = FailingDisk(errno.EIO, 20, 1000, reads=True)
    store = ListStore.open(path, disk)
    with pytest.raises(ListUnusable) as caught:
        deque(store.lookup(digest_of(ticket)) for ticket in range(1, 20_000, 100))
    assert caught.value.kind is FaultKind.IO
    assert caught.value.hint
    store.close()
    disk.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_power_cut_while_a_damaged_log_is_salvaged_loses_nothing(tmp_path: Path, seed: int) -> None:
    whole = tmp_path / "whole"
    batches = a_day(30)
    store = LogStore.open(whole, QUIET)
    store.append(batches)
    store.close()
    connection = apsw.Connection(str(log_path(whole)))
    connection.execute("PRAGMA user_version=99").fetchall()
    connection.close()
    medium = Medium.of_folder(whole)
    disk = RecordingDisk()
    LogStore.open(whole, disk).close()
    disk.close()
    expected = {(one.gate, one.epoch, one.seq) for batch in batches for one in batch.records}
    calm = RecordingDisk()  # syncs cost nothing
    points = 0
    for number, _, now in crash_points(disk.trace, medium):
        data = tmp_path / f"cut{number}"
        now.cut(random.Random(f"{seed} {number}"), whole, data)
        store = LogStore.open(data, calm)
        assert {
            (row.gate, row.epoch, one.seq)
            for row in store.epochs()
            for one in store.records(row.gate, row.epoch, 0, 999)
        } == expected
        store.close()
        assert (data / "log.aside-1" / "log.sqlite3").exists()
        points += 1
    calm.close()
    assert points > 30
