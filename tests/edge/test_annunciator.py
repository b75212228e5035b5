"""A lane's lamps: each answer has its own pattern, none flashes fast, and the lines of the board really switch."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from admission.entitlements import Standing
from admission.reasons import DisplayState
from admission.records import Outcome
from drivers.base import Signal
from drivers.pulses import Pulses
from drivers.relays.led_strip import drawn
from drivers.sims.lcus_board import LcusBoard
from drivers.sims.led_strip import AdalightStrip
from drivers.sims.served import Service
from edge.annunciator import (
    FLASH_MS_MAX,
    FLASHES_PER_S_MAX,
    PATTERNS,
    PICTURES,
    Annunciator,
    Lamp,
    ReaderLight,
)
from edge.board import VerdictWord, verdict
from edge.config import ConfigErrors, load
from edge.link import Health, Part
from edge.settings import LaneSettings, SerialReader, Way
from tests.edge.rig import Gate, code, quick, row, running
from tests.edge.test_config import BARRIER
from tests.sim.loop import VirtualLoop

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


class Lamps:
    """A board whose lines are ended as the relay guard ends them, on the loop's time. `edges`: when, which line, on or off."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pulses = Pulses(FLASH_MS_MAX)
        self.edges: list[tuple[float, int, bool]] = []
        self.on: set[int] = set()

    def pulse(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> None:
        now_ns = round(self._loop.time() * 1e9)
        if line not in self.on:
            self._edge(line, on=True)
        self._pulses.start(line, duration_ms, 0, now_ns, now_ns)
        self._loop.call_at((self._pulses.next_ns() or 0) / 1e9, self._end_due)
        done(True)

    def off_line(self, line: int) -> None:
        self._pulses.end(line)
        if line in self.on:
            self._edge(line, on=False)

    def _end_due(self) -> None:
        for line in self._pulses.due(round(self._loop.time() * 1e9)):
            self.off_line(line)
        if (next_ns := self._pulses.next_ns()) is not None:
            self._loop.call_at(next_ns / 1e9, self._end_due)

    def _edge(self, line: int, *, on: bool) -> None:
        (self.on.add if on else self.on.discard)(line)
        self.edges.append((self._loop.time(), line, on))


GREEN, RED, BUZZER = range(3)
LINES = {Lamp.GREEN: GREEN, Lamp.RED: RED, Lamp.BUZZER: BUZZER}
LANE = LaneSettings(
    id=1,
    name="one",
    readers=(SerialReader(id=1, way=Way.ENTRY, port="/dev/x"),),
    green_line=GREEN,
    red_line=RED,
    buzzer_line=BUZZER,
)
TOLD = [one for one in DisplayState if PATTERNS[one]]


def told(answers: Sequence[tuple[DisplayState, int]]) -> tuple[list[tuple[float, int, bool]], list[set[int]]]:
    """Tell answers, each so many milliseconds after the one before: what the lines did, and which were on right after each."""

    async def main() -> tuple[list[tuple[float, int, bool]], list[set[int]]]:
        lamps = Lamps()
        annunciator, on = Annunciator(LANE, lamps), []
        for state, after_ms in answers:
            await asyncio.sleep(after_ms / 1000)
            annunciator.tell(state)
            await asyncio.sleep(0.001)
            on.append(set(lamps.on))
        await asyncio.sleep(5)
        assert not lamps.on
        return lamps.edges, on

    loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
    try:
        return loop.run(main())
    finally:
        loop.close()


def assert_no_flashing(rises: Sequence[float]) -> None:
    for before, after in itertools.pairwise(rises):
        assert after - before > 1 / FLASHES_PER_S_MAX, "no flash above 3 Hz"
    for first in rises:
        assert sum(first <= one < first + 1 for one in rises) <= FLASHES_PER_S_MAX


@example([(DisplayState.REFUSED, 899), (DisplayState.ADMIT, 899)])  # just when the buzzer goes out
@given(st.lists(st.tuples(st.sampled_from(TOLD), st.integers(1, 1500)), min_size=1, max_size=20))
def test_however_fast_answers_come_no_light_flashes_and_none_says_what_no_longer_holds(
    answers: list[tuple[DisplayState, int]],
) -> None:
    edges, on_after = told(answers)
    for lines in ({GREEN, RED}, {BUZZER}):
        assert_no_flashing([at for at, line, on in edges if on and line in lines])
    for (state, _), on in zip(answers, on_after, strict=True):
        first = next(LINES[lamp] for lamp, _, _ in PATTERNS[state] if lamp is not Lamp.BUZZER)
        assert on <= {first, BUZZER}, "the light of the answer before is out"


@pytest.mark.parametrize("pair", list(itertools.product(TOLD, repeat=2)))
def test_ten_answers_a_second_are_steady_light_and_the_last_one_is_shown_whole(
    pair: tuple[DisplayState, DisplayState],
) -> None:
    flood = [(pair[number % 2], 99) for number in range(50)]
    edges, _ = told([*flood, (pair[0], 99)])
    assert_no_flashing([at for at, line, on in edges if on and line != BUZZER])
    lit_s = sum(at if not on else -at for at, line, on in edges if line != BUZZER)
    if pair[0] is pair[1]:
        assert lit_s > 3, "the light stands"
    wanted = [(lamp, for_ms) for lamp, _, for_ms in PATTERNS[pair[0]] if lamp is not Lamp.BUZZER]
    last = [(line, at) for at, line, on in edges if on and line != BUZZER][-len(wanted) :]
    assert [line for line, _ in last] == [LINES[lamp] for lamp, _ in wanted]


def test_an_answer_long_after_the_last_is_shown_at_once() -> None:
    edges, _ = told([(DisplayState.REFUSED, 10), (DisplayState.ADMIT, 400)])
    assert [round(at, 3) for at, line, on in edges if on and line == GREEN] == [0.411]


def test_a_reader_is_told_no_faster_than_eyes_bear_and_of_the_newest() -> None:
    async def main() -> list[tuple[float, Signal]]:
        shown: list[tuple[float, Signal]] = []
        light = ReaderLight(lambda signal: shown.append((round(loop.time(), 3), signal)))
        for number in range(11):
            light.feedback(Signal.REJECT if number % 2 else Signal.ACCEPT)
            await asyncio.sleep(0.1)
        light.feedback(Signal.NEXT)
        await asyncio.sleep(1)
        light.feedback(Signal.WAIT)
        await asyncio.sleep(1)
        return shown

    loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
    try:
        shown = loop.run(main())
    finally:
        loop.close()
    verdicts = [at for at, signal in shown if signal is not Signal.NEXT]
    assert_no_flashing(verdicts)
    assert shown[0] == (0.0, Signal.ACCEPT)
    assert (1.1, Signal.NEXT) in shown, "what puts lights out waits for nothing"
    assert shown[-1] == (2.1, Signal.WAIT)


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


def shows(strip: AdalightStrip, state: DisplayState) -> bool:
    return strip.shown == drawn(PICTURES[state], 30, 64)


async def test_a_strip_shows_each_answer_as_a_picture_and_its_loss_stops_nobody(tmp_path: Path) -> None:
    strip = AdalightStrip(30, tmp_path / "strip")

    def adjust(text: str) -> str:
        head, first, second = quick(text).split("[[lanes]]")
        named = second.replace("relay =", 'strip = "strip"\nrelay =', 1)
        board = f'[[relays]]\nid = "strip"\ndriver = "adalight"\nport = "{tmp_path / "strip"}"\npixels = 30\n'
        return f"{head}[[lanes]]{first}[[lanes]]{named}\n{board}"

    with Service(strip) as service:
        async with running(tmp_path, [row(1), row(2, Standing.CANCELLED)], adjust=adjust) as gate:
            await gate.ready()
            await gate.until(lambda: gate.health(Part.RELAY, "strip") is Health.OK, "the strip is open")
            for ticket, state in ((2, DisplayState.REFUSED), (1, DisplayState.ADMIT)):
                await gate.hardware.second.scan(code(ticket))
                await gate.until(partial(shows, strip, state), f"{state.value} is shown")
                if state is DisplayState.ADMIT:
                    await gate.walk(2)
                await gate.until(lambda: not any(strip.shown), "and it is dark")
            with service.lock:
                strip.unplug()
            await gate.until(lambda: gate.health(Part.RELAY, "strip") is Health.BAD, "the strip is gone")
            assert verdict(gate.daemon.board.tiles).word is VerdictWord.DEGRADED
            await gate.hardware.second.scan(code(2))
            await gate.until(lambda: gate.daemon.recent[0].outcome == int(Outcome.DENY), "it answers on")


def test_a_strip_tells_each_state_by_a_picture_of_its_own_in_the_rhythm_of_the_lights() -> None:
    assert PICTURES.keys() == {one for one in DisplayState if PATTERNS[one]}
    assert sorted(PICTURES.values()) == list(range(len(PICTURES)))

    async def main() -> list[tuple[float, int, bool]]:
        lamps, strip = Lamps(), Lamps()
        annunciator = Annunciator(LANE, lamps, strip)
        for state in TOLD:
            annunciator.tell(state)
            await asyncio.sleep(3)
        for number in range(40):
            annunciator.tell(TOLD[number % 2])
            await asyncio.sleep(0.1)
        lights = [(round(at, 3), on) for at, line, on in lamps.edges if line != BUZZER]
        assert [(round(at, 3), on) for at, _, on in strip.edges] == lights
        return strip.edges

    loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
    try:
        edges = loop.run(main())
    finally:
        loop.close()
    assert_no_flashing([at for at, _, on in edges if on])
    assert [line for line, _ in itertools.groupby(line for at, line, _ in edges if at < 15)] == [
        PICTURES[state] for state in TOLD
    ]


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ('strip = "arm"', "this is no LED strip"),
        ('strip = "stripe"', "did you mean strip"),
        ('lamp_relay = "strip"\nred_line = 2', "no arm and no lamp hangs on it"),
    ],
)
def test_a_strip_is_a_strip(keys: str, wrong: str) -> None:
    board = '\n[[relays]]\nid = "strip"\ndriver = "ws2812"\npixels = 60\n'
    text = BARRIER + board
    assert load(text.replace("exit_line", 'strip = "strip"\nexit_line', 1), {}).lanes[0].strip == "strip"
    with pytest.raises(ConfigErrors, match=wrong):
        load(text.replace("exit_line", f"{keys}\nexit_line", 1), {})


def test_a_strip_is_long_enough_on_and_one_lane_s() -> None:
    board = '\n[[relays]]\nid = "strip"\ndriver = "ws2812"\npixels = 60\npulse_max_ms = 500\n'
    with pytest.raises(ConfigErrors, match="its pictures stand for 1000 ms"):
        load(BARRIER.replace("exit_line", 'strip = "strip"\nexit_line', 1) + board, {})


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
