"""Pages of what takes place: the events, a new one from nothing, and an event's programme."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from sync.accounts.principal import Role
from sync.events import houses, programme
from sync.web.acts import Acts, Faulty
from sync.web.money import example, minor_of
from sync.web.pages import Answer, Form, PageAsked, PageRoute, Redirect, View
from sync.web.words import Words

SHOWN_MAX = 500
"""Events, zones or products on one page; a house has some dozen."""
ZONE_LINES_MAX = 60
NAME_CHARS = 200
_LINE = re.compile(r"^( *)(.+?)(?:\s+(\d{1,7}))?\s*$")


class EventPages:
    """The routes."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def pages(self) -> tuple[PageRoute, ...]:
        """Return the pages."""
        return (
            PageRoute("GET", "/", events),
            PageRoute("GET", "/events/new", self.blank, Role.ORGANIZER),
            PageRoute("POST", "/events/new", self.make, Role.ORGANIZER),
            PageRoute("GET", "/events/{event}", self.show),
            PageRoute("POST", "/events/{event}/state", self.set_state, Role.ORGANIZER),
            PageRoute("POST", "/events/{event}/sessions", self.add_session, Role.ORGANIZER),
            PageRoute("POST", "/events/{event}/zones", self.add_zone, Role.ORGANIZER),
            PageRoute("POST", "/events/{event}/products", self.add_product, Role.ORGANIZER),
        )

    def blank(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: the form of a new event."""
        return View("events/new.html", _choices(connection, asked))

    def make(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: venue, zones, ticketing, event, first date and first product, in one transaction."""
        chosen = asked.form.number("ticketing", 1, 2**53) or 0
        sold_in = _currency(connection, asked.who.organization, chosen)
        wanted, errors = read_new_event(asked.form, asked.words, sold_in)
        if not errors:
            try:
                return Redirect(f"/events/{self._make(connection, asked, wanted)}?done=made_event")
            except Faulty as faulty:
                errors = {_field(name): said for name, said in faulty.fields.items()}
        shown = {**_choices(connection, asked), "form": asked.form, "errors": errors}
        return View("events/new.html", {**shown, "said": errors.get("")}, 422)

    def _make(self, connection: Connection, asked: PageAsked, new: "NewEvening") -> int:
        def do(key: str, body: Mapping[str, object], **path: int) -> Any:
            return self._acts.do(connection, asked, f"POST /api/v1/{key}", path, body)

        venue = new.venue or do("venues", {"name": new.venue_name, "timezone": new.timezone}).id
        group = do("groups", {"name": new.name, "venue": venue}).id
        zones: list[int] = []
        for zone in new.zones:
            parent = zones[zone.parent] if zone.parent is not None else 0
            body = {"name": zone.name, "parent": parent, "capacity": zone.capacity}
            zones.append(do("groups/{group}/zones", body, group=group).id)
        ticketing = new.ticketing
        if not ticketing:
            ticketing = do("ticketings", {"name": new.ticketing_name, "currency": new.currency}).id
        event = do(
            "events",
            {
                "group": group,
                "name": new.name,
                "ticketing": ticketing,
                "starts_s": _seconds(new.starts, new.timezone),
                "ends_s": _seconds(new.ends, new.timezone),
                "state": "open",
            },
        )
        session = {
            "name": new.session_name or new.name,
            "zone": zones[0],
            "starts_s": _seconds(new.starts, event.timezone),
            "ends_s": _seconds(new.ends, event.timezone),
        }
        do("events/{event}/sessions", session, event=event.id)
        if new.product_name:
            product = {
                "name": new.product_name,
                "price_minor": new.price_minor,
                "currency": new.currency,
                "quota": new.quota,
                "zones": zones,
            }
            do("events/{event}/products", product, event=event.id)
        return int(event.id)

    def show(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: the programme."""
        done = asked.query.text("done")
        shown = _programme(connection, asked)
        if done in {"made_event", "saved"}:
            shown["done"] = asked.words(done)
        return View("events/programme.html", shown)

    def set_state(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: draft, open or closed."""
        held = programme.event(connection, asked.who.organization, asked.number("event"))
        body = {
            "group": held.group, "name": held.name, "timezone": held.timezone, "ticketing": held.ticketing,
            "starts_s": held.starts_s, "ends_s": held.ends_s, "state": asked.form.text("state"),
        }  # fmt: skip
        return self._put(connection, asked, "PUT /api/v1/events/{event}", {"event": held.id}, body, "state")

    def add_session(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: one more date."""
        event = programme.event(connection, asked.who.organization, asked.number("event"))
        form, words = asked.form, asked.words
        starts, ends = _moment(form.text("starts")), _moment(form.text("ends"))
        errors: dict[str, str] = {}
        _needed(form, words, errors, "session_name")
        if starts is None:
            errors["starts"] = words("bad_time")
        if form.text("ends") and ends is None:
            errors["ends"] = words("bad_time")
        if errors:
            return self._again(connection, asked, errors, "session")
        body = {
            "name": form.text("session_name"),
            "starts_s": _seconds(starts, event.timezone),
            "ends_s": _seconds(ends, event.timezone),
            "zone": form.number("session_zone", 0, 65_535) or 0,
        }
        key = "POST /api/v1/events/{event}/sessions"
        return self._put(connection, asked, key, {"event": event.id}, body, "session")

    def add_zone(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: one more zone of the event's group."""
        event = programme.event(connection, asked.who.organization, asked.number("event"))
        form, words = asked.form, asked.words
        errors: dict[str, str] = {}
        _needed(form, words, errors, "zone_name")
        capacity = _optional(form, words, errors, "capacity", 1_000_000_000)
        if errors:
            return self._again(connection, asked, errors, "zone")
        body = {
            "name": form.text("zone_name"),
            "parent": form.number("parent", 0, 65_535) or 0,
            "capacity": capacity or 0,
        }
        return self._put(
            connection, asked, "POST /api/v1/groups/{group}/zones", {"group": event.group}, body, "zone"
        )

    def add_product(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: one more product."""
        event = programme.event(connection, asked.who.organization, asked.number("event"))
        form, words = asked.form, asked.words
        errors: dict[str, str] = {}
        _needed(form, words, errors, "product_name")
        currency = form.text("currency").upper()
        if not re.fullmatch("[A-Z]{3}", currency):
            errors["currency"] = words("bad_currency")
        price = _price(form, words, errors, currency)
        quota = _optional(form, words, errors, "quota", 1_000_000_000)
        admits = _optional(form, words, errors, "admits", programme.ADMITS_MAX)
        zones = [int(one) for one in form.all("zones") if one.isascii() and one.isdigit()]
        if not zones:
            errors["zones"] = words("pick_zone")
        if errors:
            return self._again(connection, asked, errors, "product")
        body = {
            "name": form.text("product_name"), "price_minor": price, "currency": currency, "quota": quota,
            "zones": zones, "session": form.number("product_session", 0, 65_535) or 0,
            "mode": form.text("mode") or "normal", "admits": admits or 1,
        }  # fmt: skip
        key = "POST /api/v1/events/{event}/products"
        return self._put(connection, asked, key, {"event": event.id}, body, "product")

    def _put(
        self,
        connection: Connection,
        asked: PageAsked,
        key: str,
        path: Mapping[str, int],
        body: Mapping[str, object],
        part: str,
    ) -> Answer:
        try:
            self._acts.do(connection, asked, key, path, body)
        except Faulty as faulty:
            errors = {
                f"{part}_name" if name in {"", "name"} else name: said for name, said in faulty.fields.items()
            }
            return self._again(connection, asked, errors, part)
        return Redirect(f"/events/{asked.path['event']}?done=saved")

    def _again(self, connection: Connection, asked: PageAsked, errors: dict[str, str], part: str) -> Answer:
        shown = {**_programme(connection, asked), "form": asked.form, "errors": errors, "opened": part}
        return View("events/programme.html", shown, 422)


def events(connection: Connection, asked: PageAsked) -> Answer:
    """GET: every event of the organization, newest first."""
    found = programme.events(connection, asked.who.organization, 0, 0, SHOWN_MAX)
    found.sort(key=lambda one: (one.starts_s or 0, one.id), reverse=True)
    return View("events/events.html", {"events": found, "place": "events", "now_s": asked.now_s})


def _programme(connection: Connection, asked: PageAsked) -> dict[str, Any]:
    event = programme.event(connection, asked.who.organization, asked.number("event"))
    zones = programme.zones(connection, event.group, 0, SHOWN_MAX)
    return {
        "event": event,
        "tab": "programme",
        "place": "events",
        "sessions": programme.sessions(connection, event.id, 0, SHOWN_MAX),
        "zones": in_order(zones),
        "zone_names": {zone.id: zone.name for zone in zones},
        "products": programme.products(connection, event.id, 0, SHOWN_MAX),
        "currency": _currency(connection, asked.who.organization, event.ticketing or 0),
        "may_change": asked.who.role.may(Role.ORGANIZER),
        "opened": "",
    }


def in_order(zones: list[programme.ZonePart]) -> list[tuple[int, programme.ZonePart]]:
    """Return zones with how deep they lie, each behind the one it lies in."""
    made: list[tuple[int, programme.ZonePart]] = []

    def walk(parent: int, depth: int) -> None:
        for zone in zones:
            if zone.parent == parent:
                made.append((depth, zone))
                walk(zone.id, depth + 1)

    walk(0, 0)
    return made


def _choices(connection: Connection, asked: PageAsked) -> dict[str, Any]:
    own = asked.who.organization
    return {
        "place": "events",
        "venues": houses.venues(connection, own, 0, SHOWN_MAX),
        "ticketings": houses.ticketings(connection, own, 0, SHOWN_MAX),
        "timezones": houses.timezones(),
    }


@dataclass(frozen=True, slots=True)
class ZoneLine:
    """A zone as it was typed. `parent`: place in the list of the one it lies in."""

    name: str
    capacity: int = 0
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class NewEvening:
    """The form of a new event, read. Numbers 0: to be made."""

    name: str
    venue: int
    venue_name: str
    timezone: str
    zones: tuple[ZoneLine, ...]
    ticketing: int
    ticketing_name: str
    currency: str
    session_name: str
    starts: datetime | None
    ends: datetime | None
    product_name: str
    price_minor: int
    quota: int | None


def read_new_event(form: Form, words: Words, sold_in: str = "") -> tuple[NewEvening, dict[str, str]]:
    """Return what was filled in, and what is wrong by field. Pure. `sold_in`: currency of the ticketing chosen."""
    errors: dict[str, str] = {}
    venue = form.number("venue", 1, 2**53) or 0
    ticketing = form.number("ticketing", 1, 2**53) or 0
    _needed(form, words, errors, "name")
    timezone = form.text("timezone") or "UTC"
    if not venue:
        _needed(form, words, errors, "venue_name")
        if timezone not in houses.timezones():
            errors["timezone"] = words("bad_timezone")
            timezone = "UTC"
    currency = sold_in or form.text("currency").upper()
    if not ticketing:
        _needed(form, words, errors, "ticketing_name")
        if not re.fullmatch("[A-Z]{3}", currency):
            errors["currency"] = words("bad_currency")
    zones, bad_line = read_zones(form.text("zones"))
    if bad_line:
        errors["zones"] = words("bad_zone_line", n=bad_line)
    elif not zones:
        errors["zones"] = words("must")
    starts, ends = _moment(form.text("starts")), _moment(form.text("ends"))
    if starts is None:
        errors["starts"] = words("bad_time")
    if form.text("ends") and ends is None:
        errors["ends"] = words("bad_time")
    elif starts is not None and ends is not None and ends < starts:
        errors["ends"] = words("bad_order")
    price = _price(form, words, errors, currency)
    quota = _optional(form, words, errors, "quota", 1_000_000_000)
    new = NewEvening(
        form.text("name"), venue, form.text("venue_name"), timezone, zones, ticketing, form.text("ticketing_name"),
        currency, form.text("session_name"), starts, ends, form.text("product_name"), price, quota,
    )  # fmt: skip
    return new, errors


def read_zones(typed: str) -> tuple[tuple[ZoneLine, ...], int]:
    """Read zones, one a line, indented by two spaces a level; return them, and the first line that cannot be read."""
    made: list[ZoneLine] = []
    above: list[int] = []  # of each level, the last zone
    for number, line in enumerate(typed.replace("\t", "  ").splitlines(), 1):
        if not line.strip():
            continue
        found = _LINE.match(line.rstrip())
        if found is None or len(found[2]) > NAME_CHARS or len(made) >= ZONE_LINES_MAX:
            return tuple(made), number
        level = min(len(found[1]) // 2, len(above))
        del above[level:]
        made.append(ZoneLine(found[2], int(found[3] or 0), above[-1] if above else None))
        above.append(len(made) - 1)
    return tuple(made), 0


def _currency(connection: Connection, organization: int, ticketing: int) -> str:
    """Return what a ticketing sells in; "" where the organization has no such one."""
    found = houses.ticketings(connection, organization, ticketing - 1, 1)
    return found[0].currency if found and found[0].id == ticketing else ""


def _price(form: Form, words: Words, errors: dict[str, str], currency: str) -> int:
    minor = minor_of(form.text("price") or "0", currency, programme.PRICE_MINOR_MAX)
    if minor is None:
        errors["price"] = words("bad_price", example=example(currency))
    return minor or 0


def _needed(form: Form, words: Words, errors: dict[str, str], name: str) -> None:
    if not form.text(name):
        errors[name] = words("must")
    elif len(form.text(name)) > NAME_CHARS:
        errors[name] = words("too_long", n=NAME_CHARS)


def _optional(form: Form, words: Words, errors: dict[str, str], name: str, most: int) -> int | None:
    if not form.text(name):
        return None
    number = form.number(name, 1, most)
    if number is None:
        errors[name] = words("bad_number", least=1, most=most)
    return number


def _moment(typed: str) -> datetime | None:
    """Read an <input type=datetime-local>, a wall clock without a zone."""
    try:
        return datetime.strptime(typed[:16], "%Y-%m-%dT%H:%M")  # noqa: DTZ007 - the zone is the venue's, added later
    except ValueError:
        return None


def _seconds(at: datetime | None, timezone: str) -> int:
    return int(at.replace(tzinfo=ZoneInfo(timezone)).timestamp()) if at is not None else 0


def _field(name: str) -> str:
    """Return the form's field for one of the API's."""
    return {"price_minor": "price"}.get(name, name)
