"""Numato relay modules: a console of text lines ending in CR; each is echoed, answered and followed by `>`. Sans-I/O.

Source: Numato's command list (numato.com/docs) and sample code: `relay on 0`, `relay off 0`, `relay read 0` (on, off),
`gpio read 0` (0, 1). Relays count from 0; from the tenth on they are letters, A to V, which is not hexadecimal.
"""

import re
import string
from typing import Final

DIGITS: Final = string.digits + string.ascii_uppercase[:22]
"""Names of the relays, 32 of them."""
LINE_BYTES_MAX: Final = 32
"""Longest command line; what is longer never was one."""
_END: Final = rb"[\r\n]+"


def switch(line: int, *, on: bool) -> str:
    """Switch a 0-based line."""
    return f"relay {'on' if on else 'off'} {DIGITS[line]}"


def read_relay(line: int) -> str:
    """Ask for a relay: on or off."""
    return f"relay read {DIGITS[line]}"


def read_input(line: int) -> str:
    """Ask for an input: 0 or 1."""
    return f"gpio read {DIGITS[line]}"


def to_bytes(command: str) -> bytes:
    """What is sent."""
    return command.encode() + b"\r"


class Reply:
    """Finds the answer to one command: its echo, the value if it has one, and the prompt behind; gives up after `bytes_max`."""

    def __init__(self, command: str, values: str, bytes_max: int) -> None:
        """`values`: what it may answer, as a pattern; "" for no more than the prompt."""
        value = rf"({values}){_END.decode()}".encode() if values else b"()"
        self._shape = re.compile(re.escape(command.encode()) + _END + value + b">")
        self._bytes_max = bytes_max
        self._buffer = b""

    def feed(self, data: bytes) -> str | None:
        """The value once it is there ("" where there is none), else None."""
        self._buffer += data[: self._bytes_max + 1]
        if len(self._buffer) > self._bytes_max:
            return None
        found = self._shape.search(self._buffer)
        return found[1].decode() if found else None


class Lines:
    """The module's side: cuts commands out of a byte stream."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines completed by these bytes."""
        *lines, rest = (self._buffer + data).split(b"\r")
        self._buffer = rest[-LINE_BYTES_MAX:]
        return [line.decode("ascii", "replace").strip() for line in lines]
