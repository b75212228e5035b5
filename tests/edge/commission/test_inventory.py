"""What is found below a folder, and what it is: the kernel's files as they lie on a box."""

from pathlib import Path

import pytest

from edge.commission.inventory import NodeKind, Plugged, inventory
from edge.commission.known import Mode, Role, known
from tests.edge.commission.box import KEYS, VENDOR_DESCRIPTOR, VOLUME_KEYS, Box


def test_a_scanner_on_usb_serial_is_found_by_the_socket_it_is_in(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "05e3:0608", "USB2.0 Hub", hub=True)
    box.usb("1-1.3", "05e0:1701", "Symbol Bar Code Scanner", maker="Symbol Technologies", serial="S/N:1")
    path = box.serial("1-1.3", "ttyACM0")
    (found,) = inventory(tmp_path).plugged
    assert (found.place, found.usb, found.serial) == ("1-1.3", "05e0:1701", "S/N:1")
    assert [(node.kind, node.path) for node in found.nodes] == [(NodeKind.SERIAL, str(path))]
    assert found.drivers == ("cdc_acm",)
    assert (known(found).role, known(found).mode, known(found).maker) == (Role.SCANNER, Mode.SERIAL, "Zebra")


def test_of_two_event_nodes_the_one_that_types_counts(tmp_path: Path) -> None:
    assert KEYS != VOLUME_KEYS
    box = Box(tmp_path)
    box.usb("1-2", "05e0:1200", "Symbol Bar Code Scanner")
    path = box.keyboard("1-2", 3, "Symbol Bar Code Scanner")
    (found,) = inventory(tmp_path).plugged
    (node,) = found.nodes
    assert (node.kind, node.path, node.port) == (
        NodeKind.KEYBOARD,
        str(path),
        "usb-xhci-hcd.0-1-2/input0",
    )
    assert known(found).mode is Mode.KEYBOARD


def test_hidraw_is_hid_pos_by_its_descriptor_only(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "23d0:0c80", "2D engine")
    box.hid("1-1", 0, "2D engine")
    box.usb("1-2", "05e0:1900", "Symbol Bar Code Scanner")
    box.hid("1-2", 1, "Symbol Bar Code Scanner", VENDOR_DESCRIPTOR)
    first, second = inventory(tmp_path).plugged
    assert [node.kind for node in first.nodes] == [NodeKind.HID_POS]
    assert known(first).mode is Mode.HID_POS
    assert [node.kind for node in second.nodes] == [NodeKind.HIDRAW]
    assert known(second).mode is Mode.SNAPI


def test_ports_without_a_chip_behind_them_are_none(tmp_path: Path) -> None:
    box = Box(tmp_path)
    for number, kind in ((0, "0"), (1, "4")):
        folder = tmp_path / "sys/class/tty" / f"ttyS{number}"
        device = tmp_path / "sys/devices/platform" / f"serial{number}"
        (device / "driver").mkdir(parents=True)
        folder.mkdir(parents=True)
        (folder / "device").symlink_to(device)
        (folder / "type").write_text(kind)
    (tmp_path / "sys/class/tty/tty1").mkdir()
    box.usb("1-1", "1d6b:0001")
    assert [one.place for one in inventory(tmp_path).plugged] == ["1-1", "ttyS1"]


def test_nothing_at_all_is_no_error(tmp_path: Path) -> None:
    assert inventory(tmp_path / "nowhere").plugged == ()


@pytest.mark.parametrize(
    ("usb", "role", "mode"),
    [
        ("1eab:0c03", Role.SCANNER, Mode.KEYBOARD),
        ("1eab:1306", Role.SCANNER, Mode.SERIAL),
        ("1eab:0d10", Role.SCANNER, Mode.HID_POS),
        ("05e0:1300", Role.SCANNER, Mode.IBM),
        ("05e0:0600", Role.SCANNER, Mode.COM_HID),
        ("09d8:0420", Role.TAG_READER, Mode.SERIAL),
        ("072f:2200", Role.TAG_READER, Mode.CCID),
        ("1a86:7523", Role.ADAPTER, Mode.NONE),
        ("2c7c:0125", Role.MODEM, Mode.NONE),
        ("046d:c31c", Role.UNKNOWN, Mode.NONE),
    ],
)
def test_an_id_says_what_it_is(usb: str, role: Role, mode: Mode) -> None:
    assert (known(Plugged("1-1", usb)).role, known(Plugged("1-1", usb)).mode) == (role, mode)
