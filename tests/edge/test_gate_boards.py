"""Gates on relay boards that have contacts of their own: one port, one guard, the whole way from scan to passage."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from admission.lane import LaneState, StateSet
from admission.records import Direction, Flag, Kind, Outcome
from drivers.sims.modbus_board import ModbusBoard
from drivers.sims.modbus_bus import ModbusBus
from drivers.sims.weather import Weather, Wire
from edge.board import VerdictWord, verdict
from edge.link import ASKED, Health, Part
from tests.edge.rig import Gate, code, plug, quick, row, running
from tests.venue.hardware import FIRE_LINE, READY_LINES

GONE_S, READY_S = 1.0, 2.0


def on_modbus(port: str, boards: str) -> Callable[[str], str]:
    """Return what puts the rig's relays and contacts on Modbus boards at a port; `boards`: their settings."""
    relays = f'''[[relays]]
id = "relays"
driver = "modbus"
port = "{port}"
{boards}
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

    return adjust


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
    adjust = on_modbus(board.path, "lines = 4\ninputs = 8")
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


@asynccontextmanager
async def on_one_bus(folder: Path) -> AsyncIterator[tuple[Gate, ModbusBus]]:
    """The gate of the rig on two boards: lane 1's relays and contacts on the first, lane 2's relay and READY on the second."""
    hardware = plug(folder)
    hardware.relays.close()
    hardware.contacts.unplug()
    bus = ModbusBus(6, 2, folder / "dev" / "bus", (1, 2), hardware._switched)
    hardware.contacts = bus
    for lane in hardware.lanes.values():
        lane.board = bus
    bus.attach(asyncio.get_running_loop())
    hardware.be_ready()
    adjust = on_modbus(bus.path, "units = [1, 2]\nlines = 2\ninputs = 6")
    async with running(folder, [row(7), row(8), row(9)], adjust=adjust, hardware=hardware) as gate:
        yield gate, bus
    hardware.unplug()


async def test_one_of_two_boards_on_a_bus_falls_silent_and_the_other_lane_admits_on(tmp_path: Path) -> None:
    async with on_one_bus(tmp_path) as (gate, bus):
        await gate.ready()
        one, two = gate.daemon.lanes[1], gate.daemon.lanes[2]
        bus.boards[1].wire = Wire(Weather.DEAF)
        await gate.until(lambda: not two.ready, "its lane is not ready")
        assert gate.health(Part.RELAY, "relays") is Health.DEGRADED
        said = next(tile.args for tile in gate.daemon.board.tiles if tile.part is Part.RELAY)
        assert "unit 2 (relays 2 to 3)" in str(said["what"])
        assert gate.health(Part.SENSOR, "contacts") is Health.DEGRADED
        await gate.hardware.second.scan(code(7))
        assert (await gate.seen()).outcome == Outcome.DENY
        assert one.ready
        await gate.hardware.entry.scan(code(8))
        assert (await gate.seen(2)).outcome == Outcome.GRANT
        assert await asyncio.wait_for(gate.hardware.lanes[1].releases.get(), 10) == "entry"
        assert await gate.push()
        assert (await gate.recorded(Kind.PASSAGE)).flags & Flag.ASSUMED == 0
        bus.switch(3, on=True)
        bus.boards[1].wire = Wire()
        await gate.until(lambda: two.ready, "ready again")
        assert not bus.levels[3], "what was left on is off before the lane is ready"
        assert gate.health(Part.RELAY, "relays") is Health.OK
        await gate.until(lambda: gate.health(Part.SENSOR, "contacts") is Health.OK, "and sees")
        assert one.ready
        await gate.hardware.second.scan(code(9))
        assert await asyncio.wait_for(gate.hardware.lanes[2].releases.get(), 10) == "entry"


def as_door(text: str) -> str:
    """Lane 2 as a door: one strike, its contact on line 3, a button on line 4 (READY and fire are wired as before)."""
    before, after = text.split("[[lanes]]\n", 2)[:2], text.split("[[lanes]]\n", 2)[2]
    door = after.replace(
        "entry_line = 2\n", "entry_line = 2\nexit_line = 2\ndoor_contact = 3\nexit_button = 4\n"
    )
    door = door.replace("entry_contact = 2\n", "")
    lengths = 'barrier = "door"\npulse_ms = 200\nhold_ms = 400\nhold_margin_ms = 100\ngrace_ms = 50\nheld_ms = 300\nabsent_ms = 0\n'
    return "[[lanes]]\n".join((*before, lengths + door))


async def read(gate: Gate) -> None:
    """Wait until the contacts are read, and stood for their debounce."""
    contacts, before = gate.hardware.contacts, gate.hardware.contacts.polls
    await gate.until(lambda: contacts.polls >= before + 3, "the contact is read")


async def press(gate: Gate, line: int) -> None:
    """Press a button, or open a door, for as long as a contact is closed."""
    contacts = gate.hardware.contacts
    for active in (True, False):
        contacts.drive(line, active=active)
        await read(gate)


async def test_a_door_opens_by_ticket_and_by_button_and_tells_when_forced_and_held(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=as_door) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await asyncio.wait_for(gate.hardware.lanes[2].releases.get(), 10)
        await press(gate, 3)
        passage = await gate.recorded(Kind.PASSAGE)
        assert (passage.direction, passage.flags & Flag.ASSUMED) == (Direction.ENTRY, Flag.NONE)
        await gate.until(lambda: not gate.daemon.lanes[2].is_busy, "nobody is under way")
        gate.hardware.relays.changes.clear()
        await press(gate, 4)
        await gate.until(lambda: any(one.on for one in gate.hardware.relays.changes), "the button opens")
        assert (gate.daemon.recent[0].kind, gate.daemon.recent[0].outcome) == (ASKED, Outcome.GRANT)
        await press(gate, 3)
        passage = await gate.recorded(Kind.PASSAGE, 2)
        assert passage.direction is Direction.EXIT
        await gate.until(lambda: not gate.daemon.lanes[2].is_busy, "nobody is under way")
        # Behind the grace of whoever passed last, nobody was let in.
        await gate.until(lambda: gate.daemon.lanes[2].machine.next_deadline_ms is None, "all is over")
        gate.hardware.contacts.drive(3, active=True)
        await gate.until(lambda: {"forced", "held"} <= {one.what for one in gate.daemon.alerts.open}, "told")
        assert (await gate.recorded(Kind.INTRUSION)).direction is Direction.ENTRY


async def test_a_wheelchair_and_its_companion_enter_on_one_presentation(tmp_path: Path) -> None:
    def swing(text: str) -> str:
        return quick(text, barrier='"swing_gate"', companions=1, hold_ms=4000)

    async with running(tmp_path, [row(7, profile=1)], adjust=swing) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        assert (await gate.seen()).outcome == Outcome.GRANT
        await asyncio.wait_for(gate.hardware.lanes[1].releases.get(), 10)
        assert await gate.push()
        assert await gate.push(force=True), "the wings are open still"
        await gate.recorded(Kind.PASSAGE, 2)
        assert gate.kinds().count(Kind.SCAN) == 2
        assert Kind.TAILGATE not in gate.kinds()


def with_fault_contact(text: str) -> str:
    return quick(text).replace("ready_contact", "fault_contact = 4\nready_contact", 1)


async def test_a_fault_is_told_and_lets_nobody_in_until_it_is_over(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=with_fault_contact) as gate:
        await gate.ready()
        gate.hardware.contacts.drive(4, active=True)
        await gate.until(lambda: not gate.daemon.lanes[1].ready, "the fault is seen")
        gate.daemon.status.now()
        assert gate.code(Part.LANE, "1") == "lane.fault"
        assert "fault" in {one.what for one in gate.daemon.alerts.open}
        gate.hardware.contacts.drive(4, active=False)
        await gate.until(lambda: gate.daemon.lanes[1].ready, "it is over")


@pytest.mark.parametrize("state", [LaneState.FREE_EXIT, LaneState.REHEARSAL])
async def test_a_fault_is_told_also_where_the_way_out_is_free_or_a_lane_is_rehearsed(
    state: LaneState, tmp_path: Path
) -> None:
    """Tickets let people in there too: the page said READY of a turnstile that let nobody in."""
    async with running(tmp_path, [row(7)], adjust=with_fault_contact) as gate:
        await gate.ready()
        gate.daemon.lanes[1].drive(StateSet(state))
        gate.hardware.contacts.drive(4, active=True)
        await gate.until(lambda: not gate.daemon.lanes[1].ready, "the fault is seen")
        said = verdict(gate.daemon.status.now().tiles)
        assert (said.word, said.cause and said.cause.code) == (VerdictWord.NOT_READY, "lane.fault")
        gate.hardware.contacts.drive(4, active=False)
        await gate.until(lambda: gate.daemon.lanes[1].ready, "it is over")
        gate.daemon.status.now()
        assert gate.code(Part.LANE, "1") == f"lane.{state.name.lower()}"
