"""What is screwed to a gate: readers, a relay board, a board of contacts, and the arms that they move and watch.

An arm is physical: it gives way for `HOLD_S` after a pulse, once a pulse, and its contact closes while somebody passes,
whether or not anybody listens. Without an arm the way is open to whoever was told so.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from admission.records import Direction
from drivers.base import DeviceGone, DriverError, EmitInput, InputChanged, Medium, Opened, Scan, Signal
from drivers.base import Emit as EmitReader
from edge.parts import RelayEvents
from edge.settings import LaneSettings
from tests.sim.clock import SimClock
from tests.sim.loop import VirtualLoop

HOLD_S = 5.0
"""An arm gives way so long (`edge.settings.LaneSettings.hold_ms`)."""
UID_BYTES, NXP = 7, 0x04
"""A tag's UID as most have it, and its first byte: its maker's."""
CONTACT_S = 0.2
"""A passage contact stays closed so long."""
LINES = 5
FIRE_LINE = 4
"""The contact of a building's alarm, where one is wired."""
OPENING_S = 0.3
"""A device is open so long after its driver began."""


def is_tag(data: bytes) -> bool:
    """Whether what is shown is a tag, by its UID, and no text."""
    return len(data) == UID_BYTES and data[0] == NXP


class SimReader:
    """A scanner."""

    reports_removal = False

    def __init__(self, clock: SimClock, on_signal: Callable[[Signal], None]) -> None:
        self._clock = clock
        self._on_signal = on_signal
        self._emit: EmitReader | None = None
        self._gone: asyncio.Event | None = None

    async def run(self, emit: EmitReader) -> NoReturn:
        await asyncio.sleep(OPENING_S)
        self._gone = asyncio.Event()
        self._emit = emit
        emit(Opened("simulated"))
        try:
            await self._gone.wait()
        finally:
            self._emit = None
        raise DeviceGone("unplugged")

    def feedback(self, signal: Signal) -> None:
        self._on_signal(signal)

    # --- the outside world's verbs ---

    def read(self, data: bytes) -> bool:
        """Somebody holds a code before it; False where nobody listens."""
        if self._emit is None:
            return False
        at_ns = self._clock.mono_ns()
        medium = Medium.UID if is_tag(data) else Medium.BARCODE
        self._emit(Scan(data, medium, "Q1", at_ns, at_ns))
        return True

    def unplug(self) -> None:
        """Pull the plug; the driver finds it in again when it tries."""
        if self._gone is not None:
            self._gone.set()

    @property
    def is_open(self) -> bool:
        """Whether its driver listens."""
        return self._emit is not None


class SimContacts:
    """A board of contacts."""

    def __init__(self, clock: SimClock, rings: Callable[[], bool]) -> None:
        self._clock, self._rings = clock, rings
        self._emit: EmitInput | None = None
        self._gone: asyncio.Event | None = None

    async def run(self, emit: EmitInput) -> NoReturn:
        await asyncio.sleep(OPENING_S)
        self._gone = asyncio.Event()
        self._emit = emit
        emit(Opened("simulated"))
        for line in range(LINES):
            is_closed = line == FIRE_LINE and self._rings()
            emit(InputChanged(line, is_closed, self._clock.mono_ns(), first=True))
        try:
            await self._gone.wait()
        finally:
            self._emit = None
        raise DeviceGone("unplugged")

    def set(self, line: int, *, active: bool) -> bool:
        """A contact opens or closes; whether that was seen."""
        if self._emit is None:
            return False
        self._emit(InputChanged(line, active, self._clock.mono_ns()))
        return True

    def unplug(self) -> None:
        """Pull the plug."""
        if self._gone is not None:
            self._gone.set()


class SimHeldPulse:
    """A pulse that is ready to go (`edge.parts.HeldPulse`)."""

    def __init__(self, number: int, send: Callable[[], bool]) -> None:
        self.id = number
        self.sent_ns = 0
        self._send = send
        self._is_open = True

    def send(self, now_ns: int) -> None:
        if self._is_open:
            self._is_open = False
            if self._send():
                self.sent_ns = now_ns

    def drop(self) -> bool:
        self._is_open = False
        return not self.sent_ns


class SimRelay:
    """The lane's end of a relay guard, the guard and its board (`edge.parts.Relay`)."""

    def __init__(
        self, loop: VirtualLoop, chance: random.Random, events: RelayEvents, on_pulse: Callable[[int], None]
    ) -> None:
        self.last_pong_ns = 0
        self.fault: DriverError | None = None
        self._loop, self._chance, self._events, self._on_pulse = loop, chance, events, on_pulse
        self._number = 0
        self._is_ready = False
        self._gone: asyncio.Event | None = None

    async def run(self) -> NoReturn:
        while True:
            await asyncio.sleep(OPENING_S)
            self._gone = asyncio.Event()
            self._is_ready = True
            self._events.ready(8)
            await self._gone.wait()
            self._is_ready = False
            self._events.fault(DeviceGone("the guard's board is gone"))
            await asyncio.sleep(1.0)

    def pulse(self, line: int, duration_ms: int) -> int:  # noqa: ARG002 - the Protocol's
        number = self._next()
        self._command(line, number)
        return number

    def hold(self, line: int, duration_ms: int) -> SimHeldPulse:  # noqa: ARG002 - the Protocol's
        """Make a pulse ready."""
        number = self._next()
        return SimHeldPulse(number, lambda: self._command(line, number))

    def off_line(self, line: int) -> int:  # noqa: ARG002 - the Protocol's
        return self._next()

    def _next(self) -> int:
        if not self._is_ready:
            raise DeviceGone("the relay guard is not ready")
        self._number += 1
        return self._number

    def _command(self, line: int, number: int) -> bool:
        if not self._is_ready:
            return False
        self._on_pulse(line)
        self._loop.call_later(self._chance.uniform(0.001, 0.004), self._answer, number)
        return True

    def _answer(self, number: int) -> None:
        if self._is_ready:
            self._events.ack(number)

    def unplug(self) -> None:
        """Pull the plug."""
        if self._gone is not None:
            self._gone.set()


class Push(NamedTuple):
    """Somebody pushed an arm."""

    went: bool
    """It gave way."""
    seen: bool
    """A running gate could see the contact."""
    at_s: float
    """When the contact closed."""


@dataclass(slots=True)
class Arm:
    """One lane as people meet it: both ways, an arm for each where there is one."""

    settings: LaneSettings
    open_until_s: dict[Direction, float] = field(default_factory=dict)
    is_open: bool = False
    """By the wire of the building's alarm."""

    def line_of(self, way: Direction) -> int | None:
        """Return the relay line that releases a way."""
        return self.settings.entry_line if way is Direction.ENTRY else self.settings.exit_line

    def contact_of(self, way: Direction) -> int | None:
        """Return the contact that sees a way."""
        return self.settings.entry_contact if way is Direction.ENTRY else self.settings.exit_contact

    def released(self, way: Direction, now_s: float) -> None:
        """The relay was pulsed."""
        self.open_until_s[way] = now_s + HOLD_S

    def gives_way(self, way: Direction, now_s: float) -> bool:
        """Whether who pushes now gets through."""
        return self.is_open or self.line_of(way) is None or now_s < self.open_until_s.get(way, -1.0)

    def pushed(self, way: Direction) -> None:
        """Somebody went through: the arm locks behind them."""
        self.open_until_s.pop(way, None)
