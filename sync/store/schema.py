"""What all tables share: one metadata, how u64 numbers get through SQL's signed integers, and how ids are given."""

from typing import Any

from sqlalchemy import BigInteger, Column, Connection, ForeignKeyConstraint, Integer, MetaData, func, select

from sync.store.together import Ask, Statement, together

METADATA = MetaData(
    # Names are given, so that a migration can drop what another database would name differently.
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

Seq = BigInteger().with_variant(Integer, "sqlite")
"""A u32: SQLite's integers have room for it, PostgreSQL's have not."""


def sqlite_only(key: ForeignKeyConstraint) -> ForeignKeyConstraint:
    """Return a foreign key that PostgreSQL does not have: there each row of a list waits for what is true of all.

    For parents that are never removed, and that whoever writes children of them looks at in the same transaction.
    """
    return key.ddl_if(dialect="sqlite")


def signed(number: int) -> int:
    """Return a u64 as the i64 of the same bits."""
    return number if number < 1 << 63 else number - (1 << 64)


def unsigned(number: int) -> int:
    """Return the u64 that `signed` took."""
    return number if number >= 0 else number + (1 << 64)


_QUEUE = Statement(
    "SELECT 1",  # SQLite has one writer, who stands in every queue already
    postgresql="SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))",
)


def queueing(what: str) -> Ask:
    """Return what waits until no other transaction stands in this queue, and stays in it to the end of ours.

    For whoever looks before it writes.
    """
    return _QUEUE.ask(what=what)


def queue(connection: Connection, what: str) -> None:
    """Do as `queueing` says, at once."""
    together(connection, [queueing(what)])


def numbering(table: str) -> Ask:
    """Return what keeps others from giving numbers of a table to the end of our transaction."""
    return queueing(f"id of {table}")


def next_id(connection: Connection, column: "Column[Any]", *where: Any) -> int:
    """Return the next free number of a column, from 1, within a writing transaction; `where` narrows it."""
    together(connection, [numbering(str(column.table))])
    return (connection.execute(select(func.max(column)).where(*where)).scalar() or 0) + 1
