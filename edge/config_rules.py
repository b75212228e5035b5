"""What the keys of a gate's TOML must agree on: names that name something, lines that exist, ports used once.

Works on the bare tables, so that these errors are told together with misspelt keys and wrong types; a value of a
wrong type is skipped here, since it has its own error already.
"""

import difflib
import ipaddress
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from edge.annunciator import FLASH_MS_MAX
from edge.barrier_kinds import lengths_of
from edge.config_lines import KeyPath
from edge.schedule import timezone_of
from edge.settings import (
    AdalightStrip,
    GpioInputs,
    GpioRelay,
    HidRelay,
    KmtronicRelay,
    LaneSettings,
    LcusRelay,
    ModbusInputs,
    ModbusRelay,
    NumatoRelay,
    OsdpReader,
    PageSettings,
    PeerSettings,
    TcpReader,
    Ws2812Strip,
)

RELAY_LINES: Final = {
    "lcus": ("LCUS board", (1, 2, 4, 8)),
    "kmtronic": ("KMTronic board", (1, 2, 4, 8)),
    "numato": ("Numato module", (1, 2, 4, 8, 16, 32)),
    "hid": ("HID relay board", (1, 2, 4, 8)),
}
"""The boards that exist, by driver."""
HID_FINDERS: Final = ("device", "usb_port", "name")
"""What a HID relay board is told apart by; with none of them it has to be the only one."""
LAMPS: Final = ("green_line", "red_line", "buzzer_line")
CONTACTS: Final = (
    "entry_contact",
    "exit_contact",
    "ready_contact",
    "fire_contact",
    "fault_contact",
    "detector_contact",
    "door_contact",
    "exit_button",
)
STRIPS: Final = ("adalight", "ws2812")
"""Drivers of LED strips: their lines are pictures."""
WIDE: Final = ("swing_gate", "door")
"""Barriers that a wheelchair and its companion get through together."""
FINDERS: Final = ("device", "usb", "usb_port", "model")
"""What a reader on USB can be found by."""
FOUND: Final = {"wedge": "keyboard", "hidpos": "HID device"}
"""Readers that are found so, by driver, and what they are looked for among."""

LINES_MAX: Final = 64
"""Relays, or inputs, that one [[relays]] may have: a lane names them by 0 to 63."""

Problem = tuple[KeyPath, str, str]
"""Path, what is wrong, what is allowed."""


def problems(settings: Mapping[str, object]) -> Iterator[Problem]:
    """Yield everything in a parsed TOML that contradicts itself or cannot be on any box."""
    top = _Table((), settings, {})
    relays = list(top.tables("relays", _RELAYS))
    inputs = list(top.tables("inputs", _INPUTS))
    lanes = list(top.tables("lanes", {"": LaneSettings}))
    readers = [reader for lane in lanes for reader in lane.tables("readers", _READERS)]
    for tables, key, what in (
        (relays, "id", "relay"),
        (inputs, "id", "input board"),
        (lanes, "id", "lane"),
        (readers, "id", "reader"),
    ):
        yield from _once(what, [((*one.path, key), one.get(key)) for one in tables])
    yield from _gate_and_page(top)
    for board in relays:
        yield from _board(board, _lines_of(board))
        yield from _bus(board)
    for board in inputs:
        yield from _board(board, _contacts_of(board, relays))
        yield from _bus(board)
    yield from _relays_read(inputs, relays)
    for reader in readers:
        yield from _reader(reader)
    yield from _shared_devices(relays, inputs, readers)
    yield from _shared_ports(top, readers)
    for lane in lanes:
        yield from _barrier(lane, relays)
        yield from _lamps(lane, relays)
        yield from _strip(lane, relays)
        yield from _check_in(lane)
        yield from _contacts(lane, inputs, relays)
        yield from _kind_of_barrier(lane)
    yield from _shared_lines(lanes)
    yield from _once("lane", [((*lane.path, "strip"), lane.get("strip")) for lane in lanes])


@dataclass(frozen=True, slots=True)
class _Table:
    """A table with its path; `defaults` hold where a key is not written."""

    path: KeyPath
    values: Mapping[str, object]
    defaults: Mapping[str, object] = field(default_factory=dict)

    def get(self, key: str) -> object:
        return self.values.get(key, self.defaults.get(key))

    def text(self, key: str) -> str:
        """Return a text, "" for none."""
        value = self.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        value = self.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def numbers(self, key: str) -> list[tuple[int, int]]:
        """Return (position, number) of a list of whole numbers."""
        value = self.get(key)
        items = value if isinstance(value, list) else []
        return [(at, n) for at, n in enumerate(items) if isinstance(n, int) and not isinstance(n, bool)]

    def tables(self, key: str, kinds: Mapping[str, type[msgspec.Struct]]) -> Iterator["_Table"]:
        """Yield the tables of a list. `kinds`: by driver, the settings whose defaults hold."""
        value = self.get(key)
        for number, one in enumerate(value if isinstance(value, list) else []):
            if isinstance(one, dict):
                driver = one.get("driver", "")
                kind = kinds.get(driver) if isinstance(driver, str) else None
                yield _Table((*self.path, key, number), one, _defaults(kind or kinds.get("")))


_RELAYS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "lcus": LcusRelay,
    "gpio": GpioRelay,
    "modbus": ModbusRelay,
    "kmtronic": KmtronicRelay,
    "numato": NumatoRelay,
    "hid": HidRelay,
    "adalight": AdalightStrip,
    "ws2812": Ws2812Strip,
}
_READERS: Final[Mapping[str, type[msgspec.Struct]]] = {"tcp": TcpReader, "osdp": OsdpReader}
_INPUTS: Final[Mapping[str, type[msgspec.Struct]]] = {"modbus": ModbusInputs, "gpio": GpioInputs}


def _defaults(kind: type[msgspec.Struct] | None) -> Mapping[str, object]:
    if kind is None:
        return {}
    fields = msgspec.structs.fields(kind)
    return {one.encode_name: one.default for one in fields if one.default is not msgspec.NODEFAULT}


def _once(what: str, named: list[tuple[KeyPath, object]]) -> Iterator[Problem]:
    """Each value may be used once. The second use is the error, since the first was there before it."""
    seen: dict[Hashable, KeyPath] = {}
    for path, value in named:
        if not isinstance(value, str | int) or value == "":
            continue
        if value in seen:
            yield path, f"another {what} has the id {value!r:.40} already", "an id of its own"
        seen.setdefault(value, path)


def _gate_and_page(top: _Table) -> Iterator[Problem]:
    gate, page = top.get("gate"), top.get("page")
    if isinstance(gate, dict):
        data = gate.get("data")
        if isinstance(data, str) and data and not data.startswith("/"):
            yield ("gate", "data"), "this path depends on where the program is started", "a path from /"
    if isinstance(page, dict):
        listen = _Table(("page",), page, _defaults(PageSettings)).text("listen")
        if listen and listen != "localhost" and not _is_address(listen):
            yield ("page", "listen"), "this is no address", '"127.0.0.1", "0.0.0.0", "::" or one of this box'


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# --- boards and readers, each by itself ---------------------------------------------------------------------------


def _board(board: _Table, lines: int | None) -> Iterator[Problem]:
    kind, sizes = RELAY_LINES.get(board.text("driver"), ("", ()))
    if board.path[0] == "relays" and sizes and lines is not None and lines not in sizes:
        allowed = f"{', '.join(map(str, sizes[:-1]))} or {sizes[-1]}"
        yield (*board.path, "lines"), f"there is no {kind} with {lines} relays", allowed
    seen: set[int] = set()
    for at, offset in board.numbers("offsets"):
        if offset in seen or offset < 0:
            wrong = "this line is named twice" if offset in seen else "offsets count from 0"
            yield (*board.path, "offsets", at), wrong, "each line of the chip once, as gpioinfo shows it"
        seen.add(offset)
    for at, line in board.numbers("active_low"):
        if lines is not None and not 0 <= line < lines:
            yield (*board.path, "active_low", at), f"this board has no line {line}", _lines_allowed(lines)
    yield from _path_from_root(board, "port")
    yield from _path_from_root(board, "device")


def _bus(board: _Table) -> Iterator[Problem]:
    """Several Modbus boards on one bus: each an address of its own, no more lines than there are, and flash-on."""
    units = [unit for _, unit in board.numbers("units")]
    for at, unit in board.numbers("units"):
        if unit in units[:at]:
            yield (*board.path, "units", at), f"unit {unit} is named twice", "each board on the bus once"
    if units and "unit" in board.values:
        wrong = "units names the boards on this bus already"
        yield (*board.path, "unit"), wrong, "unit for one board, units for several"
    if len(units) > 1 and board.get("flash") is False:
        wrong = "boards that share a bus have to end their pulses by themselves"
        yield (
            (*board.path, "flash"),
            wrong,
            "boards with flash-on, or a [[relays]] and an adapter for each",
        )
    for key in ("lines", "inputs"):
        count = board.number(key)
        if len(units) > 1 and count is not None and count * len(units) > LINES_MAX:
            wrong = f"{len(units)} boards with {count} each are {count * len(units)} {key}"
            yield (*board.path, key), wrong, f"up to {LINES_MAX} on one bus; {key} counts those of one board"


def _reader(reader: _Table) -> Iterator[Problem]:
    yield from _path_from_root(reader, "port")
    yield from _path_from_root(reader, "device")
    yield from _path_from_root(reader, "key_file")
    found = FOUND.get(reader.text("driver"))
    if found and not any(reader.get(key) for key in FINDERS):
        yield reader.path, f"nothing says which {found} this reader is", "one of " + ", ".join(FINDERS)

    if reader.get("gap_only") is True and reader.get("stx_etx") is True:
        yield (*reader.path, "stx_etx"), "codes that end by the gap alone may hold ETX", "one of the two"
    if reader.text("driver") == "wiegand" and reader.get("carries") == "uid" and reader.get("bits") != 34:
        yield (*reader.path, "carries"), "a UID of 4 bytes comes in 34 bits", 'bits = 34, or carries = "card"'
    zone = reader.text("time_zone")
    if zone and timezone_of(zone) is None:
        yield (
            (*reader.path, "time_zone"),
            f"this box knows no time zone {zone!r:.40}",
            '"Europe/Zurich" or "UTC"',
        )
    if reader.text("driver") == "tcp":
        yield from _who_sends(reader)


def _who_sends(reader: _Table) -> Iterator[Problem]:
    listen = reader.text("listen")
    if not _is_address(listen):
        yield (*reader.path, "listen"), "this is no address", '"0.0.0.0", "::" or one of this box'
    sources = reader.get("sources")
    for at, source in enumerate(sources if isinstance(sources, list) else ()):
        if isinstance(source, str) and not _is_some(source):
            allowed = 'an address or a network, such as "192.168.7.21" or "192.168.7.0/24"'
            yield (*reader.path, "sources", at), f"{source!r:.40} says not who may send", allowed


def _is_some(source: str) -> bool:
    """Whether a text names an address or a network that is not everybody."""
    try:
        return ipaddress.ip_network(source).prefixlen > 0
    except ValueError:
        return False


def _path_from_root(table: _Table, key: str) -> Iterator[Problem]:
    path = table.text(key)
    if path and not path.startswith("/"):
        yield (*table.path, key), f"{path!r:.40} is no device path", "such as /dev/serial/by-id/..."


def _lines_of(board: _Table) -> int | None:
    """Return how many lines a board has; None where that cannot be told."""
    if board.text("driver") == "gpio":
        offsets = board.get("offsets")
        return len(offsets) if isinstance(offsets, list) else None
    return _on_bus(board, "lines")


def _on_bus(board: _Table, key: str) -> int | None:
    """Return how many lines a board has, over all boards of its bus; None where that cannot be told."""
    count = board.number(key)
    return None if count is None else count * max(1, len(board.numbers("units")))


def _contacts_of(board: _Table, relays: list[_Table]) -> int | None:
    """Return how many contacts an input board has, which may be a relay board's; None where that cannot be told."""
    if board.text("driver") != "relay":
        return _lines_of(board)
    relay = _find(relays, board.text("relay"))
    return None if relay is None else _on_bus(relay, "inputs") or None


def _relays_read(inputs: list[_Table], relays: list[_Table]) -> Iterator[Problem]:
    """Inputs of a relay board: it must be there, have some, and be named once."""
    named: set[str] = set()
    for board in inputs:
        if board.text("driver") != "relay":
            continue
        yield from _named(board, "relay", relays, "relay")
        name = board.text("relay")
        relay = _find(relays, name)
        if relay is not None and not relay.number("inputs"):
            allowed = "say at the relay board how many inputs it has: inputs = 8"
            yield (*board.path, "relay"), f"no inputs of the relay {name!r:.40} are read", allowed
        if name and name in named:
            yield (
                (*board.path, "relay"),
                "another input board reads this relay's inputs",
                "one for each relay",
            )
        named.add(name)


def _lines_allowed(lines: int) -> str:
    return f"0 to {lines - 1}: lines count from 0" if lines > 1 else "0, its only line"


def _shared_devices(relays: list[_Table], inputs: list[_Table], readers: list[_Table]) -> Iterator[Problem]:
    """A device has one owner. Readers on USB are told apart by everything they are found by."""
    owners: dict[Hashable, str] = {}

    def claim(device: Hashable, path: KeyPath, owner: str, wrong: str) -> Iterator[Problem]:
        if device in owners:
            yield path, f"{wrong} is used by {owners[device]} already", "one of its own"
        owners.setdefault(device, owner)

    for table in (*relays, *inputs, *readers):
        owner = f"{table.path[-2]} {table.get('id')!r:.40}"
        if port := table.text("port"):
            shares = table.text("driver") == "osdp"
            # Readers of one OSDP bus share its port, each with an address of its own; nobody else does.
            taken = f"readers {port!r:.40}" if shares else owner
            if owners.get(port) != taken or not shares:
                yield from claim(port, (*table.path, "port"), taken, "this port")
        if table.text("driver") == "osdp":
            address = ("osdp", port, table.number("address"))
            yield from claim(address, (*table.path, "address"), owner, "this address")
        for at, offset in table.numbers("offsets"):
            yield from claim((table.text("chip"), offset), (*table.path, "offsets", at), owner, "this line")
        for key in ("d0", "d1"):
            if (line := table.number(key)) is not None:
                yield from claim((table.text("chip"), line), (*table.path, key), owner, "this line")
        for found_by, path, wrong in _found_by(table):
            yield from claim(found_by, path, owner, wrong)


def _found_by(table: _Table) -> Iterator[tuple[Hashable, KeyPath, str]]:
    """What a device without a port of its own is found by, where that is said, and how to say that it is taken."""
    driver = table.text("driver")
    if driver == "pcsc":
        yield ("pcsc", table.text("reader")), table.path, "what this reader is found by"
    if driver == "hid":
        found_by = ("hid", *(table.text(key) for key in HID_FINDERS))
        yield found_by, table.path, "what this board is found by (usb_port or name tells two of a kind apart)"
    if driver == "ws2812":
        yield ("spi", table.text("device")), (*table.path, "device"), "this SPI line"
    if driver in FOUND and any(table.get(key) for key in FINDERS):
        path = (*table.path, next(key for key in FINDERS if table.get(key)))
        wrong = "what this reader is found by (usb_port tells two of a kind apart)"
        yield (driver, *(table.text(key).lower() for key in FINDERS)), path, wrong


def _shared_ports(top: _Table, readers: list[_Table]) -> Iterator[Problem]:
    """A TCP port of the box has one owner, whatever address it listens at."""
    owners: dict[int, str] = {}
    for name, kind in (("page", PageSettings), ("peers", PeerSettings)):
        values = top.get(name)
        port = _Table((name,), values if isinstance(values, dict) else {}, _defaults(kind)).number("port")
        if port:
            owners[port] = f"[{name}]"
    for reader in readers:
        port = reader.number("port") if reader.text("driver") == "tcp" else None
        if port is not None and port in owners:
            yield (*reader.path, "port"), f"port {port} is used by {owners[port]} already", "one of its own"
        elif port is not None:
            owners[port] = f"readers {reader.get('id')!r:.40}"


# --- lanes ---------------------------------------------------------------------------------------------------------


def _named(lane: _Table, key: str, boards: list[_Table], what: str) -> Iterator[Problem]:
    """The board that a lane names must be there."""
    name = lane.text(key)
    known = [board.text("id") for board in boards if board.text("id")]
    if name and name not in known:
        near = difflib.get_close_matches(name, known, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        allowed = ", ".join(f'"{one}"' for one in known) or f"first describe it in [[{_boards_table(key)}]]"
        yield (*lane.path, key), f"no {what} is called {name!r:.40}{meant}", allowed


def _boards_table(key: str) -> str:
    """Return the table that a lane's key names an entry of."""
    return "inputs" if key == "inputs" else "relays"


def _find(boards: list[_Table], name: str) -> _Table | None:
    return next((board for board in boards if name and board.text("id") == name), None)


def _on_board(lane: _Table, keys: tuple[str, ...], lines: int | None) -> Iterator[Problem]:
    """The lines that a lane uses must be on its board."""
    for key in keys:
        line = lane.number(key)
        if lines is not None and line is not None and line >= lines:
            yield (*lane.path, key), f"the board has no line {line}", _lines_allowed(lines)


def _check_in(lane: _Table) -> Iterator[Problem]:
    """A check-in station has no arm, a reader for tickets and one for tags."""
    if not lane.number("check_in_s"):
        return
    if lane.text("relay"):
        yield (
            (*lane.path, "relay"),
            "no arm stands at a check-in station",
            "a lane of its own, without a relay",
        )
    readers = list(lane.tables("readers", {}))
    tags = [one.text("driver") in _TAG_DRIVERS or one.text("medium") == "uid" for one in readers]
    for is_tag, what in ((True, "tags"), (False, "tickets")):
        if readers and is_tag not in tags:
            yield (*lane.path, "check_in_s"), f"this station has no reader for {what}", "a reader for each"


_TAG_DRIVERS: Final = ("pn532", "twn4", "pcsc", "osdp", "wiegand")


def _barrier(lane: _Table, relays: list[_Table]) -> Iterator[Problem]:
    yield from _named(lane, "relay", relays, "relay")
    relay = _find(relays, lane.text("relay"))
    outputs = ("entry_line", "exit_line")
    yield from _on_board(lane, outputs, None if relay is None else _lines_of(relay))
    lines = [key for key in ("entry_line", "exit_line") if lane.get(key) is not None]
    if not lane.text("relay"):
        for key in (one for one in outputs if lane.get(one) is not None):
            yield (*lane.path, key), "there is no relay for this line", "name the lane's relay too"
        return
    if not lines:
        yield (*lane.path, "relay"), "no line of this relay is used", "give entry_line or exit_line"
        return
    for reader in lane.tables("readers", {}):
        way = reader.text("way")
        for direction in ("entry", "exit"):
            if way in {direction, "both"} and f"{direction}_line" not in lines:
                allowed = f"give the lane {direction}_line, or put the reader in a lane without a relay"
                wrong = (
                    f"this reader lets people {_WAYS[direction]}, but the lane's barrier has no line for it"
                )
                yield (*reader.path, "way"), wrong, allowed
    longest_ms = None if relay is None else relay.number("pulse_max_ms")
    pulse_ms = (
        lane.number("pulse_ms") if "pulse_ms" in lane.values else lengths_of(lane.values).get("pulse_ms")
    )
    if longest_ms is not None and pulse_ms is not None and pulse_ms > longest_ms:
        path = (*lane.path, "pulse_ms" if "pulse_ms" in lane.values else "relay")
        yield path, f"pulses of {pulse_ms} ms are longer than the relay's pulse_max_ms", f"up to {longest_ms}"


def _lamps(lane: _Table, relays: list[_Table]) -> Iterator[Problem]:
    """A traffic light and a buzzer, on the lane's own relay board or on the one named for them."""
    yield from _named(lane, "lamp_relay", relays, "relay")
    own = "lamp_relay" if lane.text("lamp_relay") else "relay"
    board = _find(relays, lane.text(own))
    yield from _on_board(lane, LAMPS, None if board is None else _lines_of(board))
    used = [key for key in LAMPS if lane.get(key) is not None]
    if not lane.text(own):
        for key in used:
            yield (
                (*lane.path, key),
                "there is no relay for this line",
                "name the lane's relay too, or lamp_relay",
            )
    elif own == "lamp_relay" and not used:
        yield (*lane.path, own), "no line of this relay is used", "give one of " + ", ".join(LAMPS)
    longest_ms = None if board is None else board.number("pulse_max_ms")
    if used and longest_ms is not None and longest_ms < FLASH_MS_MAX:
        wrong = f"its lamps flash for {FLASH_MS_MAX} ms"
        yield (*lane.path, own), wrong, f"pulse_max_ms = {FLASH_MS_MAX}"


def _strip(lane: _Table, relays: list[_Table]) -> Iterator[Problem]:
    """A strip shows pictures, and nothing else; no arm and no lamp hangs on one."""
    yield from _named(lane, "strip", relays, "relay")
    strips = [one for one in relays if one.text("driver") in STRIPS]
    if lane.text("strip") and _find(relays, lane.text("strip")) and not _find(strips, lane.text("strip")):
        yield (*lane.path, "strip"), "this is no LED strip", "a relay whose driver is " + " or ".join(STRIPS)
    for key in ("relay", "lamp_relay"):
        if lane.text(key) and _find(strips, lane.text(key)):
            yield (*lane.path, key), "this is an LED strip: no arm and no lamp hangs on it", "strip = "
    board = _find(strips, lane.text("strip"))
    longest_ms = None if board is None else board.number("pulse_max_ms")
    if longest_ms is not None and longest_ms < FLASH_MS_MAX:
        wrong = f"its pictures stand for {FLASH_MS_MAX} ms"
        yield (*lane.path, "strip"), wrong, f"pulse_max_ms = {FLASH_MS_MAX}"


_WAYS: Final = {"entry": "in", "exit": "out"}


def _contacts(lane: _Table, inputs: list[_Table], relays: list[_Table]) -> Iterator[Problem]:
    yield from _named(lane, "inputs", inputs, "input board")
    board = _find(inputs, lane.text("inputs"))
    yield from _on_board(lane, CONTACTS, None if board is None else _contacts_of(board, relays))
    used = [key for key in CONTACTS if lane.get(key) is not None]
    if not lane.text("inputs"):
        for key in used:
            yield (*lane.path, key), "there is no input board for this contact", "name the lane's inputs too"
    elif not used:
        yield (*lane.path, "inputs"), "no line of this board is used", "give one of " + ", ".join(CONTACTS)


def _kind_of_barrier(lane: _Table) -> Iterator[Problem]:
    """What a lane's kind of barrier needs: a button opens something, companions are counted by somebody."""
    if lane.get("exit_button") is not None and lane.get("exit_line") is None:
        allowed = "give exit_line: the relay line that lets people out, of a door the same as entry_line"
        yield (*lane.path, "exit_button"), "nothing opens when this button is pressed", allowed
    if lane.number("companions") and lane.get("barrier") not in WIDE:
        allowed = 'barrier = "swing_gate" or "door", or leave companions out'
        yield (*lane.path, "companions"), "this kind of barrier lets one person through an opening", allowed
    elif lane.number("companions") and lane.get("entry_contact") is None:
        allowed = "wire entry_contact, or leave companions out"
        yield (*lane.path, "companions"), "nothing sees how many people walk through", allowed
    both = lane.get("entry_contact") is not None and lane.get("exit_contact") is not None
    if lane.get("contacts_show_power") is True and not both:
        wrong = "one passage contact alone says nothing of the power"
        yield (*lane.path, "contacts_show_power"), wrong, "wire entry_contact and exit_contact"


def _shared_lines(lanes: list[_Table]) -> Iterator[Problem]:
    """An output moves one barrier, a contact tells one thing. Both ways of one lane may share an output (a door
    strike), and all lanes the one fire contact of a building."""
    outputs: dict[Hashable, KeyPath] = {}
    contacts: dict[Hashable, tuple[KeyPath, str]] = {}
    for lane in lanes:
        board = dict.fromkeys(("entry_line", "exit_line"), lane.text("relay"))
        board |= dict.fromkeys(LAMPS, lane.text("lamp_relay") or lane.text("relay"))
        used = {key: (board[key], lane.number(key)) for key in board if lane.number(key) is not None}
        for key in LAMPS:
            if key in used and list(used.values()).count(used[key]) > 1:
                yield (*lane.path, key), "this lane uses this output line already", "a line of its own"
        for key, line in used.items():
            if line[0] and outputs.setdefault(line, lane.path) != lane.path:
                yield (*lane.path, key), "another lane uses this output line", "a line of its own"
        for key in CONTACTS:
            contact = (lane.text("inputs"), lane.number(key))
            if not contact[0] or contact[1] is None:
                continue
            first = contacts.setdefault(contact, (lane.path, key))
            if first != (lane.path, key) and {first[1], key} != {"fire_contact"}:
                yield (*lane.path, key), f"this input is {_said(first)} already", "an input of its own"


def _said(first: tuple[KeyPath, str]) -> str:
    return f"{first[1]} of lanes[{first[0][-1]}]"
