"""An LCUS relay board, the device's side, on a pty. It latches: its relays keep their level whatever becomes of the host."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drivers.relays.lcus import START
from drivers.sims.ports import PtyPort

CHANGES_KEPT = 1_000
"""Relay changes remembered for whoever looks later."""


@dataclass(frozen=True, slots=True)
class RelayChange:
    """A relay switched. `at_ns` is monotonic."""

    line: int
    on: bool
    at_ns: int


class LcusBoard:
    """Relays that obey `A0 channel state sum`; bytes that are none are skipped, a wrong sum is not obeyed.

    Either `attach` it to an event loop or call `service` / `wait_until`. `on_change` hears each relay that switches.
    """

    def __init__(
        self, lines: int, link: Path, on_change: Callable[[RelayChange], None] = lambda _: None
    ) -> None:
        self.port = PtyPort(link)
        self.path = self.port.path
        self.levels = [False] * lines
        self.changes: deque[RelayChange] = deque(maxlen=CHANGES_KEPT)
        self.commands = 0
        self._on_change = on_change
        self._buffer = b""
        self._hangs = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def fileno(self) -> int:
        """Readable when commands wait."""
        return self.port.fileno()

    def service(self, timeout_s: float = 0.0) -> None:
        """Obey what waits; waits for something up to `timeout_s`."""
        if not self._hangs:
            self._feed(self.port.read(timeout_s))

    def wait_until(self, holds: Callable[["LcusBoard"], bool], timeout_s: float) -> bool:
        """Obey commands until the condition holds; False when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not holds(self):
            rest = deadline - time.monotonic()
            if rest <= 0:
                return False
            self.service(rest)
        return True

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Obey from now on whenever the loop runs."""
        self._loop = loop
        loop.add_reader(self.port.fileno(), self.service)

    def hang(self) -> None:
        """Take no more bytes: the relays stay as they are, the host's queue is full."""
        self._hangs = True
        self._detach()
        self.port.jam()

    def recover(self) -> None:
        """Take bytes again; those of the hang are lost."""
        while self.port.read():
            pass
        self._hangs = False
        if self._loop:
            self.attach(self._loop)

    def unplug(self) -> None:
        """The plug is pulled: the board is powered by it, so every relay drops."""
        self._detach()
        self.port.unplug()
        self._buffer = b""
        for line in range(len(self.levels)):
            self._switch(line, on=False)

    def plug(self) -> None:
        """Plugged in again, relays off."""
        self.port.plug()
        if self._loop:
            self.attach(self._loop)

    def close(self) -> None:
        """End of the board."""
        self._detach()
        self.port.unplug()

    def _detach(self) -> None:
        if self._loop and self.port.plugged:
            self._loop.remove_reader(self.port.fileno())

    def _feed(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            head = self._buffer[:4]
            if head[0] == START and head[3] == sum(head[:3]) & 0xFF and head[2] in (0, 1):
                self._buffer = self._buffer[4:]
                self.commands += 1
                if 1 <= head[1] <= len(self.levels):
                    self._switch(head[1] - 1, on=bool(head[2]))
            else:
                self._buffer = self._buffer[1:]

    def _switch(self, line: int, *, on: bool) -> None:
        if self.levels[line] is not on:
            self.levels[line] = on
            change = RelayChange(line, on, time.monotonic_ns())
            self.changes.append(change)
            self._on_change(change)
