"""A lane's lamps: each answer has its own pattern, none flashes fast, and the lines of the board really switch."""

import asyncio
import itertools
from pathlib import Path

import pytest

from admission.entitlements import Standing
from admission.reasons import DisplayState
from drivers.sims.lcus_board import LcusBoard
from edge.annunciator import FLASH_MS_MAX, FLASHES_PER_S_MAX, PATTERNS, Lamp
from edge.board import VerdictWord, verdict
from edge.config import ConfigErrors, load
from edge.link import Health, Part
from tests.edge.rig import Gate, code, quick, row, running
from tests.edge.test_config import BARRIER

REST_MS = 100
"""A relay line stays off so long between two pulses (`drivers.pulses`)."""


@pytest.mark.parametrize("state", DisplayState)
def test_no_lamp_flashes_more_than_three_times_in_a_second(state: DisplayState) -> None:
    for lamp in Lamp:
        flashes = sorted((start, length) for one, start, length in PATTERNS[state] if one is lamp)
        starts = [start for start, _ in flashes]
        for first in starts:
            assert sum(first <= one < first + 1000 for one in starts) <= FLASHES_PER_S_MAX
        for (start, length), (after, _) in itertools.pairwise(flashes):
            assert after - start > 1000 / FLASHES_PER_S_MAX
            assert after - (start + length) >= REST_MS
        assert all(0 < length <= FLASH_MS_MAX for _, length in flashes)


def test_states_are_told_apart_by_light_and_by_rhythm_alone() -> None:
    told = {state: pattern for state, pattern in PATTERNS.items() if state is not DisplayState.WAIT}
    assert PATTERNS.keys() == set(DisplayState)
    for lamps in ({Lamp.BUZZER}, {Lamp.GREEN, Lamp.RED}):
        seen = [tuple(one for one in pattern if one[0] in lamps) for pattern in told.values()]
        assert all(seen)
        assert len(set(seen)) == len(seen)
    greens = {state for state, pattern in told.items() if all(one[0] is not Lamp.RED for one in pattern)}
    assert greens == {DisplayState.ADMIT}, "without red nobody is refused"


async def lit(gate: Gate, board: LcusBoard, line: int) -> None:
    await gate.until(lambda: board.levels[line], f"line {line} is on")


async def test_the_lines_switch_with_each_answer(tmp_path: Path) -> None:
    def adjust(text: str) -> str:
        head, first, second = quick(text).split("[[lanes]]")
        return "[[lanes]]".join((head, first, second.replace("relay =", "buzzer_line = 3\nrelay =", 1)))

    async with running(tmp_path, [row(1), row(2, Standing.CANCELLED)], adjust=adjust) as gate:
        await gate.ready()
        board = gate.hardware.relays
        await gate.hardware.second.scan(code(2))
        for _ in range(3):
            await lit(gate, board, 3)
            assert not board.levels[2], "no arm moves by a lamp"
            await gate.until(lambda: not board.levels[3], "and goes out")
        board.changes.clear()
        await gate.hardware.second.scan(code(1))
        await lit(gate, board, 3)
        assert [one.line for one in board.changes if one.on][:2] == [2, 3], "the arm first"
        await gate.walk(2)
        await gate.until(lambda: not board.levels[3], "and it goes out")
        assert [one.line for one in board.changes if one.on].count(3) == 1, "another rhythm than before"


async def test_lamps_hang_on_a_board_of_their_own_whose_loss_stops_nobody(tmp_path: Path) -> None:
    lamps = LcusBoard(2, tmp_path / "lamps")
    lamps.attach(asyncio.get_running_loop())

    def adjust(text: str) -> str:
        head, first, second = quick(text).split("[[lanes]]")
        named = second.replace("relay =", 'lamp_relay = "lamps"\nred_line = 1\nrelay =', 1)
        board = f'[[relays]]\nid = "lamps"\ndriver = "lcus"\nport = "{tmp_path / "lamps"}"\nlines = 2\n'
        return f"{head}[[lanes]]{first}[[lanes]]{named}\n{board}"

    async with running(tmp_path, [row(1), row(2, Standing.CANCELLED)], adjust=adjust) as gate:
        await gate.ready()
        await gate.until(lambda: gate.health(Part.RELAY, "lamps") is Health.OK, "the lamps' board is open")
        await gate.hardware.second.scan(code(2))
        await lit(gate, lamps, 1)
        assert not any(gate.hardware.relays.levels)
        lamps.unplug()
        await gate.until(
            lambda: gate.health(Part.RELAY, "lamps") is Health.BAD, "the board is seen to be gone"
        )
        assert verdict(gate.daemon.board.tiles).word is VerdictWord.DEGRADED
        await gate.hardware.second.scan(code(1))
        await gate.walk(2)


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ("green_line = 9", "the board has no line 9"),
        ("red_line = 0", "this lane uses this output line already"),
        ("green_line = 3\nred_line = 3", "this lane uses this output line already"),
        ('lamp_relay = "arm"\nred_line = 0', "this lane uses this output line already"),
        ('lamp_relay = "amr"\nred_line = 2', "did you mean arm"),
        ('lamp_relay = "arm"', "no line of this relay is used"),
    ],
)
def test_a_lamp_has_a_line_of_its_own(keys: str, wrong: str) -> None:
    with pytest.raises(ConfigErrors, match=wrong):
        load(BARRIER.replace("lines = 2", "lines = 4").replace("exit_line", f"{keys}\nexit_line"), {})
