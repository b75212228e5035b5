"""A new key to sign tickets with: gates know it before it signs, and read tickets of the one before for good."""

from pathlib import Path

from sqlalchemy import select, update

from admission.ids import EventId
from admission.keys import KeyFormat, KeyStatus
from sync.events import tables as events
from sync.keys import Role, VenueKeys, load_or_make, replace, rolled
from sync.store.database import Database
from sync.tickets import changes, rows, tables
from sync.wire.lists import ListKey

GRACE_S = 86_400
"""Replicas whose key file was not replaced yet sign with the key of before; tickets of so long are read still."""


def roll_tickets(database: Database, data: Path, now_s: int, *, compromised: bool = False) -> VenueKeys:
    """Roll the ticket key of a data folder and tell every event group's gates. CentreFault.

    Tickets signed before stay good. `compromised`: somebody else may sign with the old key, so of its tickets only
    those that are on the list are let in.
    """
    before = load_or_make(data, may_make=False)
    former = before.ticket_publics[0]  # now: `before` takes up the new key with its file
    after = rolled(before, Role.TICKETS)
    # In this order: whatever fails, no ticket is signed by a key that gates do not know.
    listed = ListKey(after.ticket_publics[0], KeyFormat.TK1.value)
    for group in _groups(database):
        with changes.change(database, _events(database, group), now_s) as connection:
            rows.add_keys(connection, [listed], group)
    replace(data, after)
    t = tables.ticket_key
    status = KeyStatus.COMPROMISED if compromised else KeyStatus.RETIRED
    ended = update(t).values(not_after=now_s + GRACE_S, status=status.value)
    for group in _groups(database):
        with changes.change(database, _events(database, group), now_s) as connection:
            connection.execute(ended.where(t.c.group_id == group, t.c.public == former))
    return after


def _groups(database: Database) -> list[int]:
    with database.reading() as connection:
        return list(connection.execute(select(events.event_group.c.id)).scalars())


def _events(database: Database, group: int) -> tuple[EventId, ...]:
    with database.reading() as connection:
        return changes.events_of_group(connection, group)
