"""KMTronic USB relay boards: three bytes a command, no answer to a write, and the relays' state when asked. Sans-I/O.

Source: KMTronic's own list (info.kmtronic.com, "KMTronic USB Relay Test software"): `FF channel 01|00` switches, channels count
from 1. One and two relays: `FF channel 03` is answered by `FF channel 01|00`. Four and eight: `FF 09 00` is answered by one
byte for each relay, 01 or 00, without any frame around them.
"""

import re
from dataclasses import dataclass

START = 0xFF
STATUS_ALL = bytes((START, 0x09, 0x00))
STATUS_ONE = 0x03
SINGLES_MAX = 2
"""Boards with so many relays are asked for each alone."""

Levels = tuple[bool, ...]


def command(line: int, *, on: bool) -> bytes:
    """Switch a 0-based line."""
    return bytes((START, line + 1, int(on)))


def status_request(lines: int) -> bytes:
    """Ask for every relay of a board."""
    if lines > SINGLES_MAX:
        return STATUS_ALL
    return b"".join(bytes((START, line + 1, STATUS_ONE)) for line in range(lines))


def status_reply(levels: Levels) -> bytes:
    """The board's answer."""
    if len(levels) > SINGLES_MAX:
        return bytes(levels)
    return b"".join(bytes((START, line + 1, int(on))) for line, on in enumerate(levels))


class Status:
    """Finds a board's state in what the line delivers; gives up after `bytes_max`, since there is no checksum."""

    def __init__(self, lines: int, bytes_max: int) -> None:
        self._shape = _shape_of(lines)
        self._bytes_max = bytes_max
        self._buffer = b""

    def feed(self, data: bytes) -> Levels | None:
        """The relays' levels once they are complete, else None."""
        self._buffer += data[: self._bytes_max + 1]
        if len(self._buffer) > self._bytes_max:
            return None
        found = self._shape.search(self._buffer)
        if found is None:
            return None
        values = b"".join(found.groups())
        return tuple(value == 1 for value in values)


def _shape_of(lines: int) -> re.Pattern[bytes]:
    """How a whole answer looks: of small boards one answer for each relay, between which there may be noise."""
    if lines > SINGLES_MAX:
        return re.compile(b"([\x00\x01]{%d})" % lines)
    singles = [b"\\xff\\x%02x([\\x00\\x01])" % (line + 1) for line in range(lines)]
    return re.compile(b".*?".join(singles), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """What a board hears: switch a line, or say one's (`on` None) or, line -1, every relay's state."""

    line: int
    on: bool | None


class Commands:
    """The board's side: cuts commands out of a byte stream, skipping what is none."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._buffer = b""

    def feed(self, data: bytes) -> list[Command]:
        """The commands completed by these bytes."""
        self._buffer += data
        found = []
        while len(self._buffer) >= 3:
            start, channel, value = self._buffer[:3]
            command_ = None
            if start == START and 1 <= channel <= self._lines and value in (0, 1, STATUS_ONE):
                command_ = Command(channel - 1, None if value == STATUS_ONE else bool(value))
            elif self._buffer[:3] == STATUS_ALL and self._lines > SINGLES_MAX:
                command_ = Command(-1, None)
            if command_ is not None:
                found.append(command_)
            self._buffer = self._buffer[3 if command_ is not None else 1 :]
        return found
