"""Tables of gates and of their logs. Epochs are u64, kept as the i64 of the same bits."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from sync.store.schema import METADATA, Seq

gate = Table(
    "gate",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("group_id", Integer, ForeignKey("event_group.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("zones", Text, nullable=False),
    Column("public", LargeBinary(32)),
    Column("sealing", LargeBinary(32)),
    Column("enrolled_at_s", BigInteger),
    Column("redeemed_s", BigInteger),
    UniqueConstraint("group_id", "name", name="uq_gate_group_id_name"),
)
"""A name is one gate's of its group; others, of whoever's, may have it too. `public` and `sealing` are empty until the gate is enrolled. `redeemed_s`: of replicas of the centre only, when scanners
were last answered, to the hour."""
former_key = Table(
    "former_key",
    METADATA,
    Column("gate_id", BigInteger, ForeignKey("gate.id"), primary_key=True),
    Column("public", LargeBinary(32), primary_key=True),
    Column("until_s", BigInteger, nullable=False),
)
"""Keys that a gate signed with before it was enrolled anew, and until when: its older logs are signed by them."""
lane_plan = Table(
    "lane_plan",
    METADATA,
    Column("gate_id", BigInteger, ForeignKey("gate.id"), primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("zone", Integer, nullable=False),
    Column("mode", Integer, nullable=False),
    Column("sessions", Text, nullable=False),
    Column("attended", Boolean, nullable=False),
)
lane_schedule = Table(
    "lane_schedule",
    METADATA,
    Column("gate_id", BigInteger, ForeignKey("gate.id"), primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("from_s", BigInteger, primary_key=True),
    Column("state", Integer, nullable=False),
)
lane_order = Table(
    "lane_order",
    METADATA,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("group_id", Integer, ForeignKey("event_group.id"), nullable=False),
    Column("at_s", BigInteger, nullable=False),
    Column("state", Integer, nullable=False),
    Column("zone", Integer, nullable=False),
    Column("gate_id", BigInteger, nullable=False),
    Column("lane", Integer, nullable=False),
)
"""The newest order of each target (zone, gate, lane) only: what an older one said is over."""
gate_status = Table(
    "gate_status",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True, autoincrement=False),
    Column("heard_s", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
)
"""The newest `GateStatus` of each gate, JSON, and when it was heard."""
revocation = Table(
    "revocation",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at_s", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", String(200), nullable=False),
    Column("undone_s", BigInteger, nullable=False, server_default="0"),
)
"""When a gate was shut out and why; `undone_s`: when it was enrolled anew, 0 until then."""
enrolment_code = Table(
    "enrolment_code",
    METADATA,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("gate_id", BigInteger, ForeignKey("gate.id"), nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Column("tries_left", Integer, nullable=False),
)
"""Open codes only: a used, spent or expired one is removed."""
log_epoch = Table(
    "log_epoch",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", Seq, nullable=False),
    Column("link", LargeBinary(32), nullable=False),
    Column("head_seq", Seq, nullable=False),
    Column("predecessor", LargeBinary(44)),
    Column("forked_seq", Seq, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
"""How far each log is held. `predecessor`: payload of its PREDECESSOR extension. `forked_seq`: of another branch."""
record = Table(
    "record",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", Seq, primary_key=True),
    Column("blob", LargeBinary(512), nullable=False),
    sqlite_with_rowid=False,
)
record_fork = Table(
    "record_fork",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", Seq, primary_key=True),
    Column("digest", LargeBinary(32), primary_key=True),
    Column("blob", LargeBinary(512), nullable=False),
    sqlite_with_rowid=False,
)
"""Records that stand beside others of the same key; `digest` is the SHA-256 of the blob."""
head = Table(
    "head",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", Seq, primary_key=True),
    Column("link", LargeBinary(32), nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    sqlite_with_rowid=False,
)
trouble = Table(
    "trouble",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", Seq, primary_key=True),
    Column("what", String(16), primary_key=True),
    Column("first_s", BigInteger, nullable=False),
    Column("last_s", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    sqlite_with_rowid=False,
)
presence = Table(
    "presence",
    METADATA,
    Column("event", BigInteger, primary_key=True),
    Column("ticket", BigInteger, primary_key=True),
    Column("gate", BigInteger, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("role", SmallInteger, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("way", SmallInteger, nullable=False),
    Column("zone", Integer, nullable=False),
    Column("session", Integer, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("mode", SmallInteger, nullable=False),
    Column("flags", Integer, nullable=False),
    Column("names", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""What records say of their tickets, `admission.observed.COLUMNS`; derived from `record` in the same transaction."""
presence_reset = Table(
    "presence_reset",
    METADATA,
    Column("gate", BigInteger, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("zone", Integer, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("heard", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Resets, `admission.observed.RESET_COLUMNS`; derived likewise."""
bind = Table(
    "bind",
    METADATA,
    Column("gate_id", BigInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", BigInteger, nullable=False),
    Column("ticket", BigInteger, nullable=False),
    Column("uid", String(20), nullable=False),
    Column("tag", LargeBinary(16), nullable=False),
    Column("code", LargeBinary(16), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Index("ix_bind_tag", "tag"),
    Index("ix_bind_ticket", "event_id", "ticket"),
    Index("ix_bind_state", "state", "time_us"),
    sqlite_with_rowid=False,
)
"""What check-in stations bound, derived from `record`; `state`: what came of it (`sync.customers.bound.State`)."""
room_move = Table(
    "room_move",
    METADATA,
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("gate_id", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("zone", Integer, nullable=False),
    Column("people", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""By how many people records of replicas changed zones that can be full, numbered without a gap; the newest only."""
room_deal = Table(
    "room_deal",
    METADATA,
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("zone", Integer, primary_key=True, autoincrement=False),
    Column("known", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""People in a zone, at most, when its first scan after a gate fell silent was judged: what was free then is shared."""
