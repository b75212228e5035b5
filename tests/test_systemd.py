"""The units start what exists, the rules keep ModemManager away, and the installation shuts the keyboard's back doors."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.house import ROOT

SYSTEMD = ROOT / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
PROGRAMS = "/opt/gatehouse/venv/bin/"


def settings(path: Path) -> list[tuple[str, str]]:
    """(key, value) of a unit or drop-in, in its order; a key may come more than once."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def console_scripts() -> set[str]:
    return set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_program_of_ours(unit: Path) -> None:
    commands = [value for key, value in settings(unit) if key.startswith("Exec")]
    assert commands
    for command in commands:
        program, verb = command.split()
        assert program.startswith(PROGRAMS)
        assert program.removeprefix(PROGRAMS) in console_scripts()
        assert verb in {"run", "off", "serve"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this system has no systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_to_complain_about(unit: Path, tmp_path: Path) -> None:
    # The programs are not installed where tests run, and verify would only say so.
    copy = tmp_path / unit.name
    copy.write_text(re.sub(rf"={PROGRAMS}\S+", "=/bin/true", unit.read_text()))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    # An unknown key is a mere warning; other units of the machine are not our matter.
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []
    assert done.returncode == 0


EXPOSURE_MAX = 2.0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this system has no systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_the_sandbox_tight(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    if "offline" in done.stderr:
        pytest.skip("this systemd judges only units that run")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= EXPOSURE_MAX


def test_every_class_of_devices_that_the_gate_may_open_has_its_driver_loaded_first() -> None:
    """One that is not registered when the unit starts stays forbidden to it."""
    loaded = (SYSTEMD / "modules-load.d/gatehouse.conf").read_text().split("\n")
    assert {"cdc_acm", "usbserial", "usbhid"} <= set(loaded)


def test_the_gate_is_watched_and_never_given_up() -> None:
    edge = dict(settings(SYSTEMD / "gatehouse-edge.service"))
    wanted = {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": "10",
        "Restart": "always",
        "StartLimitIntervalSec": "0",
        "ExecStopPost": f"{PROGRAMS}gatehouse-edge off",
        "TimeoutStopSec": "30",
        "User": "gatehouse",
        "ProtectSystem": "strict",
        "DevicePolicy": "closed",
        "StateDirectory": "gatehouse",
        "CapabilityBoundingSet": "",
    }
    assert {key: edge.get(key) for key in wanted} == wanted


def test_the_gate_waits_for_no_network_and_no_clock() -> None:
    pairs = settings(SYSTEMD / "gatehouse-edge.service")
    named = {
        unit
        for key, value in pairs
        if key in {"After", "Wants", "Requires", "BindsTo"}
        for unit in value.split()
    }
    assert not {unit for unit in named if "network" in unit or "time" in unit}


def test_the_sandbox_lets_the_devices_in() -> None:
    pairs = settings(SYSTEMD / "gatehouse-edge.service")
    # ProtectClock implies a DeviceAllow of its own, PrivateDevices hides all.
    assert not {"PrivateDevices", "ProtectClock"} & {key for key, _ in pairs}
    allowed = {value for key, value in pairs if key == "DeviceAllow"}
    classes = ("ttyACM", "ttyUSB", "ttySC", "hidraw", "gpiochip", "spi")
    assert {f"char-{name} rw" for name in classes} <= allowed
    assert {value for value in allowed if value.startswith("char-input")} == {"char-input r"}
    assert "AF_NETLINK" in dict(pairs)["RestrictAddressFamilies"].split()


def test_the_sandbox_lets_the_pc_sc_service_be_asked() -> None:
    pairs = settings(SYSTEMD / "gatehouse-edge.service")
    # Its socket is below /run, and its library speaks to nothing else.
    hidden = {
        key: value
        for key, value in pairs
        if key in {"InaccessiblePaths", "TemporaryFileSystem", "RootDirectory"}
    }
    assert hidden == {}
    assert "AF_UNIX" in dict(pairs)["RestrictAddressFamilies"].split()
    # Bytes of code that a maker's own driver makes as it runs.
    assert "MemoryDenyWriteExecute" not in dict(pairs)


PR_SET_MDWE = 65
EXEC_WITHOUT_GAIN = f"""
import ctypes, mmap, runpy, sys
if ctypes.CDLL(None).prctl({PR_SET_MDWE}, 1, 0, 0, 0):
    sys.exit(77)
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    sys.argv = ["sync", *sys.argv[1:]]
    runpy.run_module("sync", run_name="__main__")
"""
"""prctl(2): what MemoryDenyWriteExecute asks of a process, without systemd."""


def test_the_centre_works_where_memory_is_never_both_written_and_run(tmp_path: Path) -> None:
    assert dict(settings(SYSTEMD / "gatehouse-sync.service"))["MemoryDenyWriteExecute"] == "yes"
    with subprocess.Popen(
        [sys.executable, "-c", EXEC_WITHOUT_GAIN, "serve", "--data", tmp_path, "--port", "0", "--demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        text=True,
    ) as centre:
        assert centre.stdout is not None
        said = ""
        for line in centre.stdout:
            said += line
            if "listens" in line:
                break
        centre.terminate()
    if centre.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert "listens" in said, said


@dataclass
class Device:
    """What udev rules ask of a device. `parents`: attributes of the devices it hangs on, nearest first."""

    subsystem: str
    kernel: str = ""
    devtype: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    parents: tuple[Mapping[str, str], ...] = ()
    action: str = "add"


TOKEN = re.compile(r'([A-Z]+)(?:\{([^}]+)\})?(==|!=|=)"([^"]*)"')


def rules() -> list[list[tuple[str, str, str, str]]]:
    """Each rule as (key, attribute, operator, value); anything that is no such list fails."""
    found = []
    for number, line in enumerate((SYSTEMD / "60-gatehouse.rules").read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(", ")
        tokens = [TOKEN.fullmatch(part) for part in parts]
        assert None not in tokens, f"line {number}: {line}"
        found.append([(t[1], t[2] or "", t[3], t[4]) for t in tokens if t])
    return found


def fits(value: str | None, pattern: str) -> bool:
    return value is not None and any(fnmatch.fnmatchcase(value, part) for part in pattern.split("|"))


def holds(device: Device, rule: list[tuple[str, str, str, str]]) -> bool:
    """Whether the rule's conditions hold. All ATTRS of a rule must hold on one and the same device."""
    own = {
        "ACTION": device.action,
        "SUBSYSTEM": device.subsystem,
        "KERNEL": device.kernel,
        "ENV": device.devtype,
        "TEST": "power/control",
    }
    for key, attribute, operator, value in rule:
        if operator == "=" or key == "ATTRS":
            continue
        seen = device.attributes.get(attribute) if key == "ATTR" else own[key]
        if fits(seen, value) != (operator == "=="):
            return False
    asked = [(attribute, value) for key, attribute, _, value in rule if key == "ATTRS"]
    return any(all(fits(one.get(a), v) for a, v in asked) for one in (device.attributes, *device.parents))


def outcome(device: Device) -> dict[str, str]:
    """What the rules set on a device."""
    result: dict[str, str] = {}
    jump = ""
    for rule in rules():
        label = [value for key, _, _, value in rule if key == "LABEL"]
        if jump and label != [jump]:
            continue
        jump = ""
        if label or not holds(device, rule):
            continue
        for key, attribute, operator, value in rule:
            if key == "GOTO":
                jump = value
            elif operator == "=":
                result[attribute or key] = value
    assert not jump, f"no label {jump}"
    return result


def usb(vendor: str, product: str = "0001", device_class: str = "00") -> Device:
    attributes = {"idVendor": vendor, "idProduct": product, "bDeviceClass": device_class}
    return Device("usb", devtype="usb_device", attributes=attributes)


SCANNERS = ("05e0", "0c2e", "0536", "05f9", "1eab", "065a", "23d0", "2dd6")
READERS = ("076b", "09d8", "072f")
RELAYS_AND_SERIAL_CHIPS = ("1a86", "0403", "067b", "10c4", "2a19")
PRINTERS = ("04b8", "0519", "0a5f")
MODEMS = ("2c7c", "1199", "12d1", "1e0e", "1bc7", "19d2")


@pytest.mark.parametrize("vendor", SCANNERS + READERS + RELAYS_AND_SERIAL_CHIPS + PRINTERS)
def test_modem_manager_leaves_our_devices_alone(vendor: str) -> None:
    assert outcome(usb(vendor)) == {"ID_MM_DEVICE_IGNORE": "1", "power/control": "on"}


@pytest.mark.parametrize(("vendor", "product"), [("04d8", "ffee"), ("16c0", "05df")])
def test_a_lent_vendor_id_counts_only_with_its_product(vendor: str, product: str) -> None:
    assert "ID_MM_DEVICE_IGNORE" in outcome(usb(vendor, product))
    assert "ID_MM_DEVICE_IGNORE" not in outcome(usb(vendor, "0001"))


@pytest.mark.parametrize("vendor", MODEMS)
def test_modem_manager_keeps_its_modems(vendor: str) -> None:
    assert "ID_MM_DEVICE_IGNORE" not in outcome(usb(vendor))
    assert vendor not in (SYSTEMD / "60-gatehouse.rules").read_text().replace("(2c7c Quectel", "(")


def test_hubs_may_sleep_and_removal_does_nothing() -> None:
    assert outcome(usb("1d6b", device_class="09")) == {}
    gone = usb("05e0")
    gone.action = "remove"
    assert outcome(gone) == {}


SCANNER = (
    {"bInterfaceClass": "03"},
    {"idVendor": "1eab", "idProduct": "0110"},
    {"idVendor": "1d6b", "idProduct": "0002"},
)
KEYBOARD = ({"idVendor": "046d", "idProduct": "c31c"}, {"idVendor": "1d6b", "idProduct": "0002"})


@pytest.mark.parametrize(
    ("device", "group"),
    [
        (Device("input", "event3"), "input"),
        (Device("input", "mouse0"), None),
        (Device("tty", "ttyACM0"), "dialout"),
        (Device("tty", "ttyUSB12"), "dialout"),
        (Device("tty", "ttyAMA0"), "dialout"),
        (Device("tty", "ttyS0"), "dialout"),
        (Device("tty", "ttySC1"), "dialout"),
        (Device("tty", "tty1"), None),
        (Device("gpio", "gpiochip0"), "gpio"),
        (Device("spidev", "spidev0.0"), "spi"),
        (Device("hidraw", "hidraw0", parents=SCANNER), "gatehouse"),
        (Device("hidraw", "hidraw1", parents=KEYBOARD), None),
        (Device("hidraw", "hidraw2", parents=({"idVendor": "16c0", "idProduct": "05df"},)), "gatehouse"),
        (Device("hidraw", "hidraw3", parents=({"idVendor": "16c0"}, {"idProduct": "05df"})), None),
        (Device("block", "sda"), None),
    ],
    ids=lambda value: value.kernel if isinstance(value, Device) else str(value),
)
def test_the_gate_may_open_its_nodes_and_no_others(device: Device, group: str | None) -> None:
    assert outcome(device) == ({} if group is None else {"GROUP": group, "MODE": "0660"})


def test_the_user_is_in_every_group_the_rules_name() -> None:
    lines = [line.split() for line in (SYSTEMD / "sysusers.d/gatehouse.conf").read_text().splitlines()]
    groups = {words[2] for words in lines if words[0] == "m" and words[1] == "gatehouse"} | {"gatehouse"}
    named = {value for rule in rules() for key, _, _, value in rule if key == "GROUP"}
    assert named == groups
    made = {words[1] for words in lines if words[0] in {"u", "g"}}
    assert groups <= made
    assert {value for unit in UNITS for key, value in settings(unit) if key == "User"} <= made


def install(what: str, root: Path) -> list[str]:
    subprocess.run([SYSTEMD / "install.sh", what, root], check=True, stdin=subprocess.DEVNULL)
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or path.is_file()
    )


def test_installing_a_gate_puts_all_in_place_and_masks_ctrl_alt_del(tmp_path: Path) -> None:
    assert install("edge", tmp_path) == [
        "etc/modprobe.d/gatehouse.conf",
        "etc/modules-load.d/gatehouse.conf",
        "etc/polkit-1/rules.d/60-gatehouse.rules",
        "etc/sysctl.d/60-gatehouse.conf",
        "etc/systemd/system.conf.d/60-gatehouse.conf",
        "etc/systemd/system/ctrl-alt-del.target",
        "etc/systemd/system/gatehouse-edge.service",
        "etc/sysusers.d/gatehouse.conf",
        "etc/tmpfiles.d/gatehouse.conf",
        "etc/udev/rules.d/60-gatehouse.rules",
    ]
    assert (tmp_path / "etc/systemd/system/ctrl-alt-del.target").readlink() == Path(os.devnull)
    assert settings(tmp_path / "etc/sysctl.d/60-gatehouse.conf") == [("kernel.sysrq", "0")]
    forbidden = (tmp_path / "etc/modprobe.d/gatehouse.conf").read_text()
    assert "install pn533_usb /bin/false" in forbidden
    manager = dict(settings(tmp_path / "etc/systemd/system.conf.d/60-gatehouse.conf"))
    assert manager["CtrlAltDelBurstAction"] == "none"
    # Above 15 s the Pi's watchdog cannot count.
    assert int(manager["RuntimeWatchdogSec"]) < 15
    # Again, as after an update.
    assert len(install("edge", tmp_path)) == 10


def test_installing_the_centre_leaves_the_keyboard_alone(tmp_path: Path) -> None:
    assert install("sync", tmp_path) == [
        "etc/systemd/system/gatehouse-sync.service",
        "etc/sysusers.d/gatehouse.conf",
        "etc/tmpfiles.d/gatehouse.conf",
    ]


def test_the_groups_are_there_before_the_rules_that_name_them(tmp_path: Path) -> None:
    """udev may read the rules at any moment, and forgets a group that is not there yet."""
    done, called = tmp_path / "bin", tmp_path / "called"
    done.mkdir()
    (done / "dirname").symlink_to(shutil.which("dirname") or "")
    for name in (
        *("cp", "mkdir", "chmod", "ln", "id", "sysctl", "modprobe", "udevadm"),
        *("systemctl", "systemd-sysusers", "systemd-tmpfiles"),
    ):  # nothing else is found, so nothing of this system is touched
        stand_in = done / name
        stand_in.write_text(f'#!/bin/sh\necho {name} "$@" >>{called}\n[ {name} != id ] || echo 0\n')
        stand_in.chmod(0o755)
    said = subprocess.run(
        [SYSTEMD / "install.sh", "edge"], check=True, env={"PATH": str(done)}, capture_output=True, text=True
    ).stdout
    assert f"{PROGRAMS}gatehouse-edge enrol URL CODE" in said  # and then it is started
    order = called.read_text().splitlines()
    conf, rules = (
        next(at for at, line in enumerate(order) if line.startswith("cp ") and line.endswith(end))
        for end in (" /etc/sysusers.d/gatehouse.conf", " /etc/udev/rules.d/60-gatehouse.rules")
    )
    assert conf < order.index("systemd-sysusers") < rules < order.index("udevadm control --reload")


@pytest.mark.parametrize("arguments", [[], ["all"]])
def test_the_installer_refuses_what_it_does_not_know(arguments: list[str]) -> None:
    done = subprocess.run([SYSTEMD / "install.sh", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "usage" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="this system has no systemd-sysusers")
def test_systemd_makes_the_users_and_groups(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    conf = SYSTEMD / "sysusers.d/gatehouse.conf"
    with conf.open() as lines:
        subprocess.run(
            ["systemd-sysusers", f"--root={tmp_path}", "-"], stdin=lines, capture_output=True, check=True
        )
    users = {line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert users == {"gatehouse", "gatehouse-sync"}
    groups = dict(line.split(":")[::3] for line in (tmp_path / "etc/group").read_text().splitlines())
    assert {name for name, members in groups.items() if members == "gatehouse"} == {
        "input",
        "dialout",
        "gpio",
        "spi",
    }
