"""Keys that gates signed with before they were enrolled anew: what their older logs are held against."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, text

from admission.ids import GateId
from sync.gates import roster, tables
from sync.tickets.changes import CHANNEL

_NOTIFY = text("SELECT pg_notify(:channel, '')")


class FormerKey(NamedTuple):
    """A key that a gate signed with, and until when (Unix seconds)."""

    public: bytes
    until_s: int


def retire(connection: Connection, gate: GateId, public: bytes, now_s: int) -> None:
    """Keep the gate's present key as a former one, since it takes `public` from now on; none: it is shut out.

    Every replica looks then, also where no list tells of the gate: a stream for the key of before ends.
    """
    t = tables.former_key
    present = roster.gate_key(connection, gate)
    connection.execute(delete(t).where(t.c.gate_id == gate, t.c.public.in_((public, present or public))))
    if present and present != public:
        connection.execute(insert(t).values(gate_id=gate, public=present, until_s=now_s))
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"channel": CHANNEL})


def of_gate(connection: Connection, gate: GateId) -> tuple[FormerKey, ...]:
    """Return the keys that a gate signed with before its present one, oldest first."""
    t = tables.former_key
    found = connection.execute(
        select(t.c.public, t.c.until_s).where(t.c.gate_id == gate).order_by(t.c.until_s)
    )
    return tuple(FormerKey(*row) for row in found)


def of_gates(connection: Connection, gates: Sequence[GateId]) -> dict[GateId, list[FormerKey]]:
    """Return `of_gate` for several, without those that had no other key."""
    t = tables.former_key
    found: dict[GateId, list[FormerKey]] = {}
    for row in connection.execute(select(t).where(t.c.gate_id.in_(gates)).order_by(t.c.until_s)):
        found.setdefault(GateId(row.gate_id), []).append(FormerKey(row.public, row.until_s))
    return found
