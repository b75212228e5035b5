"""A snapshot is kept for the other replicas, and says which versions are in it, so that each does not make its own."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.add_column("snapshot", sa.Column("versions", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "snapshot_part",
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("made_at_s", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_snapshot_part_group_id")),
        sa.PrimaryKeyConstraint("address", "part", name=op.f("pk_snapshot_part")),
    )
