"""The wedge reader on real evdev ioctls, by umockdev: identity, grab, two alike, unplug and replug."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEBIAN_PYTHON = "/usr/bin/python3"
ROOT = Path(__file__).parents[2]
SCENARIO_S_MAX = 60

PORT_2 = "usb-0000:01:00.0-1.2/input0"
PORT_3 = "usb-0000:01:00.0-1.3/input0"
NAME = "Symbol Technologies, Inc, 2008 Symbol Bar Code Scanner"


def missing() -> str:
    """Say what umockdev lacks here, or nothing."""
    if shutil.which("umockdev-wrapper") is None:
        return "umockdev is not installed (apt install umockdev gir1.2-umockdev-1.0 python3-gi)"
    probe = "import gi; gi.require_version('UMockdev', '1.0')"
    if subprocess.run([DEBIAN_PYTHON, "-c", probe], capture_output=True, check=False).returncode:
        return "umockdev has no Python binding (apt install gir1.2-umockdev-1.0 python3-gi)"
    return ""


pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module", autouse=True)
def _umockdev() -> None:
    reason = missing()
    if reason:
        pytest.skip(reason)


def play(scenario: str, output: Path) -> list[str]:
    command = [
        "umockdev-wrapper",
        DEBIAN_PYTHON,
        "-B",
        "-m",
        "tests.drivers.evdev_mock",
        scenario,
        sys.executable,
    ]
    # To a file: a child that outlives the wrapper would hold a pipe open.
    with output.open("wb") as log:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            timeout=SCENARIO_S_MAX,
            check=False,
        )
    said = output.read_text()
    assert done.returncode == 0, said
    return said.splitlines()


def test_open_identify_and_read(tmp_path: Path) -> None:
    assert play("read", tmp_path / "log") == [
        f"OPENED {NAME} at {PORT_2}, layout us",
        "SCAN ABC123",  # CapsLock was on
        "GARBLED events_lost",
        "SCAN tk1xy",
        "exit 0",
    ]


def test_two_identical_scanners_by_port(tmp_path: Path) -> None:
    ambiguous, exit_first, *rest = play("two_alike", tmp_path / "log")
    assert ambiguous.startswith("MISCONFIGURED more than one input device")
    assert PORT_2 in ambiguous
    assert ambiguous.count(PORT_3) == 1  # the node with volume keys only is no candidate
    assert "-1.3/input1" not in ambiguous
    assert exit_first == "exit 0"
    assert rest == [f"OPENED {NAME} at {PORT_3}, layout us", "SCAN of the second", "exit 0"]


def test_a_device_that_another_program_has_is_said_so_with_what_to_do(tmp_path: Path) -> None:
    said, *rest = play("grabbed", tmp_path / "log")
    assert said.startswith("MISCONFIGURED /dev/input/event0 is grabbed by another program")
    assert "Stop the other program" in said
    assert rest == ["exit 0"]


def test_scan_codes_take_no_room_in_the_kernels_short_queue(tmp_path: Path) -> None:
    masked, *rest = play("masked", tmp_path / "log")
    assert masked == "MASK type 4, 0 bytes of codes"  # EV_MSC, none of them
    assert rest[1:] == ["exit 0"]


def test_unplug_and_replug(tmp_path: Path) -> None:
    opened, gone, absent, opened_again, *rest = play("replug", tmp_path / "log")
    assert opened == opened_again == f"OPENED {NAME} at {PORT_2}, layout us"
    assert gone.startswith(f"GONE {NAME} at {PORT_2} is gone")
    assert absent.startswith("GONE no input device with port")
    assert rest == ["SCAN whole", "exit 0"]
