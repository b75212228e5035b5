"""A roster that ran out: said on the page, no basis to take other gates' records, and no reason to refuse anybody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from admission.ids import Epoch, TicketId
from admission.reasons import Language
from admission.records import Direction, Flag, Kind, Outcome, Record, ticket_subject
from edge.clock import SystemClock
from edge.enrolment import Enrolment
from edge.held_roster import ROSTER_FILE, load_roster
from edge.link import Health, Part
from edge.words import sentence
from sync import demo
from sync.wire.feed import Ask
from sync.wire.messages import Push
from sync.wire.roster import DAY_S, VALID_DAYS
from tests.edge.rig import running
from tests.sync.box import Box
from tests.sync.connected import tickets
from tests.sync.fronted import OFTEN, Fronted, front_of, fronted
from tests.sync.gates import SECOND_NAME, add_second_gate
from tests.sync.logs import EpochLog
from tests.sync.requests import GateClient
from tests.sync.test_deltas import NUMBERS
from tests.sync.test_feed_asked import FEED
from tests.sync.test_merged_gates import presence
from tests.sync.test_venue_keys import Deaf
from tests.sync.venue import Venue, venue_at

OVER_S = VALID_DAYS * DAY_S + 3600


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(tmp_path / "centre") as made:
        yield made


class Withholding(Deaf):
    """Somebody between who lets everything through but rosters."""

    withholds = False

    async def roster(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=502) if self.withholds else await self.handle(request)


@pytest.fixture
async def between(venue: Venue) -> AsyncIterator[Withholding]:
    made = Withholding(venue)
    app = web.Application()
    app.router.add_get("/api/v1/gate/events", made.stream)
    app.router.add_get("/api/v1/gate/roster", made.roster)
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def entered(box: Enrolment, ticket: int, after: EpochLog | None = None) -> EpochLog:
    """A run in which a gate let a ticket in."""
    log = EpochLog(Epoch(9 if after is None else after.epoch + 1), box.gate, box.key).begin(after)
    seq = len(log.blobs) + 1
    body = Record(
        Kind.SCAN, seq, 1_800_000_000_000_000, seq, zone=demo.ARENA, session=demo.TODAY, outcome=Outcome.GRANT,
        direction=Direction.ENTRY, flags=Flag.TICKET, subject=ticket_subject(demo.EVENT, TicketId(ticket), demo.DAY),
    )  # fmt: skip
    log.add(body.to_bytes())
    log.sign()
    return log


def entries(one: Fronted, ticket: int) -> int:
    """How many records of a ticket the gate knows, its own and others'."""
    return len(one.gate.daemon.memory.rows(demo.EVENT, TicketId(ticket)))


async def push(venue: Venue, other: Enrolment, log: EpochLog) -> None:
    async with GateClient(venue.url, other.gate, other.key, venue.now_s) as client:
        assert (await client.push(Push((log.chunk(),)))).pushed.troubles == ()
    await talk(venue, other)


async def talk(venue: Venue, other: Enrolment) -> None:
    """Ask for news as a gate does that has sent all it recorded: so the centre hears it."""
    async with GateClient(venue.url, other.gate, other.key, venue.now_s) as client:
        assert (await client.ask("POST", FEED, msgspec.msgpack.encode(Ask()))).status == 200


@asynccontextmanager
async def away_for_long(
    venue: Venue, between: Withholding, folder: Path, seconds: int
) -> AsyncIterator[Fronted]:
    """A gate that had its roster, was away for so long, and is back; no roster is let through to it any more."""
    async with fronted(venue, folder, OFTEN, url=between.url) as one:
        await one.until(lambda: load_roster(one.gate.data, one.enrolment), "it has the roster")
    between.withholds = True
    venue.now_s += seconds
    async with running(folder) as gate, front_of(gate, OFTEN) as one:
        await gate.ready()
        yield one


async def test_others_are_left_out_visitors_are_not_and_all_is_made_good(
    venue: Venue, between: Withholding, tmp_path: Path
) -> None:
    add_second_gate(venue)
    other = await venue.enrolled(tmp_path / "other", SECOND_NAME)
    sold = tickets(venue)
    async with away_for_long(venue, between, tmp_path / "main", OVER_S) as one:
        gate = one.gate
        await one.until(lambda: gate.code(Part.UPLINK, "centre") == "uplink.roster_over_age", "it is shown")
        assert gate.health(Part.UPLINK, "centre") is Health.DEGRADED
        tile = one.tile
        for language in (Language.DE, Language.EN):
            said = sentence(tile.code, tile.args, language)
            assert said.fix, "what to do stands with it"
            assert "{" not in said.cause + said.fix
        first = entered(other, NUMBERS["day"])
        await push(venue, other, first)
        await push(venue, other, entered(other, NUMBERS["day_2"], first))
        for number, name in enumerate(("day", "day_2"), 1):
            await gate.hardware.entry.scan(sold[name].data.encode())
            assert (await gate.seen(number)).outcome == Outcome.GRANT
            await gate.walk()
        await one.until(one.is_sent, "its own records go up")
        assert not gate.daemon.others.is_heard(other.gate), "its records are not known here"
        between.withholds = False
        await one.until(lambda: entries(one, NUMBERS["day"]) > 2, "what was left out is read")
        await one.until(one.is_well, "the roster is in force")
        await talk(venue, other)
        await one.until(lambda: gate.daemon.others.is_heard(other.gate), "the other is heard")
        assert gate.code(Part.LOG, f"gate {other.gate}") == "", "nobody was taken for a forger"
        assert {len(presence(gate, sold[name].data).doubles(1)) for name in ("day", "day_2")} == {1}


async def test_a_roster_in_force_is_gone_by_to_its_last_hour(
    venue: Venue, between: Withholding, tmp_path: Path
) -> None:
    add_second_gate(venue)
    other = await venue.enrolled(tmp_path / "other", SECOND_NAME)
    async with away_for_long(venue, between, tmp_path / "main", OVER_S - 7200) as one:
        await push(venue, other, entered(other, NUMBERS["day"]))
        await one.until(lambda: entries(one, NUMBERS["day"]), "the entry is known")
        await one.until(lambda: one.gate.daemon.others.is_heard(other.gate), "the other is heard")
        assert "uplink.roster_over_age" not in one.said


class Ahead(SystemClock):
    """A box's clock years ahead."""

    def now_us(self) -> int:
        return super().now_us() + 20 * 365 * DAY_S * 1_000_000


async def test_a_clock_that_runs_ahead_ends_no_roster(venue: Venue, tmp_path: Path) -> None:
    add_second_gate(venue)
    other = await venue.enrolled(tmp_path / "other", SECOND_NAME)
    box = Box(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
    box.clock = Ahead()
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.ok") and (box.data / ROSTER_FILE).exists())
        log = entered(other, 5)
        await push(venue, other, log)
        await box.until(lambda: len(box.store.records(other.gate, log.epoch, 0, 99)) == len(log.blobs))
    assert "uplink.roster_over_age" not in {one.code for one in box.said}
    box.store.close()
