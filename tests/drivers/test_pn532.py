"""PN532 frames: the vectors of facts/hardware.md, fed whole, byte by byte, in random splits and with noise."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import Garbled
from drivers.framing.pn532 import FROM_CHIP, TO_CHIP, Answer, Frames, Heard, Sign, encode
from drivers.framing.pn532_dialect import FEW_RETRIES, GET_FIRMWARE, LIST_TYPE_A, SAM_NORMAL, Pn532

GAP_NS = 50_000_000

VECTORS = [
    ("GetFirmwareVersion", GET_FIRMWARE, "00 00 FF 02 FE D4 02 2A 00"),
    ("SAMConfiguration of nfcpy", bytes.fromhex("14010000"), "00 00 FF 05 FB D4 14 01 00 00 17 00"),
    ("RFConfiguration MaxRetries", FEW_RETRIES, "00 00 FF 06 FA D4 32 05 FF 01 01 F4 00"),
    ("InListPassiveTarget", LIST_TYPE_A, "00 00 FF 04 FC D4 4A 01 00 E1 00"),
    ("READ_SIG through InCommunicateThru", bytes.fromhex("423C00"), "00 00 FF 04 FC D4 42 3C 00 AE 00"),
]

LISTED = bytes.fromhex("0000FF00FF00 0000FF0CF4 D54B0101000408 04D1AA40EA 29 00")
"""What a chip sent for a card: ACK, and the answer (LD_NFC, its comments)."""


def feed(frames: Frames, data: bytes, cuts: list[int]) -> list[Heard]:
    out: list[Heard] = []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for now, (start, end) in enumerate(pairwise(places), 1):
        if start < end:
            out += frames.feed(data[start:end], now)
    if frames.deadline_ns is not None:
        out += frames.quiet(frames.deadline_ns)
    return out


def told(heard: list[Heard]) -> list[bytes | Sign]:
    return [
        bytes([one.code]) + one.data if isinstance(one, Answer) else one
        for one in heard
        if not isinstance(one, Garbled)
    ]


@pytest.mark.parametrize(("data", "written"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS])
def test_vector(data: bytes, written: str) -> None:
    assert encode(data) == bytes.fromhex(written)
    for cuts in ([], list(range(20))):
        assert told(feed(Frames(gap_ns=GAP_NS, tfi=TO_CHIP), bytes.fromhex(written), cuts)) == [data]


@pytest.mark.parametrize("sign", Sign)
def test_frames_without_data(sign: Sign) -> None:
    for cuts in ([], list(range(9))):
        assert told(feed(Frames(gap_ns=GAP_NS), sign.value, cuts)) == [sign]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 30), max_size=8))
def test_a_chips_own_answer_in_random_splits(cuts: list[int]) -> None:
    heard = feed(Frames(gap_ns=GAP_NS), LISTED, cuts)
    assert told(heard) == [Sign.ACK, bytes.fromhex("4B010100040804D1AA40EA")]
    assert Pn532(gap_ns=GAP_NS, answer_ns=1).uid(bytes.fromhex("4B010100040804D1AA40EA")) == bytes.fromhex(
        "D1AA40EA"
    )


frame = st.binary(min_size=1, max_size=264) | st.sampled_from(list(Sign))
cut_at = st.lists(st.integers(0, 900), max_size=10)


@settings(max_examples=80)
@given(st.lists(frame, max_size=4), cut_at)
def test_frames_in_random_splits(sent: list[bytes | Sign], cuts: list[int]) -> None:
    data = b"".join(one.value if isinstance(one, Sign) else encode(one, FROM_CHIP) for one in sent)
    heard = feed(Frames(gap_ns=GAP_NS), data, cuts)
    assert told(heard) == sent
    assert len(heard) == len(sent)


@settings(max_examples=80)
@given(st.binary(max_size=20), st.binary(min_size=1, max_size=40), st.binary(max_size=20), cut_at)
def test_noise_costs_no_frame(before: bytes, data: bytes, after: bytes, cuts: list[int]) -> None:
    heard = feed(Frames(gap_ns=GAP_NS), before + encode(data, FROM_CHIP) + after, cuts)
    assert data in told(heard)


@pytest.mark.parametrize("at", [3, 4, 5, 6, 7])
def test_a_wrong_byte_is_no_frame(at: int) -> None:
    data = bytearray(encode(b"\x4b\x00", FROM_CHIP))
    data[at] ^= 0x20
    assert told(feed(Frames(gap_ns=GAP_NS), bytes(data), [])) == []


def test_too_much_for_a_frame() -> None:
    with pytest.raises(ValueError, match="265"):
        encode(bytes(265))


@pytest.mark.parametrize(
    ("answer", "uid"),
    [
        ("4B00", b""),
        ("4B010100440007 04E10CDA993C80", bytes.fromhex("04E10CDA993C80")),
        ("4B010100040804 D1AA40EA 0578", bytes.fromhex("D1AA40EA")),  # an ATS behind it
        ("4B010100040804 D1AA40", None),
        ("4B010100040805 D1AA40EA00", None),
        ("4B01", None),
        ("4B", None),
    ],
)
def test_uid_in_an_answer(answer: str, uid: bytes | None) -> None:
    assert Pn532(gap_ns=1, answer_ns=1).uid(bytes.fromhex(answer)) == uid


def test_what_a_chip_says_of_itself() -> None:
    dialect = Pn532(gap_ns=1, answer_ns=1)
    assert dialect.name(GET_FIRMWARE, bytes.fromhex("0332010607")) == "PN532 firmware 1.6"
    assert dialect.name(SAM_NORMAL, b"\x15") == ""
    assert dialect.frame(GET_FIRMWARE, again=False).startswith(b"\x55\x55\x00")
    assert dialect.frame(SAM_NORMAL, again=False) == bytes.fromhex("0000FF05FBD4140114010200")
