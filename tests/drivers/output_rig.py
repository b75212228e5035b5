"""A rig for each output driver: its settings, its simulated board over the real transport, and what the world sees."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drivers.base import Outputs
from drivers.guard import GuardSettings, make_outputs
from drivers.relays import lcus
from drivers.sims.answering_board import AnsweringBoard
from drivers.sims.gpio_chip import SimChip, SimChips
from drivers.sims.hid_relay import HidRelay
from drivers.sims.kmtronic_board import KmtronicBoard
from drivers.sims.lcus_board import LcusBoard
from drivers.sims.modbus_board import ModbusBoard
from drivers.sims.modbus_bus import ModbusBus
from drivers.sims.numato_module import NumatoModule
from drivers.sims.served import Service
from drivers.transport.gpiochip import OutputLine
from drivers.transport.tty import Tty

WAIT_S = 5.0
LINES = 2
UNITS = (3, 7)
"""The boards that share a bus."""


@dataclass
class Rig:
    settings: GuardSettings
    levels: Callable[[], list[bool]]
    """The relays' levels once everything sent has arrived."""
    turned_on: Callable[[], list[int]]
    """The lines that were switched on since the last call."""
    leave_on: Callable[[], None]
    """Line 1 left on by a process that is gone."""
    unplug: Callable[[], None]
    plug: Callable[[], None]
    board: AnsweringBoard | ModbusBus | None = None
    """Where it is asked and answers on a serial line."""

    def make(self) -> Outputs:
        return make_outputs(self.settings)


@contextmanager
def lcus_rig(folder: Path) -> Iterator[Rig]:
    board = LcusBoard(LINES, folder / "relays")

    def levels() -> list[bool]:
        while board.port.plugged and (data := board.port.read()):
            board._feed(data)
        return list(board.levels)

    def turned_on() -> list[int]:
        levels()
        lines = [change.line for change in board.changes if change.on]
        board.changes.clear()
        return lines

    def leave_on() -> None:
        port = Tty(board.path, lcus.BAUD)
        port.write(lcus.frame(1, on=True))
        port.close()
        assert board.wait_until(lambda b: b.levels[1], WAIT_S)
        board.changes.clear()

    settings = GuardSettings("lcus", {"path": board.path, "lines": LINES})
    yield Rig(settings, levels, turned_on, leave_on, board.unplug, board.plug)
    board.close()


@contextmanager
def gpio_rig(folder: Path) -> Iterator[Rig]:
    """Active-low relays on lines 17 and 27, as on most HATs; the chip persists on release."""
    chips: list[SimChip] = []

    def plug() -> None:
        chips.append(SimChip(str(folder), "header", 28, pulled_high=(17, 27)))

    def turned_on() -> list[int]:
        return [(17, 27).index(change.line) for change in chips[-1].output_changes() if not change.high]

    def leave_on() -> None:
        held = SimChips(str(folder)).request(str(folder / "header"), [OutputLine(27, active_low=True)])
        held.set_active({27: True})
        held.release()
        assert chips[-1].output_changes(WAIT_S)

    def unplug() -> None:
        chips[-1].unplug()

    plug()
    options = {"chip": "header", "offsets": [17, 27], "active_low": True, "sim": str(folder)}
    yield Rig(
        GuardSettings("gpio", options),
        lambda: [not chips[-1].is_high(line) for line in (17, 27)],
        turned_on,
        leave_on,
        unplug,
        plug,
    )
    for chip in chips:
        chip.close()


@contextmanager
def answering(board: AnsweringBoard | HidRelay | ModbusBus, settings: GuardSettings) -> Iterator[Rig]:
    """Serve a board that answers."""
    with Service(board) as service:

        def levels() -> list[bool]:
            with service.lock:
                return list(board.levels)

        def turned_on() -> list[int]:
            with service.lock:
                lines = [change.line for change in board.changes if change.on]
                board.changes.clear()
                return lines

        def leave_on() -> None:
            with service.lock:
                board.switch(1, on=True)
                board.changes.clear()

        def unplug() -> None:
            with service.lock:
                board.unplug()

        def plug() -> None:
            with service.lock:
                board.plug()

        asked = None if isinstance(board, HidRelay) else board
        yield Rig(settings, levels, turned_on, leave_on, unplug, plug, asked)
    board.close()


@contextmanager
def modbus_rig(folder: Path) -> Iterator[Rig]:
    board = ModbusBoard(8, LINES, folder / "relays", unit=3)
    with answering(board, modbus_settings(board.path)) as rig:
        yield rig


@contextmanager
def plain_modbus_rig(folder: Path) -> Iterator[Rig]:
    """A board that knows neither flash-on nor function 15, whose inputs are not read."""
    board = ModbusBoard(0, LINES, folder / "relays", flashes=False, writes_many=False)
    options = {"path": board.path, "lines": LINES, "flash": False}
    with answering(board, GuardSettings("modbus", options)) as rig:
        yield rig


@contextmanager
def modbus_bus_rig(folder: Path) -> Iterator[Rig]:
    """Two boards of one relay each on one bus."""
    bus = ModbusBus(4, 1, folder / "relays", UNITS)
    with answering(bus, bus_settings(bus.path)) as rig:
        yield rig


@contextmanager
def kmtronic_rig(folder: Path) -> Iterator[Rig]:
    board = KmtronicBoard(LINES, folder / "relays")
    settings = GuardSettings("kmtronic", {"path": board.path, "lines": LINES})
    with answering(board, settings) as rig:
        yield rig


@contextmanager
def numato_rig(folder: Path) -> Iterator[Rig]:
    module = NumatoModule(LINES, folder / "relays")
    options = {"path": module.path, "lines": LINES, "inputs": 4, "poll_ms": 5, "debounce_ms": 5}
    with answering(module, GuardSettings("numato", options)) as rig:
        yield rig


@contextmanager
def hid_rig(folder: Path) -> Iterator[Rig]:
    board = HidRelay(LINES, folder / "hidraw0")
    settings = GuardSettings("hid", {"path": board.path, "lines": LINES, "name": board.name})
    with answering(board, settings) as rig:
        yield rig


def modbus_settings(path: str, pulse_ms_max: int = 1000) -> GuardSettings:
    options = {"path": path, "lines": LINES, "unit": 3, "inputs": 8, "poll_ms": 5, "debounce_ms": 5}
    return GuardSettings("modbus", options, pulse_ms_max)


def bus_settings(path: str, pulse_ms_max: int = 1000) -> GuardSettings:
    options = {"path": path, "lines": 1, "units": [*UNITS], "inputs": 4, "poll_ms": 5, "debounce_ms": 5}
    return GuardSettings("modbus", options, pulse_ms_max)


RIGS = {
    "lcus": lcus_rig,
    "gpio": gpio_rig,
    "modbus": modbus_rig,
    "modbus-plain": plain_modbus_rig,
    "modbus-bus": modbus_bus_rig,
    "kmtronic": kmtronic_rig,
    "numato": numato_rig,
    "hid": hid_rig,
}
"""Every output driver."""

ASKED = ("modbus", "modbus-bus", "kmtronic", "numato")
"""Those whose board answers on a serial line, each in its own language."""
