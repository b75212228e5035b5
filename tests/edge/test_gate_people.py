"""What people do at a gate: the whole lane process on real ptys, told by its records, its arm and its answers."""

import asyncio
from functools import partial
from pathlib import Path

from admission.entitlements import Standing
from admission.ids import TicketId
from admission.lane import LaneState
from admission.presence import fold
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome
from edge.link import AdmitByHand, AnnulLast, ClearFire, Done, Health, Part, Pulse, SetState
from tests.edge.rig import EVENT, UID, Gate, assert_verifies, code, quick, row, running, tag_row
from tests.venue.hardware import FIRE_LINE, READY_LINES

ENTRY, EXIT = int(Direction.ENTRY), int(Direction.EXIT)
STEWARD = 17


async def answers(gate: Gate, count: int) -> tuple[Outcome, Reason]:
    """The newest answer, once there are so many."""
    seen = await gate.seen(count)
    return Outcome(seen.outcome), Reason(seen.reason)


def uses(gate: Gate, ticket: int) -> tuple[int, int]:
    """How many people of a ticket were admitted, and how many are inside, as the log on disk has it."""
    reader = gate.reader()
    zones = gate.daemon.judge.venue.zones
    presence = fold(reader.presence_rows(EVENT, TicketId(ticket)), reader.resets(), zones)
    reader.close()
    return len(presence.counted), len(presence.live)


async def test_who_refuses_to_walk_has_the_use_still(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        assert await gate.hardware.lanes[2].releases.get() == "entry"
        await gate.recorded(Kind.GIVE_BACK)
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE)
        assert await answers(gate, 2) == (Outcome.GRANT, Reason.NONE)
        assert uses(gate, 7) == (1, 1)
    assert_verifies(gate.data)


async def test_who_passes_late_has_used_it_after_all(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.hardware.lanes[2].releases.get()
        await gate.until(lambda: not gate.daemon.lanes[2].machine.facts()[2], "the window is over")
        assert await gate.push(2, "entry")
        late = await gate.recorded(Kind.LATE_PASSAGE)
        assert gate.kinds() == [Kind.SCAN, Kind.GIVE_BACK, Kind.LATE_PASSAGE]
        assert late.ticket is not None
        await gate.hardware.second.scan(code(7))
        assert await answers(gate, 2) == (Outcome.DENY, Reason.ALREADY_USED)


async def test_leaving_by_the_entry_commits_nobodys_entry(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=lambda text: quick(text, hold_ms=3000)) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await gate.hardware.lanes[1].releases.get()
        await gate.push(1, "exit", force=True)
        against = await gate.recorded(Kind.INTRUSION)
        assert against.direction is Direction.EXIT
        assert Kind.PASSAGE not in gate.kinds()
        assert await gate.push(1, "entry")
        assert (await gate.recorded(Kind.PASSAGE)).direction is Direction.ENTRY


async def test_two_on_one_ticket_and_one_on_none(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        await gate.push(2, "entry", force=True)
        tailgate = await gate.recorded(Kind.TAILGATE)
        scan = next(record for record in gate.records() if record.kind is Kind.SCAN)
        assert tailgate.ref == scan.seq
        await gate.push(1, "entry", force=True)
        await gate.recorded(Kind.INTRUSION)
        await gate.until(lambda: len(gate.daemon.alerts.open) == 2, "staff are called")
        assert [(one.lane, one.what) for one in gate.daemon.alerts.open] == [
            (1, "intrusion"),
            (2, "tailgate"),
        ]
        assert uses(gate, 7) == (1, 1)


async def test_of_two_readers_at_once_the_second_waits_and_then_goes_in(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), tag_row(8)], adjust=lambda text: quick(text, hold_ms=3000)) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await gate.seen()
        await gate.hardware.tags.scan(UID.hex().upper())
        assert await answers(gate, 2) == (Outcome.WAIT, Reason.BUSY)
        await gate.walk()
        await gate.walk()
        assert await answers(gate, 3) == (Outcome.GRANT, Reason.NONE)
        await gate.recorded(Kind.PASSAGE, 2)
        assert gate.kinds().count(Kind.SCAN) == 2
        assert gate.hardware.lanes[1].releases.empty()


async def test_a_phone_left_on_the_glass_burns_one_of_four(tmp_path: Path) -> None:
    async with running(
        tmp_path, [row(7, profile=1)], adjust=lambda text: quick(text, absent_ms=2000)
    ) as gate:
        await gate.ready()
        for _ in range(5):
            await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        for _ in range(5):
            await gate.hardware.second.scan(code(7))
        # Whoever comes after it is answered, so all of the above was read.
        await gate.hardware.second.scan(b"nobody knows me")
        await gate.seen(2)
        await gate.recorded(Kind.PASSAGE)
        assert [(one.kind, one.outcome) for one in gate.records()] == [
            (Kind.SCAN, Outcome.GRANT),
            (Kind.PASSAGE, Outcome.NONE),
            (Kind.SCAN, Outcome.DENY),
        ]
        assert gate.hardware.lanes[2].releases.empty()
        assert uses(gate, 7) == (1, 1)


async def test_out_by_the_wedge_reader_and_in_again_is_one_use(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await gate.walk()
        await gate.recorded(Kind.PASSAGE)
        await gate.hardware.entry.scan(code(7))
        assert await answers(gate, 2) == (Outcome.DENY, Reason.ALREADY_INSIDE)
        await gate.hardware.exit.scan(code(7).decode())
        await gate.walk(1, "exit")
        await gate.recorded(Kind.PASSAGE, 2)
        assert uses(gate, 7) == (1, 0)
        await gate.hardware.entry.scan(code(7))
        await gate.walk()
        assert await answers(gate, 4) == (Outcome.GRANT, Reason.NONE)
        assert (await gate.recorded(Kind.SCAN, 4)).flags & Flag.REENTRY
        await gate.recorded(Kind.PASSAGE, 3)
        assert uses(gate, 7) == (2, 1)
        bounds = gate.daemon.memory.bounds(gate.daemon.lanes[1].plan().zone)
        assert bounds is not None
        assert bounds.high == 1


async def test_a_tag_is_read_by_its_uid(tmp_path: Path) -> None:
    async with running(tmp_path, [tag_row(9)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.tags.scan(UID.hex().upper())
        await gate.walk()
        seen = await gate.seen()
        assert (seen.outcome, seen.kind, seen.ticket) == (Outcome.GRANT, "uid", "9")


def has_let_in(gate: Gate, count: int) -> bool:
    return gate.daemon.lanes[2].machine.counters[Direction.ENTRY].committed == count


async def test_a_group_of_four_goes_in_one_by_one(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7, profile=1)], adjust=quick) as gate:
        await gate.ready()
        for number in range(1, 5):
            await gate.hardware.second.scan(code(7))
            await gate.walk(2)
            await gate.until(partial(has_let_in, gate, number), f"number {number} is in")
        await gate.recorded(Kind.PASSAGE, 4)
        assert uses(gate, 7) == (4, 4)
        await gate.hardware.second.scan(code(7))
        assert await answers(gate, 5) == (Outcome.DENY, Reason.ALREADY_USED)


async def test_standings_of_the_list(tmp_path: Path) -> None:
    wrong = {
        11: (Standing.CANCELLED, Reason.CANCELLED),
        12: (Standing.BANNED, Reason.BANNED),
        13: (Standing.UNPAID, Reason.UNPAID),
        14: (Standing.REPLACED, Reason.REPLACED),
    }
    async with running(tmp_path, [row(n, one) for n, (one, _) in wrong.items()], adjust=quick) as gate:
        await gate.ready()
        for count, (number, (_, reason)) in enumerate(wrong.items(), 1):
            await gate.hardware.second.scan(code(number))
            assert await answers(gate, count) == (Outcome.DENY, reason)
        assert gate.hardware.lanes[2].releases.empty()


async def test_fire_lets_nobody_in_and_everybody_out_until_staff_clear_it(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=quick) as gate:
        await gate.ready()
        gate.hardware.contacts.drive(FIRE_LINE, active=True)
        await gate.until(lambda: all(one.machine.fire for one in gate.daemon.lanes.values()), "fire latched")
        await gate.hardware.entry.scan(code(7))
        assert await answers(gate, 1) == (Outcome.DENY, Reason.NOT_READY)
        await gate.hardware.exit.scan(code(8).decode())
        assert await answers(gate, 2) == (Outcome.GRANT, Reason.NONE)
        out = await gate.recorded(Kind.SCAN, 2)
        assert out.flags & Flag.NO_PULSE
        assert gate.hardware.lanes[1].releases.empty()
        assert await gate.do(ClearFire(1, 1, STEWARD)) == Done(1, ok=False, code="command.fire_still_on")
        gate.hardware.contacts.drive(FIRE_LINE, active=False)
        await gate.recorded(Kind.FIRE, 2)
    # The box was switched off meanwhile: an alarm is over when staff say so, not when the power comes back.
    async with running(tmp_path, adjust=quick) as gate:
        await gate.until(lambda: gate.health(Part.SENSOR, "contacts") is Health.OK, "contacts read")
        await gate.until(lambda: gate.health(Part.READER, "2.4") is Health.OK, "reader open")
        await gate.hardware.second.scan(code(7))
        assert await answers(gate, 1) == (Outcome.DENY, Reason.NOT_READY)
        for lane in (1, 2):
            assert (await gate.do(ClearFire(2, lane, STEWARD))).ok
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await gate.walk()
    assert_verifies(gate.data)


async def test_with_ready_off_exits_are_recorded_and_nothing_moves(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        gate.hardware.contacts.drive(READY_LINES[1], active=False)
        await gate.until(lambda: not gate.daemon.lanes[1].ready, "not ready")
        await gate.hardware.entry.scan(code(7))
        assert await answers(gate, 1) == (Outcome.DENY, Reason.NOT_READY)
        await gate.hardware.exit.scan(code(7).decode())
        assert await answers(gate, 2) == (Outcome.GRANT, Reason.NONE)
        assert await gate.do(Pulse(1, 1, ENTRY, STEWARD)) == Done(1, ok=False, code="command.refused")
        assert gate.hardware.lanes[1].releases.empty()
        gate.hardware.contacts.drive(READY_LINES[1], active=True)
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await gate.walk()
        assert (await gate.recorded(Kind.SCAN, 3)).outcome is Outcome.GRANT


async def test_a_rehearsal_turns_the_arm_and_counts_for_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        assert (await gate.do(SetState(1, 2, "rehearsal", STEWARD))).ok
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        passage = await gate.recorded(Kind.PASSAGE)
        assert passage.flags & Flag.REHEARSAL
        assert uses(gate, 7) == (0, 0)
        assert (await gate.do(SetState(2, 2, "controlled", STEWARD))).ok
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE, 2)
        assert uses(gate, 7) == (1, 1)


async def test_the_technicians_button_opens_and_is_recorded(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        assert await gate.do(Pulse(5, 1, EXIT, STEWARD)) == Done(5, ok=True)
        await gate.walk(1, "exit")
        pulse = await gate.recorded(Kind.TEST_PULSE)
        assert (pulse.direction, pulse.data) == (Direction.EXIT, 60)
        assert await gate.do(Pulse(6, 9, EXIT)) == Done(6, ok=False, code="command.no_lane")


async def test_a_lane_without_a_way_out_opens_none(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        assert gate.daemon.lanes[2].settings.exit_line is None
        by_hand = AdmitByHand(1, 2, EXIT, STEWARD, "wants out")
        assert await gate.do(by_hand) == Done(1, ok=False, code="command.no_way")
        assert await gate.do(Pulse(2, 2, EXIT, STEWARD)) == Done(2, ok=False, code="command.no_way")
        assert (await gate.do(Pulse(3, 2, ENTRY, STEWARD))).ok
        await gate.walk(2)
        pulse = await gate.recorded(Kind.TEST_PULSE)
        assert pulse.direction is Direction.ENTRY


async def test_staff_admit_by_hand_and_take_it_back(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=lambda text: quick(text, hold_ms=3000)) as gate:
        await gate.ready()
        by_hand = AdmitByHand(1, 2, ENTRY, STEWARD, "broken phone", code=code(7).decode())
        assert (await gate.do(by_hand)).ok
        assert await gate.do(by_hand) == Done(1, ok=False, code="command.refused")  # the arm is taken
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE)
        override = await gate.recorded(Kind.OVERRIDE)
        assert uses(gate, 7) == (1, 1)
        await gate.hardware.second.scan(code(7))
        assert await answers(gate, 2) == (Outcome.DENY, Reason.ALREADY_USED)
        denied = await gate.recorded(Kind.SCAN)
        epoch = gate.daemon.journal.epoch
        take_back = AnnulLast(2, 2, epoch, denied.seq, STEWARD, "a slip")
        assert await gate.do(take_back) == Done(2, ok=False, code="command.no_admission")
        assert (await gate.do(AnnulLast(3, 2, epoch, override.seq, STEWARD, "wrong person"))).ok
        await gate.recorded(Kind.ANNUL)
        assert uses(gate, 7) == (0, 0)
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        assert await answers(gate, 3) == (Outcome.GRANT, Reason.NONE)


async def test_staff_admit_without_a_ticket_or_with_none_that_is_known(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        assert (await gate.do(AdmitByHand(1, 1, ENTRY, STEWARD, "guest of honour"))).ok
        await gate.walk()
        override = await gate.recorded(Kind.OVERRIDE)
        assert override.ticket is None
        unknown = AdmitByHand(2, 1, ENTRY, STEWARD, "x", code="no such code")
        assert await gate.do(unknown) == Done(2, ok=False, code="command.no_ticket")


async def test_a_closed_lane_is_closed_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        assert (await gate.do(SetState(1, 2, "closed", STEWARD))).ok
        assert not (await gate.do(SetState(1, 2, "ajar", STEWARD))).ok
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        states = {number: lane.machine.state for number, lane in gate.daemon.lanes.items()}
        assert states == {1: LaneState.CONTROLLED, 2: LaneState.CLOSED}
        await gate.hardware.second.scan(code(7))
        assert await answers(gate, 1) == (Outcome.DENY, Reason.NOT_READY)
        await gate.hardware.entry.scan(code(7))
        await gate.walk()


async def test_the_pulse_is_over_when_it_should_be(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await gate.hardware.lanes[1].releases.get()
        await asyncio.wait_for(gate.until(lambda: not any(gate.hardware.relays.levels), "relay off"), 5)
        on, off = list(gate.hardware.relays.changes)[-2:]
        assert (on.line, on.on, off.line, off.on) == (0, True, 0, False)
