"""A gate killed between read, decide, record, pulse and passage, as a process of its own, and started again."""

import ast
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from admission.ids import TicketId
from admission.lane import ReadyChanged
from admission.presence import DoubleKind, fold
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome, Record, record_from_bytes
from drivers.pulses import PULSE_MS_MAX_DEFAULT
from edge import failpoints
from edge.clock import SystemClock
from edge.link import SOCKET, LinkBroken, Status, read_from_lane
from edge.store.log_reader import LogReader
from tests.edge.rig import (
    EVENT,
    FRAMING,
    GATE,
    Gate,
    assert_verifies,
    code,
    environment,
    plug,
    prepare,
    quick,
    row,
    running,
)
from tests.venue.hardware import GateHardware

TICKET = 7
LANE = 2
"""The one-way gate, whose plan is the normal mode: one use a ticket."""
WALKED = ("before_passage", "after_passage")
"""Where the visitor went through before the gate died."""
UNWRITTEN = ("after_read", "after_decide")
"""Where nothing was promised to anybody."""
RELEASED = ("after_pulse", "after_answer", *WALKED)
"""Where the guard was told to open."""
MAY_OPEN = (*RELEASED, "after_record")
"""Where a relay may move. The guard may not have read its pipe any more when the gate died just after it wrote; and the
writer's thread may have been quicker with record and pulse than the thread that hands them over is with dying."""
SLACK_S = 2.0
"""For a busy machine, beyond the longest pulse."""


@dataclass(slots=True)
class Died:
    """What a gate left when it was killed."""

    data: Path
    hardware: GateHardware


def settings(text: str) -> str:
    """Long windows, so that nothing ends by itself while a process dies; the longest pulse of the board."""
    return quick(text, hold_ms=60_000, pulse_ms=1000)


def hurried(text: str) -> str:
    """The same with short pulses, for the gate that goes on."""
    return quick(text, hold_ms=60_000)


async def status(data: Path) -> Status:
    """Wait until the gate's lanes are ready; return what it said."""
    stream, out = await asyncio.open_unix_connection(str(data / SOCKET))
    try:
        while True:
            message = await read_from_lane(stream)
            if isinstance(message, Status) and all(lane.ready for lane in message.lanes):
                return message
    finally:
        out.close()


async def is_up(data: Path) -> None:
    """Wait until a gate listens and is ready."""
    async with asyncio.timeout(20):
        while True:
            try:
                await status(data)
            except (OSError, LinkBroken):
                await asyncio.sleep(0.02)
            else:
                return


@asynccontextmanager
async def killed_at(tmp_path: Path, name: str) -> AsyncIterator[Died]:
    """Run a gate that dies at `name` while a visitor scans and walks; the hardware stays as it is."""
    data = tmp_path / "data"
    prepare(data, [row(TICKET)])
    hardware = plug(tmp_path, hold_s=60.0)
    config = tmp_path / "gate.toml"
    config.write_text(settings(hardware.toml(data)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.edge.gate_process", str(config),
        env={**environment(), failpoints.ENVIRONMENT: name}, stderr=asyncio.subprocess.PIPE, process_group=0,
    )  # fmt: skip
    try:
        up = asyncio.ensure_future(is_up(data))
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait((up, ended), return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            assert process.stderr is not None
            pytest.fail((await process.stderr.read()).decode())
        await up
        await hardware.second.scan(code(TICKET))
        if name in WALKED:
            assert await hardware.lanes[LANE].releases.get() == "entry"
            assert await hardware.lanes[LANE].turn("entry")
        async with asyncio.timeout(20):
            assert await ended == -9
        yield Died(data, hardware)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        hardware.unplug()


async def all_off(hardware: GateHardware) -> None:
    """Wait until the guard, which outlives its gate for a moment, has switched every relay off."""
    async with asyncio.timeout(PULSE_MS_MAX_DEFAULT / 1000 + SLACK_S):
        while any(hardware.relays.levels):
            await asyncio.sleep(0.005)


def on_disk(data: Path) -> list[Record]:
    """The bodies of all runs, oldest first, without what only frames them."""
    reader = LogReader.open(data)
    blobs = [one.blob for row in reader.epochs() for one in reader.records(GATE, row.epoch, 0, 10_000)]
    reader.close()
    found = [record_from_bytes(blob) for blob in blobs]
    return [one for one in found if isinstance(one, Record) and one.kind not in FRAMING]


async def present_again(gate: Gate) -> tuple[Outcome, Reason, Flag]:
    """The visitor presents the same ticket at the same lane once more."""
    await gate.ready()
    before = len(gate.daemon.recent)
    await gate.hardware.second.scan(code(TICKET))
    seen = await gate.seen(before + 1)
    return Outcome(seen.outcome), Reason(seen.reason), Flag(seen.flags)


@pytest.mark.parametrize("name", failpoints.NAMES)
async def test_killed_there_the_visitor_gets_in_and_nothing_is_hidden(tmp_path: Path, name: str) -> None:
    async with killed_at(tmp_path, name) as died:
        left = on_disk(died.data)
        # What was promised is on the disk: no relay moves before its record is durable.
        reserved = [one for one in left if one.kind is Kind.SCAN]
        assert reserved or name not in (*RELEASED, "after_durable", "before_pulse")
        if name in UNWRITTEN:
            assert left == []
        await all_off(died.hardware)
        opened = [change.line for change in died.hardware.relays.changes if change.on]
        assert opened in ([], [2])
        assert reserved or not opened
        if name in (*WALKED, "after_answer"):
            assert opened
        if name not in MAY_OPEN:
            assert not opened

        async with running(tmp_path, adjust=hurried, hardware=died.hardware) as gate:
            outcome, reason, flags = await present_again(gate)
            committed = [one for one in left if one.kind is Kind.PASSAGE]
            if committed:
                assert (outcome, reason) == (Outcome.DENY, Reason.ALREADY_USED)
            else:
                assert outcome is Outcome.GRANT
                assert bool(flags & Flag.AFTER_RESTART) is bool(reserved)
                await gate.walk(LANE)
            outcome, reason, _ = await present_again(gate)
            assert (outcome, reason) == (Outcome.DENY, Reason.ALREADY_USED)
            presence = fold(
                gate.daemon.memory.rows(EVENT, TicketId(TICKET)),
                gate.daemon.memory.resets(),
                gate.daemon.judge.venue.zones,
            )
            assert len(presence.counted) == 1
            doubles = [double.kind for double in presence.doubles(admits=1)]
            assert doubles == ([DoubleKind.AFTER_RESTART] if reserved and not committed else [])
        now = on_disk(died.data)
        assert now[: len(left)] == left
        assert_verifies(died.data)


async def test_the_unresolved_is_let_in_at_its_own_lane_only(tmp_path: Path) -> None:
    async with (
        killed_at(tmp_path, "before_pulse") as died,
        running(tmp_path, adjust=hurried, hardware=died.hardware) as gate,
    ):
        await gate.ready()
        await gate.hardware.entry.scan(code(TICKET))
        elsewhere = await gate.seen()
        assert (elsewhere.outcome, elsewhere.reason) == (Outcome.DENY, Reason.ALREADY_INSIDE)
        outcome, _, flags = await present_again(gate)
        assert outcome is Outcome.GRANT
        assert flags & Flag.AFTER_RESTART


class AheadClock(SystemClock):
    """A monotonic clock that a test sets forward."""

    ahead_s = 0

    def mono_ns(self) -> int:
        return super().mono_ns() + self.ahead_s * 1_000_000_000


async def test_two_minutes_after_a_restart_are_not_begun_anew_by_a_turnstile_that_was_not_ready(
    tmp_path: Path,
) -> None:
    """Many drop READY with each passage, and a card or a relay may fail for a moment at any hour."""
    clock = AheadClock()
    async with running(
        tmp_path, [row(TICKET)], adjust=quick, change=lambda parts: replace(parts, clock=clock)
    ) as gate:
        await gate.ready()
        shell = gate.daemon.lanes[1]
        for passed in range(3):
            assert shell.facts(Direction.ENTRY).after_restart, passed
            clock.ahead_s += 50
            shell.drive(ReadyChanged(ready=False))
            shell.healthy(relay=True, memory=False)
            clock.ahead_s += 500  # of this nobody could have been let in
            shell.healthy(relay=True, memory=True)
            assert shell.ready
        assert not shell.facts(Direction.ENTRY).after_restart


async def test_the_unresolved_is_burnt_where_the_lane_says_so(tmp_path: Path) -> None:
    def strict(text: str) -> str:
        return quick(text, let_in_after_restart="false")

    async with (
        killed_at(tmp_path, "before_pulse") as died,
        running(tmp_path, adjust=strict, hardware=died.hardware) as gate,
    ):
        outcome, reason, _ = await present_again(gate)
        assert (outcome, reason) == (Outcome.DENY, Reason.ALREADY_USED)


async def test_a_steward_looks_at_the_unresolved(tmp_path: Path) -> None:
    def attended(text: str) -> str:
        return quick(text, attended="true")

    async with (
        killed_at(tmp_path, "before_pulse") as died,
        running(tmp_path, adjust=attended, hardware=died.hardware) as gate,
    ):
        outcome, reason, _ = await present_again(gate)
        assert (outcome, reason) == (Outcome.CHECK, Reason.AFTER_RESTART)


def test_every_failpoint_is_somewhere_in_the_gate_and_named() -> None:
    used: list[str] = []
    for path in (Path(failpoints.__file__).parent).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
                assert isinstance(node.args[0], ast.Constant)
                used.append(str(node.args[0].value))
    assert sorted(used) == sorted(failpoints.NAMES)


def test_a_failpoint_that_is_not_armed_does_nothing() -> None:
    for name in failpoints.NAMES:
        failpoints.failpoint(name)
