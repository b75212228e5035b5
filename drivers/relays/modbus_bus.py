"""Several Modbus boards on one RS-485 bus: one port, one question at a time, each board there or gone by itself.

Their relays and inputs are numbered through, the first board's first. Boards take turns at being looked at, each in the pace of
its poll. One that falls silent is set aside: what is asked of its lines is refused at once, so it costs the others one short
wait now and then, in which it is told to switch everything off. Once it confirms that, its lines are of use again.

Each board ends its pulses by itself (flash-on): whoever waits on the bus for a board that is gone cannot end another's in time.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from drivers.base import BoardPart, DeviceGone, DriverError, Misconfigured
from drivers.relays.asked import AGAIN_MS, LOOK_MS, Levels
from drivers.relays.modbus import GARBLED, SILENT, ModbusOutputs, ModbusRelayBoard, board_of
from drivers.relays.serial_board import SerialLine, SharedBoard

UNITS_MAX: Final = 4
"""Boards on one bus: at 9600 baud a round of four takes 0.1 s."""

SUSPECT_S: Final = 0.15
"""Pause before a board is asked again that was silent twice: so long the bus is the others'."""

FIRST_TRY_S: Final = 0.25
"""When a board that was set aside for its silence is first told to switch off: it may have lost some answers only."""

TRY_EVERY_S: Final = 1.2
"""How often a board that is set aside is tried: it is back within two seconds, and costs the others a fifteenth of the time."""


T = TypeVar("T")


@dataclass(slots=True)
class _Seat:
    """One board's place on the bus. `due_s`: when it is next asked, monotonic; `misses`: looks in a row without an answer."""

    outputs: ModbusOutputs
    port: SharedBoard
    unit: int
    relays: range
    inputs: range
    error: DriverError | None = None
    due_s: float = 0.0
    misses: int = 0


class ModbusBus:
    """Modbus boards of one kind that share a port (Outputs, Sensing, Parted)."""

    own_timer = True

    def __init__(self, board: ModbusRelayBoard, units: tuple[int, ...]) -> None:
        """`board`: what they have in common."""
        if not 1 < len(set(units)) == len(units) <= UNITS_MAX:
            raise Misconfigured(
                f"units {', '.join(map(str, units))} on one bus",
                f"Give two to {UNITS_MAX} boards, each an address of its own.",
            )
        if not board.flash:
            raise Misconfigured(
                "boards that share a bus without flash-on", "Give each of them an adapter of its own."
            )
        self._line = SerialLine(board.path, board.baud)
        self._seats = [self._seat_of(replace(board, unit=unit), at) for at, unit in enumerate(units)]
        self.lines = board.lines * len(units)
        self.inputs = board.inputs * len(units)
        self.debounce_ms = board.debounce_ms
        self.looked = range(0)
        self._pace_s = (board.poll_ms if board.inputs else LOOK_MS) / 1000

    def _seat_of(self, board: ModbusRelayBoard, at: int) -> _Seat:
        port = SharedBoard(self._line, board.unit, silent=SILENT, garbled=GARBLED)
        relays = range(at * board.lines, (at + 1) * board.lines)
        inputs = range(at * board.inputs, (at + 1) * board.inputs)
        return _Seat(ModbusOutputs(board, port), port, board.unit, relays, inputs)

    def parts(self) -> tuple[BoardPart, ...]:
        """How each board is."""
        return tuple(
            BoardPart(one.unit, one.relays, one.inputs, self._line.lost or one.error) for one in self._seats
        )

    # --- Outputs ------------------------------------------------------------------------------------------------

    def open(self) -> str:
        """Open the port and switch every relay off, confirmed, of the boards that are there; raises where none is."""
        self.close()
        self._line.open()
        for seat in self._seats:
            seat.port.open()
            self._try(seat)
        here = [one for one in self._seats if one.error is None]
        first = self._line.lost or self._seats[0].error
        if first is not None and (self._line.lost or not here):
            self._line.drop()
            raise first
        units = ", ".join(str(one.unit) for one in here)
        return f"Modbus units {units} at {self._line.path}, {self.lines} relays, {self.inputs} inputs"

    def fileno(self) -> int:
        """The open port, so that a hang-up is seen while nothing is being asked; -1 when closed."""
        return self._line.fileno()

    def set(self, line: int, on: bool) -> None:
        """Switch one relay; returns when its board confirmed it."""
        seat = self._seat(line)
        self._do(seat, lambda: seat.outputs.set(line - seat.relays.start, on))

    def pulse(self, line: int, duration_ms: int) -> None:
        """Switch one relay on for a time that its board ends; returns when it confirmed it."""
        seat = self._seat(line)
        self._do(seat, lambda: seat.outputs.pulse(line - seat.relays.start, duration_ms))

    def all_off(self) -> None:
        """Switch every relay off that can be reached, confirmed; raises where some cannot."""
        failed: DriverError | None = None
        for seat in self._seats:
            try:
                self._do(seat, seat.outputs.all_off)
            except DriverError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def close(self) -> None:
        """Switch off whatever still hears it, then give the port back. Never raises."""
        if self._line.fileno() < 0:
            return
        for seat in self._seats:
            try:
                seat.outputs.all_off()
            except DriverError:
                continue  # it ends its pulses by itself; whoever opens the bus next begins with all off
        self._line.drop()

    # --- Sensing ------------------------------------------------------------------------------------------------

    @property
    def look_ms(self) -> int:
        """When the next board is due."""
        wait_s = min(one.due_s for one in self._seats) - time.monotonic()
        return max(1, min(LOOK_MS, int(wait_s * 1000)))

    def look(self) -> Levels | None:
        """Ask the board that is most overdue how it is, or whether it is back; `looked` says whose inputs these are."""
        now_s = time.monotonic()
        seat = min(self._seats, key=lambda one: one.due_s)
        if seat.error is not None:
            self._try(seat)
            if self._line.lost is not None:
                raise self._line.lost
            return None
        seat.due_s = now_s + self._pace_s
        levels = self._do(seat, seat.outputs.look)
        if levels is None:
            seat.misses += 1
            pause_s = AGAIN_MS / 1000 if seat.misses == 1 else SUSPECT_S
            seat.due_s = time.monotonic() + pause_s
            return None
        seat.misses = 0
        self.looked = seat.inputs
        return levels

    def _try(self, seat: _Seat) -> None:
        """Tell a board to switch off: one that confirms it is there."""
        try:
            seat.outputs.start()
        except DriverError as error:
            self._set_aside(seat, error, TRY_EVERY_S)
        else:
            seat.port.open()
            seat.error, seat.misses, seat.due_s = None, 0, 0.0

    def _do(self, seat: _Seat, act: Callable[[], T]) -> T:
        """Do something with a board; raises at once where it is set aside, and sets it aside where it fails."""
        if seat.error is not None:
            raise DeviceGone(str(seat.error), seat.error.hint)
        try:
            return act()
        except DriverError as error:
            if self._line.fileno() >= 0:
                self._set_aside(seat, error, FIRST_TRY_S if isinstance(error, DeviceGone) else TRY_EVERY_S)
            raise

    def _set_aside(self, seat: _Seat, error: DriverError, again_s: float) -> None:
        seat.error, seat.due_s = error, time.monotonic() + again_s
        seat.port.answered = False

    def _seat(self, line: int) -> _Seat:
        for seat in self._seats:
            if line in seat.relays:
                return seat
        raise Misconfigured(
            f"relay {line} of {self.lines}", "Lines count from 0; correct the lane's output line."
        )


def from_options(options: Mapping[str, object]) -> ModbusBus:
    """The boards named by the guard's settings: `units`, and besides what `ModbusRelayBoard` has."""
    units = options.get("units")
    if not isinstance(units, list) or not all(isinstance(one, int) for one in units):
        raise Misconfigured("the units of a bus are whole numbers", "Correct the output's table.")
    return ModbusBus(board_of(options), tuple(units))
