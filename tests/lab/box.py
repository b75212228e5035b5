"""The gate in the guest: installed as a box gets it, enrolled at a centre on this machine, its devices plugged in."""

import hashlib
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drivers.sims.hid_pos_scanner import AIM_DESCRIPTOR
from sync import demo
from tests.house import PACKAGES, ROOT
from tests.lab import image as images
from tests.lab.guest import Guest, GuestFault
from tests.lab.machine import Machine, MachineFault
from tests.sync.test_tls import certificate
from tests.venue.programs import leashed
from tests.venue.venue import free_port

HOST: Final = "10.0.2.2"
"""This machine's loopback, as the guest reaches it through QEMU's user network."""
UNIT: Final = "gatehouse-edge"
EDGE: Final = "/opt/gatehouse/venv/bin/gatehouse-edge"
BOOT_S: Final = 600.0
"""A first boot under emulation takes half a minute on a quiet machine."""
DEAD: Final = ["loss", "100%"]
"""A dead spot, for netem. Nobody hangs up: the box has to find out."""
WELL_S: Final = 300.0
"""All programs of a gate start anew in 15 s, emulated on a quiet machine; a busy one takes its time."""
INSTALL_S: Final = 600.0
REFUSED_S: Final = 8.0
"""How long a line is watched that has to stay as it is; that the scan was judged, the page says."""
SWING_S: Final = 60.0
"""From before a code is typed until its line is off again: a limit for hangs."""

CHIP: Final = "pinctrl-bcm2711"
RELAY_IN, RELAY_OUT = 17, 27
PASS_IN, PASS_OUT, READY = 22, 23, 24
"""Offsets on the header. Relays are on when low, passage contacts close to ground, as on most boards; READY is open while it is,
as the pull resistor that the gate asks for has it: gpio-sim knows no contact that is stronger."""
PULSE_MS, PULSE_MAX_MS = 300, 500

WEDGE, SERIAL, HIDPOS = "wedge", "serial", "hidpos"
SOCKETS: Final = {WEDGE: 0, SERIAL: 1, HIDPOS: 2}
SPARE: Final = 3

CONFIG: Final = f"""[gate]
name = "Lab gate"
[[relays]]
id = "header"
driver = "gpio"
chip = "{CHIP}"
offsets = [{RELAY_IN}, {RELAY_OUT}]
pulse_max_ms = {PULSE_MAX_MS}
[[inputs]]
id = "contacts"
driver = "gpio"
chip = "{CHIP}"
offsets = [{PASS_IN}, {PASS_OUT}, {READY}]
active_low = [0, 1]
[[lanes]]
id = 1
name = "Tripod"
relay = "header"
entry_line = 0
exit_line = 1
inputs = "contacts"
entry_contact = 0
exit_contact = 1
ready_contact = 2
pulse_ms = {PULSE_MS}
[[lanes.readers]]
id = 1
way = "entry"
driver = "wedge"
usb = "05e0:1200"
gap_ms = 1000
[[lanes.readers]]
id = 2
way = "exit"
driver = "serial"
port = "/dev/serial/by-path/platform-dummy_hcd.{SOCKETS[SERIAL]}-usb-0:1:1.0"
[[lanes.readers]]
id = 3
way = "entry"
driver = "hidpos"
usb = "0c2e:0b81"
"""
INSIDE: Final = sorted((Path(__file__).parent / "inside").glob("*.py"))
TRUST: Final = "[Service]\nEnvironment=SSL_CERT_FILE=/etc/gatehouse/centre.pem\nTimeoutStartSec=300\n"
"""A drop-in, as an organizer with an authority of its own adds one; and the start of a machine that is emulated takes its time."""


@dataclass(frozen=True, slots=True)
class Swing:
    """A relay line that went on and off, by the guest's monotonic clock: each turn is when it had not turned yet, and when it had."""

    on: tuple[float, float]
    off: tuple[float, float]

    @property
    def on_s(self) -> float:
        """When it was seen to be on."""
        return self.on[1]

    @property
    def shortest_ms(self) -> float:
        """How long it was on at least."""
        return (self.off[0] - self.on[1]) * 1000

    @property
    def longest_ms(self) -> float:
        """How long it was on at most."""
        return (self.off[1] - self.on[0]) * 1000


class Centre:
    """A centre with the demo venue on this machine's loopback, over TLS."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "centre"
        self.port = free_port()
        self.chain, key = certificate(folder, address=HOST)
        argv = [
            sys.executable,
            "-m",
            "sync",
            "serve",
            "--data",
            str(self.data),
            "--port",
            str(self.port),
            "--demo",
        ]
        self._process = subprocess.Popen(
            leashed([*argv, "--tls-cert", str(self.chain), "--tls-key", str(key)]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            if "listens on" in line:
                break
        else:
            raise GuestFault(f"the centre did not start:\n{said}")
        # What it says further must not fill the pipe, and stop it.
        self._drains = threading.Thread(target=self._process.stdout.read, daemon=True)
        self._drains.start()
        self.tickets = {ticket.key: ticket for ticket in demo.demo_tickets(self.data)}

    def do(self, *arguments: str) -> str:
        """Run one of its commands."""
        argv = [sys.executable, "-m", "sync", *arguments, "--data", str(self.data)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT)
        return done.stdout.strip()

    def seqs(self) -> set[tuple[str, int]]:
        """Return epoch and number of each record it holds."""
        rows = (json.loads(line) for line in self.do("export", "records").splitlines())
        return {(row["epoch"], row["seq"]) for row in rows}

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._drains.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Box:
    """The gate in its guest. `open` it once; then present codes, walk, and harm it."""

    def __init__(self, guest: Guest, centre: Centre) -> None:
        self.guest = guest
        self.centre = centre
        self.notes: list[str] = []
        """What was measured."""

    def open(self) -> None:
        """Enrol it, plug its devices in, start it, and wait until it admits."""
        guest, centre = self.guest, self.centre
        guest.do("date", "-u", "-s", f"@{time.time():.3f}")
        guest.put("/etc/gatehouse/centre.pem", centre.chain.read_bytes())
        guest.put("/etc/gatehouse/gate.toml", CONFIG, 0o640)
        guest.do("chgrp", "gatehouse", "/etc/gatehouse/gate.toml")
        guest.put(f"/etc/systemd/system/{UNIT}.service.d/lab.conf", TRUST)
        guest.do("systemctl", "daemon-reload")
        code = centre.do("gate", "code", demo.MAIN_GATE_NAME)
        url = f"https://{HOST}:{centre.port}"
        guest.do(EDGE, "enrol", url, code, "--ca-file", "/etc/gatehouse/centre.pem")
        for name in SOCKETS:
            self.plug(name)
        guest.do("systemctl", "start", UNIT)
        self.until_well()

    def plug(self, name: str, socket: int | None = None) -> float:
        """Plug a scanner in; returns when it was there, by the guest's clock."""
        port = SOCKETS[name] if socket is None else socket
        return float(self.guest.call("gadget.plug", name=name, port=port))

    def until_well(self, limit_s: float = WELL_S) -> float:
        """Wait until it admits and nobody is passing; returns when that was, by the guest's clock."""
        return float(self.guest.call("page.until_well", limit_s + 30, limit_s=limit_s)["at"])

    def code(self, key: str) -> str:
        """Return the code of a demo ticket."""
        return self.centre.tickets[key].data

    def swing(self, act: Callable[[], Any], line: int = RELAY_IN, limit_s: float = SWING_S) -> Swing:
        """Do something, and return how a relay line answered; an AssertionError where it did not."""
        watch = self.guest.begin("header.swing", offset=line, idle=1, limit_s=limit_s)
        act()
        turns = watch.result(limit_s + 30)
        assert len(turns) == 2, f"line {line} {'stays on' if turns else 'did not move'} after {limit_s} s"
        return Swing(*(tuple(turn) for turn in turns))

    def type(self, code: str, name: str = WEDGE) -> float:
        """Hold a code before the scanner that types; returns when its last key was taken, by the guest's clock."""
        return float(self.guest.call("gadget.type_text", name=name, text=code))

    def walk(self, contact: int = PASS_IN) -> None:
        """Somebody pushes the arm."""
        self.guest.call("header.contact", offset=contact, for_s=0.15)

    def records(self) -> list[dict[str, Any]]:
        """Return its log, as `gatehouse-edge export` tells it."""
        return [json.loads(line) for line in self.guest.do(EDGE, "export").splitlines()]

    def until_recorded(self, kind: str, after: int, limit_s: float = 300.0) -> list[dict[str, Any]]:
        """Return the records beyond the first `after`, once there is one of a kind; each look takes seconds."""
        deadline = time.monotonic() + limit_s
        while True:
            fresh = self.records()[after:]
            if any(one["kind"] == kind for one in fresh):
                return fresh
            assert time.monotonic() < deadline, f"no {kind} among {[one['kind'] for one in fresh]}"

    def note(self, line: str) -> None:
        """Say what was measured, at the end of the run."""
        self.notes.append(line)

    def refused(self, act: Callable[[], Any], line: int = RELAY_IN) -> dict[str, Any]:
        """Do something that lets nobody in; returns the scan as the page shows it. AssertionError where the line moves."""
        scans = self.guest.call("page.status")["scans"]
        watch = self.guest.begin("header.swing", offset=line, idle=1, limit_s=REFUSED_S)
        act()
        found = self.guest.call("page.until_scanned", than=scans[0]["key"] if scans else "", limit_s=WELL_S)
        assert watch.result() == [], "the line moved"
        assert self.guest.call("header.level", offset=line) == 1
        return dict(found["found"])


def machine_with_gate(folder: Path, say: Callable[[str], None]) -> tuple[Machine, Guest]:
    """Return a running guest in which this tree's gate is installed and nothing else has happened yet.

    What is there from before is used: the image, the booted machine, and the gate where it is of this very tree.
    CannotBuild with the reason where this machine cannot make or run it.
    """
    made = images.image(folder, say)
    wanted, stamp = product(), made / "installed"
    held = stamp.read_text() if stamp.exists() else ""
    machine = Machine(made, folder / "run")
    began = time.monotonic()
    try:
        machine.start("gate" if held == wanted else "booted" if held else "")
    except MachineFault as why:
        machine.stop()
        raise images.CannotBuild(f"the guest's machine does not start: {why}") from why
    try:
        guest = Guest(machine.connect())
        guest.until_up(BOOT_S, machine.check)
        say(f"the guest is {'back' if held else 'up'} in {time.monotonic() - began:.1f} s")
        if not held:
            machine.save("booted")
            stamp.write_text("none")
        if held != wanted:
            began = time.monotonic()
            install(guest)
            machine.save("gate")
            stamp.write_text(wanted)
            say(f"the gate is installed: {time.monotonic() - began:.0f} s")
    except BaseException:
        machine.stop()
        raise
    return machine, guest


def product() -> str:
    """Return a name of what is installed: another for each change of this tree's gate, or of how the lab installs it."""
    files = [ROOT / "pyproject.toml", *INSIDE]
    for room in (*PACKAGES, "systemd"):
        files += sorted(path for path in (ROOT / room).rglob("*") if path.is_file() and path.suffix != ".pyc")
    parts = [inspect.getsource(install).encode(), *(path.read_bytes() for path in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def install(guest: Guest) -> None:
    """Install the gate as README says, beside the packages of its lock that the image holds; make its devices."""
    for path in INSIDE:
        guest.put(f"/opt/lab/inside/{path.name}", path.read_bytes())
    with tempfile.TemporaryDirectory() as place:
        wheel = _wheel(Path(place))
        guest.put(f"/srv/{wheel.name}", wheel.read_bytes())
    pip = ("-m", "pip", "-qq", "--disable-pip-version-check", "install", "--no-index", "--no-deps")
    guest.do("/opt/gatehouse/venv/bin/python", *pip, f"/srv/{wheel.name}", limit_s=INSTALL_S)
    for path in (ROOT / "systemd").rglob("*"):
        if path.is_file():
            guest.put(
                f"/srv/systemd/{path.relative_to(ROOT / 'systemd')}",
                path.read_bytes(),
                path.stat().st_mode & 0o777,
            )
    guest.do("/srv/systemd/install.sh", "edge", limit_s=INSTALL_S)
    guest.call("header.make", label=CHIP)
    for offset in (RELAY_IN, RELAY_OUT, PASS_IN, PASS_OUT):
        guest.call("header.pull", offset=offset, high=True)
    guest.call("gadget.load")
    guest.call("gadget.make", name=WEDGE, usb="05e0:1200", serial="W1", product="Symbol Bar Code Scanner")
    guest.call("gadget.make", name=SERIAL, usb="05e0:1701", serial="S1", product="Symbol CDC", report="")
    guest.call(
        "gadget.make",
        name=HIDPOS,
        usb="0c2e:0b81",
        serial="H1",
        product="Voyager",
        report=AIM_DESCRIPTOR.hex(),
        report_bytes=64,
    )


def _wheel(place: Path) -> Path:
    """Build this tree's wheel, from a copy: setuptools leaves its own folders beside what it builds."""
    source = place / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "-qq",
        "--disable-pip-version-check",
        "wheel",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, "--no-build-isolation", "-w", place, source], check=True, stdin=subprocess.DEVNULL)
    return next(place.glob("*.whl"))
