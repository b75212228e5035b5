"""Readers without a code to scan: chosen on the page by a card whose number is known, and written as they are opened."""

import asyncio
from pathlib import Path

from drivers.base import Reader
from drivers.readers.pcsc import PcscConfig
from drivers.readers.pcsc import PcscReader as Pcsc
from drivers.sims.pcsc_service import ATR_CLASSIC, ContactlessCard, SimService
from edge import config
from edge.settings import PcscReader, ReaderSettings, Way
from tests.edge.commission.box import Box
from tests.edge.commission.test_pins import Rig, page

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
