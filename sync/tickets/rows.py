"""Entitlements as rows, and back. SQL of what is sold stands here; nothing else writes these tables."""

from collections.abc import Iterable, Iterator

import msgspec
from sqlalchemy import Connection, insert, select, update

from admission.digests import CredentialKind
from admission.entitlements import (
    CredentialStanding,
    Standing,
    Ticket,
)
from admission.ids import EventId, TicketId
from sync.events.rows import GROUP, numbers_text
from sync.events.tables import event as events
from sync.store.schema import signed
from sync.tickets import tables
from sync.wire.lists import ListKey

BULK_ROWS = 2000
"""Rows written at a time: longer statements hold the counter row, and other changes, too long."""


class NewCredential(msgspec.Struct, frozen=True):
    """A credential of a ticket; `text` where it is kept readable."""

    ticket: TicketId
    digest: bytes
    kind: CredentialKind
    text: str = ""
    standing: CredentialStanding = CredentialStanding.ACTIVE


def add_keys(connection: Connection, keys: Iterable[ListKey], group: int = GROUP) -> None:
    """Add public ticket keys."""
    for one in keys:
        connection.execute(
            insert(tables.ticket_key).values(
                public=one.public,
                group_id=group,
                format=one.format,
                event_id=one.event,
                not_before=one.not_before,
                not_after=one.not_after,
                status=one.status,
            )
        )


def add_tickets(
    connection: Connection, event: EventId, tickets: Iterable[Ticket], credentials: Iterable[NewCredential]
) -> None:
    """Add tickets and their credentials to one event, within `changes.change`. ValueError for ticket 0.

    LookupError where there is no such event, for PostgreSQL has no foreign key there; SQLite's says IntegrityError.
    """
    for slab in _slabs({**_ticket_row(one), "event_id": event} for one in tickets):
        connection.execute(insert(tables.ticket), slab)
        if connection.execute(select(events.c.id).where(events.c.id == event)).first() is None:
            raise LookupError(f"there is no event {event}")
    for slab in _slabs(
        {
            "event_id": event,
            "digest": one.digest,
            "ticket": signed(one.ticket),
            "kind": one.kind.value,
            "text": one.text or None,
            "standing": one.standing,
        }
        for one in credentials
    ):
        connection.execute(insert(tables.credential), slab)


def set_standing(connection: Connection, event: EventId, ticket: TicketId, standing: Standing) -> bool:
    """Change a ticket's standing, within `changes.change`; False where there is no such ticket."""
    done = connection.execute(
        update(tables.ticket)
        .where(tables.ticket.c.event_id == event, tables.ticket.c.id == signed(ticket))
        .values(standing=standing, version=None)
    )
    return bool(done.rowcount)


def set_credential_standing(
    connection: Connection, event: EventId, digest: bytes, standing: CredentialStanding
) -> bool:
    """Change a credential's standing, within `changes.change`; False where there is no such credential."""
    done = connection.execute(
        update(tables.credential)
        .where(tables.credential.c.event_id == event, tables.credential.c.digest == digest)
        .values(standing=standing, version=None)
    )
    return bool(done.rowcount)


def read_keys(connection: Connection, group: int) -> tuple[ListKey, ...]:
    """Return every public ticket key of a group."""
    t = tables.ticket_key
    found = connection.execute(select(t).where(t.c.group_id == group).order_by(t.c.public))
    return tuple(
        ListKey(
            public=row.public,
            format=row.format,
            event=EventId(row.event_id),
            not_before=row.not_before,
            not_after=row.not_after,
            status=row.status,
        )
        for row in found
    )


def _ticket_row(ticket: Ticket) -> dict[str, object]:
    if not ticket.id:
        raise ValueError("ticket 0 is no ticket")
    return {
        "id": signed(ticket.id),
        "product": ticket.product,
        "holder": signed(ticket.holder),
        "zones": numbers_text(ticket.zones),
        "session": ticket.session,
        "standing": ticket.standing,
        "not_before": ticket.not_before,
        "not_after": ticket.not_after,
        "admits": ticket.admits,
        "home_gate": ticket.home_gate,
        "attention": ticket.attention,
    }


def _slabs(rows: Iterable[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    slab: list[dict[str, object]] = []
    for row in rows:
        slab.append(row)
        if len(slab) == BULK_ROWS:
            yield slab
            slab = []
    if slab:
        yield slab
