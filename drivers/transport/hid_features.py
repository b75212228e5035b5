"""HID devices that are driven by feature reports: hidraw's two ioctls. Standard library only, for the relay guard.

A path that is a Unix socket is a simulator's: each report asked for or sent is one message, its kind first.
"""

import errno
import fcntl
import os
import select
import socket
from pathlib import Path
from typing import Final

from drivers.base import DeviceGone, DeviceMisbehaved, Misconfigured
from drivers.transport.tty import GONE

CLASS_DIR: Final = Path("/sys/class/hidraw")
NODES_MAX: Final = 64
"""HID devices that are looked at; a box has a dozen."""
SIM_SET: Final = b"S"
SIM_GET: Final = b"G"
SIM_WAIT_S: Final = 0.25
"""A simulator's answer; a real control transfer is given up by the kernel, after 5 s at the latest."""

_HIDIOCSFEATURE: Final = 0xC0004806
_HIDIOCGFEATURE: Final = 0xC0004807
"""<linux/hidraw.h>, with the length in bits 16 to 29."""

_RIGHTS: Final = (
    "Install the udev rules, which give HID relays to the service's user, then plug the board in again."
)
_PLUG_IN: Final = "Plug the board in, or check its cable."


class FeatureDevice:
    """An open hidraw node, held by us alone. `id` 0: the device numbers no reports, as V-USB devices do not."""

    def __init__(self, path: str) -> None:
        """Open it; raises DeviceGone or Misconfigured."""
        self.path = path
        self._locked = -1
        """A socket takes no lock: beside a simulator's lies a file for it."""
        try:
            if Path(path).is_socket():
                self._locked = _locked(f"{path}.lock", os.O_CREAT)
                self.fd = _connect(path)
            else:
                self.fd = _locked(path, os.O_NONBLOCK)
        except PermissionError as error:
            raise Misconfigured(f"{path} may not be opened", _RIGHTS) from error
        except BlockingIOError as error:
            raise DeviceGone(
                f"{path} is held by another process",
                "Stop the other program that uses it (fuser -v names it).",
            ) from error
        except OSError as error:
            raise DeviceGone(f"{path} is not there: {error.strerror}", _PLUG_IN) from error

    def set(self, report: bytes) -> None:
        """Send a feature report, without its id; raises DeviceGone or DeviceMisbehaved."""
        if self._locked >= 0:
            self._talk(SIM_SET + report)
        else:
            self._ioctl(_HIDIOCSFEATURE, bytearray(b"\x00" + report))

    def get(self, size: int) -> bytes:
        """Ask for a feature report of `size` bytes, without its id; raises DeviceGone or DeviceMisbehaved."""
        if self._locked >= 0:
            return self._talk(SIM_GET)
        data = bytearray(size + 1)
        got = self._ioctl(_HIDIOCGFEATURE, data)
        # The kernel keeps the first byte for the id also where there is none (usbhid_get_raw_report).
        return bytes(data[1 : max(got, 1)])

    def close(self) -> None:
        """Close it. Never raises."""
        os.close(self.fd)
        if self._locked >= 0:
            os.close(self._locked)

    def _ioctl(self, number: int, data: bytearray) -> int:
        try:
            return int(fcntl.ioctl(self.fd, number | len(data) << 16, data, True))
        except OSError as error:
            raise self._failed(error) from error

    def _talk(self, message: bytes) -> bytes:
        waiting = select.poll()
        waiting.register(self.fd, select.POLLIN)
        try:
            os.write(self.fd, message)
            answer = os.read(self.fd, 64) if waiting.poll(SIM_WAIT_S * 1000) else None
        except OSError as error:
            raise self._failed(error) from error
        if not answer:
            silent = errno.ETIMEDOUT if answer is None else errno.ENODEV
            raise self._failed(OSError(silent, os.strerror(silent)))
        return answer

    def _failed(self, error: OSError) -> DeviceGone | DeviceMisbehaved:
        if error.errno in GONE or error.errno in {errno.EPIPE, errno.ECONNRESET}:
            return DeviceGone(f"{self.path}: {error.strerror}", _PLUG_IN)
        if error.errno == errno.ETIMEDOUT:
            return DeviceGone(
                f"{self.path} does not answer", "Unplug the board for five seconds, plug it in again."
            )
        return DeviceMisbehaved(
            f"{self.path} refuses a report: {error.strerror}",
            "Compare usb with what lsusb says of the board.",
        )


def nodes(usb_id: str, usb_port: str, class_dir: Path = CLASS_DIR) -> list[str]:
    """Paths of the HID devices of that make and model (`vvvv:pppp`), and in that socket where one is named."""
    return [
        f"/dev/{one.name}"
        for one in sorted(class_dir.glob("hidraw*"))[:NODES_MAX]
        if _fits(one / "device" / "uevent", usb_id.lower(), usb_port)
    ]


def _fits(uevent: Path, usb_id: str, usb_port: str) -> bool:
    try:
        text = uevent.read_text(errors="replace")
    except OSError:
        return False  # it was pulled while we looked
    said = dict(line.partition("=")[::2] for line in text.splitlines())
    vendor_product = said.get("HID_ID", "").split(":")[1:]
    port = said.get("HID_PHYS", "")
    return ":".join(one[-4:].lower() for one in vendor_product) == usb_id and usb_port in {
        "",
        port,
        port.rpartition("/")[0],
    }


def _locked(path: str, flags: int) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        # hidraw cannot be taken for oneself; the lock keeps a second gate daemon out.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _connect(path: str) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as simulated:
        simulated.connect(path)
        return simulated.detach()
