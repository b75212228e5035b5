"""One evening from one seed: the venue is put together, people come, things break, everything is mended, and looked at."""

import asyncio
import gc
import logging
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from admission.ids import GateId
from admission.records import Direction
from edge.daemon import Daemon
from edge.link import Health, Part
from sync.wire.deltas import GateStatus
from sync.wire.messages import Pushed
from tests.memory import memory_folder
from tests.sim.accounts import Account, accounts_of, signed_end
from tests.sim.bugs import BUGS
from tests.sim.centre import SimCentre
from tests.sim.checker import check
from tests.sim.clock import EPOCH_S, TrueTime
from tests.sim.desks import Desks
from tests.sim.faults import APART, NOT_SHUT_OUT, RESET_AGAIN, Faults
from tests.sim.fires import Fire
from tests.sim.gate import SimGate, build_list
from tests.sim.history import History, Log
from tests.sim.lan import Lan
from tests.sim.loop import VirtualLoop
from tests.sim.network import Link, Network
from tests.sim.organizer import Organizer
from tests.sim.people import Crowd
from tests.sim.planning import Planner
from tests.sim.planted import signatures_remembered
from tests.sim.premises import NIGHT, TICKETS, UNSOLD, premises, venue_keys
from tests.sim.published import GoesBy, Published, as_said, goes_by, gone_by, never_older, published
from tests.sim.shut_out import ShutsOut
from tests.thaw import sweep

LENGTH_S = (25.0, 55.0)
"""While people come: as much happens as in an hour of a real evening, and a seed costs a third of a second."""
READY_S = 20.0
"""A venue that is not up by then never will be."""
HEAVY_EVERY = 4
"""So many worlds have one centre whose logs are in its own tables (`tests.sim.ledger`)."""
NEAR_EVERY = 5
"""In so many worlds one has gates that hear each other directly, on a LAN (`tests.sim.lan`)."""
FIRE_EVERY = 6
"""In so many worlds one has a fire alarm (`tests.sim.fires`)."""
SHUT_OUT_EVERY = 8
"""In so many worlds one, whose centre has its own tables, shuts a gate out (`tests.sim.shut_out`)."""
STALE_EVERY = 7
"""In so many worlds one has a gate that begins cut off, with a list an hour old, and people with tickets in no list."""
PLANNED = 0.3
"""Share of worlds in which somebody plans anew in the evening (`tests.sim.planning`)."""
DESKS_EVERY = 9
"""In so many worlds one has check-in stations, and people with wristbands (`tests.sim.desks`)."""
NIGHT_EVERY = 11
"""In so many worlds one has its hall emptied by a plan, in the middle of the evening (`tests.sim.nights`)."""
AFTER_NIGHT_S = 8.0
UNSOLD_COUNT = 6
SEEDS_A_WORKER = 200
"""Then a new process takes over: what a world leaves behind in libraries does not add up over a night."""
SETTLED_S = 6.0
"""In three worlds of four somebody then presses "sync now" at each gate: nobody waits for a backoff to end."""
HEALED_S = 240.0
"""Longest time from the last fault until everybody knows everything: backoffs of a minute, a few of them."""
TWIN_S = 600.0
"""A gate asks what else the centre holds of it so seldom (`edge.front.uplink.TIME_EVERY_S`): then it hears of its twin."""


class World:
    """One seed, alive."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.folder = seed, folder
        self.loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
        self.truth = TrueTime(self.loop.time)
        self.history = History()
        self.history.now_s = self.loop.time
        plan = self.chance("plan")
        self.size = plan.choice((2, 2, 2, 3, 3, 4))
        self.length_s = plan.uniform(*LENGTH_S)
        self.network = Network(self.loop, self.chance("network"))
        self.has_desks = (
            seed % DESKS_EVERY == DESKS_EVERY // 2 and seed % SHUT_OUT_EVERY != SHUT_OUT_EVERY // 2
        )
        if seed % NIGHT_EVERY == NIGHT_EVERY // 2 + 1:
            self.history.night_s = float(NIGHT * 60 - EPOCH_S % 86_400)
            self.length_s = max(self.length_s, self.history.night_s + AFTER_NIGHT_S)
        self.premises = premises(self.size, desks=self.has_desks, night=self.history.night_s > 0)
        self.premises.copy_centre(folder / "centre")
        self.centre = SimCentre(
            self.loop,
            self.truth,
            self.network,
            folder / "centre",
            venue_keys(),
            seed % HEAVY_EVERY != 0,
            self._answered,
            self.history.in_force.append,
        )
        self.lan = Lan(self.loop, self.network) if seed % NEAR_EVERY == NEAR_EVERY - 1 else None
        self.history.near = self.lan is not None
        self.crowd = Crowd(self.history, self.chance("people"))
        self.crowd.rings_tonight = seed % FIRE_EVERY == 1
        self.gates: dict[str, SimGate] = {}
        self.desks = Desks(self.centre, self.gates, self.crowd, self.history, self.chance("desks"))
        for number in range(1, self.size + 1):
            self.add_gate(number)
        self.loop.programs["edge.builder"] = build_list
        self.problems: list[str] = []
        self.accounts: dict[str, Account] = {}
        self.published: Published | None = None
        """What the centre says of its list in the end."""
        self.gone_by: list[GoesBy] = []
        """What gates judge by then, and switched on again."""
        self.plans = self.chance("plans").random() < PLANNED
        self.shuts_out = seed % SHUT_OUT_EVERY == SHUT_OUT_EVERY // 2
        self.stale = seed % STALE_EVERY == STALE_EVERY // 2
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
            chance=self.chance(name), folder=self.folder / name, card=name,
            fire=self.crowd.rings_tonight, desk=self.has_desks,
        )  # fmt: skip
        gate.root.parent.mkdir(parents=True, exist_ok=True)
        self.premises.copy_box(GateId(number), gate.root)
        self.gates[name] = gate
        self.network.join(name, self.centre.name, Link())
        if self.lan is not None:
            self.lan.join(name, [one for one in self.gates if one != name])
            gate.lan = self.lan
        gate.on_status = lambda status: self._told(name, status)
        self.crowd.meet(gate)
        if self.has_desks:
            self.desks.meet(gate)
        return gate

    # --- the evening ----------------------------------------------------------------------------------------------

    async def evening(self) -> None:
        """Open, let people in while things break, mend everything."""
        self.centre.start()
        faults = Faults(
            self.gates,
            self.centre,
            self.network,
            self.history,
            self.chance("faults"),
            self.folder,
            self._twin,
            NOT_SHUT_OUT if self.shuts_out else frozenset(),
            (APART if self.has_desks else frozenset())
            | (RESET_AGAIN if self.history.night_s else frozenset()),
        )
        if self.stale:
            faults.begin_cut_off(self.chance("stale").uniform(0.5, 1.2) * self.length_s)
        for gate in self.gates.values():
            gate.boot()
        await self.until(self._unready, READY_S)
        self.history.note("menu", *faults.menu)
        people = [asyncio.create_task(one) for one in self._people()]
        organizer = Organizer(
            self.centre, self.gates, self.crowd, self.history, self.chance("organizer"), self.coming
        )
        fire = Fire(self.gates, self.crowd, self.history, self.chance("fire"), self.length_s)
        shutting = ShutsOut(self.gates, self.centre, self.history, self.chance("shut out"), self.length_s)
        planner = Planner(
            self.centre, self.gates, self.crowd, self.history, organizer, self.chance("planner"), self.coming, self.folder
        )  # fmt: skip
        meanwhile = [asyncio.create_task(one) for one in self._meanwhile(fire, shutting, planner)]
        breaking = asyncio.create_task(faults.run())
        organizing = asyncio.create_task(organizer.run())
        await asyncio.sleep(self.length_s)
        self.crowd.tired = True
        breaking.cancel()
        organizing.cancel()
        for task in meanwhile:
            task.cancel()
        ended = await asyncio.gather(*meanwhile, return_exceptions=True)
        self.problems += [f"the evening went wrong: {one!r}" for one in ended if isinstance(one, Exception)]
        self.crowd.cleared.set()
        await asyncio.gather(*people, organizer.visited(), planner.visited())
        await faults.mend()
        await fire.end()
        await organizer.end()
        await self.heal()
        if self.has_desks:
            while self.desks.settle():
                await self.until(self.unhealed, HEALED_S + (len(self.gates) > self.size) * TWIN_S)
            self.desks.look()
        self.accounts = accounts_of(self.gates)
        if self.plans and not self.problems:
            await self._look_at_lists()

    async def _look_at_lists(self) -> None:
        """Ask what everybody judges by, then take away power and links, and ask again what is on the cards.

        What gates record then is no part of the evening.
        """
        self.published = published(self.centre)
        there = [gate for gate in self.gates.values() if gate.id not in self.history.shut_out]
        self.gone_by = [goes_by("in the end", gate, self.published.codes) for gate in there]
        self.history.is_over = True
        for gate in there:
            self.network.cut(gate.card, self.centre.name, heard=True)
            if self.lan is not None:
                self.lan.here.pop(gate.card, None)
            gate.cut()
            gate.boot()
        await self.until(self._unready, READY_S)
        if not self.problems:
            self.gone_by += [goes_by("switched on again", gate, self.published.codes) for gate in there]

    def _meanwhile(
        self, fire: Fire, shutting: ShutsOut, planner: Planner
    ) -> Iterator[Coroutine[object, object, None]]:
        """Yield what befalls the whole house tonight."""
        if self.crowd.rings_tonight:
            yield fire.run()
        if self.shuts_out:
            yield shutting.run()
        if self.plans:
            yield planner.run()
        if self.has_desks:
            yield self.desks.settle_on()

    def _unready(self) -> str:
        return next((card for card, gate in self.gates.items() if not gate.ready), "")

    def _twin(self, gate: SimGate, card: Path) -> SimGate:
        twin = self.add_gate(gate.id, f"{gate.card}twin")
        twin.put_card(card)
        return twin

    async def heal(self) -> None:
        """Mend everything, and wait until everybody knows everything."""
        twins = len(self.gates) > self.size
        if self.seed % HEAVY_EVERY or twins:
            await asyncio.sleep(SETTLED_S)
            for gate in self.gates.values():
                gate.sync_now()
        await self.until(self.unhealed, HEALED_S + twins * TWIN_S)

    async def until(self, missing: Callable[[], str], limit_s: float) -> None:
        """Wait until nothing is missing any more; a problem where that does not come."""
        end_s = self.loop.time() + limit_s
        while what := missing():
            if self.loop.time() > end_s:
                self.problems.append(f"never there: {what}")
                return
            await asyncio.sleep(1.0)

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
        if self.has_desks:
            coming += self.desks.people(self.coming, self.length_s)
        for number in range(UNSOLD, UNSOLD + UNSOLD_COUNT * self.stale):
            at_s = self.loop.time() + chance.uniform(0.0, self.length_s * 0.8)
            coming.append(crowd.unsold(number, at_s, chance.choice(entries)))
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

    @staticmethod
    def _at_rest(daemon: Daemon) -> bool:
        """Whether all is written, everybody counted, and every time corrected."""
        written = daemon.journal.durable_seq == daemon.journal.last_seq
        return written and not daemon.memory.to_count.is_set() and not daemon.revision._due

    def forwarded(self) -> dict[Log, int]:
        """Return how much of each log gates are told: of one shut out what counts."""
        shut_out = self.history.shut_out
        return {
            log: min(seq, shut_out[log[0]].ends.get(log, 0)) if log[0] in shut_out else seq
            for log, seq in self.centre.forwarded().items()
        }

    def _to_come(self, gate: SimGate, log: Log, seq: int) -> int:
        """Return up to where a log that a gate holds comes to the centre: what its card lost unsigned does not."""
        if log[0] in self.history.shut_out:
            return 0
        is_lost = self.history.near and log[0] in self.history.tampered and log[0] != gate.id
        return signed_end(gate, log) if is_lost else seq

    def unhealed(self) -> str:
        """Return what is still missing; "" once the centre has every gate's log, and every gate all it is told of."""
        if not self.centre.is_up:
            return "the centre"
        for card, gate in self.gates.items():
            if not gate.ready:
                return f"{card} ready"
            daemon = gate.daemon
            assert daemon is not None
            if not self._at_rest(daemon):
                return f"{card} at rest"
        held = {log: seq for log, seq in self.centre.held().items() if log[0] not in self.history.shut_out}
        forwarded = self.forwarded()
        for card, gate in self.gates.items():
            daemon = gate.daemon
            assert daemon is not None
            if gate.id in self.history.shut_out:
                continue
            if gate.place != self.centre.place:
                return f"the list at {card}"
            if any(
                daemon.board.health(Part.LOG, f"gate {one}") is Health.OFF for one in self.history.shut_out
            ):
                return f"the roster at {card}"
            rows = {(row.gate, row.epoch): row.last_seq for row in daemon.reader.epochs()}
            if any(self._to_come(gate, log, seq) > held.get(log, 0) for log, seq in rows.items()):
                return f"records of {card} at the centre"
            running = (gate.id, daemon.journal.epoch)
            if gate.id not in self.history.tampered and rows[running] > forwarded.get(running, 0):
                return f"a head of {card} over its last records"
            # Only a card that was set back leaves an end that nobody vouches for.
            if any(rows.get(log, 0) < seq for log, seq in forwarded.items()) or any(
                rows.get(log, 0) < seq and log[0] not in self.history.tampered for log, seq in held.items()
            ):
                return f"records at {card}"
        return ""


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


def run(seed: int, bug: AbstractContextManager[None] = nullcontext()) -> Outcome:  # noqa: B008 - it holds nothing
    """Play one seed, with a bug planted, and check it with the code as it is."""
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-sim-", dir=memory_folder()))
    logging.disable(logging.CRITICAL)
    gc.disable()
    world = World(seed, folder)
    try:
        with signatures_remembered():
            with bug:
                world.loop.run(world.evening())
            checked = check(
                world.history, world.centre.logs(), world.forwarded(), world.gates, world.accounts
            )
            checked += never_older(world.history)
            if world.published is not None:
                checked += as_said(world.history, world.published)
                checked += [problem for one in world.gone_by for problem in gone_by(world.published, one)]
        problems = [*world.problems, *checked, *world.loop.defects]
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
        sweep()
        logging.disable(logging.NOTSET)


def played(seed: int, bug: str = "") -> list[str]:
    """Play one seed, with a bug of a name; return what is wrong. What ends a run before its end is."""
    try:
        return run(seed, BUGS[bug].planted() if bug else nullcontext()).problems
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed that brings it is to be told
        return [f"the run ended: {error!r}"]


def workers_of(jobs: int | None = None) -> ProcessPoolExecutor:
    """Return processes that play seeds, one a core.

    Ctrl-C reaches all of a terminal's processes: theirs is to finish the evening, or the pool waits for one that is lost.
    """
    return ProcessPoolExecutor(
        jobs or os.cpu_count(),
        get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )


def played_each(
    seeds: range, bug: str = "", *, jobs: int | None = None, turn: int = SEEDS_A_WORKER
) -> Iterator[tuple[int, list[str]]]:
    """Play seeds in as many processes as there are cores, or `jobs`; yield each with what is wrong, in their order.

    After `turn` seeds a worker new ones take over. A pool does that by itself (`max_tasks_per_child`), and then now and then
    starts none: on Python 3.11 one of a single worker stood still for ever (python/cpython#115634).
    """
    workers_max = jobs or os.cpu_count() or 1
    for first in range(seeds.start, seeds.stop, turn * workers_max):
        due = seeds[first - seeds.start : first - seeds.start + turn * workers_max]
        with workers_of(min(workers_max, len(due))) as workers:
            try:
                yield from zip(due, workers.map(played, due, [bug] * len(due)), strict=True)
            except KeyboardInterrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave the pool half ended
                raise


__all__ = ["Outcome", "World", "played", "played_each", "replay_command", "run", "workers_of"]
