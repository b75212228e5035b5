"""NDEF, records bound to a UID, and SUN messages: the makers' vectors, every spoilt bit, and any bytes at all."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.codecs import band, cose, ndef, sun
from admission.codecs.ndef import EXTERNAL, URI, WELL_KNOWN, Record
from admission.keys import (
    BadSignature,
    Broken,
    IssuerKey,
    KeyFormat,
    KeyRing,
    NoKey,
    OtherTag,
    Verified,
    kid_of,
)
from tests.admission.tags import TAG_UID, picc_of, sun_url

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
KEY = IssuerKey(kid_of(PUBLIC), PUBLIC, KeyFormat.TK1, event=0)
RING = KeyRing([KEY])
USUAL = cose.Claims(ticket=283686952306183, event=1048577, issued_at=1_790_000_000, product=900)
OTHER_UID = bytes.fromhex("04C1285A373080")
ZERO = sun.Keys(bytes(16), bytes(16), one_for_all=True)
OWN = sun.keys_of(bytes(range(32)))

VECTORS: dict[str, Any] = json.loads((Path(band.__file__).parent / "vectors.json").read_text())


@pytest.mark.parametrize("case", VECTORS["band"], ids=lambda case: case["name"])
def test_published_bands(case: dict[str, Any]) -> None:
    (record,) = ndef.records(bytes.fromhex(case["message"]))
    match band.verify(record.payload, bytes.fromhex(case["uid"]), RING):
        case Verified(claims, _):
            assert claims == cose.Claims(**{**case["claims"], "zones": tuple(case["claims"]["zones"])})
        case OtherTag():
            assert case["refused"] == "copied_tag"
        case refused:
            assert (case["refused"], refused) == ("forged", BadSignature(KEY.kid))


@pytest.mark.parametrize("case", VECTORS["sun"], ids=lambda case: case["name"])
def test_published_taps(case: dict[str, Any]) -> None:
    keys = sun.Keys(bytes.fromhex(case["meta"]), bytes.fromhex(case["file"]), case["one_for_all"])
    if "digest_key" in case:
        assert sun.keys_of(bytes.fromhex(case["digest_key"])) == keys
    tap = sun.Tap(bytes.fromhex(case["uid"]), case["counter"])
    assert sun.verify(case["url"].encode(), keys) == tap


# --- NDEF ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("D101045504612E62", (Record(WELL_KNOWN, URI, b"\x04a.b"),)),
        ("D90101 01 55 69 04", (Record(WELL_KNOWN, URI, b"\x04"),)),  # with an id, `i`
        ("C101 00000002 55 0461", (Record(WELL_KNOWN, URI, b"\x04a"),)),  # not short
        ("91010155 61 5101015562", (Record(1, URI, b"a"), Record(1, URI, b"b"))),
        ("D00000", (Record(0, b"", b""),)),
        ("", ()),
        ("D1010455046 12E".replace(" ", ""), ()),  # cut short
        ("D101045504612E6200", ()),  # more behind its end
        ("91010155 61", ()),  # no end
        ("51010155 61", ()),  # no begin
        ("91010155 61 D1010155 62", ()),  # begins twice
        ("F1010155 61", ()),  # a chunk
    ],
)
def test_ndef(message: str, expected: tuple[Record, ...]) -> None:
    assert ndef.records(bytes.fromhex(message)) == expected


@given(st.integers(0, 6), st.binary(max_size=255), st.binary(max_size=255))
@settings(max_examples=50)
def test_a_record_reads_as_written(kind: int, name: bytes, payload: bytes) -> None:
    record = Record(kind, name, payload)
    message = ndef.message_of(record)
    assert ndef.records(message) == (record,)
    assert all(ndef.records(message[:cut]) == () for cut in range(0, len(message), 7))


# --- records bound to a UID ------------------------------------------------------------------------------------------


def payload_of(uid: bytes = TAG_UID, claims: cose.Claims = USUAL) -> bytes:
    (record,) = ndef.records(band.mint(claims, uid, PRIVATE))
    assert band.is_band(record)
    return record.payload


def test_published_band() -> None:
    """The bytes on a tag are for ever: Ed25519 is deterministic."""
    assert band.mint(cose.Claims(ticket=7, event=1), TAG_UID, PRIVATE).hex() == BAND_HEX
    assert len(band.mint(USUAL, TAG_UID, PRIVATE)) <= 141, "with its TLV it fits into an NTAG213"


BAND_HEX = (
    "d40b6867617465686f7573653a310704de5f1eacc0408449a20132044456475aa7a051a2074800000000000000073a00"
    "011170015840d64d0c89dcadcd372c5ea1b637219758b9b51c607511c82f9299f6f7705b6eb091cf6237e082f78e507d"
    "751f7527e062b1da2235fd50139d1547ab1a02314a03"
)


@pytest.mark.parametrize("uid", [TAG_UID, bytes(range(1, 5)), bytes(range(10))])
def test_a_band_says_what_was_signed_for_its_tag(uid: bytes) -> None:
    assert band.verify(payload_of(uid), uid, RING) == Verified(USUAL, KEY)


def test_a_copy_on_another_tag_is_told_from_a_forgery() -> None:
    payload = payload_of()
    assert band.verify(payload, OTHER_UID, RING) == OtherTag()
    renamed = b"\x07" + OTHER_UID + payload[8:]
    assert band.verify(renamed, OTHER_UID, RING) == BadSignature(KEY.kid), "the name alone helps nobody"
    assert band.verify(renamed, TAG_UID, RING) == BadSignature(KEY.kid)
    assert band.verify(payload, TAG_UID, KeyRing([])) == NoKey(KEY.kid)


def test_a_ticket_is_no_band_and_a_band_no_ticket() -> None:
    envelope = cose.sign(USUAL, PRIVATE)
    assert band.verify(b"\x07" + TAG_UID + envelope, TAG_UID, RING) == BadSignature(KEY.kid)
    assert cose.open_signed(payload_of()[8:], RING) == BadSignature(KEY.kid)


@pytest.mark.parametrize("bit", range(0, 8 * len(payload_of()), 3))
def test_no_bit_of_a_band_may_change(bit: int) -> None:
    spoilt = bytearray(payload_of())
    spoilt[bit // 8] ^= 1 << bit % 8
    assert not isinstance(band.verify(bytes(spoilt), TAG_UID, RING), Verified | OtherTag)


@given(st.binary(max_size=200), st.binary(max_size=10))
@settings(max_examples=60)
def test_any_payload_gives_a_value(payload: bytes, uid: bytes) -> None:
    assert isinstance(band.verify(payload, uid, RING), Broken | NoKey | BadSignature)


def test_only_tags_that_are_written() -> None:
    for uid in (b"", bytes(5), bytes(8)):
        with pytest.raises(ValueError, match="UID"):
            band.mint(USUAL, uid, PRIVATE)
    for record in (Record(WELL_KNOWN, band.TYPE, b""), Record(EXTERNAL, URI, b"")):
        assert not band.is_band(record)


# --- SUN -------------------------------------------------------------------------------------------------------------

AN12196 = b"\x04choose.url.com/ntag424?e=EF963FF7828658A599F3041510671E88&c=94EED9EE65337086"


def test_the_vector_of_an12196() -> None:
    """Section 4.4, all keys zero: counter 0x3D."""
    assert sun.is_sun(Record(WELL_KNOWN, URI, AN12196))
    assert sun.verify(AN12196, ZERO) == sun.Tap(TAG_UID, 0x3D)


def test_the_vector_of_an10922() -> None:
    """Section 2.2: AES-128 key diversification."""
    master = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    found = sun.diversified(master, bytes.fromhex("04782E21801D803042F54E585020416275"))
    assert found.hex().upper() == "A8DD63A3B89D54B37CA802473FDA9175"


def test_the_keys_of_a_group_are_for_ever() -> None:
    assert (OWN.meta.hex(), OWN.file.hex()) == KEYS_HEX
    assert repr(OWN) == "Keys(…)"


KEYS_HEX = ("5b768881f2eb9008223bd6713a8eef5b", "4a49f493a0aeb61df64eb941cfaf7e6e")


@pytest.mark.parametrize("keys", [ZERO, OWN])
def test_plain_and_encrypted_say_the_same(keys: sun.Keys) -> None:
    mac = sun.mac_of(TAG_UID, bytes.fromhex("3D0000"), keys).hex().encode()
    plain = b"\x04v.example?uid=%b&ctr=00003D&cmac=%b" % (TAG_UID.hex().encode(), mac)
    assert sun.is_sun(Record(WELL_KNOWN, URI, plain))
    assert sun.verify(plain, keys) == sun.verify(sun_url(TAG_UID, 0x3D, keys), keys) == sun.Tap(TAG_UID, 0x3D)
    assert sun.verify(plain.replace(b"00003D", b"00003E"), keys) == BadSignature(b"")


@given(st.binary(min_size=7, max_size=7), st.integers(0, sun.COUNTER_MAX))
@settings(max_examples=40)
def test_a_tap_reads_as_made(uid: bytes, counter: int) -> None:
    assert sun.verify(sun_url(uid, counter, OWN), OWN) == sun.Tap(uid, counter)
    assert not isinstance(sun.verify(sun_url(uid, counter, OWN), ZERO), sun.Tap), "another group's tag"


@pytest.mark.parametrize("bit", range(128))
def test_no_bit_of_a_message_may_change(bit: int) -> None:
    picc = bytearray(picc_of(TAG_UID, 7, OWN))
    picc[bit // 8] ^= 1 << bit % 8
    mac = sun.mac_of(TAG_UID, b"\x07\0\0", OWN)
    url = b"v?e=%b&c=%b" % (picc.hex().encode(), mac.hex().encode())
    assert not isinstance(sun.verify(url, OWN), sun.Tap)
    if bit < 64:
        wrong = bytearray(mac)
        wrong[bit // 8] ^= 1 << bit % 8
        url = b"v?e=%b&c=%b" % (picc_of(TAG_UID, 7, OWN).hex().encode(), wrong.hex().encode())
        assert sun.verify(url, OWN) == BadSignature(b"")


@pytest.mark.parametrize(
    "url",
    [
        b"",
        b"\x04venue.example/?e=00&c=00",
        AN12196 + b"0",
        AN12196 + b"\n",
        AN12196.replace(b"?", b"/"),
        AN12196.replace(b"&c=", b"c="),
        AN12196[:-16] + b"94EED9EE6533708G",
        b"?" + b"a" * 33 + AN12196[AN12196.index(b"=") :],
    ],
)
def test_what_is_no_message(url: bytes) -> None:
    assert not sun.is_sun(Record(WELL_KNOWN, URI, url))
    assert sun.verify(url, ZERO) == Broken("envelope")


@given(st.one_of(st.binary(max_size=300), st.from_regex(rb"\?e=[0-9A-F]{32}&c=[0-9A-F]{16}", fullmatch=True)))
@settings(max_examples=80)
def test_any_bytes_give_a_value_of_their_own(url: bytes) -> None:
    assert isinstance(sun.verify(url, OWN), Broken | NoKey | BadSignature)


def test_the_session_key_is_the_counters_own() -> None:
    macs = [sun.mac_of(TAG_UID, count.to_bytes(3, "little"), OWN) for count in range(4)]
    assert all(one != other for one, other in pairwise(macs))
