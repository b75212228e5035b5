"""What happens at gates by itself: ends of sessions, nightly resets, lane states."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is planned. Where nothing was said, nothing happens."""
    with op.batch_alter_table("session") as batch_op:
        batch_op.add_column(sa.Column("zone", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("end_s", sa.BigInteger(), server_default="0", nullable=False))
    with op.batch_alter_table("zone") as batch_op:
        batch_op.add_column(sa.Column("reset_at", sa.Integer(), server_default="-1", nullable=False))
    op.create_table(
        "lane_schedule",
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("from_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["gate_id"], ["gate.id"], name=op.f("fk_lane_schedule_gate_id")),
        sa.PrimaryKeyConstraint("gate_id", "lane", "from_s", name=op.f("pk_lane_schedule")),
    )
    op.create_table(
        "lane_order",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("zone", sa.Integer(), nullable=False),
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_lane_order_group_id")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_lane_order")),
    )
