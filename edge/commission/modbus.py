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
    """What is behind one adapter. `relays` opens all boards with relays; `inputs` those of a bus where none has any. `asking`: searched at this speed."""

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
    """Return boards that have inputs alone as one `[[inputs]]`; None where one has relays, or there is none. All have as many as the smallest."""
    if not found.boards or any(one.relays for one in found.boards):
        return None
    boards = found.boards[:BOARDS_MAX]
    units = tuple(one.unit for one in boards)
    most = BUS_LINES_MAX // len(boards)
    return ModbusInputs(
        id="contacts",
        port=port,
        baud=found.baud,
        unit=1 if len(units) > 1 else units[0],
        units=units if len(units) > 1 else (),
        lines=max(1, min(most, *(one.inputs for one in boards))),
    )


def with_more(before: ModbusInputs, found: ModbusInputs) -> ModbusInputs:
    """Return boards of inputs that are watched, with those that came behind them: no input gets another number."""
    had, here = before.units or (before.unit,), found.units or (found.unit,)
    units = (*had, *(one for one in here if one not in had))[:BOARDS_MAX]
    if len(units) == len(had) or before.lines * len(units) > BUS_LINES_MAX or before.lines > found.lines:
        return msgspec.structs.replace(before, baud=found.baud)
    return msgspec.structs.replace(before, baud=found.baud, unit=1, units=units)


def troubles_of(found: ModbusBoards, place: str, port: str) -> Iterator[Trouble]:
    """Say what is wrong on a bus that was searched."""
    if found.why:
        yield Trouble(Grade.BAD, f"modbus.{found.why}", place, (("what", port),))
    if found.twins:
        yield Trouble(Grade.BAD, "modbus.twins", place, (("what", _listed(found.twins)),))
    units = [one.unit for one in found.boards if one.relays]
    alike = units or [one.unit for one in found.boards]
    if len(alike) > BOARDS_MAX:
        yield Trouble(Grade.WARN, "modbus.many", place, (("what", _listed(alike[BOARDS_MAX:])),))
    inputs_alone = [one.unit for one in found.boards if not one.relays]
    if units and inputs_alone:
        yield Trouble(Grade.WARN, "modbus.more_inputs", place, (("what", _listed(inputs_alone)),))
    used = [one for one in found.boards if one.relays or not units]
    if len({(one.relays, one.inputs) for one in used}) > 1:
        what = ", ".join(f"{one.unit}: {one.relays} + {one.inputs}" for one in used)
        yield Trouble(Grade.WARN, "modbus.differ", place, (("what", what),))


def _listed(units: list[int] | tuple[int, ...]) -> str:
    return ", ".join(str(one) for one in units)
