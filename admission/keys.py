"""The issuers' public keys a gate knows, and what checking a text against them can say.

Public keys only: who steals a gate can mint nothing. Whether a key may be used now (`not_before`, `not_after`,
`status`) is judged by `decide()`, which knows the time; here a retired key still proves who signed.
"""

from collections.abc import Iterable
from enum import Enum, StrEnum
from hashlib import sha256
from typing import Generic, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PUBLIC_BYTES = 32
"""A raw Ed25519 public key (RFC 8032, 5.1.5)."""
KID_BYTES = 4
"""Length of the key ids we make: collisions are refused when a ring is built, so four bytes are enough."""
KID_BYTES_MAX = 16
"""Longest key id accepted from other issuers; it rides in every ticket."""
KEYS_PER_FORMAT_MAX = 64
"""sig1 names no key, so each one is tried: this bounds what a hostile text costs (about 0.1 ms a key)."""
U32_MAX = 2**32 - 1


class KeyFormat(StrEnum):
    """The ticket format a key signs. One key never serves two formats."""

    TK1 = "tk1"
    SIG1 = "sig1"
    JWS = "jws"


class KeyStatus(Enum):
    """What the centre says of a key."""

    ACTIVE = "active"
    RETIRED = "retired"
    COMPROMISED = "compromised"


class IssuerKey(msgspec.Struct, frozen=True, gc=False):
    """A public key and what it may sign.

    `kid`: 1 to 16 bytes, as the ticket names it. `public`: 32 raw bytes. `event`: the only event it issues for, or 0
    where the claims name it. `not_before`, `not_after`: unix seconds, 0 = none. Raises ValueError for what can
    never verify or would leave a ticket without an event.
    """

    kid: bytes
    public: bytes
    format: KeyFormat
    event: int
    not_before: int = 0
    not_after: int = 0
    status: KeyStatus = KeyStatus.ACTIVE

    def __post_init__(self) -> None:
        if len(self.public) != PUBLIC_BYTES:
            raise ValueError(
                f"an Ed25519 public key has {PUBLIC_BYTES} raw bytes, this one {len(self.public)}"
            )
        if not 1 <= len(self.kid) <= KID_BYTES_MAX:
            raise ValueError(f"a key id has 1 to {KID_BYTES_MAX} bytes, this one {len(self.kid)}")
        if not 0 <= self.event <= U32_MAX:
            raise ValueError("an event id is an unsigned 32-bit number")
        if self.format is KeyFormat.SIG1 and self.event == 0:
            raise ValueError("a sig1 key needs its event: sig1 tickets do not name one")


Claims_co = TypeVar("Claims_co", covariant=True)


class Verified(msgspec.Struct, Generic[Claims_co], frozen=True, gc=False):
    """The signature is good; these are the signer's claims."""

    claims: Claims_co
    key: IssuerKey


class BadSignature(msgspec.Struct, frozen=True, gc=False):
    """The text names a key we hold, and that key did not sign it."""

    kid: bytes


class NoKey(msgspec.Struct, frozen=True, gc=False):
    """No key we hold can have signed it. `kid` is what the text names, or b"" where it names none."""

    kid: bytes


class Broken(msgspec.Struct, frozen=True, gc=False):
    """The text is not of its format. `why` is a fixed word, never data from the text."""

    why: str


class OtherTag(msgspec.Struct, frozen=True, gc=False):
    """What the tag carries is genuine, and another tag's: it was copied from that one."""


Refused = BadSignature | NoKey | Broken


class KeyRing:
    """All keys of a gate, built once for fast checks; never changes, a new key document makes a new ring.

    Raises ValueError where two keys of one format share a key id, or a format has too many keys.
    """

    __slots__ = ("_by_kid", "_of_format", "_public")

    def __init__(self, keys: Iterable[IssuerKey]) -> None:
        self._by_kid: dict[tuple[bytes, KeyFormat], IssuerKey] = {}
        self._public: dict[bytes, Ed25519PublicKey] = {}
        self._of_format: dict[KeyFormat, tuple[IssuerKey, ...]] = dict.fromkeys(KeyFormat, ())
        for key in keys:
            if (key.kid, key.format) in self._by_kid:
                raise ValueError(f"two {key.format.value} keys share the id {key.kid.hex()}; issue a new key")
            self._by_kid[key.kid, key.format] = key
            self._public[key.public] = Ed25519PublicKey.from_public_bytes(key.public)
            same = (*self._of_format[key.format], key)
            if len(same) > KEYS_PER_FORMAT_MAX:
                raise ValueError(f"more than {KEYS_PER_FORMAT_MAX} {key.format.value} keys; close old events")
            self._of_format[key.format] = same

    def by_kid(self, kid: bytes, fmt: KeyFormat = KeyFormat.TK1) -> IssuerKey | None:
        """The key of that id and format, or None."""
        return self._by_kid.get((kid, fmt))

    def of_format(self, fmt: KeyFormat) -> tuple[IssuerKey, ...]:
        """All keys of a format, in the order given."""
        return self._of_format[fmt]

    def signed(self, key: IssuerKey, signature: bytes, message: bytes) -> bool:
        """Whether `key`, a key of this ring, made the Ed25519 signature over the message."""
        try:
            self._public[key.public].verify(signature, message)
        except InvalidSignature:
            return False
        return True


def kid_of(public: bytes) -> bytes:
    """The key id of a raw public key: the first 4 bytes of its SHA-256."""
    return sha256(public).digest()[:KID_BYTES]
