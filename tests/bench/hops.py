"""The least way from one box's lane to the others': bytes through a process, loopback and a process, and nothing else.

`python -m tests.bench.hops to SIZE PORT…` sends every SIZE bytes of its standard input to all the ports;
`python -m tests.bench.hops from` says `port N`, and gives on to its standard output what one connection brings.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.centre import Child, child

READ_BYTES = 65_536


class Hops:
    """One sender and its receivers, each a process of its own, as the fronts of that many boxes are."""

    def __init__(self, sender: Child, receivers: list[Child], size: int) -> None:
        self._sender, self._receivers, self._size = sender, receivers, size

    async def once_s(self) -> list[float]:
        """Send once; return how long it took to each receiver's lane, in seconds."""
        loop = asyncio.get_running_loop()
        came: dict[int, float] = {}
        all_came = asyncio.Event()
        missing = {_fd(one): self._size for one in self._receivers}

        def read(fd: int) -> None:
            missing[fd] -= len(os.read(fd, READ_BYTES))
            if missing[fd] <= 0:
                came[fd] = time.monotonic()
                loop.remove_reader(fd)
                if len(came) == len(missing):
                    all_came.set()

        for fd in missing:
            loop.add_reader(fd, read, fd)
        began_s = time.monotonic()
        assert self._sender.process.stdin is not None
        self._sender.process.stdin.write(bytes(self._size))
        await all_came.wait()
        return [at_s - began_s for at_s in came.values()]


def _fd(one: Child) -> int:
    assert one.process.stdout is not None
    return one.process.stdout.fileno()


@contextmanager
def hops(folder: Path, receivers: int, size: int) -> Iterator[Hops]:
    """Start them; end them with the block. `size`: bytes of what is sent."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        log = folder / "hops.log"
        ends = [stack.enter_context(child(log, "tests.bench.hops", "from")) for _ in range(receivers)]
        ports = [one.line("port").split()[-1] for one in ends]
        sender = stack.enter_context(child(log, "tests.bench.hops", "to", str(size), *ports))
        sender.line("open")
        yield Hops(sender, ends, size)


def _send(size: int, ports: list[int]) -> None:
    connections = [socket.create_connection(("127.0.0.1", port)) for port in ports]
    for one in connections:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("open", flush=True)
    while data := sys.stdin.buffer.read(size):
        for one in connections:
            one.sendall(data)


def _receive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print("port", server.getsockname()[1], flush=True)
        connection, _ = server.accept()
        while data := connection.recv(READ_BYTES):
            os.write(1, data)


if __name__ == "__main__":
    if sys.argv[1] == "to":
        _send(int(sys.argv[2]), [int(port) for port in sys.argv[3:]])
    else:
        _receive()
