"""What of OSDP the library leaves to us (IEC 60839-11-5): whole replies out of what a bus carries, and what a card's reply names."""

import binascii
from collections.abc import Sequence
from enum import Enum
from typing import Final

from drivers.base import RANDOM_UID, Garbled, Medium, Scan
from drivers.framing.uid import UID_SIZES, ByteOrder, is_random
from drivers.framing.wiegand import Bits, WiegandForm, credential

SOM: Final = 0x53
REPLY: Final = 0x80
_CRC: Final = 0x04
FRAME_BYTES_MIN, FRAME_BYTES_MAX = 7, 1440
"""Header, reply and checksum; Annex: no message is longer than 1,440 bytes."""
BAD_FORMAT = "bad_format"


class Carries(Enum):
    """What a card's reply holds."""

    CARD = "card"
    """A facility and a card number between parity bits, as on Wiegand wires."""
    UID = "uid"


class Replies:
    """Finds the whole replies in what comes over a bus. Only what adds up is one.

    The library is given nothing else: for a reply that is damaged it gives a reader up for five minutes, and for one that
    comes in pieces it waits a second. Of one that never came it asks again.
    """

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the replies, oldest first."""
        out = []
        self._buffer += data
        while len(self._buffer) >= FRAME_BYTES_MIN:
            size = int.from_bytes(self._buffer[2:4], "little")
            is_head = self._buffer[0] == SOM and bool(self._buffer[1] & REPLY)
            if not is_head or not FRAME_BYTES_MIN <= size <= FRAME_BYTES_MAX:
                self._buffer = self._buffer[1:]
            elif len(self._buffer) < size:
                break
            elif _adds_up(self._buffer[:size]):
                out.append(self._buffer[:size])
                self._buffer = self._buffer[size:]
            else:
                self._buffer = self._buffer[1:]
        self._buffer = self._buffer[-FRAME_BYTES_MAX:]
        return out


def address_of(reply: bytes) -> int:
    """Whose reply it is."""
    return reply[1] & 0x7F


def _adds_up(frame: bytes) -> bool:
    if frame[4] & _CRC:
        return binascii.crc_hqx(frame[:-2], 0x1D0F) == int.from_bytes(frame[-2:], "little")
    return not sum(frame) & 0xFF


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
