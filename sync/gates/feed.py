"""The merged log of an event group, as gates read it: records in the order in which they became known.

Only what a gate's own signed head covers is forwarded, in pieces that each end with a head, so that the reader need
believe nobody on the way. What a crash left unsigned comes behind the epoch that names it as the end of the one before. The counter row of a group is locked until the transaction ends: the order of `n` is the
order of commits, and who has read up to `n` misses nothing before it.
"""

import secrets
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, Table, text

from admission.chain import link
from admission.ids import Epoch, GateId
from sync.store.schema import METADATA, signed, unsigned
from sync.store.together import Changes, Statement
from sync.wire.feed import FEED_BYTES_MAX, Want
from sync.wire.messages import CHUNKS_MAX, PUSH_RECORDS_MAX, Chunk
from sync.wire.replication import UNSIGNED_MAX

arrival = Table(
    "arrival",
    METADATA,
    Column("group_id", Integer, primary_key=True),
    Column("n", BigInteger, primary_key=True),
    Column("mark", BigInteger, nullable=False),
    Column("gate_id", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Index("ix_arrival_gate_id", "gate_id", "epoch", "last_seq"),
    sqlite_with_rowid=False,
)
"""Records that can be forwarded, in commit order. `mark` is random: a cursor of another history is found out by it."""
arrival_count = Table(
    "arrival_count",
    METADATA,
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
)
reading = Table(
    "reading",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    Column("heard_s", BigInteger, nullable=False),
)
"""Up to which `n` a gate has read, and until when the centre knows all that it recorded."""
revoked_head = Table(
    "revoked_head",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("at_s", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The last head of each epoch of a revoked gate that is still believed; what came later is in quarantine."""

PIECE_RECORDS = 1024
"""Records of one arrival: some 60 kB, a page holds several."""
ARRIVALS_MAX = 512
"""Looked at for one page."""
_CURSOR = struct.Struct(">QQ")
_BODY_BYTES = 56

_COUNT = text("""
INSERT INTO arrival_count (group_id, n) VALUES (:group, :more)
ON CONFLICT (group_id) DO UPDATE SET n = arrival_count.n + excluded.n RETURNING n
""")
_ARRIVAL = text("""
INSERT INTO arrival (group_id, n, mark, gate_id, epoch, first_seq, last_seq)
VALUES (:group, :n, :mark, :gate, :epoch, :first, :last)
""")
_ONE_MORE = Statement("""
INSERT INTO arrival_count (group_id, n) VALUES (:group, 1)
ON CONFLICT (group_id) DO UPDATE SET n = arrival_count.n + 1 RETURNING group_id, n
""")
_PIECE_OF = """
INSERT INTO arrival (group_id, n, mark, gate_id, epoch, first_seq, last_seq)
SELECT group_id, n, :mark, :gate, :epoch, :first, :last FROM """
_PIECE = Statement(f"{_PIECE_OF} arrival_count WHERE group_id = :group", postgresql=f"{_PIECE_OF} counted")
_FORWARDED = text("SELECT max(last_seq) FROM arrival WHERE gate_id = :gate AND epoch = :epoch")
_HEADS = text("SELECT seq FROM head WHERE gate_id = :gate AND epoch = :epoch AND seq >= :after ORDER BY seq")
_GROUP = text("SELECT group_id FROM gate WHERE id = :gate")
_NEWEST = text("SELECT n FROM arrival_count WHERE group_id = :group")
_MARK = text("SELECT mark FROM arrival WHERE group_id = :group AND n = :n")
_PAGE = text("""
SELECT n, mark, arrival.gate_id, arrival.epoch, first_seq, last_seq, revoked_head.seq AS believed
FROM arrival LEFT JOIN revoked_head ON revoked_head.gate_id = arrival.gate_id AND revoked_head.epoch = arrival.epoch
WHERE group_id = :group AND n > :after ORDER BY n LIMIT :limit
""")
_HEAD_BEFORE = text("""
SELECT head.seq, head.link, blob FROM head JOIN record
  ON record.gate_id = head.gate_id AND record.epoch = head.epoch AND record.seq = head.seq + 1
WHERE head.gate_id = :gate AND head.epoch = :epoch AND head.seq < :first - 1 ORDER BY head.seq DESC LIMIT 1
""")
_RECORDS = text("""
SELECT blob FROM record WHERE gate_id = :gate AND epoch = :epoch AND seq BETWEEN :first AND :last ORDER BY seq
""")
_WANTED = text("""
SELECT max(last_seq) FROM arrival WHERE gate_id = :gate AND epoch = :epoch AND group_id = :group
""")
_BELIEVED = text("SELECT seq FROM revoked_head WHERE gate_id = :gate AND epoch = :epoch")
_READ = text("""
INSERT INTO reading (gate_id, n, heard_s) VALUES (:gate, :n, :heard)
ON CONFLICT (gate_id) DO UPDATE SET n = excluded.n, heard_s = excluded.heard_s
""")
_HEARD = text(
    "SELECT gate_id, heard_s FROM reading JOIN gate ON gate.id = reading.gate_id WHERE group_id = :group"
)
_REPLICAS = text("SELECT id FROM gate WHERE group_id = :group AND redeemed_s IS NOT NULL")
_UNREAD = text("""
SELECT reading.gate_id, coalesce(arrival_count.n, 0) - reading.n AS behind FROM reading
JOIN gate ON gate.id = reading.gate_id LEFT JOIN arrival_count ON arrival_count.group_id = gate.group_id
WHERE gate.group_id = :group
""")
_REVOKE = text("""
INSERT INTO revoked_head (gate_id, epoch, seq, at_s) VALUES (:gate, :epoch, :seq, :now)
ON CONFLICT (gate_id, epoch) DO UPDATE SET
  seq = CASE WHEN excluded.seq < revoked_head.seq THEN excluded.seq ELSE revoked_head.seq END
""")
_EPOCHS = text("SELECT epoch, head_seq FROM log_epoch WHERE gate_id = :gate")
_QUARANTINED = text("""
SELECT log_epoch.gate_id, log_epoch.epoch, revoked_head.seq, log_epoch.seq AS held FROM revoked_head
JOIN log_epoch ON log_epoch.gate_id = revoked_head.gate_id AND log_epoch.epoch = revoked_head.epoch
JOIN gate ON gate.id = log_epoch.gate_id
WHERE gate.group_id = :group AND revoked_head.seq > 0 AND log_epoch.seq > revoked_head.seq + 1
   OR gate.group_id = :group AND revoked_head.seq = 0 AND log_epoch.seq > 0
ORDER BY log_epoch.gate_id, log_epoch.epoch
""")


# --- in the transaction that takes records ---------------------------------------------------------------------------


def note(
    connection: Connection, gate: GateId, epochs: Iterable[Epoch], ends: Mapping[Epoch, int] | None = None
) -> int:
    """Note what newly stands under a head in these epochs of a gate, as the transaction's last step.

    `ends`: unsigned ends of epochs that later ones vouch for (`Replica.ends`). Returns how many pieces became known.
    What nothing covers yet is noted when something does.
    """
    group = group_of(connection, gate)
    pieces = [piece for epoch in epochs for piece in _pieces(connection, gate, epoch)]
    # Behind the pieces of the epochs that vouch for them: the reader holds those first.
    noted = {epoch: last for epoch, _, last in pieces}
    for epoch, last in (ends or {}).items():
        done = noted.get(epoch) or _forwarded(connection, gate, epoch)
        if done < last <= done + UNSIGNED_MAX:
            pieces.append((epoch, done + 1, last))
    if not pieces or group is None:
        return 0
    forward(connection, group, gate, pieces)
    return len(pieces)


def forward(
    connection: Connection, group: int, gate: GateId, pieces: Sequence[tuple[Epoch, int, int]]
) -> None:
    """Number pieces of a gate's logs for the readers: (epoch, first seq, last seq), the last a head's record."""
    newest = connection.execute(_COUNT, {"group": group, "more": len(pieces)}).scalar_one()
    connection.execute(
        _ARRIVAL,
        [
            {
                "group": group,
                "n": n,
                "mark": secrets.randbits(63),
                "gate": gate,
                "epoch": signed(epoch),
                "first": first,
                "last": last,
            }
            for n, (epoch, first, last) in enumerate(pieces, start=newest - len(pieces) + 1)
        ],
    )


def forwarding(changes: Changes, group: int, gate: GateId, epoch: Epoch, first: int, last: int) -> None:
    """Do as `forward`, for one piece."""
    piece = {"group": group, "mark": secrets.randbits(63), "gate": gate, "epoch": signed(epoch)}
    changes.add("counted", _ONE_MORE.ask(group=group))
    changes.add("piece", _PIECE.ask(**piece, first=first, last=last))


def _pieces(connection: Connection, gate: GateId, epoch: Epoch) -> list[tuple[Epoch, int, int]]:
    """Return (epoch, first seq, last seq) of what can be forwarded and was not; each ends with the record of a head."""
    at = {"gate": gate, "epoch": signed(epoch)}
    done = first = _forwarded(connection, gate, epoch)
    found: list[tuple[Epoch, int, int]] = []
    for (head_seq,) in connection.execute(_HEADS, {**at, "after": done}):
        if head_seq + 1 - done > UNSIGNED_MAX:
            break
        if head_seq + 1 - first > PIECE_RECORDS and done > first:
            found.append((epoch, first + 1, done))
            first = done
        done = head_seq + 1
    if done > first:
        found.append((epoch, first + 1, done))
    return found


def _forwarded(connection: Connection, gate: GateId, epoch: Epoch) -> int:
    return connection.execute(_FORWARDED, {"gate": gate, "epoch": signed(epoch)}).scalar() or 0


def group_of(connection: Connection, gate: GateId) -> int | None:
    """Return the event group of a gate."""
    return connection.execute(_GROUP, {"gate": gate}).scalar()


# --- revoked gates ---------------------------------------------------------------------------------------------------


def revoke(
    connection: Connection, gate: GateId, now_s: int, believed: Mapping[Epoch, int] | None = None
) -> None:
    """Believe a gate no further than these heads, by epoch; without them, than its last ones heard. It stays so.

    Epochs that are not named are believed in nothing.
    """
    for epoch, head_seq in connection.execute(_EPOCHS, {"gate": gate}).all():
        seq = head_seq if believed is None else min(head_seq, believed.get(Epoch(unsigned(epoch)), 0))
        connection.execute(_REVOKE, {"gate": gate, "epoch": epoch, "seq": seq, "now": now_s})


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Records of a revoked gate behind the last head that is believed: kept, shown, and counting for nothing."""

    gate: GateId
    epoch: Epoch
    first_seq: int
    last_seq: int


def quarantined(connection: Connection, group: int) -> tuple[Quarantined, ...]:
    """Return what is in quarantine."""
    return tuple(
        Quarantined(GateId(gate), Epoch(unsigned(epoch)), _end(seq) + 1, held)
        for gate, epoch, seq, held in connection.execute(_QUARANTINED, {"group": group})
    )


def _end(head_seq: int) -> int:
    """Return the last seq that goes with a head: its own record."""
    return head_seq + 1 if head_seq else 0


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of the merged log, everybody's: each reader leaves out its own."""

    cursor: bytes
    n: int
    chunks: tuple[Chunk, ...]
    more: bool
    heard_s: Mapping[GateId, int]
    replicas: tuple[GateId, ...] = ()
    """Gates that are replicas of the centre: whatever they recorded is here."""


def newest(connection: Connection, group: int) -> int:
    """Return the number of the last piece that became known in a group; 0 for none."""
    return connection.execute(_NEWEST, {"group": group}).scalar() or 0


def page(connection: Connection, group: int, cursor: bytes) -> Page:
    """Return what became known behind a cursor, at most about `FEED_BYTES_MAX`."""
    after, mark = _CURSOR.unpack(cursor) if len(cursor) == _CURSOR.size else (0, 0)
    if not _is_ours(connection, group, after, mark):
        after = mark = 0
    found = connection.execute(_PAGE, {"group": group, "after": after, "limit": ARRIVALS_MAX}).all()
    spans: dict[tuple[GateId, int], list[tuple[int, int]]] = {}
    taken = records = 0
    for row in found:
        last = row.last_seq if row.believed is None else min(row.last_seq, _end(row.believed))
        count = max(0, last - row.first_seq + 1)
        if taken and (
            (records + count) * _BODY_BYTES > FEED_BYTES_MAX
            or records + count > PUSH_RECORDS_MAX
            or len(spans) >= CHUNKS_MAX
        ):
            break
        taken, after, mark = taken + 1, row.n, row.mark
        if not count:
            continue
        records += count
        of = spans.setdefault((GateId(row.gate_id), row.epoch), [])
        if of and of[-1][1] + 1 == row.first_seq:
            of[-1] = (of[-1][0], last)
        else:
            of.append((row.first_seq, last))
    chunks = tuple(
        chunk
        for (gate, epoch), of in spans.items()
        for first, last in of
        if (chunk := _chunk(connection, gate, epoch, first, last)) is not None
    )
    heard = {GateId(gate): heard_s for gate, heard_s in connection.execute(_HEARD, {"group": group})}
    replicas = tuple(GateId(one) for one in connection.execute(_REPLICAS, {"group": group}).scalars())
    more = taken < len(found) or len(found) == ARRIVALS_MAX
    return Page(_CURSOR.pack(after, mark) if after else b"", after, chunks, more, heard, replicas)


def wanted(connection: Connection, group: int, wants: Sequence[Want]) -> tuple[tuple[Chunk, ...], bool]:
    """Return of each log named what lies behind what its asker holds, as far as it is forwarded; and whether all."""
    found: list[Chunk] = []
    room = PUSH_RECORDS_MAX // 2
    for want in wants:
        at = {"gate": want.gate, "epoch": signed(want.epoch), "group": group}
        last = connection.execute(_WANTED, at).scalar() or 0
        believed = connection.execute(_BELIEVED, at).scalar()
        last = last if believed is None else min(last, _end(believed))
        if last <= want.after:
            continue
        if room <= 0:
            return tuple(found), False
        end = last
        if last - want.after > room:  # up to a head that lies within the room, or else all of it
            heads = connection.execute(_HEADS, {**at, "after": want.after}).scalars()
            end = max((_end(seq) for seq in heads if _end(seq) - want.after <= room), default=last)
        chunk = _chunk(connection, GateId(want.gate), signed(want.epoch), want.after + 1, end)
        if chunk is not None:
            room -= len(chunk.blobs)
            found.append(chunk)
        if end < last:
            return tuple(found), False
    return tuple(found), True


def _is_ours(connection: Connection, group: int, n: int, mark: int) -> bool:
    return connection.execute(_MARK, {"group": group, "n": n & 2**63 - 1}).scalar() == mark


def _chunk(connection: Connection, gate: GateId, epoch: int, first: int, last: int) -> Chunk | None:
    """Return records of a log from the last head before `first` on, so that their link can be given."""
    at = {"gate": gate, "epoch": epoch}
    head = connection.execute(_HEAD_BEFORE, {**at, "first": first}).first()
    first, before = (head.seq + 2, link(head.link, head.blob)) if head is not None else (1, b"")
    blobs = tuple(connection.execute(_RECORDS, {**at, "first": first, "last": last}).scalars())
    if len(blobs) != last - first + 1 or not blobs or len(blobs) > PUSH_RECORDS_MAX:
        return None
    return Chunk(gate, Epoch(unsigned(epoch)), first, blobs, before)


# --- how far each gate has read --------------------------------------------------------------------------------------


def unread(connection: Connection, group: int) -> dict[GateId, int]:
    """Return how many pieces each gate of a group has not read, its own among them; of one that never asked, nothing."""
    found = connection.execute(_UNREAD, {"group": group})
    return {GateId(gate): max(0, behind) for gate, behind in found}


def has_read(connection: Connection, rows: Mapping[GateId, tuple[int, int]]) -> None:
    """Write down up to which piece gates have read, and until when all of them is known: (n, unix seconds)."""
    values = [{"gate": gate, "n": n, "heard": heard_s} for gate, (n, heard_s) in sorted(rows.items())]
    connection.execute(_READ, values)
