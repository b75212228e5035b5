"""NTAG 424 DNA: the message that the tag makes anew for each tap (NXP calls it SUN or SDM, AN12196).

A URL in the tag's NDEF file, of one of two shapes; names of parameters are the encoder's choice:

    …?x=<PICC data, 32 hex>&y=<MAC, 16 hex>                        encrypted
    …?x=<UID, 14 hex>&y=<counter, 6 hex>&z=<MAC, 16 hex>           plain; the counter big-endian

    PICC data = AES-128-CBC under the meta key, zero IV, of C7 | UID | counter little-endian | 5 random bytes
    session   = CMAC under the file key, of 3C C3 00 01 00 80 | UID | counter little-endian
    MAC       = bytes 1, 3, 5, … of CMAC under the session key, of nothing

C7: UID and counter are there, the UID has 7 bytes. The counter rises with each tap, so a message that was read off and
sent again is told by it; who keeps the highest counter is `admission.decide`'s caller.

Both keys are the event group's, made from its digest key, which comes to a gate sealed and goes with the group: `keys_of`.
The file key is made from a master for each UID (AN10922), so that a key that was taken out of one tag opens no other.
Who takes a gate apart can make such messages: SECURITY.md.
"""

import re
from functools import lru_cache
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.cmac import CMAC

from admission.codecs.ndef import URI, WELL_KNOWN, Record
from admission.keys import BadSignature, Broken, NoKey, Refused

KEY_BYTES: Final = 16
UID_BYTES: Final = 7
COUNTER_MAX: Final = 2**24 - 1

_PICC_BYTES: Final = 16
_SHAPE: Final = re.compile(
    rb"[?&]\w{1,32}=(?:([0-9A-Fa-f]{32})|([0-9A-Fa-f]{14})&\w{1,32}=([0-9A-Fa-f]{6}))&\w{1,32}=([0-9A-Fa-f]{16})\Z"
)
_UID_AND_COUNTER: Final = 0xC7
_SESSION: Final = bytes.fromhex("3CC300010080")
_NAME: Final = b"gatehouse"
"""With it and the UID what is diversified has 17 bytes: AN10922 pads shorter ones otherwise than CMAC does."""
_PERSON_META, _PERSON_FILE = b"gatehouse.sunmet", b"gatehouse.sunfil"


class Keys(msgspec.Struct, frozen=True, gc=False):
    """16 bytes each. `file` is the master that each tag's own is made from; `one_for_all`: it is every tag's itself."""

    meta: bytes
    file: bytes
    one_for_all: bool = False

    def __repr__(self) -> str:
        return "Keys(…)"


class Tap(msgspec.Struct, frozen=True, gc=False):
    """What a tag says that proved itself. `counter` has 24 bits."""

    uid: bytes
    counter: int


@lru_cache(maxsize=8)
def keys_of(digest_key: bytes) -> Keys:
    """The keys of the event group with this digest key. For ever: tags are written with them."""
    meta, file = (
        blake2b(digest_size=KEY_BYTES, key=digest_key, person=person).digest()
        for person in (_PERSON_META, _PERSON_FILE)
    )
    return Keys(meta, file)


def is_sun(record: Record) -> bool:
    """Whether a record is a URL with such a message."""
    return record.format == WELL_KNOWN and record.type == URI and _SHAPE.search(record.payload) is not None


def verify(url: bytes, keys: Keys) -> Tap | Refused:
    """What the tag says, or why nobody knows. `NoKey`: the PICC data are not under our key. Never raises."""
    found = _SHAPE.search(url)
    if found is None:
        return Broken("envelope")
    encrypted, plain_uid, plain_counter, mac = (
        part and bytes.fromhex(part.decode()) for part in found.groups()
    )
    if encrypted:
        data = _decrypted(encrypted, keys.meta)
        if data[0] != _UID_AND_COUNTER:
            return NoKey(b"")
        uid, counter = data[1 : 1 + UID_BYTES], data[1 + UID_BYTES : 4 + UID_BYTES]
    else:
        uid, counter = plain_uid, plain_counter[::-1]
    if not compare_digest(mac_of(uid, counter, keys), mac):
        return BadSignature(b"")
    return Tap(uid, int.from_bytes(counter, "little"))


def mac_of(uid: bytes, counter: bytes, keys: Keys) -> bytes:
    """The 8 bytes that end a message. `counter` little-endian."""
    file = keys.file if keys.one_for_all else diversified(keys.file, uid + _NAME)
    session = _cmac(file, _SESSION + uid + counter)
    return _cmac(session, b"")[1::2]


def diversified(master: bytes, of: bytes) -> bytes:
    """The AES-128 key that AN10922 makes of a master key, for 16 to 31 bytes that name what it is for."""
    return _cmac(master, b"\x01" + of)


def _cmac(key: bytes, message: bytes) -> bytes:
    made = CMAC(AES(key))
    made.update(message)
    return made.finalize()


def _decrypted(data: bytes, key: bytes) -> bytes:
    decryptor = Cipher(AES(key), CBC(bytes(_PICC_BYTES))).decryptor()
    return decryptor.update(data) + decryptor.finalize()
