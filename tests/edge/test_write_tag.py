"""Writing a wristband at a desk: the right tag, all of it, read back; every way in which it does not come about is said."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.codecs import band, cose
from admission.credentials import Known, Medium, identify, tag_data
from admission.digests import CredentialKind, digest
from admission.keys import IssuerKey, KeyFormat, KeyRing, kid_of
from admission.records import Kind, Record
from drivers.sims.tag_reader import Pn532Chip, Type2Memory
from edge.complaint import Complaint
from edge.compose import tag_writer
from edge.front.pin import TRIES_FREE, PinLock, new_pin
from edge.link import CHECK_IN
from edge.write_tag import recorded, unlocked, write_tag
from tests.edge.rig import DIGEST_KEY, GATE, Gate, assert_verifies, row, running

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
RING = KeyRing([IssuerKey(kid_of(PUBLIC), PUBLIC, KeyFormat.TK1, 0)])
UID, OTHER = bytes.fromhex("04E10CDA993C80"), bytes.fromhex("04C1285A373080")
MESSAGE = band.mint(cose.Claims(ticket=7, event=1, issued_at=1_790_000_000, product=9), UID, KEY)
LIMIT_S = 20.0


def ntag213(access: int = 0) -> Type2Memory:
    """New from the maker."""
    head = bytes.fromhex("04E10C61DA993C80FF480000E11012") + bytes((access,))
    return Type2Memory(
        head + bytes.fromhex("0103A00C340300FE").ljust(144, b"\0") + bytes.fromhex("000000BD") + bytes(16)
    )


@pytest.fixture
async def chip(tmp_path: Path) -> AsyncIterator[Pn532Chip]:
    sim = Pn532Chip(tmp_path / "tty")
    sim.port.plug()
    yield sim
    sim.port.unplug()


async def written(sim: Pn532Chip, said: list[str], wait_s: float = LIMIT_S, *, lock: bool = False) -> None:
    writer = tag_writer(str(sim.port.link), UID, MESSAGE, lock)
    await asyncio.wait_for(write_tag(writer, UID, MESSAGE, said.append, wait_s, lock=lock), LIMIT_S)


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


async def test_a_tag_that_does_not_say_that_it_is_locked_is_not_told_as_locked(chip: Pn532Chip) -> None:
    memory = ntag213()
    memory.deaf = frozenset({2})
    chip.memory, chip.tag = memory, UID
    with pytest.raises(Complaint, match="carries the message, but does not say that it is locked"):
        await written(chip, [], lock=True)
    assert memory.pages[18 : 18 + len(MESSAGE)] == MESSAGE


# --- who may ------------------------------------------------------------------------------------------------------

STEWARD = 4711


def bands_of(gate: Gate) -> list[Record]:
    return [one for one in gate.records() if one.kind is Kind.BIND]


async def test_each_band_is_recorded_before_it_is_written_and_counted(tmp_path: Path) -> None:
    def limited(text: str) -> str:
        return text + "\n[staff]\ntags_per_hour = 2\n"

    async with running(tmp_path, [row(7)], adjust=limited) as gate:
        await gate.ready()
        await recorded(gate.data, UID, STEWARD)
        (record,) = bands_of(gate)
        assert (record.subject, record.ticket) == (digest(CredentialKind.BAND, UID, DIGEST_KEY), None)
        assert STEWARD.to_bytes(4, "big") in b"".join(
            one.blob for one in gate.reader().records(GATE, gate.daemon.journal.epoch, record.seq, 1)
        )
        with pytest.raises(Complaint, match="your number"):
            await recorded(gate.data, UID, 0)
        await recorded(gate.data, OTHER, STEWARD)
        with pytest.raises(Complaint, match="2 are allowed"):
            await recorded(gate.data, UID, STEWARD)
        await recorded(gate.data, UID, STEWARD + 1)
        assert len(bands_of(gate)) == 3
        assert not [one for one in gate.daemon.scans.rows if one.kind == CHECK_IN], (
            "it is no bind of a ticket"
        )
    async with running(tmp_path, adjust=limited) as gate:
        await gate.ready()
        assert not [one for one in gate.daemon.scans.rows if one.kind == CHECK_IN]
        with pytest.raises(Complaint, match="2 are allowed"):
            await recorded(gate.data, UID, STEWARD)  # also after a start
    with pytest.raises(Complaint, match="does not run"):
        await recorded(tmp_path / "data", UID, STEWARD)
    assert_verifies(tmp_path / "data")


def test_no_band_is_written_without_the_pin_and_wrong_ones_count(tmp_path: Path) -> None:
    now_s = [1000.0]
    lock = PinLock(tmp_path, lambda: now_s[0], lambda: now_s[0])
    with pytest.raises(Complaint, match="no PIN yet"):
        unlocked(lock, "12345678")
    pin = new_pin(tmp_path)
    wrong = "00000000" if pin != "00000000" else "11111111"
    for _ in range(TRIES_FREE - 1):
        with pytest.raises(Complaint, match="not the PIN"):
            unlocked(lock, wrong)
    with pytest.raises(Complaint, match="too many"):
        unlocked(lock, wrong)
    with pytest.raises(Complaint, match="too many"):
        unlocked(lock, pin)
    now_s[0] += 3600
    unlocked(lock, pin)
