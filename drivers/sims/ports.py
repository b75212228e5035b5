"""Serial ports that are not there: ptys under stable names, which can be plugged and unplugged.

`PtyPort` is the device's end itself, for boards: without a loop too, since the relay guard's outputs are driven
synchronously. `SimPort` puts one on an asyncio loop, for readers.
"""

import asyncio
import contextlib
import fcntl
import os
import select
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path

READ_BYTES = 4096

JAM_ROUNDS = 3
JAM_PAUSE_S = 0.01
"""A pty that stayed full for three rounds stays full: the kernel moves bytes on within a tick."""


def readable(handle: int, timeout_s: float | None) -> bool:
    """Wait until there is something to read, None for ever. By poll(2): select(2) ends with descriptor 1,023."""
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    return bool(waiting.poll(None if timeout_s is None else timeout_s * 1000))


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

    @property
    def speed(self) -> int:
        """The speed that the program set, as termios numbers it (`termios.B9600`); 0 while unplugged."""
        return 0 if self._ours < 0 else int(termios.tcgetattr(self._theirs)[4])

    def plug(self) -> None:
        """The device appears."""
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        os.set_blocking(self._theirs, False)
        fresh = self._link.with_name(self._link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._theirs))
        fresh.replace(self._link)

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
        if self._ours < 0 or not readable(self._ours, timeout_s):
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
            self.write_some(data)

    def write_some(self, data: bytes) -> int:
        """Send to the program; return how many bytes it has room for, BlockingIOError where none."""
        return os.write(self._ours, data)

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


class SimPort:
    """The device's end of a cable. The driver opens `link`, as it would open a name below `/dev/serial/by-id`.

    `on_bytes` gets what the driver sends. `slow_s`: pause before each write, as a slow line makes. `sent_ns`, `sent_bytes`: when
    the last bytes went out (monotonic), and how many. To be used within a running asyncio loop. Bytes sent while unplugged go nowhere, as on a bench.
    """

    def __init__(self, link: Path, on_bytes: Callable[[bytes], None] = lambda _data: None) -> None:
        self.link = link
        self.slow_s = 0.0
        self.sent_ns = self.sent_bytes = 0
        self._on_bytes = on_bytes
        self._port: PtyPort | None = None
        self._room: asyncio.Future[None] | None = None

    @property
    def plugged(self) -> bool:
        """Whether a driver can open the link."""
        return self._port is not None

    @property
    def speed(self) -> int:
        """The speed that the driver set; 0 while unplugged."""
        return 0 if self._port is None else self._port.speed

    def plug(self) -> None:
        """Make a new port appear under the link."""
        if self._port is None:
            self._port = PtyPort(self.link)
            asyncio.get_running_loop().add_reader(self._port.fileno(), self._hear)

    def unplug(self) -> None:
        """Pull the cable: the link goes, and the driver reads the end."""
        port, self._port = self._port, None
        if port is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(port.fileno())
        loop.remove_writer(port.fileno())
        if self._room is not None:
            _settle(self._room)
        port.unplug()

    async def send(self, data: bytes) -> None:
        """Send bytes to the driver, waiting while its side takes no more."""
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        while data and self._port is not None:
            self.sent_ns, self.sent_bytes = time.monotonic_ns(), len(data)
            try:
                data = data[self._port.write_some(data) :]
            except BlockingIOError:
                await self._wait_for_room(self._port)

    async def _wait_for_room(self, port: PtyPort) -> None:
        loop = asyncio.get_running_loop()
        room = self._room = loop.create_future()
        loop.add_writer(port.fileno(), _settle, room)
        try:
            await room
        finally:
            if self._port is port:
                loop.remove_writer(port.fileno())

    def _hear(self) -> None:
        data = b"" if self._port is None else self._port.read()
        if data:
            self._on_bytes(data)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
