"""How a gate ends: never in part, and never with records lost in silence."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.daemon import EX_TEMPFAIL
from edge.link import Part
from edge.store.log_schema import ListVersion
from tests.edge.rig import EVENT, Gate, assert_verifies, code, quick, row, running
from tests.edge.shaky_disk import on, shaky


class FailingClock(SystemClock):
    """A defect of ours, planted where nothing but the once-a-second look meets it."""

    defect = False

    def marked_synced(self) -> bool:
        if self.defect:
            raise ValueError("a defect")
        return False


def lost(caplog: pytest.LogCaptureFixture) -> list[int]:
    told = [one for one in caplog.records if getattr(one, "code", "") == "log.lost"]
    return [int(getattr(one, "records", 0)) for one in told]


def codes(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {getattr(one, "code", "") for one in caplog.records}


async def stops(gate: Gate) -> None:
    await gate.until(gate.daemon._stopping.is_set, "the gate stops by itself")


async def test_a_part_that_ends_ends_the_gate_to_be_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FailingClock()
    async with running(
        tmp_path, [row(7)], adjust=quick, change=lambda parts: replace(parts, clock=clock)
    ) as gate:
        await gate.ready()
        clock.defect = True
        await stops(gate)
    assert gate.exit_code == EX_TEMPFAIL
    assert "gate.defect" in codes(caplog)
    assert_verifies(gate.data)


async def test_a_writer_that_dies_ends_the_gate_and_what_it_left_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        # SQLite holds 63 bits: an error that is no fault of the disk, so that trying again would never help.
        gate.daemon.journal.applied((), (ListVersion(EVENT, 1, 2**63, 0, b""),), ())
        await gate.hardware.second.scan(code(7))
        await stops(gate)
    assert gate.exit_code == EX_TEMPFAIL
    assert "gate.defect" in codes(caplog)
    assert len(lost(caplog)) == 1


async def test_what_a_failing_disk_never_took_is_told_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with shaky() as disk:
        async with running(tmp_path, [row(7)], adjust=quick, change=on(disk)) as gate:
            await gate.ready()
            disk.fail(errno.EIO)
            await gate.hardware.second.scan(code(7))
            await gate.walk(2)
            await gate.until(lambda: gate.code(Part.LOG, "log") == "log.fault", "the fault is shown")
    (records,) = lost(caplog)
    assert records == sum(len(one.records) for one in gate.daemon.writer.held()) > 0
    assert gate.exit_code == EX_TEMPFAIL


async def test_a_gate_that_saved_everything_ends_well(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
    assert (gate.exit_code, lost(caplog)) == (0, [])
