"""`gatehouse-edge commission` as a process of its own, and where it writes."""

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from edge import config
from edge.front.pin import PIN_DIGITS
from edge.reset import LOCK
from edge.settings import GateSettings, Settings
from edge.store.disk import LocalDisk, hold
from edge.store.faults import FaultKind, StoreFault
from tests.edge.commission.box import Box
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
        for what in ("plan", "ask", "stop", "forget", "pulse", "turned", "adapter", "enrol", "write"):
            status, told = ask(connection, "POST", f"/api/commission/{what}", {})
            assert (status, told["code"]) == (401, "page.no_session")
        with pytest.raises(StoreFault) as held:  # so no gate starts on the same data, and nobody is admitted
            hold(LocalDisk(), tmp_path / "data" / LOCK)
        assert held.value.kind is FaultKind.HELD
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not (tmp_path / "data/gate.toml").exists()


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
