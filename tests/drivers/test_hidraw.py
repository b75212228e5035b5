"""Finding and opening HID devices: by what the kernel says of them, and what is told where one cannot be had."""

from pathlib import Path

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, Misconfigured, Signal
from drivers.framing.hid_pos import is_scanner
from drivers.readers.hid_pos import HidPosConfig, HidPosReader
from drivers.sims.hid_pos_scanner import AIM_DESCRIPTOR, HidPosScanner
from drivers.transport.evdev import Match
from drivers.transport.hidraw import open_hid_device
from tests.drivers.reader_rig import open_files, running
from tests.drivers.test_framing_hid_pos import KEYBOARD


def node(
    folder: Path, number: int, port: str, descriptor: bytes = AIM_DESCRIPTOR, name: str = "Scanner"
) -> None:
    device = folder / f"hidraw{number}" / "device"
    device.mkdir(parents=True)
    (device / "uevent").write_text(
        f"DRIVER=hid-generic\nHID_ID=0003:00000C2E:00000DB3\nHID_NAME={name}\nHID_PHYS={port}\nHID_UNIQ=\n"
    )
    (device / "report_descriptor").write_bytes(descriptor)


def found(folder: Path, **match: str) -> str:
    """Return which node would be opened; none is there to be opened."""
    with pytest.raises(DeviceGone) as gone:
        open_hid_device(Match(**match), is_scanner, class_dir=folder)
    return str(gone.value).partition(" is not there")[0]


def test_a_scanner_is_found_by_what_the_kernel_says_of_it(tmp_path: Path) -> None:
    node(tmp_path, 970, "usb-0000:01:00.0-1.2/input0")
    node(tmp_path, 971, "usb-0000:01:00.0-1.3/input1", name="Other")
    node(tmp_path, 972, "usb-0000:01:00.0-1.3/input0", KEYBOARD, "Other")
    (tmp_path / "hidraw973" / "device").mkdir(parents=True)  # pulled while we look
    assert found(tmp_path, port="usb-0000:01:00.0-1.2/input0") == "/dev/hidraw970"
    # The same plug's keyboard is none: what its descriptor says decides.
    assert found(tmp_path, port="usb-0000:01:00.0-1.3") == "/dev/hidraw971"
    assert found(tmp_path, name="Other", usb_id="0C2E:0db3") == "/dev/hidraw971"
    assert "no HID-POS device" in found(tmp_path, usb_id="05e0:1701")


def test_two_of_a_kind_are_not_guessed_at(tmp_path: Path) -> None:
    node(tmp_path, 970, "usb-1.2/input0")
    node(tmp_path, 971, "usb-1.3/input0")
    with pytest.raises(Misconfigured, match="hidraw970, hidraw971") as two:
        open_hid_device(Match(usb_id="0c2e:0db3"), is_scanner, class_dir=tmp_path)
    assert "usb_port" in two.value.hint
    with pytest.raises(Misconfigured, match="no HID device is named"):
        open_hid_device(Match(), is_scanner, class_dir=tmp_path)


@pytest.mark.parametrize("path", ["/etc/hostname", "/dev/null", "/etc"])
def test_what_is_no_hid_device_is_told(path: str) -> None:
    before = open_files()
    with pytest.raises(Misconfigured) as wrong:
        open_hid_device(Match(path=path), is_scanner)
    assert wrong.value.hint
    assert open_files() == before


async def test_a_keyboard_is_no_scanner(tmp_path: Path) -> None:
    sim = HidPosScanner(tmp_path / "hid")
    sim.port.plug()
    (tmp_path / "hid.descriptor").write_bytes(KEYBOARD)
    before = open_files()
    with pytest.raises(Misconfigured, match="another kind"):
        open_hid_device(Match(path=str(sim.port.link)), is_scanner)
    assert open_files() == before
    sim.port.unplug()


async def test_a_report_that_cannot_be_is_no_reader(tmp_path: Path) -> None:
    sim = HidPosScanner(tmp_path / "hid")
    sim.port.plug()
    (tmp_path / "hid.descriptor").write_bytes(AIM_DESCRIPTOR.replace(b"\x85\x02", b"\x86\x2c\x01", 1))
    before = open_files()
    with pytest.raises(DeviceMisbehaved, match="report 300"):
        async with running(HidPosReader(HidPosConfig(path=str(sim.port.link)))):
            await sim.scan(b"7")
    assert open_files() == before
    sim.port.unplug()


async def test_feedback_is_the_configured_report(tmp_path: Path) -> None:
    sim = HidPosScanner(tmp_path / "hid")
    sim.port.plug()
    beep = bytes.fromhex("FD0316070D")
    reader = HidPosReader(HidPosConfig(path=str(sim.port.link), feedback={Signal.ACCEPT: beep}))
    async with running(reader):
        for signal in Signal:
            reader.feedback(signal)
        assert await sim.hear(1) == [beep]
    sim.port.unplug()


def test_a_report_that_no_device_takes_is_told() -> None:
    with pytest.raises(Misconfigured, match="too long"):
        HidPosReader(HidPosConfig(feedback={Signal.ACCEPT: bytes(65)}))
