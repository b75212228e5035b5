"""`gatehouse-edge detect`: what is plugged in, what it is, and what is wrong with it; for a person, or as JSON."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from admission.reasons import Language
from edge.commission import modbus
from edge.commission.buses import key_file, setting, troubles_of
from edge.commission.candidates import candidates
from edge.commission.findings import Grade, troubles
from edge.commission.inventory import Inventory, NodeKind, Plugged, inventory
from edge.commission.known import Role, known, title
from edge.commission.told import TroubleTold, told
from edge.commission.toml_text import fields_of
from edge.commission.words import label, name
from edge.devices import ModbusBoards, OsdpBus, OsdpFound


class DeviceFound(msgspec.Struct, frozen=True):
    """One device, as `--json` says it."""

    place: str
    usb: str
    called: str
    role: str
    mode: str
    maker: str
    model: str
    serial: str
    nodes: tuple[str, ...]
    reader: tuple[str, ...]
    """Lines of `[[lanes.readers]]` that open it as a reader; none where nothing reads it as it is."""
    may: str
    """What may be behind it, and cannot be asked; "" for what says itself what it is."""


class OsdpDetected(msgspec.Struct, frozen=True):
    """A reader that answered on the bus that was named. `reader`: as in `DeviceFound`; its key is to be given to it yet."""

    port: str
    address: int
    baud: int
    vendor: str
    model: str
    serial: str
    firmware: str
    reader: tuple[str, ...]


class ModbusDetected(msgspec.Struct, frozen=True):
    """A board that answered on the bus that was named."""

    port: str
    unit: int
    baud: int
    relays: int
    inputs: int


@dataclass(frozen=True, slots=True)
class Named:
    """A port that somebody named, and who answered there: nothing else is asked by wire."""

    port: str = ""
    readers: OsdpBus = field(default_factory=OsdpBus)
    boards: ModbusBoards = field(default_factory=ModbusBoards)


class Detected(msgspec.Struct, frozen=True):
    """All of it."""

    devices: tuple[DeviceFound, ...]
    troubles: tuple[TroubleTold, ...]
    gpio: tuple[str, ...]
    gpio_may: str
    """What may hang on their lines; "" where there are none."""
    osdp: tuple[OsdpDetected, ...] = ()
    modbus: tuple[ModbusDetected, ...] = ()
    relays: tuple[str, ...] = ()
    """Lines of `[[relays]]`, or of `[[inputs]]`, that open these boards."""

    @property
    def failed(self) -> bool:
        """Whether a device will not work as it is."""
        return any(one.grade == Grade.BAD.value for one in self.troubles)


def detect(
    root: Path, language: Language = Language.EN, named: Named = Named(), data: Path = Path()
) -> Detected:
    """Look at the box below `root`. `data`: where keys are kept."""
    found = inventory(root)
    port, place = named.port, _place(found, named.port)
    on_bus = (*troubles_of(named.readers, place, port), *modbus.troubles_of(named.boards, place, port))
    readers = {one.key: fields_of(one.reader) for one in candidates(found)}
    return Detected(
        tuple(_device(one, readers.get(one.place, ()), language) for one in found.plugged),
        told((*on_bus, *troubles(found)), language),
        found.gpio,
        label("may_gpio", language) if found.gpio else "",
        tuple(_osdp(port, one, data) for one in named.readers.readers),
        tuple(
            ModbusDetected(port, one.unit, named.boards.baud, one.relays, one.inputs)
            for one in named.boards.boards
        ),
        _relays(named),
    )


def lines(found: Detected, language: Language = Language.EN) -> Iterator[str]:
    """Say it to a person: a line for each device, what is wrong with it under it."""
    for device in found.devices:
        kind = f"{name(device.role, language)}, {name(device.mode, language)}"
        where = ", ".join(device.nodes)
        yield f"{device.place:<12}  {device.usb:<9}  {device.called}: {kind}{f' at {where}' if where else ''}"
        if device.reader:
            yield f"{'':<25}{', '.join(device.reader)}"
        if device.may:
            yield f"{'':<25}{device.may}"
        for one in found.troubles:
            if one.place == device.place:
                yield from _said(one)
    yield from _bus_lines(found, language)
    if found.gpio:
        yield f"{'':<25}GPIO: {', '.join(found.gpio)}"
        yield f"{'':<25}{found.gpio_may}"
    if not found.devices:
        yield "No scanner, reader or board is plugged in."


def _bus_lines(found: Detected, language: Language) -> Iterator[str]:
    """Say who answered on the bus that was named, or why nobody did."""
    for reader in found.osdp:
        called = label("osdp_reader", language).format(address=reader.address, baud=reader.baud)
        yield f"{reader.port}: {called}"
        if reader.vendor:
            yield f"{'':<25}{label('osdp_said', language).format_map(msgspec.structs.asdict(reader))}"
        yield f"{'':<25}{', '.join(reader.reader)}"
    for board in found.modbus:
        yield f"{board.port}: {label('modbus_board', language).format_map(msgspec.structs.asdict(board))}"
    if found.relays:
        yield f"{'':<25}{', '.join(found.relays)}"
    places = {one.place for one in found.devices}
    for one in found.troubles:
        if one.code.startswith(("osdp.", "modbus.")) and one.place not in places:
            yield from _said(one)


def _said(one: TroubleTold) -> Iterator[str]:
    yield f"{'':<12}  {one.grade.upper():<9}  {one.cause}"
    yield f"{'':<25}{one.fix}"
    if one.guide:
        yield f"{'':<25}In the maker's guide: {one.guide}"


def _device(device: Plugged, reader: tuple[str, ...], language: Language) -> DeviceFound:
    what = known(device)
    return DeviceFound(
        place=device.place,
        usb=device.usb,
        called=title(device),
        role=what.role.value,
        mode=what.mode.value,
        maker=what.maker,
        model=what.model,
        serial=device.serial,
        nodes=tuple(node.path for node in device.nodes),
        reader=reader,
        may=label("may_adapter", language) if what.role is Role.ADAPTER else "",
    )


def _place(found: Inventory, port: str) -> str:
    """Return the socket of a port; its own name where it is in none."""
    nodes = ((one.place, node) for one in found.plugged for node in one.nodes if node.kind is NodeKind.SERIAL)
    return next((place for place, node in nodes if port in {node.path, *node.names}), port)


def _osdp(port: str, found: OsdpFound, data: Path) -> OsdpDetected:
    how = fields_of(setting(port, found, key_file(found, data)))
    return OsdpDetected(port=port, reader=how, **asdict(found))


def _relays(named: Named) -> tuple[str, ...]:
    made = modbus.relays_of(named.port, named.boards) or modbus.inputs_of(named.port, named.boards)
    return () if made is None else fields_of(made)
