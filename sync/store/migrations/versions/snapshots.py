"""What lists are encrypted with, which snapshot is the newest, and the roster as it was last signed."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "list_secret",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("secret", sa.LargeBinary(length=32), nullable=False),
        sa.Column("made_at_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_list_secret_group_id")),
        sa.PrimaryKeyConstraint("group_id", "number", name=op.f("pk_list_secret")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "snapshot",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("tag", sa.String(length=40), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("made_at_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_snapshot_group_id")),
        sa.PrimaryKeyConstraint("group_id", name=op.f("pk_snapshot")),
    )
    op.create_table(
        "roster",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("issued_at_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_roster_group_id")),
        sa.PrimaryKeyConstraint("group_id", name=op.f("pk_roster")),
    )
