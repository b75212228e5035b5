"""Relays of a Modbus RTU board on RS-485, and its inputs: every write confirmed, every pulse ended by the board itself.

Relays are coils (functions 01, 05, 15), inputs discrete inputs (02). Boards of the Waveshare kind also have flash-on: coil
0x0200 + n with a time, after which the board switches off whatever becomes of the host; a board without it is told `flash`
False, and then the relay guard's deadline ends its pulses as it does with any other. The unit of that time, 100 ms, is
Waveshare's; other makers differ, so it is an option.

The trap of boards with inputs: many leave the factory with their inputs switching their relays ("linkage", on Waveshare's
registers 0x1000 and up). A passage contact would then open the arm again. A relay that is on though nobody switched it is
switched off at the next look, and a board that goes on doing it is given up.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from drivers.base import DeviceMisbehaved, DriverError, Misconfigured
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
from drivers.relays.serial_board import AGAIN_MS, Question, SerialBoard

LINES_MAX: Final = 32
"""Relays of one board; the largest of this kind has 32."""
FLASH_UNIT_MS: Final = 100
"""Waveshare: "the delay time is the data x 100 ms"."""
LOOK_MS: Final = 100
"""How often a board without inputs is asked whether it is there: silence is seen well within a second."""
COILS_EVERY_S: Final = 0.25
"""How often the relays are read where the inputs are: a relay that nobody switched is on for no longer."""
STRAYS_MAX: Final = 3
"""Looks in a row that find a relay on which nobody switched: the first may be another master's, three are the board's."""

_SILENT: Final = "Check the board's supply, the A/B wires, its address (unit) and its baud rate."
_GARBLED: Final = "Check the baud rate, and that no two boards on the wire share an address."


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
    poll_ms: int = 20
    debounce_ms: int = 20


class ModbusOutputs:
    """A Modbus board (Outputs, Sensing)."""

    def __init__(self, board: ModbusRelayBoard) -> None:
        if not 0 < board.lines <= LINES_MAX or not 0 <= board.inputs <= LINES_MAX:
            raise Misconfigured(
                f"{board.lines} relays and {board.inputs} inputs", f"A board has up to {LINES_MAX} of each."
            )
        if not 1 <= board.unit <= 247 or board.poll_ms < 1 or board.debounce_ms < 0:
            raise Misconfigured(
                f"unit {board.unit} cannot be asked like this", "Units are 1 to 247; use poll_ms 20."
            )
        if board.flash_unit_ms < 1:
            raise Misconfigured(f"a flash unit of {board.flash_unit_ms} ms", "Waveshare's is 100 ms.")
        self.lines = board.lines
        self.inputs = board.inputs
        self.own_timer = board.flash
        self.debounce_ms = board.debounce_ms
        self._settings = board
        self._board = SerialBoard(board.path, board.baud, silent=_SILENT, garbled=_GARBLED)
        self._wanted: set[int] = set()
        """Lines that somebody switched on."""
        self._strays = 0
        self._coils_s = 0.0
        self._off_at_once = True

    @property
    def look_ms(self) -> int:
        """The poll of the inputs; at once again where an answer stayed out."""
        pace_ms = self._settings.poll_ms if self.inputs else LOOK_MS
        return pace_ms if self._board.answered else min(AGAIN_MS, pace_ms)

    def open(self) -> str:
        """Open the port and switch every relay off, confirmed; raises DriverError."""
        self.close()
        self._board.open()
        try:
            self.all_off()
        except DriverError:
            self._board.drop()
            raise
        own = self._settings
        return f"Modbus unit {own.unit} at {own.path}, {self.lines} relays, {self.inputs} inputs"

    def fileno(self) -> int:
        """The open port, so that a hang-up is seen while nothing is being asked; -1 when closed."""
        return self._board.fileno()

    def set(self, line: int, on: bool) -> None:
        """Switch one relay; returns when the board confirmed it."""
        self._check(line)
        if on:
            self._wanted.add(line)
        self._write(write_coil(self._settings.unit, line, on=on))
        if not on:
            self._wanted.discard(line)

    def pulse(self, line: int, duration_ms: int) -> None:
        """Switch one relay on for a time the board itself ends; returns when the board confirmed it.

        Said again (its confirmation was lost) it lasts no longer than the guard's own deadline.
        """
        self._check(line)
        if not self.own_timer:
            raise Misconfigured(
                f"flash is off (line {line}, {duration_ms} ms)", "Use the relay guard's own deadline."
            )
        self._wanted.add(line)
        units = ceil(duration_ms / self._settings.flash_unit_ms)
        reply = self._ask(flash_coil(self._settings.unit, line, max(1, units)))
        if isinstance(reply, Refused):
            raise Misconfigured(
                f"the board knows no flash-on (exception {reply.code})",
                "Set flash = false for this board: the relay guard then ends its pulses.",
            )

    def all_off(self) -> None:
        """Switch every relay off: by one request, or one by one where the board does not know function 15."""
        unit = self._settings.unit
        if self._off_at_once:
            reply = self._ask(coils_off(unit, 0, self.lines))
            if isinstance(reply, Refused) and reply.code != Fault.ILLEGAL_FUNCTION:
                raise self._refused(reply)
            self._off_at_once = isinstance(reply, Written)
        if not self._off_at_once:
            for line in range(self.lines):
                self._write(write_coil(unit, line, on=False))
        self._wanted.clear()

    def look(self) -> tuple[bool, ...] | None:
        """Read the inputs, and now and then the relays."""
        now_s = time.monotonic()
        if not self.inputs or now_s - self._coils_s >= COILS_EVERY_S:
            coils = self._glance(read_coils(self._settings.unit, 0, self.lines))
            if coils is not None:
                self._coils_s = now_s
                self._watch(coils)
            if not self.inputs:
                return None if coils is None else ()
        return self._glance(read_discrete_inputs(self._settings.unit, 0, self.inputs))

    def close(self) -> None:
        """Switch off where the board still answers, then give the port back. Never raises."""
        if self._board.fileno() < 0:
            return
        try:
            self.all_off()
        except DriverError:
            pass  # A board with a timer ends its pulses; whoever opens it next starts with all off.
        finally:
            self._board.drop()

    def _watch(self, coils: tuple[bool, ...]) -> None:
        """Switch off what nobody switched on."""
        strays = [line for line, on in enumerate(coils) if on and line not in self._wanted]
        self._strays = self._strays + 1 if strays else 0
        for line in strays:
            self._write(write_coil(self._settings.unit, line, on=False))
        if self._strays >= STRAYS_MAX:
            raise DeviceMisbehaved(
                f"relay {strays[0]} of {self._settings.path} switches on by itself",
                "Switch off the board's own link between inputs and relays (Waveshare: registers 0x1000 and up to 0).",
            )

    def _check(self, line: int) -> None:
        if not 0 <= line < self.lines:
            raise Misconfigured(
                f"relay {line} of {self.lines}", "Lines count from 0; correct the lane's output line."
            )

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
                f"the board refuses to be read (exception {reply.code})",
                "Count its relays and inputs; set inputs = 0 where it has none.",
            )
        return reply.values if isinstance(reply, Bits) else None


def _question(request: Request) -> Question[Reply]:
    return Question(request.to_bytes(), lambda: Replies(request).feed)


def from_options(options: Mapping[str, object]) -> ModbusOutputs:
    """The board named by the guard's settings: the fields of `ModbusRelayBoard`."""
    path, lines = options.get("path"), options.get("lines")
    if not isinstance(path, str) or not isinstance(lines, int):
        raise Misconfigured("a Modbus board needs `path` and `lines`", "Set both in the output's table.")
    known = ("unit", "baud", "flash", "flash_unit_ms", "inputs", "poll_ms", "debounce_ms")
    others = {key: options[key] for key in known if key in options}
    if not all(isinstance(value, int) for value in others.values()):
        raise Misconfigured("a Modbus board's options are whole numbers", "Correct the output's table.")
    return ModbusOutputs(ModbusRelayBoard(path, lines, **others))  # type: ignore[arg-type]
