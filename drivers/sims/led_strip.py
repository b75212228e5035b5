"""LED strips, the device's side: an Adalight controller on a pty, and WS2812 pixels behind a socket that stands for their SPI line.

Both keep what they show whatever becomes of the host, until they lose their power. `frames`: every whole one that came.
"""

import socket
import time
from collections import deque
from pathlib import Path

from drivers.framing.led_strip import ADALIGHT_MAGIC, CHANNELS
from drivers.sims.ports import PtyPort
from drivers.sims.socket_node import SocketNode

FRAMES_KEPT = 1_000
HEAD_BYTES = len(ADALIGHT_MAGIC) + 3


class AdalightStrip:
    """A controller: finds `Ada`, checks the count, takes the pixels, shows those it has."""

    def __init__(self, pixels: int, link: Path) -> None:
        self.port = PtyPort(link)
        self.path = self.port.path
        self.shown = bytes(CHANNELS * pixels)
        self.frames: deque[tuple[int, bytes]] = deque(maxlen=FRAMES_KEPT)
        self._pixels = pixels
        self._buffer = b""

    def fileno(self) -> int:
        """Readable when something was sent; -1 while unplugged."""
        return self.port.fileno()

    def service(self, timeout_s: float = 0.0) -> None:
        """Take what waits; waits for something up to `timeout_s`."""
        self._buffer += self.port.read(timeout_s)
        while (frame := self._frame()) is not None:
            self.shown = frame[: CHANNELS * self._pixels].ljust(CHANNELS * self._pixels, b"\0")
            self.frames.append((time.monotonic_ns(), self.shown))

    def unplug(self) -> None:
        """The plug is pulled: it is powered by it."""
        self.port.unplug()
        self._buffer, self.shown = b"", bytes(CHANNELS * self._pixels)

    def plug(self) -> None:
        """Plugged in again, dark."""
        self.port.plug()

    close = unplug

    def _frame(self) -> bytes | None:
        """Return the next frame's pixels, what stands before it skipped; None while there is no whole one."""
        while len(self._buffer) >= HEAD_BYTES:
            high, low, check = self._buffer[3:HEAD_BYTES]
            if self._buffer.startswith(ADALIGHT_MAGIC) and check == high ^ low ^ 0x55:
                end = HEAD_BYTES + (high * 256 + low + 1) * CHANNELS
                if len(self._buffer) < end:
                    return None
                frame, self._buffer = self._buffer[HEAD_BYTES:end], self._buffer[end:]
                return frame
            self._buffer = self._buffer[1:]
        return None


class SpiStrip(SocketNode):
    """WS2812 pixels: a long high is a one, a short one a zero, a long low shows what came."""

    def __init__(self, pixels: int, link: Path, order: str = "GRB") -> None:
        super().__init__(link)
        self.shown = bytes(CHANNELS * pixels)
        self.frames: deque[tuple[int, bytes]] = deque(maxlen=FRAMES_KEPT)
        self._pixels = pixels
        self._order = order
        self.plug()

    def _lose_power(self) -> None:
        self.shown = bytes(CHANNELS * self._pixels)

    def _take(self, host: socket.socket, message: bytes) -> None:  # noqa: ARG002 - pixels answer nobody
        for stream in _streams(message):
            self._show(stream)

    def _show(self, stream: bytes) -> None:
        size = len(self._order)
        for pixel in range(min(self._pixels, len(stream) // size)):
            colours = dict(zip(self._order, stream[pixel * size : (pixel + 1) * size], strict=True))
            at = pixel * CHANNELS
            self.shown = self.shown[:at] + bytes(colours[one] for one in "RGB") + self.shown[at + CHANNELS :]
        self.frames.append((time.monotonic_ns(), self.shown))


def _streams(sent: bytes) -> list[bytes]:
    """Return what pixels read between gaps, at 2.4 MHz: highs of one bit are zeros, of two ones; a gap is 120 low bits (50 µs)."""
    line = "".join(f"{one:08b}" for one in sent)
    found = []
    for stream in line.split("0" * 120):
        bits = ["1" if len(high) > 1 else "0" for high in stream.split("0") if high]
        if bits:
            whole = "".join(bits[: len(bits) // 8 * 8])
            found.append(int(whole, 2).to_bytes(len(whole) // 8, "big"))
    return found
