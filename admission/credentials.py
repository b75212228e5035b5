"""What was presented, and who vouches for it.

`classify` sorts bytes from a reader by prefix and shape; `identify` also checks signatures and takes the digest. Both
are total: any bytes give a value, in bounded time and memory. Neither says who may pass; that is `decide()`.

Barcode texts are taken as the driver hands them over: without terminator and AIM identifier. A text with control
characters or that is not UTF-8 is malformed: no issuer prints one, a wrong scanner setting or an attack sends one.
An ECI artefact in front (`\\000026` for UTF-8, `\\000003` for Latin-1, sent by scanners in ECI protocol) is dropped.
UIDs are raw bytes, UID0 first; a UID is the tag's own word, copied as easily as a barcode. Of a tag that was read
`tag_data` holds UID and content: where the content proves something it is judged by that, else by the UID. A tag that
has to prove itself is listed under a digest of its own kind, so its bare UID opens nothing.
"""

import re
from enum import Enum
from typing import assert_never

import msgspec

from admission.codecs import band, cose, jws, ndef, sig1, sun
from admission.digests import CredentialKind, digest, text_digest, ticket_digest
from admission.ids import EventId, ProductId, SessionId, TicketId, ZoneId
from admission.keys import BadSignature, Broken, IssuerKey, KeyRing, NoKey, OtherTag, Refused, Verified

__all__ = [
    "MALFORMED_WORDS",
    "TEXT_BYTES_MAX",
    "Copied",
    "CredentialKind",
    "Forged",
    "Identity",
    "Known",
    "Malformed",
    "Medium",
    "Presented",
    "SignedClaims",
    "UnknownIssuer",
    "classify",
    "identify",
    "presentation_of",
    "tag_data",
    "tag_parts",
]

TEXT_BYTES_MAX = 4096
"""Longest barcode text; no symbology carries more (QR 40-L: 4,296 digits and capitals, 2,953 bytes)."""
TK1_CHARS_MIN = 64
"""A shorter text behind `TK1` cannot hold a signature: it may be an organizer's own code and stays opaque."""
UID_SIZES = frozenset((4, 7, 8, 10))
"""ISO/IEC 14443-3: 4, 7, 10 bytes; ISO/IEC 15693 and FeliCa: 8."""

_TEXT_WORDS = ("empty", "too_long", "control", "not_utf8")
_SIGNED_WORDS = ("prefix", "base32", "base64", "envelope", "header", "alg", "cbor", "protobuf", "claims")
_UID_WORDS = ("uid_size", "random_uid", "cut_uid", "blank_uid")
MALFORMED_WORDS = frozenset((*_TEXT_WORDS, *_SIGNED_WORDS, *_UID_WORDS))
"""Every word `Malformed.why` may be: fit for logs and counters, never data from the visitor."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_ECI = re.compile(rb"\\0000(?:26|03)")
_CASCADE_TAG = 0x88
_RANDOM_UID = 0x08


class Medium(Enum):
    """What kind of bytes a reader delivered; the values are those of the drivers' own enum."""

    BARCODE = "barcode"
    UID = "uid"
    TAG = "tag"
    """A tag that was read: `tag_data`."""


class Presented(msgspec.Struct, frozen=True, gc=False):
    """Bytes sorted by kind, nothing checked yet. `data` is the exact text, or the UID; `uid`: of a tag that was read."""

    kind: CredentialKind
    data: bytes
    uid: bytes = b""


class SignedClaims(msgspec.Struct, frozen=True, gc=False):
    """What a signer vouches for, the same for every format. Times in unix seconds, 0 = none.

    `ticket` None: known only by the digest of its text. `zones` () = by product; `session` 0 = any; `product` 0 =
    none named. Of a sig1 ticket, product and session are pretix's item and subevent, which may exceed 16 bits.
    """

    ticket: TicketId | None
    event: EventId
    product: ProductId
    zones: tuple[ZoneId, ...]
    session: SessionId
    admits: int
    issued_at: int
    not_before: int
    not_after: int


class Known(msgspec.Struct, frozen=True, gc=False):
    """A credential the list can be asked for. `claims` and `key` are None for opaque codes, UIDs and SUN tags."""

    kind: CredentialKind
    digest: bytes
    claims: SignedClaims | None
    key: IssuerKey | None
    counter: int | None = None
    """Of a SUN tag: it rises with each tap, so one that is not above all that were seen is a message sent again."""
    genuine: bool = True
    """False for a tag whose chip is to show that its maker signed its UID, and does not (`admission.codecs.originality`)."""


class Forged(msgspec.Struct, frozen=True, gc=False):
    """It names a key we hold, which did not sign it."""

    kind: CredentialKind
    digest_of_text: bytes


class UnknownIssuer(msgspec.Struct, frozen=True, gc=False):
    """No key we hold signed it. `kid` is the key it names, b"" where its format names none.

    Of a text that names no key (sig1) a forgery looks the same.
    """

    kind: CredentialKind
    kid: bytes
    digest_of_text: bytes


class Copied(msgspec.Struct, frozen=True, gc=False):
    """What the tag carries was issued by a key we hold, for another tag."""

    kind: CredentialKind
    digest_of_text: bytes


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """It is no credential. `why` is one of `MALFORMED_WORDS`."""

    why: str


Identity = Known | Forged | UnknownIssuer | Copied | Malformed


def tag_data(uid: bytes, message: bytes) -> bytes:
    """What a reader delivers of a tag that it read: length of the UID u8, UID, NDEF message (may be empty)."""
    return bytes((len(uid),)) + uid + message


def tag_parts(data: bytes) -> tuple[bytes, bytes]:
    """UID and NDEF message of what `tag_data` made. Any bytes give something; never raises."""
    size = data[0] if data else 0
    return data[1 : 1 + size], data[1 + size :]


def presentation_of(data: bytes, medium: Medium) -> bytes:
    """What makes two reads one presentation: of a tag its UID, since what it says may differ from tap to tap."""
    return data[: 1 + data[0]] if medium is Medium.TAG and data else data


def classify(data: bytes, medium: Medium) -> Presented | Malformed:
    """Sort what a reader delivered, by prefix and shape; no signature is checked."""
    if medium is Medium.UID:
        return _classify_uid(data)
    if medium is Medium.TAG:
        return _classify_tag(data)
    if data.isalnum() and len(data) < TK1_CHARS_MIN:  # most codes; nothing that is signed is so short
        return Presented(CredentialKind.OPAQUE, data)
    return _classify_text(data)


def _classify_text(data: bytes) -> Presented | Malformed:
    if len(data) > TEXT_BYTES_MAX:
        return Malformed("too_long")
    if data[:1] == b"\\" and _ECI.match(data):
        data = data[7:]
    if not data:
        return Malformed("empty")
    if len(data) >= TK1_CHARS_MIN and data[:3].upper() == cose.PREFIX:
        return Presented(CredentialKind.TK1, data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return Malformed("not_utf8")
    if _CONTROL.search(text):
        return Malformed("control")
    if text.isspace():
        return Malformed("empty")
    if sig1.looks_like(data):
        return Presented(CredentialKind.SIG1, data)
    if jws.looks_like(data):
        return Presented(CredentialKind.JWS, data)
    return Presented(CredentialKind.OPAQUE, data)


def identify(data: bytes, medium: Medium, ring: KeyRing, digest_key: bytes) -> Identity:
    """Who vouches for what a reader delivered, and under which digest the list knows it.

    `digest_key`: the event group's, 16 to 64 bytes; ValueError for another length is the only error.
    """
    presented = classify(data, medium)
    if isinstance(presented, Malformed):
        return presented
    kind, data = presented.kind, presented.data
    match kind:
        case CredentialKind.TK1:
            checked = cose.verify(data, ring)
            if isinstance(checked, Verified):
                claims = _from_tk1(checked.claims)
                found = ticket_digest(checked.claims.event, checked.claims.ticket, digest_key)
                return Known(kind, found, claims, checked.key)
            return _refused(kind, checked, data, digest_key)
        case CredentialKind.SIG1:
            checked_sig1 = sig1.verify(data, ring)
            if isinstance(checked_sig1, Verified):
                claims = _from_sig1(checked_sig1.claims)
                return Known(kind, digest(kind, data, digest_key), claims, checked_sig1.key)
            return _refused(kind, checked_sig1, data, digest_key)
        case CredentialKind.JWS:
            checked_jws = jws.verify(data, ring)
            if isinstance(checked_jws, Verified):
                claims = _from_jws(checked_jws.claims)
                return Known(kind, digest(kind, data, digest_key), claims, checked_jws.key)
            return _refused(kind, checked_jws, data, digest_key)
        case CredentialKind.OPAQUE | CredentialKind.UID:
            return Known(kind, digest(kind, data, digest_key), None, None)
        case CredentialKind.BAND | CredentialKind.SUN:
            return _identify_tag(presented, ring, digest_key)
        case _:
            assert_never(kind)


def _identify_tag(presented: Presented, ring: KeyRing, digest_key: bytes) -> Identity:
    """A tag by what it carries. Of a tag that gives a random UID nothing but that message says which it is."""
    kind, data, uid = presented.kind, presented.data, presented.uid
    if kind is CredentialKind.BAND:
        checked = band.verify(data, uid, ring)
        if isinstance(checked, Verified):
            return Known(kind, digest(kind, uid, digest_key), _from_tk1(checked.claims), checked.key)
        return _refused(kind, checked, data, digest_key)
    tap = sun.verify(data, sun.keys_of(digest_key))
    if not isinstance(tap, sun.Tap):
        return _refused(kind, tap, data, digest_key)
    if uid != tap.uid and not _is_random(uid):
        return _refused(kind, OtherTag(), data, digest_key)
    return Known(kind, digest(kind, tap.uid, digest_key), None, None, tap.counter)


def _is_random(uid: bytes) -> bool:
    return len(uid) == 4 and uid[0] == _RANDOM_UID


def _classify_uid(uid: bytes) -> Presented | Malformed:
    if len(uid) not in UID_SIZES:
        return Malformed("uid_size")
    if not any(uid):
        return Malformed("blank_uid")  # what readers send when the anticollision failed
    if _is_random(uid):
        return Malformed("random_uid")  # ISO/IEC 14443-3: made anew each time (phones), so nobody's
    if len(uid) == 4 and uid[0] == _CASCADE_TAG:
        return Malformed("cut_uid")  # the cascade tag and half of a longer UID: many tags share it
    return Presented(CredentialKind.UID, uid)


def _classify_tag(data: bytes) -> Presented | Malformed:
    """By what it carries where that proves something, else by its UID. A tag may give a random UID and yet prove itself."""
    uid, message = tag_parts(data)
    by_uid = _classify_uid(uid)
    if isinstance(by_uid, Malformed) and not _is_random(uid):
        return by_uid
    for record in ndef.records(message):
        if band.is_band(record):
            return Presented(CredentialKind.BAND, record.payload, uid)
        if sun.is_sun(record):
            return Presented(CredentialKind.SUN, record.payload, uid)
    return by_uid


def _refused(kind: CredentialKind, refused: Refused | OtherTag, text: bytes, digest_key: bytes) -> Identity:
    match refused:
        case OtherTag():
            return Copied(kind, text_digest(kind, text, digest_key))
        case Broken(why):
            return Malformed(why)
        case BadSignature():
            return Forged(kind, text_digest(kind, text, digest_key))
        case NoKey(kid):
            return UnknownIssuer(kind, kid, text_digest(kind, text, digest_key))
        case _:
            assert_never(refused)


def _from_tk1(claims: cose.Claims) -> SignedClaims:
    return SignedClaims(
        ticket=TicketId(claims.ticket),
        event=EventId(claims.event),
        product=ProductId(claims.product),
        zones=_zones(claims.zones),
        session=SessionId(claims.session),
        admits=claims.admits,
        issued_at=claims.issued_at,
        not_before=claims.not_before,
        not_after=claims.not_after,
    )


def _from_sig1(claims: sig1.Claims) -> SignedClaims:
    """sig1 names no ticket, no zones and no time of issue; an item's variation opens nothing of its own."""
    return SignedClaims(
        ticket=None,
        event=EventId(claims.event),
        product=ProductId(claims.item),
        zones=(),
        session=SessionId(claims.subevent),
        admits=1,
        issued_at=0,
        not_before=claims.valid_from,
        not_after=claims.valid_until,
    )


def _from_jws(claims: jws.Claims) -> SignedClaims:
    return SignedClaims(
        ticket=None if claims.ticket is None else TicketId(claims.ticket),
        event=EventId(claims.event),
        product=ProductId(claims.product),
        zones=_zones(claims.zones),
        session=SessionId(claims.session),
        admits=claims.admits,
        issued_at=claims.issued_at,
        not_before=claims.not_before,
        not_after=claims.not_after,
    )


def _zones(zones: tuple[int, ...]) -> tuple[ZoneId, ...]:
    return tuple([ZoneId(zone) for zone in zones])
