"""A festival of two dates at two gates that hear nothing of each other: each empties its zone by itself at the venue's
night, whatever the clocks do then, and once they hear each other all are of one mind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from admission.entitlements import LanePlan, Mode, Zone
from admission.ids import GateId, LaneId
from admission.presence import fold
from admission.reasons import Reason
from admission.records import Kind
from edge import enrolment
from edge.front.slices import meaning_of
from edge.link import Done, Foreign, TakeList
from edge.store.list import build
from sync.wire.lists import GateInfo, ListHead
from tests.edge.rig import ARENA, EVENT, GATE, Gate, row
from tests.edge.test_gate_schedule import (
    DAILY,
    MONDAY,
    PASS,
    ROWS,
    SUNDAY,
    VenueClock,
    enters,
    festival,
    inside,
    listed,
    open_box,
    refused,
    resets,
    tick,
)
from tests.sync.logs import OTHER_KEY

SOUTH = GateId(2)


def programme(reset_at: int, day: int, version: int) -> ListHead:
    """What both gates serve on a date; the zone is emptied at a minute of the venue's day."""
    head = festival(MONDAY if day else SUNDAY, version)
    plans = tuple(LanePlan(LaneId(lane), ARENA, Mode.MULTIPLE, head.plans[0].sessions) for lane in (1, 2))
    south = GateInfo(SOUTH, "South", OTHER_KEY.public_key().public_bytes_raw(), (ARENA,))
    return msgspec.structs.replace(
        head,
        zones=(Zone(ARENA, "Arena", gate=GATE, reset_at=reset_at),),
        plans=plans,
        gate_lanes={GATE: (0, 1), SOUTH: (0, 1)},
        gates=(*head.gates, south),
    )


@asynccontextmanager
async def two(folder: Path, clock: VenueClock, head: ListHead) -> AsyncIterator[tuple[Gate, Gate]]:
    """Two boxes with the same list, of which neither has a network."""
    for name in ("north", "south"):
        listed(folder / name, head)
    data = folder / "south" / "data"
    changed = msgspec.structs.replace(
        enrolment.load(data), gate=SOUTH, name="South", signing_key=OTHER_KEY.private_bytes_raw()
    )
    enrolment.save(data, changed)
    async with open_box(folder / "north", clock) as one, open_box(folder / "south", clock) as other:
        yield one, other


async def hears(gate: Gate, other: Gate) -> None:
    """All that the other gate recorded comes at once."""
    assert await other.daemon.journal.saved(5)
    reader = other.reader()
    for epoch in reader.epochs():
        if epoch.gate == gate.daemon.journal.gate:
            continue
        blobs = tuple(one.blob for one in reader.records(epoch.gate, epoch.epoch, 0, 10_000))
        rows, found = meaning_of(epoch.gate, epoch.epoch, blobs)
        told = Foreign(1, epoch.gate, epoch.epoch, 1, blobs, rows=tuple(rows), resets=tuple(found))
        assert (await gate.do(told)).ok
        assert await gate.daemon.journal.saved(5)
    reader.close()


def mind(gate: Gate) -> list[tuple[object, ...]]:
    """What a gate makes of both tickets."""
    memory, zones = gate.daemon.memory, gate.daemon.judge.venue.zones
    told: list[tuple[object, ...]] = []
    for ticket in (DAILY, PASS):
        found = fold(memory.rows(EVENT, row(ticket).ticket), memory.resets(), zones)
        uses = tuple(found.uses(ARENA, day) for day in (SUNDAY, MONDAY))
        told.append((found.counted, found.live, uses, found.doubles(1)))
    return told


@pytest.mark.parametrize(
    ("reset_at", "evening", "before", "night", "again"),
    [
        pytest.param(
            240, "2026-11-29T18:00:00+01:00", "2026-11-30T03:59:00+01:00", "2026-11-30T04:00:00+01:00",
            "2026-11-30T23:00:00+01:00", id="a night like any other",
        ),
        pytest.param(  # half past two comes twice: the first is the venue's night
            150, "2027-10-30T18:00:00+02:00", "2027-10-31T02:29:00+02:00", "2027-10-31T02:30:00+02:00",
            "2027-10-31T02:30:00+01:00", id="the clocks go back",
        ),
        pytest.param(  # half past two is left out: then it would have been
            150, "2027-03-27T18:00:00+01:00", "2027-03-28T01:59:00+01:00", "2027-03-28T03:30:00+02:00",
            "2027-03-28T23:00:00+02:00", id="the clocks go forward",
        ),
    ],
)  # fmt: skip
async def test_cut_off_gates_begin_the_second_day_with_nobody_inside_and_agree_once_healed(
    tmp_path: Path, reset_at: int, evening: str, before: str, night: str, again: str
) -> None:
    clock = VenueClock(evening)
    async with two(tmp_path, clock, programme(reset_at, 0, 1)) as (north, south):
        await enters(north, DAILY)
        await enters(south, PASS)
        assert await refused(south, PASS) is Reason.ALREADY_INSIDE
        for moment, made in ((before, 0), (night, 1), (again, 1)):
            clock.set(moment)
            for gate in (north, south):
                tick(gate)
                assert len(resets(gate)) == made
            if moment == night:
                assert await refused(north, DAILY) is Reason.LIMIT_REACHED, "his use of the first day stays"
        for gate in (north, south):
            await gate.recorded(Kind.RESET)
            await inside(gate, 0)
        build(tmp_path / "second", programme(reset_at, 1, 2), ROWS)
        for gate in (north, south):
            assert await gate.do(TakeList(1, str(tmp_path / "second"))) == Done(1, ok=True)
        # Each at the other gate, which has heard nothing of the first day.
        await enters(south, DAILY)
        await enters(north, PASS)
        await hears(north, south)
        await hears(south, north)
        for gate in (north, south):
            await inside(gate, 2)
            assert await refused(gate, PASS) is Reason.ALREADY_INSIDE
            assert await refused(gate, DAILY) is Reason.LIMIT_REACHED
        assert mind(north) == mind(south)
        assert resets(north) == resets(south)
        assert len(resets(north)) == 2
        for _, live, uses, doubles in mind(north):
            assert (len(live), uses, doubles) == (1, (1, 1), ())  # type: ignore[arg-type]  # a tuple of names
