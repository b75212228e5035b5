"""In which form a reader types a UID, learned once from a card whose UID is known.

At run time nothing is guessed: one text is the UID of another card in each form (`drivers.framing.uid`). So a card whose text
fits more than one form teaches nothing, and another one is asked for.
"""

import re
from typing import Final

from edge.settings import UidForm, UidOrder, WiegandBits

UID_SIZES: Final = frozenset({4, 7, 8, 10})
"""ISO/IEC 14443 single, double and triple size; 8 for ISO/IEC 15693."""
_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}(?:([:\- ]?)[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2})*)?")
_HALVES: Final = re.compile(r"([0-9]{5})[,:\- ]([0-9]{5})")
_DECIMAL: Final = {4: UidForm.DEC4, 7: UidForm.DEC7, 8: UidForm.DEC8}

_PRINTED: Final = re.compile(r"([0-9]{1,5}) *[,:/ \-] *([0-9]{1,6})")
_LETTER: Final = ord("W")
_FRAMES: Final = {WiegandBits.W26: (8, 16), WiegandBits.W34: (16, 16), WiegandBits.W37: (16, 19)}
"""Bits of the facility and of the card number in each frame."""

Form = tuple[UidForm, UidOrder]


def known_uid(text: str) -> bytes | None:
    """Read what is printed on a card or shown by a phone, first byte first; None where it is no UID, or a random one."""
    bare = text.strip()
    if _HEX.fullmatch(bare) is None:
        return None
    uid = bytes.fromhex(re.sub(r"[:\- ]", "", bare))
    # ISO/IEC 14443-3: four bytes that begin with 08 are made anew for each tap, as phones do.
    return uid if len(uid) in UID_SIZES and not (len(uid) == 4 and uid[0] == 0x08) else None


def known_cards(text: str) -> frozenset[bytes]:
    """Read facility and card number, as printed on a card for Wiegand readers (`041,41394`): what each length of frame makes of it."""
    printed = _PRINTED.fullmatch(text.strip())
    if printed is None:
        return frozenset()
    facility, card = (int(one) for one in printed.groups())
    return frozenset(
        bytes((_LETTER, bits.value)) + (facility << of_card | card).to_bytes(6)
        for bits, (of_facility, of_card) in _FRAMES.items()
        if facility < 1 << of_facility and card < 1 << of_card
    )


def forms(seen: str, uid: bytes) -> frozenset[Form]:
    """Return every form in which this text is this card. More than one: the card teaches nothing."""
    text = seen.strip(" ")
    found = set()
    for order, written in ((UidOrder.BIG, uid), (UidOrder.LITTLE, uid[::-1])):
        if _HEX.fullmatch(text) and re.sub(r"[:\- ]", "", text).lower() == written.hex():
            found.add((UidForm.HEX, order))
        form = _DECIMAL.get(len(uid))
        if form is not None and re.fullmatch("[0-9]{1,20}", text) and int(text) == int.from_bytes(written):
            found.add((form, order))
        halves = _HALVES.fullmatch(text)
        if halves and len(uid) == 4 and [int(one) for one in halves.groups()] == _halves(written):
            found.add((UidForm.HALVES, order))
    return frozenset(found)


def _halves(uid: bytes) -> list[int]:
    return [int.from_bytes(uid[:2]), int.from_bytes(uid[2:])]
