"""sig1: pretix's own vectors, tampering, second spellings, and protobuf of every kind."""

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.codecs import sig1
from admission.codecs.sig1 import Claims, looks_like, mint, verify
from admission.keys import Broken, IssuerKey, KeyFormat, KeyRing, NoKey, Verified, kid_of

VECTORS: dict[str, Any] = json.loads((Path(sig1.__file__).parent / "vectors.json").read_text())
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
EVENTS = {"test": 3, "pretix0": 10, "pretix1": 11}
KEYS = {
    name: IssuerKey(
        kid_of(bytes.fromhex(key["public"])), bytes.fromhex(key["public"]), KeyFormat.SIG1, EVENTS[name]
    )
    for name, key in VECTORS["keys"].items()
}
RING = KeyRing(KEYS.values())
V1 = (
    b"E4BibyTSylQOgeKjuMPiTDxi5HXPuTVsx1qCli3IL0143gj0EZXOB9iQInANxRFJTt4Pf9nXnHdB91Qk/RN0L5AIBABSxw2TKFnSUNUC"
    b"KAEAPAQA"
)
V2 = (
    b"==QCiFO1apLFypH1BXorPlbn4efNA0aCAsO1Z2hsmY/hKTI3/UVSlON/Vw8WSYof/1tz5tepBltUAg4GnzpOBSSlqARYhFWYhFWYhFWC"
    b"KAEANAQA"
)
V3 = (
    b"Ok4EsqDRCr2cL6yDRtqeP7j5Usr1Vj1Db7J0izOuRGx6Qn0BS1ISW2nxlW8PXkYRk7PJhIBmsK1V1ucq5obBoBAMG4p9jCPKBAheRdFV"
    b"0REVDZUCKAEAVAQA"
)


def sealed(payload: bytes) -> bytes:
    """A correctly signed sig1 text of any payload."""
    raw = b"\x01" + len(payload).to_bytes(2, "big") + b"\x00\x40" + payload + PRIVATE.sign(payload)
    return b64encode(raw)[::-1]


def test_the_keys_of_pretix_tests_are_those_published_as_spki() -> None:
    for name, spki in (
        ("pretix0", "MCowBQYDK2VwAyEA7AD7/vFA33EsY4z2PHr7iZPsZ8n5dh0ajP8gyzNmmIs="),
        ("pretix1", "MCowBQYDK2VwAyEAYMJsOnLp5AWGpJ+dFJE2r9DOXeQIZgVrCt93LAl5BN8="),
    ):
        raw = load_der_public_key(b64decode(spki)).public_bytes_raw()  # type: ignore[union-attr]  # is Ed25519
        assert raw == KEYS[name].public


@pytest.mark.parametrize(
    ("text", "claims", "key"),
    [
        (V1, Claims("CTJqJOl1H", item=1, subevent=14, event=10), "pretix0"),
        (V2, Claims("aaaaaaaaa", item=42, event=11), "pretix1"),
        (V3, Claims("FCTDtTWQz", item=1, valid_from=1675465200, event=11), "pretix1"),
    ],
)
def test_pretix_vectors(text: bytes, claims: Claims, key: str) -> None:
    assert looks_like(text)
    assert verify(text, RING) == Verified(claims, KEYS[key])


def test_facts_vector_is_read_and_minted_alike() -> None:
    text = (
        b"==QAVM4MmurpnQ5LjYxSkN3hPadYiY4Y3TYLoLOwQB7RyxHPCKjcEjXXgkHlrnoQBrEY9PPlnaI6lVT8CNtaIAWuGUtyaCIMGUNx3DI"
        b"Kncf8gcAxADhSodjZFR2MiFUCKAEAfAQA"
    )
    payload = bytes.fromhex("0a0941623364456637684a10c0c40720f1f7272880f7c4d50630809acad506")
    claims = Claims(
        "Ab3dEf7hJ", item=123456, subevent=654321, valid_from=1790000000, valid_until=1790086400, event=3
    )
    assert verify(text, RING) == Verified(claims, KEYS["test"])
    assert mint(claims, PRIVATE).encode() == text == sealed(payload)


@pytest.mark.parametrize("case", VECTORS["sig1"], ids=lambda case: case["name"])
def test_published_vector(case: dict[str, Any]) -> None:
    match verify(case["text"].encode(), RING):
        case Verified(claims, key):
            assert claims == Claims(**case["claims"], event=key.event)
            assert key is KEYS[case["key"]]
            if case.get("minted"):
                assert mint(claims, PRIVATE) == case["text"]
        case NoKey():
            assert case["refused"] == "unknown_issuer"
        case Broken(why):
            assert case["refused"] == why
        case other:
            pytest.fail(f"{other}")


def test_only_the_keys_of_the_ring_count() -> None:
    assert verify(V1, KeyRing([KEYS["pretix1"]])) == NoKey(b"")
    assert verify(V1, KeyRing([])) == NoKey(b"")
    as_tk1 = IssuerKey(KEYS["pretix0"].kid, KEYS["pretix0"].public, KeyFormat.TK1, 10)
    assert verify(V1, KeyRing([as_tk1])) == NoKey(b"")


def test_the_private_key_pretix_publishes_for_its_tests_mints_for_its_second_key() -> None:
    private = load_der_private_key(
        b64decode("MC4CAQAwBQYDK2VwBCIEIIgtvQf/YppO86KRPr7UZT386B+2dQP3zhPW2DzNeU+y"), password=None
    )
    assert isinstance(private, Ed25519PrivateKey)
    claims = Claims("aaaaaaaaa", item=42, event=11)
    assert mint(claims, private).encode() == V2
    assert verify(V2, RING) == Verified(claims, KEYS["pretix1"])


@pytest.mark.parametrize("text", [V1, V2, V3])
def test_every_bit_of_the_text_is_guarded(text: bytes) -> None:
    for bit in range(len(text) * 8):
        turned = bytearray(text)
        turned[bit // 8] ^= 1 << bit % 8
        assert not isinstance(verify(bytes(turned), RING), Verified), bit


def test_a_text_has_one_spelling() -> None:
    """The digest is of the text: a second spelling of a good ticket would be a second ticket."""
    assert b64decode(V2[::-1]) == b64decode(V2.replace(b"==QC", b"==RC")[::-1])
    spellings = [
        V2.replace(b"==QC", b"==RC"),
        V2.replace(b"==QC", b"==fC"),
        V2[2:],
        V2[1:],
        b"=" + V2,
        V2.replace(b"/", b"_"),
        V2 + b"\n",
        b" " + V2,
        V2[:50] + b"\r\n" + V2[50:],
        V2[::-1],
        V1 + b"=",
        b"AAAA" + V1,
    ]
    for spelling in spellings:
        assert isinstance(verify(spelling, RING), Broken), spelling


@given(
    st.builds(
        Claims,
        seed=st.text(st.characters(codec="utf-8"), max_size=9),
        item=st.integers(0, 2**63 - 1),
        variation=st.integers(0, 2**63 - 1),
        subevent=st.integers(0, 2**63 - 1),
        valid_from=st.integers(0, 2**40),
        valid_until=st.integers(0, 2**40),
        event=st.just(3),
    )
)
@settings(max_examples=150)
def test_what_is_minted_is_read_back(claims: Claims) -> None:
    text = mint(claims, PRIVATE).encode()
    assert verify(text, RING) == Verified(claims, KEYS["test"])
    assert looks_like(text)


@pytest.mark.parametrize(
    "claims",
    [Claims("x" * 65, 1), Claims("x", -1), Claims("x", 2**63), Claims("x", 1, valid_until=2**40 + 1)],
)
def test_what_no_gate_would_accept_is_not_minted(claims: Claims) -> None:
    with pytest.raises(ValueError, match=r"seed|times"):
        mint(claims, PRIVATE)


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (b"", Claims("", 0, event=3)),
        (b"\x10\x05\x10\x06", Claims("", 6, event=3)),  # proto3: the last one counts
        (b"\x10\x85\x80\x00", Claims("", 5, event=3)),
        (b"\x38\x07\x10\x01", Claims("", 1, event=3)),  # fields of a later version are read over
        (b"\x3a\x02xx\x10\x01", Claims("", 1, event=3)),
        (b"\x3d\x00\x00\x00\x00\x10\x01", Claims("", 1, event=3)),
        (b"\x39" + bytes(8) + b"\x10\x01", Claims("", 1, event=3)),
        (b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "claims"),  # -1
        (b"\x12\x01\x05", "claims"),  # item as bytes
        (b"\x08\x05", "claims"),  # seed as number
        (b"\x0a\x01\xff", "claims"),  # half UTF-8
        (b"\x0a\x41" + b"x" * 65, "claims"),
        (b"\x28\x81\x80\x80\x80\x80\x80\x01", "claims"),  # valid from 2^42 + 1
        (b"\x10", "protobuf"),
        (b"\x10\x80", "protobuf"),
        (b"\x10" + b"\x80" * 10 + b"\x01", "protobuf"),
        (b"\x0a\x05abc", "protobuf"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "protobuf"),
        (b"\x0b", "protobuf"),  # group
        (b"\x0f", "protobuf"),
        (b"\x00\x01", "protobuf"),  # field 0
        (b"\x0d\x00", "protobuf"),
        (b"\x80", "protobuf"),
    ],
)
def test_protobuf_though_signed(payload: bytes, found: Claims | str) -> None:
    expected = Broken(found) if isinstance(found, str) else Verified(found, KEYS["test"])
    assert verify(sealed(payload), RING) == expected


@given(st.binary(max_size=250))
@settings(max_examples=200)
def test_any_signed_payload_gives_a_value(payload: bytes) -> None:
    assert isinstance(verify(sealed(payload), RING), Broken | Verified)


@given(st.binary(max_size=600))
@settings(max_examples=200)
def test_any_bytes_give_a_reason(data: bytes) -> None:
    for text in (data, b64encode(data)[::-1], b64encode(b"\x01\x00\x05\x00\x40" + data)[::-1]):
        assert isinstance(verify(text, RING), Broken | NoKey)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x02\x00\x01\x00\x40x" + bytes(64), "envelope"),
        (b"\x01\x00\x02\x00\x40x" + bytes(64), "envelope"),
        (b"\x01\x00\x01\x00\x3fx" + bytes(63), "envelope"),
        (b"\x01\xff\xff\x00\x40x" + bytes(64), "envelope"),
        (b"\x01\x00\x01", "envelope"),
        (bytes(400), "too_long"),
    ],
)
def test_envelopes_in_another_shape_are_refused(raw: bytes, why: str) -> None:
    assert verify(b64encode(raw)[::-1], RING) == Broken(why)


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"QA",
        V1[:-1],
        V1[::-1],
        b"abcdefghijklmnopqrstuvwxyz234567",
        b"x" * 120,
        b"EAPAQA",
        V1.replace(b"E4", b"E-"),
    ],
)
def test_plain_codes_do_not_look_like_sig1(code: bytes) -> None:
    assert not looks_like(code)
