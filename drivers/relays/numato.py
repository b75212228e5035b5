"""Numato relay modules on USB-CDC, and their GPIO pins as inputs: a console, each line echoed and followed by a prompt.

The relays latch: they keep their level when the host goes away. Of a pin that is read the module makes an input. Newer modules
(UR8A) have timers of their own; they are not used, since no two models name them alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from drivers.base import Misconfigured
from drivers.framing.numato import Reply, read_input, read_relay, switch, to_bytes
from drivers.relays.asked import DEBOUNCE_MS, POLL_MS, AskedOutputs, Levels, Shape
from drivers.relays.serial_board import ANSWER_BYTES_MAX, Question, SerialBoard, SerialLine

BAUD: Final = 19200
"""USB-CDC ignores it; Numato's own samples say so."""
LINES: Final = (1, 2, 4, 8, 16, 32)
"""The modules that exist."""
INPUTS_MAX: Final = 8
"""Each pin is a question of its own, 1 to 2 ms; more would not be read within a contact's 100 ms."""

_SILENT: Final = "Check the USB cable; unplug the module for five seconds, plug it in again."
_GARBLED: Final = (
    "Another device is at this port, or the module has fewer relays: compare it with /dev/serial/by-id."
)


@dataclass(frozen=True, slots=True)
class NumatoModule:
    """Where the module is and what it has. `inputs`: GPIO pins that are read, from 0 on."""

    path: str
    lines: int
    inputs: int = 0
    poll_ms: int = POLL_MS
    debounce_ms: int = DEBOUNCE_MS


class NumatoOutputs(AskedOutputs):
    """A Numato module (Outputs, Sensing)."""

    def __init__(self, module: NumatoModule) -> None:
        if module.lines not in LINES or not 0 <= module.inputs <= INPUTS_MAX:
            raise Misconfigured(
                f"{module.lines} relays and {module.inputs} inputs",
                f"Numato modules have 1, 2, 4, 8, 16 or 32 relays; up to {INPUTS_MAX} inputs are read.",
            )
        self._path = module.path
        self._board = SerialBoard(SerialLine(module.path, BAUD), silent=_SILENT, garbled=_GARBLED)
        super().__init__(self._board, Shape(module.lines, module.inputs, module.poll_ms, module.debounce_ms))

    @property
    def name(self) -> str:
        """Size and port."""
        return f"Numato-{self.lines} at {self._path}"

    def greet(self) -> None:
        """End whatever half line an earlier process left in the console."""
        self._board.ask(Question(b"\r", lambda: _prompt))

    def switch(self, line: int, *, on: bool) -> None:
        """Switch one relay; the echo and the prompt behind it confirm it."""
        self._board.ask(_question(switch(line, on=on)))

    def relays(self) -> Levels | None:
        """Read every relay."""
        return self._read([read_relay(line) for line in range(self.lines)], "on|off")

    def contacts(self) -> Levels | None:
        """Read the pins."""
        return self._read([read_input(line) for line in range(self.inputs)], "[01]")

    def _read(self, commands: list[str], values: str) -> Levels | None:
        levels = []
        for command in commands:
            value = self._board.glance(_question(command, values))
            if value is None:
                return None
            levels.append(value in {"on", "1"})
        return tuple(levels)


def _question(command: str, values: str = "") -> Question[str]:
    return Question(to_bytes(command), lambda: Reply(command, values, ANSWER_BYTES_MAX).feed)


def _prompt(data: bytes) -> bytes | None:
    return data if len(data) <= ANSWER_BYTES_MAX and b">" in data else None


def from_options(options: Mapping[str, object]) -> NumatoOutputs:
    """The module named by the guard's settings: the fields of `NumatoModule`."""
    path, lines = options.get("path"), options.get("lines")
    others = {key: options[key] for key in ("inputs", "poll_ms", "debounce_ms") if key in options}
    if not isinstance(path, str) or not all(isinstance(one, int) for one in (lines, *others.values())):
        raise Misconfigured("a Numato module needs `path` and `lines`", "Set both in the output's table.")
    return NumatoOutputs(NumatoModule(path, lines, **others))  # type: ignore[arg-type]
