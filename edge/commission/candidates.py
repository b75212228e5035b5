"""Devices that may become a gate's readers and relay boards, each with the settings by which a driver opens it."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge.commission.inventory import Inventory, Node, NodeKind, Plugged
from edge.commission.known import READ, Known, Mode, Role, known
from edge.settings import (
    GpioInputs,
    GpioRelay,
    HidPosReader,
    HidRelay,
    InputSettings,
    KmtronicRelay,
    LcusRelay,
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
    TcpReader,
    Twn4Reader,
    Way,
    WedgeReader,
    WiegandReader,
    Ws2812Strip,
)

_SERIES: Final = re.compile("[A-Z]*[0-9]+")
"""What a model's name has in common with the service's: `ACR1252U` is an "ACS ACR1252 Dual Reader", `5427CK` an "OMNIKEY 5427 CK"."""
TWN4_SIMPLE: Final = "09d8:0420"
_NODE_OF: Final = {
    Mode.SERIAL: NodeKind.SERIAL,
    Mode.HID_POS: NodeKind.HID_POS,
    Mode.KEYBOARD: NodeKind.KEYBOARD,
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One device that can be read. `key` names it while it stays in its socket; `reader` opens it."""

    key: str
    device: Plugged
    what: Known
    reader: ReaderSettings


def candidates(
    found: Inventory, pn532: Container[str] = (), *, simulated: bool = False
) -> tuple[Candidate, ...]:
    """Return all that can be listened to. `pn532`: keys of adapters with such a reader behind. `simulated`: nodes are ptys, of which no keyboard can be grabbed."""
    made = []
    for device in found.plugged:
        what = known(device)
        if what.mode is Mode.CCID and found.pcsc:
            called = pcsc_name(device, found)
            if called is not None:
                pcsc: ReaderSettings = PcscReader(id=1, way=Way.ENTRY, reader=called)
                made.append(Candidate(device.place, device, what, pcsc))
            continue
        if what.mode not in READ or what.role in {Role.RELAY, Role.PRINTER, Role.MODEM}:
            continue
        kind = _NODE_OF[what.mode]
        node = next((one for one in device.nodes if one.kind is kind), None)
        if node is not None:
            reader: ReaderSettings = _reader(device, node, simulated=simulated)
            if isinstance(reader, SerialReader) and device.place in pn532:
                reader = Pn532Reader(id=1, way=Way.ENTRY, port=reader.port)
            made.append(Candidate(device.place, device, what, reader))
    return tuple(made)


def wired(readers: Mapping[str, WiegandReader]) -> tuple[Candidate, ...]:
    """Return readers on lines of a GPIO chip, that a person named, by their keys."""
    what = Known(Role.TAG_READER, Mode.WIEGAND)
    return tuple(
        Candidate(key, Plugged(key, product=f"Wiegand, GPIO {one.d0}/{one.d1}"), what, one)
        for key, one in readers.items()
    )


def pcsc_name(device: Plugged, found: Inventory) -> str | None:
    """Return so much of a reader's name at the PC/SC service that no other one fits; None where nothing tells two of a kind apart.

    A socket has no name there: the service says its own name for the model, then the serial number that the reader has, if any
    (pcsc-lite, hotplug_libudev.c).
    """
    others = [one for one in found.plugged if one.place != device.place and known(one).mode is Mode.CCID]
    series = _series(device)
    twins = [one for one in others if series in {"", _series(one)}]
    if not twins:
        return series
    if device.serial and all(device.serial not in one.serial for one in twins):
        return device.serial
    return None


def _series(device: Plugged) -> str:
    named = _SERIES.match(known(device).model)
    return named[0] if named else ""


def _reader(device: Plugged, node: Node, *, simulated: bool) -> ReaderSettings:
    match node.kind:
        case NodeKind.KEYBOARD:
            return WedgeReader(id=1, way=Way.ENTRY, device=node.path, grab=not simulated)
        case NodeKind.HID_POS:
            if not node.port or simulated:
                return HidPosReader(id=1, way=Way.ENTRY, device=node.path)
            # Numbers of hidraw change with the order of plugging; the socket does not.
            return HidPosReader(id=1, way=Way.ENTRY, usb=device.usb, usb_port=node.port)
        case _ if device.usb == TWN4_SIMPLE:
            return Twn4Reader(id=1, way=Way.ENTRY, port=node.path)
        case _:
            return SerialReader(id=1, way=Way.ENTRY, port=node.path)


_SERIAL_BOARDS: Final[Mapping[str, type[LcusRelay | KmtronicRelay | NumatoRelay | ModbusRelay]]] = {
    "lcus": LcusRelay,
    "kmtronic": KmtronicRelay,
    "numato": NumatoRelay,
    "modbus": ModbusRelay,
}
BOARDS: Final = (*_SERIAL_BOARDS, "hid")
"""Relay drivers that the page offers for a device; lines of a GPIO chip are pulsed one by one."""
LINES: Final = (1, 2, 4, 8, 16, 32)
"""Lines that boards are sold with; which a driver takes is checked when it is opened."""
_BOARD_OF: Final = {"1a86": "lcus", "0403": "kmtronic", "2a19": "numato", "16c0": "hid"}


def board_of(device: Plugged, driver: str, lines: int) -> RelaySettings | None:
    """Return a device as a relay board of this kind; None where it has no such way in."""
    kind = NodeKind.HIDRAW if driver == "hid" else NodeKind.SERIAL
    node = next((one for one in device.nodes if one.kind is kind), None)
    if node is None:
        return None
    if driver == "hid":
        return HidRelay(id="relays", usb_port=node.port, lines=lines)
    return _SERIAL_BOARDS[driver](id="relays", port=node.path, lines=lines)


def likely_board(device: Plugged) -> str:
    """Return the driver that a relay board on this chip most likely needs; "" where there is no way to switch anything."""
    kinds = {node.kind for node in device.nodes}
    if known(device).role not in {Role.ADAPTER, Role.RELAY} or not kinds & {NodeKind.SERIAL, NodeKind.HIDRAW}:
        return ""
    return _BOARD_OF.get(device.usb.partition(":")[0], "modbus")


# --- boards of contacts ----------------------------------------------------------------------------------------------

INPUTS: Final = (4, 8, 16, 32)
"""Contacts that boards are sold with."""
GPIO_KEY: Final = "gpio:"
"""What the key of a GPIO chip begins with; its label follows."""
# The header's lines of each Pi, BCM 2 to 27; others of these chips, and other chips, switch parts of the box itself.
_HEADERS: Final = dict.fromkeys(("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"), range(2, 28))
# Expanders by their drivers' labels: all their lines are for whoever fitted them.
_EXPANDERS: Final = ("mcp23", "pcf857", "pca953", "pca955", "gpio-sim")
GPIO_LINES_MAX: Final = 32
"""Of one input board (`edge.settings.GpioInputs`)."""


PINS_KEY: Final = "pins:"
"""What the key of a chip's outputs of one polarity begins with; its label follows, and which."""


def chip_of(key: str) -> str:
    """Return the label of the GPIO chip that a key names; "" for any other device."""
    for head in (GPIO_KEY, PINS_KEY):
        if key.startswith(head):
            return key.removeprefix(head).partition(":")[0]
    return ""


def header_lines(label: str, free: tuple[int, ...]) -> tuple[int, ...]:
    """Return the lines of a chip on which contacts may be; `free`: those that nothing holds."""
    if label.startswith(_EXPANDERS):
        return free[:GPIO_LINES_MAX]
    return tuple(one for one in free if one in _HEADERS.get(label, ()))


def gpio_inputs(label: str, lines: tuple[int, ...]) -> InputSettings | None:
    """Return a chip's lines as a board of contacts; None where none may be one."""
    return GpioInputs(id="contacts", chip=label, offsets=lines) if lines else None


def inputs_of_device(device: Plugged, board: RelaySettings | None, lines: int) -> InputSettings | None:
    """Return a device as a board of contacts: the inputs of a relay board, or a Modbus board; None where it has none."""
    if board is not None:
        return RelayInputs(id="contacts", relay=board.id) if has_inputs(board) else None
    node = next((one for one in device.nodes if one.kind is NodeKind.SERIAL), None)
    return None if node is None else ModbusInputs(id="contacts", port=node.path, lines=lines)


def has_inputs(board: RelaySettings) -> bool:
    """Whether boards of this kind have contacts of their own."""
    return isinstance(board, ModbusRelay | NumatoRelay)


def inputs_read(board: RelaySettings | None) -> int:
    """Return how many contacts of a relay board are read."""
    return board.inputs if isinstance(board, ModbusRelay | NumatoRelay) else 0


def with_inputs(board: RelaySettings, lines: int) -> RelaySettings:
    """Return a relay board whose contacts are read too."""
    match board:
        case ModbusRelay():
            # Of a bus of several boards that are read already stays what was written.
            if len(board.units) > 1 and board.inputs:
                return board
            return msgspec.structs.replace(
                board, inputs=min(lines, BUS_LINES_MAX // max(1, len(board.units)))
            )
        case NumatoRelay():
            return msgspec.structs.replace(board, inputs=min(lines, _NUMATO_PINS))
        case _:
            return board


BUS_LINES_MAX: Final = 64
"""Inputs on one Modbus, and relays (`edge.config_rules`)."""
_NUMATO_PINS: Final = 8
"""GPIO 0 to 7 of its modules."""


# --- devices of a file ----------------------------------------------------------------------------------------------

Written = ReaderSettings | RelaySettings | InputSettings


def opens(device: Written) -> tuple[object, ...]:
    """Return what a device is opened by: two settings with the same open the same device."""
    if isinstance(device, TcpReader):
        return ("tcp", device.port)
    if isinstance(device, OsdpReader):
        return ("osdp", device.port, device.address)
    if isinstance(device, WiegandReader | GpioInputs | GpioRelay):
        return ("gpio", device.chip, getattr(device, "offsets", getattr(device, "d0", 0)))
    if isinstance(device, RelayInputs):
        return ("relay", device.relay)
    if isinstance(device, PcscReader):
        return ("pcsc", device.reader)
    if isinstance(device, WedgeReader | HidPosReader | HidRelay):
        by = (getattr(device, key, "") for key in ("device", "usb", "usb_port", "model", "name"))
        return (device.__struct_config__.tag, *by)
    if isinstance(device, Ws2812Strip):
        return ("spi", device.device)
    return ("port", device.port)


def device_of(found: Inventory, device: Written) -> Plugged | None:
    """Return the plugged device that such settings open; None where it is away, or no device of a socket."""
    return next((one for one in found.plugged if _is_opened_by(one, device)), None)


def _is_opened_by(one: Plugged, device: Written) -> bool:
    if isinstance(device, PcscReader):
        if known(one).mode is not Mode.CCID:
            return False
        series = _series(one)
        return (
            not device.reader
            or bool(series and series in device.reader)
            or bool(one.serial and one.serial in device.reader)
        )
    path = getattr(device, "port", "") or getattr(device, "device", "")
    usb, socket = getattr(device, "usb", ""), getattr(device, "usb_port", "")
    if isinstance(path, str) and path:
        return any(path in {node.path, *node.names} for node in one.nodes)
    return bool(socket) and (not usb or usb.lower() == one.usb) and any(n.port == socket for n in one.nodes)


def is_simulated(root: Path) -> bool:
    """Whether a root folder is a made-up box."""
    return root != Path("/")
