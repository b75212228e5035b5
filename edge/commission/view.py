"""What the commissioning page shows, said in a language. Nothing here does I/O."""

from collections.abc import Iterator
from typing import Final

import msgspec

from admission.reasons import Language
from edge.commission import modbus_view
from edge.commission.buses import WHAT, place_of, plugged
from edge.commission.candidates import GPIO_KEY, INPUTS, PINS_KEY, has_inputs, likely_board, wired
from edge.commission.contacts import Contact
from edge.commission.findings import troubles
from edge.commission.inventory import NodeKind, Plugged
from edge.commission.kept import AWAY, ELSEWHERE, away
from edge.commission.kinds import Kind
from edge.commission.known import Known, known, title
from edge.commission.orders import lock
from edge.commission.osdp_view import place_shown, search_of, state_of, troubles_shown, wants_key
from edge.commission.placing import Earlier
from edge.commission.session import WIRES_KEY, Chosen, Heard, Lane, Seat
from edge.commission.shell import Listening, Shell
from edge.commission.told import TroubleTold, told
from edge.commission.words import label, name, sentence_of
from edge.link import Health
from edge.settings import GpioInputs, GpioRelay, MediumSetting, ModbusInputs, Way

NO_SOCKETS: Final = (AWAY, ELSEWHERE, WIRES_KEY, GPIO_KEY, PINS_KEY)
"""What the keys of devices begin with that are in no socket."""
_WRONG_CARDS: Final = ((Heard.UNCLEAR, "unclear"), (Heard.OTHER_FORM, "other_form"))


class DeviceShown(msgspec.Struct, frozen=True):
    """One device. `seat`: what it was chosen for; `board`: the likely relay driver, "" for what switches nothing."""

    key: str
    called: str
    kind: str
    place: str
    listening: bool
    state: str
    heard: int
    seat: str
    board: str
    lines: int
    """Of a relay board; 0 while nobody said."""
    is_board: bool
    adapter: bool
    pn532: bool
    timer: bool | None
    """Whether a Modbus board ends pulses by itself; None where nobody has to say."""
    wires: bool
    """It is a Wiegand reader on lines that a person named."""
    units: tuple[int, ...]
    """Addresses of the Modbus boards behind it, where they were found or several are known; `lines` are those of each."""
    modbus: str
    """How an adapter can be searched for Modbus boards (`edge.commission.modbus_view.search_of`)."""
    osdp: str
    """How an adapter can be searched for readers on a bus (`edge.commission.osdp_view.search_of`)."""
    wants_key: bool
    """It is a reader on a bus without a key of ours."""
    troubles: tuple[TroubleTold, ...]


class SeatShown(msgspec.Struct, frozen=True):
    """One place for a reader; `chosen` is "" while it is empty."""

    lane: int
    way: str
    medium: str
    label: str
    chosen: str


class OutputShown(msgspec.Struct, frozen=True):
    """What opens one way of a lane; "" for nothing."""

    lane: int
    way: str
    label: str
    line: str


class ContactShown(msgspec.Struct, frozen=True):
    """One contact of a lane; `wired` is "" while nobody knows where it is. `moves`: how often its input moved meanwhile."""

    contact: str
    label: str
    wired: str
    active: bool
    moves: int


class BoardShown(msgspec.Struct, frozen=True):
    """A board on which contacts may hang. `sizes`: so many, to choose from; none where that is known."""

    key: str
    called: str
    place: str
    watched: bool
    watching: int
    """Lines of a GPIO chip that are read."""
    sizes: tuple[int, ...]
    ok: bool
    state: str
    active: tuple[str, ...]
    """Inputs that are active now, by name."""


class PinsShown(msgspec.Struct, frozen=True):
    """A GPIO chip with lines on which a relay may be."""

    chip: str
    offsets: tuple[int, ...]
    wires: tuple[int, ...]
    """Lines on which a Wiegand reader may be."""


class OtherShown(msgspec.Struct, frozen=True):
    """A reader of a lane that the page has no seat for."""

    lane: int
    number: int
    label: str


class LaneShown(msgspec.Struct, frozen=True):
    """One lane. `lamps`: what hangs on a relay besides the barrier."""

    id: int
    name: str
    two_way: bool
    kind: str
    seats: tuple[SeatShown, ...]
    outputs: tuple[OutputShown, ...]
    contacts: tuple[ContactShown, ...]
    others: tuple[OtherShown, ...]
    lamps: tuple[str, ...]


class LockShown(msgspec.Struct, frozen=True):
    """A scanner that was chosen, and how it is locked."""

    key: str
    called: str
    guide: str
    programming: str


class AskedShown(msgspec.Struct, frozen=True):
    """What is being looked for; `code` changes with each question, so that the picture is asked for anew. "" for a contact."""

    label: str
    code: str
    said: str


class CommissionShown(msgspec.Struct, frozen=True):
    """All of `/api/commission`. Without the PIN there is nothing in it."""

    session: bool
    enrolled: bool = False
    name: str = ""
    path: str = ""
    devices: tuple[DeviceShown, ...] = ()
    lanes: tuple[LaneShown, ...] = ()
    asked: AskedShown | None = None
    locks: tuple[LockShown, ...] = ()
    boards: tuple[BoardShown, ...] = ()
    pins: tuple[PinsShown, ...] = ()
    kept: tuple[str, ...] = ()
    """What is said of the gate before; nothing where there was none."""
    missing: tuple[str, ...] = ()
    unplugged: tuple[str, ...] = ()
    """What was chosen and is plugged in no more; it is written all the same."""
    pulses: int = 0


def commission_view(
    shell: Shell, language: Language, *, enrolled: bool, name: str, path: str, before: Earlier
) -> CommissionShown:
    """Say everything to a technician."""
    found = (
        *told(troubles(shell.found), language),
        *troubles_shown(shell.session, language),
        *told(modbus_view.troubles(shell.session), language),
    )
    on_bus = [
        (plugged(key, one), WHAT) for bus in shell.session.buses.values() for key, one in bus.readers.items()
    ]
    return CommissionShown(
        session=True,
        enrolled=enrolled,
        name=name,
        path=path,
        devices=(
            *(_device(one, known(one), shell, found, language) for one in shell.found.plugged),
            *(_device(one.device, one.what, shell, found, language) for one in wired(shell.session.wired)),
            *(_device(one, what, shell, found, language) for one, what in on_bus),
        ),
        lanes=tuple(_lane(number, shell, language) for number in shell.session.lanes),
        asked=_asked(shell, language),
        boards=tuple(_boards(shell, language)),
        pins=tuple(_pins(shell)),
        kept=tuple(_kept(shell, before, language)),
        locks=_locks(shell),
        missing=_missing(shell, language, enrolled=enrolled),
        unplugged=tuple(_unplugged(shell, language)),
        pulses=shell.pulses,
    )


def _device(
    device: Plugged, what: Known, shell: Shell, found: tuple[TroubleTold, ...], language: Language
) -> DeviceShown:
    one = shell.listening.get(device.place)
    on_bus = shell.session.relays_on(device.place)
    board = likely_board(device) if on_bus is None else "modbus"
    if shell.session.is_reader(device.place):
        board = ""
    made, hangs = shell.session.boards.get(device.place), shell.session.wired.get(device.place)
    kind = f"{name(what.role.value, language)} · {name(what.mode.value, language)}"
    return DeviceShown(
        key=device.place,
        called=title(device),
        kind=kind,
        place=place_shown(device.place, shell.session, language)
        or (device.place if hangs is None else hangs.chip),
        listening=one is not None and one.state is not None and one.state.health is Health.OK,
        state=_state(device, one, shell, language),
        heard=0 if one is None else one.heard,
        seat=_place_of(device.place, shell, language),
        board=board if made is None else str(made.__struct_config__.tag),
        lines=getattr(made or on_bus, "lines", 0),
        is_board=device.place in shell.session.boards,
        adapter=_may_be_pn532(device.place, board, shell),
        pn532=device.place in shell.pn532,
        timer=modbus_view.timer_of(made),
        wires=hangs is not None,
        units=modbus_view.units_of(on_bus),
        modbus=modbus_view.search_of(device, shell.session),
        osdp=search_of(device, shell.session),
        wants_key=wants_key(device.place, shell.session),
        troubles=tuple(one for one in found if one.place == device.place),
    )


def _may_be_pn532(key: str, board: str, shell: Shell) -> bool:
    """Whether a person may say that a PN532 is behind this device."""
    is_other = key in shell.session.inputs or shell.session.is_modbus(key)
    return bool(board) and board != "hid" and not is_other


def _place_of(key: str, shell: Shell, language: Language) -> str:
    """Name the place of the reader that a device is; "" for none."""
    seat = next((seat for seat, chosen in shell.session.chosen.items() if chosen.key == key), None)
    if seat is not None:
        return _seat_name(seat, shell, language)
    for lane in shell.session.lanes.values():
        for one in lane.others:
            if one.key == key:
                return f"{lane.name} · {_other(one, language)}"
    return ""


def _other(one: Chosen, language: Language) -> str:
    return label("other_reader", language).format(
        way=label(one.reader.way.value, language), called=one.called
    )


def _state(device: Plugged, one: Listening | None, shell: Shell, language: Language) -> str:
    if on_modbus := modbus_view.state_of(device.place, shell.session, language):
        return on_modbus
    if device.place in shell.session.boards:
        return label("is_board", language)
    if device.place in shell.session.inputs:
        return label("has_contacts", language)
    if device.place in shell.session.buses and (
        said := state_of(shell.session.buses[device.place], language)
    ):
        return said
    if one is None or one.state is None:
        return label("not_read", language)
    if one.state.health is Health.OK:
        return label("listening", language)
    return sentence_of(one.state.code, {"what": one.state.what, "hint": one.state.hint}, language).cause


def _lane(number: int, shell: Shell, language: Language) -> LaneShown:
    lane = shell.session.lanes[number]
    seats = [Seat(number, way, medium) for way in lane.ways for medium in MediumSetting]
    chosen = shell.session.chosen
    return LaneShown(
        id=number,
        name=lane.name,
        two_way=lane.two_way,
        kind=lane.kind.value,
        seats=tuple(
            SeatShown(
                number,
                seat.way.value,
                seat.medium.value,
                label(f"{seat.medium.value}_{seat.way.value}", language),
                chosen[seat].called if seat in chosen else "",
            )
            for seat in seats
        ),
        outputs=tuple(
            OutputShown(
                number,
                way.value,
                f"{lane.name}: {_turned(lane, way, language)}",
                _output(lane.outputs[way], shell, language) if way in lane.outputs else "",
            )
            for way in lane.opened
        ),
        contacts=tuple(_contact(one, lane, shell, language) for one in lane.takes),
        others=tuple(
            OtherShown(
                number,
                one.reader.id,
                _other(one, language),
            )
            for one in lane.others
        ),
        lamps=tuple(
            f"{label(lamp, language)}: {_output(at, shell, language)}" for lamp, at in lane.lamps.items()
        ),
    )


def _turned(lane: Lane, way: Way, language: Language) -> str:
    """Name what an output does to a barrier."""
    is_one_strike = lane.kind is Kind.DOOR and len(lane.opened) == 1
    return label("opens" if is_one_strike else f"turned_{way.value}", language)


def _output(at: tuple[str, int], shell: Shell, language: Language) -> str:
    """Name an output: by its place on the board, counted from 1, or by the chip's own number."""
    board = shell.session.boards.get(at[0])
    if isinstance(board, GpioRelay):
        return label("pin_line_low" if board.active_low else "pin_line", language).format(line=at[1])
    return label("line", language).format(line=modbus_view.numbered(board, at[1], getattr(board, "lines", 0)))


def _pins(shell: Shell) -> Iterator[PinsShown]:
    """Return the lines of GPIO chips that may be pulsed: those that nothing holds, and no contact."""
    session = shell.session
    for chip in shell.free:
        lines = {*shell.free_lines(chip), *session.outputs_of(chip)}
        offsets = tuple(one for one in sorted(lines) if not session.is_contact(chip, one))
        wires = tuple(one for one in offsets if one not in session.outputs_of(chip))
        if offsets:
            yield PinsShown(chip, offsets, wires)


def _kept(shell: Shell, before: Earlier, language: Language) -> Iterator[str]:
    if before.unread is not None:
        yield label("unread", language).format(path=before.unread)
    if shell.has_kept:
        yield label("kept", language).format(path=before.path)
        for what in away(shell.session):
            yield label("kept_away", language).format(what=what)


def _contact(contact: Contact, lane: Lane, shell: Shell, language: Language) -> ContactShown:
    called = label(contact.value, language)
    wired = lane.contacts.get(contact)
    if wired is None:
        return ContactShown(contact.value, called, "", active=False, moves=0)
    place = (wired.key, wired.line)
    where = label("input_open" if wired.active_low else "input", language).format(
        line=_line_name(wired.key, wired.line, shell)
    )
    is_active = shell.session.levels.get(place, wired.active_low) is not wired.active_low
    return ContactShown(
        contact.value, called, where, active=is_active, moves=(shell.session.moves.get(place, 0) + 1) // 2
    )


def _boards(shell: Shell, language: Language) -> Iterator[BoardShown]:
    """Return what contacts may hang on: the inputs of relay boards, serial boards, and the box's own header."""
    session = shell.session
    for device in shell.found.plugged:
        relay = session.boards.get(device.place)
        if session.is_reader(device.place) or not any(one.kind is NodeKind.SERIAL for one in device.nodes):
            continue
        may_be = likely_board(device) or session.is_modbus(device.place)
        if has_inputs(relay) if relay is not None else may_be:
            yield _board(
                device.place, title(device), device.place, _sizes(device.place, shell), shell, language
            )
    for chip in shell.free:
        lines = [one for one in shell.free_lines(chip) if one not in session.outputs_of(chip)]
        if lines:
            yield _board(f"{GPIO_KEY}{chip}", "GPIO", chip, (len(lines),), shell, language)


def _sizes(key: str, shell: Shell) -> tuple[int, ...]:
    """Return how many contacts a board may have, each of several; one where that is known."""
    known_inputs = modbus_view.inputs_known(key, shell.session)
    return (known_inputs,) if known_inputs else INPUTS


def _board(
    key: str, called: str, place: str, sizes: tuple[int, ...], shell: Shell, language: Language
) -> BoardShown:
    one, said = shell.watching.get(key), ""
    if one is not None and one.state is not None and one.state.health is not Health.OK:
        args = {"what": one.state.what, "hint": one.state.hint}
        said = " ".join(filter(None, sentence_of(one.state.code, args, language)))
    return BoardShown(
        key=key,
        called=called,
        place=place,
        watched=key in shell.session.inputs,
        watching=len(getattr(shell.session.inputs.get(key), "offsets", ())),
        sizes=sizes,
        ok=one is not None and not said,
        state=said,
        active=tuple(
            _line_name(key, line, shell)
            for (of, line), is_on in sorted(shell.session.levels.items())
            if of == key and is_on
        ),
    )


def _line_name(key: str, line: int, shell: Shell) -> str:
    """Name an input as people on the spot do: by its place on the board, counted from 1, or by the header's own number."""
    if isinstance(shell.session.inputs[key], GpioInputs):
        return f"GPIO {line}"
    board, alone = shell.session.boards.get(key), shell.session.inputs[key]
    if isinstance(alone, ModbusInputs):
        return modbus_view.numbered(alone, line, alone.lines)
    return modbus_view.numbered(board, line, getattr(board, "inputs", 0))


def _asked(shell: Shell, language: Language) -> AskedShown | None:
    asked, moving = shell.session.asked, shell.session.moving
    if moving is not None:
        lane = shell.session.lanes[moving.lane].name
        said = label("move_unclear" if moving.is_unclear else f"move_{moving.contact.value}", language)
        return AskedShown(f"{lane} · {label(moving.contact.value, language)}", "", said)
    if asked is None:
        return None
    heard = {one.last: title(one.candidate.device) for one in shell.listening.values()}
    wrong = next((word for last, word in _WRONG_CARDS if last in heard), "hold_card")
    said = label("hold_code" if asked.code else wrong, language)
    if Heard.OTHER in heard:
        said = f"{label('read_other', language).format(what=heard[Heard.OTHER])} {said}"
    return AskedShown(_seat_name(asked.seat, shell, language), asked.code, said)


def _seat_name(seat: Seat, shell: Shell, language: Language) -> str:
    lane = shell.session.lanes.get(seat.lane)
    where = str(seat.lane) if lane is None else lane.name
    return f"{where} · {label(f'{seat.medium.value}_{seat.way.value}', language)}"


def _locks(shell: Shell) -> tuple[LockShown, ...]:
    devices = {one.place: one for one in shell.found.plugged}
    shown = []
    for one in shell.session.chosen.values():
        device = devices.get(one.key)
        order = None if device is None else lock(known(device))
        if order is not None:
            shown.append(LockShown(one.key, one.called, order.guide, order.text))
    return tuple(shown)


def _unplugged(shell: Shell, language: Language) -> Iterator[str]:
    """Say which chosen devices of a socket are away since; those of the file before that never were there are told with it."""
    session = shell.session
    present = {one.place for one in shell.found.plugged}
    chosen = {place_of(one.key) or one.key: one.called for one in session.readers}
    chosen |= {key: name("relay", language) for key in session.boards}
    chosen |= {key: label("contacts", language) for key in session.inputs if key not in session.boards}
    for key, called in chosen.items():
        if key not in present and not key.startswith(NO_SOCKETS):
            what = called if called == key else f"{called} · {key}"
            yield label("unplugged", language).format(what=what)


def _missing(shell: Shell, language: Language, *, enrolled: bool) -> tuple[str, ...]:
    session = shell.session
    found = [] if enrolled else [label("not_enrolled", language)]
    if not session.lanes:
        found.append(label("no_lanes", language))
    found += [
        label("no_reader", language).format(
            seat=f"{session.lanes[one.lane].name}, {label(one.way.value, language)}"
        )
        for one in session.missing()
    ]
    found += [
        label("no_output", language).format(seat=f"{session.lanes[lane].name}, {label(way.value, language)}")
        for lane, way in session.relay_less()
    ]
    return tuple(found)
