"""The log a replica writes as a gate: chained and signed like any gate's, so that every gate can check it.

The first records of an epoch are taken in like any gate's. Those after it go straight to the tables, as long as the
log stands there where this replica left it.
"""

import os
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert, select, update

from admission import chain
from admission.ids import Epoch, GateId, ZoneId
from admission.observed import COLUMNS, PresenceRow, rows_of
from admission.records import Extension, ExtensionRecord, Kind, Record, Trust
from sync.events.rows import numbers, numbers_text
from sync.gates import feed, ingest, tables
from sync.store.database import Database
from sync.store.schema import next_id, signed, unsigned
from sync.store.together import Changes, Insert, Statement
from sync.tickets.changes import change, events_of_group
from sync.wire.messages import Chunk, Push

_EPOCH = struct.Struct(">Q")
MONO_MS_MASK = 0xFFFF_FFFF
MARKED_EVERY_S = 3600
"""How often is written down that a replica answers scanners."""
RETIRED_S = 24 * 3600
"""A replica whose machine was given up is a gate that is heard no more, and would be dealt room for ever."""

MARK = Statement("UPDATE gate SET redeemed_s = :now WHERE id = :gate")

_HEAD = Statement("""
INSERT INTO head (gate_id, epoch, seq, link, signature) VALUES (:gate, :epoch, :seq, :link, :signature)
""")
_GROWN = Statement(
    """
UPDATE log_epoch SET seq = :to_seq, link = :to_link, head_seq = :head_seq
WHERE gate_id = :gate AND epoch = :epoch AND seq = :seq AND link = :link AND forked_seq = 0 RETURNING seq
""",
    "seq",
)
_RECORDS = Insert("record", gate_id="bigint", epoch="bigint", seq="bigint", blob="bytea")
_TYPES = {"role": "smallint", "state": "smallint", "way": "smallint", "mode": "smallint", "names": "bytea"}
_PRESENCE = Insert("presence", **{name: _TYPES.get(name, "bigint") for name in COLUMNS})


class LogBroken(Exception):
    """The centre's own records were not taken: the log begins anew."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a log stands. `begun_us`: of its epoch."""

    group: int
    gate: GateId
    epoch: Epoch
    seq: int
    link: bytes
    begun_us: int


@dataclass(slots=True)
class Pages:
    """Records being written behind a position; nothing is kept before `store`."""

    at: Position
    key: Ed25519PrivateKey
    time_us: int
    blobs: list[bytes] = field(default_factory=list)
    seq: int = 0
    link: bytes = b""
    _rows: list[PresenceRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seq, self.link = self.at.seq, self.at.link

    @property
    def next_seq(self) -> int:
        """The seq of the record that is added next."""
        return self.seq + 1

    @property
    def mono_ms(self) -> int:
        """Milliseconds since the epoch began."""
        return max(0, self.time_us - self.at.begun_us) // 1000 & MONO_MS_MASK

    def add(
        self, body: Record, extensions: Sequence[tuple[Extension, bytes]] = ()
    ) -> tuple[PresenceRow, ...]:
        """Add a record, whose seq is `next_seq`, with what extends it; return what it says of presence."""
        self._append(body)
        made = []
        for kind, payload in extensions:
            made.append(ExtensionRecord(kind, self.next_seq, payload))
            self._append(made[-1])
        rows = rows_of(self.at.gate, self.at.epoch, body, tuple(made), body.time_us)
        self._rows += rows
        return rows

    def _append(self, body: Record | ExtensionRecord) -> None:
        blob = body.to_bytes()
        self.seq += 1
        self.link = chain.link(self.link, blob)
        self.blobs.append(blob)

    def store(self, connection: Connection, changes: Changes, now_s: int) -> Position:
        """Sign what was added and store it; return where the log stands then.

        LogBroken, here or when the changes are made, where it is not taken: nothing of the transaction may stand then.
        """
        head = chain.Head.sign(self.key, self.at.gate, self.at.epoch, self.seq, self.link)
        self._append(ExtensionRecord(Extension.HEAD, self.next_seq, head.payload()))
        if self.at.seq:
            self._go_on(connection, changes, head)
        else:
            self._begin(connection, now_s)
        return replace(self.at, seq=self.seq, link=self.link)

    def _begin(self, connection: Connection, now_s: int) -> None:
        at = self.at
        push = Push((Chunk(at.gate, at.epoch, 1, tuple(self.blobs), at.link),))
        public = self.key.public_key().public_bytes_raw()
        answer = ingest.take(connection, at.gate, public, push, now_s)
        if answer.troubles:
            raise LogBroken(answer.troubles[0].what)

    def _go_on(self, connection: Connection, changes: Changes, head: chain.Head) -> None:
        at, epoch = self.at, signed(self.at.epoch)
        grown = _GROWN.ask(
            gate=at.gate, epoch=epoch, seq=at.seq, link=at.link,
            to_seq=self.seq, to_link=self.link, head_seq=head.seq,
        )  # fmt: skip
        # Taken with the row's lock: who else goes on from there, with a copy of the key, finds that it has moved.
        changes.add("grown", grown, _grown)
        records = [(at.gate, epoch, seq, blob) for seq, blob in enumerate(self.blobs, start=at.seq + 1)]
        changes.add("written", _RECORDS.ask(connection, records))
        if self._rows:
            changes.add("moved", _PRESENCE.ask(connection, list(map(_plain, self._rows))))
        signature = _HEAD.ask(
            gate=at.gate, epoch=epoch, seq=head.seq, link=head.link, signature=head.signature
        )
        changes.add("signed", signature)
        feed.forwarding(changes, at.group, at.gate, at.epoch, at.seq + 1, self.seq)


def _grown(rows: list[Any]) -> None:
    if len(rows) != 1:
        raise LogBroken("the log stands elsewhere than it was left")


def _plain(row: PresenceRow) -> tuple[int | bytes, ...]:
    """Return a row's columns without members of enums, which the drivers know nothing of."""
    return tuple([one if isinstance(one, bytes) else int(one) for one in row.as_columns()])


def begin(connection: Connection, group: int, key: Ed25519PrivateKey, now_us: int) -> Pages:
    """Begin an epoch of this replica's gate in a group, which becomes one at the first time; within a transaction."""
    gate = _gate(connection, group, key, now_us // 1_000_000)
    epoch = Epoch(_EPOCH.unpack(os.urandom(8))[0] or 1)
    pages = Pages(Position(group, gate, epoch, 0, chain.seed(gate, epoch), now_us), key, now_us)
    before = _newest(connection, gate)
    named = [(Extension.PREDECESSOR, before.to_bytes())] if before is not None else []
    pages.add(Record(Kind.RESTART, 1, now_us, 0, trust=Trust.SYNCED), named)
    return pages


def _gate(connection: Connection, group: int, key: Ed25519PrivateKey, now_s: int) -> GateId:
    """Return the gate; made where there is none: without zones, as no other gate waits to hear of it."""
    t = tables.gate
    public = key.public_key().public_bytes_raw()
    found = connection.execute(select(t.c.id).where(t.c.group_id == group, t.c.public == public)).scalar()
    if found is not None:
        return GateId(found)
    with change(connection, events_of_group(connection, group), now_s):
        number = next_id(connection, t.c.id)
        connection.execute(
            insert(t).values(
                id=number, group_id=group, name=f"API {group}-{public.hex()[:8]}", zones="[]", public=public,
                enrolled_at_s=now_s, redeemed_s=now_s,
            )
        )  # fmt: skip
    return GateId(number)


def serve(connection: Connection, wanted: Mapping[GateId, Collection[ZoneId]], now_s: int) -> None:
    """Tell the gates which zones replicas answer scanners of, as the transaction's last step: they share room with them."""
    t = tables.gate
    rows = connection.execute(select(t.c.id, t.c.group_id, t.c.zones).where(t.c.id.in_(wanted))).all()
    events = [one for row in rows for one in events_of_group(connection, row.group_id)]
    with change(connection, events, now_s):
        for row in rows:
            zones = numbers_text(sorted({*numbers(row.zones), *wanted[GateId(row.id)]}))
            connection.execute(update(t).where(t.c.id == row.id).values(zones=zones))


def retire(database: Database, now_s: int) -> int:
    """Have replicas that answered no scanner for `RETIRED_S` serve no zone, so that nobody shares room with them.

    Returns how many. One that answers again serves again.
    """
    t = tables.gate
    idle = (t.c.redeemed_s < now_s - RETIRED_S) & (t.c.zones != "[]")
    with database.reading() as connection:
        groups = connection.execute(select(t.c.group_id).where(idle).distinct()).scalars().all()
    retired = 0
    for group in groups:
        with database.writing() as connection:
            events = events_of_group(connection, group)
            with change(connection, events, now_s):
                gone = update(t).where(idle, t.c.group_id == group).values(zones="[]")
                retired += connection.execute(gone).rowcount
    return retired


def _newest(connection: Connection, gate: GateId) -> chain.Predecessor | None:
    """Return where the gate's last epoch stands: the one that no other goes on from."""
    t = tables.log_epoch
    rows = connection.execute(select(t).where(t.c.gate_id == gate)).all()
    named = {chain.Predecessor.from_bytes(row.predecessor).epoch for row in rows if row.predecessor}
    for row in rows:
        epoch = Epoch(unsigned(row.epoch))
        if epoch not in named:
            return chain.Predecessor(epoch, row.seq, row.link)
    return None
