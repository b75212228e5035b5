"""The roster as it is signed: made from the tables, with a version that rises whenever it says something else."""

import hashlib

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
    insert,
    select,
)

from admission.ids import Epoch, GateId
from sync.gates import roster as lanes
from sync.gates import tables
from sync.gates.feed import revoked_head
from sync.keys import VenueKeys
from sync.store.schema import METADATA, queue, unsigned
from sync.wire.roster import (
    DAY_S,
    RENEW_S,
    VALID_DAYS,
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
"""The newest roster of each group; `digest`: SHA-256 of its gates and revocations."""


def is_current(connection: Connection, group: int, now_s: int) -> Roster | None:
    """Return the newest roster where it still says what the tables do and is not due for renewal."""
    gates, revoked, digest = _content(connection, group)
    row = connection.execute(select(roster).where(roster.c.group_id == group)).first()
    if row is None or row.digest != digest or not 0 <= now_s - row.issued_at_s < RENEW_S:
        return None
    return Roster(group, row.version, row.issued_at_s, row.issued_at_s + VALID_DAYS * DAY_S, gates, revoked)


def renew(connection: Connection, group: int, now_s: int) -> Roster:
    """Return the newest roster, in a writing transaction: a newer version where the tables say something else."""
    queue(connection, "roster")
    current = is_current(connection, group, now_s)
    if current is not None:
        return current
    gates, revoked, digest = _content(connection, group)
    row = connection.execute(select(roster).where(roster.c.group_id == group)).first()
    before = 0 if row is None else row.version
    same = row is not None and row.digest == digest
    # Of the clock, so that a centre restored from its backup does not give a version again that gates have taken.
    version = before if same else max(before + 1, now_s)
    connection.execute(delete(roster).where(roster.c.group_id == group))
    connection.execute(
        insert(roster).values(group_id=group, version=version, digest=digest, issued_at_s=now_s)
    )
    return Roster(group, version, now_s, now_s + VALID_DAYS * DAY_S, gates, revoked)


def signed(keys: VenueKeys, found: Roster) -> bytes:
    """Return a roster as it travels."""
    return pack_roster(found, keys.roster_key)


def _content(connection: Connection, group: int) -> tuple[tuple[RosterGate, ...], tuple[Revoked, ...], bytes]:
    plans: dict[GateId, list[RosterLane]] = {}
    for gate, plan in lanes.plans(connection, group):
        plans.setdefault(gate, []).append(RosterLane(plan.lane, plan.zone))
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
            bytes(row.sealing),
            tuple(plans.get(GateId(row.id), ())),
        )
        for row in found
    )
    revoked = _revoked(connection, group)
    return gates, revoked, hashlib.sha256(msgspec.msgpack.encode((gates, revoked))).digest()


def _revoked(connection: Connection, group: int) -> tuple[Revoked, ...]:
    t, g = revoked_head.c, tables.gate.c
    heads: dict[GateId, list[LastHead]] = {}
    at_s: dict[GateId, int] = {}
    wanted = (
        select(t.gate_id, t.epoch, t.seq, t.at_s)
        .join_from(revoked_head, tables.gate, g.id == t.gate_id)
        .where(g.group_id == group)
        .order_by(t.gate_id, t.epoch)
    )
    for row in connection.execute(wanted):
        heads.setdefault(GateId(row.gate_id), []).append(LastHead(Epoch(unsigned(row.epoch)), row.seq))
        at_s[GateId(row.gate_id)] = row.at_s
    return tuple(Revoked(gate, at_s[gate], tuple(named)) for gate, named in heads.items())
