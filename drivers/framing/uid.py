"""Tag UIDs that a reader types as hexadecimal text, brought to one form.

The same card arrives as `04A1B2C3`, `04:a1:b2:c3` or, from a reader set to the other byte order, `C3B2A104`. One form is
kept: the bytes as ISO/IEC 14443 transmits them, UID0 first. Which order a reader types is never guessed, since both are
UIDs of some card.
"""

import re
from enum import Enum

from drivers.base import Garbled, Medium, Scan
from drivers.framing.frame import Framed

NOT_A_UID = "not_a_uid"
RANDOM_UID = "random_uid"

UID_SIZES = frozenset({4, 7, 8, 10})
"""Bytes of a UID: ISO/IEC 14443 single, double and triple size; 8 for ISO/IEC 15693."""

_UID_TEXT = re.compile(rb"[0-9A-Fa-f]{2}(?:([:\- ]?)[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2})*)?")
_SEPARATORS = b":- "


class ByteOrder(Enum):
    """In which order a reader types the bytes."""

    UID0_FIRST = "big"
    UID0_LAST = "little"


def parse_uid(text: bytes, order: ByteOrder) -> bytes | None:
    """Return the UID's bytes, UID0 first, or None where the text is none. One kind of separator or none at all."""
    text = text.strip(b" ")
    if _UID_TEXT.fullmatch(text) is None:
        return None
    uid = bytes.fromhex(text.translate(None, _SEPARATORS).decode("ascii"))
    if len(uid) not in UID_SIZES:
        return None
    return uid if order is ByteOrder.UID0_FIRST else uid[::-1]


def is_random(uid: bytes) -> bool:
    """Whether a UID names nobody: phones, and cards set so, make a new one for each tap (ISO/IEC 14443-3: `08` first)."""
    return len(uid) == 4 and uid[0] == 0x08


def as_uid(framed: Framed, order: ByteOrder) -> Framed:
    """Turn a typed text into the UID it names, or into `Garbled`: a random one is nobody's, however a reader tells it."""
    if isinstance(framed, Garbled):
        return framed
    uid = parse_uid(framed.data, order)
    if uid is None:
        return Garbled(NOT_A_UID, len(framed.data), framed.last_ns)
    if is_random(uid):
        return Garbled(RANDOM_UID, len(uid), framed.last_ns)
    return Scan(uid, Medium.UID, "", framed.first_ns, framed.last_ns)
