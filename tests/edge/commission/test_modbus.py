"""Modbus boards of a bus by the page: searched where somebody says so, their relays placed board by board, their contacts learned."""

import asyncio
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from drivers.sims.modbus_board import Noise
from drivers.sims.modbus_bus import ModbusBus
from edge import config
from edge.commission.contacts import Contact
from edge.commission.made import settings_of
from edge.commission.modbus import grown, with_more
from edge.commission.session import Chosen, Seat
from edge.settings import (
    LaneSettings,
    LcusRelay,
    MediumSetting,
    ModbusInputs,
    ModbusRelay,
    RelayInputs,
    SerialReader,
    Settings,
    Way,
)
from tests.edge.commission.box import Box
from tests.edge.commission.test_pins import Rig, page

WAIT_S: Final = 40.0
ADAPTER: Final = "1-1"
PORT: Final = "box/dev/serial/by-path/platform-xhci-hcd.0-usb-0:1-1:1.0"
LANES: Final = [{"name": "A"}, {"name": "B"}]
SCANNERS: Final = {
    Seat(lane, Way.ENTRY, MediumSetting.BARCODE): Chosen(
        f"away:{lane}", "scanner", SerialReader(id=1, way=Way.ENTRY, port=f"/dev/{lane}")
    )
    for lane in (1, 2)
}


@dataclass
class Bench:
    """A bus behind an adapter, and the page."""

    bus: ModbusBus
    rig: Rig
    port: str

    async def until(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while not what(state := await self.rig.state()):
                await asyncio.sleep(0.02)
        return state

    async def search(self) -> dict[str, Any]:
        """Press it, and wait until it is done; returns the adapter."""
        await self.rig.do("commission/modbus-search", {"key": ADAPTER})
        await self.rig.do("commission/modbus-search", {"key": ADAPTER}, "modbus.no_bus")
        state = await self.until(lambda now: now["devices"][0]["modbus"] != "asking")
        return dict(state["devices"][0])

    async def pulse(self, line: int, lines: int = 8, code: str = "") -> list[int]:
        """Press it; returns which relays went on."""
        self.bus.changes.clear()
        pressed = {"key": ADAPTER, "driver": "modbus", "lines": lines, "line": line}
        await self.rig.do("commission/pulse", pressed, code)
        return [one.line for one in self.bus.changes if one.on]

    async def seen(self, inputs: int) -> None:
        """Wait until so many are seen as they stand."""
        await self.until(lambda _now: len(self.rig.shell.session.levels) == inputs)

    async def learn(self, lane: int, contact: str, line: int) -> None:
        await self.rig.do("commission/move", {"lane": lane, "contact": contact})
        for active in (True, False):
            self.bus.drive(line, active=active)
            await self.until(
                lambda now, active=active: bool(now["boards"][0]["active"]) is active  # type: ignore[misc]
            )
        await self.until(lambda now: now["asked"] is None)


@asynccontextmanager
async def bench(
    folder: Path,
    *units: int,
    base: Callable[[str], Settings] | None = None,
    inputs: int = 8,
    coils: int = 8,
    usb: str = "0403:6001",
) -> AsyncIterator[Bench]:
    bus = ModbusBus(inputs, coils, folder / "bus", units)
    bus.attach(asyncio.get_running_loop())

    def plug(box: Box) -> None:
        box.usb(ADAPTER, usb, "USB UART")
        box.serial(ADAPTER, "ttyUSB0", Path(bus.path))

    port = str(folder / PORT)
    async with page(folder, None if base is None else base(port), plug=plug) as rig:
        yield Bench(bus, rig, port)
    bus.close()


@pytest.mark.parametrize(
    "usb", ["0403:6001", "110a:1150"]
)  # an adapter of a maker that is listed, and of none
async def test_the_boards_of_a_bus_are_found_pulsed_one_by_one_and_their_contacts_learned(
    tmp_path: Path, usb: str
) -> None:
    async with bench(tmp_path, 1, 2, usb=usb) as b:
        b.bus.speed = termios.B38400
        assert b.bus.polls == 0
        await b.rig.do("commission/plan", {"name": "N", "lanes": LANES})
        b.rig.shell.session.chosen = dict(SCANNERS)
        one = await b.search()
        assert (one["units"], one["lines"], one["board"], one["troubles"]) == ([1, 2], 8, "modbus", [])
        assert (one["state"], one["adapter"], one["osdp"]) == ("Modbus, addresses: 1, 2", False, "")
        await b.rig.do("commission/osdp-search", {"key": ADAPTER}, "osdp.no_bus")
        assert list(b.bus.changes) == []
        assert await b.pulse(1) == [1]
        await b.rig.do("commission/turned", {"key": ADAPTER, "line": 1, "lane": 1, "way": "entry"})
        assert await b.pulse(8) == [8]
        await b.rig.do("commission/turned", {"key": ADAPTER, "line": 8, "lane": 2, "way": "entry"})
        await b.pulse(16, code="commission.no_board")
        state = await b.rig.state()
        assert [lane["outputs"][0]["line"] for lane in state["lanes"]] == ["relay 1.2", "relay 2.1"]
        assert state["boards"][0]["sizes"] == [8]
        await b.rig.do("commission/watch", {"key": ADAPTER, "lines": 8})
        await b.seen(16)
        await b.learn(1, "entry_contact", 2)
        await b.learn(2, "entry_contact", 13)
        state = await b.rig.state()
        wired = [one["wired"] for lane in state["lanes"] for one in lane["contacts"] if one["wired"]]
        assert wired == ["input 1.3, closes", "input 2.6, closes"]
        await b.rig.do("commission/write", {})
    made = config.load(b.rig.path, {})
    assert made.relays == (
        ModbusRelay(id="relays", port=b.port, baud=38_400, units=(1, 2), lines=8, inputs=8),
    )
    assert made.inputs == (RelayInputs(id="contacts", relay="relays"),)
    assert [(one.entry_line, one.entry_contact) for one in made.lanes] == [(1, 2), (8, 13)]


async def test_a_board_alone_at_another_address_and_speed_is_set_up_too(tmp_path: Path) -> None:
    async with bench(tmp_path, 5, inputs=0, coils=4) as b:
        b.bus.speed = termios.B19200
        await b.rig.do("commission/plan", {"name": "N", "lanes": LANES[:1]})
        one = await b.search()
        assert (one["units"], one["lines"]) == ([5], 4)
        assert await b.pulse(3, lines=4) == [3]
        await b.rig.do("commission/turned", {"key": ADAPTER, "line": 3, "lane": 1, "way": "entry"})
        (relay,) = settings_of(b.rig.shell.session, b.rig.shell.base).relays
        assert relay == ModbusRelay(id="relays", port=b.port, baud=19_200, unit=5, lines=4)


@pytest.mark.parametrize("is_searched", [False, True])
async def test_a_board_without_flash_on_is_pulsed_by_the_box_and_written_so(
    tmp_path: Path, is_searched: bool
) -> None:
    async with bench(tmp_path, 1) as b:
        b.bus.boards[0]._flashes = False
        await b.rig.do("commission/plan", {"name": "N", "lanes": LANES[:1]})
        b.rig.shell.session.chosen = {seat: one for seat, one in SCANNERS.items() if seat.lane == 1}
        if is_searched:
            assert (await b.search())["units"] == [1]
        assert await b.pulse(1) == [1]
        assert (await b.rig.state())["devices"][0]["timer"] is False
        assert await b.pulse(2) == [2]  # it stays such a board
        await b.rig.do("commission/turned", {"key": ADAPTER, "line": 2, "lane": 1, "way": "entry"})
        await b.rig.do("commission/write", {})
    (board,) = config.load(b.rig.path, {}).relays
    assert isinstance(board, ModbusRelay)
    assert (board.flash, board.lines) == (False, 8)


async def test_whoever_says_that_a_board_has_no_timer_has_the_box_end_its_pulses(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as b:
        assert (await b.rig.state())["devices"][0]["timer"] is None
        assert await b.pulse(1) == [1]
        assert (await b.rig.state())["devices"][0]["timer"] is True
        for has_timer in (False, True):
            b.bus.boards[0].flashed.clear()
            await b.rig.do("commission/modbus-timer", {"key": ADAPTER, "has_timer": has_timer})
            assert await b.pulse(1) == [1]
            assert bool(b.bus.boards[0].flashed) is has_timer
        await b.rig.do("commission/modbus-timer", {"key": "1-9", "has_timer": False})  # nobody's
        assert await b.pulse(8, lines=16, code="commission.pulse_refused") == []  # refused for another reason


async def test_boards_of_inputs_alone_on_one_bus_are_watched_and_a_contact_of_the_second_is_learned(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, 3, 5, coils=0, inputs=4) as b:
        await b.rig.do("commission/plan", {"name": "N", "lanes": LANES[:1]})
        b.rig.shell.session.chosen = {seat: one for seat, one in SCANNERS.items() if seat.lane == 1}
        one = await b.search()
        assert (one["state"], one["troubles"]) == ("Modbus, addresses: 3, 5", [])
        assert (await b.rig.state())["boards"][0]["sizes"] == [4]
        await b.rig.do("commission/watch", {"key": ADAPTER, "lines": 4})
        await b.seen(8)
        await b.learn(1, "entry_contact", 5)
        (lane,) = (await b.rig.state())["lanes"]
        assert next(one["wired"] for one in lane["contacts"] if one["wired"]) == "input 5.2, closes"
        await b.rig.do("commission/write", {})
        port = b.port
    settings = config.load(b.rig.path, {})
    assert settings.inputs == (ModbusInputs(id="contacts", port=port, units=(3, 5), lines=4),)
    assert settings.lanes[0].entry_contact == 5


def test_a_board_of_inputs_that_comes_to_a_bus_leaves_the_others_numbers_where_they_are() -> None:
    before = ModbusInputs(id="contacts", port="/x", unit=7, lines=8, active_low=(2,), poll_ms=10)
    found = ModbusInputs(id="contacts", port="/x", baud=38_400, units=(3, 7), lines=8)
    assert with_more(before, found) == replace(before, baud=38_400, unit=1, units=(7, 3))
    assert with_more(before, replace(found, units=(), unit=7)) == replace(before, baud=38_400)
    assert with_more(before, replace(found, lines=4)) == replace(before, baud=38_400)
    wide = replace(before, lines=32, units=(1, 2), unit=1)
    assert with_more(wide, replace(found, lines=32)).units == (1, 2)


async def test_a_board_of_inputs_beside_relays_that_a_bus_cannot_use_is_named(tmp_path: Path) -> None:
    async with bench(tmp_path, 1, 2) as b:
        b.bus.boards[1].levels.clear()  # it has no relays
        one = await b.search()
        assert [trouble["code"] for trouble in one["troubles"]] == ["modbus.more_inputs"]
        assert "2" in one["troubles"][0]["cause"]
        assert one["units"] == [1]


async def test_a_board_with_contacts_alone_is_watched_at_its_address(tmp_path: Path) -> None:
    async with bench(tmp_path, 3, inputs=4, coils=0) as b:
        await b.rig.do("commission/plan", {"name": "N", "lanes": LANES[:1]})
        await b.search()
        await b.rig.do("commission/watch", {"key": ADAPTER, "lines": 4})
        await b.seen(4)
        await b.learn(1, "fire_contact", 2)
        (board,) = settings_of(b.rig.shell.session, b.rig.shell.base).inputs
        assert board == ModbusInputs(id="contacts", port=b.port, unit=3, lines=4)


async def test_contacts_of_a_bus_are_watched_before_a_relay_was_pulsed(tmp_path: Path) -> None:
    async with bench(tmp_path, 1, 2) as b:
        await b.rig.do("commission/plan", {"name": "N", "lanes": LANES[:1]})
        await b.search()
        await b.rig.do("commission/watch", {"key": ADAPTER, "lines": 8})
        await b.seen(16)
        await b.learn(1, "entry_contact", 9)
        made = settings_of(b.rig.shell.session, b.rig.shell.base)
        assert made.relays[0].units == (1, 2)  # type: ignore[union-attr]
        assert made.lanes[0].entry_contact == 9
        assert await b.pulse(9) == [9]
        assert settings_of(b.rig.shell.session, b.rig.shell.base) == made


def gate(port: str) -> Settings:
    """One board that a lane hangs on, with what only the file says."""
    relays = ModbusRelay(id="box", port=port, lines=8, inputs=8, poll_ms=50, pulse_max_ms=2000)
    reader = SerialReader(id=1, way=Way.ENTRY, port="/dev/scanner")
    lane = LaneSettings(
        id=1,
        name="A",
        readers=(reader,),
        relay="box",
        entry_line=7,
        inputs="in",
        entry_contact=3,
    )
    return Settings(lanes=(lane,), relays=(relays,), inputs=(RelayInputs(id="in", relay="box"),))


async def test_a_second_board_that_comes_to_a_bus_leaves_the_first_one_s_lines_where_they_are(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, 1, 2, base=gate) as b:
        before = b.rig.shell.base
        assert settings_of(b.rig.shell.session, before) == before
        b.bus.speed = termios.B38400
        one = await b.search()
        assert one["units"] == [1, 2]
        after = settings_of(b.rig.shell.session, before)
        assert after.relays == (replace(before.relays[0], baud=38_400, units=(1, 2)),)
        assert (after.lanes, after.inputs) == (before.lanes, before.inputs)
        # One that falls silent afterwards is not forgotten.
        b.bus.boards[0].power_cut()
        b.bus.boards.pop(0)
        assert (await b.search())["units"] == [1, 2]
        assert settings_of(b.rig.shell.session, before) == after


@pytest.mark.parametrize(
    ("before", "found", "after"),
    [
        (((), 1, 4), ((1, 2), 1, 8), ((1, 2), 1, 8)),
        (((), 3, 8), ((1, 3), 1, 8), ((3, 1), 1, 8)),
        (((1, 2), 1, 4), ((1, 2, 3), 1, 8), ((1, 2, 3), 1, 4)),
        (((1, 2), 1, 8), ((), 2, 8), ((1, 2), 1, 8)),
        (((1, 2, 3, 4), 1, 16), ((5, 6), 1, 8), ((1, 2, 3, 4), 1, 16)),
        (((), 1, 32), ((1, 2, 3), 1, 8), ((1, 2, 3), 1, 21)),
    ],
)
def test_no_line_of_a_bus_gets_another_number_by_a_search(
    before: tuple[tuple[int, ...], int, int],
    found: tuple[tuple[int, ...], int, int],
    after: tuple[tuple[int, ...], int, int],
) -> None:
    def relay(units: tuple[int, ...], unit: int, lines: int) -> ModbusRelay:
        return ModbusRelay(id="box", port="/dev/x", unit=unit, units=units, lines=lines)

    assert grown(relay(*before), relay(*found)) == relay(*after)


async def test_two_boards_at_one_address_are_told_and_the_other_one_is_set_up(tmp_path: Path) -> None:
    async with bench(tmp_path, 4, 6) as b:
        b.bus.boards[0].noise = Noise.CORRUPT  # two that answer at once
        one = await b.search()
        assert ([trouble["code"] for trouble in one["troubles"]], one["units"]) == (["modbus.twins"], [6])
        assert "Give each board an address of its own" in one["troubles"][0]["fix"]
        assert await b.pulse(7) == [15]  # the simulator numbers both boards through


async def test_a_port_that_is_pulled_while_boards_are_looked_for_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as b:
        b.bus.boards[0].on_request = b.bus.unplug
        one = await b.search()
        assert [trouble["code"] for trouble in one["troubles"]] == ["bus.gone"]
        b.bus.boards[0].on_request = lambda: None
        b.bus.plug()
        assert (await b.search())["units"] == [1]


async def test_a_search_for_boards_that_is_stopped_gives_the_port_back_and_leaves_what_was_known(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, 1) as b:
        b.bus.boards[0].noise = Noise.SILENT
        for known in (False, True):
            if known:
                b.bus.boards[0].noise = Noise.NONE
                assert (await b.search())["units"] == [1]
                b.bus.boards[0].noise = Noise.SILENT
            before = (await b.rig.state())["devices"][0]
            await b.rig.do("commission/modbus-search", {"key": ADAPTER})
            await b.until(lambda now: "baud" in now["devices"][0]["state"])
            await b.rig.do("commission/modbus-stop", {"key": ADAPTER})
            assert (await b.rig.state())["devices"][0] | {"state": "", "listening": False} == before | {
                "state": "",
                "listening": False,
            }
        b.bus.boards[0].noise = Noise.NONE
        assert await b.pulse(1) == [1]


async def test_what_is_something_else_already_is_not_asked_for_boards(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as b:
        await b.rig.do("commission/plan", {"name": "N", "lanes": LANES})
        session = b.rig.shell.session
        for key in ("1-9", "x"):
            await b.rig.do("commission/modbus-search", {"key": key}, "modbus.no_bus")
        session.boards[ADAPTER] = LcusRelay(id="relays", port=b.port, lines=4)
        await b.rig.do("commission/modbus-search", {"key": ADAPTER}, "modbus.no_bus")
        del session.boards[ADAPTER]
        seat = Seat(1, Way.ENTRY, MediumSetting.BARCODE)
        session.chosen[seat] = Chosen(ADAPTER, "x", SerialReader(id=1, way=Way.ENTRY, port=b.port))
        await b.rig.do("commission/modbus-search", {"key": ADAPTER}, "modbus.no_bus")
        session.chosen.clear()
        assert b.bus.polls == 0
        await b.rig.do("commission/modbus-search", {"key": ADAPTER})
        await b.pulse(0, code="commission.is_asked")
        await b.rig.do("commission/watch", {"key": ADAPTER, "lines": 8}, "commission.is_asked")
        await b.rig.do("commission/osdp-search", {"key": ADAPTER}, "commission.is_asked")
        await b.rig.do("logout", {})
        await b.rig.do("commission/modbus-search", {"key": ADAPTER}, "page.no_session")
        assert Contact.ENTRY not in session.lanes[1].contacts
