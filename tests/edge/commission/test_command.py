"""`gatehouse-edge commission` and a bare `run` as processes of their own, and where they write."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from drivers.sims.serial_scanner import SerialScanner
from edge import config
from edge.commission.placing import Earlier, earlier, place, set_aside
from edge.commission.server import PAGE
from edge.commission.toml_text import HEAD
from edge.daemon import EX_TEMPFAIL
from edge.front.doors import CONNECTIONS_MAX
from edge.front.pin import PIN_DIGITS, new_pin
from edge.reset import LOCK
from edge.settings import GateSettings, Settings
from edge.store.disk import LocalDisk, hold
from edge.store.faults import FaultKind, StoreFault
from tests.edge.commission.box import Box
from tests.edge.rig import prepare, row
from tests.house import ROOT

GATE = '[gate]\nname = "N"\n[[lanes]]\nid = 1\nname = "A"\n[[lanes.readers]]\nid = 1\nway = "entry"\ndriver = "serial"\nport = "/dev/x"\n'


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    for name in ("etc", "data"):
        (folder / name).mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "edge", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CONFIGURATION_DIRECTORY": str(folder / "etc"),
            "STATE_DIRECTORY": str(folder / "data"),
        },
    )


def ask(
    connection: http.client.HTTPSConnection, method: str, path: str, body: object = None
) -> tuple[int, dict[str, object]]:
    headers = {"Origin": f"https://127.0.0.1:{connection.port}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def _no_check() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_box_without_a_configuration_serves_its_page_and_nothing_without_the_pin(tmp_path: Path) -> None:
    Box(tmp_path / "box").usb("1-1", "05e0:1900", "Symbol Bar Code Scanner")
    with start(tmp_path, "commission", "--port", "0", "--root", str(tmp_path / "box")) as process:
        assert process.stdout is not None
        pin, address = process.stdout.readline(), process.stdout.readline()
        assert re.search(rf" \d{{{PIN_DIGITS}}}$", pin.strip())
        port = int(address.rstrip("/\n").rpartition(":")[2])
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=_no_check())
        status, told = ask(connection, "GET", "/healthz")
        assert (status, told["code"]) == (503, "commission.under_way")
        status, told = ask(connection, "GET", "/api/commission")
        assert (status, told["session"], told["devices"]) == (200, False, [])
        for drawn in ("code.svg", "order.svg?for=serial&key=1-1"):
            status, told = ask(connection, "GET", f"/api/commission/{drawn}")
            assert (status, told["code"]) == (401, "page.no_session")
        orders = {*re.findall(r'\bact\("([a-z-]+)"', (PAGE / "commission.js").read_text())}
        assert {"pulse", "pulse-pin", "wire", "watch", "anew", "enrol", "write"} < orders
        orders |= {f"{bus}-{what}" for bus in ("osdp", "modbus") for what in ("search", "stop")}
        for what in sorted(orders):
            status, told = ask(connection, "POST", f"/api/commission/{what}", {})
            assert (status, told["code"]) == (401, "page.no_session")
        with pytest.raises(StoreFault) as held:  # so no gate starts on the same data, and nobody is admitted
            hold(LocalDisk(), tmp_path / "data" / LOCK)
        assert held.value.kind is FaultKind.HELD
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not (tmp_path / "data/gate.toml").exists()


def test_strangers_take_no_connection_of_the_technician_who_only_looks(tmp_path: Path) -> None:
    with start(tmp_path, "commission", "--port", "0", "--root", str(tmp_path / "box")) as process:
        assert process.stdout is not None
        pin, address = process.stdout.readline(), process.stdout.readline()
        port = int(address.rstrip("/\n").rpartition(":")[2])
        with contextlib.ExitStack() as opened:
            opened.callback(
                process.send_signal, signal.SIGTERM
            )  # also where something fails: nobody else ends it

            def one() -> http.client.HTTPSConnection:
                made = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=_no_check())
                return opened.enter_context(contextlib.closing(made))

            technician = one()
            origin = {"Origin": f"https://127.0.0.1:{port}", "Content-Type": "application/json"}
            technician.request("POST", "/api/pin", json.dumps({"pin": pin.split()[-1]}), origin)
            given = technician.getresponse()
            given.read()
            cookie = {"Cookie": given.headers["Set-Cookie"].partition(";")[0]}

            def look() -> object:
                technician.request("GET", "/api/commission", headers=cookie)
                return json.loads(technician.getresponse().read())["session"]

            assert look() is True
            for stranger in [one() for _ in range(CONNECTIONS_MAX + 1)]:
                status, _ = ask(stranger, "GET", "/healthz")
                assert status == 503
            assert look() is True, "over the connection that it has had for longest"
        assert process.wait(30) == 0


def test_the_data_folder_holds_the_configuration_where_nobody_put_one(tmp_path: Path) -> None:
    etc, data = tmp_path / "etc", tmp_path / "data"
    for folder in (etc, data):
        folder.mkdir()
    environment = {"CONFIGURATION_DIRECTORY": str(etc), "STATE_DIRECTORY": str(data)}
    assert config.default_path(environment) == etc / "gate.toml"
    assert config.writable_path(etc / "gate.toml", environment) == etc / "gate.toml"
    assert config.writable_path(tmp_path / "nowhere/gate.toml", environment) == data / "gate.toml"
    (data / "gate.toml").write_text(GATE)
    assert config.default_path(environment) == data / "gate.toml"
    assert config.load(config.default_path(environment), environment).gate.data == str(data)
    (etc / "gate.toml").write_text(GATE)
    assert config.default_path(environment) == etc / "gate.toml"
    assert config.bare(environment) == Settings(lanes=(), gate=GateSettings(data=str(data)))


def test_there_is_nothing_to_switch_off_before_there_is_a_configuration(tmp_path: Path) -> None:
    with start(tmp_path, "off") as process:
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


class Technician:
    """Somebody with the PIN at a page, whose certificate was looked at."""

    def __init__(self, address: str, pin: str) -> None:
        port = int(address.rstrip("/").rpartition(":")[2])
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=_no_check())
        self._headers = {"Origin": f"https://127.0.0.1:{port}", "Content-Type": "application/json"}
        self._connection.request("POST", "/api/pin", json.dumps({"pin": pin}), self._headers)
        answer = self._connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
        self._headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]

    def do(self, path: str, body: object = None) -> dict[str, Any]:
        """Press something, or look (without a body)."""
        method = "GET" if body is None else "POST"
        self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read())
        assert answer.status == 200, told
        return told

    def leave(self) -> None:
        """Close the page."""
        self._connection.close()

    async def until(self, path: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Look until something is so."""
        async with asyncio.timeout(30):
            while not holds(told := await asyncio.to_thread(self.do, path)):
                await asyncio.sleep(0.02)
        return told


def address_of(lines: Iterable[str]) -> str:
    """Wait for what says where the page is; a log line, or the console's."""
    return next(found[0] for line in lines if (found := re.search(r"https://[0-9.]+:[0-9]+/", line)))


async def test_a_bare_box_becomes_the_gate_that_was_written_and_can_be_set_up_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare(data, [row(1)])
    pin = new_pin(data)
    scanner = SerialScanner(tmp_path / "scanner")
    scanner.port.plug()
    box = Box(tmp_path / "box")
    box.usb("1-1", "1eab:1306", "NLS-FM430")
    box.serial("1-1", "ttyACM0", tmp_path / "scanner")
    bare = ("run", "--port", "0", "--root", str(tmp_path / "box"))
    with start(tmp_path, *bare) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        technician = Technician(await asyncio.to_thread(address_of, process.stdout), pin)
        technician.do("/api/commission/plan", {"name": "North", "lanes": [{"name": "A"}]})
        technician.do("/api/commission/ask", {"lane": 1, "way": "entry", "medium": "barcode"})
        asked = await technician.until("/api/commission", lambda told: told["devices"][0]["listening"])
        await scanner.scan(asked["asked"]["code"].encode())
        await technician.until("/api/commission", lambda told: not told["missing"])
        technician.do("/api/commission/write", {})
        technician.leave()
        # The same process goes on as a gate: systemd sees no end, and nothing of the page is left in it.
        at_gate = Technician(await asyncio.to_thread(address_of, process.stderr), pin)
        status = await at_gate.until("/api/status", lambda told: told["gate"])
        assert [lane["name"] for lane in status["lanes"]] == ["A"]
        assert process.poll() is None
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert [os.fsencode(one) for one in bare] == command[3:-1]
        assert at_gate.do("/api/box/anew", {"steward": 7})["ok"]
        at_gate.leave()
        await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == EX_TEMPFAIL
    kept = config.load(tmp_path / "etc/gate.toml.bak", {})
    assert [lane.name for lane in kept.lanes] == ["A"]
    path = tmp_path / "etc/gate.toml"
    assert not path.exists()  # so the next start is commissioned
    with start(tmp_path, *bare) as process:  # and begins with the gate that was
        assert process.stdout is not None
        technician = Technician(await asyncio.to_thread(address_of, process.stdout), pin)
        told = await technician.until("/api/commission", lambda told: told["devices"])
        assert [seat["chosen"] for lane in told["lanes"] for seat in lane["seats"]] == [
            "Newland NLS-FM430",
            "",
        ]
        assert (told["missing"], [str(path) + ".bak" in said for said in told["kept"]]) == ([], [True])
        technician.do("/api/commission/plan", {"name": "South", "lanes": [{"name": "A"}]})
        technician.do("/api/commission/write", {})
        technician.leave()
        process.kill()
    again = config.load(path, {})
    assert replace(again, gate=kept.gate) == kept
    assert again.gate.name == "South"
    scanner.port.unplug()


def test_what_was_put_aside_and_cannot_be_read_is_told(tmp_path: Path) -> None:
    path, bare = tmp_path / "gate.toml", Settings(lanes=())
    assert earlier(path, bare) == Earlier(bare)
    aside = tmp_path / "gate.toml.bak"
    aside.write_text(GATE)
    assert earlier(path, bare) == Earlier(config.load(GATE), aside, GATE)
    aside.write_text(GATE + "speed = 3")
    assert earlier(path, bare) == Earlier(bare, unread=aside)
    path.write_text(GATE)
    assert earlier(path, bare).path == path


CUT = """
import os, sys
from pathlib import Path
from edge.commission.placing import place
path, text, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def hook(event, args):
    global left
    if event in {"open", "os.link", "os.rename", "os.remove"} and str(path.parent) in str(args[0]):
        if left == 0:
            os._exit(9)
        left -= 1
sys.addaudithook(hook)
place(path, text)
"""
"""Writes a configuration, and ends before so many of its steps on the disk were made, as by a power cut."""


def test_a_power_cut_while_the_configuration_is_written_leaves_the_old_one_or_the_new_one_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gate.toml"
    names = []
    for steps in range(20):
        for old in tmp_path.iterdir():
            old.unlink()
        path.write_text(HEAD + GATE)
        new = HEAD + GATE.replace('"N"', '"New"')
        command = [sys.executable, "-c", CUT, str(path), new, str(steps)]
        code = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False).returncode
        names.append(config.load(path, {}).gate.name)
        before = earlier(path, Settings(lanes=()))
        assert (before.path, before.unread) == (path, None)
        place(path, new)  # pressed again, whatever was left lying about
        assert config.load(path, {}).gate.name == "New"
        if code == 0:
            break
    assert names == sorted(names)  # "N" until it is "New"
    assert (names[0], names[-1], code) == ("N", "New", 0)
    assert len(names) > 4


def test_what_a_person_wrote_is_a_persons_to_put_away(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(GATE)
    assert not set_aside(path)
    assert path.read_text() == GATE
    place(path, HEAD + GATE)
    assert set_aside(path)
    assert [one.name for one in tmp_path.iterdir()] == ["gate.toml.bak"]
    assert (tmp_path / "gate.toml.bak").read_text() == HEAD + GATE
