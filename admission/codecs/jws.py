"""JWS compact tickets of other issuers (RFC 7515, RFC 8037): verified, never issued.

    text = base64url(header) "." base64url(payload) "." base64url(signature)

`alg` must be what every key here is: `Ed25519` (RFC 9864) or the older `EdDSA`. `kid` may be missing: then each JWS
key is tried. It names a key by the text of its id, or by its id in hex. Keys inside the header are never looked at;
a `crit` header is refused (RFC 7515, 4.1.11: what one does not understand one must refuse).

The payload is a JSON object. Read are `jti` (the ticket id, a number or its decimal digits; any other makes a
ticket without a number, known by its text), `iat`, `nbf`, `exp`, and `event`, `zones`, `product`, `admits`,
`session`; ranges and defaults as in TK1. Whatever else it holds is ignored.

A ticket is known by its exact text, so the text must be the only spelling of its bytes: base64url with bits set
beyond the last byte would verify too and pass as a second ticket; it is refused.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from admission.keys import (
    U32_MAX,
    BadSignature,
    Broken,
    IssuerKey,
    KeyFormat,
    KeyRing,
    NoKey,
    Refused,
    Verified,
)

TEXT_BYTES_MAX = 2048
"""The usual ones have 150 to 300 characters; no QR code that a scanner reads off a phone has more."""
HEADER_CHARS_MAX = 256
"""The header is parsed before the signature is checked: this bounds how deep it nests."""
KID_CHARS_MAX = 64

U16_MAX = 2**16 - 1
U64_MAX = 2**64 - 1
TIME_MAX = 2**40
"""Unix seconds, far beyond any ticket: keeps times out of arithmetic that overflows."""
ZONES_MAX = 64

# An Ed25519 signature has 64 bytes, 86 characters: JWTs of other algorithms mostly stay opaque codes.
_SHAPE = re.compile(rb"ey[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")
_ALGS = frozenset(("Ed25519", "EdDSA"))


class Claims(msgspec.Struct, frozen=True, gc=False):
    """What a JWS ticket says: `ticket` None where `jti` is no number; the rest as in TK1."""

    ticket: int | None
    event: int
    issued_at: int
    not_before: int
    not_after: int
    zones: tuple[int, ...]
    product: int
    admits: int
    session: int


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    crit: msgspec.Raw | None = None


class _Payload(msgspec.Struct):
    jti: int | str | None = None
    iat: int = 0
    nbf: int = 0
    exp: int = 0
    event: int = 0
    zones: list[int] = []
    product: int = 0
    admits: int = 1
    session: int = 0


_read_header = msgspec.json.Decoder(_Header).decode
_read_payload = msgspec.json.Decoder(_Payload).decode


def looks_like(text: bytes) -> bool:
    """Whether a text has the shape of a JWS with an Ed25519 signature."""
    return _SHAPE.fullmatch(text) is not None


def verify(text: bytes, ring: KeyRing) -> Verified[Claims] | Refused:
    """The claims of a JWS text, or why there are none. Bounded time and memory for any bytes; never raises.

    Without a `kid` a failure is `NoKey`: a foreign ticket and a forged one look the same.
    """
    if len(text) > TEXT_BYTES_MAX:
        return Broken("too_long")
    if not looks_like(text):
        return Broken("envelope")
    signed, _, signature_chars = text.rpartition(b".")
    header_chars, _, payload_chars = signed.partition(b".")
    if len(header_chars) > HEADER_CHARS_MAX:
        return Broken("header")
    header_bytes, payload, signature = map(_base64url, (header_chars, payload_chars, signature_chars))
    if header_bytes is None or payload is None or signature is None:
        return Broken("base64")
    try:
        header = _read_header(header_bytes)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Broken("header")
    if header.alg not in _ALGS:
        return Broken("alg")
    if header.crit is not None or len(header.kid or "") > KID_CHARS_MAX:
        return Broken("header")
    if header.kid is None:
        return _try_each(signed, payload, signature, ring)
    key = _key_named(header.kid, ring)
    if key is None:
        return NoKey(header.kid.encode())
    if not ring.signed(key, signature, signed):
        return BadSignature(key.kid)
    return _accept(payload, key)


def _try_each(signed: bytes, payload: bytes, signature: bytes, ring: KeyRing) -> Verified[Claims] | Refused:
    for key in ring.of_format(KeyFormat.JWS):
        if ring.signed(key, signature, signed):
            return _accept(payload, key)
    return NoKey(b"")


def _key_named(kid: str, ring: KeyRing) -> IssuerKey | None:
    key = ring.by_kid(kid.encode(), KeyFormat.JWS)
    if key is not None:
        return key
    try:
        return ring.by_kid(bytes.fromhex(kid), KeyFormat.JWS)
    except ValueError:
        return None


def _accept(payload: bytes, key: IssuerKey) -> Verified[Claims] | Refused:
    try:
        said = _read_payload(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Broken("claims")
    event = said.event or key.event
    times_fit = all(0 <= time <= TIME_MAX for time in (said.iat, said.nbf, said.exp))
    ids_fit = 0 < event <= U32_MAX and 0 <= said.product <= U16_MAX and 0 <= said.session <= U16_MAX
    zones = tuple(said.zones)
    zones_fit = len(zones) <= ZONES_MAX and all(0 < zone <= U16_MAX for zone in zones)
    if not (times_fit and ids_fit and zones_fit and 1 <= said.admits <= U16_MAX):
        return Broken("claims")
    if key.event not in {0, event}:
        return NoKey(key.kid)  # for that event this signer is nobody
    claims = Claims(
        _ticket(said.jti),
        event,
        said.iat,
        said.nbf,
        said.exp,
        tuple(sorted(set(zones))),
        said.product,
        said.admits,
        said.session,
    )
    return Verified(claims, key)


def _ticket(jti: int | str | None) -> int | None:
    """The ticket id, where `jti` is one: 1 to 2^64 - 1, in digits without leading zeros if it is a text."""
    if isinstance(jti, str):
        plain = jti.isascii() and jti.isdigit() and not jti.startswith("0") and len(jti) <= len(str(U64_MAX))
        jti = int(jti) if plain else None
    return jti if jti is not None and 1 <= jti <= U64_MAX else None


def _base64url(chars: bytes) -> bytes | None:
    """The bytes, or None where this is not their one spelling. `chars` holds base64url characters alone."""
    if len(chars) % 4 == 1:
        return None
    data = urlsafe_b64decode(chars + b"=" * (-len(chars) % 4))
    return data if urlsafe_b64encode(data).rstrip(b"=") == chars else None
