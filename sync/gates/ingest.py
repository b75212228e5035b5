"""Records come in: each chunk judged by the replication machine, stored in the transaction that answers for it."""

from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, select, text

from admission.chain import EpochState, Head, Predecessor
from admission.ids import Epoch, GateId
from admission.records import MalformedRecord, Record, record_from_bytes
from sync.gates import former_keys, tables
from sync.store.schema import signed, unsigned
from sync.wire.messages import CLOCK_OFF_MAX_S, Held, Push, Pushed, Trouble
from sync.wire.replication import (
    Accepted,
    Fork,
    Former,
    Replica,
    no_former,
    troubles_of,
    troubles_of_epochs,
)

HELD_MAX = 10_000
"""Epochs named in one answer, newest first in no order: a gate has one a start."""

# Written out: what runs for every record is one statement per table, and the dialects differ only here.
_RECORD = "INSERT INTO record (gate_id, epoch, seq, blob) VALUES (?, ?, ?, ?)"
_FORK = "INSERT INTO record_fork (gate_id, epoch, seq, digest, blob) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_HEAD = (
    "INSERT INTO head (gate_id, epoch, seq, link, signature) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_STORED = text(
    "SELECT seq, blob FROM record WHERE gate_id = :gate AND epoch = :epoch AND seq BETWEEN :first AND :last"
)
_EPOCH = text("""
INSERT INTO log_epoch (gate_id, epoch, seq, link, head_seq, predecessor)
VALUES (:gate, :epoch, :seq, :link, :head_seq, :predecessor)
ON CONFLICT (gate_id, epoch) DO UPDATE SET seq = excluded.seq, link = excluded.link, head_seq = excluded.head_seq,
  predecessor = excluded.predecessor
""")
_FORKED = text("""
INSERT INTO log_epoch (gate_id, epoch, seq, link, head_seq, forked_seq) VALUES (:gate, :epoch, 0, x'', 0, :seq)
ON CONFLICT (gate_id, epoch) DO UPDATE SET forked_seq = max(forked_seq, excluded.forked_seq)
""")
_TROUBLE = text("""
INSERT INTO trouble (gate_id, epoch, seq, what, first_s, last_s, times) VALUES (:gate, :epoch, :seq, :what, :now, :now, 1)
ON CONFLICT (gate_id, epoch, seq, what) DO UPDATE SET last_s = excluded.last_s, times = times + 1
""")
REPORTED = frozenset({"fork", "rewind", "altered", "malformed", "foreign"})
"""Troubles kept for people; a gap is only a push that came too early."""


_LAST_HEAD = text(
    "SELECT seq, link, signature FROM head WHERE gate_id = :gate AND epoch = :epoch ORDER BY seq DESC LIMIT 1"
)
_NEVER_US = 1 << 62


def former_of(connection: Connection, gate: GateId, push: Push) -> Former:
    """Return which former keys of a gate may have signed an epoch's heads.

    Where heads are held, the one that signed those; else those that were in use when the epoch began, by the
    gate's clock: whatever begins after the gate was enrolled anew is its present key's alone.
    """
    keys = former_keys.of_gate(connection, gate)
    if not keys:
        return no_former
    firsts = {chunk.epoch: chunk.blobs[0] for chunk in push.chunks if chunk.first_seq == 1 and chunk.blobs}

    def former(epoch: Epoch) -> Sequence[Ed25519PublicKey]:
        at = {"gate": gate, "epoch": signed(epoch)}
        row = connection.execute(_LAST_HEAD, at).first()
        if row is not None:
            head = Head(gate, epoch, *row)
            return [key for one in keys if head.signed_by(key := _key(one.public))]
        held = connection.execute(_STORED, {**at, "first": 1, "last": 1}).first()
        begun_us = _time_us(held.blob if held is not None else firsts.get(epoch, b""))
        return [_key(one.public) for one in keys if begun_us <= (one.until_s + CLOCK_OFF_MAX_S) * 1_000_000]

    return former


def _key(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)


def _time_us(blob: bytes) -> int:
    """Return when a body was made; later than any key for bytes that are none."""
    try:
        body = record_from_bytes(blob)
    except MalformedRecord:
        return _NEVER_US
    return body.time_us if isinstance(body, Record) else _NEVER_US


def replica_of(connection: Connection, gate: GateId, public: bytes, former: Former = no_former) -> Replica:
    """Return the machine for one gate, as the tables hold it."""
    t = tables.log_epoch
    states, forked = [], []
    for row in connection.execute(select(t).where(t.c.gate_id == gate)):
        epoch = Epoch(unsigned(row.epoch))
        if row.forked_seq:
            forked.append((epoch, row.forked_seq))
        named = Predecessor.from_bytes(row.predecessor) if row.predecessor else None
        if row.seq:
            states.append(EpochState(epoch, row.seq, row.link, row.head_seq, named))
    return Replica(gate, _key(public), states, forked, former)


def have(connection: Connection, gate: GateId, public: bytes) -> Pushed:
    """Return what is held of a gate's logs."""
    held = replica_of(connection, gate, public).have()
    return Pushed(held[:HELD_MAX])


def take(connection: Connection, gate: GateId, public: bytes, push: Push, now_s: int) -> Pushed:
    """Store what is new and return what is held of the epochs pushed, with what was wrong."""
    replica = replica_of(connection, gate, public, former_of(connection, gate, push))
    known = replica.anomalies()
    troubles: list[Trouble] = []

    def stored(epoch: Epoch, first: int, last: int) -> Sequence[bytes | None]:
        found = connection.execute(
            _STORED, {"gate": gate, "epoch": signed(epoch), "first": first, "last": last}
        )
        by_seq = {row.seq: row.blob for row in found}
        return [by_seq.get(seq) for seq in range(first, last + 1)]

    for chunk in push.chunks:
        answer = replica.offer(chunk, stored)
        match answer:
            case Accepted():
                _store(connection, gate, answer)
            case Fork():
                _keep_fork(connection, gate, answer)
        troubles += troubles_of(gate, answer)
    now_known = replica.anomalies()
    if now_known != known:
        troubles += troubles_of_epochs(gate, now_known)
    for one in troubles:
        if one.what in REPORTED:
            connection.execute(
                _TROUBLE,
                {
                    "gate": gate,
                    "epoch": signed(one.epoch),
                    "seq": one.seq,
                    "what": one.what,
                    "now": now_s,
                },
            )
    pushed = {Epoch(chunk.epoch) for chunk in push.chunks if chunk.gate == gate}
    held: tuple[Held, ...] = replica.have(pushed)
    return Pushed(held, tuple(troubles))


def _store(connection: Connection, gate: GateId, answer: Accepted) -> None:
    epoch = signed(answer.epoch)
    connection.exec_driver_sql(
        _RECORD,
        [(gate, epoch, seq, blob) for seq, blob in enumerate(answer.blobs, start=answer.first_seq)],
    )
    if answer.heads:
        connection.exec_driver_sql(
            _HEAD, [(gate, epoch, one.seq, one.link, one.signature) for one in answer.heads]
        )
    state = answer.state
    connection.execute(
        _EPOCH,
        {
            "gate": gate,
            "epoch": epoch,
            "seq": state.seq,
            "link": state.link,
            "head_seq": state.head_seq,
            "predecessor": state.predecessor.to_bytes() if state.predecessor is not None else None,
        },
    )


def _keep_fork(connection: Connection, gate: GateId, answer: Fork) -> None:
    epoch = signed(answer.epoch)
    connection.exec_driver_sql(
        _FORK,
        [
            (gate, epoch, seq, sha256(blob).digest(), blob)
            for seq, blob in enumerate(answer.blobs, start=answer.first_seq)
        ],
    )
    connection.execute(_FORKED, {"gate": gate, "epoch": epoch, "seq": answer.last_seq})
