"""Programming codes: what sets a scanner to a mode that a gate reads best, and what locks it against other people's codes.

A code of ours is drawn only where a public source says what is in it; for all others the maker's guide is named, with the
words to look for. None was tried on a physical scanner: one that does not know a code ignores it, or reads it as a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.commission.known import Known, Mode, Role


@dataclass(frozen=True, slots=True)
class Order:
    """One programming code. `text` stands behind FNC3 in a Code 128; "" where only the maker's guide has it.

    `guide`: the words of the maker's guide, in its language.
    """

    guide: str
    text: str = ""


_TO_SERIAL: Final[Mapping[str, Order]] = {
    "Zebra": Order("USB Device Type: CDC Host (CDC COM Port Emulation)"),
    # The guide's own table for these families; `$…CR` behind FNC3 is how its labels are made. HA47 is USB-COM-STD.
    "Datalogic": Order("Select Interface: USB-COM-STD", "$P,HA47,P\r"),
    # A menu command, as it is sent by wire too ("TRMUSB130 means USB serial"); menu codes hold the same text.
    "Honeywell": Order("USB Serial (TRMUSB130)", "TRMUSB130."),
    "Newland": Order("Communicating with ports: USB COM Port Emulation, or HID-POS"),
    "Opticon": Order("USB virtual COM port"),
    "": Order("USB virtual COM port"),
}

_LOCK: Final[Mapping[str, Order]] = {
    "Zebra": Order("Parameter Bar Code Scanning: Disable Parameter Scanning"),
    "Datalogic": Order("Programming labels: disable (Lock)"),
    "Honeywell": Order("Menu Code Scanning: Off"),
    "Newland": Order("Code Programming OFF (Exit Setup)"),
    "Opticon": Order("Menu labels: disable reading of menu codes"),
    "": Order("Setup codes: off"),
}


def to_serial(what: Known) -> Order | None:
    """Return what sets a scanner to USB serial; None where it is no scanner, or is so already."""
    if what.role is not Role.SCANNER or what.mode in {Mode.SERIAL, Mode.HID_POS}:
        return None
    return _TO_SERIAL.get(what.maker, _TO_SERIAL[""])


def lock(what: Known) -> Order | None:
    """Return what makes a scanner ignore programming codes; None for what reads none."""
    return _LOCK.get(what.maker, _LOCK[""]) if what.role is Role.SCANNER else None
