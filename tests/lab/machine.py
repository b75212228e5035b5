"""The guest's machine: QEMU without any help of the host's processor, so that it runs wherever Debian's package does.

Slow, and therefore frozen whole once it is up: a snapshot is a running machine again in seconds.
"""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.venue.programs import leashed

MEMORY_MIB, PROCESSORS = 1024, 2
QMP_S = 120.0
"""A snapshot of the guest's memory takes some seconds to be written."""
END_S = 10.0


class MachineFault(Exception):
    """The machine does not do what it is told; `str` says what QEMU said."""


class Machine:
    """One guest's machine, its files in a folder: `root.qcow2`, `vmlinuz`, `initrd`. Use `start`, `stop`."""

    def __init__(self, image: Path, run: Path) -> None:
        self._image = image
        self._run = run
        self.channel = run / "channel"
        """The socket behind the guest's virtio-serial port."""
        self.console = run / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor: _Monitor | None = None

    def start(self, snapshot: str = "") -> None:
        """Switch it on, or go on from a snapshot. MachineFault where QEMU does not start."""
        self._run.mkdir(parents=True, exist_ok=True)
        for path in (self.channel, self._run / "qmp"):
            path.unlink(missing_ok=True)
        log = (self._run / "qemu.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                leashed([*self._argv(), *(["-loadvm", snapshot] if snapshot else [])]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._monitor = _Monitor(self._connected(self._run / "qmp"))

    def _argv(self) -> list[str]:
        image = self._image
        return [
            "qemu-system-x86_64",
            *("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-machine", "q35"),
            *(
                "-smp",
                str(PROCESSORS),
                "-m",
                str(MEMORY_MIB),
                "-display",
                "none",
                "-no-reboot",
                "-nodefaults",
            ),
            *("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd")),
            # Mitigations guard a machine that has neighbours, and cost an emulated one half its speed.
            *("-append", "root=/dev/vda rw console=ttyS0 panic=-1 quiet mitigations=off net.ifnames=0"),
            *("-drive", f"file={image / 'root.qcow2'},if=virtio,format=qcow2,cache=unsafe,discard=unmap"),
            *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"),
            *("-serial", f"file:{self.console}"),
            *("-qmp", f"unix:{self._run / 'qmp'},server=on,wait=off"),
            *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=lab,name=lab"),
            *("-chardev", f"socket,id=lab,path={self.channel},server=on,wait=off"),
        ]

    def _connected(self, path: Path) -> socket.socket:
        deadline = time.monotonic() + END_S
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(str(path))
            except OSError:
                sock.close()
            else:
                return sock
            self.check()
            if time.monotonic() > deadline:
                raise MachineFault(f"QEMU does not listen at {path}")
            time.sleep(0.02)

    def check(self) -> None:
        """MachineFault where it has ended."""
        if self._process is not None and self._process.poll() is not None:
            said = (self._run / "qemu.log").read_text(errors="replace")
            raise MachineFault(f"QEMU ended with {self._process.returncode}: {said[-2000:]}")

    def connect(self) -> socket.socket:
        """Return a connection to the guest's port."""
        return self._connected(self.channel)

    def save(self, snapshot: str) -> None:
        """Keep the whole running machine under a name, on its disk."""
        self._human(f"savevm {snapshot}")

    def load(self, snapshot: str) -> None:
        """Go back to what was kept."""
        self._human(f"loadvm {snapshot}")

    def _human(self, line: str) -> None:
        assert self._monitor is not None
        said = self._monitor.do("human-monitor-command", {"command-line": line})
        if said:
            raise MachineFault(f"{line}: {said}")

    def stop(self) -> None:
        """Pull its plug."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None


class _Monitor:
    """QEMU's own line (QMP): one command, one answer."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(QMP_S)
        self._sock = sock
        self._file = sock.makefile("rb")
        self._lines = self._read()
        next(self._lines)  # its greeting
        self.do("qmp_capabilities")

    def _read(self) -> Iterator[dict[str, Any]]:
        for line in self._file:
            yield json.loads(line)

    def do(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        asked = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self._sock.sendall(json.dumps(asked).encode())
        for said in self._lines:
            if "error" in said:
                raise MachineFault(f"{command}: {said['error']}")
            if "return" in said:
                return said["return"]
        raise MachineFault(f"{command}: QEMU hung up")

    def close(self) -> None:
        self._file.close()
        self._sock.close()
