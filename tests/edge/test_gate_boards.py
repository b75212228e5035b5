"""Gates on relay boards that have contacts of their own: one port, one guard, the whole way from scan to passage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from admission.records import Flag, Kind, Outcome
from drivers.sims.modbus_board import ModbusBoard
from drivers.sims.weather import Weather
from edge.link import Health, Part
from tests.edge.rig import Gate, code, plug, quick, row, running
from tests.venue.hardware import FIRE_LINE, READY_LINES

GONE_S, READY_S = 1.0, 2.0


@asynccontextmanager
async def on_one_board(folder: Path) -> AsyncIterator[tuple[Gate, ModbusBoard]]:
    """The gate of the rig, its relays and its contacts on one Modbus board."""
    hardware = plug(folder)
    hardware.relays.close()
    hardware.contacts.unplug()
    board = ModbusBoard(8, 4, folder / "dev" / "board", on_change=hardware._switched)
    hardware.contacts = board
    for lane in hardware.lanes.values():
        lane.board = board
    board.attach(asyncio.get_running_loop())
    hardware.be_ready()
    relays = f'''[[relays]]
id = "relays"
driver = "modbus"
port = "{board.path}"
lines = 4
inputs = 8
baud = 115200
poll_ms = 10
debounce_ms = 10

[[inputs]]
id = "contacts"
driver = "relay"
relay = "relays"
'''

    def adjust(text: str) -> str:
        before, after = text.split("[[relays]]", 1)
        return quick(before + relays + "\n[[lanes]]" + after.split("[[lanes]]", 1)[1], hold_ms=2000)

    async with running(folder, [row(7), row(8)], adjust=adjust, hardware=hardware) as gate:
        yield gate, board
    hardware.unplug()


async def test_relays_and_contacts_of_one_board_let_in_and_count(tmp_path: Path) -> None:
    async with on_one_board(tmp_path) as (gate, board):
        await gate.ready()
        assert gate.health(Part.SENSOR, "contacts") is Health.OK
        await gate.hardware.entry.scan(code(7))
        assert (await gate.seen()).outcome == Outcome.GRANT
        arm = gate.hardware.lanes[1]
        assert await asyncio.wait_for(arm.releases.get(), 10) == "entry"
        await gate.until(lambda: not board.levels[0], "the board ended the pulse")
        assert await gate.push()
        passage = await gate.recorded(Kind.PASSAGE)
        assert passage.flags & Flag.ASSUMED == 0
        board.drive(READY_LINES[1], active=False)
        await gate.until(lambda: not gate.daemon.lanes[1].ready, "READY is seen to go")
        assert gate.daemon.lanes[2].ready, "the other lane is untouched"
        board.drive(FIRE_LINE, active=True)
        await gate.recorded(Kind.FIRE)


async def test_a_board_that_falls_silent_is_told_and_is_ready_again_by_itself(tmp_path: Path) -> None:
    async with on_one_board(tmp_path) as (gate, board):
        await gate.ready()
        board.wire.weather = Weather.DEAF
        await gate.until(lambda: gate.health(Part.RELAY, "relays") is Health.BAD, "gone", GONE_S + 0.3)
        await gate.until(lambda: gate.health(Part.SENSOR, "contacts") is Health.BAD, "its contacts too")
        await gate.hardware.entry.scan(code(8))
        assert (await gate.seen()).outcome == Outcome.DENY
        board.wire.weather = Weather.CLEAR
        await gate.until(lambda: gate.daemon.lanes[1].ready, "ready again", READY_S)
        await gate.until(lambda: gate.health(Part.SENSOR, "contacts") is Health.OK, "and sees")
