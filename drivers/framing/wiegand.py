"""Wiegand, without I/O: pulses on two lines become frames of bits, and frames of 26, 34 or 37 bits become a credential.

A pulse on D0 is a 0, on D1 a 1; they last 20 to 100 µs and come every 0.2 to 20 ms, and a frame ends by silence alone.
Nothing but the number of bits and two parity bits says that a frame is whole, so one that is in doubt is none.

| bits | sent | even parity over | odd parity over |
|---|---|---|---|
| 26 (H10301) | P, facility 8, card 16, P | the first 13 bits | the last 13 |
| 34 | P, facility 16, card 16, or the 4 bytes of a UID, P | the first 17 | the last 17 |
| 37 (H10304, H10302) | P, facility 16, card 19, or a card of 35 bits, P | the first 19 | the last 19: both hold the middle one |

**A card's number has one form**, so that it can be listed as any tag: 8 bytes, `57`, the number of bits, and what stands between
the parity bits as a number of 6 bytes. Facility 41, card 41394 of 26 bits are `57 1A 00000029A1B2`. No tag's own UID looks so
(of 8 bytes they begin or end with E0), and where the facility ends does not matter. Cards of 26 bits are sold in doubles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from drivers.base import RANDOM_UID, Garbled, Medium, Scan
from drivers.framing.uid import ByteOrder, is_random

LETTER: Final = 0x57
"""`W`: a byte that no UID of 8 bytes begins or ends with (ISO/IEC 15693-3: E0)."""
NUMBER_BYTES: Final = 6
UID_BITS: Final = 34
"""The one size that has room for a UID of 4 bytes."""

PULSE_APART_NS: Final = 100_000
"""Pulses that are closer than half of the shortest interval (0.2 ms) are ringing on the cable, or a second reader on it."""
BITS_MAX: Final = 128
"""More than any frame has: from here on it is noise, told once until the line is quiet."""

GLITCH = "glitch"
EDGES_LOST = "edges_lost"
BIT_COUNT = "bit_count"
PARITY = "parity"


class Bits(Enum):
    """How many bits a frame has, with its parity bits."""

    W26 = 26
    W34 = 34
    W37 = 37


_PARITY_SPAN: Final = {Bits.W26: 13, Bits.W34: 17, Bits.W37: 19}


class Carries(Enum):
    """What stands between the parity bits."""

    CARD = "card"
    """A facility and a card number, as printed on cards."""
    UID = "uid"
    """The UID of a tag, as other readers give it; of 34 bits only."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse: the bit that it stands for, and when it began (monotonic)."""

    bit: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class WiegandForm:
    """What a reader sends. `order`: of a UID's bytes."""

    bits: Bits
    carries: Carries = Carries.CARD
    order: ByteOrder = ByteOrder.UID0_FIRST


def number_of(bits: Sequence[int], size: Bits) -> int | None:
    """What stands between the parity bits of a whole frame; None where one of them is wrong."""
    span = _PARITY_SPAN[size]
    if sum(bits[:span]) % 2 or not sum(bits[-span:]) % 2:
        return None
    return int("".join(map(str, bits[1:-1])), 2)


def credential(bits: Sequence[int], form: WiegandForm) -> bytes | str:
    """Return the bytes of a frame's credential, or the word for what is wrong with it."""
    if len(bits) != form.bits.value:
        return BIT_COUNT
    number = number_of(bits, form.bits)
    if number is None:
        return PARITY
    if form.carries is Carries.CARD:
        return bytes((LETTER, form.bits.value)) + number.to_bytes(NUMBER_BYTES, "big")
    uid = number.to_bytes(4, "big")
    uid = uid if form.order is ByteOrder.UID0_FIRST else uid[::-1]
    return RANDOM_UID if is_random(uid) else uid


class WiegandFramer:
    """Pulses in, credentials out. What is in doubt is told as `Garbled`, once a frame, and the rest of it is swallowed."""

    def __init__(self, form: WiegandForm, *, gap_ns: int) -> None:
        self._form = form
        self._gap_ns = gap_ns
        self._bits: list[int] = []
        self._wrong = ""
        self._first_ns = self._last_ns = 0

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` ends the frame if no pulse comes."""
        return self._last_ns + self._gap_ns if self._bits else None

    def feed(self, pulses: Sequence[Pulse]) -> list[Scan | Garbled]:
        """Take pulses, oldest first; a frame before a gap is ended by the first one after it."""
        out: list[Scan | Garbled] = []
        for pulse in pulses:
            apart_ns = pulse.at_ns - self._last_ns
            if self._bits and apart_ns >= self._gap_ns:
                self._end(out)
            elif self._bits and apart_ns < PULSE_APART_NS:
                self._wrong = self._wrong or GLITCH
            if not self._bits:
                self._first_ns = pulse.at_ns
            self._last_ns = max(pulse.at_ns, self._last_ns)
            if len(self._bits) < BITS_MAX:
                self._bits.append(pulse.bit)
        return out

    def lose(self, now_ns: int) -> None:
        """Pulses were lost: the frame that they belong to is none, and nor is one that they were all of."""
        if not self._bits:
            self._first_ns, self._bits = now_ns, [0]
        self._last_ns = max(now_ns, self._last_ns)
        self._wrong = EDGES_LOST

    def quiet(self, now_ns: int) -> list[Scan | Garbled]:
        """End the frame, if the line was quiet for long enough."""
        out: list[Scan | Garbled] = []
        if self._bits and now_ns >= self._last_ns + self._gap_ns:
            self._end(out)
        return out

    def _end(self, out: list[Scan | Garbled]) -> None:
        found = self._wrong or credential(self._bits, self._form)
        if isinstance(found, str):
            out.append(Garbled(found, len(self._bits), self._last_ns))
        else:
            out.append(Scan(found, Medium.UID, "", self._first_ns, self._last_ns))
        self._bits = []
        self._wrong = ""
