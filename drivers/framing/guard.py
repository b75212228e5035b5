"""The eight-byte frames between a lane and its relay guard. Sans-I/O; nothing here is a device's protocol.

Layout, big-endian: magic 0xA7 · kind · line (of FAULT: the exit code; of READY: how many lines) · sum · milliseconds u16 ·
id u16. INPUT: line is the contact's number, milliseconds its level (bit 0: closed, bit 1: as found when the board was
opened), id how many milliseconds ago it changed. REFUSED: the command of this id failed, and the guard goes on. PART, one of
several boards: line is its place among them, milliseconds its relays (low byte) and inputs (high byte), id its unit (low byte)
and why its lines are of no use (high byte, an exit code; CLEAN: they are). `sum` makes the sum of all eight bytes zero modulo
256. Fixed size, so that a frame is one atomic write on a pipe
(POSIX: up to PIPE_BUF) and there is nothing to resynchronise: a stream that is wrong once stays wrong, and the guard then
switches all off and ends.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

from drivers.base import BoardPart

FRAME_BYTES = 8
MAGIC = 0xA7
ID_MAX = 0xFFFF
_LAYOUT = struct.Struct(">BBBBHH")


class Kind(IntEnum):
    """What a frame says. The lane's kinds have bit 7 clear, the guard's have it set."""

    PULSE = 0x11
    OFF = 0x12
    PING = 0x13
    OFF_LINE = 0x14
    READY = 0x91
    ACK = 0x92
    ENDED = 0x93
    PONG = 0x94
    FAULT = 0x95
    INPUT = 0x96
    PART = 0x97
    REFUSED = 0x98


class Exit(IntEnum):
    """Why the guard ended: its exit status, and the code in a FAULT frame."""

    CLEAN = 0
    CRASHED = 1
    DEVICE_GONE = 3
    DEVICE_MISBEHAVED = 4
    MISCONFIGURED = 5
    MALFORMED = 6
    LANE_STUCK = 7


class Frame(NamedTuple):
    """One message, either way. Fields that a kind does not use are 0."""

    kind: Kind
    line: int = 0
    ms: int = 0
    id: int = 0


class Malformed(ValueError):
    """Eight bytes that are no frame: the two ends no longer understand each other."""


def encode(frame: Frame) -> bytes:
    """The frame's eight bytes."""
    check = -(MAGIC + frame.kind + frame.line + _byte_sum(frame.ms) + _byte_sum(frame.id)) & 0xFF
    return _LAYOUT.pack(MAGIC, frame.kind, frame.line, check, frame.ms, frame.id)


def decode(data: bytes) -> Frame:
    """The frame in exactly eight bytes; raises Malformed."""
    if len(data) != FRAME_BYTES or data[0] != MAGIC or sum(data) & 0xFF:
        raise Malformed(data.hex())
    _, kind, line, _, ms, ident = _LAYOUT.unpack(data)
    known = _KINDS.get(kind)
    if known is None:
        raise Malformed(data.hex())
    return Frame(known, line, ms, ident)


_KINDS = {one.value: one for one in Kind}


def part_frame(place: int, part: BoardPart, why: Exit) -> Frame:
    """Say how one of several boards is."""
    return Frame(Kind.PART, place, len(part.relays) | len(part.inputs) << 8, part.unit | why << 8)


def part_of(frame: Frame) -> tuple[BoardPart, Exit]:
    """Read `part_frame` back, without its error; raises Malformed."""
    relays, inputs, unit = frame.ms & 0xFF, frame.ms >> 8, frame.id & 0xFF
    try:
        why = Exit(frame.id >> 8)
    except ValueError as error:
        raise Malformed(f"a board that ended with {frame.id >> 8}") from error
    at = frame.line
    return BoardPart(unit, range(at * relays, (at + 1) * relays), range(at * inputs, (at + 1) * inputs)), why


class Frames:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by these bytes; raises Malformed, after which the stream is of no use.

        Frames in front of the malformed one are not delivered either: whoever sends garbage is not obeyed.
        """
        if len(data) == FRAME_BYTES and not self._rest:
            return [decode(data)]  # as nearly always, and somebody stands at the arm
        data = self._rest + data
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        if self._rest and self._rest[0] != MAGIC:
            raise Malformed(self._rest.hex())
        return [decode(data[at : at + FRAME_BYTES]) for at in range(0, whole, FRAME_BYTES)]


def _byte_sum(value: int) -> int:
    return (value >> 8) + (value & 0xFF)
