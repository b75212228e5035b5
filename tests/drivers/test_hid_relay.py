"""HID relay boards: which of several it is, and what becomes of one that is silent, another one, or nonsense."""

from pathlib import Path

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, Misconfigured
from drivers.relays.hid import HidBoard, HidOutputs
from drivers.sims.hid_relay import HidRelay
from drivers.sims.served import Service
from drivers.transport.hid_features import nodes


def node(folder: Path, number: int, hid_id: str, port: str) -> None:
    device = folder / f"hidraw{number}" / "device"
    device.mkdir(parents=True)
    device.joinpath("uevent").write_text(f"HID_ID={hid_id}\nHID_NAME=USBRelay2\nHID_PHYS={port}\n")


def test_boards_are_found_by_make_and_socket(tmp_path: Path) -> None:
    node(tmp_path, 0, "0003:000005E0:00001200", "usb-1/input0")
    node(tmp_path, 1, "0003:000016C0:000005DF", "usb-2/input0")
    node(tmp_path, 2, "0003:000016C0:000005DF", "usb-3/input0")
    (tmp_path / "hidraw3").mkdir()  # pulled while we looked
    assert nodes("16C0:05DF", "", tmp_path) == ["/dev/hidraw1", "/dev/hidraw2"]
    assert nodes("16c0:05df", "usb-3", tmp_path) == ["/dev/hidraw2"]
    assert nodes("16c0:05df", "usb-3/input0", tmp_path) == ["/dev/hidraw2"]
    assert nodes("16c0:05df", "usb-9", tmp_path) == []


def test_the_wrong_one_of_two_swapped_boards_is_gone_and_switches_nothing(tmp_path: Path) -> None:
    board = HidRelay(2, tmp_path / "hidraw0", name="OTHER")
    with Service(board):
        with pytest.raises(DeviceGone, match="OTHER") as failure:
            HidOutputs(HidBoard(2, board.path, name="BITFT")).open()
        assert "Put the boards back" in failure.value.hint
        assert not board.changes
    board.close()


@pytest.mark.parametrize("trouble", ["mute", "garbled"])
def test_a_board_that_says_nothing_or_nonsense(tmp_path: Path, trouble: str) -> None:
    board = HidRelay(2, tmp_path / "hidraw0")
    with Service(board):
        outputs = HidOutputs(HidBoard(2, board.path))
        outputs.open()
        setattr(board, trouble, True)
        told = DeviceGone if trouble == "mute" else DeviceMisbehaved
        with pytest.raises(told) as failure:
            outputs.look()
        assert failure.value.hint
        with pytest.raises(told):
            outputs.set(0, True)
        outputs.close()
    board.close()


def test_a_file_that_is_no_hid_device_is_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with pytest.raises(DeviceMisbehaved) as failure:
        HidOutputs(HidBoard(2, str(plain))).open()
    assert "lsusb" in failure.value.hint


def test_a_board_has_one_two_four_or_eight_relays() -> None:
    with pytest.raises(Misconfigured):
        HidOutputs(HidBoard(3))
