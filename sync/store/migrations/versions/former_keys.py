"""Former keys of gates."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "former_key",
        sa.Column("gate_id", sa.BigInteger(), nullable=False),
        sa.Column("public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("until_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["gate_id"], ["gate.id"], name=op.f("fk_former_key_gate_id")),
        sa.PrimaryKeyConstraint("gate_id", "public", name=op.f("pk_former_key")),
    )
