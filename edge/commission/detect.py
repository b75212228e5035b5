"""`gatehouse-edge detect`: what is plugged in, what it is, and what is wrong with it; for a person, or as JSON."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from admission.reasons import Language
from edge.commission.candidates import candidates
from edge.commission.findings import Grade, troubles
from edge.commission.inventory import Plugged, inventory
from edge.commission.known import Role, known, title
from edge.commission.told import TroubleTold, told
from edge.commission.toml_text import fields_of
from edge.commission.words import label, name


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


class Detected(msgspec.Struct, frozen=True):
    """All of it."""

    devices: tuple[DeviceFound, ...]
    troubles: tuple[TroubleTold, ...]
    gpio: tuple[str, ...]
    gpio_may: str
    """What may hang on their lines; "" where there are none."""

    @property
    def failed(self) -> bool:
        """Whether a device will not work as it is."""
        return any(one.grade == Grade.BAD.value for one in self.troubles)


def detect(root: Path, language: Language = Language.EN) -> Detected:
    """Look at the box below `root`."""
    found = inventory(root)
    readers = {one.key: fields_of(one.reader) for one in candidates(found)}
    return Detected(
        tuple(_device(one, readers.get(one.place, ()), language) for one in found.plugged),
        told(troubles(found), language),
        found.gpio,
        label("may_gpio", language) if found.gpio else "",
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
    if found.gpio:
        yield f"{'':<25}GPIO: {', '.join(found.gpio)}"
        yield f"{'':<25}{found.gpio_may}"
    if not found.devices:
        yield "No scanner, reader or board is plugged in."


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
