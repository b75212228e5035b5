"""USB scanners that are not there: the kernel's gadget functions on its dummy controllers, whose other end is a real USB host.

Each is a USB device with its maker, product and serial number, plugged into one of `PORTS` sockets; the host's own drivers (usbhid,
cdc_acm) find it, and udev names it. Kernel documentation: `usb/gadget_configfs`, `gadget_hid`.
"""

import contextlib
import errno
import os
import select
import subprocess
import termios
import time
import tty
from pathlib import Path

PORTS = 4
"""Dummy controllers, each with one socket."""
GADGETS = Path("/sys/kernel/config/usb_gadget")
PLUGGED_S = 60.0
"""A device that is not enumerated by then never will be."""

KEY_S = 0.01
"""Between the reports of a scanner that types, as a keyboard at full speed is asked (bInterval 10). At the 1 ms of a fast one an
emulated gate has a twentieth of the cycles that a real one has for each key."""

KEYBOARD = bytes.fromhex(
    "05010906a101050719e029e71500250175019508810295017508810395057501050819012905910295017503910395067508"
    "150025650507190029658100c0"
)
"""The boot keyboard of the HID specification, appendix E.6: 8 bytes, modifiers first, six keys last."""

CONTROL, SHIFT, ALT = 0x01, 0x02, 0x04
ENTER, DELETE, SYSRQ = 0x28, 0x4C, 0x46
_SHIFTED = dict(zip('!@#$%^&*()_+{}|:"~<>?', "1234567890-=[]\\;'`,./", strict=True))
_SIGNS = dict(
    zip("-=[]\\;'`,./", (0x2D, 0x2E, 0x2F, 0x30, 0x31, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38), strict=True)
)


def key_of(char: str) -> tuple[int, int]:
    """Return the modifier and the usage (HID usage tables, page 7) that type a character on a US keyboard."""
    if char == "\n":
        return 0, ENTER
    if char == " ":
        return 0, 0x2C
    plain = _SHIFTED.get(char, char.lower())
    shift = SHIFT if plain != char else 0
    if "a" <= plain <= "z":
        return shift, 0x04 + ord(plain) - ord("a")
    if plain.isdecimal():
        return shift, 0x27 if plain == "0" else 0x1E + ord(plain) - ord("1")
    return shift, _SIGNS[plain]


def load() -> None:
    """Load the controllers and the gadget functions."""
    modules = ("libcomposite", "usb_f_hid", "usb_f_acm")
    subprocess.run(["modprobe", "-a", *modules], check=True)
    subprocess.run(["modprobe", "dummy_hcd", f"num={PORTS}"], check=True)


def make(
    name: str, usb: str, serial: str, product: str, report: str = KEYBOARD.hex(), report_bytes: int = 8
) -> None:
    """Make a scanner that is not plugged in. A `report` descriptor makes it a HID device, "" a serial port (CDC-ACM)."""
    gadget = GADGETS / name
    vendor, _, model = usb.partition(":")
    texts, config = gadget / "strings/0x409", gadget / "configs/c.1"
    for folder in (texts, config):
        folder.mkdir(parents=True)
    (gadget / "idVendor").write_text(f"0x{vendor}")
    (gadget / "idProduct").write_text(f"0x{model}")
    (texts / "serialnumber").write_text(serial)
    (texts / "manufacturer").write_text("Lab")
    (texts / "product").write_text(product)
    function = gadget / "functions" / (f"hid.{name}" if report else f"acm.{name}")
    function.mkdir()
    if report:
        boots = report_bytes == 8
        (function / "protocol").write_text("1" if boots else "0")
        (function / "subclass").write_text("1" if boots else "0")
        (function / "report_length").write_text(str(report_bytes))
        (function / "report_desc").write_bytes(bytes.fromhex(report))
    (config / function.name).symlink_to(function)


def plug(name: str, port: int) -> float:
    """Plug it into a socket; returns the monotonic time at which the host had it, with its nodes named by udev."""
    (GADGETS / name / "UDC").write_text(f"dummy_udc.{port}")
    deadline = time.monotonic() + PLUGGED_S
    while _state(port) != "configured":
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} is {_state(port)} after {PLUGGED_S} s")
        time.sleep(0.005)
    if _is_serial(name):
        _make_raw(name)
    subprocess.run(["udevadm", "settle"], check=True)
    return time.monotonic()


def _state(port: int) -> str:
    return Path(f"/sys/class/udc/dummy_udc.{port}/state").read_text().strip()


def unplug(name: str) -> float:
    """Pull its plug; returns the monotonic time."""
    with contextlib.suppress(OSError):
        (GADGETS / name / "UDC").write_text("\n")
    return time.monotonic()


def remove(name: str) -> None:
    """Unplug it and throw it away."""
    unplug(name)
    gadget = GADGETS / name
    function = next((gadget / "functions").iterdir())
    (gadget / "configs/c.1" / function.name).unlink()
    for folder in (function, gadget / "configs/c.1", gadget / "strings/0x409", gadget):
        folder.rmdir()


def type_text(name: str, text: str) -> float:
    """Type a text, then Enter; returns the monotonic time at which the last key was taken by the host."""
    strokes = [key_of(char) for char in f"{text}\n"]
    return press(name, [list(stroke) for stroke in strokes])


def press(name: str, strokes: list[list[int]]) -> float:
    """Press and release keys, each (modifier, usage); returns when the last was taken."""
    node = _node(name)
    fd = os.open(node, os.O_RDWR)
    try:
        for modifier, usage in strokes:
            for report in (bytes((modifier, 0, usage, 0, 0, 0, 0, 0)), bytes(8)):
                os.write(fd, report)
                time.sleep(KEY_S)
        return time.monotonic()
    finally:
        os.close(fd)


def hold(name: str, modifier: int, keys: list[int]) -> None:
    """Press keys one after the other while all before are held, then release all."""
    fd = os.open(_node(name), os.O_RDWR)
    try:
        for count in range(1, len(keys) + 1):
            os.write(fd, bytes((modifier, 0, *keys[:count])).ljust(8, b"\0"))
        os.write(fd, bytes(8))
    finally:
        os.close(fd)


def report(name: str, reports: list[str]) -> float:
    """Send raw HID reports, in hexadecimal; returns when the last was taken."""
    fd = os.open(_node(name), os.O_RDWR)
    try:
        for one in reports:
            os.write(fd, bytes.fromhex(one))
        return time.monotonic()
    finally:
        os.close(fd)


def send(name: str, data: str) -> float:
    """Send what a serial scanner reads; returns when it was written."""
    fd = os.open(_node(name), os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(fd, data.encode())
        return time.monotonic()
    finally:
        os.close(fd)


def heard(name: str, for_s: float, enough: int = 0) -> str:
    """Return in hexadecimal what the host sent to a serial scanner within a time, or until it was `enough` bytes."""
    fd = os.open(_node(name), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    found, deadline = b"", time.monotonic() + for_s
    try:
        while (left_s := deadline - time.monotonic()) > 0 and not 0 < enough <= len(found):
            if select.select([fd], [], [], left_s)[0]:
                try:
                    found += os.read(fd, 4096)
                except OSError as error:
                    if error.errno != errno.EAGAIN:
                        raise
        return found.hex()
    finally:
        os.close(fd)


def overheard(path: str, for_s: float) -> int:
    """Count the bytes that somebody else hears who opens an input device too."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    found, deadline = 0, time.monotonic() + for_s
    try:
        while (left_s := deadline - time.monotonic()) > 0:
            if select.select([fd], [], [], left_s)[0]:
                found += len(os.read(fd, 4096))
        return found
    finally:
        os.close(fd)


def links(folder: str) -> dict[str, str]:
    """Return the links of a folder such as /dev/serial/by-id, and where they lead."""
    return {path.name: str(path.resolve()) for path in Path(folder).glob("*")}


def hidraw_of(name: str) -> str:
    """Return the raw node that the host has of a HID scanner."""
    serial = (GADGETS / name / "strings/0x409/serialnumber").read_text().strip()
    for entry in Path("/sys/class/hidraw").iterdir():
        if f"HID_UNIQ={serial}\n" in (entry / "device/uevent").read_text():
            return f"/dev/{entry.name}"
    raise FileNotFoundError(f"no hidraw node of {name}")


def _function(name: str) -> Path:
    return next((GADGETS / name / "functions").iterdir())


def _is_serial(name: str) -> bool:
    return _function(name).name.startswith("acm.")


def _node(name: str) -> str:
    function = _function(name)
    if _is_serial(name):
        return f"/dev/ttyGS{(function / 'port_num').read_text().strip()}"
    number = (function / "dev").read_text().strip()
    return str(Path(f"/dev/char/{number}").resolve())


def _make_raw(name: str) -> None:
    """A gadget's tty turns line ends into two characters, and echoes, as a terminal does."""
    fd = os.open(_node(name), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(fd)
        attributes = termios.tcgetattr(fd)
        attributes[2] |= termios.CLOCAL
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
    finally:
        os.close(fd)
