"""What simulated relay boards that answer have in common: a pty, relays with timers, and the weather on the wire."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from pathlib import Path

from drivers.sims.lcus_board import CHANGES_KEPT, RelayChange
from drivers.sims.ports import PtyPort
from drivers.sims.weather import DELAY_S, Weather, Wire


class AnsweringBoard(ABC):
    """Relays behind a serial port. `own_supply`: they keep their level when the plug is pulled.

    Either `attach` it to an event loop, or have `service` called (`drivers.sims.served`). `on_change` hears each relay that
    switches. `wire` says what becomes of the bytes. Boards on one bus are given its port, and what is heard on it (`hear`).
    """

    own_supply = False

    def __init__(
        self, lines: int, link: Path | PtyPort, on_change: Callable[[RelayChange], None] = lambda _: None
    ) -> None:
        self.port = link if isinstance(link, PtyPort) else PtyPort(link)
        self.path = self.port.path
        self.wire = Wire()
        self.levels = [False] * lines
        self.changes: deque[RelayChange] = deque(maxlen=CHANGES_KEPT)
        self._on_change = on_change
        self._off_s: dict[int, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @abstractmethod
    def answers(self, data: bytes) -> list[bytes]:
        """Obey what was heard; return what is to be said, one item for each message."""

    def fileno(self) -> int:
        """Readable when something waits."""
        return self.port.fileno()

    def service(self, timeout_s: float = 0.0) -> None:
        """Obey and answer what waits; waits for something up to `timeout_s`."""
        self._end_timers()
        self.hear(self.port.read(timeout_s))

    def hear(self, data: bytes) -> None:
        """Obey and answer what came over the wire."""
        self._end_timers()
        if babble := self.wire.babble():
            self.port.write(babble)
        heard = self.wire.to_device(data)
        for answer in self.answers(heard) if heard else ():
            if self.wire.weather is Weather.DELAYED:
                time.sleep(DELAY_S)
            for piece in self.wire.to_host(answer):
                self.port.write(piece)
        self._end_timers()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Obey from now on whenever the loop runs."""
        self.keep_time(loop)
        loop.add_reader(self.port.fileno(), self.service)

    def keep_time(self, loop: asyncio.AbstractEventLoop) -> None:
        """End its timers on this loop from now on."""
        self._loop = loop

    def unplug(self) -> None:
        """The plug is pulled."""
        if self._loop and self.port.plugged:
            self._loop.remove_reader(self.port.fileno())
        self.port.unplug()
        if not self.own_supply:
            self.power_cut()

    def power_cut(self) -> None:
        """The board's supply fails: every relay drops."""
        for line in range(len(self.levels)):
            self.switch(line, on=False)

    def plug(self) -> None:
        """Plugged in again."""
        self.port.plug()
        if self._loop:
            self.attach(self._loop)

    def close(self) -> None:
        """End of the board."""
        if self._loop and self.port.plugged:
            self._loop.remove_reader(self.port.fileno())
        self.port.unplug()

    def switch(self, line: int, *, on: bool, for_s: float = 0.0) -> None:
        """Switch a relay; `for_s`: the board's own timer switches it off then."""
        self._off_s.pop(line, None)
        if on and for_s:
            self._off_s[line] = time.monotonic() + for_s
            if self._loop:
                self._loop.call_later(for_s, self._end_timers)
        if self.levels[line] is not on:
            self.levels[line] = on
            change = RelayChange(line, on, time.monotonic_ns())
            self.changes.append(change)
            self._on_change(change)

    def _end_timers(self) -> None:
        now_s = time.monotonic()
        for line in [one for one, off_s in self._off_s.items() if off_s <= now_s]:
            self.switch(line, on=False)
