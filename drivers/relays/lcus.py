"""LCUS-1/2/4/8 relay boards: a CH340 serial port, 9600 8N1, four bytes a command, no read-back.

Frame: `A0 channel state sum`; channels count from 1, the sum is that of the three bytes before it, modulo 256. The relay
latches: it keeps its level when the host goes away, so whoever drives it must live long enough to switch it off.
"""

import contextlib
from collections.abc import Mapping

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Misconfigured
from drivers.transport.tty import Tty

BAUD = 9600
START = 0xA0
LINES = (1, 2, 4, 8)
"""The boards that exist."""


def frame(line: int, on: bool) -> bytes:
    """The command that switches a 0-based line."""
    channel = line + 1
    return bytes((START, channel, int(on), (START + channel + int(on)) & 0xFF))


class LcusOutputs:
    """An LCUS board (Outputs)."""

    own_timer = False

    def __init__(self, path: str, lines: int) -> None:
        if lines not in LINES:
            raise Misconfigured(
                f"an LCUS board has 1, 2, 4 or 8 relays, not {lines}", "Count the relays on the board."
            )
        self.path = path
        self.lines = lines
        self._tty: Tty | None = None

    def open(self) -> str:
        """Open the port and switch every relay off; raises DriverError."""
        self.close()
        self._tty = Tty(self.path, BAUD)
        try:
            # What an earlier process left in the queue is no longer wanted.
            self._tty.flush_output()
            self.all_off()
        except DriverError:
            self._drop()
            raise
        return f"LCUS-{self.lines} at {self.path}"

    def fileno(self) -> int:
        """The open port, so that a hang-up is seen while nothing is being written; -1 when closed."""
        return self._tty.fd if self._tty else -1

    def set(self, line: int, on: bool) -> None:
        """Switch one relay; returns when the bytes have left the host."""
        if not 0 <= line < self.lines:
            raise Misconfigured(
                f"relay {line} of {self.lines}", "Lines count from 0; correct the lane's output line."
            )
        self._open_tty().write(frame(line, on))

    def pulse(self, line: int, duration_ms: int) -> None:
        """Not on this board: it has no timer."""
        raise Misconfigured(
            f"LCUS has no timer (line {line}, {duration_ms} ms)", "Use the relay guard's own deadline."
        )

    def all_off(self) -> None:
        """Switch every relay off, in one write."""
        self._open_tty().write(b"".join(frame(line, on=False) for line in range(self.lines)))

    def close(self) -> None:
        """Switch off where the board still answers, then give the port back. Never raises."""
        if self._tty is None:
            return
        try:
            self.all_off()
        except DeviceMisbehaved:
            # A command stuck in the queue must not be in the way of the last "off".
            self._tty.flush_output()
            with contextlib.suppress(DriverError):
                self.all_off()
        except DriverError:
            pass  # The board is gone; whoever opens it next starts with all off.
        finally:
            self._drop()

    def _drop(self) -> None:
        if self._tty is not None:
            self._tty.close()
            self._tty = None

    def _open_tty(self) -> Tty:
        if self._tty is None:
            raise DeviceGone(f"{self.path} is not open", "Open the device first.")
        return self._tty


def from_options(options: Mapping[str, object]) -> LcusOutputs:
    """The board named by the guard's settings: `path`, `lines`."""
    path, lines = options.get("path"), options.get("lines")
    if not isinstance(path, str) or not isinstance(lines, int):
        raise Misconfigured("an LCUS board needs `path` and `lines`", "Set both in the output's table.")
    return LcusOutputs(path, lines)
