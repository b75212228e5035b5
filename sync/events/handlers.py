"""`/api/v1`: what makes an event from nothing. Each write is one version of the group's lists, and one audit entry."""

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from sync.accounts.audit import noted
from sync.events import houses, programme
from sync.events.houses import (
    Group,
    NewGroup,
    NewOrganization,
    NewTicketing,
    NewVenue,
    Organization,
    Ticketing,
    Venue,
)
from sync.events.programme import (
    Event,
    NewEvent,
    NewProduct,
    NewSession,
    NewZone,
    ProductInfo,
    SessionInfo,
    ZonePart,
)
from sync.keys import KEY_BYTES
from sync.tickets import changes
from sync.tickets import rows as sold
from sync.web.api import Asked, Count, Page, Paged, Role, Route, not_found, page_of, read_cursor
from sync.wire.lists import ListKey

Made = TypeVar("Made")


class EventsAsked(Paged, frozen=True, kw_only=True):
    """Which events. `group` 0: of all groups."""

    group: Count = 0


def _after(asked: Asked) -> int:
    position = read_cursor(asked.query.cursor, int)
    return 0 if position is None else int(position[0])


def _page(asked: Asked, list_of: Callable[[int, int], list[Any]]) -> Page[Any]:
    """Return a page of things that are sorted by their number."""
    limit = asked.query.limit
    return page_of(list_of(_after(asked), limit + 1), limit, lambda one: (one.id,))


def _kept(connection: Connection, asked: Asked, what: str, number: int, kind: Callable[..., Made]) -> Made:
    """Write a change down and return what stands now; `kind` is what the body became with its number."""
    noted(connection, asked, what, str(number), msgspec.to_builtins(asked.body))
    return kind(id=number, **{name: getattr(asked.body, name) for name in asked.body.__struct_fields__})


# --- organizations, venues, ticketings, groups -------------------------------------------------------------------


def _list_organizations(connection: Connection, asked: Asked) -> Page[Organization]:
    """The caller's own, and no other."""
    found = houses.organization(connection, asked.principal.organization)
    return Page(() if found is None or _after(asked) >= found.id else (found,))


def _put_organization(connection: Connection, asked: Asked) -> Organization:
    number = asked.path["organization"]
    if number != asked.principal.organization:
        raise not_found("organization")
    houses.set_organization(connection, number, asked.body)
    return _kept(connection, asked, "organization.change", number, Organization)


def _list_venues(connection: Connection, asked: Asked) -> Page[Venue]:
    own = asked.principal.organization
    return _page(asked, lambda after, limit: houses.venues(connection, own, after, limit))


def _new_venue(connection: Connection, asked: Asked) -> Venue:
    number = houses.add_venue(connection, asked.principal.organization, asked.body)
    return _kept(connection, asked, "venue.make", number, Venue)


def _put_venue(connection: Connection, asked: Asked) -> Venue:
    number = asked.path["venue"]
    houses.set_venue(connection, asked.principal.organization, number, asked.body)
    return _kept(connection, asked, "venue.change", number, Venue)


def _list_ticketings(connection: Connection, asked: Asked) -> Page[Ticketing]:
    own = asked.principal.organization
    return _page(asked, lambda after, limit: houses.ticketings(connection, own, after, limit))


def _new_ticketing(connection: Connection, asked: Asked) -> Ticketing:
    number = houses.add_ticketing(connection, asked.principal.organization, asked.body)
    return _kept(connection, asked, "ticketing.make", number, Ticketing)


def _put_ticketing(connection: Connection, asked: Asked) -> Ticketing:
    number = asked.path["ticketing"]
    houses.set_ticketing(connection, asked.principal.organization, number, asked.body)
    return _kept(connection, asked, "ticketing.change", number, Ticketing)


def _list_groups(connection: Connection, asked: Asked) -> Page[Group]:
    own = asked.principal.organization
    return _page(asked, lambda after, limit: houses.groups(connection, own, after, limit))


def _new_group(connection: Connection, asked: Asked) -> Group:
    """Its gates know the centre's own tickets from the start."""
    number = houses.add_group(
        connection, asked.principal.organization, asked.body, secrets.token_bytes(KEY_BYTES)
    )
    own = ListKey(asked.keys.ticket_key.public_key().public_bytes_raw(), "tk1")
    sold.add_keys(connection, (own,), number)
    return _kept(connection, asked, "group.make", number, Group)


def _put_group(connection: Connection, asked: Asked) -> Group:
    number = asked.path["group"]
    houses.set_group(connection, asked.principal.organization, number, asked.body)
    return _kept(connection, asked, "group.change", number, Group)


# --- events, sessions, zones, products ---------------------------------------------------------------------------


def _list_events(connection: Connection, asked: Asked) -> Page[Event]:
    own, only = asked.principal.organization, asked.principal.event
    group = asked.query.group
    return _page(asked, lambda after, limit: programme.events(connection, own, group, after, limit, only))


def _one_event(connection: Connection, asked: Asked) -> Event:
    return programme.event(connection, asked.principal.organization, asked.path["event"])


def _new_event(connection: Connection, asked: Asked) -> Event:
    own = asked.principal.organization
    number = programme.add_event(connection, own, asked.body)
    return _told(connection, asked, "event.make", asked.body.group, number)


def _put_event(connection: Connection, asked: Asked) -> Event:
    number = asked.path["event"]
    programme.set_event(connection, asked.principal.organization, number, asked.body)
    return _told(connection, asked, "event.change", asked.body.group, number)


def _told(connection: Connection, asked: Asked, what: str, group: int, number: int) -> Event:
    noted(connection, asked, what, str(number), msgspec.to_builtins(asked.body))
    _stamp(connection, group, asked.now_s)
    return programme.event(connection, asked.principal.organization, number)


def _stamp(connection: Connection, group: int, now_s: int) -> None:
    """Raise the versions of the group's lists: the transaction's last write."""
    changes.stamp(connection, changes.events_of_group(connection, group), now_s)


def _open_event(connection: Connection, asked: Asked) -> Event:
    """Return the event in the path, its group's lists kept for us; Refused where it is not the caller's."""
    found = _one_event(connection, asked)
    changes.take(connection, changes.events_of_group(connection, found.group))
    return found


def _list_sessions(connection: Connection, asked: Asked) -> Page[SessionInfo]:
    of = _one_event(connection, asked).id
    return _page(asked, lambda after, limit: programme.sessions(connection, of, after, limit))


def _put_session(connection: Connection, asked: Asked) -> SessionInfo:
    """With a number in the path it is changed, without one it is made."""
    of = _open_event(connection, asked)
    number = programme.put_session(connection, of, asked.body, asked.path.get("session", 0))
    noted(connection, asked, "session.put", f"{of.id}/{number}", msgspec.to_builtins(asked.body))
    _stamp(connection, of.group, asked.now_s)
    return programme.sessions(connection, of.id, number - 1, 1)[0]


def _list_zones(connection: Connection, asked: Asked) -> Page[ZonePart]:
    group = asked.path["group"]
    houses.check_group(connection, asked.principal.organization, group)
    return _page(asked, lambda after, limit: programme.zones(connection, group, after, limit))


def _put_zone(connection: Connection, asked: Asked) -> ZonePart:
    """With a number in the path it is changed, without one it is made."""
    group = asked.path["group"]
    houses.check_group(connection, asked.principal.organization, group)
    changes.take(connection, changes.events_of_group(connection, group))
    number = programme.put_zone(connection, group, asked.body, asked.path.get("zone", 0))
    noted(connection, asked, "zone.put", f"{group}/{number}", msgspec.to_builtins(asked.body))
    _stamp(connection, group, asked.now_s)
    return programme.zones(connection, group, number - 1, 1)[0]


def _list_products(connection: Connection, asked: Asked) -> Page[ProductInfo]:
    of = _one_event(connection, asked).id
    return _page(asked, lambda after, limit: programme.products(connection, of, after, limit))


def _put_product(connection: Connection, asked: Asked) -> ProductInfo:
    """With a number in the path it is changed, without one it is made."""
    of = _open_event(connection, asked)
    number = programme.put_product(connection, of, asked.body, asked.path.get("product", 0))
    noted(connection, asked, "product.put", f"{of.id}/{number}", msgspec.to_builtins(asked.body))
    _stamp(connection, of.group, asked.now_s)
    return programme.products(connection, of.id, number - 1, 1)[0]


def _list(path: str, handler: Any, kind: Any, summary: str, query: type[Paged] = Paged) -> Route:
    return Route(
        method="GET", path=f"/api/v1/{path}", handler=handler, answer=Page[kind], query=query, summary=summary
    )


def _make(path: str, handler: Any, kind: Any, body: Any, summary: str) -> Route:
    return Route(
        method="POST",
        path=f"/api/v1/{path}",
        handler=handler,
        answer=kind,
        body=body,
        role=Role.ORGANIZER,
        writes=True,
        idempotent=True,
        status=201,
        summary=summary,
    )


def _change(
    path: str, handler: Any, kind: Any, body: Any, summary: str, role: Role = Role.ORGANIZER
) -> Route:
    return Route(
        method="PUT",
        path=f"/api/v1/{path}",
        handler=handler,
        answer=kind,
        body=body,
        role=role,
        writes=True,
        summary=summary,
    )


def routes() -> tuple[Route, ...]:
    """Return the operations on what takes place."""
    organization = "organizations/{organization}"
    session, product = "events/{event}/sessions", "events/{event}/products"
    zone = "groups/{group}/zones"
    return (
        _list("organizations", _list_organizations, Organization, "The caller's organization"),
        _change(organization, _put_organization, Organization, NewOrganization, "Rename it", Role.OWNER),
        _list("venues", _list_venues, Venue, "Venues"),
        _make("venues", _new_venue, Venue, NewVenue, "Make a venue"),
        _change("venues/{venue}", _put_venue, Venue, NewVenue, "Change a venue"),
        _list("ticketings", _list_ticketings, Ticketing, "Ticketings"),
        _make("ticketings", _new_ticketing, Ticketing, NewTicketing, "Make a ticketing"),
        _change("ticketings/{ticketing}", _put_ticketing, Ticketing, NewTicketing, "Change a ticketing"),
        _list("groups", _list_groups, Group, "Event groups"),
        _make("groups", _new_group, Group, NewGroup, "Make an event group"),
        _change("groups/{group}", _put_group, Group, NewGroup, "Change an event group"),
        _list("events", _list_events, Event, "Events", EventsAsked),
        _make("events", _new_event, Event, NewEvent, "Make an event"),
        Route(
            method="GET", path="/api/v1/events/{event}", handler=_one_event, answer=Event, summary="An event"
        ),
        _change("events/{event}", _put_event, Event, NewEvent, "Change an event"),
        _list(session, _list_sessions, SessionInfo, "Sessions of an event"),
        _make(session, _put_session, SessionInfo, NewSession, "Make a session"),
        _change(session + "/{session}", _put_session, SessionInfo, NewSession, "Change a session"),
        _list(zone, _list_zones, ZonePart, "Zones of an event group"),
        _make(zone, _put_zone, ZonePart, NewZone, "Make a zone"),
        _change(zone + "/{zone}", _put_zone, ZonePart, NewZone, "Change a zone"),
        _list(product, _list_products, ProductInfo, "Products of an event"),
        _make(product, _put_product, ProductInfo, NewProduct, "Make a product"),
        _change(product + "/{product}", _put_product, ProductInfo, NewProduct, "Change a product"),
    )
