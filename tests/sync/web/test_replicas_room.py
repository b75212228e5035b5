"""Replicas of one database fill a zone together, and gates know that they do; a gate and they share what is free at a cut.

Two `Redeemer`s over one database are what two processes on one PostgreSQL are; on SQLite it is the same code.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from admission.codecs import cose
from admission.credentials import CredentialKind, Medium
from admission.digests import ticket_digest
from admission.entitlements import CredentialStanding, Standing, Ticket, ZoneTree
from admission.ids import Epoch, EventId, GateId, TicketId, ZoneId
from admission.observed import COLUMNS, PresenceRow, from_columns
from admission.presence import fold
from admission.question import LaneFacts
from admission.reasons import Reason
from admission.records import Direction, Flag
from admission.resets import Resets
from edge.clock import TrustedTime
from edge.judge import Judge
from sync import demo
from sync.accounts.principal import Role
from sync.compose import Centre, listen
from sync.events import rows as events
from sync.events.rows import GROUP
from sync.gates import lists, own_log, tables
from sync.gates.room import MOVES_KEPT
from sync.tickets import changes, rows
from sync.wire.feed import Ask, unpack_feed
from sync.wire.messages import Push
from tests.sync.conftest import Home
from tests.sync.desk import StillClock, Tables
from tests.sync.logs import EpochLog
from tests.sync.people import token_of
from tests.sync.requests import GateClient
from tests.sync.venue import NOW_S, Venue, venue_at
from tests.sync.web.test_redeem_room import EVENTS, FIRST, Scanner, entries, heard, holds, sold

LANE = {"mode": "entry_exit"}


@dataclass
class Pair:
    """Two replicas, and scanners at each."""

    venue: Venue
    scanners: list[Scanner]


@pytest.fixture
async def pair(home: Home) -> AsyncIterator[Pair]:
    async with venue_at(home.data / "centre", home.url) as venue:
        data = home.data / "second"
        data.mkdir()
        other = await listen(
            Centre(data, venue.centre.database, venue.centre.keys), "127.0.0.1", 0,
            now_s=lambda: venue.now_s, mono_s=venue.mono_s,
        )  # fmt: skip
        token = token_of(venue.centre.database, Role.DEVICE)
        try:
            async with Scanner(venue.url, token) as one, Scanner(other.url, token) as two:
                yield Pair(venue, [one, two])
        finally:
            await other.stop()


def reasons(said: Iterable[Any]) -> Counter[str]:
    return Counter(one.json["reason"] or one.json["outcome"] for one in said)


def inside(venue: Venue) -> int:
    """How many people the whole of the logs says are on the floor."""
    return sum(
        fold(found, [], zones(venue)).bounds(demo.FLOOR).high for found in rows_by_ticket(venue).values()
    )


def zones(venue: Venue) -> ZoneTree:
    with venue.centre.database.reading() as connection:
        head, _ = lists.content(connection, GROUP)
    return Tables(head, []).judge(demo.MAIN_GATE).venue.zones


def rows_by_ticket(venue: Venue) -> dict[tuple[int, int], list[PresenceRow]]:
    found: dict[tuple[int, int], list[PresenceRow]] = {}
    with venue.centre.database.reading() as connection:
        for columns in connection.execute(select(*[tables.presence.c[name] for name in COLUMNS])):
            row = from_columns(tuple(columns))
            found.setdefault((row.event, row.ticket), []).append(row)
    return found


async def test_two_replicas_fill_a_zone_to_its_last_place_and_no_further(pair: Pair) -> None:
    tickets = sold(pair.venue, 60)
    holds(pair.venue, 17)
    said = await asyncio.gather(*(pair.scanners[n % 2].scan(one, **LANE) for n, one in enumerate(tickets)))
    assert reasons(said) == Counter({"grant": 17, "full": 43})
    assert inside(pair.venue) == 17
    let_in = [one.json["ticket"] for one in said if one.json["outcome"] == "grant"]
    # people leave at one replica while others come at the other, again and again
    chance = random.Random(1)
    waiting = [one for one in tickets if one not in let_in]
    for _ in range(6):
        chance.shuffle(let_in)
        leaving, let_in = let_in[:5], let_in[5:]
        coming = chance.sample(waiting, 9)
        said = await asyncio.gather(
            *(pair.scanners[0].scan(one, direction="exit", **LANE) for one in leaving),
            *(pair.scanners[one % 2].scan(one, **LANE) for one in coming),
        )
        entered = [one.json["ticket"] for one in said[5:] if one.json["outcome"] == "grant"]
        assert all(one.json["outcome"] == "grant" for one in said[:5]), "nobody is kept from leaving"
        let_in += entered
        waiting = [one for one in waiting if one not in entered] + leaving
        assert inside(pair.venue) == len(let_in) <= 17
    while inside(pair.venue) < 17:
        before = inside(pair.venue)
        said_one = await pair.scanners[before % 2].scan(waiting.pop(), **LANE)
        assert said_one.json["outcome"] == "grant", "nobody is refused for a place that is free"
    assert (await pair.scanners[0].scan(waiting[0], **LANE)).json["reason"] == "full"


async def test_a_replica_that_was_not_asked_for_long_knows_who_came_meanwhile(
    pair: Pair, tmp_path: Path
) -> None:
    venue = pair.venue
    tickets = sold(venue, 20)
    holds(venue, 6)
    box = await venue.enrolled(tmp_path / "box")
    venue.mono_now_s = time.monotonic()
    one, two = pair.scanners
    assert reasons([await two.scan(tickets[0])]) == Counter(["grant"])
    for ticket in tickets[1:3]:
        assert reasons([await one.scan(ticket)]) == Counter(["grant"])
    # what it was not told of by moves, it counts: as if the other had been asked a hundred thousand times since
    with venue.centre.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE room_move SET n = n + {MOVES_KEPT} WHERE n > 1")
    log = EpochLog(Epoch(7), box.gate, box.key).begin()
    async with GateClient(venue.url, box.gate, box.key) as gate:
        assert (await gate.push(Push((entries(log, tickets[3:6]).chunk(),)))).pushed.troubles == ()
    heard(venue, box.gate, NOW_S)
    venue.mono_now_s += 3_600
    assert reasons([await two.scan(tickets[6])]) == Counter(["full"])
    assert reasons([await one.scan(tickets[7])]) == Counter(["full"])


async def test_gates_are_told_which_zones_scanners_are_answered_for_and_that_they_are_heard(
    pair: Pair, tmp_path: Path
) -> None:
    venue = pair.venue
    tickets = sold(venue, 4)
    box = await venue.enrolled(tmp_path / "box")
    heard(venue, box.gate, NOW_S)
    for n in range(2):
        for ticket in tickets[2 * n : 2 * n + 2]:
            assert (await pair.scanners[n].scan(ticket)).json["outcome"] == "grant"
    judge = gate_of(venue, {})
    others = judge._zone_gates[demo.FLOOR]
    assert len(others) == 2, "both replicas serve the floor, and each was told of once"
    assert judge._zone_gates[demo.VIP] == ()
    async with GateClient(venue.url, box.gate, box.key) as gate:
        said, _ = unpack_feed(
            (await gate.ask("POST", "/api/v1/gate/feed", msgspec.msgpack.encode(Ask()))).body
        )
        ages = {one.gate: one.age_ms for one in said.heard}
        assert {one: ages[one] < 10_000 for one in others} == dict.fromkeys(others, True)
    # given up for a day: gates share with them no longer, until they are asked again
    assert own_log.retire(venue.centre.database, NOW_S + own_log.RETIRED_S) == 0
    assert own_log.retire(venue.centre.database, NOW_S + own_log.RETIRED_S + 1) == 2
    assert gate_of(venue, {})._zone_gates[demo.FLOOR] == ()
    assert (await pair.scanners[0].scan(sold_more(venue), **LANE)).json["outcome"] == "grant"
    assert len(gate_of(venue, {})._zone_gates[demo.FLOOR]) == 1


def sold_more(venue: Venue) -> int:
    with changes.change(venue.centre.database, EVENTS, NOW_S) as connection:
        rows.add_tickets(
            connection, demo.EVENT, [Ticket(TicketId(999), demo.EVENT, demo.SEASON, session=demo.TODAY)], []
        )
    return 999


class Merged:
    """The merged log as a gate holds it (`edge.judge.PresenceSource`)."""

    epoch = Epoch(1)

    def __init__(self, venue: Venue) -> None:
        self._rows, self._zones = rows_by_ticket(venue), zones(venue)

    def rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        return tuple(self._rows.get((event, ticket), ()))

    def resets(self) -> Resets:
        return Resets((), self._zones)

    def standing_of(self, event: EventId, ticket: TicketId) -> Standing | None:  # noqa: ARG002 - the list is the newest
        return None

    def credential_of(self, event: EventId, digest: bytes) -> CredentialStanding | None:  # noqa: ARG002 - as above
        return None

    def occupancy_high(self, zone: ZoneId) -> int | None:
        return sum(fold(found, [], self._zones).bounds(zone).high for found in self._rows.values())


def gate_of(venue: Venue, dealt: dict[ZoneId, int], *, in_touch: bool = True) -> Judge:
    """A gate that holds the list and the merged log as they are. `dealt`: what it knew at the cut."""
    with venue.centre.database.reading() as connection:
        head, listed = lists.content(connection, GROUP)
    judge = Judge(demo.MAIN_GATE, TrustedTime(StillClock(), rtc=False), Merged(venue))
    judge.use_list(Tables(head, listed))
    judge.heard = lambda _gate: in_touch
    judge.known_at_cut = dealt
    return judge


def printed(venue: Venue, chance: random.Random) -> list[str]:
    """Sell two dozen tickets of all sorts; returns their codes."""
    made: list[Ticket] = []
    codes: list[str] = []
    credentials: list[rows.NewCredential] = []
    with venue.centre.database.reading() as connection:
        key = events.digest_key(connection, GROUP)
    assert key is not None
    for number in range(FIRST, FIRST + 24):
        product = chance.choice([demo.DAY, demo.DAY, demo.SEASON, demo.STAFF, demo.TWICE, demo.HOME])
        standing = chance.choice([Standing.VALID] * 6 + list(Standing))
        if not made:
            product, standing = demo.STAFF, Standing.VALID
        home = demo.MAIN_GATE if product == demo.HOME else GateId(0)
        ticket = Ticket(
            TicketId(number), demo.EVENT, product, session=chance.choice([demo.TODAY] * 5 + [demo.TOMORROW]) if made else demo.TODAY,
            standing=standing, admits=chance.choice([1, 1, 2]), home_gate=home,
        )  # fmt: skip
        claims = cose.Claims(
            ticket=number, event=demo.EVENT, issued_at=NOW_S - 86_400, product=product, session=ticket.session,
            admits=ticket.admits,
        )  # fmt: skip
        made.append(ticket)
        credentials.append(
            rows.NewCredential(ticket.id, ticket_digest(demo.EVENT, ticket.id, key), CredentialKind.TK1)
        )
        codes.append(cose.mint(claims, venue.centre.keys.ticket_key))
    with changes.change(venue.centre.database, EVENTS, NOW_S) as connection:
        rows.add_tickets(connection, demo.EVENT, made, credentials)
    return codes


@pytest.mark.parametrize("seed", range(3))
async def test_a_gate_that_holds_the_list_and_the_log_answers_as_the_centre_also_when_it_is_full(
    home: Home, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    async with venue_at(home.data / "centre", home.url) as venue:
        codes = printed(venue, chance)
        holds(venue, 5, demo.ARENA)
        box = await venue.enrolled(tmp_path / "box")
        dealt: dict[ZoneId, int] = {}
        in_touch = True
        heard(venue, box.gate, NOW_S)
        async with Scanner(venue.url, token_of(venue.centre.database, Role.DEVICE)) as scanner:
            lane: dict[str, Any] = {"gate": int(demo.MAIN_GATE), "lane": 1, "zone": 0, "session": None}
            first = await scanner.scan(code=codes[0], **lane)
            assert first.json["outcome"] == "grant", "from now on gates know that scanners are answered here"
            for _ in range(90):
                if chance.random() < 0.1:
                    in_touch = not in_touch
                    heard(venue, box.gate, NOW_S if in_touch else NOW_S - 3_600)
                    venue.now_s += 1  # which gates are heard is asked once a second
                direction = chance.choice(["entry", "entry", "entry", "exit"])
                judge = gate_of(venue, dealt, in_touch=in_touch)
                judge.in_touch()
                code = chance.choice(codes)
                plan = judge.plan(1)
                assert plan is not None
                way = Direction.ENTRY if direction == "entry" else Direction.EXIT
                verdict = judge.answer(
                    judge.identify(code.encode(), Medium.BARCODE), way, LaneFacts(plan)
                ).verdict
                said = (await scanner.scan(code=code, direction=direction, **lane)).json
                reason = "" if verdict.reason is Reason.NONE else verdict.reason.name.lower()
                flagged = bool(verdict.flags & Flag.FLAGGED)
                assert (said["outcome"], said["reason"], said["flagged"]) == (
                    verdict.outcome.name.lower(), reason, flagged,
                )  # fmt: skip
                seen[reason or said["outcome"]] += 1
    assert {"grant", "full"} <= seen.keys(), seen
