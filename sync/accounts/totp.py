"""The second factor: codes of an authenticator app (RFC 6238, 30 s, 6 digits, SHA-1 as every app has it)."""

import hashlib
import os

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from sync.keys import VenueKeys

STEP_S = 30
STEPS_OFF = 1
"""RFC 6238, 5.2: one step for the network's delay, to either side for a phone's clock."""
_NONCE_BYTES = 12
ISSUER = "Gatehouse"


def new_secret() -> str:
    """Return a new secret, base32: 160 bits, as RFC 4226, 4 recommends."""
    return pyotp.random_base32()


def uri(secret: str, email: str) -> str:
    """Return what an authenticator app reads from a QR."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def step_of(secret: str, code: str, used: int, now_s: int) -> int | None:
    """Return the step a code is of, for storing as the last one used; None for a wrong or an old code.

    A code counts once (RFC 6238, 5.2): steps up to `used` are refused.
    """
    typed = "".join(code.split())
    now = now_s // STEP_S
    machine = pyotp.TOTP(secret)
    for step in range(max(now - STEPS_OFF, used + 1), now + STEPS_OFF + 1):
        if pyotp.utils.strings_equal(typed, machine.at(step * STEP_S)):
            return step
    return None


def sealed(secret: str, keys: VenueKeys, user: int) -> bytes:
    """Return a secret as it is stored: a copy of the database alone makes no codes."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(keys).encrypt(nonce, secret.encode(), str(user).encode())


def opened(stored: bytes, keys: VenueKeys, user: int) -> str | None:
    """Return the secret that `sealed` took; None where it is another venue's or another user's."""
    try:
        return (
            _cipher(keys).decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], str(user).encode()).decode()
        )
    except InvalidTag:
        return None


def _cipher(keys: VenueKeys) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hashlib.sha256(b"gatehouse totp 0\n" + keys.accounts).digest())
