"""Organizations with their venues and ticketings; what is on sale and when; presence as the centre sees it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. What was there belongs to organization 1; its events are open."""
    _houses()
    _on_sale()
    _presence()


def _houses() -> None:
    op.create_table(
        "organization",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("created_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
    )
    op.execute(
        "INSERT INTO organization (id, name, language, created_s) "
        "SELECT 1, name, 'en', 0 FROM event_group WHERE id = (SELECT min(id) FROM event_group)"
    )
    op.create_table(
        "venue",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_venue_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_venue")),
    )
    op.create_index(op.f("ix_venue_organization_id"), "venue", ["organization_id"])
    op.create_table(
        "ticketing",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_ticketing_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticketing")),
    )
    op.create_index(op.f("ix_ticketing_organization_id"), "ticketing", ["organization_id"])


def _on_sale() -> None:
    with op.batch_alter_table("event_group") as batch_op:
        batch_op.add_column(sa.Column("organization_id", sa.BigInteger(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("venue_id", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("event") as batch_op:
        batch_op.add_column(sa.Column("ticketing_id", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("state", sa.String(length=8), server_default="open", nullable=False))
        batch_op.add_column(sa.Column("starts_s", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("ends_s", sa.BigInteger(), server_default="0", nullable=False))
    with op.batch_alter_table("session") as batch_op:
        batch_op.add_column(sa.Column("starts_s", sa.BigInteger(), server_default="0", nullable=False))
    with op.batch_alter_table("product") as batch_op:
        batch_op.add_column(sa.Column("price_minor", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("currency", sa.String(length=3), server_default="", nullable=False))
        batch_op.add_column(sa.Column("quota", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("session", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("admits", sa.Integer(), server_default="1", nullable=False))
        for name in ("not_before", "not_after", "sale_from_s", "sale_until_s"):
            batch_op.add_column(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    with op.batch_alter_table("ticket_key") as batch_op:  # the centre's own key is every group's
        batch_op.drop_constraint("pk_ticket_key", type_="primary")
        batch_op.create_primary_key("pk_ticket_key", ["group_id", "public"])


def _presence() -> None:
    op.create_table(
        "presence",
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("gate", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("way", sa.SmallInteger(), nullable=False),
        sa.Column("zone", sa.Integer(), nullable=False),
        sa.Column("session", sa.Integer(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("mode", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("names", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("event", "ticket", "gate", "epoch", "seq", name=op.f("pk_presence")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "presence_reset",
        sa.Column("gate", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("zone", sa.Integer(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("heard", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("gate", "epoch", "seq", name=op.f("pk_presence_reset")),
        sqlite_with_rowid=False,
    )
    # Seqs are u32: PostgreSQL's integers are one bit short of what a hostile push may name. SQLite's are not.
    if op.get_bind().dialect.name == "postgresql":
        for table, column in (
            ("log_epoch", "seq"),
            ("log_epoch", "head_seq"),
            ("log_epoch", "forked_seq"),
            ("record", "seq"),
            ("record_fork", "seq"),
            ("head", "seq"),
            ("trouble", "seq"),
        ):
            op.alter_column(table, column, type_=sa.BigInteger(), existing_type=sa.Integer())
