"""HID relay boards "USBRelayN" (16c0:05df, of V-USB): eight bytes of feature report, either way. Sans-I/O.

To the board: command, relay counted from 1, zeros. From it: a name of five characters that is the board's own, two zeros, and
one bit for each relay that is on. Source: the firmwares and drivers in the public domain agree (usbrelay, usb-relay-hid,
libsigrok's dcttech-usbrelay); the makers publish nothing.
"""

from dataclasses import dataclass

REPORT_BYTES = 8
NAME_BYTES = 5
STATE_AT = 7
ON, OFF = 0xFF, 0xFD
ALL_OFF = 0xFC


@dataclass(frozen=True, slots=True)
class State:
    """What a board says of itself."""

    name: str
    levels: int
    """Bit 0: the first relay."""


def switch(line: int, *, on: bool) -> bytes:
    """Switch a 0-based line."""
    return bytes((ON if on else OFF, line + 1)).ljust(REPORT_BYTES, b"\0")


def all_off() -> bytes:
    """Switch every relay off."""
    return bytes((ALL_OFF,)).ljust(REPORT_BYTES, b"\0")


def state_report(state: State) -> bytes:
    """The board's report."""
    return state.name.encode("ascii")[:NAME_BYTES].ljust(STATE_AT, b"\0") + bytes((state.levels,))


def state_of(report: bytes) -> State | None:
    """What a report says; None where it is none of such a board."""
    if len(report) != REPORT_BYTES:
        return None
    name = report[:NAME_BYTES]
    if not all(0x20 < byte < 0x7F for byte in name):
        return None
    return State(name.decode("ascii"), report[STATE_AT])
