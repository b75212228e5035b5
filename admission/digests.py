"""How a credential is looked up and recorded: a keyed BLAKE2b-128 digest, never the code itself.

Keyed per event group, so that digests of two groups cannot be compared; personalised by kind, so that a printed
code can never pass as a tag's UID, nor a bare UID as a tag that has to prove itself. Short codes and UIDs can still be tried by who holds the key.
The format is for ever: `codecs/vectors.json` publishes it.
"""

from collections.abc import Callable
from enum import Enum
from hashlib import blake2b
from struct import Struct

DIGEST_BYTES = 16
KEY_BYTES_MIN = 16
"""A shorter key could be tried; an empty one would make BLAKE2b unkeyed without a word."""
KEY_BYTES_MAX = 64
"""BLAKE2b's own limit (RFC 7693, 2.1)."""


class CredentialKind(Enum):
    """What was presented."""

    TK1 = "tk1"
    SIG1 = "sig1"
    JWS = "jws"
    OPAQUE = "opaque"
    UID = "uid"
    BAND = "band"
    """A tag by the signed record it carries (`admission.codecs.band`)."""
    SUN = "sun"
    """A tag by the message it makes anew for each tap (`admission.codecs.sun`)."""


# At most 16 bytes each (BLAKE2b's personalisation field); frozen with the record format.
PERSON_TK1 = b"gatehouse.tk1"
PERSON_TK1_TEXT = b"gatehouse.tk1txt"
PERSON_SIG1 = b"gatehouse.sig1"
PERSON_JWS = b"gatehouse.jws"
PERSON_OPAQUE = b"gatehouse.opaque"
PERSON_UID = b"gatehouse.uid"
PERSON_BAND = b"gatehouse.band"
PERSON_SUN = b"gatehouse.sun"

_PERSON = {
    CredentialKind.TK1: PERSON_TK1,
    CredentialKind.SIG1: PERSON_SIG1,
    CredentialKind.JWS: PERSON_JWS,
    CredentialKind.OPAQUE: PERSON_OPAQUE,
    CredentialKind.UID: PERSON_UID,
    CredentialKind.BAND: PERSON_BAND,
    CredentialKind.SUN: PERSON_SUN,
}
_TICKET = Struct(">IQ")  # event u32, ticket u64, big-endian like every id


def digest(kind: CredentialKind, material: bytes, key: bytes) -> bytes:
    """The 16-byte digest of a credential.

    `material`: the exact text bytes (sig1, JWS, opaque), the canonical UID bytes (all tags), or for TK1 what `ticket_digest`
    builds. `key`: the event group's digest key, 16 to 64 bytes. Raises ValueError for a key of another length.
    """
    return _keyed(_PERSON[kind], material, key)


def ticket_digest(event: int, ticket: int, key: bytes) -> bytes:
    """The digest of a TK1 ticket, of its verified claims: its text has many encodings, the ticket one number."""
    return _keyed(PERSON_TK1, _TICKET.pack(event, ticket), key)


def ticket_digests(key: bytes) -> Callable[[int, int], bytes]:
    """Return `ticket_digest` for one key: half its cost where a list's million tickets are gone through."""
    keyed, pack = _begun(PERSON_TK1, key).copy, _TICKET.pack

    def found(event: int, ticket: int) -> bytes:
        begun = keyed()
        begun.update(pack(event, ticket))
        return begun.digest()

    return found


def digests(kind: CredentialKind, key: bytes) -> Callable[[bytes], bytes]:
    """Return `digest` for one kind and key: half its cost where a list's codes are gone through."""
    keyed = _begun(_PERSON[kind], key).copy

    def found(material: bytes) -> bytes:
        begun = keyed()
        begun.update(material)
        return begun.digest()

    return found


def text_digest(kind: CredentialKind, text: bytes, key: bytes) -> bytes:
    """The digest of a barcode by its exact text, whatever it claims; for TK1 apart from every ticket's digest."""
    return _keyed(PERSON_TK1_TEXT if kind is CredentialKind.TK1 else _PERSON[kind], text, key)


def _keyed(person: bytes, material: bytes, key: bytes) -> bytes:
    begun = _begun(person, key)
    begun.update(material)
    return begun.digest()


def _begun(person: bytes, key: bytes) -> blake2b:
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise ValueError(f"a digest key has {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes, this one {len(key)}")
    return blake2b(digest_size=DIGEST_BYTES, key=key, person=person)
