"""Readers without a code to scan: chosen on the page by a card whose number is known, and written as they are opened."""

import asyncio
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from drivers.base import Reader
from drivers.framing.wiegand import Bits, WiegandForm
from drivers.readers.pcsc import PcscConfig
from drivers.readers.pcsc import PcscReader as Pcsc
from drivers.readers.wiegand import WiegandConfig
from drivers.readers.wiegand import WiegandReader as Wiegand
from drivers.sims.gpio_chip import SimChips
from drivers.sims.pcsc_service import ATR_CLASSIC, ContactlessCard, SimService
from drivers.sims.wiegand_reader import BIT_NS, frame, framed
from edge import config
from edge.commission.contacts import Contact, Wired
from edge.commission.uid_form import known_cards
from edge.settings import (
    PcscReader,
    ReaderSettings,
    UidOrder,
    Way,
    WiegandBits,
    WiegandCarries,
    WiegandReader,
)
from tests.edge.commission.box import Box
from tests.edge.commission.test_pins import D0, D1, DOOR, HIGH_ON, OTHER_D0, OTHER_D1, PI, Rig, page

CARD = bytes.fromhex("04E10CDA993C80")
OTHER = bytes.fromhex("04E10CDA993C81")
WAIT_S = 10.0


async def chosen(rig: Rig) -> list[str]:
    """Wait until a reader was chosen for the first lane's first seat of tags."""
    async with asyncio.timeout(WAIT_S):
        while True:
            state = await rig.state()
            found = [one["chosen"] for one in state["lanes"][0]["seats"] if one["chosen"]]
            if found and state["asked"] is None:
                return found
            await asyncio.sleep(0.02)


async def test_a_pc_sc_reader_is_chosen_by_a_known_card_and_written_by_its_name(tmp_path: Path) -> None:
    service = SimService()
    names = {
        "ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] (RR1) 00 00": "RR1",
        "ACS ACR1252 Dual Reader [ACR1252 Dual Reader SAM] (RR1) 00 01": "",
        "ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] (RR2) 01 00": "RR2",
    }
    for name in names:
        service.plug(name)

    def plug(box: Box) -> None:
        box.pcsc()
        for at in (1, 2):
            box.usb(f"1-{at}", "072f:223b", "ACR1252 Dual Reader", serial=f"RR{at}")

    def reader(settings: ReaderSettings) -> Reader:
        assert isinstance(settings, PcscReader)
        return Pcsc(PcscConfig(settings.reader), service)

    async with page(tmp_path, plug=plug, reader=reader) as rig:
        await rig.do("commission/plan", {"name": "North", "lanes": [{"name": "A"}]})
        seat = {"lane": 1, "way": "entry", "medium": "uid"}
        await rig.do("commission/ask", {**seat, "uid": CARD.hex(":")})
        async with asyncio.timeout(WAIT_S):
            while not all(one["listening"] for one in (await rig.state())["devices"]):
                await asyncio.sleep(0.02)
        first, _, second = names
        await service.tap(first, ContactlessCard(OTHER, atr=ATR_CLASSIC))
        assert (await rig.state())["asked"] is not None  # another card is nobody's answer
        await service.tap(second, ContactlessCard(CARD, atr=ATR_CLASSIC))
        assert await chosen(rig) == ["ACS ACR1252U"]
        await rig.do("commission/write", {})
    (lane,) = config.load(rig.path, {}).lanes
    assert lane.readers == (PcscReader(id=1, way=Way.ENTRY, reader="RR2"),)


def hold(rig: Rig, bits: str) -> None:
    """Hold a card to the Wiegand reader on D0 and D1."""
    began_ns = time.monotonic_ns()
    rig.chip.pulse([(D1 if bit == "1" else D0, began_ns + at * BIT_NS) for at, bit in enumerate(bits)])


PLAIN = WiegandReader(id=1, way=Way.ENTRY, chip=PI, d0=D0, d1=D1, bits=WiegandBits.W26)
UID = "04A1B2C3"


@pytest.mark.parametrize(
    ("bits", "card", "others", "sent", "learned"),
    [
        (26, "041,41394", frame(41, 41395), frame(41, 41394), {}),
        (37, "41 / 300000", frame(41, 41394, 37), frame(41, 300_000, 37), {"bits": WiegandBits.W37}),
        (
            34,
            UID,
            frame(41, 41394, 34),
            framed(f"{int.from_bytes(bytes.fromhex(UID)[::-1]):032b}"),
            {"bits": WiegandBits.W34, "carries": WiegandCarries.UID, "uid_order": UidOrder.LITTLE},
        ),
    ],
)
async def test_a_wiegand_reader_is_chosen_by_a_known_card_on_the_lines_that_a_person_names(
    tmp_path: Path, bits: int, card: str, others: str, sent: str, learned: dict[str, object]
) -> None:
    def reader(settings: ReaderSettings) -> Reader:
        assert isinstance(settings, WiegandReader)
        form = WiegandForm(Bits(settings.bits.value))
        return Wiegand(
            WiegandConfig(settings.chip, settings.d0, settings.d1, form), SimChips(str(tmp_path / "chips"))
        )

    async with page(tmp_path, reader=reader) as rig:
        for line in (D0, D1):
            rig.chip.drive(line, high=True)
        await rig.do("commission/plan", {"name": "North", "lanes": [{"name": "A"}]})
        wire = {"chip": PI, "d0": D0, "d1": D1, "bits": bits}
        await rig.do("commission/wire", wire | {"d1": D0}, "commission.no_board")
        await rig.do("commission/wire", wire | {"d1": 0}, "commission.no_board")  # no line of the header
        await rig.do("commission/wire", wire | {"d0": OTHER_D0, "d1": OTHER_D1})
        await rig.do("commission/no-wire", {"key": f"wires:{PI}:{OTHER_D0}:{OTHER_D1}"})
        await rig.do("commission/wire", wire)
        await rig.do("commission/pulse-pin", {"chip": PI, "offset": D0}, "commission.is_reader")
        await rig.do("commission/ask", {"lane": 1, "way": "entry", "medium": "uid", "uid": card})
        async with asyncio.timeout(WAIT_S):
            while [one["listening"] for one in (await rig.state())["devices"]] != [True]:
                await asyncio.sleep(0.02)
        hold(rig, others)
        async with asyncio.timeout(WAIT_S):
            while [one["heard"] for one in (await rig.state())["devices"]] != [1]:
                await asyncio.sleep(0.02)
        assert (await rig.state())["asked"] is not None
        hold(rig, sent)
        assert await chosen(rig) == [f"Wiegand, GPIO {D0}/{D1}"]
        await rig.do("commission/write", {})
    (lane,) = config.load(rig.path, {}).lanes
    assert lane.readers == (replace(PLAIN, **learned),)


async def test_lines_with_a_relay_or_a_contact_are_no_wires(tmp_path: Path) -> None:
    async with page(tmp_path) as rig:
        await rig.do("commission/plan", {"name": "North", "lanes": [{"name": "A"}]})
        session = rig.shell.session
        session.use_pin(PI, HIGH_ON, active_low=False, lane=1, way=Way.ENTRY)
        session.lanes[1].contacts[Contact.ENTRY] = Wired(f"gpio:{PI}", DOOR, active_low=True)
        for taken in (HIGH_ON, DOOR):
            wire = {"chip": PI, "d0": D0, "d1": taken, "bits": 26}
            await rig.do("commission/wire", wire, "commission.is_contact")
        assert session.wired == {}


@pytest.mark.parametrize(
    ("text", "cards"),
    [
        ("041,41394", {"571A00000029A1B2", "572200000029A1B2", "572500000148A1B2"}),
        ("300:1", {"57220000012C0001", "5725000009600001"}),
        ("1,600000", set()),
        ("41394", set()),
        ("70000,1", set()),
    ],
)
def test_what_is_printed_on_a_card_is_what_frames_make_of_it(text: str, cards: set[str]) -> None:
    assert known_cards(text) == {bytes.fromhex(one) for one in cards}
