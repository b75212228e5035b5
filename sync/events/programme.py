"""An event's programme: the event itself, its sessions and products, and its group's zones in zones.

Numbers of sessions, products and zones are u16, as gates know them. Whoever calls a function that writes raises the
versions of the group's lists (`sync.tickets.changes.change`): gates are told of all of it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Column, Connection, Table, insert, select, update

from admission.entitlements import Attention, Mode, OfflinePolicy, ZoneTree
from sync.events import houses, rows, tables
from sync.events.houses import Currency, TimeZone
from sync.store.schema import next_id
from sync.web.api import Body, Count, Id, Name, Refused, Seconds, not_found

U16_MAX = 65_535
EVENTS_MAX = 2**31 - 1
"""What the tables' integers hold; records and lists have room for twice as many."""
ADMITS_MAX = 1_000
"""People on one ticket; more is a mistyped price."""
PRICE_MINOR_MAX = 10**12

State = Literal["draft", "open", "closed"]
"""draft: not on sale · open · closed: over, nothing of it changes any more."""
ModeWord = Literal["normal", "entry_exit", "multiple"]
OfflineWord = Literal["admit_and_flag", "home_gate_only", "deny"]
AttentionWord = Literal["id", "reduced_fare", "note"]
_ATTENTION: dict[AttentionWord, Attention] = {
    "id": Attention.ID,
    "reduced_fare": Attention.REDUCED_FARE,
    "note": Attention.NOTE,
}
Small = Annotated[int, msgspec.Meta(ge=0, le=U16_MAX)]
SmallId = Annotated[int, msgspec.Meta(ge=1, le=U16_MAX)]


class NewEvent(Body, frozen=True, kw_only=True):
    """Something that takes place. `timezone` empty: the venue's."""

    group: Id
    name: Name
    timezone: TimeZone | None = None
    ticketing: Id | None = None
    state: State = "draft"
    starts_s: Seconds = 0
    ends_s: Seconds = 0


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event. `version`: of its list, which rises with each change that gates are told."""

    id: Id
    group: Id
    name: Name
    timezone: TimeZone
    ticketing: Id | None
    state: State
    starts_s: Seconds
    ends_s: Seconds
    version: int


class NewSession(Body, frozen=True, kw_only=True):
    """One opening of a zone: a date or a performance. From `ends_s` on nobody counts as inside; 0: its end resets nothing."""

    name: Name
    starts_s: Annotated[
        int, msgspec.Meta(ge=1, le=253_370_000_000, description="Unix seconds; gives its day.")
    ]
    ends_s: Seconds = 0
    zone: Small = 0


class SessionInfo(NewSession, frozen=True, kw_only=True):
    """A session. `day`: yyyymmdd where it takes place; `starts_s` 0: an older one, of which only that is known."""

    id: SmallId
    starts_s: Seconds
    day: int


class NewZone(Body, frozen=True, kw_only=True):
    """A part of the venue. `parent` 0: the street; `capacity` 0: unlimited.

    `reset_at`: minutes after midnight when presence is reset every night, on the venue's clocks; -1 is never.
    """

    name: Name
    parent: Small = 0
    capacity: Count = 0
    reset_at: Annotated[int, msgspec.Meta(ge=-1, le=1439)] = -1


class ZonePart(NewZone, frozen=True, kw_only=True):
    """A zone."""

    id: SmallId


class NewProduct(Body, frozen=True, kw_only=True):
    """A kind of ticket. `quota` null: as many as people buy; limits count uses, 0 is none; times 0 are open.

    `limit_day`: over the sessions of a day; in one that goes on for several days each counts for itself, from 6:00 on.
    `mode`: the widest it allows. `session` 0: any. `not_before`, `not_after`, `admits`: of the tickets sold.
    """

    name: Name
    price_minor: Annotated[int, msgspec.Meta(ge=0, le=PRICE_MINOR_MAX, description="Minor units.")] = 0
    currency: Currency
    quota: Count | None = None
    zones: Annotated[tuple[SmallId, ...], msgspec.Meta(max_length=100)] = ()
    session: Small = 0
    mode: ModeWord = "normal"
    limit_session: Small = 0
    limit_day: Small = 0
    limit_total: Small = 0
    admits: Annotated[int, msgspec.Meta(ge=1, le=ADMITS_MAX)] = 1
    not_before_s: Seconds = 0
    not_after_s: Seconds = 0
    offline: OfflineWord = "admit_and_flag"
    attention: tuple[AttentionWord, ...] = ()
    sale_from_s: Seconds = 0
    sale_until_s: Seconds = 0


class ProductInfo(NewProduct, frozen=True, kw_only=True):
    """A product."""

    id: SmallId
    currency: str
    """Empty where it was never on sale."""


def events(
    connection: Connection, organization: int, group: int, after: int, limit: int, only: int = 0
) -> list[Event]:
    """Return an organization's events, by number, above `after`; of one group, or one event, where that is not 0."""
    e, g = tables.event.c, tables.event_group.c
    wanted = (
        select(tables.event)
        .join(tables.event_group, g.id == e.group_id)
        .where(g.organization_id == organization, e.id > after)
    )
    if group:
        wanted = wanted.where(e.group_id == group)
    if only:
        wanted = wanted.where(e.id == only)
    return [_event(row) for row in connection.execute(wanted.order_by(e.id).limit(limit))]


def event(connection: Connection, organization: int, number: int) -> Event:
    """Return an event. Refused where the organization has no such one."""
    found = events(connection, organization, 0, 0, 1, number)
    if not found:
        raise not_found("event")
    return found[0]


def add_event(connection: Connection, organization: int, new: NewEvent) -> int:
    """Make an event and return its number; its list begins at version 0, before the first change."""
    values = _event_values(connection, organization, new)
    t = tables.event
    number = next_id(connection, t.c.id)
    if number > EVENTS_MAX:
        raise Refused(409, "full", "This centre has no numbers left for events.")
    connection.execute(
        insert(t).values(id=number, group_id=new.group, generation=1, version=0, sealed_at_s=0, **values)
    )
    return number


def set_event(connection: Connection, organization: int, number: int, new: NewEvent) -> None:
    """Change an event; it stays in its group. Refused where the organization has no such one, or it is closed."""
    held = event(connection, organization, number)
    if held.group != new.group:
        raise Refused(
            409, "other_group", "An event stays in its group: its gates hold its records. Make another."
        )
    t = tables.event
    values = _event_values(connection, organization, new)
    connection.execute(update(t).where(t.c.id == number).values(**values))
    if values["timezone"] != held.timezone:
        _move_days(connection, number, str(values["timezone"]))


def _move_days(connection: Connection, number: int, timezone: str) -> None:
    """Say anew on which day each session of an event begins; an older one, of which only the day is known, keeps it."""
    s = tables.session
    for row in connection.execute(
        select(s.c.id, s.c.starts_s).where(s.c.event_id == number, s.c.starts_s > 0)
    ).all():
        connection.execute(
            update(s).where(s.c.event_id == number, s.c.id == row.id).values(day=_day(row.starts_s, timezone))
        )


def _day(starts_s: int, timezone: str) -> int:
    """Return the day of a time where an event takes place, as yyyymmdd."""
    return int(f"{datetime.fromtimestamp(starts_s, ZoneInfo(timezone)):%Y%m%d}")


def _event_values(connection: Connection, organization: int, new: NewEvent) -> dict[str, object]:
    houses.check_group(connection, organization, new.group)
    houses.check_ticketing(connection, organization, new.ticketing)
    _check_order(new.starts_s, new.ends_s)
    timezone = new.timezone
    if timezone is None:
        g, v = tables.event_group.c, tables.venue.c
        of_venue = select(v.timezone).join(tables.event_group, g.venue_id == v.id).where(g.id == new.group)
        timezone = connection.execute(of_venue).scalar() or "UTC"
    houses.check_timezone(timezone)
    return {
        "name": new.name,
        "timezone": timezone,
        "ticketing_id": new.ticketing,
        "state": new.state,
        "starts_s": new.starts_s,
        "ends_s": new.ends_s,
    }


def _event(row: Any) -> Event:
    return Event(
        id=row.id,
        group=row.group_id,
        name=row.name,
        timezone=row.timezone,
        ticketing=row.ticketing_id,
        state=row.state,
        starts_s=row.starts_s,
        ends_s=row.ends_s,
        version=row.version,
    )


def sessions(connection: Connection, number: int, after: int, limit: int) -> list[SessionInfo]:
    """Return an event's sessions, by number, above `after`."""
    t = tables.session.c
    found = connection.execute(
        select(tables.session).where(t.event_id == number, t.id > after).order_by(t.id).limit(limit)
    )
    return [
        SessionInfo(
            id=row.id,
            name=row.name,
            starts_s=row.starts_s,
            ends_s=row.end_s,
            zone=row.zone,
            day=row.day,
        )
        for row in found
    ]


def put_session(connection: Connection, of: Event, new: NewSession, number: int = 0) -> int:
    """Make a session, or change the one of that number; returns the number."""
    _check_order(new.starts_s, new.ends_s)
    _check_zones(connection, of.group, (new.zone,) if new.zone else ())
    values = {
        "name": new.name,
        "day": _day(new.starts_s, of.timezone),
        "zone": new.zone,
        "starts_s": new.starts_s,
        "end_s": new.ends_s,
    }
    return _put(connection, tables.session, {"event_id": of.id}, values, number)


def zones(connection: Connection, group: int, after: int, limit: int) -> list[ZonePart]:
    """Return a group's zones, by number, above `after`."""
    t = tables.zone.c
    found = connection.execute(
        select(tables.zone).where(t.group_id == group, t.id > after).order_by(t.id).limit(limit)
    )
    return [
        ZonePart(id=row.id, name=row.name, parent=row.parent, capacity=row.capacity, reset_at=row.reset_at)
        for row in found
    ]


def put_zone(connection: Connection, group: int, new: NewZone, number: int = 0) -> int:
    """Make a zone, or change the one of that number; returns the number. Refused where it would lie inside itself."""
    values = {
        "name": new.name,
        "parent": new.parent,
        "capacity": new.capacity,
        "reset_at": new.reset_at,
    }
    if not number:
        values["gate"] = 0
    placed = _put(connection, tables.zone, {"group_id": group}, values, number)
    try:
        ZoneTree(rows.read_zones(connection, group))
    except ValueError as error:
        raise Refused(422, "bad_zone", f"The zones would not fit: {error}.") from error
    return placed


def products(connection: Connection, number: int, after: int, limit: int) -> list[ProductInfo]:
    """Return an event's products, by number, above `after`."""
    t = tables.product.c
    found = connection.execute(
        select(tables.product).where(t.event_id == number, t.id > after).order_by(t.id).limit(limit)
    )
    return [_product(row) for row in found]


def put_product(connection: Connection, of: Event, new: NewProduct, number: int = 0) -> int:
    """Make a product, or change the one of that number; returns the number. Tickets that were sold keep what they say."""
    _check_order(new.not_before_s, new.not_after_s)
    _check_order(new.sale_from_s, new.sale_until_s)
    _check_zones(connection, of.group, new.zones)
    s = tables.session.c
    if new.session:
        mine = select(s.id).where(s.event_id == of.id, s.id == new.session)
        if connection.execute(mine).scalar() is None:
            raise Refused(422, "unknown_session", "The event has no such session. Make it first.")
    attention = Attention.NONE
    for word in new.attention:
        attention |= _ATTENTION[word]
    values = {
        "name": new.name,
        "zones": rows.numbers_text(dict.fromkeys(new.zones)),
        "mode": Mode[new.mode.upper()],
        "limit_session": new.limit_session,
        "limit_day": new.limit_day,
        "limit_total": new.limit_total,
        "offline": OfflinePolicy[new.offline.upper()],
        "attention": attention,
        "price_minor": new.price_minor,
        "currency": new.currency,
        "quota": new.quota,
        "session": new.session,
        "admits": new.admits,
        "not_before": new.not_before_s,
        "not_after": new.not_after_s,
        "sale_from_s": new.sale_from_s,
        "sale_until_s": new.sale_until_s,
    }
    return _put(connection, tables.product, {"event_id": of.id}, values, number)


def _product(row: Any) -> ProductInfo:
    return ProductInfo(
        id=row.id,
        name=row.name,
        price_minor=row.price_minor,
        currency=row.currency,
        quota=row.quota,
        zones=rows.numbers(row.zones),
        session=row.session,
        mode=Mode(row.mode).name.lower(),  # type: ignore[arg-type]  # the words are the names of the enum
        limit_session=row.limit_session,
        limit_day=row.limit_day,
        limit_total=row.limit_total,
        admits=row.admits,
        not_before_s=row.not_before,
        not_after_s=row.not_after,
        offline=OfflinePolicy(row.offline).name.lower(),  # type: ignore[arg-type]  # as above
        attention=tuple(word for word, one in _ATTENTION.items() if one & row.attention),
        sale_from_s=row.sale_from_s,
        sale_until_s=row.sale_until_s,
    )


def _put(
    connection: Connection, table: Table, of: Mapping[str, int], values: Mapping[str, object], number: int
) -> int:
    """Change the row of that number, or make one with the next; Refused where there is none, or no number left."""
    where = [table.c[name] == value for name, value in of.items()]
    if number:
        done = connection.execute(update(table).where(*where, table.c.id == number).values(**values))
        if not done.rowcount:
            raise not_found(table.name)
        return number
    column: Column[int] = table.c.id
    number = next_id(connection, column, *where)
    if number > U16_MAX:
        raise Refused(
            409, "full", f"Gates know no more than {U16_MAX} of these. Change one that is not used."
        )
    connection.execute(insert(table).values(id=number, **of, **values))
    return number


def _check_zones(connection: Connection, group: int, named: tuple[int, ...]) -> None:
    known = {zone.id for zone in rows.read_zones(connection, group)} if named else set()
    missing = [number for number in named if number not in known]
    if missing:
        raise Refused(422, "unknown_zone", f"The group has no zone {missing[0]}. Make it first.")


def _check_order(first_s: int, last_s: int) -> None:
    if first_s and last_s and last_s < first_s:
        raise Refused(422, "bad_times", "The end lies before the beginning.")
