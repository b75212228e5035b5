"""A traffic light and a buzzer at a lane, on lines of its relay board or of another: what was answered, told by light and rhythm.

The relay guard ends each flash as it ends each pulse, so no lamp outlives us. Nothing flashes more than three times in a
second (WCAG 2.3.1), and rhythms are those of the display, so that they are told apart without hearing a pitch. A new answer
ends the one before it. Lamps come after the arm: whoever waits wants that first.
"""

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import Final, Protocol

from admission.question import Verdict
from admission.reasons import DisplayState, Language, say
from edge.settings import LaneSettings

FLASHES_PER_S_MAX: Final = 3
FLASH_MS_MAX: Final = 1000
"""A board may allow no longer pulse."""


class Lamp(Enum):
    """What may be wired."""

    GREEN = "green"
    RED = "red"
    BUZZER = "buzzer"


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

    def __init__(self, settings: LaneSettings, lines: Lines) -> None:
        wired = {
            Lamp.GREEN: settings.green_line,
            Lamp.RED: settings.red_line,
            Lamp.BUZZER: settings.buzzer_line,
        }
        self._wired = {lamp: line for lamp, line in wired.items() if line is not None}
        self._lines = lines
        self._loop = asyncio.get_running_loop()
        self._due: list[asyncio.TimerHandle] = []

    def show(self, verdict: Verdict) -> None:
        """Tell what was answered."""
        said = say(verdict.outcome, verdict.reason, Language.EN, direction=verdict.direction)
        self.tell(said.display)

    def tell(self, state: DisplayState) -> None:
        """Show a state, instead of the one before."""
        pattern = PATTERNS[state]
        if not pattern or not self._wired:
            return
        self.end()
        for lamp, from_ms, for_ms in pattern:
            line = self._wired.get(lamp)
            if line is not None:
                flash = partial(self._lines.pulse, line, for_ms, _whether_or_not)
                self._due.append(self._loop.call_later(from_ms / 1000, flash))

    def end(self) -> None:
        """Let all lamps go out."""
        is_shown = any(not one.cancelled() for one in self._due)
        for one in self._due:
            one.cancel()
        self._due.clear()
        if is_shown:
            for line in self._wired.values():
                self._lines.off_line(line)


def _whether_or_not(_ok: bool) -> None:
    """A lamp that stays dark stops nobody; that the board is gone is shown anyhow."""


__all__ = ["FLASHES_PER_S_MAX", "FLASH_MS_MAX", "PATTERNS", "Annunciator", "Lamp", "Lines"]
