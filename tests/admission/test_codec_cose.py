"""TK1: published vectors, envelopes built by independent encoders, bombs, and every single bit turned."""

import json
from base64 import b32decode, b32encode
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.codecs import cose
from admission.codecs.cose import Claims, mint, verify
from admission.keys import BadSignature, Broken, IssuerKey, KeyFormat, KeyRing, NoKey, Verified, kid_of

VECTORS: dict[str, Any] = json.loads((Path(cose.__file__).parent / "vectors.json").read_text())
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
KID = bytes.fromhex("56475aa7")
KEY = IssuerKey(KID, PUBLIC, KeyFormat.TK1, event=0)
RING = KeyRing([KEY, IssuerKey(b"\x01", PUBLIC, KeyFormat.TK1, event=0)])
HEADER = cbor2.dumps({1: -19, 4: KID})
LEAST = {7: b"\x01", -70001: 1}


def as_text(raw: bytes) -> bytes:
    return b"TK1" + b32encode(raw).rstrip(b"=")


def raw_of(text: str) -> bytes:
    body = text[3:]
    return b32decode(body + "=" * (-len(body) % 8))


def envelope(payload: bytes, header: bytes = HEADER, unprotected: object = None) -> bytes:
    """A correctly signed COSE_Sign1, put together by cbor2 alone."""
    signature = PRIVATE.sign(cbor2.dumps(["Signature1", header, b"", payload]))
    return cbor2.dumps([header, unprotected or {}, payload, signature])


def verify_claims(claims: object) -> object:
    return verify(as_text(envelope(cbor2.dumps(claims))), RING)


def test_facts_vector_alg_8_is_read() -> None:
    raw = bytes.fromhex(
        "8446a20127044101a05827a5041a6ab28d00051a6ab13b80074800010203040506073a000111701a001000013a0001117107"
        "58402ecaa295cc727de6b478a8e5a2c5db80856d974f3e9fcb95026cd668f01c10304e18808376cf6c45e041b23d68c61751"
        "bc2d7339fe5e6ccbffe447124721140b"
    )
    read = verify(as_text(raw), RING)
    assert isinstance(read, Verified)
    assert read.claims == Claims(
        ticket=0x01020304050607, event=1048577, not_before=1790000000, not_after=1790086400, zones=(1, 2, 3)
    )
    assert read.key.kid == b"\x01"


def test_facts_vector_alg_19_is_read() -> None:
    text = (
        b"TK1QRDKEAJSARAQDICYE6SQIGTKWKGQABI2NKYTXAAHJAAACAQDAQCQMBZ2AAARC4A2AAIAAAJ2AAARC4IHLBALY3DTHUL5AW36YZ"
        b"BBXQQ4N26HCG4YFAXMRHOS4PACOEY3JS3OKQTQBGLR3FQILNL43LBTDFDUEDPCTG7UKUQVTPNCUMLWKWDPXRDKAY"
    )
    read = verify(text, RING)
    assert isinstance(read, Verified)
    assert read.claims.ticket == 0x01020304050607
    assert (read.claims.event, read.claims.zones) == (1048577, (1, 2, 3))


@pytest.mark.parametrize("case", VECTORS["tk1"], ids=lambda case: case["name"])
def test_published_vector(case: dict[str, Any]) -> None:
    read = verify(case["text"].encode(), RING)
    match read:
        case Verified(claims, key):
            expected = Claims(**{**case["claims"], "zones": tuple(case["claims"]["zones"])})
            assert claims == expected
            assert key.kid.hex() == case["kid"]
            if case.get("minted"):
                assert mint(expected, PRIVATE) == case["text"]
        case BadSignature():
            assert case["refused"] == "forged"
        case NoKey(kid):
            assert case["refused"] == "unknown_issuer"
            assert kid == b"\xff" * 4
        case Broken(why):
            assert case["refused"] == why


def test_what_is_minted_says_alg_19_and_its_kid_to_any_cose_reader() -> None:
    protected, unprotected, payload, signature = cbor2.loads(raw_of(mint(Claims(ticket=5, event=6), PRIVATE)))
    assert cbor2.loads(protected) == {1: -19, 4: KID}
    assert unprotected == {}
    assert cbor2.loads(payload) == {7: (5).to_bytes(8, "big"), -70001: 6}
    PRIVATE.public_key().verify(signature, cbor2.dumps(["Signature1", protected, b"", payload]))


def ids(bits: int, least: int = 0) -> st.SearchStrategy[int]:
    return st.integers(least, 2**bits - 1)


TIMES = st.integers(0, cose.TIME_MAX)
ANY_CLAIMS = st.builds(
    Claims,
    ticket=ids(64, 1),
    event=ids(32, 1),
    issued_at=TIMES,
    not_before=TIMES,
    not_after=TIMES,
    zones=st.sets(st.one_of(ids(16, 1), st.integers(1, 20)), max_size=20).map(lambda z: tuple(sorted(z))),
    product=ids(16),
    admits=ids(16, 1),
    session=ids(16),
)


@given(ANY_CLAIMS)
@settings(max_examples=150)
def test_what_is_minted_is_read_back(claims: Claims) -> None:
    text = mint(claims, PRIVATE)
    assert verify(text.encode(), RING) == Verified(claims, KEY)
    assert set(text[3:]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    assert (
        cbor2.dumps(cbor2.loads(cbor2.loads(raw_of(text))[2]), canonical=True) == cbor2.loads(raw_of(text))[2]
    )


def test_the_most_a_ticket_may_say_fits_its_limit() -> None:
    most = Claims(2**64 - 1, 2**32 - 1, 2**40, 2**40, 2**40, tuple(range(65472, 65536)), 65535, 65535, 65535)
    text = mint(most, PRIVATE)
    assert len(text) <= cose.TEXT_BYTES_MAX
    assert verify(text.encode(), RING) == Verified(most, KEY)


@pytest.mark.parametrize(
    "claims",
    [
        Claims(ticket=0, event=1),
        Claims(ticket=2**64, event=1),
        Claims(ticket=1, event=0),
        Claims(ticket=1, event=2**32),
        Claims(ticket=1, event=1, admits=0),
        Claims(ticket=1, event=1, not_after=-1),
        Claims(ticket=1, event=1, issued_at=2**40 + 1),
        Claims(ticket=1, event=1, product=65536),
        Claims(ticket=1, event=1, session=-1),
        Claims(ticket=1, event=1, zones=(0,)),
        Claims(ticket=1, event=1, zones=(2, 1)),
        Claims(ticket=1, event=1, zones=(1, 1)),
        Claims(ticket=1, event=1, zones=tuple(range(1, 66))),
    ],
)
def test_what_no_gate_would_accept_is_not_minted(claims: Claims) -> None:
    with pytest.raises(ValueError, match=r"ticket|times|product|zones"):
        mint(claims, PRIVATE)


def test_every_bit_is_guarded() -> None:
    """No single turned bit verifies, and none raises."""
    raw = raw_of(mint(Claims(ticket=7, event=9, zones=(1, 300), admits=3), PRIVATE))
    for bit in range(len(raw) * 8):
        turned = bytearray(raw)
        turned[bit // 8] ^= 1 << bit % 8
        assert not isinstance(verify(as_text(bytes(turned)), RING), Verified), bit


def test_every_cut_and_every_addition_is_refused() -> None:
    text = mint(Claims(ticket=7, event=9), PRIVATE).encode()
    for size in range(len(text)):
        assert isinstance(verify(text[:size], RING), Broken), size
    for more in (b"A", b"AA", b"\n", b" ", b"=", b"\0"):
        assert isinstance(verify(text + more, RING), Broken), more


def test_caps_lock_does_no_harm() -> None:
    text = mint(Claims(ticket=7, event=9), PRIVATE).encode()
    assert verify(text.lower(), RING) == verify(text, RING)
    assert isinstance(verify(text.lower(), RING), Verified)


@pytest.mark.parametrize(
    "character", [" ", "_", "+", "-", "0", "1", "8", "9", "\t", "\n", "\0", "=", "ı", "٣"]
)
def test_what_is_not_base32_is_refused_wherever_it_stands(character: str) -> None:
    """int() would take several of these."""
    text = mint(Claims(ticket=7, event=9), PRIVATE)
    for at in (3, 4, 50, len(text) - 1):
        assert verify((text[:at] + character + text[at + 1 :]).encode(), RING) == Broken("base32")


@pytest.mark.parametrize(
    ("claims", "zones"),
    [
        ({**LEAST, -70002: 0}, ()),
        ({**LEAST, -70002: 0b1011}, (1, 2, 4)),
        ({**LEAST, -70002: 1 << 63}, (64,)),
        ({**LEAST, -70002: []}, ()),
        ({**LEAST, -70002: [9, 65535]}, (9, 65535)),
        ({-70001: 1, 7: b"\0\0\0\0\0\0\0\x01", 1: "iss", -99999: None}, ()),
    ],
)
def test_other_issuers_spellings_are_read(claims: object, zones: tuple[int, ...]) -> None:
    assert verify_claims(claims) == Verified(Claims(ticket=1, event=1, zones=zones), KEY)


@pytest.mark.parametrize(
    "claims",
    [
        {-70001: 1},
        {7: b"\x01"},
        {**LEAST, 7: b""},
        {**LEAST, 7: b"\0"},
        {**LEAST, 7: b"\x01" * 9},
        {**LEAST, 7: 1},
        {**LEAST, 7: "1"},
        {**LEAST, -70001: 0},
        {**LEAST, -70001: -1},
        {**LEAST, -70001: 2**32},
        {**LEAST, -70001: True},
        {**LEAST, 4: -1},
        {**LEAST, 4: 1.5},
        {**LEAST, 4: "1790000000"},
        {**LEAST, 5: 2**40 + 1},
        {**LEAST, 6: None},
        {**LEAST, -70002: -1},
        {**LEAST, -70002: "1"},
        {**LEAST, -70002: [0]},
        {**LEAST, -70002: [2, 1]},
        {**LEAST, -70002: [1, 1]},
        {**LEAST, -70002: [True]},
        {**LEAST, -70002: [65536]},
        {**LEAST, -70002: list(range(1, 66))},
        {**LEAST, -70003: 65536},
        {**LEAST, -70004: 0},
        {**LEAST, -70004: False},
        {**LEAST, -70005: -1},
    ],
)
def test_claims_out_of_range_are_refused_though_signed(claims: object) -> None:
    assert verify_claims(claims) == Broken("claims")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xa1",
        b"\x80",
        b"\x01",
        b"\xf7",
        b"\xff",
        b"\xa2\x07\x41\x01\x3a\x00\x01\x11\x70\x18\x01",  # 1 in two bytes
        b"\xa3\x07\x41\x01\x07\x41\x02\x3a\x00\x01\x11\x70\x01",  # cti twice
        b"\xbf\x07\x41\x01\x3a\x00\x01\x11\x70\x01\xff",  # indefinite map
        b"\xa2\x07\x41\x01\x3a\x00\x01\x11\x70\x01\x00",  # something behind it
        b"\xd8\x3d\xa2\x07\x41\x01\x3a\x00\x01\x11\x70\x01",  # tag 61
        b"\xd9\xd9\xf7\xa2\x07\x41\x01\x3a\x00\x01\x11\x70\x01",  # tag 55799
        b"\xa2\x07\x41\x01\x3a\x00\x01\x11\x70\xc2\x41\x01",  # a big number
        b"\xa1\x01\xc2\x49\x01" + bytes(8),  # one that would be written the same way again
        b"\xa1\x01\xd8\x23\x65(a+)+",  # a regular expression
        b"\xa1\x01\xd8\x24\x63a:b",  # a mail message
        b"\xa1\x01\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\xa1" * 200 + b"\x01",
        b"\x81" * 400 + b"\x01",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\xa1\x07\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x07\x7a\xff\xff\xff\xff",
        b"\xa1\x01\x61\xff",  # half UTF-8
    ],
)
def test_bombs_and_other_cbor_are_refused_though_signed(payload: bytes) -> None:
    assert verify(as_text(envelope(payload)), RING) == Broken("cbor")


@pytest.mark.parametrize("payload", [b"\xa1\x81\x01\x01", b"\xa1\xa0\x01", b"\xa1\xfb" + bytes(8) + b"\x01"])
def test_keys_no_claim_has_are_read_over(payload: bytes) -> None:
    """A list, a map, a float as key: odd, harmless, and none of them is a cti."""
    assert verify(as_text(envelope(payload)), RING) == Broken("claims")


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_signed_payload_gives_a_value(payload: bytes) -> None:
    assert isinstance(verify(as_text(envelope(payload)), RING), Broken | Verified)


CBOR = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=9), st.text(max_size=5)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.integers(-5, 9), inner, max_size=4)
    ),
)


@given(st.dictionaries(st.sampled_from([1, 4, 5, 6, 7, -70001, -70002, -70003, -70004, -70005]), CBOR))
@settings(max_examples=200)
def test_any_signed_claims_give_claims_in_range_or_a_reason(claims: dict[int, object]) -> None:
    match verify_claims(claims):
        case Verified(Claims() as read):
            assert mint(read, PRIVATE)
        case Broken(why):
            assert why in {"cbor", "claims", "too_long"}
        case other:
            pytest.fail(f"{other}")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (cbor2.dumps({1: -7, 4: KID}), "alg"),
        (cbor2.dumps({1: -35, 4: KID}), "header"),  # two bytes long
        (cbor2.dumps({1: 1, 4: KID}), "alg"),
        (cbor2.dumps({4: KID, 1: -19}), "header"),
        (cbor2.dumps({1: -19, 4: "abcd"}), "header"),
        (cbor2.dumps({1: -19, 4: KID, 16: 61}), "header"),
        (cbor2.dumps({1: -19, 5: KID}), "header"),
        (cbor2.dumps({1: -19, 4: b"k" * 17}), "envelope"),
        (cbor2.dumps({1: -19, 4: b""}), "envelope"),
        (cbor2.dumps({1: -19}), "envelope"),
        (b"", "envelope"),
        (b"\xd8\x24\x65a: b\n", "header"),
    ],
)
def test_headers_we_do_not_know_are_refused(header: bytes, why: str) -> None:
    assert verify(as_text(envelope(cbor2.dumps(LEAST), header)), RING) == Broken(why)


def test_envelopes_in_another_shape_are_refused() -> None:
    payload = cbor2.dumps(LEAST)
    good = envelope(payload)
    assert isinstance(verify(as_text(good), RING), Verified)
    head = good.index(bytes((0x40 + len(payload),)) + payload)
    bad = {
        "unprotected": envelope(payload, unprotected={4: KID}),
        "array of 3": b"\x83" + good[1:-66],
        "array of 5": b"\x85" + good[1:] + b"\x00",
        "indefinite array": b"\x9f" + good[1:] + b"\xff",
        "two tags": b"\xd2\xd2" + good,
        "tag 17": b"\xd1" + good,
        "tag 18 in two bytes": b"\xd8\x12" + good,
        "long length of the payload": good[:head] + bytes((0x58, len(payload))) + good[head + 1 :],
        "longer still": good[:head] + bytes((0x59, 0, len(payload))) + good[head + 1 :],
        "32-bit length": good[:head] + bytes((0x5A, 0, 0, 0, len(payload))) + good[head + 1 :],
        "huge payload": good[:head] + b"\x5b" + b"\xff" * 8 + good[head + 1 :],
        "payload is text": good[:head] + bytes((0x60 + len(payload),)) + good[head + 1 :],
        "nil payload": good[:head] + b"\xf6" + good[-66:],
        "signature of 63": good[:-66] + b"\x58\x3f" + good[-63:],
        "trailing byte": good + b"\x00",
        "map": b"\xa2" + good[1:],
        "deep": b"\x81" * 500,
        "nothing": b"",
    }
    got = {name: verify(as_text(raw), RING) for name, raw in bad.items()}
    expected = {name: Broken("envelope") for name in bad} | {"nothing": Broken("base32")}
    assert got == expected


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x84", b"\x84\x49" + HEADER, b"\xd2\x84\x49" + HEADER + b"\xa0"]),
)
@settings(max_examples=200)
def test_any_bytes_in_base32_give_a_reason(tail: bytes, head: bytes) -> None:
    assert isinstance(verify(as_text(head + tail), RING), Broken | BadSignature | NoKey)


def test_too_long_a_text_is_not_decoded() -> None:
    assert verify(b"TK1" + b"Q" * 1_000_000, RING) == Broken("too_long")
    assert verify(b"ABC" + b"Q" * 100, RING) == Broken("prefix")


def test_a_key_speaks_only_for_its_event() -> None:
    ring = KeyRing([IssuerKey(KID, PUBLIC, KeyFormat.TK1, event=5)])
    own = verify(mint(Claims(ticket=1, event=5), PRIVATE).encode(), ring)
    assert isinstance(own, Verified)
    assert verify(mint(Claims(ticket=1, event=6), PRIVATE).encode(), ring) == NoKey(KID)
    unnamed = verify(as_text(envelope(cbor2.dumps({7: b"\x02"}))), ring)
    assert isinstance(unnamed, Verified)
    assert unnamed.claims == Claims(ticket=2, event=5)


def test_another_key_under_a_known_kid_is_a_forgery() -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key().public_bytes_raw()
    ring = KeyRing([IssuerKey(KID, other, KeyFormat.TK1, event=0)])
    assert verify(mint(Claims(ticket=1, event=5), PRIVATE).encode(), ring) == BadSignature(KID)
    sig1_only = KeyRing([IssuerKey(KID, PUBLIC, KeyFormat.SIG1, event=5)])
    assert verify(mint(Claims(ticket=1, event=5), PRIVATE).encode(), sig1_only) == NoKey(KID)


def test_a_ring_refuses_what_would_be_ambiguous_or_can_never_verify() -> None:
    assert kid_of(PUBLIC) == KID
    with pytest.raises(ValueError, match="share the id 56475aa7"):
        KeyRing([KEY, IssuerKey(KID, bytes(32), KeyFormat.TK1, event=1)])
    with pytest.raises(ValueError, match="raw bytes"):
        IssuerKey(KID, b"short", KeyFormat.TK1, event=0)
    with pytest.raises(ValueError, match="needs its event"):
        IssuerKey(KID, PUBLIC, KeyFormat.SIG1, event=0)
    with pytest.raises(ValueError, match="key id"):
        IssuerKey(b"", PUBLIC, KeyFormat.TK1, event=0)
    with pytest.raises(ValueError, match="32-bit"):
        IssuerKey(KID, PUBLIC, KeyFormat.TK1, event=2**32)
    with pytest.raises(ValueError, match="more than 64"):
        KeyRing(IssuerKey(bytes((n, 1)), PUBLIC, KeyFormat.JWS, event=0) for n in range(65))


@pytest.mark.parametrize("zones", [(), (1, 2, 3), tuple(range(1, 60, 2)), (70, 80)])
def test_a_text_is_complete_at_its_own_length_and_at_no_other(zones: tuple[int, ...]) -> None:
    text = cose.mint(cose.Claims(ticket=7, event=9, zones=zones, issued_at=1_790_000_000), PRIVATE).encode()
    assert cose.is_complete(text)
    assert cose.is_complete(text.lower())
    assert [n for n in range(len(text) + 3) if cose.is_complete((text + b"AAA")[:n])] == [len(text)]
