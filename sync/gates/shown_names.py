"""Which names a group's gates show: of customers who asked for it and have a ticket of one of its events."""

from typing import Any

from sqlalchemy import Connection, bindparam, select

from sync.customers.tables import shown_name
from sync.events.tables import event
from sync.store.schema import unsigned
from sync.tickets.tables import ticket
from sync.wire.shown_names import NamesTold, mark_of

_GROUP: Any = bindparam("group")
_G, _T = shown_name.c, ticket.c
_OF_GROUP = select(event.c.id).where(event.c.group_id == _GROUP)
_HOLDS = select(_T.id).where(_T.holder == _G.customer_id, _T.event_id.in_(_OF_GROUP)).exists()
MARKS = select(_G.customer_id, _G.mark).where(_HOLDS).order_by(_G.customer_id)
"""What the mark is made of."""
_NAMES = select(_G.customer_id, _G.mark, _G.name).where(_HOLDS).order_by(_G.customer_id)


def mark(connection: Connection, group: int) -> bytes:
    """Return the mark of the names of a group; empty where nobody asked."""
    found = connection.execute(MARKS, {"group": group})
    return mark_of((unsigned(row.customer_id), row.mark) for row in found)


def names(connection: Connection, group: int) -> NamesTold:
    """Return the names of a group."""
    found = connection.execute(_NAMES, {"group": group}).all()
    return NamesTold(
        mark_of((unsigned(row.customer_id), row.mark) for row in found),
        {unsigned(row.customer_id): row.name for row in found},
    )
