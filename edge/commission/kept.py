"""What a gate was before it is commissioned once more: every lane, reader, relay and contact of its file, each in its place.

So whatever the technician does not touch stays as it was. Settings that the page asks nobody for stay in the file's own
settings (`edge.commission.made`).
"""

from dataclasses import replace
from typing import Final

import msgspec

from edge.commission.candidates import GPIO_KEY, PINS_KEY, Written, device_of
from edge.commission.contacts import Contact, Wired
from edge.commission.inventory import Inventory
from edge.commission.kinds import kind_of
from edge.commission.known import title
from edge.commission.session import Chosen, Commissioning, Lane, Picture, Seat
from edge.settings import (
    GpioInputs,
    GpioRelay,
    InputSettings,
    LaneSettings,
    MediumSetting,
    OsdpReader,
    PcscReader,
    Pn532Reader,
    ReaderSettings,
    RelayInputs,
    RelaySettings,
    Settings,
    TcpReader,
    Twn4Reader,
    Way,
    WiegandReader,
)

AWAY: Final = "away:"
"""What the key of a device begins with while it is not found."""
ELSEWHERE: Final = "elsewhere:"
"""What the key of a reader begins with that is in no socket: on the network, or on lines of a GPIO chip."""
LAMPS: Final = ("green_line", "red_line", "buzzer_line")
_TAGS: Final = (Pn532Reader, Twn4Reader, PcscReader, OsdpReader, WiegandReader)
_OUTPUTS: Final = ((Way.ENTRY, "entry_line"), (Way.EXIT, "exit_line"))


def kept(base: Settings, letters: Picture) -> Commissioning:
    """Return a commissioning that begins with a whole gate. Its devices are away until `bind` finds them."""
    session = Commissioning(letters, name=base.gate.name if base.lanes else "")
    relays: dict[str, str] = {}
    for relay in base.relays:
        key = relays[relay.id] = _relay_key(relay, session)
        session.boards[key] = relay
    session.boards_before = dict(session.boards)
    inputs: dict[str, str] = {}
    for board in base.inputs:
        key = inputs[board.id] = _inputs_key(board, relays, session)
        session.inputs[key] = msgspec.structs.replace(
            board, active_low=()
        )  # learned by levels as they are wired
        session.inputs_before[key] = board
    for lane in base.lanes:
        session.lanes[lane.id] = made = Lane(lane.name, kind=kind_of(lane))
        _readers(session, lane, made)
        _lines(base, lane, made, relays, inputs)
    used = {
        key for lane in session.lanes.values() for key, _ in (*lane.outputs.values(), *lane.lamps.values())
    }
    used |= {one.key for lane in session.lanes.values() for one in lane.contacts.values()}
    session.idle = frozenset({*session.boards, *session.inputs} - used)
    return session


def bind(session: Commissioning, found: Inventory) -> None:
    """Find devices that were away: each gets its socket for a key, where nothing else has that."""
    for key, device in _away(session):
        there = device_of(found, device)
        if there is not None:
            session.rename(key, there.place)
    named = {one.place: title(one) for one in found.plugged}

    def called(one: Chosen) -> Chosen:
        return replace(one, called=named[one.key]) if one.place is not None and one.key in named else one

    session.chosen = {seat: called(one) for seat, one in session.chosen.items()}


def away(session: Commissioning) -> tuple[str, ...]:
    """Return what the devices that are not found are opened by, in a person's words."""
    return tuple(dict.fromkeys(_words(device) for _, device in _away(session)))


def _away(session: Commissioning) -> list[tuple[str, Written]]:
    devices: list[tuple[str, Written]] = [*session.boards.items(), *session.inputs_before.items()]
    devices += [(one.key, one.reader) for one in session.chosen.values()]
    devices += [(one.key, one.reader) for lane in session.lanes.values() for one in lane.others]
    return [(key, one) for key, one in devices if key.startswith(AWAY) and not isinstance(one, RelayInputs)]


def _words(device: Written) -> str:
    found_by = (getattr(device, key, "") for key in ("port", "device", "usb_port", "reader", "name"))
    driver = str(device.__struct_config__.tag)
    address = [str(device.address)] if isinstance(device, OsdpReader) else []
    return " · ".join([driver, *(str(one) for one in found_by if one), *address])


def _relay_key(relay: RelaySettings, session: Commissioning) -> str:
    if not isinstance(relay, GpioRelay):
        return f"{AWAY}relay {relay.id}"
    key = f"{PINS_KEY}{relay.chip}:{'low' if relay.active_low else 'high'}"
    return f"{key}:{relay.id}" if key in session.boards else key


def _inputs_key(board: InputSettings, relays: dict[str, str], session: Commissioning) -> str:
    match board:
        case RelayInputs():
            return relays.get(board.relay, f"{AWAY}relay {board.relay}")
        case GpioInputs():
            key = f"{GPIO_KEY}{board.chip}"
            return f"{key}:{board.id}" if key in session.inputs else key
        case _:
            return f"{AWAY}contacts {board.id}"


def _readers(session: Commissioning, lane: LaneSettings, made: Lane) -> None:
    ways = {one.way for one in lane.readers}
    made.two_way = {Way.ENTRY, Way.EXIT} <= ways or Way.BOTH in ways
    made.exit_only = ways == {Way.EXIT}
    for at, reader in enumerate(lane.readers):
        is_elsewhere = isinstance(reader, TcpReader | WiegandReader)
        key = f"{ELSEWHERE if is_elsewhere else AWAY}reader {reader.id}"
        one = Chosen(key, _words(reader), reader, at)
        seat = Seat(lane.id, reader.way, _medium(reader))
        if reader.way is Way.BOTH or seat in session.chosen:
            made.others.append(one)
        else:
            session.chosen[seat] = one


def _medium(reader: ReaderSettings) -> MediumSetting:
    if isinstance(reader, _TAGS):
        return MediumSetting.UID
    medium = getattr(reader, "medium", MediumSetting.BARCODE)
    return medium if isinstance(medium, MediumSetting) else MediumSetting.BARCODE


def _lines(
    base: Settings, lane: LaneSettings, made: Lane, relays: dict[str, str], inputs: dict[str, str]
) -> None:
    by_name = {one.id: one for one in base.relays}

    def place(name: str, line: int) -> tuple[str, int]:
        board = by_name[name]
        return relays[name], board.offsets[line] if isinstance(board, GpioRelay) else line

    for way, key in _OUTPUTS:
        if (line := getattr(lane, key)) is not None:
            made.outputs[way] = place(lane.relay, line)
    for key in LAMPS:
        if (line := getattr(lane, key)) is not None:
            made.lamps[key] = place(lane.lamp_relay or lane.relay, line)
    board = next((one for one in base.inputs if one.id == lane.inputs), None)
    for contact in Contact:
        line = getattr(lane, contact.value)
        if line is None or board is None:
            continue
        at = board.offsets[line] if isinstance(board, GpioInputs) else line
        made.contacts[contact] = Wired(inputs[board.id], at, active_low=line in board.active_low)
    usual = made.takes
    made.more = tuple(one for one in made.contacts if one not in usual)
