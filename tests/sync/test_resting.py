"""A venue where nobody comes: the uplinks rest, also where a product lets nobody in while others are not heard, and whoever
comes first wakes them all.

Gates, sockets and centre are real; the loop's time is turned by hand.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update

from admission.entitlements import OfflinePolicy, Standing
from admission.reasons import Reason
from admission.records import Kind, Outcome
from edge.front.pace import Idle
from edge.link import Part
from edge.others import HEARD_S
from sync import demo
from sync.events import tables
from sync.events.rows import GROUP
from sync.gates import roster
from sync.tickets import changes
from tests.sync.box import Box
from tests.sync.connected import tickets
from tests.sync.gates import PLANS, SECOND_GATE, SECOND_NAME
from tests.sync.requests import NOW_S
from tests.sync.test_deltas import stand
from tests.sync.test_half_open import Evening, LoopClock, TurnedLoop, evening, on_turned_time
from tests.sync.venue import Venue

STEP_S = 2.5
SOON = Idle(quiet_after_s=20.0)
"""Nobody came for so long: a real gate waits ten minutes, which are no different."""


@dataclass
class Night:
    """A gate where people come, and a second one that serves the same zone; both rest."""

    evening: Evening
    second: Box

    @property
    def tile(self) -> str:
        return self.evening.one.gate.code(Part.UPLINK, "centre")

    def is_cut_off(self) -> bool:
        daemon = self.evening.one.gate.daemon
        return not daemon.others.is_heard(SECOND_GATE)

    async def comes(self, key: str) -> None:
        """Somebody shows a ticket."""
        data = tickets(self.evening.venue)[key].data
        await self.evening.one.gate.hardware.entry.scan(data.encode())


def two_strict_gates(venue: Venue) -> None:
    """Nobody is let in where another gate was not heard, and there is another one."""
    with changes.change(venue.centre.database, [demo.EVENT, demo.OTHER_EVENT], NOW_S) as connection:
        connection.execute(update(tables.product).values(offline=int(OfflinePolicy.DENY)))
        zones = (demo.ARENA, demo.FLOOR, demo.VIP)
        roster.add_gate(connection, roster.Gate(SECOND_GATE, SECOND_NAME, zones), PLANS, GROUP)


@asynccontextmanager
async def night(folder: Path) -> AsyncIterator[Night]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TurnedLoop)
    async with evening(folder, SOON, two_strict_gates) as first:
        second = Box(folder / "second", await first.venue.enrolled(folder / "second", SECOND_NAME))
        second.idle, second.clock = SOON, LoopClock(loop)
        try:
            async with second.linked() as other:
                made = Night(first, second)
                await first.turned_until(lambda: not made.is_cut_off(), HEARD_S)
                await first.turned_until(lambda: made.tile == "uplink.rests", 4 * HEARD_S, STEP_S)
                await first.turned_until(other._rounds.is_quiet, 4 * HEARD_S, STEP_S)
                await first.turned_until(made.is_cut_off, 4 * HEARD_S, STEP_S)
                yield made
        finally:
            second.store.close()


def test_who_comes_first_after_a_rest_is_judged_by_what_the_centre_and_the_other_gate_know_by_then(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with night(tmp_path) as here:
            gate = here.evening.one.gate
            await here.evening.turned_until(lambda: here.evening.link.lines == 1, 4 * HEARD_S, STEP_S)
            ahead_s = here.evening.loop.ahead_s
            assert here.evening.link.half_open() > 0, "the stream is dead, and nobody knows"
            told = len(here.second.changes)
            await asyncio.to_thread(stand, here.evening.venue, "day", Standing.CANCELLED)
            await here.second.until(lambda: len(here.second.changes) > told)  # the centre tells of it
            await here.comes("day")
            scan = await gate.recorded(Kind.SCAN)
            assert gate.daemon.recent[-1].reason == Reason.ASKING, "it was asked for"
            assert (scan.outcome, scan.reason) == (Outcome.DENY, Reason.CANCELLED)
            await here.comes("day_2")
            assert await gate.hardware.lanes[1].releases.get() == "entry"
            assert not here.is_cut_off(), "the other gate was woken, and was heard"
            await gate.until(lambda: here.tile == "uplink.ok", "both are awake")
            assert here.evening.loop.ahead_s == ahead_s, "no poll and no round came due meanwhile"

    on_turned_time(scenario())


def test_a_cancel_comes_to_a_gate_that_rests_as_soon_as_to_any(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with night(tmp_path) as here:
            gate, ahead_s = here.evening.one.gate, here.evening.loop.ahead_s
            known = gate.kinds().count(Kind.STANDING)
            await asyncio.to_thread(stand, here.evening.venue, "day", Standing.CANCELLED)
            await gate.recorded(Kind.STANDING, known + 1)
            assert here.evening.loop.ahead_s == ahead_s
            assert here.tile == "uplink.rests"
            await here.evening.turned_until(here.evening.is_sent, 4 * STEP_S, STEP_S)
            assert here.tile == "uplink.rests", "that it came is told, and wakes nobody"
            assert here.evening.is_refused("day")

    on_turned_time(scenario())
