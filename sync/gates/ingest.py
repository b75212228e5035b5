"""Records come in: each chunk judged by the replication machine, stored in the transaction that answers for it."""

import itertools
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, select, text

from admission.chain import EpochState, Head, Predecessor
from admission.corrected import EpochTime, Mark, is_believed, mark_of, reaches_back
from admission.ids import Epoch, GateId, RecordId
from admission.observed import COLUMNS, RESETTING, Role, columns_of, from_columns, reset_of
from admission.records import (
    Extension,
    ExtensionRecord,
    Kind,
    Record,
    made_us,
    record_from_bytes,
    unpack_bound,
)
from sync.gates import bulk, feed, former_keys, log_times, quarantine, tables
from sync.store.schema import signed, unsigned
from sync.wire.counted import Counted
from sync.wire.messages import Push, Pushed, Trouble
from sync.wire.replication import (
    Accepted,
    Fork,
    Former,
    Replica,
    Source,
    no_former,
    troubles_of,
    troubles_of_epochs,
)
from sync.wire.roster import may_have_signed

HELD_MAX = 60_000
"""Epochs named in one answer, in no order of time: a gate has one a start, and offers anew whatever is not named. Of as many
the answer is smaller than any that a gate refuses (`edge.front.centre.SMALL_BYTES_MAX`)."""

EXTENSIONS_MAX = 256 + 32
"""Records that may follow one body, looked back for where a push begins between them: a RESET's are the most."""
_GATE_LOCK = 1 << 40
"""PostgreSQL's advisory locks of gates' logs: this and the gate's number."""

_FORK = text("""
INSERT INTO record_fork (gate_id, epoch, seq, digest, blob) VALUES (:gate, :epoch, :seq, :digest, :blob)
ON CONFLICT DO NOTHING
""")
_HEAD = text("""
INSERT INTO head (gate_id, epoch, seq, link, signature) VALUES (:gate, :epoch, :seq, :link, :signature)
ON CONFLICT DO NOTHING
""")
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
INSERT INTO log_epoch (gate_id, epoch, seq, link, head_seq, forked_seq) VALUES (:gate, :epoch, 0, :nothing, 0, :seq)
ON CONFLICT (gate_id, epoch) DO UPDATE SET
  forked_seq = CASE WHEN log_epoch.forked_seq > excluded.forked_seq THEN log_epoch.forked_seq ELSE excluded.forked_seq END
""")
TROUBLE = text("""
INSERT INTO trouble (gate_id, epoch, seq, what, first_s, last_s, times) VALUES (:gate, :epoch, :seq, :what, :now, :now, 1)
ON CONFLICT (gate_id, epoch, seq, what) DO UPDATE SET last_s = excluded.last_s, times = trouble.times + 1
""")
_BIND = text("""
INSERT INTO bind (gate_id, epoch, seq, event_id, ticket, uid, tag, code, time_us, state)
VALUES (:gate, :epoch, :seq, :event, :ticket, :uid, :tag, :code, :time_us, 0)
ON CONFLICT (gate_id, epoch, seq) DO UPDATE SET time_us = excluded.time_us, state = 0
""")
_UNBIND = text("""
UPDATE bind SET state = 0 WHERE gate_id = :gate AND epoch = :epoch AND seq = :seq
""")
"""A steward took back what may be a bind: it is settled anew, by what presence says of it."""
_GATE_LOCKS = text("SELECT pg_advisory_xact_lock(one) FROM unnest(CAST(:keys AS bigint[])) AS one")
_UNSAID = (
    text("""
DELETE FROM presence WHERE event = :event AND ticket = :ticket AND gate = :gate AND epoch = :epoch AND seq = :seq"""),
    text("DELETE FROM presence_reset WHERE gate = :gate AND epoch = :epoch AND seq = :seq"),
)
_SEQ, _ROLE = COLUMNS.index("seq"), COLUMNS.index("role")
_OF_PRESENCE = frozenset({Extension.OBSERVED, Extension.RESET, Extension.BOUND})
REPORTED = frozenset({"fork", "rewind", "altered", "malformed", "foreign"})
"""Troubles kept for people; a gap is only a push that came too early."""
OF_CARRIER = REPORTED - {"fork", "rewind"}
"""Those that a carrier may have made: they are its trouble, since the gate it is of signed nothing of the kind."""
CARRIED_WRONG = "carried"
"""What they are called then."""


_LAST_HEAD = text(
    "SELECT seq, link, signature FROM head WHERE gate_id = :gate AND epoch = :epoch ORDER BY seq DESC LIMIT 1"
)


def former_of(
    connection: Connection, gate: GateId, push: Push, held_keys: Sequence[former_keys.FormerKey]
) -> Former:
    """Return which of a gate's former keys may have signed an epoch's heads.

    Where heads are held, the one that signed those; else those that were in use when the epoch began, by the
    gate's clock: whatever begins after the gate was enrolled anew is its present key's alone. A key that was shut out
    signs nothing but what the revocation names.
    """
    if not held_keys:
        return no_former
    shut_out_s, named = quarantine.shut_out(connection, gate)
    firsts = {chunk.epoch: chunk.blobs[0] for chunk in push.chunks if chunk.first_seq == 1 and chunk.blobs}

    def former(epoch: Epoch) -> Sequence[Ed25519PublicKey]:
        at = {"gate": gate, "epoch": signed(epoch)}
        row = connection.execute(_LAST_HEAD, at).first()
        begun_us = None
        if row is None:
            held = connection.execute(_STORED, {**at, "first": 1, "last": 1}).first()
            begun_us = made_us(held.blob if held is not None else firsts.get(epoch, b""))
        keys = [
            _key(one.public)
            for one in held_keys
            if may_have_signed(one.until_s, begun_us, shut_out_s=shut_out_s, named=epoch in named)
        ]
        head = None if row is None else Head(gate, epoch, *row)
        return keys if head is None else [key for key in keys if head.signed_by(key)]

    return former


def _key(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)


class HeldLogs(NamedTuple):
    """What the tables hold of one gate's logs, as `Replica` takes it."""

    states: list[EpochState]
    forked: list[tuple[Epoch, int]]


def _held(connection: Connection, gates: Sequence[GateId]) -> dict[GateId, HeldLogs]:
    t = tables.log_epoch
    found = {gate: HeldLogs([], []) for gate in gates}
    for row in connection.execute(select(t).where(t.c.gate_id.in_(gates))):
        epoch = Epoch(unsigned(row.epoch))
        if row.forked_seq:
            found[row.gate_id].forked.append((epoch, row.forked_seq))
        named = Predecessor.from_bytes(row.predecessor) if row.predecessor else None
        if row.seq:
            found[row.gate_id].states.append(EpochState(epoch, row.seq, row.link, row.head_seq, named))
    return found


def replica_of(connection: Connection, gate: GateId, public: bytes, former: Former = no_former) -> Replica:
    """Return the machine for one gate, as the tables hold it."""
    return Replica(gate, _key(public), *_held(connection, (gate,))[gate], former)


class Arrival(NamedTuple):
    """What one gate pushed, or another one carried for it; `public` is the gate's key, which signed a push of its own."""

    gate: GateId
    public: bytes
    push: Push
    carrier: GateId | None = None
    """Who brought it, where that was not the gate itself."""

    @property
    def source(self) -> Source:
        """How far it is believed."""
        return Source.GATE if self.carrier is None else Source.CARRIER


def have(connection: Connection, gate: GateId, public: bytes) -> Pushed:
    """Return what is held of a gate's logs."""
    held = replica_of(connection, gate, public).have()
    return Pushed(held[:HELD_MAX])


def take(connection: Connection, gate: GateId, public: bytes, push: Push, now_s: int) -> Pushed:
    """Store what is new and return what is held of the epochs pushed, with what was wrong."""
    return take_all(connection, (Arrival(gate, public, push),), now_s)[0]


def take_all(connection: Connection, arrivals: Sequence[Arrival], now_s: int) -> list[Pushed]:
    """`take` for several gates in one transaction; each gate once. Answers are in the order of the arrivals."""
    gates = sorted({one.gate for one in arrivals})
    assert len(gates) == len(arrivals), "a gate's pushes are judged one after the other"
    _queue(connection, gates)
    held = _held(connection, gates)
    former = former_keys.of_gates(connection, gates)
    batch = _Batch(connection, now_s, quarantine.counted(connection, gates))
    answers = [batch.judge(one, held[one.gate], former.get(one.gate, ())) for one in arrivals]
    batch.write()
    return answers


def _queue(connection: Connection, gates: Sequence[GateId]) -> None:
    """Wait until no other transaction, nor another replica, takes records of these gates."""
    if connection.dialect.name == "postgresql":
        connection.execute(_GATE_LOCKS, {"keys": [_GATE_LOCK + gate for gate in gates]})


class _Batch:
    """What one transaction takes in: judged gate by gate, written at the end by one statement a table."""

    def __init__(self, connection: Connection, now_s: int, counted: Counted) -> None:
        self._connection = connection
        self._now_s = now_s
        self._counted, self._limited = counted, bool(counted)
        self._records: list[bulk.RecordRow] = []
        self._presence: list[tuple[int | bytes, ...]] = []
        self._resets: list[tuple[int | bytes, ...]] = []
        self._again: list[dict[str, int]] = []
        """Bodies whose presence is derived anew, since extensions of theirs came later."""
        self._heads: list[dict[str, object]] = []
        self._states: dict[tuple[GateId, Epoch], EpochState] = {}
        self._forks: list[dict[str, object]] = []
        self._forked: list[dict[str, object]] = []
        self._troubles: list[dict[str, object]] = []
        self._binds: list[dict[str, object]] = []
        self._unbinds: list[dict[str, object]] = []
        self._signed_on: dict[GateId, dict[Epoch, None]] = {}
        self._ends: dict[GateId, dict[Epoch, int]] = {}
        """Unsigned ends of epochs that later ones vouch for by now."""

    def judge(self, one: Arrival, held: "HeldLogs", keys: Sequence[former_keys.FormerKey]) -> Pushed:
        """Judge a gate's push and note what there is to write."""
        gate, push = one.gate, one.push
        former = former_of(self._connection, gate, push, keys)
        replica = Replica(gate, _key(one.public), held.states, held.forked, former)
        known = replica.anomalies()
        troubles: list[Trouble] = []
        taken: dict[Epoch, list[Accepted]] = {}

        def stored(epoch: Epoch, first: int, last: int) -> Sequence[bytes | None]:
            by_seq = self._stored(gate, epoch, first, last)
            for answer in taken.get(epoch, ()):
                by_seq.update(enumerate(answer.blobs, start=answer.first_seq))
            return [by_seq.get(seq) for seq in range(first, last + 1)]

        # Shut out since its request was proved, or given other keys: nothing more comes in by this one.
        is_over = any(key.public == one.public for key in keys)
        for chunk in () if is_over else push.chunks:
            answer = replica.offer(chunk, stored, one.source)
            match answer:
                case Accepted():
                    taken.setdefault(answer.epoch, []).append(answer)
                case Fork():
                    self._keep_fork(gate, answer)
            troubles += troubles_of(gate, answer)
        for epoch, answers in taken.items():
            self._keep(gate, epoch, answers)
        if len(held.states) + len(taken) > 1 and (ends := replica.ends(taken, stored)):
            self._ends[gate] = ends
        now_known = replica.anomalies()
        if now_known != known:
            troubles += troubles_of_epochs(gate, now_known)
        for trouble in troubles:
            if trouble.what in REPORTED:
                at = {"gate": gate, "epoch": signed(trouble.epoch), "seq": trouble.seq, "what": trouble.what}
                if one.carrier is not None and trouble.what in OF_CARRIER:
                    at |= {"gate": one.carrier, "what": CARRIED_WRONG}
                self._troubles.append({**at, "now": self._now_s})
        pushed = {Epoch(chunk.epoch) for chunk in push.chunks if chunk.gate == gate}
        return Pushed(replica.have(pushed), tuple(troubles))

    def _stored(self, gate: GateId, epoch: Epoch, first: int, last: int) -> dict[int, bytes]:
        at = {"gate": gate, "epoch": signed(epoch), "first": first, "last": last}
        return {row.seq: row.blob for row in self._connection.execute(_STORED, at)}

    def _keep(self, gate: GateId, epoch: Epoch, answers: Sequence[Accepted]) -> None:
        """Note the records of one epoch, which go on from each other, and what they say of presence."""
        at = signed(epoch)
        records: list[Record | ExtensionRecord] = []
        for answer in answers:
            seqs = range(answer.first_seq, answer.first_seq + len(answer.blobs))
            self._records += zip(itertools.repeat(gate), itertools.repeat(at), seqs, answer.blobs)
            records += answer.records
            for head in answer.heads:
                self._heads.append(
                    {
                        "gate": gate,
                        "epoch": at,
                        "seq": head.seq,
                        "link": head.link,
                        "signature": head.signature,
                    }
                )
                self._signed_on.setdefault(gate, {})[epoch] = None
        self._states[gate, epoch] = answers[-1].state
        records = [*self._cut_off(gate, epoch, records), *records]
        self._fold(gate, epoch, records, self._clock_of(gate, epoch, records))

    def _clock_of(self, gate: GateId, epoch: Epoch, records: Sequence[Record | ExtensionRecord]) -> EpochTime:
        """Return what places the bodies among these records; those before them are placed anew where one of these
        tells when they were made."""
        clock = EpochTime()
        bodies = [one for one in records if isinstance(one, Record)]
        first = next((one for one in bodies if is_believed(one)), None)
        known = first is not None and first is bodies[0] and not reaches_back(first)
        if known or not bodies:
            return clock  # as ever: a clock that is believed, and was
        clock.mark = log_times.mark_before(self._connection, gate, signed(epoch), bodies[0].seq)
        if clock.mark is None and first is not None and reaches_back(first):
            clock.back = mark_of(first)
            self._place_anew(gate, epoch, records[0].seq, clock.back)
        return clock

    def _place_anew(self, gate: GateId, epoch: Epoch, end: int, mark: Mark) -> None:
        """Note again what the records of a log below `end` say of presence, by the time that is known now."""
        clock = EpochTime(back=mark)
        held: list[Record | ExtensionRecord] = []
        for _, blob in sorted(self._stored(gate, epoch, 1, end - 1).items()):
            one = record_from_bytes(blob)
            held.append(one)
            if isinstance(one, Record) and (one.ticket is not None or one.kind in RESETTING):
                event, ticket = one.ticket or (0, 0)
                at = {"gate": gate, "epoch": signed(epoch), "seq": one.seq}
                self._again.append({**at, "event": event, "ticket": signed(ticket)})
        self._fold(gate, epoch, held, clock)

    def _cut_off(
        self, gate: GateId, epoch: Epoch, records: Sequence[Record | ExtensionRecord]
    ) -> list[Record | ExtensionRecord]:
        """Return the body, with what follows it, that the first records are extensions of, where that matters."""
        late = itertools.takewhile(lambda one: isinstance(one, ExtensionRecord), records)
        if not any(one.type in _OF_PRESENCE for one in late if isinstance(one, ExtensionRecord)):
            return []
        first = records[0].seq
        before = self._stored(gate, epoch, max(1, first - EXTENSIONS_MAX), first - 1)
        found: list[Record | ExtensionRecord] = []
        for seq in sorted(before, reverse=True):
            one = record_from_bytes(before[seq])
            found.insert(0, one)
            if isinstance(one, Record):
                event, ticket = one.ticket or (0, 0)
                at = {"gate": gate, "epoch": signed(epoch), "seq": seq}
                self._again.append({**at, "event": event, "ticket": signed(ticket)})
                return found
        return []

    def _fold(
        self, gate: GateId, epoch: Epoch, records: Sequence[Record | ExtensionRecord], clock: EpochTime
    ) -> None:
        """Note what each body with its extensions says of presence."""
        body: Record | None = None
        extensions: tuple[ExtensionRecord, ...] = ()
        for one in records:
            if isinstance(one, ExtensionRecord):
                extensions += (one,)
                continue
            if body is not None:
                self._fold_one(gate, epoch, body, extensions, clock.place(body))
            body, extensions = one, ()
        if body is not None:
            self._fold_one(gate, epoch, body, extensions, clock.place(body))

    def _fold_one(
        self,
        gate: GateId,
        epoch: Epoch,
        body: Record,
        extensions: tuple[ExtensionRecord, ...],
        time_us: int,
    ) -> None:
        row = columns_of(gate, epoch, body, extensions, time_us)
        if row is not None and (not self._limited or self._counts(gate, epoch, row)):
            self._presence.append(row)
        if body.kind in RESETTING:
            reset = reset_of(gate, epoch, body, extensions, time_us)
            if reset is not None and self._counted.record(reset.id):
                self._resets.append(reset.as_columns())
        elif body.kind is Kind.BIND and row is not None:
            self._note_bind(gate, epoch, body, extensions, time_us)
        elif body.kind is Kind.ANNUL and row is not None:
            self._unbinds += [
                {"gate": name.gate, "epoch": signed(name.epoch), "seq": name.seq}
                for name in from_columns(row).names
            ]

    def _note_bind(
        self, gate: GateId, epoch: Epoch, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int
    ) -> None:
        """Note what a check-in station bound, for `sync.customers.bound`."""
        if body.ticket is None or not self._counted.record(RecordId(gate, epoch, body.seq)):
            return
        bound = next(unpack_bound(one.payload) for one in extensions if one.type is Extension.BOUND)
        event, ticket = body.ticket
        self._binds.append(
            {
                "gate": gate,
                "epoch": signed(epoch),
                "seq": body.seq,
                "event": event,
                "ticket": signed(ticket),
                "uid": bound.uid.hex().upper(),
                "tag": bound.tag,
                "code": bound.code,
                "time_us": time_us,
            }
        )

    def _counts(self, gate: GateId, epoch: Epoch, row: tuple[int | bytes, ...]) -> bool:
        """Whether a row that is to be counts, by what the centre knows of its gate."""
        seq, role = row[_SEQ], row[_ROLE]
        assert isinstance(seq, int), "as the table has it"
        assert isinstance(role, int), "as the table has it"
        return self._counted.said(RecordId(gate, epoch, seq), Role(role))

    def _keep_fork(self, gate: GateId, answer: Fork) -> None:
        at = {"gate": gate, "epoch": signed(answer.epoch)}
        self._forks += [
            {**at, "seq": seq, "digest": sha256(blob).digest(), "blob": blob}
            for seq, blob in enumerate(answer.blobs, start=answer.first_seq)
        ]
        self._forked.append({**at, "seq": answer.last_seq, "nothing": b""})

    def write(self) -> None:
        """Write what was noted."""
        connection = self._connection
        bulk.add_records(connection, self._records)
        for statement in _UNSAID if self._again else ():
            connection.execute(statement, self._again)
        bulk.add_presence(connection, self._presence)
        bulk.add_resets(connection, self._resets)
        states = [
            {
                "gate": gate,
                "epoch": signed(epoch),
                "seq": state.seq,
                "link": state.link,
                "head_seq": state.head_seq,
                "predecessor": state.predecessor.to_bytes() if state.predecessor is not None else None,
            }
            for (gate, epoch), state in self._states.items()
        ]
        for statement, rows in (
            (_HEAD, self._heads),
            (_EPOCH, states),
            (_FORK, self._forks),
            (_FORKED, self._forked),
            (TROUBLE, self._troubles),
            (_BIND, self._binds),
            (_UNBIND, self._unbinds),
        ):
            if rows:
                connection.execute(statement, rows)
        for gate in sorted({*self._signed_on, *self._ends}):
            feed.note(connection, gate, self._signed_on.get(gate, ()), self._ends.get(gate))
