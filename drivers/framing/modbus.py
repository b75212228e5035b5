"""Modbus RTU frames: coils and discrete inputs, both sides. Sans-I/O.

Source: MODBUS over Serial Line V1.02 (RTU framing, CRC-16 low byte first) and Application Protocol V1.1b3 (function codes).
RTU separates frames by 3.5 characters of silence, which no USB adapter keeps. The master knows what it asked for, so
`Replies` finds the answer by its shape and its CRC wherever it starts; noise of the line's turn-round in front of it is common.
"""

from dataclasses import dataclass
from enum import IntEnum

READ_COILS = 0x01
READ_DISCRETE_INPUTS = 0x02
WRITE_SINGLE_COIL = 0x05
WRITE_MULTIPLE_COILS = 0x0F
EXCEPTION_FLAG = 0x80
COIL_ON = 0xFF00
COIL_OFF = 0x0000
COIL_FLASH_ON = 0x0200
"""Waveshare's own: address 0x0200 + channel, value = time. Switches on and, by the board's timer, off."""
FLASH_UNITS_MAX = 0x7FFF
"""Longest time that such a board takes."""

REQUEST_BYTES = 8
"""Every request of these functions but 0x0F: unit, function, two words, CRC."""

COILS_WRITTEN_MAX = 64
"""Coils written at once; the largest relay boards in trade have 48."""

ADU_BYTES_MAX = 256
"""Longest RTU frame (serial line specification, 2.5.1)."""

READ_COUNT_MAX = 2000
"""Most bits that one request may ask for (application protocol, 6.2)."""


class Fault(IntEnum):
    """Exception codes that a board of ours can answer with."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_DATA_ADDRESS = 2
    ILLEGAL_DATA_VALUE = 3
    DEVICE_FAILURE = 4


@dataclass(frozen=True, slots=True)
class Request:
    """`first`, `second`: address and count of a read or of many coils, address and value of a write.

    `values`: the levels of many coils, lowest address in the lowest bit of the first byte.
    """

    unit: int
    function: int
    first: int
    second: int
    values: bytes = b""

    @property
    def head(self) -> bytes:
        """What a board repeats to confirm a write."""
        return bytes((self.unit, self.function)) + self.first.to_bytes(2) + self.second.to_bytes(2)

    def to_bytes(self) -> bytes:
        """The frame, CRC included."""
        body = self.head + (bytes((len(self.values),)) + self.values if self.values else b"")
        return body + crc(body)


@dataclass(frozen=True, slots=True)
class Bits:
    """The answer to a read: one bool for each bit asked for."""

    values: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The echo that confirms a write."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The board answers that it will not: an exception code."""

    code: int


Reply = Bits | Written | Refused


def crc(data: bytes) -> bytes:
    """CRC-16/MODBUS as it is sent, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


def read_discrete_inputs(unit: int, address: int, count: int) -> Request:
    """FC02."""
    if not 0 < count <= READ_COUNT_MAX:
        raise ValueError(f"cannot read {count} inputs at once")
    return Request(unit, READ_DISCRETE_INPUTS, address, count)


def read_coils(unit: int, address: int, count: int) -> Request:
    """FC01."""
    if not 0 < count <= READ_COUNT_MAX:
        raise ValueError(f"cannot read {count} coils at once")
    return Request(unit, READ_COILS, address, count)


def coils_off(unit: int, address: int, count: int) -> Request:
    """FC15 with every value 0: the relays of a board off by one request."""
    if not 0 < count <= COILS_WRITTEN_MAX:
        raise ValueError(f"cannot write {count} coils at once")
    return Request(unit, WRITE_MULTIPLE_COILS, address, count, bytes((count + 7) // 8))


def write_coil(unit: int, address: int, *, on: bool) -> Request:
    """FC05."""
    return Request(unit, WRITE_SINGLE_COIL, address, COIL_ON if on else COIL_OFF)


def flash_coil(unit: int, channel: int, units: int) -> Request:
    """FC05 in Waveshare's way: on now, off by itself after so many of the board's units (100 ms with Waveshare)."""
    if not 0 < units <= FLASH_UNITS_MAX:
        raise ValueError(f"a flash of {units} units")
    return Request(unit, WRITE_SINGLE_COIL, COIL_FLASH_ON + channel, units)


def confirmation(request: Request) -> bytes:
    """The board's answer to a write: its first six bytes."""
    return request.head + crc(request.head)


def bits_reply(unit: int, function: int, values: tuple[bool, ...]) -> bytes:
    """The board's answer to a read: lowest address in the lowest bit of the first byte."""
    packed = sum(1 << at for at, value in enumerate(values) if value)
    data = packed.to_bytes((len(values) + 7) // 8, "little")
    body = bytes((unit, function, len(data))) + data
    return body + crc(body)


def refusal(unit: int, function: int, code: Fault) -> bytes:
    """The board's exception answer."""
    body = bytes((unit, function | EXCEPTION_FLAG, code))
    return body + crc(body)


class Replies:
    """Finds the answer to one request in what the line delivers."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._buffer = b""

    @property
    def received(self) -> int:
        """Bytes taken so far: an answer that stays out is silence if 0, else garbled."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Reply | None:
        """The answer once it is complete, else None. Keeps at most one longest frame of bytes."""
        self._buffer = (self._buffer + data)[-ADU_BYTES_MAX:]
        for start in range(len(self._buffer)):
            reply = self._at(start)
            if reply is not None:
                return reply
        return None

    def _at(self, start: int) -> Reply | None:
        frame = self._buffer[start:]
        unit, function = self._request.unit, self._request.function
        if frame[:2] == bytes((unit, function | EXCEPTION_FLAG)):
            return Refused(frame[2]) if _sound(frame, 5) else None
        if frame[:2] != bytes((unit, function)):
            return None
        if function in (WRITE_SINGLE_COIL, WRITE_MULTIPLE_COILS):
            return Written() if frame[:REQUEST_BYTES] == confirmation(self._request) else None
        size = (self._request.second + 7) // 8
        if len(frame) < 3 or frame[2] != size or not _sound(frame, size + 5):
            return None
        packed = int.from_bytes(frame[3 : 3 + size], "little")
        return Bits(tuple(bool(packed >> at & 1) for at in range(self._request.second)))


class Requests:
    """The board's side: cuts requests addressed to `unit` out of a byte stream, skipping what is none."""

    def __init__(self, unit: int) -> None:
        self._unit = unit
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """The requests completed by these bytes."""
        self._buffer += data
        found = []
        while len(self._buffer) >= REQUEST_BYTES:
            size = self._size()
            if size > len(self._buffer):
                break
            if size and _sound(self._buffer, size):
                head = self._buffer[:size]
                first, second = int.from_bytes(head[2:4]), int.from_bytes(head[4:6])
                values = head[7:-2] if size > REQUEST_BYTES else b""
                found.append(Request(head[0], head[1], first, second, values))
                self._buffer = self._buffer[size:]
            else:
                self._buffer = self._buffer[1:]
        return found

    def _size(self) -> int:
        """How long a request that began here would be; 0 where none does."""
        if self._buffer[0] != self._unit:
            return 0
        if self._buffer[1] != WRITE_MULTIPLE_COILS:
            return REQUEST_BYTES
        count = self._buffer[6]
        return count + 9 if 0 < count <= COILS_WRITTEN_MAX // 8 else 0


def _sound(frame: bytes, size: int) -> bool:
    return len(frame) >= size and frame[size - 2 : size] == crc(frame[: size - 2])
