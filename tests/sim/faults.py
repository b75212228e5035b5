"""What breaks, and when: each world has its own menu, so that some see much of one thing and some a little of all.

A fault begins, lasts, and is mended by itself; `mend` ends all that still stands. Each is a condition in the history:
the checker excuses only what a policy names, and only while it was so.
"""

import asyncio
import errno
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.sim.centre import SimCentre
from tests.sim.gate import SimGate
from tests.sim.history import History, Log
from tests.sim.network import Network
from tests.sim.organizer import opened_by_hand

PAUSE_S = (1.5, 9.0)
"""Between two faults."""
TEN_YEARS_S = 10 * 365 * 86_400
POINTS = ("before_pulse", "after_pulse", "before_passage", "after_passage")

NOT_SHUT_OUT = frozenset({"rewind", "clone", "restore"})
"""Not played where a gate is shut out: a centre set back would let it in again, and a copied card is shut out twice."""

APART = frozenset({"cut_off", "lan"})
"""What keeps two check-in stations from hearing of each other."""

RESET_AGAIN = frozenset({"clock", "power"})
"""What might have a gate do again, or too soon, what a plan wants once."""

Fault = Callable[[], Awaitable[None]]


class Faults:
    """One evening's troubles."""

    def __init__(
        self,
        gates: dict[str, SimGate],
        centre: SimCentre,
        network: Network,
        history: History,
        chance: random.Random,
        folder: Path,
        twin: Callable[[SimGate, Path], SimGate],
        left_out: frozenset[str] = frozenset(),
        always: frozenset[str] = frozenset(),
    ) -> None:
        self._gates, self._centre, self._network = gates, centre, network
        self._history, self._chance, self._folder, self._twin = history, chance, folder, twin
        self._images: dict[str, tuple[Path, dict[Log, int], bool]] = {}
        """By card: an older image of it, up to where its own logs were durable then, and whether staff had shut its gate."""
        self._images_made = 0
        self._backup: Path | None = None
        self._backed_up_s, self._backed_up_held = 0.0, dict[Log, int]()
        self._tasks: list[asyncio.Task[None]] = []
        self.all: dict[str, Fault] = {
            "power": self._power,
            "in_commit": self._in_commit,
            "in_passage": self._in_passage,
            "kill": self._kill,
            "front": self._front,
            "cut_off": self._cut_off,
            "poor_link": self._poor_link,
            "card_fails": self._card_fails,
            "card_hangs": self._card_hangs,
            "clock": self._clock,
            "centre": self._centre_off,
            "restore": self._restore,
            "devices": self._devices,
            "rewind": self._rewind,
            "clone": self._clone,
        }
        rare = {"restore": 0.12, "rewind": 0.15, "clone": 0.1}
        self.menu = [name for name in self.all if chance.random() < rare.get(name, 0.3)]
        if history.near:
            self.all["lan"] = self._lan
            self.menu = ["lan", *self.menu]
        self.menu = [name for name in self.menu if name not in left_out]
        self.menu += sorted(always & {*self.all} - {*self.menu})

    async def run(self) -> None:
        """Break one thing after another, until cancelled."""
        if not self.menu:
            return
        if "rewind" in self.menu:
            self._tasks.append(asyncio.create_task(self._take_images()))
        if "restore" in self.menu:
            self._tasks.append(asyncio.create_task(self._back_up()))
        while True:
            await asyncio.sleep(self._chance.uniform(*PAUSE_S))
            fault = self.all[self._chance.choice(self.menu)]
            self._tasks.append(asyncio.create_task(self._begin(fault)))

    async def _begin(self, fault: Fault) -> None:
        await fault()

    async def mend(self) -> None:
        """End all troubles: whatever is off goes on, and stays so."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for name, gate in self._gates.items():
            link = self._network.link(name, self._centre.name)
            link.up, link.lost, link.slow = True, 0.0, 0.03
            if self._history.near:
                for card in self._gates:
                    if card != name:
                        self._network.heal(name, card)
            gate.fail_disk(0)
            gate.pace.extra_s = 0.0
            gate.cut_at = ""
            if gate.disk is not None:
                gate.disk.cut_in = None
            gate.set_clock_right()
            gate.is_off = False
            gate.boot()
        self._centre.start()
        for condition in self._history.conditions:
            self._history.end(condition)

    def _gate(self) -> SimGate:
        return self._chance.choice(list(self._gates.values()))

    async def _off(self, gate: SimGate, seconds: float) -> None:
        """Keep a gate off for a while, once it is."""
        condition = self._history.begin("off", gate.card)
        gate.is_off = True
        await asyncio.sleep(seconds)
        gate.is_off = False
        gate.boot()
        self._history.end(condition)

    # --- power and programs ----------------------------------------------------------------------------------------

    async def _power(self) -> None:
        gate = self._gate()
        gate.cut()
        await self._off(gate, self._chance.uniform(0.5, 15.0))

    async def _in_commit(self) -> None:
        """The power fails in the middle of SQLite's work."""
        gate = self._gate()
        if gate.disk is None or not gate.is_up:
            return
        gate.disk.cut_in = self._chance.randint(1, 12)
        await self._when_down(gate)

    async def _in_passage(self) -> None:
        """The power fails at a step of a visitor's way."""
        gate = self._gate()
        gate.cut_at = self._chance.choice(POINTS)
        await self._when_down(gate)

    async def _when_down(self, gate: SimGate) -> None:
        number = gate.boots
        while gate.is_up and gate.boots == number:
            await asyncio.sleep(0.25)
        if not gate.is_up and not gate.is_off:
            await self._off(gate, self._chance.uniform(0.5, 8.0))

    async def _kill(self) -> None:
        gate = self._gate()
        if self._chance.random() < 0.5:
            gate.kill()
        else:
            await gate.stop()

    async def _front(self) -> None:
        self._gate().crash_front()

    # --- network and centre ------------------------------------------------------------------------------------------

    async def _cut_off(self) -> None:
        gate = self._gate()
        await self._no_link(gate.card, self._chance.uniform(3.0, 70.0), heard=self._chance.random() < 0.5)

    def begin_cut_off(self, seconds: float) -> None:
        """Have a gate begin the evening cut off: it goes by the list on its card."""
        card = self._gate().card
        self._history.begin("no roster", card)
        self._tasks.append(asyncio.create_task(self._first_link(card, seconds)))

    async def _first_link(self, card: str, seconds: float) -> None:
        await self._no_link(card, seconds, heard=True)
        for condition in self._history.conditions:
            if (condition.what, condition.where) == ("no roster", card):
                self._history.end(condition)

    async def _no_link(self, card: str, seconds: float, *, heard: bool) -> None:
        centre = self._centre.name
        if not self._network.link(card, centre).up:
            return
        condition = self._history.begin("cut off", card)
        self._network.cut(card, centre, heard=heard)
        await asyncio.sleep(seconds)
        self._network.heal(card, centre)
        self._history.end(condition)

    async def _lan(self) -> None:
        """A gate's cable to the others is out."""
        gate = self._gate()
        others = [card for card in self._gates if card != gate.card]
        if not all(self._network.link(gate.card, card).up for card in others):
            return
        condition = self._history.begin("lan", gate.card)
        heard = self._chance.random() < 0.5
        for card in others:
            self._network.cut(gate.card, card, heard=heard)
        await asyncio.sleep(self._chance.uniform(3.0, 40.0))
        for card in others:
            self._network.heal(gate.card, card)
        self._history.end(condition)

    async def _poor_link(self) -> None:
        gate = self._gate()
        link = self._network.link(gate.card, self._centre.name)
        condition = self._history.begin("poor link", gate.card)
        link.lost, link.slow = self._chance.uniform(0.02, 0.3), self._chance.uniform(0.05, 0.5)
        await asyncio.sleep(self._chance.uniform(5.0, 40.0))
        link.lost, link.slow = 0.0, 0.03
        self._history.end(condition)

    async def _centre_off(self) -> None:
        if not self._centre.is_up:
            return
        condition = self._history.begin("off", self._centre.name)
        self._centre.stop()
        await asyncio.sleep(self._chance.uniform(0.5, 30.0))
        self._centre.start()
        self._history.end(condition)

    async def _back_up(self) -> None:
        await asyncio.sleep(self._chance.uniform(3.0, 30.0))
        if self._centre.is_up:
            self._backup, self._backed_up_s = self._folder / "backup", self._history.now_s()
            self._backed_up_held = self._centre.held()
            self._centre.keep_copy(self._backup)
            self._history.note("backed up")

    async def _restore(self) -> None:
        """The centre goes on from its backup."""
        if self._backup is None or not self._centre.is_up:
            return
        condition = self._history.begin("off", self._centre.name)
        self._centre.stop()
        self._centre.put_back(self._backup)
        self._backup = None
        self._history.restored(self._backed_up_s, self._backed_up_held)
        await asyncio.sleep(self._chance.uniform(0.5, 10.0))
        self._centre.start()
        self._history.end(condition)

    # --- cards -------------------------------------------------------------------------------------------------------

    async def _card_fails(self) -> None:
        gate = self._gate()
        condition = self._history.begin("card fails", gate.card)
        code = self._chance.choice((errno.ENOSPC, errno.EIO, errno.EROFS))
        gate.fail_disk(code, reads=self._chance.random() < 0.3)
        await asyncio.sleep(self._chance.uniform(1.0, 25.0))
        gate.fail_disk(0)
        self._history.end(condition)

    async def _card_hangs(self) -> None:
        gate = self._gate()
        condition = self._history.begin("card hangs", gate.card)
        gate.pace.extra_s = self._chance.choice((0.25, 0.25, 1.0, 6.0))
        await asyncio.sleep(self._chance.uniform(1.0, 15.0))
        gate.pace.extra_s = 0.0
        self._history.end(condition)

    async def _take_images(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(5.0, 25.0))
            gate = self._gate()
            if gate.is_up:
                target = self._folder / f"image{self._images_made}"
                self._images_made += 1
                gate.image(target)
                durable = dict(self._history.durable.get(gate.card, {}))
                self._images[gate.card] = target, durable, self._is_shut(gate)

    async def _rewind(self) -> None:
        """Somebody puts an older image of a gate's card into it."""
        cards = [card for card in self._images if card in self._gates]
        if not cards:
            return
        card = self._chance.choice(cards)
        gate, (image, durable, was_shut) = self._gates[card], self._images.pop(card)
        condition = self._history.begin("off", card)
        gate.is_off = True
        gate.cut()
        gate.put_card(image)
        self._history.replaced(card, gate.id, durable, self._centre.held() if self._centre.is_up else {})
        await asyncio.sleep(self._chance.uniform(0.5, 5.0))
        gate.is_off = False
        gate.boot()
        self._history.end(condition)
        if was_shut:
            await self._is_found_shut(gate)

    async def _clone(self) -> None:
        """Somebody copies a gate's card, and a second box runs on it, of which the first knows nothing."""
        originals = [gate for card, gate in self._gates.items() if "twin" not in card]
        if len(originals) < len(self._gates):
            return
        gate = self._chance.choice(originals)
        target = self._folder / "copied"
        gate.image(target)
        self._history.copied(gate.id)
        was_shut, twin = self._is_shut(gate), self._twin(gate, target)
        twin.boot()
        if was_shut:
            await self._is_found_shut(twin)

    def _is_shut(self, gate: SimGate) -> bool:
        """Whether staff have a gate shut, or are about to open it: its card says so, too, and so do images of it."""
        now_s = self._history.now_s()
        return self._history.was("closed", gate.card, now_s, now_s)

    async def _is_found_shut(self, gate: SimGate) -> None:
        """Whoever put in the image of a card whose gate was shut then sees it, and opens."""
        condition = self._history.begin("closed", gate.card)
        await asyncio.sleep(self._chance.uniform(3.0, 15.0))
        await opened_by_hand(gate, self._history)
        self._history.end(condition)

    # --- clocks and devices --------------------------------------------------------------------------------------------

    async def _clock(self) -> None:
        """Somebody sets a clock: by seconds, by hours, by ten years; a time server may set it right later."""
        gate = self._gate()
        seconds = self._chance.choice((1, -1)) * self._chance.choice((3.0, 40.0, 7200.0, TEN_YEARS_S))
        condition = self._history.begin("clock", gate.card)
        gate.step_clock(seconds)
        self._history.note("clock", gate.card, seconds)
        await asyncio.sleep(self._chance.uniform(5.0, 60.0))
        gate.set_clock_right()
        self._history.end(condition)

    async def _devices(self) -> None:
        gate = self._gate()
        what = self._chance.choice(("relay", "contacts", "reader"))
        condition = self._history.begin(what, gate.card)
        gate.unplug(what)
        await asyncio.sleep(4.0)
        self._history.end(condition)
