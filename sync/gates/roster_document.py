"""The roster as it is signed: made from the tables, with a version that rises whenever it says something else."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    delete,
    func,
    insert,
    select,
)

from admission.ids import Epoch, GateId, LaneId, ZoneId
from sync.gates import declared, tables
from sync.gates import roster as lanes
from sync.gates.feed import revoked_head
from sync.keys import VenueKeys
from sync.store.schema import METADATA, queue, unsigned
from sync.wire.roster import (
    DAY_S,
    RENEW_S,
    VALID_DAYS,
    FormerKey,
    LastHead,
    Revoked,
    Roster,
    RosterGate,
    RosterLane,
    pack_roster,
)

roster = Table(
    "roster",
    METADATA,
    Column("group_id", Integer, ForeignKey("event_group.id"), primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("issued_at_s", BigInteger, nullable=False),
)
"""The newest roster of each group; `digest`: SHA-256 of its gates, revocations and former keys."""


def is_current(connection: Connection, group: int, now_s: int) -> Roster | None:
    """Return the newest roster where it still says what the tables do and is not due for renewal."""
    content = _content(connection, group)
    row = connection.execute(select(roster).where(roster.c.group_id == group)).first()
    if row is None or row.digest != content.digest() or not 0 <= now_s - row.issued_at_s < RENEW_S:
        return None
    return content.roster(group, row.version, row.issued_at_s)


def renew(connection: Connection, group: int, now_s: int) -> Roster:
    """Return the newest roster, in a writing transaction: a newer version where the tables say something else."""
    queue(connection, "roster")
    current = is_current(connection, group, now_s)
    if current is not None:
        return current
    content = _content(connection, group)
    row = connection.execute(select(roster).where(roster.c.group_id == group)).first()
    before = 0 if row is None else row.version
    digest = content.digest()
    same = row is not None and row.digest == digest
    # Of the clock, so that a centre restored from its backup does not give a version again that gates have taken.
    version = before if same else max(before + 1, now_s)
    connection.execute(delete(roster).where(roster.c.group_id == group))
    connection.execute(
        insert(roster).values(group_id=group, version=version, digest=digest, issued_at_s=now_s)
    )
    return content.roster(group, version, now_s)


def signed(keys: VenueKeys, found: Roster) -> bytes:
    """Return a roster as it travels."""
    return pack_roster(found, keys.roster_key)


class _Content(NamedTuple):
    """What a roster says, whenever and under whatever version."""

    gates: tuple[RosterGate, ...]
    revoked: tuple[Revoked, ...]
    former: tuple[FormerKey, ...]

    def digest(self) -> bytes:
        return hashlib.sha256(msgspec.msgpack.encode(tuple(self))).digest()

    def roster(self, group: int, version: int, issued_at_s: int) -> Roster:
        return Roster(group, version, issued_at_s, issued_at_s + VALID_DAYS * DAY_S, *self)


def _content(connection: Connection, group: int) -> _Content:
    told = declared.of_group(connection, group)
    zones: dict[GateId, dict[LaneId, ZoneId]] = {}
    for gate, plan in lanes.plans(connection, group):
        zones.setdefault(gate, {})[plan.lane] = plan.zone
    g = tables.gate.c
    found = connection.execute(
        select(g.id, g.name, g.public, g.sealing)
        .where(g.group_id == group, g.public.is_not(None))
        .order_by(g.id)
    )
    gates = tuple(
        RosterGate(
            GateId(row.id),
            row.name,
            bytes(row.public),
            bytes(row.sealing or b""),  # a replica of the centre has none: no secret is sealed to it
            _lanes(zones.get(row.id, {}), told.get(row.id)),
        )
        for row in found
    )
    return _Content(gates, _revoked(connection, group), _former(connection, group))


def _lanes(zones: Mapping[LaneId, ZoneId], told: Mapping[LaneId, int] | None) -> tuple[RosterLane, ...]:
    """Return a gate's lanes: those that are planned, and those that its box has."""
    if told is None:
        return tuple(RosterLane(lane, zone, declared.UNKNOWN) for lane, zone in sorted(zones.items()))
    return tuple(
        RosterLane(lane, zones.get(lane, ZoneId(0)), told.get(lane, 0)) for lane in sorted({*zones, *told})
    )


def _revoked(connection: Connection, group: int) -> tuple[Revoked, ...]:
    t, g, r = revoked_head.c, tables.gate.c, tables.revocation.c
    # Also one that was enrolled anew since: what was shut out then stays so.
    found = connection.execute(
        select(r.gate_id, func.max(r.at_s).label("at_s"))
        .join_from(tables.revocation, tables.gate, g.id == r.gate_id)
        .where(g.group_id == group)
        .group_by(r.gate_id)
        .order_by(r.gate_id)
    ).all()
    heads: dict[int, list[LastHead]] = {}
    wanted = (
        select(t.gate_id, t.epoch, t.seq)
        .where(t.gate_id.in_([row.gate_id for row in found]))
        .order_by(t.gate_id, t.epoch)
    )
    for row in connection.execute(wanted) if found else ():
        heads.setdefault(row.gate_id, []).append(LastHead(Epoch(unsigned(row.epoch)), row.seq))
    return tuple(Revoked(GateId(row.gate_id), row.at_s, tuple(heads.get(row.gate_id, ()))) for row in found)


def _former(connection: Connection, group: int) -> tuple[FormerKey, ...]:
    t, g = tables.former_key.c, tables.gate.c
    wanted = (
        select(t.gate_id, t.public, t.until_s)
        .join_from(tables.former_key, tables.gate, g.id == t.gate_id)
        .where(g.group_id == group)
        .order_by(t.gate_id, t.until_s, t.public)
    )
    return tuple(
        FormerKey(GateId(row.gate_id), bytes(row.public), row.until_s) for row in connection.execute(wanted)
    )
