"""Who asks: the headers of a gate's request, checked against its key. No bearer token that a thief could reuse.

A request that is played again within `CLOCK_OFF_MAX_S` changes nothing: pushes are idempotent, and what a reading
tells may be newer, but the answer's proof is for the nonce of the first asker. An older one is refused.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.ids import GateId
from sync.wire.messages import CLOCK_OFF_MAX_S, NONCE_BYTES, is_signed, request_text

HEADERS = ("Gatehouse-Gate", "Gatehouse-Nonce", "Gatehouse-Time", "Gatehouse-Signature")
_DIGITS_MAX = 12
"""A gate has 10 digits at most, and the year 9999 as well."""
_GATE_MAX = 2**32 - 1


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

    def is_timely(self, now_s: int) -> bool:
        """Whether it was signed about now."""
        return abs(now_s - self.time_s) <= CLOCK_OFF_MAX_S


def claim_of(headers: Mapping[str, str]) -> Claim | None:
    """Read the headers of a request; None where one is missing or is not of its form."""
    gate, nonce, time, signature = (headers.get(name, "") for name in HEADERS)
    if not nonce_is_formed(nonce) or not (_is_number(gate) and _is_number(time)):
        return None
    if int(gate) > _GATE_MAX:
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
