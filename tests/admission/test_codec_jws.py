"""JWS compact: what other issuers may write, what they may not, and no second spelling."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.codecs import jws
from admission.codecs.jws import Claims, looks_like, verify
from admission.keys import BadSignature, Broken, IssuerKey, KeyFormat, KeyRing, NoKey, Verified

VECTORS: dict[str, Any] = json.loads((Path(jws.__file__).parent / "vectors.json").read_text())
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
KEY = IssuerKey(bytes.fromhex("56475aa7"), PUBLIC, KeyFormat.JWS, event=0)
RING = KeyRing([KEY])
LEAST = Claims(
    ticket=7, event=1, issued_at=0, not_before=0, not_after=0, zones=(), product=0, admits=1, session=0
)
GOOD = b'{"jti":7,"event":1}'


def b64u(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def signed(payload: bytes, header: bytes = b'{"alg":"Ed25519"}') -> bytes:
    """A correctly signed JWS of any header and payload."""
    message = b64u(header) + b"." + b64u(payload)
    return message + b"." + b64u(PRIVATE.sign(message))


def test_rfc_8037_example_verifies() -> None:
    """RFC 8037, A.4: a signature that is good, over a payload that is no ticket."""
    public = urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    ring = KeyRing([IssuerKey(b"k", public, KeyFormat.JWS, event=0)])
    text = (
        b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        b"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )
    assert verify(text, ring) == Broken("claims")
    assert verify(text.replace(b"RXhh", b"RXhi"), ring) == NoKey(b"")


@pytest.mark.parametrize("case", VECTORS["jws"], ids=lambda case: case["name"])
def test_published_vector(case: dict[str, Any]) -> None:
    match verify(case["text"].encode(), RING):
        case Verified(claims, key):
            assert claims == Claims(**{**case["claims"], "zones": tuple(case["claims"]["zones"])})
            assert key is KEY
        case BadSignature():
            assert case["refused"] == "forged"
        case NoKey():
            assert case["refused"] == "unknown_issuer"
        case Broken(why):
            assert case["refused"] == why


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b'{"alg":"EdDSA","kid":"56475aa7"}', Verified(LEAST, KEY)),
        (b'{"alg":"EdDSA","kid":"56475AA7","typ":"JWT","jku":"x","jwk":{"kty":"OKP"}}', Verified(LEAST, KEY)),
        (b'{ "alg" : "Ed25519" }', Verified(LEAST, KEY)),
        (b'{"alg":"EdDSA","kid":"no-hex"}', NoKey(b"no-hex")),
        (b'{"alg":"EdDSA","kid":""}', NoKey(b"")),
        (b'{"alg":"eddsa"}', Broken("alg")),
        (b'{"alg":"ES256"}', Broken("alg")),
        (b'{"alg":["EdDSA"]}', Broken("header")),
        (b'{"kid":"56475aa7"}', Broken("header")),
        (b'{"alg":"EdDSA","kid":7}', Broken("header")),
        (b'{"alg":"EdDSA","crit":["exp"]}', Broken("header")),
        (b'{"alg":"EdDSA","kid":"' + b"k" * 65 + b'"}', Broken("header")),
        (b'{"alg":"EdDSA","pad":"' + b"x" * 300 + b'"}', Broken("header")),
        (b'{"a":' + b"[" * 180, Broken("header")),
        (b'{"a":"\xff"}', Broken("header")),
        (b'{"alg":"EdDSA"', Broken("header")),
    ],
)
def test_header(header: bytes, expected: object) -> None:
    assert verify(signed(GOOD, header), RING) == expected


def test_a_kid_may_be_text_and_then_only_its_key_counts() -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key().public_bytes_raw()
    named = IssuerKey(b"box-office", other, KeyFormat.JWS, event=0)
    ring = KeyRing([KEY, named])
    assert verify(signed(GOOD, b'{"alg":"EdDSA","kid":"box-office"}'), ring) == BadSignature(b"box-office")
    assert verify(signed(GOOD), KeyRing([named])) == NoKey(b"")
    assert verify(signed(GOOD), KeyRing([named, KEY])) == Verified(LEAST, KEY)
    assert verify(signed(GOOD), KeyRing([IssuerKey(KEY.kid, PUBLIC, KeyFormat.TK1, event=0)])) == NoKey(b"")


def test_a_key_speaks_only_for_its_event() -> None:
    key = IssuerKey(KEY.kid, PUBLIC, KeyFormat.JWS, event=1)
    assert verify(signed(GOOD), KeyRing([key])) == Verified(LEAST, key)
    assert verify(signed(b'{"jti":7}'), KeyRing([key])) == Verified(LEAST, key)
    assert verify(signed(b'{"jti":7,"event":2}'), KeyRing([key])) == NoKey(KEY.kid)


@pytest.mark.parametrize(
    ("jti", "ticket"),
    [
        (b"7", 7),
        (b'"7"', 7),
        (b'"18446744073709551615"', 2**64 - 1),
        (b'"18446744073709551616"', None),
        (b'"07"', None),
        (b'"0"', None),
        (b"0", None),
        (b"-1", None),
        (b'"\xd9\xa3"', None),  # an Arabic digit
        (b'"' + b"9" * 500 + b'"', None),
        (b"null", None),
        (b'"b1946ac9"', None),
    ],
)
def test_a_ticket_number_is_read_only_where_there_is_one(jti: bytes, ticket: int | None) -> None:
    read = verify(signed(b'{"event":1,"jti":' + jti + b"}"), RING)
    assert isinstance(read, Verified)
    assert read.claims.ticket == ticket


@pytest.mark.parametrize(
    "payload",
    [
        b" ",
        b"null",
        b"[]",
        b"7",
        b"{",
        b'{"jti":7}',
        b'{"jti":1.5,"event":1}',
        b'{"jti":7,"event":-1}',
        b'{"jti":7,"event":4294967296}',
        b'{"jti":7,"event":"1"}',
        b'{"event":1,"exp":"never"}',
        b'{"event":1,"exp":1.5}',
        b'{"event":1,"exp":1e400}',
        b'{"event":1,"nbf":-1}',
        b'{"event":1,"iat":99999999999999999999999}',
        b'{"event":1,"zones":[0]}',
        b'{"event":1,"zones":[65536]}',
        b'{"event":1,"zones":7}',
        b'{"event":1,"zones":' + json.dumps(list(range(1, 66))).encode() + b"}",
        b'{"event":1,"product":65536}',
        b'{"event":1,"session":true}',
        b'{"event":1,"admits":0}',
        b'{"event":1,"jti":"\xff"}',
        b'{"event":1,"deep":' + b"[" * 1300,
    ],
)
def test_claims_that_are_none_are_refused_though_signed(payload: bytes) -> None:
    assert verify(signed(payload), RING) == Broken("claims")


def test_every_bit_of_the_text_is_guarded() -> None:
    text = signed(GOOD)
    for bit in range(len(text) * 8):
        turned = bytearray(text)
        turned[bit // 8] ^= 1 << bit % 8
        assert not isinstance(verify(bytes(turned), RING), Verified), bit


def test_a_text_has_one_spelling() -> None:
    """The digest is of the text: a second spelling of a good ticket would be a second ticket."""
    text = signed(GOOD)
    last = chr(text[-1] + 1).encode()
    assert urlsafe_b64decode(text[-86:] + b"==") == urlsafe_b64decode(text[-86:-1] + last + b"==")
    for spelling in (
        text[:-1] + last,
        text + b"==",
        text + b"\n",
        b" " + text,
        text + b".",
        text.replace(b".", b"=.", 1),
    ):
        assert isinstance(verify(spelling, RING), Broken), spelling


@given(st.binary(max_size=300), st.binary(max_size=100))
@settings(max_examples=200)
def test_any_signed_bytes_give_a_value(payload: bytes, header: bytes) -> None:
    assert isinstance(verify(signed(payload), RING), Broken | Verified)
    assert isinstance(verify(signed(payload, b"{" + header), RING), Broken | Verified | NoKey)
    assert isinstance(verify(payload, RING), Broken)


def test_shape_and_size() -> None:
    assert looks_like(signed(GOOD))
    assert not looks_like(signed(GOOD)[:-1])  # a signature of another algorithm: an opaque code
    assert not looks_like(b"a.b.c")
    assert verify(signed(b'{"event":1,"pad":"' + b"x" * 3000 + b'"}'), RING) == Broken("too_long")
