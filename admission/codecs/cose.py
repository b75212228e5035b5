"""TK1 tickets: a COSE_Sign1 CWT (RFC 9052, RFC 8392) in base32 behind `TK1`; minted and verified.

    text      = "TK1" base32(envelope) without padding (RFC 4648, 6)
    envelope  = [D2] 84 bstr(protected) A0 bstr(payload) 58 40 signature      D2: CBOR tag 18, may be missing
    protected = {1: -19 or -8, 4: kid}
    payload   = map of claims, below
    signature = Ed25519 over ["Signature1", protected, external, payload]      external: h'' in a text (RFC 9052, 4.3)

Written with deterministic lengths (RFC 8949, 4.2.1) throughout, claims in any order. The envelope and its header
are taken apart here by their few fixed bytes, so that no CBOR decoder sees bytes that nobody signed. Claims we do
not know are ignored. Letters are accepted in either case: Caps Lock on a keyboard-wedge scanner swaps them all, and
the ticket's digest comes from the claims, so a second spelling is not a second ticket. White space is refused.

A claim that is missing or 0 says nothing: no time bound, any session, zones by product; admits counts 1. Zones are
a bit mask (bit n is zone n + 1: there is no zone 0; up to 64) or an ascending array of zone ids.
"""

from functools import lru_cache
from struct import Struct
from typing import NoReturn

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.keys import (
    KID_BYTES_MAX,
    U32_MAX,
    BadSignature,
    Broken,
    IssuerKey,
    KeyFormat,
    KeyRing,
    NoKey,
    Refused,
    Verified,
    kid_of,
)

PREFIX = b"TK1"
"""Holds a character outside base32, so that no base32 text starts like a ticket."""
TEXT_BYTES_MAX = 1024
"""Longest ticket text: five times the usual one, and more than a QR code of 20 cm shows a scanner."""

CLAIM_EXP, CLAIM_NBF, CLAIM_IAT, CLAIM_CTI = 4, 5, 6, 7
"""RFC 8392, 4: times are NumericDate, here whole seconds only; cti is the ticket id, 1 to 8 bytes big-endian."""
CLAIM_EVENT, CLAIM_ZONES, CLAIM_PRODUCT, CLAIM_ADMITS, CLAIM_SESSION = -70001, -70002, -70003, -70004, -70005
"""Below -65536: private use (RFC 8392, 9.1)."""

U16_MAX = 2**16 - 1
U64_MAX = 2**64 - 1
TIME_MAX = 2**40
"""Unix seconds, far beyond any ticket: keeps times out of arithmetic that overflows."""
ZONE_MASK_MAX = 64
ZONES_MAX = 64
"""Zones a ticket may name; a product opens more."""
CLAIMS_DEPTH_MAX = 2
"""The claims map and the zones array in it; deeper is a bomb."""

_TAG_SIGN1 = 0xD2  # tag 18, COSE_Sign1 (RFC 9052, 2)
_ALG_ED25519 = 0x32  # -19, fully specified (RFC 9864): what we issue
_ALG_EDDSA = 0x27  # -8, deprecated by RFC 9864: accepted, as every key we hold is Ed25519
_HEADER_BYTES_MIN = 6  # A2 01 alg 04 41 kid
_HEADER_BYTES_MAX = 5 + KID_BYTES_MAX
_SIGNATURE_BYTES = 64
_HEAD_CHARS = len(PREFIX) + 48
"""Enough of a text to know its length: tag, array, longest header and the payload's own head are 29 bytes."""
_SIGNATURE_HEAD = b"\x58\x40"
_TO_BE_SIGNED = b"\x84\x6aSignature1"  # array of 4, text of 10 (RFC 9052, 4.4)
_U16 = Struct(">H")

# `int()` reads base 32 with the digits 0-9a-v, and also takes signs, spaces and underscores: all that is not base32
# becomes a character it refuses. Twenty times faster than base64.b32decode.
_BASE32 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_INT_DIGITS = b"0123456789abcdefghijklmnopqrstuv"
_FROM_BASE32 = bytes.maketrans(
    bytes(range(256)) + _BASE32 + _BASE32.lower(),
    b"!" * 256 + _INT_DIGITS + _INT_DIGITS,
)


class Claims(msgspec.Struct, frozen=True, gc=False):
    """What a ticket says. Ids are unsigned (ticket 64, event 32, others 16 bits; neither of the first two is 0); times unix seconds, 0 = none.

    `zones` ascending, () = by product; `product` 0 = none named; `session` 0 = any.
    """

    ticket: int
    event: int
    issued_at: int = 0
    not_before: int = 0
    not_after: int = 0
    zones: tuple[int, ...] = ()
    product: int = 0
    admits: int = 1
    session: int = 0


def mint(claims: Claims, private: Ed25519PrivateKey) -> str:
    """The ticket's text. Raises ValueError for claims that no gate would accept."""
    text = PREFIX + _base32_encode(sign(claims, private))
    if len(text) > TEXT_BYTES_MAX:
        raise ValueError(
            f"the ticket has {len(text)} characters, {TEXT_BYTES_MAX} are allowed; name fewer zones"
        )
    return text.decode("ascii")


def verify(text: bytes, ring: KeyRing) -> Verified[Claims] | Refused:
    """The claims of a ticket text, or why there are none. Bounded time and memory for any bytes; never raises."""
    if len(text) > TEXT_BYTES_MAX:
        return Broken("too_long")
    if text[:3].upper() != PREFIX:
        return Broken("prefix")
    raw = _base32_decode(text[3:])
    return Broken("base32") if raw is None else open_signed(raw, ring)


def sign(claims: Claims, private: Ed25519PrivateKey, external: bytes = b"") -> bytes:
    """The envelope. `external`: what the signature also covers and the envelope does not carry. ValueError as `mint`."""
    payload = cbor2.dumps(_claims_map(claims))
    if len(payload) > U16_MAX:
        raise ValueError("the claims are too long for a ticket")
    kid = kid_of(private.public_key().public_bytes_raw())
    protected = _bstr(bytes((0xA2, 0x01, _ALG_ED25519, 0x04, 0x40 + len(kid))) + kid)
    signed = _bstr(payload)
    signature = private.sign(_TO_BE_SIGNED + protected + _bstr(external) + signed)
    return b"\x84" + protected + b"\xa0" + signed + _SIGNATURE_HEAD + signature


def open_signed(raw: bytes, ring: KeyRing, external: bytes = b"") -> Verified[Claims] | Refused:
    """The claims of an envelope, or why there are none. `raw` is of bounded length; never raises."""
    parts = _open_envelope(raw)
    if parts is None:
        return Broken("envelope")
    protected, payload_head, payload, signature = parts
    kid = _kid_of_header(protected)
    if isinstance(kid, Broken):
        return kid
    key = ring.by_kid(kid, KeyFormat.TK1)
    if key is None:
        return NoKey(kid)
    to_be_signed = (
        _TO_BE_SIGNED + bytes((0x40 + len(protected),)) + protected + _bstr(external) + payload_head + payload
    )
    if not ring.signed(key, signature, to_be_signed):
        return BadSignature(kid)
    claims = _read_claims(payload, key)
    if isinstance(claims, Broken):
        return claims
    if key.event not in {0, claims.event}:
        return NoKey(kid)  # for that event this signer is nobody
    return Verified(claims, key)


def is_complete(text: bytes) -> bool:
    """Whether these bytes are a whole ticket text by its own lengths: a reader need not wait for more. Cheap."""
    return len(text) > _HEAD_CHARS and len(text) == _length_of(bytes(text[:_HEAD_CHARS]))


@lru_cache(maxsize=16)
def _length_of(head: bytes) -> int:
    """The length that a ticket text with this beginning has; 0 where it is no ticket."""
    if head[:3].upper() != PREFIX:
        return 0
    raw = _base32_decode(head[3:])
    if raw is None:
        return 0
    at = 1 if raw[0] == _TAG_SIGN1 else 0
    end = at + 2 + raw[at + 1] - 0x40
    if raw[at] != 0x84 or not at + 2 < end < len(raw) - 3 or raw[end] != 0xA0:
        return 0
    first = raw[end + 1]
    if first == 0x58:
        payload = 2 + raw[end + 2]
    elif first == 0x59:
        payload = 3 + int.from_bytes(raw[end + 2 : end + 4], "big")
    else:
        payload = 1 + first - 0x40 if 0x40 <= first <= 0x57 else 0
    size = end + 1 + payload + len(_SIGNATURE_HEAD) + _SIGNATURE_BYTES
    return len(PREFIX) + -(-size * 8 // 5) if payload else 0


def _open_envelope(raw: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
    """Split into protected header, head of the payload's bstr, payload and signature.

    Lengths in their shortest form only: the bytes between are then those of the Sig_structure.
    """
    at = 1 if raw[:1] == b"\xd2" else 0
    if len(raw) < at + 2 or raw[at] != 0x84:
        return None
    length = raw[at + 1] - 0x40
    if not _HEADER_BYTES_MIN <= length <= _HEADER_BYTES_MAX:
        return None
    start = at + 2
    end = start + length
    protected = raw[start:end]
    head = raw[end + 1 : end + 4]
    if raw[end : end + 1] != b"\xa0" or len(head) < 3:
        return None
    if head[0] == 0x58 and head[1] > 23:
        head, length = head[:2], head[1]
    elif 0x40 <= head[0] <= 0x57:
        head, length = head[:1], head[0] - 0x40
    elif head[0] == 0x59 and head[1]:
        length = head[1] << 8 | head[2]
    else:
        return None
    start = end + 1 + len(head)
    end = start + length
    if len(raw) != end + 2 + _SIGNATURE_BYTES or raw[end : end + 2] != _SIGNATURE_HEAD:
        return None
    return protected, head, raw[start:end], raw[end + 2 :]


def _kid_of_header(protected: bytes) -> bytes | Broken:
    """The key id of `{1: alg, 4: kid}`, the only header we know, in its deterministic order."""
    if protected[:2] != b"\xa2\x01" or protected[3] != 0x04 or protected[4] != 0x40 + len(protected) - 5:
        return Broken("header")
    if protected[2] not in {_ALG_ED25519, _ALG_EDDSA}:
        return Broken("alg")
    return protected[5:]


def _refuse_tag(*_: object) -> NoReturn:
    raise cbor2.CBORDecodeError("tags have no place in claims")


# cbor2 turns these into regular expressions, mail messages, addresses, fractions and cycles.
_NO_TAGS = dict.fromkeys(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse_tag
)


def _read_claims(payload: bytes, key: IssuerKey) -> Claims | Broken:
    try:
        found = cbor2.loads(
            payload,
            max_depth=CLAIMS_DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            tag_hook=_refuse_tag,
            semantic_decoders=_NO_TAGS,
        )
        # Also finds what follows the map, and lengths longer than they need be.
        exact = type(found) is dict and cbor2.dumps(found) == payload
    except cbor2.CBORError:
        return Broken("cbor")
    if not exact:
        return Broken("cbor")
    cti = found.get(CLAIM_CTI)
    ticket = int.from_bytes(cti, "big") if type(cti) is bytes and len(cti) <= 8 else 0
    zones = _read_zones(found.get(CLAIM_ZONES, 0))
    event = _uint(found.get(CLAIM_EVENT, key.event), U32_MAX)
    issued_at = _uint(found.get(CLAIM_IAT, 0), TIME_MAX)
    not_before = _uint(found.get(CLAIM_NBF, 0), TIME_MAX)
    not_after = _uint(found.get(CLAIM_EXP, 0), TIME_MAX)
    product = _uint(found.get(CLAIM_PRODUCT, 0), U16_MAX)
    admits = _uint(found.get(CLAIM_ADMITS, 1), U16_MAX)
    session = _uint(found.get(CLAIM_SESSION, 0), U16_MAX)
    if (
        zones is None
        or min(issued_at, not_before, not_after, product, session) < 0
        or min(ticket, event, admits) < 1
    ):
        return Broken("claims")
    return Claims(ticket, event, issued_at, not_before, not_after, zones, product, admits, session)


def _uint(value: object, most: int) -> int:
    """The value where it is an integer of 0 to `most`, else -1. Booleans and floats are no integers here."""
    return value if type(value) is int and 0 <= value <= most else -1


def _read_zones(value: object) -> tuple[int, ...] | None:
    if type(value) is int:
        if not 0 <= value <= U64_MAX:
            return None
        return tuple([bit + 1 for bit in range(value.bit_length()) if value >> bit & 1])
    if type(value) is not list or len(value) > ZONES_MAX:
        return None
    last = 0
    for zone in value:
        if type(zone) is not int or not last < zone <= U16_MAX:
            return None
        last = zone
    return tuple(value)


def _claims_map(claims: Claims) -> dict[int, object]:
    """Claims in the deterministic order of their encoded keys; what says nothing is left out."""
    if (
        not 1 <= claims.ticket <= U64_MAX
        or not 1 <= claims.event <= U32_MAX
        or not 1 <= claims.admits <= U16_MAX
    ):
        raise ValueError("a ticket needs an id of 64 bits, an event of 32 and admits of 16, none of them 0")
    if not all(0 <= time <= TIME_MAX for time in (claims.issued_at, claims.not_before, claims.not_after)):
        raise ValueError("times are unix seconds, 0 for none")
    if not 0 <= claims.product <= U16_MAX or not 0 <= claims.session <= U16_MAX:
        raise ValueError("product and session are unsigned 16-bit numbers")
    if _read_zones(list(claims.zones)) is None:
        raise ValueError(f"zones are at most {ZONES_MAX} ascending numbers of 1 to 65,535")
    said: dict[int, object] = {
        CLAIM_EXP: claims.not_after,
        CLAIM_NBF: claims.not_before,
        CLAIM_IAT: claims.issued_at,
        CLAIM_CTI: claims.ticket.to_bytes(8, "big"),
        CLAIM_EVENT: claims.event,
        CLAIM_ZONES: _zones_claim(claims.zones),
        CLAIM_PRODUCT: claims.product,
        CLAIM_ADMITS: claims.admits if claims.admits > 1 else 0,
        CLAIM_SESSION: claims.session,
    }
    return {claim: value for claim, value in said.items() if value}


def _zones_claim(zones: tuple[int, ...]) -> int | list[int]:
    """The mask, or the array where that is shorter on the ticket."""
    listed = list(zones)
    if not zones or zones[-1] > ZONE_MASK_MAX:
        return listed
    mask = sum(1 << zone - 1 for zone in zones)
    return mask if len(cbor2.dumps(mask)) <= len(cbor2.dumps(listed)) else listed


def _bstr(data: bytes) -> bytes:
    """A CBOR byte string with its length in the shortest form."""
    size = len(data)
    if size < 24:
        return bytes((0x40 + size,)) + data
    return (bytes((0x58, size)) if size < 256 else b"\x59" + _U16.pack(size)) + data


def _base32_decode(text: bytes) -> bytes | None:
    """The bytes, or None for a foreign character, a length no bytes have, or bits left over that are not 0."""
    spare = len(text) * 5 % 8
    if spare >= 5:
        return None
    try:
        number = int(text.translate(_FROM_BASE32), 32)
    except ValueError:
        return None
    if number & ((1 << spare) - 1):
        return None
    return (number >> spare).to_bytes(len(text) * 5 // 8, "big")


def _base32_encode(data: bytes) -> bytes:
    spare = -len(data) * 8 % 5
    number = int.from_bytes(data, "big") << spare
    count = (len(data) * 8 + spare) // 5
    return bytes(_BASE32[number >> 5 * place & 31] for place in range(count - 1, -1, -1))
