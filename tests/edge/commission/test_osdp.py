"""OSDP readers by the page: searched where somebody says so, given a key of their own, placed by a card, written, and read by the gate."""

import asyncio
import json
import stat
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from drivers.readers import osdp_search
from drivers.readers.osdp import read_key
from drivers.sims.osdp_reader import KEYSET, SCBK_D, OsdpBus, OsdpDevice
from drivers.sims.wiegand_reader import frame
from edge import config, enrolment
from edge.commission.kept import kept
from edge.commission.made import settings_of
from edge.commission.session import Chosen, Seat
from edge.compose import factories
from edge.daemon import Daemon
from edge.settings import (
    GateSettings,
    LaneSettings,
    LcusRelay,
    MediumSetting,
    OsdpReader,
    PageSettings,
    PeerSettings,
    SerialReader,
    Settings,
    UidOrder,
    Way,
    WiegandCarries,
)
from tests.edge.commission.box import Box
from tests.edge.commission.test_pins import Rig, page
from tests.edge.rig import NO_FRONT

WAIT_S: Final = 30.0
TAG: Final = bytes.fromhex("04A1B2C3D4E5F6")
"""Of the tag that `tag_row` lists."""
ADAPTER: Final = "1-1"
SEAT: Final = {"lane": 1, "way": "entry", "medium": "uid"}
KEY: Final = bytes.fromhex("00112233445566778899AABBCCDDEEFF")


@pytest.fixture(autouse=True)
def few_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is waited for at each: the whole bus is searched in tests/drivers/test_osdp_search.py."""
    monkeypatch.setattr(osdp_search, "ADDRESSES", range(24))
    monkeypatch.setattr(osdp_search, "USUAL", 8)


@dataclass
class Bench:
    """A bus behind an adapter, and the page."""

    bus: OsdpBus
    rig: Rig
    folder: Path
    told: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def port(self) -> str:
        (device,) = (one for one in self.rig.shell.found.plugged if one.place == ADAPTER)
        return device.nodes[0].path

    async def look(self) -> dict[str, Any]:
        state = await self.rig.state()
        self.told.append(json.dumps(state))
        return state

    async def until(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while not what(state := await self.look()):
                await asyncio.sleep(0.02)
        return state

    async def search(self, place: str = ADAPTER) -> dict[str, Any]:
        """Press it, and wait until it is done; returns the devices by their keys."""
        await self.rig.do("commission/osdp-search", {"key": place})
        state = await self.until(lambda now: by_key(now)[place]["osdp"] != "asking")
        return by_key(state)

    async def listened(self, address: int) -> None:
        await self.listened_at(key_at(address))

    async def listened_at(self, key: str) -> None:
        await self.until(lambda now: bool(by_key(now)[key]["listening"]))

    async def ask(self, address: int, card: str, way: str = "entry") -> None:
        """Ask for the card of a seat, and wait until this reader is open for it."""
        await self.rig.do("commission/ask", {**SEAT, "way": way, "uid": card})
        await self.listened(address)

    async def chosen(self, count: int) -> list[str]:
        def found(state: dict[str, Any]) -> list[str]:
            return [one["chosen"] for one in state["lanes"][0]["seats"] if one["chosen"]]

        return found(await self.until(lambda now: now["asked"] is None and len(found(now)) == count))

    def files(self) -> list[str]:
        return sorted(one.name for one in self.data.glob("osdp-*"))


def by_key(state: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: one for one in state["devices"]}


def key_at(address: int) -> str:
    return f"osdp:{ADAPTER}:{address}"


def codes(device: dict[str, Any]) -> list[str]:
    return [one["code"] for one in device["troubles"]]


def bits(data: bytes) -> str:
    return f"{int.from_bytes(data):0{8 * len(data)}b}"


@asynccontextmanager
async def bench(
    folder: Path, *devices: OsdpDevice, base: Callable[[str], Settings] | None = None
) -> AsyncIterator[Bench]:
    folder.mkdir(exist_ok=True)
    bus = OsdpBus(folder / "tty", *devices)
    bus.port.plug()

    def plug(box: Box) -> None:
        box.usb(ADAPTER, "0403:6001", "FT232R USB UART")
        box.serial(ADAPTER, "ttyUSB0", bus.port.link)

    port = str(folder / "box/dev/serial/by-path/platform-xhci-hcd.0-usb-0:1-1:1.0")
    before = None if base is None else base(port)
    async with page(folder, before, plug=plug) as rig:
        yield Bench(bus, rig, folder)
    bus.port.unplug()


async def test_new_readers_of_a_bus_are_given_keys_placed_by_cards_written_and_read(tmp_path: Path) -> None:
    async with bench(tmp_path, OsdpDevice(5, SCBK_D), OsdpDevice(6, SCBK_D)) as b:
        await b.rig.do("commission/plan", {"name": "N", "lanes": [{"name": "A", "two_way": True}]})
        # Nothing was sent to a port of which nobody said what it is; then it is no scanner's any more.
        assert [one.heard for one in b.bus.devices.values()] == [[], []]
        assert by_key(await b.look())[ADAPTER]["osdp"] == "first"
        devices = await b.search()
        assert devices[ADAPTER]["state"] == "bus of OSDP readers"
        assert (devices[ADAPTER]["board"], devices[ADAPTER]["adapter"]) == ("", False)
        for address in (5, 6):
            one = devices[key_at(address)]
            assert one["called"] == f"OSDP {address}, CAFE00 12345678"
            said = "maker CAFE00, model 1.2, serial number 12345678, firmware 1.2.3"
            assert one["place"] == f"1-1 · address {address}, 9600 baud · {said}"
            assert (one["wants_key"], one["listening"], codes(one)) == (True, False, ["osdp.new"])
        for address in (5, 6):
            await b.rig.do("commission/osdp-key", {"key": key_at(address)})
            await b.rig.do("commission/osdp-key", {"key": key_at(address)}, "osdp.no_reader")  # it has one
        keys = [one.scbk for one in b.bus.devices.values()]
        assert len({SCBK_D, *keys}) == 3
        assert b.files() == ["osdp-CAFE00-12345678-5.key", "osdp-CAFE00-12345678-6.key"]
        assert {stat.S_IMODE((b.data / one).stat().st_mode) for one in b.files()} == {0o600}
        # A card decides which is which: one sends UIDs, last byte first, the other what is printed on the card.
        await b.ask(6, TAG.hex())
        b.bus.devices[6].card(bits(TAG[::-1]), kind=0)
        await b.chosen(1)
        await b.ask(5, "041,41394", way="exit")
        b.bus.devices[6].card(bits(TAG[::-1]), kind=0)
        await b.until(lambda now: "in another form" in (now["asked"] or {"said": ""})["said"])
        b.bus.devices[5].card(frame(41, 41394))
        assert await b.chosen(2) == ["OSDP 6, CAFE00 12345678", "OSDP 5, CAFE00 12345678"]
        assert by_key(await b.look())[key_at(6)]["seat"] == "A · entry, tag reader"
        said = "".join(b.told).lower()
        assert not any(key.hex() in said for key in (*keys, SCBK_D))
        await b.rig.do("commission/write", {})
        port = b.port
    settings = config.load(b.rig.path, {})
    files = [str(b.data / f"osdp-CAFE00-12345678-{address}.key") for address in (5, 6)]
    entry = OsdpReader(id=1, way=Way.ENTRY, port=port, key_file=files[1], address=6)
    leave = OsdpReader(id=2, way=Way.EXIT, port=port, key_file=files[0], address=5)
    (lane,) = settings.lanes
    assert lane.readers == (
        replace(entry, carries=WiegandCarries.UID, uid_order=UidOrder.LITTLE),
        leave,
    )
    b.bus.port.plug()
    await is_read(replace(settings, gate=GateSettings(data=str(b.data))), b.bus)
    b.bus.port.unplug()


async def is_read(settings: Settings, bus: OsdpBus) -> None:
    """The gate that was written reads both."""
    settings = replace(settings, page=PageSettings(port=0, tls=False), peers=PeerSettings(on=False))
    parts = with_changes(factories(), front_argv=lambda _settings: NO_FRONT)
    daemon = Daemon(settings, enrolment.load(Path(settings.gate.data)), parts)
    task = asyncio.create_task(daemon.run())
    try:
        async with asyncio.timeout(WAIT_S):
            while not all(shell.ready for shell in daemon.lanes.values()) or not all(
                one.secured for one in bus.devices.values()
            ):
                await asyncio.sleep(0.01)
            bus.devices[6].card(bits(TAG[::-1]), kind=0)
            bus.devices[5].card(frame(41, 41394))
            while len(daemon.recent) < 2:
                await asyncio.sleep(0.01)
    finally:
        daemon.stop()
        await task


async def test_a_reader_that_has_a_key_of_ours_goes_on_with_it_wherever_that_lies(tmp_path: Path) -> None:
    async with bench(tmp_path, OsdpDevice(7, KEY)) as b:
        b.bus.speed = termios.B115200
        for name, key in (("osdp-1.key", KEY[::-1]), ("osdp-north.key", KEY), ("osdp-z.key", None)):
            file = b.data / name
            file.write_text("no key" if key is None else key.hex())
            file.chmod(0o600)
        await b.rig.do("commission/plan", {"name": "N", "lanes": [{"name": "A"}]})
        one = (await b.search())[key_at(7)]
        assert (one["wants_key"], codes(one)) == (False, [])
        assert "address 7, 115200 baud" in one["place"]
        await b.ask(7, "041,41394")
        b.bus.devices[7].card(frame(41, 41394))
        await b.chosen(1)
        await b.rig.do("commission/write", {})
        assert KEYSET not in {command for command, _ in b.bus.devices[7].heard}
        (reader,) = config.load(b.rig.path, {}).lanes[0].readers
        assert reader == OsdpReader(
            id=1,
            way=Way.ENTRY,
            port=b.port,
            key_file=str(b.data / "osdp-north.key"),
            address=7,
            baud=115_200,
        )


async def test_a_reader_with_somebody_elses_key_is_told_and_takes_one_once_it_is_reset(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, OsdpDevice(0, KEY)) as b:
        one = (await b.search())[key_at(0)]
        assert (one["wants_key"], one["listening"], codes(one)) == (True, False, ["osdp.other"])
        assert "Reset it" in one["troubles"][0]["fix"]
        await b.rig.do("commission/osdp-key", {"key": key_at(0)}, "osdp.key_refused")
        assert b.bus.devices[0].scbk == KEY
        b.bus.devices[0].scbk = SCBK_D
        await b.rig.do("commission/osdp-key", {"key": key_at(0)})
        await b.listened(0)
        assert read_key(str(b.data / b.files()[0])) == b.bus.devices[0].scbk


@pytest.mark.parametrize("starts_anew", [False, True])
async def test_a_key_that_was_cut_off_in_the_middle_goes_on_at_the_next_press(
    tmp_path: Path, starts_anew: bool
) -> None:
    device = OsdpDevice(1, SCBK_D)
    async with bench(tmp_path, device) as b:
        assert codes((await b.search())[key_at(1)]) == ["osdp.new"]

        def silenced() -> bool:
            device.silent = device.scbk != SCBK_D
            return False

        b.bus.lost = silenced
        await b.rig.do("commission/osdp-key", {"key": key_at(1)}, "osdp.key_silent")
        assert b.files() == ["osdp-CAFE00-12345678-1.key.new"]
        taken, device.silent, b.bus.lost = device.scbk, False, lambda: False
        if starts_anew:
            await b.rig.do("commission/anew", {})
            assert codes((await b.search())[key_at(1)]) == ["osdp.new"]
        await b.rig.do("commission/osdp-key", {"key": key_at(1)})
        await b.listened(1)
        assert device.scbk == taken == read_key(str(b.data / "osdp-CAFE00-12345678-1.key"))
        assert b.files() == ["osdp-CAFE00-12345678-1.key"]


async def test_a_full_disk_is_told_and_the_reader_keeps_the_key_that_it_had(tmp_path: Path) -> None:
    async with bench(tmp_path, OsdpDevice(1, SCBK_D)) as b:
        await b.search()
        part = b.data / "osdp-CAFE00-12345678-1.key.new.part"
        part.symlink_to("/dev/full")
        await b.rig.do("commission/osdp-key", {"key": key_at(1)}, "osdp.key_not_kept")
        assert b.bus.devices[1].scbk == SCBK_D
        assert KEYSET not in {command for command, _ in b.bus.devices[1].heard}
        part.unlink()
        await b.rig.do("commission/osdp-key", {"key": key_at(1)})
        await b.listened(1)


async def test_without_the_pin_no_bus_is_searched_and_no_key_given(tmp_path: Path) -> None:
    async with bench(tmp_path, OsdpDevice(1, SCBK_D)) as b:
        await b.search()
        heard = len(b.bus.devices[1].heard)
        await b.rig.do("logout", {})
        await b.rig.do("commission/osdp-search", {"key": ADAPTER}, "page.no_session")
        await b.rig.do("commission/osdp-key", {"key": key_at(1)}, "page.no_session")
        assert (len(b.bus.devices[1].heard), b.files()) == (heard, [])


async def test_a_port_that_is_pulled_while_it_is_searched_is_told_and_searched_again(tmp_path: Path) -> None:
    async with bench(tmp_path, OsdpDevice(1, SCBK_D)) as b:
        await b.rig.do("commission/osdp-search", {"key": ADAPTER})
        await b.until(lambda _now: bool(b.bus.devices[1].heard))
        b.bus.port.unplug()
        state = await b.until(lambda now: by_key(now)[ADAPTER]["osdp"] == "again")
        assert codes(by_key(state)[ADAPTER]) == ["bus.gone"]
        b.bus.port.plug()
        assert codes((await b.search())[ADAPTER]) == []


async def test_a_search_that_is_stopped_gives_the_port_back_and_leaves_what_was_known(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for begun in (False, True):
            await b.rig.do("commission/osdp-search", {"key": ADAPTER})
            if begun:
                await b.until(lambda now: "baud" in by_key(now)[ADAPTER]["state"])
            await b.rig.do("commission/osdp-stop", {"key": ADAPTER})
            one = by_key(await b.look())[ADAPTER]
            assert (one["osdp"], one["modbus"], codes(one)) == ("first", "first", [])
            await b.listened_at(ADAPTER)
        b.bus.devices[1] = OsdpDevice(1, SCBK_D)
        before = (await b.search())[key_at(1)]
        b.bus.devices[1].silent = True
        await b.rig.do("commission/osdp-search", {"key": ADAPTER})
        await b.until(lambda now: "baud" in by_key(now)[ADAPTER]["state"])
        await b.rig.do("commission/osdp-stop", {"key": ADAPTER})
        b.bus.devices[1].silent = False
        assert by_key(await b.look())[key_at(1)] == before
        await b.rig.do("commission/osdp-key", {"key": key_at(1)})
        await b.listened(1)
        await b.rig.do("commission/osdp-stop", {"key": ADAPTER})  # there is none: that is what was wanted
        await b.listened(1)


async def test_beginning_anew_ends_a_search_too_and_the_bus_is_searched_by_the_next_press(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b:
        await b.rig.do("commission/osdp-search", {"key": ADAPTER})
        await b.until(lambda now: "baud" in by_key(now)[ADAPTER]["state"])
        await b.rig.do("commission/anew", {})
        assert by_key(await b.look())[ADAPTER]["osdp"] == "first"
        b.bus.devices[1] = OsdpDevice(1, SCBK_D)
        devices = await b.search()
        assert codes(devices[ADAPTER]) == []
        assert codes(devices[key_at(1)]) == ["osdp.new"]


async def test_a_bus_where_nobody_answers_is_told_and_is_a_scanner_s_port_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        one = (await b.search())[ADAPTER]
        assert (one["osdp"], codes(one)) == ("again", ["osdp.silent"])
        assert "A to A" in one["troubles"][0]["fix"]
        await b.until(lambda now: bool(by_key(now)[ADAPTER]["listening"]))


async def test_two_at_one_address_are_told_and_the_other_one_of_the_bus_is_given_its_key(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, OsdpDevice(2, SCBK_D), OsdpDevice(3, SCBK_D)) as b:
        b.bus.twins.append(OsdpDevice(2, SCBK_D, pdid=bytes(12)))
        devices = await b.search()
        assert codes(devices[ADAPTER]) == ["osdp.twins"]
        assert devices.keys() == {ADAPTER, key_at(3)}
        await b.rig.do("commission/osdp-key", {"key": key_at(3)})
        await b.listened(3)


async def test_a_reader_without_a_secure_channel_is_told_and_the_others_of_its_bus_go_on(
    tmp_path: Path,
) -> None:
    plain = OsdpDevice(1, SCBK_D, abilities=bytes.fromhex("030101 040401"))
    async with bench(tmp_path, plain, OsdpDevice(2, SCBK_D)) as b:
        devices = await b.search()
        assert [codes(devices[key_at(at)]) for at in (1, 2)] == [["osdp.not_read"], ["osdp.new"]]
        assert "secure channel" in devices[key_at(1)]["troubles"][0]["fix"]
        await b.rig.do("commission/osdp-key", {"key": key_at(1)}, "osdp.key_refused")
        await b.rig.do("commission/osdp-key", {"key": key_at(2)})
        await b.listened(2)


async def test_a_reader_that_answers_at_every_address_holds_nothing_up(tmp_path: Path) -> None:
    async with bench(tmp_path, *(OsdpDevice(at, KEY) for at in range(127))) as b:
        for number in range(40):
            file = b.data / f"osdp-{number}.key"
            file.write_text(bytes((number,) * 16).hex())
            file.chmod(0o600)
        devices = await b.search()
        assert codes(devices[ADAPTER]) == ["osdp.many"]
        assert devices.keys() == {ADAPTER, *(key_at(at) for at in range(16))}
        assert {code for at in range(16) for code in codes(devices[key_at(at)])} == {"osdp.other"}


async def test_what_is_a_relay_board_or_a_scanner_already_is_not_searched(tmp_path: Path) -> None:
    async with bench(tmp_path, OsdpDevice(1, SCBK_D)) as b:
        await b.rig.do("commission/plan", {"name": "N", "lanes": [{"name": "A"}]})
        session = b.rig.shell.session
        await b.rig.do("commission/osdp-search", {"key": "1-9"}, "osdp.no_bus")
        session.boards[ADAPTER] = LcusRelay(id="relays", port=b.port, lines=4)
        await b.rig.do("commission/osdp-search", {"key": ADAPTER}, "osdp.no_bus")
        assert by_key(await b.look())[ADAPTER]["osdp"] == ""
        del session.boards[ADAPTER]
        seat = Seat(1, Way.ENTRY, MediumSetting.BARCODE)
        session.chosen[seat] = Chosen(ADAPTER, "x", SerialReader(id=1, way=Way.ENTRY, port=b.port))
        await b.rig.do("commission/osdp-search", {"key": ADAPTER}, "commission.is_reader")
        session.chosen.clear()
        await b.rig.do("commission/osdp-key", {"key": ADAPTER}, "osdp.no_reader")
        assert b.bus.devices[1].heard == []
        await b.search()
        pulse = {"key": ADAPTER, "driver": "lcus", "lines": 4, "line": 0}
        await b.rig.do("commission/pulse", pulse, "commission.is_reader")


def gate(port: str) -> Settings:
    """Two readers of one bus, with what only the file says."""
    entry = OsdpReader(id=4, way=Way.ENTRY, port=port, key_file="", address=1, beep=False)
    data = Path(port).parents[4] / "data"
    readers = (
        replace(entry, key_file=str(data / "one.key")),
        replace(entry, id=7, way=Way.EXIT, address=2, key_file=str(data / "two.key")),
    )
    return Settings(lanes=(LaneSettings(id=3, name="A", readers=readers),))


async def test_readers_of_the_gate_before_stay_and_are_placed_anew_with_what_only_the_file_says(
    tmp_path: Path,
) -> None:
    devices = (OsdpDevice(1, KEY), OsdpDevice(2, KEY[::-1]))
    async with bench(tmp_path, *devices, base=gate) as b:
        before = b.rig.shell.base
        for reader, device in zip(before.lanes[0].readers, devices, strict=True):
            assert isinstance(reader, OsdpReader)
            Path(reader.key_file).write_text(device.scbk.hex())
            Path(reader.key_file).chmod(0o600)
        await b.until(lambda now: all(by_key(now)[key_at(one)]["listening"] for one in (1, 2)))
        assert settings_of(b.rig.shell.session, before) == before
        # Both readers were set to another speed, and changed places.
        b.bus.speed = termios.B38400
        await b.search()
        await b.rig.do("commission/ask", {**SEAT, "lane": 3, "way": "exit", "uid": TAG.hex()})
        await b.listened(1)
        devices[0].card(bits(TAG), kind=0)
        await b.chosen(1)
        (reader,) = settings_of(b.rig.shell.session, before).lanes[0].readers
        one = before.lanes[0].readers[0]
        assert reader == replace(one, id=7, way=Way.EXIT, baud=38_400, carries=WiegandCarries.UID)


async def test_a_reader_that_was_replaced_by_a_new_one_keeps_its_place_with_its_new_key(
    tmp_path: Path,
) -> None:
    device = OsdpDevice(1, SCBK_D)
    async with bench(tmp_path, device, base=gate) as b:
        before = b.rig.shell.base
        Path(before.lanes[0].readers[0].key_file).write_text(KEY.hex())  # type: ignore[union-attr]
        Path(before.lanes[0].readers[0].key_file).chmod(0o600)  # type: ignore[union-attr]
        one = (await b.search())[key_at(1)]
        assert (codes(one), one["seat"]) == (["osdp.new"], "A · entry, tag reader")
        await b.rig.do("commission/osdp-key", {"key": key_at(1)})
        await b.listened(1)
        entry, leave = settings_of(b.rig.shell.session, before).lanes[0].readers
        assert entry == replace(before.lanes[0].readers[0], key_file=str(b.data / b.files()[0]))
        assert leave == before.lanes[0].readers[1]
        assert read_key(str(b.data / b.files()[0])) == device.scbk


def test_a_bus_that_is_away_keeps_its_readers_each_named(tmp_path: Path) -> None:
    before = gate(str(tmp_path / "a/b/c/d/tty"))
    session = kept(before, lambda count: "B" * count)
    assert settings_of(session, before) == before
