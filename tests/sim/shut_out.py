"""A gate is shut out in the middle of the evening, as one whose box was stolen: it goes on, and what it records counts no more."""

import asyncio
import random

from sqlalchemy import text

from admission.ids import Epoch
from sync.gates import fleet
from sync.store.schema import unsigned
from sync.tickets import changes
from sync.wire.counted import end_of
from tests.sim.centre import SimCentre
from tests.sim.gate import SimGate
from tests.sim.history import History, Log, ShutOut
from tests.sim.premises import EVENT

AT = (0.3, 0.7)
"""When, as a share of the evening."""
SINCE_S = 15
"""Whoever missed the box late says since when, at most so long ago."""
AGAIN_S = 1.0
_ENDS = text("SELECT epoch, seq FROM revoked_head WHERE gate_id = :gate")


class ShutsOut:
    """Somebody at the centre's page of a gate. `run` it beside the evening."""

    def __init__(
        self,
        gates: dict[str, SimGate],
        centre: SimCentre,
        history: History,
        chance: random.Random,
        length_s: float,
    ) -> None:
        self._gates, self._centre, self._history, self._chance = gates, centre, history, chance
        self._at_s = length_s * chance.uniform(*AT)

    async def run(self) -> None:
        """Shut one gate out."""
        chance = self._chance
        await asyncio.sleep(self._at_s)
        while not self._centre.is_up:
            await asyncio.sleep(AGAIN_S)
        gate = chance.choice(list(self._gates.values()))
        since_s = self._centre.now_s() - chance.randint(1, SINCE_S) if chance.random() < 0.6 else 0
        held = {log: seq for log, seq in self._centre.held().items() if log[0] == gate.id}
        with changes.change(self._centre.database, [EVENT], self._centre.now_s()) as connection:
            fleet.revoke(connection, gate.id, "stolen", self._centre.now_s(), since_s)
            ends: dict[Log, int] = {
                (gate.id, Epoch(unsigned(epoch))): end_of(seq)
                for epoch, seq in connection.execute(_ENDS, {"gate": gate.id})
            }
        self._history.shut_out[gate.id] = ShutOut(self._history.now_s(), since_s, held, ends)
        self._history.begin("shut out", gate.card)


__all__ = ["ShutsOut"]
