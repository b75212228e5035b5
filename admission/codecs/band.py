"""A ticket on a tag that is bound to the tag's UID: written to cheap wristbands (NTAG21x), verified by public keys alone.

    record  = NDEF external type `gatehouse:1`, payload below
    payload = length of UID u8 | UID | envelope
    envelope = the COSE_Sign1 of `admission.codecs.cose`, with "tag1" and the UID as external data

So a TK1 ticket is never a tag's record nor the other way round, although one key signs both. The record names its UID,
so that one that was copied to another tag can be told from one that nobody signed. Ticket, event, product and time of issue
make a message of at most 141 bytes: with its TLV it fits into the 144 of an NTAG213. More claims need a larger tag.

It proves who issued it and for which UID. A tag whose UID can be set to any value still copies it whole.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.codecs import cose
from admission.codecs.ndef import EXTERNAL, Record, message_of
from admission.keys import Broken, KeyRing, OtherTag, Refused, Verified

TYPE: Final = b"gatehouse:1"
UID_SIZES: Final = frozenset((4, 7, 10))
"""ISO/IEC 14443-3: those are the tags that are written."""
_DOMAIN: Final = b"tag1"


def mint(claims: cose.Claims, uid: bytes, private: Ed25519PrivateKey) -> bytes:
    """The NDEF message for the tag with this UID. ValueError for claims or a UID that no gate would accept."""
    if len(uid) not in UID_SIZES:
        raise ValueError("a tag that is written has a UID of 4, 7 or 10 bytes")
    envelope = cose.sign(claims, private, _DOMAIN + uid)
    return message_of(Record(EXTERNAL, TYPE, bytes((len(uid),)) + uid + envelope))


def is_band(record: Record) -> bool:
    """Whether a record is of our type."""
    return record.format == EXTERNAL and record.type == TYPE


def verify(payload: bytes, uid: bytes, ring: KeyRing) -> Verified[cose.Claims] | OtherTag | Refused:
    """The claims of a record found on the tag with this UID, or why there are none. Never raises."""
    size = payload[0] if payload else 0
    named, envelope = payload[1 : 1 + size], payload[1 + size :]
    if size not in UID_SIZES or len(named) != size:
        return Broken("envelope")
    checked = cose.open_signed(envelope, ring, _DOMAIN + named)
    return OtherTag() if isinstance(checked, Verified) and named != uid else checked
