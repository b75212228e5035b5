"""Table of retention: how long an organization keeps what."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table

from sync.store.schema import METADATA

retention = Table(
    "retention",
    METADATA,
    Column(
        "organization_id", BigInteger, ForeignKey("organization.id"), primary_key=True, autoincrement=False
    ),
    Column("customer_days", Integer, nullable=False),
    Column("scan_days", Integer, nullable=False),
    Column("changed_s", BigInteger, nullable=False),
    Column("done_s", BigInteger, nullable=False),
)
"""Days after the last event ended; 0: kept until somebody takes it away by hand. `done_s`: when it was last looked at."""
