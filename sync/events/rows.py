"""What takes place, as rows and back: what a gate's list tells of it. Who makes and changes it: `sync.events.programme`."""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, insert, select

from admission.days import Days, days_of
from admission.entitlements import Attention, Mode, OfflinePolicy, Product, Session, Zone
from admission.ids import EventId, GateId, ProductId, SessionId, ZoneId
from sync.events import tables

GROUP = 1
"""The demo's event group, and what gates of an unnamed one belong to."""
ORGANIZATION = 1
"""The demo's, and of what was there before organizations were."""


def add_group(
    connection: Connection, name: str, digest_key: bytes, group: int = GROUP, organization: int = ORGANIZATION
) -> None:
    """Make an event group."""
    connection.execute(
        insert(tables.event_group).values(
            id=group, name=name, digest_key=digest_key, organization_id=organization
        )
    )


def digest_key(connection: Connection, group: int) -> bytes | None:
    """Return a group's digest key; None where there is no such group."""
    return connection.execute(
        select(tables.event_group.c.digest_key).where(tables.event_group.c.id == group)
    ).scalar()


def add_event(connection: Connection, event: EventId, name: str, timezone: str, group: int = GROUP) -> None:
    """Make an event; its list begins at version 0, before the first change. ValueError for event 0."""
    if not event:
        raise ValueError("event 0 is no event")
    connection.execute(
        insert(tables.event).values(
            id=event, group_id=group, name=name, timezone=timezone, generation=1, version=0, sealed_at_s=0
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


def add_zones(connection: Connection, zones: Iterable[Zone], group: int = GROUP) -> None:
    """Add zones to a group."""
    for one in zones:
        connection.execute(
            insert(tables.zone).values(
                group_id=group,
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


def read_sessions(connection: Connection, group: int) -> tuple[Session, ...]:
    """Return every session of a group's events, in order."""
    t, e = tables.session, tables.event
    found = connection.execute(
        select(t).join(e, e.c.id == t.c.event_id).where(e.c.group_id == group).order_by(t.c.event_id, t.c.id)
    )
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


def read_days(connection: Connection, group: int, sessions: Iterable[Session]) -> dict[EventId, Days]:
    """Return on which days uses of a group's events are, given its sessions; of all events, in order."""
    t = tables.event.c
    found = connection.execute(select(t.id, t.timezone).where(t.group_id == group).order_by(t.id))
    return days_of(sessions, {EventId(row.id): _zone(row.timezone) for row in found})


def _zone(name: str) -> ZoneInfo | None:
    """Return a time zone; None where this machine does not know it any more."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def read_zones(connection: Connection, group: int) -> tuple[Zone, ...]:
    """Return every zone of a group, in order."""
    t = tables.zone
    found = connection.execute(select(t).where(t.c.group_id == group).order_by(t.c.id))
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


def read_products(connection: Connection, group: int) -> tuple[Product, ...]:
    """Return every product of a group's events, in order."""
    t, e = tables.product, tables.event
    found = connection.execute(
        select(t).join(e, e.c.id == t.c.event_id).where(e.c.group_id == group).order_by(t.c.event_id, t.c.id)
    )
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


def numbers_text(values: Iterable[int]) -> str:
    """Return small numbers as the JSON they are stored as."""
    return msgspec.json.encode(tuple(values)).decode()


def numbers(stored: str) -> tuple[int, ...]:
    """Return what `numbers_text` stored."""
    return msgspec.json.decode(stored, type=tuple[int, ...])
