"""A serial port by the standard library alone, for whatever must start fast and stay small (the relay guard).

Non-blocking: every write has a limit in time, so that a board which takes no more bytes cannot stop its caller.
"""

import contextlib
import errno
import fcntl
import os
import select
import stat
import struct
import termios
import time

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Misconfigured

BAUDS = {
    9600: termios.B9600,
    19200: termios.B19200,
    38400: termios.B38400,
    57600: termios.B57600,
    115200: termios.B115200,
}

WRITE_TIMEOUT_S = 0.25
"""Longest wait for the device to take a write. The longest frame, 8 bytes, takes 9 ms at 9600 baud."""

DRAIN_STEP_S = 0.0005
"""Pause between looks at the output queue; half a byte's time at 9600 baud."""

READ_BYTES = 512
"""Bytes taken at once; more than any frame on these lines (Modbus RTU: 256)."""

GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.EIO, errno.ENOENT, errno.EBADF, errno.ESHUTDOWN})
"""What a driver reports when the device was pulled out; EIO is what a hung-up tty says."""


class Tty:
    """An open serial port, 8N1, raw, held by us alone."""

    def __init__(self, path: str, baud: int) -> None:
        """Open it; raises DeviceGone (not there, or held by another process) or Misconfigured."""
        if baud not in BAUDS:
            raise Misconfigured(f"{baud} baud is not supported", f"Use one of {', '.join(map(str, BAUDS))}.")
        self.path = path
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _open_error(path, error) from error
        try:
            self._claim()
            _set_raw(self.fd, BAUDS[baud])
        except DriverError:
            os.close(self.fd)
            raise
        except (OSError, termios.error) as error:
            os.close(self.fd)
            raise DeviceGone(f"{path}: {error}", "Check the cable, then plug the device in again.") from error

    def _claim(self) -> None:
        if not stat.S_ISCHR(os.fstat(self.fd).st_mode) or not os.isatty(self.fd):
            raise Misconfigured(
                f"{self.path} is no serial port", "Set the path of a device below /dev/serial/by-id."
            )
        # TIOCEXCL keeps other programs out but not those of root; the lock keeps a second gate daemon out in any case.
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DeviceGone(f"{self.path} is held by another process", _HELD_HINT) from error
        fcntl.ioctl(self.fd, termios.TIOCEXCL)

    def flush_output(self) -> None:
        """Forget what was written and not yet sent. A command that waited is no longer wanted."""
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(self.fd, termios.TCOFLUSH)

    def flush_input(self) -> None:
        """Forget what arrived and was not yet read."""
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(self.fd, termios.TCIFLUSH)

    def write(self, data: bytes, timeout_s: float = WRITE_TIMEOUT_S) -> None:
        """Write all of it and see it leave the host, within `timeout_s`; raises DeviceGone or DeviceMisbehaved."""
        deadline = time.monotonic() + timeout_s
        rest = data
        while rest:
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:
                self._await_room(deadline)
            except OSError as error:
                raise self._gone(error) from error
        while self._unsent():
            if time.monotonic() >= deadline:
                raise self._stuck()
            time.sleep(DRAIN_STEP_S)

    def write_now(self, data: bytes) -> None:
        """Hand all of it to the kernel without waiting; raises DeviceGone or DeviceMisbehaved. For asyncio callers."""
        try:
            written = os.write(self.fd, data)
        except BlockingIOError as error:
            raise self._stuck() from error
        except OSError as error:
            raise self._gone(error) from error
        if written < len(data):
            raise self._stuck()

    def read(self) -> bytes:
        """What has arrived, b"" if nothing; raises DeviceGone when the port is no longer there."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._gone(error) from error
        if not data:
            # With VMIN = 1 an empty queue reads as EAGAIN on a non-blocking fd; zero bytes mean a hang-up.
            raise self._gone(OSError(errno.EIO, "hung up"))
        return data

    def read_within(self, timeout_s: float) -> bytes:
        """What arrives within `timeout_s`, b"" if nothing; raises DeviceGone when the port is no longer there."""
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        # poll(2) waits in whole milliseconds.
        return self.read() if poller.poll(max(1, int(timeout_s * 1000))) else b""

    def close(self) -> None:
        """Give the port back. Never raises."""
        # Where someone else still has it open, a pty keeps TIOCEXCL after our close and would lock us out next time.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.fd, termios.TIOCNXCL)
        with contextlib.suppress(OSError):
            os.close(self.fd)

    def _await_room(self, deadline: float) -> None:
        poller = select.poll()
        poller.register(self.fd, select.POLLOUT)
        events = poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not events:
            raise self._stuck()
        if events[0][1] & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            raise self._gone(OSError(errno.EIO, "hung up"))

    def _unsent(self) -> int:
        try:
            (count,) = struct.unpack("i", fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0\0\0\0"))
        except OSError as error:
            raise self._gone(error) from error
        return int(count)

    def _gone(self, error: OSError) -> DeviceGone:
        return DeviceGone(f"{self.path}: {error.strerror}", "Check the USB cable and the device's power.")

    def _stuck(self) -> DeviceMisbehaved:
        return DeviceMisbehaved(
            f"{self.path} takes no more bytes", "Unplug the device for five seconds, plug it in again."
        )


_HELD_HINT = "Stop the other program that uses it (fuser -v on the path names it)."


def _set_raw(fd: int, speed: int) -> None:
    attributes = termios.tcgetattr(fd)
    # CLOCAL: no modem lines are wired. No HUPCL: closing must not drop DTR, which resets some boards.
    cflag = termios.CS8 | termios.CREAD | termios.CLOCAL
    control = attributes[6]
    control[termios.VMIN] = 1
    control[termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, cflag, 0, speed, speed, control])


def _open_error(path: str, error: OSError) -> DriverError:
    if error.errno == errno.EBUSY:
        return DeviceGone(f"{path} is held by another process", _HELD_HINT)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Misconfigured(f"no right to open {path}", "Add the gate's user to the group dialout.")
    if error.errno in {errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}:
        return Misconfigured(f"{path} is no serial port", "Set the path of a device below /dev/serial/by-id.")
    return DeviceGone(f"{path}: {error.strerror}", "Plug the device in, or correct its path.")
