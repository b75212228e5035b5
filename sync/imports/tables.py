"""Tables of imports: a job with what was wrong and what is still to be written, and where each ticket came from."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from sync.store.schema import METADATA

SHOP_CHARS = 64
NAME_CHARS = 200

import_job = Table(
    "import_job",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Integer, ForeignKey("event.id"), nullable=False),
    Column("shop", String(SHOP_CHARS), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("state", String(16), nullable=False),
    Column("made_at_s", BigInteger, nullable=False),
    Column("changed_at_s", BigInteger, nullable=False),
    Column("encoding", String(16), nullable=False),
    Column("delimiter", String(4), nullable=False),
    Column("columns", Text, nullable=False),
    Column("rows_good", Integer, nullable=False),
    Column("rows_bad", Integer, nullable=False),
    Column("rows_done", Integer, nullable=False),
    Column("rows_new", Integer, nullable=False),
    Column("rows_changed", Integer, nullable=False),
    Column("rows_same", Integer, nullable=False),
    Column("rows_taken", Integer, nullable=False),
    Column("keeps_good", Boolean, nullable=False),
    Column("new_at", BigInteger),
    Index("ix_import_job_event", "event_id", "id"),
)
"""`digest`: of the file and how it is read. `rows_new`, `_changed`, `_same`: as foreseen until it runs, then as done.
`rows_taken`: left out while it ran, since their code had become another ticket's. `new_at`: the version of the event's
list at which all rows still to be written were new; empty where some were not."""
import_bad = Table(
    "import_bad",
    METADATA,
    Column("job_id", BigInteger, ForeignKey("import_job.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("row", Integer, nullable=False),
    Column("column", String(NAME_CHARS), nullable=False),
    Column("value", String(NAME_CHARS), nullable=False),
    Column("what", Text, nullable=False),
    sqlite_with_rowid=False,
)
import_chunk = Table(
    "import_chunk",
    METADATA,
    Column("job_id", BigInteger, ForeignKey("import_job.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("entries", LargeBinary, nullable=False),
)
"""Entries still to be written, zstd over msgpack; a chunk goes with the transaction that writes it."""
import_source = Table(
    "import_source",
    METADATA,
    Column("event_id", Integer, primary_key=True),
    Column("key", LargeBinary(16), primary_key=True),
    Column("shop", String(SHOP_CHARS), primary_key=True),
    Column("ticket", BigInteger, nullable=False),
    Column("print", LargeBinary(8), nullable=False),
    Column("reference", String(NAME_CHARS), nullable=False),
    Column("standing", Integer, nullable=False, server_default="51"),
    sqlite_with_rowid=False,
)
"""The ticket made of a shop's row, and a fingerprint of what the row said. `reference`: the shop's order number.
`standing`: what of the ticket's own it set and may clear; of rows of before that was written down, all that a list may."""
