"""Two replicas on one PostgreSQL: either is killed, the server is stopped hard, and batches come cut, twice, in disorder.

Whatever a replica acknowledged is there once, byte for byte. Replicas are processes of their own.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select

from admission.ids import Epoch
from edge.enrol import enrol
from edge.enrolment import Enrolment
from sync import compose, demo
from sync.gates import enrolment as codes
from sync.gates import tables
from sync.store.schema import unsigned
from sync.wire.messages import Push
from tests.postgres import Postgres, postgres, programs
from tests.sync.logs import EpochLog
from tests.sync.replicas import Replica, replicas_of
from tests.sync.requests import GateClient

RECORDS = 3_000
BATCH = 60
WAIT_S = 30.0
"""Only reached where something is broken."""
AGAIN_S = 0.05
"""Between two tries at a replica that is away."""

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")


@dataclass
class House:
    """A durable PostgreSQL, two replicas that share keys, and a gate."""

    server: Postgres
    url: str
    replicas: list[Replica]
    gate: Enrolment
    log: EpochLog
    acked: int = 0
    """The highest record that a replica said is stored."""
    trouble: list[str] = field(default_factory=list)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with postgres(durable=True) as server:
        url = server.make("centre")
        first = tmp_path / "first"
        centre = compose.open_centre(first, url)
        demo.make_demo(centre.database, centre.keys, first, int(time.time()))
        with centre.database.writing() as connection:
            code = codes.new_code(connection, centre.keys, demo.MAIN_GATE, int(time.time()), os.urandom(5))
        centre.close()
        with replicas_of(first, url) as replicas:
            gate = enrol(tmp_path / "box", replicas[0].address, code, "box")
            log = EpochLog(Epoch(2**63 + 9), key=gate.key).begin().scans(RECORDS, head_every=50)
            yield House(server, url, replicas, gate, log)


async def push_all(house: House, reached: asyncio.Event, mark: int) -> None:
    """Push the log as a bad line does: at a random replica, some batches twice, too early, or cut; until all is acked.

    `reached` is set once `mark` records are acked: the harm is done in the midst of it.
    """
    chance, log = random.Random(7), house.log
    deadline = time.monotonic() + WAIT_S
    while house.acked < len(log.blobs):
        assert time.monotonic() < deadline, f"{house.acked} of {len(log.blobs)}: {house.trouble[-3:]}"
        first = house.acked + 1
        if chance.random() < 0.2:
            first = max(1, first - chance.randrange(BATCH * 2))  # again
        elif chance.random() < 0.1:
            first = min(len(log.blobs), first + BATCH)  # too early: a gap
        last = min(first + chance.randrange(1, BATCH), len(log.blobs))
        replica = chance.choice(house.replicas)
        async with GateClient(replica.address, house.gate.gate, house.gate.key, int(time.time())) as client:
            try:
                answer = await client.push(Push((log.chunk(first, last),)))
            except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                house.trouble.append(type(error).__name__)
                await asyncio.sleep(AGAIN_S)
                continue
        if answer.status == 200:
            house.acked = max(
                [house.acked, *(one.seq for one in answer.pushed.held if one.epoch == log.epoch)]
            )
        else:
            house.trouble.append(f"{answer.status} {answer.body[:80]!r}")
            assert answer.status in {500, 502, 503}, answer.body
            await asyncio.sleep(AGAIN_S)
        if house.acked >= mark:
            reached.set()


def stored(house: House) -> dict[tuple[int, int], bytes]:
    centre = compose.open_centre(house.replicas[0].data, house.url)
    try:
        with centre.database.reading() as connection:
            t = tables.record.c
            found = connection.execute(
                select(t.epoch, t.seq, t.blob).where(t.gate_id == house.gate.gate)
            ).all()
            kept = {(unsigned(row.epoch), row.seq): bytes(row.blob) for row in found}
            assert len(kept) == len(found), "none twice"
            return kept
    finally:
        centre.close()


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
async def test_what_was_acknowledged_is_there_once(house: House, harm: object) -> None:
    reached, halfway = asyncio.Event(), len(house.log.blobs) // 3
    pushing = asyncio.create_task(push_all(house, reached, halfway))
    async with asyncio.timeout(WAIT_S):
        await reached.wait()
    async for _ in harm(house):  # type: ignore[operator]  # one of the two above
        acked = house.acked
    await pushing
    assert acked >= halfway
    assert house.acked == len(house.log.blobs)
    wanted = {(house.log.epoch, seq): blob for seq, blob in enumerate(house.log.blobs, start=1)}
    assert stored(house) == wanted
    for replica in house.replicas:
        async with aiohttp.ClientSession() as session, session.get(f"{replica.address}/healthz") as answer:
            assert answer.status == 200
