"""Whose a thing is. A number in a path that is another organization's is answered like one that is nobody's."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Table, select

from sync.accounts import users
from sync.accounts.tables import api_token
from sync.customers import tables as customers
from sync.events import tables as events
from sync.gates import tables as gates
from sync.orders import tables as orders

Owner = Callable[[Connection, int, int], bool]


def event(connection: Connection, organization: int, number: int) -> bool:
    """Whether an organization owns an event."""
    e, g = events.event.c, events.event_group.c
    found = select(e.id).join(events.event_group, g.id == e.group_id)
    return (
        connection.execute(found.where(e.id == number, g.organization_id == organization)).first() is not None
    )


def group(connection: Connection, organization: int, number: int) -> bool:
    """Whether an organization owns an event group."""
    g = events.event_group.c
    found = select(g.id).where(g.id == number, g.organization_id == organization)
    return connection.execute(found).first() is not None


def gate(connection: Connection, organization: int, number: int) -> bool:
    """Whether an organization owns a gate."""
    e, g = gates.gate.c, events.event_group.c
    found = select(e.id).join(events.event_group, g.id == e.group_id)
    return (
        connection.execute(found.where(e.id == number, g.organization_id == organization)).first() is not None
    )


def organization(_connection: Connection, organization: int, number: int) -> bool:
    """Whether an organization is itself."""
    return organization == number


def venue(connection: Connection, organization: int, number: int) -> bool:
    """Whether an organization owns a venue."""
    v = events.venue.c
    found = select(v.id).where(v.id == number, v.organization_id == organization)
    return connection.execute(found).first() is not None


def ticketing(connection: Connection, organization: int, number: int) -> bool:
    """Whether an organization owns a ticketing."""
    t = events.ticketing.c
    found = select(t.id).where(t.id == number, t.organization_id == organization)
    return connection.execute(found).first() is not None


def token(connection: Connection, organization: int, number: int) -> bool:
    """Whether an organization owns a token."""
    t = api_token.c
    found = select(t.id).where(t.id == number, t.organization_id == organization)
    return connection.execute(found).first() is not None


def _in(table: Table) -> Owner:
    """Return the owner of the things of a table that names their organization."""

    def owned(connection: Connection, organization: int, number: int) -> bool:
        found = select(table.c.id).where(table.c.id == number, table.c.organization_id == organization)
        return connection.execute(found).first() is not None

    return owned


OWNERS: Mapping[str, Owner] = {
    "event": event,
    "group": group,
    "gate": gate,
    "organization": organization,
    "venue": venue,
    "ticketing": ticketing,
    "token": token,
    "user": users.is_owned,
    "order": _in(orders.order),
    "pass": _in(orders.pass_),
    "customer": _in(customers.customer),
    "tag": _in(customers.tag),
}
"""By the name of the number in the path. What stands behind one of these in a path is looked for inside it."""
