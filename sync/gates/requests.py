"""Who asks: the headers of a gate's request, checked against its key. No bearer token that a thief could reuse.

A request that is played again changes nothing: reading tells what the first reading told, pushes are idempotent.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.ids import GateId
from sync.wire.messages import NONCE_BYTES, is_signed, request_text

HEADERS = ("Gatehouse-Gate", "Gatehouse-Nonce", "Gatehouse-Time", "Gatehouse-Signature")
_DIGITS_MAX = 20


@dataclass(frozen=True, slots=True)
class Claim:
    """Who says to ask, not yet proved."""

    gate: GateId
    nonce: str
    time_s: int
    signature: bytes

    def proved(self, public: bytes, method: str, target: str, body: bytes) -> bool:
        """Whether this gate's key signed this request."""
        key = Ed25519PublicKey.from_public_bytes(public)
        return is_signed(key, self.signature, request_text(method, target, body, self.nonce, self.time_s))


def claim_of(headers: Mapping[str, str]) -> Claim | None:
    """Read the headers of a request; None where one is missing or is not of its form."""
    gate, nonce, time, signature = (headers.get(name, "") for name in HEADERS)
    if not nonce_is_formed(nonce) or not (_is_number(gate) and _is_number(time)):
        return None
    try:
        return Claim(GateId(int(gate)), nonce, int(time), b64decode(signature, validate=True))
    except (binascii.Error, ValueError):
        return None


def nonce_is_formed(nonce: str) -> bool:
    """Whether a nonce is 32 lower-case hex digits."""
    return len(nonce) == 2 * NONCE_BYTES and all(digit in "0123456789abcdef" for digit in nonce)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX
