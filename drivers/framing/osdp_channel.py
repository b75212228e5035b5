"""OSDP's secure channel, the host's end (IEC 60839-11-5, Annex D): AES-128, keys of its own for each session, a MAC on each message.

Each message's MAC begins where the other side's last one ended, so that none can be left out, repeated or made up.
"""

import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from drivers.framing.osdp import Reply, encode

SCBK_D: Final = bytes(range(0x30, 0x40))
"""The key that every reader has before it is given one; it is printed in the specification."""
KEY_BYTES: Final = 16
RANDOM_BYTES: Final = 8
_BLOCK: Final = 16
_PLAIN, _WITH_DATA = 0x15, 0x17
"""Security blocks of commands in a channel; a reply's are one more."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session's keys: for data, and the two for MACs."""

    enc: bytes
    mac_1: bytes
    mac_2: bytes

    @classmethod
    def of(cls, key: bytes, host_random: bytes) -> "Session":
        """Derive them from the reader's key and the host's random number."""
        first = [bytes((1, one)) + host_random[:6] + bytes(8) for one in (0x82, 0x01, 0x02)]
        return cls(*(_encrypted(key, one) for one in first))

    def reader_proof(self, host_random: bytes, reader_random: bytes) -> bytes:
        """What only a reader with the key answers to a challenge."""
        return _encrypted(self.enc, host_random + reader_random)

    def host_proof(self, host_random: bytes, reader_random: bytes) -> bytes:
        """What only a host with the key says then."""
        return _encrypted(self.enc, reader_random + host_random)


class Channel:
    """An open channel. `first_mac`: the reader's first one, with which it acknowledged the host's proof."""

    def __init__(self, session: Session, first_mac: bytes) -> None:
        self._session = session
        self._reader_mac = first_mac
        self._host_mac = b""

    def seal(self, address: int, sequence: int, code: int, data: bytes) -> bytes:
        """Return a command for the wire. One that is not answered is sent again as it is, never sealed anew."""
        block = bytes((2, _WITH_DATA if data else _PLAIN))
        if data:
            padded = data + b"\x80" + bytes(-(len(data) + 1) % _BLOCK)
            data = _encrypted(self._session.enc, padded, _inverse(self._reader_mac))
        return encode(address, sequence, code, data, block, self._sign)

    def open(self, reply: Reply) -> bytes | None:
        """Return the data of a reply to the last command; None where it is not from who has the key."""
        kind = reply.block[1] if reply.block else 0
        if kind not in {_PLAIN + 1, _WITH_DATA + 1}:
            return None
        made = self._mac(self._host_mac, reply.signed)
        if not hmac.compare_digest(made[:4], reply.mac):
            return None
        data = reply.data
        if kind == _WITH_DATA + 1 and data:
            if len(data) % _BLOCK:
                return None
            data = _decrypted(self._session.enc, data, _inverse(self._host_mac)).rstrip(b"\0")
            if data[-1:] != b"\x80":
                return None
            data = data[:-1]
        self._reader_mac = made
        return data

    def _sign(self, frame: bytes) -> bytes:
        self._host_mac = self._mac(self._reader_mac, frame)
        return self._host_mac[:4]

    def _mac(self, start: bytes, message: bytes) -> bytes:
        """CBC from the other side's last MAC, the last block with a key of its own."""
        if len(message) % _BLOCK:
            message += b"\x80" + bytes(-(len(message) + 1) % _BLOCK)
        if len(message) > _BLOCK:
            start = _encrypted(self._session.mac_1, message[:-_BLOCK], start)[-_BLOCK:]
        return _encrypted(self._session.mac_2, message[-_BLOCK:], start)


def _inverse(mac: bytes) -> bytes:
    return bytes(0xFF ^ one for one in mac)


def _encrypted(key: bytes, data: bytes, start: bytes = bytes(_BLOCK)) -> bytes:
    """AES-CBC; from zero, and of one block, that is AES alone."""
    return Cipher(algorithms.AES(key), modes.CBC(start)).encryptor().update(data)


def _decrypted(key: bytes, data: bytes, start: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CBC(start)).decryptor().update(data)
