"""A gate that is given lists: taken up whole or not at all, newer than what the log holds, and people counted by each."""

import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.credentials import Medium
from admission.digests import ticket_digest
from admission.entitlements import CredentialStanding, OfflinePolicy, Product, Standing, Ticket, Zone
from admission.ids import EventId, GateId, LaneId, TicketId, ZoneId
from admission.reasons import Reason
from admission.records import Kind, Outcome
from drivers.base import Medium as Media
from drivers.base import Scan
from edge import config, enrolment
from edge.applied import FULL
from edge.board import VerdictWord, verdict
from edge.builder import Order, Unusable, build_from
from edge.clock import SystemClock
from edge.complaint import Complaint
from edge.explain import explain
from edge.link import ChangedRow, Changes, Done, Health, Part, TakeList, UplinkSaid
from edge.lists import FILE, OLD_AFTER_S
from edge.overlay import ROWS_MAX
from edge.settings import Way
from edge.store.list import build
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch, StandingChange
from sync.wire.deltas import digest_of, settings_head
from sync.wire.lists import EventInfo, GateInfo, ListHead, ListKey, pack_list
from sync.wire.snapshots import write_snapshot
from tests.edge.rig import (
    ARENA,
    DIGEST_KEY,
    EVENT,
    GATE,
    PRODUCT,
    SESSION,
    Gate,
    code,
    list_head,
    prepare,
    quick,
    row,
    running,
)
from tests.edge.shaky_disk import on, shaky
from tests.edge.test_faults import answer

ROWS = sorted(row(number) for number in range(1, 10))
LIST_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(3, 35)))
changed = msgspec.structs.replace


def now_s() -> int:
    return int(time.time())


def head_of(version: int, **fields: object) -> ListHead:
    return changed(list_head(now_s(), version=version), **fields)


def event(**fields: object) -> dict[str, object]:
    return {"events": (changed(EventInfo(EVENT, "Event", 1, 2, 1), **fields),)}


TWICE = ListKey(bytes(32), "tk1")
CONTRADICTIONS: dict[str, dict[str, object]] = {
    "a zone in a zone that is not there": {"zones": (Zone(ARENA, "Arena", parent=ZoneId(9)),)},
    "zones in a circle": {
        "zones": (Zone(ARENA, "Arena", parent=ZoneId(2)), Zone(ZoneId(2), "Stand", parent=ARENA))
    },
    "two keys of one id": {"keys": (TWICE, TWICE)},
    "a key cut short": {"keys": (ListKey(bytes(31), "tk1"),)},
    "a format nobody knows": {"keys": (ListKey(bytes(32), "tk9"),)},
    "a short digest key": {"digest_key": b"short"},
    "a plan that is not there": {"gate_lanes": {GATE: (0, 7)}},
    "a plan counted from the end": {"gate_lanes": {GATE: (0, -1)}},
    "another gate's plan that is not there": {"gate_lanes": {GATE: (0, 1), GateId(2): (7,)}},
    "a version that SQLite cannot hold": event(version=2**63),
    "an event that no record can hold": event(id=EventId(2**32)),
}


async def take(gate: Gate, head: ListHead) -> Done:
    build(gate.data / FILE, head, ROWS)
    return await gate.do(TakeList(1, str(gate.data / FILE)))


async def test_a_list_that_contradicts_itself_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, ROWS, adjust=quick) as gate:
        await gate.ready()
        venue, occupancy = gate.daemon.judge.venue, gate.daemon.memory._next
        for what, fields in CONTRADICTIONS.items():
            done = await take(gate, head_of(2, **fields))
            assert (done.ok, done.code) == (False, "list.corrupt"), what
            assert gate.daemon.judge.venue is venue, what
            assert gate.daemon.memory._next is occupancy, what
        assert (gate.daemon.lists.version, gate.code(Part.LIST, "list")) == (1, "list.ok")
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        assert (await take(gate, head_of(2))).ok


async def test_a_list_of_last_week_is_current_as_long_as_the_centre_proves_it(tmp_path: Path) -> None:
    old = event(version=2, sealed_at_s=now_s() - 7 * OLD_AFTER_S)
    async with running(tmp_path, ROWS, adjust=quick) as gate:
        await gate.ready()
        assert (await take(gate, head_of(2, **old))).ok
        assert gate.code(Part.LIST, "list") == "list.old"
        gate.daemon._said(UplinkSaid(Health.OK, "uplink.ok", list_age_s=60))
        await gate.until(lambda: gate.code(Part.LIST, "list") == "list.ok", "it was proved a minute ago")
        gate.daemon._said(UplinkSaid(Health.OK, "uplink.ok", list_age_s=OLD_AFTER_S + 1))
        await gate.until(lambda: gate.code(Part.LIST, "list") == "list.old", "that was yesterday")


async def test_a_gate_starts_with_a_list_that_contradicts_itself_and_takes_the_next_one(
    tmp_path: Path,
) -> None:
    prepare(tmp_path / "data", ROWS)
    circle = CONTRADICTIONS["zones in a circle"]
    build(tmp_path / "data" / FILE, head_of(2, **circle), ROWS)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.until(lambda: gate.health(Part.READER, "2.4") is Health.OK, "reader open")
        tile = next(tile for tile in gate.daemon.board.tiles if tile.part is Part.LIST)
        assert tile.code == "list.corrupt"
        assert "lies inside itself" in str(tile.args["hint"])
        assert verdict(gate.daemon.board.tiles).word is VerdictWord.NOT_READY
        assert (await take(gate, head_of(2))).ok
        await gate.ready()


@pytest.mark.parametrize("fields", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_the_builder_leaves_the_list_in_use_where_it_is(tmp_path: Path, fields: dict[str, object]) -> None:
    snapshot, out = tmp_path / "snapshot", tmp_path / FILE
    head, digest_key = head_of(2, **fields), fields.get("digest_key", DIGEST_KEY)
    assert isinstance(digest_key, bytes)
    with snapshot.open("wb") as file:
        signed = BytesIO(pack_list(changed(head, digest_key=DIGEST_KEY), ROWS, LIST_KEY))
        write_snapshot(signed, file, BytesIO(), head.group, bytes(32))
    public = LIST_KEY.public_key().public_bytes_raw()
    order = Order(list_public=public, group=head.group, list_secret=bytes(32), digest_key=digest_key)
    out.write_bytes(b"the old list")
    with pytest.raises(Unusable) as refused:
        build_from(snapshot, out, order)
    assert refused.value.code == "list.unusable"
    assert out.read_bytes() == b"the old list"


async def test_a_list_whose_file_is_removed_on_purpose_is_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path, ROWS, adjust=quick) as gate:
        await gate.ready()
        elsewhere = await gate.do(TakeList(2, str(gate.data / "not there")))
        assert (elsewhere.ok, gate.daemon.lists.rows) == (False, len(ROWS))
        (gate.data / FILE).unlink()
        assert (await gate.do(TakeList(3, str(gate.data / FILE)))).ok
        gate.daemon.lists.age_tile()  # once a second
        tile = next(tile for tile in gate.daemon.board.tiles if tile.part is Part.LIST)
        assert (tile.code, gate.daemon.lists.rows) == ("list.none", 0)
        assert verdict(gate.daemon.board.tiles).word is VerdictWord.NOT_READY


async def test_a_log_that_cannot_be_read_leaves_the_old_list_in_use(tmp_path: Path) -> None:
    async with running(tmp_path, ROWS, adjust=quick) as gate:
        await gate.ready()
        venue = gate.daemon.judge.venue
        gate.daemon.reader.close()
        done = await take(gate, head_of(2))
        assert (done.ok, done.code) == (False, "command.not_done")
        assert (gate.daemon.judge.venue, gate.daemon.lists.version) == (venue, 1)


# --- older than the list ------------------------------------------------------------------------------------------


def cancel(data: Path, version: int) -> None:
    """Ticket 7 was cancelled by a change of this version."""
    store = LogStore.open(data)
    change = StandingChange(EVENT, TicketId(7), b"", int(Standing.CANCELLED), 1, version)
    store.append([Batch(1, standings=(change,))])
    store.close()


@pytest.mark.parametrize(("version", "cancelled"), [(5, False), (6, False), (7, True)])
async def test_a_standing_overrules_only_lists_older_than_itself(
    tmp_path: Path, version: int, cancelled: bool
) -> None:
    prepare(tmp_path / "data", ROWS, version=6)
    cancel(tmp_path / "data", version)
    settings, enrolled = None, enrolment.load(tmp_path / "data")
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        outcome, reason = await answer(gate, 1)
        settings = config.load(quick(gate.hardware.toml(gate.data)))
        assert (outcome is Outcome.DENY) is (reason is Reason.CANCELLED) is cancelled
    if cancelled:
        said = explain(code(7), Medium.BARCODE, settings, enrolled, lane=2, way=Way.ENTRY)
        assert said["reason"] == "cancelled"


async def test_a_change_heard_before_the_power_failed_is_not_undone_by_an_older_one(tmp_path: Path) -> None:
    """Half a page was kept; a neighbour gives an older page of the same way on, which says the ticket is good."""
    prepare(tmp_path / "data", ROWS, version=6)
    cancel(tmp_path / "data", 20)
    good = Ticket(TicketId(7), EVENT, PRODUCT, zones=(ARENA,), session=SESSION)
    older = ChangedRow(ticket_digest(EVENT, TicketId(7), DIGEST_KEY), good, CredentialStanding.ACTIVE, 10)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        assert (await gate.do(msgspec.structs.replace(page(6, 15), rows=(older,)))).ok
        await gate.hardware.second.scan(code(7))
        assert await answer(gate, 1) == (Outcome.DENY, Reason.CANCELLED)


# --- people, counted by the list in use -----------------------------------------------------------------------------


def full_at(capacity: int, version: int = 1) -> ListHead:
    return head_of(version, zones=(Zone(ARENA, "Arena", capacity=capacity, gate=GATE),))


def inside(gate: Gate) -> tuple[int, int] | None:
    bounds = gate.daemon.memory.bounds(ARENA)
    return None if bounds is None else (bounds.low, bounds.high)


async def enter(gate: Gate, *tickets: int) -> None:
    for ticket in tickets:
        await gate.hardware.second.scan(code(ticket))
        await gate.walk(2)


async def test_a_new_list_counts_anew_and_the_old_count_holds_meanwhile(tmp_path: Path) -> None:
    prepare(tmp_path / "data", ROWS)
    build(tmp_path / "data" / FILE, full_at(2), ROWS)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await enter(gate, 1, 2)
        await gate.until(lambda: inside(gate) == (2, 2), "two are counted")
        seen: list[object] = []
        build(gate.data / FILE, full_at(2, version=2), ROWS)
        assert gate.daemon.lists.take(gate.data / FILE) == ""
        seen.append(inside(gate))
        await gate.until(lambda: not gate.daemon.memory.to_count.is_set(), "all were counted")
        assert [*seen, inside(gate)] == [(2, 2), (2, 2)]
        await gate.hardware.second.scan(code(3))
        assert await answer(gate, 3) == (Outcome.DENY, Reason.FULL)
        assert (await take(gate, full_at(3, version=3))).ok
        await enter(gate, 3)
        await gate.until(lambda: inside(gate) == (3, 3), "the third is counted, too")


async def test_people_are_counted_while_the_disk_takes_nothing(tmp_path: Path) -> None:
    prepare(tmp_path / "data", ROWS)
    build(tmp_path / "data" / FILE, full_at(2), ROWS)
    with shaky() as disk:
        async with running(tmp_path, adjust=quick, change=on(disk)) as gate:
            await gate.ready()
            await gate.until(lambda: inside(gate) == (0, 0), "all were counted")
            disk.fail(5)
            await enter(gate, 1, 2)
            await gate.until(lambda: inside(gate) == (2, 2), "two are counted")
            await gate.hardware.second.scan(code(3))
            assert await answer(gate, 3) == (Outcome.DENY, Reason.FULL)
            # A count that begins now finds neither of them in any table.
            gate.daemon.memory.recount()
            await gate.until(lambda: not gate.daemon.memory.to_count.is_set(), "all were counted anew")
            assert inside(gate) == (2, 2)
            disk.heal()
            await gate.until(lambda: gate.code(Part.LOG, "log") == "log.ok", "the disk is well")


async def test_counting_goes_on_once_the_log_can_be_read_again(tmp_path: Path) -> None:
    async with running(tmp_path, ROWS, adjust=quick) as gate:
        await gate.ready()
        await gate.until(lambda: inside(gate) == (0, 0), "all were counted")
        gate.daemon.reader.close()
        gate.daemon.memory.recount()
        await gate.until(lambda: gate.code(Part.LOG, "log") == "log.fault", "the fault is shown")
        gate.daemon.reader._connection = gate.reader()._connection
        await gate.until(lambda: not gate.daemon.memory.to_count.is_set(), "all were counted")
        assert inside(gate) == (0, 0)


# --- asked about ------------------------------------------------------------------------------------------------------


async def test_who_leaves_as_the_log_fails_is_let_out_though_people_are_to_be_counted(tmp_path: Path) -> None:
    prepare(tmp_path / "data", ROWS)
    build(tmp_path / "data" / FILE, full_at(5), ROWS)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.until(lambda: inside(gate) == (0, 0), "nobody is inside")
        await enter(gate, 1)
        await gate.recorded(Kind.PASSAGE)
        memory, lanes = gate.daemon.memory, gate.daemon.lanes
        lanes[2].scanned(4, Scan(code(2), Media.BARCODE, "", 1, 2))
        memory._reader = LogReader.open(gate.data)
        memory._reader.close()
        lanes[1].scanned(2, Scan(code(1), Media.BARCODE, "", 1, 2))
        await gate.walk(1, "exit")


async def test_explain_answers_what_the_gate_would(tmp_path: Path) -> None:
    """No gate hears of others yet: a product that is denied where they are not heard is denied."""
    prepare(tmp_path / "data", ROWS)
    head = head_of(1)
    south = GateInfo(GateId(2), "South", bytes(32), (ARENA,))
    products = (Product(PRODUCT, EVENT, "Day", offline=OfflinePolicy.DENY),)
    build(tmp_path / "data" / FILE, changed(head, gates=(*head.gates, south), products=products), ROWS)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        assert await answer(gate, 1) == (Outcome.DENY, Reason.OFFLINE)
        settings = config.load(quick(gate.hardware.toml(gate.data)))
        enrolled = enrolment.load(gate.data)
        said = explain(code(7), Medium.BARCODE, settings, enrolled, lane=2, way=Way.ENTRY)
        assert (said["outcome"], said["reason"]) == ("deny", "offline")
        build(gate.data / FILE, changed(head, digest_key=b"short"), ROWS)
        with pytest.raises(Complaint, match="contradicts itself"):
            explain(code(7), Medium.BARCODE, settings, enrolled, lane=2, way=Way.ENTRY)


class HeldClock(SystemClock):
    """Stands at one second until it is moved."""

    moved_s = 0

    def __init__(self) -> None:
        self._now_us = super().now_us()

    def now_us(self) -> int:
        return self._now_us + self.moved_s * 1_000_000


async def test_percentiles_are_sorted_out_once_a_second(tmp_path: Path) -> None:
    clock = HeldClock()
    async with running(
        tmp_path, ROWS, adjust=quick, change=lambda parts: replace(parts, clock=clock)
    ) as gate:
        p50: Callable[[], object] = lambda: gate.daemon.status.now().counters.get("scan_to_relay_p50_seconds")  # noqa: E731
        lane = gate.daemon.lanes[LaneId(1)]
        lane.latencies_us.append(2000)
        clock.moved_s += 1
        assert p50() == 0.002
        lane.latencies_us.extend([5000, 6000])
        assert p50() == 0.002
        clock.moved_s += 1
        assert p50() == 0.005


def page(since: int, to: int, settings: ListHead | None = None) -> Changes:
    """A page of changes without rows, and settings that it brings."""
    encoded = msgspec.msgpack.encode(settings_head(settings)) if settings else b""
    digest = digest_of(settings_head(settings)) if settings else bytes(16)
    return Changes(1, EVENT, 1, since, to, (), True, 0, digest, encoded, now_s())


def told(ticket: int, standing: Standing, version: int) -> ChangedRow:
    """What a ticket's code stands for since a version."""
    listed = row(ticket)
    return ChangedRow(
        listed.digest, Ticket(listed.ticket, EVENT, PRODUCT, session=SESSION, standing=standing), 0, version
    )


async def test_who_was_cancelled_by_mistake_is_let_in_again_though_no_new_ticket_is_taken_any_more(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, ROWS, adjust=quick) as gate:
        await gate.ready()
        sold = [told(1000 + n, Standing.VALID, 2) for n in range(ROWS_MAX - 1)]
        page = (*sold, told(7, Standing.CANCELLED, 2))
        assert (await gate.do(Changes(1, EVENT, 1, 1, 2, page, True, len(page), bytes(16)))).ok
        await gate.hardware.entry.scan(code(7))
        assert await answer(gate, 1) == (Outcome.DENY, Reason.CANCELLED)
        more = (told(7, Standing.VALID, 3), told(8, Standing.CANCELLED, 3), told(99_999, Standing.VALID, 3))
        said = await gate.do(Changes(2, EVENT, 1, 2, 3, more, True, len(more), bytes(16)))
        assert said.code == FULL, "a whole list is due"
        await gate.hardware.entry.scan(code(7))
        assert await answer(gate, 2) == (Outcome.GRANT, Reason.NONE)
        await gate.walk()
        await gate.hardware.entry.scan(code(8))
        assert await answer(gate, 3) == (Outcome.DENY, Reason.CANCELLED)


async def test_settings_that_came_before_a_list_do_not_overrule_its_own(tmp_path: Path) -> None:
    def of_day(version: int, name: str) -> ListHead:
        return head_of(version, zones=(Zone(ARENA, name, gate=GATE),))

    def zone(gate: Gate) -> str:
        return gate.daemon.judge.venue.zones.by_id[ARENA].name

    async with running(tmp_path, ROWS, adjust=quick) as gate:
        await gate.ready()
        assert (await gate.do(page(1, 2, of_day(2, "Friday")))).ok
        assert zone(gate) == "Friday"
        # The box is off while the next day is planned; it takes a whole list, since so much has changed.
        assert (await take(gate, of_day(5, "Saturday"))).ok
        assert zone(gate) == "Saturday"
        assert (await gate.do(page(5, 6))).ok  # somebody buys a ticket
        assert zone(gate) == "Saturday"
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        assert zone(gate) == "Saturday"
        assert gate.daemon.lists.version == 6
        assert (await gate.do(page(6, 7, of_day(7, "Sunday")))).ok
        assert zone(gate) == "Sunday"
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        assert zone(gate) == "Sunday"
