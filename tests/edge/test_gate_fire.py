"""After a fire alarm, at a running gate: nobody knows how many are inside, who was in comes in again, staff count.

The second lane is in normal mode, where a ticket enters once.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

from admission.ids import Epoch
from admission.presence import TicketPresence, fold
from admission.reasons import Reason
from admission.records import Direction, Fire, Flag, Kind, Outcome, Record, record_from_bytes
from edge.lane import fire_key
from edge.link import AdmitByHand, ClearFire, CountPeople, Readmission, ResetPresence, Rung
from edge.store.log_schema import Batch
from edge.store.writer import LogWriter, Urgency
from tests.edge.rig import ARENA, EVENT, SESSION, Gate, assert_verifies, code, quick, row, running
from tests.edge.test_others import OTHER, entry, slice_of
from tests.sync.logs import EpochLog
from tests.venue.hardware import FIRE_LINE

STEWARD = 42


async def let_in(gate: Gate, ticket: int) -> Record:
    """Somebody comes in at the second lane; returns the scan's record."""
    passages = gate.kinds().count(Kind.PASSAGE)
    await gate.hardware.second.scan(code(ticket))
    await gate.walk(2)
    await gate.recorded(Kind.PASSAGE, passages + 1)
    return [one for one in gate.records() if one.kind is Kind.SCAN][-1]


async def refused(gate: Gate, ticket: int) -> Reason:
    """Somebody is not let in at the second lane; returns why."""
    scans = gate.kinds().count(Kind.SCAN)
    await gate.hardware.second.scan(code(ticket))
    scan = await gate.recorded(Kind.SCAN, scans + 1)
    assert scan.outcome is Outcome.DENY
    return Reason(scan.reason)


async def alarm(gate: Gate) -> None:
    """The panel's contact closes and opens again; both lanes of the house see it."""
    before = gate.kinds().count(Kind.FIRE)
    gate.hardware.contacts.drive(FIRE_LINE, active=True)
    await gate.recorded(Kind.FIRE, before + 2)
    gate.hardware.contacts.drive(FIRE_LINE, active=False)


async def polled(gate: Gate) -> None:
    """Wait until the contacts were read once more."""
    polls = gate.hardware.contacts.polls
    await gate.until(lambda: gate.hardware.contacts.polls > polls, "contacts read")


async def cleared(gate: Gate) -> None:
    """Staff clear both lanes, as soon as the contact is seen open."""
    async with asyncio.timeout(10):
        for lane in gate.daemon.lanes:
            while not (await gate.do(ClearFire(900, lane, STEWARD))).ok:
                await polled(gate)


def presence(gate: Gate, ticket: int) -> TicketPresence:
    memory = gate.daemon.memory
    return fold(memory.rows(EVENT, row(ticket).ticket), memory.resets(), gate.daemon.judge.venue.zones)


async def inside(gate: Gate, wanted: tuple[int, int] | None) -> None:
    """Wait until the page says so many; None: that nobody knows."""
    status = gate.daemon.status

    def said() -> bool:
        now = status.now()
        return now.inside.get(ARENA) == wanted and (ARENA in now.uncounted) == (wanted is None)

    await gate.until(said, f"{wanted} inside")


async def test_who_was_inside_comes_in_again_once_without_a_further_use(tmp_path: Path) -> None:
    async with running(tmp_path, [row(1), row(2)], adjust=quick) as gate:
        await gate.ready()
        await let_in(gate, 1)
        await inside(gate, (1, 1))
        await alarm(gate)
        await inside(gate, None)
        now = gate.daemon.status.now
        assert now().alarms == {ARENA: Rung.OUT}
        done = await gate.do(Readmission(1, ARENA, True, STEWARD))
        assert done.code == "command.fire_first"
        await cleared(gate)
        assert now().alarms == {ARENA: Rung.AGAIN}
        await inside(gate, None)
        again = await let_in(gate, 1)
        assert again.flags & Flag.REENTRY
        assert presence(gate, 1).uses(ARENA, SESSION) == 1
        assert len(presence(gate, 1).live) == 1
        assert presence(gate, 1).doubles(1) == ()
        assert await refused(gate, 1) is Reason.ALREADY_USED, "once, not as often as he likes"
    assert_verifies(gate.data)


async def test_re_admission_ends_when_staff_say_so_and_may_be_opened_again_until_then(tmp_path: Path) -> None:
    async with running(tmp_path, [row(1), row(2)], adjust=quick) as gate:
        await gate.ready()
        assert (await gate.do(Readmission(1, ARENA, True, STEWARD))).code == "command.no_alarm"
        await let_in(gate, 1)
        await alarm(gate)
        await cleared(gate)
        assert (await gate.do(Readmission(2, ARENA, True, STEWARD))).ok
        assert (await gate.do(Readmission(3, ARENA, False, STEWARD))).ok
        assert gate.daemon.status.now().alarms == {}
        assert await refused(gate, 1) is Reason.ALREADY_USED
        assert not (await let_in(gate, 2)).flags & Flag.REENTRY, (
            "a ticket that was not used yet comes in as ever"
        )
        assert (await gate.do(Readmission(4, ARENA, False, STEWARD))).code == "command.no_alarm"
        said = [one.data for one in gate.records() if one.kind is Kind.FIRE]
        assert said == [Fire.ALARM, Fire.ALARM, Fire.CLEARED, Fire.CLEARED, Fire.CLEARED, Fire.ENDED]
        await inside(gate, None)
        assert (await gate.do(ResetPresence(5, ARENA, STEWARD))).ok
        await inside(gate, (0, 0))


async def test_people_are_reckoned_from_what_staff_counted_by_hand(tmp_path: Path) -> None:
    async with running(tmp_path, [row(1), row(2), row(3)], adjust=quick) as gate:
        await gate.ready()
        await let_in(gate, 1)
        await alarm(gate)
        await cleared(gate)
        await let_in(gate, 1)
        await inside(gate, None)
        assert (await gate.do(CountPeople(1, ARENA, 40, STEWARD))).ok
        await inside(gate, (40, 40))
        await let_in(gate, 2)
        await inside(gate, (41, 41))
        # Ticket 1 leaves, and so does somebody who came back through the open doors and was counted with the forty.
        for ticket, left in ((1, 40), (3, 39)):
            await gate.hardware.exit.scan(code(ticket).decode())
            await gate.walk(1, "exit")
            await inside(gate, (left, left))
    # Another run finds the same number.
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await inside(gate, (39, 39))
        assert (await gate.do(CountPeople(2, ARENA, 0, STEWARD))).ok
        await inside(gate, (0, 0))
    assert_verifies(gate.data)


async def test_who_stood_under_the_arm_at_the_alarm_has_his_use_still(tmp_path: Path) -> None:
    async with running(tmp_path, [row(1)], adjust=lambda text: quick(text, hold_ms=5000)) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(1))
        await gate.recorded(Kind.SCAN)
        await alarm(gate)
        await gate.recorded(Kind.GIVE_BACK)
        assert presence(gate, 1).uses(ARENA, SESSION) == 0
        await inside(gate, (0, 0))
        await cleared(gate)
        while not gate.hardware.lanes[2].releases.empty():
            gate.hardware.lanes[2].releases.get_nowait()
        assert not (await let_in(gate, 1)).flags & Flag.REENTRY
        assert presence(gate, 1).uses(ARENA, SESSION) == 1


async def test_who_came_in_at_a_gate_that_was_cut_off_comes_in_again_here(tmp_path: Path) -> None:
    log = EpochLog(Epoch(7), OTHER).begin().scans(3)
    async with running(tmp_path, [row(1)], adjust=quick) as gate:
        await gate.ready()
        await alarm(gate)
        await cleared(gate)
        await inside(gate, (0, 0))
        assert (await gate.do(slice_of(log, 1, 4, entry(1)))).ok
        await inside(gate, None)
        assert (await let_in(gate, 1)).flags & Flag.REENTRY


async def test_the_box_starts_again_in_the_alarm_and_in_the_re_admission(tmp_path: Path) -> None:
    async with running(tmp_path, [row(1), row(2)], adjust=quick) as gate:
        await gate.ready()
        await let_in(gate, 1)
        await let_in(gate, 2)
        await alarm(gate)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.until(lambda: gate.daemon.status.now().alarms == {ARENA: Rung.OUT}, "still out")
        assert (await gate.recorded(Kind.FIRE, 2)).data == Fire.STILL, "nobody is sent out anew"
        await cleared(gate)
        await gate.ready()
        assert (await let_in(gate, 1)).flags & Flag.REENTRY
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        assert gate.daemon.status.now().alarms == {ARENA: Rung.AGAIN}
        assert await refused(gate, 1) is Reason.ALREADY_USED
        assert (await let_in(gate, 2)).flags & Flag.REENTRY
    assert_verifies(gate.data)


async def test_staff_let_in_again_by_hand_without_a_further_use(tmp_path: Path) -> None:
    async with running(tmp_path, [row(1)], adjust=quick) as gate:
        await gate.ready()
        await let_in(gate, 1)
        await alarm(gate)
        await cleared(gate)
        act = AdmitByHand(1, 2, Direction.ENTRY, STEWARD, "came back", 1, code(1).decode())
        assert (await gate.do(act)).ok
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE, 2)
        assert (await gate.recorded(Kind.OVERRIDE)).flags & Flag.REENTRY
        assert presence(gate, 1).uses(ARENA, SESSION) == 1
        assert presence(gate, 1).frozen(ARENA, SESSION) == ()


async def test_no_power_cut_leaves_an_alarm_without_its_latch(tmp_path: Path) -> None:
    """What says that it rang, and what keeps it latched over a restart, are on the card together."""
    batches: list[Batch] = []

    class Told(LogWriter):
        def submit(self, batch: Batch, urgency: Urgency) -> None:
            batches.append(batch)
            super().submit(batch, urgency)

    async with running(
        tmp_path, [row(7)], adjust=quick, change=lambda parts: replace(parts, writer=Told)
    ) as gate:
        await gate.ready()
        await alarm(gate)
        await cleared(gate)
    rang = [one for one in batches if any(_is_fire(of.blob) for of in one.records)]
    assert [sorted(one.meta) for one in rang] == [
        [(fire_key(lane), str(int(what)).encode())] for what in (Fire.ALARM, Fire.CLEARED) for lane in (1, 2)
    ]


def _is_fire(blob: bytes) -> bool:
    record = record_from_bytes(blob)
    return isinstance(record, Record) and record.kind is Kind.FIRE
