"""Room in zones, as replicas count it together; which gates are replicas, and when they last answered scanners."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. A gate with a key and nothing to seal to is a replica."""
    with op.batch_alter_table("gate") as batch_op:
        batch_op.add_column(sa.Column("redeemed_s", sa.BigInteger(), nullable=True))
    op.execute("UPDATE gate SET redeemed_s = 0 WHERE public IS NOT NULL AND sealing IS NULL")
    op.create_table(
        "room_move",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("zone", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "n", name=op.f("pk_room_move")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "room_deal",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("zone", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("known", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "zone", name=op.f("pk_room_deal")),
        sqlite_with_rowid=False,
    )
