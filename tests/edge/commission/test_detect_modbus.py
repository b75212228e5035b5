"""`gatehouse-edge detect --modbus PORT`: the boards of a bus that is named, and what opens them together."""

import asyncio
import json
from pathlib import Path

import pytest

from drivers.sims.modbus_bus import ModbusBus
from edge.commission.detect import Named, detect, lines
from edge.commission.modbus import inputs_of, relays_of
from edge.commission.words import LANGUAGES
from edge.devices import ModbusBoards, ModbusFound
from edge.settings import ModbusInputs, ModbusRelay
from tests.edge.commission.box import Box
from tests.edge.commission.test_detect import run

TWO = ModbusBoards(38_400, (ModbusFound(1, 8, 8), ModbusFound(2, 8, 8)))


async def test_the_boards_of_a_bus_that_is_named_are_told_with_what_opens_them(tmp_path: Path) -> None:
    bus = ModbusBus(8, 8, tmp_path / "tty", (1, 2))
    bus.attach(asyncio.get_running_loop())
    done = await asyncio.to_thread(
        run, "--root", str(Box(tmp_path / "box").root), "--modbus", bus.path, "--json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert [(one["unit"], one["relays"], one["inputs"]) for one in said["modbus"]] == [(1, 8, 8), (2, 8, 8)]
    opens = ['driver = "modbus"', f'port = "{bus.path}"', "inputs = 8", "units = [1, 2]"]
    assert sorted(said["relays"]) == sorted(opens)
    assert list(bus.changes) == []
    bus.close()
    printed = "\n".join(lines(detect(tmp_path, named=Named("/dev/x", boards=TWO))))
    assert "/dev/x: Modbus board, address 2, 38400 baud: 8 relays, 8 inputs" in printed
    assert "baud = 38400" in printed
    assert "units = [1, 2]" in printed


@pytest.mark.parametrize(
    ("boards", "relays"),
    [
        ([(1, 8, 8)], ModbusRelay(id="relays", port="/x", baud=38_400, unit=1, lines=8, inputs=8)),
        ([(7, 4, 0)], ModbusRelay(id="relays", port="/x", baud=38_400, unit=7, lines=4)),
        (
            [(1, 8, 4), (2, 0, 8), (3, 16, 8)],
            ModbusRelay(id="relays", port="/x", baud=38_400, units=(1, 3), lines=8, inputs=4),
        ),
        (
            [(one, 32, 32) for one in range(1, 6)],
            ModbusRelay(id="relays", port="/x", baud=38_400, units=(1, 2, 3, 4), lines=16, inputs=16),
        ),
    ],
)
def test_boards_with_relays_are_opened_together_as_far_as_they_are_alike(
    boards: list[tuple[int, int, int]], relays: ModbusRelay
) -> None:
    found = ModbusBoards(38_400, tuple(ModbusFound(*one) for one in boards))
    assert relays_of("/x", found) == relays
    assert inputs_of("/x", found) is None


def test_a_board_that_has_inputs_alone_is_one_of_contacts() -> None:
    found = ModbusBoards(9600, (ModbusFound(3, 0, 16),))
    assert relays_of("/x", found) is None
    assert inputs_of("/x", found) == ModbusInputs(id="contacts", port="/x", unit=3, lines=16)
    assert inputs_of("/x", ModbusBoards()) is None


def test_what_is_wrong_on_a_modbus_is_told_in_four_languages(tmp_path: Path) -> None:
    many = tuple(ModbusFound(unit, 8, unit) for unit in range(1, 7))
    for found, codes in (
        (ModbusBoards(why="silent"), ["modbus.silent"]),
        (ModbusBoards(why="talks"), ["modbus.talks"]),
        (ModbusBoards(9600, many, twins=(9,)), ["modbus.twins", "modbus.many", "modbus.differ"]),
    ):
        for language in LANGUAGES:
            told = detect(tmp_path, language, Named("/dev/x", boards=found))
            assert [one.code for one in told.troubles] == codes
            said = list(lines(told, language))
            assert all(any(one.fix in line for line in said) for one in told.troubles)
