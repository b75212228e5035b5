"""Tables of deltas: what gates say of themselves, who was shut out; credentials by their ticket."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "gate_status",
        sa.Column("gate_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("heard_s", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("gate_id", name=op.f("pk_gate_status")),
    )
    op.create_table(
        "revocation",
        sa.Column("gate_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("undone_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("gate_id", "at_s", name=op.f("pk_revocation")),
    )
