"""gatehouse-sync as it is typed: in a process of its own, with real exit codes and a real address."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from admission.ids import Epoch
from edge.enrol import enrol
from sync import demo
from sync.__main__ import main
from sync.compose import ADDRESS_FILE, address_for_boxes
from sync.wire.messages import Push
from tests.sync.logs import EpochLog
from tests.sync.requests import GateClient

TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from sync.__main__ import main
sys.exit(main())
"""
"""The command at a terminal of its own, where Ctrl-C interrupts it."""


def run(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sync", *arguments, "--data", str(data)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_from_nothing_to_a_gates_records(tmp_path: Path) -> None:
    data = tmp_path / "centre"
    server = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "sync", "serve", "--data", str(data), "--port", "0", "--demo"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        url = line.removeprefix("gatehouse-sync listens on ").strip()
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
            assert json.load(answer) == {"status": "ok"}
        made = run("gate", "code", demo.MAIN_GATE_NAME, data=data)
        assert made.returncode == 0
        told = made.stderr.split("'")[1]
        assert told.startswith(f"{url}#")
        box = enrol(tmp_path / "box", told, made.stdout.strip(), "box")
        log = EpochLog(Epoch(2**63 + 1), box.gate, box.key).begin().scans(3)

        async def push() -> None:
            async with GateClient(url, box.gate, box.key, int(time.time())) as client:
                assert (await client.push(Push((log.chunk(),)))).pushed.held[0].seq == len(log.blobs)

        asyncio.run(push())
        exported = run("export", "records", data=data)
        lines = [json.loads(one) for one in exported.stdout.splitlines()]
        assert [bytes.fromhex(one["record"]) for one in lines] == log.blobs
        assert {one["epoch"] for one in lines} == {"8000000000000001"}
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.communicate()


def test_a_centre_of_ones_own_begins_with_its_organization_and_owner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not with the demo's: an arena that nobody owns, and tickets that would open its gates."""
    data = ("--data", str(tmp_path))
    assert main(["user", "add", "anna@example.org", *data]) == 1
    assert "--new-organization" in capsys.readouterr().err
    assert main(["user", "add", "anna@example.org", "--new-organization", "Volkshaus", *data]) == 0
    assert main(["user", "add", "beat@example.org", "--role", "steward", *data]) == 0
    assert main(["user", "add", "carla@example.org", "--new-organization", "x" * 201, *data]) == 1
    capsys.readouterr()
    assert main(["user", "list", *data]) == 0
    listed = [line.split("\t")[:3] for line in capsys.readouterr().out.splitlines()]
    assert listed == [["1", "anna@example.org", "owner"], ["1", "beat@example.org", "steward"]]
    assert main(["user", "add", "carla@example.org", "--new-organization", "Kaserne", *data]) == 0
    assert main(["user", "add", "dario@example.org", *data]) == 1
    assert "more than one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "listens", [None, "http://10.0.0.7:8080", "https://[2001:db8::1]:8443", "https://[", ""]
)
def test_the_hint_is_of_an_encrypted_centre_unless_it_is_this_machine(
    tmp_path: Path, listens: str | None
) -> None:
    if listens is not None:
        (tmp_path / ADDRESS_FILE).write_text(listens)
    assert address_for_boxes(tmp_path).startswith("https://ADDRESS")
    (tmp_path / ADDRESS_FILE).write_text("http://127.0.0.1:8080")
    assert address_for_boxes(tmp_path) == "http://127.0.0.1:8080"


def test_the_demo_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("event", "demo", data=tmp_path).returncode == 0
    assert len(demo.demo_tickets(tmp_path)) > 20
    again = run("event", "demo", data=tmp_path)
    assert (again.returncode, "already" in again.stdout) == (1, True)
    unknown = run("gate", "code", "Nowhere", data=tmp_path)
    assert unknown.returncode == 1
    assert demo.MAIN_GATE_NAME in unknown.stderr
    assert main(["event", "tag-keys", "1", "--data", str(tmp_path)]) == 0
    keys = json.loads(capsys.readouterr().out.splitlines()[0])
    assert {name: len(value) for name, value in keys.items()} == {"meta": 32, "file_master": 32}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("serve", "--port", "0", "--tls-cert", "x.pem"), 1, "--tls-key"),
        (("serve", "--port", "0", "--tls-cert", "x.pem", "--tls-key", "y.pem"), 1, "x.pem"),
        (("nonsense",), 2, "usage"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run(*arguments, data=tmp_path)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", "--port", str(taken.getsockname()[1]), data=tmp_path)
    assert done.returncode == 1
    assert "--port" in done.stderr


def test_whoever_has_read_enough_of_an_export_and_a_full_disk_are_told_in_a_line_or_none(
    tmp_path: Path,
) -> None:
    data = tmp_path / "centre"
    assert run("event", "demo", data=data).returncode == 0
    call = [
        sys.executable,
        "-m",
        "sync",
        "export",
        "tickets",
        "--event",
        str(demo.EVENT),
        "--data",
        str(data),
    ]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(call, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert (
        done.stderr
        == "gatehouse-sync: the disk is full; what was written is not whole\n  Make room, or write elsewhere.\n"
    )


def test_a_command_that_is_broken_off_at_its_question_leaves_no_trace_in_words(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    assert main(["user", "add", "anna@example.org", "--new-organization", "Volkshaus", *data]) == 0
    for key, code in ((b"\x03", 130), (b"\x04", 1)):
        own, terminal = pty.openpty()
        asking = subprocess.Popen(
            [sys.executable, "-c", TERMINAL, "user", "password", "anna@example.org", "--ask", *data],
            stdin=terminal, stdout=subprocess.DEVNULL, stderr=terminal, start_new_session=True,
        )  # fmt: skip
        said = b""
        while b"assword" not in said:
            said += os.read(own, 4096)
        os.write(own, key)
        assert asking.wait(60) == code
        os.set_blocking(own, False)
        with contextlib.suppress(BlockingIOError, OSError):
            said += os.read(own, 65536)
        assert b"Traceback" not in said
        os.close(own)
        os.close(terminal)


def test_a_port_that_is_none_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for port in ("65536", "-1", "eight"):
        with pytest.raises(SystemExit) as ended:
            main(["serve", f"--port={port}", "--data", str(tmp_path)])
        assert ended.value.code == 2
        assert "a port is a number up to 65535" in capsys.readouterr().err
