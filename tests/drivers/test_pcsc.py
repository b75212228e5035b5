"""PC/SC readers: cards by literal ATRs and answers, a service that stops, hangs or forbids, cards pulled while they are read."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from drivers.base import (
    DeviceGone,
    DeviceMisbehaved,
    DriverError,
    Medium,
    Misconfigured,
    Opened,
    Scan,
    Signal,
)
from drivers.framing.pcsc import SHOWS, SILENCE, Kind, from_card, kind_of, reading_of, to_card, uid_of
from drivers.readers.pcsc import READ_TRIES, PcscConfig, PcscReader
from drivers.sims.pcsc_service import (
    ATR_CLASSIC,
    ATR_TYPE_4,
    ATR_ULTRALIGHT,
    ContactlessCard,
    SimService,
)
from drivers.sims.tag_reader import Type2Memory, Type4Memory
from drivers.transport.pcsc import CardLost, failure
from tests.drivers.reader_rig import WAIT_S, Listener, running

NAME = "ACS ACR122U PICC Interface 00 00"
UID = bytes.fromhex("04E10CDA993C80")
URL = bytes.fromhex("D1010C5504") + b"venue.examp"
HEAD = bytes.fromhex("04E10C61 DA993C80 FF480000 E1101200")


def ntag(message: bytes = URL) -> Type2Memory:
    tlv = b"\x03" + bytes((len(message),)) + message + b"\xfe"
    return Type2Memory(HEAD + tlv.ljust(144, b"\0") + bytes(20))


def band() -> ContactlessCard:
    return ContactlessCard(UID, ntag())


def sun() -> ContactlessCard:
    memory = Type4Memory(lambda tap: b"tap %d" % tap)
    return ContactlessCard(UID, memory, ATR_TYPE_4)


WITH_URL = bytes((7,)) + UID + URL

# --- what a reader says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("atr", "kind"),
    [
        (ATR_ULTRALIGHT, Kind(3, 0x0003)),
        (ATR_CLASSIC, Kind(3, 0x0001)),
        (bytes.fromhex("3B8F8001804F0CA0000003060300020000000069"), Kind(3, 0x0002)),  # MIFARE Classic 4K
        (bytes.fromhex("3B8F8001804F0CA00000030603003A0000000051"), Kind(3, 0x003A)),  # Ultralight C
        (ATR_TYPE_4, Kind(0, None)),
        (bytes.fromhex("3B8F8001804F0CA000000306030003000000006A"), None),  # its check byte is another's
        (bytes.fromhex("3B6500002063CB6800"), None),  # a card with contacts
        (bytes.fromhex("3B8180"), None),
        (b"", None),
    ],
)
def test_an_atr_names_the_kind(atr: bytes, kind: Kind | None) -> None:
    assert kind_of(atr) == kind


@pytest.mark.parametrize("at", range(1, len(ATR_ULTRALIGHT)))
def test_an_atr_with_a_wrong_byte_is_none(at: int) -> None:
    wrong = bytearray(ATR_ULTRALIGHT)
    wrong[at] ^= 0x10
    assert kind_of(bytes(wrong)) is None
    assert kind_of(ATR_ULTRALIGHT[:at]) is None


@pytest.mark.parametrize(
    ("answer", "uid"),
    [
        ("04E10CDA993C809000", "04E10CDA993C80"),
        ("D1AA40EA9000", "D1AA40EA"),
        ("6300", ""),
        ("6A81", ""),
        ("9000", ""),
        ("04E1 9000", ""),
        ("04E10CDA993C80", ""),
        ("", ""),
    ],
)
def test_a_uid_in_an_answer(answer: str, uid: str) -> None:
    assert uid_of(bytes.fromhex(answer)) == bytes.fromhex(uid)


def test_pages_are_read_by_the_readers_own_command() -> None:
    assert to_card(bytes.fromhex("3004")) == bytes.fromhex("FFB0000410")
    assert to_card(bytes.fromhex("00B000000F")) == bytes.fromhex("00B000000F")
    assert from_card(b"\x30\x04", bytes(range(16)) + b"\x90\x00") == bytes(range(16))
    for lost in (b"\x63\x00", b"", b"\x90", b"\x6a\x81"):
        assert from_card(b"\x30\x04", lost) is None
    assert from_card(b"\x00\xb0", b"\x63\x00") is None
    assert from_card(b"\x00\xa4", b"\x6a\x82") == b"\x6a\x82"
    assert from_card(b"\x00\xb0", b"\x01\x90\x00") == b"\x01\x90\x00"
    assert reading_of(ATR_CLASSIC) is None
    assert reading_of(b"\x3b\x00") is None


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (0x8010001D, DeviceGone, "systemctl start pcscd"),
        (0x8010001E, DeviceGone, "systemctl start pcscd"),
        (0x80100017, DeviceGone, "cable"),
        (0x8010006A, DeviceGone, "polkit"),
        (0x80100001, DeviceMisbehaved, "restart"),
    ],
)
def test_what_the_service_says_is_what_to_do(code: int, kind: type[DriverError], said: str) -> None:
    error = failure(code)
    assert isinstance(error, kind)
    assert said in error.hint
    assert isinstance(failure(0x80100069), CardLost)


# --- a service that is made up ---------------------------------------------------------------------------------------


@pytest.fixture
def made_up() -> Iterator[SimService]:
    sim = SimService()
    sim.plug(NAME)
    yield sim
    sim.hanging.clear()
    sim.stop()


def scans(listener: Listener) -> list[tuple[Medium, bytes]]:
    return [(one.medium, one.data) for one in listener.seen if isinstance(one, Scan)]


async def tap(sim: SimService, card: ContactlessCard, name: str = NAME) -> None:
    async with asyncio.timeout(WAIT_S):
        await sim.tap(name, card)
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (band(), (Medium.TAG, WITH_URL)),
        (ContactlessCard(UID, ntag(b"")), (Medium.UID, UID)),
        (ContactlessCard(b"\xd1\xaa\x40\xea", None, ATR_CLASSIC), (Medium.UID, b"\xd1\xaa\x40\xea")),
        (sun(), (Medium.TAG, bytes((7,)) + UID + b"tap 1")),
    ],
    ids=["wristband", "blank", "classic", "ntag 424"],
)
async def test_what_a_card_carries_is_read_once_a_tap(
    made_up: SimService, card: ContactlessCard, said: tuple[Medium, bytes]
) -> None:
    async with running(PcscReader(PcscConfig(), made_up)) as (listener, _):
        await tap(made_up, card)
        assert scans(listener) == [said]
        assert len(listener.removed) == 1
        assert not any(
            one[0] == 0xFF and one[:2] not in {b"\xff\xca", b"\xff\xb0", b"\xff\x00"} for one in card.heard
        )


async def test_a_card_pulled_while_it_is_read_says_nothing(made_up: SimService) -> None:
    async with running(PcscReader(PcscConfig("ACR122U", shows=False), made_up)) as (listener, task):
        for answers in range(3):
            card = band()
            card.answers_max = answers
            await tap(made_up, card)
        await tap(made_up, band())
        assert scans(listener) == [(Medium.TAG, WITH_URL)]
        assert not task.done()


async def test_what_cannot_be_read_goes_by_its_uid_in_the_end(made_up: SimService) -> None:
    """A page that no answer comes for, each time: whoever holds the card long enough is told something."""
    card = ContactlessCard(UID, Type2Memory(HEAD + b"\x03\x28" + bytes(14)))
    async with running(PcscReader(PcscConfig(shows=False), made_up)) as (listener, _):
        made_up.put(NAME, card)
        scan = await listener.next()
        assert isinstance(scan, Scan)
        assert (scan.medium, scan.data) == (Medium.UID, UID)
        assert card.heard.count(bytes.fromhex("FFB0000B10")) == READ_TRIES


async def test_with_a_fifth_of_all_commands_lost_every_card_is_read_whole(made_up: SimService) -> None:
    made_up.lose = lambda number: number % 5 == 3
    async with running(PcscReader(PcscConfig(shows=False), made_up)) as (listener, task):
        for _ in range(6):
            made_up.put(NAME, band())
            scan = await listener.next()
            assert isinstance(scan, Scan)
            assert scan.data == WITH_URL
            made_up.put(NAME, None)
        assert not task.done()


async def test_a_card_that_stays_is_said_again_and_one_that_was_swapped_is_removed_first(
    made_up: SimService,
) -> None:
    async with running(PcscReader(PcscConfig(), made_up)) as (listener, _):
        made_up.put(NAME, band())
        first, again = await listener.next(), await listener.next()
        assert isinstance(first, Scan)
        assert isinstance(again, Scan)
        assert first.data == again.data == WITH_URL
        assert again.last_ns - first.last_ns >= 400_000_000
        made_up.put(NAME, ContactlessCard(b"\xd1\xaa\x40\xea", None, ATR_CLASSIC))
        other = await listener.next()
        assert isinstance(other, Scan)
        assert other.data == b"\xd1\xaa\x40\xea"
        assert len(listener.removed) == 1


async def test_a_verdict_is_shown_on_an_acr122u_and_on_no_other(made_up: SimService) -> None:
    made_up.plug("HID Global OMNIKEY 5022 Smart Card Reader 01 00")
    for wanted, heard in (("ACR122U", [SILENCE, SHOWS[Signal.REJECT]]), ("OMNIKEY", [])):
        reader = PcscReader(PcscConfig(wanted), made_up)
        card = ContactlessCard(UID, None, ATR_CLASSIC)
        name = next(one for one in made_up.open().readers() if wanted in one)
        async with running(reader) as (listener, _):
            made_up.put(name, card)
            await listener.next()
            reader.feedback(Signal.REJECT)
            await listener.next()  # said again: what was to be shown is shown by then
            made_up.put(name, None)
        assert [one for one in card.heard if one != bytes.fromhex("FFCA000000")] == heard


async def test_a_service_that_stops_is_told_with_what_to_do(made_up: SimService) -> None:
    async with running(PcscReader(PcscConfig(), made_up)) as (_, task):
        made_up.stop()
        with pytest.raises(DeviceGone, match="service does not run") as gone:
            await asyncio.wait_for(task, WAIT_S)
        assert "systemctl start" in gone.value.hint
    with pytest.raises(DeviceGone, match="service does not run"):
        async with running(PcscReader(PcscConfig(), made_up)):
            raise AssertionError("opened without a service")


@pytest.mark.parametrize(
    ("wanted", "kind", "said"),
    [
        ("OMNIKEY", DeviceGone, "no PC/SC reader OMNIKEY"),
        ("", Misconfigured, "several"),
        ("ACR122U", None, ""),
    ],
)
async def test_the_reader_that_is_meant(
    made_up: SimService, wanted: str, kind: type[DriverError] | None, said: str
) -> None:
    made_up.plug("ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] 01 00")
    made_up.plug("ACS ACR1252 Dual Reader [ACR1252 Dual Reader SAM] 01 01")
    if kind is None:
        async with running(PcscReader(PcscConfig(wanted), made_up)) as (listener, _):
            assert listener.seen == [Opened(f"PC/SC reader {NAME}")]
        async with running(PcscReader(PcscConfig("ACR1252"), made_up)) as (listener, _):
            assert "PICC" in str(listener.seen)
        return
    with pytest.raises(kind, match=said):
        async with running(PcscReader(PcscConfig(wanted), made_up)):
            raise AssertionError("opened the wrong one")


async def test_a_command_that_never_comes_back_holds_up_nobody(made_up: SimService) -> None:
    """The loop goes on, closing it takes no longer than said, and a second thread does not wait there too."""
    reader = PcscReader(PcscConfig(), made_up)
    turned = 0
    async with running(reader):
        made_up.hanging.set()
        made_up.put(NAME, band())
        for _ in range(50):
            await asyncio.sleep(0.001)
            turned += 1
    assert turned == 50
    with pytest.raises(DeviceGone, match="does not answer") as gone:
        async with running(PcscReader(PcscConfig(), made_up)):
            raise AssertionError("opened beside a call that hangs")
    assert "plug" in gone.value.hint
    before = [one for one in threading.enumerate() if one.name.startswith("pcsc")]
    made_up.hanging.clear()
    for one in before:
        await asyncio.to_thread(one.join, WAIT_S)
    async with running(PcscReader(PcscConfig(), made_up)) as (listener, _):
        assert isinstance(await listener.next(), Scan)  # it lies there still
