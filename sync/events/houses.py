"""Organizations, and what each owns: venues, ticketings and event groups. No function shows or takes another's."""

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

import msgspec
from sqlalchemy import Connection, insert, select, update

from sync.events import tables
from sync.store.schema import next_id
from sync.web.api import Body, Id, Line, Name, Refused, not_found

LANGUAGES = ("de", "fr", "it", "en")
Language = Annotated[str, msgspec.Meta(pattern="^(de|fr|it|en)$")]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", description="ISO 4217.")]
TimeZone = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="IANA, as Europe/Zurich.")]


class NewOrganization(Body, frozen=True, kw_only=True):
    """Who owns venues, events, people and their data."""

    name: Name
    language: Language = "en"


class Organization(NewOrganization, frozen=True, kw_only=True):
    """An organization."""

    id: Id


class NewVenue(Body, frozen=True, kw_only=True):
    """A place with gates."""

    name: Name
    address: Line = ""
    timezone: TimeZone = "UTC"


class Venue(NewVenue, frozen=True, kw_only=True):
    """A venue."""

    id: Id


class NewTicketing(Body, frozen=True, kw_only=True):
    """A box office: what it sells is in one currency."""

    name: Name
    currency: Currency


class Ticketing(NewTicketing, frozen=True, kw_only=True):
    """A ticketing."""

    id: Id


class NewGroup(Body, frozen=True, kw_only=True):
    """Events whose gates share logs, zones and one list; the gates of one house and season."""

    name: Name
    venue: Id | None = None


class Group(NewGroup, frozen=True, kw_only=True):
    """An event group."""

    id: Id


def add_organization(connection: Connection, new: NewOrganization, now_s: int) -> int:
    """Make an organization and return its number. Names need not differ."""
    t = tables.organization
    number = next_id(connection, t.c.id)
    connection.execute(insert(t).values(id=number, name=new.name, language=new.language, created_s=now_s))
    return number


def organization(connection: Connection, number: int) -> Organization | None:
    """Return an organization."""
    t = tables.organization.c
    row = connection.execute(select(t.id, t.name, t.language).where(t.id == number)).first()
    return None if row is None else Organization(id=row.id, name=row.name, language=row.language)


def set_organization(connection: Connection, number: int, new: NewOrganization) -> None:
    """Rename an organization, change its language. Refused where there is none."""
    t = tables.organization
    done = connection.execute(update(t).where(t.c.id == number).values(name=new.name, language=new.language))
    _found(done.rowcount, "organization")


def venues(connection: Connection, organization: int, after: int, limit: int) -> list[Venue]:
    """Return an organization's venues, by number, above `after`."""
    t = tables.venue.c
    found = connection.execute(
        select(t.id, t.name, t.address, t.timezone)
        .where(t.organization_id == organization, t.id > after)
        .order_by(t.id)
        .limit(limit)
    )
    return [Venue(id=row.id, name=row.name, address=row.address, timezone=row.timezone) for row in found]


def add_venue(connection: Connection, organization: int, new: NewVenue) -> int:
    """Make a venue and return its number."""
    check_timezone(new.timezone)
    t = tables.venue
    number = next_id(connection, t.c.id)
    values = {"name": new.name, "address": new.address, "timezone": new.timezone}
    connection.execute(insert(t).values(id=number, organization_id=organization, **values))
    return number


def set_venue(connection: Connection, organization: int, number: int, new: NewVenue) -> None:
    """Change a venue. Refused where the organization has no such one."""
    check_timezone(new.timezone)
    t = tables.venue
    mine = (t.c.id == number, t.c.organization_id == organization)
    values = {"name": new.name, "address": new.address, "timezone": new.timezone}
    _found(connection.execute(update(t).where(*mine).values(**values)).rowcount, "venue")


def ticketings(connection: Connection, organization: int, after: int, limit: int) -> list[Ticketing]:
    """Return an organization's ticketings, by number, above `after`."""
    t = tables.ticketing.c
    found = connection.execute(
        select(t.id, t.name, t.currency)
        .where(t.organization_id == organization, t.id > after)
        .order_by(t.id)
        .limit(limit)
    )
    return [Ticketing(id=row.id, name=row.name, currency=row.currency) for row in found]


def add_ticketing(connection: Connection, organization: int, new: NewTicketing) -> int:
    """Make a ticketing and return its number."""
    t = tables.ticketing
    number = next_id(connection, t.c.id)
    connection.execute(
        insert(t).values(id=number, organization_id=organization, name=new.name, currency=new.currency)
    )
    return number


def set_ticketing(connection: Connection, organization: int, number: int, new: NewTicketing) -> None:
    """Change a ticketing; what was sold keeps its currency. Refused where the organization has no such one."""
    t = tables.ticketing
    mine = (t.c.id == number, t.c.organization_id == organization)
    done = connection.execute(update(t).where(*mine).values(name=new.name, currency=new.currency))
    _found(done.rowcount, "ticketing")


def groups(connection: Connection, organization: int, after: int, limit: int) -> list[Group]:
    """Return an organization's event groups, by number, above `after`."""
    t = tables.event_group.c
    found = connection.execute(
        select(t.id, t.name, t.venue_id)
        .where(t.organization_id == organization, t.id > after)
        .order_by(t.id)
        .limit(limit)
    )
    return [Group(id=row.id, name=row.name, venue=row.venue_id) for row in found]


def add_group(connection: Connection, organization: int, new: NewGroup, digest_key: bytes) -> int:
    """Make an event group and return its number. `digest_key`: 32 random bytes, for as long as it lives."""
    _check_venue(connection, organization, new.venue)
    t = tables.event_group
    number = next_id(connection, t.c.id)
    connection.execute(
        insert(t).values(
            id=number,
            name=new.name,
            digest_key=digest_key,
            organization_id=organization,
            venue_id=new.venue,
        )
    )
    return number


def set_group(connection: Connection, organization: int, number: int, new: NewGroup) -> None:
    """Change an event group. Refused where the organization has no such one."""
    _check_venue(connection, organization, new.venue)
    t = tables.event_group
    mine = (t.c.id == number, t.c.organization_id == organization)
    done = connection.execute(update(t).where(*mine).values(name=new.name, venue_id=new.venue))
    _found(done.rowcount, "group")


def check_group(connection: Connection, organization: int, number: int) -> None:
    """Refused where the organization has no such event group."""
    t = tables.event_group.c
    mine = select(t.id).where(t.id == number, t.organization_id == organization)
    _found(connection.execute(mine).scalar() is not None, "group")


def check_ticketing(connection: Connection, organization: int, number: int | None) -> None:
    """Refused where a ticketing is named that the organization has not."""
    t = tables.ticketing.c
    if number is not None:
        mine = select(t.id).where(t.id == number, t.organization_id == organization)
        _found(connection.execute(mine).scalar() is not None, "ticketing")


@cache
def timezones() -> tuple[str, ...]:
    """Return the time zones known here, in order. Cached: the system's files are searched for them, for 30 ms."""
    return tuple(sorted(available_timezones()))


def check_timezone(name: str) -> None:
    """Refused where no such time zone is known here."""
    if name not in timezones():
        raise Refused(
            422, "unknown_timezone", "There is no such time zone. Give an IANA name, as Europe/Zurich."
        )


def _check_venue(connection: Connection, organization: int, number: int | None) -> None:
    t = tables.venue.c
    if number is not None:
        mine = select(t.id).where(t.id == number, t.organization_id == organization)
        _found(connection.execute(mine).scalar() is not None, "venue")


def _found(found: int, what: str) -> None:
    if not found:
        raise not_found(what)
