"""A Numato relay module, the device's side, on a pty: its console, its relays, its GPIO pins."""

from collections.abc import Callable
from pathlib import Path

from drivers.framing.numato import DIGITS, Lines
from drivers.sims.answering_board import AnsweringBoard
from drivers.sims.lcus_board import RelayChange


class NumatoModule(AnsweringBoard):
    """Relays and pins behind a console. The world drives the pins (`drive`)."""

    def __init__(
        self,
        lines: int,
        link: Path,
        on_change: Callable[[RelayChange], None] = lambda _: None,
        *,
        pins: int = 8,
    ) -> None:
        super().__init__(lines, link, on_change)
        self.pins = [False] * pins
        self._lines = Lines()

    def drive(self, line: int, *, active: bool) -> None:
        """A pin's contact closes or opens."""
        self.pins[line] = active

    def answers(self, data: bytes) -> list[bytes]:
        """Echo each line, obey it, prompt."""
        said = []
        for line in self._lines.feed(data):
            value = self._obey(line.split())
            said.append(line.encode() + b"\n\r" + (value.encode() + b"\n\r" if value else b"") + b">")
        return said

    def _obey(self, words: list[str]) -> str:
        match words:
            case ["relay", ("on" | "off") as level, digit] if digit in DIGITS[: len(self.levels)]:
                self.switch(DIGITS.index(digit), on=level == "on")
            case ["relay", "read", digit] if digit in DIGITS[: len(self.levels)]:
                return "on" if self.levels[DIGITS.index(digit)] else "off"
            case ["gpio", "read", digit] if digit in DIGITS[: len(self.pins)]:
                return str(int(self.pins[DIGITS.index(digit)]))
        return ""
