"""What a PN532 is told and asked (UM0701-02, 7), in words of `drivers.framing.tag_host`."""

from collections.abc import Sequence
from typing import Final

from drivers.base import Garbled, Signal
from drivers.framing.pn532 import Answer, Frames, Sign, encode
from drivers.framing.tag_content import (
    GET_VERSION,
    READ_SIGNATURE,
    Reading,
    ToWrite,
    signature_2,
    signature_4,
    type_2,
    type_4,
    whole,
    write_type_2,
)
from drivers.framing.uid import UID_SIZES

WAKE: Final = bytes.fromhex("5555") + bytes(14)
"""A chip that sleeps needs a while after the first edge; zeros mean nothing to one that is awake."""
GET_FIRMWARE: Final = bytes.fromhex("02")
SAM_NORMAL: Final = bytes.fromhex("14011401")
"""SAMConfiguration, normal mode: without it there is no field."""
FEW_RETRIES: Final = bytes.fromhex("3205FF0101")
"""RFConfiguration, MaxRetries: it looks for a tag twice and answers, instead of for ever."""
LIST_TYPE_A: Final = bytes.fromhex("4A0100")
"""InListPassiveTarget: one tag, 106 kbit/s type A."""

IN_DATA_EXCHANGE: Final = bytes.fromhex("4001")
"""With the first tag that was listed; a status byte precedes its answer."""
IN_COMMUNICATE_THRU: Final = bytes.fromhex("42")
"""As it is, to the tag that was listed: what InDataExchange does not know of. A status byte precedes its answer too."""
_AS_IT_IS: Final = frozenset({READ_SIGNATURE, GET_VERSION})
_TYPE_2_SAK: Final = 0x00
_ISO_DEP: Final = 0x20
"""In SEL_RES (AN10833): the tag speaks ISO/IEC 14443-4, and the chip has begun that already when it lists it."""
_STATUS_ERROR: Final = 0x3F


class Pn532:
    """A PN532 on a serial line. `answer_ns`: from a question to the next try. `writes`: a tag that is written where it comes.

    `signature`: tags are asked for their maker's signature.
    """

    opening: Sequence[bytes] = (GET_FIRMWARE, SAM_NORMAL, FEW_RETRIES)
    question = LIST_TYPE_A
    wrong_hint = "Set the PN532 to HSU (serial) by its switches, and the port to 115200 baud."

    def __init__(
        self, *, gap_ns: int, answer_ns: int, writes: ToWrite | None = None, signature: bool = False
    ) -> None:
        self.answer_ns = answer_ns
        self._signature = signature
        self._writes = writes
        self._frames = Frames(gap_ns=gap_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When a part of a frame is given up."""
        return self._frames.deadline_ns

    def frame(self, command: bytes, *, again: bool) -> bytes:
        """The frame of a command; before the first one, and where none came back, the chip is woken."""
        return (WAKE if again or command == GET_FIRMWARE else b"") + encode(command)

    def feed(self, data: bytes, now_ns: int) -> list[bytes | Garbled]:
        """Return the answers in these bytes, their code first."""
        return _answers(self._frames.feed(data, now_ns))

    def quiet(self, now_ns: int) -> list[bytes | Garbled]:
        """Return what a quiet line ends."""
        return _answers(self._frames.quiet(now_ns))

    def answers(self, command: bytes, answer: bytes) -> bool:
        """An answer's code is its command's and one."""
        return answer[0] == command[0] + 1

    def uid(self, answer: bytes) -> bytes | None:
        """`4B NbTg [Tg SENS_RES(2) SEL_RES length UID …]`."""
        if answer[1:2] == b"\x00":
            return b""
        size = answer[6] if len(answer) > 6 else 0
        uid = answer[7 : 7 + size]
        return uid if size in UID_SIZES and len(uid) == size else None

    def reading(self, answer: bytes) -> Reading | None:
        """By SEL_RES. What neither says it is of type 2 nor of type 4 (MIFARE Classic) is known by its UID alone."""
        sak = answer[5]
        if sak & _ISO_DEP:
            return whole(type_4(), signature_4() if self._signature else None)
        if self._writes is not None and sak == _TYPE_2_SAK and self.uid(answer) == self._writes.uid:
            return write_type_2(self._writes)
        if sak != _TYPE_2_SAK:
            return None
        return whole(type_2(), signature_2() if self._signature else None)

    def to_tag(self, data: bytes) -> bytes:
        """InDataExchange; READ_SIG and GET_VERSION go as they are: by InDataExchange the chip passes on what it knows itself,
        and 60h is MIFARE Classic's authentication to it."""
        return (IN_COMMUNICATE_THRU if data in _AS_IT_IS else IN_DATA_EXCHANGE) + data

    def from_tag(self, answer: bytes) -> bytes | None:
        """`41` or `43`, `status [data]`: a status with an error is a tag that is gone, or one that refuses."""
        return None if len(answer) < 2 or answer[1] & _STATUS_ERROR else answer[2:]

    def name(self, command: bytes, answer: bytes) -> str:
        """`03 IC Ver Rev Support`."""
        if command != GET_FIRMWARE or len(answer) < 4:
            return ""
        return f"PN5{answer[1]:02x} firmware {answer[2]}.{answer[3]}"

    def shown(self, signal: Signal) -> Sequence[bytes]:  # noqa: ARG002 - a bare chip has no light
        """Nothing."""
        return ()


def _answers(heard: Sequence[Answer | Sign | Garbled]) -> list[bytes | Garbled]:
    out: list[bytes | Garbled] = []
    for one in heard:
        if isinstance(one, Answer):
            out.append(bytes([one.code]) + one.data)
        elif isinstance(one, Garbled):
            out.append(one)
    return out
