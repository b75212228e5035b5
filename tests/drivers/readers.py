"""A rig for each reader: the driver, its simulator over the real transport, and how the device is made to read.

Not every protocol can do everything: a rig says whether its device is asked at opening (`asks`), whether what it sends is
checked so that lost bytes cannot make another code of it (`checked`), and whether a code ends where its text ends.
"""

import asyncio
import random
import termios
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from drivers.base import (
    SCAN_BYTES_MAX,
    Emit,
    Medium,
    Reader,
    Signal,
    Stored,
)
from drivers.framing.frame import Complete
from drivers.framing.hid_pos import PLAIN_SHAPE
from drivers.framing.layouts import DE_CH
from drivers.framing.osdp import Carries
from drivers.framing.ssi import DECODER, Op, encode
from drivers.framing.tag_host import Patience
from drivers.framing.uid import ByteOrder
from drivers.framing.wiegand import BIT_COUNT, BITS_MAX, Bits, WiegandForm
from drivers.readers.batch import BatchReader, BatchReaderConfig
from drivers.readers.hid_pos import HidPosConfig, HidPosReader
from drivers.readers.osdp import OsdpConfig, OsdpReader
from drivers.readers.pcsc import PcscConfig, PcscReader
from drivers.readers.pn532 import Pn532Config, Pn532Reader
from drivers.readers.pump import GAP_MS_MAX
from drivers.readers.serial_scanner import SerialReader, SerialReaderConfig
from drivers.readers.ssi import SsiReader, SsiReaderConfig
from drivers.readers.twn4 import Twn4Config, Twn4Reader
from drivers.readers.wedge import WedgeConfig, WedgeReader
from drivers.readers.wiegand import WiegandConfig, WiegandReader
from drivers.sims.gpio_chip import SimChips
from drivers.sims.hid_pos_scanner import PLAIN_DESCRIPTOR, HidPosPort, HidPosScanner, HidPosSetting
from drivers.sims.keyboard_scanner import KeyboardScanner, KeyboardSetting
from drivers.sims.osdp_reader import OsdpBus, OsdpDevice
from drivers.sims.pcsc_service import ContactlessCard, SimService
from drivers.sims.ports import SimPort
from drivers.sims.serial_scanner import SerialScanner, SerialSetting
from drivers.sims.ssi_scanner import SsiScanner, SsiScannerSetting
from drivers.sims.tag_reader import Pn532Chip, TagReader, Twn4Device, Type2Memory
from drivers.sims.wiegand_reader import WiegandPort, WiegandSim, frame
from drivers.transport.gpiochip import EDGES_KEPT
from tests.drivers.reader_rig import WAIT_S


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a driver waits for what does not come: quiet that ends a code, an answer to a question, a sign of life.

    Drivers and simulators share a loop here, and a busy machine may keep it from both for a tenth of a second: a simulator that
    pauses within a code then pauses for longer than any venue's device would, and the driver is right to cut it.
    """

    gap_ms: int
    answer_ms: int
    patience: Patience
    silent_ns: int


SILENT_NS = 5_000_000_000
PATIENT = Pace(GAP_MS_MAX, 300, Patience(10_000_000, SILENT_NS, SILENT_NS), SILENT_NS)
"""Where nothing is to end by waiting: a stall must last for seconds to be taken for the device's silence."""
SSI_ANSWER_MS_MIN = 200
"""An acknowledgement that comes later than the scanner waits counts for its next packet, as SSI has no numbers: a stall must not make one."""
AT_A_VENUE = Pace(30, 80, Patience(), SILENT_NS)
"""As a gate waits: for what is measured."""
BRISK = Pace(30, 40, Patience(10_000_000, SILENT_NS, 400_000_000), 600_000_000)
"""Where something is: what the device sends then comes in one piece, or not at all."""


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
    port: "SimPort | HidPosPort | WiegandPort | PcscPort"
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
    too_long: tuple[str, int] = ("too_long", SCAN_BYTES_MAX + 1)
    """What is said of something that has no end."""
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


def wedge(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    sim = KeyboardScanner(link, KeyboardSetting(layout=DE_CH))
    config = WedgeConfig(
        path=str(link),
        layout="de-ch",
        medium=medium,
        uid_order=ByteOrder.UID0_LAST,
        grab=False,
        gap_ms=pace.gap_ms,
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


def serial(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    sim = SerialScanner(link)
    config = SerialReaderConfig(
        str(link),
        medium=medium,
        uid_order=ByteOrder.UID0_LAST,
        gap_ms=pace.gap_ms,
        feedback={Signal.ACCEPT: b"\a"},
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


def batch(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    read = b",28/11/26,19:04:05"
    sim = SerialScanner(link, SerialSetting(suffix=read + b"\r\n"))
    config = BatchReaderConfig(str(link), medium=medium, uid_order=ByteOrder.UID0_LAST, gap_ms=pace.gap_ms)

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


def hid_pos_aim(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    return hid_pos(link, HidPosSetting())


def hid_pos_plain(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    return hid_pos(link, HidPosSetting(PLAIN_DESCRIPTOR, PLAIN_SHAPE, aim=b""))


def set_to(sim: TagReader | SsiScanner, **changed: object) -> Callable[[], None]:
    """What has a simulator behave otherwise from now on."""

    def apply() -> None:
        sim.setting = replace(sim.setting, **changed)  # type: ignore[arg-type]

    return apply


def asked_tags(sim: TagReader, reader: Reader) -> Rig:
    chance = random.Random(5)
    loses_nothing = sim.setting.lose

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
        # Where answers get lost, what is asked twice is answered twice, and the host hears one of the two.
        times = 1 if sim.setting.lose is loses_nothing else 2
        return await asyncio.wait_for(sim.tap(bytes.fromhex(text), times), WAIT_S)

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


def pn532(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    return asked_tags(
        Pn532Chip(link),
        Pn532Reader(
            Pn532Config(str(link), gap_ms=pace.gap_ms, answer_ms=pace.answer_ms, patience=pace.patience)
        ),
    )


def twn4(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    return asked_tags(
        Twn4Device(link),
        Twn4Reader(
            Twn4Config(str(link), gap_ms=pace.gap_ms, answer_ms=pace.answer_ms, patience=pace.patience)
        ),
    )


def ssi(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    sim = SsiScanner(link, SsiScannerSetting(response_s=max(pace.answer_ms, SSI_ANSWER_MS_MIN) / 1000))
    chance = random.Random(5)
    config = SsiReaderConfig(
        str(link),
        beeps={Signal.ACCEPT: 1, Signal.REJECT: 15},
        lights={Signal.ACCEPT: 1},
        pause=True,
        answer_ms=max(pace.answer_ms, SSI_ANSWER_MS_MIN),
        gap_ms=pace.gap_ms,
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


def wiegand(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    sim = WiegandSim(link)
    sim.bit_ns = 300_000
    # A card as it is printed (facility and number), and the form in which it must come out.
    codes = (
        Code("041,41394", bytes.fromhex("571A00000029A1B2")),
        Code("255,65535", bytes.fromhex("571A000000FFFFFF")),
    )

    def bits_of(text: str) -> str:
        facility, _, card = text.partition(",")
        return frame(int(facility), int(card)) if card else text

    async def send(text: str, chunk: int | None, stop_after: int | None) -> None:
        # Of something without an end so much as the kernel keeps: what is beyond is lost, and told otherwise.
        sim.send(bits_of(text)[:stop_after][:EDGES_KEPT], chunk=chunk)

    async def slowly(text: str) -> None:
        sim.bit_ns = 15_000_000
        sim.send(bits_of(text))

    async def garbage() -> None:
        sim.glitch()
        sim.send("1" * 26, "01" * 17)

    async def nothing() -> None:
        return

    async def burst(count: int) -> None:
        since_ns = time.monotonic_ns() - count * 100_000_000
        for number in range(count):
            sim.send(frame(1, number), since_ns=since_ns)
            await asyncio.sleep(0)

    form = WiegandForm(Bits.W26)
    reader = WiegandReader(WiegandConfig(link.name, 0, 1, form), SimChips(str(link.parent)))
    return Rig(
        reader,
        sim.port,
        medium,
        codes,
        send,
        garbage,
        lambda: None,
        nothing,
        burst,
        by_text=False,
        tells_garbage=True,
        sim_files=0,
        too_long=(BIT_COUNT, BITS_MAX),
        slowly=slowly,
    )


@dataclass(slots=True)
class PcscPort:
    """A reader behind the service; `link` is named as it is."""

    service: SimService
    link: Path
    slow_s: float = 0.0

    @property
    def sent_ns(self) -> int:
        return self.service.answered_ns

    def plug(self) -> None:
        self.service.plug(self.link.name)

    def unplug(self) -> None:
        self.service.unplug(self.link.name)


SERVICES: dict[Path, SimService] = {}
"""One for each test's folder: two readers are readers of one service."""


def pcsc(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    service = SERVICES.setdefault(link.parent, SimService())
    port = PcscPort(service, link)

    async def send(text: str, chunk: int | None, stop_after: int | None) -> None:
        memory = Type2Memory(bytes(12) + bytes.fromhex("E1101200 0300FE00") + bytes(160))
        card = ContactlessCard(bytes.fromhex(text), memory, answers_max=-1 if stop_after is None else 1)
        async with asyncio.timeout(WAIT_S):
            await service.tap(port.link.name, card)

    async def nothing() -> None:
        return

    async def garbage() -> None:
        await service.tap(port.link.name, ContactlessCard(b"\x04\xa1\xb2", atr=b"\x3b\x00"))

    async def burst(count: int) -> None:
        raise AssertionError("it says nothing unless it is asked")

    return Rig(
        PcscReader(PcscConfig(link.name), service),
        port,
        Medium.UID,
        ASKED_UIDS,
        send,
        garbage,
        lambda: None,
        nothing,
        burst,
        tells_garbage=True,
        by_text=False,
        sim_files=0,
        when_asked=True,
        many=lambda number: f"04{number:012X}",
    )


def osdp(link: Path, complete: Complete | None, medium: Medium, pace: Pace = PATIENT) -> Rig:
    key = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    key_file = link.with_name(link.name + ".key")
    key_file.write_text(key.hex())
    key_file.chmod(0o600)
    device = OsdpDevice(1, key)
    bus = OsdpBus(link, device)
    chance = random.Random(5)

    async def send(text: str, chunk: int | None, stop_after: int | None) -> bool:
        bus.chunk = chunk or 4096
        bus.stop_after = -1 if stop_after is None else stop_after
        uid = bytes.fromhex(text)
        taken = device.taken
        device.card(f"{int.from_bytes(uid, 'big'):0{8 * len(uid)}b}", kind=0)
        async with asyncio.timeout(WAIT_S):
            # One that is cut has said what it says; else the host has it once it goes on.
            while device.cards if stop_after is not None else device.taken == taken:
                await asyncio.sleep(0.002)
        return True

    async def garbage() -> None:
        await bus.port.send(b"\x53\x81\x09\x00\xff\x53\x00")

    async def nothing() -> None:
        return

    async def burst(count: int) -> None:
        raise AssertionError("it says nothing unless it is asked")

    def lose() -> None:
        bus.lost = lambda: chance.random() < 0.2

    def hush() -> None:
        device.silent = True

    silent_ns = max(pace.silent_ns, 2_000_000_000)  # twelve messages: so many are not lost in a row
    config = OsdpConfig(str(link), 1, str(key_file), carries=Carries.UID, silent_ns=silent_ns)
    return Rig(
        OsdpReader(config),
        bus.port,
        Medium.UID,
        ASKED_UIDS,
        send,
        garbage,
        lambda: None,
        nothing,
        burst,
        asks=True,
        checked=True,
        by_text=False,
        tells_garbage=True,
        when_asked=True,
        hush=hush,
        misread=hush,
        lose=lose,
        many=lambda number: f"04{number:012X}",
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
    "pc/sc reader": (pcsc, Medium.UID),
    "wiegand reader": (wiegand, Medium.UID),
    "osdp reader": (osdp, Medium.UID),
}

Build = Callable[[Complete | None, Pace], Rig]
