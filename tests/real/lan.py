"""The venue's LAN: a network namespace a gate, on one bridge, whose cables can be pulled; loopback addresses without root.

A namespace's cable is its veth: pulled, packets are lost and nobody is told, as on a real switch.
"""

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

NET = "10.77.0"
HUB = f"{NET}.254"
"""The bridge itself: where whoever is on the LAN and no gate comes from."""
FIRST_LOOPBACK = 10
ELSEWHERE = 100
"""From a box's first address to its other one."""
CLONE_NEWNET = 0x40000000


class LanFault(Exception):
    """The machine does not give what was asked of it."""


class Lan:
    """One LAN. Use `Namespaces` or `Loopback`."""

    can_cut = False
    """Whether a gate's cable can be pulled, and its address changed."""

    def address(self, number: int) -> str:
        """Return a gate's address now."""
        raise NotImplementedError

    def listens(self, number: int) -> str:
        """Return what a gate's programs listen on."""
        return self.address(number)

    def move(self, number: int) -> None:
        """Give a gate its other address. Whatever stood on the one before is dead, and nobody is told."""
        raise NotImplementedError

    def join(self, number: int) -> None:
        """Give a box its place."""

    def within(self, number: int | None) -> list[str]:
        """Return what to put before a command so that it runs at a gate's place; None: at the hub's."""
        raise NotImplementedError

    def modem(self, number: int) -> socket.socket:
        """Return a socket that listens on a box's own loopback: its modem's near side, which needs no cable."""
        raise NotImplementedError

    def pull(self, number: int) -> None:
        """Pull a gate's cable."""
        raise NotImplementedError

    def plug(self, number: int) -> None:
        """Put a gate's cable in."""

    def close(self) -> None:
        """Take everything down."""


class Namespaces(Lan):
    """Real ones, as root."""

    can_cut = True

    def __init__(self) -> None:
        self._name = f"gh{os.getpid()}"
        self._places: set[int] = set()
        self._moved: set[int] = set()
        self._hub_ns = f"{self._name}-hub"
        _clear()
        _run("ip", "netns", "add", self._hub_ns)
        try:
            _run("ip", "-n", self._hub_ns, "link", "set", "lo", "up")
            _run("ip", "-n", self._hub_ns, "link", "add", "br0", "type", "bridge")
            _run("ip", "-n", self._hub_ns, "addr", "add", f"{HUB}/24", "dev", "br0")
            _run("ip", "-n", self._hub_ns, "link", "set", "br0", "up")
        except LanFault:
            self.close()
            raise

    def address(self, number: int) -> str:
        return f"{NET}.{number + ELSEWHERE * (number in self._moved)}"

    def listens(self, number: int) -> str:  # noqa: ARG002 - whatever its address comes to be
        return "0.0.0.0"

    def move(self, number: int) -> None:
        place = self._place(number)
        _run("ip", "-n", place, "addr", "del", f"{self.address(number)}/24", "dev", "eth0")
        self._moved ^= {number}
        self._settle(place, number)

    def _settle(self, place: str, number: int) -> None:
        near = ("ip", "-n", place)
        _run(*near, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
        _run(*near, "link", "set", "eth0", "up")
        _run(*near, "route", "add", "224.0.0.0/4", "dev", "eth0")

    def join(self, number: int) -> None:
        place = self._place(number)
        _run("ip", "netns", "add", place)
        self._places.add(number)
        _run(
            "ip",
            "-n",
            self._hub_ns,
            "link",
            "add",
            f"v{number}",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            place,
        )
        _run("ip", "-n", self._hub_ns, "link", "set", f"v{number}", "master", "br0")
        _run("ip", "-n", self._hub_ns, "link", "set", f"v{number}", "up")
        _run("ip", "-n", place, "link", "set", "lo", "up")
        self._settle(place, number)

    def within(self, number: int | None) -> list[str]:
        return [
            "nsenter",
            f"--net=/run/netns/{self._hub_ns if number is None else self._place(number)}",
            "--",
        ]

    def modem(self, number: int) -> socket.socket:
        return _there(self._place(number), _listening)

    def pull(self, number: int) -> None:
        _run("ip", "-n", self._hub_ns, "link", "set", f"v{number}", "nomaster")

    def plug(self, number: int) -> None:
        _run("ip", "-n", self._hub_ns, "link", "set", f"v{number}", "master", "br0")

    def close(self) -> None:
        for name in (*map(self._place, self._places), self._hub_ns):
            with contextlib.suppress(LanFault):
                _run("ip", "netns", "del", name)
        self._places.clear()

    def _place(self, number: int) -> str:
        return f"{self._name}-{number}"


class Loopback(Lan):
    """Addresses of loopback: whoever may make no namespaces."""

    def address(self, number: int) -> str:
        return f"127.0.0.{FIRST_LOOPBACK + number}"

    def within(self, number: int | None) -> list[str]:  # noqa: ARG002 - all are at one place
        return []

    def modem(self, number: int) -> socket.socket:  # noqa: ARG002 - all are at one place
        return _listening()


def lan() -> Lan:
    """Return the best LAN that this machine gives."""
    if os.geteuid() == 0 and shutil.which("ip") and shutil.which("nsenter"):
        try:
            return Namespaces()
        except LanFault:
            return Loopback()
    return Loopback()


def _clear() -> None:
    """Take away the namespaces of runs that were killed."""
    for place in Path("/run/netns").glob("gh*-*"):
        pid = place.name[2:].partition("-")[0]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            with contextlib.suppress(LanFault):
                _run("ip", "netns", "del", place.name)


def _listening() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    return made


def _there(name: str, make: Callable[[], socket.socket]) -> socket.socket:
    """Make a socket in a namespace: it stays there, whoever uses it. A thread goes there, and ends there."""
    made: list[socket.socket | OSError] = []

    def go() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        handle = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            failed = libc.setns(handle, CLONE_NEWNET)
            made.append(OSError(ctypes.get_errno(), "setns") if failed else make())
        except OSError as error:
            made.append(error)
        finally:
            os.close(handle)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    (found,) = made
    if isinstance(found, OSError):
        raise LanFault(f"no socket in {name}: {found}") from found
    return found


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LanFault(f"{' '.join(argv)}: {done.stderr.strip()}")


__all__ = ["Lan", "LanFault", "Loopback", "Namespaces", "lan"]
