"""Frames of NXP's PN532 over a serial line (UM0701-02, 6.2), without I/O.

    00 00 FF | LEN | LCS | TFI data … | DCS | 00        LEN + LCS = 0, TFI + data + DCS = 0 (mod 256)

LEN FF FF means an extended frame of two length bytes. ACK is `00 FF`, NACK `FF 00` in place of LEN and LCS.
"""

from dataclasses import dataclass
from enum import Enum

from drivers.base import Garbled

START = b"\x00\x00\xff"
TO_CHIP = 0xD4
FROM_CHIP = 0xD5
ERROR = 0x7F
DATA_BYTES_MAX = 264
"""UM0701-02: 265 with TFI."""
NO_FRAME = "no_frame"


class Sign(Enum):
    """Frames without data."""

    ACK = bytes.fromhex("0000FF00FF00")
    NACK = bytes.fromhex("0000FFFF0000")
    FAULT = bytes.fromhex("0000FF01FF7F8100")
    """The chip did not understand."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One frame with data; `code` is the first byte: a command's, from the chip one more than that."""

    code: int
    data: bytes
    at_ns: int


Heard = Answer | Sign | Garbled


def encode(data: bytes, tfi: int = TO_CHIP) -> bytes:
    """The frame of a command or an answer; extended where it must be. ValueError beyond what the chip takes."""
    if len(data) > DATA_BYTES_MAX:
        raise ValueError(f"{len(data)} bytes do not fit into a frame")
    body = bytes([tfi]) + data
    size = len(body)
    if size < 0xFF:
        head = bytes([size, -size & 0xFF])
    else:
        high, low = divmod(size, 256)
        head = bytes([0xFF, 0xFF, high, low, -(high + low) & 0xFF])
    return START + head + body + bytes([-sum(body) & 0xFF, 0])


class Frames:
    """Cuts bytes into frames; what is none is skipped and told once. `gap_ns`: quiet that ends what is not whole."""

    def __init__(self, *, gap_ns: int, tfi: int = FROM_CHIP) -> None:
        self._gap_ns = gap_ns
        self._tfi = tfi
        self._rest = b""
        self._noise = 0
        self._heard_ns = 0

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes, or None."""
        return self._heard_ns + self._gap_ns if self._rest or self._noise else None

    def feed(self, data: bytes, now_ns: int) -> list[Heard]:
        """Take bytes read at `now_ns`."""
        out: list[Heard] = []
        self._heard_ns = now_ns
        rest = self._rest + data
        while (at := rest.find(START)) >= 0:
            self._skip(rest[:at])
            rest = rest[at:]
            size = _size(rest)
            if size < 0:
                self._skip(rest[:1])
                rest = rest[1:]
            elif size == 0 or len(rest) < size:
                self._rest = rest
                return out
            else:
                heard = _read(rest[:size], self._tfi, now_ns)
                if heard is None:
                    self._skip(rest[:1])
                    rest = rest[1:]
                    continue
                self._tell_noise(now_ns, out)
                out.append(heard)
                rest = rest[size:]
        # The end may be the begin of a start code.
        keep = 2 if rest.endswith(START[:2]) else 1 if rest.endswith(START[:1]) else 0
        self._skip(rest[: len(rest) - keep])
        self._rest = rest[len(rest) - keep :]
        return out

    def quiet(self, now_ns: int) -> list[Heard]:
        """Give up what is not whole."""
        out: list[Heard] = []
        deadline_ns = self.deadline_ns
        if deadline_ns is None or now_ns < deadline_ns:
            return out
        while self._rest:
            self._skip(self._rest[:1])
            rest, self._rest = self._rest[1:], b""
            out += self.feed(rest, self._heard_ns)
        self._tell_noise(now_ns, out)
        return out

    def _skip(self, data: bytes) -> None:
        # Zeros stand between frames as the standard pleases.
        self._noise += len(data.strip(b"\0"))

    def _tell_noise(self, now_ns: int, out: list[Heard]) -> None:
        if self._noise:
            out.append(Garbled(NO_FRAME, self._noise, now_ns))
            self._noise = 0


def _size(rest: bytes) -> int:
    """Return how long the frame at the begin is, its last 00 not counted; 0: not yet known, -1: no frame."""
    head = rest[3:8]
    if head[:2] in {b"\x00\xff", b"\xff\x00"}:
        return 5
    if len(head) < 2:
        return 0
    if head[:2] == b"\xff\xff":
        if len(head) < 5:
            return 0
        size = head[2] << 8 | head[3]
        return -1 if sum(head[2:5]) & 0xFF or not 0 < size <= DATA_BYTES_MAX + 1 else 9 + size
    return -1 if sum(head[:2]) & 0xFF or not head[0] else 6 + head[0]


def _read(frame: bytes, tfi: int, now_ns: int) -> Answer | Sign | None:
    for sign in (Sign.ACK, Sign.NACK):
        if frame == sign.value[:5]:
            return sign
    body = frame[8:] if frame[3:5] == b"\xff\xff" else frame[5:]
    if sum(body) & 0xFF:
        return None
    if body[0] == ERROR:
        return Sign.FAULT
    if body[0] != tfi or len(body) < 3:
        return None
    return Answer(body[1], body[2:-1], now_ns)
