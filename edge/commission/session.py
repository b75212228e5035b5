"""One commissioning, without I/O: what is being asked for, which reader showed it, what was chosen, and the settings it makes.

A device gets a role only while the technician asks for that role, and only by what the page shows for it at that moment: a code
with chance in it, or a card that was named before. Whatever else a reader delivers (an enrolment code, a ticket, what a
visitor brings) changes nothing and is not kept.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

import msgspec

from edge.commission.buses import Bus, BusReader, KeyState, as_written, key_of, place_of, with_form
from edge.commission.candidates import (
    PINS_KEY,
    Candidate,
    chip_of,
    has_inputs,
    inputs_read,
    opens,
    with_inputs,
)
from edge.commission.contacts import Contact, Learning, Wired, learning
from edge.commission.kinds import PASSAGE, Kind
from edge.commission.known import title
from edge.commission.modbus import ModbusBus, grown, with_more
from edge.commission.uid_form import forms
from edge.settings import (
    AdalightStrip,
    GpioRelay,
    HidPosReader,
    InputSettings,
    LayoutSetting,
    MediumSetting,
    ModbusInputs,
    ModbusRelay,
    OsdpReader,
    ReaderSettings,
    RelayInputs,
    RelaySettings,
    SerialReader,
    Twn4Reader,
    UidForm,
    UidOrder,
    Way,
    WedgeReader,
    WiegandBits,
    WiegandCarries,
    WiegandReader,
    Ws2812Strip,
)

LANES_MAX: Final = 16
WIRES_KEY: Final = "wires:"
"""What the key of a Wiegand reader begins with; its chip's label and its two lines follow."""
_UID_BYTES: Final = 4
_LEARNED: Final[Mapping[str, object]] = {
    "medium": MediumSetting.BARCODE,
    "layout": LayoutSetting.US,
    "uid_form": UidForm.HEX,
    "uid_order": UidOrder.BIG,
}
"""What a shown code or card teaches of a reader: while one is asked for, a reader is read without it."""
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

Picture = Callable[[int], str]
"""Returns so many letters of `CODE_LETTERS`, by chance."""


class Heard(Enum):
    """What became of something that a reader delivered."""

    CHOSEN = "chosen"
    OTHER = "other"
    """It is not what was asked for, or nothing was."""
    UNCLEAR = "unclear"
    """The card that was named fits more than one form, or is not written in any that is known."""
    OTHER_FORM = "other_form"
    """A card, sent as a UID while what is printed on one was named, or the other way round."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for a reader in a lane."""

    lane: int
    way: Way
    medium: MediumSetting


@dataclass(frozen=True, slots=True)
class Asked:
    """What is being looked for. `code` is shown; of a tag reader `uid` is known instead, or `cards`: what readers make of a number."""

    seat: Seat
    code: str = ""
    uid: bytes = b""
    cards: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The device of a seat, and the settings that open it there. `place`: where the file before had it in its lane, if it did."""

    key: str
    called: str
    reader: ReaderSettings
    place: int | None = None


Place = tuple[str, int]
"""A board's key and a line of it; on a GPIO chip the chip's own number."""


def same(one: Place, other: Place) -> bool:
    """Whether two places are one line of one device: a GPIO chip is a board for each of its polarities."""
    return one[1] == other[1] and (
        one[0] == other[0] or (bool(chip_of(one[0])) and chip_of(one[0]) == chip_of(other[0]))
    )


@dataclass(slots=True)
class Lane:
    """A lane as planned: `outputs` are the places that open each way, `lamps` those of lights and buzzer, by their key."""

    name: str
    two_way: bool = False
    exit_only: bool = False
    """The file before had no reader for the way in."""
    kind: Kind = Kind.TRIPOD
    outputs: dict[Way, Place] = field(default_factory=dict)
    contacts: dict[Contact, Wired] = field(default_factory=dict)
    lamps: dict[str, Place] = field(default_factory=dict)
    others: list[Chosen] = field(default_factory=list)
    """Readers that the page has no seat for: of both ways, a second one of a kind."""
    more: tuple[Contact, ...] = ()
    """Contacts that it had before and that are not of its kind."""

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways that want a reader."""
        if self.two_way:
            return (Way.ENTRY, Way.EXIT)
        return (Way.EXIT,) if self.exit_only else (Way.ENTRY,)

    @property
    def takes(self) -> tuple[Contact, ...]:
        """The contacts that it may have."""
        usual = (one for one in self.kind.contacts if self.two_way or one is not Contact.EXIT)
        return tuple(dict.fromkeys((*usual, *self.more)))

    @property
    def opened(self) -> tuple[Way, ...]:
        """The ways that an output of their own opens: one strike opens a door for both."""
        wanted = self.ways[:1] if self.kind is Kind.DOOR else self.ways
        own = {way for way, at in self.outputs.items() if at != self.outputs.get(wanted[0])}
        return tuple(way for way in (Way.ENTRY, Way.EXIT) if way in {*wanted, *own})

    def output(self, way: Way) -> Place | None:
        """Return what opens this way; of a door also the other way's, where somebody goes that way."""
        at = self.outputs.get(way)
        if at is None and self.kind is Kind.DOOR and (way in self.ways or Contact.BUTTON in self.contacts):
            return next(iter(self.outputs.values()), None)
        return at

    def follow(self, before: "Lane") -> None:
        """Take over what a lane had before it was planned anew; what was of the way out goes where that was taken away."""
        gone = before.two_way and not self.two_way
        self.exit_only = before.exit_only and not self.two_way
        lost = {Contact.EXIT} if gone else set[Contact]()
        if self.kind is Kind.NO_SENSOR:
            lost |= PASSAGE
        if gone and self.kind is not Kind.DOOR:
            lost.add(Contact.BUTTON)  # nothing opens outwards
        self.more = tuple(one for one in (*before.more, *before.contacts) if one not in lost)
        self.lamps = before.lamps
        self.others = [one for one in before.others if not (gone and one.reader.way is Way.EXIT)]
        self.outputs = {way: at for way, at in before.outputs.items() if not (gone and way is Way.EXIT)}
        self.contacts = {one: at for one, at in before.contacts.items() if one in self.takes}
        self.more = tuple(one for one in self.takes if one in self.more and one not in self.kind.contacts)


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
    boards_before: dict[str, RelaySettings] = field(default_factory=dict)
    """The relay boards of the file before, as they stood there, whatever became of them."""
    inputs_before: dict[str, InputSettings] = field(default_factory=dict)
    wired: dict[str, WiegandReader] = field(default_factory=dict)
    """Wiegand readers that somebody said hang on lines of a GPIO chip, by their keys: nothing on a line can be asked."""
    buses: dict[str, Bus] = field(default_factory=dict)
    """OSDP buses, by their adapters' keys."""
    modbus: dict[str, ModbusBus] = field(default_factory=dict)
    """Buses of Modbus boards that were searched, by their adapters' keys."""
    freed: set[Place] = field(default_factory=set)
    """Lines of GPIO chips, by the chip's label, whose contact somebody took away."""
    idle: frozenset[str] = frozenset()
    """Boards of the file before that no lane used: nobody missed them there, so they stay."""

    def plan(self, lanes: dict[int, Lane], name: str = "") -> None:
        """Begin with so many lanes; `name` is the gate's. What lanes that stay had is kept."""
        for number, lane in lanes.items():
            before = self.lanes.get(number)
            if before is not None:
                lane.follow(before)
        self.name = name
        self.lanes = lanes
        self.stop()
        self.chosen = {
            seat: one
            for seat, one in self.chosen.items()
            if seat.lane in lanes and seat.way in lanes[seat.lane].ways
        }

    def ask(self, seat: Seat, uid: bytes = b"", cards: frozenset[bytes] = frozenset()) -> Asked:
        """Look for the reader of a seat; what was asked for before is no longer."""
        self.stop()
        code = "" if uid or cards else CODE_HEAD + self.letters(CODE_CHARS)
        if not code:  # readers on a bus send the one or the other, and are opened for it
            for bus in self.buses.values():
                bus.readers = {key: with_form(one, is_uid=bool(uid)) for key, one in bus.readers.items()}
        self.asked = Asked(seat, code, uid, cards)
        return self.asked

    def heard(self, candidate: Candidate, data: bytes) -> Heard:
        """Take what a reader delivered: it may be what is asked for."""
        asked = self.asked
        if asked is None:
            return Heard.OTHER
        reader = _by_code(candidate, data, asked.code) if asked.code else _by_card(candidate, data, asked)
        if not isinstance(reader, ReaderSettings):
            return reader
        # A device has one seat: shown for another, it has moved there. A seat's reader keeps its number.
        there = self.chosen.get(asked.seat)
        self.chosen = {seat: one for seat, one in self.chosen.items() if not _is_same(one, candidate)}
        for lane in self.lanes.values():
            lane.others = [one for one in lane.others if not _is_same(one, candidate)]
        number = there.reader.id if there else reader.id
        reader = msgspec.structs.replace(reader, id=number, way=asked.seat.way)
        place = there.place if there else None
        self.chosen[asked.seat] = Chosen(candidate.key, title(candidate.device), reader, place)
        self.asked = None
        return Heard.CHOSEN

    def as_before(self, candidate: Candidate) -> Candidate:
        """Return a device to listen to as the file before says how it is opened, but with nothing said of codes and cards."""
        before = next((one.reader for one in self.readers if one.key == candidate.key), None)
        if before is None:
            return candidate
        if isinstance(before, OsdpReader) and isinstance(candidate.reader, OsdpReader):
            return replace(candidate, reader=msgspec.structs.replace(candidate.reader, beep=before.beep))
        open_fields = {one.name for one in msgspec.structs.fields(before)} & _LEARNED.keys()
        plain = {key: _LEARNED[key] for key in open_fields}
        return replace(candidate, reader=msgspec.structs.replace(before, id=1, way=Way.ENTRY, **plain))

    def known_board(self, key: str, board: RelaySettings) -> RelaySettings:
        """Return a board with what a person wrote of it in the file before, where it is of that kind still; no line in use is lost."""
        before = self.boards.get(key)
        used = [
            line
            for lane in self.lanes.values()
            for of, line in (*lane.outputs.values(), *lane.lamps.values())
            if of == key
        ]
        if (
            type(before) is not type(board)
            or before is None
            or isinstance(board, GpioRelay | AdalightStrip | Ws2812Strip)
        ):
            return board
        if isinstance(before, ModbusRelay) and len(before.units) > 1:
            return before  # its lines are those of each board on its bus
        return msgspec.structs.replace(before, lines=max(board.lines, *(one + 1 for one in used), 1))

    def assign(self, key: str, line: int, lane: int, way: Way) -> None:
        """An output line turned this lane's arm that way: whoever had the line has it no more. A lane has one board."""
        here = (key, line)
        for one in self.lanes.values():
            one.outputs = {w: at for w, at in one.outputs.items() if not same(at, here)}
            one.lamps = {lamp: at for lamp, at in one.lamps.items() if not same(at, here)}
        of = self.lanes[lane]
        if of.kind is Kind.DOOR:  # both ways were one strike's, and are this one's now
            of.outputs = {w: at for w, at in of.outputs.items() if at != of.outputs.get(way)}
        of.outputs = {w: at for w, at in of.outputs.items() if at[0] == key} | {way: here}

    def use_pin(self, chip: str, offset: int, *, active_low: bool, lane: int, way: Way) -> None:
        """A line of a GPIO chip turned this lane's arm that way, and is active at that level."""
        name = f"{PINS_KEY}{chip}:{'low' if active_low else 'high'}"
        board = self.boards.get(name)
        offsets = board.offsets if isinstance(board, GpioRelay) else ()
        made = GpioRelay(id="relays", chip=chip, offsets=(offset,), active_low=active_low)
        if isinstance(board, GpioRelay):
            made = msgspec.structs.replace(board, offsets=tuple(dict.fromkeys((*offsets, offset))))
        self.boards[name] = made
        for one in self.lanes.values():
            one.contacts = {
                c: at for c, at in one.contacts.items() if not same((at.key, at.line), (name, offset))
            }
        self.assign(name, offset, lane, way)

    def is_contact(self, chip: str, offset: int) -> bool:
        """Whether a contact hangs on this line: nobody drives it."""
        wired = (one for lane in self.lanes.values() for one in lane.contacts.values())
        if any(chip_of(one.key) == chip and one.line == offset for one in wired):
            return True
        kept = (one for key, one in self.inputs_before.items() if key in self.inputs and chip_of(key) == chip)
        return (chip, offset) not in self.freed and any(offset in getattr(one, "offsets", ()) for one in kept)

    @property
    def readers(self) -> tuple[Chosen, ...]:
        """Every reader, also those that the page has no seat for."""
        return (*self.chosen.values(), *(one for lane in self.lanes.values() for one in lane.others))

    def is_reader(self, key: str) -> bool:
        """Whether a reader is behind this device: nobody drives it."""
        return self.is_bus(key) or any(key in {one.key, place_of(one.key)} for one in self.readers)

    def is_bus(self, key: str) -> bool:
        """Whether OSDP readers are behind this adapter, or it is asked whether they are."""
        return key in self.buses and self.buses[key].is_taken

    def forget_buses(self, present: Container[str]) -> None:
        """Adapters were pulled: readers behind them that have no place are nobody's any more."""
        chosen = {place_of(one.key) for one in self.readers}
        self.buses = {
            place: bus
            for place, bus in self.buses.items()
            if place in present or place in chosen or bus.asking is not None
        }
        self.modbus = {
            place: one for place, one in self.modbus.items() if place in present or one.asking is not None
        }

    def search_ended(self, place: str) -> None:
        """A search was ended before it had found anything: an adapter of which nothing else is known is no bus."""
        bus, boards = self.buses.get(place), self.modbus.get(place)
        for one in (bus, boards):
            if one is not None:
                one.asking = None
        if bus is not None and not (bus.readers or bus.troubles):
            del self.buses[place]
        if boards is not None and not (boards.is_taken or boards.troubles):
            del self.modbus[place]

    def is_asked(self, key: str) -> bool:
        """Whether what is behind this adapter is being asked now: nothing else has its port."""
        buses = (self.buses.get(key), self.modbus.get(key))
        return any(one is not None and one.asking is not None for one in buses)

    def relays_on(self, key: str) -> ModbusRelay | None:
        """Return the Modbus relays behind an adapter, as the file before has several, or as they were found."""
        before, bus = self.boards.get(key), self.modbus.get(key)
        if isinstance(before, ModbusRelay) and len(before.units) > 1:
            return before
        return None if bus is None else bus.relays

    def is_modbus(self, key: str) -> bool:
        """Whether Modbus boards are behind this adapter, or are asked for."""
        bus = self.modbus.get(key)
        return self.relays_on(key) is not None or (bus is not None and bus.is_taken)

    def found_boards(self, place: str) -> None:
        """A bus of Modbus boards was searched. What hangs on a board that did not answer stays."""
        before, found = self.boards.get(place), self.modbus[place].relays
        if isinstance(before, ModbusRelay) and found is not None:
            self.boards[place] = grown(before, found)
        watched, alone = self.inputs.get(place), self.modbus[place].inputs
        if isinstance(watched, ModbusInputs) and alone is not None:
            self.inputs[place] = with_more(watched, alone)

    def found_on_bus(self, place: str, readers: Mapping[str, BusReader]) -> None:
        """A bus was searched, or a reader of it given a key. One that has its place stays, also one that did not answer."""
        bus = self.buses[place]
        chosen = {one.key for one in self.readers}
        bus.readers = {key: one for key, one in bus.readers.items() if key in chosen} | dict(readers)

        def again(one: Chosen) -> Chosen:
            """Have it opened as it was found."""
            found = readers.get(one.key)
            if found is None or found.state is not KeyState.OURS:
                return one
            how = {key: getattr(found.reader, key) for key in ("port", "baud", "key_file")}
            return replace(one, called=found.called, reader=msgspec.structs.replace(one.reader, **how))

        self.chosen = {seat: again(one) for seat, one in self.chosen.items()}
        for lane in self.lanes.values():
            lane.others = [again(one) for one in lane.others]

    def wires_of(self, chip: str) -> frozenset[int]:
        """Return the lines of a GPIO chip that are D0 and D1 of a Wiegand reader: nobody drives them or reads them as contacts."""
        readers = (*(one.reader for one in self.readers), *self.wired.values())
        wiegand = (one for one in readers if isinstance(one, WiegandReader) and one.chip == chip)
        return frozenset(wire for one in wiegand for wire in (one.d0, one.d1))

    def wire(self, reader: WiegandReader) -> None:
        """A Wiegand reader hangs on these lines; whoever had one of them as a reader is there no more."""
        chip, wires = reader.chip, {reader.d0, reader.d1}
        for key, one in list(self.wired.items()):
            if one.chip == chip and wires & {one.d0, one.d1}:
                self.unwire_reader(key)
        self.wired[f"{WIRES_KEY}{chip}:{reader.d0}:{reader.d1}"] = reader

    def unwire_reader(self, key: str) -> None:
        """There is no such reader after all."""
        self.wired.pop(key, None)
        self.chosen = {seat: one for seat, one in self.chosen.items() if one.key != key}

    def outputs_of(self, chip: str) -> frozenset[int]:
        """Return the lines of a GPIO chip on which something is switched."""
        boards = (one for one in self.boards.values() if isinstance(one, GpioRelay) and one.chip == chip)
        return frozenset(offset for one in boards for offset in one.offsets)

    def use_board(self, key: str, board: RelaySettings) -> None:
        """A device was switched as a relay board of this kind; its contacts stay watched where it has any."""
        board, before = self.known_board(key, board), self.boards.get(key)
        if key in self.inputs and isinstance(self.inputs[key], RelayInputs):
            if has_inputs(board):
                board = with_inputs(board, inputs_read(before))
            else:
                self.unwatch(key)
        elif key in self.inputs:
            self.unwatch(key)  # it was taken for a board of contacts alone
        self.boards[key] = board

    def set_timer(self, key: str, *, has_timer: bool) -> None:
        """Say whether a Modbus board ends pulses by itself. Several on one bus have to."""
        board = self.boards.get(key)
        if isinstance(board, ModbusRelay) and len(board.units) < 2:
            self.boards[key] = msgspec.structs.replace(board, flash=has_timer)

    def no_board(self, key: str) -> None:
        """A device is no relay board after all."""
        self.boards.pop(key, None)
        self.unwatch(key)
        for one in self.lanes.values():
            one.outputs = {way: at for way, at in one.outputs.items() if at[0] != key}
            one.lamps = {lamp: at for lamp, at in one.lamps.items() if at[0] != key}

    def stop(self) -> None:
        """Nothing is asked for any more."""
        self.asked = self.moving = None

    # --- contacts -----------------------------------------------------------------------------------------------

    def watch(self, key: str, inputs: InputSettings, lines: int, *, again: bool = False) -> None:
        """A device has contacts, so many: see how they stand. `again`: it was watched, and what is known of it holds."""
        if not again:
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
        wired = self.lanes[lane].contacts.pop(contact, None)
        if wired is not None:
            self.freed.add((chip_of(wired.key), wired.line))

    def forget(self, seat: Seat) -> None:
        """Leave a seat empty again."""
        self.chosen.pop(seat, None)

    def drop(self, lane: int, number: int) -> None:
        """Leave out a reader that the page has no seat for."""
        self.lanes[lane].others = [one for one in self.lanes[lane].others if one.reader.id != number]

    def missing(self) -> tuple[Seat, ...]:
        """Return the seats without which there is no gate: one reader for each way of each lane."""
        have = {(seat.lane, seat.way) for seat in self.chosen}
        for number, lane in self.lanes.items():
            for one in lane.others:
                have |= {(number, way) for way in Way if one.reader.way in {way, Way.BOTH}}
        return tuple(
            Seat(number, way, MediumSetting.BARCODE)
            for number, lane in self.lanes.items()
            for way in lane.ways
            if (number, way) not in have
        )

    def relay_less(self) -> tuple[tuple[int, Way], ...]:
        """Return the ways of lanes that have some output or a button, but nothing opens this way: no gate starts with those."""
        return tuple(
            (number, way)
            for number, lane in self.lanes.items()
            if lane.outputs or Contact.BUTTON in lane.contacts
            for way in lane.ways
            if lane.output(way) is None
        )

    def rename(self, key: str, to: str) -> None:
        """A device of the file before that was away is found in this socket."""
        before = next((one.reader for one in self.readers if one.key == key), None)
        if isinstance(before, OsdpReader):
            bus = self.buses.setdefault(to, Bus(before.port))
            to = key_of(to, before.address)
            bus.readers[to] = as_written(before)
        self.idle = frozenset(to if one == key else one for one in self.idle)
        self.boards = {to if one == key else one: board for one, board in self.boards.items()}
        self.boards_before = {to if one == key else one: board for one, board in self.boards_before.items()}
        self.inputs = {to if one == key else one: board for one, board in self.inputs.items()}
        self.inputs_before = {to if one == key else one: board for one, board in self.inputs_before.items()}
        self.chosen = {seat: _at(one, key, to) for seat, one in self.chosen.items()}
        for lane in self.lanes.values():
            lane.others = [_at(one, key, to) for one in lane.others]
            lane.outputs = {way: (to if at[0] == key else at[0], at[1]) for way, at in lane.outputs.items()}
            lane.lamps = {lamp: (to if at[0] == key else at[0], at[1]) for lamp, at in lane.lamps.items()}
            lane.contacts = {
                one: replace(at, key=to) if at.key == key else at for one, at in lane.contacts.items()
            }


def _at(one: Chosen, key: str, to: str) -> Chosen:
    return replace(one, key=to) if one.key == key else one


def _is_same(one: Chosen, candidate: Candidate) -> bool:
    """Whether this is that device: in its socket, or opened by the same name."""
    return one.key == candidate.key or opens(one.reader) == opens(candidate.reader)


def _by_code(candidate: Candidate, data: bytes, code: str) -> ReaderSettings | Heard:
    text = data.decode("latin-1").strip()
    reader = candidate.reader
    if isinstance(reader, WedgeReader):
        for layout, seen_as in _SEEN_AS.items():
            if text == code.translate(seen_as):
                return msgspec.structs.replace(reader, layout=layout)
        return Heard.OTHER
    return reader if text == code else Heard.OTHER


def _by_card(candidate: Candidate, data: bytes, asked: Asked) -> ReaderSettings | Heard:
    reader, uid = candidate.reader, asked.uid
    if not uid:
        return reader if data in asked.cards else Heard.OTHER
    match reader:
        case Twn4Reader() | OsdpReader():
            if data not in {uid, uid[::-1]}:
                return Heard.OTHER
            if uid == uid[::-1]:
                return Heard.UNCLEAR
            order = UidOrder.BIG if data == uid else UidOrder.LITTLE
            return msgspec.structs.replace(reader, uid_order=order)
        case WedgeReader() | SerialReader():
            found = forms(data.decode("latin-1"), uid)
            if len(found) != 1:
                return Heard.UNCLEAR if found else Heard.OTHER
            ((form, order),) = found
            return msgspec.structs.replace(reader, medium=MediumSetting.UID, uid_form=form, uid_order=order)
        case WiegandReader() if reader.bits is WiegandBits.W34 and len(uid) == _UID_BYTES:
            seen = data[-_UID_BYTES:]
            if seen not in {uid, uid[::-1]}:
                return Heard.OTHER
            if uid == uid[::-1]:
                return Heard.UNCLEAR
            order = UidOrder.BIG if seen == uid else UidOrder.LITTLE
            return msgspec.structs.replace(reader, carries=WiegandCarries.UID, uid_order=order)
        case HidPosReader():
            return Heard.OTHER  # it has no UID form: such readers are set to keyboard or serial
        case _:
            return reader if data == uid else Heard.OTHER
