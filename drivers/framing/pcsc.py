"""What a PC/SC reader is told and says of a contactless card, without I/O (PC/SC part 3, supplemental document of storage cards).

A reader makes a smart card of everything: it answers commands of class FF itself. Storage cards (MIFARE, NTAG) have an ATR of
its making, which names the kind; a card of ISO/IEC 14443-4 (NTAG 424 DNA, DESFire) has one of its historical bytes.
"""

from dataclasses import dataclass
from typing import Final

from drivers.base import Signal
from drivers.framing.tag_content import Reading, signature_2, signature_4, type_2, type_4, whole
from drivers.framing.uid import UID_SIZES

GET_UID: Final = bytes.fromhex("FFCA000000")
OK: Final = bytes.fromhex("9000")
FAILED: Final = bytes.fromhex("6300")
"""No answer from the card: what readers say of one that left in the middle, where they do not report it as gone."""

_RID: Final = bytes.fromhex("A000000306")
"""The PC/SC workgroup's, in the historical bytes of an ATR that a reader made."""
_STORAGE_HEAD: Final = bytes.fromhex("804F0C")
_TYPE_A_PART_3: Final = 0x03
_CONTACTLESS: Final = bytes.fromhex("8001")
"""TD1 and TD2 of every contactless card's ATR: protocols T=0 and T=1."""
_ULTRALIGHT: Final = frozenset({0x0003, 0x003A})
"""MIFARE Ultralight and Ultralight C; readers name an NTAG21x so too."""
_READ: Final = 0x30


@dataclass(frozen=True, slots=True)
class Kind:
    """What an ATR says of a card. `name`: of a storage card, by the workgroup's list; None for one of ISO/IEC 14443-4."""

    standard: int
    name: int | None


def kind_of(atr: bytes) -> Kind | None:
    """Return what a contactless card is; None for one with contacts, or an ATR that does not add up."""
    if len(atr) < 5 or atr[0] != 0x3B or atr[2:4] != _CONTACTLESS:
        return None
    history = atr[4:-1]
    check = 0
    for one in atr[1:]:
        check ^= one
    if check or atr[1] != 0x80 | len(history):
        return None
    if history[:3] == _STORAGE_HEAD and history[3:8] == _RID and len(history) == 15:
        return Kind(history[8], int.from_bytes(history[9:11], "big"))
    return Kind(0, None)


def uid_of(answer: bytes) -> bytes:
    """Return the UID in an answer to `GET_UID`; b"" where there is none."""
    uid = answer[:-2]
    return uid if answer[-2:] == OK and len(uid) in UID_SIZES else b""


def reading_of(atr: bytes, *, signature: bool = False) -> Reading | None:
    """How a card is read, by its kind; `signature`: its maker's too. MIFARE Classic and what nobody knows go by their UID alone."""
    kind = kind_of(atr)
    if kind is None:
        return None
    if kind.name is None:
        return whole(type_4(), signature_4() if signature else None)
    if kind.standard != _TYPE_A_PART_3 or kind.name not in _ULTRALIGHT:
        return None
    return whole(type_2(), signature_2() if signature else None)


def to_card(command: bytes) -> bytes:
    """The APDU for a tag's command. READ (30h) of four pages is the reader's READ BINARY; others are APDUs already."""
    if command[:1] == bytes((_READ,)) and len(command) == 2:
        return bytes((0xFF, 0xB0, 0x00, command[1], 0x10))
    return command


def from_card(command: bytes, answer: bytes) -> bytes | None:
    """What the tag said; of a storage card the data alone. None where it said nothing: it is gone, or does not let itself be read."""
    if len(answer) < 2 or answer == FAILED:
        return None
    if command[:1] != bytes((_READ,)):
        return answer
    return answer[:-2] if answer[-2:] == OK else None


ACR122U: Final = "ACR122U"
"""The one of our readers whose light and beeper are told through the card's own channel; others want an escape command, which
their driver refuses unless it is edited."""
THROUGH: Final = bytes.fromhex("FF000000")
"""Of an ACR122U: a command for the PN532 in it follows (ACR122U API, Direct Transmit)."""
_COMMUNICATE_THRU: Final = bytes.fromhex("D442")
_COMMUNICATED: Final = bytes.fromhex("D54300")
BEGIN_THROUGH: Final = bytes.fromhex("FFC20000028100")
END_THROUGH: Final = bytes.fromhex("FFC20000028200")
_EXCHANGE: Final = bytes.fromhex("FFC20001")
_TIMER: Final = bytes.fromhex("5F4604") + (50_000).to_bytes(4, "little")
"""In microseconds; a tag answers READ_SIG within 5 ms."""
_SENT, _RECEIVED, _STATUS = 0x95, 0x97, 0xC0


def through(name: str, command: bytes) -> tuple[bytes, ...]:
    """The APDUs by which a reader passes a storage card's own command on; the answer is that of the one before the last, if there
    are several.

    An ACR122U hands it to its PN532. Others are to know the transparent session of PC/SC part 3 (supplement, 2.02): begun, one
    exchange, ended.
    """
    if ACR122U in name:
        inner = _COMMUNICATE_THRU + command
        return (THROUGH + bytes((len(inner),)) + inner,)
    objects = _TIMER + bytes((_SENT, len(command))) + command
    return BEGIN_THROUGH, _EXCHANGE + bytes((len(objects),)) + objects + b"\0", END_THROUGH


def from_through(name: str, answer: bytes) -> bytes | None:
    """What the card said to a command that was passed on; None where it said nothing."""
    if answer[-2:] != OK:
        return None
    data = answer[:-2]
    if ACR122U in name:
        return data[len(_COMMUNICATED) :] if data.startswith(_COMMUNICATED) else None
    said: bytes | None = None
    while len(data) >= 2:
        tag, size = data[0], data[1]
        value, data = data[2 : 2 + size], data[2 + size :]
        if tag == _STATUS and value[-2:] != OK:
            return None
        if tag == _RECEIVED:
            said = value
    return said


SILENCE: Final = bytes.fromhex("FF00520000")
"""No beep of its own for each card: a beep is for the verdict."""
SHOWS: Final = {
    # Green blinks once for 0.1 s with a beep, and is left off.
    Signal.ACCEPT: bytes.fromhex("FF0040A80401010101"),
    # Red blinks once for 0.6 s with a long beep, and is left off.
    Signal.REJECT: bytes.fromhex("FF0040540406010101"),
}
"""`FF 00 40 P2 04 T1 T2 N B` (ACR122U API, bi-colour LED and buzzer control): P2 bits 0, 1 the end's red and green, 2, 3 which of
them is set, 4, 5 with which blinking begins, 6, 7 which of them blinks; times in 0.1 s, N blinks, B 1: beeps during T1."""
