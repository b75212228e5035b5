"""Puts input devices into a umockdev testbed and types on them. Needs Debian's own Python (gi), so run as

    umockdev-wrapper /usr/bin/python3 -m tests.drivers.evdev_mock SCENARIO PYTHON

The reader under test is a child that speaks lines: see `evdev_client`. Everything it says goes to standard output.
"""

import errno
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402 - the version is to be chosen first

from drivers.framing.keys import EV_KEY, EV_SYN, InputEvent  # noqa: E402 - see above
from drivers.sims.keyboard_scanner import KeyboardSetting, strokes  # noqa: E402 - see above
from drivers.transport.evdev import pack_event  # noqa: E402 - see above

EVIOCGRAB = 0x40044590
"""`_IOW('E', 0x90, int)` of the kernel's input.h."""
EVIOCSMASK = 0x40104593
"""`_IOW('E', 0x93, struct input_mask)`."""
MASK = struct.Struct("@IIQ")
NAME = "Symbol Technologies, Inc, 2008 Symbol Bar Code Scanner"
CLIENT_S_MAX = 30


def hexed(data: bytes) -> str:
    return data.hex().upper()


class Device:
    """One input device: `number` of its event node, `socket` of the hub it is plugged into."""

    def __init__(
        self,
        testbed: UMockdev.Testbed,
        number: int,
        socket: int,
        *,
        types: bool = True,
        caps: bool = False,
        answers: UMockdev.IoctlBase | None = None,
    ) -> None:
        self.testbed = testbed
        self.node = f"/dev/input/event{number}"
        self.sys = f"/devices/pci0000:00/usb1/1-1/1-1.{socket}/1-1.{socket}:1.0/input/input{number}"
        self.number = number
        testbed.add_from_string(
            f"P: {self.sys}\nE: SUBSYSTEM=input\nE: PRODUCT=3/5e0/1200/110\nA: name={NAME}\n\n"
            f"P: {self.sys}/event{number}\nN: input/event{number}\nE: DEVNAME={self.node}\nE: SUBSYSTEM=input\n"
            f"E: MAJOR=13\nE: MINOR={64 + number}\nA: dev=13:{64 + number}\n"
        )
        name, phys = NAME.encode() + b"\0", b"usb-0000:01:00.0-1.%d/input%d\0" % (socket, not types)
        keys = ((1 << 128) - 2 if types else 1 << 113 | 1 << 114 | 1 << 115).to_bytes(96, "little")
        if answers is not None:
            testbed.attach_ioctl(self.node, answers)
        else:
            self._answer(name, phys, keys, caps=caps)
        self.fd = testbed.get_dev_fd(self.node)
        self.pty = str(Path(testbed.get_root_dir() + self.node).readlink()).replace("/", "_")
        testbed.uevent(f"/sys{self.sys}/event{number}", "add")

    def _answer(self, name: bytes, phys: bytes, keys: bytes, *, caps: bool) -> None:
        """Have the testbed answer who the device is."""
        with tempfile.NamedTemporaryFile("w", suffix=".ioctl") as table:
            # The mock matches the exact size of a request; EVIOCGRAB it knows by itself.
            table.write(
                f"@DEV {self.node}\n"
                f"EVIOCGID 0 {hexed(struct.pack('@HHHH', 3, 0x05E0, 0x1200, 0x110))}\n"
                f"EVIOCGNAME(0) {len(name)} {hexed(name.ljust(256, bytes(1)))}\n"
                f"EVIOCGPHYS(0) {len(phys)} {hexed(phys.ljust(256, bytes(1)))}\n"
                f"EVIOCGUNIQ(0) 1 {hexed(bytes(256))}\n"
                f"EVIOCGBIT(1) 96 {hexed(keys)}\n"
                f"EVIOCGLED(0) 8 {hexed(bytes([2 if caps else 0]).ljust(8, bytes(1)))}\n"
            )
            table.flush()
            self.testbed.load_ioctl(self.node, table.name)

    def type(self, text: str, stop_after: int | None = None) -> None:
        for code, value in list(strokes(text, KeyboardSetting()))[:stop_after]:
            self.send(EV_KEY, code, value)
            self.send(EV_SYN, 0, 0)

    def send(self, kind: int, code: int, value: int) -> None:
        os.write(self.fd, pack_event(InputEvent(kind, code, value, time.time_ns())))

    def unplug(self) -> None:
        self.testbed.uevent(f"/sys{self.sys}/event{self.number}", "remove")
        self.testbed.remove_device(f"/sys{self.sys}/event{self.number}")
        self.testbed.remove_device(f"/sys{self.sys}")
        os.close(self.fd)
        # The testbed keeps these, and then fails when the kernel gives the same pty number to the next device.
        root = Path(self.testbed.get_root_dir())
        for rest in (
            self.node,
            f"/dev/.node/input_event{self.number}",
            f"/dev/.ptymap/{self.pty}",
            f"/ioctl{self.node}",
        ):
            (root / rest.lstrip("/")).unlink(missing_ok=True)


def grabbed_by_another() -> UMockdev.IoctlBase:
    """Answer every ioctl as a device that another program has grabbed: `evdev_grab` of the kernel says EBUSY."""

    def answer(_handler: UMockdev.IoctlBase, client: UMockdev.IoctlClient) -> bool:
        grabs = client.get_request() == EVIOCGRAB
        client.complete(-1 if grabs else 0, errno.EBUSY if grabs else 0)
        return True

    handler = UMockdev.IoctlBase()
    handler.connect("handle-ioctl", answer)
    return handler


def that_says_what_is_masked() -> UMockdev.IoctlBase:
    """Answer every ioctl with nothing, and print each mask that is set: the event type, and how many bytes of its codes."""

    def answer(_handler: UMockdev.IoctlBase, client: UMockdev.IoctlClient) -> bool:
        if client.get_request() == EVIOCSMASK:
            kind, size, _ = MASK.unpack(client.get_arg().resolve(0, MASK.size).retrieve())
            print(f"MASK type {kind}, {size} bytes of codes", flush=True)
        client.complete(0, 0)
        return True

    handler = UMockdev.IoctlBase()
    handler.connect("handle-ioctl", answer)
    return handler


class Client:
    """The reader under test, in a process of its own."""

    def __init__(self, python: str, **config: object) -> None:
        self.process = subprocess.Popen(
            ["timeout", str(CLIENT_S_MAX), python, "-m", "tests.drivers.evdev_client", json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def expect(self, word: str) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        print(line, end="", flush=True)
        if not line.startswith(word):
            raise SystemExit(f"wanted {word}, the client said {line!r}")

    def again(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("again\n")
        self.process.stdin.flush()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        print(f"exit {self.process.wait()}", flush=True)


def read(testbed: UMockdev.Testbed, python: str) -> None:
    """Open by path with the CapsLock light on, read, lose events."""
    device = Device(testbed, 3, 2, caps=True)
    client = Client(python, path=device.node)
    client.expect("OPENED")
    device.type("abc123")
    client.expect("SCAN")
    device.type("lost", stop_after=4)
    device.send(EV_SYN, 3, 0)
    client.expect("GARBLED")
    device.type("rest")
    device.type("TK1XY")
    client.expect("SCAN")
    client.end()


def two_alike(testbed: UMockdev.Testbed, python: str) -> None:
    """Two identical scanners, and the second node of one of them: the port tells them apart."""
    first, second = Device(testbed, 0, 2), Device(testbed, 1, 3)
    Device(testbed, 2, 3, types=False)
    client = Client(python, name=NAME)
    client.expect("MISCONFIGURED")
    client.end()
    client = Client(python, usb_id="05E0:1200", port="usb-0000:01:00.0-1.3")
    client.expect("OPENED")
    first.type("of the first")
    second.type("of the second")
    client.expect("SCAN")
    client.end()


def replug(testbed: UMockdev.Testbed, python: str) -> None:
    """Unplug in the middle of a code; plug into the same socket, as the next event node."""
    device = Device(testbed, 0, 2)
    client = Client(python, port="usb-0000:01:00.0-1.2/input0")
    client.expect("OPENED")
    device.type("partial", stop_after=6)
    device.unplug()
    client.expect("GONE")
    client.again()
    client.expect("GONE")
    device = Device(testbed, 1, 2)
    client.again()
    client.expect("OPENED")
    device.type("whole")
    client.expect("SCAN")
    client.end()


def grabbed(testbed: UMockdev.Testbed, python: str) -> None:
    """Another program, such as a desktop's input method, has the scanner."""
    device = Device(testbed, 0, 2, answers=grabbed_by_another())
    client = Client(python, path=device.node)
    client.expect("MISCONFIGURED")
    client.end()


def masked(testbed: UMockdev.Testbed, python: str) -> None:
    """What is left out of the queue that the kernel keeps for the reader."""
    device = Device(testbed, 0, 2, answers=that_says_what_is_masked())
    client = Client(python, path=device.node)
    client.expect("OPENED")
    client.end()


if __name__ == "__main__":
    scenarios = {"read": read, "two_alike": two_alike, "replug": replug, "grabbed": grabbed, "masked": masked}
    scenario = scenarios[sys.argv[1]]
    scenario(UMockdev.Testbed.new(), sys.argv[2])
