"""What is planned anew in the middle of an evening: zones renamed, lanes and products changed, keys rolled, tickets reissued,
tags exchanged, another shop's list brought again, and now and then all of it in a list that gates take whole.

Beside it the simulated organizer goes on (`tests.sim.organizer`). Sold tickets keep their product, and a plan of tonight
takes no hours from a lane: what people are owed stays as it is, so that the checker can say who was refused for our faults.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, update

from admission.codecs import cose
from admission.digests import CredentialKind, digest, ticket_digest
from admission.entitlements import CredentialStanding, LanePlan, Mode, Product, Standing
from admission.ids import GateId, LaneId, ProductId, TicketId
from admission.keys import KeyFormat, KeyStatus
from admission.lane import LaneState
from admission.records import Direction
from sync.accounts.principal import Actor
from sync.events import rows as events
from sync.events.tables import product as products
from sync.events.tables import zone as zones
from sync.gates import roster
from sync.imports import jobs, keeping
from sync.imports.catalogue import catalogue
from sync.imports.chunks import Ahead
from sync.imports.files import How, read_file
from sync.tickets import exchange, rows
from sync.tickets.ruling import Act
from sync.tickets.tables import ticket as tickets
from sync.tickets.tables import ticket_key
from sync.wire.lists import ListKey
from tests.sim.centre import SimCentre
from tests.sim.gate import SimGate
from tests.sim.hardware import NXP, UID_BYTES
from tests.sim.history import CodeWord, History
from tests.sim.organizer import Organizer
from tests.sim.people import Crowd
from tests.sim.premises import (
    BOX,
    DIGEST_KEY,
    EVENT,
    HALL,
    PRODUCTS,
    SHARED,
    claims_of,
    code_of,
    plans_of,
    ticket_of,
    venue_keys,
)

PAUSE_S = (1.0, 7.0)
MOVED_S = (0.3, 3.0)
"""Another machine takes over from the centre's so soon."""
SOLD_IN_TURN = 12
"""Tickets whose numbers lie so far apart are of one product (`premises.ticket_of`)."""
REISSUED, SIGNED_ANEW = 6_000, 120_000
"""Numbers from here on are those of tickets that replace others, and of those signed with a new key."""
GRACE_S = 86_400
"""So long what is signed with the key of before is still good (`sync.tickets.ticket_keys`)."""
LATER_S = 20 * 365 * 86_400
"""A plan that is of no evening of these, whatever a clock says."""
DESK = Actor("user", 1, "Box office")
HEADING = b"ticket id;code;product;session;status;name;email\n"

Deed = Callable[[], Awaitable[None]]


class Planner:
    """Somebody who plans anew, at the centre's pages. `run` it beside the evening."""

    def __init__(
        self,
        centre: SimCentre,
        gates: dict[str, SimGate],
        crowd: Crowd,
        history: History,
        organizer: Organizer,
        chance: random.Random,
        coming: Sequence[int],
        folder: Path,
    ) -> None:
        self._centre, self._gates, self._crowd, self._history = centre, gates, crowd, history
        self._organizer, self._chance, self._coming, self._folder = organizer, chance, coming, folder
        self._count = 0
        """Of all that was planned: what is named by it is named anew."""
        self._shop: dict[int, bytes] = {}
        """By ticket, the lines of the other shop's list."""
        self._brought: dict[bytes, int] = {}
        """By code of that shop, the ticket that it opens."""
        self._visits: list[asyncio.Task[bool]] = []
        deeds: list[tuple[Deed, float]] = [
            (self._rename, 0.6), (self._lane, 0.5), (self._rule, 0.4), (self._product, 0.3), (self._key, 0.4),
            (self._reissue, 0.5), (self._tag, 0.3), (self._row, 0.5), (self._bring, 0.6), (self._whole, 0.35), (self._move, 0.25),
        ]  # fmt: skip
        self.menu = [deed for deed, share in deeds if chance.random() < share] or [self._rename]

    async def run(self) -> None:
        """Plan one thing after another, until cancelled."""
        while True:
            await asyncio.sleep(self._chance.uniform(*PAUSE_S))
            if self._centre.is_up:
                self._count += 1
                await self._chance.choice(self.menu)()

    async def visited(self) -> None:
        """Wait until whoever came with a new code has gone through, or away."""
        await asyncio.gather(*self._visits)

    def _change(self, work: Callable[[Connection], object]) -> tuple[int, int]:
        place = self._organizer.change(work)
        self._history.note("planned", self._count, *place)
        return place

    # --- settings -----------------------------------------------------------------------------------------------------

    async def _rename(self) -> None:
        zone, name = self._chance.choice((HALL, BOX)), f"Zone {self._count}"
        self._change(lambda one: one.execute(update(zones).where(zones.c.id == zone).values(name=name)))

    async def _lane(self) -> None:
        """A lane is passed in another mode, and has a plan for much later."""
        gate = self._chance.choice(sorted({one.id for one in self._gates.values()}))
        plan = self._chance.choice(plans_of(gate))
        mode = self._chance.choice((Mode.ENTRY_EXIT, Mode.MULTIPLE, Mode.MULTIPLE))
        from_s = self._centre.now_s() + LATER_S + self._count

        def work(connection: Connection) -> None:
            roster.set_plan(connection, GateId(gate), LanePlan(plan.lane, plan.zone, mode, plan.sessions))
            roster.set_schedule(connection, GateId(gate), LaneId(plan.lane), [(from_s, LaneState.CONTROLLED)])

        self._history.modes.setdefault((gate, plan.lane), set()).add(mode)
        self._change(work)

    async def _rule(self) -> None:
        """A product's rules are others: how often in all, which nobody comes to tonight."""
        of = products.c.event_id == EVENT, products.c.id == self._chance.choice(PRODUCTS).id
        self._change(
            lambda one: one.execute(update(products).where(*of).values(limit_total=100 + self._count))
        )

    async def _product(self) -> None:
        """Something new is sold."""
        new = Product(ProductId(100 + self._count), EVENT, f"New {self._count}", (HALL,))
        self._change(lambda one: events.add_products(one, [new]))

    async def _key(self) -> None:
        """Tickets are signed with another key, once gates were told of it, and the one before may be read for a day more."""
        key = Ed25519PrivateKey.from_private_bytes(DIGEST_KEY[:24] + self._count.to_bytes(8, "big"))
        public = key.public_key().public_bytes_raw()
        ended, active = self._centre.now_s() + GRACE_S, ticket_key.c.status == KeyStatus.ACTIVE.value

        def work(connection: Connection) -> None:
            values = {"not_after": ended, "status": KeyStatus.RETIRED.value}
            connection.execute(update(ticket_key).where(active).values(**values))
            rows.add_keys(connection, [ListKey(public, KeyFormat.TK1.value)])

        self._change(work)
        await asyncio.sleep(self._chance.uniform(0.0, 3.0))
        if self._centre.is_up:
            number = SIGNED_ANEW + SOLD_IN_TURN * self._count
            self._change(partial(_sold_here, number))
            code = cose.mint(claims_of(number, self._centre.now_s()), key).encode()
            self._word(code, ticket_digest(EVENT, number, DIGEST_KEY), CredentialStanding.ACTIVE)
            self._comes(number, code)

    # --- lists that gates take whole ------------------------------------------------------------------------------------

    async def _whole(self) -> None:
        """So much is changed at once that gates take the whole list, with another plan in it."""
        await self._rename()
        self._centre.whole_from = self._centre.version()

    async def _move(self) -> None:
        """The centre goes on elsewhere, from a copy of just now: lists get a new generation. There something is planned."""
        condition = self._history.begin("off", self._centre.name)
        copy = self._folder / f"moved{self._count}"
        self._centre.keep_copy(copy)
        kept_s, held = self._history.now_s(), self._centre.held()
        self._centre.stop()
        self._centre.put_back(copy)
        self._history.restored(kept_s, held)
        await asyncio.sleep(self._chance.uniform(*MOVED_S))
        self._centre.start()
        self._history.end(condition)
        await self._rename()

    # --- tickets and codes ----------------------------------------------------------------------------------------------

    async def _reissue(self) -> None:
        """Somebody gets a new ticket for one of ours, and comes with it; somebody else comes with the old one."""
        old = self._chance.choice(self._coming)
        if self._organizer.standing.get(old):
            return
        new = REISSUED + SOLD_IN_TURN * self._count + old % SOLD_IN_TURN
        self._organizer.set(old, Standing.REPLACED, partial(_sold_here, new))
        self._comes(new, code_of(new, self._centre.now_s()))
        self._comes(old, code_of(old))

    async def _tag(self) -> None:
        """Somebody gets a tag, and soon another for it: the one before opens nothing any more. Both are tapped.

        A centre that was set back meanwhile knows of no tag to exchange.
        """
        ticket = self._chance.choice(self._coming)
        before, after = (bytes((NXP, which)) + self._count.to_bytes(UID_BYTES - 2, "big") for which in (1, 2))
        given = self._give(ticket, before)
        await asyncio.sleep(self._chance.uniform(0.0, 6.0))
        if self._centre.is_up and given.void_s is None:
            known = digest(CredentialKind.UID, before, DIGEST_KEY)
            self._give(ticket, after, before=known)
            self._word(before, known, CredentialStanding.INACTIVE_TAG)
            self._comes(ticket, before)

    def _give(self, ticket: int, uid: bytes, before: bytes = b"") -> CodeWord:
        new = rows.NewCredential(
            TicketId(ticket), digest(CredentialKind.UID, uid, DIGEST_KEY), CredentialKind.UID
        )

        def work(connection: Connection) -> None:
            rows.set_credential_standing(connection, EVENT, before, CredentialStanding.INACTIVE_TAG)
            rows.add_tickets(connection, EVENT, [], [new])

        self._change(work)
        self._comes(ticket, uid)
        return self._word(uid, new.digest, CredentialStanding.ACTIVE)

    async def _row(self) -> None:
        """A row is changed of a ticket that was cancelled, banned or replaced, if there is one: it stays so."""
        known = sorted(number for number, standing in self._organizer.standing.items() if standing)
        of = tickets.c.id == self._chance.choice(known or self._coming)
        holder = 3000 + self._count
        self._change(lambda one: one.execute(update(tickets).where(of).values(holder=holder, version=None)))

    async def _bring(self) -> None:
        """Another shop's list comes, and comes again with a row changed; a code of it may have been replaced here before."""
        chance = self._chance
        for word in self._history.code_words:
            if word.void_s is not None:  # a centre that was set back never saw that line
                self._shop.pop(self._brought.pop(word.code, 0), None)
        if not self._shop or chance.random() < 0.4:
            self._sell_elsewhere()
        elif (good := self._good()) and chance.random() < 0.6:
            self._recode(chance.choice(good))
        else:
            ticket = chance.choice(sorted(self._shop))
            if chance.random() < 0.5:
                self._organizer.set(ticket, Standing.BANNED)
            fields = self._shop[ticket].split(b";")
            fields[-2] = b"Name %d" % self._count
            self._shop[ticket] = b";".join(fields)
            self._import()

    def _good(self) -> list[bytes]:
        """Return the other shop's codes that may be replaced: of tickets of which nothing was said."""
        return sorted(
            code for code, ticket in self._brought.items() if not self._organizer.standing.get(ticket)
        )

    def _sell_elsewhere(self) -> None:
        with self._centre.database.reading() as connection:
            last = connection.exec_driver_sql("SELECT max(id) FROM ticket").scalar_one()
        number = int(last) + 1
        while (wanted := ticket_of(number)).product not in SHARED:
            self._change(partial(_sold_here, number))
            number += 1
        name = next(one.name for one in PRODUCTS if one.id == wanted.product)
        code = b"SHOP-%d-%d" % (number, self._count)
        line = b"%d;%s;%s;Today;paid;Name;n%d@example.org\n" % (self._count, code, name.encode(), self._count)
        self._shop[number] = line
        self._brought[code] = number
        self._import()
        self._word(code, digest(CredentialKind.OPAQUE, code, DIGEST_KEY), CredentialStanding.ACTIVE)
        self._comes(number, code)

    def _import(self) -> None:
        """Have the list checked and written, as `gatehouse-sync import` does."""
        database, how = self._centre.database, How()
        now_s, data = self._centre.now_s(), HEADING + b"".join(self._shop.values())
        with database.reading() as connection:
            known = catalogue(connection, EVENT)
        assert known is not None
        came = jobs.source("shop", "list.csv", data, how)
        number = keeping.keep(database.transact, known, read_file(data, known, how), came, now_s)
        database.transact(lambda one: keeping.finish(one, number, now_s))
        job = database.transact(lambda one: jobs.start(one, number, DESK, now_s, keeps_good=False))
        ahead = Ahead()
        while job.state is jobs.State.RUNNING:
            job = database.transact(lambda one: jobs.advance(one, number, now_s, ahead))
        self._history.note("brought", self._count, job.state.value, *self._centre.place)

    def _recode(self, code: bytes) -> None:
        """Give a ticket of the other shop a code of ours; who bought it comes with that, and somebody with the old one."""
        ticket = TicketId(self._brought.pop(code))
        now_s = self._centre.now_s()
        with self._centre.database.writing() as connection:
            exchange.reissue(Act(connection, 1, DESK, now_s, venue_keys()), (EVENT, ticket))
        self._word(code, digest(CredentialKind.OPAQUE, code, DIGEST_KEY), CredentialStanding.REPLACED)
        self._comes(ticket, code_of(ticket, now_s))
        self._comes(ticket, code)

    def _word(self, code: bytes, known: bytes, standing: CredentialStanding) -> CodeWord:
        generation, version = self._centre.place
        word = CodeWord(self._history.now_s(), code, known, version, generation, int(standing))
        self._history.code_words.append(word)
        self._history.note("code", code, int(standing), generation, version)
        return word

    def _comes(self, ticket: int, code: bytes) -> None:
        """Somebody comes with a code, soon or later."""
        place, in_s = self._chance.choice(self._crowd.ways(Direction.ENTRY)), self._chance.uniform(0.2, 12.0)

        async def come() -> bool:
            await asyncio.sleep(in_s)
            return not self._crowd.is_over() and await self._crowd.pass_(place, ticket, code)

        self._visits.append(asyncio.create_task(come()))


def _sold_here(number: int, connection: Connection) -> None:
    made = rows.NewCredential(TicketId(number), ticket_digest(EVENT, number, DIGEST_KEY), CredentialKind.TK1)
    rows.add_tickets(connection, EVENT, [ticket_of(number)], [made])


__all__ = ["Planner"]
