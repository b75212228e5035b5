"""The device's end of a serial port, on a pty: what a simulated board reads and writes, and its plug.

For boards: without a loop too, since the relay guard's outputs are driven synchronously (readers use `drivers.sims.ports`).
"""

import contextlib
import fcntl
import os
import select
import termios
import time
import tty
from pathlib import Path

READ_BYTES = 4096

JAM_ROUNDS = 3
JAM_PAUSE_S = 0.01
"""A pty that stayed full for three rounds stays full: the kernel moves bytes on within a tick."""


class PtyPort:
    """A serial port whose other end a program opens by `path`.

    `link` is a symbolic link that always leads to the present port, as `/dev/serial/by-id` does: after `unplug` it leads
    nowhere, after `plug` to a new port.
    """

    def __init__(self, link: Path) -> None:
        self.path = str(link)
        self._link = link
        self._ours = self._theirs = -1
        self.plug()

    @property
    def plugged(self) -> bool:
        """True while the port is there."""
        return self._ours >= 0

    def fileno(self) -> int:
        """Readable when the program wrote; -1 while unplugged."""
        return self._ours

    def plug(self) -> None:
        """The device appears."""
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        os.set_blocking(self._theirs, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._theirs))

    def unplug(self) -> None:
        """The device goes: whoever has it open sees a hang-up."""
        if self._ours < 0:
            return
        self._link.unlink(missing_ok=True)
        os.close(self._theirs)
        os.close(self._ours)
        self._ours = self._theirs = -1

    def read(self, timeout_s: float = 0.0) -> bytes:
        """What the program wrote, b"" if nothing within `timeout_s`."""
        if self._ours < 0 or not select.select([self._ours], [], [], timeout_s)[0]:
            return b""
        # We hold the program's side open so that its close is no hang-up for us; that would keep its TIOCEXCL alive
        # beyond its close, which a real port does not.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._theirs, termios.TIOCNXCL)
        with contextlib.suppress(OSError):
            return os.read(self._ours, READ_BYTES)
        return b""

    def write(self, data: bytes) -> None:
        """Send to the program; lost where nobody reads, as on a wire."""
        with contextlib.suppress(OSError):
            os.write(self._ours, data)

    def jam(self) -> None:
        """Fill the way to the device with zeros, as a device does that takes no more bytes."""
        # A full pty makes room once more when the kernel moves bytes on to the reader's side, and wakes nobody for it.
        still_full = 0
        while still_full < JAM_ROUNDS:
            still_full = 0 if self._fill() else still_full + 1
            time.sleep(JAM_PAUSE_S)

    def _fill(self) -> int:
        written = 0
        # A long write is refused where a short one still finds room.
        for size in (READ_BYTES, 64, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    written += os.write(self._theirs, bytes(size))
        return written
