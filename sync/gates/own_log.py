"""The log a replica writes as a gate: chained and signed like any gate's, taken in like any gate's."""

import os
import struct
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert, select

from admission import chain
from admission.ids import Epoch, GateId
from admission.records import Extension, ExtensionRecord, Kind, Record, Trust
from sync.gates import ingest, tables
from sync.store.schema import next_id, unsigned
from sync.tickets import changes
from sync.wire.messages import Chunk, Push

_EPOCH = struct.Struct(">Q")
MONO_MS_MASK = 0xFFFF_FFFF


class LogBroken(Exception):
    """The centre's own records were not taken: the log begins anew."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a log stands. `begun_us`: of its epoch."""

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

    def add(self, body: Record | ExtensionRecord) -> None:
        """Add a record; its seq is `next_seq`."""
        blob = body.to_bytes()
        self.seq += 1
        self.link = chain.link(self.link, blob)
        self.blobs.append(blob)

    def store(self, connection: Connection, now_s: int) -> Position:
        """Sign what was added and store it; return where the log stands then. LogBroken where it is not taken."""
        head = chain.Head.sign(self.key, self.at.gate, self.at.epoch, self.seq, self.link)
        self.add(ExtensionRecord(Extension.HEAD, self.next_seq, head.payload()))
        push = Push((Chunk(self.at.gate, self.at.epoch, self.at.seq + 1, tuple(self.blobs), self.at.link),))
        public = self.key.public_key().public_bytes_raw()
        answer = ingest.take(connection, self.at.gate, public, push, now_s)
        if answer.troubles:
            raise LogBroken(answer.troubles[0].what)
        return replace(self.at, seq=self.seq, link=self.link)


def begin(connection: Connection, group: int, key: Ed25519PrivateKey, now_us: int) -> Pages:
    """Begin an epoch of this replica's gate in a group, which becomes one at the first time; within a transaction."""
    gate = _gate(connection, group, key, now_us // 1_000_000)
    epoch = Epoch(_EPOCH.unpack(os.urandom(8))[0] or 1)
    pages = Pages(Position(gate, epoch, 0, chain.seed(gate, epoch), now_us), key, now_us)
    pages.add(Record(Kind.RESTART, 1, now_us, 0, trust=Trust.SYNCED))
    before = _newest(connection, gate)
    if before is not None:
        pages.add(ExtensionRecord(Extension.PREDECESSOR, 2, before.to_bytes()))
    return pages


def _gate(connection: Connection, group: int, key: Ed25519PrivateKey, now_s: int) -> GateId:
    """Return the gate; made where there is none: without zones, as no other gate waits to hear of it."""
    t = tables.gate
    public = key.public_key().public_bytes_raw()
    found = connection.execute(select(t.c.id).where(t.c.group_id == group, t.c.public == public)).scalar()
    if found is not None:
        return GateId(found)
    with changes.change(connection, changes.events_of_group(connection, group), now_s):
        number = next_id(connection, t.c.id)
        connection.execute(
            insert(t).values(
                id=number, group_id=group, name=f"API {group}-{public.hex()[:8]}", zones="[]", public=public,
                enrolled_at_s=now_s,
            )
        )  # fmt: skip
    return GateId(number)


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
