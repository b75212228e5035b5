"""OSDP readers of buses that somebody named: how each is opened, where its key lies, and whether it has one of ours.

A reader without a key of ours is not listened to: what it says could be anybody's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from edge.commission.candidates import Candidate
from edge.commission.findings import Grade, Trouble
from edge.commission.inventory import Plugged
from edge.commission.known import Known, Mode, Role
from edge.devices import OsdpBus, OsdpFound
from edge.settings import OsdpReader, Way, WiegandCarries

OSDP_KEY: Final = "osdp:"
"""What the key of a reader on a bus begins with; its adapter's place and its address follow."""
WHAT: Final = Known(Role.TAG_READER, Mode.OSDP)
KEYS_TRIED_MAX: Final = 32
"""Keys of ours that a reader is asked to prove: two for each of a gate's lanes at most."""
READERS_MAX: Final = 16
"""Readers of a bus that are asked for their keys. Eight are what a bus of 9600 baud takes."""


class KeyState(Enum):
    """What key a reader has. Each is proved by the reader."""

    OURS = "ours"
    NEW = "new"
    """That of the specification: it takes one of its own."""
    OTHER = "other"
    """None that we know."""
    UNKNOWN = "unknown"
    """It did not answer, or knows no secure channel."""


@dataclass(frozen=True, slots=True)
class BusReader:
    """One reader. `reader` opens it, once it has a key of ours; `trouble`: what is to be done."""

    found: OsdpFound
    reader: OsdpReader
    state: KeyState
    trouble: Trouble | None = None

    @property
    def called(self) -> str:
        """What people call it; numbers, whatever it says of itself."""
        said = " ".join(one for one in (self.found.vendor, self.found.serial) if one)
        return f"OSDP {self.found.address}{f', {said}' if said else ''}"


@dataclass(slots=True)
class Bus:
    """The readers behind one adapter, by their keys. `asking`: the speed at which it is searched now, 0 before the first and while a key is given (`is_keyed`)."""

    port: str
    readers: dict[str, BusReader] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    asking: int | None = None
    is_keyed: bool = False

    @property
    def is_taken(self) -> bool:
        """Whether the port is a bus of readers, or is asked whether it is one: nothing else opens it."""
        return bool(self.readers) or self.asking is not None


def key_of(place: str, address: int) -> str:
    """Return the key of the reader at this address behind an adapter."""
    return f"{OSDP_KEY}{place}:{address}"


def place_of(key: str) -> str:
    """Return the adapter of a reader on a bus; "" for any other device."""
    return key.removeprefix(OSDP_KEY).rpartition(":")[0] if key.startswith(OSDP_KEY) else ""


def on_buses(buses: Mapping[str, Bus]) -> tuple[Candidate, ...]:
    """Return the readers that can be listened to."""
    return tuple(
        Candidate(key, plugged(key, one), WHAT, one.reader)
        for bus in buses.values()
        for key, one in bus.readers.items()
        if one.state is KeyState.OURS
    )


def plugged(key: str, one: BusReader) -> Plugged:
    """Return a reader as a device."""
    return Plugged(key, product=one.called)


def as_written(reader: OsdpReader) -> BusReader:
    """Return a reader of the gate before: that it has its key is the gate's own experience."""
    plain = msgspec.structs.replace(reader, id=1, way=Way.ENTRY)
    return BusReader(OsdpFound(reader.address, reader.baud), plain, KeyState.OURS)


def with_form(one: BusReader, *, is_uid: bool) -> BusReader:
    """Return a reader as it is opened while a card is asked for whose UID is known, or what is printed on it."""
    carries = WiegandCarries.UID if is_uid else WiegandCarries.CARD
    return BusReader(one.found, msgspec.structs.replace(one.reader, carries=carries), one.state, one.trouble)


def setting(port: str, found: OsdpFound, key: Path) -> OsdpReader:
    """Return a reader that answered as a gate's settings name it."""
    return OsdpReader(
        id=1, way=Way.ENTRY, port=port, key_file=str(key), address=found.address, baud=found.baud
    )


def key_file(found: OsdpFound, data: Path) -> Path:
    """Return where the key of a reader without one is to lie: a name of its own, and never another one's file.

    Makers, models and serial numbers are said without proof, and many readers have none: they name a file, and no more.
    """
    name = _stem(found)
    return next(
        place
        for number in range(1, 1_000)
        if not (place := data / f"{name}{f'-{number}' if number > 1 else ''}.key").exists()
    )


def keys_to_try(found: OsdpFound, data: Path) -> tuple[list[Path], list[Path]]:
    """Return the files with keys that were made for this reader, as it names itself, and those that may be its, too."""
    files, stem = sorted(data.glob("osdp-*.key")), _stem(found)
    own = [one for one in files if one.name.startswith(stem)]
    return own[:KEYS_TRIED_MAX], [one for one in files if one not in own][:KEYS_TRIED_MAX]


def _stem(found: OsdpFound) -> str:
    said = [one for one in (found.vendor, found.serial) if one]
    return "-".join(("osdp", *said, str(found.address)))


def troubles_of(bus: OsdpBus, place: str, port: str) -> Iterator[Trouble]:
    """Say what is wrong on a bus that was searched."""
    if bus.why:
        yield Trouble(Grade.BAD, f"osdp.{bus.why}", place, (("what", port),))
    if bus.twins:
        addresses = ", ".join(str(one) for one in bus.twins)
        yield Trouble(Grade.BAD, "osdp.twins", place, (("what", addresses),))
