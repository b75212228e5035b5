"""Gates and their lanes: what the list tells of them. SQL of gates and plans stands here."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, insert, select

from admission.entitlements import LanePlan, Mode
from admission.ids import EventId, GateId, LaneId, SessionId, ZoneId
from sync.gates import tables
from sync.tickets.rows import GROUP, numbers, numbers_text
from sync.wire.lists import GateInfo


class Gate(msgspec.Struct, frozen=True):
    """A gate; `public` is empty until it is enrolled."""

    id: GateId
    name: str
    zones: tuple[ZoneId, ...]
    public: bytes = b""

    def info(self) -> GateInfo:
        """Return what other gates are told of it."""
        return GateInfo(self.id, self.name, self.public, self.zones)


def add_gate(connection: Connection, gate: Gate, plans: Iterable[LanePlan]) -> None:
    """Make a gate and say what its lanes serve, within `changes.change` of all the group's events."""
    connection.execute(
        insert(tables.gate).values(
            id=gate.id, group_id=GROUP, name=gate.name, zones=numbers_text(gate.zones), public=None
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


def gates(connection: Connection) -> tuple[Gate, ...]:
    """Return the gates of the group, in order."""
    found = connection.execute(
        select(tables.gate).where(tables.gate.c.group_id == GROUP).order_by(tables.gate.c.id)
    )
    return tuple(
        Gate(
            GateId(row.id),
            row.name,
            tuple(ZoneId(number) for number in numbers(row.zones)),
            row.public or b"",
        )
        for row in found
    )


def gate_key(connection: Connection, gate: GateId) -> bytes | None:
    """Return an enrolled gate's public key."""
    return connection.execute(select(tables.gate.c.public).where(tables.gate.c.id == gate)).scalar()


def plans(connection: Connection) -> tuple[tuple[GateId, LanePlan], ...]:
    """Return every lane plan with its gate, in order."""
    t = tables.lane_plan
    found = connection.execute(select(t).order_by(t.c.gate_id, t.c.lane))
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
