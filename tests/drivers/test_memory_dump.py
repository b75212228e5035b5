"""A batch handheld's memory: lines in every shape that is configured, and nothing of them lost or made up."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import (
    SCAN_BYTES_MAX,
    DeviceGone,
    Garbled,
    Medium,
    Misconfigured,
    Opened,
    Reader,
    Scan,
    Signal,
    Stored,
)
from drivers.framing.lines import LineFramer
from drivers.framing.memory_dump import NO_SUCH_LINE, MemoryDump, MemoryLine
from drivers.readers.batch import BatchReader, BatchReaderConfig
from drivers.sims.batch_handheld import BatchHandheld
from tests.drivers.reader_rig import open_files, running

AT = datetime(2026, 11, 28, 19, 4, 5)


def read(line: bytes, how: MemoryLine | None = None) -> Stored | Garbled:
    return MemoryDump(how or MemoryLine()).read(Scan(line, Medium.BARCODE, "", 1, 2))


@pytest.mark.parametrize(
    ("how", "line", "code", "at"),
    [
        (MemoryLine(), b"TK1ABC,28/11/26,19:04:05", b"TK1ABC", AT),
        (MemoryLine(), b"]Q1TK1ABC,28/11/26,19:04:05", b"TK1ABC", AT),
        (MemoryLine(), b"a,b,1/2/26,9:04:05", b"a,b", datetime(2026, 2, 1, 9, 4, 5)),
        (MemoryLine('"{code}";"{date}";"{time}";{any}', "YYYY-MM-DD", "HH:MM"), b'"7;8";"2026-11-28";"19:04";1;x',
         b"7;8", AT.replace(second=0)),
        (MemoryLine("{date}{time} {code}", "YYYYMMDD", "HHMMSS"), b"20261128190405 x y", b"x y", AT),
        (MemoryLine("{any}\t{code}\t{time}\t{date}", "MM.DD.YY", "HH.MM.SS"), b"0001\tA\xc3\xa9\t19.04.05\t11.28.26",
         "Aé".encode(), AT),
        (MemoryLine(), b"OLD,00/00/00,00:00:00", b"OLD", None),  # its clock was never set
        (MemoryLine(), b"OLD,31/02/26,19:04:05", b"OLD", None),
    ],
)  # fmt: skip
def test_a_line_is_read_as_it_is_configured(
    how: MemoryLine, line: bytes, code: bytes, at: datetime | None
) -> None:
    found = read(line, how)
    assert isinstance(found, Stored)
    assert (found.scan.data, found.read_at) == (code, at)


@pytest.mark.parametrize(
    "line", [b"*** 12 CODES ***", b",28/11/26,19:04:05", b"TK1ABC,28/11", b"TK1,28/11/26,19:04:05,1"]
)
def test_a_line_of_another_shape_is_none(line: bytes) -> None:
    found = read(line)
    assert isinstance(found, Garbled)
    assert (found.why, found.size) == (NO_SUCH_LINE, len(line))


def test_a_hostile_line_costs_no_more_than_its_length() -> None:
    """A visitor's code of separators alone, cut off by a line end in it: with each `{any}` looked for in every place it took minutes."""
    how = MemoryLine("{any},{any},{any},{code},{date},{time}")
    found = read(b"," * SCAN_BYTES_MAX, how)
    assert isinstance(found, Garbled)
    assert (found.why, found.size) == (NO_SUCH_LINE, SCAN_BYTES_MAX)


@pytest.mark.parametrize(
    "how",
    [
        MemoryLine("{code},{date}"), MemoryLine("{code},{code},{date},{time}"), MemoryLine("{code},{date},{time},{x}"),
        MemoryLine("{code},{date},{time}}"), MemoryLine(date="DD/MM"), MemoryLine(date="DD/DD/YY"),
        MemoryLine(date="DD/MM/YY/YYYY"), MemoryLine(time="HH"), MemoryLine(time="HH:MM:SSpm"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_said_at_once_with_what_to_write(how: MemoryLine) -> None:
    with pytest.raises(Misconfigured) as told:
        MemoryDump(how)
    assert "such as" in told.value.hint


@given(st.binary(max_size=80), st.integers(1, 40))
@settings(max_examples=200)
def test_whatever_a_cradle_sends_is_a_code_or_garbled(data: bytes, cut: int) -> None:
    framer, dump = LineFramer(gap_ns=1, aim=False), MemoryDump(MemoryLine())
    whole = [dump.read(one) for one in [*framer.feed(data, 1), *framer.quiet(9)]]
    again = LineFramer(gap_ns=1, aim=False)
    pieces = [one for at in range(0, len(data), cut) for one in again.feed(data[at : at + cut], 1)]
    split = [dump.read(one) for one in [*pieces, *again.quiet(9)]]
    assert [_plain(one) for one in whole] == [_plain(one) for one in split]


def _plain(one: Stored | Garbled) -> object:
    return (one.scan.data, one.read_at) if isinstance(one, Stored) else (one.why, one.size)


# --- over a real pty ---------------------------------------------------------------------------------------------


async def test_a_docked_memory_is_taken_whole_while_others_are_served(tmp_path: Path) -> None:
    device = BatchHandheld.at(tmp_path / "cradle")
    device.cradle.port.plug()
    codes = [f"TK1-{number:04}" for number in range(300)]
    for code in codes:
        device.read(code, AT)
    reader: Reader = BatchReader(BatchReaderConfig(device.cradle.port.link.as_posix()))
    turns = 0
    async with running(reader) as (listener, _):
        docking = asyncio.create_task(device.dock())
        while len(listener.seen) < 1 + len(codes):
            await asyncio.sleep(0)
            turns += 1
        await docking
    assert isinstance(listener.seen[0], Opened)
    assert [one.scan.data.decode() for one in listener.seen[1:] if isinstance(one, Stored)] == codes
    assert turns > len(codes), "the loop turned at least once for each line"
    assert device.memory == []
    reader.feedback(Signal.ACCEPT)  # says nothing, whoever asks


async def test_a_device_that_is_torn_out_loses_the_line_that_was_not_whole(tmp_path: Path) -> None:
    device, files = BatchHandheld.at(tmp_path / "cradle"), open_files()
    device.cradle.port.plug()
    reader = BatchReader(BatchReaderConfig(str(device.cradle.port.link), gap_ms=2000))
    async with running(reader) as (listener, task):
        await device.cradle.scan(b"A,28/11/26,19:04:05")
        await listener.next()
        await device.cradle.scan(b"HALF,28/11", stop_after=7)
        device.cradle.port.unplug()
        await asyncio.wait({task})
        assert isinstance(task.exception(), DeviceGone)
    assert [one.scan.data for one in listener.seen if isinstance(one, Stored)] == [b"A"]
    assert open_files() == files


async def test_a_memory_of_uids_is_one_of_uids(tmp_path: Path) -> None:
    device = BatchHandheld.at(tmp_path / "cradle")
    device.cradle.port.plug()
    config = BatchReaderConfig(str(device.cradle.port.link), medium=Medium.UID)
    async with running(BatchReader(config)) as (listener, _):
        for code in ("04A1B2C3D4E5F6", "08A1B2C3"):
            device.read(code, AT)
        await device.dock()
        tag, random = await listener.next(), await listener.next()
    assert isinstance(tag, Stored)
    assert (tag.scan.medium, tag.scan.data) == (Medium.UID, bytes.fromhex("04A1B2C3D4E5F6"))
    assert isinstance(random, Garbled), "a random UID is nobody's"
