"""The fleet over `/api/v1`: gates and their codes, revocation, the device board, lane plans and lane states.

A dead box is swapped by enrolling another one under the same gate's code: place, lanes and plans are the gate's, not the
box's; the new box begins an epoch of its own, and the old one's key is a former one from then on.
"""

import os
from typing import Annotated, Any

import msgspec
import segno
from sqlalchemy import Connection, delete, func, insert, select, update

from admission.entitlements import LanePlan, Mode
from admission.ids import EventId, GateId, LaneId, SessionId, ZoneId
from admission.lane import LaneState
from sync.accounts.audit import noted
from sync.events import rows as events
from sync.events import tables as event_tables
from sync.gates import enrolment, feed, former_keys, key_rolls, quarantine, refold, roster, snapshots, tables
from sync.store.database import CentreFault
from sync.store.schema import next_id
from sync.tickets import changes
from sync.web.api import (
    Asked,
    Body,
    Count,
    Id,
    Name,
    Page,
    Paged,
    Refused,
    Role,
    Route,
    Seconds,
    not_found,
    page_of,
    read_cursor,
)
from sync.wire.deltas import GateStatus
from sync.wire.messages import CODE_MINUTES, fingerprint_of

ZONES_MAX = 200
SESSIONS_MAX = 500
AWAY_S = 90
"""A gate that told nothing for so long is shown as away: it tells every 30 s, or says that it will later."""
LANE_MAX = 65_535
"""Lane numbers are u16 in records."""
_States = Annotated[
    str, msgspec.Meta(description="A lane state: " + ", ".join(one.name.lower() for one in LaneState))
]


class NewGate(Body, frozen=True, kw_only=True):
    """A gate to be: its place, before any box is there."""

    name: Name
    zones: Annotated[tuple[Count, ...], msgspec.Meta(max_length=ZONES_MAX)] = ()


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """A gate. `state`: new (no box yet), enrolled or revoked."""

    id: int
    group: int
    name: str
    zones: tuple[int, ...]
    state: str
    enrolled_s: int
    revoked_s: int = 0
    reason: str = ""
    quarantined: int = 0
    """Records that do not count, because the gate was shut out before them."""
    roll: str = ""
    """New keys that the gate was asked for: asked, offered (its box has not changed over yet), done; empty: never."""
    roll_asked_s: int = 0
    keys_s: int = 0
    """Since when it has its present keys."""


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """A one-time code for one gate. `qr_svg` holds all that a box needs, where the centre's address is given."""

    code: str
    expires_s: int
    fingerprint: str
    qr_svg: str


class NewCode(Body, frozen=True, kw_only=True):
    """What goes into the QR code beside the code: the centre's address as the box reaches it."""

    url: Annotated[str, msgspec.Meta(max_length=300, pattern=r"^(https?://[^\s#]{1,290})?$")] = ""


class Revoke(Body, frozen=True, kw_only=True):
    """Why a gate is shut out. `since_s`: what it recorded from then on does not count, 0: all that was heard does."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    since_s: Seconds = 0


class EventLag(msgspec.Struct, frozen=True, kw_only=True):
    """How far a gate is behind with one event's list; `behind` -1: it told of none, or of another generation."""

    event: int
    version: int
    behind: int


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the device board. `heard_s` 0: it never told how it is."""

    gate: int
    name: str
    enrolled: bool
    away: bool
    heard_s: int
    lists: tuple[EventLag, ...]
    software: str
    outbox: int
    outbox_age_s: int
    clock_off_s: int
    uplink: str
    verdict: str
    unread: int = -1
    """Pieces of other gates' records that it has not read; -1: it never asked for them."""
    roll: str = ""
    """As of `GateView`."""


class Lane(Body, frozen=True, kw_only=True):
    """What a lane serves: (event, session) pairs of a zone. `mode`: normal, entry_exit or multiple."""

    zone: Id
    mode: Annotated[str, msgspec.Meta(pattern="^(normal|entry_exit|multiple)$")] = "normal"
    sessions: Annotated[tuple[tuple[Id, Count], ...], msgspec.Meta(max_length=SESSIONS_MAX)] = ()
    attended: bool = False


class LaneView(msgspec.Struct, frozen=True, kw_only=True):
    """A lane with what it serves."""

    lane: int
    zone: int
    mode: str
    sessions: tuple[tuple[int, int], ...]
    attended: bool


class NewState(Body, frozen=True, kw_only=True):
    """A state for the lanes of a zone and those inside it, of a gate, or for one lane of a gate."""

    state: _States
    zone: Count = 0
    gate: Count = 0
    lane: Annotated[int, msgspec.Meta(ge=0, le=LANE_MAX)] = 0


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """A lane state was ordered; lanes take each `version` once."""

    version: int
    at_s: Seconds


def routes() -> tuple[Route, ...]:
    """Return the routes of the fleet."""
    base, gate = "/api/v1/groups/{group}", "/api/v1/gates/{gate}"
    organizer: dict[str, Any] = {"role": Role.ORGANIZER, "writes": True}
    return (
        Route(method="GET", path=f"{base}/gates", handler=_gates, answer=Page[GateView], query=Paged, summary="Gates of a group"),
        Route(method="POST", path=f"{base}/gates", handler=_add, answer=GateView, body=NewGate, status=201, idempotent=True, summary="Make a gate", **organizer),
        Route(method="GET", path=f"{base}/devices", handler=_devices, answer=Page[Device], query=Paged, summary="The device board"),
        Route(method="POST", path=f"{base}/lane-states", handler=_order, answer=Ordered, body=NewState, idempotent=True, summary="Order a lane state", **organizer),
        Route(method="GET", path=gate, handler=_gate, answer=GateView, summary="One gate"),
        Route(method="PUT", path=gate, handler=_rename, answer=GateView, body=NewGate, summary="Rename a gate, say its zones", **organizer),
        Route(method="POST", path=f"{gate}/codes", handler=_code, answer=Code, body=NewCode, status=201, summary="Open a one-time enrolment code, also to swap a dead box", **organizer),
        Route(method="POST", path=f"{gate}/rolls", handler=_roll, answer=GateView, status=201, summary="Ask a gate for new keys", **organizer),
        Route(method="POST", path=f"{gate}/revocations", handler=_revoke, answer=GateView, body=Revoke, summary="Shut a gate out", **organizer),
        Route(method="GET", path=f"{gate}/lanes", handler=_lanes, answer=Page[LaneView], summary="Lane plans of a gate"),
        Route(method="PUT", path=f"{gate}/lanes/{{lane}}", handler=_set_lane, answer=LaneView, body=Lane, summary="Say what a lane serves", **organizer),
        Route(method="DELETE", path=f"{gate}/lanes/{{lane}}", handler=_drop_lane, answer=None, status=204, summary="A lane serves nothing", **organizer),
    )  # fmt: skip


# --- gates ------------------------------------------------------------------------------------------------------------


def _gates(connection: Connection, asked: Asked) -> Page[GateView]:
    position = read_cursor(asked.query.cursor, int)
    t = tables.gate.c
    found = connection.execute(
        select(tables.gate)
        .where(t.group_id == asked.path["group"], t.id > (position[0] if position else 0))
        .order_by(t.id)
        .limit(asked.query.limit + 1)
    ).all()
    return page_of([_view(connection, row) for row in found], asked.query.limit, lambda one: (one.id,))


def _gate(connection: Connection, asked: Asked) -> GateView:
    return _view(connection, _row(connection, asked))


def _row(connection: Connection, asked: Asked) -> Any:
    row = connection.execute(select(tables.gate).where(tables.gate.c.id == asked.path["gate"])).first()
    if row is None:
        raise not_found("gate")
    return row


def _view(connection: Connection, row: Any) -> GateView:
    r = tables.revocation
    last = connection.execute(
        select(r).where(r.c.gate_id == row.id, r.c.undone_s == 0).order_by(r.c.at_s.desc())
    ).first()
    revoked = last is not None and not row.public
    order = key_rolls.order_of(connection, GateId(row.id))
    return GateView(
        id=row.id,
        group=row.group_id,
        name=row.name,
        zones=events.numbers(row.zones),
        state="enrolled" if row.public else "revoked" if revoked else "new",
        enrolled_s=row.enrolled_at_s or 0,
        revoked_s=last.at_s if last is not None and revoked else 0,
        reason=last.reason if last is not None and revoked else "",
        quarantined=quarantine.count(connection, GateId(row.id)),
        roll=order.state if order is not None else "",
        roll_asked_s=order.asked_s if order is not None else 0,
        keys_s=max(row.enrolled_at_s or 0, order.done_s if order is not None else 0) if row.public else 0,
    )


def _add(connection: Connection, asked: Asked) -> GateView:
    group, body = asked.path["group"], asked.body
    with changes.change(connection, changes.events_of_group(connection, group), asked.now_s):
        _check_zones(connection, group, body.zones)
        _check_name(connection, group, body.name, 0)
        number = next_id(connection, tables.gate.c.id)
        zones = tuple(ZoneId(one) for one in body.zones)
        roster.add_gate(connection, roster.Gate(GateId(number), body.name, zones), (), group)
        noted(connection, asked, "gate.make", str(number), {"name": body.name})
    return _view(connection, connection.execute(select(tables.gate).where(tables.gate.c.id == number)).one())


def _rename(connection: Connection, asked: Asked) -> GateView:
    row = _row(connection, asked)
    with changes.change(connection, changes.events_of_group(connection, row.group_id), asked.now_s):
        _check_zones(connection, row.group_id, asked.body.zones)
        _check_name(connection, row.group_id, asked.body.name, row.id)
        connection.execute(
            update(tables.gate)
            .where(tables.gate.c.id == row.id)
            .values(name=asked.body.name, zones=events.numbers_text(asked.body.zones))
        )
        noted(connection, asked, "gate.rename", str(row.id), {"from": row.name, "to": asked.body.name})
    return _gate(connection, asked)


def _check_zones(connection: Connection, group: int, zones: tuple[int, ...]) -> None:
    known = {one.id for one in events.read_zones(connection, group)}
    if unknown := [one for one in zones if one not in known]:
        raise Refused(422, "unknown_zone", f"Zone {unknown[0]} is not of this group. Make it first.")


def _check_name(connection: Connection, group: int, name: str, own: int) -> None:
    t = tables.gate.c
    taken = select(t.id).where(t.group_id == group, t.name == name, t.id != own)
    if connection.execute(taken).first() is not None:
        raise Refused(
            409, "name_taken", "Another gate has this name. Visitors are told it, so choose another."
        )


# --- enrolment and revocation -----------------------------------------------------------------------------------------


def _code(connection: Connection, asked: Asked) -> Code:
    row = _row(connection, asked)
    try:
        code = enrolment.new_code(connection, asked.keys, GateId(row.id), asked.now_s, os.urandom(5))
    except CentreFault as fault:
        raise Refused(409, "too_many_codes", f"{fault}. {fault.hint}") from fault
    noted(connection, asked, "gate.code", str(row.id))
    fingerprint = fingerprint_of(asked.keys.identity_key.public_key().public_bytes_raw())
    shown = f"{code[:4]}-{code[4:]}"
    text = f"{asked.body.url}#{fingerprint} {shown}" if asked.body.url else shown
    svg = segno.make(text, error="m").svg_inline(scale=4)
    return Code(code=shown, expires_s=asked.now_s + CODE_MINUTES * 60, fingerprint=fingerprint, qr_svg=svg)


def _roll(connection: Connection, asked: Asked) -> GateView:
    row = _row(connection, asked)
    if not (row.public and row.sealing):
        raise Refused(409, "no_box", "No box is enrolled as this gate; there is nobody to ask.")
    order, is_new = key_rolls.ask(connection, GateId(row.id), asked.now_s)
    if is_new:
        noted(connection, asked, "gate.roll", str(row.id), {"order": order.number})
    return _gate(connection, asked)


def _revoke(connection: Connection, asked: Asked) -> GateView:
    row = _row(connection, asked)
    if not row.public:
        raise Refused(409, "not_enrolled", "No box is enrolled as this gate; there is nothing to shut out.")
    with changes.change(connection, changes.events_of_group(connection, row.group_id), asked.now_s):
        revoke(connection, GateId(row.id), asked.body.reason, asked.now_s, asked.body.since_s)
        noted(connection, asked, "gate.revoke", str(row.id), msgspec.to_builtins(asked.body))
    return _gate(connection, asked)


def revoke(connection: Connection, gate: GateId, reason: str, now_s: int, since_s: int = 0) -> None:
    """Shut a gate out, within `changes.change` of its group's events: only a new enrolment undoes it.

    Its streams end once the change is seen, its requests are refused, its records count up to the last head heard;
    with `since_s` up to the last one below which it recorded nothing from then on. What does not count stays for good
    in quarantine, here and at every gate (`sync.wire.counted`).
    The group's next snapshot has a new secret, so whoever holds the box reads no list from now on.
    """
    believed = quarantine.heads_before(connection, gate, since_s * 1_000_000) if since_s else None
    feed.revoke(connection, gate, now_s, believed)
    refold.forget(connection, gate)
    group = feed.group_of(connection, gate)
    assert group is not None, "a gate is of a group"
    snapshots.new_secret(connection, group, now_s)
    former_keys.retire(connection, gate, b"", now_s)
    key_rolls.void(connection, gate)
    t = tables.gate
    connection.execute(update(t).where(t.c.id == gate).values(public=None, sealing=None))
    connection.execute(delete(tables.enrolment_code).where(tables.enrolment_code.c.gate_id == gate))
    r = tables.revocation
    connection.execute(delete(r).where(r.c.gate_id == gate, r.c.at_s == now_s))
    connection.execute(insert(r).values(gate_id=gate, at_s=now_s, reason=reason, undone_s=0))


# --- the device board -------------------------------------------------------------------------------------------------


def _devices(connection: Connection, asked: Asked) -> Page[Device]:
    position = read_cursor(asked.query.cursor, int)
    found = devices(
        connection,
        asked.path["group"],
        asked.now_s,
        int(position[0]) if position else 0,
        asked.query.limit + 1,
    )
    return page_of(found, asked.query.limit, lambda one: (one.gate,))


def devices(connection: Connection, group: int, now_s: int, after: int, limit: int) -> list[Device]:
    """Return how the gates of a group are, as they told last, by their number."""
    e = event_tables.event.c
    lists = connection.execute(
        select(e.id, e.generation, e.version).where(e.group_id == group).order_by(e.id)
    ).all()
    t, s = tables.gate, tables.gate_status
    found = connection.execute(
        select(t.c.id, t.c.name, t.c.public, t.c.redeemed_s, s.c.heard_s, s.c.status)
        .outerjoin(s, s.c.gate_id == t.c.id)
        .where(t.c.group_id == group, t.c.id > after)
        .order_by(t.c.id)
        .limit(limit)
    )
    unread = feed.unread(connection, group)
    orders = key_rolls.orders_of_group(connection, group)
    return [
        msgspec.structs.replace(
            _device(row, lists, now_s),
            unread=unread.get(GateId(row.id), -1),
            roll=orders[GateId(row.id)].state if row.id in orders else "",
        )
        for row in found
    ]


def _device(row: Any, lists: Any, now_s: int) -> Device:
    told = msgspec.json.decode(row.status, type=GateStatus) if row.status else GateStatus()
    at = {(one.event, one.generation): one.version for one in told.versions}
    lags = tuple(
        EventLag(
            event=event,
            version=at.get((event, generation), 0),
            behind=version - at[event, generation] if (event, generation) in at else -1,
        )
        for event, generation, version in lists
    )
    heard_s = row.heard_s or 0
    return Device(
        gate=row.id,
        name=row.name,
        enrolled=bool(row.public),
        away=row.redeemed_s is None and now_s - heard_s > AWAY_S + told.again_s,
        heard_s=heard_s,
        lists=lags,
        software=told.software,
        outbox=told.outbox,
        outbox_age_s=told.outbox_age_s,
        clock_off_s=told.clock_off_s,
        uplink=told.uplink,
        verdict=told.verdict,
    )


# --- lanes ------------------------------------------------------------------------------------------------------------


def _lanes(connection: Connection, asked: Asked) -> Page[LaneView]:
    row = _row(connection, asked)
    found = [plan for gate, plan in roster.plans(connection, row.group_id) if gate == row.id]
    return Page(tuple(_lane_view(plan) for plan in found))


def _lane_view(plan: LanePlan) -> LaneView:
    return LaneView(
        lane=plan.lane,
        zone=plan.zone,
        mode=plan.mode.name.lower(),
        sessions=plan.sessions,
        attended=plan.attended,
    )


def _set_lane(connection: Connection, asked: Asked) -> LaneView:
    row, lane, body = _row(connection, asked), _lane_number(asked), asked.body
    with changes.change(connection, changes.events_of_group(connection, row.group_id), asked.now_s):
        _check_zones(connection, row.group_id, (body.zone,))
        _check_sessions(connection, row.group_id, body.sessions)
        plan = LanePlan(
            lane=lane,
            zone=ZoneId(body.zone),
            mode=Mode[body.mode.upper()],
            sessions=tuple((EventId(event), SessionId(session)) for event, session in body.sessions),
            attended=body.attended,
        )
        roster.set_plan(connection, GateId(row.id), plan)
        noted(connection, asked, "lane.plan", f"{row.id}.{lane}", msgspec.to_builtins(body))
    return _lane_view(plan)


def _drop_lane(connection: Connection, asked: Asked) -> None:
    row, lane = _row(connection, asked), _lane_number(asked)
    with changes.change(connection, changes.events_of_group(connection, row.group_id), asked.now_s):
        t = tables.lane_plan
        gone = connection.execute(delete(t).where(t.c.gate_id == row.id, t.c.lane == lane)).rowcount
        if not gone:
            raise not_found("lane plan")
        noted(connection, asked, "lane.drop", f"{row.id}.{lane}")


def _lane_number(asked: Asked) -> LaneId:
    if not 0 < asked.path["lane"] <= LANE_MAX:
        raise not_found("lane")
    return LaneId(asked.path["lane"])


def _check_sessions(connection: Connection, group: int, named: tuple[tuple[int, int], ...]) -> None:
    known = {(one.event, one.id) for one in events.read_sessions(connection, group)}
    for event, session in named:
        if (event, session) not in known:
            raise Refused(422, "unknown_session", f"Event {event} has no session {session} in this group.")


def _order(connection: Connection, asked: Asked) -> Ordered:
    group, body = asked.path["group"], asked.body
    try:
        state = LaneState[body.state.upper()]
    except KeyError:
        names = ", ".join(one.name.lower() for one in LaneState)
        raise Refused(422, "unknown_state", f"Take one of: {names}.") from None
    with changes.change(connection, changes.events_of_group(connection, group), asked.now_s):
        if body.zone:
            _check_zones(connection, group, (body.zone,))
        t = tables.gate.c
        of_group = select(func.count()).where(t.id == body.gate, t.group_id == group)
        if body.gate and not connection.execute(of_group).scalar():
            raise not_found("gate")
        try:
            order = roster.order_state(
                connection, state, asked.now_s, group,
                zone=ZoneId(body.zone), gate=GateId(body.gate), lane=LaneId(body.lane),
            )  # fmt: skip
        except ValueError as error:
            raise Refused(422, "bad_target", f"{error}.".capitalize()) from error
        noted(connection, asked, "lane.state", str(order.version), msgspec.to_builtins(body))
    return Ordered(version=order.version, at_s=order.at)
