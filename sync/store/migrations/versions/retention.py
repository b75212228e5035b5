"""Tables of retention: how long an organization keeps what; and an index that finds what was done to one thing."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the index."""
    op.create_table(
        "retention",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_days", sa.Integer(), nullable=False),
        sa.Column("scan_days", sa.Integer(), nullable=False),
        sa.Column("changed_s", sa.BigInteger(), nullable=False),
        sa.Column("done_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_retention_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_retention")),
    )
    op.create_index("ix_audit_log_subject", "audit_log", ["organization_id", "subject", "id"])
