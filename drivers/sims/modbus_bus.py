"""Several simulated Modbus boards on one RS-485 bus: one port, and each hears everything, as on a wire of two conductors."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from drivers.sims.lcus_board import CHANGES_KEPT, RelayChange
from drivers.sims.modbus_board import ModbusBoard
from drivers.sims.ports import PtyPort
from drivers.sims.weather import Wire


class ModbusBus:
    """Boards of one kind at `units`, behind one port. Their relays and inputs are numbered through, the first board's first.

    `boards` are the boards: what happens to one of them alone is its own `wire`'s, a supply that fails its `power_cut`. `wire` is
    what all begin with. `speed`: the only one that they hear, as termios numbers it; 0 for whatever the host sets. `crowded` counts requests that came before the one ahead of them was answered.
    """

    def __init__(
        self,
        inputs: int,
        coils: int,
        link: Path,
        units: Sequence[int],
        on_change: Callable[[RelayChange], None] = lambda _: None,
    ) -> None:
        self.port = PtyPort(link)
        self.path = self.port.path
        self.wire = Wire()
        self.changes: deque[RelayChange] = deque(maxlen=CHANGES_KEPT)
        self.crowded = self.speed = 0
        self._coils = coils
        self._inputs = inputs
        self._on_change = on_change
        self._loop: asyncio.AbstractEventLoop | None = None
        self.boards = [self._board(at, unit) for at, unit in enumerate(units)]

    def _board(self, at: int, unit: int) -> ModbusBoard:
        def changed(change: RelayChange) -> None:
            told = RelayChange(at * self._coils + change.line, change.on, change.at_ns)
            self.changes.append(told)
            self._on_change(told)

        board = ModbusBoard(self._inputs, self._coils, self.port, unit, changed)
        board.wire = self.wire
        return board

    @property
    def levels(self) -> list[bool]:
        """The relays of all boards."""
        return [level for board in self.boards for level in board.levels]

    @property
    def inputs(self) -> list[bool]:
        """The contacts of all boards."""
        return [level for board in self.boards for level in board.inputs]

    @property
    def polls(self) -> int:
        """Requests that the boards answered."""
        return sum(board.polls for board in self.boards)

    def drive(self, line: int, *, active: bool) -> None:
        """An input's contact closes or opens."""
        self.boards[line // self._inputs].drive(line % self._inputs, active=active)

    def switch(self, line: int, *, on: bool) -> None:
        """Switch a relay by somebody else's hand."""
        self.boards[line // self._coils].switch(line % self._coils, on=on)

    def fileno(self) -> int:
        """Readable when something waits."""
        return self.port.fileno()

    def service(self, timeout_s: float = 0.0) -> None:
        """Let every board hear what waits."""
        heard, before = self.port.read(timeout_s), self.polls
        if self.speed not in {0, self.port.speed}:
            return
        for board in self.boards:
            board.hear(heard)
        self.crowded += max(0, self.polls - before - 1)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Obey from now on whenever the loop runs."""
        self._loop = loop
        for board in self.boards:
            board.keep_time(loop)
        loop.add_reader(self.port.fileno(), self.service)

    def unplug(self) -> None:
        """The adapter is pulled; the boards have a supply of their own."""
        if self._loop and self.port.plugged:
            self._loop.remove_reader(self.port.fileno())
        self.port.unplug()

    def plug(self) -> None:
        """Plugged in again."""
        self.port.plug()
        if self._loop:
            self.attach(self._loop)

    def close(self) -> None:
        """End of the bus."""
        self.unplug()
