"""What the commissioning page shows of OSDP buses, said in a language."""

from collections.abc import Iterator
from dataclasses import asdict

from admission.reasons import Language
from edge.commission.buses import Bus, KeyState
from edge.commission.findings import Trouble
from edge.commission.inventory import Plugged
from edge.commission.osdp import may_be_bus
from edge.commission.session import Commissioning
from edge.commission.told import TroubleTold, told
from edge.commission.words import label


def search_of(device: Plugged, session: Commissioning) -> str:
    """Say whether an adapter can be searched for readers: "first", "again", "asking" while it is, "busy" while a reader of it is given a key, "" where it cannot."""
    bus = session.buses.get(device.place)
    if bus is not None and bus.asking is not None:
        return "busy" if bus.is_keyed else "asking"
    is_other = device.place in {*session.boards, *session.inputs, *(one.key for one in session.readers)}
    if is_other or session.is_modbus(device.place) or not may_be_bus(device):
        return ""
    return "first" if bus is None else "again"


def state_of(bus: Bus, language: Language) -> str:
    """Say how a bus is; "" where there is none."""
    if bus.asking:
        return label("osdp_asking", language).format(baud=bus.asking)
    if bus.asking is not None:
        return label("osdp_busy", language)
    return label("osdp_bus", language) if bus.readers else ""


def troubles_shown(session: Commissioning, language: Language) -> tuple[TroubleTold, ...]:
    """Say what is wrong with buses and their readers."""
    return told(_troubles(session), language)


def _troubles(session: Commissioning) -> Iterator[Trouble]:
    for bus in session.buses.values():
        if bus.asking is None:
            yield from bus.troubles
        yield from (one.trouble for one in bus.readers.values() if one.trouble is not None)


def wants_key(key: str, session: Commissioning) -> bool:
    """Whether a reader can be given a key now."""
    return any(
        bus.asking is None and key in bus.readers and bus.readers[key].state is not KeyState.OURS
        for bus in session.buses.values()
    )


def place_shown(key: str, session: Commissioning, language: Language) -> str:
    """Say where a reader on a bus is, how it is opened, and what it says of itself; "" for any other device."""
    for place, bus in session.buses.items():
        if key in bus.readers:
            found = bus.readers[key].found
            at = label("osdp_at", language).format(address=found.address, baud=found.baud)
            said = label("osdp_said", language).format_map(asdict(found)) if found.vendor else ""
            return " · ".join(one for one in (place, at, said) if one)
    return ""
