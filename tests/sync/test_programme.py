"""An event from nothing, by the API alone, on both engines; and what an organization may not do to another's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admission.ids import GateId
from edge.enrol import enrol
from sync.accounts.principal import Role
from sync.gates import enrolment, lists, roster
from sync.store.database import CentreFault
from sync.tickets import changes
from tests.sync.conftest import Home
from tests.sync.people import OURS, Caller, other_organization, token_of
from tests.sync.requests import NOW_S
from tests.sync.venue import Venue, venue_at

API = "/api/v1"


@pytest.fixture
async def centre(home: Home) -> AsyncIterator[Venue]:
    async with venue_at(home.data / "centre", home.url) as made:
        yield made


async def made(caller: Caller, path: str, body: dict[str, object]) -> dict[str, object]:
    said = await caller.ask("POST", f"{API}/{path}", body)
    assert said.status == 201, said.json
    return dict(said.json)


async def items(caller: Caller, path: str) -> list[dict[str, object]]:
    said = await caller.ask("GET", f"{API}/{path}")
    assert said.status == 200, said.json
    return list(said.json["items"])


async def test_an_event_from_nothing(centre: Venue) -> None:
    database = centre.centre.database
    async with Caller(centre.url, token_of(database, Role.ORGANIZER)) as caller:
        venue = await made(caller, "venues", {"name": "Hall", "timezone": "Europe/Zurich"})
        shop = await made(caller, "ticketings", {"name": "Box office", "currency": "CHF"})
        group = await made(caller, "groups", {"name": "Season", "venue": venue["id"]})
        number = group["id"]
        outer = await made(caller, f"groups/{number}/zones", {"name": "Hall", "capacity": 900})
        inner = await made(caller, f"groups/{number}/zones", {"name": "Stalls", "parent": outer["id"]})
        event = await made(
            caller, "events", {"group": number, "name": "Concert", "ticketing": shop["id"], "starts_s": NOW_S}
        )
        assert (event["timezone"], event["state"], event["version"]) == ("Europe/Zurich", "draft", 1)
        # 23:30 UTC is the next day in Zurich
        late = {"name": "Night", "starts_s": 1_782_862_200, "ends_s": 1_782_870_000, "zone": inner["id"]}
        session = await made(caller, f"events/{event['id']}/sessions", late)
        assert session["day"] == 20260701
        product = {
            "name": "Stalls", "price_minor": 4_550, "currency": "CHF", "quota": 300, "zones": [inner["id"]],
            "session": session["id"], "mode": "entry_exit", "limit_total": 4, "admits": 2, "offline": "deny",
            "attention": ["id", "note"], "sale_until_s": NOW_S + 5,
        }  # fmt: skip
        ticket = await made(caller, f"events/{event['id']}/products", product)
        assert {**ticket, **product} == ticket
        assert await items(caller, f"events/{event['id']}/products") == [ticket]
        opened = {"group": number, "name": "Concert", "state": "open", "ticketing": shop["id"]}
        said = await caller.ask("PUT", f"{API}/events/{event['id']}", opened)
        assert (said.status, said.json["state"], said.json["version"]) == (200, "open", 4)
        renamed = {**late, "name": "Late"}
        said = await caller.ask("PUT", f"{API}/events/{event['id']}/sessions/{session['id']}", renamed)
        assert said.json["name"] == "Late"
        with changes.change(database, (), NOW_S) as connection:
            roster.add_gate(connection, roster.Gate(GateId(9), "South", ()), (), int(str(number)))
        with database.reading() as connection:
            head, _ = lists.content(connection, int(str(number)))
        assert [one.name for one in head.products] == ["Stalls"]
        assert [one.name for one in head.zones] == ["Hall", "Stalls"]
        assert [one.name for one in head.sessions] == ["Late"]
        assert [(one.name, one.version) for one in head.events] == [("Concert", 5)]
        assert [one.format for one in head.keys] == ["tk1"]
        assert [one.name for one in head.gates] == ["South"]


MISFITS: tuple[tuple[str, dict[str, object], int, str], ...] = (
    ("venues", {"name": "X", "timezone": "Nowhere/At_all"}, 422, "unknown_timezone"),
    ("groups", {"name": "X", "venue": 999}, 404, "not_found"),
    ("events", {"name": "X", "group": 999}, 404, "not_found"),
    ("events", {"name": "X", "group": 1, "ticketing": 999}, 404, "not_found"),
    ("events", {"name": "X", "group": 1, "starts_s": 9, "ends_s": 8}, 422, "bad_times"),
    ("events/1/sessions", {"name": "X", "starts_s": 9, "zone": 999}, 422, "unknown_zone"),
    ("events/999/sessions", {"name": "X", "starts_s": 9}, 404, "not_found"),
    ("groups/1/zones", {"name": "X", "parent": 999}, 422, "bad_zone"),
    ("events/1/products", {"name": "X", "currency": "CHF", "zones": [999]}, 422, "unknown_zone"),
    ("events/1/products", {"name": "X", "currency": "CHF", "session": 999}, 422, "unknown_session"),
)


async def test_the_days_of_sessions_follow_when_an_events_time_zone_is_put_right(centre: Venue) -> None:
    async with Caller(centre.url, token_of(centre.centre.database, Role.ORGANIZER)) as caller:
        group = await made(caller, "groups", {"name": "Season"})
        wanted = {"group": group["id"], "name": "Concert", "state": "open"}
        event = await made(caller, "events", {**wanted, "timezone": "UTC"})
        path = f"events/{event['id']}/sessions"
        night = await made(caller, path, {"name": "Night", "starts_s": 1_782_862_200})  # 23:30 UTC
        assert night["day"] == 20260630
        said = await caller.ask("PUT", f"{API}/events/{event['id']}", {**wanted, "timezone": "Europe/Zurich"})
        assert said.status == 200
        assert [one["day"] for one in await items(caller, path)] == [20260701]


async def test_what_does_not_fit_is_refused_and_changes_nothing(centre: Venue) -> None:
    async with Caller(centre.url, token_of(centre.centre.database, Role.ORGANIZER)) as caller:
        before = [await items(caller, path) for path in ("events", "groups/1/zones", "events/1/products")]
        for path, body, status, code in MISFITS:
            said = await caller.ask("POST", f"{API}/{path}", body)
            assert (said.status, said.code) == (status, code), path
        said = await caller.ask("PUT", f"{API}/groups/1/zones/1", {"name": "Arena", "parent": 3})
        assert (said.status, said.code) == (422, "bad_zone"), "it would lie inside itself"
        after = [await items(caller, path) for path in ("events", "groups/1/zones", "events/1/products")]
        assert after == before


async def test_two_organizations_name_their_gates_alike_and_each_box_joins_its_own(
    centre: Venue, tmp_path: Path
) -> None:
    database = centre.centre.database
    rival = other_organization(database)
    numbers = []
    for organization in (OURS, rival):
        async with Caller(centre.url, token_of(database, Role.OWNER, organization)) as caller:
            group = await made(caller, "groups", {"name": "Season"})
            path = f"groups/{group['id']}/gates"
            gate = await made(caller, path, {"name": "North 1"})
            again = await caller.ask("POST", f"{API}/{path}", {"name": "North 1"})
            assert again.code == "name_taken", "two of one group are told apart"
            other = await made(caller, path, {"name": "North 2"})
            said = await caller.ask("PUT", f"{API}/gates/{other['id']}", {"name": "North 1"})
            assert said.code == "name_taken"
            code = (await caller.ask("POST", f"{API}/gates/{gate['id']}/codes", {})).json["code"]
            box = await asyncio.to_thread(enrol, tmp_path / str(organization), centre.url, code, "box")
            assert (box.gate, box.name, box.group) == (gate["id"], "North 1", group["id"])
            numbers.append(gate["id"])
    with database.reading() as connection:
        for number in numbers:
            assert enrolment.named(connection, str(number)) == number
        with pytest.raises(CentreFault, match="2 gates are named 'North 1'") as fault:
            enrolment.named(connection, "North 1")
    assert all(f"{number} (Season, " in fault.value.hint for number in numbers)


async def test_nobody_sees_or_takes_what_is_anothers(centre: Venue) -> None:
    database = centre.centre.database
    rival = other_organization(database)
    async with Caller(centre.url, token_of(database, Role.OWNER, rival)) as caller:
        for path in ("venues", "ticketings", "groups", "events"):
            assert await items(caller, path) == []
        assert [one["name"] for one in await items(caller, "organizations")] == ["The rival"]
        for path in ("events/1", "events/1/sessions", "events/1/products", "groups/1/zones"):
            assert (await caller.ask("GET", f"{API}/{path}")).status == 404
        for path, body in (
            ("organizations/1", {"name": "Mine"}),
            ("venues/1", {"name": "Mine"}),
            ("groups/1", {"name": "Mine"}),
            ("groups/1/zones/1", {"name": "Mine"}),
            ("events/1", {"name": "Mine", "group": 1}),
            ("events/1/sessions/1", {"name": "Mine", "starts_s": 5}),
            ("events/1/products/1", {"name": "Mine", "currency": "CHF"}),
        ):
            assert (await caller.ask("PUT", f"{API}/{path}", body)).status == 404
        own = await made(caller, "groups", {"name": "Own"})
        said = await caller.ask("POST", f"{API}/groups", {"name": "Own", "venue": 1})
        assert said.status == 404
        theirs = {"name": "Mine", "group": own["id"]}
        assert (await caller.ask("PUT", f"{API}/events/1", theirs)).status == 404
    async with Caller(centre.url, token_of(database, Role.VIEWER)) as caller:
        assert (await caller.ask("POST", f"{API}/venues", {"name": "X"})).status == 403
        assert [one["name"] for one in await items(caller, "venues")] == ["Demo arena"]
