"""Tables of orders, their lines, refund notes, passes and what is sold of a quota.

Money is integer minor units of the order's currency; times are UTC Unix seconds. Ticket numbers are u64, kept as the
i64 of the same bits. A line or a note is numbered within its order.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from sync.customers.tables import bytewise
from sync.store.schema import METADATA

NUMBER_CHARS = 24
WORD_CHARS = 20
"""Longest word of a state, a payment, a refund method or a validity."""
NAME_CHARS = 200

order = Table(
    "order",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", BigInteger, ForeignKey("organization.id"), nullable=False),
    Column("ticketing_id", BigInteger, ForeignKey("ticketing.id"), nullable=False),
    Column("number", bytewise(NUMBER_CHARS), nullable=False),
    Column("customer_id", BigInteger, ForeignKey("customer.id"), index=True),
    Column("state", String(WORD_CHARS), nullable=False),
    Column("payment", String(WORD_CHARS), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Column("created_s", BigInteger, nullable=False),
    Column("paid_s", BigInteger, nullable=False),
    Column("split_from", BigInteger),
    UniqueConstraint("organization_id", "number"),
    Index("ix_order_newest", "organization_id", "id"),
    Index("ix_order_expiry", "state", "expires_s"),
)
"""`number` is what people read and say. `expires_s`: of a reservation, else 0. `split_from`: the order it was part of."""
pass_kind = Table(
    "pass_kind",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", BigInteger, ForeignKey("organization.id"), nullable=False, index=True),
    Column("ticketing_id", BigInteger, ForeignKey("ticketing.id"), nullable=False),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("quota", Integer),
    Column("sold", Integer, nullable=False),
    Column("own_credential", Boolean, nullable=False),
    Column("needs_approval", Boolean, nullable=False),
)
"""What a pass is sold as. `own_credential`: one code for all its tickets; without, a pack: a code for each."""
pass_content = Table(
    "pass_content",
    METADATA,
    Column("kind_id", BigInteger, ForeignKey("pass_kind.id"), primary_key=True),
    Column("event_id", Integer, ForeignKey("event.id"), primary_key=True),
    Column("product", Integer, nullable=False),
    Column("session", Integer, nullable=False),
)
"""One ticket for each event. `session` 0: the product's."""
pass_ = Table(
    "pass",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", BigInteger, ForeignKey("organization.id"), nullable=False),
    Column("kind_id", BigInteger, ForeignKey("pass_kind.id"), nullable=False),
    Column("validity", String(WORD_CHARS), nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_s", BigInteger, nullable=False),
    Index("ix_pass_validity", "organization_id", "validity", "id"),
)
"""`validity`: see `passes.Validity`; `reason`: why it was refused or withdrawn."""
order_line = Table(
    "order_line",
    METADATA,
    Column("order_id", BigInteger, ForeignKey("order.id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("event_id", Integer),
    Column("product", Integer),
    Column("ticket", BigInteger),
    Column("pass_id", BigInteger, ForeignKey("pass.id"), index=True),
    Column("price_minor", BigInteger, nullable=False),
    Column("refund", Integer),
    Index("ix_order_line_ticket", "event_id", "ticket"),
)
"""Either a ticket (`event_id`, `product`, `ticket`) or a pass. `refund`: the note it was cancelled with."""
pass_ticket = Table(
    "pass_ticket",
    METADATA,
    Column("event_id", Integer, primary_key=True),
    Column("ticket", BigInteger, primary_key=True),
    Column("pass_id", BigInteger, ForeignKey("pass.id"), nullable=False, index=True),
    Column("product", Integer, nullable=False),
    sqlite_with_rowid=False,
)
refund = Table(
    "refund",
    METADATA,
    Column("order_id", BigInteger, ForeignKey("order.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at_s", BigInteger, nullable=False),
    Column("method", String(WORD_CHARS), nullable=False),
    Column("reason", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
)
"""A note for the accounts: nothing is paid back by it."""
stock = Table(
    "stock",
    METADATA,
    Column("event_id", Integer, ForeignKey("event.id"), primary_key=True),
    Column("product", Integer, primary_key=True),
    Column("sold", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""How many of a product are taken: reserved, unpaid or paid. What is cancelled is given back."""
