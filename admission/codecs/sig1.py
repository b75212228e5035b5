"""pretix `sig1` tickets: minted (for tests and rehearsals of an import) and verified.

    raw     = 01 | u16be len(payload) | u16be len(signature) | payload | signature     Ed25519 over the payload alone
    text    = reverse(base64(raw)), the whole string, so that `=` comes first and the text ends in `AQ` reversed
    payload = protobuf: 1 seed, 2 item, 3 variation, 4 subevent, 5 valid from, 6 valid until (int64; 0 or absent: none)

Neither key nor event is named: each sig1 key is tried, and the key that verifies is the event. The ids are pretix's
own, up to 63 bits. A ticket is known by its exact text, so the text must be the only spelling of its bytes: base64
with bits set beyond the last byte would verify too and pass as a second ticket; it is refused.

Source: pretix's secret generators, format and vectors as published with them.
"""

import re
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from struct import Struct

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.keys import Broken, KeyFormat, KeyRing, NoKey, Refused, Verified

TEXT_BYTES_MAX = 512
"""pretix's own have 112 to 136 characters; a longer seed is still read."""
ID_MAX = 2**63 - 1
"""protobuf int64 without its negatives, which no id and no time has."""
TIME_MAX = 2**40
"""Unix seconds, far beyond any ticket: keeps times out of arithmetic that overflows."""
SEED_BYTES_MAX = 64

# The first three raw bytes are 01, 00-03 and a length, then 00 40: as base64 `AQ??AE`, reversed `EA??QA`.
_SHAPE = re.compile(rb"={0,2}[A-Za-z0-9+/]{86,}EA[A-Za-z0-9+/]{2}QA")
_HEAD = Struct(">BHH")
_VERSION = 1
_SIGNATURE_BYTES = 64
_VARINT_BYTES_MAX = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf wire types; 3 and 4, groups, are long gone


class Claims(msgspec.Struct, frozen=True, gc=False):
    """What a sig1 ticket says, in pretix's ids; 0 = none. Times in unix seconds. `event` is the key's."""

    seed: str
    item: int
    variation: int = 0
    subevent: int = 0
    valid_from: int = 0
    valid_until: int = 0
    event: int = 0


def looks_like(text: bytes) -> bool:
    """Whether a text has the shape of sig1: 24 fixed bits, alphabet and length, nothing a plain code has by chance."""
    return _SHAPE.fullmatch(text) is not None


def mint(claims: Claims, private: Ed25519PrivateKey) -> str:
    """The ticket's text. Raises ValueError for claims that no gate would accept."""
    seed = claims.seed.encode()
    numbers = (claims.item, claims.variation, claims.subevent, claims.valid_from, claims.valid_until)
    if len(seed) > SEED_BYTES_MAX or not all(0 <= number <= ID_MAX for number in numbers):
        raise ValueError(f"a seed has at most {SEED_BYTES_MAX} bytes, ids and times are 0 to 2^63 - 1")
    if max(numbers[3:]) > TIME_MAX:
        raise ValueError("times are unix seconds, 0 for none")
    payload = bytes((1 << 3 | _BYTES,)) + _varint(len(seed)) + seed if seed else b""
    for field, number in enumerate(numbers, start=2):
        if number:
            payload += bytes((field << 3 | _VARINT,)) + _varint(number)
    raw = _HEAD.pack(_VERSION, len(payload), _SIGNATURE_BYTES) + payload + private.sign(payload)
    return b64encode(raw)[::-1].decode("ascii")


def verify(text: bytes, ring: KeyRing) -> Verified[Claims] | Refused:
    """The claims of a sig1 text, or why there are none. Bounded time and memory for any bytes; never raises.

    `NoKey` where no key fits: a foreign ticket and a forged one look the same, as the text names no key.
    """
    if len(text) > TEXT_BYTES_MAX:
        return Broken("too_long")
    try:
        raw = a2b_base64(text[::-1], strict_mode=True)
    except Base64Error:
        return Broken("base64")
    if b64encode(raw)[::-1] != text:
        return Broken("base64")
    if len(raw) < _HEAD.size:
        return Broken("envelope")
    version, payload_bytes, signature_bytes = _HEAD.unpack_from(raw)
    end = _HEAD.size + payload_bytes
    if version != _VERSION or signature_bytes != _SIGNATURE_BYTES or len(raw) != end + _SIGNATURE_BYTES:
        return Broken("envelope")
    payload, signature = raw[_HEAD.size : end], raw[end:]
    for key in ring.of_format(KeyFormat.SIG1):
        if ring.signed(key, signature, payload):
            claims = _read_claims(payload, key.event)
            return claims if isinstance(claims, Broken) else Verified(claims, key)
    return NoKey(b"")


def _read_claims(payload: bytes, event: int) -> Claims | Broken:
    fields = _fields(payload)
    if fields is None:
        return Broken("protobuf")
    seed = fields.get(1, b"")
    numbers = [fields.get(field, 0) for field in range(2, 7)]
    if not isinstance(seed, bytes) or len(seed) > SEED_BYTES_MAX:
        return Broken("claims")
    item, variation, subevent, valid_from, valid_until = (
        number if isinstance(number, int) and number <= ID_MAX else -1 for number in numbers
    )
    times_fit = valid_from <= TIME_MAX and valid_until <= TIME_MAX
    if min(item, variation, subevent, valid_from, valid_until) < 0 or not times_fit:
        return Broken("claims")
    try:
        return Claims(seed.decode(), item, variation, subevent, valid_from, valid_until, event)
    except UnicodeDecodeError:
        return Broken("claims")


def _fields(payload: bytes) -> dict[int, int | bytes] | None:
    """Field number to value, the last of each (proto3); unknown fields are read over. None where it is no protobuf."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(payload):
        tag, at = _read_varint(payload, at)
        field, wire = tag >> 3, tag & 7
        if at < 0 or field == 0:
            return None
        if wire == _VARINT:
            found[field], at = _read_varint(payload, at)
            if at < 0:
                return None
            continue
        if wire == _BYTES:
            size, at = _read_varint(payload, at)
        elif wire in {_FIXED32, _FIXED64}:
            size = 4 if wire == _FIXED32 else 8
        else:
            return None
        if at < 0 or size > len(payload) - at:
            return None
        found[field] = payload[at : at + size]
        at += size
    return found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Value and the position after it; (0, -1) where it does not end within 10 bytes."""
    value = 0
    for place, byte in enumerate(data[at : at + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    return 0, -1


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
