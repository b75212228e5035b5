"""One change of what gates are told: one transaction, one version, stamped by its last statement.

Rows are written with an empty version. The last statement takes the event's counter row, which SQLite's one writer
and PostgreSQL's row lock make a queue, so versions rise in the order in which transactions become visible.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, select, text

from admission.ids import EventId
from sync.store.database import Database
from sync.tickets import tables
from sync.tickets.rows import GROUP

_RAISE = text("UPDATE event SET version = version + 1, sealed_at_s = :now_s WHERE id = :event")
_STAMPS = tuple(
    text(
        f"UPDATE {table} SET version = (SELECT version FROM event WHERE id = :event) "  # noqa: S608 - two fixed names
        "WHERE event_id = :event AND version IS NULL"
    )
    for table in ("ticket", "credential")
)


@contextmanager
def change(database: Database, events: Iterable[EventId], now_s: int) -> Iterator[Connection]:
    """Change what the lists of these events say, and raise their versions."""
    with database.writing() as connection:
        yield connection
        stamp(connection, events, now_s)


def stamp(connection: Connection, events: Iterable[EventId], now_s: int) -> None:
    """Raise the versions of these events and stamp their rows; nothing of the transaction may follow."""
    for event in sorted(events):  # always in this order, so that two changes never wait for each other
        values = {"event": event, "now_s": now_s}
        connection.execute(_RAISE, values)
        for statement in _STAMPS:
            connection.execute(statement, {"event": event})


def events_of_group(connection: Connection) -> tuple[EventId, ...]:
    """Return the events whose lists tell of the group's gates, zones and keys."""
    found = connection.execute(select(tables.event.c.id).where(tables.event.c.group_id == GROUP))
    return tuple(EventId(one) for one in found.scalars())
