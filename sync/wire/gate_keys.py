"""How a gate takes new keys because the centre asks for it: it proves that it holds the present one and both new ones.

| method and path | body | answer |
|---|---|---|
| POST /api/v1/gate/keys | `KeyOffer` MessagePack, signed as every request, by the present key | empty |

    manifest   ->  gate    RollAsked: the order's number, and a challenge
    gate           makes an Ed25519 and an X25519 key
    gate       ->  centre  KeyOffer; kept at the centre, no more. The present key is the gate's as before
    gate           puts the new keys in the place of the present ones, in one rename
    gate       ->  centre  the next request, whatever it asks, signed by the new key: now the new keys are the gate's

So whatever is cut short, and wherever, the gate holds a key that the centre takes: the present one until the rename, the
new one from then on. The centre changes the roster only when it has seen that the gate has changed its disk.

An offer is proved three ways: the request is signed by the present key; `proof` is the new signing key's, over what the
offer says and for whom; `opened` shows that the new sealing key is held, since only it has that secret in common with the
challenge. Another offer of the same order takes the place of an earlier one only where its request was signed later: an
old one that is played again, or comes late, changes nothing.
"""

import hmac
import struct
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from admission.ids import GateId
from sync.wire.messages import is_signed

KEY_BYTES = 32
OFFER_BYTES_MAX = 1024
_OFFER = b"gatehouse offer 0\n"
_OPENED = b"gatehouse opened 0\n"
_FOR = struct.Struct(">IQ")


class RollAsked(msgspec.Struct, frozen=True, array_like=True):
    """The centre asks for new keys. `number`: of the order, rising; `challenge`: an X25519 public key for it alone."""

    number: int
    challenge: bytes


class KeyOffer(msgspec.Struct, frozen=True, array_like=True):
    """A gate's new keys for an order. `public` signs, secrets are sealed to `sealing`."""

    number: int
    public: bytes
    sealing: bytes
    proof: bytes
    opened: bytes


def make_offer(
    gate: GateId,
    asked: RollAsked,
    present: bytes,
    signing: Ed25519PrivateKey,
    sealing: X25519PrivateKey,
) -> KeyOffer:
    """Return the offer of new keys. `present`: the gate's present public key. ValueError for a challenge that is none."""
    public, sealed_to = signing.public_key().public_bytes_raw(), sealing.public_key().public_bytes_raw()
    text = _text(gate, asked.number, present, public, sealed_to)
    secret = sealing.exchange(X25519PublicKey.from_public_bytes(asked.challenge))
    return KeyOffer(asked.number, public, sealed_to, signing.sign(_OFFER + text), _opened(secret, text))


def is_proved(offer: KeyOffer, gate: GateId, present: bytes, challenge: X25519PrivateKey) -> bool:
    """Whether the gate with this present key holds both keys that it offers. `challenge`: of the order it names."""
    if not len(offer.public) == len(offer.sealing) == KEY_BYTES:
        return False
    text = _text(gate, offer.number, present, offer.public, offer.sealing)
    try:
        secret = challenge.exchange(X25519PublicKey.from_public_bytes(offer.sealing))
        key = Ed25519PublicKey.from_public_bytes(offer.public)
    except ValueError:  # a point of low order has its secret in common with everybody (RFC 7748, 6.1)
        return False
    return hmac.compare_digest(offer.opened, _opened(secret, text)) and is_signed(
        key, offer.proof, _OFFER + text
    )


def _text(gate: GateId, number: int, present: bytes, public: bytes, sealing: bytes) -> bytes:
    return _FOR.pack(gate, number) + present + public + sealing


def _opened(secret: bytes, text: bytes) -> bytes:
    return hmac.digest(sha256(_OPENED + secret).digest(), text, "sha256")
