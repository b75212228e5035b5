"""A HID relay board, the device's side: a socket that stands for its hidraw node, one message for each feature report."""

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from drivers.framing.hid_relay import ALL_OFF, OFF, ON, STATE_AT, State, state_report
from drivers.sims.lcus_board import CHANGES_KEPT, RelayChange
from drivers.transport.hid_features import SIM_GET, SIM_SET


class HidRelay:
    """Relays that obey feature reports; powered by the plug.

    `mute`: reports are taken and nothing is said. `garbled`: what it says is none of such a board.
    """

    def __init__(
        self,
        lines: int,
        link: Path,
        on_change: Callable[[RelayChange], None] = lambda _: None,
        *,
        name: str = "BITFT",
    ) -> None:
        self.path = str(link)
        self.name = name
        self.levels = [False] * lines
        self.changes: deque[RelayChange] = deque(maxlen=CHANGES_KEPT)
        self.mute = False
        self.garbled = False
        self._link = link
        self._on_change = on_change
        self._listening: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._ready = select.epoll()
        self.plug()

    def fileno(self) -> int:
        """Readable when somebody opens it or sends a report."""
        return -1 if self._listening is None else self._ready.fileno()

    def service(self, timeout_s: float = 0.0) -> None:
        """Take the reports that wait; waits for something up to `timeout_s`."""
        if self._listening is None:
            return
        ready = {fd for fd, _ in self._ready.poll(timeout_s)}
        if self._listening.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                self._open.append(self._listening.accept()[0])
                self._ready.register(self._open[-1], select.EPOLLIN)
        for one in [host for host in self._open if host.fileno() in ready]:
            self._hear(one)

    def switch(self, line: int, *, on: bool) -> None:
        """A relay switches."""
        if self.levels[line] is not on:
            self.levels[line] = on
            change = RelayChange(line, on, time.monotonic_ns())
            self.changes.append(change)
            self._on_change(change)

    def unplug(self) -> None:
        """The plug is pulled: whoever has it open reads the end, and every relay drops."""
        if self._listening is None:
            return
        self._ready.close()
        for one in (self._listening, *self._open):
            one.close()
        self._listening, self._open = None, []
        self._link.unlink()
        for line in range(len(self.levels)):
            self.switch(line, on=False)

    def plug(self) -> None:
        """The device appears."""
        if self._listening is None:
            self._ready.close()
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._listening.bind(self.path)
            self._listening.listen()
            self._listening.setblocking(False)
            self._ready = select.epoll()
            self._ready.register(self._listening, select.EPOLLIN)

    close = unplug

    def _hear(self, host: socket.socket) -> None:
        try:
            message = host.recv(64)
        except OSError:
            message = b""
        if not message:
            self._open.remove(host)
            host.close()
            return
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
