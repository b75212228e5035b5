"""What every driver promises: events, errors, and one Protocol per kind of device.

A driver never knows what a ticket is. It turns a device's bytes into events and commands into bytes.
Time comes in from the transport (monotonic nanoseconds); nothing here opens a device at import.

How a driver fails says what to do next:

* `DeviceGone`: the device went away or never came. Close, wait, open again.
* `DeviceMisbehaved`: it answers, but not by its protocol. Count it, reset it, open again.
* `Misconfigured`: it will not work until a person changes something. Stop and tell; the hint says what.

Garbled bytes are values (`Garbled`), never errors: a visitor's screen must not be able to stop a lane.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import NoReturn, Protocol, runtime_checkable

SCAN_BYTES_MAX = 4096
"""Longest code passed on (facts: every input length-limited; the longest ticket in use is < 600)."""


class DriverError(Exception):
    """A device failed. `hint` is one sentence for the technician: what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class DeviceGone(DriverError):
    """The device is not there (unplugged, powered off, EOF, ENODEV, timeout). Open it again later."""


class DeviceMisbehaved(DriverError):
    """The device is there and breaks its protocol. Count, reset, open again."""


class Misconfigured(DriverError):
    """The device cannot work as configured. Opening it again will not help."""


class Medium(StrEnum):
    """What kind of credential a reader delivers."""

    BARCODE = "barcode"
    UID = "uid"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class Scan:
    """One complete frame from a reader.

    `data`: the code's text bytes, or the UID's raw bytes (UID0 first, as ISO/IEC 14443 transmits it); of a tag that was
    read too (`Medium.TAG`) the UID's length (u8), the UID, and its NDEF message, empty where it has none.
    `aim`: the AIM symbology identifier without `]` (`Q1`), or "" where the device sent none.
    `first_ns`, `last_ns`: monotonic time of the first and the last byte.
    """

    data: bytes
    medium: Medium
    aim: str
    first_ns: int
    last_ns: int
    signature: bytes = b""
    """Of a tag whose reader asks for it: what its maker signed of its UID, as the tag says it; nobody has checked it."""
    locked: bool | None = None
    """Of a tag that its reader was to lock: whether the tag, read back, says that it is."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A code that a device read earlier and stored. `scan` has the times of its transfer.

    `read_at`: when it was read, by the device's own clock and in its own zone; None where that says no time.
    """

    scan: Scan
    read_at: datetime | None


RANDOM_UID = "random_uid"
"""`Garbled.why` of a tag whose UID is another one each time: a phone or a bank card."""


@dataclass(frozen=True, slots=True)
class Garbled:
    """Bytes that are no frame (overlong, lost events, a UID that is none). No presentation: nobody is refused.

    `why` is one of the driver's own fixed words, never data from the device.
    """

    why: str
    size: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Removed:
    """The medium left the reader's field; only from readers that report removal."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The device is open and works. `what` names it for the technician: model, port, mode."""

    what: str


ReaderEvent = Scan | Stored | Garbled | Removed | Opened
Emit = Callable[[ReaderEvent], None]


class Signal(Enum):
    """What a reader's own light or beeper can tell the visitor."""

    ACCEPT = "accept"
    REJECT = "reject"
    WAIT = "wait"
    NEXT = "next"
    """The passage is over, or will not be: lights go out, and a reader that was paused reads again."""


@runtime_checkable
class Reader(Protocol):
    """A scanner or tag reader.

    `run` opens the device, emits `Opened`, then an event per frame, until cancelled (the device is closed) or a
    `DriverError` is raised. It may be called again after either. It must never wait without a limit, must hold
    at most `SCAN_BYTES_MAX` bytes of a frame, and must drop a partial frame when the device goes.
    """

    reports_removal: bool

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        ...

    def feedback(self, signal: Signal) -> None:
        """Show a signal on the device where it can; else do nothing. Never blocks, never raises."""
        ...


@dataclass(frozen=True, slots=True)
class InputChanged:
    """A debounced input line changed. `active` already has polarity applied."""

    line: int
    active: bool
    at_ns: int
    first: bool = False
    """The level found when the board was opened: it tells how things stand, not that something happened."""


@dataclass(frozen=True, slots=True)
class InputsLost:
    """These lines cannot be seen any more, the others can. Seen again, their levels come as found (`InputChanged.first`)."""

    lines: range
    error: DriverError


EmitInput = Callable[[InputChanged | Opened | InputsLost], None]


@runtime_checkable
class Inputs(Protocol):
    """A board of input lines (passage, ready and fire contacts).

    `run` emits `Opened`, then the present level of every configured line once, then each debounced change.
    """

    async def run(self, emit: EmitInput) -> NoReturn:
        """Watch until cancelled or until a DriverError says what to do next."""
        ...


@runtime_checkable
class Outputs(Protocol):
    """An output device: relay lines, 0-based. Synchronous, since the relay guard alone drives it.

    `open` must not let any line twitch on: all off, atomically where the device can. `set` returns once the
    device took the write. Every method may raise a DriverError. `close` never raises.
    """

    lines: int
    own_timer: bool
    """True where the device itself ends a pulse (`pulse` is then to be used)."""

    def open(self) -> str:
        """Open with every line off; returns a name for the technician."""
        ...

    def set(self, line: int, on: bool) -> None:
        """Switch one line."""
        ...

    def pulse(self, line: int, duration_ms: int) -> None:
        """Switch one line on for a time the device itself ends; only where `own_timer`."""
        ...

    def all_off(self) -> None:
        """Switch every line off."""
        ...

    def close(self) -> None:
        """Give the device back, lines off where it still answers."""
        ...


@dataclass(frozen=True, slots=True)
class BoardPart:
    """One of the boards that an output device is made of. `error`: why its lines are of no use; None while it works."""

    unit: int
    relays: range
    inputs: range
    error: DriverError | None = None


@runtime_checkable
class Parted(Protocol):
    """An output device made of several boards on one wire, each of which comes and goes by itself.

    What fails because of one board raises, and the others go on: as long as one of `parts` has no error, the device works.
    """

    looked: range
    """The contacts that the last look told of."""

    def parts(self) -> tuple[BoardPart, ...]:
        """How each board is, in the order of their lines."""
        ...


@runtime_checkable
class Sensing(Protocol):
    """An output device that can be asked how it is, and has contacts of its own (a relay board with inputs).

    The relay guard owns the device, so it does the asking: `look` every `look_ms`, never longer than 0.1 s.
    """

    inputs: int
    """How many contacts it has; 0 where it can only be asked whether it is still there."""
    debounce_ms: int

    @property
    def look_ms(self) -> int:
        """When to look again."""
        ...

    def look(self) -> tuple[bool, ...] | None:
        """The contacts' levels as wired, one each (of a `Parted` device those it `looked` at); None where the answer stayed
        out this once.

        Raises DeviceGone or DeviceMisbehaved where it has stayed out, or was none, for too long.
        """
        ...
