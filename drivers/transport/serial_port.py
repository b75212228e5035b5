"""Serial ports, opened by pyserial and read without blocking: CDC-ACM, USB-UART, RS-232, and a simulator's pty."""

import contextlib
import errno
import os
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import serial

from drivers.base import DeviceGone, Misconfigured

READ_BYTES_MAX = 4096
"""Most bytes read per loop turn, so that a babbling device leaves time to the others."""

_PLUG_IN = "Plug the device in, or check its cable."
_NOT_SERIAL = "Name a serial port, e.g. one of /dev/serial/by-id/* or /dev/serial/by-path/*."
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO})
_TAKEN = frozenset({errno.EBUSY, errno.EAGAIN})


class Parity(Enum):
    """The parity bit."""

    NONE = "N"
    EVEN = "E"
    ODD = "O"


@dataclass(frozen=True, slots=True)
class Line:
    """How the wire is set. CDC-ACM ignores it; RS-232 needs what the device is set to."""

    baud: int = 9600
    data_bits: int = 8
    parity: Parity = Parity.NONE
    stop_bits: int = 1
    rts_cts: bool = False


class SerialPort:
    """An open serial port, raw, exclusive, DTR and RTS on (some scanners wait for DTR)."""

    def __init__(
        self, path: str, line: Line | None = None, *, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Open it; what waited inside is thrown away.

        Raises DeviceGone where it is not there or another program has it, Misconfigured where it is forbidden or
        no serial port, or refuses its settings.
        """
        self.path = path
        self._now_ns = now_ns
        self._serial = _open(path, line or Line())
        self.fd: int = self._serial.fileno()

    def receive(self) -> tuple[bytes, int] | None:
        """Return the bytes of one read and when it was, or None where nothing waits. Raises DeviceGone."""
        try:
            data = os.read(self.fd, READ_BYTES_MAX)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(f"{self.path} is gone: {error.strerror}", _PLUG_IN) from error
        if not data:
            raise DeviceGone(f"{self.path} is gone", _PLUG_IN)
        return data, self._now_ns()

    def send(self, data: bytes) -> None:
        """Write what fits now and drop the rest; a device that is gone is noticed by reading."""
        try:
            os.write(self.fd, data)
        except OSError:
            return

    def close(self) -> None:
        """Close it. Never raises, never waits."""
        # The kernel waits up to 30 s for unsent bytes when a port is closed; a port that is gone has none.
        with contextlib.suppress(termios.error):
            termios.tcflush(self.fd, termios.TCOFLUSH)
        self._serial.close()


def _open(path: str, line: Line) -> serial.Serial:
    try:
        return serial.Serial(
            path,
            baudrate=line.baud,
            bytesize=line.data_bits,
            parity=line.parity.value,
            stopbits=line.stop_bits,
            rtscts=line.rts_cts,
            timeout=0,
            write_timeout=0,
            # Sets VMIN to 1. With 0 the kernel answers a read with 0 bytes both when nothing waits and at the end.
            inter_byte_timeout=0,
            exclusive=True,
        )
    except ValueError as error:
        raise Misconfigured(f"{path}: {error}", "Correct the line's baud, data bits or stop bits.") from error
    except (serial.SerialException, termios.error, OSError) as error:
        raise _why(path, error) from error


def _why(path: str, error: BaseException) -> DeviceGone | Misconfigured:
    """Say what to do about a port that does not open. pyserial hides termios errors in its own."""
    number = error.errno if isinstance(error, OSError) else None
    inner = error if isinstance(error, termios.error) else error.__context__
    if number is None and isinstance(inner, termios.error):
        number = inner.args[0]
    if number in _GONE:
        return DeviceGone(f"{path} is not there", _PLUG_IN)
    if number in _TAKEN:
        # Not a mistake for ever: ModemManager probes a new port for some seconds and lets go of it.
        hint = "Stop the other program that has it; the udev rule keeps ModemManager away."
        return DeviceGone(f"{path} is in use by another program", hint)
    if number in {errno.EACCES, errno.EPERM}:
        return Misconfigured(f"{path} may not be opened", "Let the service's user join the group dialout.")
    if isinstance(error, termios.error):
        return Misconfigured(f"{path} refuses its settings: {error}", "Correct the line's baud or parity.")
    return Misconfigured(f"{path} is no serial port: {error}", _NOT_SERIAL)
