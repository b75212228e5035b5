"""What belongs to one kind of reader or transport only."""

import asyncio
import stat
import struct
from pathlib import Path

import pytest

from drivers.base import (
    DeviceGone,
    Garbled,
    Misconfigured,
    Scan,
    Signal,
)
from drivers.readers.serial_scanner import SerialReader, SerialReaderConfig
from drivers.readers.wedge import WedgeConfig, WedgeReader
from drivers.sims.keyboard_scanner import KeyboardScanner, KeyboardSetting
from drivers.sims.ports import SimPort
from drivers.sims.serial_scanner import SerialScanner, SerialSetting
from drivers.transport.evdev import EventDevice, Identity, Match, open_event_device
from drivers.transport.serial_port import Line, Parity, SerialPort
from tests.drivers.reader_rig import WAIT_S, open_files, running, scanned, turns


async def test_serial_feedback_reaches_the_device(tmp_path: Path) -> None:
    sim = SerialScanner(tmp_path / "tty")
    sim.port.plug()
    config = SerialReaderConfig(str(sim.port.link), feedback={Signal.ACCEPT: b"\a", Signal.REJECT: b"F"})
    reader = SerialReader(config)
    async with running(reader):
        for signal in (Signal.ACCEPT, Signal.WAIT, Signal.REJECT):
            reader.feedback(signal)
        assert await asyncio.wait_for(sim.hear(2), WAIT_S) == b"\aF"
    sim.port.unplug()


async def test_only_what_stands_between_stx_and_etx_is_a_code(tmp_path: Path) -> None:
    sim = SerialScanner(tmp_path / "tty", SerialSetting(prefix=b"\x02", suffix=b"\x03"))
    sim.port.plug()
    config = SerialReaderConfig(str(sim.port.link), envelope=True, gap_ms=30)
    async with running(SerialReader(config)) as (listener, _):
        await sim.garbage(b"half a code\r\n")
        await sim.scan(b"A\rB", chunk=1)
        assert scanned(await listener.next())[1] == b"A\rB"
        await sim.scan(b"no end", stop_after=5)
        garbled = await listener.next()
        assert isinstance(garbled, Garbled)
        assert garbled.why == "cut"
    sim.port.unplug()


def test_ends_of_two_kinds_are_told() -> None:
    with pytest.raises(Misconfigured, match="ETX"):
        SerialReader(SerialReaderConfig("x", binary=True, envelope=True))


async def test_binary_codes_over_serial(tmp_path: Path) -> None:
    sim = SerialScanner(tmp_path / "tty", SerialSetting(suffix=b"", aim=b"]Q1"))
    sim.port.plug()
    code = bytes(range(256))
    async with running(SerialReader(SerialReaderConfig(str(sim.port.link), binary=True))) as (listener, _):
        await sim.scan(code, chunk=50)
        event = await listener.next()
        assert isinstance(event, Scan)
        assert (event.aim, event.data) == ("Q1", code)
    sim.port.unplug()


async def test_wedge_lost_events_garble_one_code(tmp_path: Path) -> None:
    sim = KeyboardScanner(tmp_path / "event0")
    sim.port.plug()
    async with running(WedgeReader(WedgeConfig(path=str(sim.port.link), grab=False))) as (listener, _):
        await sim.scan("lost", stop_after=8)
        await sim.drop_events()
        await sim.scan("rest")
        await sim.scan("next")
        garbled = await listener.next()
        assert isinstance(garbled, Garbled)
        assert garbled.why == "events_lost"
        assert scanned(await listener.next())[1] == b"next"
    sim.port.unplug()


async def test_wedge_caps_lock_and_alt_mode(tmp_path: Path) -> None:
    sim = KeyboardScanner(tmp_path / "event0")
    sim.port.plug()
    async with running(WedgeReader(WedgeConfig(path=str(sim.port.link), grab=False, layout="fr"))) as (
        listener,
        _,
    ):
        sim.setting = KeyboardSetting(alt_mode=True, aim="]Q1")
        await sim.scan("TK1é-_/")
        assert scanned(await listener.next())[1] == "TK1é-_/".encode()
        sim.setting = KeyboardSetting()
        await sim.press_caps_lock()
        await sim.scan("bCd")
        assert scanned(await listener.next())[1] == b"bCd"
    sim.port.unplug()


@pytest.mark.parametrize("gap_ms", [0, -1, 2001])
def test_gap_out_of_bounds(gap_ms: int) -> None:
    with pytest.raises(Misconfigured, match="gap_ms"):
        WedgeReader(WedgeConfig(path="x", gap_ms=gap_ms))
    with pytest.raises(Misconfigured, match="gap_ms"):
        SerialReader(SerialReaderConfig("x", gap_ms=gap_ms))


def test_unknown_layout_names_the_known() -> None:
    with pytest.raises(Misconfigured) as error:
        WedgeReader(WedgeConfig(path="x", layout="ch"))
    assert "de-ch" in error.value.hint


def test_serial_port_that_is_none(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    before = open_files()
    with pytest.raises(DeviceGone):
        SerialPort(str(tmp_path / "absent"))
    with pytest.raises(Misconfigured) as error:
        SerialPort(str(plain))
    assert "/dev/serial" in error.value.hint
    assert open_files() == before


async def test_serial_port_refuses_a_wrong_line_and_a_second_owner(tmp_path: Path) -> None:
    port = SimPort(tmp_path / "tty")
    port.plug()
    with pytest.raises(Misconfigured):
        SerialPort(str(port.link), Line(baud=-1))
    with pytest.raises(Misconfigured):
        SerialPort(str(port.link), Line(data_bits=9))
    first = SerialPort(str(port.link), Line(baud=115200, parity=Parity.NONE))
    with pytest.raises(DeviceGone, match="in use") as taken:
        SerialPort(str(port.link))
    assert "ModemManager" in taken.value.hint
    first.close()
    SerialPort(str(port.link)).close()
    port.unplug()


async def test_input_device_that_is_none(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    port = SimPort(tmp_path / "tty")
    port.plug()
    before = open_files()
    with pytest.raises(DeviceGone):
        open_event_device(Match(path=str(tmp_path / "absent")))
    with pytest.raises(Misconfigured, match="plain file"):
        open_event_device(Match(path=str(plain)), grab=False)
    for path in (plain, port.link):  # neither can be grabbed
        with pytest.raises(Misconfigured, match="no input device"):
            open_event_device(Match(path=str(path)))
    with pytest.raises(Misconfigured, match="no input device is named"):
        open_event_device(Match())
    with pytest.raises(DeviceGone, match="no input device with"):
        open_event_device(Match(name="Scanner"), input_dir=tmp_path)
    assert open_files() == before
    port.unplug()


def test_unplugged_input_device_says_enodev() -> None:
    """The kernel's answer after an unplug; a pty and umockdev only know end of file."""
    event = struct.pack("@llHHi", 1, 500, 1, 30, 1)
    answers: list[bytes | OSError] = [event, BlockingIOError(), OSError(19, "No such device")]

    def read(fd: int, size: int) -> bytes:
        assert (fd, size) == (-1, 4096)
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    device = EventDevice(
        -1, Identity("/dev/input/event3"), own_clock=True, read=read, now_ns=lambda: 2 * 10**9
    )
    assert device.receive() == ([(1, 30, 1, 1_000_500_000)], 2 * 10**9)
    assert device.receive() is None
    with pytest.raises(DeviceGone, match="No such device"):
        device.receive()


def test_event_times_never_run_backwards_or_ahead() -> None:
    times = [(5, 0), (3, 0), (2**40, 0), (-9, 0)]
    data = b"".join(struct.pack("@llHHi", *at, 1, 30, 1) for at in times)
    pieces = [data[:30], data[30:]]  # cut inside an event, as a pty may

    def read(_fd: int, _size: int) -> bytes:
        return pieces.pop(0)

    device = EventDevice(-1, Identity("x"), own_clock=True, read=read, now_ns=lambda: 10 * 10**9)
    got = [event.at_ns // 10**9 for _ in range(2) for event in (device.receive() or ([], 0))[0]]
    assert got == [5, 5, 10, 10]


async def test_sim_port_appears_and_goes(tmp_path: Path) -> None:
    port = SimPort(tmp_path / "tty")
    assert not port.plugged
    await port.send(b"nobody hears")
    port.plug()
    port.plug()
    first = str(port.link.readlink())
    assert stat.S_ISCHR(port.link.stat().st_mode)
    sending = asyncio.create_task(port.send(b"x" * 200_000))  # more than a pty holds
    await turns()
    assert not sending.done()
    port.unplug()
    await asyncio.wait_for(sending, WAIT_S)
    assert not port.link.is_symlink()
    port.unplug()
    port.plug()
    assert str(port.link.readlink()).rpartition("/")[0] == first.rpartition("/")[0]
    port.unplug()
