"""Scanners are told `full` and judged with care while a gate is not heard, as at a gate; the log and the answers hold."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from admission.codecs import cose
from admission.entitlements import Ticket
from admission.ids import Epoch, GateId, ProductId, TicketId, ZoneId
from admission.records import Direction, Flag, Kind, Outcome, Record, Trust, ticket_subject
from sync import demo
from sync.accounts import tokens
from sync.accounts.principal import Role
from sync.accounts.tables import api_token, idempotency_key
from sync.events.tables import zone
from sync.gates.redeem import KEPT_S, PRUNED_MAX
from sync.tickets import changes, rows
from sync.wire.messages import Push
from tests.sync.conftest import Home
from tests.sync.logs import EpochLog
from tests.sync.people import Caller, Said, token_of
from tests.sync.requests import GateClient
from tests.sync.venue import NOW_S, Venue, query, venue_at

EVENTS = [demo.EVENT, demo.OTHER_EVENT]
REDEEM, ANNUL = (f"/api/v1/events/{demo.EVENT}/{verb}" for verb in ("redeem", "annul"))
FIRST = 101


class Scanner(Caller):
    """Somebody's scanner into the floor."""

    numbers = count(1)

    async def scan(self, ticket: int = 0, **more: Any) -> Said:
        body = {"scan_id": f"r{next(self.numbers)}", "zone": int(demo.FLOOR), "session": 1, **more}
        return await self.ask("POST", REDEEM, {**body, "ticket": ticket} if ticket else body)


@pytest.fixture
async def venue(home: Home) -> AsyncIterator[Venue]:
    async with venue_at(home.data / "centre", home.url) as made:
        yield made


@pytest.fixture
async def scanner(venue: Venue) -> AsyncIterator[Scanner]:
    async with Scanner(venue.url, token_of(venue.centre.database, Role.DEVICE)) as made:
        yield made


def sold(venue: Venue, number: int, product: ProductId = demo.SEASON) -> list[int]:
    """Sell so many tickets more; returns their numbers."""
    made = [
        Ticket(TicketId(one), demo.EVENT, product, session=demo.TODAY) for one in range(FIRST, FIRST + number)
    ]
    with changes.change(venue.centre.database, EVENTS, NOW_S) as connection:
        rows.add_tickets(connection, demo.EVENT, made, [])
    return [one.id for one in made]


def holds(venue: Venue, people: int, where: ZoneId = demo.FLOOR) -> None:
    """Let the floor, or another zone, hold so many people."""
    with changes.change(venue.centre.database, EVENTS, NOW_S) as connection:
        connection.execute(update(zone).where(zone.c.id == where).values(capacity=people))


def entries(log: EpochLog, tickets: list[int]) -> EpochLog:
    """Let people into the floor at a gate."""
    for ticket in tickets:
        subject = ticket_subject(demo.EVENT, TicketId(ticket), demo.SEASON)
        for kind, ref in ((Kind.SCAN, 0), (Kind.PASSAGE, len(log.blobs) + 1)):
            body = Record(
                kind, len(log.blobs) + 1, NOW_S * 1_000_000, 1, zone=demo.FLOOR, session=demo.TODAY,
                outcome=Outcome.NONE if ref else Outcome.GRANT, direction=Direction.ENTRY, trust=Trust.SYNCED,
                flags=Flag.TICKET, subject=subject, ref=ref,
            )  # fmt: skip
            log.add(body.to_bytes())
    log.sign()
    return log


async def test_a_zone_is_filled_to_its_last_place_and_no_further(venue: Venue, scanner: Scanner) -> None:
    tickets = sold(venue, 12)
    holds(venue, 3)
    lane = {"mode": "entry_exit"}
    said = [one.json for one in await asyncio.gather(*(scanner.scan(one, **lane) for one in tickets[:10]))]
    assert (
        sorted((one["outcome"], one["reason"]) for one in said)
        == [("deny", "full")] * 7 + [("grant", "")] * 3
    )
    inside = next(one["ticket"] for one in said if one["outcome"] == "grant")
    assert (await scanner.scan(tickets[10], **lane)).json["reason"] == "full"
    assert (await scanner.scan(inside, direction="exit", **lane)).json["outcome"] == "grant"
    assert (await scanner.scan(tickets[10], **lane)).json["outcome"] == "grant"
    await venue.stop()
    await venue.start()
    assert (await scanner.scan(tickets[11], **lane)).json["reason"] == "full"
    holds(venue, 4)
    assert (await scanner.scan(tickets[11], **lane)).json["outcome"] == "grant"


async def test_gates_are_looked_for_only_after_scans_that_change_what_they_are_told(
    venue: Venue, scanner: Scanner
) -> None:
    tickets = sold(venue, 3)
    told: list[None] = []
    venue.centre.database.on_written.append(lambda: told.append(None))
    await scanner.scan(tickets[0])
    assert told  # a replica became a gate, and serves the floor
    told.clear()
    assert [(await scanner.scan(one)).json["outcome"] for one in tickets] == ["deny", "grant", "grant"]
    assert not told
    holds(venue, 3)
    assert len(told) == 1


async def test_who_was_let_in_at_a_gate_takes_room_too(
    venue: Venue, scanner: Scanner, tmp_path: Path
) -> None:
    tickets = sold(venue, 60)
    holds(venue, 4)
    box = await venue.enrolled(tmp_path / "box")
    log = EpochLog(Epoch(7), box.gate, box.key).begin()
    async with GateClient(venue.url, box.gate, box.key) as gate:
        pushed = entries(log, tickets[:2])
        assert (await gate.push(Push((pushed.chunk(),)))).pushed.troubles == ()
        heard(venue, box.gate, NOW_S)
        assert (await scanner.scan(tickets[2])).json["outcome"] == "grant"  # counted before the first of all
        first = len(log.blobs) + 1
        assert (await gate.push(Push((entries(log, tickets[3:4]).chunk(first),)))).pushed.troubles == ()
    venue.mono_now_s = time.monotonic()
    outcomes: list[str] = []
    for ticket in tickets[4:]:  # counted beside the scans: one of the next
        venue.mono_now_s += 2
        outcomes.append((await scanner.scan(ticket, mode="normal")).json["reason"])
        if outcomes[-1] == "full":
            break
        record = query(venue, "SELECT gate, epoch, seq FROM presence WHERE role = 0 ORDER BY seq DESC")[0]
        annulled = {
            "scan_id": f"a{ticket}",
            "record": f"{record[0]}-{int(str(record[1])) % 2**64:016x}-{record[2]}",
        }
        assert (await scanner.ask("POST", ANNUL, annulled)).status == 200
    assert outcomes[-1] == "full"


def heard(venue: Venue, gate: GateId, at_s: int) -> None:
    with venue.centre.database.writing() as connection:
        connection.execute(text("DELETE FROM reading"))
        connection.execute(
            text("INSERT INTO reading (gate_id, n, heard_s) VALUES (:gate, 0, :at_s)"),
            {"gate": gate, "at_s": at_s},
        )


async def test_a_gate_of_the_zone_that_is_not_heard_is_reckoned_with(
    venue: Venue, scanner: Scanner, tmp_path: Path
) -> None:
    tickets = sold(venue, 9, demo.DAY)
    with changes.change(venue.centre.database, EVENTS, NOW_S) as connection:
        rows.add_tickets(
            connection,
            demo.EVENT,
            [Ticket(TicketId(500 + n), demo.EVENT, demo.HOME, session=demo.TODAY) for n in range(2)],
            [],
        )
    assert (await scanner.scan(tickets[0])).json["flagged"] is False  # nobody has a box yet
    box = await venue.enrolled(tmp_path / "box")
    said = (await scanner.scan(tickets[1])).json
    assert (said["outcome"], said["flagged"]) == ("grant", True)
    assert (await scanner.scan(500)).json["outcome"] == "deny"  # only at its home gate meanwhile
    heard(venue, box.gate, NOW_S)
    venue.now_s = NOW_S + 29
    assert (await scanner.scan(tickets[2])).json["flagged"] is False
    assert (await scanner.scan(500)).json["outcome"] == "grant"
    venue.now_s = NOW_S + 30
    assert (await scanner.scan(tickets[3])).json["flagged"] is True
    # A zone with six free places and one gate that is not heard: half of them are the gate's.
    holds(venue, 5 + 6)
    said_all = [(await scanner.scan(one)).json["reason"] for one in tickets[4:9]]
    assert said_all == ["", "", "", "full", "full"]
    heard(venue, box.gate, NOW_S + 30)
    venue.now_s = NOW_S + 31
    assert (await scanner.scan(tickets[8])).json["outcome"] == "grant"


async def test_a_ticket_sold_elsewhere_a_moment_ago_is_used_once(venue: Venue, scanner: Scanner) -> None:
    claims = cose.Claims(
        ticket=77_777, event=demo.EVENT, issued_at=NOW_S, product=demo.DAY, session=demo.TODAY
    )
    code = cose.mint(claims, venue.centre.keys.ticket_key)
    said = [one.json for one in await asyncio.gather(*(scanner.scan(code=code) for _ in range(4)))]
    assert sorted(one["outcome"] for one in said) == ["deny"] * 3 + ["grant"]
    assert (await scanner.scan(code=code)).json["reason"] == "already_used"


async def test_a_token_that_ends_lets_nobody_in_from_then_on(venue: Venue, scanner: Scanner) -> None:
    tickets = sold(venue, 4)
    stolen = token_of(venue.centre.database, Role.DEVICE)
    async with Scanner(venue.url, stolen) as thief:
        assert (await thief.scan(tickets[0])).status == 200
        with venue.centre.database.writing() as connection:
            connection.execute(
                update(api_token)
                .where(api_token.c.digest == tokens.sent_digest(stolen))
                .values(revoked_s=NOW_S)
            )
        said = await asyncio.gather(*(who.scan(tickets[1]) for who in (thief, scanner, thief)))
        assert [one.status for one in said] == [401, 200, 401]
    venue.now_s = NOW_S + 3600
    assert (await scanner.scan(tickets[2])).status == 401


async def test_a_log_that_stands_elsewhere_is_not_gone_on_with(venue: Venue, scanner: Scanner) -> None:
    tickets = sold(venue, 5)
    for one in tickets[:2]:
        assert (await scanner.scan(one)).json["outcome"] == "grant"
    with venue.centre.database.writing() as connection:
        connection.execute(text("UPDATE log_epoch SET seq = seq + 1"))
    assert (await scanner.scan(tickets[2])).code == "internal"
    assert query(venue, f"SELECT count(*) FROM presence WHERE ticket = {tickets[2]}") == [(0,)]
    again = (await scanner.scan(tickets[2])).json
    assert again["outcome"] == "grant"
    assert len(query(venue, "SELECT epoch FROM log_epoch")) == 2


async def test_every_record_of_ours_reaches_the_gates_in_order(venue: Venue, scanner: Scanner) -> None:
    await asyncio.gather(*(scanner.scan(one) for one in sold(venue, 30)))
    await scanner.scan(FIRST)
    [(last, head)] = query(venue, "SELECT seq, head_seq FROM log_epoch")
    assert isinstance(last, int)
    assert head == last - 1
    pieces = query(venue, "SELECT n, first_seq, last_seq FROM arrival ORDER BY n")
    assert [one[0] for one in pieces] == list(range(1, len(pieces) + 1))
    assert [1, *(int(str(one[2])) + 1 for one in pieces)] == [*(one[1] for one in pieces), last + 1]
    assert query(venue, "SELECT count(*), max(seq) FROM record") == [(last, last)]


@pytest.mark.parametrize("record", ["denial", "other event"])
async def test_only_an_admission_of_the_event_is_annulled(
    venue: Venue, scanner: Scanner, record: str
) -> None:
    (ticket,) = sold(venue, 1, demo.DAY)
    granted, denied = (await scanner.scan(ticket)).json, (await scanner.scan(ticket)).json
    body = {"scan_id": "a", "record": granted["record"] if record == "other event" else denied["record"]}
    path = ANNUL if record == "denial" else f"/api/v1/events/{demo.OTHER_EVENT}/annul"
    assert (await scanner.ask("POST", path, body)).code == "not_found"


async def test_old_answers_are_forgotten_a_few_at_a_time(venue: Venue, scanner: Scanner) -> None:
    old = {
        "principal": "event:1",
        "request": bytes(32),
        "status": 200,
        "body": b"{}",
        "made_s": NOW_S - KEPT_S - 1,
    }
    kept = [
        {**old, "route": "redeem", "key": "young", "made_s": NOW_S - KEPT_S},
        {**old, "route": "POST /api/v1/orders", "key": "other"},
    ]
    with venue.centre.database.writing() as connection:
        many = [
            {**old, "route": "redeem", "key": f"old {n}", "body": bytes(32)} for n in range(PRUNED_MAX + 3)
        ]
        connection.execute(insert(idempotency_key), [*many, *kept])
    tickets = sold(venue, 4)
    counted = "SELECT count(*) FROM idempotency_key WHERE body = request"
    left = []
    for ticket, later_s in zip(tickets, (0, 61, 2, 2), strict=True):
        venue.mono_now_s = venue.mono_s() + later_s
        assert (await scanner.scan(ticket)).status == 200
        # the next scan is answered after what was pruned behind this one
        assert (await scanner.scan(ticket)).status == 200
        left += [one[0] for one in query(venue, counted)]
    assert left == [PRUNED_MAX + 3, 3, 0, 0]
    names = query(venue, "SELECT key FROM idempotency_key WHERE key IN ('young', 'other') ORDER BY key")
    assert names == [("other",), ("young",)]
