"""Packets of Zebra's Simple Serial Interface (72E-40451), without I/O.

    length | opcode | source | status | data … | checksum, two bytes, high first

`length` counts all but the checksum, so at most 255; the checksum is the two's complement of the sum of all before it.
`source` is 0 from the scanner, 4 from the host. There is no start byte: what is no packet is skipped byte by byte, and
a quiet line ends what is not whole, so that noise never costs the packet behind it.
"""

import re
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from drivers.base import SCAN_BYTES_MAX, Garbled

DECODER = 0x00
HOST = 0x04

HEAD_BYTES = 4
CHECKSUM_BYTES = 2
DATA_BYTES_MAX = 0xFF - HEAD_BYTES

NO_PACKET = "no_packet"


class Op(IntEnum):
    """The opcodes that a gate sends or hears (72E-40451; the tables of the DS9908 and MP7000 guides say the same)."""

    SSI_MGMT = 0x80
    REQUEST_REVISION = 0xA3
    REPLY_REVISION = 0xA4
    IMAGE_DATA = 0xB1
    VIDEO_DATA = 0xB4
    PARAM_SEND = 0xC6
    CMD_ACK = 0xD0
    CMD_NAK = 0xD1
    FLUSH_QUEUE = 0xD2
    CAPABILITIES_REPLY = 0xD4
    BATCH_DATA = 0xD6
    BEEP = 0xE6
    LED_ON = 0xE7
    LED_OFF = 0xE8
    SCAN_ENABLE = 0xE9
    SCAN_DISABLE = 0xEA
    DECODE_DATA = 0xF3
    EVENT = 0xF6


class Status(IntFlag):
    """Bits of the status byte. Scanners on Bluetooth set others, which mean nothing to us."""

    NONE = 0
    RETRANSMIT = 1
    CONTINUED = 2
    """More packets of this message follow."""
    PERMANENT = 8
    """Of a parameter change. Never set by us: the scanner's memory takes few writes."""


class Nak(IntEnum):
    """The first data byte of CMD_NAK."""

    RESEND = 1
    BAD_CONTEXT = 2
    DENIED = 6
    CANCEL = 10


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet whose checksum holds. `first_ns`, `last_ns`: when its first and last bytes were read."""

    op: int
    data: bytes = b""
    status: int = Status.NONE
    first_ns: int = 0
    last_ns: int = 0


def encode(op: int, data: bytes = b"", status: int = Status.NONE, source: int = HOST) -> bytes:
    """The packet's bytes. ValueError where the data do not fit into one."""
    if len(data) > DATA_BYTES_MAX:
        raise ValueError(f"{len(data)} bytes do not fit into one packet")
    head = bytes((HEAD_BYTES + len(data), op, source, status)) + data
    return head + checksum(head)


def checksum(head: bytes) -> bytes:
    """The two's complement of the sum, 16 bits, high byte first."""
    return (-sum(head) & 0xFFFF).to_bytes(CHECKSUM_BYTES, "big")


class Packets:
    """Cuts bytes into packets of one `source`; what is none is told once as `Garbled`, when a packet or quiet ends it.

    `gap_ns`: how long the line must be quiet before what is not whole is given up.
    """

    def __init__(self, *, gap_ns: int, source: int = DECODER) -> None:
        self._gap_ns = gap_ns
        # Where a packet can begin; at the end of what has come, as far as it has come.
        self._head = re.compile(rb"[\x04-\xff](?:\Z|[\x10-\xff](?:\Z|%s))" % re.escape(bytes([source])))
        self._rest = b""
        self._rest_ns = 0
        self._noise = 0
        self._heard_ns = 0

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes, or None."""
        return self._heard_ns + self._gap_ns if self._rest or self._noise else None

    def feed(self, data: bytes, now_ns: int) -> list[Packet | Garbled]:
        """Take bytes read at `now_ns`."""
        out: list[Packet | Garbled] = []
        old = len(self._rest)
        self._heard_ns = now_ns
        rest, at = self._rest + data, 0
        while found := self._head.search(rest, at):
            start = found.start()
            self._skip(start - at, now_ns, out)
            end = start + rest[start] + CHECKSUM_BYTES
            at = start
            if end > len(rest):
                break
            if not self._take(rest[start:end], self._rest_ns if start < old else now_ns, now_ns, out):
                end = start + 1
                self._skip(1, now_ns, out)
            at = end
        else:
            self._skip(len(rest) - at, now_ns, out)
            at = len(rest)
        self._rest, self._rest_ns = rest[at:], self._rest_ns if at < old else now_ns
        return out

    def quiet(self, now_ns: int) -> list[Packet | Garbled]:
        """Give up what is not whole, if the line has been quiet for the gap."""
        out: list[Packet | Garbled] = []
        deadline_ns = self.deadline_ns
        if deadline_ns is None or now_ns < deadline_ns:
            return out
        while self._rest:
            # Nothing can become whole any more, but a packet may stand behind what looked like the head of a longer one.
            rest, self._rest = self._rest[1:], b""
            self._skip(1, now_ns, out)
            out += self.feed(rest, self._heard_ns)
        if self._noise:
            out.append(Garbled(NO_PACKET, self._noise, now_ns))
            self._noise = 0
        return out

    def _take(self, packet: bytes, first_ns: int, now_ns: int, out: list[Packet | Garbled]) -> bool:
        body = packet[:-CHECKSUM_BYTES]
        if checksum(body) != packet[-CHECKSUM_BYTES:]:
            return False
        if self._noise:
            out.append(Garbled(NO_PACKET, self._noise, now_ns))
            self._noise = 0
        out.append(Packet(body[1], body[HEAD_BYTES:], body[3], first_ns, now_ns))
        return True

    def _skip(self, size: int, now_ns: int, out: list[Packet | Garbled]) -> None:
        self._noise += size
        if self._noise > SCAN_BYTES_MAX:  # a device that babbles without a pause is told too
            out.append(Garbled(NO_PACKET, self._noise, now_ns))
            self._noise = 0
