"""OSDP's messages (IEC 60839-11-5): commands out, whole replies out of what a bus carries, and what a card's reply names."""

import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from drivers.base import RANDOM_UID, Garbled, Medium, Scan
from drivers.framing.uid import UID_SIZES, ByteOrder, is_random
from drivers.framing.wiegand import Bits, WiegandForm, credential

SOM: Final = 0x53
FOR_ALL: Final = 0x7F
"""An address that each reader answers to as well, by this one and not by its own: for a bus with one reader (SIA OSDP 2.2)."""
ADDRESSES: Final = range(FOR_ALL)
REPLY: Final = 0x80
_MARK: Final = b"\xff"
"""Sent before each command: what an adapter swallows while it takes the line is this, and not the start of a message."""
_SEQUENCE, _CRC, _SECURED = 0x03, 0x04, 0x08
_HEAD_BYTES, _MAC_BYTES, _CRC_BYTES = 5, 4, 2
_MAC_FROM: Final = 0x15
"""Security blocks from this type on are of an open channel: their messages end by a MAC."""
FRAME_BYTES_MIN, FRAME_BYTES_MAX = 7, 256
"""Header, reply and checksum; nothing that we ask for has an answer half as long as the most that counts here."""
BAD_FORMAT = "bad_format"
_PDID_BYTES: Final = 12


class Command(IntEnum):
    """What the host says."""

    POLL = 0x60
    ID = 0x61
    CAP = 0x62
    LED = 0x69
    BUZ = 0x6A
    KEYSET = 0x75
    CHLNG = 0x76
    SCRYPT = 0x77


class Answer(IntEnum):
    """What a reader says, as far as it concerns us."""

    ACK = 0x40
    NAK = 0x41
    PDID = 0x45
    PDCAP = 0x46
    RAW = 0x50
    CCRYPT = 0x76
    RMAC_I = 0x78
    BUSY = 0x79


@dataclass(frozen=True, slots=True)
class Identity:
    """What a reader says of itself, in plain text and unproved: its maker's number (an OUI), model, version, serial number, firmware."""

    vendor: str
    model: int
    version: int
    serial: str
    firmware: str

    def __str__(self) -> str:
        return f"vendor {self.vendor}, serial {self.serial}"


class Carries(Enum):
    """What a card's reply holds."""

    CARD = "card"
    """A facility and a card number between parity bits, as on Wiegand wires."""
    UID = "uid"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that adds up. `block`: its security block, b"" for none; `signed`: all that its MAC is of, `mac` b"" for none."""

    address: int
    sequence: int
    block: bytes
    code: int
    data: bytes
    signed: bytes
    mac: bytes


def encode(
    address: int,
    sequence: int,
    code: int,
    data: bytes = b"",
    block: bytes = b"",
    sign: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Return a command as it goes on the wire. `sign`: gives the MAC's four bytes of all that stands before it."""
    body = block + bytes((code,)) + data
    size = _HEAD_BYTES + len(body) + (0 if sign is None else _MAC_BYTES) + _CRC_BYTES
    control = sequence | _CRC | (_SECURED if block else 0)
    frame = bytes((SOM, address)) + size.to_bytes(2, "little") + bytes((control,)) + body
    if sign is not None:
        frame += sign(frame)
    return _MARK + frame + binascii.crc_hqx(frame, 0x1D0F).to_bytes(2, "little")


def decode(frame: bytes) -> Reply | None:
    """Return what a whole reply says (`Replies`); None where its parts do not fit."""
    control = frame[4]
    end = len(frame) - (_CRC_BYTES if control & _CRC else 1)
    block = frame[_HEAD_BYTES : _HEAD_BYTES + frame[_HEAD_BYTES]] if control & _SECURED else b""
    if control & _SECURED and len(block) < 2:
        return None
    mac = frame[end - _MAC_BYTES : end] if block and block[1] >= _MAC_FROM else b""
    end -= len(mac)
    start = _HEAD_BYTES + len(block)
    if start >= end:
        return None
    sequence = control & _SEQUENCE
    return Reply(address_of(frame), sequence, block, frame[start], frame[start + 1 : end], frame[:end], mac)


class Replies:
    """Finds the whole replies in what comes over a bus. Only what adds up is one."""

    def __init__(self) -> None:
        self._buffer = b""

    def clear(self) -> None:
        """Forget what began: a new command is sent, and nothing that came before it belongs to its answer."""
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the replies, oldest first."""
        out = []
        buffer, at = self._buffer + data, 0
        while (at := buffer.find(SOM, at)) >= 0 and len(buffer) - at >= FRAME_BYTES_MIN:
            size = int.from_bytes(buffer[at + 2 : at + 4], "little")
            if not buffer[at + 1] & REPLY or not FRAME_BYTES_MIN <= size <= FRAME_BYTES_MAX:
                at += 1
            elif len(buffer) - at < size:
                break
            elif _adds_up(buffer[at : at + size]):
                out.append(buffer[at : at + size])
                at += size
            else:
                at += 1
        self._buffer = buffer[at:] if at >= 0 else b""
        return out


def address_of(frame: bytes) -> int:
    """Whose reply it is."""
    return frame[1] & 0x7F


def identity(data: bytes) -> Identity | None:
    """What the data of `Answer.PDID` says; None where it is not as long as that."""
    if len(data) != _PDID_BYTES:
        return None
    serial = int.from_bytes(data[5:9], "little")
    return Identity(
        data[:3].hex().upper(), data[3], data[4], f"{serial:08X}", ".".join(str(one) for one in data[9:])
    )


def _adds_up(frame: bytes) -> bool:
    if frame[4] & _CRC:
        return binascii.crc_hqx(frame[:-2], 0x1D0F) == int.from_bytes(frame[-2:], "little")
    return not sum(frame) & 0xFF


def card_read(data: bytes, carries: Carries, order: ByteOrder, now_ns: int) -> Scan | Garbled:
    """The credential in the data of a card's reply (`Answer.RAW`): reader, format, number of bits, and the bits."""
    size = int.from_bytes(data[2:4], "little")
    if len(data) < 4 or len(data) - 4 != -(-size // 8):
        return Garbled(BAD_FORMAT, len(data), now_ns)
    return card_of(data[4:], size, carries, order, now_ns)


def card_of(data: bytes, size: int, carries: Carries, order: ByteOrder, now_ns: int) -> Scan | Garbled:
    """The credential in a card's reply of `size` bits, first bit first; Garbled where it is none of what the reader is set to."""
    found: bytes | str = BAD_FORMAT
    if carries is Carries.CARD:
        if size in {one.value for one in Bits} and len(data) * 8 >= size:
            found = credential(_bits(data, size), WiegandForm(Bits(size)))
    elif size % 8 == 0 and size // 8 in UID_SIZES and len(data) >= size // 8:
        uid = data[: size // 8]
        uid = uid if order is ByteOrder.UID0_FIRST else uid[::-1]
        found = RANDOM_UID if is_random(uid) else uid
    if isinstance(found, str):
        return Garbled(found, size, now_ns)
    return Scan(found, Medium.UID, "", now_ns, now_ns)


def _bits(data: bytes, size: int) -> Sequence[int]:
    return [data[at // 8] >> (7 - at % 8) & 1 for at in range(size)]
