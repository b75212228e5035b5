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

from edge.commission.candidates import Candidate
from edge.commission.known import title
from edge.commission.uid_form import forms
from edge.settings import (
    HidPosReader,
    LaneSettings,
    LayoutSetting,
    MediumSetting,
    ReaderSettings,
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


@dataclass(slots=True)
class Commissioning:
    """Everything that the technician has said and shown so far."""

    letters: Picture
    name: str = ""
    lanes: dict[int, Lane] = field(default_factory=dict)
    chosen: dict[Seat, Chosen] = field(default_factory=dict)
    boards: dict[str, RelaySettings] = field(default_factory=dict)
    """The relay boards by their device's key."""
    asked: Asked | None = None

    def plan(self, lanes: dict[int, Lane], name: str = "") -> None:
        """Begin with so many lanes; `name` is the gate's. Readers and outputs of lanes that stay are kept."""
        for number, lane in lanes.items():
            before = self.lanes.get(number)
            if before is not None:
                lane.outputs = {
                    way: line for way, line in before.outputs.items() if lane.two_way or way is Way.ENTRY
                }
        self.name = name
        self.lanes = lanes
        self.asked = None
        self.chosen = {
            seat: one
            for seat, one in self.chosen.items()
            if seat.lane in lanes and (lanes[seat.lane].two_way or seat.way is Way.ENTRY)
        }

    def ask(self, seat: Seat, uid: bytes = b"") -> Asked:
        """Look for the reader of a seat; what was asked for before is no longer."""
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

    def no_board(self, key: str) -> None:
        """A device is no relay board after all."""
        self.boards.pop(key, None)
        for one in self.lanes.values():
            one.outputs = {way: at for way, at in one.outputs.items() if at[0] != key}

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
        used = [key for lane in self.lanes.values() for key, _ in lane.outputs.values()]
        names = {key: f"relays-{at}" if at > 1 else "relays" for at, key in enumerate(dict.fromkeys(used), 1)}
        relays = [msgspec.structs.replace(self.boards[key], id=name) for key, name in names.items()]
        number = 0
        lanes = []
        for lane_id, lane in sorted(self.lanes.items()):
            readers = []
            for _, chosen in self._of(lane_id):
                number += 1
                readers.append(msgspec.structs.replace(chosen.reader, id=number))
            lanes.append(_lane(lane_id, lane, tuple(readers), names, before.get(lane_id)))
        gate = msgspec.structs.replace(base.gate, name=self.name or base.gate.name)
        return msgspec.structs.replace(base, gate=gate, lanes=tuple(lanes), relays=tuple(relays))

    def _of(self, lane: int) -> list[tuple[Seat, Chosen]]:
        order = list(Way)
        seats = [item for item in self.chosen.items() if item[0].lane == lane]
        return sorted(seats, key=lambda item: (order.index(item[0].way), item[0].medium.value))


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
