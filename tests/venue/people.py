"""People at the lanes of the demo: they hold up a ticket, wait for the arm, and walk through, or do not."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from admission.credentials import Medium
from admission.records import Outcome
from drivers.sims.serial_scanner import SerialScanner
from edge.link import Seen
from tests.venue.hardware import GateHardware, Way

AWAY_S = 2.1
"""A code counts as another presentation once the reader did not see it for `absent_ms` (2 s)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A reader as people meet it."""

    key: str
    device: str
    lane: int
    reader: int
    way: Way
    medium: Medium


PLACES = {
    place.key: place
    for place in (
        Place("1-entry", "lane1-entry", 1, 1, "entry", Medium.BARCODE),
        Place("1-tags", "lane1-tags", 1, 3, "entry", Medium.UID),
        Place("1-exit", "lane1-exit", 1, 2, "exit", Medium.BARCODE),
        Place("2-entry", "lane2-entry", 2, 4, "entry", Medium.BARCODE),
    )
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly people move, in seconds."""

    walk_s: float = 0.9
    clear_s: float = 1.0
    leave_s: float = 2.6
    answer_s: float = 4.0
    """A gate answers within milliseconds: who hears nothing for so long stands before a dead reader."""
    check_s: float = 60.0
    """How long somebody waits for a steward to look."""


class Phase(Enum):
    """What a person is doing."""

    SHOWS = "shows"
    WAITS = "waits"
    WALKS = "walks"
    THROUGH = "through"
    STAYS = "stays"
    LEAVES = "leaves"


@dataclass(eq=False, slots=True)
class Visitor:
    """One person with one code at one reader. `seen`: what the gate made of it last; `turned`: they went through."""

    number: int
    place: Place
    code: str
    phase: Phase = Phase.SHOWS
    seen: Seen | None = None
    turned: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None


class People:
    """Everybody at the lanes, one person a side. `changed` is called whenever somebody moves."""

    def __init__(self, hardware: GateHardware, changed: Callable[[], None], pace: Pace | None = None) -> None:
        self.walk = True
        """Whether people walk when the arm lets them."""
        self.there: dict[tuple[int, Way], Visitor] = {}
        self.latest: dict[int, Visitor] = {}
        """Who came to a lane last, also after they left."""
        self.turns: dict[int, dict[Way, int]] = {lane: {"entry": 0, "exit": 0} for lane in hardware.lanes}
        self._hardware = hardware
        self._changed = changed
        self.pace = pace or Pace()
        self._numbers = itertools.count(1)
        self._shown: dict[tuple[str, str], float] = {}
        for number, lane in hardware.lanes.items():
            lane.on_change = partial(self._arm_moved, number)

    async def come(self, place: Place, code: str) -> Visitor:
        """Somebody steps up to a reader. Who walks there is let through first; who only stands there goes away.

        ValueError for a code that the scanner of this place cannot type.
        """
        scanner = self._hardware.scanners[place.device]
        if not isinstance(scanner, SerialScanner):
            scanner.encode(code)
        before = self.there.get((place.lane, place.way))
        if before is not None and before.task is not None:
            if before.phase in {Phase.WALKS, Phase.THROUGH}:
                await asyncio.wait((before.task,))
            else:
                before.task.cancel()
        visitor = Visitor(next(self._numbers), place, code)
        self.there[place.lane, place.way] = self.latest[place.lane] = visitor
        visitor.task = asyncio.create_task(self._visit(visitor))
        self._changed()
        return visitor

    def seen(self, scan: Seen) -> None:
        """The gate judged a presentation."""
        for visitor in self.there.values():
            if (visitor.place.lane, visitor.place.reader) == (scan.lane, scan.reader):
                visitor.seen = scan
                visitor.news.set()

    async def go_home(self) -> None:
        """Everybody leaves."""
        tasks = [visitor.task for visitor in self.there.values() if visitor.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one person -----------------------------------------------------------------------------------------------

    async def _visit(self, visitor: Visitor) -> None:
        place = visitor.place
        lane = self._hardware.lanes[place.lane]
        try:
            await self._hold_up(visitor)
            free = await self._is_free(visitor)
            if free and self.walk:
                self._now(visitor, Phase.WALKS)
                await asyncio.sleep(self.pace.walk_s)
                visitor.turned = await self._turn(visitor)
            elif free:
                self._now(visitor, Phase.STAYS)
                await self._until(
                    visitor, lambda: not lane.is_released(place.way) or self.walk, lane.hold_s * 2
                )
                if lane.is_released(place.way):
                    visitor.turned = await self._turn(visitor)
            self._now(visitor, Phase.THROUGH if visitor.turned else Phase.LEAVES)
            await asyncio.sleep(self.pace.clear_s if visitor.turned else self.pace.leave_s)
        finally:
            if self.there.get((place.lane, place.way)) is visitor:
                del self.there[place.lane, place.way]
            self._changed()

    async def _hold_up(self, visitor: Visitor) -> None:
        """Show the code to the reader, after it was away for long enough to be shown again."""
        loop = asyncio.get_running_loop()
        key = (visitor.place.key, visitor.code)
        await asyncio.sleep(max(0.0, self._shown.get(key, -AWAY_S) + AWAY_S - loop.time()))
        self._shown = {one: at for one, at in self._shown.items() if at + AWAY_S > loop.time()}
        self._shown[key] = loop.time()
        self._now(visitor, Phase.WAITS)
        scanner = self._hardware.scanners[visitor.place.device]
        if isinstance(scanner, SerialScanner):
            await scanner.scan(visitor.code.encode())
        else:
            await scanner.scan(visitor.code)

    async def _is_free(self, visitor: Visitor) -> bool:
        """Wait for the answer and, where it lets them in, for the arm."""
        lane, way = self._hardware.lanes[visitor.place.lane], visitor.place.way

        def answered() -> bool:
            return visitor.seen is not None and visitor.seen.outcome not in {Outcome.NONE, Outcome.WAIT}

        if not await self._until(
            visitor, answered, lane.hold_s + self.pace.answer_s if visitor.seen else self.pace.answer_s
        ):
            return False
        assert visitor.seen is not None
        if visitor.seen.outcome == Outcome.DENY:
            return False
        patience_s = self.pace.check_s if visitor.seen.outcome == Outcome.CHECK else self.pace.answer_s
        return await self._until(visitor, lambda: lane.is_released(way), patience_s)

    async def _turn(self, visitor: Visitor) -> bool:
        place = visitor.place
        lane = self._hardware.lanes[place.lane]
        if not lane.is_released(place.way):
            return False
        self.turns[place.lane][place.way] += 1
        self._now(visitor, Phase.THROUGH)
        return await lane.turn(place.way)

    async def _until(self, visitor: Visitor, holds: Callable[[], bool], limit_s: float) -> bool:
        """Wait for something; False where it did not come in time."""
        try:
            async with asyncio.timeout(limit_s):
                while not holds():
                    visitor.news.clear()
                    await visitor.news.wait()
        except TimeoutError:
            return False
        return True

    def _now(self, visitor: Visitor, phase: Phase) -> None:
        if visitor.phase is not phase:
            visitor.phase = phase
            self._changed()

    def _arm_moved(self, number: int) -> None:
        lane = self._hardware.lanes[number]
        while not lane.releases.empty():
            lane.releases.get_nowait()  # tests read these; nobody does here
        loop = asyncio.get_running_loop()
        for end_s in lane.released.values():
            loop.call_at(end_s + 0.01, self.tell, number)
        self.tell(number)

    def tell(self, number: int) -> None:
        """Have everybody at a lane look again."""
        for visitor in self.there.values():
            if visitor.place.lane == number:
                visitor.news.set()
        self._changed()
