"""What a USB device is, by its ids: kind, mode, and whether a gate can read it so.

Ids are from the public `usb.ids` list and the makers' guides, as the comments say; a scanner's product id changes with its mode,
and one maker's id alone says little: then the nodes that the kernel made decide. Nothing here was tried on a physical device.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge.commission.inventory import NodeKind, Plugged


class Role(StrEnum):
    """What it is good for at a gate."""

    SCANNER = "scanner"
    TAG_READER = "tag_reader"
    ADAPTER = "adapter"
    """A serial chip: a relay board, a scanner's RS-232 or a tag reader may be behind it. A person says which."""
    RELAY = "relay"
    PRINTER = "printer"
    MODEM = "modem"
    UNKNOWN = "unknown"


class Mode(StrEnum):
    """How it talks."""

    KEYBOARD = "keyboard"
    SERIAL = "serial"
    HID_POS = "hid_pos"
    COM_HID = "com_hid"
    """Symbol's "Simple COM Port Emulation": hidraw, and no port."""
    SNAPI = "snapi"
    IBM = "ibm"
    """IBM hand-held or table-top, also sold as "USB OPOS"."""
    CCID = "ccid"
    WIEGAND = "wiegand"
    OSDP = "osdp"
    NONE = "none"


CCID_CLASS: Final = "0b"
"""Of a USB interface: a reader that the PC/SC service asks."""
READ: Final = frozenset({Mode.KEYBOARD, Mode.SERIAL, Mode.HID_POS})
"""Modes that a driver of ours reads."""


@dataclass(frozen=True, slots=True)
class Known:
    """`maker` and `model` as people call it; `listed`: its ids are in this table, so it is no keyboard of the office."""

    role: Role
    mode: Mode
    maker: str = ""
    model: str = ""
    listed: bool = True


@dataclass(frozen=True, slots=True)
class _Row:
    role: Role
    model: str = ""
    mode: Mode | None = None
    """None: as its nodes say."""


_MAKERS: Final[Mapping[str, tuple[str, Role]]] = {
    "05e0": ("Zebra", Role.SCANNER),  # Symbol Technologies
    "0c2e": ("Honeywell", Role.SCANNER),  # Metrologic
    "0536": ("Honeywell", Role.SCANNER),  # Hand Held Products
    "05f9": ("Datalogic", Role.SCANNER),  # PSC Scanning
    "1eab": ("Newland", Role.SCANNER),
    "065a": ("Opticon", Role.SCANNER),
    "23d0": ("", Role.SCANNER),  # engines sold under many names, not in usb.ids
    "2dd6": ("", Role.SCANNER),
    "076b": ("HID OMNIKEY", Role.TAG_READER),
    "09d8": ("Elatec", Role.TAG_READER),
    "072f": ("ACS", Role.TAG_READER),
    "1a86": ("QinHeng CH340", Role.ADAPTER),
    "0403": ("FTDI", Role.ADAPTER),
    "067b": ("Prolific PL2303", Role.ADAPTER),
    "10c4": ("Silicon Labs CP210x", Role.ADAPTER),
    "2a19": ("Numato", Role.RELAY),
    "04b8": ("Epson", Role.PRINTER),
    "0519": ("Star", Role.PRINTER),
    "0a5f": ("Zebra", Role.PRINTER),
    "2c7c": ("Quectel", Role.MODEM),
}

_PRODUCTS: Final[Mapping[str, _Row]] = {
    "05e0:1200": _Row(Role.SCANNER, "", Mode.KEYBOARD),
    "05e0:1701": _Row(Role.SCANNER, "", Mode.SERIAL),
    "05e0:0600": _Row(Role.SCANNER, "", Mode.COM_HID),
    # 1300 is sold as "USB OPOS" and is no HID-POS: the guide of the MS4407 calls both IBM.
    "05e0:1300": _Row(Role.SCANNER, "", Mode.IBM),
    "05e0:1400": _Row(Role.SCANNER, "", Mode.IBM),
    "05e0:1900": _Row(Role.SCANNER, "", Mode.SNAPI),
    "0c2e:0200": _Row(Role.SCANNER, "MS7120", Mode.KEYBOARD),
    "0c2e:0204": _Row(Role.SCANNER, "MS7120", Mode.KEYBOARD),
    "0c2e:0720": _Row(Role.SCANNER, "", Mode.SERIAL),
    "0c2e:0b6a": _Row(Role.SCANNER, "Vuquest 3310"),
    "0c2e:0b81": _Row(Role.SCANNER, "Voyager 1400g"),
    "0c2e:1001": _Row(Role.SCANNER, "", Mode.KEYBOARD),
    "0c2e:0db3": _Row(Role.SCANNER, "", Mode.HID_POS),
    "05f9:2206": _Row(Role.SCANNER, "Gryphon", Mode.KEYBOARD),
    "05f9:4204": _Row(Role.SCANNER, "Gryphon", Mode.SERIAL),
    "05f9:1206": _Row(Role.SCANNER, "Gryphon", Mode.IBM),
    "05f9:220c": _Row(Role.SCANNER, "Gryphon GD4430"),
    "05f9:2601": _Row(Role.SCANNER, "Magellan"),
    "05f9:2602": _Row(Role.SCANNER, "Magellan"),
    "065a:0001": _Row(Role.SCANNER, "", Mode.KEYBOARD),
    "076b:5022": _Row(Role.TAG_READER, "5022", Mode.CCID),
    "076b:5023": _Row(Role.TAG_READER, "5023", Mode.CCID),
    "076b:5422": _Row(Role.TAG_READER, "5422", Mode.CCID),
    "076b:5427": _Row(Role.TAG_READER, "5427CK", Mode.CCID),
    "076b:5127": _Row(Role.TAG_READER, "5127CK", Mode.CCID),
    "076b:a011": _Row(Role.TAG_READER, "", Mode.KEYBOARD),
    "09d8:0406": _Row(Role.TAG_READER, "TWN4 MIFARE NFC"),
    "09d8:0410": _Row(Role.TAG_READER, "TWN4", Mode.KEYBOARD),
    "09d8:0420": _Row(Role.TAG_READER, "TWN4", Mode.SERIAL),
    "09d8:0427": _Row(Role.TAG_READER, "TWN4", Mode.CCID),
    "09d8:0428": _Row(Role.TAG_READER, "TWN4", Mode.CCID),
    "072f:2200": _Row(Role.TAG_READER, "ACR122U", Mode.CCID),
    "072f:223b": _Row(Role.TAG_READER, "ACR1252U", Mode.CCID),
    "072f:223e": _Row(Role.TAG_READER, "ACR1252U", Mode.CCID),
    "072f:223f": _Row(Role.TAG_READER, "ACR1255U-J1", Mode.CCID),
    "072f:2259": _Row(Role.TAG_READER, "ACR1252IMP", Mode.CCID),
    "072f:2303": _Row(Role.TAG_READER, "ACR1552U", Mode.CCID),
    "072f:2308": _Row(Role.TAG_READER, "ACR1552U", Mode.CCID),
    # V-USB lends this pair out; udev's rule and the board's driver go by it too.
    "16c0:05df": _Row(Role.RELAY, "USBRelay"),
    "2c7c:0121": _Row(Role.MODEM, "EC21", Mode.NONE),
    "2c7c:0125": _Row(Role.MODEM, "EC25", Mode.NONE),
}

_NEWLAND_MODES: Final[Mapping[str, Mode]] = {"03": Mode.KEYBOARD, "06": Mode.SERIAL, "10": Mode.HID_POS}
"""Newland's guides: a base per family, plus the interface (0103, 0106, 0110; 0d03, 0d06, 0d10; ...)."""

_NODE_MODES: Final = (
    # A scanner that has a port has it for its codes, whatever else it shows.
    (NodeKind.SERIAL, Mode.SERIAL),
    (NodeKind.HID_POS, Mode.HID_POS),
    (NodeKind.KEYBOARD, Mode.KEYBOARD),
)


def known(device: Plugged) -> Known:
    """Say what a device is. One of no listed maker is judged by its nodes alone, and is not `listed`."""
    vendor, _, product = device.usb.partition(":")
    by_nodes = _mode_of(device)
    maker, role = _MAKERS.get(vendor, ("", Role.UNKNOWN))
    row = _PRODUCTS.get(device.usb)
    if row is not None:
        return Known(row.role, row.mode or by_nodes, maker, row.model)
    if vendor == "1eab":
        return Known(role, _NEWLAND_MODES.get(product[2:], by_nodes), maker)
    if role is Role.UNKNOWN and not device.usb and by_nodes is Mode.SERIAL:
        return Known(Role.ADAPTER, by_nodes)  # the header's own UART
    if CCID_CLASS in device.classes and by_nodes is Mode.NONE:
        return Known(Role.TAG_READER, Mode.CCID, maker, listed=role is Role.TAG_READER)
    if by_nodes is Mode.HID_POS:
        return Known(Role.SCANNER, by_nodes, maker)  # nothing else speaks it
    return Known(role, by_nodes, maker, listed=role is not Role.UNKNOWN)


def title(device: Plugged) -> str:
    """Return what people call a device: the maker as known, and the model, or what it says of itself."""
    what = known(device)
    parts = (what.maker or device.maker, what.model or device.product)
    return " ".join(one for one in parts if one) or device.usb or device.place


def _mode_of(device: Plugged) -> Mode:
    kinds = {node.kind for node in device.nodes}
    return next((mode for kind, mode in _NODE_MODES if kind in kinds), Mode.NONE)
