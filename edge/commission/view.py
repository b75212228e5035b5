"""What the commissioning page shows, said in a language. Nothing here does I/O."""

import msgspec

from admission.reasons import Language
from edge.commission.candidates import likely_board
from edge.commission.findings import Trouble, troubles
from edge.commission.inventory import Plugged
from edge.commission.known import known, title
from edge.commission.orders import lock
from edge.commission.session import Heard, Seat
from edge.commission.shell import Listening, Shell
from edge.commission.words import label, name, say
from edge.link import Health
from edge.settings import MediumSetting, Way
from edge.words import sentence


class TroubleShown(msgspec.Struct, frozen=True):
    """One thing to mend. `order`: the page draws its programming code."""

    grade: str
    cause: str
    fix: str
    guide: str
    order: bool


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
    is_board: bool
    adapter: bool
    pn532: bool
    troubles: tuple[TroubleShown, ...]


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


class LaneShown(msgspec.Struct, frozen=True):
    """One lane."""

    id: int
    name: str
    two_way: bool
    seats: tuple[SeatShown, ...]
    outputs: tuple[OutputShown, ...]


class LockShown(msgspec.Struct, frozen=True):
    """A scanner that was chosen, and how it is locked."""

    key: str
    called: str
    guide: str
    order: bool


class AskedShown(msgspec.Struct, frozen=True):
    """What is being looked for; `code` changes with each question, so that the picture is asked for anew."""

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
    missing: tuple[str, ...] = ()
    pulses: int = 0


def commission_view(
    shell: Shell, language: Language, *, enrolled: bool, name: str, path: str
) -> CommissionShown:
    """Say everything to a technician."""
    return CommissionShown(
        session=True,
        enrolled=enrolled,
        name=name,
        path=path,
        devices=tuple(_device(one, shell, language) for one in shell.found.plugged),
        lanes=tuple(_lane(number, shell, language) for number in sorted(shell.session.lanes)),
        asked=_asked(shell, language),
        locks=_locks(shell),
        missing=_missing(shell, language, enrolled=enrolled),
        pulses=shell.pulses,
    )


def _device(device: Plugged, shell: Shell, language: Language) -> DeviceShown:
    what = known(device)
    one = shell.listening.get(device.place)
    seat = next((seat for seat, chosen in shell.session.chosen.items() if chosen.key == device.place), None)
    board = likely_board(device)
    kind = f"{name(what.role.value, language)} · {name(what.mode.value, language)}"
    return DeviceShown(
        key=device.place,
        called=title(device),
        kind=kind,
        place=device.place,
        listening=one is not None and one.state is not None and one.state.health is Health.OK,
        state=_state(device, one, shell, language),
        heard=0 if one is None else one.heard,
        seat="" if seat is None else _seat_name(seat, shell, language),
        board=board,
        is_board=device.place in shell.session.boards,
        adapter=bool(board) and board != "hid",
        pn532=device.place in shell.pn532,
        troubles=tuple(
            _trouble(found, language) for found in troubles(shell.found) if found.place == device.place
        ),
    )


def _state(device: Plugged, one: Listening | None, shell: Shell, language: Language) -> str:
    if device.place in shell.session.boards:
        return label("is_board", language)
    if one is None or one.state is None:
        return label("not_read", language)
    if one.state.health is Health.OK:
        return label("listening", language)
    return sentence(one.state.code, {"what": one.state.what, "hint": one.state.hint}, language).cause


def _trouble(one: Trouble, language: Language) -> TroubleShown:
    said = say(one.code, dict(one.args), language)
    guide, drawn = (one.order.guide, bool(one.order.text)) if one.order else ("", False)
    return TroubleShown(one.grade.value, said.cause, said.fix, guide, drawn)


def _lane(number: int, shell: Shell, language: Language) -> LaneShown:
    lane = shell.session.lanes[number]
    ways = (Way.ENTRY, Way.EXIT) if lane.two_way else (Way.ENTRY,)
    seats = [Seat(number, way, medium) for way in ways for medium in MediumSetting]
    chosen = shell.session.chosen
    return LaneShown(
        id=number,
        name=lane.name,
        two_way=lane.two_way,
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
                f"{lane.name}: {label(f'turned_{way.value}', language)}",
                label("line", language).format(line=lane.outputs[way][1] + 1) if way in lane.outputs else "",
            )
            for way in ways
        ),
    )


def _asked(shell: Shell, language: Language) -> AskedShown | None:
    asked = shell.session.asked
    if asked is None:
        return None
    unclear = any(one.last is Heard.UNCLEAR for one in shell.listening.values())
    said = label("unclear" if asked.uid and unclear else "hold_card" if asked.uid else "hold_code", language)
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
            shown.append(LockShown(one.key, one.called, order.guide, bool(order.text)))
    return tuple(shown)


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
