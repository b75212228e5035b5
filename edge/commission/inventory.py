"""What is plugged into the box, as the kernel's files say it: USB devices with the nodes that they made, and who may take them.

A pure reading below one folder (`/`, or a made-up one in tests and demos): nothing is opened, nothing is asked by wire.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

TEXT_CHARS_MAX: Final = 80
"""What a device says of itself is a label, whatever it says."""
DESCRIPTOR_BYTES_MAX: Final = 4096
"""HID_MAX_DESCRIPTOR_SIZE of the kernel."""
_KEY_1: Final = 2
_KEY_ENTER: Final = 28
_POS_PAGE: Final = (b"\x05\x8c", b"\x06\x8c\x00")
"""Usage page 0x8C (bar code scanner), as a short item of one or two bytes: both occur."""
_PORTS: Final = ("ttyACM", "ttyUSB", "ttyAMA", "ttySC", "ttyS")
"""The last but one: RS-485 HATs on an SC16IS7xx."""
_CCID_DRIVERS: Final = ("usr/lib/pcsc/drivers", "usr/lib64/pcsc/drivers", "usr/local/lib/pcsc/drivers")
_POLKIT_RULES: Final = ("etc/polkit-1/rules.d", "usr/share/polkit-1/rules.d")
_PCSC_ACTION: Final = "org.debian.pcsc-lite.access"
_RULES_BYTES_MAX: Final = 64 * 1024


class NodeKind(StrEnum):
    """What a node is read as."""

    SERIAL = "serial"
    KEYBOARD = "keyboard"
    HID_POS = "hid_pos"
    HIDRAW = "hidraw"
    """A HID device without codes in its reports: COM emulation, SNAPI, IBM hand-held."""


@dataclass(frozen=True, slots=True)
class Node:
    """A way in. `path` is the name that stays the same for the socket (`by-path`), where there is one; `port`: `phys`."""

    kind: NodeKind
    path: str
    name: str = ""
    port: str = ""
    names: tuple[str, ...] = ()
    """What else it is called: by the kernel's number, or by what the device says of itself (`by-id`)."""


@dataclass(frozen=True, slots=True)
class Plugged:
    """One device. `place` is the USB socket (`1-1.3`), or the port's own name for one that is soldered on."""

    place: str
    usb: str = ""
    maker: str = ""
    product: str = ""
    serial: str = ""
    drivers: tuple[str, ...] = ()
    """Of its interfaces, as the kernel names them."""
    sleeps: bool = False
    """The kernel may suspend it (`power/control` is auto)."""
    shielded: bool = False
    """udev marked it for ModemManager to leave alone."""
    classes: tuple[str, ...] = ()
    """Of its interfaces, two hexadecimal digits each: 0b is a reader that speaks CCID (USB-IF class codes)."""
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything found. `modem_manager`: that program runs."""

    plugged: tuple[Plugged, ...] = ()
    modem_manager: bool = False
    gpio: tuple[str, ...] = ()
    pcsc: bool = False
    """The PC/SC service can be asked."""
    pcsc_driver: bool = False
    """That service has a driver for CCID."""
    pcsc_forbidden: bool = False
    """No rule of polkit lets anybody without a screen use it; False where that may not be looked at."""


@dataclass(slots=True)
class _Found:
    nodes: dict[Path, list[Node]] = field(default_factory=dict)
    soldered: list[Plugged] = field(default_factory=list)


def inventory(root: Path = Path("/")) -> Inventory:
    """Read everything below a root folder. What goes away while it is read is left out."""
    found = _Found()
    for folder, node in (*_serial(root), *_keyboards(root), *_hid(root)):
        usb = _usb_of(folder)
        if usb is None:
            if node.kind is NodeKind.SERIAL:
                found.soldered.append(Plugged(place=node.path.rpartition("/")[2], nodes=(node,)))
            continue  # the box's own power button types too
        found.nodes.setdefault(usb, []).append(node)
    usb_devices = [_plugged(root, folder, found.nodes.get(folder, ())) for folder in _usb_folders(root)]
    plugged = [one for one in usb_devices if one is not None]
    return Inventory(
        plugged=tuple(sorted([*plugged, *found.soldered], key=lambda one: one.place)),
        modem_manager=_runs(root, "ModemManager"),
        gpio=tuple(sorted(one.name for one in _listed(root / "dev") if one.name.startswith("gpiochip"))),
        pcsc=(root / "run/pcscd/pcscd.comm").exists(),
        pcsc_driver=any("ccid" in one.name for folder in _CCID_DRIVERS for one in _listed(root / folder)),
        pcsc_forbidden=_is_forbidden(root),
    )


def _is_forbidden(root: Path) -> bool:
    """Whether polkit is there, its rules can be seen, and none names the PC/SC service."""
    rules = root / _POLKIT_RULES[0]
    try:
        listed = [*rules.iterdir(), *_listed(root / _POLKIT_RULES[1])]
    except OSError:
        return False
    return not any(_PCSC_ACTION in _bytes(one, _RULES_BYTES_MAX).decode("utf-8", "replace") for one in listed)


def _usb_folders(root: Path) -> list[Path]:
    """Devices are named by socket (`1-1.3`), interfaces have a colon, root hubs are `usb1`."""
    listed = _listed(root / "sys/bus/usb/devices")
    return [one.resolve() for one in listed if ":" not in one.name and not one.name.startswith("usb")]


def _plugged(root: Path, folder: Path, nodes: list[Node] | tuple[()]) -> Plugged | None:
    vendor, product = _text(folder / "idVendor"), _text(folder / "idProduct")
    if not vendor or _text(folder / "bDeviceClass") == "09":
        return None  # gone meanwhile, or a hub
    interfaces = [one for one in _listed(folder) if one.name.startswith(f"{folder.name}:")]
    links = [one / "driver" for one in interfaces]
    mark = root / "run/udev/data" / f"c{_text(folder / 'dev')}"
    return Plugged(
        place=folder.name,
        usb=f"{vendor}:{product}".lower(),
        maker=_text(folder / "manufacturer"),
        product=_text(folder / "product"),
        serial=_text(folder / "serial"),
        drivers=tuple(sorted({link.resolve().name for link in links if link.exists()})),
        sleeps=_text(folder / "power/control") == "auto",
        classes=tuple(sorted({_text(one / "bInterfaceClass").lower() for one in interfaces} - {""})),
        shielded="E:ID_MM_DEVICE_IGNORE=1" in _lines(mark),
        nodes=tuple(sorted(nodes, key=lambda one: (one.kind, one.path))),
    )


def _serial(root: Path) -> Iterator[tuple[Path, Node]]:
    stable = _stable(root, "dev/serial/by-path")
    for one in _listed(root / "sys/class/tty"):
        # Consoles and ports that no chip stands behind (most of ttyS0 to ttyS31) have no device, or no driver.
        device = one / "device"
        if not one.name.startswith(_PORTS) or not (device / "driver").exists():
            continue
        if one.name.startswith("ttyS") and _text(one / "type") == "0":
            continue  # PORT_UNKNOWN of <linux/serial_core.h>: a driver, and nothing there
        path = _path(root, one.name, stable)
        yield device.resolve(), Node(NodeKind.SERIAL, path, names=_names(root, one.name, "dev/serial"))


def _keyboards(root: Path) -> Iterator[tuple[Path, Node]]:
    stable = _stable(root, "dev/input/by-path", "-event-kbd")
    for one in _listed(root / "sys/class/input"):
        device = one / "device"
        if not one.name.startswith("event") or not _types(_text(device / "capabilities/key", 800)):
            continue
        path = _path(root, f"input/{one.name}", stable)
        yield (
            device.resolve(),
            Node(
                NodeKind.KEYBOARD,
                path,
                _text(device / "name"),
                _text(device / "phys"),
                _names(root, f"input/{one.name}", "dev/input"),
            ),
        )


def _types(bits: str) -> bool:
    """Whether it has keys to type with: a second node for volume keys has none. The bits are words of 64, highest first."""
    words = bits.split()
    try:
        low = int(words[-1], 16) if words else 0
    except ValueError:
        return False
    return bool(low >> _KEY_1 & 1 and low >> _KEY_ENTER & 1)


def _hid(root: Path) -> Iterator[tuple[Path, Node]]:
    for one in _listed(root / "sys/class/hidraw"):
        device = one / "device"
        said = dict(line.partition("=")[::2] for line in _lines(device / "uevent"))
        descriptor = _bytes(device / "report_descriptor", DESCRIPTOR_BYTES_MAX)
        kind = NodeKind.HID_POS if any(page in descriptor for page in _POS_PAGE) else NodeKind.HIDRAW
        yield (
            device.resolve(),
            Node(
                kind,
                str(root / "dev" / one.name),
                said.get("HID_NAME", "")[:TEXT_CHARS_MAX],
                said.get("HID_PHYS", "")[:TEXT_CHARS_MAX],
            ),
        )


def _usb_of(folder: Path) -> Path | None:
    """Return the USB device that a folder of sysfs lies in."""
    return next((one for one in (folder, *folder.parents) if (one / "idVendor").is_file()), None)


def _stable(root: Path, links: str, suffix: str = "") -> dict[str, str]:
    """Return the `by-path` name of each node, by the node's own name."""
    named = {}
    for link in _listed(root / links):
        if link.is_symlink() and link.name.endswith(suffix):
            # Only the link itself is read: in a made-up folder the node is a link too, to a simulator's port.
            named[link.readlink().name] = str(link)
    return named


def _path(root: Path, node: str, stable: dict[str, str]) -> str:
    return stable.get(node.rpartition("/")[2], str(root / "dev" / node))


def _names(root: Path, node: str, links: str) -> tuple[str, ...]:
    """Return every name of a node."""
    last = node.rpartition("/")[2]
    folders = (f"{links}/by-id", f"{links}/by-path")
    others = (link for folder in folders for link in _listed(root / folder) if link.is_symlink())
    return (str(root / "dev" / node), *(str(one) for one in others if one.readlink().name == last))


def _runs(root: Path, name: str) -> bool:
    """Whether a program runs, by the name that the kernel keeps of it (15 characters)."""
    return any(_text(one / "comm") == name[:15] for one in _listed(root / "proc") if one.name.isdigit())


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(file: Path, chars_max: int = TEXT_CHARS_MAX) -> str:
    text = _bytes(file, 4 * chars_max).decode("utf-8", "replace").strip()
    return "".join(one if one.isprintable() else "?" for one in text)[:chars_max]


def _lines(file: Path) -> list[str]:
    return _bytes(file, DESCRIPTOR_BYTES_MAX).decode("utf-8", "replace").splitlines()


def _bytes(file: Path, size: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(size)
    except OSError:
        return b""
