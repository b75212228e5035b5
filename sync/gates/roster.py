"""Gates and their lanes: what the list tells of them. SQL of gates and plans stands here."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from admission.entitlements import LaneOrder, LanePlan, LaneSchedule, Mode
from admission.ids import EventId, GateId, LaneId, SessionId, ZoneId
from admission.lane import LaneState
from sync.events.rows import numbers, numbers_text
from sync.gates import tables
from sync.store.schema import queue
from sync.wire.lists import GateInfo


class Gate(msgspec.Struct, frozen=True):
    """A gate; `public` is empty until it is enrolled."""

    id: GateId
    name: str
    zones: tuple[ZoneId, ...]
    public: bytes = b""
    is_replica: bool = False
    """Of the centre: it has no box, and names the zones that scanners were answered for."""

    def info(self) -> GateInfo:
        """Return what other gates are told of it."""
        return GateInfo(self.id, self.name, self.public, self.zones)


def add_gate(connection: Connection, gate: Gate, plans: Iterable[LanePlan], group: int) -> None:
    """Make a gate and say what its lanes serve, within `changes.change` of all the group's events."""
    connection.execute(
        insert(tables.gate).values(
            id=gate.id, group_id=group, name=gate.name, zones=numbers_text(gate.zones), public=None
        )
    )
    for plan in plans:
        connection.execute(
            insert(tables.lane_plan).values(
                gate_id=gate.id,
                lane=plan.lane,
                zone=plan.zone,
                mode=plan.mode,
                sessions=msgspec.json.encode(plan.sessions).decode(),
                attended=plan.attended,
            )
        )


def set_plan(connection: Connection, gate: GateId, plan: LanePlan) -> None:
    """Say what a lane serves from now on, within `changes.change` of all the group's events."""
    t = tables.lane_plan
    connection.execute(delete(t).where(t.c.gate_id == gate, t.c.lane == plan.lane))
    connection.execute(
        insert(t).values(
            gate_id=gate,
            lane=plan.lane,
            zone=plan.zone,
            mode=plan.mode,
            sessions=msgspec.json.encode(plan.sessions).decode(),
            attended=plan.attended,
        )
    )


def gates(connection: Connection, group: int) -> tuple[Gate, ...]:
    """Return the gates of a group, in order."""
    found = connection.execute(
        select(tables.gate).where(tables.gate.c.group_id == group).order_by(tables.gate.c.id)
    )
    return tuple(
        Gate(
            GateId(row.id),
            row.name,
            tuple(ZoneId(number) for number in numbers(row.zones)),
            row.public or b"",
            row.redeemed_s is not None,
        )
        for row in found
    )


def group_of(connection: Connection, gate: GateId) -> int:
    """Return the event group of a gate there is."""
    t = tables.gate.c
    group: int = connection.execute(select(t.group_id).where(t.id == gate)).scalar_one()
    return group


def gate_key(connection: Connection, gate: GateId) -> bytes | None:
    """Return an enrolled gate's public key."""
    return connection.execute(select(tables.gate.c.public).where(tables.gate.c.id == gate)).scalar()


def plans(connection: Connection, group: int) -> tuple[tuple[GateId, LanePlan], ...]:
    """Return every lane plan of a group with its gate, in order."""
    t, g = tables.lane_plan, tables.gate
    found = connection.execute(
        select(t).join(g, g.c.id == t.c.gate_id).where(g.c.group_id == group).order_by(t.c.gate_id, t.c.lane)
    )
    return tuple(
        (
            GateId(row.gate_id),
            LanePlan(
                lane=LaneId(row.lane),
                zone=ZoneId(row.zone),
                mode=Mode(row.mode),
                sessions=tuple(
                    (EventId(event), SessionId(session))
                    for event, session in msgspec.json.decode(row.sessions, type=tuple[tuple[int, int], ...])
                ),
                attended=row.attended,
            ),
        )
        for row in found
    )


def set_schedule(
    connection: Connection, gate: GateId, lane: LaneId, entries: Iterable[tuple[int, LaneState]]
) -> None:
    """Say which states a lane takes by itself and from when, Unix seconds; replaces what was said before.

    Within `changes.change` of all the group's events. ValueError for an emergency: that is nobody's plan.
    """
    t = tables.lane_schedule
    connection.execute(delete(t).where(t.c.gate_id == gate, t.c.lane == lane))
    for from_s, state in entries:
        if state is LaneState.EMERGENCY:
            raise ValueError("an emergency cannot be planned; order it when it is one")
        connection.execute(insert(t).values(gate_id=gate, lane=lane, from_s=from_s, state=state))


def schedules(connection: Connection, group: int) -> tuple[LaneSchedule, ...]:
    """Return what every lane of a group does by itself, in order."""
    t, g = tables.lane_schedule, tables.gate
    stored = select(t).join(g, g.c.id == t.c.gate_id).where(g.c.group_id == group)
    found: dict[tuple[GateId, LaneId], list[tuple[int, int]]] = {}
    for row in connection.execute(stored.order_by(t.c.gate_id, t.c.lane, t.c.from_s)):
        found.setdefault((GateId(row.gate_id), LaneId(row.lane)), []).append((row.from_s, row.state))
    return tuple(LaneSchedule(gate, lane, tuple(entries)) for (gate, lane), entries in found.items())


def order_state(
    connection: Connection,
    state: LaneState,
    now_s: int,
    group: int,
    *,
    zone: ZoneId = ZoneId(0),
    gate: GateId = GateId(0),
    lane: LaneId = LaneId(0),
) -> LaneOrder:
    """Give a state to the lanes of a zone and those inside it, of a gate, or to one lane; returns the order.

    Within `changes.change` of all the group's events. ValueError where it names neither a zone nor a gate, or both.
    """
    if bool(zone) == bool(gate) or (lane and not gate):
        raise ValueError("an order names a zone, a gate, or a lane of a gate")
    t = tables.lane_order
    queue(connection, "lane_order")
    newest = connection.execute(select(func.max(t.c.version))).scalar() or 0
    # Of the clock, so that a centre restored from its backup does not give a version again that gates have taken.
    version = max(newest + 1, now_s)
    target = (t.c.group_id == group, t.c.zone == zone, t.c.gate_id == gate, t.c.lane == lane)
    connection.execute(delete(t).where(*target))
    connection.execute(
        insert(t).values(
            version=version, group_id=group, at_s=now_s, state=state, zone=zone, gate_id=gate, lane=lane
        )
    )
    return LaneOrder(version, now_s, state, zone, gate, lane)


def orders(connection: Connection, group: int) -> tuple[LaneOrder, ...]:
    """Return the newest order of each target, in the order they were given."""
    t = tables.lane_order
    found = connection.execute(select(t).where(t.c.group_id == group).order_by(t.c.version))
    return tuple(
        LaneOrder(row.version, row.at_s, row.state, ZoneId(row.zone), GateId(row.gate_id), LaneId(row.lane))
        for row in found
    )
