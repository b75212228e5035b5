"""A traffic light, a buzzer and an LED strip at a lane, on lines of relay boards: what was answered, told by light and rhythm.

The relay guard ends each flash as it ends each pulse, so no lamp outlives us. Nothing flashes more than three times in a
second (WCAG 2.3.1), however fast answers come, and rhythms are those of the display, so that they are told apart without
hearing a pitch. A new answer ends the one before it: at once where no light goes on for it that may not yet, which then waits in
the dark rather than say what no longer holds. Lamps come after the arm: whoever waits wants that first.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Final, Protocol

from admission.question import Verdict
from admission.reasons import DisplayState, Language, say
from drivers.base import Signal
from edge.settings import LaneSettings

FLASHES_PER_S_MAX: Final = 3
RISE_S: Final = 0.35
"""From one light that goes on to the next of the same lane, of whatever colour: never four in a second, nor two at more than 3 Hz."""
ENDS_S: Final = 0.05
"""A light that ends so soon is taken to be out: the guard may have ended it by its own clock, and would make it flash."""
FLASH_MS_MAX: Final = 1000
"""A board may allow no longer pulse."""


class Lamp(Enum):
    """What may be wired."""

    GREEN = "green"
    RED = "red"
    BUZZER = "buzzer"


PICTURES: Final[Mapping[DisplayState, int]] = {
    DisplayState.ADMIT: 0,
    DisplayState.ALREADY_USED: 1,
    DisplayState.REFUSED: 2,
    DisplayState.CHECK: 3,
    DisplayState.NOT_READY: 4,
}
"""Which line of a strip tells a state (`drivers.relays.led_strip`: a colour and a shape each); its rhythm is that of the lights."""
LIGHTS: Final = frozenset({Lamp.GREEN, Lamp.RED})
SOUNDS: Final = frozenset({Lamp.BUZZER})

Flash = tuple[Lamp, int, int]
"""A lamp, from when on, for how long: milliseconds."""
PATTERNS: Final[Mapping[DisplayState, tuple[Flash, ...]]] = {
    DisplayState.ADMIT: ((Lamp.GREEN, 0, 1000), (Lamp.BUZZER, 0, 350)),
    DisplayState.ALREADY_USED: (
        (Lamp.RED, 0, 600), (Lamp.RED, 800, 600), (Lamp.BUZZER, 0, 180), (Lamp.BUZZER, 350, 180),
    ),
    DisplayState.REFUSED: (
        (Lamp.RED, 0, 1000), (Lamp.RED, 1100, 900), (Lamp.BUZZER, 0, 200), (Lamp.BUZZER, 350, 200),
        (Lamp.BUZZER, 700, 200),
    ),
    DisplayState.CHECK: (
        (Lamp.GREEN, 0, 400), (Lamp.RED, 500, 400), (Lamp.GREEN, 1000, 400), (Lamp.RED, 1500, 400),
        (Lamp.BUZZER, 0, 120), (Lamp.BUZZER, 350, 450),
    ),
    DisplayState.NOT_READY: ((Lamp.RED, 0, 1000), (Lamp.BUZZER, 0, 900)),
    DisplayState.WAIT: (),
}  # fmt: skip


class Lines(Protocol):
    """The relay board that the lamps hang on."""

    def pulse(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> None:
        """Switch a line on for a while; `done(ok)` when that was commanded, or could not be."""
        ...

    def off_line(self, line: int) -> None:
        """Switch a line off."""
        ...


class Annunciator:
    """One lane's lamps. Of the running loop."""

    def __init__(self, settings: LaneSettings, lamps: Lines | None, strip: Lines | None = None) -> None:
        wired = {
            Lamp.GREEN: settings.green_line,
            Lamp.RED: settings.red_line,
            Lamp.BUZZER: settings.buzzer_line,
        }
        self._wired = {lamp: line for lamp, line in wired.items() if line is not None}
        tracks = (_Track(lamps), _Track(lamps)) if lamps and self._wired else ()
        self._tracks = tuple(zip(tracks, (LIGHTS, SOUNDS), strict=False))
        self._strip = _Track(strip) if strip else None

    def show(self, verdict: Verdict) -> None:
        """Tell what was answered."""
        said = say(verdict.outcome, verdict.reason, Language.EN, direction=verdict.direction)
        self.tell(said.display)

    def tell(self, state: DisplayState) -> None:
        """Show a state, instead of the one before."""
        pattern = PATTERNS[state]
        if not pattern:
            return
        for track, lamps in self._tracks:
            of_lamps = (one for one in pattern if one[0] in lamps and one[0] in self._wired)
            track.play([(self._wired[lamp], from_ms, for_ms) for lamp, from_ms, for_ms in of_lamps])
        if self._strip is not None:
            picture = PICTURES[state]
            self._strip.play(
                [(picture, from_ms, for_ms) for lamp, from_ms, for_ms in pattern if lamp in LIGHTS]
            )


class _Track:
    """Lines of which one after the other goes on, never sooner than `RISE_S` after the last: all lights, the buzzer, or a strip."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._loop = asyncio.get_running_loop()
        self._due: list[asyncio.TimerHandle] = []
        self._rose_s = -math.inf
        self._lit: int | None = None
        """What went on last, and until when it stays on."""
        self._until_s = -math.inf

    def play(self, flashes: Sequence[tuple[int, int, int]]) -> None:
        """Begin a pattern (line, from, for) now; where nothing may go on yet, with what is lit already, or else once it may."""
        now_s = self._loop.time()
        is_early = now_s < self._rose_s + RISE_S
        stays = flashes[0][0] if is_early and flashes and self._is_lit(flashes[0][0], now_s) else None
        begin_s = self._rose_s + RISE_S if is_early and stays is None else now_s
        self._end(but=stays)
        for line, from_ms, for_ms in flashes:
            self._at(begin_s + from_ms / 1000, partial(self._flash, line, for_ms))

    def _flash(self, line: int, for_ms: int) -> None:
        now_s = self._loop.time()
        if self._is_lit(line, now_s):
            # A pulse of a line that is on makes it longer, never shorter; the next flash must find it off.
            self._until_s = min(now_s + for_ms / 1000, self._rose_s + FLASH_MS_MAX / 1000)
            self._at(self._until_s, partial(self._lines.off_line, line))
        elif now_s < self._rose_s + RISE_S:  # a timer was late, or this one early
            self._at(self._rose_s + RISE_S, partial(self._flash, line, for_ms))
            return
        else:
            self._lit, self._rose_s, self._until_s = line, now_s, now_s + for_ms / 1000
        self._lines.pulse(line, for_ms, _whether_or_not)

    def _is_lit(self, line: int, now_s: float) -> bool:
        return line == self._lit and now_s < self._until_s - ENDS_S

    def _at(self, when_s: float, what: Callable[[], None]) -> None:
        self._due.append(self._loop.call_at(when_s, what))

    def _end(self, but: int | None) -> None:
        """Let what was shown go out, and forget what was to come."""
        for one in self._due:
            one.cancel()
        self._due.clear()
        if self._lit is not None and self._lit != but:
            self._lines.off_line(self._lit)
            self._lit = None


class ReaderLight:
    """A reader's own light and beeper: no verdict sooner than `RISE_S` after the one before, of several the newest."""

    def __init__(self, show: Callable[[Signal], None]) -> None:
        self._show = show
        self._loop = asyncio.get_running_loop()
        self._shown_s = -math.inf
        self._next: Signal | None = None

    def feedback(self, signal: Signal) -> None:
        """Show a signal, now or as soon as it may be. The passage's end puts lights out, and never waits."""
        wait_s = self._shown_s + RISE_S - self._loop.time()
        if signal is Signal.NEXT:
            if self._next is Signal.ACCEPT:
                self._next = None  # whoever it was for has passed
            self._show(signal)
        elif self._next is not None:
            self._next = signal
        elif wait_s > 0:
            self._next = signal
            self._loop.call_later(wait_s, self._shown)
        else:
            self._shown_s = self._loop.time()
            self._show(signal)

    def _shown(self) -> None:
        signal, self._next = self._next, None
        if signal is not None:
            self.feedback(signal)


def _whether_or_not(_ok: bool) -> None:
    """A lamp that stays dark stops nobody; that the board is gone is shown anyhow."""


__all__ = [
    "FLASHES_PER_S_MAX",
    "FLASH_MS_MAX",
    "PATTERNS",
    "PICTURES",
    "Annunciator",
    "Lamp",
    "Lines",
    "ReaderLight",
]
