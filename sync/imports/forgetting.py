"""What lists say that are kept to be written of people who are erased meanwhile: taken out, so that no list brings them back.

A row is theirs that has their address, or whose ticket they held: whoever it names otherwise, nobody can say that it is
somebody else. It brings its ticket all the same, which is nobody's then.
"""

from collections.abc import Collection, Iterable

from msgspec.structs import replace
from sqlalchemy import Connection, select, update

from sync.customers.search import key_of
from sync.events import tables as events
from sync.imports import slabs, tables
from sync.imports.entries import Entry
from sync.imports.files import packed, unpacked
from sync.imports.jobs import KEEPING, State
from sync.store.schema import queue

Tickets = Collection[tuple[int, int]]
"""Event and number, as the tables hold it."""


def take(connection: Connection, organization: int) -> tuple[int, ...]:
    """Return an organization's lists of which something is to be written; nobody goes on with them to the end of ours.

    First in a transaction: who writes a list takes it before all else.
    """
    j, e, g = tables.import_job.c, events.event.c, events.event_group.c
    kept = (
        select(j.id)
        .join(events.event, e.id == j.event_id)
        .join(events.event_group, g.id == e.group_id)
        .where(g.organization_id == organization, j.state.in_((KEEPING, State.CHECKED, State.RUNNING)))
        .order_by(j.id)
    )
    numbers = tuple(connection.execute(kept).scalars())
    for number in numbers:
        queue(connection, f"import {number}")
    return numbers


def forget(connection: Connection, jobs: Iterable[int], addresses: Collection[str], held: Tickets) -> None:
    """Take out of lists that were taken what they say of people. `addresses`: as `key_of` makes them."""
    j, c = tables.import_job.c, tables.import_chunk.c
    for job in jobs:
        event, shop = connection.execute(select(j.event_id, j.shop).where(j.id == job)).one()
        theirs = {ticket for of, ticket in held if of == event}
        for number in connection.execute(select(c.number).where(c.job_id == job)).scalars().all():
            here = (c.job_id == job, c.number == number)
            entries = unpacked(connection.execute(select(c.entries).where(*here)).scalar_one())
            rows = {one.row for one in entries if one.email and key_of(one.email) in addresses}
            if theirs:
                s = tables.import_source.c
                keys = [one.key for one in entries]
                found = slabs.find(connection, (s.key, s.ticket), s.key, keys, event_id=event, shop=shop)
                known = {bytes(key) for key, ticket in found if ticket in theirs}
                rows |= {one.row for one in entries if one.key in known}
            if rows:
                left = [_nobodys(one) if one.row in rows else one for one in entries]
                connection.execute(update(tables.import_chunk).where(*here).values(entries=packed(left)))


def _nobodys(entry: Entry) -> Entry:
    codes = tuple(replace(code, text=None) for code in entry.codes)
    return replace(entry, codes=codes, first_name="", last_name="", email="", phone="")
