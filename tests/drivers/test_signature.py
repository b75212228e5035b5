"""The maker's signature of a chip, as readers ask for it: PN532 and PC/SC, chips that have one and copies that do not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from drivers.base import Medium, Misconfigured, Scan
from drivers.framing.tag_host import SIGNATURE_TRIES
from drivers.readers.pcsc import PcscConfig, PcscReader
from drivers.readers.pn532 import Pn532Config, Pn532Reader
from drivers.sims.pcsc_service import (
    ATR_CLASSIC,
    ATR_TYPE_4,
    ATR_ULTRALIGHT,
    DIRECT_TRANSMIT,
    TRANSPARENT,
    ContactlessCard,
    SimService,
)
from drivers.sims.tag_reader import Memory, Pn532Chip, Type2Memory, Type4Memory
from tests.drivers.reader_rig import WAIT_S, running
from tests.drivers.test_tag_content import FACTORY, HEAD, UID, URL, as_tag, ntag213

SIGNATURE = bytes.fromhex("8B76052EE42F5567BEB53238B3E3F9950707C0DCC956B5C5EFCFDB709B2D82B3")
SIGNATURE_4 = bytes(range(56))
READ_SIG = bytes.fromhex("423C00")
MESSAGE = b"\x03" + bytes((len(URL),)) + URL + b"\xfe"


def signed(memory: Type2Memory) -> Type2Memory:
    memory.signature = SIGNATURE
    return memory


@pytest.fixture
async def chip(tmp_path: Path) -> AsyncIterator[Pn532Chip]:
    sim = Pn532Chip(tmp_path / "tty")
    sim.port.plug()
    yield sim
    sim.port.unplug()


async def first_scan(sim: Pn532Chip, memory: Memory | None, *, signature: bool = True) -> Scan:
    """Hold a tag to the reader until it was read."""
    sim.memory = memory
    reader = Pn532Reader(Pn532Config(str(sim.port.link), gap_ms=30, answer_ms=300, signature=signature))
    async with running(reader) as (listener, _):
        sim.tag = UID
        async with asyncio.timeout(WAIT_S):
            while not (scans := [one for one in listener.seen if isinstance(one, Scan)]):
                await asyncio.sleep(0.002)
    return scans[0]


async def test_a_signature_comes_with_the_uid_and_with_what_is_carried(chip: Pn532Chip) -> None:
    scan = await first_scan(chip, signed(ntag213(FACTORY)))
    assert (scan.medium, scan.data, scan.signature) == (Medium.UID, UID, SIGNATURE)
    assert chip.heard.count(READ_SIG) == 1, "through InCommunicateThru, once"
    scan = await first_scan(chip, signed(ntag213(MESSAGE)))
    assert (scan.medium, scan.data, scan.signature) == (Medium.TAG, as_tag(URL), SIGNATURE)


async def test_nobody_asks_for_it_unless_told_to(chip: Pn532Chip) -> None:
    scan = await first_scan(chip, signed(ntag213(MESSAGE)), signature=False)
    assert (scan.data, scan.signature) == (as_tag(URL), b"")
    assert READ_SIG not in chip.heard


async def test_a_copy_that_knows_no_signature_is_asked_thrice_and_keeps_what_it_carries(
    chip: Pn532Chip,
) -> None:
    scan = await first_scan(chip, ntag213(MESSAGE))
    assert (scan.medium, scan.data, scan.signature) == (Medium.TAG, as_tag(URL), b"")
    assert chip.heard.count(READ_SIG) == SIGNATURE_TRIES


async def test_a_chip_that_slips_while_it_is_asked_has_its_signature_all_the_same(chip: Pn532Chip) -> None:
    memory = signed(ntag213(FACTORY))
    lost = iter((True, False))
    plain = memory.answer

    class Slips:
        sak = 0

        def answer(self, command: bytes) -> bytes | None:
            return None if command == b"\x3c\x00" and next(lost) else plain(command)

    scan = await first_scan(chip, Slips())
    assert (scan.data, scan.signature) == (UID, SIGNATURE)


@pytest.mark.parametrize(
    ("memory", "signature"),
    [
        (Type4Memory(lambda _tap: URL, signature=SIGNATURE_4), SIGNATURE_4),
        (Type4Memory(lambda _tap: URL), b""),
        (None, b""),  # MIFARE Classic
        (Type2Memory(HEAD + bytes(4), signature=SIGNATURE[:31]), b""),
    ],
)
async def test_other_kinds(chip: Pn532Chip, memory: Memory | None, signature: bytes) -> None:
    assert (await first_scan(chip, memory)).signature == signature


# --- PC/SC -----------------------------------------------------------------------------------------------------------


async def card_scan(name: str, card: ContactlessCard) -> Scan:
    service = SimService()
    service.plug(name)
    async with running(PcscReader(PcscConfig(shows=False, signature=True), service)) as (listener, task):
        service.put(name, card)
        async with asyncio.timeout(WAIT_S):
            while not (scans := [one for one in listener.seen if isinstance(one, Scan)]):
                if task.done():
                    task.result()
                await asyncio.sleep(0.002)
        service.put(name, None)
    return scans[0]


def storage(passes: bytes) -> Callable[[bytes], ContactlessCard]:
    return lambda signature: ContactlessCard(
        UID, Type2Memory(ntag213(MESSAGE).pages, signature=signature), passes=passes
    )


@pytest.mark.parametrize(
    ("name", "passes", "expected"),
    [
        ("ACS ACR122U PICC Interface 00 00", DIRECT_TRANSMIT, ["FF00000004D4423C00"]),
        (
            "ACS ACR1252 Dual Reader [ACR1252 PICC] 00 00",
            TRANSPARENT,
            ["FFC20000028100", "FFC200010B5F460450C3000095023C0000", "FFC20000028200"],
        ),
    ],
)
async def test_a_pcsc_reader_passes_the_command_on(name: str, passes: bytes, expected: list[str]) -> None:
    made = storage(passes)
    card = made(SIGNATURE)
    scan = await card_scan(name, card)
    assert (scan.medium, scan.data, scan.signature) == (Medium.TAG, as_tag(URL), SIGNATURE)
    passed = [one.hex().upper() for one in card.heard if one.startswith(passes)]
    assert passed == expected
    copy = made(b"")
    scan = await card_scan(name, copy)
    assert (scan.data, scan.signature) == (as_tag(URL), b"")
    assert len([one for one in copy.heard if one.startswith(passes)]) == SIGNATURE_TRIES * len(expected)


async def test_other_kinds_at_a_pcsc_reader() -> None:
    card = ContactlessCard(UID, Type4Memory(lambda _tap: URL, signature=SIGNATURE_4), atr=ATR_TYPE_4)
    assert (await card_scan("OMNIKEY 5022", card)).signature == SIGNATURE_4
    assert (await card_scan("OMNIKEY 5022", ContactlessCard(UID, atr=ATR_CLASSIC))).signature == b""


async def test_a_reader_that_passes_nothing_on_says_so_and_refuses_nobody() -> None:
    """A venue that asked for signatures at such a reader would have every wristband turned away."""
    card = ContactlessCard(UID, signed(ntag213(MESSAGE)), atr=ATR_ULTRALIGHT)
    with pytest.raises(Misconfigured, match="passes no commands on") as told:
        await card_scan("Some Reader", card)
    assert "genuine_only" in told.value.hint
