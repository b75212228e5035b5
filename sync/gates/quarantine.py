"""What of gates' records counts at the centre, as `sync.wire.counted` has it for gates too.

Presence is derived from what counts alone: from what comes in (`sync.gates.ingest`), and again (`sync.gates.refold`)
when a gate is shut out or told otherwise of its lanes. The records themselves stay.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, func, select, text

from admission.ids import Epoch, GateId
from admission.records import MalformedRecord, Record, record_from_bytes
from sync.gates import declared, log_times, tables
from sync.gates.feed import revoked_head
from sync.store.schema import unsigned
from sync.wire.counted import Counted, Limit, end_of

_COUNT = text("""
SELECT coalesce(sum(CASE WHEN e.seq > believed.last THEN e.seq - believed.last ELSE 0 END), 0) FROM log_epoch e
JOIN (SELECT epoch, CASE WHEN seq > 0 THEN seq + 1 ELSE 0 END AS last FROM revoked_head WHERE gate_id = :gate) believed
  ON believed.epoch = e.epoch
WHERE e.gate_id = :gate
""")
_HEADS = text("SELECT epoch, seq FROM head WHERE gate_id = :gate ORDER BY epoch, seq")
_BODIES = text("""
SELECT seq, blob FROM record WHERE gate_id = :gate AND epoch = :epoch AND seq BETWEEN :first AND :last ORDER BY seq DESC
""")


def limits(connection: Connection, gates: Iterable[GateId]) -> tuple[Limit, ...]:
    """Return how far the records of these gates count, for those of which not all do.

    An epoch that is not named counts: while a gate is shut out, nothing of it comes in.
    """
    wanted = list(gates)
    t = revoked_head.c
    ends: dict[GateId, dict[Epoch, int]] = {}
    for row in connection.execute(select(t.gate_id, t.epoch, t.seq).where(t.gate_id.in_(wanted))):
        ends.setdefault(GateId(row.gate_id), {})[Epoch(unsigned(row.epoch))] = end_of(row.seq)
    entries_only = declared.without_exit(declared.of_gates(connection, wanted))
    return tuple(
        Limit(gate, ends.get(gate, {}), exits=gate not in entries_only)
        for gate in sorted({*ends, *entries_only})
    )


def counted(connection: Connection, gates: Iterable[GateId]) -> Counted:
    """Return what of the records of these gates counts."""
    return Counted(limits(connection, gates))


def limits_of_group(connection: Connection, group: int) -> tuple[Limit, ...]:
    """Return `limits` of all gates of a group."""
    g = tables.gate.c
    return limits(connection, connection.execute(select(g.id).where(g.group_id == group)).scalars().all())


def count(connection: Connection, gate: GateId) -> int:
    """Return how many records of a gate are in quarantine."""
    return int(connection.execute(_COUNT, {"gate": gate}).scalar_one())


def shut_out(connection: Connection, gate: GateId) -> tuple[int, frozenset[Epoch]]:
    """Return when a gate was last shut out (0: never), and the epochs of which something counts all the same."""
    r, t = tables.revocation.c, revoked_head.c
    at_s = connection.execute(select(func.max(r.at_s)).where(r.gate_id == gate)).scalar() or 0
    named = connection.execute(select(t.epoch).where(t.gate_id == gate, t.seq > 0)).scalars()
    return at_s, frozenset(Epoch(unsigned(epoch)) for epoch in named)


def heads_before(connection: Connection, gate: GateId, since_us: int) -> dict[Epoch, int]:
    """Return the last head of each epoch of a gate below which nothing was recorded from then on, by corrected time.

    Where a clock that was believed went back, what was recorded behind a later time does not count either.
    """
    found: dict[int, int] = {}
    ended: set[int] = set()
    first: dict[int, int] = {}
    for epoch, seq in connection.execute(_HEADS, {"gate": gate}).all():
        if epoch in ended:
            continue
        at = {"gate": gate, "epoch": epoch, "first": first.get(epoch, 1), "last": seq}
        made = (_time_us(connection, gate, epoch, blob) for _, blob in connection.execute(_BODIES, at).all())
        if any(time_us >= since_us for time_us in made):
            ended.add(epoch)
            continue
        found[epoch], first[epoch] = seq, seq + 1
    return {Epoch(unsigned(epoch)): seq for epoch, seq in found.items()}


def _time_us(connection: Connection, gate: GateId, epoch: int, blob: bytes) -> int:
    try:
        record = record_from_bytes(bytes(blob))
    except MalformedRecord:
        return 0
    return log_times.time_of(connection, gate, epoch, record) if isinstance(record, Record) else 0
