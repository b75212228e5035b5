"""Names, origins and headers: whose pages may speak to the centre, and what every answer carries."""

import pytest

from sync.accounts import sessions
from sync.accounts.principal import Role
from sync.web.perimeter import Hosts, host_name
from tests.sync.people import Caller, person, token_of
from tests.sync.venue import Venue, query

ME = "/api/v1/me"


def session_of(venue: Venue, role: Role = Role.OWNER) -> str:
    number = person(venue.centre.database, "boss@venue.test", role)
    with venue.centre.database.writing() as connection:
        return sessions.begin(connection, number, venue.now_s)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Tickets.Example.", "tickets.example"), ("a:8080", "a"), ("[::1]:80", "::1"), ("[::1", ""), ("a:80:80", ""),
        ("a:x", ""), ("", ""), ("a:٣", ""),
    ],
)  # fmt: skip
def test_a_host_header_is_read(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("localhost:8080", True), ("127.0.0.1", True), ("[::1]:1", True), ("tickets.example", True),
        ("TICKETS.example:443", True), ("192.0.2.7", True), ("192.0.2.8", False), ("evil.example", False), ("", False),
        ("tickets.example.evil.example", False), ("127.0.0.1.evil.example", False),
    ],
)  # fmt: skip
def test_the_centre_answers_to_its_names_only(host: str, fits: bool) -> None:
    assert Hosts(["tickets.example"]).allowed(host, "192.0.2.7") is fits


async def test_a_foreign_name_that_leads_here_gets_nothing_not_even_with_a_cookie(venue: Venue) -> None:
    async with Caller(venue.url, Cookie=f"session={session_of(venue)}") as browser:
        assert (await browser.ask("GET", ME)).status == 200
        said = await browser.ask("GET", ME, Host="evil.example")
        assert (said.status, said.code) == (421, "misdirected")
        assert (await browser.ask("GET", "/", Host="evil.example")).status == 421
        assert (await browser.ask("GET", "/healthz", Host="evil.example")).status == 200


async def test_a_gate_has_its_list_by_whatever_name_it_was_enrolled_with(venue: Venue) -> None:
    async with Caller(venue.url) as gate:
        said = await gate.ask("GET", f"/api/v1/snapshots/{'0' * 64}", Host="centre.lan")
    assert said.status == 404


@pytest.mark.parametrize(
    ("headers", "fits"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "HERE"}, True),
        ({"Origin": "HERE"}, True),
        ({}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "HERE"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, False),
    ],
)
async def test_only_our_own_page_changes_something_with_a_cookie(
    venue: Venue, headers: dict[str, str], fits: bool
) -> None:
    body = {"name": "x", "role": "viewer", "expires_s": venue.now_s + 60}
    sent = {name: value.replace("HERE", venue.url) for name, value in headers.items()}
    async with Caller(venue.url, Cookie=f"session={session_of(venue)}") as browser:
        said = await browser.ask("POST", "/api/v1/tokens", body, **sent)
    assert (said.status, said.code) == ((201, "") if fits else (403, "other_site"))
    assert query(venue, "SELECT count(*) FROM api_token") == [(int(fits),)]


async def test_a_token_needs_no_origin_and_beats_a_cookie(venue: Venue) -> None:
    viewer = token_of(venue.centre.database, Role.VIEWER)
    async with Caller(venue.url, viewer, Cookie=f"session={session_of(venue)}") as program:
        assert (await program.ask("GET", ME)).json["role"] == "viewer"
        said = await program.ask("POST", "/api/v1/tokens", {}, Origin="https://evil.example")
        assert said.code == "role"


async def test_every_answer_carries_the_headers(venue: Venue) -> None:
    async with Caller(venue.url, token_of(venue.centre.database, Role.OWNER)) as program:
        for method, path in (
            ("GET", ME),
            ("GET", "/nowhere"),
            ("PUT", ME),
            ("GET", "/healthz"),
            ("GET", "/sign-in"),
        ):
            said = await program.ask(method, path)
            assert said.headers["X-Content-Type-Options"] == "nosniff", path
            assert "default-src 'none'" in said.headers["Content-Security-Policy"], path
            assert said.headers["X-Frame-Options"] == "DENY", path
            assert "no-store" in said.headers["Cache-Control"], path
            assert "aiohttp" not in said.headers.get("Server", ""), path
            assert "Access-Control-Allow-Origin" not in said.headers, path
