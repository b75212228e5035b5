"""Names shown at the gate: of those who asked for it, as they want to be called, until they take it back.

Nobody has one by itself. A name goes to gates of events that its customer has tickets of, is shown there to who stands at
the lane for a moment, and is neither in a list nor on a gate's disk (`sync.wire.shown_names`).
"""

import secrets
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from sync.customers import holding, profiles, tables
from sync.store.schema import signed
from sync.tickets.ruling import Act
from sync.web.api import Refused

NAMES_MAX: Final = 2_000
"""Of an organization. Each gate of an event holds those of its ticket holders in memory, and whoever looks for changes of
settings asks for each whether they hold a ticket: 20 to 35 ms for so many and 100,000 tickets on SQLite, measured on a busy machine."""


def put(act: Act, customer: int, name: str) -> None:
    """Have a customer's name shown as given; "" takes it back. Refused for one that cannot be, or where there are too many."""
    who = profiles.held(act, customer)
    clean = checked(name)
    if clean and who.anonymous:
        raise Refused(
            409, "customer_anonymous", "Of an anonymous customer no name is known, and none is shown."
        )
    g = tables.shown_name.c
    before = name_of(act.connection, customer)
    if clean == before:
        return
    if clean and not before:
        held = select(func.count()).where(g.organization_id == act.organization)
        if act.connection.execute(held.select_from(tables.shown_name)).scalar_one() >= NAMES_MAX:
            raise Refused(409, "too_many_names", f"At most {NAMES_MAX} customers have their name shown.")
    with act.changing(holding.events_of(act, customer)):
        forget(act.connection, customer)
        if clean:
            act.connection.execute(
                insert(tables.shown_name).values(
                    customer_id=signed(customer),
                    organization_id=act.organization,
                    name=clean,
                    mark=secrets.randbits(62),
                )
            )
        act.note("customer.shown_name", f"customer {customer}", "shown" if clean else "taken back")


def forget(connection: Connection, customer: int) -> None:
    """Take a customer's name back, within a change of the events they hold tickets of."""
    connection.execute(delete(tables.shown_name).where(tables.shown_name.c.customer_id == signed(customer)))


def name_of(connection: Connection, customer: int) -> str:
    """Return what a customer is called at the gate; "" where they did not ask for it."""
    g = tables.shown_name.c
    return str(connection.execute(select(g.name).where(g.customer_id == signed(customer))).scalar() or "")


def checked(name: str) -> str:
    """Return a name without stray spaces. Refused where it is too long, or holds what no name does."""
    clean = " ".join(name.split())
    if len(clean) > tables.SHOWN_NAME_CHARS or not clean.isprintable():
        raise Refused(
            422, "bad_shown_name", f"A name at the gate has at most {tables.SHOWN_NAME_CHARS} letters.",
            more={"field": "shown_name"},
        )  # fmt: skip
    return clean
