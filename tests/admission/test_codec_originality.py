"""A chip's maker's signature: vectors of chips that exist, and everything that is none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.codecs.originality import SECP128R1_BYTES, SECP224R1_BYTES, is_original

CHIPS = {
    "NTAG21x": ("04E10CDA993C80", "8B76052EE42F5567BEB53238B3E3F9950707C0DCC956B5C5EFCFDB709B2D82B3"),
    "Ultralight EV1": (
        "04C1285A373080",
        "CEA2EB0B3C95D0844A95B824A7553703B3702378033BF0987899DB70151A19E7",
    ),
    "NTAG 424 DNA of AN12196": (
        "04518DFAA96180",
        (
            "D1940D17CFEDA4BFF80359AB975F9F6514313E8F90C1D3CAAF5941AD"
            "744A1CDF9A83F883CAFE0FE95D1939B1B7E47113993324473B785D21"
        ),
    ),
    "NTAG 424 DNA, another": (
        "0463474AA26A80",
        (
            "27E9A50E6CA4BA9037C02F7D20A80D0284D0C1D83C67F5A5AC1D8A4E"
            "F86C9508417E4E9C6F85AA7920F0ABDED984CAF20467D66EA54BBF08"
        ),
    ),
}
"""Of facts/hardware.md and of proxmark3's list of samples."""
PAIRS = [(bytes.fromhex(uid), bytes.fromhex(signature)) for uid, signature in CHIPS.values()]
ORDER = 0xFFFFFFFE0000000075A30D1B9038A115


@pytest.mark.parametrize(("uid", "signature"), PAIRS, ids=CHIPS)
def test_a_chip_of_the_maker_is_told_and_no_bit_of_it_can_be_another(uid: bytes, signature: bytes) -> None:
    assert is_original(uid, signature)
    for bit in range(8 * len(uid)):
        assert not is_original(_flipped(uid, bit), signature)
    for bit in range(0, 8 * len(signature), 7):
        assert not is_original(uid, _flipped(signature, bit))


def test_a_signature_is_one_chips_own() -> None:
    for uid, _ in PAIRS:
        for other, signature in PAIRS:
            assert is_original(uid, signature) is (uid == other)


def test_what_is_no_signature_is_none() -> None:
    uid, signature = PAIRS[0]
    half = SECP128R1_BYTES // 2
    r, s = signature[:half], signature[half:]
    for wrong in (
        b"",
        bytes(SECP128R1_BYTES),  # what cheap copies answer
        bytes(SECP224R1_BYTES),
        b"\xff" * SECP128R1_BYTES,
        b"\xff" * SECP224R1_BYTES,
        s + r,
        r + bytes(half),
        bytes(half) + s,
        r + (int.from_bytes(s, "big") + ORDER & (1 << 128) - 1).to_bytes(half, "big"),
        signature[:-1],
        signature + b"\0",
    ):
        assert not is_original(uid, wrong)
    assert not is_original(uid[:4], signature), "a random UID, or half of one"
    assert not is_original(b"", signature)


def test_the_other_of_the_two_signatures_that_an_ecdsa_key_can_make_is_one_too() -> None:
    """(r, n - s) verifies wherever (r, s) does: nothing is gained by it, and the arithmetic is held to it."""
    uid, signature = PAIRS[0]
    r, s = signature[:16], int.from_bytes(signature[16:], "big")
    assert is_original(uid, r + (ORDER - s).to_bytes(16, "big"))


@settings(max_examples=60)
@given(st.binary(max_size=12), st.binary(max_size=60))
def test_any_bytes_give_an_answer(uid: bytes, signature: bytes) -> None:
    assert not is_original(uid, signature)


def _flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")
