"""Every page, whoever wrote it: who may see it, and that nothing of another organization is behind it or its forms.

A new page is walked as soon as it is one of the site's; its forms with what they name are in `FORMS`.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from sync.accounts.owners import OWNERS
from sync.accounts.principal import Role
from sync.accounts.sign_in import SignIn
from sync.demo_sales import make_sales
from sync.keys import new_keys
from sync.store.database import Database
from sync.store.schema import METADATA
from sync.web.app import api_routes
from sync.web.pages import PageRoute
from sync.web.site import Site
from tests.sync.pages.seat import house
from tests.sync.people import PASSWORD, other_organization, person
from tests.sync.venue import Venue, query

OURS = (
    "Demo festival",
    "Demo matinee",
    "Main gate",
    "Terrace",
    "Ada Lovelace",
    "Day ticket",
    "Hopper",
    "Keller",
)
"""Names of the demo venue and its people."""
KEPT = {"signed_in", "sign_in_failure", "audit_log", "user_account", "membership"}
"""Tables that signing in itself writes."""


def routes_of(database: Database) -> tuple[PageRoute, ...]:
    keys = new_keys()
    sign_in = SignIn(database, keys, lambda: 0)
    try:
        return Site(database, keys, api_routes(), OWNERS, sign_in, lambda: 0).pages
    finally:
        sign_in.close()


def filled(route: PageRoute, numbers: Mapping[str, int] | None = None, number: int = 1) -> str:
    """A path with numbers of things: by what they are of, else `number`, which the demo venue has most things of."""
    known = {"what": "tickets", **(numbers or {})}
    return re.sub(r"\{(\w+)\}", lambda found: str(known.get(found[1], number)), route.path)


@contextlib.asynccontextmanager
async def browser_of(venue: Venue, email: str = "") -> AsyncIterator[aiohttp.ClientSession]:
    """A browser, signed in as somebody with `PASSWORD`, or not at all."""
    headers = {"Origin": venue.url, "Sec-Fetch-Site": "same-origin", "Accept-Language": "en"}
    async with aiohttp.ClientSession(
        venue.url, cookie_jar=aiohttp.CookieJar(unsafe=True), headers=headers
    ) as session:
        if email:
            async with session.post("/sign-in", data={"email": email, "password": PASSWORD}) as answer:
                assert answer.status == 200, await answer.text()
        yield session


@dataclass
class Town:
    venue: Venue
    pages: tuple[PageRoute, ...]
    own: dict[str, int]
    """Numbers of the rival's own event, group, gate, customer and order."""
    customer: int
    """Ours, with a ticket and a tag."""


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with house(tmp_path / "centre") as venue:
        database = venue.centre.database
        make_sales(database, venue.centre.keys, venue.now_s)
        rival = other_organization(database)
        person(database, "rival@venue.test", Role.OWNER, rival)
        for role in (Role.VIEWER, Role.STEWARD, Role.BOX_OFFICE, Role.ORGANIZER):
            person(database, f"{role.value}@venue.test", role)
        async with browser_of(venue, "rival@venue.test") as theirs:
            own = await rivals_things(theirs)
        async with browser_of(venue, "organizer@venue.test") as ours:
            customer = await claim(ours, 1, 1, "Hopper")
            await post(
                ours, f"/customers/{customer}", {"do": "assign_tag", "event": "1", "uid": "04AABBCCDDEE80"}
            )
        yield Town(venue, routes_of(database), own, customer)


async def post(browser: aiohttp.ClientSession, path: str, data: dict[str, str]) -> str:
    async with browser.post(path, data=data) as answer:
        assert answer.status == 200, await answer.text()
        return answer.url.path


async def claim(browser: aiohttp.ClientSession, event: int, ticket: int, name: str) -> int:
    wanted = {"customer": {"last_name": name}, "tickets": [{"event": event, "ticket": ticket}]}
    async with browser.post("/api/v1/claims", json=wanted) as answer:
        made = await answer.json()
        assert answer.status == 201, made
        return int(made["id"])


async def rivals_things(theirs: aiohttp.ClientSession) -> dict[str, int]:
    """Make an event, a gate, an order and a customer by the rival's own pages and API; return their numbers."""
    evening = {
        "name": "Rival night", "venue_name": "Shed", "timezone": "UTC", "zones": "Yard", "ticketing_name": "Till",
        "currency": "CHF", "starts": "2026-12-01T19:00", "product_name": "Plain", "price": "5",
    }  # fmt: skip
    event = int((await post(theirs, "/events/new", evening)).split("/")[2])
    async with theirs.get(f"/api/v1/events/{event}") as answer:
        made = await answer.json()
    group, ticketing = int(made["group"]), int(made["ticketing"])
    lines = [{"event": event, "product": 1, "session": 1}]
    sale = {"ticketing": ticketing, "payment": "cash", "lines": lines}
    async with theirs.post("/api/v1/orders", json=sale) as answer:
        made = await answer.json()
        assert answer.status == 201, made
        order = int(made["id"])
    gate = int((await post(theirs, "/gates", {"group": str(group), "name": "Rival gate"})).split("/")[2])
    customer = await claim(theirs, event, 1, "Rivalson")
    return {"event": event, "group": group, "gate": gate, "order": order, "customer": customer}


def dump(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, but for what signing in writes."""
    with database.reading() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(table.select())), key=repr)
            for table in METADATA.sorted_tables
            if table.name not in KEPT
        }


def test_there_are_pages_and_no_two_are_the_same(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    try:
        keys = [(one.method, one.path) for one in routes_of(database)]
    finally:
        database.close()
    assert len(keys) == len(set(keys)) > 35


async def test_whoever_is_not_signed_in_is_led_to_sign_in(town: Town) -> None:
    async with browser_of(town.venue) as stranger:
        for route in town.pages:
            if route.role is None:
                continue
            async with stranger.request(route.method, filled(route), allow_redirects=False) as answer:
                assert answer.status == 303, route.path
                assert answer.headers["Location"].startswith("/sign-in"), route.path
        async with stranger.get("/events/1/board/live") as answer:
            assert answer.status == 404


@pytest.mark.parametrize("role", [Role.VIEWER, Role.STEWARD, Role.BOX_OFFICE, Role.ORGANIZER])
async def test_a_role_that_is_too_low_is_refused_and_one_that_is_enough_is_not(
    town: Town, role: Role
) -> None:
    before = dump(town.venue.centre.database)
    async with browser_of(town.venue, f"{role.value}@venue.test") as browser:
        for route in town.pages:
            if route.role is None or role.may(route.role):
                continue
            async with browser.request(route.method, filled(route)) as answer:
                assert answer.status == 403, route.path
                assert "Your role does not allow this" in await answer.text(), route.path
        assert dump(town.venue.centre.database) == before
        for route in town.pages:
            if route.role is not None and role.may(route.role) and route.method == "GET":
                async with browser.get(filled(route)) as answer:
                    assert answer.status in {200, 404}, route.path


async def test_what_is_anothers_is_as_if_it_were_not_there(town: Town) -> None:
    before = dump(town.venue.centre.database)
    walked = 0
    async with browser_of(town.venue, "rival@venue.test") as theirs:
        for route in town.pages:
            if "{" not in route.path or route.path.startswith("/static"):
                continue
            ours = filled(route, {"customer": town.customer})
            for path in (ours, *(filled(route, number=one) for one in (2**53 - 1, 10**15, 10**18))):
                async with theirs.request(route.method, path) as answer:
                    page = await answer.text()
                    assert answer.status == 404, (route.method, path)
                    assert answer.content_type == "text/html", route.path
                    assert not [name for name in OURS if name in page], route.path
                    walked += 1
        async with theirs.get("/events/1/board/live") as answer:
            assert answer.status == 404
    assert walked > 80
    assert dump(town.venue.centre.database) == before


async def test_no_page_shows_what_is_anothers(town: Town) -> None:
    own = {**town.own, "ticket": 1, "tag": 1, "lane": 1}
    walked = 0
    async with browser_of(town.venue, "rival@venue.test") as theirs:
        for route in town.pages:
            if route.method != "GET" or "{job}" in route.path:
                continue
            path = filled(route, own)
            for query_ in ("", "?q=Hop", "?q=DEMO", "?q=1", "?q=04AABBCCDDEE80"):
                if query_ and route.path != "/search":
                    continue
                async with theirs.get(path + query_) as answer:
                    page = await answer.text()
                    assert answer.status == 200, (path, page)
                    page = page.replace("“Hopper”", "").replace(
                        'value="Hopper"', ""
                    )  # what was sought is said back
                    assert not [name for name in OURS if name in page], path
                    walked += 1
    assert walked > 15


FORMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/organization", {"organization": "1"}),
    ("/events/new", {"name": "X", "venue": "1", "ticketing_name": "T", "currency": "CHF", "zones": "A", "starts": "2026-12-01T19:00"}),
    ("/events/new", {"name": "X", "ticketing": "1", "venue_name": "V", "timezone": "UTC", "zones": "A", "starts": "2026-12-01T19:00"}),
    ("/gates", {"group": "1", "name": "Mine now"}),
    ("/gates/states", {"group": "1", "zone": "1", "state": "emergency"}),
    ("/gates/states", {"group": "{group}", "gate": "1", "state": "emergency"}),
    ("/gates/states", {"group": "1", "gate": "{gate}", "state": "emergency"}),
    ("/gates/{gate}/plans", {"lane": "1", "zone": "1", "mode": "normal", "sessions": "1:1"}),
    ("/gates/{gate}/plans", {"lane": "1", "zone": "4", "mode": "normal"}),
    ("/customers/{customer}", {"do": "assign_ticket", "event": "1", "ticket": "2"}),
    ("/customers/{customer}", {"do": "assign_tag", "event": "1", "uid": "04AABBCCDDEE90"}),
    ("/customers/{customer}", {"do": "activate_tag", "tag": "1"}),
    ("/customers/{customer}", {"do": "ban_tag", "tag": "1", "reason": "x"}),
    ("/customers/{customer}", {"do": "unban_tag", "tag": "1"}),
    *(
        ("/customers/{customer}", {"do": f"{verb}_ticket", "event": "1", "ticket": "1"})
        for verb in ("ban", "unban", "redeem", "unredeem")
    ),
    ("/orders/{order}", {"do": "cancel", "line": "77", "reason": "x"}),
    ("/unsold", {"code": "DEMO-4711"}),
)  # fmt: skip


async def test_no_form_reaches_what_is_anothers(town: Town) -> None:
    before = dump(town.venue.centre.database)
    async with browser_of(town.venue, "rival@venue.test") as theirs:
        for path, form in FORMS:
            sent = {name: value.format(**town.own) for name, value in form.items()}
            async with theirs.post(path.format(**town.own), data=sent) as answer:
                page = await answer.text()
                assert answer.status in {404, 422}, (path, form, answer.status)
                assert not [name for name in OURS if name in page], path
    assert dump(town.venue.centre.database) == before
    assert query(
        town.venue, "SELECT count(*) FROM audit_log WHERE organization_id = 1 AND actor_name = 'rival'"
    ) == [(0,)]


async def test_every_button_of_our_pages_is_walked_for_others(town: Town) -> None:
    """Buttons that a page offers its own people are in `FORMS` wherever they name more than the page's own thing."""
    walked = {form["do"] for _, form in FORMS if "do" in form}
    async with (
        browser_of(town.venue, "organizer@venue.test") as ours,
        ours.get(f"/customers/{town.customer}") as answer,
    ):
        offered = set(re.findall(r'name="do" value="(\w+)"', await answer.text()))
    own_alone = {"edit", "shown_name", "ban", "unban"}
    assert {"assign_ticket", "ban_tag", "redeem_ticket"} <= offered
    assert offered - own_alone <= walked


def test_the_dump_sees_a_change(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    try:
        before = dump(database)
        other_organization(database)
        assert dump(database) != before
    finally:
        database.close()
