"""Lanes of one gate: two on one relay board, both ways at once, the states staff set, and groups let in by hand."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from admission.ids import TicketId
from admission.lane import LaneState, Passed
from admission.lane_machine import GROUP_MAX
from admission.presence import DoubleKind, fold
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome
from drivers.base import Medium, Scan
from edge.link import AdmitByHand, AnnulLast, Done, Health, LaneView, Part, SetState
from tests.edge.rig import EVENT, Gate, assert_verifies, code, quick, row, running
from tests.edge.test_gate_people import ENTRY, STEWARD, answers, uses
from tests.venue.hardware import Way

LONG_MS = 60_000
"""A window that ends with the test only."""
LONGEST_PULSE_MS = 1000


def slow(text: str) -> str:
    return quick(text, hold_ms=LONG_MS)


def apart(text: str) -> str:
    """Each way has a path of its own."""
    return quick(text, hold_ms=LONG_MS, shared_path="false")


def view(gate: Gate, lane: int) -> LaneView:
    """A lane as the page is told of it."""
    return next(one for one in gate.daemon.status.now().lanes if one.id == lane)


def switched(gate: Gate) -> list[tuple[int, bool]]:
    return [(change.line, change.on) for change in gate.hardware.relays.changes]


# --- two lanes on one board -------------------------------------------------------------------------------------------


async def test_a_pulse_taken_back_leaves_the_other_lanes_alone(tmp_path: Path) -> None:
    """Lane 2 opens first; lane 1's later pulse is taken back at once, so it must be the first one off."""
    async with running(
        tmp_path,
        [row(7), row(8)],
        adjust=lambda text: quick(text, hold_ms=LONG_MS, pulse_ms=LONGEST_PULSE_MS),
    ) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        assert await gate.hardware.lanes[2].releases.get() == "entry"
        await gate.hardware.entry.scan(code(8))
        assert await gate.hardware.lanes[1].releases.get() == "entry"
        scan = next(one for one in gate.records() if one.lane == 1)
        take_back = AnnulLast(1, 1, gate.daemon.journal.epoch, scan.seq, STEWARD, "a slip")
        assert (await gate.do(take_back)).ok
        await gate.until(lambda: not any(gate.hardware.relays.levels), "both are off")
        assert switched(gate) == [(2, True), (0, True), (0, False), (2, False)]
        assert gate.hardware.lanes[1].releases.empty()
        assert await gate.push(2)
        await gate.recorded(Kind.PASSAGE)
        assert (uses(gate, 7), uses(gate, 8)) == ((1, 1), (0, 0))


async def test_two_lanes_open_at_once_each_by_its_own_line(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=slow) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await gate.hardware.second.scan(code(8))
        await gate.walk(2)
        await gate.walk(1)
        await gate.recorded(Kind.PASSAGE, 2)
        tickets = {one.lane: one.ticket for one in gate.records() if one.kind is Kind.PASSAGE}
        assert tickets == {1: (EVENT, 7), 2: (EVENT, 8)}
        assert sorted(switched(gate)) == [(0, False), (0, True), (2, False), (2, True)]


# --- both ways --------------------------------------------------------------------------------------------------------


async def test_with_a_path_each_way_one_goes_out_while_another_comes_in(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=apart) as gate:
        await gate.ready()
        arm = gate.hardware.lanes[1]
        await gate.hardware.entry.scan(code(7))
        assert await arm.releases.get() == "entry"
        await gate.hardware.exit.scan(code(8).decode())
        assert await arm.releases.get() == "exit"
        assert arm.is_released("entry")
        assert await gate.push(1, "exit")
        assert await gate.push(1, "entry")
        await gate.recorded(Kind.PASSAGE, 2)
        ways = [one.direction for one in gate.records() if one.kind is Kind.PASSAGE]
        assert ways == [Direction.EXIT, Direction.ENTRY]


async def test_with_one_path_who_leaves_gets_the_arm_when_it_is_free(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=slow) as gate:
        await gate.ready()
        arm = gate.hardware.lanes[1]
        await gate.hardware.entry.scan(code(7))
        assert await arm.releases.get() == "entry"
        await gate.hardware.exit.scan(code(8).decode())
        # Granted and recorded at once; the pulse follows the passage of who stands in the arm.
        assert await answers(gate, 2) == (Outcome.GRANT, Reason.NONE)
        await gate.recorded(Kind.SCAN, 2)
        assert arm.releases.empty()
        assert await gate.push(1, "entry")
        await gate.walk(1, "exit")


# --- states -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """What a lane does in a state. `passes` by way: whether somebody without a scan may."""

    entry: tuple[Outcome, Reason]
    entry_moves: bool
    exit_moves: bool
    passes: dict[Way, bool]


REFUSED = (Outcome.DENY, Reason.NOT_READY)
GRANTED = (Outcome.GRANT, Reason.NONE)
STATES = {
    LaneState.CLOSED: Expected(REFUSED, False, True, {"entry": False, "exit": False}),
    LaneState.FREE_EXIT: Expected(GRANTED, True, True, {"entry": False, "exit": True}),
    LaneState.FREE_BOTH: Expected(REFUSED, False, True, {"entry": True, "exit": True}),
    LaneState.OUT_OF_SERVICE: Expected(REFUSED, False, False, {"entry": False, "exit": False}),
    LaneState.EMERGENCY: Expected(REFUSED, False, False, {"entry": True, "exit": True}),
}


@pytest.mark.parametrize(("state", "expected"), STATES.items(), ids=[one.name.lower() for one in STATES])
async def test_a_state_says_who_passes_and_all_are_counted(
    tmp_path: Path, state: LaneState, expected: Expected
) -> None:
    name = state.name.lower()
    async with running(tmp_path, [row(7), row(8)], adjust=lambda text: quick(text, grace_ms=100)) as gate:
        await gate.ready()
        arm, counters = gate.hardware.lanes[1], gate.daemon.lanes[1].machine.counters
        assert await gate.do(SetState(1, 1, name, STEWARD)) == Done(1, ok=True)
        change = await gate.recorded(Kind.LANE_STATE)
        assert (change.lane, change.data, view(gate, 1).state) == (1, state, name)
        assert view(gate, 2).state == "controlled"

        await gate.hardware.entry.scan(code(7))
        assert await answers(gate, 1) == expected.entry
        if expected.entry_moves:
            await gate.walk(1, "entry")
        await gate.hardware.exit.scan(code(8).decode())
        assert await answers(gate, 2) == GRANTED
        if expected.exit_moves:
            await gate.walk(1, "exit")
        assert arm.releases.empty()
        # Nobody's grace may be left: whoever comes now is somebody else.
        await gate.until(lambda: gate.daemon.lanes[1].machine.next_deadline_ms is None, "all turns ended")
        ways: tuple[Way, ...] = ("entry", "exit")
        for way in ways:
            await gate.push(1, way, force=True)
        free = [counters[way].free for way in (Direction.ENTRY, Direction.EXIT)]
        assert free == [int(expected.passes[way]) for way in ways]
        intruders = [counters[way].intrusions for way in (Direction.ENTRY, Direction.EXIT)]
        assert intruders == [int(not expected.passes[way]) for way in ways]
        seen = view(gate, 1)
        assert (seen.entries, seen.exits) == (1 + expected.entry_moves, 1 + expected.exit_moves)

        walked = 2 - sum(expected.passes.values())
        await gate.until(lambda: gate.kinds().count(Kind.INTRUSION) == walked, "intruders recorded")
        await gate.recorded(Kind.SCAN, 2)
        left = next(
            one for one in gate.records() if one.kind is Kind.SCAN and one.direction is Direction.EXIT
        )
        assert bool(left.flags & Flag.NO_PULSE) is not expected.exit_moves
        # Nobody's passage is anybody's use.
        assert uses(gate, 7) == ((1, 1) if expected.entry_moves else (0, 0))
    assert_verifies(gate.data)


async def test_a_whole_gate_is_set_at_once_and_stays_so_over_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        assert (await gate.do(SetState(1, 0, "emergency", STEWARD))).ok
        changes = [(one.lane, one.data) for one in gate.records() if one.kind is Kind.LANE_STATE]
        assert changes == [(1, LaneState.EMERGENCY), (2, LaneState.EMERGENCY)]
    async with running(tmp_path, adjust=quick) as gate:
        await gate.until(lambda: gate.health(Part.RELAY, "relays") is Health.OK, "the relay is open")
        assert [one.state for one in gate.daemon.status.now().lanes] == ["emergency", "emergency"]
        assert (await gate.do(SetState(2, 0, "controlled", STEWARD))).ok
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)


# --- groups -----------------------------------------------------------------------------------------------------------


async def test_staff_let_three_of_four_in_and_the_fourth_comes_later(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7, profile=1)], adjust=slow) as gate:
        await gate.ready()
        group = AdmitByHand(1, 2, ENTRY, STEWARD, "a class", count=3, code=code(7).decode())
        assert await gate.do(group) == Done(1, ok=True)
        for _ in range(3):
            await gate.walk(2)
        await gate.recorded(Kind.PASSAGE, 3)
        assert gate.kinds().count(Kind.OVERRIDE) == 3
        assert uses(gate, 7) == (3, 3)
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        await gate.until(lambda: view(gate, 2).entries == 4, "the fourth is in")
        await gate.hardware.second.scan(code(7))
        await gate.until(lambda: gate.daemon.recent[0].reason == Reason.ALREADY_USED, "all four are used")
        assert gate.hardware.lanes[2].releases.empty()


async def test_who_of_a_group_does_not_come_has_the_use_still(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7, profile=1)], adjust=quick) as gate:
        await gate.ready()
        group = AdmitByHand(1, 2, ENTRY, STEWARD, "a class", count=3, code=code(7).decode())
        assert (await gate.do(group)).ok
        await gate.walk(2)
        assert await gate.hardware.lanes[2].releases.get() == "entry"
        # The window of the second ends, and with it the group's turn.
        await gate.recorded(Kind.GIVE_BACK, 2)
        assert gate.hardware.lanes[2].releases.empty()
        assert uses(gate, 7) == (1, 1)


async def test_a_group_beyond_the_ticket_is_the_stewards_word_and_told_as_doubles(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7, profile=1)], adjust=slow) as gate:
        await gate.ready()
        too_many = AdmitByHand(1, 2, ENTRY, STEWARD, "a coach", count=GROUP_MAX + 1, code=code(7).decode())
        assert not (await gate.do(too_many)).ok
        assert gate.hardware.lanes[2].releases.empty()
        group = AdmitByHand(2, 2, ENTRY, STEWARD, "one more", count=5, code=code(7).decode())
        assert (await gate.do(group)).ok
        for _ in range(5):
            await gate.walk(2)
        await gate.recorded(Kind.PASSAGE, 5)
        memory, zones = gate.daemon.memory, gate.daemon.judge.venue.zones
        presence = fold(memory.rows(EVENT, TicketId(7)), memory.resets(), zones)
        assert [one.kind for one in presence.doubles(admits=4)] == [DoubleKind.USE]


async def test_who_comes_as_the_arm_falls_free_is_answered_once(tmp_path: Path) -> None:
    """The one who waited is judged again in the loop's next turn, and another was at the reader before."""
    long = partial(quick, hold_ms=LONG_MS)
    async with running(tmp_path, [row(7), row(8), row(9)], adjust=long) as gate:
        await gate.ready()
        shell = gate.daemon.lanes[2]
        await gate.hardware.second.scan(code(7))
        assert await gate.hardware.lanes[2].releases.get() == "entry"
        await gate.hardware.second.scan(code(8))
        assert (await gate.seen(2)).outcome == Outcome.WAIT
        shell.drive(Passed(Direction.ENTRY))
        shell.scanned(4, Scan(code(9), Medium.BARCODE, "", 1, 2))
        assert await gate.hardware.lanes[2].releases.get() == "entry"
        shell.drive(Passed(Direction.ENTRY))
        await gate.recorded(Kind.PASSAGE, 2)
        assert [(one.ticket, one.outcome) for one in gate.daemon.recent] == [
            ("9", Outcome.GRANT), ("8", Outcome.WAIT), ("7", Outcome.GRANT),
        ]  # fmt: skip
