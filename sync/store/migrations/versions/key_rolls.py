"""New keys that gates are asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "key_roll",
        sa.Column("gate_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("asked_s", sa.BigInteger(), nullable=False),
        sa.Column("offered_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("public", sa.LargeBinary(length=32), nullable=True),
        sa.Column("sealing", sa.LargeBinary(length=32), nullable=True),
        sa.Column("done_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["gate_id"], ["gate.id"], name=op.f("fk_key_roll_gate_id")),
        sa.PrimaryKeyConstraint("gate_id", name=op.f("pk_key_roll")),
    )
