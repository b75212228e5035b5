"""One suite for every Reader, against its simulator over a real pty."""

import asyncio
import os
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.base import (
    SCAN_BYTES_MAX,
    DeviceGone,
    Garbled,
    Medium,
    Opened,
    Reader,
    ReaderEvent,
    Signal,
)
from drivers.framing.frame import Complete
from drivers.framing.layouts import DE_CH
from drivers.framing.uid import ByteOrder
from drivers.readers.pump import FRAMES_PER_TURN_MAX
from drivers.readers.serial_scanner import SerialReader, SerialReaderConfig
from drivers.readers.wedge import WedgeConfig, WedgeReader
from drivers.sims.keyboard_scanner import KeyboardScanner, KeyboardSetting
from drivers.sims.ports import SimPort
from drivers.sims.serial_scanner import SerialScanner, SerialSetting
from tests.drivers.reader_rig import WAIT_S, open_files, running, scanned, turns


@dataclass(frozen=True, slots=True)
class Code:
    """What the device reads, and what must come out."""

    text: str
    data: bytes


@dataclass(slots=True)
class Rig:
    """A reader and the device's side of it. `send(text, chunk, stop_after)` reads a code."""

    reader: Reader
    port: SimPort
    medium: Medium
    codes: tuple[Code, Code]
    send: Callable[[str, int | None, int | None], Awaitable[None]]
    garbage: Callable[[], Awaitable[None]]
    no_suffix: Callable[[], None]
    terminate: Callable[[], Awaitable[None]]


TEXTS = (Code("TK1-é/AB", "TK1-é/AB".encode()), Code("second", b"second"))
UIDS = (
    Code("04A1B2C3", bytes.fromhex("C3B2A104")),
    Code("04:e1:0c:da:99:3c:80", bytes.fromhex("803C99DA0CE104")),
)


def wedge(link: Path, complete: Complete | None, medium: Medium) -> Rig:
    sim = KeyboardScanner(link, KeyboardSetting(layout=DE_CH))
    config = WedgeConfig(
        path=str(link), layout="de-ch", medium=medium, uid_order=ByteOrder.UID0_LAST, grab=False, gap_ms=30
    )

    async def send(text: str, chunk: int | None, stop_after: int | None) -> None:
        await sim.scan(text, chunk=chunk, stop_after=stop_after)

    async def garbage() -> None:
        # Unknown types and codes, wild values, lonely releases; none of them types.
        await sim.garbage(
            [(0x15, 9, 2**31 - 1), (1, 0x2FE, 1), (1, 30, 0), (4, 4, -1), (1, 113, 1), (0, 0, 0)]
        )

    def no_suffix() -> None:
        sim.setting = KeyboardSetting(layout=DE_CH, suffix="")

    async def terminate() -> None:
        await sim.press((28, 1), (28, 0))

    codes = UIDS if medium is Medium.UID else TEXTS
    return Rig(WedgeReader(config, complete), sim.port, medium, codes, send, garbage, no_suffix, terminate)


def serial(link: Path, complete: Complete | None, medium: Medium) -> Rig:
    sim = SerialScanner(link)
    config = SerialReaderConfig(
        str(link), medium=medium, uid_order=ByteOrder.UID0_LAST, gap_ms=30, feedback={Signal.ACCEPT: b"\a"}
    )

    async def send(text: str, chunk: int | None, stop_after: int | None) -> None:
        await sim.scan(text.encode(), chunk=chunk, stop_after=stop_after)

    async def garbage() -> None:
        await sim.garbage(b"\x00\x00\r\n\x03\x02\r")

    def no_suffix() -> None:
        sim.setting = SerialSetting(suffix=b"")

    async def terminate() -> None:
        await sim.garbage(b"\r\n")

    codes = UIDS if medium is Medium.UID else TEXTS
    return Rig(SerialReader(config, complete), sim.port, medium, codes, send, garbage, no_suffix, terminate)


BUILDERS = {
    "wedge scanner": (wedge, Medium.BARCODE),
    "wedge tag reader": (wedge, Medium.UID),
    "serial scanner": (serial, Medium.BARCODE),
    "serial tag reader": (serial, Medium.UID),
}

Build = Callable[[Complete | None], Rig]


@pytest.fixture(params=BUILDERS)
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    builder, medium = BUILDERS[request.param]
    return lambda complete: builder(tmp_path / "reader", complete, medium)


@pytest.fixture
async def rig(build: Build) -> AsyncIterator[Rig]:
    rig = build(None)
    rig.port.plug()
    yield rig
    rig.port.unplug()


async def test_is_a_reader(rig: Rig) -> None:
    assert isinstance(rig.reader, Reader)


async def test_one_code_is_one_event(rig: Rig) -> None:
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[0].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[0].data)
        await rig.send(rig.codes[1].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[1].data)
        assert len(listener.seen) == 3


async def test_two_codes_back_to_back(rig: Rig) -> None:
    async with running(rig.reader) as (listener, _):
        for code in rig.codes:
            await rig.send(code.text, None, None)
        assert [scanned(await listener.next())[1] for _ in rig.codes] == [code.data for code in rig.codes]


async def test_missing_suffix_ends_by_the_gap(rig: Rig) -> None:
    rig.no_suffix()
    async with running(rig.reader) as (listener, _):
        for code in rig.codes:
            await rig.send(code.text, None, None)
            assert scanned(await listener.next()) == (rig.medium, code.data)


@pytest.mark.parametrize("chunk", [1, 7, 25])
async def test_split_code(rig: Rig, chunk: int) -> None:
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[0].text, chunk, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[0].data)


async def test_garbage_between_codes(rig: Rig) -> None:
    async with running(rig.reader) as (listener, _):
        for code in rig.codes:
            await rig.garbage()
            await rig.send(code.text, None, None)
            assert scanned(await listener.next()) == (rig.medium, code.data)
        await rig.garbage()
        await turns()
        assert len(listener.seen) == 3


async def test_too_long_is_garbled_once(rig: Rig) -> None:
    async with running(rig.reader) as (listener, _):
        await rig.send("0" * (SCAN_BYTES_MAX + 500), None, None)
        await rig.send(rig.codes[0].text, None, None)
        garbled = await listener.next()
        assert isinstance(garbled, Garbled)
        assert (garbled.why, garbled.size) == ("too_long", SCAN_BYTES_MAX + 1)
        assert scanned(await listener.next())[1] == rig.codes[0].data


async def test_unplug_drops_the_partial_code_and_reopening_works(rig: Rig) -> None:
    before = open_files()
    async with running(rig.reader) as (listener, task):
        await rig.send(rig.codes[0].text, None, 6)
        rig.port.unplug()
        with pytest.raises(DeviceGone) as gone:
            await asyncio.wait_for(asyncio.shield(task), WAIT_S)
        assert gone.value.hint
        assert len(listener.seen) == 1  # Opened
    assert open_files() == before - 2  # the simulator's own two
    with pytest.raises(DeviceGone):
        async with running(rig.reader):
            raise AssertionError("opened without a device")
    rig.port.plug()
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[1].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[1].data)


async def test_what_came_before_opening_counts_for_nothing(rig: Rig) -> None:
    await rig.send(rig.codes[0].text, None, None)
    other = os.open(rig.port.link, os.O_RDONLY | os.O_NOCTTY)
    assert select.select([other], [], [], WAIT_S)[0]  # it has reached the driver's side
    os.close(other)
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[1].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[1].data)


async def test_cancel_closes_and_it_can_run_again(rig: Rig) -> None:
    before = open_files()
    for _ in range(3):
        async with running(rig.reader) as (listener, task):
            await rig.send(rig.codes[0].text, None, 6)  # a partial code, its timer running
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(listener.seen) == 1
        assert open_files() == before


async def test_silent_device_stays_open(rig: Rig) -> None:
    async with running(rig.reader) as (listener, task):
        await turns(200)
        assert not task.done()
        assert len(listener.seen) == 1


async def test_feedback_never_raises(rig: Rig) -> None:
    for signal in Signal:
        rig.reader.feedback(signal)
    async with running(rig.reader) as (_, task):
        for signal in Signal:
            rig.reader.feedback(signal)
        rig.port.unplug()
        for signal in Signal:
            rig.reader.feedback(signal)
        with pytest.raises(DeviceGone):
            await asyncio.wait_for(asyncio.shield(task), WAIT_S)
    for signal in Signal:
        rig.reader.feedback(signal)


async def test_complete_text_is_one_scan_and_waits_for_nothing(build: Build) -> None:
    first, second = build(None).codes
    seen_right_after: list[int] = []

    def complete(text: bytes) -> bool:
        if text != first.text.encode():
            return False
        asyncio.get_running_loop().call_soon(lambda: seen_right_after.append(len(listener.seen)))
        return True

    rig = build(complete)
    rig.port.plug()
    rig.no_suffix()
    async with running(rig.reader) as (listener, _):
        await rig.send(first.text, None, None)
        assert scanned(await listener.next())[1] == first.data
        assert seen_right_after == [2]
        await rig.terminate()  # makes neither an empty nor a second scan
        await rig.send(second.text, None, None)
        assert scanned(await listener.next())[1] == second.data
        assert len(listener.seen) == 3
    rig.port.unplug()


async def test_babbling_device_leaves_turns_to_others(rig: Rig) -> None:
    """Codes as fast as the wire takes them: the emits per loop turn stay bounded, and none is lost."""
    per_turn: list[int] = []
    emitted = 0
    done = asyncio.Event()
    count = 300

    def emit(event: ReaderEvent) -> None:
        nonlocal emitted
        if not isinstance(event, Opened):
            emitted += 1
            if emitted == count:
                done.set()

    async def run() -> None:
        await rig.reader.run(emit)

    async def watch() -> None:
        seen = 0
        while seen < count:
            await asyncio.sleep(0)
            per_turn.append(emitted - seen)
            seen = emitted

    task = asyncio.create_task(run())
    await turns(3)
    watcher = asyncio.create_task(watch())
    # As one code that holds line ends, the way a hostile screen sends them.
    rig.no_suffix()
    await rig.send("\r".join(["7"] * count) + "\r", None, None)
    await asyncio.wait_for(done.wait(), WAIT_S)
    task.cancel()
    await asyncio.wait({task})
    await watcher
    assert emitted == count
    assert max(per_turn) <= 2 * FRAMES_PER_TURN_MAX  # a timer's share may fall into the same turn
