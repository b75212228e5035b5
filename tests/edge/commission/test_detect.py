"""`gatehouse-edge detect`: thieves and wrong modes are named with the next action, and fail the command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from admission.reasons import Language
from edge.commission.candidates import candidates, device_of
from edge.commission.contacts import Contact
from edge.commission.detect import detect, lines
from edge.commission.findings import Grade, troubles
from edge.commission.inventory import inventory
from edge.commission.known import Mode
from edge.commission.labels import LABELS, NAMES
from edge.commission.sentences import SENTENCES
from edge.commission.server import PAGE
from edge.commission.words import LANGUAGES, say
from edge.settings import PcscReader, Way
from tests.edge.commission.box import VENDOR_DESCRIPTOR, Box
from tests.house import ROOT


def codes(root: Path) -> list[str]:
    return [one.code for one in troubles(inventory(root))]


def test_modem_manager_takes_what_udev_did_not_mark(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "05e0:1701", "Symbol Bar Code Scanner")
    box.serial("1-1", "ttyACM0")
    assert codes(tmp_path) == []
    box.program("ModemManager")
    assert codes(tmp_path) == ["thief.modem_manager"]
    box.mark("1-1")
    assert codes(tmp_path) == []


def test_a_modem_is_left_to_modem_manager(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "2c7c:0125", "EC25", control="auto")
    box.serial("1-1", "ttyUSB0")
    box.program("ModemManager")
    assert codes(tmp_path) == []


def test_the_kernel_takes_a_tag_reader_and_lets_a_scanner_sleep(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "072f:2200", "ACR122U PICC Interface")
    box.driver("1-1", "pn533_usb")
    box.usb("1-2", "1eab:1306", "NLS-FM430", control="auto")
    box.serial("1-2", "ttyACM0")
    assert codes(tmp_path) == ["thief.pn533", "pcsc.missing", "thief.autosuspend"]


@pytest.mark.parametrize(
    ("usb", "found"),
    [("05e0:1200", ["thief.usbhid", "mode.keyboard"]), ("072f:2200", ["pcsc.missing"]), ("04b8:0202", [])],
)
def test_another_program_takes_a_scanner_from_the_kernel(tmp_path: Path, usb: str, found: list[str]) -> None:
    box = Box(tmp_path)
    box.usb("1-1", usb)
    box.driver("1-1", "usbfs")
    assert codes(tmp_path) == found
    assert candidates(inventory(tmp_path)) == ()


def test_a_pc_sc_reader_is_read_where_its_service_runs(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "072f:223b", "ACR1252 Dual Reader")
    assert codes(tmp_path) == ["pcsc.missing"]
    assert candidates(inventory(tmp_path)) == ()
    box.pcsc()
    assert codes(tmp_path) == []
    (one,) = candidates(inventory(tmp_path))
    assert one.reader == PcscReader(id=1, way=Way.ENTRY, reader="ACR1252")
    assert 'driver = "pcsc", reader = "ACR1252"' in "\n".join(lines(detect(tmp_path)))


def test_what_keeps_the_gate_from_a_pc_sc_reader_is_told_with_what_to_do(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "076b:5022", "OMNIKEY 5022")
    box.pcsc(has_driver=False)
    assert codes(tmp_path) == ["pcsc.no_driver"]
    (tmp_path / "usr/lib/pcsc/drivers/ifd-ccid.bundle").mkdir(parents=True)
    folder = box.polkit("50-default.rules", "polkit.addAdminRule(() => []);")
    assert codes(tmp_path) == ["pcsc.forbidden"]
    assert detect(tmp_path).failed
    own = ROOT / "systemd/polkit/60-gatehouse.rules"
    (folder / own.name).write_text(own.read_text())
    assert codes(tmp_path) == []


def test_two_pc_sc_readers_of_a_kind_go_by_their_serial_numbers_or_are_told(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.pcsc()
    box.usb("1-1", "072f:223b", "ACR1252 Dual Reader", serial="RR362-022148")
    box.usb("1-2", "072f:223b", "ACR1252 Dual Reader", serial="RR362-022149")
    box.usb("1-3", "076b:5427", "OMNIKEY 5427 CK")
    found = inventory(tmp_path)
    readers = [one.reader for one in candidates(found)]
    assert [getattr(one, "reader", "") for one in readers] == ["RR362-022148", "RR362-022149", "5427"]
    assert [device_of(found, one) for one in readers] == list(found.plugged)
    assert codes(tmp_path) == []
    for at in (4, 5):
        box.usb(f"1-{at}", "072f:2200", "ACR122U PICC Interface")
    assert [(one.code, one.place) for one in troubles(inventory(tmp_path))] == [
        ("pcsc.twins", "1-4"),
        ("pcsc.twins", "1-5"),
    ]
    assert len(candidates(inventory(tmp_path))) == 3


def test_a_reader_of_no_listed_maker_is_known_by_its_class(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "ffff:0001", "Contactless Reader")
    box.interface("1-1", 0, "0b")
    box.usb("1-2", "ffff:0002", "Smart keyboard")  # an office keyboard with a slot stays one
    box.keyboard("1-2", 3, "Smart keyboard")
    box.interface("1-2", 1, "0b")
    (one,) = troubles(inventory(tmp_path))
    assert (one.code, one.grade, one.place) == ("pcsc.missing", Grade.WARN, "1-1")
    assert not detect(tmp_path).failed
    box.pcsc()
    reader, keyboard = candidates(inventory(tmp_path))
    assert reader.reader == PcscReader(id=1, way=Way.ENTRY)
    assert keyboard.what.mode is Mode.KEYBOARD


def test_what_cannot_be_asked_is_said_so(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "0403:6001", "FT232R USB UART")
    box.serial("1-1", "ttyUSB0")
    (tmp_path / "dev/gpiochip0").touch()
    for language in LANGUAGES:
        found = detect(tmp_path, language)
        (device,) = found.devices
        assert "OSDP" in device.may
        assert "Wiegand" in found.gpio_may
        assert {device.may, found.gpio_may} <= {line.strip() for line in lines(found, language)}
    box.usb("1-2", "1eab:1306", "NLS-FM430")
    assert detect(tmp_path).devices[1].may == ""


@pytest.mark.parametrize(
    ("usb", "code", "grade"),
    [
        ("05e0:1900", "mode.snapi", Grade.BAD),
        ("05e0:1300", "mode.ibm", Grade.BAD),
        ("05e0:0600", "mode.com_hid", Grade.BAD),
        ("05e0:1200", "mode.keyboard", Grade.WARN),
    ],
)
def test_a_scanner_in_the_wrong_mode_is_told_which_code_to_scan(
    tmp_path: Path, usb: str, code: str, grade: Grade
) -> None:
    box = Box(tmp_path)
    box.usb("1-1", usb, "Symbol Bar Code Scanner")
    box.hid("1-1", 0, "Symbol Bar Code Scanner", VENDOR_DESCRIPTOR)
    (one,) = troubles(inventory(tmp_path))
    assert (one.code, one.grade) == (code, grade)
    assert one.order is not None
    assert "CDC" in one.order.guide


def test_each_sentence_is_said_in_four_languages() -> None:
    assert set(LANGUAGES) == set(Language)
    args = {"what": "Zebra", "vendor": "05e0", "hint": "Plug it in."}
    for code in SENTENCES:
        four = [say(code, args, language) for language in LANGUAGES]
        assert len(set(four)) == len(four), code
        assert all(one.cause and one.fix and "{" not in one.cause + one.fix for one in four)
    # Each language fills in the same, and nothing was left in another's words: a sentence is never the same twice.
    for key, texts in LABELS.items():
        assert len({frozenset(re.findall(r"{\w+}", one)) for one in texts}) == 1, key
        assert len(set(texts)) == 4 or all(len(one.split()) < 3 for one in texts), key
    assert all(all(four) for four in (*NAMES.values(), *LABELS.values()))
    script = (PAGE / "commission.js").read_text()
    assert {f"js_{one}" for one in re.findall(r"words\.([a-z_0-9]+)", script)} <= LABELS.keys()
    assert {f"move_{one.value}" for one in Contact} | {one.value for one in Contact} <= LABELS.keys()


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "edge", "detect", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_the_command_fails_where_something_takes_a_device_and_says_it_to_programs_too(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1.3", "0c2e:0b6a", "Vuquest 3310")
    box.serial("1-1.3", "ttyACM0")
    assert detect(tmp_path).failed is False
    box.program("ModemManager")
    box.usb("1-1.4", "072f:2200", "ACR122U PICC Interface")
    box.driver("1-1.4", "pn533_usb")
    box.usb("1-1.5", "1eab:1306", "NLS-FM430", control="auto")
    box.hid("1-1.5", 0, "NLS-FM430", VENDOR_DESCRIPTOR)
    done = run("--root", str(tmp_path))
    assert done.returncode == 1
    assert "Honeywell Vuquest 3310: scanner, serial" in done.stdout
    assert done.stdout.splitlines() == list(lines(detect(tmp_path)))
    said = json.loads(run("--root", str(tmp_path), "--json").stdout)
    thieves = {one["code"]: one for one in said["troubles"] if one["code"].startswith("thief.")}
    assert thieves.keys() == {"thief.modem_manager", "thief.pn533", "thief.autosuspend"}
    for one in thieves.values():
        assert one["fix"]
        assert one["cause"] in done.stdout
        assert one["fix"] in done.stdout
    assert thieves["thief.modem_manager"]["place"] == said["devices"][0]["place"] == "1-1.3"
