"""The gate's unit as systemd runs it: its sandbox, its user, its watchdog."""

import re

from tests.lab.box import HIDPOS, SERIAL, UNIT, WEDGE, Box

EXPOSURE_MAX = 2.0


def test_systemd_finds_the_sandbox_tight(box: Box) -> None:
    said = box.guest.do("systemd-analyze", "security", "--no-pager", f"{UNIT}.service")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    box.note(f"systemd-analyze security: {found[1]}")
    assert float(found[1]) <= EXPOSURE_MAX


def test_udev_knows_each_group_that_the_rules_name(box: Box) -> None:
    said = box.guest.do("journalctl", "-u", "systemd-udevd", "--no-pager", "-q")
    assert said, "it says at least that it started"
    assert "Unknown group" not in said, said


def test_every_process_of_it_is_its_users_without_any_power(box: Box) -> None:
    found = box.guest.call("harm.processes")
    assert len(found) >= 3, found  # lane, guard, front
    groups = set(box.guest.do("id", "-G", "gatehouse").split())
    for pid in found:
        said = dict(
            line.split(":\t", 1)
            for line in box.guest.do("cat", f"/proc/{pid}/status").splitlines()
            if ":\t" in line
        )
        owner = box.guest.do("id", "-u", "gatehouse")
        assert said["Uid"].split() == [owner] * 4
        assert int(said["CapEff"], 16) == int(said["CapBnd"], 16) == 0
        assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")
        assert set(said["Groups"].split()) == groups  # its own, input, dialout, gpio


def test_every_class_of_devices_is_there_before_the_first_is_plugged_in(box: Box) -> None:
    """One that is not registered when the unit starts stays forbidden to it, though its scanner is plugged in later."""
    box.guest.do("systemctl", "stop", UNIT)
    for name in (WEDGE, SERIAL, HIDPOS):
        box.guest.call("gadget.unplug", name=name)
    box.guest.do("modprobe", "-r", "usbhid", "hid_generic", "cdc_acm", "usbserial")
    try:
        box.guest.do("systemctl", "restart", "systemd-modules-load")
        known = {line.split()[-1] for line in box.guest.do("cat", "/proc/devices").splitlines() if line}
        assert {"input", "hidraw", "ttyACM", "ttyUSB", "gpiochip"} <= known
        box.guest.do("systemctl", "start", UNIT)
    finally:
        for name in (WEDGE, SERIAL, HIDPOS):
            box.plug(name)
        box.guest.do("systemctl", "start", UNIT)
    box.until_well()


def test_the_unit_is_watched(box: Box) -> None:
    said = box.guest.do("systemctl", "show", "--property=WatchdogUSec,NotifyAccess,Restart", UNIT)
    assert set(said.splitlines()) == {"WatchdogUSec=10s", "NotifyAccess=main", "Restart=always"}
