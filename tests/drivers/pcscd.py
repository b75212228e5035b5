"""A real pcscd with vsmartcard's virtual reader, in namespaces of its own: needs no root, and disturbs nothing outside.

vpcd listens at a port of every address, so it has a network of its own; connections from within are handed out to us.
`python -m tests.drivers.pcscd` is what runs inside.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drivers.base import DriverError
from drivers.sims.pcsc_service import VpcdField
from drivers.transport.pcsc import PcscLite

DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
READER = "Virtual PCD 00 00"
READY = "daemon ready"
PORT = 35_963
START_LINES_MAX = 60
WAIT_S = 10.0
UNSHARE = ["unshare", "--map-root-user", "--mount", "--net"]
CONFIG = (
    f'FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:0x{PORT:X}\nLIBPATH {DRIVER}\nCHANNELID 0x{PORT:X}\n'
)

_FOLDER = Path(tempfile.gettempdir()) / f"gh-pcsc-{os.getpid()}"
SOCKET = _FOLDER / "comm"
"""A link to the socket of the service that runs now: the library asks for the name only once in a process."""


def missing() -> str:
    """Why there can be no service here; "" where there can."""
    if shutil.which("pcscd") is None or not DRIVER.exists():
        return "pcscd with a virtual reader is not installed: apt install pcscd vsmartcard-vpcd"
    mount = [*UNSHARE, "mount", "-t", "tmpfs", "none", "/run"]
    tried = subprocess.run(mount, capture_output=True, check=False)
    return "" if tried.returncode == 0 else "no namespaces may be made here, so a pcscd of our own cannot run"


class Pcscd:
    """One service at a time. `field`: of its first reader."""

    def __init__(self) -> None:
        self.field = VpcdField(self._connect)
        self._running: subprocess.Popen[str] | None = None
        self._asked: socket.socket | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._asked, inside = socket.socketpair()
        command = [*UNSHARE, sys.executable, "-m", "tests.drivers.pcscd", str(inside.fileno()), str(_FOLDER)]
        with inside:
            self._running = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                pass_fds=[inside.fileno()],
            )
        assert self._running.stdout is not None
        said = []
        for line in self._running.stdout:
            said.append(line)
            if READY in line or len(said) > START_LINES_MAX:
                break
        assert READY in said[-1], said
        inside_of = Path("/proc", str(self._running.pid), "root")
        SOCKET.symlink_to(inside_of / "run/pcscd/pcscd.comm")
        until = time.monotonic() + WAIT_S
        while not _answers():  # it says that it is ready before it listens, and tells nobody when it does
            assert time.monotonic() < until, "it does not answer"
            time.sleep(0.002)

    def stop(self) -> None:
        """End it, cards and all."""
        self.field.put(None)
        running, self._running = self._running, None
        if running is not None and running.stdout is not None and self._asked is not None:
            self._asked.close()
            running.stdout.close()
            running.wait(WAIT_S)
        SOCKET.unlink(missing_ok=True)

    def take(self) -> None:
        """Take the card away, and wait until the service has noticed: it looks 2.5 times a second."""
        self.field.put(None)
        if self._running is None:
            return
        session = PcscLite().open()
        status = session.wait(READER, 0, 0)
        while status.present:
            status = session.wait(READER, status.known, 1000)
        session.close()

    def _connect(self) -> socket.socket:
        assert self._asked is not None
        self._asked.sendall(b"c")
        _, (handle,), _, _ = socket.recv_fds(self._asked, 1, 1)
        return socket.socket(fileno=handle)


def _answers() -> bool:
    try:
        PcscLite().open().close()
    except DriverError:
        return False
    return True


@contextmanager
def service() -> Iterator[Pcscd]:
    """A service that runs, and the library of this process led to it."""
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / "vpcd").write_text(CONFIG)
    os.environ["PCSCLITE_CSOCK_NAME"] = str(SOCKET)
    made = Pcscd()
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(_FOLDER, ignore_errors=True)


def inside(asked: socket.socket, folder: str) -> None:
    """Run the service, and connect to its reader as often as it is asked for, until nobody is there to ask."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    _loopback_up()
    served = subprocess.Popen(["pcscd", "--foreground", "--info", "--config", folder])
    with contextlib.suppress(OSError):
        while asked.recv(1):
            with socket.create_connection(("127.0.0.1", PORT), WAIT_S) as connection:
                connection.settimeout(None)
                socket.send_fds(asked, [b"c"], [connection.fileno()])
    served.terminate()
    served.wait(WAIT_S)


def _loopback_up() -> None:
    """SIOCSIFFLAGS of netdevice(7): a network that is new has its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, 0x8914, struct.pack("16sh14x", b"lo", 1))


if __name__ == "__main__":
    inside(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
