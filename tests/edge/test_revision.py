"""A gate that learns what time it is: what it recorded before lies where it belongs, its own and that of other gates."""

import time
from pathlib import Path

import msgspec
import pytest

from admission.ids import GateId, TicketId
from admission.observed import PresenceRow
from admission.records import Kind, Trust
from edge.front.slices import meaning_of
from edge.link import Foreign, Health, Part, UplinkSaid
from edge.revision import due_of
from edge.store.log import LogStore
from edge.store.log_schema import REVISED_KEY, Batch
from tests.edge.rig import EVENT, GATE, Gate, assert_verifies, code, quick, row, running
from tests.edge.test_faults import YEARS_10_S, WrongClock
from tests.edge.test_gate_log import by
from tests.sync.untimed import HALL, counted_untimed, untimed_day

OTHER = GateId(2)
CLOSE_S = 30
"""Between when it happened and when the test looks, on a slow machine."""


def rows(gate: Gate, ticket: int) -> list[PresenceRow]:
    reader = gate.reader()
    try:
        return sorted(reader.presence_rows(EVENT, TicketId(ticket)), key=lambda one: one.id.seq)
    finally:
        reader.close()


def are_near(found: list[PresenceRow], at_s: float) -> bool:
    return bool(found) and all(abs(one.time_us / 1e6 - at_s) < CLOSE_S for one in found)


@pytest.mark.parametrize("off_s", [YEARS_10_S, -YEARS_10_S], ids=["ahead", "behind"])
async def test_what_a_gate_recorded_before_it_knew_the_time_is_placed_once_the_centre_says_it(
    tmp_path: Path, off_s: int
) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=quick, change=by(WrongClock(off_s))) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE)
        now_s = time.time()
        assert are_near(rows(gate, 7), now_s + off_s)
        gate.daemon._said(UplinkSaid(Health.OK, "uplink.ok", {}, int(now_s)))
        await gate.until(lambda: are_near(rows(gate, 7), now_s), "placed anew")
        await gate.until(lambda: not due_of(gate.daemon.reader), "nothing is due any more")
        await gate.until(
            lambda: gate.code(Part.CLOCK, "clock") in {"clock.ahead", "clock.behind"}, "the tile says it"
        )
        # From now on records carry the centre's time themselves.
        await gate.hardware.second.scan(code(8))
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE, 2)
        assert are_near(rows(gate, 8), now_s)
        step = await gate.recorded(Kind.CLOCK_STEP)
        assert (step.trust, abs(step.data - YEARS_10_S) <= 2) == (Trust.SYNCED, True)
        assert gate.records()[-1].trust is Trust.SYNCED
    assert_verifies(gate.data)


async def test_a_crash_before_it_was_done_leaves_it_due(tmp_path: Path) -> None:
    """As a power cut leaves it: the log holds the step, presence still goes by the clock of before."""
    clock = WrongClock(-YEARS_10_S)
    async with running(tmp_path, [row(7)], adjust=quick, change=by(clock)) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE)
        before = rows(gate, 7)
        clock.offset_s = 0
        clock.marked_synced = lambda: True  # type: ignore[method-assign]  # a time server set it
        await gate.recorded(Kind.CLOCK_STEP)
        await gate.until(lambda: not due_of(gate.daemon.reader), "done")
        own = (GATE, gate.daemon.journal.epoch)
    store = LogStore.open(tmp_path / "data")
    store.append([Batch(1, presence=tuple(before), meta=((REVISED_KEY, msgspec.msgpack.encode((own,))),))])
    store.close()
    async with running(tmp_path, adjust=quick) as gate:
        await gate.until(lambda: are_near(rows(gate, 7), time.time()), "placed anew after the restart")
        await gate.until(lambda: not due_of(gate.daemon.reader), "nothing is due any more")


async def test_records_of_another_gate_are_placed_as_that_gate_and_the_centre_place_them(
    tmp_path: Path,
) -> None:
    log, truth = untimed_day(OTHER, -YEARS_10_S)
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.until(lambda: gate.health(Part.RELAY, "relays") is Health.OK, "the gate is up")
        # In pieces, as they come: the front knows of each no more than what it holds.
        for first in range(1, len(log.blobs) + 1, 3):
            blobs = tuple(log.blobs[first - 1 : first + 2])
            told, resets = meaning_of(OTHER, log.epoch, blobs)
            done = await gate.do(
                Foreign(1, OTHER, log.epoch, first, blobs, rows=tuple(told), resets=tuple(resets))
            )
            assert done.ok
        for ticket in (1, 2, 3):
            await gate.until(
                lambda number=ticket: (
                    [one.time_us for one in rows(gate, number)]  # type: ignore[misc]  # looked at in this turn
                    == [truth[one.id.seq] for one in rows(gate, number)]
                    != []
                ),
                f"ticket {ticket} is placed",
            )


async def test_a_count_of_another_gate_is_placed_where_it_belongs_for_the_next_decision_too(
    tmp_path: Path,
) -> None:
    """Else whoever came after it would be taken for one of those who were counted."""
    log, counted_us = counted_untimed(OTHER, YEARS_10_S, people=40)
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.until(lambda: gate.health(Part.RELAY, "relays") is Health.OK, "the gate is up")
        for seq, blob in enumerate(log.blobs, 1):
            told, resets = meaning_of(OTHER, log.epoch, (blob,))
            assert (
                await gate.do(
                    Foreign(1, OTHER, log.epoch, seq, (blob,), rows=tuple(told), resets=tuple(resets))
                )
            ).ok
        memory = gate.daemon.memory
        await gate.until(
            lambda: [one.time_us for one in memory.resets().counts] == [counted_us], "placed anew"
        )
        assert [one.people for one in memory.resets().counts] == [40]
        memory.refresh(gate.daemon.judge.venue.zones, {})
        assert memory.resets().counted(HALL) in memory.resets().counts, "and stays there"
