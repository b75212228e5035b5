"""Entitlements as rows, and back. SQL of what is sold stands here; nothing else writes these tables."""

from collections.abc import Iterable, Iterator

import msgspec
from sqlalchemy import Connection, insert, select, text, update

from admission.digests import CredentialKind
from admission.entitlements import (
    Attention,
    CredentialStanding,
    Mode,
    OfflinePolicy,
    Product,
    Session,
    Standing,
    Ticket,
    Zone,
)
from admission.ids import EventId, GateId, ProductId, SessionId, TicketId, ZoneId
from sync.store.schema import signed
from sync.tickets import tables
from sync.wire.lists import ListKey

GROUP = 1
"""One venue, one event group, until a centre serves several."""
BULK_ROWS = 2000
"""Rows written at a time: longer statements hold the counter row, and other changes, too long."""


class NewCredential(msgspec.Struct, frozen=True):
    """A credential of a ticket; `text` where it is kept readable."""

    ticket: TicketId
    digest: bytes
    kind: CredentialKind
    text: str = ""
    standing: CredentialStanding = CredentialStanding.ACTIVE


def add_group(connection: Connection, name: str, digest_key: bytes) -> None:
    """Make the event group."""
    connection.execute(insert(tables.event_group).values(id=GROUP, name=name, digest_key=digest_key))


def digest_key(connection: Connection) -> bytes | None:
    """Return the group's digest key; None where there is no group yet."""
    return connection.execute(
        select(tables.event_group.c.digest_key).where(tables.event_group.c.id == GROUP)
    ).scalar()


def add_event(connection: Connection, event: EventId, name: str, timezone: str) -> None:
    """Make an event; its list begins at version 0, before the first change. ValueError for event 0."""
    if not event:
        raise ValueError("event 0 is no event")
    connection.execute(
        insert(tables.event).values(
            id=event, group_id=GROUP, name=name, timezone=timezone, generation=1, version=0, sealed_at_s=0
        )
    )


def add_sessions(connection: Connection, sessions: Iterable[Session]) -> None:
    """Add sessions."""
    for one in sessions:
        connection.execute(
            insert(tables.session).values(
                event_id=one.event, id=one.id, name=one.name, day=one.day, zone=one.zone, end_s=one.end
            )
        )


def add_zones(connection: Connection, zones: Iterable[Zone]) -> None:
    """Add zones."""
    for one in zones:
        connection.execute(
            insert(tables.zone).values(
                group_id=GROUP,
                id=one.id,
                name=one.name,
                parent=one.parent,
                capacity=one.capacity,
                gate=one.gate,
                reset_at=one.reset_at,
            )
        )


def add_products(connection: Connection, products: Iterable[Product]) -> None:
    """Add products."""
    for one in products:
        connection.execute(
            insert(tables.product).values(
                event_id=one.event,
                id=one.id,
                name=one.name,
                zones=numbers_text(one.zones),
                mode=one.mode,
                limit_session=one.limit_session,
                limit_day=one.limit_day,
                limit_total=one.limit_total,
                offline=one.offline,
                attention=one.attention,
            )
        )


def add_keys(connection: Connection, keys: Iterable[ListKey]) -> None:
    """Add public ticket keys."""
    for one in keys:
        connection.execute(
            insert(tables.ticket_key).values(
                public=one.public,
                group_id=GROUP,
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
    """Add tickets and their credentials to one event, within `changes.change`. ValueError for ticket 0."""
    for slab in _slabs({**_ticket_row(one), "event_id": event} for one in tickets):
        connection.execute(insert(tables.ticket), slab)
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


def read_sessions(connection: Connection) -> tuple[Session, ...]:
    """Return every session, in order."""
    t = tables.session
    found = connection.execute(select(t).order_by(t.c.event_id, t.c.id))
    return tuple(
        Session(
            id=SessionId(row.id),
            event=EventId(row.event_id),
            name=row.name,
            day=row.day,
            zone=ZoneId(row.zone),
            end=row.end_s,
        )
        for row in found
    )


def read_zones(connection: Connection) -> tuple[Zone, ...]:
    """Return every zone of the group, in order."""
    t = tables.zone
    found = connection.execute(select(t).where(t.c.group_id == GROUP).order_by(t.c.id))
    return tuple(
        Zone(
            id=ZoneId(row.id),
            name=row.name,
            parent=ZoneId(row.parent),
            capacity=row.capacity,
            gate=GateId(row.gate),
            reset_at=row.reset_at,
        )
        for row in found
    )


def read_products(connection: Connection) -> tuple[Product, ...]:
    """Return every product, in order."""
    t = tables.product
    found = connection.execute(select(t).order_by(t.c.event_id, t.c.id))
    return tuple(
        Product(
            id=ProductId(row.id),
            event=EventId(row.event_id),
            name=row.name,
            zones=tuple(ZoneId(number) for number in numbers(row.zones)),
            mode=Mode(row.mode),
            limit_session=row.limit_session,
            limit_day=row.limit_day,
            limit_total=row.limit_total,
            offline=OfflinePolicy(row.offline),
            attention=Attention(row.attention),
        )
        for row in found
    )


def read_keys(connection: Connection) -> tuple[ListKey, ...]:
    """Return every public ticket key of the group."""
    t = tables.ticket_key
    found = connection.execute(select(t).where(t.c.group_id == GROUP).order_by(t.c.public))
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


CredentialRow = tuple[bytes, int, int, int, str, int, int, int, int, int, int, int, int]
"""digest, event, ticket, product, zones, session, not_before, not_after, admits, home_gate, attention, holder,
standing; and the credential's standing last."""

_CREDENTIALS = text("""
SELECT c.digest, c.event_id, c.ticket, t.product, t.zones, t.session, t.not_before, t.not_after, t.admits,
  t.home_gate, t.attention, t.holder, t.standing, c.standing
FROM credential c JOIN ticket t ON t.event_id = c.event_id AND t.id = c.ticket
JOIN event e ON e.id = c.event_id WHERE e.group_id = :group_id
""")


def read_credentials(connection: Connection) -> Iterator[tuple[object, ...]]:
    """Yield every credential of the group with its ticket, as `CredentialRow` names them."""
    return (tuple(row) for row in connection.execute(_CREDENTIALS, {"group_id": GROUP}))


def numbers_text(values: Iterable[int]) -> str:
    """Return small numbers as the JSON they are stored as."""
    return msgspec.json.encode(tuple(values)).decode()


def numbers(stored: str) -> tuple[int, ...]:
    """Return what `numbers_text` stored."""
    return msgspec.json.decode(stored, type=tuple[int, ...])


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
