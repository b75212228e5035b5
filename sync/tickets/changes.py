"""One change of what gates are told: one transaction, one version, stamped by its last statement.

Rows are written with an empty version. The event's counter row is taken first, which SQLite's one writer and
PostgreSQL's row lock make a queue: what a change looks at stays so until it is made, and versions rise in the order
in which transactions become visible.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, select

from admission.ids import EventId
from sync.events import tables
from sync.store.database import Database
from sync.store.together import Ask, Statement, together

CHANNEL = "gatehouse_lists"
"""PostgreSQL's channel on which replicas hear of each other's changes. Only of these: NOTIFY takes a lock for commit."""
_TAKE = Statement(
    "SELECT version FROM event WHERE id = :event",  # SQLite's one writer took it with all else
    "version",
    # Not the key: rows that name it go on.
    postgresql="SELECT version FROM event WHERE id = :event FOR NO KEY UPDATE",
)
_RAISE = Statement(
    # Never back, where the clock is: gates hold it against the time of the version before.
    "UPDATE event SET version = version + 1, "
    "sealed_at_s = CASE WHEN sealed_at_s > :now_s THEN sealed_at_s ELSE :now_s END WHERE id = :event"
)
_NOTIFY = Statement("SELECT pg_notify(:channel, id || ':' || version) FROM event WHERE id = :event")
_STAMPS = tuple(
    Statement(
        f"UPDATE {table} SET version = (SELECT version FROM event WHERE id = :event) "  # noqa: S608 - two fixed names
        "WHERE event_id = :event AND version IS NULL"
    )
    for table in ("ticket", "credential")
)


@contextmanager
def change(where: Database | Connection, events: Iterable[EventId], now_s: int) -> Iterator[Connection]:
    """Change what the lists of these events say, and raise their versions.

    In a transaction of its own, or in the writing one that is given: nothing may follow in it then.
    """
    if isinstance(where, Database):
        with where.writing() as connection, change(connection, events, now_s):
            yield connection
        return
    changed = tuple(events)
    take(where, changed)
    yield where
    stamp(where, changed, now_s)


def take(connection: Connection, events: Iterable[EventId]) -> None:
    """Wait until no other transaction changes these events' lists, and keep others waiting to the end of ours."""
    # Always in this order, so that two changes never wait for each other.
    together(connection, [taking(event) for event in sorted(events)])


def taking(event: EventId) -> Ask:
    """Return what takes an event as `take` does; its one row is the `version` as it is until `stamp`."""
    return _TAKE.ask(event=event)


def coming(connection: Connection, event: EventId) -> int:
    """Return the version that a change under way, which took the event, gives its rows: new ones may name it at once."""
    return (
        int(connection.execute(select(tables.event.c.version).where(tables.event.c.id == event)).scalar_one())
        + 1
    )


def stamp(connection: Connection, events: Iterable[EventId], now_s: int) -> None:
    """Raise the versions of these events and stamp their rows; nothing of the transaction may follow."""
    # Always in this order, so that two changes never wait for each other.
    together(connection, [ask for event in sorted(events) for ask in stamping(connection, event, now_s)])


def stamping(connection: Connection, event: EventId, now_s: int) -> list[Ask]:
    """Return what stamps a change of one event, in this order; nothing of the transaction may follow."""
    asks = [_RAISE.ask(event=event, now_s=now_s), *(one.ask(event=event) for one in _STAMPS)]
    if connection.dialect.name == "postgresql":
        asks.append(_NOTIFY.ask(channel=CHANNEL, event=event))
    return asks


def events_of_group(connection: Connection, group: int) -> tuple[EventId, ...]:
    """Return the events whose lists tell of the group's gates, zones and keys."""
    found = connection.execute(select(tables.event.c.id).where(tables.event.c.group_id == group))
    return tuple(EventId(one) for one in found.scalars())
