"""A socket that stands for a device's node in tests and demonstrations: one message for each report or transfer."""

import contextlib
import select
import socket
from pathlib import Path
from typing import ClassVar


class SocketNode:
    """A device behind such a node, which many may have open; `_take` is what it does with a message."""

    message_bytes_max: ClassVar = 65_536
    """What is longer is cut, as the kernel cuts it."""

    def __init__(self, link: Path) -> None:
        self.path = str(link)
        self._link = link
        self._listening: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._ready = select.epoll()

    def fileno(self) -> int:
        """Readable when somebody opens it or sends; -1 while it is not there."""
        return -1 if self._listening is None else self._ready.fileno()

    def service(self, timeout_s: float = 0.0) -> None:
        """Take what waits; waits for something up to `timeout_s`."""
        if self._listening is None:
            return
        ready = {fd for fd, _ in self._ready.poll(timeout_s)}
        if self._listening.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                self._open.append(self._listening.accept()[0])
                self._ready.register(self._open[-1], select.EPOLLIN)
        for host in [one for one in self._open if one.fileno() in ready]:
            self._hear(host)

    def plug(self) -> None:
        """The device appears."""
        if self._listening is None:
            self._ready.close()
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._listening.bind(self.path)
            self._listening.listen()
            self._listening.setblocking(False)
            self._ready = select.epoll()
            self._ready.register(self._listening, select.EPOLLIN)

    def unplug(self) -> None:
        """The plug is pulled: whoever has it open reads the end, and the device is without power."""
        if self._listening is None:
            return
        self._ready.close()
        for one in (self._listening, *self._open):
            one.close()
        self._listening, self._open = None, []
        self._link.unlink()
        self._lose_power()

    def close(self) -> None:
        """Be done with it."""
        self.unplug()

    def _lose_power(self) -> None:
        """Be what the device is without power."""
        raise NotImplementedError

    def _take(self, host: socket.socket, message: bytes) -> None:
        """Do what a message says; an answer goes to `host`."""
        raise NotImplementedError

    def _hear(self, host: socket.socket) -> None:
        try:
            message = host.recv(self.message_bytes_max)
        except OSError:
            message = b""
        if not message:
            self._open.remove(host)
            host.close()
            return
        self._take(host, message)
