"""The gate that a commissioning makes: its settings, with all that was in the file before and that nobody touched."""

from collections.abc import Iterable
from typing import Final

import msgspec

from edge.commission.candidates import chip_of
from edge.commission.contacts import Contact, Wired
from edge.commission.kept import LAMPS
from edge.commission.kinds import admits_companions, with_kind
from edge.commission.session import Chosen, Commissioning, Lane, same
from edge.settings import (
    GpioInputs,
    GpioRelay,
    InputSettings,
    LaneSettings,
    RelayInputs,
    RelaySettings,
    Settings,
    Way,
)

_LAST: Final = 1_000
"""A reader that the file before did not have stands behind those that it had."""


def settings_of(session: Commissioning, base: Settings) -> Settings:
    """Return the whole gate. What the page does not ask for stays as it was in `base`."""
    before = {lane.id: lane for lane in base.lanes}
    contacts = _contact_names(session)
    relays = _relay_names(session, contacts)
    boards = {key: _relay(session, key, name) for key, name in relays.items()}
    watched = {key: _inputs(session, key, name, relays) for key, name in contacts.items()}
    numbers = _numbers(session)
    lanes = []
    for lane_id, lane in session.lanes.items():
        settings = before.get(lane_id) or LaneSettings(id=lane_id, name=lane.name, readers=())
        readers = tuple(
            msgspec.structs.replace(one.reader, id=numbers[one]) for one in _readers(session, lane_id, lane)
        )
        settings = with_kind(settings, lane.kind, is_new=lane_id not in before)
        settings = msgspec.structs.replace(settings, name=lane.name, readers=readers)
        settings = _with_outputs(settings, lane, relays, boards)
        lanes.append(_with_contacts(settings, lane, contacts, watched))
    gate = msgspec.structs.replace(base.gate, name=session.name or base.gate.name)
    return msgspec.structs.replace(
        base,
        gate=gate,
        lanes=tuple(lanes),
        relays=tuple(_long_enough(one, lanes) for one in boards.values()),
        inputs=tuple(watched.values()),
    )


# --- readers --------------------------------------------------------------------------------------------------------


def _readers(session: Commissioning, lane_id: int, lane: Lane) -> list[Chosen]:
    order = list(Way)
    seats = [
        (_LAST if one.place is None else one.place, order.index(seat.way), seat.medium.value, one)
        for seat, one in session.chosen.items()
        if seat.lane == lane_id
    ]
    seats += [
        (_LAST if one.place is None else one.place, order.index(one.reader.way), "", one)
        for one in lane.others
    ]
    return [one for *_, one in sorted(seats, key=lambda item: item[:3])]


def _numbers(session: Commissioning) -> dict[Chosen, int]:
    """Number readers: those that have a number keep it, others get the lowest that are free."""
    readers = [one for number, lane in session.lanes.items() for one in _readers(session, number, lane)]
    numbers: dict[Chosen, int] = {}
    taken: set[int] = set()
    for one in readers:
        if one.place is not None and one.reader.id not in taken:
            numbers[one] = one.reader.id
            taken.add(one.reader.id)
    free = (number for number in range(1, _LAST) if number not in taken)
    return {one: numbers[one] if one in numbers else next(free) for one in readers}


# --- boards ---------------------------------------------------------------------------------------------------------


def _places(session: Commissioning) -> list[tuple[str, int]]:
    lanes = session.lanes.values()
    return [at for lane in lanes for at in (*lane.outputs.values(), *lane.lamps.values())]


def _wired(session: Commissioning) -> list[Wired]:
    return [one for lane in session.lanes.values() for one in lane.contacts.values()]


def _contact_names(session: Commissioning) -> dict[str, str]:
    """Name the boards of contacts by their keys: those of the file before that are used, or never were, then the new ones."""
    used = [one.key for one in _wired(session)]
    idle = [key for key in session.inputs_before if key in session.idle and key in session.inputs]
    kept = {key: one.id for key, one in session.inputs_before.items() if key in (*used, *idle)}
    return _named(kept, used, "contacts")


def _relay_names(session: Commissioning, contacts: Iterable[str]) -> dict[str, str]:
    """Name the relay boards in the same way; one whose contacts are read is used too."""
    used = [key for key, _ in _places(session)]
    used += [key for key in contacts if isinstance(session.inputs[key], RelayInputs)]
    idle = [key for key in session.boards_before if key in session.idle and key in session.boards]
    kept = {key: one.id for key, one in session.boards_before.items() if key in (*used, *idle)}
    return _named(kept, used, "relays")


def _named(kept: dict[str, str], used: Iterable[str], word: str) -> dict[str, str]:
    """Name devices, in order: "relays", "relays-2"; those of the file before first, as they were called."""
    names = dict(kept)
    free = (
        name for at in range(1, _LAST) if (name := f"{word}-{at}" if at > 1 else word) not in kept.values()
    )
    for key in used:
        if key not in names:
            names[key] = next(free)
    return names


def _relay(session: Commissioning, key: str, name: str) -> RelaySettings:
    board = msgspec.structs.replace(session.boards[key], id=name)
    if not isinstance(board, GpioRelay):
        return board
    before = session.boards_before.get(key)
    kept = before.offsets if isinstance(before, GpioRelay) else ()
    used = {line for of, line in _places(session) if of == key}
    elsewhere = [at for at in _gpio_places(session) if at[0] != key]
    offsets = [
        one
        for one in dict.fromkeys((*kept, *board.offsets))
        if one in used or (one in kept and not any(same((key, one), at) for at in elsewhere))
    ]
    return msgspec.structs.replace(board, offsets=tuple(offsets))


def _long_enough(board: RelaySettings, lanes: Iterable[LaneSettings]) -> RelaySettings:
    """Return a relay board that may give the pulses of its lanes: a door's strike is held for seconds."""
    longest_ms = max((one.pulse_ms for one in lanes if one.relay == board.id), default=0)
    return msgspec.structs.replace(board, pulse_max_ms=max(board.pulse_max_ms, longest_ms))


def _gpio_places(session: Commissioning) -> list[tuple[str, int]]:
    """Return the lines of GPIO chips that something hangs on."""
    places = [*_places(session), *((one.key, one.line) for one in _wired(session))]
    return [at for at in places if chip_of(at[0])]


def _inputs(session: Commissioning, key: str, name: str, relays: dict[str, str]) -> InputSettings:
    """Return a board of contacts with what is active when open; of a GPIO chip the lines that are used, and no other."""
    board, before = session.inputs[key], session.inputs_before.get(key)
    wired = {one.line: one for one in _wired(session) if one.key == key}
    kept_low = before.active_low if before is not None else ()
    if isinstance(board, GpioInputs):
        kept = before.offsets if isinstance(before, GpioInputs) else ()
        outputs = [at for at in _gpio_places(session) if at[0] != key]
        stay = [one for one in kept if one in wired or not any(same((key, one), at) for at in outputs)]
        offsets = (*stay, *(one for one in sorted(wired) if one not in stay))
        low = {
            number
            for number, one in enumerate(offsets)
            if (wired[one].active_low if one in wired else kept.index(one) in kept_low)
        }
        board = msgspec.structs.replace(board, offsets=offsets)
    else:
        low = {line for line, one in wired.items() if one.active_low}
        low |= {line for line in kept_low if line not in wired}
    ordered = kept_low if set(kept_low) == low else tuple(sorted(low))
    made = msgspec.structs.replace(board, id=name, active_low=ordered)
    return msgspec.structs.replace(made, relay=relays[key]) if isinstance(made, RelayInputs) else made


# --- lanes ----------------------------------------------------------------------------------------------------------


def _with_outputs(
    settings: LaneSettings, lane: Lane, names: dict[str, str], boards: dict[str, RelaySettings]
) -> LaneSettings:
    def number(place: tuple[str, int] | None) -> int | None:
        if place is None:
            return None
        board = boards[place[0]]
        return board.offsets.index(place[1]) if isinstance(board, GpioRelay) else place[1]

    relay = next((names[key] for key, _ in lane.outputs.values()), "")
    lamps = next((names[key] for key, _ in lane.lamps.values()), "")
    says_so = lamps == relay and settings.lamp_relay == lamps
    return msgspec.structs.replace(
        settings,
        relay=relay,
        entry_line=number(lane.output(Way.ENTRY)),
        exit_line=number(lane.output(Way.EXIT)),
        lamp_relay=lamps if lamps != relay or says_so else "",
        **{key: number(lane.lamps.get(key)) for key in LAMPS},
    )


def _with_contacts(
    settings: LaneSettings, lane: Lane, names: dict[str, str], boards: dict[str, InputSettings]
) -> LaneSettings:
    """Return a lane's settings with the contacts that are known, and no others."""
    known = lane.contacts

    def number(contact: Contact) -> int | None:
        one = known.get(contact)
        if one is None:
            return None
        board = boards[one.key]
        return board.offsets.index(one.line) if isinstance(board, GpioInputs) else one.line

    settings = msgspec.structs.replace(
        settings,
        inputs=next((names[one.key] for one in known.values()), ""),
        **{one.value: number(one) for one in Contact},
        contacts_show_power=settings.contacts_show_power and {Contact.ENTRY, Contact.EXIT} <= known.keys(),
    )
    return settings if admits_companions(settings) else msgspec.structs.replace(settings, companions=0)
