"""What is wrong with what was found: devices that something else takes, and scanners in a mode that no gate reads, or badly.

`gatehouse-edge detect` prints it, the commissioning page shows it. Only a BAD one makes the command fail.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from drivers.base import DeviceGone, DriverError
from edge.commission.candidates import pcsc_name
from edge.commission.inventory import Inventory, NodeKind, Plugged
from edge.commission.known import Known, Mode, Role, known, title
from edge.commission.orders import Order, to_serial


class Grade(Enum):
    """How much it matters: a BAD device will not work."""

    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing to mend. `code` is a sentence of `edge.commission.words`, `place` the device's, "" for the box as a whole."""

    grade: Grade
    code: str
    place: str = ""
    args: tuple[tuple[str, str], ...] = ()
    order: Order | None = None


_WRONG: Final = {
    Mode.SNAPI: "mode.snapi",
    Mode.IBM: "mode.ibm",
    Mode.COM_HID: "mode.com_hid",
}
_PN533: Final = frozenset({"pn533_usb"})
_OURS: Final = frozenset({Role.SCANNER, Role.TAG_READER, Role.ADAPTER, Role.RELAY})
"""What a gate reads or switches; printers and modems have owners of their own."""


def search_failed(error: DriverError, place: str) -> Trouble:
    """Say why what is behind an adapter could not be searched."""
    code = "bus.gone" if isinstance(error, DeviceGone) else "bus.failed"
    return Trouble(Grade.BAD, code, place, (("what", str(error)), ("hint", error.hint)))


def troubles(found: Inventory) -> tuple[Trouble, ...]:
    """Return all that is to be mended, the worst first, then by place."""
    listed = [one for device in found.plugged for one in _of_device(device, known(device), found)]
    return tuple(sorted(listed, key=lambda one: (one.grade is not Grade.BAD, one.place)))


def _of_device(device: Plugged, what: Known, found: Inventory) -> Iterator[Trouble]:
    if what.role not in _OURS:
        return
    named = (("what", title(device)),)
    yield from _thieves(device, named, found)
    if what.role is Role.RELAY:
        return  # it is driven, not read
    code = _WRONG.get(what.mode)
    if what.mode is Mode.CCID:
        yield from _pcsc(device, named, found)
    elif code is not None:
        yield Trouble(Grade.BAD, code, device.place, named, to_serial(what))
    elif (
        what.mode is Mode.KEYBOARD and what.role is Role.SCANNER
    ):  # digits and A to F are alike on most keyboards
        yield Trouble(Grade.WARN, "mode.keyboard", device.place, named, to_serial(what))
    elif what.mode is Mode.NONE:
        yield Trouble(Grade.BAD, "mode.none", device.place, named, to_serial(what))


def _pcsc(device: Plugged, named: tuple[tuple[str, str], ...], found: Inventory) -> Iterator[Trouble]:
    """What keeps the gate from a reader of the PC/SC service: one thing after the other, as they are mended."""
    # One of no listed maker may be for contact cards, and nobody's here.
    grade = Grade.BAD if known(device).listed else Grade.WARN
    if not found.pcsc:
        yield Trouble(grade, "pcsc.missing", device.place, named)
    elif not found.pcsc_driver:
        yield Trouble(grade, "pcsc.no_driver", device.place, named)
    elif found.pcsc_forbidden:
        yield Trouble(grade, "pcsc.forbidden", device.place, named)
    elif pcsc_name(device, found) is None:
        yield Trouble(grade, "pcsc.twins", device.place, named)


def _thieves(device: Plugged, named: tuple[tuple[str, str], ...], found: Inventory) -> Iterator[Trouble]:
    has_port = any(node.kind is NodeKind.SERIAL for node in device.nodes)
    if found.modem_manager and has_port and device.usb and not device.shielded:
        vendor = (("vendor", device.usb.partition(":")[0]),)
        yield Trouble(Grade.BAD, "thief.modem_manager", device.place, (*named, *vendor))
    if "usbfs" in device.drivers and known(device).mode is not Mode.CCID:  # the PC/SC service reads so itself
        yield Trouble(Grade.BAD, "thief.usbhid", device.place, named)
    if _PN533 & set(device.drivers):
        yield Trouble(Grade.BAD, "thief.pn533", device.place, named)
    if device.sleeps:
        yield Trouble(Grade.BAD, "thief.autosuspend", device.place, named)
