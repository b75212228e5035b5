"""What relay boards that answer have in common: each write confirmed, each look told, and no relay on that nobody switched."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Protocol

from drivers.base import DeviceMisbehaved, DriverError, Misconfigured

LINES_MAX: Final = 32
"""Relays, and inputs, of one board; the largest in trade that are sensible at a gate."""
LOOK_MS: Final = 100
"""How often a board without inputs is asked whether it is there: silence is seen well within a second."""
AGAIN_MS: Final = 10
"""Pause after a look that was not answered."""
RELAYS_EVERY_S: Final = 0.25
"""How often the relays are read where the inputs are: a relay that nobody switched is on for no longer."""
STRAYS_MAX: Final = 3
"""Looks in a row that find a relay on which nobody switched: the first may be another master's, three are the board's."""
POLL_MS: Final = 20
"""Finds any contact of 100 ms several times."""
DEBOUNCE_MS: Final = 20
"""Turnstile contacts settle within 5 to 20 ms."""

Levels = tuple[bool, ...]


class Port(Protocol):
    """What such a board is behind (`drivers.relays.serial_board`, a HID node)."""

    answered: bool
    """Whether the last look was answered."""

    def open(self) -> None:
        """Open it; raises DriverError."""
        ...

    def fileno(self) -> int:
        """What a hang-up is seen at; -1 when closed."""
        ...

    def drop(self) -> None:
        """Close it. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Shape:
    """How many relays and inputs a board has, and how its inputs are watched."""

    lines: int
    inputs: int = 0
    poll_ms: int = POLL_MS
    debounce_ms: int = DEBOUNCE_MS


class AskedOutputs(ABC):
    """A board that answers (Outputs, Sensing)."""

    own_timer = False
    stray_hint = "Find out what else switches this board: another program, or its own inputs."

    def __init__(self, port: Port, shape: Shape) -> None:
        if not 0 < shape.lines <= LINES_MAX or not 0 <= shape.inputs <= LINES_MAX:
            raise Misconfigured(
                f"{shape.lines} relays and {shape.inputs} inputs", f"A board has up to {LINES_MAX} of each."
            )
        if shape.poll_ms < 1 or shape.debounce_ms < 0:
            raise Misconfigured(f"a poll each {shape.poll_ms} ms", f"Use poll_ms {POLL_MS}.")
        self.lines = shape.lines
        self.inputs = shape.inputs
        self.debounce_ms = shape.debounce_ms
        self.wanted: set[int] = set()
        """Lines that somebody switched on."""
        self._port = port
        self._poll_ms = shape.poll_ms
        self._strays = 0
        self._relays_s = 0.0

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called to the technician."""

    @abstractmethod
    def switch(self, line: int, *, on: bool) -> None:
        """Switch one relay; returns when the board confirmed it. Raises DriverError."""

    @abstractmethod
    def relays(self) -> Levels | None:
        """Read every relay; None where no answer came this once. Raises DriverError."""

    def contacts(self) -> Levels | None:
        """Read every input, likewise."""
        return ()

    def greet(self) -> None:
        """Make sure, once the port is open, that it is the board that is meant; raises DriverError."""
        return

    # --- Outputs ------------------------------------------------------------------------------------------------

    def open(self) -> str:
        """Open the port and switch every relay off, confirmed; raises DriverError."""
        self.close()
        self._port.open()
        try:
            self.start()
        except DriverError:
            self._port.drop()
            raise
        return f"{self.name}, {self.lines} relays, {self.inputs} inputs"

    def start(self) -> None:
        """Make sure on the open port that it is the board that is meant, and every relay off; raises DriverError."""
        self.greet()
        self.all_off()
        self._strays = 0

    def fileno(self) -> int:
        """The open port, so that a hang-up is seen while nothing is being asked; -1 when closed."""
        return self._port.fileno()

    def set(self, line: int, on: bool) -> None:
        """Switch one relay; returns when the board confirmed it."""
        self.check(line)
        if on:
            self.wanted.add(line)
        self.switch(line, on=on)
        if not on:
            self.wanted.discard(line)

    def pulse(self, line: int, duration_ms: int) -> None:
        """Not on a board without a timer."""
        raise Misconfigured(
            f"{self.name} has no timer (line {line}, {duration_ms} ms)", "Use the relay guard's own deadline."
        )

    def all_off(self) -> None:
        """Switch every relay off, confirmed."""
        for line in range(self.lines):
            self.switch(line, on=False)
        self.wanted.clear()

    def close(self) -> None:
        """Switch off where the board still answers, then give the port back. Never raises."""
        if self._port.fileno() < 0:
            return
        try:
            self.all_off()
        except DriverError:
            pass  # A board with a timer ends its pulses; whoever opens it next starts with all off.
        finally:
            self._port.drop()

    # --- Sensing ------------------------------------------------------------------------------------------------

    @property
    def look_ms(self) -> int:
        """The poll of the inputs; at once again where an answer stayed out."""
        pace_ms = self._poll_ms if self.inputs else LOOK_MS
        return pace_ms if self._port.answered else min(AGAIN_MS, pace_ms)

    def look(self) -> Levels | None:
        """Read the inputs, and now and then the relays."""
        now_s = time.monotonic()
        if not self.inputs or now_s - self._relays_s >= RELAYS_EVERY_S:
            levels = self.relays()
            if levels is None:
                return None
            self._relays_s = now_s
            self._watch(levels)
        return self.contacts() if self.inputs else ()

    def check(self, line: int) -> None:
        """Raise Misconfigured where there is no such relay."""
        if not 0 <= line < self.lines:
            raise Misconfigured(
                f"relay {line} of {self.lines}", "Lines count from 0; correct the lane's output line."
            )

    def _watch(self, levels: Levels) -> None:
        """Switch off what nobody switched on."""
        strays = [line for line, on in enumerate(levels) if on and line not in self.wanted]
        self._strays = self._strays + 1 if strays else 0
        for line in strays:
            self.switch(line, on=False)
        if self._strays >= STRAYS_MAX:
            raise DeviceMisbehaved(f"relay {strays[0]} of {self.name} switches on by itself", self.stray_hint)
