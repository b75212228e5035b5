"""Relays on a GPIO chip, by the page: a line is pulsed away from its rest and back, and what the arm did says which level is on."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace as replace_settings

from drivers.base import Reader
from drivers.guard_link import GuardEvents, GuardLink
from drivers.sims.gpio_chip import SimChip, SimChips
from drivers.transport.gpiochip import level_of
from edge import config
from edge.__main__ import _devices
from edge.commission.contacts import Contact, Wired
from edge.commission.placing import Earlier
from edge.commission.server import CommissionPage
from edge.commission.session import Chosen, Lane, Seat
from edge.commission.shell import PULSE_MS, Shell
from edge.commission.toml_text import toml_of
from edge.compose import guard_settings_of
from edge.devices import Devices
from edge.front.perimeter import Hosts
from edge.front.pin import PinLock, new_pin
from edge.parts import Relay, RelayEvents
from edge.settings import (
    GpioInputs,
    GpioRelay,
    LaneSettings,
    MediumSetting,
    ReaderSettings,
    RelaySettings,
    SerialReader,
    Settings,
    Way,
    WiegandBits,
    WiegandReader,
)
from tests.edge.commission.box import Box
from tests.edge.rig import prepare, row

PI: Final = "pinctrl-rp1"
LOW_ON, HIGH_ON, DOOR = 17, 22, 27
"""Lines: a HAT's relay (pulled high), a transistor's (low at rest), and the contact of a door."""
PLAN: Final = {"name": "North", "lanes": [{"name": "A"}]}
LATE_MS: Final = 200
"""A busy machine ends a pulse late; a gate's bench measures how late."""


def devices_of(folder: Path) -> Devices:
    """A box whose GPIO chips are below a folder, with the real relay guard."""
    chips, real = SimChips(str(folder)), _devices()

    def relay(settings: RelaySettings, events: RelayEvents) -> Relay:
        given = guard_settings_of(settings)
        given = replace(given, options={**given.options, "sim": str(folder)})
        argv = [sys.executable, "-m", "drivers.guard", given.to_json()]
        return GuardLink(
            argv, GuardEvents(events.ready, events.ack, events.ended, events.fault, events.contact)
        )

    return replace(
        real,
        relay=relay,
        free_gpio=lambda: {label: chips.free(path) for label, path in chips.labels().items()},
        gpio_level=lambda label, offset: level_of(chips, label, offset),
    )


@dataclass
class Rig:
    chip: SimChip
    shell: Shell
    client: "TestClient[Any, Any]"
    path: Path

    async def do(self, what: str, body: Mapping[str, object], code: str = "") -> None:
        """Press something; `code`: how it is refused."""
        origin = str(self.client.make_url("/")).rstrip("/")
        answer = await self.client.post(f"/api/{what}", json=dict(body), headers={"Origin": origin})
        told = await answer.json()
        assert told.get("code", "") == code, told

    async def state(self) -> dict[str, Any]:
        """Look."""
        told: dict[str, Any] = await (await self.client.get("/api/commission")).json()
        return told


@asynccontextmanager
async def page(
    folder: Path,
    base: Settings | None = None,
    plug: Callable[[Box], object] = lambda _box: None,
    reader: Callable[[ReaderSettings], Reader] | None = None,
) -> AsyncIterator[Rig]:
    data, path = folder / "data", folder / "gate.toml"
    prepare(data, [row(1)])
    chip = SimChip(str(folder / "chips"), PI, 30, pulled_high=(LOW_ON, DOOR))
    box = Box(folder / "box")
    (box.root / "dev/gpiochip0").touch()
    plug(box)
    before = Earlier(base or Settings(lanes=()), path)
    devices = devices_of(folder / "chips")
    if reader is not None:
        devices = replace(devices, reader=reader)
    shell = Shell(box.root, devices, before.settings)
    made = CommissionPage(
        shell,
        PinLock(data, time.time, time.monotonic),
        data=data,
        path=path,
        before=before,
        hosts=Hosts(("localhost",)),
        mono_s=time.monotonic,
    )
    client: TestClient[Any, Any] = TestClient(TestServer(made.app, host="localhost"))
    await client.start_server()
    looking = asyncio.ensure_future(shell.run())
    rig = Rig(chip, shell, client, path)
    try:
        await rig.do("pin", {"pin": new_pin(data)})
        await shell.look()
        yield rig
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await client.close()
        chip.close()


async def test_a_line_is_pulsed_away_from_its_rest_and_the_arm_says_which_level_is_on(tmp_path: Path) -> None:
    async with page(tmp_path) as rig:
        await rig.do("commission/plan", {"name": "North", "lanes": [{"name": "A"}, {"name": "B"}]})
        header = list(range(2, 28))
        assert (await rig.state())["pins"] == [{"chip": PI, "offsets": header, "wires": header}]
        for lane, (offset, is_inverse, active_low) in enumerate(
            ((LOW_ON, False, True), (HIGH_ON, True, True)), 1
        ):
            rest = rig.chip.is_high(offset)
            pin = {"chip": PI, "offset": offset}
            told = {**pin, "lane": lane, "way": "entry", "inverse": is_inverse}
            await rig.do("commission/unlocked", told, "commission.not_pulsed")
            await rig.do("commission/pulse-pin", pin)
            # The visitor's side: nothing but one short pulse, and the line stands as it stood.
            away, back = rig.chip.output_changes(1.0)
            assert [(one.line, one.high) for one in (away, back)] == [(offset, not rest), (offset, rest)]
            assert PULSE_MS - 50 < (back.at_ns - away.at_ns) / 1e6 < PULSE_MS + LATE_MS
            assert rig.chip.is_high(offset) is rest
            await rig.do("commission/unlocked", told)
            output = rig.shell.session.lanes[lane].outputs[Way.ENTRY]
            board = rig.shell.session.boards[output[0]]
            assert isinstance(board, GpioRelay)
            assert (output[1], board.active_low) == (offset, active_low)
        assert rig.shell.pulses == 2
        for lane in (1, 2):
            reader = SerialReader(id=lane, way=Way.ENTRY, port=f"/dev/scanner{lane}")
            seat = Seat(lane, Way.ENTRY, MediumSetting.BARCODE)
            rig.shell.session.chosen[seat] = Chosen(reader.port, reader.port, reader)
        shown = await rig.state()
        assert [lane["outputs"][0]["line"] for lane in shown["lanes"]] == [
            "GPIO 17, on at low level",
            "GPIO 22, on at low level",
        ]
        await rig.do("commission/write", {})
    written = config.load(rig.path, {})
    assert written.relays == (GpioRelay(id="relays", chip=PI, offsets=(LOW_ON, HIGH_ON), active_low=True),)
    assert [(lane.relay, lane.entry_line) for lane in written.lanes] == [("relays", 0), ("relays", 1)]


async def test_no_line_with_a_contact_is_driven_and_no_line_with_a_relay_is_read(tmp_path: Path) -> None:
    async with page(tmp_path) as rig:
        await rig.do("commission/plan", PLAN)
        await rig.do("commission/pulse-pin", {"chip": PI, "offset": 0}, "commission.no_board")
        await rig.do("commission/pulse-pin", {"chip": PI, "offset": HIGH_ON})
        await rig.do("commission/unlocked", {"chip": PI, "offset": HIGH_ON, "lane": 1, "way": "entry"})
        session = rig.shell.session
        key = f"gpio:{PI}"
        board = rig.shell.pins_to_watch(key)
        assert isinstance(board, GpioInputs)
        assert board.offsets == tuple(line for line in range(2, 28) if line != HIGH_ON)
        session.inputs[key] = board
        session.lanes[1].contacts[Contact.ENTRY] = Wired(key, DOOR, active_low=True)
        assert DOOR not in (await rig.state())["pins"][0]["offsets"]
        rig.chip.output_changes()
        await rig.do("commission/pulse-pin", {"chip": PI, "offset": DOOR}, "commission.is_contact")
        assert rig.chip.output_changes() == []
        # A contact of the file before guards its line too, until somebody takes it away.
        session.inputs_before[key] = replace_settings(board, offsets=(DOOR,))
        session.lanes[1].contacts.clear()
        assert session.is_contact(PI, DOOR)
        session.lanes[1].contacts[Contact.ENTRY] = Wired(key, DOOR, active_low=True)
        await rig.do("commission/unwire", {"lane": 1, "contact": "entry_contact"})
        assert not session.is_contact(PI, DOOR)


async def test_pressed_twice_it_is_written_once_and_the_file_before_is_kept(tmp_path: Path) -> None:
    reader = SerialReader(id=1, way=Way.ENTRY, port="/dev/scanner")
    base = Settings(lanes=(LaneSettings(id=1, name="A", readers=(reader,)),))
    async with page(tmp_path, base) as rig:
        rig.path.write_text(old := toml_of(base) + "# by hand\n")
        write = "commission/write", dict[str, object]()
        await asyncio.gather(*(rig.do(*write) for _ in range(4)))
        await rig.do(*write)
        assert rig.path.with_name("gate.toml.bak").read_text() == old
        assert config.load(rig.path, {}) == base


async def test_a_chip_that_is_gone_is_told_and_nothing_is_learned(tmp_path: Path) -> None:
    async with page(tmp_path) as rig:
        await rig.do("commission/plan", PLAN)
        rig.chip.unplug()
        await rig.do("commission/pulse-pin", {"chip": PI, "offset": HIGH_ON}, "commission.pulse_silent")
        assert (rig.shell.session.boards, rig.shell.rests, rig.shell.pulses) == ({}, {}, 0)


D0, D1, OTHER_D0, OTHER_D1 = 5, 6, 12, 13


def wiegand(number: int, d0: int, d1: int) -> WiegandReader:
    return WiegandReader(id=number, way=Way.ENTRY, chip=PI, d0=d0, d1=d1, bits=WiegandBits.W26)


async def test_no_wire_of_a_reader_is_driven_or_taken_for_a_contact(tmp_path: Path) -> None:
    readers = (wiegand(1, D0, D1), wiegand(2, OTHER_D0, OTHER_D1))  # the page has a seat for the first alone
    base = Settings(lanes=(LaneSettings(id=1, name="A", readers=readers),))
    wires = {D0, D1, OTHER_D0, OTHER_D1}
    async with page(tmp_path, base) as rig:
        shown = await rig.state()
        assert not wires & set(shown["pins"][0]["offsets"])
        assert shown["boards"][0]["sizes"] == [len(range(2, 28)) - len(wires)]
        for wire in sorted(wires):
            await rig.do("commission/pulse-pin", {"chip": PI, "offset": wire}, "commission.is_reader")
        assert rig.chip.output_changes() == []
        await rig.do("commission/watch", {"key": f"gpio:{PI}", "lines": 26})
        watched = rig.shell.session.inputs[f"gpio:{PI}"]
        assert isinstance(watched, GpioInputs)
        assert not wires & set(watched.offsets)
        # Somebody who takes a reader away has its lines.
        await rig.do("commission/drop", {"lane": 1, "number": 2})
        assert {OTHER_D0, OTHER_D1} <= set((await rig.state())["pins"][0]["offsets"])


async def test_a_reader_that_the_page_has_no_seat_for_is_no_relay_board(tmp_path: Path) -> None:
    def plug(box: Box) -> None:
        for at, name in enumerate(("first", "second")):
            box.usb(f"1-{at}", "1a86:7523", "USB Serial")
            box.serial(f"1-{at}", f"ttyUSB{at}")
            box.by_id(f"ttyUSB{at}", name)

    ports = [tmp_path / "box/dev/serial/by-id" / name for name in ("first", "second")]
    readers = tuple(SerialReader(id=at, way=Way.ENTRY, port=str(port)) for at, port in enumerate(ports, 1))
    base = Settings(lanes=(LaneSettings(id=1, name="A", readers=readers),))
    async with page(tmp_path, base, plug) as rig:
        shown = await rig.state()
        assert [one["board"] for one in shown["devices"]] == ["", ""]
        assert [one["seat"] for one in shown["devices"]] == [
            "A · entry, scanner",
            f"A · another reader, entry: serial · {ports[1]}",
        ]
        assert [one["called"] for one in shown["boards"]] == ["GPIO"]
        for key in ("1-0", "1-1"):
            pulse = {"key": key, "driver": "lcus", "lines": 2, "line": 0}
            await rig.do("commission/pulse", pulse, "commission.is_reader")
            await rig.do("commission/watch", {"key": key, "lines": 8}, "commission.is_reader")
        assert rig.shell.pulses == 0


@pytest.mark.parametrize("is_high", [True, False])
async def test_relays_of_the_file_keep_their_lines_when_one_more_is_learned(
    tmp_path: Path, is_high: bool
) -> None:
    board = GpioRelay(id="hat", chip=PI, offsets=(26, 20), active_low=is_high, pulse_max_ms=2000)
    reader = SerialReader(id=7, way=Way.ENTRY, port="/dev/scanner")
    lane = LaneSettings(id=3, name="A", readers=(reader,), relay="hat", entry_line=1, green_line=0)
    base = Settings(lanes=(lane,), relays=(board,))
    async with page(tmp_path, base) as rig:
        session = rig.shell.session
        assert session.lanes[3].lamps == {"green_line": (f"pins:{PI}:{'low' if is_high else 'high'}", 26)}
        session.plan({3: Lane("A"), 1: Lane("B")}, "North")
        more = replace_settings(reader, id=1, port="/dev/other")
        session.chosen[Seat(1, Way.ENTRY, MediumSetting.BARCODE)] = Chosen("x", "x", more)
        session.use_pin(PI, LOW_ON, active_low=True, lane=1, way=Way.ENTRY)
        await rig.do("commission/write", {})
    written = config.load(rig.path, {})
    assert written.lanes[0] == lane
    new = written.lanes[1]
    if is_high:
        assert written.relays == (replace_settings(board, offsets=(26, 20, LOW_ON)),)
        assert (new.relay, new.entry_line) == ("hat", 2)
    else:
        assert written.relays == (board, GpioRelay(id="relays", chip=PI, offsets=(LOW_ON,), active_low=True))
        assert (new.relay, new.entry_line) == ("relays", 0)
    assert [one.id for lane in written.lanes for one in lane.readers] == [7, 1]
