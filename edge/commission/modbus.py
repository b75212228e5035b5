"""Modbus boards of a bus that somebody named: what opens them together, and what is wrong there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from edge.commission.candidates import BUS_LINES_MAX
from edge.commission.findings import Grade, Trouble
from edge.devices import ModbusBoards
from edge.settings import ModbusInputs, ModbusRelay

BOARDS_MAX: Final = 4


@dataclass(slots=True)
class ModbusBus:
    """What is behind one adapter. `relays` opens all boards with relays; `inputs` one that has none. `asking`: searched at this speed."""

    port: str
    relays: ModbusRelay | None = None
    inputs: ModbusInputs | None = None
    troubles: tuple[Trouble, ...] = ()
    asking: int | None = None

    @property
    def is_taken(self) -> bool:
        """Whether boards are there, or are asked for: no scanner is."""
        return self.asking is not None or self.relays is not None or self.inputs is not None


def relays_of(port: str, found: ModbusBoards) -> ModbusRelay | None:
    """Return the boards with relays as one `[[relays]]`; None where there is none. All have as many lines as the smallest."""
    boards = [one for one in found.boards if one.relays][:BOARDS_MAX]
    if not boards:
        return None
    units = tuple(one.unit for one in boards)
    most = BUS_LINES_MAX // len(boards)
    return ModbusRelay(
        id="relays",
        port=port,
        baud=found.baud,
        unit=1 if len(units) > 1 else units[0],
        units=units if len(units) > 1 else (),
        lines=min(most, *(one.relays for one in boards)),
        inputs=min(most, *(one.inputs for one in boards)),
    )


def grown(before: ModbusRelay, found: ModbusRelay) -> ModbusRelay:
    """Return boards that are known, as they were found, with those that came behind them: no line gets another number."""
    had, here = before.units or (before.unit,), found.units or (found.unit,)
    units = (*had, *(one for one in here if one not in had))[:BOARDS_MAX]
    lines = before.lines if len(had) > 1 else max(before.lines, found.lines)
    most = BUS_LINES_MAX // len(units)
    return msgspec.structs.replace(
        before,
        baud=found.baud,
        unit=1 if len(units) > 1 else units[0],
        units=units if len(units) > 1 else (),
        flash=before.flash or len(units) > 1,
        lines=min(most, lines),
        inputs=min(most, before.inputs),
    )


def inputs_of(port: str, found: ModbusBoards) -> ModbusInputs | None:
    """Return a board that has inputs alone as one of `[[inputs]]`; None where one has relays, or there is none."""
    if not found.boards or any(one.relays for one in found.boards):
        return None
    board = found.boards[0]
    return ModbusInputs(
        id="contacts", port=port, baud=found.baud, unit=board.unit, lines=max(1, board.inputs)
    )


def troubles_of(found: ModbusBoards, place: str, port: str) -> Iterator[Trouble]:
    """Say what is wrong on a bus that was searched."""
    if found.why:
        yield Trouble(Grade.BAD, f"modbus.{found.why}", place, (("what", port),))
    if found.twins:
        yield Trouble(Grade.BAD, "modbus.twins", place, (("what", _listed(found.twins)),))
    units = [one.unit for one in found.boards if one.relays]
    if len(units) > BOARDS_MAX:
        yield Trouble(Grade.WARN, "modbus.many", place, (("what", _listed(units[BOARDS_MAX:])),))
    inputs_alone = [one.unit for one in found.boards if not one.relays]
    # One bus is one board of relays, or one board of inputs alone.
    if unused := inputs_alone if units else inputs_alone[1:]:
        yield Trouble(Grade.WARN, "modbus.more_inputs", place, (("what", _listed(unused)),))
    used = [one for one in found.boards if one.relays]
    if len({(one.relays, one.inputs) for one in used}) > 1:
        what = ", ".join(f"{one.unit}: {one.relays} + {one.inputs}" for one in used)
        yield Trouble(Grade.WARN, "modbus.differ", place, (("what", what),))


def _listed(units: list[int] | tuple[int, ...]) -> str:
    return ", ".join(str(one) for one in units)
