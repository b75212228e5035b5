"""Tables of what is sold. `event_id` comes first in every hot key.

`version` of a row: the version of its event's list that first holds it; written empty, stamped by the transaction's
last statement (`sync.tickets.changes`). JSON columns hold lists of small numbers only.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from sync.store.schema import METADATA, sqlite_only

ticket = Table(
    "ticket",
    METADATA,
    Column("event_id", Integer, primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("product", Integer, nullable=False),
    Column("holder", BigInteger, nullable=False),
    Column("zones", Text, nullable=False),
    Column("session", Integer, nullable=False),
    Column("standing", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("admits", Integer, nullable=False),
    Column("home_gate", BigInteger, nullable=False),
    Column("attention", Integer, nullable=False),
    Column("version", BigInteger),
    sqlite_only(ForeignKeyConstraint(["event_id"], ["event.id"])),
    Index("ix_ticket_version", "event_id", "version"),
    Index("ix_ticket_holder", "holder"),
    sqlite_with_rowid=False,
)
credential = Table(
    "credential",
    METADATA,
    Column("event_id", Integer, primary_key=True),
    Column("digest", LargeBinary(16), primary_key=True),
    Column("ticket", BigInteger, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("text", Text),
    Column("standing", Integer, nullable=False),
    Column("version", BigInteger),
    Index("ix_credential_version", "event_id", "version"),
    Index("ix_credential_ticket", "event_id", "ticket"),
    sqlite_with_rowid=False,
)
"""`text`: the code or UID in readable form where it must be printed again; never leaves the centre."""
ticket_key = Table(
    "ticket_key",
    METADATA,
    Column("group_id", Integer, ForeignKey("event_group.id"), primary_key=True),
    Column("public", LargeBinary(32), primary_key=True),
    Column("format", String(8), nullable=False),
    Column("event_id", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
)
"""Public keys; the private ones are in the key file. `event_id` 0: the claims name the event."""
