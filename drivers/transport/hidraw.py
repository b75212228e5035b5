"""HID devices by hidraw: one report per read, and the device's own report descriptor. Standard library only."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
import time
from collections.abc import Callable
from pathlib import Path

from drivers.base import DeviceGone, Misconfigured
from drivers.transport.evdev import Match

CLASS_DIR = Path("/sys/class/hidraw")
REPORT_BYTES_MAX = 4096
"""No scanner's report is longer than 64 bytes; the kernel's own limit is 16 KiB."""

_DESCRIPTOR_SIZE = 0x80044801
_DESCRIPTOR = 0x90044802
"""HIDIOCGRDESCSIZE and HIDIOCGRDESC of <linux/hidraw.h>."""
_DESCRIPTOR_LAYOUT = struct.Struct("@I4096s")

_PLUG_IN = "Plug the device in, or check its cable."
_NOT_HID = "Set usb or usb_port as HID_ID and HID_PHYS in /sys/class/hidraw/*/device/uevent say, and the scanner to HID-POS."
_RIGHTS = "Install the udev rules, which give scanners to the service's user, then plug the device in again."


class HidDevice:
    """An open HID device. `descriptor` says what its reports look like."""

    def __init__(
        self, fd: int, path: str, descriptor: bytes, *, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.fd = fd
        self.path = path
        self.descriptor = descriptor
        self._now_ns = now_ns

    def receive(self) -> tuple[bytes, int] | None:
        """Return one report and when it was read, or None where none waits. Raises DeviceGone."""
        try:
            report = os.read(self.fd, REPORT_BYTES_MAX)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(f"{self.path} is gone: {error.strerror}", _PLUG_IN) from error
        if not report:
            raise DeviceGone(f"{self.path} is gone", _PLUG_IN)
        return report, self._now_ns()

    def send(self, report: bytes) -> None:
        """Send one output report, its id first; a device that is gone is noticed by reading."""
        with contextlib.suppress(OSError):
            os.write(self.fd, report)

    def close(self) -> None:
        """Close it. Never raises."""
        with contextlib.suppress(OSError):
            os.close(self.fd)


def open_hid_device(
    match: Match, is_wanted: Callable[[bytes], bool], *, class_dir: Path = CLASS_DIR
) -> HidDevice:
    """Find and open one device whose report descriptor `is_wanted`.

    A path that is a Unix socket is a simulator's, with the descriptor in a file beside it. Raises DeviceGone where it is not
    there, Misconfigured where it is ambiguous, forbidden, or another kind of device.
    """
    path = match.path or _find(match, is_wanted, class_dir)
    try:
        fd, descriptor = _connect(path) if _is_socket(path) else _open(path)
    except PermissionError as error:
        raise Misconfigured(f"{path} may not be opened", _RIGHTS) from error
    except BlockingIOError as error:
        raise DeviceGone(
            f"{path} is in use by another reader", "Give each reader a device of its own."
        ) from error
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EINVAL, errno.EISDIR}:
            raise Misconfigured(f"{path} is no HID device", _NOT_HID) from error
        raise DeviceGone(f"{path} is not there: {error.strerror}", _PLUG_IN) from error
    if not is_wanted(descriptor):
        os.close(fd)
        raise Misconfigured(f"{path} is another kind of HID device", _NOT_HID)
    return HidDevice(fd, path, descriptor)


def _is_socket(path: str) -> bool:
    return stat.S_ISSOCK(Path(path).stat().st_mode)


def _open(path: str) -> tuple[int, bytes]:
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # hidraw cannot be taken for oneself; the lock keeps a second reader of ours out.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (size,) = struct.unpack("@i", fcntl.ioctl(fd, _DESCRIPTOR_SIZE, bytes(4)))
        # In a buffer that the kernel writes into: what ioctl() copies for us may be 1024 bytes at most.
        asked = bytearray(_DESCRIPTOR_LAYOUT.pack(min(size, 4096), b""))
        fcntl.ioctl(fd, _DESCRIPTOR, asked)
        _, descriptor = _DESCRIPTOR_LAYOUT.unpack(asked)
    except BaseException:
        os.close(fd)
        raise
    return fd, descriptor[:size]


def _connect(path: str) -> tuple[int, bytes]:
    descriptor = Path(f"{path}.descriptor").read_bytes()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as simulated:
        simulated.connect(path)
        simulated.setblocking(False)
        return simulated.detach(), descriptor


def _find(match: Match, is_wanted: Callable[[bytes], bool], class_dir: Path) -> str:
    if not (match.name or match.usb_id or match.port):
        raise Misconfigured("no HID device is named", "Set usb, usb_port or model of the scanner.")
    found = [one.name for one in sorted(class_dir.glob("hidraw*")) if _fits(one / "device", match, is_wanted)]
    if not found:
        raise DeviceGone(f"no HID-POS device with {match}", _PLUG_IN)
    if len(found) > 1:
        hint = "Add usb_port, the socket it is plugged into."
        raise Misconfigured(f"{len(found)} HID-POS devices with {match}: {', '.join(found)}", hint)
    return f"/dev/{found[0]}"


def _fits(device: Path, match: Match, is_wanted: Callable[[bytes], bool]) -> bool:
    """Look at what the kernel says of a device: `HID_ID=0003:0000VVVV:0000PPPP`, `HID_NAME`, `HID_PHYS`."""
    try:
        uevent = (device / "uevent").read_text(errors="replace")
        descriptor = (device / "report_descriptor").read_bytes()
    except OSError:
        return False  # it was pulled while we looked
    said = dict(line.partition("=")[::2] for line in uevent.splitlines())
    vendor_product = said.get("HID_ID", "").split(":")[1:]
    usb_id = ":".join(one[-4:].lower() for one in vendor_product)
    port = said.get("HID_PHYS", "")
    return (
        match.name in {"", said.get("HID_NAME", "")}
        and match.usb_id.lower() in {"", usb_id}
        and match.port in {"", port, port.rpartition("/")[0]}
        and is_wanted(descriptor)
    )
