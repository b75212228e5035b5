"""One evening of a real venue, from a seed: what happens is chosen by it, when exactly is the machine's."""

import asyncio
import random
import shutil
import signal
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from admission.ids import Epoch, GateId
from admission.reasons import Reason
from admission.records import Direction, Outcome
from tests.real import verdict
from tests.real.centre import RealCentre
from tests.real.diary import RealHistory
from tests.real.faults import Faults
from tests.real.gate import PEERS_PORT, RealGate, chance_of
from tests.real.lan import Lan, lan
from tests.real.said import said
from tests.sim.organizer import Organizer
from tests.sim.people import Crowd
from tests.venue.people import AWAY_S

READY_S = 60.0
HEALED_S = 200.0
"""From the last fault until everybody knows everything: backoffs of a minute, a few of them."""
VISITS_PER_GATE_S = 0.12
"""How many people a second come to each gate: each needs some seconds at its arm, and goes in and out."""
TICKETS_PER_VISIT = 0.5
"""Some come again, and some hand tickets on."""
HANDED_OVER, STRANGERS = 0.15, 0.03
SETTLED_S = verdict.WINDOW_S + verdict.COMMITS_S
"""So long after an arm was last freed its log says what became of that: neighbours hear it before the centre does, and who looks
meanwhile finds them at odds."""
STATUS_EVERY_S = 1.0
BEAT_S = 0.05
COPIES = 60
"""Place on the LAN of the first copied card's box."""


@dataclass(slots=True)
class Outcomes:
    """What an evening came to."""

    seed: int
    problems: list[str]
    folder: Path
    figures: dict[str, Any] = field(default_factory=dict)


class Evening:
    """Everything of one evening. `opened` starts it, `closed` ends it; between them people come and things break."""

    def __init__(self, seed: int, size: int, length_s: float, folder: Path, defect: str = "") -> None:
        self.seed, self.size, self.length_s, self.folder = seed, size, length_s, folder
        self._defect = defect
        self._began_s = asyncio.get_running_loop().time()
        self.history = RealHistory()
        self.history.now_s = lambda: asyncio.get_running_loop().time() - self._began_s
        self.lan: Lan = lan()
        self.centre = RealCentre(folder)
        self.crowd = Crowd(self.history, self.chance("people"))
        self.gates: dict[str, RealGate] = {}
        self.owners: dict[Epoch, str] = {}
        self.problems: list[str] = []
        self.visits = max(6, int(length_s * size * VISITS_PER_GATE_S))
        self.tickets = list(range(1, max(24, int(self.visits * TICKETS_PER_VISIT)) + 1))
        self._under_way: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._watches: list[asyncio.Task[None]] = []
        self.late_s = 0.0
        """How late we ourselves were at worst: whoever reads a verdict on a machine that is busy wants to know."""

    def chance(self, what: str) -> random.Random:
        """Return a source of chance of its own for each part."""
        return chance_of(self.seed, what)

    # --- opening and closing -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start centre and gates, and wait until all of them admit."""
        enrolled = self.centre.make(self.size, max(self.tickets))
        await self.centre.start()
        for number in range(1, self.size + 1):
            gate = self._add(number, f"gate{number}", number)
            gate.defect = self._defect
            await gate.prepare(enrolled[number], self.centre.port, self.centre.chain, self._peers(number))
        await asyncio.gather(*(gate.start() for gate in self.gates.values()))
        self._watches = [
            asyncio.create_task(self._watch_statuses()),
            asyncio.create_task(self._watch_lateness()),
        ]
        await self.until(self._is_ready, READY_S, "the venue is up")

    def _is_ready(self) -> bool:
        """Whether every gate admits, has its list, and talks to all others: nobody opens a venue before."""
        return all(
            gate.ready and gate.client.status is not None and gate.client.status.list_rows
            for gate in self.gates.values()
        ) and all(gate.neighbours == self.size - 1 for gate in self.gates.values())

    def _add(self, number: int, card: str, place: int) -> RealGate:
        gate = RealGate(number, card, self.folder, self.lan, self.history, self.owners, place)
        self.gates[card] = gate
        self.crowd.meet(gate)
        return gate

    def _peers(self, number: int) -> list[str]:
        return [
            f"{self.lan.address(other)}:{PEERS_PORT}" for other in range(1, self.size + 1) if other != number
        ]

    async def close(self) -> None:
        """Stop everything."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await asyncio.gather(*(gate.close() for gate in self.gates.values()), return_exceptions=True)
        await self.centre.stop()
        self.lan.close()

    # --- people and trouble ----------------------------------------------------------------------------------------------

    async def play(
        self, breaking: Callable[[Faults], Coroutine[object, object, None]], *, organize: bool = True
    ) -> Faults:
        """Let people come while `breaking` breaks things; then mend everything."""
        faults = Faults(self.gates, self.centre, self.lan, self.history, self.chance("faults"))
        organizer = Organizer(
            self.centre,
            self.gates,
            self.crowd,
            self.history,
            self.chance("organizer"),
            self.tickets,
        )
        organizer.menu = [act for act in organizer.menu if organize and act != organizer._annul]
        people = [asyncio.create_task(one) for one in self._people()]
        troubles = asyncio.create_task(breaking(faults))
        organizing = asyncio.create_task(organizer.run())
        await asyncio.sleep(self.length_s)
        self.crowd.tired = True
        for task in (troubles, organizing):
            task.cancel()
        for found in await asyncio.gather(troubles, organizing, return_exceptions=True):
            if isinstance(found, Exception):
                raise found
        await faults.mend()
        await asyncio.gather(*people)
        await organizer.end()
        return faults

    def _people(self) -> list[Coroutine[object, object, object]]:
        """Choose who comes when, as in the simulation: most with their own ticket, some hand one over the fence."""
        chance, crowd = self.chance("who"), self.crowd
        entries = crowd.ways(Direction.ENTRY)
        coming: list[Coroutine[object, object, object]] = []
        for _ in range(self.visits):
            at_s = self.history.now_s() + chance.uniform(0.0, self.length_s * 0.9)
            places = chance.sample(entries, 2)
            number, what = chance.choice(self.tickets), chance.random()
            after_s = 0.0 if chance.random() < 0.4 else chance.uniform(1.0, 20.0)
            stays_s, times = chance.uniform(2.0, min(40.0, self.length_s / 3)), chance.choice((1, 1, 2))
            if what < HANDED_OVER:
                one = partial(crowd.hand_over, number, 0.0, places[0], places[1], after_s)
            elif what < HANDED_OVER + STRANGERS:
                one = partial(crowd.stranger, 0.0, places[0])
            else:
                one = partial(crowd.visit, number, 0.0, places, stays_s, times)
            coming.append(self._alone(number, at_s, one))
        return coming

    async def _alone(
        self, number: int, at_s: float, come: Callable[[], Coroutine[object, object, object]]
    ) -> None:
        """Come at a time, when nobody else is under way with that ticket: a code that a reader sees again at once is the same
        presentation, and gets no second answer."""
        await asyncio.sleep(at_s - self.history.now_s())
        async with self._under_way[number]:
            if not self.crowd.is_over():
                await come()
                await asyncio.sleep(AWAY_S)

    async def _watch_statuses(self) -> None:
        """Read at the centre what each gate says that it holds."""
        while True:
            await asyncio.sleep(STATUS_EVERY_S)
            for gate, status in self.centre.statuses().items():
                for one in status.versions:
                    self.history.at_version(f"gate{gate}", one.generation, one.version)

    async def _watch_lateness(self) -> None:
        while True:
            due_s = self.history.now_s() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.late_s = max(self.late_s, self.history.now_s() - due_s)

    async def clone(self, gate: RealGate) -> RealGate:
        """Somebody copies a gate's card while it runs, and a second box runs on the copy."""
        card = f"{gate.card}twin"
        twin = self._add(gate.id, card, COPIES + gate.id)
        self.history.copied(gate.id)
        await twin.prepare(None, self.centre.port, self.centre.chain, self._peers(gate.id))
        gate.signal_all(signal.SIGSTOP)  # a copy of one moment, as a snapshot of the card is
        try:
            gate.look()
            gate.disk.copy(twin.root)
        finally:
            gate.signal_all(signal.SIGCONT)
        twin.enrol(twin.enrolment())
        twin.look()
        await twin.start()
        return twin

    # --- healed ----------------------------------------------------------------------------------------------------------

    async def heal(self, limit_s: float = HEALED_S) -> None:
        """Wait until everybody knows everything, and hold it against what happened."""
        began_s = self.history.now_s()
        await self.until(self.is_healed, limit_s, "everybody knows everything")
        self.healed_s = self.history.now_s() - began_s
        self.problems += verdict.problems(self.history, self.centre, self.gates)
        (self.folder / "history.txt").write_text("\n".join(map(repr, self.history.lines)))

    def is_healed(self) -> bool:
        """Whether the centre has every gate's log, and every gate has all that the centre forwards."""
        return not self.unhealed()

    def unhealed(self) -> str:
        """Return what is missing; "" where nothing is."""
        if not self.centre.is_up:
            return "the centre is down"
        if any(one.at_s > self.history.now_s() - SETTLED_S for one in self.history.releases):
            return "somebody may still walk"
        held, forwarded = self.centre.held(), self.centre.forwarded()
        for card, gate in self.gates.items():
            if not gate.ready:
                return f"{card} is not ready"
            status = gate.client.status
            if status is None or status.in_memory:
                return f"{card} has records in memory only"
            rows = {(row.gate, row.epoch): row.last_seq for row in gate.reader().epochs()}
            if any(held.get(log, 0) < seq for log, seq in rows.items()):
                return f"the centre lacks what {card} has"
            if any(rows.get(log, 0) < seq for log, seq in forwarded.items()):
                return f"{card} lacks what the centre forwards"
            if any(
                rows.get(log, 0) < seq for log, seq in held.items() if log[0] not in self.history.tampered
            ):
                return f"{card} lacks what the centre holds"
        return ""

    async def until(self, holds: Callable[[], bool], limit_s: float, what: str) -> None:
        """Wait for something to become true; a problem where it does not."""
        end_s = self.history.now_s() + limit_s
        while not holds():
            if self.history.now_s() > end_s:
                self.problems.append(f"never came true: {what} ({self.unhealed()})")
                return
            await asyncio.sleep(0.25)

    def figures(self, faults: Faults) -> dict[str, Any]:
        """Count what happened."""
        logs, shown = self.centre.logs(), self.history.shown
        answered = [one.answer for one in shown if one.answer is not None]
        return {
            "scans": len(shown),
            "answered": len(answered),
            "walked through": sum(one.walked_s is not None for one in self.history.releases),
            "arms commanded": len(self.history.releases),
            "records at the centre": len(logs.records),
            "records lost": sum(
                name not in logs.records
                for name in self.history.records
                if name not in self.history.destroyed
            ),
            "runs of gates": len(self.history.boots),
            "faults": dict(sorted(faults.done.items())),
            "refusals": dict(
                Counter(
                    Reason(one.reason).name.lower()
                    for one in answered
                    if one.outcome in {Outcome.DENY, Outcome.CHECK}
                ).most_common()
            ),
            "said by the centre of logs": sorted(f"{what} at gate {gate}" for gate, what in logs.troubles),
            "warnings and errors": said(self.folder),
            "late at worst s": round(self.late_s, 2),
            "healed within s": round(getattr(self, "healed_s", -1.0), 1),
        }


def folder() -> Path:
    """Return a new folder with a name short enough for sockets in it."""
    return Path(tempfile.mkdtemp(prefix="gh-", dir="/tmp"))


async def run(seed: int, size: int, length_s: float, defect: str = "", *, keeps: bool = False) -> Outcomes:
    """Play an evening with random faults; its folder stays where something was wrong, or where it is to be kept."""
    place = folder()
    evening = Evening(seed, size, length_s, place, defect)
    try:
        await evening.open()
        faults = await evening.play(lambda one: one.run())
        await evening.heal()
        figures = evening.figures(faults)
    finally:
        await evening.close()
    if not evening.problems and not keeps:
        shutil.rmtree(place, ignore_errors=True)
    return Outcomes(seed, evening.problems, place, figures)


__all__ = ["Evening", "GateId", "Outcomes", "folder", "run"]
