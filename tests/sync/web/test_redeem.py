"""Redeem and annul for other people's scanners: the same answers as a gate's, one use for one ticket, one true log."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.chain import verify
from admission.credentials import Medium
from admission.entitlements import Standing
from admission.ids import Epoch, GateId, RecordId, TicketId
from admission.records import Flag, record_from_bytes
from sync import demo
from sync.accounts.principal import Role
from sync.store.schema import unsigned
from sync.tickets import changes, rows
from tests.sync.conftest import Home
from tests.sync.pages.evening import GateLog, enrolled
from tests.sync.people import Caller, Said, token_of
from tests.sync.venue import NOW_S, Venue, query, venue_at

REDEEM, ANNUL = (f"/api/v1/events/{demo.EVENT}/{verb}" for verb in ("redeem", "annul"))


class Scanner(Caller):
    """Somebody's scanner at the main gate's first lane."""

    numbers = count(1)

    async def scan(self, said: str = "", scan_id: str = "", **more: Any) -> Said:
        body = {"scan_id": scan_id or f"s{next(self.numbers)}", "gate": demo.MAIN_GATE, "lane": 1, **more}
        if said:
            body["code"] = said
        return await self.ask("POST", REDEEM, body)


@pytest.fixture
async def venue(home: Home) -> AsyncIterator[Venue]:
    async with venue_at(home.data / "centre", home.url) as made:
        yield made


@pytest.fixture
async def scanner(venue: Venue) -> AsyncIterator[Scanner]:
    async with Scanner(venue.url, token_of(venue.centre.database, Role.DEVICE)) as made:
        yield made


def tickets(venue: Venue) -> dict[str, demo.DemoTicket]:
    return {one.key: one for one in demo.demo_tickets(venue.data)}


async def test_every_demo_ticket_is_judged_as_at_the_gate(venue: Venue, scanner: Scanner) -> None:
    seen = 0
    for ticket in tickets(venue).values():
        if ticket.medium is Medium.UID:
            said = await scanner.scan(uid=ticket.data)
        elif 0 < len(ticket.data) <= 4096 and ticket.data.isprintable():
            said = await scanner.scan(ticket.data)
        else:
            continue
        assert said.status == 200, (ticket, said)
        got = (said.json["outcome"], said.json["reason"])
        assert got == (ticket.outcome.name.lower(), ticket.reason.name.lower() if ticket.reason else ""), (
            ticket.key
        )
        seen += 1
    assert seen > 25


async def test_a_ticket_is_used_once_and_free_again_when_annulled(venue: Venue, scanner: Scanner) -> None:
    code = tickets(venue)["day"].data
    first = (await scanner.scan(code, gate=demo.MAIN_GATE, lane=2)).json
    assert first["reason"] == "wrong_zone"
    first = (await scanner.scan(code, gate=None, zone=int(demo.FLOOR), session=1)).json
    assert (first["outcome"], first["ticket"]) == ("grant", 1)
    again = (await scanner.scan(code, gate=None, zone=int(demo.FLOOR), session=1)).json
    assert (again["outcome"], again["reason"], again["used_s"]) == ("deny", "already_used", NOW_S)
    said = await scanner.ask(
        "POST", ANNUL, {"scan_id": "a1", "record": first["record"], "reason": "wrong person"}
    )
    assert (said.status, said.json["ticket"]) == (200, 1)
    again = await scanner.ask(
        "POST", ANNUL, {"scan_id": "a1", "record": first["record"], "reason": "wrong person"}
    )
    assert again.body == said.body
    freed = (await scanner.scan(code, gate=None, zone=int(demo.FLOOR), session=1)).json
    assert freed["outcome"] == "grant"


async def test_an_admission_after_a_restart_that_is_annulled_frees_the_reservation_that_was_caught_too(
    venue: Venue, scanner: Scanner
) -> None:
    ticket = tickets(venue)["day"].data
    terrace, main = (GateLog(gate, demo.EVENT) for gate in (demo.TERRACE_GATE, demo.MAIN_GATE))
    at = terrace.enter(1, demo.DAY, demo.ARENA, NOW_S - 60, passes=False)
    name = RecordId(demo.TERRACE_GATE, terrace.log.epoch, at)
    again = Flag(Flag.AFTER_RESTART | Flag.FLAGGED)
    seq = main.enter(1, demo.DAY, demo.ARENA, NOW_S - 30, flags=again, names=(name,))
    with venue.centre.database.writing() as connection:
        for log in (terrace, main):
            enrolled(connection, log.gate)
            log.push(connection, NOW_S)
    used = (await scanner.scan(ticket)).json
    assert (used["outcome"], used["reason"], used["ticket"]) == ("deny", "already_used", 1)
    record = f"{demo.MAIN_GATE}-{main.log.epoch:016x}-{seq}"
    assert (
        await scanner.ask("POST", ANNUL, {"scan_id": "a2", "record": record, "reason": "x"})
    ).status == 200
    assert (await scanner.scan(ticket)).json["outcome"] == "grant"


async def test_a_limit_per_day_counts_each_day_of_a_session_that_goes_on(venue: Venue) -> None:
    twice, days = tickets(venue)["twice"].data, 3
    token = token_of(venue.centre.database, Role.DEVICE, life_s=days * 86_400)
    async with Scanner(venue.url, token) as scanner:
        for day in range(days):
            venue.now_s = NOW_S + day * 86_400
            said = [(await scanner.scan(twice)).json for _ in range(3)]
            assert [one["outcome"] for one in said] == ["grant", "grant", "deny"], day
            assert said[2]["reason"] == "limit_reached"


async def test_the_same_scan_is_answered_the_same_and_recorded_once(venue: Venue, scanner: Scanner) -> None:
    code = tickets(venue)["day"].data
    said = await asyncio.gather(*(scanner.scan(code, "one", zone=0) for _ in range(8)))
    assert len({one.body for one in said}) == 1
    assert said[0].json["outcome"] == "grant"
    assert query(venue, "SELECT count(*) FROM presence") == [(2,)]  # an entry and its passage
    other = await scanner.scan(tickets(venue)["vip"].data, "one")
    assert (other.status, other.code) == (422, "key_reused")


async def test_many_scanners_at_once_let_one_person_in(venue: Venue, scanner: Scanner) -> None:
    code = tickets(venue)["day"].data
    lane: dict[str, Any] = {"gate": None, "zone": int(demo.FLOOR), "session": 1}
    said = [one.json for one in await asyncio.gather(*(scanner.scan(code, **lane) for _ in range(40)))]
    assert sorted(one["outcome"] for one in said) == ["deny"] * 39 + ["grant"]
    group = tickets(venue)["group"].data
    said = [one.json for one in await asyncio.gather(*(scanner.scan(group, **lane) for _ in range(9)))]
    assert sorted(one["outcome"] for one in said) == ["deny"] * 5 + ["grant"] * 4


async def test_in_out_and_in_again(venue: Venue, scanner: Scanner) -> None:
    lane: dict[str, Any] = {"gate": None, "zone": int(demo.FLOOR), "session": 1, "mode": "entry_exit"}
    season = tickets(venue)["season"].data
    steps = [("entry", "grant"), ("entry", "deny"), ("exit", "grant"), ("entry", "grant")]
    for direction, outcome in steps:
        venue.now_s += 10
        assert (await scanner.scan(season, direction=direction, **lane)).json["outcome"] == outcome
    unknown = (await scanner.scan("nobody's", direction="exit", **lane)).json
    assert (unknown["outcome"], unknown["flagged"]) == ("grant", True)


async def test_a_ticket_by_its_number_and_a_change_a_moment_ago(venue: Venue, scanner: Scanner) -> None:
    assert (await scanner.scan(ticket=1)).json["outcome"] == "grant"
    assert (await scanner.scan(ticket=10**6)).code == "not_found"
    with changes.change(venue.centre.database, [demo.EVENT], NOW_S + 1) as connection:
        rows.set_standing(connection, demo.EVENT, TicketId(2), Standing.CANCELLED)
    assert (await scanner.scan(ticket=2)).json["reason"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "bad_body"),
        ({"code": "x", "ticket": 1}, 422, "bad_body"),
        ({"code": "x", "gate": None}, 422, "no_zone"),
        ({"code": "x", "gate": None, "zone": 2}, 422, "which_session"),
        ({"code": "x", "gate": None, "zone": 2, "session": 9}, 422, "no_session"),
        ({"code": "x", "lane": 9}, 404, "not_found"),
        ({"code": "x", "scan_id": "a b"}, 422, "bad_body"),
        ({"uid": "04A"}, 422, "bad_body"),
    ],
)
async def test_a_scan_that_says_too_little_is_refused(
    venue: Venue, scanner: Scanner, body: dict[str, Any], status: int, code: str
) -> None:
    said = await scanner.scan(**body)
    assert (said.status, said.code) == (status, code)
    assert query(venue, "SELECT count(*) FROM idempotency_key") == [(0,)]


async def test_a_record_of_nothing_is_not_annulled(scanner: Scanner) -> None:
    said = await scanner.ask("POST", ANNUL, {"scan_id": "a", "record": "1-0000000000000001-1"})
    assert said.code == "not_found"


async def test_one_bad_request_among_many_is_its_own(venue: Venue, scanner: Scanner) -> None:
    day = {"scan_id": "x1", "ticket": 1, "gate": demo.MAIN_GATE, "lane": 1}
    async with Caller(venue.url, token_of(venue.centre.database, Role.VIEWER)) as viewer:
        said = await asyncio.gather(
            viewer.ask("POST", REDEEM, day),
            scanner.ask("POST", REDEEM, {**day, "ticket": 99_999}),
            scanner.ask("POST", REDEEM, {**day, "scan_id": "x2"}),
            viewer.ask("POST", REDEEM, {"nonsense": 1}),
        )
    assert [one.code for one in said] == ["role", "not_found", "", "role"]
    assert said[2].json["outcome"] == "grant"


async def test_the_log_is_one_that_everybody_can_check_over_restarts(venue: Venue) -> None:
    token = token_of(venue.centre.database, Role.DEVICE)
    for round_ in range(3):
        venue.now_s = NOW_S + round_
        async with Scanner(venue.url, token) as scanner:
            await asyncio.gather(*(scanner.scan(ticket=number) for number in range(1, 9)))
            await scanner.scan(f"unknown {round_}")
        await venue.stop()
        await venue.start()
    [(gate, public)] = query(venue, "SELECT id, public FROM gate WHERE substr(name, 1, 4) = 'API '")
    assert query(venue, "SELECT count(*) FROM trouble") == [(0,)]
    logs: dict[Epoch, list[tuple[int, bytes]]] = {}
    for epoch, seq, blob in query(
        venue, f"SELECT epoch, seq, blob FROM record WHERE gate_id = {gate} ORDER BY seq"
    ):
        assert isinstance(epoch, int)
        assert isinstance(seq, int)
        assert isinstance(blob, bytes)
        logs.setdefault(Epoch(unsigned(epoch)), []).append((seq, blob))
    assert len(logs) == 3
    assert isinstance(public, bytes)
    assert isinstance(gate, int)
    oldest_first = sorted(logs.items(), key=lambda one: record_from_bytes(one[1][0][1]).time_us)  # type: ignore[union-attr]  # the first is a RESTART
    report = verify(GateId(gate), Ed25519PublicKey.from_public_bytes(public), oldest_first)
    assert report.ok, report
    assert report.unsigned_tail == 0
