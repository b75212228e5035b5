"""Writing a wristband at a desk: the right tag, all of it, read back; every way in which it does not come about is said."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.codecs import band, cose
from admission.credentials import Known, Medium, identify, tag_data
from admission.keys import IssuerKey, KeyFormat, KeyRing, kid_of
from drivers.sims.tag_reader import Pn532Chip, Type2Memory
from edge.complaint import Complaint
from edge.compose import tag_writer
from edge.write_tag import write_tag

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
RING = KeyRing([IssuerKey(kid_of(PUBLIC), PUBLIC, KeyFormat.TK1, 0)])
UID, OTHER = bytes.fromhex("04E10CDA993C80"), bytes.fromhex("04C1285A373080")
MESSAGE = band.mint(cose.Claims(ticket=7, event=1, issued_at=1_790_000_000, product=9), UID, KEY)
LIMIT_S = 20.0


def ntag213(access: int = 0) -> Type2Memory:
    """New from the maker."""
    head = bytes.fromhex("04E10C61DA993C80FF480000E11012") + bytes((access,))
    return Type2Memory(head + bytes.fromhex("0103A00C340300FE").ljust(144, b"\0") + bytes(20))


@pytest.fixture
async def chip(tmp_path: Path) -> AsyncIterator[Pn532Chip]:
    sim = Pn532Chip(tmp_path / "tty")
    sim.port.plug()
    yield sim
    sim.port.unplug()


async def written(sim: Pn532Chip, said: list[str], wait_s: float = LIMIT_S, *, lock: bool = False) -> None:
    writer = tag_writer(str(sim.port.link), UID, MESSAGE, lock)
    await asyncio.wait_for(write_tag(writer, UID, MESSAGE, said.append, wait_s), LIMIT_S)


async def test_a_band_is_written_and_a_gate_knows_it(chip: Pn532Chip) -> None:
    memory = ntag213()
    chip.memory, chip.tag = memory, UID
    said: list[str] = []
    await written(chip, said, lock=True)
    assert said == ["Hold the tag 04E10CDA993C80 to the reader."]
    assert memory.pages[16:18] == bytes((3, len(MESSAGE)))
    known = identify(tag_data(UID, memory.pages[18 : 18 + len(MESSAGE)]), Medium.TAG, RING, bytes(32))
    assert isinstance(known, Known)
    assert memory.answer(bytes.fromhex("A20400000000")) is None, "locked"


async def test_another_tag_is_left_as_it_is(chip: Pn532Chip) -> None:
    memory = ntag213()
    chip.memory, chip.tag = memory, OTHER
    said: list[str] = []
    with pytest.raises(Complaint, match="did not come"):
        await written(chip, said, wait_s=1.0)
    assert "another tag, 04C1285A373080" in said[1]
    assert memory.written == []


async def test_a_tag_that_cannot_be_written_is_said(chip: Pn532Chip) -> None:
    chip.memory, chip.tag = ntag213(access=0x0F), UID
    with pytest.raises(Complaint, match="could not be written"):
        await written(chip, [])
