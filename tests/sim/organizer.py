"""What the centre and staff do meanwhile: cancel, ban and unban, sell at the door, close lanes, reset, annul, admit by hand."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from sqlalchemy import Connection

from admission.digests import CredentialKind, ticket_digest
from admission.entitlements import Standing
from admission.ids import GateId, LaneId, TicketId
from admission.lane import LaneState
from admission.records import Direction
from edge.link import AdmitByHand, AnnulLast, Command, Done, ResetPresence, SetState
from sync.events.rows import GROUP
from sync.gates import roster
from sync.tickets import changes, rows
from tests.sim.history import History, LaneWord, StandingWord
from tests.sim.met import CentreMet, GateMet
from tests.sim.people import Crowd
from tests.sim.premises import BOX, DIGEST_KEY, EVENT, HALL, code_of, ticket_of

PAUSE_S = (1.5, 8.0)
ANSWER_S = 6.0
"""A command is answered by then, or the gate is not there."""
UNSEEN_S = 3.0
"""Who shows again sooner shows the same: a code is judged anew once it was unseen for 2 s."""
STEWARD = 7

Act = Callable[[], Awaitable[None]]


class Organizer:
    """Somebody at the centre's pages, and stewards at the gates'."""

    def __init__(
        self,
        centre: CentreMet,
        gates: Mapping[str, GateMet],
        crowd: Crowd,
        history: History,
        chance: random.Random,
        tickets: Sequence[int],
    ) -> None:
        self._centre, self._gates, self._crowd, self._history = centre, gates, crowd, history
        self._chance, self._tickets = chance, tickets
        self.standing: dict[int, Standing] = {}
        """Of tickets, as it was said last."""
        self._sold = max(tickets) + 1000
        self._tasks: list[asyncio.Task[None]] = []
        self._visits: list[asyncio.Task[bool]] = []
        acts: list[tuple[Act, float]] = [
            (self._cancel, 0.5), (self._ban, 0.3), (self._close_lane, 0.25), (self._reset, 0.3), (self._annul, 0.4),
            (self._by_hand, 0.25), (self._set_state, 0.2), (self._sell, 0.3),
        ]  # fmt: skip
        self.menu = [act for act, share in acts if chance.random() < share]

    async def run(self) -> None:
        """Do one thing after another, until cancelled."""
        while self.menu:
            await asyncio.sleep(self._chance.uniform(*PAUSE_S))
            act = self._chance.choice(self.menu)
            self._tasks.append(asyncio.create_task(self._do(act)))

    async def _do(self, act: Act) -> None:
        await act()

    async def end(self) -> None:
        """Open what was closed, and finish."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for word in [one for one in self._history.lane_words if one.closes]:
            if self._history.newest_word(word.gate, word.lane) is word:
                self._order(word.gate, word.lane, LaneState.CONTROLLED)

    # --- at the centre ------------------------------------------------------------------------------------------------

    def change(self, work: Callable[[Connection], object]) -> tuple[int, int]:
        """Change the list in one transaction; return its generation and version."""
        now_s = self._centre.now_s()
        with changes.change(self._centre.database, [EVENT], now_s) as connection:
            work(connection)
        with self._centre.database.reading() as connection:
            found = connection.exec_driver_sql(
                "SELECT generation, version FROM event WHERE id = ?", (EVENT,)
            ).one()
        return int(found[0]), int(found[1])

    def set(
        self, ticket: int, standing: Standing, more: Callable[[Connection], object] = lambda _: None
    ) -> None:
        """Give a ticket a standing; `more`: what else is changed with it."""
        if not self._centre.is_up:
            return
        self.standing[ticket] = standing

        def work(connection: Connection) -> None:
            rows.set_standing(connection, EVENT, TicketId(ticket), standing)
            more(connection)

        generation, version = self.change(work)
        word = StandingWord(self._history.now_s(), ticket, version, generation, int(standing))
        self._history.standing_words.append(word)
        self._history.note("standing", ticket, int(standing), generation, version)

    async def _cancel(self) -> None:
        self.set(self._chance.choice(self._tickets), Standing.CANCELLED)

    async def _ban(self) -> None:
        """Ban somebody, and think better of it later."""
        ticket = self._chance.choice(self._tickets)
        if self.standing.get(ticket):
            return
        self.set(ticket, Standing.BANNED)
        await asyncio.sleep(self._chance.uniform(5.0, 40.0))
        if self.standing.get(ticket) is Standing.BANNED:
            self.set(ticket, Standing.VALID)
            await self._comes_again(ticket)

    async def _comes_again(self, ticket: int) -> None:
        """Whoever is banned no more comes where that is known: the last word counts, not the first."""
        word = self._history.standing_words[-1]
        for _ in range(20):
            await asyncio.sleep(1.0)
            if word.acked:
                card = self._chance.choice(sorted(word.acked))
                ways = [one for one in self._crowd.ways(Direction.ENTRY) if one.gate.card == card]
                await asyncio.sleep(UNSEEN_S)
                if not self._crowd.is_over():
                    visit = self._crowd.pass_(self._chance.choice(ways), ticket)
                    self._visits.append(asyncio.create_task(visit))
                return

    async def visited(self) -> None:
        """Wait until whoever came on a word of ours has gone through, or away."""
        await asyncio.gather(*self._visits)

    async def _sell(self) -> None:
        """Sell a ticket at the door, signed a moment ago; whoever bought it comes at once."""
        if not self._centre.is_up:
            return
        self._sold += 1
        number, issued_s = self._sold, self._centre.now_s()
        ticket = ticket_of(number)
        credential = rows.NewCredential(
            ticket.id, ticket_digest(EVENT, number, DIGEST_KEY), CredentialKind.TK1
        )
        self.change(lambda one: rows.add_tickets(one, EVENT, [ticket], [credential]))
        self._history.note("sold", number)
        place = self._chance.choice(self._crowd.ways(Direction.ENTRY))
        await asyncio.sleep(self._chance.uniform(0.2, 6.0))
        await self._crowd.pass_(place, number, code_of(number, issued_s))

    def _order(self, gate: GateId, lane: int, state: LaneState) -> None:
        if not self._centre.is_up:
            return
        now_s = self._centre.now_s()
        generation, version = self.change(
            lambda one: roster.order_state(one, state, now_s, GROUP, gate=gate, lane=LaneId(lane))
        )
        word = LaneWord(self._history.now_s(), gate, lane, version, generation, state is LaneState.CLOSED)
        self._history.lane_words.append(word)
        self._history.note("order", gate, lane, state.name, generation, version)

    async def _close_lane(self) -> None:
        gate = self._gate()
        lane = self._chance.choice(gate.settings).id
        condition = self._history.begin("closed", f"gate {gate.id}")  # a twin's card hears of it, too
        self._order(gate.id, lane, LaneState.CLOSED)
        await asyncio.sleep(self._chance.uniform(5.0, 25.0))
        self._order(gate.id, lane, LaneState.CONTROLLED)
        await asyncio.sleep(60.0)  # until the gate has heard it
        word = self._history.newest_word(gate.id, lane)
        if word is None or not word.closes:  # a centre that was away has ordered nothing
            self._history.end(condition)

    # --- at the gates ---------------------------------------------------------------------------------------------------

    def _gate(self) -> GateMet:
        return self._chance.choice(list(self._gates.values()))

    async def _ask(self, gate: GateMet, command: Command) -> bool:
        return await _asked(gate, command, self._history)

    async def _reset(self) -> None:
        zone = self._chance.choice((HALL, HALL, BOX))
        await self._ask(self._gate(), ResetPresence(0, zone, STEWARD, "end of the show"))

    async def _annul(self) -> None:
        """Take back somebody who was let in a while ago."""
        entries = [
            one
            for one in self._history.releases
            if one.way is Direction.ENTRY and one.body.ticket is not None
        ]
        if not entries:
            return
        release = self._chance.choice(entries[-6:])
        gate = self._gates[release.card]
        name = release.record
        command = AnnulLast(0, release.body.lane, name.epoch, name.seq, STEWARD, "wrong person")
        if await self._ask(gate, command):
            self._history.annulled.add(name)

    async def _by_hand(self) -> None:
        gate = self._gate()
        lanes = [arm.settings.id for arm in gate.arms.values() if arm.line_of(Direction.ENTRY) is not None]
        if not lanes:
            return
        lane, ticket = self._chance.choice(lanes), self._chance.choice(self._tickets)
        code = code_of(ticket).decode() if self._chance.random() < 0.7 else ""
        place = self._crowd.places[gate.card, lane, Direction.ENTRY]
        async with place.queue:
            await self._crowd.by_hand(
                place,
                self._ask(
                    gate, AdmitByHand(0, lane, int(Direction.ENTRY), STEWARD, "code not readable", 1, code)
                ),
            )

    async def _set_state(self) -> None:
        """A steward closes a gate for a while, by PIN."""
        gate = self._gate()
        condition = self._history.begin("closed", gate.card)
        await self._ask(gate, SetState(0, 0, "out_of_service", STEWARD))
        await asyncio.sleep(self._chance.uniform(3.0, 15.0))
        await opened_by_hand(gate, self._history)
        self._history.end(condition)


async def opened_by_hand(gate: GateMet, history: History) -> None:
    """Open a gate at its page, and try until it answers."""
    by_hand = history.begin("opened by hand", gate.card)  # its answer may come later than who is let in
    while not await _asked(gate, SetState(0, 0, "controlled", STEWARD), history):
        await asyncio.sleep(2.0)
    history.end(by_hand)


async def _asked(gate: GateMet, command: Command, history: History) -> bool:
    done = await gate.ask(command, ANSWER_S)
    ok = isinstance(done, Done) and done.ok
    history.note("asked", gate.card, type(command).__name__, ok)
    return ok
