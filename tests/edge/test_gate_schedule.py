"""What a gate does by itself: nightly resets, ends of sessions, lane states and orders, devices that come and go."""

import io
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec

from admission.entitlements import LaneOrder, LanePlan, LaneSchedule, Mode, Product, Session, Zone
from admission.ids import LaneId, ProductId, RecordId, SessionId, ZoneId
from admission.lane import LaneState
from admission.reasons import Reason
from admission.records import (
    DeviceChange,
    DeviceKind,
    Direction,
    Kind,
    Outcome,
    Record,
    Trust,
    device_of,
    record_from_bytes,
)
from edge.export import Format, export_log
from edge.link import AdmitByHand, ClearFire, Done, Health, Part, SetState, TakeList
from edge.presence_reset import reset_presence
from edge.store.list import build
from sync.wire.lists import EventInfo, ListHead, Profile
from tests.edge.rig import (
    ARENA,
    EVENT,
    GATE,
    PRODUCT,
    SESSION,
    Gate,
    assert_verifies,
    code,
    list_head,
    prepare,
    quick,
    row,
    running,
)
from tests.edge.test_gate_fire import polled
from tests.venue.hardware import FIRE_LINE

SUNDAY, MONDAY = SESSION, SessionId(2)
SEASON = ProductId(2)
ZURICH = "Europe/Zurich"
EVENING, NIGHT = "2026-11-29T18:00:00+01:00", "2026-11-30T04:00:00+01:00"
SEALED = "2026-11-28T12:00:00+01:00"
"""Before any moment of these tests: what the centre signed is over."""
DAILY, PASS, EARLY = 7, 8, 9
STEWARD = 5


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


class VenueClock:
    """Goes on as time does, from where the test sets it; SYNCED until told otherwise."""

    def __init__(self, text: str) -> None:
        self.synced = True
        self.set(text)

    def set(self, text: str) -> None:
        self._ahead_us = at(text) * 1_000_000 - time.time_ns() // 1000

    def now_us(self) -> int:
        return time.time_ns() // 1000 + self._ahead_us

    def mono_ns(self) -> int:
        return time.monotonic_ns()

    def marked_synced(self) -> bool:
        return self.synced


def festival(day: SessionId = SUNDAY, version: int = 1, **changes: object) -> ListHead:
    """Two days, one zone that is empty at four in the morning; a ticket for one entry a day, and a pass."""
    head = list_head(at(SEALED), version=version)
    served = ((EVENT, day),)
    fields: dict[str, object] = {
        "events": (EventInfo(EVENT, "Festival", 1, version, at(SEALED), ZURICH),),
        "products": (
            Product(PRODUCT, EVENT, "Once a day", mode=Mode.MULTIPLE, limit_day=1),
            Product(SEASON, EVENT, "Pass", mode=Mode.ENTRY_EXIT),
        ),
        "sessions": (Session(SUNDAY, EVENT, "Sunday", 20261129), Session(MONDAY, EVENT, "Monday", 20261130)),
        "zones": (Zone(ARENA, "Arena", gate=GATE, reset_at=240),),
        "plans": tuple(LanePlan(LaneId(lane), ARENA, Mode.MULTIPLE, served) for lane in (1, 2)),
        "profiles": (Profile(PRODUCT, (ARENA,)), Profile(SEASON, (ARENA,))),
    }
    return msgspec.structs.replace(head, **(fields | changes))


ROWS = sorted([row(DAILY), row(PASS, profile=1), row(EARLY)])


def listed(folder: Path, head: ListHead) -> None:
    """Enrol a box and give it this list."""
    prepare(folder / "data", ROWS)
    build(folder / "data" / "list.sqlite3", head, ROWS)


def box(folder: Path, clock: VenueClock) -> AbstractAsyncContextManager[Gate]:
    # Nobody turns back here: the window is as long as a busy machine needs to walk somebody through.
    return running(
        folder,
        adjust=lambda text: quick(text, hold_ms=4000),
        change=lambda parts: replace(parts, clock=clock),
    )


@asynccontextmanager
async def open_box(folder: Path, clock: VenueClock) -> AsyncIterator[Gate]:
    async with box(folder, clock) as gate:
        await gate.ready()
        yield gate


async def enters(gate: Gate, ticket: int) -> None:
    """Present a ticket at lane 1, be let in, and walk through."""
    before, passed = len(gate.daemon.recent), gate.kinds().count(Kind.PASSAGE)
    await gate.hardware.entry.scan(code(ticket))
    seen = await gate.seen(before + 1)
    assert (seen.outcome, seen.reason) == (Outcome.GRANT, Reason.NONE)
    await gate.walk()
    await gate.recorded(Kind.PASSAGE, passed + 1)


async def refused(gate: Gate, ticket: int) -> Reason:
    before = len(gate.daemon.recent)
    await gate.hardware.entry.scan(code(ticket))
    seen = await gate.seen(before + 1)
    assert seen.outcome == Outcome.DENY
    return Reason(seen.reason)


async def inside(gate: Gate, count: int) -> None:
    def so_many() -> bool:
        bounds = gate.daemon.memory.bounds(ARENA)
        return bounds is not None and (bounds.low, bounds.high) == (count, count)

    await gate.until(so_many, f"{count} inside")


def tick(gate: Gate) -> None:
    """Have the gate look at its clock now, as it does once a second."""
    gate.daemon.time.look()
    gate.daemon.timetable.tick()


def resets(gate: Gate) -> set[RecordId]:
    """Every reset that was made, durable or on its way."""
    own = gate.daemon
    return {one.id for one in (*own.reader.resets(), *own.journal.pending_resets())}


def all_records(gate: Gate) -> list[Record]:
    """Every body on disk, of all runs."""
    reader = gate.reader()
    found = [
        record_from_bytes(one.blob)
        for row in reader.epochs()
        for one in reader.records(row.gate, row.epoch, 0, 10_000)
    ]
    reader.close()
    return [one for one in found if isinstance(one, Record)]


# --- resets -----------------------------------------------------------------------------------------------------


async def test_a_festival_of_two_days_begins_each_with_nobody_inside(tmp_path: Path) -> None:
    clock = VenueClock(EVENING)
    listed(tmp_path, festival())
    async with open_box(tmp_path, clock) as gate:
        await enters(gate, DAILY)
        await enters(gate, PASS)
        assert await refused(gate, DAILY) is Reason.LIMIT_REACHED
        assert await refused(gate, PASS) is Reason.ALREADY_INSIDE
        await inside(gate, 2)
        assert resets(gate) == set()
        clock.set(NIGHT)
        tick(gate)
        made = await gate.recorded(Kind.RESET)
        assert (made.zone, made.lane, made.trust) == (ARENA, 0, Trust.SYNCED)
        await inside(gate, 0)
        assert await refused(gate, DAILY) is Reason.LIMIT_REACHED, "its uses of Sunday stay"
        build(tmp_path / "monday", festival(MONDAY, 2), ROWS)
        assert await gate.do(TakeList(1, str(tmp_path / "monday"))) == Done(1, ok=True)
        await enters(gate, DAILY)
        await enters(gate, PASS)
        assert await refused(gate, PASS) is Reason.ALREADY_INSIDE
        await inside(gate, 2)
        clock.set("2026-11-30T23:00:00+01:00")
        tick(gate)
        assert len(resets(gate)) == 1
    assert_verifies(gate.data)


async def test_a_limit_per_day_counts_each_day_of_a_session_that_goes_on_for_several(tmp_path: Path) -> None:
    clock = VenueClock(EVENING)
    fair = Session(SUNDAY, EVENT, "Fair", 20261129, end=at("2026-12-24T18:00:00+01:00"))
    listed(tmp_path, festival(sessions=(fair,)))
    async with open_box(tmp_path, clock) as gate:
        await enters(gate, DAILY)
        assert await refused(gate, DAILY) is Reason.LIMIT_REACHED
        clock.set("2026-11-30T05:55:00+01:00")
        tick(gate)
        assert await refused(gate, DAILY) is Reason.LIMIT_REACHED, "a night belongs to the day before"
        clock.set("2026-11-30T06:05:00+01:00")
        tick(gate)
        await enters(gate, DAILY)
    async with open_box(tmp_path, clock) as gate:
        assert await refused(gate, DAILY) is Reason.LIMIT_REACHED, "also after a restart"
        clock.set("2026-12-01T18:00:00+01:00")
        tick(gate)
        await enters(gate, DAILY)
        assert await refused(gate, DAILY) is Reason.LIMIT_REACHED


async def test_who_is_too_early_is_told_from_when_by_the_venues_clocks(tmp_path: Path) -> None:
    opens_s = at("2026-11-29T20:00:00+01:00")
    profiles = (Profile(PRODUCT, (ARENA,), not_before=opens_s), Profile(SEASON, (ARENA,)))
    listed(tmp_path, festival(profiles=profiles))
    async with open_box(tmp_path, VenueClock(EVENING)) as gate:
        assert await refused(gate, DAILY) is Reason.TOO_EARLY
        assert gate.daemon.recent[0].last_s == opens_s
        assert gate.daemon.status.now().timezone == ZURICH
        gate.daemon.judge.drop_list()
        assert gate.daemon.judge.timezone == ZURICH, (
            "handhelds are told by it too, while a card is read again"
        )


async def test_who_is_admitted_by_hand_on_another_day_has_used_the_ticket_of_its_own(tmp_path: Path) -> None:
    """A ticket for Monday, shown on Sunday: a steward lets its visitor in on it, and on Monday it is used."""
    clock = VenueClock(EVENING)
    profiles = (Profile(PRODUCT, (ARENA,), MONDAY), Profile(SEASON, (ARENA,)))
    listed(tmp_path, festival(profiles=profiles))
    async with open_box(tmp_path, clock) as gate:
        assert await refused(gate, DAILY) is Reason.WRONG_DATE
        by_hand = AdmitByHand(
            1, 1, int(Direction.ENTRY), STEWARD, "came a day early", code=code(DAILY).decode()
        )
        assert (await gate.do(by_hand)).ok
        await gate.walk()
        await gate.recorded(Kind.PASSAGE)
        build(tmp_path / "monday", festival(MONDAY, 2, profiles=profiles), ROWS)
        assert await gate.do(TakeList(2, str(tmp_path / "monday"))) == Done(2, ok=True)
        assert await refused(gate, DAILY) is Reason.LIMIT_REACHED


async def test_a_box_that_was_off_resets_once_before_anybody_enters(tmp_path: Path) -> None:
    clock = VenueClock(EVENING)
    listed(tmp_path, festival())
    async with open_box(tmp_path, clock) as gate:
        await enters(gate, PASS)
    clock.set("2026-12-02T09:00:00+01:00")
    async with open_box(tmp_path, clock) as gate:
        await gate.recorded(Kind.RESET)
        await inside(gate, 0)
        await enters(gate, PASS)
        # Back over the moment, and over it again: it was acted on.
        clock.set("2026-12-02T03:30:00+01:00")
        tick(gate)
        clock.set("2026-12-02T04:00:01+01:00")
        tick(gate)
    async with open_box(tmp_path, clock) as gate:
        tick(gate)
        await inside(gate, 1)
        assert len(resets(gate)) == 1


async def test_a_clock_not_to_be_believed_resets_nothing_until_it_is(tmp_path: Path) -> None:
    clock = VenueClock(EVENING)
    listed(tmp_path, festival())
    async with open_box(tmp_path, clock) as gate:
        await enters(gate, PASS)
    clock.synced = False
    clock.set("2026-11-30T09:00:00+01:00")
    async with open_box(tmp_path, clock) as gate:
        tick(gate)
        await inside(gate, 1)
        assert gate.daemon.time.trust is Trust.FLOOR
        # Another list meanwhile, with another hour: what the night before asked for is made good all the same.
        zones = (Zone(ARENA, "Arena", gate=GATE, reset_at=300),)
        build(tmp_path / "next", festival(version=2, zones=zones), ROWS)
        assert await gate.do(TakeList(1, str(tmp_path / "next"))) == Done(1, ok=True)
        tick(gate)
        assert resets(gate) == set()
        clock.synced = True
        await gate.recorded(Kind.RESET)
        await inside(gate, 0)
        tick(gate)
        assert len(resets(gate)) == 1


async def test_a_plan_that_changes_within_the_second_of_a_moment_of_both_skips_it_not(tmp_path: Path) -> None:
    """Somebody adds a session in the night: the hour at which the zone is emptied is the same before and after."""
    clock = VenueClock(EVENING)
    listed(tmp_path, festival())
    async with open_box(tmp_path, clock) as gate:
        await enters(gate, PASS)
        sessions = (
            *festival().sessions,
            Session(SessionId(3), EVENT, "Late", 20261201, ARENA, end=at(NIGHT) + 99_999),
        )
        build(tmp_path / "next", festival(version=2, sessions=sessions), ROWS)
        clock.set("2026-11-30T03:59:58+01:00")
        tick(gate)
        assert gate.daemon.lists.take(tmp_path / "next") == ""
        tick(gate)
        clock.set(NIGHT)
        tick(gate)
        assert len(resets(gate)) == 1
        await inside(gate, 0)


async def test_who_reset_by_hand_after_the_moment_is_not_overruled(tmp_path: Path) -> None:
    clock = VenueClock(EVENING)
    listed(tmp_path, festival())
    async with open_box(tmp_path, clock) as gate:
        await enters(gate, PASS)
    # The box wakes up believing that it is still Sunday.
    clock.synced = False
    clock.set("2026-11-29T20:00:00+01:00")
    async with open_box(tmp_path, clock) as gate:
        reset_presence(gate.daemon, ARENA, STEWARD, "first visitors of Monday")
        await gate.recorded(Kind.RESET)
        await enters(gate, PASS)
        clock.set("2026-11-30T09:00:00+01:00")
        clock.synced = True
        tick(gate)
        # Its hand was at work seconds ago by the clock that is right now, so after four in the morning.
        await inside(gate, 1)
        assert len(resets(gate)) == 1


async def test_who_reset_the_outer_zone_by_hand_has_not_reset_the_inner_one_an_hour_later(
    tmp_path: Path,
) -> None:
    clock, box_ = VenueClock(EVENING), ZoneId(2)
    zones = (Zone(ARENA, "Arena", gate=GATE, reset_at=240), Zone(box_, "Box", parent=ARENA, reset_at=300))
    plans = tuple(
        LanePlan(LaneId(lane), zone, Mode.MULTIPLE, ((EVENT, SUNDAY),))
        for lane, zone in ((1, ARENA), (2, box_))
    )
    listed(tmp_path, festival(zones=zones, plans=plans))
    async with open_box(tmp_path, clock):
        pass
    # Nobody vouches for its clock that night, so that staff empty the arena at half past four.
    clock.synced = False
    clock.set("2026-11-30T04:30:00+01:00")
    async with open_box(tmp_path, clock) as gate:
        reset_presence(gate.daemon, ARENA, STEWARD, "the night")
        await gate.recorded(Kind.RESET)
    clock.synced = True
    clock.set("2026-11-30T06:00:00+01:00")
    async with open_box(tmp_path, clock) as gate:
        tick(gate)
        made = (*gate.daemon.reader.resets(), *gate.daemon.journal.pending_resets())
        assert sorted({one.id: one.zone for one in made}.values()) == [ARENA, box_]


async def test_a_list_that_brings_a_new_hour_empties_nothing_in_the_middle_of_a_day(tmp_path: Path) -> None:
    clock = VenueClock("2026-11-28T18:00:00+01:00")
    listed(tmp_path, festival(zones=(Zone(ARENA, "Arena", gate=GATE),)))
    async with open_box(tmp_path, clock) as gate:
        clock.set(EVENING)
        tick(gate)
        await enters(gate, PASS)
        build(gate.data / "list.sqlite3", festival(version=2), ROWS)
        assert await gate.do(TakeList(1, str(gate.data / "list.sqlite3"))) == Done(1, ok=True)
        tick(gate)
        await inside(gate, 1)
        assert resets(gate) == set()
    async with open_box(tmp_path, clock) as gate:
        await inside(gate, 1)
        assert resets(gate) == set()
        clock.set(NIGHT)
        tick(gate)
        await gate.recorded(Kind.RESET)


async def test_the_end_of_a_session_empties_its_zone(tmp_path: Path) -> None:
    clock = VenueClock(EVENING)
    end_s = at("2026-11-29T19:00:00+01:00")
    sessions = (Session(SUNDAY, EVENT, "Matinee", 20261129, ARENA, end_s),)
    listed(tmp_path, festival(sessions=sessions, zones=(Zone(ARENA, "Arena", gate=GATE),)))
    async with open_box(tmp_path, clock) as gate:
        await enters(gate, PASS)
        clock.set("2026-11-29T18:59:50+01:00")
        tick(gate)
        assert resets(gate) == set()
        clock.set("2026-11-29T19:00:00+01:00")
        tick(gate)
        await gate.recorded(Kind.RESET)
        await inside(gate, 0)


async def test_a_time_zone_unknown_here_is_said(tmp_path: Path) -> None:
    clock = VenueClock(EVENING)
    events = (EventInfo(EVENT, "Festival", 1, 1, at(EVENING), "Nowhere/Land"),)
    listed(tmp_path, festival(events=events))
    async with open_box(tmp_path, clock) as gate:
        assert gate.health(Part.CLOCK, "timezone") is Health.DEGRADED
        clock.set(NIGHT)
        tick(gate)
        assert resets(gate) == set()


# --- lane states ------------------------------------------------------------------------------------------------


def states(gate: Gate) -> list[tuple[int, LaneState]]:
    return [(one.lane, LaneState(one.data)) for one in gate.records() if one.kind is Kind.LANE_STATE]


def state_is(gate: Gate, lane: int, state: LaneState) -> Callable[[], bool]:
    return lambda: gate.daemon.lanes[lane].machine.state is state


async def test_a_lane_opens_and_closes_by_its_schedule_and_staff_hold_between(tmp_path: Path) -> None:
    clock = VenueClock("2026-11-29T07:00:00+01:00")
    plan = tuple(
        (at(f"2026-11-29T{hour}:00:00+01:00"), int(state))
        for hour, state in (
            ("06", LaneState.CLOSED),
            ("08", LaneState.CONTROLLED),
            ("22", LaneState.FREE_EXIT),
        )
    )
    listed(tmp_path, festival(schedules=(LaneSchedule(GATE, LaneId(1), plan),)))
    async with box(tmp_path, clock) as gate:
        await gate.until(state_is(gate, 1, LaneState.CLOSED), "closed by the plan, before the first scan")
        clock.set("2026-11-29T08:00:00+01:00")
        tick(gate)
        await gate.until(state_is(gate, 1, LaneState.CONTROLLED), "open")
        assert await gate.do(SetState(3, 1, "out_of_service", STEWARD)) == Done(3, ok=True)
        tick(gate)
        assert state_is(gate, 1, LaneState.OUT_OF_SERVICE)()
    async with box(tmp_path, clock) as gate:
        tick(gate)
        assert state_is(gate, 1, LaneState.OUT_OF_SERVICE)(), "also after a restart"
        clock.set("2026-11-29T22:30:00+01:00")
        tick(gate)
        await gate.until(state_is(gate, 1, LaneState.FREE_EXIT), "the plan's next moment")
        await gate.recorded(Kind.LANE_STATE)
        assert states(gate) == [(1, LaneState.FREE_EXIT)]
        assert state_is(gate, 2, LaneState.CONTROLLED)()


async def test_an_order_closes_a_zone_once(tmp_path: Path) -> None:
    clock = VenueClock(EVENING)
    clock.synced = False
    listed(tmp_path, festival())
    async with open_box(tmp_path, clock) as gate:
        order = LaneOrder(at(EVENING), at(EVENING), LaneState.CLOSED, zone=ARENA)
        build(tmp_path / "next", festival(version=2, orders=(order,)), ROWS)
        assert await gate.do(TakeList(1, str(tmp_path / "next"))) == Done(1, ok=True)
        for lane in (1, 2):
            await gate.until(state_is(gate, lane, LaneState.CLOSED), "closed by order, whatever the clock")
        assert await gate.do(SetState(2, 1, "controlled", STEWARD)) == Done(2, ok=True)
        tick(gate)
        build(tmp_path / "again", festival(version=3, orders=(order,)), ROWS)
        assert await gate.do(TakeList(3, str(tmp_path / "again"))) == Done(3, ok=True)
        tick(gate)
        assert state_is(gate, 1, LaneState.CONTROLLED)()
        assert states(gate) == [(1, LaneState.CLOSED), (2, LaneState.CLOSED), (1, LaneState.CONTROLLED)]


async def test_an_order_holds_when_it_is_acknowledged_also_of_a_lane_that_was_just_set_by_hand(
    tmp_path: Path,
) -> None:
    listed(tmp_path, festival())
    async with open_box(tmp_path, VenueClock(EVENING)) as gate:
        assert await gate.do(SetState(1, 1, "out_of_service", STEWARD)) == Done(1, ok=True)
        order = LaneOrder(at(EVENING), at(EVENING), LaneState.CLOSED, zone=ARENA)
        build(tmp_path / "next", festival(version=2, orders=(order,)), ROWS)
        assert await gate.do(TakeList(2, str(tmp_path / "next"))) == Done(2, ok=True)
        assert [gate.daemon.lanes[lane].machine.state for lane in (1, 2)] == [LaneState.CLOSED] * 2


async def test_an_order_that_came_in_an_alarm_holds_from_the_moment_it_is_cleared(tmp_path: Path) -> None:
    listed(tmp_path, festival())
    async with open_box(tmp_path, VenueClock(EVENING)) as gate:
        lane = gate.daemon.lanes[1]
        gate.hardware.contacts.drive(FIRE_LINE, active=True)
        await gate.until(lambda: lane.machine.fire, "fire")
        order = LaneOrder(at(EVENING), at(EVENING), LaneState.CLOSED, zone=ARENA)
        build(tmp_path / "next", festival(version=2, orders=(order,)), ROWS)
        assert await gate.do(TakeList(1, str(tmp_path / "next"))) == Done(1, ok=True)
        gate.hardware.contacts.drive(FIRE_LINE, active=False)
        while not (await gate.do(ClearFire(2, 1, STEWARD))).ok:
            await polled(gate)
        assert lane.machine.state is LaneState.CLOSED, "not only at the next look, a second later"


async def test_no_plan_ends_a_fire_or_an_emergency(tmp_path: Path) -> None:
    clock = VenueClock("2026-11-29T07:00:00+01:00")
    plan = ((at("2026-11-29T08:00:00+01:00"), int(LaneState.CLOSED)),)
    both = tuple(LaneSchedule(GATE, LaneId(lane), plan) for lane in (1, 2))
    listed(tmp_path, festival(schedules=both))
    async with open_box(tmp_path, clock) as gate:
        assert await gate.do(SetState(2, 1, "emergency", STEWARD)) == Done(2, ok=True)
        gate.hardware.contacts.drive(FIRE_LINE, active=True)
        await gate.until(lambda: gate.daemon.lanes[2].machine.fire, "fire")
        clock.set("2026-11-29T08:30:00+01:00")
        tick(gate)
        assert state_is(gate, 1, LaneState.EMERGENCY)()
        assert state_is(gate, 2, LaneState.CONTROLLED)()
        gate.hardware.contacts.drive(FIRE_LINE, active=False)
        await gate.until(lambda: not gate.daemon.lanes[2].machine._fire_contact, "the contact opened")
        for lane in (1, 2):
            assert await gate.do(ClearFire(3, lane, STEWARD)) == Done(3, ok=True)
        await gate.until(state_is(gate, 2, LaneState.CLOSED), "what the plan said meanwhile")
        assert await gate.do(SetState(4, 1, "controlled", STEWARD)) == Done(4, ok=True)
        tick(gate)
        assert state_is(gate, 1, LaneState.CONTROLLED)(), "staff ended the emergency, after the plan's moment"


# --- devices ----------------------------------------------------------------------------------------------------


async def test_devices_that_come_and_go_are_in_the_log_and_in_its_export(tmp_path: Path) -> None:
    listed(tmp_path, festival())

    def of_scanner(gate: Gate) -> list[DeviceChange]:
        found = [
            one for one in all_records(gate) if one.kind is Kind.DEVICE and (one.lane, one.reader) == (2, 4)
        ]
        return [device_of(one.data)[1] for one in found]

    async with open_box(tmp_path, VenueClock(EVENING)) as gate:
        await gate.until(lambda: len(device_names(gate)) == 6, "every device has come")
        assert sorted(device_names(gate)) == [
            (DeviceKind.READER, 1, 1), (DeviceKind.READER, 1, 2), (DeviceKind.READER, 1, 3),
            (DeviceKind.READER, 2, 4), (DeviceKind.RELAY, 0, 1), (DeviceKind.INPUTS, 0, 1),
        ]  # fmt: skip
        gate.hardware.pull("lane2-entry")
        await gate.until(lambda: of_scanner(gate)[1:] == [DeviceChange.GONE], "gone")
        gate.hardware.put_in("lane2-entry")
        await gate.until(lambda: of_scanner(gate)[2:] == [DeviceChange.OPENED], "back")
    out = io.StringIO()
    export_log(gate.data, Format.JSONL, out)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    devices = [one["detail"] for one in rows if one["kind"] == "device"]
    assert {"device": "reader", "change": "gone", "counted": 0} in devices
    names = {one["detail"]["words"] for one in rows if one["kind"] == "extension_detail"}
    assert {"relays", "contacts"} <= names
    assert_verifies(gate.data)


def device_names(gate: Gate) -> set[tuple[DeviceKind, int, int]]:
    found = (one for one in all_records(gate) if one.kind is Kind.DEVICE)
    return {(device_of(one.data)[0], one.lane, one.reader) for one in found}
