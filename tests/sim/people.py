"""People with tickets: they queue, show, walk through, turn back, come late, hand tickets over the fence, and go home."""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from admission.records import Direction, Outcome
from edge.link import Seen
from tests.sim.hardware import HOLD_S
from tests.sim.history import History, Release, Shown
from tests.sim.met import GateMet
from tests.sim.premises import UNSOLD_AGE_S, code_of

PATIENCE_S = 7.0
"""Whoever has not been answered by then goes elsewhere."""
LEAVES_S = 1.0
"""Whoever puts the ticket away still stands there so long."""
READ_EVERY_S = 0.4
"""A scanner reads a code that stays before it again and again."""
WALK_LATE_S = 4.8
"""A slow one pushes just before the arm locks."""
TURNS_BACK, SLOW, LATE_CONTACT = 0.08, 0.05, 0.05
"""Shares of those let through."""

Spot = tuple[str, int, Direction]


@dataclass(slots=True)
class Place:
    """One side of a lane, where one stands at a time."""

    gate: GateMet
    lane: int
    reader: int
    way: Direction
    queue: asyncio.Lock = field(default_factory=asyncio.Lock)
    shown: Shown | None = None
    """What the one who stands there shows."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    release: Release | None = None
    refused: asyncio.Event = field(default_factory=asyncio.Event)


class Crowd:
    """Everybody at a venue, and where they stand."""

    def __init__(self, history: History, chance: random.Random) -> None:
        self.history = history
        self.chance = chance
        self.places: dict[Spot, Place] = {}
        self.inside: dict[int, int] = {}
        """By ticket, how many people it let in who have not left, in the flesh."""
        self.tired = False
        """The evening is over: nobody comes any more."""
        self.alarm, self.cleared = asyncio.Event(), asyncio.Event()
        """A fire alarm rang; and whoever was sent out may come again."""
        self.rings_tonight = False

    def is_over(self) -> bool:
        """Whether nobody comes any more."""
        return self.tired

    def meet(self, gate: GateMet) -> None:
        """Know a gate's places."""
        for lane in gate.settings:
            if lane.check_in_s:
                continue  # nobody enters there
            for reader in lane.readers:
                way = Direction.ENTRY if reader.way.value == "entry" else Direction.EXIT
                self.places[gate.card, lane.id, way] = Place(gate, lane.id, reader.id, way)
        gate.on_release = lambda lane, way, release: self._released(gate, lane, way, release)
        gate.on_seen = lambda seen: self._seen(gate, seen)

    def ways(self, way: Direction) -> list[Place]:
        """Return the places where one goes that way."""
        return [one for one in self.places.values() if one.way is way]

    def _released(self, gate: GateMet, lane: int, way: Direction, release: Release | None) -> None:
        place = self.places.get((gate.card, lane, way))
        if place is not None and release is not None:
            place.release = release
            place.released.set()
            if place.shown is not None:
                place.shown.releases.append(release)

    def _seen(self, gate: GateMet, seen: Seen) -> None:
        self.history.note(
            "seen", gate.card, seen.lane, seen.reader, seen.outcome, seen.reason, seen.seq, seen.ticket
        )
        for place in self.places.values():
            if (place.gate, place.lane, place.reader) == (gate, seen.lane, seen.reader) and place.shown:
                place.shown.answer = seen
                place.shown.answered_s, place.shown.answered = self.history.now_s(), self.history.order
                if seen.outcome in {Outcome.DENY, Outcome.CHECK}:
                    place.refused.set()

    # --- one person at one place ---------------------------------------------------------------------------------

    async def pass_(self, place: Place, ticket: int, data: bytes | None = None) -> bool:
        """Try to go through; whether somebody of the ticket went."""
        async with place.queue:
            return await self._pass(place, ticket, data or code_of(ticket))

    async def _pass(self, place: Place, ticket: int, data: bytes) -> bool:
        history, gate = self.history, place.gate
        boot = gate.boot_of.number if gate.boot_of is not None else 0
        shown = place.shown = Shown(
            history.now_s(),
            history.order,
            gate.id,
            gate.card,
            boot,
            place.lane,
            place.reader,
            place.way,
            ticket,
            code=data,
        )
        place.released.clear()
        place.refused.clear()
        place.release = None
        heard = gate.present(place.lane, place.reader, data)
        history.note("shown", gate.card, place.lane, int(place.way), ticket, heard)
        (history.shown if heard else history.unheard).append(shown)
        try:
            if not await self._answered(place, data):
                shown.gave_up = shown.answer is None
                return False
            shown.admitted = True
            return await self._walk(place, place.release)
        finally:
            place.shown = None

    async def _answered(self, place: Place, data: bytes) -> bool:
        """Hold the code before the reader until it is answered; True where the way is open."""
        until_s = self.history.now_s() + PATIENCE_S
        waits = [asyncio.ensure_future(place.released.wait()), asyncio.ensure_future(place.refused.wait())]
        try:
            while True:
                await asyncio.wait(waits, timeout=READ_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                if place.released.is_set():
                    return True
                if place.refused.is_set() or self.history.now_s() > until_s + LEAVES_S:
                    return False
                if self.history.now_s() < until_s:
                    place.gate.present(place.lane, place.reader, data)
        finally:
            for one in waits:
                one.cancel()

    async def _walk(self, place: Place, release: Release | None) -> bool:
        assert release is not None
        chance = self.chance.random()
        if chance < TURNS_BACK:
            await asyncio.sleep(HOLD_S)
            return False
        slow = chance < TURNS_BACK + SLOW
        await asyncio.sleep(WALK_LATE_S if slow else self.chance.uniform(0.4, 2.5))
        if place.gate.rings and place.way is Direction.ENTRY:
            return False
        late_s = self.chance.uniform(1.0, 3.0) if chance > 1 - LATE_CONTACT else 0.0
        went, seen, at_s = await place.gate.push(place.lane, place.way, late_s)
        if not went:
            return False
        boot = place.gate.boot_of
        seen = seen and boot is not None and boot.number == release.boot
        release.walked_s, release.seen = at_s, seen
        self.history.note("walked", place.gate.card, place.lane, int(place.way), release.record.seq, seen)
        ticket = release.ticket or 0
        self.inside[ticket] = self.inside.get(ticket, 0) + (1 if place.way is Direction.ENTRY else -1)
        await asyncio.sleep(0.3)
        return True

    async def by_hand(self, place: Place, asked: Awaitable[bool]) -> None:
        """Somebody stands at the arm while a steward lets them in, and walks."""
        place.released.clear()
        place.release = None
        if not await asked:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await place.released.wait()
        except TimeoutError:
            return
        await self._walk(place, place.release)

    # --- whole evenings ------------------------------------------------------------------------------------------

    async def visit(
        self, ticket: int, at_s: float, ways_in: Sequence[Place], stays_s: float, times: int
    ) -> None:
        """Come at a time, go in, stay, go out; in again where `times` says so. Refused: try one other way in."""
        await asyncio.sleep(max(0.0, at_s - self.history.now_s()))
        for _ in range(times + 1 if self.rings_tonight else times):
            for place in ways_in:
                if self.is_over():
                    return
                if await self.pass_(place, ticket):
                    break
                await asyncio.sleep(self.chance.uniform(1.0, 6.0))
            else:
                return
            if await self._is_sent_out(stays_s):
                self.inside[ticket] = self.inside.get(ticket, 0) - 1
                continue
            if self.is_over():
                return
            way_out = self.chance.choice(self.ways(Direction.EXIT))
            if not await self.pass_(way_out, ticket):
                return
            await asyncio.sleep(self.chance.uniform(2.0, 10.0))

    async def _is_sent_out(self, stays_s: float) -> bool:
        """Stay, unless an alarm rings meanwhile: then leave by an open arm, and wait until one may come again."""
        if self.alarm.is_set():
            await asyncio.sleep(stays_s)
            return False
        try:
            async with asyncio.timeout(stays_s):
                await self.alarm.wait()
        except TimeoutError:
            return False
        await self.cleared.wait()
        await asyncio.sleep(self.chance.uniform(0.5, 6.0))
        return True

    async def hand_over(self, ticket: int, at_s: float, first: Place, second: Place, after_s: float) -> None:
        """Go in, and give the ticket over the fence to somebody who tries it elsewhere; `after_s` 0: at once, a copy."""
        await asyncio.sleep(max(0.0, at_s - self.history.now_s()))
        if not after_s:
            await asyncio.gather(self.pass_(first, ticket), self.pass_(second, ticket))
            return
        if await self.pass_(first, ticket):
            await asyncio.sleep(after_s)
            await self.pass_(second, ticket)

    async def unsold(self, number: int, at_s: float, place: Place) -> None:
        """Show a ticket that was signed before the evening, and never sold."""
        await asyncio.sleep(max(0.0, at_s - self.history.now_s()))
        await self.pass_(place, number, code_of(number, self.history.began_at_s - UNSOLD_AGE_S))

    async def stranger(self, at_s: float, place: Place) -> None:
        """Show what nobody sold."""
        await asyncio.sleep(max(0.0, at_s - self.history.now_s()))
        await self.pass_(place, 0, b"NO-SUCH-CODE-%d" % self.chance.randrange(100))
