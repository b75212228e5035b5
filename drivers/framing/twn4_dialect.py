"""What an Elatec TWN4 with the Simple Protocol application is told and asked, in words of `drivers.framing.tag_host`.

In its ASCII mode a command is its bytes in hexadecimal and CR, and so is the answer, whose first byte is the result: 0 is
well. (Elatec, TWN4 Simple Protocol; opcodes also in two public clients. Beep: `04 07 volume frequency on off`.)
"""

from collections.abc import Mapping, Sequence
from typing import Final

from drivers.base import SCAN_BYTES_MAX, Garbled, Scan, Signal
from drivers.framing.lines import LineFramer
from drivers.framing.tag_content import Reading
from drivers.framing.uid import UID_SIZES

GET_USB_TYPE: Final = bytes.fromhex("0005")
SEARCH_TAG: Final = bytes.fromhex("050010")
"""SearchTag, an ID of 16 bytes at most."""
SET_TAG_TYPES: Final = bytes.fromhex("0502")
NO_TAG: Final = b"\x00\x00"
NOT_HEX = "not_hex"


class Twn4:
    """A TWN4. `hf`: the mask of 13.56 MHz tag types that are looked for, bit 0 ISO 14443 A; 125 kHz is left off.

    `shows`: commands for each signal.
    """

    question = SEARCH_TAG
    wrong_hint = "Put the Simple Protocol application (ASCII) on the TWN4, and set the port to its baud."

    def __init__(
        self,
        *,
        gap_ns: int,
        answer_ns: int,
        hf: int = 1,
        uid0_last: bool = False,
        shows: Mapping[Signal, Sequence[bytes]] | None = None,
    ) -> None:
        self.opening: Sequence[bytes] = (GET_USB_TYPE, SET_TAG_TYPES + bytes(4) + hf.to_bytes(4, "little"))
        self.answer_ns = answer_ns
        self._uid0_last = uid0_last
        self._shows = shows or {}
        self._lines = LineFramer(gap_ns=gap_ns, aim=False)

    @property
    def deadline_ns(self) -> int | None:
        """When a part of a line is given up."""
        return self._lines.deadline_ns

    def frame(self, command: bytes, *, again: bool) -> bytes:
        """A line; where no answer came, an empty one first ends what was cut."""
        return (b"\r" if again else b"") + command.hex().upper().encode() + b"\r"

    def feed(self, data: bytes, now_ns: int) -> list[bytes | Garbled]:
        """Return the answers in these bytes."""
        return [_from_hex(one) for one in self._lines.feed(data, now_ns)]

    def quiet(self, now_ns: int) -> list[bytes | Garbled]:
        """A line without its end is none."""
        return [
            Garbled(NOT_HEX, len(one.data), now_ns) if isinstance(one, Scan) else one
            for one in self._lines.quiet(now_ns)
        ]

    def answers(self, command: bytes, answer: bytes) -> bool:
        """Answers do not name what they answer. What must work is answered by 0; a beep that is refused is over, too."""
        if command == SEARCH_TAG:
            return answer[:1] == b"\0" and len(answer) > 1
        return answer[:1] == b"\0" or (bool(answer) and command not in self.opening)

    def uid(self, answer: bytes) -> bytes | None:
        """`00 01 type bits length ID`, or `00 00` for no tag."""
        if answer[:2] == NO_TAG:
            return b""
        size = answer[4] if len(answer) > 4 else 0
        uid = answer[5:]
        if answer[:2] != b"\x00\x01" or size not in UID_SIZES or len(uid) != size:
            return None
        return uid[::-1] if self._uid0_last else uid

    def reading(self, answer: bytes) -> Reading | None:  # noqa: ARG002 - as Dialect
        """None: of a TWN4 only the UID is taken."""
        return None

    def to_tag(self, data: bytes) -> bytes:
        """Never asked for."""
        return data

    def from_tag(self, answer: bytes) -> bytes | None:  # noqa: ARG002 - as Dialect
        """Never asked for."""
        return None

    def name(self, command: bytes, answer: bytes) -> str:  # noqa: ARG002 - what it says is no name
        """It is a TWN4 if it answers."""
        return "TWN4" if answer[:1] == b"\x00" else ""

    def shown(self, signal: Signal) -> Sequence[bytes]:
        """The configured commands."""
        return self._shows.get(signal, ())


def _from_hex(line: Scan | Garbled) -> bytes | Garbled:
    if isinstance(line, Garbled):
        return line
    try:
        return bytes.fromhex(line.data.decode("ascii"))
    except ValueError:
        return Garbled(NOT_HEX, min(len(line.data), SCAN_BYTES_MAX), line.last_ns)
