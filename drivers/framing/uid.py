"""Tag UIDs that a reader types as text, brought to one form.

The same card arrives as `04A1B2C3`, `04:a1:b2:c3`, as the number `0077705923`, as two halves `01185,45763` or, from a
reader set to the other byte order, as `C3B2A104`. One form is kept: the bytes as ISO/IEC 14443 transmits them, UID0 first.
Neither order nor form is ever guessed, since one text is the UID of another card in each.
"""

import re
from enum import Enum

from drivers.base import RANDOM_UID, Garbled, Medium, Scan
from drivers.framing.frame import Framed

NOT_A_UID = "not_a_uid"

UID_SIZES = frozenset({4, 7, 8, 10})
"""Bytes of a UID: ISO/IEC 14443 single, double and triple size; 8 for ISO/IEC 15693."""

_UID_TEXT = re.compile(rb"[0-9A-Fa-f]{2}(?:([:\- ]?)[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2})*)?")
_SEPARATORS = b":- "


class ByteOrder(Enum):
    """In which order a reader types the bytes."""

    UID0_FIRST = "big"
    UID0_LAST = "little"


class UidForm(Enum):
    """How a reader writes the bytes. A number does not say how many bytes it is of, so the form does."""

    HEX = "hex"
    """Hexadecimal, with one kind of separator or none at all."""
    DECIMAL_4 = "dec4"
    DECIMAL_7 = "dec7"
    DECIMAL_8 = "dec8"
    HALVES = "halves"
    """Two numbers of five digits, each of 16 bits: the higher half first, as a facility and a card are printed. The form of
    26-bit Wiegand, `041,41394`, lacks a byte of the UID: many cards share it, so it is none."""


_DECIMAL_BYTES = {UidForm.DECIMAL_4: 4, UidForm.DECIMAL_7: 7, UidForm.DECIMAL_8: 8}
_DIGITS = re.compile(rb"[0-9]{1,20}")
_HALVES = re.compile(rb"([0-9]{5})[,:\- ]([0-9]{5})")
_HALF_MAX = 0xFFFF


def parse_uid(text: bytes, order: ByteOrder, form: UidForm = UidForm.HEX) -> bytes | None:
    """Return the UID's bytes, UID0 first, or None where the text is none."""
    text = text.strip(b" ")
    size = _DECIMAL_BYTES.get(form)
    if size is not None:
        uid = _of_number(text, size)
    elif form is UidForm.HALVES:
        uid = _of_halves(text)
    else:
        uid = _of_hex(text)
    return uid[::-1] if uid and order is ByteOrder.UID0_LAST else uid


def _of_hex(text: bytes) -> bytes | None:
    if _UID_TEXT.fullmatch(text) is None:
        return None
    uid = bytes.fromhex(text.translate(None, _SEPARATORS).decode("ascii"))
    return uid if len(uid) in UID_SIZES else None


def _of_number(text: bytes, size: int) -> bytes | None:
    """A number that is too large is of another kind of tag, and never cut to fit."""
    number = int(text) if _DIGITS.fullmatch(text) else -1
    return number.to_bytes(size, "big") if 0 <= number < 1 << 8 * size else None


def _of_halves(text: bytes) -> bytes | None:
    halves = _HALVES.fullmatch(text)
    numbers = [int(one) for one in halves.groups()] if halves else []
    if not numbers or max(numbers) > _HALF_MAX:
        return None
    return b"".join(one.to_bytes(2, "big") for one in numbers)


def is_random(uid: bytes) -> bool:
    """Whether a UID names nobody: phones, and cards set so, make a new one for each tap (ISO/IEC 14443-3: `08` first)."""
    return len(uid) == 4 and uid[0] == 0x08


def as_uid(framed: Framed, order: ByteOrder, form: UidForm = UidForm.HEX) -> Framed:
    """Turn a typed text into the UID it names, or into `Garbled`: a random one is nobody's, however a reader tells it."""
    if isinstance(framed, Garbled):
        return framed
    uid = parse_uid(framed.data, order, form)
    if uid is None:
        return Garbled(NOT_A_UID, len(framed.data), framed.last_ns)
    if is_random(uid):
        return Garbled(RANDOM_UID, len(uid), framed.last_ns)
    return Scan(uid, Medium.UID, "", framed.first_ns, framed.last_ns)
