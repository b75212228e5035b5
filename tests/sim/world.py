"""One evening from one seed: the venue is put together, people come, things break, everything is mended, and looked at."""

import asyncio
import gc
import logging
import random
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from admission.ids import GateId
from admission.records import Direction
from sync.wire.deltas import GateStatus
from sync.wire.messages import Pushed
from tests.sim.centre import Parts, SimCentre
from tests.sim.checker import check
from tests.sim.clock import TrueTime
from tests.sim.faults import Faults
from tests.sim.gate import GateBug, SimGate, build_list
from tests.sim.history import History
from tests.sim.loop import VirtualLoop
from tests.sim.network import Link, Network
from tests.sim.organizer import Organizer
from tests.sim.people import Crowd
from tests.sim.premises import TICKETS, memory_folder, premises, venue_keys

READY_S = 20.0
"""A venue that is not up by then never will be."""
HEAVY_EVERY = 4
"""So many worlds have one centre whose logs are in its own tables (`tests.sim.ledger`)."""
HEALED_S = 240.0
"""Longest time from the last fault until everybody knows everything: backoffs of a minute, a few of them."""
TWIN_S = 600.0
"""A gate asks what else the centre holds of it so seldom (`edge.front.uplink.TIME_EVERY_S`): then it hears of its twin."""


@dataclass(slots=True)
class Bug:
    """A planted bug: other parts for gates and centre."""

    gate: GateBug = field(default_factory=GateBug)
    centre: Parts = field(default_factory=Parts)
    needs: frozenset[str] = frozenset()
    """Faults without which it does not show."""


class World:
    """One seed, alive."""

    def __init__(self, seed: int, bug: Bug, folder: Path) -> None:
        self.seed, self.bug, self.folder = seed, bug, folder
        self.loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
        self.truth = TrueTime(self.loop.time)
        self.history = History()
        self.history.now_s = self.loop.time
        plan = self.chance("plan")
        self.size = plan.choice((2, 2, 2, 3, 3, 4))
        self.length_s = plan.uniform(40.0, 90.0)
        self.network = Network(self.loop, self.chance("network"))
        self.premises = premises(self.size)
        self.premises.copy_centre(folder / "centre")
        self.centre = SimCentre(
            self.loop,
            self.truth,
            self.network,
            folder / "centre",
            venue_keys(),
            bug.centre,
            seed % HEAVY_EVERY != 0,
            self._answered,
        )
        self.crowd = Crowd(self.history, self.chance("people"))
        self.gates: dict[str, SimGate] = {}
        for number in range(1, self.size + 1):
            self.add_gate(number)
        self.loop.programs["edge.builder"] = build_list
        self.problems: list[str] = []
        self.coming = plan.sample(range(1, TICKETS + 1), plan.randint(10, 20))
        """Tickets whose holders come."""

    def chance(self, what: str) -> random.Random:
        """Return a source of chance of its own for each part, so that one asking more shifts no other's."""
        return random.Random(f"{self.seed} {what}")

    def add_gate(self, number: int, card: str = "") -> SimGate:
        """Put a box in its place, with its card; `card`: a twin of another's."""
        name = card or f"gate{number}"
        gate = SimGate(
            number, loop=self.loop, truth=self.truth, network=self.network, centre=self.centre, history=self.history,
            chance=self.chance(name), folder=self.folder / name, bug=self.bug.gate, card=name,
        )  # fmt: skip
        gate.root.parent.mkdir(parents=True, exist_ok=True)
        self.premises.copy_box(GateId(number), gate.root)
        self.gates[name] = gate
        self.network.join(name, self.centre.name, Link())
        gate.on_status = lambda status: self._told(name, status)
        self.crowd.meet(gate)
        return gate

    # --- the evening ----------------------------------------------------------------------------------------------

    async def evening(self) -> None:
        """Open, let people in while things break, mend everything."""
        self.centre.start()
        for gate in self.gates.values():
            gate.boot()
        await self.until(lambda: all(gate.ready for gate in self.gates.values()), READY_S, "the venue is up")
        faults = Faults(
            self.gates,
            self.centre,
            self.network,
            self.history,
            self.chance("faults"),
            self.folder,
            self._twin,
        )
        self.history.note("menu", *faults.menu)
        people = [asyncio.create_task(one) for one in self._people()]
        organizer = Organizer(
            self.centre, self.gates, self.crowd, self.history, self.chance("organizer"), self.coming
        )
        breaking = asyncio.create_task(faults.run())
        organizing = asyncio.create_task(organizer.run())
        await asyncio.sleep(self.length_s)
        self.crowd.tired = True
        breaking.cancel()
        organizing.cancel()
        await asyncio.gather(*people)
        await faults.mend()
        await organizer.end()
        await self.heal()
        self.problems += check(self.history, self.centre.logs(), self.centre.forwarded(), self.gates)

    def _twin(self, gate: SimGate, card: Path) -> SimGate:
        twin = self.add_gate(gate.id, f"{gate.card}twin")
        twin.put_card(card)
        return twin

    async def heal(self) -> None:
        """Mend everything, and wait until everybody knows everything."""
        twins = len(self.gates) > self.size
        await self.until(self.is_healed, HEALED_S + twins * TWIN_S, "everybody knows everything")

    async def until(self, holds: Callable[[], bool], limit_s: float, what: str) -> None:
        """Wait for something to become true; a problem where it does not."""
        end_s = self.loop.time() + limit_s
        while not holds():
            if self.loop.time() > end_s:
                self.problems.append(f"never came true: {what}")
                return
            await asyncio.sleep(0.5)

    def _people(self) -> list[Coroutine[object, object, object]]:
        chance, crowd = self.chance("who"), self.crowd
        entries = crowd.ways(Direction.ENTRY)
        coming: list[Coroutine[object, object, object]] = []
        for number in self.coming:
            at_s = self.loop.time() + chance.uniform(0.0, self.length_s * 0.8)
            places = chance.sample(entries, min(2, len(entries)))
            what = chance.random()
            if what < 0.2 and len(places) == 2:
                after_s = 0.0 if chance.random() < 0.4 else chance.uniform(1.0, 20.0)
                coming.append(crowd.hand_over(number, at_s, places[0], places[1], after_s))
            elif what < 0.25:
                coming.append(crowd.stranger(at_s, places[0]))
            else:
                coming.append(
                    crowd.visit(number, at_s, places, chance.uniform(5.0, 40.0), chance.choice((1, 1, 2, 3)))
                )
        return coming

    # --- what is overheard ------------------------------------------------------------------------------------------

    def _answered(self, gate: GateId, what: str, said: object) -> None:  # noqa: ARG002 - the Protocol's
        if isinstance(said, Pushed):
            for held in said.held:
                self.history.note("acked", gate, f"{held.epoch:x}", held.seq)

    def _told(self, card: str, status: GateStatus) -> None:
        for one in status.versions:
            self.history.at_version(card, one.generation, one.version)

    # --- healed -----------------------------------------------------------------------------------------------------

    def is_healed(self) -> bool:
        """Whether the centre has every gate's log, and every gate has all that the centre forwards."""
        if not self.centre.is_up or not all(gate.ready for gate in self.gates.values()):
            return False
        held, forwarded = self.centre.held(), self.centre.forwarded()
        for gate in self.gates.values():
            daemon = gate.daemon
            assert daemon is not None
            rows = {(row.gate, row.epoch): row.last_seq for row in daemon.reader.epochs()}
            if daemon.journal.durable_seq != daemon.journal.last_seq:
                return False
            if any(held.get(log, 0) < seq for log, seq in rows.items()):
                return False
            if any(rows.get(log, 0) < seq for log, seq in forwarded.items()):
                return False
            # Only a card that was set back leaves an end that nobody vouches for.
            if any(
                rows.get(log, 0) < seq and log[0] not in self.history.tampered for log, seq in held.items()
            ):
                return False
        return True


@dataclass(slots=True)
class Outcome:
    """What a seed came to."""

    seed: int
    problems: list[str]
    digest: str
    history: History
    steps: int


def replay_command(seed: int, bug: str = "") -> str:
    """Return what plays a seed again."""
    return f"python -m tests.sim --seed {seed}" + (f" --bug {bug}" if bug else "")


def run(seed: int, bug: Bug | None = None) -> Outcome:
    """Play one seed and check it."""
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-sim-", dir=memory_folder()))
    logging.disable(logging.CRITICAL)
    gc.disable()
    world = World(seed, bug or Bug(), folder)
    try:
        world.loop.run(world.evening())
        problems = [*world.problems, *world.loop.defects]
        return Outcome(seed, problems, world.history.digest(), world.history, world.loop.steps)
    finally:
        world.centre.stop()
        for gate in world.gates.values():
            gate.is_off = True
            if gate.is_up:
                gate._ended("over", again=False)
        world.loop.close()
        shutil.rmtree(folder, ignore_errors=True)
        gc.enable()
        gc.unfreeze()
        logging.disable(logging.NOTSET)


__all__ = ["Bug", "Outcome", "World", "replay_command", "run"]
