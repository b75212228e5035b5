"""Boards at a port that somebody says is a Modbus bus: found at their speed and addresses, counted, and no relay moves by asking."""

import asyncio
import itertools
import termios
import time
from pathlib import Path

import pytest

from drivers.base import DeviceGone
from drivers.relays import modbus_search
from drivers.relays.modbus_search import Found, OnBus, Why, search
from drivers.sims.modbus_board import Noise
from drivers.sims.modbus_bus import ModbusBus
from drivers.sims.serial_scanner import SerialScanner
from tests.drivers.reader_rig import WAIT_S, open_files

FEW = (9600, 38_400)


async def found(link: Path, speeds: tuple[int, ...] = FEW) -> OnBus:
    before = open_files()
    one = await asyncio.wait_for(search(str(link), speeds=speeds), WAIT_S)
    assert open_files() == before
    return one


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return tmp_path / "bus"


def attached(link: Path, units: tuple[int, ...], coils: int = 8, inputs: int = 8) -> ModbusBus:
    bus = ModbusBus(inputs, coils, link, units)
    bus.attach(asyncio.get_running_loop())
    return bus


@pytest.mark.parametrize(("speed", "baud"), [(0, 9600), (termios.B38400, 38_400)])
async def test_the_boards_of_a_bus_are_found_and_counted_and_none_of_their_relays_moves(
    link: Path, speed: int, baud: int
) -> None:
    bus = attached(link, (1, 2, 16), inputs=4)
    bus.speed = speed
    bus.switch(9, on=True)
    assert await found(link) == OnBus(baud, tuple(Found(unit, 8, 4) for unit in (1, 2, 16)))
    assert [one.line for one in bus.changes] == [9]  # also one that is on stays on
    bus.close()


@pytest.fixture
def few_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is waited for at each of 247."""
    monkeypatch.setattr(modbus_search, "UNITS", (*modbus_search.USUAL, 199, 200))


@pytest.mark.usefixtures("few_units")
@pytest.mark.parametrize(("unit", "coils", "inputs"), [(1, 0, 16), (1, 1, 0), (200, 32, 32)])
async def test_a_board_alone_is_counted_whatever_it_has(
    link: Path, unit: int, coils: int, inputs: int
) -> None:
    bus = attached(link, (unit,), coils=coils, inputs=inputs)
    assert await found(link, (9600,)) == OnBus(9600, (Found(unit, coils, inputs),))
    bus.close()


async def test_a_machine_that_is_late_itself_misses_nobody(link: Path) -> None:
    bus = attached(link, (2,))
    late = [True]

    def hold_up() -> None:
        """The loop does something else for longer than an answer is waited for."""
        if late[0]:
            time.sleep(0.2)
        late[0] = not late[0]

    bus.boards[0].on_request = hold_up
    assert await found(link, (9600,)) == OnBus(9600, (Found(2, 8, 8),))
    bus.close()


@pytest.mark.usefixtures("few_units")
@pytest.mark.parametrize("units", [(2,), (200,), (3, 16)])
async def test_a_board_whose_first_answer_is_lost_is_found_by_the_next_question(
    link: Path, units: tuple[int, ...]
) -> None:
    bus = attached(link, units)
    last, asked = bus.boards[-1], itertools.count()

    def lose_the_first() -> None:
        last.noise = Noise.NONE if next(asked) else Noise.SILENT

    last.on_request = lose_the_first
    assert await found(link, (9600,)) == OnBus(9600, tuple(Found(unit, 8, 8) for unit in units))
    bus.close()


async def test_two_at_one_address_are_told_and_the_others_found(link: Path) -> None:
    bus = attached(link, (3, 5))
    bus.boards[0].noise = Noise.CORRUPT
    assert await found(link) == OnBus(9600, (Found(5, 8, 8),), garbled=(3,))
    bus.close()


@pytest.mark.usefixtures("few_units")
async def test_where_nobody_answers_that_is_told(link: Path) -> None:
    bus = attached(link, (1,))
    bus.boards[0].noise = Noise.SILENT
    assert await found(link, (9600,)) == OnBus(0, why=Why.SILENT)
    bus.close()


async def test_a_port_that_talks_by_itself_is_asked_nothing(tmp_path: Path) -> None:
    heard = bytearray()
    scanner = SerialScanner(tmp_path / "tty")
    scanner.port._on_bytes = heard.extend
    scanner.port.plug()

    async def scan() -> None:
        while True:
            await scanner.scan(b"4006381333931")
            await asyncio.sleep(0.01)

    scanning = asyncio.ensure_future(scan())
    assert await asyncio.wait_for(search(str(tmp_path / "tty")), WAIT_S) == OnBus(0, why=Why.TALKS)
    scanning.cancel()
    scanner.port.unplug()
    assert heard == b""


async def test_a_port_that_is_pulled_in_the_middle_is_gone(link: Path) -> None:
    bus = attached(link, (1,))

    bus.boards[0].on_request = bus.unplug
    with pytest.raises(DeviceGone):
        await asyncio.wait_for(search(str(link), speeds=FEW), WAIT_S)
