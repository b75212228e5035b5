"""Scanners at two replicas on one PostgreSQL: one use for one ticket, whatever is killed in the midst of it.

Who was answered that somebody is let in finds it in the log; who was not answered asks again, and is told the same.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from sqlalchemy import text, update

from admission.entitlements import Ticket
from admission.ids import TicketId
from sync import compose, demo
from sync.accounts import tokens
from sync.accounts.principal import Role
from sync.events.tables import zone
from sync.gates.desk import read_record_name
from sync.store.schema import signed
from sync.tickets import changes, rows
from tests.postgres import Postgres, postgres, programs
from tests.sync.replicas import Replica, replicas_of

FIRST, TICKETS = 1_001, 120
SCANNERS = 6
WAIT_S = 40.0
"""Only reached where something is broken."""
AGAIN_S = 0.05
"""Between two tries at a replica that is away."""
PATH = f"/api/v1/events/{demo.EVENT}/redeem"

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")


@dataclass
class House:
    """A durable PostgreSQL with tickets sold, and two replicas."""

    server: Postgres
    url: str
    replicas: list[Replica]
    token: str
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By scan id, what its scanner was told."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    now_s = int(time.time())
    with postgres(durable=True) as server:
        url = server.make("centre")
        centre = compose.open_centre(tmp_path / "first", url)
        demo.make_demo(centre.database, centre.keys, tmp_path / "first", now_s)
        sold = [Ticket(TicketId(FIRST + n), demo.EVENT, demo.DAY, session=demo.TODAY) for n in range(TICKETS)]
        with changes.change(centre.database, [demo.EVENT, demo.OTHER_EVENT], now_s) as connection:
            rows.add_tickets(connection, demo.EVENT, sold, [])
        with centre.database.writing() as connection:
            _, token = tokens.add(connection, 1, "scanners", Role.DEVICE, now_s + 3600, now_s)
        centre.close()
        with replicas_of(tmp_path / "first", url) as replicas:
            yield House(server, url, replicas, token)


async def scan(house: House, session: aiohttp.ClientSession, ticket: int, scan_id: str, at: int = -1) -> None:
    """Send a scan to a replica, the same again at either until it is answered; `at`: at this one first."""
    chance = random.Random(scan_id)
    body = {"scan_id": scan_id, "ticket": ticket, "zone": int(demo.FLOOR), "session": int(demo.TODAY)}
    headers = {"Authorization": f"Bearer {house.token}"}
    while True:
        replica = house.replicas[at] if at >= 0 else chance.choice(house.replicas)
        at = -1
        try:
            async with session.post(replica.address + PATH, json=body, headers=headers) as answer:
                said = await answer.read()
                if answer.status == 200:
                    house.said[scan_id] = msgspec.json.decode(said)
                    return
                assert answer.status in {500, 502, 503}, said
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            pass  # whether it was let in is not known: asked again under the same id
        await asyncio.sleep(AGAIN_S)


def outcomes(house: House) -> dict[int, Counter[str]]:
    """Return by ticket what its scans were told."""
    found: dict[int, Counter[str]] = {}
    for scan_id, said in house.said.items():
        found.setdefault(int(scan_id.split("-")[0]), Counter())[f"{said['outcome']} {said['reason']}"] += 1
    return found


def looked_up(house: House, sql: str) -> list[Any]:
    centre = compose.open_centre(house.replicas[0].data, house.url)
    try:
        with centre.database.reading() as connection:
            return list(connection.execute(text(sql)).all())
    finally:
        centre.close()


def assert_one_use_each(house: House) -> None:
    found = outcomes(house)
    assert len(found) == TICKETS
    for ticket, told in found.items():
        assert told == Counter({"grant ": 1, "deny already_used": told.total() - 1}), (ticket, told)
    entries = Counter(row.ticket for row in looked_up(house, "SELECT ticket FROM presence WHERE role = 0"))
    assert entries == dict.fromkeys(found, 1)
    kept = {
        (row.gate_id, row.epoch, row.seq)
        for row in looked_up(house, "SELECT gate_id, epoch, seq FROM record")
    }
    for said in house.said.values():
        name = read_record_name(said["record"])
        assert (name.gate, signed(name.epoch), name.seq) in kept, "what was answered is in the log"
    assert looked_up(house, "SELECT what FROM trouble") == []


async def test_the_same_ticket_at_both_replicas_at_once_is_let_in_once(house: House) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(WAIT_S):
        for start in range(FIRST, FIRST + TICKETS, 20):
            await asyncio.gather(
                *(
                    scan(house, session, ticket, f"{ticket}-{at}-{n}", at)
                    for ticket in range(start, start + 20)
                    for at in (0, 1)
                    for n in (0, 1)
                )
            )
    assert_one_use_each(house)
    assert len(house.said) == 4 * TICKETS


async def test_the_same_scan_at_both_replicas_is_one_scan(house: House) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(WAIT_S):
        twin = House(house.server, house.url, house.replicas, house.token)
        for ticket in range(FIRST, FIRST + TICKETS):
            await asyncio.gather(
                scan(house, session, ticket, f"{ticket}-once", 0),
                scan(twin, session, ticket, f"{ticket}-once", 1),
            )
    assert house.said == twin.said
    assert_one_use_each(house)
    assert len(house.said) == TICKETS


async def kill_each(house: House) -> AsyncIterator[None]:
    """Kill one replica, start it again, then the other."""
    for replica in house.replicas:
        await asyncio.to_thread(replica.kill)
        yield
        await asyncio.to_thread(replica.start)


async def stop_server(house: House) -> AsyncIterator[None]:
    """Stop PostgreSQL as a crash would, and start it again; the replicas stay up."""
    await asyncio.to_thread(house.server.stop_hard)
    yield
    await asyncio.to_thread(house.server.start)


@pytest.mark.parametrize("harm", [kill_each, stop_server])
async def test_whoever_is_not_answered_asks_again_and_nobody_is_let_in_twice(house: House, harm: Any) -> None:
    numbers = range(FIRST, FIRST + TICKETS)
    scans = iter([(ticket, f"{ticket}-{n}") for n in range(2) for ticket in numbers])
    halfway, over, more = asyncio.Event(), False, count()

    async def scanner(session: aiohttp.ClientSession) -> None:
        ticket = FIRST
        for ticket, scan_id in scans:
            await scan(house, session, ticket, scan_id)
            if len(house.said) >= TICKETS // 2:
                halfway.set()
        # whoever is done before the harm is asks for its last ticket again and again, until that is over
        while not over:
            await scan(house, session, ticket, f"{ticket}-more-{next(more)}")

    async with aiohttp.ClientSession() as session, asyncio.timeout(WAIT_S):
        running = [asyncio.create_task(scanner(session)) for _ in range(SCANNERS)]
        await halfway.wait()
        async for _ in harm(house):
            assert not any(one.done() for one in running), "in the midst of it"
        over = True
        await asyncio.gather(*running)
    assert_one_use_each(house)


async def test_a_zone_is_never_overfilled_by_two_replicas_whatever_is_killed(house: House) -> None:
    places = 40
    centre = compose.open_centre(house.replicas[0].data, house.url)
    with changes.change(centre.database, [demo.EVENT, demo.OTHER_EVENT], int(time.time())) as connection:
        connection.execute(update(zone).where(zone.c.id == demo.FLOOR).values(capacity=places))
    centre.close()
    scans = iter(range(FIRST, FIRST + TICKETS))
    begun = asyncio.Event()

    async def scanner(session: aiohttp.ClientSession) -> None:
        for ticket in scans:
            await scan(house, session, ticket, f"{ticket}-1")
            if len(house.said) >= places // 2:
                begun.set()

    async with aiohttp.ClientSession() as session, asyncio.timeout(WAIT_S):
        running = [asyncio.create_task(scanner(session)) for _ in range(SCANNERS)]
        await begun.wait()
        async for _ in kill_each(house):
            pass
        await asyncio.gather(*running)
    told = Counter(one["reason"] or one["outcome"] for one in house.said.values())
    assert told == Counter({"grant": places, "full": TICKETS - places})
    entries = looked_up(house, "SELECT count(*) AS n FROM presence WHERE role = 0")
    assert entries[0].n == places
