"""The only file that names concrete parts: turns settings into drivers, and starts and stops a gate in order."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from admission.codecs import cose
from drivers.base import Inputs, Medium, Reader, Signal
from drivers.guard import GuardSettings, all_off
from drivers.guard_link import GuardEvents, GuardLink
from edge import enrolment
from edge.clock import SystemClock
from edge.devices import ModbusBoards, ModbusFound, OsdpBus, OsdpFound
from edge.parts import Factories, Relay, RelayEvents
from edge.settings import (
    AdalightStrip,
    BatchReader,
    GpioInputs,
    GpioRelay,
    HidPosReader,
    HidRelay,
    InputSettings,
    MediumSetting,
    ModbusInputs,
    ModbusRelay,
    NumatoRelay,
    OsdpReader,
    PcscReader,
    Pn532Reader,
    ReaderSettings,
    RelayInputs,
    RelaySettings,
    SerialReader,
    Settings,
    SsiReader,
    TcpReader,
    Twn4Reader,
    WedgeReader,
    WiegandReader,
    Ws2812Strip,
)

Complete = Callable[[bytes], bool]


def reader_of(settings: ReaderSettings) -> Reader:
    """Return the driver for a reader; its module is imported only now."""
    match settings:
        case WedgeReader():
            return _wedge(settings)
        case SerialReader():
            return _serial(settings)
        case SsiReader():
            return _ssi(settings)
        case TcpReader():
            return _tcp(settings)
        case BatchReader():
            return _batch(settings)
        case HidPosReader():
            return _hid_pos(settings)
        case Pn532Reader():
            return _pn532(settings)
        case Twn4Reader():
            return _twn4(settings)
        case PcscReader():
            return _pcsc(settings)
        case OsdpReader():
            return _osdp(settings)
        case WiegandReader():
            return _wiegand(settings)


def _wedge(settings: WedgeReader) -> Reader:
    from drivers.framing.uid import ByteOrder, UidForm  # noqa: PLC0415 - only what is configured is loaded
    from drivers.readers.wedge import WedgeConfig  # noqa: PLC0415
    from drivers.readers.wedge import WedgeReader as Wedge  # noqa: PLC0415

    return Wedge(
        WedgeConfig(
            path=settings.device,
            name=settings.model,
            usb_id=settings.usb,
            port=settings.usb_port,
            layout=settings.layout.value,
            gap_ms=settings.gap_ms,
            medium=_medium(settings.medium),
            uid_order=ByteOrder(settings.uid_order.value),
            uid_form=UidForm(settings.uid_form.value),
            grab=settings.grab,
        ),
        _complete(settings.medium),
    )


def _serial(settings: SerialReader) -> Reader:
    from drivers.framing.uid import ByteOrder, UidForm  # noqa: PLC0415
    from drivers.readers.serial_scanner import SerialReader as Serial  # noqa: PLC0415
    from drivers.readers.serial_scanner import SerialReaderConfig  # noqa: PLC0415
    from drivers.transport.serial_port import Line  # noqa: PLC0415

    return Serial(
        SerialReaderConfig(
            path=settings.port,
            line=Line(baud=settings.baud),
            gap_ms=settings.gap_ms,
            binary=settings.gap_only,
            envelope=settings.stx_etx,
            medium=_medium(settings.medium),
            uid_order=ByteOrder(settings.uid_order.value),
            uid_form=UidForm(settings.uid_form.value),
            feedback=_feedback(settings),
        ),
        _complete(settings.medium),
    )


def _ssi(settings: SsiReader) -> Reader:
    from drivers.readers.ssi import SsiReader as Ssi  # noqa: PLC0415
    from drivers.readers.ssi import SsiReaderConfig  # noqa: PLC0415
    from drivers.transport.serial_port import Line  # noqa: PLC0415

    beeps = {
        Signal.ACCEPT: settings.accept_beep,
        Signal.REJECT: settings.reject_beep,
        Signal.WAIT: settings.wait_beep,
    }
    lights = {Signal.ACCEPT: settings.accept_light, Signal.REJECT: settings.reject_light}
    return Ssi(
        SsiReaderConfig(
            path=settings.port,
            line=Line(baud=settings.baud, rts_cts=settings.rts_cts),
            beeps={signal: code for signal, code in beeps.items() if code >= 0},
            lights={signal: mask for signal, mask in lights.items() if mask},
            pause=settings.pause,
            set_up=settings.set_up,
            binary=settings.gap_only,
            gap_ms=settings.gap_ms,
        )
    )


def _tcp(settings: TcpReader) -> Reader:
    from drivers.framing.uid import ByteOrder, UidForm  # noqa: PLC0415
    from drivers.readers.tcp_lines import TcpReader as Tcp  # noqa: PLC0415
    from drivers.readers.tcp_lines import TcpReaderConfig  # noqa: PLC0415

    return Tcp(
        TcpReaderConfig(
            sources=settings.sources,
            listen=settings.listen,
            port=settings.port,
            rate_max=settings.rate_max,
            medium=_medium(settings.medium),
            uid_order=ByteOrder(settings.uid_order.value),
            uid_form=UidForm(settings.uid_form.value),
        ),
        _complete(settings.medium),
    )


def _batch(settings: BatchReader) -> Reader:
    from drivers.framing.memory_dump import MemoryLine  # noqa: PLC0415
    from drivers.framing.uid import ByteOrder, UidForm  # noqa: PLC0415
    from drivers.readers.batch import BatchReader as Batch  # noqa: PLC0415
    from drivers.readers.batch import BatchReaderConfig  # noqa: PLC0415
    from drivers.transport.serial_port import Line  # noqa: PLC0415

    return Batch(
        BatchReaderConfig(
            path=settings.port,
            how=MemoryLine(settings.line, settings.date, settings.time),
            line=Line(baud=settings.baud),
            gap_ms=settings.gap_ms,
            medium=_medium(settings.medium),
            uid_order=ByteOrder(settings.uid_order.value),
            uid_form=UidForm(settings.uid_form.value),
        )
    )


def _hid_pos(settings: HidPosReader) -> Reader:
    from drivers.readers.hid_pos import HidPosConfig  # noqa: PLC0415
    from drivers.readers.hid_pos import HidPosReader as HidPos  # noqa: PLC0415

    return HidPos(
        HidPosConfig(
            path=settings.device,
            name=settings.model,
            usb_id=settings.usb,
            port=settings.usb_port,
            binary=settings.gap_only,
            feedback=_feedback(settings),
        )
    )


def _pn532(settings: Pn532Reader) -> Reader:
    from drivers.readers.pn532 import Pn532Config  # noqa: PLC0415
    from drivers.readers.pn532 import Pn532Reader as Pn532  # noqa: PLC0415
    from drivers.transport.serial_port import Line  # noqa: PLC0415

    return Pn532(Pn532Config(settings.port, Line(baud=settings.baud), signature=settings.genuine_only))


def tag_writer(port: str, uid: bytes, message: bytes, lock: bool) -> Reader:
    """Return a PN532 at a port that writes one tag."""
    from drivers.framing.tag_content import ToWrite  # noqa: PLC0415
    from drivers.readers.pn532 import Pn532Config  # noqa: PLC0415
    from drivers.readers.pn532 import Pn532Reader as Pn532  # noqa: PLC0415

    return Pn532(Pn532Config(port, writes=ToWrite(uid, message, lock)))


def _twn4(settings: Twn4Reader) -> Reader:
    from drivers.framing.uid import ByteOrder  # noqa: PLC0415
    from drivers.readers.twn4 import Twn4Config  # noqa: PLC0415
    from drivers.readers.twn4 import Twn4Reader as Twn4  # noqa: PLC0415
    from drivers.transport.serial_port import Line  # noqa: PLC0415

    return Twn4(
        Twn4Config(
            settings.port,
            Line(baud=settings.baud),
            hf=settings.hf,
            uid_order=ByteOrder(settings.uid_order.value),
            beep=settings.beep,
        )
    )


def _pcsc(settings: PcscReader) -> Reader:
    from drivers.readers.pcsc import PcscConfig  # noqa: PLC0415
    from drivers.readers.pcsc import PcscReader as Pcsc  # noqa: PLC0415
    from drivers.transport.pcsc import PcscLite  # noqa: PLC0415

    return Pcsc(PcscConfig(settings.reader, settings.shows, settings.genuine_only), PcscLite())


def _osdp(settings: OsdpReader) -> Reader:
    from drivers.readers.osdp import OsdpReader as Osdp  # noqa: PLC0415

    return Osdp(_osdp_config(settings))


async def osdp_key(settings: OsdpReader) -> str:
    """Give an OSDP reader a key of its own (`drivers.readers.osdp_key`); its name."""
    from drivers.readers.osdp_key import give_key  # noqa: PLC0415

    return await give_key(_osdp_config(settings))


async def osdp_search(port: str, tell: Callable[[int, int], None]) -> OsdpBus:
    """Search the bus at a port (`drivers.readers.osdp_search`)."""
    from drivers.readers.osdp_search import search  # noqa: PLC0415

    found = await search(port, tell)
    readers = [
        OsdpFound(one.address, found.baud)
        if (said := one.identity) is None
        else OsdpFound(
            one.address, found.baud, said.vendor, f"{said.model}.{said.version}", said.serial, said.firmware
        )
        for one in found.readers
    ]
    return OsdpBus(tuple(readers), found.garbled, "" if found.why is None else found.why.value)


async def modbus_search(port: str, tell: Callable[[int], None]) -> ModbusBoards:
    """Search the bus at a port (`drivers.relays.modbus_search`)."""
    from drivers.relays.modbus_search import search  # noqa: PLC0415

    found = await search(port, tell)
    boards = tuple(ModbusFound(one.unit, one.relays, one.inputs) for one in found.boards)
    return ModbusBoards(found.baud, boards, found.garbled, "" if found.why is None else found.why.value)


async def osdp_opens(settings: OsdpReader, is_new: bool) -> bool:
    """Whether a reader proves the key in its key file; `is_new`: the one that every new reader has. DriverError where it answers nothing."""
    from drivers.framing.osdp_channel import SCBK_D  # noqa: PLC0415
    from drivers.framing.osdp_host import OtherKey  # noqa: PLC0415
    from drivers.readers.osdp import open_once, read_key  # noqa: PLC0415

    try:
        await open_once(_osdp_config(settings), SCBK_D if is_new else read_key(settings.key_file))
    except OtherKey:
        return False
    return True


def _osdp_config(settings: OsdpReader) -> Any:
    """An `OsdpConfig`, whose module only a gate with such readers loads."""
    from drivers.framing.osdp import Carries  # noqa: PLC0415
    from drivers.framing.uid import ByteOrder  # noqa: PLC0415
    from drivers.readers.osdp import OsdpConfig  # noqa: PLC0415
    from drivers.transport.serial_port import Line  # noqa: PLC0415

    return OsdpConfig(
        path=settings.port,
        address=settings.address,
        key_file=settings.key_file,
        line=Line(baud=settings.baud),
        carries=Carries(settings.carries.value),
        order=ByteOrder(settings.uid_order.value),
        beep=settings.beep,
    )


def _wiegand(settings: WiegandReader) -> Reader:
    from drivers.framing.uid import ByteOrder  # noqa: PLC0415
    from drivers.framing.wiegand import Bits, Carries, WiegandForm  # noqa: PLC0415
    from drivers.readers.wiegand import WiegandConfig  # noqa: PLC0415
    from drivers.readers.wiegand import WiegandReader as Wiegand  # noqa: PLC0415
    from drivers.transport.gpiochip import Bias, KernelChips  # noqa: PLC0415

    form = WiegandForm(
        Bits(settings.bits.value), Carries(settings.carries.value), ByteOrder(settings.uid_order.value)
    )
    where = WiegandConfig(
        settings.chip, settings.d0, settings.d1, form, settings.gap_ms, Bias(settings.bias.value)
    )
    return Wiegand(where, KernelChips())


def _medium(setting: MediumSetting) -> Medium:
    return Medium.UID if setting is MediumSetting.UID else Medium.BARCODE


def _complete(setting: MediumSetting) -> Complete | None:
    """Say when a ticket's text is whole; a UID's text never says."""
    return None if setting is MediumSetting.UID else cose.is_complete


def _feedback(settings: SerialReader | HidPosReader) -> Mapping[Signal, bytes]:
    """The bytes a scanner shows a verdict on, where configured."""
    texts = {Signal.ACCEPT: settings.accept_bytes, Signal.REJECT: settings.reject_bytes}
    if isinstance(settings, SerialReader):
        texts |= {Signal.WAIT: settings.wait_bytes, Signal.NEXT: settings.next_bytes}
    return {signal: bytes.fromhex(text) for signal, text in texts.items() if text}


def guard_settings_of(settings: RelaySettings) -> GuardSettings:
    """Return what the relay guard is started with; the board's driver is imported in its process only."""
    options: dict[str, object]
    match settings:
        case GpioRelay():
            options = {
                "chip": settings.chip,
                "offsets": list(settings.offsets),
                "active_low": settings.active_low,
            }
        case HidRelay():
            options = {
                "lines": settings.lines,
                "path": settings.device,
                "usb_port": settings.usb_port,
                "name": settings.name,
            }
        case AdalightStrip():
            options = {"path": settings.port, "baud": settings.baud}
        case Ws2812Strip():
            options = {"path": settings.device, "order": settings.order.value}
        case _:
            options = {"path": settings.port, "lines": settings.lines}
    if isinstance(settings, AdalightStrip | Ws2812Strip):
        options |= {"pixels": settings.pixels, "brightness": settings.brightness}
    if isinstance(settings, ModbusRelay | NumatoRelay):
        options |= {key: getattr(settings, key) for key in ("inputs", "poll_ms", "debounce_ms")}
    if isinstance(settings, ModbusRelay):
        options |= {key: getattr(settings, key) for key in ("unit", "baud", "flash", "flash_unit_ms")}
        if len(settings.units) > 1:
            options["units"] = list(settings.units)
        elif settings.units:
            options["unit"] = settings.units[0]
    return GuardSettings(settings.__struct_config__.tag, options, settings.pulse_max_ms)  # type: ignore[arg-type]


def inputs_of(settings: InputSettings) -> Inputs:
    """Return the driver for a board of contacts; its module is imported only now.

    The contacts of a relay board are its guard's to tell (`edge.barrier`).
    """
    match settings:
        case RelayInputs():
            raise ValueError(f"{settings.id}: a relay board's inputs have no driver of their own")
        case ModbusInputs():
            from drivers.inputs.modbus import ModbusBoard, ModbusLine  # noqa: PLC0415
            from drivers.inputs.modbus import ModbusInputs as Modbus  # noqa: PLC0415

            return Modbus(
                ModbusBoard(
                    path=settings.port,
                    lines=[
                        ModbusLine(n % settings.lines, n in settings.active_low)
                        for n in range(settings.lines * max(1, len(settings.units)))
                    ],
                    unit=settings.unit,
                    units=settings.units,
                    baud=settings.baud,
                    poll_ms=settings.poll_ms,
                    debounce_ms=settings.debounce_ms,
                )
            )
        case GpioInputs():
            from drivers.inputs.gpio import GpioInputs as Gpio  # noqa: PLC0415
            from drivers.relays.gpio import chips_of  # noqa: PLC0415
            from drivers.transport.gpiochip import Bias, InputLine  # noqa: PLC0415

            return Gpio(
                chips_of(None),
                settings.chip,
                [
                    InputLine(offset, number in settings.active_low, Bias.PULL_UP, settings.debounce_ms)
                    for number, offset in enumerate(settings.offsets)
                ],
            )


def free_gpio() -> dict[str, tuple[int, ...]]:
    """Return the lines of each GPIO chip that nothing holds, by the chip's label; none where this box cannot drive any."""
    from drivers.base import DriverError  # noqa: PLC0415
    from drivers.relays.gpio import chips_of  # noqa: PLC0415

    try:
        chips = chips_of(None)
        return {label: chips.free(path) for label, path in chips.labels().items()}
    except (DriverError, OSError):
        return {}


def gpio_level(label: str, offset: int) -> bool:
    """Return whether a line of the GPIO chip with this label is high; DriverError where it cannot be asked."""
    from drivers.relays.gpio import chips_of  # noqa: PLC0415
    from drivers.transport.gpiochip import level_of  # noqa: PLC0415

    return level_of(chips_of(None), label, offset)


def relay_of(settings: RelaySettings, events: RelayEvents) -> Relay:
    """Return the lane's end of a relay guard."""
    argv = [sys.executable, "-m", "drivers.guard", guard_settings_of(settings).to_json()]
    heard = GuardEvents(
        events.ready, events.ack, events.ended, events.fault, events.contact, events.refused, events.part
    )
    return GuardLink(argv, heard)


def relay_off(settings: RelaySettings) -> str:
    """Switch every line of a board off and give it back; returns its name. DriverError where it stays out of reach."""
    return all_off(guard_settings_of(settings))


def front_argv(settings_json: str) -> list[str]:
    """Return the command line of the front process."""
    return [sys.executable, "-m", "edge.front", settings_json]


def factories() -> Factories:
    """Return the parts of a real gate."""
    return Factories(reader_of, inputs_of, relay_of, SystemClock(), front_argv)


def run(settings: Settings, configuration: Path | None = None) -> int:
    """Run a gate until a signal. NotEnrolled, ValueError or StoreFault where it cannot start.

    `configuration`: the file of these settings, where the next run would read it by itself.
    """
    from edge.daemon import Daemon  # noqa: PLC0415 - half of all imports: who only switches off must not wait for them

    own = enrolment.load(Path(settings.gate.data))

    async def main() -> int:
        return await Daemon(settings, own, factories(), configuration).run()

    return asyncio.run(main())
