"""A serial port that is not there: a pty under a stable name, which can be plugged and unplugged."""

import asyncio
import os
import tty
from collections.abc import Callable
from pathlib import Path

READ_BYTES_MAX = 4096


class SimPort:
    """The device's end of a cable. The driver opens `link`, as it would open a name below `/dev/serial/by-id`.

    `on_bytes` gets what the driver sends. To be used within a running asyncio loop. Bytes sent while unplugged go
    nowhere, as on a bench.
    """

    def __init__(self, link: Path, on_bytes: Callable[[bytes], None] | None = None) -> None:
        self.link = link
        self._on_bytes = on_bytes
        self._master: int | None = None
        self._slave: int | None = None
        self._room: asyncio.Future[None] | None = None

    @property
    def plugged(self) -> bool:
        """Whether a driver can open the link."""
        return self._master is not None

    def plug(self) -> None:
        """Make a new port appear under the link."""
        if self._master is not None:
            return
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        # We keep the slave open, else the master reads as hung up until a driver comes.
        self._master, self._slave = master, slave
        fresh = self.link.with_name(self.link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(self.link)
        asyncio.get_running_loop().add_reader(master, self._on_readable)

    def unplug(self) -> None:
        """Pull the cable: the link goes, and the driver reads the end."""
        if self._master is None or self._slave is None:
            return
        master, slave = self._master, self._slave
        self._master = self._slave = None
        self.link.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        loop.remove_reader(master)
        loop.remove_writer(master)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        os.close(slave)
        os.close(master)

    async def send(self, data: bytes) -> None:
        """Send bytes to the driver, waiting while its side takes no more."""
        while data and self._master is not None:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                await self._wait_for_room(self._master)

    async def _wait_for_room(self, master: int) -> None:
        loop = asyncio.get_running_loop()
        room = self._room = loop.create_future()
        loop.add_writer(master, _settle, room)
        try:
            await room
        finally:
            if self._master == master:
                loop.remove_writer(master)

    def _on_readable(self) -> None:
        if self._master is None:
            return
        try:
            data = os.read(self._master, READ_BYTES_MAX)
        except BlockingIOError:
            return
        if self._on_bytes is not None:
            self._on_bytes(data)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
