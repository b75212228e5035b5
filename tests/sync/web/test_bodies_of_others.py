"""What a body names of another organization is refused as what is not there, wherever the API takes a number in a body."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sync.accounts.principal import Role
from sync.web.app import api_routes
from tests.sync.people import Caller, other_organization, token_of
from tests.sync.venue import query, venue_at

API = "/api/v1"
UID = "04A1B2C3D4E580"
NAMING = {
    "event", "group", "ticketing", "customer", "pass_kind", "gate", "zone", "zones", "parent", "venue", "tickets", "lines",
    "contents", "sessions", "product", "session",
}  # fmt: skip
"""Fields of bodies that name something by its number. Those of one's own event are told apart by the event alone."""


@dataclass
class House:
    """What an organization has, by its numbers."""

    caller: Caller
    venue: int
    group: int
    zone: int
    ticketing: int
    event: int
    product: int
    kind: int
    gate: int
    ticket: int
    customer: int


async def build(caller: Caller, name: str) -> House:
    async def make(path: str, body: dict[str, Any]) -> Any:
        said = await caller.ask("POST", f"{API}/{path}", body)
        assert said.status == 201, (path, said.json)
        return said.json

    venue = (await make("venues", {"name": name}))["id"]
    group = (await make("groups", {"name": name, "venue": venue}))["id"]
    zone = (await make(f"groups/{group}/zones", {"name": "Hall"}))["id"]
    if name == "ours":  # so that no number of ours is one of theirs by chance
        zone = (await make(f"groups/{group}/zones", {"name": "Stand"}))["id"]
    ticketing = (await make("ticketings", {"name": name, "currency": "CHF"}))["id"]
    event = (await make("events", {"group": group, "name": name, "ticketing": ticketing, "state": "open"}))[
        "id"
    ]
    product = (await make(f"events/{event}/products", {"name": "Day", "currency": "CHF", "zones": [zone]}))[
        "id"
    ]
    contents = [{"event": event, "product": product}]
    kind = (await make("pass-kinds", {"ticketing": ticketing, "name": "Pass", "contents": contents}))["id"]
    gate = (await make(f"groups/{group}/gates", {"name": f"Gate of {name}", "zones": [zone]}))["id"]
    line = {"event": event, "product": product}
    order = await make("orders", {"ticketing": ticketing, "payment": "cash", "lines": [line]})
    ticket = order["lines"][0]["ticket"]
    customer = (await make("claims", {"tickets": [{"event": event, "ticket": ticket}]}))["id"]
    return House(caller, venue, group, zone, ticketing, event, product, kind, gate, ticket, customer)


@dataclass
class Two:
    ours: House
    theirs: House
    look: Any


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with venue_at(tmp_path / "centre") as venue:
        database = venue.centre.database
        rival = other_organization(database)
        async with (
            Caller(venue.url, token_of(database, Role.OWNER)) as we,
            Caller(venue.url, token_of(database, Role.OWNER, rival)) as they,
        ):
            yield Two(
                await build(we, "ours"), await build(they, "theirs"), lambda sql: query(venue, sql)[0][0]
            )


def asked(o: House, t: House) -> dict[str, tuple[str, dict[str, Any]]]:
    """What the rival `t` asks with numbers of `o`, by operation: a path, and a body."""
    of_ours, own = {"event": o.event, "product": o.product}, {"event": t.event, "product": t.product}
    ticket = {"event": o.event, "ticket": o.ticket}
    cash: dict[str, Any] = {"payment": "cash", "ticketing": t.ticketing}
    kind = {"name": "x", "ticketing": t.ticketing}
    lane = {"zone": t.zone, "sessions": [[o.event, 1]]}
    event = {"name": "x", "group": t.group, "ticketing": t.ticketing}
    closed = {"state": "closed"}
    return {
        "group of our venue": ("POST groups", {"name": "x", "venue": o.venue}),
        "group moved to our venue": (f"PUT groups/{t.group}", {"name": "x", "venue": o.venue}),
        "event of our group": ("POST events", {**event, "group": o.group}),
        "event on sale in ours": ("POST events", {**event, "ticketing": o.ticketing}),
        "event put on sale in ours": (f"PUT events/{t.event}", {**event, "ticketing": o.ticketing}),
        "event moved to our group": (f"PUT events/{t.event}", {**event, "group": o.group}),
        "product that opens our zone": (f"POST events/{t.event}/products", {"name": "x", "currency": "CHF", "zones": [o.zone]}),
        "session of our zone": (f"POST events/{t.event}/sessions", {"name": "x", "starts_s": 9, "zone": o.zone}),
        "zone in our zone": (f"POST groups/{t.group}/zones", {"name": "x", "parent": o.zone}),
        "token of our event": ("POST tokens", {"name": "x", "role": "viewer", "expires_s": 1_795_400_000, "event": o.event}),
        "order in our ticketing": ("POST orders", {**cash, "ticketing": o.ticketing, "lines": [own]}),
        "order of our event": ("POST orders", {**cash, "lines": [of_ours]}),
        "order for our customer": ("POST orders", {**cash, "customer": o.customer, "lines": [own]}),
        "order of our pass": ("POST orders", {**cash, "lines": [{"pass_kind": o.kind}]}),
        "pass in our ticketing": ("POST pass-kinds", {**kind, "ticketing": o.ticketing, "contents": [own]}),
        "pass of our event": ("POST pass-kinds", {**kind, "contents": [of_ours]}),
        "claim of our ticket": ("POST claims", {"tickets": [ticket]}),
        "our ticket to their customer": (f"POST customers/{t.customer}/tickets", {"tickets": [ticket]}),
        "tag at our event": (f"POST customers/{t.customer}/tags", {"event": o.event, "uid": UID, "product": o.product}),
        "activation at our event": ("POST activations", {"event": o.event, "uid": UID, "product": o.product}),
        "exchange for our event": (f"POST events/{t.event}/tickets/{t.ticket}/exchange", of_ours),
        "gate of our zone": (f"POST groups/{t.group}/gates", {"name": "x", "zones": [o.zone]}),
        "gate put to our zone": (f"PUT gates/{t.gate}", {"name": "x", "zones": [o.zone]}),
        "lane into our zone": (f"PUT gates/{t.gate}/lanes/1", {"zone": o.zone}),
        "lane for our event": (f"PUT gates/{t.gate}/lanes/1", lane),
        "our gate closed": (f"POST groups/{t.group}/lane-states", {**closed, "gate": o.gate}),
        "our lane closed": (f"POST groups/{t.group}/lane-states", {**closed, "gate": o.gate, "lane": 1}),
        "our zone closed": (f"POST groups/{t.group}/lane-states", {**closed, "zone": o.zone}),
        "scan at our gate": (f"POST events/{t.event}/redeem", {"scan_id": "one-scan", "code": "x", "gate": o.gate, "lane": 1}),
        "scan into our zone": (f"POST events/{t.event}/redeem", {"scan_id": "another-scan", "code": "x", "zone": o.zone}),
    }  # fmt: skip


async def test_what_a_body_names_of_another_is_refused_and_changes_nothing(two: Two) -> None:
    def state() -> tuple[Any, ...]:
        ours = f"SELECT version FROM event WHERE id = {two.ours.event}"
        return two.look("SELECT count(*) FROM audit_log"), two.look(ours)

    before = state()
    for name, (what, body) in asked(two.ours, two.theirs).items():
        method, _, path = what.partition(" ")
        said = await two.theirs.caller.ask(method, f"{API}/{path}", body)
        assert said.status in {404, 409, 422}, (name, said.status, said.body)
        assert said.code != "bad_body", (name, said.json)
    assert state() == before


async def test_every_body_that_names_something_is_asked_about(two: Two) -> None:
    walked = {what.partition(" ")[0] + " " + _shape(what) for what, _ in asked(two.ours, two.theirs).values()}
    naming = {
        f"{route.method} {_shape('x ' + route.plain_path.removeprefix(API + '/'))}"
        for route in api_routes()
        if route.writes and NAMING & set(getattr(route.body, "__struct_fields__", ()))
    }
    # Changes of what is made by the same body; a list is a file, and an annul names a record.
    same = {f"PUT events/#/{one}/#" for one in ("products", "sessions")} | {"PUT groups/#/zones/#"}
    assert naming - same - walked == {"POST orders/#/split", "POST orders/#/cancel"}, (
        "their lines are the path's"
    )


def _shape(what: str) -> str:
    path = what.partition(" ")[2]
    return "/".join("#" if one.isdigit() or one.startswith("{") else one for one in path.split("/"))
