"""What happened to a customer: scans over all gates and changes by people, for those who may see them."""

import html
import re

import aiohttp
import pytest

from admission.reasons import Reason
from sync.accounts.principal import Role
from sync.demo import ARENA, EVENT, MAIN_GATE, TERRACE, TERRACE_GATE
from tests.sync.pages.evening import GateLog, enrolled
from tests.sync.pages.seat import client
from tests.sync.people import PASSWORD, person
from tests.sync.venue import Venue


async def grace(ada: aiohttp.ClientSession) -> int:
    """A customer with tickets 1 and 2, a ban lifted again, and a tag."""
    wanted = {
        "customer": {"first_name": "Grace", "last_name": "Hopper"},
        "tickets": [{"event": EVENT, "ticket": 1}, {"event": EVENT, "ticket": 2}],
    }
    async with ada.post("/api/v1/claims", json=wanted) as answer:
        number = int((await answer.json())["id"])
    for form in (
        {"do": "ban_ticket", "event": "1", "ticket": "1"},
        {"do": "unban_ticket", "event": "1", "ticket": "1"},
        {"do": "assign_tag", "event": "1", "uid": "04AABBCCDDEE80"},
    ):
        async with ada.post(f"/customers/{number}", data=form) as answer:
            assert answer.status == 200
    return number


def scans(venue: Venue) -> None:
    first, second = GateLog(MAIN_GATE, EVENT), GateLog(TERRACE_GATE, EVENT)
    first.enter(1, 1, ARENA, venue.now_s + 10)
    second.enter(2, 1, TERRACE, venue.now_s + 20)
    first.deny(Reason.ALREADY_USED, venue.now_s + 30, ticket=1)
    first.enter(3, 1, ARENA, venue.now_s + 40)
    with venue.centre.database.writing() as connection:
        for log, gate in ((first, MAIN_GATE), (second, TERRACE_GATE)):
            enrolled(connection, gate)
            log.push(connection, venue.now_s)


def lines(page: str) -> list[str]:
    """What is said, line by line."""
    found = re.findall(r"<li .*?</li>", page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", one)).split()) for one in found]


async def test_scans_of_all_gates_and_changes_stand_in_one_order(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    number = await grace(ada)
    scans(venue)
    async with ada.get(f"/customers/{number}/history") as answer:
        assert answer.status == 200
        said = lines(await answer.text())
    assert [re.sub(r" \d\d:\d\d:\d\d .*", "", one) for one in said[:5]] == [
        "Ticket already used Ticket 1 · Main gate",
        "Walked in Ticket 2 · Terrace gate · Terrace",
        "Let in Ticket 2 · Terrace gate · Terrace",
        "Walked in Ticket 1 · Main gate · Arena",
        "Let in Ticket 1 · Main gate · Arena",
    ]
    changed = " | ".join(said[5:])
    for what in (
        "Tag assigned Tag 04AABBCCDDEE80 · Ada Lovelace",
        "Ticket banned Ticket 1",
        "Ticket's ban lifted",
        "Customer made",
    ):
        assert what in changed
    assert "Ticket 3" not in " ".join(said)


async def test_the_profile_loads_it_as_a_part(ada: aiohttp.ClientSession) -> None:
    number = await grace(ada)
    async with ada.get(f"/customers/{number}") as answer:
        assert f'hx-get="/customers/{number}/history"' in await answer.text()
    async with ada.get(f"/customers/{number}/history", headers={"HX-Request": "true"}) as answer:
        part = await answer.text()
    assert "<html" not in part
    assert "Customer made" in part


@pytest.mark.parametrize(
    ("role", "scans_seen", "changes_seen"), [(Role.STEWARD, True, False), (Role.ORGANIZER, True, True)]
)
async def test_who_changed_what_is_for_those_who_see_the_audit_log(
    venue: Venue, ada: aiohttp.ClientSession, role: Role, scans_seen: bool, changes_seen: bool
) -> None:
    number = await grace(ada)
    scans(venue)
    person(venue.centre.database, "bob@home.test", role)
    async with client(venue, signed_in=False) as bob:
        await bob.post("/sign-in", data={"email": "bob@home.test", "password": PASSWORD})
        async with bob.get(f"/customers/{number}/history") as answer:
            page = await answer.text()
    assert ("Walked in" in page) is scans_seen
    assert ("Tag assigned" in page) is changes_seen


async def test_somebody_of_whom_nothing_happened_is_said_to_be_so(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    number = await grace(ada)
    person(venue.centre.database, "eve@home.test", Role.STEWARD)
    async with client(venue, signed_in=False) as eve:
        await eve.post("/sign-in", data={"email": "eve@home.test", "password": PASSWORD})
        async with eve.get(f"/customers/{number}/history") as answer:
            assert "Nothing has happened yet." in await answer.text()
