"""OSDP readers of a bus that somebody named: how each is opened, and where its key lies."""

from collections.abc import Iterator
from pathlib import Path

from edge.commission.findings import Grade, Trouble
from edge.devices import OsdpBus, OsdpFound
from edge.settings import OsdpReader, Way


def setting(port: str, found: OsdpFound, key: Path) -> OsdpReader:
    """Return a reader that answered as a gate's settings name it."""
    return OsdpReader(
        id=1, way=Way.ENTRY, port=port, key_file=str(key), address=found.address, baud=found.baud
    )


def key_file(found: OsdpFound, data: Path) -> Path:
    """Return where the key of a reader without one is to lie: a name of its own, and never another one's file.

    Makers, models and serial numbers are said without proof, and many readers have none: they name a file, and no more.
    """
    said = [one for one in (found.vendor, found.serial) if one]
    name = "-".join(("osdp", *said, str(found.address)))
    return next(
        place
        for number in range(1, 1_000)
        if not (place := data / f"{name}{f'-{number}' if number > 1 else ''}.key").exists()
    )


def troubles_of(bus: OsdpBus, place: str, port: str) -> Iterator[Trouble]:
    """Say what is wrong on a bus that was searched."""
    if bus.why:
        yield Trouble(Grade.BAD, f"osdp.{bus.why}", place, (("what", port),))
    if bus.twins:
        addresses = ", ".join(str(one) for one in bus.twins)
        yield Trouble(Grade.BAD, "osdp.twins", place, (("what", addresses),))
