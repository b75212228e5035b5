"""Two gates that share no LAN: what one lets in the other refuses, through the centre."""

import time
from pathlib import Path

from admission.credentials import Medium
from admission.ids import Epoch, EventId, GateId, TicketId
from admission.presence import PresenceRow, Reset, TicketPresence, fold
from admission.question import LaneFacts
from admission.reasons import Reason
from admission.records import Direction, Flag, Outcome
from drivers.base import Medium as DriverMedium
from drivers.base import Scan
from edge.front.slices import meaning_of
from sync import demo
from sync.store.schema import unsigned
from tests.admission.tags import sun_tap
from tests.edge.rig import Gate, assert_verifies
from tests.sync.gates import SECOND_GATE, WAIT_S, codes, two_gates
from tests.sync.venue import Venue, query


def knows(gate: Gate, code: str, entries: int = 1) -> bool:
    """Whether so many entries of a ticket count at a gate."""
    return len(presence(gate, code).counted) >= entries


def presence(gate: Gate, code: str) -> TicketPresence:
    memory = gate.daemon.memory
    event, ticket = ticket_of(gate, code)
    return fold(memory.rows(event, ticket), memory.resets(), gate.daemon.judge.venue.zones)


def ticket_of(gate: Gate, code: str) -> tuple[EventId, TicketId]:
    judge = gate.daemon.judge
    identity = judge.identify(code.encode(), Medium.BARCODE)
    plan = judge.plan(1)
    assert plan is not None
    (candidate,) = judge.candidates(identity, plan)
    return candidate.ticket.event, candidate.ticket.id


async def test_what_one_lets_in_the_other_refuses(venue: Venue, tmp_path: Path) -> None:
    tickets = codes(venue)
    async with two_gates(venue, tmp_path) as (main, second):
        await main.hardware.entry.scan(tickets["day"].encode())
        seen = await main.seen()
        assert seen.outcome == Outcome.GRANT
        assert not seen.flags & Flag.UNSURE, "both are heard, so nobody is cut off"
        await second.until(lambda: knows(second, tickets["day"]), "the entry is known", WAIT_S)
        await second.hardware.entry.scan(tickets["day"].encode())
        seen = await second.seen()
        assert (seen.outcome, seen.reason) == (Outcome.DENY, Reason.ALREADY_USED)
        assert seen.gate == demo.MAIN_GATE
        await main.walk()
    assert_verifies(main.data)
    assert_verifies(second.data)


async def test_a_tags_message_that_one_gate_heard_is_heard_at_the_other(venue: Venue, tmp_path: Path) -> None:
    async with two_gates(venue, tmp_path) as (main, second):
        key = main.daemon.judge._digest_key
        tap = sun_tap(7, key)
        at = time.monotonic_ns()
        main.daemon.lanes[1].scanned(1, Scan(tap, DriverMedium.TAG, "", at, at))
        assert (await main.seen()).reason == Reason.UNKNOWN, "no ticket of it is on the list"
        judge = second.daemon.judge
        plan = judge.plan(1)
        assert plan is not None

        def says(data: bytes) -> Reason:
            identity = judge.identify(data, Medium.TAG)
            return judge.answer(identity, Direction.ENTRY, LaneFacts(plan)).verdict.reason

        await second.until(lambda: says(tap) is Reason.REPLAYED_TAP, "the tap is known", WAIT_S)
        assert says(sun_tap(8, key)) is Reason.UNKNOWN


async def test_whoever_entered_at_one_leaves_at_the_other_and_comes_back(
    venue: Venue, tmp_path: Path
) -> None:
    code = codes(venue)["season"]
    async with two_gates(venue, tmp_path) as (main, second):
        await main.hardware.entry.scan(code.encode())
        assert (await main.seen()).outcome == Outcome.GRANT
        await main.walk()
        await second.until(lambda: len(presence(second, code).live) == 1, "known to be inside", WAIT_S)
        await second.hardware.entry.scan(code.encode())
        assert (await second.seen()).reason == Reason.ALREADY_INSIDE
        await second.hardware.exit.scan(code)
        assert (await second.seen(2)).outcome == Outcome.GRANT
        await second.walk(way="exit")
        await main.until(lambda: not presence(main, code).live, "known to have left", WAIT_S)
        await main.hardware.entry.scan(code.encode())
        seen = await main.seen(2)
        assert (seen.outcome, seen.flags & Flag.REENTRY) == (Outcome.GRANT, Flag.REENTRY)
        await second.until(
            lambda: second.daemon.memory.occupancy_high(demo.ARENA) == 1, "counted here too", WAIT_S
        )


async def test_doubles_of_an_outage_are_found_alike_by_everybody(venue: Venue, tmp_path: Path) -> None:
    code = codes(venue)["day"]
    async with two_gates(venue, tmp_path) as (main, second):
        await venue.stop()
        for gate, scanner, lane in ((main, main.hardware.entry, 1), (second, second.hardware.second, 2)):
            await scanner.scan(code.encode())
            assert (await gate.seen()).outcome == Outcome.GRANT
            await gate.walk(lane)  # or one of them gives way as soon as the gates hear each other
        assert not presence(main, code).doubles(1)
        await venue.start()
        await main.until(lambda: knows(main, code, 2), "both entries are known", WAIT_S)
        await second.until(lambda: knows(second, code, 2), "both entries are known", WAIT_S)
        (double,) = presence(main, code).doubles(1)
        assert presence(second, code).doubles(1) == (double,)
        assert {double.first.gate, double.second.gate} == {demo.MAIN_GATE, SECOND_GATE}
        event, ticket = ticket_of(main, code)
        rows, resets = centre_rows(venue)
        zones = main.daemon.judge.venue.zones
        assert fold(
            [row for row in rows if (row.event, row.ticket) == (event, ticket)], resets, zones
        ).doubles(1) == (double,)


def centre_rows(venue: Venue) -> tuple[list[PresenceRow], list[Reset]]:
    """What the records at the centre say of presence."""
    rows: list[PresenceRow] = []
    resets: list[Reset] = []
    logs: dict[tuple[int, int], list[bytes]] = {}
    for gate, epoch, blob in query(
        venue, "SELECT gate_id, epoch, blob FROM record ORDER BY gate_id, epoch, seq"
    ):
        logs.setdefault((gate, epoch), []).append(blob)  # type: ignore[arg-type]  # the table's columns are of these types
    for (gate, epoch), blobs in logs.items():
        found = meaning_of(GateId(gate), Epoch(unsigned(epoch)), blobs)
        rows, resets = rows + found[0], resets + found[1]
    return rows, resets
