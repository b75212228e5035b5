"""One suite for every Reader, against its simulator over a real pty.

Not every protocol can do everything: a rig says whether its device is asked at opening (`asks`), whether what it sends is
checked so that lost bytes cannot make another code of it (`checked`), and whether a code ends where its text ends.
"""

import asyncio
import os
import random
import select
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest

from drivers.base import (
    SCAN_BYTES_MAX,
    DeviceGone,
    DeviceMisbehaved,
    Emit,
    Garbled,
    Medium,
    Opened,
    Reader,
    ReaderEvent,
    Scan,
    Signal,
    Stored,
)
from drivers.framing.frame import Complete
from drivers.framing.hid_pos import PLAIN_SHAPE
from drivers.framing.layouts import DE_CH
from drivers.framing.ssi import DECODER, Op, encode
from drivers.framing.uid import ByteOrder
from drivers.readers.batch import BatchReader, BatchReaderConfig
from drivers.readers.hid_pos import HidPosConfig, HidPosReader
from drivers.readers.pn532 import Pn532Config, Pn532Reader
from drivers.readers.pump import FRAMES_PER_TURN_MAX
from drivers.readers.serial_scanner import SerialReader, SerialReaderConfig
from drivers.readers.ssi import SsiReader, SsiReaderConfig
from drivers.readers.twn4 import Twn4Config, Twn4Reader
from drivers.readers.wedge import WedgeConfig, WedgeReader
from drivers.sims.hid_pos_scanner import PLAIN_DESCRIPTOR, HidPosPort, HidPosScanner, HidPosSetting
from drivers.sims.keyboard_scanner import KeyboardScanner, KeyboardSetting
from drivers.sims.ports import SimPort
from drivers.sims.serial_scanner import SerialScanner, SerialSetting
from drivers.sims.ssi_scanner import SsiScanner, SsiScannerSetting
from drivers.sims.tag_reader import Pn532Chip, TagReader, Twn4Device
from tests.drivers.reader_rig import WAIT_S, Listener, open_files, running, scanned, turns


@dataclass(frozen=True, slots=True)
class Code:
    """What the device reads, and what must come out."""

    text: str
    data: bytes


@dataclass(slots=True)
class Rig:
    """A reader and the device's side of it. `sim_files`: how many files the simulator has open while nobody reads.

    `send(text, chunk, stop_after)` reads a code. `burst(count)`: so many codes as fast as the wire takes them. `asks`: the
    device must answer to be open; `hush` makes it silent, `misread` sets it to another speed. `checked`: what is lost
    is noticed; `lose` makes a fifth of all packets go lost, and `send` returns whether the code was acknowledged. `by_text`: a code can say itself that it is complete.
    `when_asked`: the device says nothing unless it is asked, so it can neither be too long nor babble.
    """

    reader: Reader
    port: SimPort | HidPosPort
    medium: Medium
    codes: tuple[Code, Code]
    send: Callable[[str, int | None, int | None], Awaitable[object]]
    garbage: Callable[[], Awaitable[None]]
    no_suffix: Callable[[], None]
    terminate: Callable[[], Awaitable[None]]
    burst: Callable[[int], Awaitable[None]]
    asks: bool = False
    checked: bool = False
    tells_garbage: bool = False
    by_text: bool = True
    sim_files: int = 2
    hush: Callable[[], None] = lambda: None
    misread: Callable[[], None] = lambda: None
    lose: Callable[[], None] = lambda: None
    when_asked: bool = False
    many: Callable[[int], str] = lambda number: f"code {number}"
    slowly: Callable[[str], Coroutine[None, None, None]] | None = None
    """Where a pause is told by the events' own times, and not by when their bytes come."""


TEXTS = (Code("TK1-é/AB", "TK1-é/AB".encode()), Code("second", b"second"))
ASKED_UIDS = (
    Code("04E10CDA993C80", bytes.fromhex("04E10CDA993C80")),
    Code("D1AA40EA", bytes.fromhex("D1AA40EA")),
)
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

    async def burst(count: int) -> None:
        # As one code that holds line ends, the way a hostile screen sends them.
        no_suffix()
        await sim.scan("\r".join(["7"] * count) + "\r")

    codes = UIDS if medium is Medium.UID else TEXTS

    async def slowly(text: str) -> None:
        await sim.scan(text, key_s=0.001)

    reader = WedgeReader(config, complete)
    return Rig(reader, sim.port, medium, codes, send, garbage, no_suffix, terminate, burst, slowly=slowly)


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

    async def burst(count: int) -> None:
        no_suffix()
        await sim.scan(b"\r".join([b"7"] * count) + b"\r")

    codes = UIDS if medium is Medium.UID else TEXTS
    reader = SerialReader(config, complete)
    return Rig(reader, sim.port, medium, codes, send, garbage, no_suffix, terminate, burst)


class Unstored:
    """A batch reader as this suite sees one: each stored code as if it were read now."""

    reports_removal = False

    def __init__(self, reader: BatchReader) -> None:
        self._reader = reader

    async def run(self, emit: Emit) -> NoReturn:
        await self._reader.run(lambda event: emit(event.scan if isinstance(event, Stored) else event))

    def feedback(self, signal: Signal) -> None:
        self._reader.feedback(signal)


def batch(link: Path, complete: Complete | None, medium: Medium) -> Rig:
    read = b",28/11/26,19:04:05"
    sim = SerialScanner(link, SerialSetting(suffix=read + b"\r\n"))
    config = BatchReaderConfig(str(link), medium=medium, uid_order=ByteOrder.UID0_LAST, gap_ms=30)

    async def send(text: str, chunk: int | None, stop_after: int | None) -> None:
        await sim.scan(text.encode(), chunk=chunk, stop_after=stop_after)

    async def garbage() -> None:
        await sim.garbage(b"\x00\x00\r\n\x03\x02\r")

    def no_suffix() -> None:
        sim.setting = SerialSetting(suffix=read)

    async def terminate() -> None:
        await sim.garbage(b"\r\n")

    async def burst(count: int) -> None:
        await sim.garbage((b"7" + read + b"\r") * count)

    codes = UIDS if medium is Medium.UID else TEXTS
    reader = Unstored(BatchReader(config))
    return Rig(reader, sim.port, medium, codes, send, garbage, no_suffix, terminate, burst, by_text=False)


def hid_pos(link: Path, setting: HidPosSetting) -> Rig:
    sim = HidPosScanner(link, setting)
    # A report is whole or is not there: half a code is a code of which only the first report came.
    codes = (Code("TK1-é/AB" * 20, ("TK1-é/AB" * 20).encode()), Code("second", b"second"))

    async def send(text: str, chunk: int | None, stop_after: int | None) -> None:
        await sim.scan(text.encode(), stop_after=None if stop_after is None else 1)

    async def garbage() -> None:
        for report in (b"\x02", b"\x05\xff\xff", b"\x02\xff]Q1AB", bytes([2, 0, *bytes(62)]), b"\x03" * 64):
            await sim.port.send(report)

    async def nothing() -> None:
        return

    async def burst(count: int) -> None:
        for _ in range(count):
            await sim.scan(b"7")

    config = HidPosConfig(path=str(link), feedback={Signal.ACCEPT: bytes.fromhex("FD0316070D")})
    return Rig(
        HidPosReader(config),
        sim.port,
        Medium.BARCODE,
        codes,
        send,
        garbage,
        lambda: None,
        nothing,
        burst,
        by_text=False,
        tells_garbage=True,
        sim_files=1,
    )


def hid_pos_aim(link: Path, complete: Complete | None, medium: Medium) -> Rig:
    return hid_pos(link, HidPosSetting())


def hid_pos_plain(link: Path, complete: Complete | None, medium: Medium) -> Rig:
    return hid_pos(link, HidPosSetting(PLAIN_DESCRIPTOR, PLAIN_SHAPE, aim=b""))


def set_to(sim: TagReader | SsiScanner, **changed: object) -> Callable[[], None]:
    """What has a simulator behave otherwise from now on."""

    def apply() -> None:
        sim.setting = replace(sim.setting, **changed)  # type: ignore[arg-type]

    return apply


def asked_tags(sim: TagReader, reader: Reader) -> Rig:
    chance = random.Random(5)

    async def send(text: str, chunk: int | None, stop_after: int | None) -> bool:
        sim.setting = replace(
            sim.setting, chunk=chunk or 4096, stop_after=-1 if stop_after is None else stop_after
        )
        if stop_after is not None:
            sim.tag = bytes.fromhex(text)
            told = sim.told
            async with asyncio.timeout(WAIT_S):
                while sim.told == told:
                    await asyncio.sleep(0.002)
            sim.tag = b""
            sim.setting = replace(sim.setting, stop_after=-1)
            return False
        return await asyncio.wait_for(sim.tap(bytes.fromhex(text)), WAIT_S)

    async def garbage() -> None:
        await sim.port.send(b"\x00\xff\x00\x00\xff\x05\xfb\xd5" + b"zz\r")

    async def nothing() -> None:
        return

    async def burst(count: int) -> None:
        raise AssertionError("it says nothing unless it is asked")

    return Rig(
        reader,
        sim.port,
        Medium.UID,
        ASKED_UIDS,
        send,
        garbage,
        lambda: None,
        nothing,
        burst,
        asks=True,
        checked=True,
        tells_garbage=True,
        by_text=False,
        when_asked=True,
        hush=set_to(sim, silent=True),
        misread=set_to(sim, speed=termios.B57600),
        lose=set_to(sim, lose=lambda _number: chance.random() < 0.2),
        many=lambda number: f"04{number:012X}",
    )


def pn532(link: Path, complete: Complete | None, medium: Medium) -> Rig:
    return asked_tags(Pn532Chip(link), Pn532Reader(Pn532Config(str(link), gap_ms=30, answer_ms=80)))


def twn4(link: Path, complete: Complete | None, medium: Medium) -> Rig:
    return asked_tags(Twn4Device(link), Twn4Reader(Twn4Config(str(link), gap_ms=30, answer_ms=80)))


def ssi(link: Path, complete: Complete | None, medium: Medium) -> Rig:
    sim = SsiScanner(link, SsiScannerSetting(response_s=0.1))
    chance = random.Random(5)
    config = SsiReaderConfig(
        str(link),
        beeps={Signal.ACCEPT: 1, Signal.REJECT: 15},
        lights={Signal.ACCEPT: 1},
        pause=True,
        answer_ms=100,
        gap_ms=30,
    )

    async def send(text: str, chunk: int | None, stop_after: int | None) -> bool:
        return await sim.scan(text.encode(), chunk=chunk, stop_after=stop_after)

    async def garbage() -> None:
        await sim.send(b"\x00\xff\x06\xf3\x00AT\r\x04\x04")

    async def nothing() -> None:
        return

    async def burst(count: int) -> None:
        await sim.send(encode(Op.DECODE_DATA, b"\x1c7", source=DECODER) * count)

    return Rig(
        SsiReader(config),
        sim.port,
        medium,
        TEXTS,
        send,
        garbage,
        lambda: None,
        nothing,
        burst,
        asks=True,
        checked=True,
        tells_garbage=True,
        by_text=False,
        hush=set_to(sim, silent=True),
        misread=set_to(sim, speed=termios.B115200),
        lose=set_to(sim, lose=lambda _number: chance.random() < 0.2),
    )


BUILDERS = {
    "wedge scanner": (wedge, Medium.BARCODE),
    "wedge tag reader": (wedge, Medium.UID),
    "serial scanner": (serial, Medium.BARCODE),
    "serial tag reader": (serial, Medium.UID),
    "batch handheld": (batch, Medium.BARCODE),
    "batch handheld of tags": (batch, Medium.UID),
    "ssi scanner": (ssi, Medium.BARCODE),
    "hid-pos scanner with identifier": (hid_pos_aim, Medium.BARCODE),
    "hid-pos scanner without": (hid_pos_plain, Medium.BARCODE),
    "pn532": (pn532, Medium.UID),
    "twn4": (twn4, Medium.UID),
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


async def next_scan(rig: Rig, listener: Listener) -> ReaderEvent:
    """Return the next scan. Only a protocol with packets can tell garbage from a code, and says so."""
    event = await listener.next()
    while rig.tells_garbage and isinstance(event, Garbled):
        event = await listener.next()
    return event


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
            assert scanned(await next_scan(rig, listener)) == (rig.medium, code.data)
        await rig.garbage()
        await turns()
        assert len([one for one in listener.seen if isinstance(one, Scan)]) == 2


async def test_too_long_is_garbled_once(rig: Rig) -> None:
    if rig.when_asked:
        pytest.skip("its answers have a length of their own")
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
    assert open_files() == before - rig.sim_files
    with pytest.raises(DeviceGone):
        async with running(rig.reader):
            raise AssertionError("opened without a device")
    rig.port.plug()
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[1].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[1].data)


async def test_what_came_before_opening_counts_for_nothing(rig: Rig) -> None:
    if rig.when_asked:
        pytest.skip("nothing comes before it is asked")
    await rig.send(rig.codes[0].text, None, None)
    if isinstance(rig.port, SimPort):
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
    if not build(None).by_text:
        pytest.skip("its packets say where a code ends")
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
    if rig.when_asked:
        pytest.skip("what nobody asked for is no code: test_tag_readers.py")
    per_turn: list[int] = []
    emitted = 0
    opened, done = asyncio.Event(), asyncio.Event()
    count = 300

    def emit(event: ReaderEvent) -> None:
        nonlocal emitted
        if isinstance(event, Opened):
            opened.set()
        else:
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
    await asyncio.wait_for(opened.wait(), WAIT_S)
    watcher = asyncio.create_task(watch())
    await rig.burst(count)
    await asyncio.wait_for(done.wait(), WAIT_S)
    task.cancel()
    await asyncio.wait({task})
    await watcher
    assert emitted == count
    assert max(per_turn) <= 2 * FRAMES_PER_TURN_MAX  # a timer's share may fall into the same turn


async def test_delayed_bytes_make_one_code(rig: Rig) -> None:
    """A slow line pauses within a code, shorter than the gap."""
    async with running(rig.reader) as (listener, _):
        if rig.slowly is None:
            rig.port.slow_s = 0.001
            sending = asyncio.ensure_future(rig.send(rig.codes[0].text, 7, None))
        else:
            sending = asyncio.ensure_future(rig.slowly(rig.codes[0].text))
        assert scanned(await listener.next()) == (rig.medium, rig.codes[0].data)
        await sending


async def test_with_a_fifth_lost_what_is_acknowledged_is_one_scan_and_nothing_else_is(rig: Rig) -> None:
    if not rig.checked:
        pytest.skip("nothing in what it sends can tell that something is missing")
    async with running(rig.reader) as (listener, task):
        rig.lose()
        said = {}
        for text in (rig.many(number) for number in range(24 if rig.when_asked else 40)):
            code = bytes.fromhex(text) if rig.medium is Medium.UID else text.encode()
            said[code] = await rig.send(text, None, None)
        await turns()
        assert not task.done()
        codes = [one.data for one in listener.seen if isinstance(one, Scan)]
        assert len(codes) == len(set(codes))
        assert {code for code, acknowledged in said.items() if acknowledged} <= set(codes) <= set(said)
        assert len(codes) > 20


async def test_a_device_that_never_answers_is_gone(rig: Rig) -> None:
    if not rig.asks:
        pytest.skip("it is not asked anything")
    rig.hush()
    with pytest.raises(DeviceGone) as gone:
        async with running(rig.reader):
            raise AssertionError("opened without an answer")
    assert gone.value.hint


async def test_wrong_speed_is_told(rig: Rig) -> None:
    if not rig.asks:
        pytest.skip("what comes at another speed is other text, and nobody can tell")
    rig.misread()
    with pytest.raises((DeviceMisbehaved, DeviceGone)) as wrong:
        async with running(rig.reader):
            raise AssertionError("opened at another speed")
    assert "baud" in wrong.value.hint


@pytest.mark.parametrize("kind", BUILDERS)
async def test_two_of_one_kind_that_swap_ports_each_read_for_the_port(kind: str, tmp_path: Path) -> None:
    builder, medium = BUILDERS[kind]
    one, other = (builder(tmp_path / name, None, medium) for name in ("left", "right"))
    for rig in (one, other):
        rig.port.plug()
    async with running(one.reader) as (left, _), running(other.reader) as (right, _):
        await one.send(one.codes[0].text, None, None)
        await other.send(other.codes[1].text, None, None)
        assert scanned(await left.next())[1] == one.codes[0].data
        assert scanned(await right.next())[1] == other.codes[1].data
    for rig in (one, other):
        rig.port.unplug()
    # The devices change places; what is read at a port is read there, whichever device it is.
    one.port.link, other.port.link = other.port.link, one.port.link
    for rig in (one, other):
        rig.port.plug()
    async with running(one.reader) as (left, _), running(other.reader) as (right, _):
        await one.send(one.codes[0].text, None, None)
        await other.send(other.codes[1].text, None, None)
        assert scanned(await left.next())[1] == other.codes[1].data
        assert scanned(await right.next())[1] == one.codes[0].data
    for rig in (one, other):
        rig.port.unplug()
