"""A fire alarm in the middle of the evening: contacts close, everybody leaves by open arms, staff clear it and let in again.

The contact of a building is wired to every gate, or somebody presses one gate's button alone. What rings at a box that is
off is heard by it when it starts, where the contact is closed still.
"""

import asyncio
import random

from admission.ids import ZoneId
from edge.link import ClearFire, Command, CountPeople, Done, Readmission
from tests.sim.gate import SimGate
from tests.sim.history import Condition, History
from tests.sim.people import Crowd
from tests.sim.premises import BOX, HALL

ANSWER_S = 6.0
AGAIN_S = 2.0
STEWARD = 9
AT = (0.25, 0.6)
"""When it rings, as a share of the evening: some are inside by then, and some come again after."""
RINGS_S = (1.0, 9.0)
CLEARED_S = (1.5, 8.0)
"""From the contact's opening until staff clear the first gate."""
OPEN_S = (8.0, 25.0)
"""So long those who were sent out are let in again."""


class Fire:
    """One alarm. `run` it beside the evening, then `end` it."""

    def __init__(
        self,
        gates: dict[str, SimGate],
        crowd: Crowd,
        history: History,
        chance: random.Random,
        length_s: float,
    ) -> None:
        self._gates, self._crowd, self._history, self._chance = gates, crowd, history, chance
        self._at_s = length_s * chance.uniform(*AT)
        self._whole = chance.random() < 0.7
        """The building's alarm, or that of one gate's button."""
        self._ringing: dict[str, Condition] = {}
        """By card, where it is not cleared yet."""

    async def run(self) -> None:
        """Ring, fall silent, have it cleared, let in again, and end that."""
        chance = self._chance
        await asyncio.sleep(self._at_s)
        cards = list(self._gates) if self._whole else [chance.choice(list(self._gates))]
        for card in cards:
            self._ringing[card] = self._history.begin("fire", card)
            self._gates[card].ring(active=True)
        self._crowd.alarm.set()
        await asyncio.sleep(chance.uniform(*RINGS_S))
        self._silence()
        if chance.random() < 0.4:
            self._gates[chance.choice(cards)].kill()
        await asyncio.sleep(chance.uniform(*CLEARED_S))
        await self._clear()
        self._crowd.cleared.set()
        if chance.random() < 0.5:
            await self._count()
        await asyncio.sleep(chance.uniform(*OPEN_S))
        if chance.random() < 0.5:
            await self._anywhere(Readmission(0, HALL, False, STEWARD))

    async def end(self) -> None:
        """Clear what still rings: nothing else is broken any more."""
        self._silence()
        await self._clear()
        self._look_again()
        await self._clear()
        self._crowd.cleared.set()

    def _look_again(self) -> None:
        """A card that failed while it was cleared never heard of that: its gate is latched again since it started anew.

        So is a box on a copy of the card of one that rang.
        """
        for card, gate in self._gates.items():
            daemon, boot = gate.daemon, gate.boot_of
            if (
                daemon is not None
                and boot is not None
                and any(one.machine.fire for one in daemon.lanes.values())
            ):
                condition = self._ringing[card] = self._history.begin("fire", card)
                condition.since_s = boot.began_s

    def _silence(self) -> None:
        for card in self._ringing:
            self._gates[card].ring(active=False)

    async def _clear(self) -> None:
        """Clear every lane; whatever does not answer is asked again until it does."""
        while self._ringing:
            for card in list(self._ringing):
                gate = self._gates[card]
                done = [await self._ask(gate, ClearFire(0, lane.id, STEWARD)) for lane in gate.settings]
                if all(done):
                    self._history.end(self._ringing.pop(card))
            if self._ringing:
                await asyncio.sleep(AGAIN_S)

    async def _count(self) -> None:
        """Count by hand who is inside: whoever came in again by now."""
        for zone in (HALL, BOX):
            await self._anywhere(CountPeople(0, ZoneId(zone), self._chance.randint(0, 6), STEWARD))

    async def _anywhere(self, command: Command) -> None:
        await self._ask(self._chance.choice(list(self._gates.values())), command)

    async def _ask(self, gate: SimGate, command: Command) -> bool:
        done = await gate.ask(command, ANSWER_S)
        ok = isinstance(done, Done) and done.ok
        self._history.note("asked", gate.card, type(command).__name__, ok)
        return ok


__all__ = ["Fire"]
