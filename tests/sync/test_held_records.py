"""A disk that takes nothing: what only memory holds goes up all the same, once, whatever becomes of disk and gate.

The real daemon with its real front process, on simulated hardware, and the real centre over HTTP.
"""

import errno
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from admission.lane import Write
from admission.records import Kind
from edge.compose import front_argv
from edge.daemon import EX_TEMPFAIL
from edge.journal import Stamp
from edge.link import HELD_MAX, Health, Part
from edge.parts import Factories
from edge.reset import unsent
from edge.store.disk import LocalDisk
from edge.store.log_reader import LogReader
from tests.edge.rig import Gate, quick, running
from tests.edge.shaky_disk import shaky
from tests.sync.box import Box
from tests.sync.logs import EpochLog
from tests.sync.test_way_through import held, log_of, of
from tests.sync.venue import Venue, venue_at

LONG_S = 20.0


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(tmp_path / "centre") as made:
        yield made


def whole(disk: LocalDisk | None = None) -> Callable[[Factories], Factories]:
    """With its front, unlike other tests of the gate."""
    return lambda parts: replace(parts, front_argv=front_argv, disk=disk or parts.disk)


def append(gate: Gate, count: int) -> int:
    """Have something recorded; return the last seq."""
    for number in range(1, count + 1):
        gate.daemon.journal.append((Write(number, Kind.DEVICE, urgent=True),), Stamp())
    return gate.daemon.journal.last_seq


def at_centre(venue: Venue, gate: Gate) -> int:
    """How far the centre has this run's log."""
    epoch = gate.daemon.journal.epoch
    return max((seq for one, seq in held(venue) if one % 2**64 == epoch), default=0)


def on_disk(gate: Gate) -> dict[tuple[int, int], bytes]:
    reader = LogReader.open(gate.data)
    try:
        return {
            (one.epoch, one.seq): one.blob
            for row in reader.epochs()
            for one in reader.records(row.gate, row.epoch, 0, 10_000)
        }
    finally:
        reader.close()


async def fail_and_push(gate: Gate, venue: Venue, fail: Callable[[], None]) -> tuple[int, int]:
    """Have the disk fail and records pushed from memory; return the last durable seq and the last one pushed."""
    await gate.until(lambda: gate.code(Part.UPLINK, "centre") == "uplink.ok", "the uplink is up", LONG_S)
    await gate.until(lambda: at_centre(venue, gate) >= gate.daemon.journal.durable_seq, "in step", LONG_S)
    fail()
    last = append(gate, HELD_MAX + 100)
    await gate.until(lambda: at_centre(venue, gate) >= last, "what memory holds is at the centre", LONG_S)
    return gate.daemon.journal.durable_seq, last


async def test_what_memory_holds_goes_up_and_once_when_the_disk_is_well(tmp_path: Path, venue: Venue) -> None:
    await venue.enrolled(tmp_path / "data")
    with shaky() as disk:
        async with running(tmp_path, adjust=quick, change=whole(disk)) as gate:
            durable, last = await fail_and_push(gate, venue, lambda: disk.fail(errno.ENOSPC))
            assert durable < last
            assert gate.health(Part.LOG, "log") is Health.DEGRADED
            disk.heal()
            await gate.until(lambda: gate.daemon.journal.durable_seq >= last, "the disk has it all")
            more = append(gate, 20)
            await gate.until(lambda: at_centre(venue, gate) >= more, "what came later too", LONG_S)
            await gate.until(
                lambda: gate.code(Part.UPLINK, "centre") == "uplink.ok", "no trouble is told", LONG_S
            )
            assert gate.daemon.in_memory_seq == 0
            # Pushed after the front has told the lane what the answer before it acknowledged.
            more = append(gate, 1)
            await gate.until(lambda: at_centre(venue, gate) >= more, "one more", LONG_S)
        here, there = on_disk(gate), held(venue)
        assert {key: blob for key, blob in here.items() if key in there} == there
        assert len(there) >= more
    with venue.centre.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT what FROM trouble").all() == []
    # What it acknowledged is kept in the log itself: at most the last head was not said before the gate ended.
    assert unsent(gate.data) <= 8


async def test_a_gate_that_dies_with_them_is_known_by_the_centre_to_have_lost_them(
    tmp_path: Path, venue: Venue
) -> None:
    await venue.enrolled(tmp_path / "data")
    with shaky() as disk:
        async with running(tmp_path, adjust=quick, change=whole(disk)) as gate:
            durable, last = await fail_and_push(gate, venue, lambda: disk.fail(errno.EIO))
        assert gate.exit_code == EX_TEMPFAIL
        lost_epoch = gate.daemon.journal.epoch
        before = held(venue)
        assert max(seq for epoch, seq in on_disk(gate) if epoch == lost_epoch) == durable
    async with running(tmp_path, adjust=quick, change=whole()) as gate:
        await gate.until(
            lambda: gate.code(Part.UPLINK, "centre") == "uplink.rewind", "it is said on the page", LONG_S
        )
        last = append(gate, 5)
        await gate.until(lambda: at_centre(venue, gate) >= last, "the new run goes up", LONG_S)
    assert before.items() <= held(venue).items()
    with venue.centre.database.reading() as connection:
        found = connection.exec_driver_sql("SELECT what, epoch FROM trouble").all()
    assert [(what, epoch % 2**64) for what, epoch in found] == [("rewind", gate.daemon.journal.epoch)]


# --- the uplink alone --------------------------------------------------------------------------------------------------


@pytest.fixture
async def box(venue: Venue, tmp_path: Path) -> AsyncIterator[Box]:
    made = Box(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
    yield made
    made.store.close()


def split(log: EpochLog, box: Box, durable: int) -> None:
    """The disk has the first records of a log, the lane's memory all."""
    box.append(log.copy(durable))
    box.memory = log


async def test_a_front_that_starts_again_meanwhile_takes_up_where_the_centre_is(
    venue: Venue, box: Box
) -> None:
    log = log_of(box, scans=1500)
    split(log, box, 40)
    async with box.linked():
        await box.until(lambda: held(venue) == of(log))
    log.scans(30)
    async with box.linked():
        await box.until(lambda: held(venue) == of(log) and box.is_drained())
    assert not any(one.code == "uplink.refused" for one in box.said)
    assert box.acked == {log.epoch: len(log.blobs)}


async def test_a_lane_that_answers_late_makes_no_lasting_rewind(venue: Venue, box: Box) -> None:
    log = log_of(box, scans=100)
    split(log, box, 40)
    async with box.linked():
        await box.until(lambda: held(venue) == of(log))
    box.memory = None  # the new front knows nothing of the lane yet
    async with box.linked() as uplink:
        await box.until(lambda: box.is_told("uplink.rewind"))
        box.memory = log
        uplink.held()
        await box.until(box.is_drained)
    assert held(venue) == of(log)


async def test_the_lane_is_told_what_the_centre_has_once(venue: Venue, box: Box) -> None:
    log = log_of(box)
    box.append(log)
    async with box.linked():
        await box.until(box.is_drained)
    assert box.acked == {log.epoch: len(log.blobs)}
