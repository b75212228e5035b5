"""What a whole gate answers where more than one ticket, reader or gate has a say: ambiguous, full, waiting, cut off."""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from admission.conflict import mark
from admission.entitlements import Mode, OfflinePolicy, Product, Session, Zone
from admission.ids import Epoch, GateId, HolderId, ProductId, RecordId, SessionId, TicketId, ZoneId
from admission.observed import Role
from admission.presence import DoubleKind, Resets, fold
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome
from edge.link import AdmitByHand
from edge.lists import FILE
from edge.store.list import build
from edge.store.log_schema import Batch
from sync.wire.lists import GateInfo, ListRow, Profile
from tests.edge.rig import (
    ARENA,
    EVENT,
    GATE,
    PRODUCT,
    SESSION,
    UID,
    Gate,
    code,
    list_head,
    prepare,
    quick,
    row,
    running,
    tag_row,
)
from tests.edge.test_gate_people import answers, uses
from tests.venue.hardware import Way

SOUTH = GateId(2)
PASS = ProductId(2)
LONG_MS = 60_000
"""A window that ends with the test only: what happens in it is never a matter of time."""


def listed(data: Path, rows: Iterable[ListRow], **fields: object) -> None:
    """Give a box a list whose head differs in these fields."""
    found = sorted(rows)
    prepare(data, found)
    build(data / FILE, msgspec.structs.replace(list_head(int(time.time())), **fields), found)


def slow(text: str) -> str:
    return quick(text, hold_ms=LONG_MS)


def in_and_out() -> dict[str, object]:
    """Both lanes let people in again who left."""
    return {"plans": list_head(1, modes=(Mode.ENTRY_EXIT, Mode.ENTRY_EXIT)).plans}


def passed(gate: Gate, way: Direction) -> int:
    return gate.daemon.lanes[1].machine.counters[way].committed


async def walks(gate: Gate, way: Way) -> None:
    """Whoever was granted goes through lane 1, and the lane has seen it. (Its record rides a later commit.)"""
    direction = Direction.ENTRY if way == "entry" else Direction.EXIT
    before = passed(gate, direction)
    await gate.walk(1, way)
    await gate.until(lambda: passed(gate, direction) == before + 1, f"the {way} is committed")


async def goes_in(gate: Gate, ticket: int) -> None:
    await gate.hardware.entry.scan(code(ticket))
    await walks(gate, "entry")


# --- one credential, several tickets --------------------------------------------------------------------------------


async def test_a_tag_of_two_holders_opens_for_neither_and_one_holders_two_tickets_open_once(
    tmp_path: Path,
) -> None:
    """Ticket 7 and 8 are of two holders and share a tag; once 8 is used up, the tag can only mean 7."""
    both = [tag_row(7), tag_row(8), row(7), row(8)]
    async with running(tmp_path, both, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.tags.scan(UID.hex().upper())
        assert await answers(gate, 1) == (Outcome.DENY, Reason.AMBIGUOUS)
        denied = await gate.recorded(Kind.SCAN)
        assert denied.flags & Flag.DIGEST
        assert gate.hardware.lanes[1].releases.empty()
        await goes_in(gate, 8)
        await gate.hardware.tags.scan(UID.hex().upper())
        await gate.walk()
        seen = await gate.seen(3)
        assert (seen.outcome, seen.ticket) == (Outcome.GRANT, "7")


async def test_of_one_holders_two_tickets_the_lowest_is_taken(tmp_path: Path) -> None:
    rows = [tag_row(number)._replace(holder=HolderId(5)) for number in (8, 7)]
    async with running(tmp_path, rows, adjust=quick) as gate:
        await gate.ready()
        for count, ticket in enumerate(("7", "8"), 1):
            await gate.hardware.tags.scan(UID.hex().upper())
            await walks(gate, "entry")
            seen = await gate.seen(count)
            assert (seen.outcome, seen.ticket) == (Outcome.GRANT, ticket)


# --- modes --------------------------------------------------------------------------------------------------------------


async def test_records_say_the_mode_a_product_narrows_a_lane_to_so_that_its_doubles_are_found(
    tmp_path: Path,
) -> None:
    """At a lane for multiple entries one product is for one entry; another gate let both tickets in as well."""
    once, often = Product(PRODUCT, EVENT, "Once", mode=Mode.NORMAL), Product(PASS, EVENT, "Pass")
    profiles = (Profile(PRODUCT, (ARENA,), SESSION), Profile(PASS, (ARENA,), SESSION))
    plans = list_head(1, modes=(Mode.MULTIPLE, Mode.MULTIPLE)).plans
    rows = [row(1), row(2, profile=1), row(3)]
    listed(tmp_path / "data", rows, products=(once, often), profiles=profiles, plans=plans)
    async with running(tmp_path, adjust=slow) as gate:
        await gate.ready()
        await goes_in(gate, 1)
        assert (await gate.recorded(Kind.SCAN)).mode is Mode.NORMAL
        await goes_in(gate, 2)
        assert (await gate.recorded(Kind.SCAN, 2)).mode is Mode.MULTIPLE
        by_hand = AdmitByHand(1, 1, Direction.ENTRY, 7, "on the guest list", code=code(3).decode())
        assert (await gate.do(by_hand)).ok
        assert (await gate.recorded(Kind.OVERRIDE)).mode is Mode.NORMAL
        reader, zones = gate.reader(), gate.daemon.judge.venue.zones
        found = {ticket: reader.presence_rows(EVENT, TicketId(ticket)) for ticket in (1, 2)}
        reader.close()
    for ticket, kinds in ((1, [DoubleKind.USE]), (2, [])):
        (ours,) = (one for one in found[ticket] if one.role is Role.ENTRY)
        theirs = msgspec.structs.replace(ours, id=RecordId(SOUTH, Epoch(9), 1), time_us=ours.time_us + 1)
        assert [one.kind for one in fold([ours, theirs], Resets((), zones), zones).doubles(1)] == kinds


async def test_who_another_gate_let_in_for_another_session_of_the_day_at_the_same_moment_has_one_give_way(
    tmp_path: Path,
) -> None:
    daily = Product(PRODUCT, EVENT, "Once a day", mode=Mode.MULTIPLE, limit_day=1)
    dates = tuple(Session(one, EVENT, "", 20261122, end=1) for one in (SESSION, SessionId(2)))
    plans = list_head(1, modes=(Mode.MULTIPLE, Mode.MULTIPLE)).plans
    listed(tmp_path / "data", [row(1)], products=(daily,), sessions=dates, plans=plans)
    async with running(tmp_path, adjust=slow) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(1))
        assert await answers(gate, 1) == (Outcome.GRANT, Reason.NONE)
        daemon = gate.daemon
        (ours,) = daemon.memory.rows(EVENT, TicketId(1))
        names = (RecordId(SOUTH, Epoch(number), 1) for number in range(1, 100))
        theirs = msgspec.structs.replace(
            ours, id=next(one for one in names if mark(one) < mark(ours.id)), session=SessionId(2)
        )
        daemon.journal.carry(Batch(0, presence=(theirs,)), urgent=False)
        daemon._look_for_conflicts([(EVENT, TicketId(1))])
        back = await gate.recorded(Kind.GIVE_BACK)
        assert back.flags & Flag.WITHDRAWN
        assert not daemon.lanes[1].machine.reservations()


# --- full -------------------------------------------------------------------------------------------------------------


async def test_who_is_about_to_walk_takes_room_and_who_turns_back_gives_it_back(tmp_path: Path) -> None:
    """The upper bound counts: one is inside, one stands in the arm, and the zone has room for two."""
    room = (Zone(ARENA, "Arena", capacity=2, gate=GATE),)
    listed(tmp_path / "data", [row(number) for number in (1, 2, 3)], zones=room)

    def first_lane_waits(text: str) -> str:
        # The second lane's people hurry: its window ends by itself.
        before, lane, after = quick(text).partition('name = "Tripod"')
        return before.replace("hold_ms = 300", f"hold_ms = {LONG_MS}") + lane + after

    async with running(tmp_path, adjust=first_lane_waits) as gate:
        await gate.ready()
        await goes_in(gate, 1)
        await gate.hardware.second.scan(code(2))
        assert await gate.hardware.lanes[2].releases.get() == "entry"
        bounds = partial(gate.daemon.memory.bounds, ARENA)
        await gate.until(lambda: (at := bounds()) is not None and (at.low, at.high) == (1, 2), "one or two")
        await gate.hardware.entry.scan(code(3))
        assert await answers(gate, 3) == (Outcome.DENY, Reason.FULL)
        assert gate.hardware.lanes[1].releases.empty()
        await gate.recorded(Kind.GIVE_BACK)
        await gate.until(lambda: (at := bounds()) is not None and (at.low, at.high) == (1, 1), "one")
        await goes_in(gate, 3)
        assert await answers(gate, 4) == (Outcome.GRANT, Reason.NONE)


async def test_the_last_place_is_given_once_though_two_come_at_once(tmp_path: Path) -> None:
    room = (Zone(ARENA, "Arena", capacity=1, gate=GATE),)
    listed(tmp_path / "data", [row(1), row(2)], zones=room)
    async with running(tmp_path, adjust=slow) as gate:
        await gate.ready()
        await gate.until(lambda: gate.daemon.memory.bounds(ARENA) is not None, "all were counted")
        await asyncio.gather(gate.hardware.entry.scan(code(1)), gate.hardware.second.scan(code(2)))
        await gate.seen(2)
        said = {Reason(one.reason) for one in gate.daemon.recent}
        assert said == {Reason.NONE, Reason.FULL}


async def test_a_full_zone_has_room_for_who_comes_back_into_the_place_they_left(tmp_path: Path) -> None:
    room = (Zone(ARENA, "Arena", capacity=1, gate=GATE),)
    listed(tmp_path / "data", [row(1), row(2)], zones=room)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await goes_in(gate, 1)
        await gate.hardware.entry.scan(code(2))
        assert await answers(gate, 2) == (Outcome.DENY, Reason.FULL)
        await gate.hardware.exit.scan(code(1).decode())
        await walks(gate, "exit")
        await goes_in(gate, 1)
        assert (await gate.recorded(Kind.SCAN, 4)).flags & Flag.REENTRY


async def test_a_restart_deals_no_second_share_of_the_room_to_a_gate_that_is_cut_off(tmp_path: Path) -> None:
    """Room for four, another gate never heard: two are this gate's to let in, however often it starts."""
    room = (Zone(ARENA, "Arena", capacity=4, gate=GATE),)
    gates = tuple(GateInfo(GateId(n), f"Gate {n}", bytes(32), (ARENA,)) for n in (1, 2))
    listed(tmp_path / "data", [row(number) for number in (1, 2, 3)], zones=room, gates=gates)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.until(lambda: gate.daemon.memory.bounds(ARENA) is not None, "all were counted")
        for number in (1, 2):
            await goes_in(gate, number)
    for _ in range(2):
        async with running(tmp_path, adjust=quick) as gate:
            await gate.ready()
            await gate.until(lambda: gate.daemon.memory.bounds(ARENA) is not None, "all were counted")
            await gate.hardware.entry.scan(code(3))
            assert await answers(gate, 1) == (Outcome.DENY, Reason.FULL)


# --- an exit under way ------------------------------------------------------------------------------------------------


async def test_while_a_ticket_is_on_its_way_out_its_entry_waits_and_follows_the_passage(
    tmp_path: Path,
) -> None:
    listed(tmp_path / "data", [row(7)], **in_and_out())
    async with running(tmp_path, adjust=slow) as gate:
        await gate.ready()
        await goes_in(gate, 7)
        await gate.hardware.exit.scan(code(7).decode())
        assert await gate.hardware.lanes[1].releases.get() == "exit"
        await gate.hardware.second.scan(code(7))
        assert await answers(gate, 3) == (Outcome.WAIT, Reason.EXIT_PENDING)
        assert gate.hardware.lanes[2].releases.empty()
        assert gate.kinds().count(Kind.SCAN) == 2
        assert await gate.push(1, "exit")
        await gate.walk(2)
        entered = await gate.recorded(Kind.SCAN, 3)
        assert (entered.lane, entered.outcome) == (2, Outcome.GRANT)
        assert entered.flags & Flag.REENTRY


async def test_who_does_not_leave_after_all_is_inside_and_nobody_enters_on_that_ticket(
    tmp_path: Path,
) -> None:
    listed(tmp_path / "data", [row(7)], **in_and_out())
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await goes_in(gate, 7)
        await gate.hardware.exit.scan(code(7).decode())
        assert await gate.hardware.lanes[1].releases.get() == "exit"
        await gate.hardware.second.scan(code(7))
        assert await answers(gate, 3) == (Outcome.WAIT, Reason.EXIT_PENDING)
        # Nobody walks: the exit is given back, and the waiting ticket is judged again by itself.
        await gate.until(lambda: gate.daemon.recent[0].reason == Reason.ALREADY_INSIDE, "still inside")
        assert gate.hardware.lanes[2].releases.empty()
        assert uses(gate, 7) == (1, 1)


# --- one reader for both ways -----------------------------------------------------------------------------------------


def both_ways(adjust: Callable[[str], str]) -> Callable[[str], str]:
    """Lane 1's scanner serves both ways."""
    return lambda text: adjust(text.replace('way = "entry"', 'way = "both"', 1))


async def test_at_a_reader_for_both_ways_only_who_is_inside_leaves(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=both_ways(quick)) as gate:
        await gate.ready()
        await goes_in(gate, 7)
        await gate.hardware.entry.scan(code(7))
        await walks(gate, "exit")
        left = await gate.recorded(Kind.SCAN, 2)
        assert (left.direction, left.outcome) == (Direction.EXIT, Outcome.GRANT)
        assert left.flags & Flag.INFERRED
        await goes_in(gate, 7)
        back = await gate.recorded(Kind.SCAN, 3)
        assert (back.direction, bool(back.flags & Flag.REENTRY)) == (Direction.ENTRY, True)
        # At an exit reader this would be let out; here nobody knows that it is inside.
        await gate.hardware.entry.scan(b"nobody knows me")
        assert await answers(gate, 4) == (Outcome.DENY, Reason.UNKNOWN)


async def test_at_a_reader_for_both_ways_who_has_not_walked_yet_is_not_let_out(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=both_ways(slow)) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        assert await gate.hardware.lanes[1].releases.get() == "entry"
        await gate.hardware.entry.scan(code(7))
        seen = await gate.seen(2)
        assert (seen.direction, seen.outcome) == (Direction.ENTRY, Outcome.DENY)
        assert gate.hardware.lanes[1].releases.empty()
        assert await gate.push()
        await gate.until(lambda: passed(gate, Direction.ENTRY) == 1, "inside")
        await gate.hardware.entry.scan(code(7))
        await gate.walk(1, "exit")


# --- cut off ------------------------------------------------------------------------------------------------------------

HERE, THERE, NOWHERE = 0, 1, 2
"""Profiles by home gate."""


def cut_off(policy: OfflinePolicy) -> dict[str, object]:
    """Another gate of the roster serves the same zone; nothing was ever heard of it."""
    head = list_head(1)
    south = GateInfo(SOUTH, "South", bytes(32), (ARENA,))
    homes = (GATE, SOUTH, GateId(0))
    return {
        "gates": (*head.gates, south),
        "products": (Product(PRODUCT, EVENT, "Day", offline=policy),),
        "profiles": tuple(Profile(PRODUCT, (ARENA,), SESSION, home_gate=home) for home in homes),
    }


@pytest.mark.parametrize(
    ("policy", "let_in", "flags"),
    [
        (OfflinePolicy.ADMIT_AND_FLAG, {HERE, THERE, NOWHERE}, Flag.UNSURE | Flag.FLAGGED),
        (OfflinePolicy.HOME_GATE_ONLY, {HERE}, Flag.UNSURE),
        (OfflinePolicy.DENY, set[int](), Flag.NONE),
    ],
    ids=["admit and flag", "home gate only", "deny"],
)
async def test_what_a_gate_not_heard_of_may_have_taken_is_the_products_policy(
    tmp_path: Path, policy: OfflinePolicy, let_in: set[int], flags: Flag
) -> None:
    rows = [row(10 + home, profile=home) for home in (HERE, THERE, NOWHERE)]
    listed(tmp_path / "data", rows, **cut_off(policy))
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        for count, home in enumerate((HERE, THERE, NOWHERE), 1):
            await gate.hardware.second.scan(code(10 + home))
            if home in let_in:
                await gate.walk(2)
                assert await answers(gate, count) == (Outcome.GRANT, Reason.NONE)
                scan = await gate.recorded(Kind.SCAN, count)
                assert scan.flags & (Flag.UNSURE | Flag.FLAGGED) == flags
            else:
                assert await answers(gate, count) == (Outcome.DENY, Reason.OFFLINE)
        assert gate.hardware.lanes[2].releases.empty()
        # A use taken here is sure, whoever is not heard: the same answer under every policy.
        for home in let_in:
            await gate.hardware.second.scan(code(10 + home))
            seen = await gate.seen(len(gate.daemon.recent) + 1)
            assert Reason(seen.reason) is Reason.ALREADY_USED


async def test_a_zone_that_no_other_gate_serves_is_never_cut_off(tmp_path: Path) -> None:
    stand = ZoneId(2)
    fields = cut_off(OfflinePolicy.DENY)
    elsewhere = GateInfo(SOUTH, "South", bytes(32), (stand,))
    fields |= {
        "gates": (*list_head(1).gates, elsewhere),
        "zones": (Zone(ARENA, "Arena", gate=GATE), Zone(stand, "Stand", gate=SOUTH)),
    }
    listed(tmp_path / "data", [row(10, profile=THERE)], **fields)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(10))
        await gate.walk(2)
        scan = await gate.recorded(Kind.SCAN)
        assert not scan.flags & (Flag.UNSURE | Flag.FLAGGED)
