"""What the log file is made of: its tables, and the values that go in and come out.

Two's complement carries u64 numbers (epochs, tickets) through SQLite's signed integers (`signed`, `unsigned`).
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from admission.chain import Head
from admission.ids import Epoch, EventId, GateId, TicketId
from admission.presence import COLUMNS, RESET_COLUMNS, PresenceRow, Reset

APPLICATION_ID = 0x47484C47
""" "GHLG": file(1) and we know it by this number in SQLite's header."""
FORMAT = 1
"""user_version of the file. Another one is set aside and its records are taken over; nothing is migrated in place."""

CENTRE = GateId(0)
"""The centre's number as a peer: it is one more peer, and no gate has number 0."""

FEED_CURSOR = "feed_cursor"
"""Meta: how far the centre's merged log was read, in one commit with the records up to there."""

CREATE = """
CREATE TABLE record(
  gate INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, blob BLOB NOT NULL,
  PRIMARY KEY(gate, epoch, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE fork(
  gate INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, blob BLOB NOT NULL,
  PRIMARY KEY(gate, epoch, seq, blob)) STRICT, WITHOUT ROWID;
CREATE TABLE epoch(
  gate INTEGER NOT NULL, epoch INTEGER NOT NULL, ordinal INTEGER NOT NULL,
  unfolded INTEGER NOT NULL DEFAULT 0, pruned_seq INTEGER NOT NULL DEFAULT 0, pruned_link BLOB NOT NULL DEFAULT x'',
  predecessor BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(gate, epoch)) STRICT, WITHOUT ROWID;
CREATE TABLE head(
  gate INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, link BLOB NOT NULL,
  signature BLOB NOT NULL, PRIMARY KEY(gate, epoch, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE presence(
  event INTEGER NOT NULL, ticket INTEGER NOT NULL, gate INTEGER NOT NULL, epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL, role INTEGER NOT NULL, time_us INTEGER NOT NULL, state INTEGER NOT NULL,
  way INTEGER NOT NULL, zone INTEGER NOT NULL, session INTEGER NOT NULL, lane INTEGER NOT NULL,
  mode INTEGER NOT NULL, flags INTEGER NOT NULL, names BLOB NOT NULL,
  PRIMARY KEY(event, ticket, gate, epoch, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE reset(
  gate INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, zone INTEGER NOT NULL,
  time_us INTEGER NOT NULL, heard BLOB NOT NULL, PRIMARY KEY(gate, epoch, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE standing(
  event INTEGER NOT NULL, ticket INTEGER NOT NULL, digest BLOB NOT NULL, standing INTEGER NOT NULL,
  generation INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY(event, ticket, digest)) STRICT, WITHOUT ROWID;
CREATE TABLE list_version(
  event INTEGER PRIMARY KEY, generation INTEGER NOT NULL, version INTEGER NOT NULL,
  sealed_at_s INTEGER NOT NULL, digest BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE cursor(
  peer INTEGER NOT NULL, gate INTEGER NOT NULL, epoch INTEGER NOT NULL, acked_seq INTEGER NOT NULL,
  PRIMARY KEY(peer, gate, epoch)) STRICT, WITHOUT ROWID;
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""
CREATE_OVERLAY = """
CREATE TABLE overlay(
  event INTEGER NOT NULL, ticket INTEGER NOT NULL, digest BLOB NOT NULL, row BLOB NOT NULL,
  generation INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY(event, ticket, digest)) STRICT, WITHOUT ROWID;
"""
"""Added to a log that was made without it: it takes nothing away from what older versions read."""

SALVAGED = (
    ("epoch", 2),
    ("record", 3),
    ("fork", 4),
    ("head", 3),
    ("reset", 3),
    ("standing", 3),
    ("list_version", 1),
    ("cursor", 3),
    ("meta", 1),
    ("overlay", 3),
    ("presence", 5),
)
"""Tables taken over from a damaged file, with how many leading columns are the key. Presence is folded anew after
it, but for what rests on records that were pruned or lost."""

INSERT_RECORD = "INSERT INTO record VALUES(?,?,?,?) ON CONFLICT DO NOTHING"
INSERT_FORK = "INSERT INTO fork VALUES(?,?,?,?) ON CONFLICT DO NOTHING"
INSERT_EPOCH = """
INSERT INTO epoch(gate, epoch, ordinal) VALUES(?, ?, (SELECT coalesce(max(ordinal), 0) + 1 FROM epoch))
ON CONFLICT DO NOTHING
"""
"""Once per epoch. Its last seq is read off the records: a row that changed with each scan would be a page more to
sync in each commit."""
EPOCHS = """
SELECT gate, epoch, ordinal, last_seq, iif(unfolded, pruned_seq, last_seq), pruned_seq, pruned_link, predecessor FROM (
  SELECT *, coalesce((SELECT max(seq) FROM record WHERE record.gate = epoch.gate AND record.epoch = epoch.epoch),
    pruned_seq) AS last_seq FROM epoch) ORDER BY ordinal
"""
PRUNED = "SELECT ordinal, pruned_seq FROM epoch WHERE gate = ? AND epoch = ?"
CLOSING_HEADS = """
SELECT head.seq, link, signature, pruned_seq FROM head JOIN epoch USING (gate, epoch)
WHERE gate = ? AND epoch = ? AND head.seq > pruned_seq AND head.seq <= ? ORDER BY head.seq LIMIT 64
"""
"""Heads that may close a prefix; one go takes no more of them than LIMIT."""
BELIEVED_AFTER = """
SELECT blob FROM record JOIN epoch AS e USING (gate, epoch) JOIN epoch AS own ON own.gate = e.gate
WHERE own.gate = ?1 AND own.epoch = ?2 AND (e.ordinal > own.ordinal OR (e.ordinal = own.ordinal AND seq > ?3))
  AND length(blob) = 56 AND substr(blob, 32, 1) >= x'02' ORDER BY e.ordinal, seq LIMIT 1
"""
"""Byte 32 of a body is the trust of its clock (`admission.records`), 2 is `Trust.RTC`."""
INSERT_HEAD = "INSERT INTO head VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING"
UPSERT_PRESENCE = (
    f"INSERT OR REPLACE INTO presence({','.join(COLUMNS)}) VALUES({','.join('?' * len(COLUMNS))})"
)
"""A row is replaced where its record's extensions came in later than the record."""
FORGET_DERIVED = "DELETE FROM presence WHERE (gate, epoch, seq) IN (SELECT gate, epoch, seq FROM record)"
CREATE_STEP = f"""
CREATE TEMP VIEW step({",".join(f"record_{name}" for name in ("gate", "epoch", "seq", "blob"))}, {",".join(COLUMNS)})
AS SELECT {",".join(["NULL"] * (4 + len(COLUMNS)))};
CREATE TEMP TRIGGER step_taken INSTEAD OF INSERT ON step BEGIN
  INSERT INTO record VALUES(NEW.record_gate, NEW.record_epoch, NEW.record_seq, NEW.record_blob) ON CONFLICT DO NOTHING;
  INSERT OR REPLACE INTO presence({",".join(COLUMNS)}) VALUES({",".join(f"NEW.{name}" for name in COLUMNS)});
END;
"""
"""A record with its one row, as a grant leaves them: written by one statement, which is a transaction of its own. Each of the
four that it stands for costs a paced scan 30-50 us beside the disk. The file knows nothing of it."""
INSERT_STEP = f"INSERT INTO step VALUES({','.join('?' * (4 + len(COLUMNS)))})"
TAPS_KEPT = 64
"""Of a tag that counts, as each gate saw it: only the highest says anything, the others while that gate is in doubt. A
season's tag has thousands, and all of them were read at each tap."""
FORGET_TAPS = "DELETE FROM presence WHERE event = ? AND ticket = ? AND gate = ? AND role = ? AND flags < ?"
UPSERT_RESET = (
    f"INSERT OR REPLACE INTO reset({','.join(RESET_COLUMNS)}) VALUES({','.join('?' * len(RESET_COLUMNS))})"
)
UPSERT_STANDING = """
INSERT INTO standing VALUES(?,?,?,?,?,?) ON CONFLICT DO UPDATE
SET standing = excluded.standing, generation = excluded.generation, version = excluded.version
WHERE (excluded.generation, excluded.version) >= (generation, version)
"""
FORGET_STANDINGS = "DELETE FROM standing WHERE event = ? AND (generation, version) <= (?, ?)"
UPSERT_OVERLAY = """
INSERT INTO overlay VALUES(?,?,?,?,?,?) ON CONFLICT DO UPDATE
SET row = excluded.row, generation = excluded.generation, version = excluded.version
WHERE (excluded.generation, excluded.version) >= (generation, version)
"""
FORGET_OVERLAY = "DELETE FROM overlay WHERE event = ? AND (generation, version) <= (?, ?)"
UPSERT_LIST_VERSION = """
INSERT INTO list_version VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE
SET generation = excluded.generation, version = excluded.version, sealed_at_s = excluded.sealed_at_s,
  digest = excluded.digest
WHERE (excluded.generation, excluded.version, excluded.sealed_at_s) > (generation, version, sealed_at_s)
"""
UPSERT_CURSOR = "INSERT INTO cursor VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET acked_seq = excluded.acked_seq"
UPSERT_META = "INSERT INTO meta VALUES(?,?) ON CONFLICT DO UPDATE SET value = excluded.value"


COUNTED_KEY = "counted"
"""Kept in `meta`: the roster's word on whose records count how far (`sync.wire.counted`), MessagePack."""
DOUBTED_KEY = "doubted"
"""Kept in `meta`: whose claims are in doubt, and from where on (`edge.claims`), MessagePack."""
APPLIED_KEY, SETTINGS_KEY = "deltas", "settings"
"""Kept in `meta`: how far changes go beyond the list, and the settings they brought (`edge.applied`)."""
REVISED_KEY = "revised"
"""Kept in `meta`: logs whose clock was set, until what they said before is corrected (`edge.revision`), MessagePack."""
RUN_KEY = "run"
"""Kept in `meta`: the epoch of the last run made on this card, 8 bytes; others of one's own may have been fetched back since."""
TABLES = {name for name, _ in SALVAGED}
"""All tables there are."""


class StoredRecord(NamedTuple):
    """One record of any gate's log, as it is hashed and sent."""

    gate: GateId
    epoch: Epoch
    seq: int
    blob: bytes


class StandingChange(NamedTuple):
    """A standing newer than the applied snapshot: of a ticket (`digest` empty), or of a credential (`ticket` 0).

    `standing` is a `Standing` or a `CredentialStanding` accordingly.
    """

    event: EventId
    ticket: TicketId
    digest: bytes
    standing: int
    generation: int
    version: int


class OverlayRow(NamedTuple):
    """A list's row newer than the applied snapshot; `row` is an `edge.overlay.NewRow`, MessagePack."""

    event: EventId
    ticket: TicketId
    digest: bytes
    row: bytes
    generation: int
    version: int


class ListVersion(NamedTuple):
    """A seal that was seen; kept where it is newer than any seen before."""

    event: EventId
    generation: int
    version: int
    sealed_at_s: int
    digest: bytes


class SnapshotMark(NamedTuple):
    """A verified snapshot is in its place: standing changes up to it are in its rows and may be forgotten."""

    event: EventId
    generation: int
    version: int


class Cursor(NamedTuple):
    """How far a peer has acknowledged a log. It may go back: a restored centre asks again."""

    peer: GateId
    gate: GateId
    epoch: Epoch
    acked_seq: int


class EpochRow(NamedTuple):
    """What is held of one epoch. `ordinal` counts up as epochs were first met, since their ids are random."""

    gate: GateId
    epoch: Epoch
    ordinal: int
    last_seq: int
    folded_seq: int
    """Watermark: presence rows account for every record up to here."""
    pruned_seq: int
    """Records up to here were removed; `pruned_link` is the chain's link there."""
    pruned_link: bytes
    predecessor: bytes
    """Payload of the PREDECESSOR extension, kept when it was pruned; empty before that, and for a root epoch."""


class Batch(msgspec.Struct, frozen=True, gc=False):
    """What becomes durable together. `token` counts up in the order of `LogWriter.submit`."""

    token: int
    records: tuple[StoredRecord, ...] = ()
    presence: tuple[PresenceRow, ...] = ()
    heads: tuple[Head, ...] = ()
    resets: tuple[Reset, ...] = ()
    standings: tuple[StandingChange, ...] = ()
    overlay: tuple[OverlayRow, ...] = ()
    list_versions: tuple[ListVersion, ...] = ()
    snapshots: tuple[SnapshotMark, ...] = ()
    cursors: tuple[Cursor, ...] = ()
    forks: tuple[StoredRecord, ...] = ()
    """Same key as a record held, other bytes: kept beside it."""
    meta: tuple[tuple[str, bytes], ...] = ()
    then: Callable[[], None] | None = None
    """Called by the writer's thread as soon as the batch is durable, before anybody hears of it; never raises."""


I64_END, U64_END = 1 << 63, 1 << 64


def signed(number: int) -> int:
    """Return a u64 as the i64 of the same bits: SQLite's integers are signed."""
    return number if number < I64_END else number - U64_END


def unsigned(number: int) -> int:
    """Return the u64 that `signed` took."""
    return number if number >= 0 else number + U64_END
