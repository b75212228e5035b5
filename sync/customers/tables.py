"""Tables of customers and tags. What people type to find somebody is kept once more, as `search.key_of` writes it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    text,
)

from sync.store.schema import METADATA, sqlite_only

FIELD_CHARS = 200
"""Longest name, street or city taken; RFC 5321 allows e-mail addresses of 254, which are kept apart."""
EMAIL_CHARS = 254
KEY_CHARS = 420
"""First and last name together, and an e-mail address."""
UID_CHARS = 20
"""Ten bytes in hex."""
SHOWN_NAME_CHARS = 24
"""A first name and an initial; a small display has no room for more."""


def bytewise(chars: int) -> "String":
    """Return a text column's type that sorts by code point on both engines: a prefix is then a range of its index."""
    return String(chars).with_variant(String(chars, collation="C"), "postgresql")


customer = Table(
    "customer",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", BigInteger, nullable=False),
    Column("email", String(EMAIL_CHARS), nullable=False),
    Column("first_name", String(FIELD_CHARS), nullable=False),
    Column("last_name", String(FIELD_CHARS), nullable=False),
    Column("phone", String(FIELD_CHARS), nullable=False),
    Column("postcode", String(FIELD_CHARS), nullable=False),
    Column("address", String(FIELD_CHARS), nullable=False),
    Column("city", String(FIELD_CHARS), nullable=False),
    Column("country", String(FIELD_CHARS), nullable=False),
    Column("gender", String(FIELD_CHARS), nullable=False),
    Column("anonymous", Boolean, nullable=False),
    Column("banned", Boolean, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("created_s", BigInteger, nullable=False),
    Column("email_key", bytewise(KEY_CHARS), nullable=False),
    Column("first_key", bytewise(KEY_CHARS), nullable=False),
    Column("last_key", bytewise(KEY_CHARS), nullable=False),
    sqlite_only(ForeignKeyConstraint(["organization_id"], ["organization.id"])),
    Index("ix_customer_email", "organization_id", "email_key", "id"),
    Index("ix_customer_first", "organization_id", "first_key", "id"),
    Index("ix_customer_last", "organization_id", "last_key", "id"),
)
"""`first_key`: first name, then last; `last_key`: the other way round. A ticket's `holder` is its customer's id."""
tag = Table(
    "tag",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", BigInteger, ForeignKey("organization.id"), nullable=False),
    Column("customer_id", BigInteger, ForeignKey("customer.id"), nullable=False),
    Column("event_id", Integer, ForeignKey("event.id"), nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("uid", bytewise(UID_CHARS), nullable=False),
    Column("product", Integer, nullable=False),
    Column("ticket", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("banned", Boolean, nullable=False),
    Column("created_s", BigInteger, nullable=False),
    UniqueConstraint("event_id", "digest"),
    Index("ix_tag_customer", "customer_id", "event_id"),
    Index("ix_tag_uid", "organization_id", "uid", "id"),
    Index(
        "ix_tag_active",
        "customer_id",
        "event_id",
        unique=True,
        sqlite_where=text("active"),
        postgresql_where=text("active"),
    ),
)
"""`uid`: in capital hex, for people; gates know the digest. `product`, `ticket`: its own ticket type, else 0: it then
stands for its customer's tickets. At most one of a customer's tags is active in an event: the index holds it."""
ticket_ban = Table(
    "ticket_ban",
    METADATA,
    Column("event_id", Integer, primary_key=True),
    Column("ticket", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)
"""Tickets that stay banned when their customer's own ban is lifted."""
shown_name = Table(
    "shown_name",
    METADATA,
    Column("customer_id", BigInteger, ForeignKey("customer.id"), primary_key=True, autoincrement=False),
    Column("organization_id", BigInteger, nullable=False, index=True),
    Column("name", String(SHOWN_NAME_CHARS), nullable=False),
    Column("mark", BigInteger, nullable=False),
)
"""What people asked to be greeted by at the gate: those who did have a row. `mark`: random, drawn anew with each change."""
