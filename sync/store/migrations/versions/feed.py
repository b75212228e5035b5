"""Tables of feed: in which order records became known, how far each gate has read, where a revoked gate's word ends."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "arrival",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "n", name=op.f("pk_arrival")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_arrival_gate_id"), "arrival", ["gate_id", "epoch", "last_seq"])
    op.create_table(
        "arrival_count",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_id", name=op.f("pk_arrival_count")),
    )
    op.create_table(
        "reading",
        sa.Column("gate_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("heard_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gate_id", name=op.f("pk_reading")),
    )
    op.create_table(
        "revoked_head",
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gate_id", "epoch", name=op.f("pk_revoked_head")),
        sqlite_with_rowid=False,
    )
