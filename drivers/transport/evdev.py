"""Linux input devices, read directly: `/dev/input/event*` with its ioctls (kernel `input.h`), standard library only.

A grabbed device's keys reach nobody else. Without the grab a visitor's code types into the console.
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
import termios
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from drivers.base import DeviceGone, Misconfigured
from drivers.framing.keys import (
    EV_MSC,
    EV_SYN,
    KEY_1,
    KEY_ENTER,
    LED_CAPSL,
    SYN_REPORT,
    InputEvent,
)

READ_BYTES_MAX = 4096
"""Most bytes read per loop turn (170 events), so that a babbling device leaves time to the others."""

INPUT_DIR = Path("/dev/input")

_EVENT = struct.Struct("@llHHi")
"""struct input_event: seconds, microseconds, type, code, value, in the machine's own sizes."""

_ID = struct.Struct("@HHHH")
"""struct input_id: bus type, vendor, product, version."""

_MASK = struct.Struct("@IIQ")
"""struct input_mask: event type, size and address of a bitmap of its codes. Codes beyond its size are off."""

_TEXT_BYTES_MAX = 256
_KEY_BITS_BYTES = 96  # KEY_CNT is 0x300
_LED_BITS_BYTES = 8

_UNANSWERED = frozenset({errno.ENOTTY, errno.EINVAL, errno.ENOENT, errno.ENOSYS})
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO})


def _ioctl_number(direction: int, number: int, size: int) -> int:
    """Put an ioctl number together as `asm-generic/ioctl.h` does; the input subsystem's letter is E."""
    return direction << 30 | size << 16 | ord("E") << 8 | number


_WRITE, _READ = 1, 2
_GET_ID = _ioctl_number(_READ, 0x02, _ID.size)
_GET_NAME = _ioctl_number(_READ, 0x06, _TEXT_BYTES_MAX)
_GET_PHYS = _ioctl_number(_READ, 0x07, _TEXT_BYTES_MAX)
_GET_UNIQ = _ioctl_number(_READ, 0x08, _TEXT_BYTES_MAX)
_GET_LEDS = _ioctl_number(_READ, 0x19, _LED_BITS_BYTES)
_GET_KEY_BITS = _ioctl_number(_READ, 0x20 + 0x01, _KEY_BITS_BYTES)
_SET_MASK = _ioctl_number(_WRITE, 0x93, _MASK.size)
_GRAB = _ioctl_number(_WRITE, 0x90, struct.calcsize("@i"))
_SET_CLOCK = _ioctl_number(_WRITE, 0xA0, struct.calcsize("@i"))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an input device says it is. `port` is the socket it is plugged into (EVIOCGPHYS); texts may be empty."""

    path: str
    name: str = ""
    usb_id: str = ""
    port: str = ""
    serial: str = ""
    types: bool = True

    def __str__(self) -> str:
        named = self.name or "input device"
        return f"{named} at {self.port or self.path}"


@dataclass(frozen=True, slots=True)
class Match:
    """Which input device is meant: its `path`, or whatever of the rest is given (all must fit).

    `usb_id`: `05e0:1200`. `port`: what `Identity.port` says, with or without its last part (`/input0`); the only
    thing that tells two identical scanners without serial numbers apart.
    """

    path: str = ""
    name: str = ""
    usb_id: str = ""
    port: str = ""

    def fits(self, identity: Identity) -> bool:
        """Whether this is such a device, and one that types."""
        return (
            identity.types
            and self.name in {"", identity.name}
            and self.usb_id.lower() in {"", identity.usb_id}
            and self.port in {"", identity.port, identity.port.rpartition("/")[0]}
        )

    def __str__(self) -> str:
        wanted = (("name", self.name), ("USB id", self.usb_id), ("port", self.port))
        return self.path or ", ".join(f"{what} {value!r}" for what, value in wanted if value)


class EventDevice:
    """An open input device.

    `own_clock`: its events carry monotonic time; else they are stamped when read. `read` and `now_ns` are the
    operating system's.
    """

    def __init__(
        self,
        fd: int,
        identity: Identity,
        *,
        caps_lock: bool = False,
        own_clock: bool = False,
        read: Callable[[int, int], bytes] = os.read,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.fd = fd
        self.identity = identity
        self.caps_lock = caps_lock
        self._own_clock = own_clock
        self._read = read
        self._now_ns = now_ns
        self._rest = b""
        self._last_ns = 0

    def receive(self) -> tuple[list[InputEvent], int] | None:
        """Return the events of one read and when it was, or None where nothing waits.

        Raises DeviceGone on ENODEV (unplugged) and on end of file (a simulator's way to say the same).
        """
        try:
            data = self._read(self.fd, READ_BYTES_MAX)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceGone(f"{self.identity} is gone: {error.strerror}", _PLUG_IN) from error
        if not data:
            raise DeviceGone(f"{self.identity} is gone", _PLUG_IN)
        now_ns = self._now_ns()
        data = self._rest + data
        whole = len(data) - len(data) % _EVENT.size
        self._rest = data[whole:]
        events = []
        last_ns = self._last_ns
        for seconds, micros, kind, code, value in _EVENT.iter_unpack(data[:whole]):
            if kind == EV_SYN and code == SYN_REPORT:
                continue  # every second one, and it says only that the one before is whole
            at_ns = seconds * 1_000_000_000 + micros * 1000 if self._own_clock else now_ns
            # No event comes from the future or before its predecessor, whatever a device claims.
            last_ns = at_ns = max(last_ns, min(at_ns, now_ns))
            events.append(InputEvent(kind, code, value, at_ns))
        self._last_ns = last_ns
        return events, now_ns

    def close(self) -> None:
        """Close it, which also ends the grab."""
        os.close(self.fd)


_PLUG_IN = "Plug the device in, or check its cable."


def pack_event(event: InputEvent) -> bytes:
    """Return the `struct input_event` of an event, as a simulated device sends it."""
    seconds, rest_ns = divmod(event.at_ns, 1_000_000_000)
    return _EVENT.pack(seconds, rest_ns // 1000, event.kind, event.code, event.value)


def open_event_device(match: Match, *, grab: bool = True, input_dir: Path = INPUT_DIR) -> EventDevice:
    """Find and open one input device.

    `grab=False` is for simulators: a pty or FIFO that carries `struct input_event` stamped with monotonic time.
    Raises DeviceGone where it is not there, Misconfigured where it is ambiguous, forbidden, taken or no input device.
    """
    path = match.path or _find(match, input_dir)
    try:
        fd = _open(path)
    except PermissionError as error:
        raise Misconfigured(f"{path} may not be read", _JOIN_GROUP) from error
    except OSError as error:
        if error.errno in _GONE:
            raise DeviceGone(f"{path} is not there", _PLUG_IN) from error
        raise Misconfigured(f"{path} does not open: {error.strerror}", _NOT_INPUT) from error
    try:
        return _prepare(fd, path, grab=grab)
    except BaseException:
        os.close(fd)
        raise


_JOIN_GROUP = "Let the service's user join the group input."
_NOT_INPUT = "Name an input device, e.g. one of /dev/input/by-path/*-event-kbd."


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _prepare(fd: int, path: str, *, grab: bool) -> EventDevice:
    if not grab:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
            raise Misconfigured(f"{path} is a plain file", _NOT_INPUT)
        if os.isatty(fd):
            # As with a kernel device, what was typed before nobody listened counts for nothing.
            termios.tcflush(fd, termios.TCIFLUSH)
        return EventDevice(fd, Identity(path), own_clock=True)
    try:
        identity = _identify(fd, path)
        _hear_no_scan_codes(fd)
        fcntl.ioctl(fd, _GRAB, 1)
    except OSError as error:
        if error.errno == errno.EBUSY:
            hint = "Stop the other program that reads this device; no two may."
            raise Misconfigured(f"{path} is grabbed by another program", hint) from error
        if error.errno in _UNANSWERED:
            raise Misconfigured(f"{path} is no input device", _NOT_INPUT) from error
        raise DeviceGone(f"{path} is gone: {error.strerror}", _PLUG_IN) from error
    return EventDevice(fd, identity, caps_lock=_caps_lock(fd), own_clock=_set_monotonic(fd))


def _identify(fd: int, path: str) -> Identity:
    _bus, vendor, product, _version = _ID.unpack(fcntl.ioctl(fd, _GET_ID, bytes(_ID.size)))
    return Identity(
        path=path,
        name=_text(fd, _GET_NAME),
        usb_id=f"{vendor:04x}:{product:04x}",
        port=_text(fd, _GET_PHYS),
        serial=_text(fd, _GET_UNIQ),
        types=_types(fd),
    )


def _text(fd: int, number: int) -> str:
    try:
        raw = fcntl.ioctl(fd, number, bytes(_TEXT_BYTES_MAX))
    except OSError as error:
        if error.errno in _UNANSWERED:
            return ""  # a device without port or serial number answers ENOENT
        raise
    text = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "?" for char in text).strip()


def _types(fd: int) -> bool:
    """Whether it has keys to type with: some scanners have a second node, for volume keys."""
    try:
        bits = int.from_bytes(fcntl.ioctl(fd, _GET_KEY_BITS, bytes(_KEY_BITS_BYTES)), "little")
    except OSError as error:
        if error.errno in _UNANSWERED:
            return True
        raise
    return bool(bits >> KEY_1 & 1 or bits >> KEY_ENTER & 1)


def _caps_lock(fd: int) -> bool:
    try:
        leds = fcntl.ioctl(fd, _GET_LEDS, bytes(_LED_BITS_BYTES))
    except OSError:
        return False
    return bool(leds[0] >> LED_CAPSL & 1)


def _hear_no_scan_codes(fd: int) -> None:
    """Have the kernel leave out what a HID keyboard says twice: its queue to us is short, and overflows without them later.

    64 events: a scanner that types capitals, a key each millisecond, fills it in 12 ms; in 21 without the scan codes.
    """
    with contextlib.suppress(OSError):  # a kernel before 4.4, or a simulator: a shorter queue then
        fcntl.ioctl(fd, _SET_MASK, _MASK.pack(EV_MSC, 0, 0))


def _set_monotonic(fd: int) -> bool:
    try:
        fcntl.ioctl(fd, _SET_CLOCK, struct.pack("@i", time.CLOCK_MONOTONIC))
    except OSError:
        return False
    return True


def _find(match: Match, input_dir: Path) -> str:
    if not (match.name or match.usb_id or match.port):
        raise Misconfigured("no input device is named", "Give its path, name, usb_id or port.")
    forbidden = False
    seen: list[Identity] = []
    for path in _nodes(input_dir):
        try:
            seen.append(_look(path))
        except PermissionError:
            forbidden = True
        except OSError:
            continue  # went away while we looked, or does not answer
    found = [identity for identity in seen if match.fits(identity)]
    if len(found) > 1:
        hint = "Two devices are alike; name the port of the one meant: " + _listed(found)
        raise Misconfigured(f"more than one input device with {match}", hint)
    if found:
        return found[0].path
    if forbidden:
        raise Misconfigured(f"no readable input device with {match}", _JOIN_GROUP)
    hint = f"{_PLUG_IN} Present now: {_listed(seen)}" if seen else _PLUG_IN
    raise DeviceGone(f"no input device with {match}", hint)


def _nodes(input_dir: Path) -> list[str]:
    return sorted(map(str, input_dir.glob("event*")), key=lambda path: (len(path), path))


def _look(path: str) -> Identity:
    fd = _open(path)
    try:
        return _identify(fd, path)
    finally:
        os.close(fd)


def _listed(identities: Iterable[Identity]) -> str:
    return "; ".join(f"{identity.port or identity.path} ({identity.name})" for identity in identities)
