"""Seals: what the centre says, every minute, of each event's list. So no rollback and no freeze goes unseen.

 0   4   event, u32
 4   4   generation, u32: rises when the centre is restored from a backup
 8   8   version, u64: of the event's list
16  16   digest: what the list holds at that version
32   8   time, u64, unix seconds: when it was sealed
40  64   Ed25519 signature by the list key over "gatehouse seal 0\\n" and the 40 bytes before it
"""

import struct
from enum import Enum

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from admission.ids import EventId
from sync.wire.messages import is_signed

SEAL_BYTES = 104
DIGEST_BYTES = 16
RENEW_S = 60
"""How often the centre seals what has not changed: the seal is its heartbeat, too."""
REST_RENEW_S = 300
"""How often those are sent one that say that they rest (`GateStatus.again_s`), since nobody came for long: whatever changes is
told and sealed at once all the same, the stream's beats show that it lives, and a seal a minute of each event would be most
of what an idle day carries."""
FROZEN_S = 600
"""A newest seal older than this is shown: ten were missed, so somebody may be keeping news from this gate."""

_DOMAIN = b"gatehouse seal 0\n"
_FORM = struct.Struct(">IIQ16sQ")


class SealRefused(ValueError):
    """Bytes that are no seal of this venue's list key."""


class Seal(msgspec.Struct, frozen=True, gc=False, array_like=True, order=False):
    """What an event's list was at a time. `digest` has 16 bytes."""

    event: EventId
    generation: int
    version: int
    digest: bytes
    time_s: int

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in the order that lists never go back in."""
        return self.generation, self.version


class Advance(Enum):
    """How a seal stands to the newest one known of its event."""

    NEWER = "newer"
    """Another version, or the same one sealed later: take it."""
    KNOWN = "known"
    """Known already, or overtaken on its way within the same version: nothing is new."""
    ROLLED_BACK = "rolled_back"
    """Of an older version than one seen, or of a newer one sealed before it: never to be used."""
    FORKED = "forked"
    """Of the same version, with another content: the centre, or who holds its key, says two things."""


def sign_seal(seal: Seal, key: Ed25519PrivateKey) -> bytes:
    """Return a seal as it travels. ValueError for a digest of another length than 16."""
    body = _body(seal)
    return body + key.sign(_DOMAIN + body)


def read_seal(data: bytes, key: Ed25519PublicKey) -> Seal:
    """Return what was sealed. SealRefused for anything that the list key did not sign."""
    body, signature = data[: _FORM.size], data[_FORM.size :]
    if len(data) != SEAL_BYTES or not is_signed(key, signature, _DOMAIN + body):
        raise SealRefused("the seal is not signed by this venue's list key, or was altered on its way")
    event, generation, version, digest, time_s = _FORM.unpack(body)
    return Seal(EventId(event), generation, version, digest, time_s)


def advance(known: Seal | None, seen: Seal) -> Advance:
    """Judge a seal by the newest one known of the same event (the monotonic rule)."""
    if known is None:
        return Advance.NEWER
    if seen.place < known.place:
        return Advance.ROLLED_BACK
    if seen.place == known.place:
        if seen.digest != known.digest:
            return Advance.FORKED
        return Advance.NEWER if seen.time_s > known.time_s else Advance.KNOWN
    if seen.generation == known.generation and seen.time_s < known.time_s:
        return Advance.ROLLED_BACK  # time and version of one generation rise together
    return Advance.NEWER


def is_frozen(newest: Seal, now_s: int) -> bool:
    """Whether no news came for so long that it must be shown. `now_s`: trusted time."""
    return now_s - newest.time_s > FROZEN_S


def _body(seal: Seal) -> bytes:
    if len(seal.digest) != DIGEST_BYTES:
        raise ValueError(f"a seal's digest has {DIGEST_BYTES} bytes, this one {len(seal.digest)}")
    return _FORM.pack(seal.event, seal.generation, seal.version, seal.digest, seal.time_s)
