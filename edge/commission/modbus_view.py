"""What the commissioning page shows of Modbus boards on a bus, said in a language."""

from collections.abc import Iterator

from admission.reasons import Language
from edge.commission.findings import Trouble
from edge.commission.inventory import Plugged
from edge.commission.osdp import may_be_bus
from edge.commission.session import Commissioning
from edge.commission.words import label
from edge.settings import ModbusInputs, ModbusRelay, RelayInputs


def search_of(device: Plugged, session: Commissioning) -> str:
    """Say whether an adapter can be searched for boards: "first", "again", "asking" while it is, "" where it cannot."""
    bus = session.modbus.get(device.place)
    if bus is not None and bus.asking is not None:
        return "asking"
    relays, inputs = session.boards.get(device.place), session.inputs.get(device.place)
    is_other = not isinstance(relays, ModbusRelay | None) or not isinstance(
        inputs, ModbusInputs | RelayInputs | None
    )
    if is_other or session.is_reader(device.place) or not may_be_bus(device):
        return ""
    return "first" if bus is None else "again"


def state_of(place: str, session: Commissioning, language: Language) -> str:
    """Say how a bus is; "" where there is none."""
    bus = session.modbus.get(place)
    if bus is None or not bus.is_taken:
        return ""
    if bus.asking is not None:
        return label("modbus_asking", language).format(baud=bus.asking or "…")
    units = units_of(bus.relays or bus.inputs)
    return label("modbus_boards", language).format(units=", ".join(str(one) for one in units))


def troubles(session: Commissioning) -> Iterator[Trouble]:
    """Return what is wrong with buses that were searched."""
    for bus in session.modbus.values():
        if bus.asking is None:
            yield from bus.troubles


def units_of(board: object) -> tuple[int, ...]:
    """Return the addresses of the boards behind a board's settings; none where it is no Modbus."""
    return (board.units or (board.unit,)) if isinstance(board, ModbusRelay | ModbusInputs) else ()


def timer_of(board: object) -> bool | None:
    """Return whether a board alone on its bus ends pulses by itself; None for any other."""
    return board.flash if isinstance(board, ModbusRelay) and len(board.units) < 2 else None


def inputs_known(key: str, session: Commissioning) -> int:
    """Return how many inputs each board behind an adapter has, as they were counted, or as several are known; else 0."""
    bus, board = session.modbus.get(key), session.relays_on(key)
    if bus is not None and bus.inputs is not None:
        return bus.inputs.lines
    counted = bus.relays.inputs if bus is not None and bus.relays is not None else 0
    return counted or (board.inputs if board is not None else 0)


def numbered(board: object, line: int, per_board: int) -> str:
    """Name a relay or an input as people on the spot do, counted from 1; of several boards behind its board's address."""
    units = units_of(board)
    if len(units) < 2 or not per_board or line // per_board >= len(units):
        return str(line + 1)
    return f"{units[line // per_board]}.{line % per_board + 1}"
