"""Secrets of an event group, sealed to one gate: nobody else opens them, and they open for no other purpose.

    0  32   ephemeral X25519 public key, another one for each gate and whatever is sealed
   32   n   ChaCha20-Poly1305 ciphertext and tag (RFC 8439); nonce zero, since each key serves once

The key is HKDF-SHA256 (RFC 5869) of the X25519 result (RFC 7748), with both public keys as salt and
"gatehouse sealed 0" as info. Group and gate, u32 each, are authenticated with it.

This does not say who sealed: what carries it does (the manifest is proved by the centre's time key).
"""

import struct

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from admission.digests import KEY_BYTES_MAX, KEY_BYTES_MIN

KEY_BYTES = 32
_INFO = b"gatehouse sealed 0"
_NONCE = bytes(12)
_FOR = struct.Struct(">II")


class SealedRefused(ValueError):
    """Sealed secrets that are not for this gate, or were altered."""


class GroupSecrets(msgspec.Struct, frozen=True, array_like=True, repr_omit_defaults=True):
    """What a gate needs to read lists and to look credentials up. `list_secret` has 32 bytes."""

    group: int
    list_secret: bytes
    digest_key: bytes

    def __repr__(self) -> str:
        return f"GroupSecrets(group={self.group}, …)"


def seal(secrets: GroupSecrets, gate: int, public: bytes, ephemeral: bytes) -> bytes:
    """Seal to a gate's X25519 public key. `ephemeral`: 32 bytes that nobody else can tell, for these secrets and this gate alone.

    ValueError for a public key that is none.
    """
    key = X25519PrivateKey.from_private_bytes(ephemeral)
    mine = key.public_key().public_bytes_raw()
    cipher = _cipher(key, X25519PublicKey.from_public_bytes(public), mine + public)
    text = msgspec.msgpack.encode(secrets)
    return mine + cipher.encrypt(_NONCE, text, _FOR.pack(secrets.group, gate))


def unseal(sealed: bytes, group: int, gate: int, key: X25519PrivateKey) -> GroupSecrets:
    """Open what was sealed to this gate. SealedRefused for anything else."""
    theirs, text = sealed[:KEY_BYTES], sealed[KEY_BYTES:]
    try:
        public = X25519PublicKey.from_public_bytes(theirs)
        cipher = _cipher(key, public, theirs + key.public_key().public_bytes_raw())
        found = msgspec.msgpack.decode(
            cipher.decrypt(_NONCE, text, _FOR.pack(group, gate)), type=GroupSecrets
        )
    except (InvalidTag, ValueError) as error:  # msgspec.DecodeError is a ValueError
        raise SealedRefused("the group's keys are not sealed to this gate, or were altered") from error
    if (
        found.group != group
        or len(found.list_secret) != KEY_BYTES
        or not KEY_BYTES_MIN <= len(found.digest_key) <= KEY_BYTES_MAX
    ):
        raise SealedRefused("the group's keys are of another form than this version knows")
    return found


def _cipher(key: X25519PrivateKey, public: X25519PublicKey, salt: bytes) -> ChaCha20Poly1305:
    """ValueError where the other side's point is of low order (RFC 7748, 6.1: the all-zero check)."""
    shared = key.exchange(public)
    return ChaCha20Poly1305(HKDF(SHA256(), KEY_BYTES, salt, _INFO).derive(shared))
