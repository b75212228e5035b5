"""The cap on what the uplink carries: what can wait does, and says so; records and cancels go on."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs
from sqlalchemy import update

from admission.entitlements import OfflinePolicy, Standing
from admission.ids import Epoch
from admission.records import Outcome
from edge.front.centre import Centre
from edge.front.meter import METER_FILE, Carried, Level
from edge.front.pace import Idle
from edge.front.uplink import Uplink
from edge.link import Part
from edge.settings import CentreSettings
from edge.store.log_reader import LogReader
from sync.events.tables import product
from sync.wire.feed import WAIT_MAX_MS, Ask, Feed
from sync.wire.messages import Chunk
from tests.edge.front.slow_link import slow_link
from tests.sync.box import SETTINGS, Box
from tests.sync.connected import connected, tickets
from tests.sync.logs import EpochLog
from tests.sync.test_deltas import stand
from tests.sync.venue import Venue, query

CAPPED = CentreSettings(poll_s=0.2, push_s=0.05, cap_mb_per_day=1)


@pytest.fixture
async def logged(venue: Venue, tmp_path: Path) -> AsyncIterator[Box]:
    """A box with a log, and no list."""
    made = Box(tmp_path / "logged", await venue.enrolled(tmp_path / "logged"))
    yield made
    made.store.close()


async def test_over_the_cap_cancels_and_records_go_on_and_a_list_waits_and_says_so(
    venue: Venue, tmp_path: Path
) -> None:
    day = tickets(venue)["day"]
    async with connected(venue, tmp_path, CAPPED) as one:

        def tile() -> str:
            return one.gate.code(Part.UPLINK, "centre")

        def records() -> int:
            return int(str(query(venue, "SELECT count(*) FROM record")[0][0]))

        await one.until(lambda: tile() == "uplink.ok", "all is well")
        one.uplink.meter.add(Carried(0, 1_000_000))
        await one.until(lambda: tile() == "uplink.cap_over", "the page says that the limit is reached")
        stand(venue, "day", Standing.BANNED)
        await one.until(lambda: one.of(day).outcome is Outcome.DENY, "the ban came all the same")
        before = records()
        await one.gate.hardware.entry.scan(day.data.encode())
        await one.until(lambda: records() > before, "and records go up")
        one.uplink._want_list()
        await one.until(lambda: tile() == "uplink.cap_list", "a list waits, and the page says so")
        one.uplink.meter.cap_bytes = 0
        await one.until(lambda: tile() == "uplink.ok", "it came once it might")


class Asked(Centre):
    """The real centre, and what it was asked for news."""

    waits_ms: list[int]
    asked: asyncio.Event

    async def feed(self, ask: Ask) -> tuple[Feed, tuple[Chunk, ...]]:
        self.waits_ms.append(ask.wait_ms)
        self.asked.set()
        return await super().feed(ask)


@pytest.mark.parametrize("over", [False, True])
async def test_over_the_cap_news_of_other_gates_are_asked_for_in_rounds(
    venue: Venue, logged: Box, over: bool
) -> None:
    with (
        venue.centre.database.writing() as connection
    ):  # a product that is strict offline wants the news at once
        connection.execute(update(product).values(offline=int(OfflinePolicy.ADMIT_AND_FLAG)))
    centre = Asked(logged.enrolment)
    centre.waits_ms, centre.asked = [], asyncio.Event()
    uplink = Uplink(
        logged.enrolment, logged.data, structs.replace(SETTINGS, cap_mb_per_day=1), LogReader.open(logged.data), logged.say, logged.take, logged,
        chance=random.Random(1), centre=centre, idle=Idle(quiet_after_s=3600.0, round_s=0.3),
    )  # fmt: skip
    if over:
        uplink.meter.add(Carried(1_000_000, 0))
    running = asyncio.create_task(uplink.run())
    try:
        while len(centre.waits_ms) < (4 if over else 2):
            centre.asked.clear()
            await asyncio.wait_for(centre.asked.wait(), 20)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert centre.waits_ms[1:] == ([0, 0, 0] if over else [WAIT_MAX_MS])


async def test_what_the_link_carried_is_counted_and_kept(venue: Venue, logged: Box) -> None:
    port = int(venue.url.rsplit(":", 1)[1])
    logged.append(EpochLog(Epoch(9), key=logged.enrolment.key).begin().scans(2_000, head_every=256))
    async with slow_link(port) as link:
        logged.enrolment = structs.replace(logged.enrolment, centre_url=f"http://127.0.0.1:{link.port}")
        async with logged.linked() as uplink:
            await logged.until(logged.is_drained)
        counted = uplink.meter.today
        assert link.up_bytes < counted.up < 1.5 * link.up_bytes
        assert link.down_bytes < counted.down < 1.5 * link.down_bytes + 10_000
    assert (logged.data / METER_FILE).exists()
    assert logged.uplink().meter.today == counted
    assert uplink.meter.level is Level.FREE
