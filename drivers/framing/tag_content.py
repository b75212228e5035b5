"""Reading and writing what a tag carries, without I/O: what is sent to the tag, what it answers, and the NDEF message in the end.

A `Reading` is a generator: it yields commands for the tag, is sent each one's answer, and returns what was read; `NoAnswer` is
thrown into it where the tag gave none. Its parts return bytes: the message, empty where the tag has none that we read, and the
signature of its maker. It never judges what it read.
"""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

MESSAGE_BYTES_MAX: Final = 888
"""User memory of an NTAG216, the largest of its kind; a longer message is none of ours."""
PAGES_MAX: Final = 256
"""A page has one byte as its number."""


class NoAnswer(Exception):
    """The tag did not answer a command: it is gone, or does not know it."""


@dataclass(frozen=True, slots=True)
class Content:
    """What was read of a tag. `signed`: False where it was asked for its maker's signature and gave no answer.

    `locked`: of a tag that was to be locked, whether the lock bits read back say that all of it is; None where none was to be.
    """

    message: bytes = b""
    signature: bytes = b""
    signed: bool = True
    locked: bool | None = None


Part = Generator[bytes, bytes, bytes]
Reading = Generator[bytes, bytes, Content]

READ_SIGNATURE: Final = bytes.fromhex("3C00")
"""READ_SIG of an NTAG21x or Ultralight EV1 (data sheet, 10.7)."""
READ_SIGNATURE_4: Final = bytes.fromhex("903C0000010000")
"""Read_Sig of an NTAG 424 DNA or DESFire EV2, wrapped (AN12196)."""
GET_VERSION: Final = bytes.fromhex("60")
"""What kind of NTAG21x or Ultralight EV1 it is (data sheet, 10.1); older kinds do not know it."""
_SIGNATURE_BYTES: Final = 32
_SIGNATURE_4_BYTES: Final = 56
_SIGNED_4: Final = frozenset({bytes.fromhex("9190"), bytes.fromhex("9100")})
"""AN12196 has 91 90 here, where other commands end by 91 00."""


@dataclass(frozen=True, slots=True)
class ToWrite:
    """What a tag is to carry, never nothing. `lock`: nothing can be written to it any more, ever; an NTAG213 alone."""

    uid: bytes
    message: bytes
    lock: bool = False


_PAGE_BYTES, _READ_BYTES = 4, 16
_CC_PAGE = 3
_NDEF_MAGIC = 0xE1
_NULL_TLV, _NDEF_TLV, _END_TLV = 0x00, 0x03, 0xFE

_FIRST_PAGE = 4
_STATIC_PAGE = 2
_READ_ONLY = 0x0F
_NTAG213: Final = bytes.fromhex("0004040201000F03")
"""Its answer to GET_VERSION. An Ultralight C has the same capability container and other lock bits on page 40, and of an
Ultralight EV1 that page is a password's: a container says how much fits, and not what is where."""
_DYNAMIC_PAGE_213 = 40
_DYNAMIC_PAGES: Final = {0x10: 36, 0x12: _DYNAMIC_PAGE_213, 0x3E: 130, 0x6D: 226}
"""Where the lock bits of pages from 16 on are, by the container's size: Ultralight EV1, NTAG213 and Ultralight C, 215, 216."""
_STATIC_ALL, _DYNAMIC_ALL = 0xFFF8, 0x0FFF
"""Lock bits of pages 3 to 15, and of an NTAG213's pages 16 to 39, two pages each (data sheet, 8.5); read little-endian."""
_STATIC_DATA = 0xFFF0
"""The same, of pages 4 to 15."""
_STATIC_CC = 0x0008

_SELECT_NDEF: Final = bytes.fromhex("00A4040007D276000085010100")
_SELECT_FILE: Final = bytes.fromhex("00A4000C02")
_CC_FILE: Final = bytes.fromhex("E103")
_CC_BYTES: Final = 15
_NDEF_FILE_TLV: Final = bytes.fromhex("0406")
_OK: Final = bytes.fromhex("9000")
_PIECE_BYTES: Final = 128
"""Read at once from a file: below what any of these tags (MLe) and a PN532's frame take."""


def whole(message: Part, signature: Part | None = None) -> Reading:
    """Read a tag's message, and last its signature where that is asked for: one that knows no such command then says no more."""
    found = yield from message
    if signature is None:
        return Content(found)
    try:
        return Content(found, (yield from signature))
    except NoAnswer:
        return Content(found, signed=False)


def signature_2() -> Part:
    """Read the signature of an NTAG21x or an Ultralight EV1."""
    said = yield READ_SIGNATURE
    return said if len(said) == _SIGNATURE_BYTES else b""


def signature_4() -> Part:
    """Read the signature of an NTAG 424 DNA or a DESFire EV2."""
    said = yield READ_SIGNATURE_4
    return said[:-2] if said[-2:] in _SIGNED_4 and len(said) == _SIGNATURE_4_BYTES + 2 else b""


def type_2() -> Part:
    """Read an NTAG21x or another tag of NFC Forum type 2: READ (30h) gives four pages of four bytes.

    Page 3 is the capability container: E1, version, size in units of 8 bytes, access. TLVs follow from page 4: 00 is
    nothing, 03 the NDEF message, FE the end; a length of FF is followed by two bytes.
    """
    first = yield _read(_CC_PAGE)
    if len(first) != _READ_BYTES or first[0] != _NDEF_MAGIC:
        return b""
    size = first[2] * 8
    memory = first[_PAGE_BYTES:]
    while True:
        found = _message(memory[:size])
        page = _CC_PAGE + 1 + len(memory) // _PAGE_BYTES
        if found is not None or len(memory) >= size or page >= PAGES_MAX:
            return found or b""
        more = yield _read(page)
        if len(more) != _READ_BYTES:
            return b""
        memory += more


def write_type_2(wanted: ToWrite) -> Reading:
    """Write an NTAG21x (WRITE, A2h: a page), read it back, and lock it where that is wanted; returns what it carries then.

    The message's length is 0 until all else is written: a tag that is pulled off carries nothing, never half. One that
    does not take it whole, being locked in part, too small or no tag of this kind, is only read; so is one that carries it
    already, before its locks are seen to.
    """
    lockable = wanted.lock and (yield GET_VERSION) == _NTAG213
    found = yield from type_2()
    if found != wanted.message and lockable is wanted.lock and (yield from _is_open(wanted.message)):
        yield from _write_message(wanted.message)
        found = yield from type_2()
    if not wanted.lock:
        return Content(found)
    locked = False
    if lockable and found and found == wanted.message:
        # Refused or taken away, it carries the message all the same, and nobody knows of its locks.
        with contextlib.suppress(NoAnswer):
            locked = yield from _lock_213()
    return Content(found, locked=locked)


def _is_open(message: bytes) -> Generator[bytes, bytes, bool]:
    """Whether a tag takes a message whole: begun on one that is locked in part, it would lose what it carries and gain nothing."""
    head = yield _read(_STATIC_PAGE)
    if len(head) != _READ_BYTES:
        return False
    magic, _, size, access = head[_PAGE_BYTES : 2 * _PAGE_BYTES]
    if magic != _NDEF_MAGIC or access or len(message) >= 0xFF or len(_tlvs(message)) > size * 8:
        return False
    if _locks(head[2:]) & _STATIC_DATA:
        return False
    page = _DYNAMIC_PAGES.get(size)
    return page is None or not _locks((yield _read(page)))


def _write_message(message: bytes) -> Generator[bytes, bytes, None]:
    tlvs = _tlvs(message)
    pages = [tlvs[at : at + _PAGE_BYTES].ljust(_PAGE_BYTES, b"\0") for at in range(0, len(tlvs), _PAGE_BYTES)]
    yield _write(_FIRST_PAGE, bytes((_NDEF_TLV, 0, _END_TLV, 0)))
    for number, page in enumerate(pages[1:], _FIRST_PAGE + 1):
        yield _write(number, page)
    yield _write(_FIRST_PAGE, pages[0])


def _lock_213() -> Generator[bytes, bytes, bool]:
    """Lock an NTAG213; return whether it says that it is. What is locked already is not written again, since it would refuse.

    Written bits are only ever added. The container is made read-only before the static bits lock it; of page 2 the first two
    bytes cannot be written.
    """
    static, access, dynamic = yield from _state_213()
    if dynamic & _DYNAMIC_ALL != _DYNAMIC_ALL:
        yield _write(_DYNAMIC_PAGE_213, _DYNAMIC_ALL.to_bytes(4, "little"))
    if access != _READ_ONLY and not static & _STATIC_CC:
        yield _write(_CC_PAGE, bytes((0, 0, 0, _READ_ONLY)))
    if static & _STATIC_ALL != _STATIC_ALL:
        yield _write(_STATIC_PAGE, b"\0\0" + _STATIC_ALL.to_bytes(2, "little"))
    static, _, dynamic = yield from _state_213()
    return static & _STATIC_ALL == _STATIC_ALL and dynamic & _DYNAMIC_ALL == _DYNAMIC_ALL


def _state_213() -> Generator[bytes, bytes, tuple[int, int, int]]:
    """Static lock bits, the container's access, dynamic lock bits."""
    head = yield _read(_STATIC_PAGE)
    tail = yield _read(_DYNAMIC_PAGE_213)
    if len(head) != _READ_BYTES or len(tail) != _READ_BYTES:
        raise NoAnswer
    return _locks(head[2:]), head[2 * _PAGE_BYTES - 1], _locks(tail)


def _locks(data: bytes) -> int:
    return int.from_bytes(data[:2], "little")


def _tlvs(message: bytes) -> bytes:
    return bytes((_NDEF_TLV, len(message))) + message + bytes((_END_TLV,))


def type_4() -> Part:
    """Read an NTAG 424 DNA or another tag of NFC Forum type 4, by ISO/IEC 7816-4 commands.

    The capability file names the NDEF file; that begins with the message's length, u16. A tag that makes a message for
    each tap makes it at the first read, and the rest of the reads belong to the same tap.
    """
    for command in (_SELECT_NDEF, _SELECT_FILE + _CC_FILE):
        if (yield command) != _OK:
            return b""
    container = _data((yield _binary(0, _CC_BYTES)), _CC_BYTES)
    if container[7:9] != _NDEF_FILE_TLV:
        return b""
    if (yield _SELECT_FILE + container[9:11]) != _OK:
        return b""
    size = int.from_bytes(_data((yield _binary(0, 2)), 2), "big")
    message = b""
    while len(message) < size <= MESSAGE_BYTES_MAX:
        wanted = min(_PIECE_BYTES, size - len(message))
        piece = _data((yield _binary(2 + len(message), wanted)), wanted)
        if not piece:
            return b""
        message += piece
    return message


def _read(page: int) -> bytes:
    return bytes((0x30, page))


def _write(page: int, data: bytes) -> bytes:
    return bytes((0xA2, page)) + data


def _binary(offset: int, size: int) -> bytes:
    return bytes((0x00, 0xB0, offset >> 8, offset & 0xFF, size))


def _data(answer: bytes, size: int) -> bytes:
    """What an answer carries, if it is all that was asked for."""
    return answer[:-2] if answer[-2:] == _OK and len(answer) == size + 2 else b""


def _message(memory: bytes) -> bytes | None:
    """The NDEF message in TLVs; b"" where there is none, None where more has to be read to know."""
    at = 0
    while at < len(memory):
        kind = memory[at]
        if kind == _END_TLV:
            return b""
        at += 1
        if kind == _NULL_TLV:
            continue
        length = memory[at : at + 3] if memory[at : at + 1] == b"\xff" else memory[at : at + 1]
        if len(length) not in {1, 3}:
            return None
        begin = at + len(length)
        at = begin + int.from_bytes(length[-2:] if len(length) == 3 else length, "big")
        if kind == _NDEF_TLV:
            return memory[begin:at] if at <= len(memory) else None
    return None
