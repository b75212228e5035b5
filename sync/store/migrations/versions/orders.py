"""Customers and their tags, orders, passes, and what is sold."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and find tickets by their customer and credentials by their ticket."""
    _people()
    _orders()
    _lines()
    with op.batch_alter_table("credential") as batch_op:
        batch_op.create_index("ix_credential_ticket", ["event_id", "ticket"], unique=False)
    with op.batch_alter_table("ticket") as batch_op:
        batch_op.create_index("ix_ticket_holder", ["holder"], unique=False)


def _bytewise(chars: int) -> sa.String:
    """Sorted by code point on both engines."""
    return sa.String(chars).with_variant(sa.String(chars, collation="C"), "postgresql")


def _people() -> None:
    """Who buys."""
    op.create_table(
        "customer",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("first_name", sa.String(length=200), nullable=False),
        sa.Column("last_name", sa.String(length=200), nullable=False),
        sa.Column("phone", sa.String(length=200), nullable=False),
        sa.Column("postcode", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("city", sa.String(length=200), nullable=False),
        sa.Column("country", sa.String(length=200), nullable=False),
        sa.Column("gender", sa.String(length=200), nullable=False),
        sa.Column("anonymous", sa.Boolean(), nullable=False),
        sa.Column("banned", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("created_s", sa.BigInteger(), nullable=False),
        sa.Column("email_key", _bytewise(420), nullable=False),
        sa.Column("first_key", _bytewise(420), nullable=False),
        sa.Column("last_key", _bytewise(420), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_customer_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
    )
    with op.batch_alter_table("customer") as batch_op:
        batch_op.create_index("ix_customer_email", ["organization_id", "email_key", "id"], unique=False)
        batch_op.create_index("ix_customer_first", ["organization_id", "first_key", "id"], unique=False)
        batch_op.create_index("ix_customer_last", ["organization_id", "last_key", "id"], unique=False)
    op.create_table(
        "tag",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("uid", _bytewise(20), nullable=False),
        sa.Column("product", sa.Integer(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("banned", sa.Boolean(), nullable=False),
        sa.Column("created_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_tag_customer_id")),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_tag_event_id")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_tag_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("event_id", "digest", name=op.f("uq_tag_event_id")),
    )
    with op.batch_alter_table("tag") as batch_op:
        batch_op.create_index(
            "ix_tag_active",
            ["customer_id", "event_id"],
            unique=True,
            sqlite_where=sa.text("active"),
            postgresql_where=sa.text("active"),
        )
        batch_op.create_index("ix_tag_customer", ["customer_id", "event_id"], unique=False)
        batch_op.create_index("ix_tag_uid", ["organization_id", "uid", "id"], unique=False)
    op.create_table(
        "ticket_ban",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "ticket", name=op.f("pk_ticket_ban")),
        sqlite_with_rowid=False,
    )


def _orders() -> None:
    """What they buy."""
    op.create_table(
        "order",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("ticketing_id", sa.BigInteger(), nullable=False),
        sa.Column("number", _bytewise(24), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("payment", sa.String(length=20), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("expires_s", sa.BigInteger(), nullable=False),
        sa.Column("created_s", sa.BigInteger(), nullable=False),
        sa.Column("paid_s", sa.BigInteger(), nullable=False),
        sa.Column("split_from", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_order_customer_id")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_order_organization_id")
        ),
        sa.ForeignKeyConstraint(["ticketing_id"], ["ticketing.id"], name=op.f("fk_order_ticketing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order")),
        sa.UniqueConstraint("organization_id", "number", name=op.f("uq_order_organization_id")),
    )
    with op.batch_alter_table("order") as batch_op:
        batch_op.create_index(op.f("ix_order_customer_id"), ["customer_id"], unique=False)
        batch_op.create_index("ix_order_expiry", ["state", "expires_s"], unique=False)
        batch_op.create_index("ix_order_newest", ["organization_id", "id"], unique=False)
    op.create_table(
        "pass_kind",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("ticketing_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=True),
        sa.Column("sold", sa.Integer(), nullable=False),
        sa.Column("own_credential", sa.Boolean(), nullable=False),
        sa.Column("needs_approval", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_pass_kind_organization_id")
        ),
        sa.ForeignKeyConstraint(["ticketing_id"], ["ticketing.id"], name=op.f("fk_pass_kind_ticketing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pass_kind")),
    )
    with op.batch_alter_table("pass_kind") as batch_op:
        batch_op.create_index(op.f("ix_pass_kind_organization_id"), ["organization_id"], unique=False)
    op.create_table(
        "pass",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("kind_id", sa.BigInteger(), nullable=False),
        sa.Column("validity", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["kind_id"], ["pass_kind.id"], name=op.f("fk_pass_kind_id")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_pass_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pass")),
    )
    with op.batch_alter_table("pass") as batch_op:
        batch_op.create_index("ix_pass_validity", ["organization_id", "validity", "id"], unique=False)


def _lines() -> None:
    """What an order consists of, and what is taken."""
    op.create_table(
        "order_line",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=True),
        sa.Column("product", sa.Integer(), nullable=True),
        sa.Column("ticket", sa.BigInteger(), nullable=True),
        sa.Column("pass_id", sa.BigInteger(), nullable=True),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("refund", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_order_line_order_id")),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_order_line_pass_id")),
        sa.PrimaryKeyConstraint("order_id", "line", name=op.f("pk_order_line")),
    )
    with op.batch_alter_table("order_line") as batch_op:
        batch_op.create_index(op.f("ix_order_line_pass_id"), ["pass_id"], unique=False)
        batch_op.create_index("ix_order_line_ticket", ["event_id", "ticket"], unique=False)
    op.create_table(
        "refund",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_refund_order_id")),
        sa.PrimaryKeyConstraint("order_id", "number", name=op.f("pk_refund")),
    )
    op.create_table(
        "stock",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("product", sa.Integer(), nullable=False),
        sa.Column("sold", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_stock_event_id")),
        sa.PrimaryKeyConstraint("event_id", "product", name=op.f("pk_stock")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pass_content",
        sa.Column("kind_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("product", sa.Integer(), nullable=False),
        sa.Column("session", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_pass_content_event_id")),
        sa.ForeignKeyConstraint(["kind_id"], ["pass_kind.id"], name=op.f("fk_pass_content_kind_id")),
        sa.PrimaryKeyConstraint("kind_id", "event_id", name=op.f("pk_pass_content")),
    )
    op.create_table(
        "pass_ticket",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("pass_id", sa.BigInteger(), nullable=False),
        sa.Column("product", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_pass_ticket_pass_id")),
        sa.PrimaryKeyConstraint("event_id", "ticket", name=op.f("pk_pass_ticket")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("pass_ticket") as batch_op:
        batch_op.create_index(op.f("ix_pass_ticket_pass_id"), ["pass_id"], unique=False)
