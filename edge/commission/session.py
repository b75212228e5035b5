"""One commissioning, without I/O: what is being asked for, which reader showed it, what was chosen, and the settings it makes.

A device gets a role only while the technician asks for that role, and only by what the page shows for it at that moment: a code
with chance in it, or a card that was named before. Whatever else a reader delivers (an enrolment code, a ticket, what a
visitor brings) changes nothing and is not kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgspec

from edge.commission.candidates import Candidate, has_inputs, inputs_read, with_inputs
from edge.commission.contacts import Contact, Learning, Wired, learning
from edge.commission.known import title
from edge.commission.uid_form import forms
from edge.settings import (
    GpioInputs,
    HidPosReader,
    InputSettings,
    LaneSettings,
    LayoutSetting,
    MediumSetting,
    ReaderSettings,
    RelayInputs,
    RelaySettings,
    SerialReader,
    Settings,
    Twn4Reader,
    UidOrder,
    Way,
    WedgeReader,
)

LANES_MAX: Final = 16
BOARDS_MAX: Final = 8
CODE_CHARS: Final = 12
"""Of 20 letters: 2^51 texts, each good for one question."""
CODE_LETTERS: Final = "BCDEFGHIJKLNOPRSTUVX"
"""Letters that stand at the same place on a US, a Swiss German and a French keyboard."""
CODE_HEAD: Final = "GATEZYAQW"
"""Letters that do not: they tell how the scanner is set."""

# What such a text looks like, read as by a US keyboard, from a scanner set to another country.
_SEEN_AS: Final = {
    LayoutSetting.US: str.maketrans("", ""),
    LayoutSetting.DE_CH: str.maketrans("YZ", "ZY"),
    LayoutSetting.FR: str.maketrans("AQZW", "QAWZ"),
}

_OTHER_CONTACTS: Final = ("fault_contact", "detector_contact", "door_contact", "exit_button")

Picture = Callable[[int], str]
"""Returns so many letters of `CODE_LETTERS`, by chance."""


class Heard(Enum):
    """What became of something that a reader delivered."""

    CHOSEN = "chosen"
    OTHER = "other"
    """It is not what was asked for, or nothing was."""
    UNCLEAR = "unclear"
    """The card that was named fits more than one form, or is not written in any that is known."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for a reader in a lane."""

    lane: int
    way: Way
    medium: MediumSetting


@dataclass(frozen=True, slots=True)
class Asked:
    """What is being looked for. `code` is shown; of a tag reader `uid` is known instead."""

    seat: Seat
    code: str = ""
    uid: bytes = b""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The device of a seat, and the settings that open it there."""

    key: str
    called: str
    reader: ReaderSettings


@dataclass(slots=True)
class Lane:
    """A lane as planned: `outputs` are the relay board's key and line of each way."""

    name: str
    two_way: bool = False
    outputs: dict[Way, tuple[str, int]] = field(default_factory=dict)
    contacts: dict[Contact, Wired] = field(default_factory=dict)

    @property
    def takes(self) -> tuple[Contact, ...]:
        """The contacts that it may have."""
        return tuple(one for one in Contact if self.two_way or one is not Contact.EXIT)


@dataclass(slots=True)
class Commissioning:
    """Everything that the technician has said and shown so far."""

    letters: Picture
    name: str = ""
    lanes: dict[int, Lane] = field(default_factory=dict)
    chosen: dict[Seat, Chosen] = field(default_factory=dict)
    boards: dict[str, RelaySettings] = field(default_factory=dict)
    """The relay boards by their device's key."""
    inputs: dict[str, InputSettings] = field(default_factory=dict)
    """The boards whose contacts are watched, by their device's key."""
    asked: Asked | None = None
    moving: Learning | None = None
    """The contact that somebody is to move now."""
    levels: dict[tuple[str, int], bool] = field(default_factory=dict)
    moves: dict[tuple[str, int], int] = field(default_factory=dict)
    """How often each input changed since it is watched: what a technician tries again is seen to be heard."""

    def plan(self, lanes: dict[int, Lane], name: str = "") -> None:
        """Begin with so many lanes; `name` is the gate's. Readers and outputs of lanes that stay are kept."""
        for number, lane in lanes.items():
            before = self.lanes.get(number)
            if before is not None:
                lane.outputs = {
                    way: line for way, line in before.outputs.items() if lane.two_way or way is Way.ENTRY
                }
                lane.contacts = {one: at for one, at in before.contacts.items() if one in lane.takes}
        self.name = name
        self.lanes = lanes
        self.stop()
        self.chosen = {
            seat: one
            for seat, one in self.chosen.items()
            if seat.lane in lanes and (lanes[seat.lane].two_way or seat.way is Way.ENTRY)
        }

    def ask(self, seat: Seat, uid: bytes = b"") -> Asked:
        """Look for the reader of a seat; what was asked for before is no longer."""
        self.stop()
        code = "" if uid else CODE_HEAD + self.letters(CODE_CHARS)
        self.asked = Asked(seat, code, uid)
        return self.asked

    def heard(self, candidate: Candidate, data: bytes) -> Heard:
        """Take what a reader delivered: it may be what is asked for."""
        asked = self.asked
        if asked is None:
            return Heard.OTHER
        reader = _by_card(candidate, data, asked.uid) if asked.uid else _by_code(candidate, data, asked.code)
        if not isinstance(reader, ReaderSettings):
            return reader
        # A device has one seat: shown for another, it has moved there.
        self.chosen = {seat: one for seat, one in self.chosen.items() if one.key != candidate.key}
        self.chosen[asked.seat] = Chosen(candidate.key, title(candidate.device), reader)
        self.asked = None
        return Heard.CHOSEN

    def assign(self, key: str, line: int, lane: int, way: Way) -> None:
        """An output line turned this lane's arm that way: whoever had the line has it no more."""
        for one in self.lanes.values():
            one.outputs = {w: at for w, at in one.outputs.items() if at != (key, line)}
        self.lanes[lane].outputs[way] = (key, line)

    def use_board(self, key: str, board: RelaySettings) -> None:
        """A device was switched as a relay board of this kind; its contacts stay watched where it has any."""
        before = self.boards.get(key)
        if key in self.inputs and isinstance(self.inputs[key], RelayInputs):
            if has_inputs(board):
                board = with_inputs(board, inputs_read(before))
            else:
                self.unwatch(key)
        elif key in self.inputs:
            self.unwatch(key)  # it was taken for a board of contacts alone
        self.boards[key] = board

    def no_board(self, key: str) -> None:
        """A device is no relay board after all."""
        self.boards.pop(key, None)
        self.unwatch(key)
        for one in self.lanes.values():
            one.outputs = {way: at for way, at in one.outputs.items() if at[0] != key}

    def stop(self) -> None:
        """Nothing is asked for any more."""
        self.asked = self.moving = None

    # --- contacts -----------------------------------------------------------------------------------------------

    def watch(self, key: str, inputs: InputSettings, lines: int) -> None:
        """A device has contacts, so many: see how they stand."""
        self.unwatch(key)
        if isinstance(inputs, RelayInputs):
            self.boards[key] = with_inputs(self.boards[key], lines)
        self.inputs[key] = inputs

    def unwatch(self, key: str) -> None:
        """A device has no contacts after all."""
        self.inputs.pop(key, None)
        self.lost(key)
        for one in self.lanes.values():
            one.contacts = {which: at for which, at in one.contacts.items() if at.key != key}

    def move(self, lane: int, contact: Contact) -> None:
        """Have somebody move this contact of a lane now."""
        self.stop()
        others = [
            at
            for number, one in self.lanes.items()
            for which, at in one.contacts.items()
            if number != lane
            and {which, contact} != {Contact.FIRE}  # a building's fire contact is all lanes'
        ]
        self.moving = learning(lane, contact, self.levels, self.lanes[lane].contacts, others)

    def changed(self, key: str, line: int, *, active: bool) -> None:
        """An input was found or changed, as it is wired."""
        before = self.levels.get((key, line))
        self.levels[key, line] = active
        if before is not None and before is not active:
            self.moves[key, line] = self.moves.get((key, line), 0) + 1
        wired = None if self.moving is None else self.moving.changed(key, line, active=active)
        if wired is not None and self.moving is not None:
            self.lanes[self.moving.lane].contacts[self.moving.contact] = wired
            self.moving = None

    def lost(self, key: str) -> None:
        """A board is no longer watched, or is gone: how its inputs stood says nothing any more."""
        for kept in (self.levels, self.moves):
            for place in [one for one in kept if one[0] == key]:
                del kept[place]
        if self.moving is not None:
            self.move(self.moving.lane, self.moving.contact)

    def unwire(self, lane: int, contact: Contact) -> None:
        """A lane has no such contact after all."""
        self.lanes[lane].contacts.pop(contact, None)

    def forget(self, seat: Seat) -> None:
        """Leave a seat empty again."""
        self.chosen.pop(seat, None)

    def missing(self) -> tuple[Seat, ...]:
        """Return the seats without which there is no gate: one reader for each way of each lane."""
        have = {(seat.lane, seat.way) for seat in self.chosen}
        return tuple(
            Seat(number, way, MediumSetting.BARCODE)
            for number, lane in sorted(self.lanes.items())
            for way in ((Way.ENTRY, Way.EXIT) if lane.two_way else (Way.ENTRY,))
            if (number, way) not in have
        )

    def relay_less(self) -> tuple[tuple[int, Way], ...]:
        """Return the ways of lanes that have some output, but none for this way: no gate starts with those."""
        return tuple(
            (number, way)
            for number, lane in sorted(self.lanes.items())
            if lane.outputs
            for way in ((Way.ENTRY, Way.EXIT) if lane.two_way else (Way.ENTRY,))
            if way not in lane.outputs
        )

    def settings(self, base: Settings) -> Settings:
        """Return the whole gate. What the page does not ask for stays as it was in `base`."""
        before = {lane.id: lane for lane in base.lanes}
        watched = [one.key for lane in self.lanes.values() for one in lane.contacts.values()]
        used = [key for lane in self.lanes.values() for key, _ in lane.outputs.values()]
        used += [key for key in watched if key in self.boards]
        names = _named(used, "relays")
        relays = [msgspec.structs.replace(self.boards[key], id=name) for key, name in names.items()]
        contacts = _named(watched, "contacts")
        inputs = [self._inputs(key, name, names.get(key, "")) for key, name in contacts.items()]
        number = 0
        lanes = []
        for lane_id, lane in sorted(self.lanes.items()):
            readers = []
            for _, chosen in self._of(lane_id):
                number += 1
                readers.append(msgspec.structs.replace(chosen.reader, id=number))
            made = _lane(lane_id, lane, tuple(readers), names, before.get(lane_id))
            lanes.append(self._with_contacts(made, lane, contacts) if self.inputs else made)
        gate = msgspec.structs.replace(base.gate, name=self.name or base.gate.name)
        return msgspec.structs.replace(
            base,
            gate=gate,
            lanes=tuple(lanes),
            relays=tuple(relays),
            # Where no board was watched, the contacts of the file before are left as they are.
            inputs=tuple(inputs) if self.inputs else base.inputs,
        )

    def _inputs(self, key: str, name: str, relay: str) -> InputSettings:
        """Return a board of contacts with what is active when open; of a GPIO chip the lines that are used, and no other."""
        wired = [one for lane in self.lanes.values() for one in lane.contacts.values() if one.key == key]
        active_low = tuple(sorted({self._number(one) for one in wired if one.active_low}))
        made = msgspec.structs.replace(self.inputs[key], id=name, active_low=active_low)
        match made:
            case RelayInputs():
                return msgspec.structs.replace(made, relay=relay)
            case GpioInputs():
                offsets = tuple(made.offsets[line] for line in self._used(key))
                return msgspec.structs.replace(made, offsets=offsets)
            case _:
                return made

    def _with_contacts(self, made: LaneSettings, lane: Lane, names: dict[str, str]) -> LaneSettings:
        """Return a lane's settings with the contacts that were learned, and no others: those were of another board."""
        known = lane.contacts
        lines = {one.value: self._number(known[one]) if one in known else None for one in Contact}
        return msgspec.structs.replace(
            made,
            inputs=next((names[one.key] for one in known.values()), ""),
            **lines,
            **dict.fromkeys(_OTHER_CONTACTS),
            contacts_show_power=made.contacts_show_power and {Contact.ENTRY, Contact.EXIT} <= known.keys(),
        )

    def _used(self, key: str) -> list[int]:
        """Return the lines of a board on which a contact is."""
        wired = [one for lane in self.lanes.values() for one in lane.contacts.values()]
        return sorted({one.line for one in wired if one.key == key})

    def _number(self, wired: Wired) -> int:
        """Return a contact's line as the configuration counts it."""
        is_gpio = isinstance(self.inputs[wired.key], GpioInputs)
        return self._used(wired.key).index(wired.line) if is_gpio else wired.line

    def _of(self, lane: int) -> list[tuple[Seat, Chosen]]:
        order = list(Way)
        seats = [item for item in self.chosen.items() if item[0].lane == lane]
        return sorted(seats, key=lambda item: (order.index(item[0].way), item[0].medium.value))


def _named(keys: list[str], word: str) -> dict[str, str]:
    """Name devices, in order: "relays", "relays-2"."""
    return {key: f"{word}-{at}" if at > 1 else word for at, key in enumerate(dict.fromkeys(keys), 1)}


def _lane(
    number: int,
    lane: Lane,
    readers: tuple[ReaderSettings, ...],
    names: dict[str, str],
    before: LaneSettings | None,
) -> LaneSettings:
    entry, leave = lane.outputs.get(Way.ENTRY), lane.outputs.get(Way.EXIT)
    board = next((key for key, _ in lane.outputs.values()), "")
    return msgspec.structs.replace(
        before or LaneSettings(id=number, name=lane.name, readers=()),
        name=lane.name,
        readers=readers,
        relay=names.get(board, ""),
        entry_line=entry[1] if entry else None,
        exit_line=leave[1] if leave else None,
    )


def _by_code(candidate: Candidate, data: bytes, code: str) -> ReaderSettings | Heard:
    text = data.decode("latin-1").strip()
    reader = candidate.reader
    if isinstance(reader, WedgeReader):
        for layout, seen_as in _SEEN_AS.items():
            if text == code.translate(seen_as):
                return msgspec.structs.replace(reader, layout=layout)
        return Heard.OTHER
    return reader if text == code else Heard.OTHER


def _by_card(candidate: Candidate, data: bytes, uid: bytes) -> ReaderSettings | Heard:
    reader = candidate.reader
    match reader:
        case Twn4Reader():
            if data == uid:
                return reader
            return (
                msgspec.structs.replace(reader, uid_order=UidOrder.LITTLE)
                if data == uid[::-1]
                else Heard.OTHER
            )
        case WedgeReader() | SerialReader():
            found = forms(data.decode("latin-1"), uid)
            if len(found) != 1:
                return Heard.UNCLEAR if found else Heard.OTHER
            ((form, order),) = found
            return msgspec.structs.replace(reader, medium=MediumSetting.UID, uid_form=form, uid_order=order)
        case HidPosReader():
            return Heard.OTHER  # it has no UID form: such readers are set to keyboard or serial
        case _:
            return reader if data == uid else Heard.OTHER
