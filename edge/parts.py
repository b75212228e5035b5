"""What a gate is made of: the factories that the daemon is given, so that it names no concrete driver."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from drivers.base import BoardPart, DriverError, InputChanged, Inputs, Reader
from edge.clock import Clock, chip_s
from edge.settings import InputSettings, ReaderSettings, RelaySettings
from edge.store.disk import Disk
from edge.store.writer import LogWriter


class HeldPulse(Protocol):
    """A pulse that is ready to go (`drivers.guard_link.HeldPulse`)."""

    id: int
    sent_ns: int

    def send(self, now_ns: int) -> None:
        """Send it, unless it was dropped or its guard is gone. From any thread; never raises."""
        ...

    def drop(self) -> bool:
        """Take it back; False where it was sent."""
        ...


class Relay(Protocol):
    """The lane's end of a relay guard (`drivers.guard_link.GuardLink`)."""

    last_pong_ns: int
    fault: DriverError | None

    async def run(self) -> NoReturn:
        """Keep a guard running; Misconfigured when that will not help."""
        ...

    def pulse(self, line: int, duration_ms: int) -> int:
        """Send one pulse now, return its id; DeviceGone when the guard cannot take it."""
        ...

    def hold(self, line: int, duration_ms: int) -> HeldPulse:
        """Make a pulse ready that any thread may send; DeviceGone when the guard could not take it now."""
        ...

    def off_line(self, line: int) -> int:
        """Switch one line off now; DeviceGone when the guard cannot take it."""
        ...


@dataclass(slots=True)
class RelayEvents:
    """Where a relay tells of itself and its pulses."""

    ready: Callable[[int], None] = field(default=lambda _lines: None)
    ack: Callable[[int], None] = field(default=lambda _id: None)
    ended: Callable[[int], None] = field(default=lambda _id: None)
    fault: Callable[[DriverError], None] = field(default=lambda _error: None)
    contact: Callable[[InputChanged], None] = field(default=lambda _event: None)
    """A contact of the board's own; `active` as it is wired."""
    refused: Callable[[int], None] = field(default=lambda _id: None)
    """A command that could not be carried out, and the others go on."""
    part: Callable[[BoardPart], None] = field(default=lambda _part: None)
    """One of several boards went, or is back with every line off."""


@dataclass(frozen=True, slots=True)
class Factories:
    """How settings become parts."""

    reader: Callable[[ReaderSettings], Reader]
    inputs: Callable[[InputSettings], Inputs]
    relay: Callable[[RelaySettings, RelayEvents], Relay]
    clock: Clock
    front_argv: Callable[[str], list[str]]
    """The command line of the front process, given its settings as JSON."""
    disk: Disk | None = None
    """What log and list lie on; None: the box's own file system."""
    writer: Callable[..., LogWriter] = LogWriter
    """What writes the log, as `LogWriter` is made."""
    chance: random.Random = field(default_factory=random.SystemRandom)
    """Where the epoch's number and what is left to chance come from."""
    chip_s: Callable[[], int | None] = chip_s
    """What the machine's clock chip says, unix seconds; None without one."""
