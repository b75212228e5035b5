"""Wiegand: literal frames whole, pulse by pulse and cut anywhere; what is in doubt is none; wires that tell nothing are told."""

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import RANDOM_UID, DeviceGone, Garbled, Medium, Misconfigured, Opened, ReaderEvent, Scan
from drivers.framing.uid import ByteOrder
from drivers.framing.wiegand import (
    BIT_COUNT,
    BITS_MAX,
    EDGES_LOST,
    GLITCH,
    PARITY,
    Bits,
    Carries,
    Pulse,
    WiegandForm,
    WiegandFramer,
    credential,
)
from drivers.readers.wiegand import WiegandConfig, WiegandReader
from drivers.sims.gpio_chip import SimChips
from drivers.sims.wiegand_reader import D0, D1, WiegandSim, frame, framed
from drivers.transport.gpiochip import Bias, InputLine, Watched, kernel_settings
from tests.drivers.reader_rig import running, scanned

MS = 1_000_000
GAP_NS = 30 * MS
W26, W34, W37 = (WiegandForm(size) for size in Bits)
UID34 = WiegandForm(Bits.W34, Carries.UID)
UID34_LAST = WiegandForm(Bits.W34, Carries.UID, ByteOrder.UID0_LAST)

# Written out by hand: parity, facility, card, parity.
VECTORS = [
    ("H10301, facility 1, card 1", W26, "1 00000001 0000000000000001 0", "571A000000010001"),
    ("H10301, facility 41, card 41394", W26, "1 00101001 1010000110110010 0", "571A00000029A1B2"),
    ("H10301, all ones", W26, "0 11111111 1111111111111111 1", "571A000000FFFFFF"),
    ("34, facility 1185, card 45763", W34, "0 0000010010100001 1011001011000011 1", "5722000004A1B2C3"),
    ("H10304, facility 1, card 2", W37, "1 0000000000000001 0000000000000000010 0", "5725000000080002"),
    ("H10302, card 34359738367", W37, "0 11111111111111111111111111111111111 1", "57250007FFFFFFFF"),
    ("34 with a UID", UID34, "0 0000010010100001 1011001011000011 1", "04A1B2C3"),
    ("34 with a UID, last byte first", UID34_LAST, "0 1100001110110010 1010000100000100 1", "04A1B2C3"),
]


def bits_of(text: str) -> list[int]:
    return [int(one) for one in text.replace(" ", "")]


def pulses(bits: str, at_ns: int = MS, apart_ns: int = MS) -> list[Pulse]:
    return [Pulse(bit, at_ns + number * apart_ns) for number, bit in enumerate(bits_of(bits))]


def fed(form: WiegandForm, beats: list[Pulse], cuts: list[int]) -> list[Scan | Garbled]:
    framer = WiegandFramer(form, gap_ns=GAP_NS)
    places = [0, *sorted(min(cut, len(beats)) for cut in cuts), len(beats)]
    out: list[Scan | Garbled] = []
    for start, end in pairwise(places):
        out += framer.feed(beats[start:end])
    if framer.deadline_ns is not None:
        out += framer.quiet(framer.deadline_ns - 1)
        out += framer.quiet(framer.deadline_ns)
    assert framer.deadline_ns is None
    return out


@pytest.mark.parametrize(
    ("form", "bits", "data"), [one[1:] for one in VECTORS], ids=[one[0] for one in VECTORS]
)
def test_vector(form: WiegandForm, bits: str, data: str) -> None:
    beats = pulses(bits)
    for cuts in ([], list(range(40))):
        (scan,) = fed(form, beats, cuts)
        assert isinstance(scan, Scan)
        assert (scan.data, scan.medium) == (bytes.fromhex(data), Medium.UID)
        assert (scan.first_ns, scan.last_ns) == (MS, len(beats) * MS)


@settings(max_examples=60)
@given(st.integers(0, 255), st.integers(0, 65_535), st.lists(st.integers(0, 60), max_size=8))
def test_two_cards_in_random_splits(facility: int, card: int, cuts: list[int]) -> None:
    first, second = frame(facility, card), frame(255 - facility, card)
    beats = pulses(first) + pulses(second, at_ns=MS * 100)
    told = [one.data for one in fed(W26, beats, cuts) if isinstance(one, Scan)]
    made = [bytes((0x57, 26, 0, 0, 0, one)) + card.to_bytes(2, "big") for one in (facility, 255 - facility)]
    assert told == made


@pytest.mark.parametrize("form", [W26, W34, W37])
def test_a_wrong_bit_is_no_card(form: WiegandForm) -> None:
    whole = bits_of(framed(f"{0x0A5A5A5A5 & (1 << form.bits.value - 2) - 1:0{form.bits.value - 2}b}"))
    assert isinstance(credential(whole, form), bytes)
    for at in range(len(whole)):
        wrong = [*whole[:at], 1 - whole[at], *whole[at + 1 :]]
        # The middle bit of 37 is under both parities, and so is caught by either.
        assert credential(wrong, form) == PARITY, at


def test_lost_pulses_never_make_another_card() -> None:
    chance = random.Random(5)
    codes = set()
    for number in range(500):
        beats = [one for one in pulses(frame(1, number)) if chance.random() >= 0.2]
        codes |= {one.data for one in fed(W26, beats, []) if isinstance(one, Scan)}
    assert codes <= {bytes.fromhex("571A000000") + b"\x01" + n.to_bytes(2, "big") for n in range(500)}


def test_a_frame_of_another_size_is_none_however_its_first_bits_add_up() -> None:
    for number in range(64):
        (garbled,) = fed(W26, pulses(frame(number, number, 37)), [])
        assert garbled == Garbled(BIT_COUNT, 37, 37 * MS)


def test_pulses_that_no_reader_makes() -> None:
    beats = pulses(frame(1, 1))
    ringing = sorted([*beats, Pulse(1, beats[7].at_ns + 20_000)], key=lambda one: one.at_ns)
    (garbled, scan) = fed(W26, ringing + pulses(frame(2, 2), 100 * MS), [])
    assert isinstance(garbled, Garbled)
    assert garbled.why == GLITCH
    assert isinstance(scan, Scan)
    (noise,) = fed(W26, pulses("01" * 5_000), [])
    assert noise == Garbled(BIT_COUNT, BITS_MAX, 10_000 * MS)


def test_pulses_that_the_kernel_lost_take_both_frames_along() -> None:
    framer = WiegandFramer(W26, gap_ns=GAP_NS)
    assert framer.feed(pulses(frame(1, 1))) == []
    framer.lose(100 * MS)
    assert framer.feed(pulses(frame(2, 2), 100 * MS)) == []
    (garbled,) = framer.quiet(200 * MS)
    assert isinstance(garbled, Garbled)
    assert garbled.why == EDGES_LOST


def test_a_random_uid_is_nobodys() -> None:
    assert credential(bits_of(framed(f"{0x08A1B2C3:032b}")), UID34) == RANDOM_UID


@pytest.mark.parametrize("bits", ["", "0" * 26, "0" * 25, "1" * 200])
def test_what_is_no_frame(bits: str) -> None:
    assert isinstance(credential(bits_of(bits), W26), str)


# --- on wires ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[WiegandSim]:
    made = WiegandSim(tmp_path / "header")
    made.port.plug()
    yield made
    made.port.unplug()


def reader(tmp_path: Path, form: WiegandForm = W26) -> WiegandReader:
    return WiegandReader(WiegandConfig("header", D0, D1, form), SimChips(str(tmp_path)))


async def test_edges_that_the_chip_lost(tmp_path: Path, sim: WiegandSim) -> None:
    assert sim.port.chip is not None
    async with running(reader(tmp_path)) as (listener, _):
        sim.port.chip.lose_edges(2)
        sim.send(frame(1, 1))
        garbled = await listener.next()
        assert isinstance(garbled, Garbled)
        assert garbled.why == EDGES_LOST
        sim.send(frame(1, 2))
        assert scanned(await listener.next())[1] == bytes.fromhex("571A000000010002")


@pytest.mark.parametrize("line", [D0, D1])
async def test_a_line_that_stays_low_is_told(tmp_path: Path, sim: WiegandSim, line: int) -> None:
    """At the start, and within a second when it happens later."""
    assert sim.port.chip is not None
    async with running(reader(tmp_path)) as (_, task):
        began = time.monotonic()
        sim.port.chip.drive(line, high=False)
        with pytest.raises(DeviceGone, match=f"D{line}") as gone:
            await task
        assert time.monotonic() - began < 1.0
        assert "power" in gone.value.hint
    with pytest.raises(DeviceGone, match=f"D{line}"):
        async with running(reader(tmp_path)):
            raise AssertionError("opened on a dead line")


async def test_what_a_babbling_line_sends_is_no_card(tmp_path: Path, sim: WiegandSim) -> None:
    sim.bit_ns = 50_000
    said: list[ReaderEvent] = []
    async with running(reader(tmp_path)) as (listener, task):
        since_ns = time.monotonic_ns() - 10_000 * MS
        for _ in range(20):
            sim.send("01" * 200, since_ns=since_ns)
            said.append(await listener.next())
        assert not task.done()
    assert all(isinstance(one, Garbled) for one in said)
    assert isinstance(listener.seen[0], Opened)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (WiegandConfig("header", 2, 2, W26), "one line"),
        (WiegandConfig("header", 2, 3, W26, gap_ms=20), "gap_ms is 20"),
        (WiegandConfig("header", 2, 3, WiegandForm(Bits.W26, Carries.UID)), "26 bits hold no UID"),
    ],
)
def test_what_cannot_be(tmp_path: Path, config: WiegandConfig, match: str) -> None:
    with pytest.raises(Misconfigured, match=match) as wrong:
        WiegandReader(config, SimChips(str(tmp_path)))
    assert wrong.value.hint


async def test_lines_in_use_are_told(tmp_path: Path, sim: WiegandSim) -> None:
    async with running(reader(tmp_path)):
        with pytest.raises(DeviceGone, match="in use"):
            async with running(reader(tmp_path)):
                raise AssertionError("two had one line")


def test_our_pulses_as_gpiod_settings() -> None:
    """Only the beginnings, unfiltered: of both edges the kernel tells by the level that it finds a moment later."""
    gpiod = pytest.importorskip("gpiod")
    line = gpiod.line
    ours = InputLine(23, active_low=True, bias=Bias.PULL_UP, debounce_ms=0, watched=Watched.ACTIVE)
    assert kernel_settings(ours) == gpiod.LineSettings(
        direction=line.Direction.INPUT,
        active_low=True,
        bias=line.Bias.PULL_UP,
        edge_detection=line.Edge.RISING,
        debounce_period=timedelta(0),
    )
