"""Check-in stations: a ticket is scanned, a wristband tapped, and from then on the band opens and the paper does not.

Some come to two stations with one ticket, or tap a band that is somebody's already; now and then a steward takes back what
was bound. Then all of them go to the arms, with the band or with the paper, and some with the one that opens nothing.
"""

import asyncio
import random
from collections.abc import Coroutine, Mapping, Sequence

from admission.credentials import Medium
from admission.digests import CredentialKind, digest, ticket_digest
from admission.ids import Epoch, RecordId
from admission.reasons import Line
from admission.records import Direction, Outcome
from edge.link import CHECK_IN, AnnulLast, Done, Seen
from sync.customers.bound import settle_due
from tests.sim.bands import band_of
from tests.sim.centre import SimCentre
from tests.sim.gate import DESK_S, SimGate
from tests.sim.history import Bound, History, Shown
from tests.sim.organizer import ANSWER_S, STEWARD
from tests.sim.people import Crowd
from tests.sim.premises import DESK, DIGEST_KEY, EVENT, TICKETS, code_of, venue_keys
from tests.sim.published import published

GUESTS = (4, 8)
WAITS_S = 6.0
"""Whoever hears nothing at a desk by then goes to the arms with the paper."""
SETTLES_S = (2.0, 8.0)
"""The centre makes tags of what stations bound so often (`sync.compose`: every minute)."""
TWICE, SAME_BAND, TAKEN_BACK, LATE = 0.4, 0.2, 0.25, 0.08
"""Shares: of guests whose ticket comes to a second desk, or whose band somebody else taps; of binds taken back; of late taps."""


class Desks:
    """The stations of a venue and who comes to them."""

    def __init__(
        self,
        centre: SimCentre,
        gates: Mapping[str, SimGate],
        crowd: Crowd,
        history: History,
        chance: random.Random,
    ) -> None:
        self._centre, self._gates, self._crowd = centre, gates, crowd
        self._history, self._chance = history, chance
        self._queues: dict[str, asyncio.Lock] = {}
        self._asks: dict[str, Shown] = {}
        """By card, what is before the reader of its desk."""
        self._answered = asyncio.Event()
        self._codes: dict[bytes, int] = {}
        """All papers and bands that are shown, by ticket."""

    def meet(self, gate: SimGate) -> None:
        """Know a gate's station."""
        self._queues[gate.card] = asyncio.Lock()
        at_arms = gate.on_seen

        def seen(one: Seen) -> None:
            at_arms(one)
            self._seen(gate, one)

        gate.on_seen = seen

    def _seen(self, gate: SimGate, seen: Seen) -> None:
        shown = self._asks.get(gate.card)
        if seen.kind == CHECK_IN and shown is not None:
            shown.answer, shown.answered = seen, self._history.order
            shown.answered_s = self._history.now_s()
            if seen.line == Line.BOUND and seen.seq:
                name = RecordId(gate.id, Epoch(seen.epoch), seen.seq)
                durable = self._history.durable.get(gate.card, {}).get(name[:2], 0) >= name.seq
                at = shown.answered_s, gate.card, shown.ticket, shown.code
                self._history.bound.append(Bound(*at, name, durable))
            self._answered.set()

    # --- who comes ------------------------------------------------------------------------------------------------

    def people(self, coming: Sequence[int], length_s: float) -> list[Coroutine[object, object, None]]:
        """Return those who come to a desk: some of whom nobody else knows, and some whose paper comes to the arms, too."""
        chance = self._chance
        others = [one for one in range(1, TICKETS + 1) if one not in coming]
        tickets = [*chance.sample(others, chance.randint(*GUESTS)), *chance.sample(list(coming), 2)]
        found: list[Coroutine[object, object, None]] = []
        for number, ticket in enumerate(tickets):
            at_s, band = chance.uniform(0.0, length_s * 0.6), band_of(number)
            what = chance.random()
            shared = TWICE <= what < TWICE + SAME_BAND
            found.append(self._guest(ticket, band, at_s, walks_by_band=not shared))
            if what < TWICE:
                found.append(
                    self._guest(ticket, band_of(100 + number), at_s + chance.uniform(0.0, 6.0), desk=1)
                )
            elif shared:
                other = chance.choice(others)
                found.append(
                    self._guest(other, band, at_s + chance.uniform(0.0, 6.0), walks_by_band=False, desk=1)
                )
        return found

    async def _guest(
        self, ticket: int, band: bytes, in_s: float, *, walks_by_band: bool = True, desk: int = 0
    ) -> None:
        """Come to a desk, then to the arms. A band that two people tapped stays on the table: of whom it is nobody can say.

        `desk`: two who share a ticket or a band stand at two of them.
        """
        chance, paper = self._chance, code_of(ticket)
        self._codes[paper] = self._codes[band] = ticket
        await asyncio.sleep(in_s)
        if self._crowd.is_over():
            return
        cards = sorted(self._queues)
        gate = self._gates[
            cards[(ticket + desk) % len(cards)] if chance.random() < 0.8 else chance.choice(cards)
        ]
        bound = await self._bind(gate, ticket, band)
        if bound is not None and chance.random() < TAKEN_BACK:
            await asyncio.sleep(chance.uniform(0.2, 4.0))
            await self._take_back(gate, bound)
        right, wrong = (band, paper) if bound is not None and walks_by_band else (paper, band)
        for data in (wrong, right) if walks_by_band and chance.random() < 0.4 else (right, paper):
            await asyncio.sleep(chance.uniform(0.5, 6.0))
            way_in = chance.choice(self._crowd.ways(Direction.ENTRY))
            if self._crowd.is_over():
                return
            if await self._crowd.pass_(way_in, ticket, data):
                await asyncio.sleep(chance.uniform(2.0, 10.0))
                if not self._crowd.is_over():
                    way_out = chance.choice(self._crowd.ways(Direction.EXIT))
                    await self._crowd.pass_(way_out, ticket, data)

    # --- at a desk ------------------------------------------------------------------------------------------------

    async def _bind(self, gate: SimGate, ticket: int, band: bytes) -> Bound | None:
        """Scan and tap; what was bound, None where nothing was, or nobody said so."""
        async with self._queues[gate.card]:
            taken = await self._show(gate, ticket, code_of(ticket))
            if taken.answer is None or not _waits(taken.answer):
                return None
            late = self._chance.random() < LATE
            await asyncio.sleep(DESK_S + 1.0 if late else self._chance.uniform(0.2, 4.0))
            before = len(self._history.bound)
            tapped = await self._show(gate, ticket, band)
            self._history.tapped.append(tapped)
            return (
                self._history.bound[before]
                if len(self._history.bound) > before and _is_bound(tapped)
                else None
            )

    async def _show(self, gate: SimGate, ticket: int, data: bytes) -> Shown:
        history, reader = self._history, 1
        boot = gate.boot_of.number if gate.boot_of is not None else 0
        shown = self._asks[gate.card] = Shown(
            history.now_s(), history.order, gate.id, gate.card, boot, DESK, reader, Direction.NONE, ticket, code=data
        )  # fmt: skip
        heard = gate.present(DESK, reader, data)
        history.note("at desk", gate.card, ticket, data, heard)
        try:
            async with asyncio.timeout(WAITS_S):
                while heard and shown.answer is None:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            shown.gave_up = True
        finally:
            del self._asks[gate.card]
        said = shown.answer
        history.note(
            "desk said", gate.card, None if said is None else (said.line, said.outcome, said.reason, said.seq)
        )
        return shown

    async def _take_back(self, gate: SimGate, bound: Bound) -> None:
        """A steward takes back what was bound: the wrong band."""
        name = bound.record
        done = await gate.ask(AnnulLast(0, DESK, name.epoch, name.seq, STEWARD, "wrong band"), ANSWER_S)
        ok = isinstance(done, Done) and done.ok
        self._history.note("taken back", gate.card, bound.ticket, ok)

    # --- at the centre, and in the end ---------------------------------------------------------------------------

    async def settle_on(self) -> None:
        """Have the centre make tags of what stations bound, until cancelled."""
        while True:
            await asyncio.sleep(self._chance.uniform(*SETTLES_S))
            self.settle()

    def settle(self) -> int:
        """Settle what is due; return how many binds. A centre whose logs are in no tables knows of none."""
        if not self._centre.is_up or self._centre.ledger is not None:
            return 0
        return settle_due(self._centre.database, venue_keys(), self._centre.now_s())

    def look(self) -> None:
        """Ask everybody what each code and band opens."""
        for card, gate in self._gates.items():
            self._history.opens[card] = {code: _opens(gate, code) for code in self._codes}
        if self._centre.ledger is None:
            codes = published(self._centre).codes
            self._history.opens[self._centre.name] = {
                code: frozenset(
                    one.id for one, standing in codes.get(_digest(code, ticket), ()) if not standing
                )
                for code, ticket in self._codes.items()
            }


def _digest(code: bytes, ticket: int) -> bytes:
    if code == code_of(ticket):
        return ticket_digest(EVENT, ticket, DIGEST_KEY)
    return digest(CredentialKind.UID, code, DIGEST_KEY)


def _opens(gate: SimGate, code: bytes) -> frozenset[int]:
    """Return the tickets that a code or band opens at a gate, whatever else is said of them."""
    assert gate.daemon is not None
    judge = gate.daemon.judge
    plan = judge.plan(1)
    assert plan is not None
    medium = Medium.UID if len(code) == len(band_of(0)) else Medium.BARCODE
    found = judge.candidates(judge.identify(code, medium), plan)
    return frozenset(one.ticket.id for one in found if not one.credential)


def _waits(seen: Seen) -> bool:
    return seen.line == Line.TAP_TAG or seen.outcome == Outcome.CHECK


def _is_bound(shown: Shown) -> bool:
    return shown.answer is not None and shown.answer.line == Line.BOUND


__all__ = ["Desks"]
