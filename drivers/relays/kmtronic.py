"""KMTronic USB relay boards: an FTDI serial port, 9600 8N1; what was switched is read back, since a write has no answer.

The relays latch: they keep their level when the host goes away, so whoever drives them must live long enough to switch off.
"""

from collections.abc import Mapping
from typing import Final

from drivers.base import Misconfigured
from drivers.framing.kmtronic import Levels, Status, command, status_request
from drivers.relays.asked import AskedOutputs, Shape
from drivers.relays.serial_board import ANSWER_BYTES_MAX, Question, SerialBoard, SerialLine

BAUD: Final = 9600
LINES: Final = (1, 2, 4, 8)
"""The boards that exist."""

_SILENT: Final = "Check the USB cable, and that the board has as many relays as `lines` says."
_GARBLED: Final = (
    "Another device is at this port: compare it with /dev/serial/by-id, and count the board's relays."
)


class KmtronicOutputs(AskedOutputs):
    """A KMTronic board (Outputs, Sensing)."""

    def __init__(self, path: str, lines: int) -> None:
        if lines not in LINES:
            raise Misconfigured(
                f"a KMTronic board has 1, 2, 4 or 8 relays, not {lines}", "Count the relays on the board."
            )
        self._path = path
        self._board = SerialBoard(SerialLine(path, BAUD), silent=_SILENT, garbled=_GARBLED)
        super().__init__(self._board, Shape(lines))

    @property
    def name(self) -> str:
        """Size and port."""
        return f"KMTronic-{self.lines} at {self._path}"

    def switch(self, line: int, *, on: bool) -> None:
        """Switch and read back in one question; another level than that is no answer, and so asked for again."""
        data = command(line, on=on) + status_request(self.lines)
        self._board.ask(Question(data, lambda: _Wanted(self.lines, line, on=on).feed))

    def relays(self) -> Levels | None:
        """Read every relay."""
        return self._board.glance(
            Question(status_request(self.lines), lambda: Status(self.lines, ANSWER_BYTES_MAX).feed)
        )


class _Wanted:
    """A state that says of one line what was told to it."""

    def __init__(self, lines: int, line: int, *, on: bool) -> None:
        self._status = Status(lines, ANSWER_BYTES_MAX)
        self._line = line
        self._on = on

    def feed(self, data: bytes) -> Levels | None:
        levels = self._status.feed(data)
        return levels if levels is not None and levels[self._line] is self._on else None


def from_options(options: Mapping[str, object]) -> KmtronicOutputs:
    """The board named by the guard's settings: `path`, `lines`."""
    path, lines = options.get("path"), options.get("lines")
    if not isinstance(path, str) or not isinstance(lines, int):
        raise Misconfigured("a KMTronic board needs `path` and `lines`", "Set both in the output's table.")
    return KmtronicOutputs(path, lines)
