"""Credentials: sorted by shape, identified by signer and digest; any bytes give a value."""

from base64 import b32encode

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.codecs import cose, sig1
from admission.credentials import (
    MALFORMED_WORDS,
    Copied,
    CredentialKind,
    Forged,
    Identity,
    Known,
    Malformed,
    Medium,
    Presented,
    SignedClaims,
    UnknownIssuer,
    classify,
    identify,
    presentation_of,
    tag_data,
)
from admission.digests import digest, text_digest, ticket_digest
from admission.ids import EventId, ProductId, SessionId, TicketId, ZoneId
from admission.keys import IssuerKey, KeyFormat, KeyRing, KeyStatus, kid_of
from tests.admission.tags import TAG_UID, band_tap, sun_tap

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
KID = kid_of(PUBLIC)
TK1_KEY = IssuerKey(KID, PUBLIC, KeyFormat.TK1, event=0)
SIG1_KEY = IssuerKey(KID, PUBLIC, KeyFormat.SIG1, event=40)
JWS_KEY = IssuerKey(KID, PUBLIC, KeyFormat.JWS, event=41, status=KeyStatus.COMPROMISED)
RING = KeyRing([TK1_KEY, SIG1_KEY, JWS_KEY])
DIGEST_KEY = bytes(range(32, 64))

CLAIMS = cose.Claims(
    ticket=9, event=8, issued_at=5, not_before=6, not_after=7, zones=(1, 2), product=3, admits=4, session=2
)
TK1 = cose.mint(CLAIMS, PRIVATE).encode()
SIG1 = sig1.mint(sig1.Claims("abcdefghi", 12, 3, 14, 15, 16), PRIVATE).encode()
JWS = (  # {"alg":"EdDSA"} . {"jti":"a7","event":1}, from codecs/vectors.json
    b"eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiJhNyIsImV2ZW50IjoxfQ."
    b"QglHq1mSrOhc7E-GUau3H5g7bb19xv6-lIuIn6MlgofEfUwHUPsnWlClIP6Y66Y_wDPqC9u1sW1v1sHFdKKrCw"
)


def read(data: bytes, ring: KeyRing = RING, medium: Medium = Medium.BARCODE) -> Identity:
    return identify(data, medium, ring, DIGEST_KEY)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (TK1, CredentialKind.TK1),
        (TK1.lower(), CredentialKind.TK1),
        (b"TK1" + b"!" * 61, CredentialKind.TK1),
        (SIG1, CredentialKind.SIG1),
        (JWS, CredentialKind.JWS),
        (b"TK1", CredentialKind.OPAQUE),
        (b"TK1-0001", CredentialKind.OPAQUE),
        (b"TK1QUEEN", CredentialKind.OPAQUE),
        (b"7", CredentialKind.OPAQUE),
        (b"4006381333931", CredentialKind.OPAQUE),
        (b"m5kxqmgy3ac9ep76yvyfgsd3ugrc5hrb", CredentialKind.OPAQUE),
        (b"https://tickets.example/?t=1&u='; DROP TABLE scans; --", CredentialKind.OPAQUE),
        ("Zürich · 東京".encode(), CredentialKind.OPAQUE),
        (SIG1[:-1], CredentialKind.OPAQUE),
        (JWS[:-1], CredentialKind.OPAQUE),
        (b" 0815 ", CredentialKind.OPAQUE),
        (b"A" * 4096, CredentialKind.OPAQUE),
    ],
)
def test_texts_are_sorted_by_prefix_and_shape(text: bytes, kind: CredentialKind) -> None:
    assert classify(text, Medium.BARCODE) == Presented(kind, text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "empty"),
        (b" ", "empty"),
        ("\u3000 ".encode(), "empty"),
        (b"\\000026", "empty"),
        (b"A" * 4097, "too_long"),
        (b"A" * 1_000_000, "too_long"),
        (b"\0", "control"),
        (b"08\x0015", "control"),
        (b"0815\r", "control"),
        (b"0815\n0816", "control"),
        (b"\x1b[2J", "control"),
        (b"01\x1d21", "control"),
        (b"\x7f", "control"),
        ("\x85".encode(), "control"),
        (b"\xff\xfe", "not_utf8"),
        (b"Z\xfcrich", "not_utf8"),
        (b"\xe2\x82", "not_utf8"),
        (b"\xed\xa0\x80", "not_utf8"),
        (b"\xc0\x80", "not_utf8"),
    ],
)
def test_texts_that_are_no_credential(text: bytes, why: str) -> None:
    assert read(text) == Malformed(why)


@pytest.mark.parametrize(
    "uid", ["04A1B2C3", "04E10CDA993C80", "E004015012345678", "08112233445566", "04" * 10]
)
def test_uids_are_known_by_their_bytes(uid: str) -> None:
    raw = bytes.fromhex(uid)
    assert read(raw, medium=Medium.UID) == Known(
        CredentialKind.UID, digest(CredentialKind.UID, raw, DIGEST_KEY), None, None
    )


@pytest.mark.parametrize(
    ("uid", "why"),
    [
        ("", "uid_size"),
        ("04A1B2", "uid_size"),
        ("04A1B2C3D4", "uid_size"),
        ("04" * 11, "uid_size"),
        ("08A1B2C3", "random_uid"),
        ("8804E10C", "cut_uid"),
        ("00000000", "blank_uid"),
        ("00" * 7, "blank_uid"),
    ],
)
def test_uids_that_are_nobodys(uid: str, why: str) -> None:
    assert read(bytes.fromhex(uid), medium=Medium.UID) == Malformed(why)


def test_a_tk1_ticket_is_known_by_its_claims() -> None:
    claims = SignedClaims(
        ticket=TicketId(9),
        event=EventId(8),
        product=ProductId(3),
        zones=(ZoneId(1), ZoneId(2)),
        session=SessionId(2),
        admits=4,
        issued_at=5,
        not_before=6,
        not_after=7,
    )
    assert read(TK1) == Known(CredentialKind.TK1, ticket_digest(8, 9, DIGEST_KEY), claims, TK1_KEY)


def test_a_sig1_ticket_is_known_by_its_text() -> None:
    claims = SignedClaims(
        ticket=None,
        event=EventId(40),
        product=ProductId(12),
        zones=(),
        session=SessionId(14),
        admits=1,
        issued_at=0,
        not_before=15,
        not_after=16,
    )
    assert read(SIG1) == Known(
        CredentialKind.SIG1, digest(CredentialKind.SIG1, SIG1, DIGEST_KEY), claims, SIG1_KEY
    )


def test_a_jws_ticket_is_known_by_its_text_and_its_key_is_handed_on_to_be_judged() -> None:
    key = IssuerKey(KID, PUBLIC, KeyFormat.JWS, event=1, status=KeyStatus.COMPROMISED)
    claims = SignedClaims(
        ticket=None,
        event=EventId(1),
        product=ProductId(0),
        zones=(),
        session=SessionId(0),
        admits=1,
        issued_at=0,
        not_before=0,
        not_after=0,
    )
    assert read(JWS, KeyRing([key])) == Known(
        CredentialKind.JWS, digest(CredentialKind.JWS, JWS, DIGEST_KEY), claims, key
    )
    assert read(JWS) == UnknownIssuer(
        CredentialKind.JWS, KID, text_digest(CredentialKind.JWS, JWS, DIGEST_KEY)
    )


def test_one_tk1_ticket_in_many_spellings_has_one_digest() -> None:
    def spelling(header: bytes, claims: dict[int, object], tag: bytes = b"") -> bytes:
        payload = cbor2.dumps(claims)
        signature = PRIVATE.sign(cbor2.dumps(["Signature1", header, b"", payload]))
        return b"TK1" + b32encode(tag + cbor2.dumps([header, {}, payload, signature])).rstrip(b"=")

    old, new = cbor2.dumps({1: -8, 4: KID}), cbor2.dumps({1: -19, 4: KID})
    texts = [
        TK1,
        TK1.lower(),
        TK1.swapcase(),
        TK1[:60] + TK1[60:].lower(),
        spelling(old, {7: b"\x09", -70001: 8}),
        spelling(new, {-70001: 8, 7: b"\0\x09"}),
        spelling(new, {7: b"\x09", -70001: 8, 6: 99}, tag=b"\xd2"),
        b"\\000026" + TK1,
    ]
    read_all = [read(text) for text in texts]
    assert all(isinstance(identity, Known) for identity in read_all), read_all
    assert {identity.digest for identity in read_all if isinstance(identity, Known)} == {
        ticket_digest(8, 9, DIGEST_KEY)
    }


def test_an_eci_artefact_is_no_part_of_the_code() -> None:
    assert read(b"\\000026" + SIG1) == read(SIG1)
    assert read(b"\\0000030815") == read(b"0815")
    assert read(b"\\0000990815") != read(b"0815")


def test_who_vouches_for_nothing() -> None:
    turned = TK1[:-4] + (b"A" if TK1[-4:-3] != b"A" else b"B") + TK1[-3:]
    assert read(turned) == Forged(CredentialKind.TK1, text_digest(CredentialKind.TK1, turned, DIGEST_KEY))
    assert read(TK1, KeyRing([])) == UnknownIssuer(
        CredentialKind.TK1, KID, text_digest(CredentialKind.TK1, TK1, DIGEST_KEY)
    )
    assert read(SIG1, KeyRing([])) == UnknownIssuer(
        CredentialKind.SIG1, b"", text_digest(CredentialKind.SIG1, SIG1, DIGEST_KEY)
    )
    assert read(b"TK1" + b"!" * 61) == Malformed("base32")
    assert read(b"TK1" + b"A" * 1100) == Malformed("too_long")


OTHER_TAG = bytes.fromhex("04C1285A373080")
RANDOM_UID = bytes.fromhex("08AABBCC")
URL_OF_A_SHOP = bytes.fromhex("D1010C5504") + b"venue.examp"


def read_tag(data: bytes) -> Identity:
    return read(data, medium=Medium.TAG)


def test_a_band_is_known_by_its_tag_and_says_its_ticket() -> None:
    found = digest(CredentialKind.BAND, TAG_UID, DIGEST_KEY)
    assert read_tag(band_tap(CLAIMS, PRIVATE)) == Known(
        CredentialKind.BAND, found, SignedClaims(TicketId(9), EventId(8), ProductId(3), (ZoneId(1), ZoneId(2)), SessionId(2), 4, 5, 6, 7), TK1_KEY
    )  # fmt: skip
    copied = read_tag(band_tap(CLAIMS, PRIVATE, shown=OTHER_TAG))
    assert isinstance(copied, Copied)
    assert copied.kind is CredentialKind.BAND
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    assert isinstance(read_tag(band_tap(CLAIMS, stranger)), UnknownIssuer)
    spoilt = bytearray(band_tap(CLAIMS, PRIVATE))
    spoilt[-1] ^= 1
    assert isinstance(read_tag(bytes(spoilt)), Forged)


def test_a_sun_tag_is_known_by_what_it_proves() -> None:
    found = digest(CredentialKind.SUN, TAG_UID, DIGEST_KEY)
    assert read_tag(sun_tap(61, DIGEST_KEY)) == Known(CredentialKind.SUN, found, None, None, 61)
    # a tag that gives a random UID still says which it is
    assert read_tag(sun_tap(62, DIGEST_KEY, shown=RANDOM_UID)) == Known(
        CredentialKind.SUN, found, None, None, 62
    )
    assert isinstance(read_tag(sun_tap(63, DIGEST_KEY, shown=OTHER_TAG)), Copied)
    assert isinstance(read_tag(sun_tap(63, bytes(32))), Forged | UnknownIssuer)


def test_a_tag_that_proves_nothing_is_its_uid() -> None:
    by_uid = Known(CredentialKind.UID, digest(CredentialKind.UID, TAG_UID, DIGEST_KEY), None, None)
    for message in (b"", URL_OF_A_SHOP, b"\xff" * 40):
        assert read_tag(tag_data(TAG_UID, message)) == by_uid
    assert read_tag(tag_data(RANDOM_UID, URL_OF_A_SHOP)) == Malformed("random_uid")
    assert read_tag(tag_data(bytes(7), sun_tap(1, DIGEST_KEY)[8:])) == Malformed("blank_uid")
    assert read_tag(b"") == Malformed("uid_size")
    assert read_tag(b"\x07\x04") == Malformed("uid_size")


def test_a_bare_uid_never_stands_for_a_tag_that_must_prove_itself() -> None:
    uid = read(TAG_UID, medium=Medium.UID)
    proved = (read_tag(sun_tap(1, DIGEST_KEY)), read_tag(band_tap(CLAIMS, PRIVATE)))
    digests = {one.digest for one in (uid, *proved) if isinstance(one, Known)}
    assert len(digests) == 3
    url = sun_tap(1, DIGEST_KEY)[13:]
    as_barcode = read(url.lstrip(b"\x04"))
    assert isinstance(as_barcode, Known)
    assert as_barcode.kind is CredentialKind.OPAQUE, "a photograph of the message is a code nobody sold"


def test_two_taps_of_one_tag_before_a_reader_are_one_presentation() -> None:
    one, other = (presentation_of(sun_tap(count, DIGEST_KEY), Medium.TAG) for count in (1, 2))
    assert one == other != presentation_of(sun_tap(1, DIGEST_KEY, shown=OTHER_TAG), Medium.TAG)
    assert presentation_of(TK1, Medium.BARCODE) == TK1
    assert presentation_of(b"", Medium.TAG) == b""


def test_a_digest_key_that_protects_nothing_is_the_only_error() -> None:
    with pytest.raises(ValueError, match="digest key"):
        identify(b"0815", Medium.BARCODE, RING, b"")


TAG_MESSAGES = (band_tap(CLAIMS, PRIVATE), sun_tap(3, DIGEST_KEY))
HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=80).map(lambda message: tag_data(TAG_UID, message)),
    st.tuples(st.sampled_from(TAG_MESSAGES), st.integers(0, 160), st.binary(max_size=3)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + 1 :]
    ),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(min_size=38, max_size=300).map(lambda raw: b"TK1" + b32encode(raw).rstrip(b"=")),
    st.from_regex(r"\Aey[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{86}\Z").map(str.encode),
    st.from_regex(r"\A={0,2}[A-Za-z0-9+/]{88,120}EA[A-Za-z0-9+/]{2}QA\Z").map(str.encode),
    st.tuples(st.sampled_from([TK1, SIG1, JWS]), st.integers(0, 80), st.binary(max_size=3)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + 1 :]
    ),
)


@given(HOSTILE, st.sampled_from(Medium))
@settings(max_examples=200)
def test_any_bytes_give_a_value_and_never_someone_elses_claims(data: bytes, medium: Medium) -> None:
    identity = read(data, medium=medium)
    match identity:
        case Malformed(why):
            assert why in MALFORMED_WORDS
        case Known(kind, found, claims, key):
            assert len(found) == 16
            signed = kind in {
                CredentialKind.TK1,
                CredentialKind.SIG1,
                CredentialKind.JWS,
                CredentialKind.BAND,
            }
            assert (claims is not None, key is not None) == (signed, signed)
            if kind is CredentialKind.SUN or kind is CredentialKind.BAND:
                assert found == digest(kind, TAG_UID, DIGEST_KEY)
            elif signed:
                assert data.upper() in {TK1, SIG1.upper(), JWS.upper()}
        case (
            Forged(digest_of_text=found) | UnknownIssuer(digest_of_text=found) | Copied(digest_of_text=found)
        ):
            assert len(found) == 16
    assert read(data, medium=medium) == identity
