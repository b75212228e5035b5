"""A box office with two events on sale, and a gate that hears its lists: for tests of rules on either engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from admission.codecs import cose
from admission.credentials import Known, Medium, identify
from admission.decide import decide
from admission.entitlements import LanePlan, Mode, Product, Session, Zone, ZoneTree
from admission.ids import EventId, LaneId, ProductId, SessionId, TicketId, ZoneId
from admission.keys import IssuerKey, KeyFormat, KeyRing, kid_of
from admission.question import Candidate, ClockFacts, LaneFacts, Question, VenueFacts
from admission.reasons import Reason
from admission.records import Direction, Outcome, Trust
from sync.accounts.principal import Actor
from sync.events import rows as programme
from sync.events import tables as programme_tables
from sync.gates import lists
from sync.keys import new_keys
from sync.orders.sale import Sale, Wanted, place
from sync.orders.states import Payment
from sync.store.database import Database
from sync.tickets.ruling import Act, TicketRef

NOW_S = 1_790_000_000
FIRST, SECOND = EventId(1), EventId(2)
DAY, VIP = ProductId(1), ProductId(2)
EVENING, MATINEE = SessionId(1), SessionId(2)
ARENA = ZoneId(1)
TICKETING = 1
CLERK = Actor("user", 7, "clerk")
KEYS = new_keys()
GROUP, DIGEST_KEY = 1, bytes(range(2, 34))
QUOTA = 5
DAY_PRICE, VIP_PRICE = 2_500, 9_000
UID, OTHER_UID, THIRD_UID = "04A1B2C3D4E580", "04A1B2C3D4E581", "04A1B2C3D4E582"
PLAN = LanePlan(
    LaneId(1), ARENA, Mode.NORMAL, ((FIRST, EVENING), (FIRST, MATINEE), (SECOND, EVENING)), attended=True
)


def prepare(database: Database) -> None:
    """Two organizations; the first sells two events, `DAY` with a quota, `VIP` without one."""
    e = programme_tables
    with database.writing() as connection:
        for number in (1, 2):
            connection.execute(
                insert(e.organization).values(id=number, name=f"House {number}", language="en", created_s=0)
            )
            connection.execute(
                insert(e.ticketing).values(
                    id=number, organization_id=number, name="Box office", currency="CHF"
                )
            )
        programme.add_group(connection, "Venue", DIGEST_KEY, GROUP, 1)
        programme.add_zones(connection, [Zone(ARENA, "Arena")], GROUP)
        for event in (FIRST, SECOND):
            programme.add_event(connection, event, f"Event {event}", "Europe/Zurich", GROUP)
            programme.add_sessions(
                connection,
                [Session(EVENING, event, "Evening", 20261122), Session(MATINEE, event, "Matinee", 20261122)],
            )
            programme.add_products(
                connection,
                [Product(DAY, event, "Day", (ARENA,)), Product(VIP, event, "VIP", (ARENA,))],
            )
        connection.execute(update(e.event).values(ticketing_id=TICKETING))
        p = e.product.c
        for product, price, quota in ((DAY, DAY_PRICE, QUOTA), (VIP, VIP_PRICE, None)):
            connection.execute(
                update(e.product)
                .where(p.id == product)
                .values(price_minor=price, quota=quota, currency="CHF", session=1)
            )


@dataclass
class BoxOffice:
    """Acts of a clerk, each in a transaction of its own, and what a gate makes of them."""

    database: Database
    now_s: int = NOW_S

    @contextmanager
    def act(self, organization: int = 1) -> Iterator[Act]:
        with self.database.writing() as connection:
            yield Act(connection, organization, CLERK, self.now_s, KEYS)

    def buy(self, *wanted: Wanted, payment: Payment = Payment.CASH, customer: int = 0) -> int:
        """Place an order; without lines, for one day ticket."""
        with self.act() as act:
            return place(act, Sale(TICKETING, wanted or (Wanted(FIRST, DAY),), payment, customer))

    def versions(self) -> dict[EventId, int]:
        with self.database.reading() as connection:
            found = connection.execute(select(programme_tables.event.c.id, programme_tables.event.c.version))
            return {EventId(row.id): row.version for row in found}

    def gate(self, presented: str, medium: Medium = Medium.BARCODE) -> tuple[Outcome, Reason]:
        """What a gate says that has just taken the list: built, looked up and decided as it does."""
        return self._judge(presented, medium)[0]

    def candidates(self, presented: str) -> tuple[Candidate, ...]:
        """The tickets a gate finds behind a code."""
        return self._judge(presented, Medium.BARCODE)[1]

    def _judge(self, presented: str, medium: Medium) -> tuple[tuple[Outcome, Reason], tuple[Candidate, ...]]:
        with self.database.reading() as connection:
            head, rows = lists.content(connection, GROUP)
        public = KEYS.ticket_key.public_key().public_bytes_raw()
        ring = KeyRing([IssuerKey(kid_of(public), public, KeyFormat.TK1, 0)])
        data = presented.encode() if medium is Medium.BARCODE else bytes.fromhex(presented)
        identity = identify(data, medium, ring, head.digest_key)
        products = {(one.event, one.id): one for one in head.products}
        assert isinstance(identity, Known)
        candidates = tuple(
            Candidate(
                head.ticket(row),
                products[row.event, head.ticket(row).product],
                credential=row.credential_standing,
            )
            for row in rows
            if row.digest == identity.digest
        )
        venue = VenueFacts(
            zones=ZoneTree(head.zones),
            sessions={(one.event, one.id): one for one in head.sessions},
            products=products,
            list_cut_s={one.id: one.sealed_at_s for one in head.events},
        )
        clock = ClockFacts(self.now_s, Trust.SYNCED, 0)
        verdict = decide(Question(Direction.ENTRY, identity, candidates, LaneFacts(PLAN), venue, clock))
        return (verdict.outcome, verdict.reason), candidates

    def says(self, ref: TicketRef) -> Reason:
        """Why a gate refuses a ticket; NONE where it lets it in."""
        text = cose.mint(cose.Claims(ticket=ref[1], event=ref[0], issued_at=NOW_S - 86_400), KEYS.ticket_key)
        return self.gate(text)[1]


def query(database: Database, table: Any, *where: Any) -> list[Any]:
    """Look into a table."""
    with database.reading() as connection:
        return list(connection.execute(select(table).where(*where)).all())


def ref(ticket: int, event: EventId = FIRST) -> TicketRef:
    return event, TicketId(ticket)
