"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    _tickets()
    _sold()
    _gates()
    _logs()


def _tickets() -> None:
    """What is sold."""
    op.create_table(
        "event_group",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("digest_key", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_group")),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_event_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_table(
        "session",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_session_event_id")),
        sa.PrimaryKeyConstraint("event_id", "id", name=op.f("pk_session")),
    )
    op.create_table(
        "zone",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("parent", sa.Integer(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("gate", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_zone_group_id")),
        sa.PrimaryKeyConstraint("group_id", "id", name=op.f("pk_zone")),
    )
    op.create_table(
        "product",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("zones", sa.Text(), nullable=False),
        sa.Column("mode", sa.Integer(), nullable=False),
        sa.Column("limit_session", sa.Integer(), nullable=False),
        sa.Column("limit_day", sa.Integer(), nullable=False),
        sa.Column("limit_total", sa.Integer(), nullable=False),
        sa.Column("offline", sa.Integer(), nullable=False),
        sa.Column("attention", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_product_event_id")),
        sa.PrimaryKeyConstraint("event_id", "id", name=op.f("pk_product")),
    )


def _sold() -> None:
    """What was sold, and who signs it."""
    op.create_table(
        "ticket",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("product", sa.Integer(), nullable=False),
        sa.Column("holder", sa.BigInteger(), nullable=False),
        sa.Column("zones", sa.Text(), nullable=False),
        sa.Column("session", sa.Integer(), nullable=False),
        sa.Column("standing", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("admits", sa.Integer(), nullable=False),
        sa.Column("home_gate", sa.BigInteger(), nullable=False),
        sa.Column("attention", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_ticket_event_id")),
        sa.PrimaryKeyConstraint("event_id", "id", name=op.f("pk_ticket")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("ticket", schema=None) as batch_op:
        batch_op.create_index("ix_ticket_version", ["event_id", "version"], unique=False)
    op.create_table(
        "credential",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("standing", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("event_id", "digest", "ticket", name=op.f("pk_credential")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("credential", schema=None) as batch_op:
        batch_op.create_index("ix_credential_version", ["event_id", "version"], unique=False)
    op.create_table(
        "ticket_key",
        sa.Column("public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_ticket_key_group_id")),
        sa.PrimaryKeyConstraint("public", name=op.f("pk_ticket_key")),
    )


def _gates() -> None:
    """Who the gates are."""
    op.create_table(
        "gate",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("zones", sa.Text(), nullable=False),
        sa.Column("public", sa.LargeBinary(length=32), nullable=True),
        sa.Column("sealing", sa.LargeBinary(length=32), nullable=True),
        sa.Column("enrolled_at_s", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_gate_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate")),
        sa.UniqueConstraint("name", name=op.f("uq_gate_name")),
    )
    op.create_table(
        "lane_plan",
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("zone", sa.Integer(), nullable=False),
        sa.Column("mode", sa.Integer(), nullable=False),
        sa.Column("sessions", sa.Text(), nullable=False),
        sa.Column("attended", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["gate_id"], ["gate.id"], name=op.f("fk_lane_plan_gate_id")),
        sa.PrimaryKeyConstraint("gate_id", "lane", name=op.f("pk_lane_plan")),
    )
    op.create_table(
        "enrolment_code",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("expires_s", sa.BigInteger(), nullable=False),
        sa.Column("tries_left", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["gate_id"], ["gate.id"], name=op.f("fk_enrolment_code_gate_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_enrolment_code")),
    )


def _logs() -> None:
    """What the gates say."""
    op.create_table(
        "log_epoch",
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("link", sa.LargeBinary(length=32), nullable=False),
        sa.Column("head_seq", sa.Integer(), nullable=False),
        sa.Column("predecessor", sa.LargeBinary(length=44), nullable=True),
        sa.Column("forked_seq", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("gate_id", "epoch", name=op.f("pk_log_epoch")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "record",
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("blob", sa.LargeBinary(length=512), nullable=False),
        sa.PrimaryKeyConstraint("gate_id", "epoch", "seq", name=op.f("pk_record")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "record_fork",
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("blob", sa.LargeBinary(length=512), nullable=False),
        sa.PrimaryKeyConstraint("gate_id", "epoch", "seq", "digest", name=op.f("pk_record_fork")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "head",
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("link", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("gate_id", "epoch", "seq", name=op.f("pk_head")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "trouble",
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("first_s", sa.BigInteger(), nullable=False),
        sa.Column("last_s", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("gate_id", "epoch", "seq", "what", name=op.f("pk_trouble")),
        sqlite_with_rowid=False,
    )
