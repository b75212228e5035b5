"""Any sequence of sales, payments, splits, cancellations and exchanges: counted again from what was asked.

The model knows only what people would: each ticket's state, and how many are taken. After each rule the tables agree,
nothing is oversold, every rule is one version of each event it touches, and a gate's list says what the model says.
"""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import select

from admission.entitlements import Standing
from admission.ids import EventId, TicketId
from sync.gates import lists
from sync.orders import quota, sale
from sync.orders.cancelling import Method, Refund, cancel
from sync.orders.sale import Wanted
from sync.orders.states import Payment
from sync.orders.tables import order_line
from sync.store.database import FILE, Database
from sync.store.schema import unsigned
from sync.tickets import exchange, standing, tables
from sync.tickets.ruling import TicketRef
from sync.tickets.standing import Verb
from sync.web.api import Refused
from tests.sync.orders.box_office import DAY, FIRST, QUOTA, SECOND, BoxOffice, prepare
from tests.sync.ready import with_tables

EVENTS = (FIRST, SECOND)
PAYMENTS = st.sampled_from((Payment.CASH, Payment.ON_SITE, Payment.INVOICE))
PICK = st.integers(0, 1_000)
WHY = Refund(Method.NONE, "why")


class Selling(RuleBasedStateMachine):
    """One box office. `orders`: of each, how it is paid and its live tickets; `said`: what a gate is told of each."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        database = Database.open(with_tables(Path(self.folder.name)))
        prepare(database)
        self.office = BoxOffice(database)
        self.orders: dict[int, tuple[Payment, bool, list[TicketRef]]] = {}
        self.said: dict[TicketRef, Standing] = {}
        self.versions = dict.fromkeys(EVENTS, 0)

    def teardown(self) -> None:
        self.office.database.close()
        assert (Path(self.folder.name) / FILE).exists()
        self.folder.cleanup()

    def taken(self, event: EventId) -> int:
        return sum(ref[0] == event for _, _, refs in self.orders.values() for ref in refs)

    def raised(self, *events: EventId) -> None:
        for event in set(events):
            self.versions[event] += 1

    def order(self, pick: int) -> int:
        live = [number for number, (_, _, refs) in self.orders.items() if refs]
        return live[pick % len(live)] if live else 0

    @rule(wanted=st.lists(st.sampled_from(EVENTS), min_size=1, max_size=4), payment=PAYMENTS)
    def buy(self, wanted: list[EventId], payment: Payment) -> None:
        fits = all(self.taken(event) + wanted.count(event) <= QUOTA for event in wanted)
        try:
            number = self.office.buy(*(Wanted(event, DAY) for event in wanted), payment=payment)
        except Refused as no:
            assert (no.code, fits) == ("sold_out", False)  # noqa: PT017 - either way is judged
            return
        assert fits
        made = []
        for event in wanted:
            last = max((ticket for at, ticket in self.said if at == event), default=0)
            made.append((event, TicketId(last + 1)))
            self.said[made[-1]] = Standing.VALID if payment is Payment.CASH else Standing.UNPAID
        self.orders[number] = (payment, payment is Payment.CASH, made)
        self.raised(*wanted)

    @rule(pick=PICK)
    def pay(self, pick: int) -> None:
        number = self.order(pick)
        if not number or self.orders[number][1]:
            return
        payment, _, refs = self.orders[number]
        with self.office.act() as act:
            sale.pay(act, number, Payment.CARD)
        self.orders[number] = (payment, True, refs)
        for ref in refs:
            self.said[ref] &= ~Standing.UNPAID
        self.raised(*(event for event, _ in refs))

    @rule(pick=PICK, whole=st.booleans())
    def cancel(self, pick: int, whole: bool) -> None:
        number = self.order(pick)
        if not number:
            return
        payment, paid, refs = self.orders[number]
        gone = refs if whole else [refs[pick % len(refs)]]
        may = whole or payment is not Payment.INVOICE
        try:
            with self.office.act() as act:
                cancel(act, number, WHY, None if whole else [self.line(number, gone[0])])
        except Refused as no:
            assert (no.code, may) == ("invoice_whole", False)  # noqa: PT017 - either way is judged
            return
        assert may
        for ref in gone:
            self.said[ref] |= Standing.CANCELLED
        self.orders[number] = (payment, paid, [ref for ref in refs if ref not in gone])
        self.raised(*(event for event, _ in gone))

    @rule(pick=PICK)
    def split(self, pick: int) -> None:
        number = self.order(pick)
        if (
            not number
            or len(self.orders[number][2]) < 2
            or self.orders[number][:2] != (Payment.ON_SITE, False)
        ):
            return
        payment, paid, refs = self.orders[number]
        with self.office.act() as act:
            new = sale.split(act, number, [self.line(number, refs[-1])])
        self.orders[number] = (payment, paid, refs[:-1])
        self.orders[new] = (payment, paid, refs[-1:])

    @rule(pick=PICK)
    def swap(self, pick: int) -> None:
        number = self.order(pick)
        if not number or self.orders[number][0] is Payment.INVOICE:
            return
        payment, paid, refs = self.orders[number]
        old = refs[pick % len(refs)]
        other = SECOND if old[0] == FIRST else FIRST
        may = self.taken(other) < QUOTA and not self.said[old] & (Standing.BANNED | Standing.REDEEMED)
        try:
            with self.office.act() as act:
                new = exchange.exchange(act, old, other, DAY)
        except Refused as no:
            assert not may, no.code  # noqa: PT017 - either way is judged
            return
        assert may
        self.said[new] = self.said[old] & Standing.UNPAID
        self.said[old] |= Standing.REPLACED
        self.orders[number] = (payment, paid, [new if ref == old else ref for ref in refs])
        self.raised(*EVENTS)

    @rule(pick=PICK, verb=st.sampled_from(Verb))
    def by_hand(self, pick: int, verb: Verb) -> None:
        if not self.said:
            return
        ref = sorted(self.said)[pick % len(self.said)]
        try:
            wanted = standing.after(verb, self.said[ref])
        except Refused:
            wanted = None
        try:
            with self.office.act() as act:
                standing.apply(act, ref, verb)
        except Refused:
            assert wanted is None
            return
        assert wanted is not None
        self.said[ref] = wanted
        self.raised(ref[0])

    def line(self, number: int, ref: TicketRef) -> int:
        with self.office.database.reading() as connection:
            at = order_line.c
            return int(
                connection.execute(
                    select(at.line).where(at.order_id == number, at.event_id == ref[0], at.ticket == ref[1])
                ).scalar_one()
            )

    @invariant()
    def agrees(self) -> None:
        with self.office.database.reading() as connection:
            for event in EVENTS:
                assert quota.sold(connection, event, DAY) == self.taken(event) <= QUOTA
            rows = connection.execute(select(tables.ticket)).all()
            told = {(row.event, row.ticket): row.standing for row in lists.content(connection, 1)[1]}
        assert {
            (EventId(row.event_id), TicketId(unsigned(row.id))): row.standing for row in rows
        } == self.said
        assert told == self.said
        assert self.office.versions() == self.versions
        for row in rows:
            assert row.version is not None
            assert row.version <= self.versions[EventId(row.event_id)]


Selling.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestSelling = Selling.TestCase
