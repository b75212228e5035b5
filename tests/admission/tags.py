"""Tags of the two kinds that prove themselves, as their makers write them, for tests."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from admission.codecs import band, cose, sun
from admission.codecs.ndef import URI, WELL_KNOWN, Record, message_of
from admission.credentials import tag_data

TAG_UID = bytes.fromhex("04DE5F1EACC040")


def picc_of(uid: bytes, counter: int, keys: sun.Keys) -> bytes:
    """The encrypted half of a SUN message, as the chip makes it."""
    encryptor = Cipher(AES(keys.meta), CBC(bytes(16))).encryptor()
    text = b"\xc7" + uid + counter.to_bytes(3, "little") + b"noise"
    return encryptor.update(text) + encryptor.finalize()


def sun_url(uid: bytes, counter: int, keys: sun.Keys) -> bytes:
    """What a 424's NDEF file says at one tap: the payload of its URI record."""
    mac = sun.mac_of(uid, counter.to_bytes(3, "little"), keys)
    return b"\x04venue.example/t?e=%b&c=%b" % (picc_of(uid, counter, keys).hex().encode(), mac.hex().encode())


def sun_tap(counter: int, digest_key: bytes, uid: bytes = TAG_UID, shown: bytes | None = None) -> bytes:
    """What a reader delivers of a SUN tag; `shown`: the UID it gives, where that is another."""
    record = Record(WELL_KNOWN, URI, sun_url(uid, counter, sun.keys_of(digest_key)))
    return tag_data(uid if shown is None else shown, message_of(record))


def band_tap(
    claims: cose.Claims, key: Ed25519PrivateKey, uid: bytes = TAG_UID, shown: bytes | None = None
) -> bytes:
    """What a reader delivers of a wristband with a signed record."""
    return tag_data(uid if shown is None else shown, band.mint(claims, uid, key))
