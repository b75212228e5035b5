"""A HID relay board, the device's side: a socket that stands for its hidraw node, one message for each feature report."""

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from drivers.framing.hid_relay import ALL_OFF, OFF, ON, STATE_AT, State, state_report
from drivers.sims.lcus_board import CHANGES_KEPT, RelayChange
from drivers.sims.socket_node import SocketNode
from drivers.transport.hid_features import SIM_GET, SIM_SET


class HidRelay(SocketNode):
    """Relays that obey feature reports; powered by the plug.

    `mute`: reports are taken and nothing is said. `garbled`: what it says is none of such a board.
    """

    message_bytes_max = 64

    def __init__(
        self,
        lines: int,
        link: Path,
        on_change: Callable[[RelayChange], None] = lambda _: None,
        *,
        name: str = "BITFT",
    ) -> None:
        super().__init__(link)
        self.name = name
        self.levels = [False] * lines
        self.changes: deque[RelayChange] = deque(maxlen=CHANGES_KEPT)
        self.mute = False
        self.garbled = False
        self._on_change = on_change
        self.plug()

    def switch(self, line: int, *, on: bool) -> None:
        """A relay switches."""
        if self.levels[line] is not on:
            self.levels[line] = on
            change = RelayChange(line, on, time.monotonic_ns())
            self.changes.append(change)
            self._on_change(change)

    def _lose_power(self) -> None:
        for line in range(len(self.levels)):
            self.switch(line, on=False)

    def _take(self, host: socket.socket, message: bytes) -> None:
        if message[:1] == SIM_SET:
            self._obey(message[1:])
        if self.mute:
            return
        with contextlib.suppress(OSError):
            host.send(b"ok" if message[:1] == SIM_SET else self._report() if message == SIM_GET else b"?")

    def _report(self) -> bytes:
        levels = sum(1 << line for line, on in enumerate(self.levels) if on)
        return bytes(STATE_AT + 1) if self.garbled else state_report(State(self.name, levels))

    def _obey(self, report: bytes) -> None:
        command, line = report[0], report[1] - 1
        if command == ALL_OFF:
            for one in range(len(self.levels)):
                self.switch(one, on=False)
        elif command in (ON, OFF) and 0 <= line < len(self.levels):
            self.switch(line, on=command == ON)
