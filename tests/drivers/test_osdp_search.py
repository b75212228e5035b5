"""Readers at a port that somebody says is an OSDP bus: found at their speed and address, and nothing is moved or changed by asking."""

import asyncio
import itertools
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.base import DeviceGone
from drivers.framing import modbus
from drivers.framing.osdp import FOR_ALL, Command, Identity, encode
from drivers.readers import osdp_search
from drivers.readers.osdp_search import Found, OnBus, Why, search
from drivers.sims.osdp_reader import SCBK_D, OsdpBus, OsdpDevice
from drivers.sims.ports import SimPort
from tests.drivers.reader_rig import WAIT_S, open_files
from tests.drivers.test_osdp_host import LibraryReader

NAME = Identity("CAFE00", 1, 2, "12345678", "1.2.3")
FEW = (9600, 115_200)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[OsdpBus]:
    made = OsdpBus(tmp_path / "tty")
    made.port.plug()
    yield made
    made.port.unplug()


def put(bus: OsdpBus, *devices: OsdpDevice) -> None:
    bus.devices |= {one.address: one for one in devices}


async def found(bus: OsdpBus, speeds: tuple[int, ...] = FEW) -> OnBus:
    before = open_files()
    one = await asyncio.wait_for(search(str(bus.port.link), speeds=speeds), WAIT_S)
    assert open_files() == before
    return one


@pytest.mark.parametrize("names_itself", [False, True])
@pytest.mark.parametrize(("speed", "baud"), [(0, 9600), (termios.B115200, 115_200)])
async def test_a_reader_is_found_at_its_speed_and_says_what_it_is(
    bus: OsdpBus, speed: int, baud: int, names_itself: bool
) -> None:
    bus.speed = speed
    put(bus, OsdpDevice(5, SCBK_D, names_itself=names_itself))
    assert await found(bus) == OnBus(baud, (Found(5, NAME),))
    assert {command for command, _ in bus.devices[5].heard} == {Command.POLL, Command.ID}


async def test_one_that_has_a_key_of_somebody_is_found_as_well(bus: OsdpBus) -> None:
    put(bus, OsdpDevice(0, bytes(16)))
    assert await found(bus) == OnBus(9600, (Found(0, NAME),))
    assert not bus.devices[0].secured


async def test_several_of_a_bus_are_found_each_at_its_address_and_one_high_up_too(
    bus: OsdpBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(osdp_search, "ADDRESSES", (*range(18), 101))  # silence is waited for at each
    put(bus, OsdpDevice(0, SCBK_D), OsdpDevice(15, SCBK_D, pdid=bytes(12)), OsdpDevice(101, SCBK_D))
    nobody = Identity("000000", 0, 0, "00000000", "0.0.0")
    assert await found(bus) == OnBus(9600, (Found(0, NAME), Found(15, nobody), Found(101, NAME)))


@pytest.mark.parametrize("lost", range(1, 8))
async def test_whichever_message_is_lost_each_reader_is_found_by_another_question(
    bus: OsdpBus, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """Of two readers: a question for all, the first one's address, the second one's, and both names; one message either way is lost."""
    monkeypatch.setattr(osdp_search, "ADDRESSES", range(3))
    put(bus, OsdpDevice(0, SCBK_D), OsdpDevice(2, SCBK_D, pdid=bytes(12)))
    messages = itertools.count()
    bus.lost = lambda: next(messages) == lost
    nobody = Identity("000000", 0, 0, "00000000", "0.0.0")
    assert await found(bus, (9600,)) == OnBus(9600, (Found(0, NAME), Found(2, nobody)))


@pytest.mark.parametrize("lost", [{0, 1}, {1, 3}])
async def test_a_reader_alone_is_found_though_no_question_of_the_first_round_reached_it(
    bus: OsdpBus, monkeypatch: pytest.MonkeyPatch, lost: set[int]
) -> None:
    monkeypatch.setattr(osdp_search, "ADDRESSES", range(3))
    put(bus, OsdpDevice(1, SCBK_D))
    messages = itertools.count()
    bus.lost = lambda: next(messages) in lost
    assert await found(bus, (9600,)) == OnBus(9600, (Found(1, NAME),))


async def test_two_at_one_address_are_told_and_the_others_of_their_bus_found(
    bus: OsdpBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(osdp_search, "ADDRESSES", range(24))  # silence is waited for at each
    put(bus, OsdpDevice(2, SCBK_D), OsdpDevice(3, SCBK_D))
    bus.twins.append(OsdpDevice(2, SCBK_D, pdid=bytes(12)))
    assert await found(bus) == OnBus(9600, (Found(3, NAME),), garbled=(2,))


async def test_what_a_reader_says_of_itself_is_numbers_whatever_it_says(bus: OsdpBus) -> None:
    put(bus, OsdpDevice(1, SCBK_D, pdid=b"<b>\x00\n\xff'\");--"))
    (one,) = (await found(bus)).readers
    assert one.identity == Identity("3C623E", 0, 10, "292227FF", "59.45.45")


@pytest.mark.parametrize("key", [None, bytes(range(16))])
async def test_a_reader_of_libosdp_is_found_in_install_mode_and_with_a_key(
    tmp_path: Path, key: bytes | None
) -> None:
    reader = LibraryReader(key)
    sending: set[asyncio.Task[None]] = set()

    def hear(data: bytes) -> None:
        task = asyncio.ensure_future(port.send(reader.answer(data)))
        sending.add(task)
        task.add_done_callback(sending.discard)

    port = SimPort(tmp_path / "tty", hear)
    port.plug()
    try:
        found = await asyncio.wait_for(search(str(port.link), speeds=FEW), WAIT_S)
    finally:
        port.unplug()
    (one,) = found.readers
    assert (found.baud, one.address, found.garbled, found.why) == (9600, 1, (), None)
    assert one.identity is not None
    assert (one.identity.model, one.identity.serial) == (2, "00000003")
    assert reader.shown == []


async def test_an_adapter_that_hears_itself_hears_nobody_else(bus: OsdpBus) -> None:
    port = bus.port
    echo: set[asyncio.Task[None]] = set()

    def hear(data: bytes) -> None:
        task = asyncio.ensure_future(port.send(data))
        echo.add(task)
        task.add_done_callback(echo.discard)

    port._on_bytes = hear
    assert await found(bus, (9600,)) == OnBus(0, why=Why.SILENT)


def test_no_message_of_a_search_switches_a_relay_board_that_hangs_on_the_cable_after_all() -> None:
    """KMTronic: FF, relay, state. LCUS: A0, relay, state, sum. Modbus: a message ends by its checksum. Numato: words and CR."""
    asked = [encode(at, 0, Command.POLL) for at in range(FOR_ALL + 1)]
    asked += [encode(at, 0, Command.ID, b"\0") for at in range(FOR_ALL)]
    head = asked[0][:3]  # of the next one: all begin alike
    assert {one[:2] for one in asked} == {head[:2]}
    for one in asked:
        assert one[-2:] not in {modbus.crc(one[:-2]), modbus.crc(one[1:-2])}
        for first, second, third, fourth in zip(*((one + head)[at:] for at in range(4)), strict=False):
            assert not (first == 0xFF and 1 <= second <= 8 and third < 2)
            assert not (first == 0xA0 and (first + second + third) & 0xFF == fourth)


async def test_a_port_that_talks_by_itself_is_asked_nothing(tmp_path: Path) -> None:
    said = bytearray()
    port = SimPort(tmp_path / "tty", said.extend)
    port.plug()

    async def babble() -> None:
        for number in itertools.count():
            await port.send(bytes((number & 0xFF,)) * 16)
            await asyncio.sleep(0.01)  # a pty that was filled before it is opened wakes nobody

    babbling = asyncio.ensure_future(babble())
    try:
        one = await asyncio.wait_for(search(str(port.link)), WAIT_S)
    finally:
        babbling.cancel()
        port.unplug()
    assert one == OnBus(0, why=Why.TALKS)
    assert said == b""


async def test_noise_in_the_place_of_each_answer_is_told_and_has_an_end(bus: OsdpBus) -> None:
    put(bus, *(OsdpDevice(at, SCBK_D, damaged=lambda _number: True) for at in range(127)))
    assert await found(bus) == OnBus(0, why=Why.UNCLEAR)


async def test_a_port_that_is_pulled_in_the_middle_is_gone(bus: OsdpBus) -> None:
    def tell(_baud: int, address: int) -> None:
        if address == 3:
            bus.port.unplug()

    before = open_files()
    with pytest.raises(DeviceGone):
        await asyncio.wait_for(search(str(bus.port.link), tell, FEW), WAIT_S)
    assert open_files() < before  # the simulator's own two are closed, too
