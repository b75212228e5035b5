"""What check-in stations bound."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "bind",
        sa.Column("gate_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.String(20), nullable=False),
        sa.Column("tag", sa.LargeBinary(16), nullable=False),
        sa.Column("code", sa.LargeBinary(16), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gate_id", "epoch", "seq", name=op.f("pk_bind")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bind_tag", "bind", ["tag"])
    op.create_index("ix_bind_ticket", "bind", ["event_id", "ticket"])
    op.create_index("ix_bind_state", "bind", ["state", "time_us"])
