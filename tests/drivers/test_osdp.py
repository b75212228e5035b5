"""OSDP: the specification's own examples, keys that are refused, a bus of two."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from drivers.base import (
    DeviceGone,
    DeviceMisbehaved,
    Garbled,
    Medium,
    Misconfigured,
    Opened,
    ReaderEvent,
    Scan,
    Signal,
)
from drivers.framing.osdp import Carries, Replies, card_of
from drivers.framing.osdp_host import MISSES_MIN, SILENT_NS
from drivers.framing.uid import ByteOrder
from drivers.readers.osdp import OsdpConfig, OsdpReader, read_key
from drivers.sims.osdp_reader import (
    BUZ,
    CHLNG,
    KEYSET,
    LED,
    SCBK_D,
    OsdpBus,
    OsdpDevice,
    crc,
    ecb,
    session_keys,
)
from drivers.sims.wiegand_reader import frame
from drivers.transport.serial_port import Line
from tests.drivers.reader_rig import WAIT_S, open_files, running, scanned

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
RND_A, RND_B = bytes.fromhex("B0B1B2B3B4B5B6B7"), bytes.fromhex("A0A1A2A3A4A5A6A7")
POLLED = bytes.fromhex("53810E000D0216408AC447329653")
"""An acknowledged poll within a channel, as it came over a wire."""


def test_the_simulators_channel_is_that_of_annex_e() -> None:
    """SIA OSDP specification, Annex E: random numbers B0… and A0…, SCBK-D."""
    enc, first, second = session_keys(SCBK_D, RND_A)
    assert enc == bytes.fromhex("BF8DC2A8329ACB8C67C6D0CD9A451682")
    assert first == bytes.fromhex("5E86C676603BDEE2D8BEAFE178637332")
    assert second == bytes.fromhex("6FDA86E857777E81132035758239172E")
    cp = ecb(enc, RND_B + RND_A)
    assert cp == bytes.fromhex("26D3356E07762D262801FC8E6665A891")
    assert ecb(enc, RND_A + RND_B) == bytes.fromhex("FDE5D2F428EC16312471EA3C02BD7796")
    assert ecb(second, ecb(first, cp)) == bytes.fromhex("B2A30057EB98BA2229EC1F875662B524")
    assert crc(bytes.fromhex("537F0D00046E0080250000")) == bytes.fromhex("6E38")
    assert crc(bytes.fromhex("53000900046100")) == bytes.fromhex("C066")


@pytest.mark.parametrize("chunk", [1, 3, 14, 100])
def test_replies_are_found_however_they_are_cut(chunk: int) -> None:
    replies = Replies()
    data = b"\xff\x53\x01\x00" + POLLED + b"\x53\x81" + POLLED
    found = [one for at in range(0, len(data), chunk) for one in replies.feed(data[at : at + chunk])]
    assert found == [POLLED, POLLED]
    assert Replies().feed(POLLED[:-1] + b"\x00") == []
    assert Replies().feed(bytes.fromhex("5301090004610060230000")) == []  # a command is no reply
    checksum = bytes.fromhex("538107000040")
    checksum += bytes((-sum(checksum) & 0xFF,))
    assert Replies().feed(checksum) == [checksum]


@pytest.mark.parametrize(
    ("data", "size", "carries", "order", "found"),
    [
        ("80800080", 26, Carries.CARD, ByteOrder.UID0_FIRST, "571A000000010001"),
        ("808000C0", 26, Carries.CARD, ByteOrder.UID0_FIRST, None),
        ("04A1B2C3", 32, Carries.CARD, ByteOrder.UID0_FIRST, None),
        ("04A1B2C3", 32, Carries.UID, ByteOrder.UID0_FIRST, "04A1B2C3"),
        ("C3B2A104", 32, Carries.UID, ByteOrder.UID0_LAST, "04A1B2C3"),
        ("04E10CDA993C80", 56, Carries.UID, ByteOrder.UID0_FIRST, "04E10CDA993C80"),
        ("08A1B2C3", 32, Carries.UID, ByteOrder.UID0_FIRST, None),
        ("04A1B2", 32, Carries.UID, ByteOrder.UID0_FIRST, None),
        ("80", 26, Carries.CARD, ByteOrder.UID0_FIRST, None),
    ],
)
def test_a_cards_reply(data: str, size: int, carries: Carries, order: ByteOrder, found: str | None) -> None:
    event = card_of(bytes.fromhex(data), size, carries, order, 7)
    if found is None:
        assert isinstance(event, Garbled)
    else:
        assert event == Scan(bytes.fromhex(found), Medium.UID, "", 7, 7)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "scbk"
    file.write_text(KEY.hex() + "\n")
    file.chmod(0o600)
    return file


def test_a_key_that_others_know_is_refused(key_file: Path) -> None:
    assert read_key(str(key_file)) == KEY
    for text, mode, said in (
        (KEY.hex(), 0o640, "others can read"),
        (SCBK_D.hex(), 0o600, "printed in the specification"),
        (KEY.hex()[:-2], 0o600, "no key"),
        ("no key at all", 0o600, "no key"),
    ):
        key_file.write_text(text)
        key_file.chmod(mode)
        with pytest.raises(Misconfigured, match=said) as wrong:
            read_key(str(key_file))
        assert wrong.value.hint
    key_file.unlink()
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_key(str(key_file))


# --- on a bus --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[OsdpBus]:
    made = OsdpBus(tmp_path / "tty", OsdpDevice(1, KEY), OsdpDevice(2, KEY))
    made.port.plug()
    yield made
    made.port.unplug()


def reader(bus: OsdpBus, key_file: Path, address: int = 1, silent_ns: int = 5_000_000_000) -> OsdpReader:
    return OsdpReader(OsdpConfig(str(bus.port.link), address, str(key_file), silent_ns=silent_ns))


BRISK_NS = 300_000_000
"""Where something is to end by silence."""


async def heard(device: OsdpDevice, command: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while command not in {one for one, _ in device.heard}:
            await asyncio.sleep(0.005)


def challenged(device: OsdpDevice) -> int:
    return [command for command, _ in device.heard].count(CHLNG)


@pytest.mark.parametrize("chunk", [1, 7, 4096])
async def test_a_card_in_the_secure_channel_and_a_verdict_that_is_seen_and_heard(
    bus: OsdpBus, key_file: Path, chunk: int
) -> None:
    before = open_files()
    bus.chunk = chunk
    one = reader(bus, key_file)
    async with running(one) as (listener, _):
        assert isinstance(listener.seen[0], Opened)
        bus.devices[1].card(frame(41, 41394))
        assert scanned(await listener.next()) == (Medium.UID, bytes.fromhex("571A00000029A1B2"))
        assert bus.devices[1].secured
        one.feedback(Signal.ACCEPT)
        await heard(bus.devices[1], LED)
        assert BUZ in {command for command, _ in bus.devices[1].heard}
        assert KEYSET not in {command for command, _ in bus.devices[1].heard}
    assert open_files() == before


async def test_two_readers_on_one_bus(bus: OsdpBus, key_file: Path) -> None:
    async with running(reader(bus, key_file)) as (left, _), running(reader(bus, key_file, 2)) as (right, _):
        bus.devices[2].card(frame(2, 2))
        assert scanned(await right.next())[1] == bytes.fromhex("571A000000020002")
        bus.devices[1].card(frame(1, 1))
        assert scanned(await left.next())[1] == bytes.fromhex("571A000000010001")
        with pytest.raises(Misconfigured, match="two readers have the address 2"):
            async with running(reader(bus, key_file, 2)):
                raise AssertionError("two had one address")
        other_speed = OsdpConfig(str(bus.port.link), 3, str(key_file), line=Line(baud=115200))
        with pytest.raises(Misconfigured, match="different speeds"):
            async with running(OsdpReader(other_speed)):
                raise AssertionError("one bus had two speeds")


async def test_a_neighbour_that_is_not_there_costs_nobody_a_channel(bus: OsdpBus, key_file: Path) -> None:
    async with running(reader(bus, key_file)) as (listener, _):
        for number in range(3):
            with pytest.raises(DeviceGone, match="address 9"):
                async with running(reader(bus, key_file, 9, BRISK_NS)):
                    raise AssertionError("opened without a reader")
            bus.devices[1].card(frame(1, number))
            assert scanned(await listener.next())[1] == bytes.fromhex(f"571A0000000100{number:02X}")
        async with running(reader(bus, key_file, 2)):
            bus.devices[1].card(frame(1, 9))
            assert scanned(await listener.next())[1] == bytes.fromhex("571A000000010009")
        assert challenged(bus.devices[1]) == 1


async def test_a_verdict_while_the_bus_changes_is_shown_and_raises_nothing(
    bus: OsdpBus, key_file: Path
) -> None:
    one, two = reader(bus, key_file), reader(bus, key_file, 2)
    async with running(one):
        joining = asyncio.create_task(two.run(lambda _event: None))
        await asyncio.sleep(0)
        for signal in Signal:
            one.feedback(signal)
            two.feedback(signal)
        one.feedback(Signal.ACCEPT)
        await heard(bus.devices[1], BUZ)
        joining.cancel()
        await asyncio.wait({joining})
        two.feedback(Signal.ACCEPT)
    one.feedback(Signal.ACCEPT)


async def test_what_goes_wrong_on_a_bus_ends_all_its_readers_and_they_open_again(
    bus: OsdpBus, key_file: Path
) -> None:
    """One that is deaf and shown as well would be the worse fault."""

    def clumsy(event: ReaderEvent) -> None:
        match event:
            case Scan():
                raise RuntimeError("who takes the scans has a defect")

    before = open_files()
    one, two = reader(bus, key_file), reader(bus, key_file, 2)
    async with running(two) as (_, other):
        task = asyncio.ensure_future(one.run(clumsy))
        bus.devices[1].card(frame(1, 1))
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(RuntimeError, match="has a defect"):
                await task
            with pytest.raises(RuntimeError, match="has a defect"):
                await asyncio.shield(other)
    assert open_files() == before
    async with running(one) as (listener, _), running(two):
        bus.devices[1].card(frame(1, 2))
        assert scanned(await listener.next())[1] == bytes.fromhex("571A000000010002")


async def test_a_reader_with_the_key_of_the_specification_is_not_read(bus: OsdpBus, key_file: Path) -> None:
    bus.devices[1].scbk = SCBK_D
    bus.devices[1].card(frame(1, 1))
    with pytest.raises(DeviceMisbehaved, match="no secure channel") as refused:
        async with running(reader(bus, key_file)):
            raise AssertionError("opened with a key that everybody has")
    assert "key" in refused.value.hint
    assert len(bus.devices[1].cards) == 1


async def test_two_readers_that_changed_places_are_told_apart_by_their_keys(
    bus: OsdpBus, key_file: Path
) -> None:
    """Each lane has its own key: a reader of another lane, set to this one's address, is not read for it."""
    bus.devices[1].scbk = KEY[::-1]
    async with running(reader(bus, key_file, 2)) as (_, task):
        with pytest.raises(DeviceMisbehaved, match="address 1 opens no secure channel"):
            async with running(reader(bus, key_file)):
                raise AssertionError("a reader with another lane's key was read")
        assert not task.done()


async def test_a_pulled_adapter_is_gone_at_once_and_comes_back(bus: OsdpBus, key_file: Path) -> None:
    async with running(reader(bus, key_file)) as (_, task), running(reader(bus, key_file, 2)) as (_, other):
        bus.port.unplug()
        for one in (task, other):
            with pytest.raises(DeviceGone):
                await asyncio.wait_for(one, WAIT_S)
    bus.port.plug()
    async with running(reader(bus, key_file)) as (listener, _):
        bus.devices[1].card(frame(1, 1))
        assert scanned(await listener.next())[1] == bytes.fromhex("571A000000010001")


async def test_a_damaged_answer_is_asked_for_again_and_a_card_in_it_is_not_lost(
    bus: OsdpBus, key_file: Path
) -> None:
    async with running(reader(bus, key_file)) as (listener, task):
        device = bus.devices[1]
        wrong = {device.answered + 1}
        device.damaged = wrong.__contains__
        device.card(frame(1, 1))
        assert scanned(await listener.next())[1] == bytes.fromhex("571A000000010001")
        assert device.answered not in wrong
        assert not task.done()


async def test_a_reader_that_falls_silent_is_gone_alone_and_comes_back(bus: OsdpBus, key_file: Path) -> None:
    async with running(reader(bus, key_file, 2)) as (listener, other):
        async with running(reader(bus, key_file, silent_ns=BRISK_NS)) as (_, task):
            bus.devices[1].silent = True
            with pytest.raises(DeviceGone, match="no OSDP reader answers at address 1") as gone:
                await asyncio.wait_for(task, WAIT_S)
            assert "wires" in gone.value.hint
        bus.devices[1].silent = False
        async with running(reader(bus, key_file)) as (back, _):
            assert isinstance(back.seen[0], Opened)
        bus.devices[2].card(frame(2, 2))
        assert scanned(await listener.next())[1] == bytes.fromhex("571A000000020002")
        assert not other.done()
        assert challenged(bus.devices[2]) == 1


async def test_readers_that_fall_silent_together_are_gone_together(tmp_path: Path, key_file: Path) -> None:
    """Not each after those before it were waited for: of eight, none is asked three times."""
    bus = OsdpBus(tmp_path / "tty", *(OsdpDevice(one, KEY) for one in range(8)))
    bus.port.plug()
    asked = 0

    def swallow() -> bool:
        nonlocal asked
        asked += 1
        return True

    async with AsyncExitStack() as stack:
        opened = [running(reader(bus, key_file, one, SILENT_NS)) for one in range(8)]
        tasks = [(await stack.enter_async_context(one))[1] for one in opened]
        bus.lost = swallow
        for task in tasks:
            with pytest.raises(DeviceGone):
                await asyncio.wait_for(task, WAIT_S)
    assert MISSES_MIN <= asked < 8 * MISSES_MIN
    bus.port.unplug()


async def test_a_bus_that_babbles_is_told_and_leaves_turns_to_others(bus: OsdpBus, key_file: Path) -> None:
    async with running(reader(bus, key_file, silent_ns=BRISK_NS)) as (listener, task):
        for device in bus.devices.values():
            device.silent = True

        async def babble() -> None:
            while True:
                await bus.port.send(bytes.fromhex("5381A00507") * 200)
                await asyncio.sleep(0)

        noise = asyncio.create_task(babble())
        with pytest.raises(DeviceMisbehaved, match="no reply"):
            await asyncio.wait_for(task, WAIT_S)
        noise.cancel()
        await asyncio.wait({noise})
        assert len(listener.seen) == 1  # Opened
    for device in bus.devices.values():
        device.silent = False
    async with running(reader(bus, key_file)):
        pass
