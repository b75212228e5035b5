"""What a whole gate makes durable and when: signed heads, the time's floor, and an end with a disk that hangs."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from admission.chain import Head
from admission.ids import Epoch
from admission.lane import Write
from admission.reasons import Reason
from admission.records import Flag, Kind, Outcome
from edge import enrolment
from edge.clock import BUILD_TIME_S, Clock, SystemClock
from edge.daemon import EX_TEMPFAIL, FLOOR_STEP_S
from edge.journal import HEAD_EVERY, Stamp
from edge.link import SOCKET, Health, UplinkSaid, pack
from edge.lists import FILE
from edge.parts import Factories
from edge.store.list import build
from edge.store.log_reader import LogReader
from edge.store.writer import CLOSE_MAX_S
from edge.verify import known_keys, verify_log
from sync.wire.lists import Profile
from tests.edge.rig import (
    ARENA,
    GATE,
    PRODUCT,
    SESSION,
    Gate,
    assert_verifies,
    code,
    list_head,
    prepare,
    quick,
    row,
    running,
)
from tests.edge.shaky_disk import on, shaky
from tests.edge.test_faults import YEARS_10_S, WrongClock
from tests.edge.test_gate_end import lost
from tests.edge.test_gate_people import answers

HOUR_S = 3600


class StandingClock(SystemClock):
    """Monotonic time stands until it is moved: nothing is due by time."""

    def __init__(self) -> None:
        self.mono_at_ns = super().mono_ns()

    def mono_ns(self) -> int:
        return self.mono_at_ns


def by(clock: Clock) -> Callable[[Factories], Factories]:
    return lambda parts: replace(parts, clock=clock)


def heads(data: Path, epoch: Epoch) -> list[Head]:
    reader = LogReader.open(data)
    found = reader.heads(GATE, epoch)
    reader.close()
    return list(found)


def own_heads(gate: Gate) -> list[Head]:
    return heads(gate.data, gate.daemon.journal.epoch)


def seq_of_scan(gate: Gate) -> int:
    return next(one.seq for one in gate.records() if one.kind is Kind.SCAN)


# --- heads --------------------------------------------------------------------------------------------------------------


async def test_a_head_is_signed_a_second_after_the_last_unsigned_record(tmp_path: Path) -> None:
    clock = StandingClock()
    async with running(tmp_path, [row(7)], adjust=quick, change=by(clock)) as gate:
        await gate.ready()
        await gate.hardware.second.scan(b"nobody knows me")
        await gate.recorded(Kind.SCAN)
        assert own_heads(gate) == []
        clock.mono_at_ns += 1_000_000_000
        await gate.until(lambda: own_heads(gate), "a head is on disk")
        (head,) = own_heads(gate)
        assert head.seq >= seq_of_scan(gate)


async def test_a_head_is_signed_every_256_records_though_no_time_passes(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick, change=by(StandingClock())) as gate:
        await gate.ready()
        for number in range(1, 2 * HEAD_EVERY + 1):
            gate.daemon.journal.append((Write(number, Kind.DEVICE, urgent=True),), Stamp())
        await gate.until(lambda: len(own_heads(gate)) >= 2, "two heads are on disk")
        assert [head.seq for head in own_heads(gate)] == [HEAD_EVERY, 2 * HEAD_EVERY + 1]
    assert_verifies(gate.data)


async def test_a_gate_that_ends_leaves_nothing_unsigned(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick, change=by(StandingClock())) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
    (own,) = verify_log(gate.data, known_keys(gate.data, enrolment.load(gate.data))).gates
    assert own.report is not None
    assert own.report.unsigned == ()


# --- time ---------------------------------------------------------------------------------------------------------------


async def say(gate: Gate, centre_time_s: int) -> None:
    """Speak for the front: the centre signed this time."""
    _, out = await asyncio.open_unix_connection(str(gate.data / SOCKET))
    out.write(pack(UplinkSaid(Health.OK, "uplink.ok", {}, centre_time_s)))
    await out.drain()
    await gate.until(lambda: gate.daemon.time.floor_s == centre_time_s, "the floor rose")
    out.close()
    await out.wait_closed()


def expiring(data: Path, ends_s: tuple[int, ...]) -> None:
    """Tickets 1, 2, … end at these times."""
    rows = [row(number, profile=number - 1) for number in range(1, len(ends_s) + 1)]
    prepare(data, rows)
    profiles = tuple(Profile(PRODUCT, (ARENA,), SESSION, not_after=at) for at in ends_s)
    # Sealed when this code was made: whatever the centre signs later is over too.
    head = msgspec.structs.replace(list_head(BUILD_TIME_S), profiles=profiles)
    build(data / FILE, head, sorted(rows))


async def test_what_the_centre_said_of_the_time_holds_over_a_restart_with_a_clock_gone_back(
    tmp_path: Path,
) -> None:
    """Ticket 1 ended between the build date and what the centre said; ticket 2 ends after it."""
    said_s = BUILD_TIME_S + 100 * HOUR_S
    expiring(tmp_path / "data", (BUILD_TIME_S + 50 * HOUR_S, BUILD_TIME_S + 150 * HOUR_S))
    clock = WrongClock(-YEARS_10_S)
    async with running(tmp_path, adjust=quick, change=by(clock)) as gate:
        await gate.ready()
        # Nobody said what the time is: the box was never in the future of its own build.
        await gate.hardware.second.scan(code(1))
        await gate.walk(2)
        assert await answers(gate, 1) == (Outcome.GRANT, Reason.NONE)
        await say(gate, said_s)
        await gate.hardware.second.scan(code(1))
        assert await answers(gate, 2) == (Outcome.DENY, Reason.EXPIRED)
    async with running(tmp_path, adjust=quick, change=by(clock)) as gate:
        await gate.ready()
        assert gate.daemon.time.floor_s == said_s
        await gate.hardware.second.scan(code(1))
        assert await answers(gate, 1) == (Outcome.DENY, Reason.EXPIRED)
        await gate.hardware.second.scan(code(2))
        await gate.walk(2)
        # It never falls, and a step too small to be worth a write to the card holds until the end of the run.
        await say(gate, said_s + FLOOR_STEP_S - 1)
    async with running(tmp_path, adjust=quick, change=by(clock)) as gate:
        assert gate.daemon.time.floor_s == said_s


async def test_the_boxs_own_clock_never_raises_the_floor(tmp_path: Path) -> None:
    sealed_s = BUILD_TIME_S + 7
    prepare(tmp_path / "data", [row(7)], now_s=sealed_s)
    async with running(tmp_path, adjust=quick, change=by(WrongClock(YEARS_10_S))) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
    async with running(tmp_path, adjust=quick) as gate:
        # What the centre signed does, by whomever it came: here the seal of a list.
        await gate.until(lambda: gate.daemon.time.floor_s == sealed_s, "the seal is over")


# --- a disk that hangs --------------------------------------------------------------------------------------------------


async def test_a_gate_whose_disk_hangs_ends_in_time_and_says_how_much_it_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with shaky() as disk:
        async with asyncio.timeout(2 * CLOSE_MAX_S + 10):
            async with running(tmp_path, [row(7)], adjust=quick, change=on(disk)) as gate:
                await gate.ready()
                journal = gate.daemon.journal
                await gate.until(
                    lambda: own_heads(gate) and journal.durable_seq == journal.last_seq, "all is saved"
                )
                durable = journal.durable_seq
                disk.hang()
                await gate.hardware.second.scan(code(7))
                assert await answers(gate, 1) == (Outcome.GRANT, Reason.NONE)
                assert gate.hardware.lanes[2].releases.empty()
            assert gate.exit_code == EX_TEMPFAIL
            # All but what was durable before: the scan, its head, and what else was written meanwhile.
            assert lost(caplog) == [journal.last_seq - durable]
        assert gate.hardware.lanes[2].releases.empty()
        disk.go_on()
        # A thread that hangs ends with its process; here it finds its disk again and writes what it held.
        assert await asyncio.to_thread(gate.daemon.writer.close) == 0
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        assert (await gate.recorded(Kind.SCAN)).flags & Flag.AFTER_RESTART
    assert_verifies(gate.data)
