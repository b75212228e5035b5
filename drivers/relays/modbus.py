"""Relays of a Modbus RTU board on RS-485, and its inputs: every write confirmed, every pulse ended by the board itself.

Relays are coils (functions 01, 05, 15), inputs discrete inputs (02). Boards of the Waveshare kind also have flash-on: coil
0x0200 + n with a time, after which the board switches off whatever becomes of the host; a board without it is told `flash`
False, and then the relay guard's deadline ends its pulses as it does with any other. The unit of that time, 100 ms, is
Waveshare's; other makers differ, so it is an option.

The trap of boards with inputs: many leave the factory with their inputs switching their relays ("linkage", on Waveshare's
registers 0x1000 and up). A passage contact would then open the arm again. A relay that is on though nobody switched it is
switched off at the next look, and a board that goes on doing it is given up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from drivers.base import Misconfigured
from drivers.framing.modbus import (
    Bits,
    Fault,
    Refused,
    Replies,
    Reply,
    Request,
    Written,
    coils_off,
    flash_coil,
    read_coils,
    read_discrete_inputs,
    write_coil,
)
from drivers.relays.asked import DEBOUNCE_MS, POLL_MS, AskedOutputs, Levels, Shape
from drivers.relays.serial_board import Question, SerialBoard, SerialLine, SharedBoard

FLASH_UNIT_MS: Final = 100
"""Waveshare: "the delay time is the data x 100 ms"."""

SILENT: Final = "Check the board's supply, the A/B wires, its address (unit) and its baud rate."
GARBLED: Final = "Check the baud rate, and that no two boards on the wire share an address."
_NO_FLASH: Final = "Set flash = false for this board: the relay guard then ends its pulses."
_NO_FLASH_SHARED: Final = (
    "Give it an adapter of its own and flash = false: boards that share a bus end their pulses."
)


@dataclass(frozen=True, slots=True)
class ModbusRelayBoard:
    """Where the board is and what it has. `inputs` 0: it has none, or they are not wired."""

    path: str
    lines: int
    unit: int = 1
    baud: int = 9600
    flash: bool = True
    flash_unit_ms: int = FLASH_UNIT_MS
    inputs: int = 0
    poll_ms: int = POLL_MS
    debounce_ms: int = DEBOUNCE_MS


class ModbusOutputs(AskedOutputs):
    """A Modbus board (Outputs, Sensing)."""

    stray_hint = (
        "Switch off the board's own link between inputs and relays (Waveshare: registers 0x1000 and up to 0)."
    )

    def __init__(self, board: ModbusRelayBoard, shared: SharedBoard | None = None) -> None:
        """`shared`: its place on a line that it shares with other boards."""
        if not 1 <= board.unit <= 247 or board.flash_unit_ms < 1:
            raise Misconfigured(
                f"unit {board.unit}, a flash unit of {board.flash_unit_ms} ms",
                f"Units are 1 to 247; Waveshare's flash-on counts in {FLASH_UNIT_MS} ms.",
            )
        alone = SerialLine(board.path, board.baud)
        self._board = shared or SerialBoard(alone, silent=SILENT, garbled=GARBLED)
        self._no_flash = _NO_FLASH_SHARED if shared else _NO_FLASH
        super().__init__(self._board, Shape(board.lines, board.inputs, board.poll_ms, board.debounce_ms))
        self.own_timer = board.flash
        self._settings = board
        self._off_at_once = True

    @property
    def name(self) -> str:
        """Unit and port."""
        return f"Modbus unit {self._settings.unit} at {self._settings.path}"

    def switch(self, line: int, *, on: bool) -> None:
        """Function 05."""
        self._write(write_coil(self._settings.unit, line, on=on))

    def pulse(self, line: int, duration_ms: int) -> None:
        """Switch one relay on for a time the board itself ends; returns when the board confirmed it.

        Said again (its confirmation was lost) it lasts no longer than the guard's own deadline. The time of a relay that is
        on is rounded down: rounded up it could end after the longest pulse.
        """
        self.check(line)
        if not self.own_timer:
            super().pulse(line, duration_ms)
        units = duration_ms / self._settings.flash_unit_ms
        if line in self.wanted and units < 1:
            return
        whole = floor(units) if line in self.wanted else max(1, ceil(units))
        self.wanted.add(line)
        reply = self._ask(flash_coil(self._settings.unit, line, whole))
        if isinstance(reply, Refused):
            raise Misconfigured(
                f"unit {self._settings.unit} knows no flash-on (exception {reply.code})", self._no_flash
            )

    def all_off(self) -> None:
        """Switch every relay off: by one request, or one by one where the board does not know function 15."""
        if self._off_at_once:
            reply = self._ask(coils_off(self._settings.unit, 0, self.lines))
            if isinstance(reply, Refused) and reply.code != Fault.ILLEGAL_FUNCTION:
                raise self._refused(reply)
            self._off_at_once = isinstance(reply, Written)
        if not self._off_at_once:
            super().all_off()
        self.wanted.clear()

    def relays(self) -> Levels | None:
        """Function 01."""
        return self._glance(read_coils(self._settings.unit, 0, self.lines))

    def contacts(self) -> Levels | None:
        """Function 02."""
        return self._glance(read_discrete_inputs(self._settings.unit, 0, self.inputs))

    def _write(self, request: Request) -> None:
        reply = self._ask(request)
        if isinstance(reply, Refused):
            raise self._refused(reply)

    def _refused(self, reply: Refused) -> Misconfigured:
        return Misconfigured(
            f"unit {self._settings.unit} refuses to switch (exception {reply.code})",
            "Count the relays on the board, and compare lines and unit with its manual.",
        )

    def _ask(self, request: Request) -> Reply:
        return self._board.ask(_question(request))

    def _glance(self, request: Request) -> tuple[bool, ...] | None:
        reply = self._board.glance(_question(request))
        if isinstance(reply, Refused):
            raise Misconfigured(
                f"unit {self._settings.unit} refuses to be read (exception {reply.code})",
                "Count its relays and inputs; set inputs = 0 where it has none.",
            )
        return reply.values if isinstance(reply, Bits) else None


def _question(request: Request) -> Question[Reply]:
    return Question(request.to_bytes(), lambda: Replies(request).feed)


def from_options(options: Mapping[str, object]) -> ModbusOutputs:
    """The board named by the guard's settings: the fields of `ModbusRelayBoard`."""
    return ModbusOutputs(board_of(options))


def board_of(options: Mapping[str, object]) -> ModbusRelayBoard:
    """What the guard's settings say of a board; raises Misconfigured."""
    path, lines = options.get("path"), options.get("lines")
    if not isinstance(path, str) or not isinstance(lines, int):
        raise Misconfigured("a Modbus board needs `path` and `lines`", "Set both in the output's table.")
    known = ("unit", "baud", "flash", "flash_unit_ms", "inputs", "poll_ms", "debounce_ms")
    others = {key: options[key] for key in known if key in options}
    if not all(isinstance(value, int) for value in others.values()):
        raise Misconfigured("a Modbus board's options are whole numbers", "Correct the output's table.")
    return ModbusRelayBoard(path, lines, **others)  # type: ignore[arg-type]
