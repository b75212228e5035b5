"""Every route of the API, whoever wrote it: each has a rule for who may, and shows nobody else's data.

A new route is walked as soon as it is registered. One whose path names a thing that `OWNERS` does not know fails here.
"""

from dataclasses import dataclass

import pytest

from sync.accounts.owners import OWNERS
from sync.accounts.principal import Role
from sync.web.api import Page, Route
from sync.web.app import api_routes
from tests.sync.people import Caller, other_organization, person, token_of
from tests.sync.venue import Venue, query

ROUTES = {route.key: route for route in api_routes()}
OTHERS = {key: route for key, route in ROUTES.items() if route.role is not None and not route.anywhere}


def filled(route: Route, number: int = 1) -> str:
    """A path with numbers of things that the demo venue has."""
    return route.plain_path.format(**{name: "a" if text else number for name, text in route.parameters})


def is_page(route: Route) -> bool:
    return getattr(route.answer, "__origin__", None) is Page


@dataclass
class Town:
    venue: Venue
    rival: int

    def caller(self, role: Role, *, rival: bool = False, event: int = 0) -> Caller:
        organization = {"organization": self.rival} if rival else {}
        return Caller(self.venue.url, token_of(self.venue.centre.database, role, event=event, **organization))


@pytest.fixture
async def town(venue: Venue) -> Town:
    rival = other_organization(venue.centre.database)
    person(venue.centre.database, "ours@venue.test", Role.OWNER)  # user 1 and token 1 are ours
    token_of(venue.centre.database, Role.VIEWER)
    return Town(venue, rival)


def test_there_are_routes_and_no_two_are_the_same() -> None:
    assert len(ROUTES) == len(api_routes()) > 20
    assert all(route.path.startswith("/api/v1/") for route in ROUTES.values())
    assert not [key for key, route in ROUTES.items() if (route.method != "GET") != route.writes]


def test_every_number_that_begins_a_path_has_an_owner() -> None:
    missing = {
        key: name
        for key, route in ROUTES.items()
        for name, text in route.parameters[:1]
        if text or name not in OWNERS
    }
    assert missing == {}


async def test_nobody_is_answered_without_a_token(town: Town) -> None:
    async with Caller(town.venue.url) as stranger:
        for key, route in ROUTES.items():
            said = await stranger.ask(route.method, filled(route))
            assert route.role is None or (said.status, said.code) == (401, "not_signed_in"), key


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_that_is_too_low_is_refused(town: Town, role: Role) -> None:
    async with town.caller(role) as caller:
        for key, route in OTHERS.items():
            assert route.role is not None
            said = await caller.ask(route.method, filled(route)) if not role.may(route.role) else None
            assert said is None or (said.status, said.code) == (403, "role"), key


async def test_what_is_anothers_is_as_if_it_were_not_there(town: Town) -> None:
    before = query(town.venue, "SELECT count(*) FROM audit_log")
    async with town.caller(Role.OWNER, rival=True) as theirs:
        for key, route in OTHERS.items():
            if not route.parameters:
                continue
            for number in (1, 2**53 - 1, 10**16 - 1):
                said = await theirs.ask(route.method, filled(route, number))
                assert said.code == "not_found", (key, number, said)
    assert query(town.venue, "SELECT count(*) FROM audit_log") == before


async def test_no_list_shows_what_is_anothers(town: Town) -> None:
    walked = 0
    async with town.caller(Role.OWNER) as ours, town.caller(Role.OWNER, rival=True) as theirs:
        for key, route in OTHERS.items():
            if route.method != "GET" or route.parameters:
                continue
            mine, yours = (await ours.ask("GET", route.path)), (await theirs.ask("GET", route.path))
            assert (mine.status, yours.status) in {(200, 200), (400, 400)}, key
            if mine.status == 200 and is_page(route):
                items = [one for one in mine.json["items"] if one in yours.json["items"]]
                assert items == [], key
                walked += 1
    assert walked > 4


async def test_a_token_of_one_event_reaches_no_other(town: Town) -> None:
    async with town.caller(Role.OWNER, event=999) as caller:
        assert (await caller.ask("GET", "/api/v1/me")).json["event"] == 999
        for key, route in OTHERS.items():
            said = await caller.ask(route.method, filled(route))
            expected = "not_found" if "event" in dict(route.parameters) else "token_scope"
            assert said.code == expected, key
