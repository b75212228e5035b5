"""An SPI line of the box (`/dev/spidev0.0`), written to and never read. Standard library only, for the relay guard.

A path that is a Unix socket is a simulator's: each write is one message.
"""

import errno
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Final

from drivers.base import DeviceGone, DriverError, Misconfigured

_WR_MODE: Final = 0x40016B01
_WR_BITS_PER_WORD: Final = 0x40016B03
_WR_MAX_SPEED_HZ: Final = 0x40046B04
"""<linux/spi/spidev.h>."""

_TURN_ON: Final = "Turn SPI on (dtparam=spi=on in config.txt), then start the box anew."
_BUFFER: Final = (
    "Add spidev.bufsiz=8192 to cmdline.txt and start the box anew, or give the strip fewer pixels."
)


class SpiLine:
    """An open SPI device, mode 0, eight bits a word, held by us alone."""

    def __init__(self, path: str, hz: int) -> None:
        """Open it; raises DeviceGone or Misconfigured."""
        self.path = path
        self._held = -1
        """A socket takes no lock: beside a simulator's lies a file for it."""
        self.fd = -1
        try:
            if Path(path).is_socket():
                self._held = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                    sock.settimeout(_SIM_WAIT_S)
                    sock.connect(path)
                    self.fd = sock.detach()
            else:
                self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.ioctl(self.fd, _WR_MODE, struct.pack("B", 0))
                fcntl.ioctl(self.fd, _WR_BITS_PER_WORD, struct.pack("B", 8))
                fcntl.ioctl(self.fd, _WR_MAX_SPEED_HZ, struct.pack("I", hz))
        except OSError as error:
            self.close()
            raise _open_error(path, error) from error

    def write(self, data: bytes) -> None:
        """Send all of it in one transfer, which takes as long as the line does; raises DeviceGone or Misconfigured."""
        try:
            written = os.write(self.fd, data)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise Misconfigured(
                    f"{self.path} takes no {len(data)} bytes in one transfer", _BUFFER
                ) from error
            raise DeviceGone(f"{self.path}: {error.strerror}", _TURN_ON) from error
        if written < len(data):
            raise Misconfigured(f"{self.path} takes no {len(data)} bytes in one transfer", _BUFFER)

    def close(self) -> None:
        """Give it back. Never raises."""
        for one in (self.fd, self._held):
            if one >= 0:
                os.close(one)
        self.fd = self._held = -1


_SIM_WAIT_S: Final = 1.0


def _open_error(path: str, error: OSError) -> DriverError:
    if isinstance(error, BlockingIOError) or error.errno == errno.EBUSY:
        return DeviceGone(f"{path} is held by another process", "Stop the other program that uses it.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Misconfigured(f"no right to open {path}", "Add the gate's user to the group spi.")
    if error.errno in {errno.ENOTTY, errno.EINVAL, errno.EISDIR, errno.ENOTDIR}:
        return Misconfigured(f"{path} is no SPI device", "Set it to one such as /dev/spidev0.0.")
    return DeviceGone(f"{path}: {error.strerror}", _TURN_ON)
