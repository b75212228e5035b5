"""What the demo venue has sold: a ticketing with prices, orders in every state, and a few people with tickets and tags.

It goes on top of `sync.demo` for whoever looks at pages; what gates are shown there stays as it is. Made by the same
rules as every sale, so that quotas, lists and the audit log tell of it.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, update

from admission.digests import CredentialKind, digest
from admission.entitlements import Ticket
from admission.ids import ProductId, SessionId, TicketId
from sync.accounts.principal import SYSTEM
from sync.customers import holding, tags
from sync.customers.profiles import Profile
from sync.demo import (
    DAY,
    EVENT,
    GROUP_OF_4,
    HOME,
    OTHER_DAY,
    OTHER_EVENT,
    REDUCED,
    SEASON,
    TERRACE_DAY,
    TODAY,
    TOMORROW,
    TWICE,
    VIP_DAY,
)
from sync.events import houses, tables
from sync.keys import VenueKeys
from sync.orders import cancelling, passes, sale
from sync.orders.cancelling import Method, Refund
from sync.orders.sale import Sale, Wanted
from sync.orders.states import Payment
from sync.store.database import Database
from sync.tickets import rows
from sync.tickets.minting import digest_key_of
from sync.tickets.ruling import Act

OWNER: Final = 1
"""The demo's organization."""
FIRST_SOLD: Final = TicketId(1000)
"""Sales go on behind it: the demo's walk-up tickets have numbers below, and no list may hold them."""
CURRENCY: Final = "CHF"
PRICES: Final = {
    (EVENT, DAY): 4500,
    (EVENT, SEASON): 12000,
    (EVENT, VIP_DAY): 14000,
    (EVENT, GROUP_OF_4): 16000,
    (EVENT, REDUCED): 2800,
    (EVENT, TWICE): 6000,
    (EVENT, HOME): 3500,
    (EVENT, TERRACE_DAY): 2000,
    (OTHER_EVENT, OTHER_DAY): 1800,
}
"""In Rappen; the staff's pass costs nothing."""
QUOTAS: Final = {(EVENT, DAY): 1200, (EVENT, VIP_DAY): 40, (EVENT, TERRACE_DAY): 300}
DOORS_HOUR: Final = 17

ADA: Final = Profile(
    first_name="Ada", last_name="Keller", email="ada.keller@demo.example", phone="+41 44 555 01 01",
    address="Seestrasse 12", postcode="8002", city="Zürich", country="CH", gender="f",
)  # fmt: skip
LUCA: Final = Profile(
    first_name="Luca", last_name="Bernasconi", email="luca@demo.example", city="Lugano", country="CH"
)
CLAIRE: Final = Profile(
    first_name="Claire", last_name="Dubois", email="claire.dubois@demo.example", city="Lausanne"
)
MARTA: Final = Profile(
    first_name="Marta", last_name="Rossi", email="marta@demo.example", phone="+39 02 555 0102"
)
NOAH: Final = Profile(first_name="Noah", last_name="Frei", email="noah.frei@demo.example", city="Bern")


def make_sales(database: Database, keys: VenueKeys, now_s: int) -> None:
    """Sell what the demo venue has sold, in one transaction. The venue stands, made by `make_demo`."""
    with database.writing() as connection:
        act = Act(connection, OWNER, SYSTEM, now_s, keys)
        ticketing = _priced(connection, now_s)
        with act.changing([EVENT]):
            _sold_before(act)
        _people(act, ticketing)
        passes.add_kind(
            act,
            passes.NewKind(
                ticketing, "Festival and matinee", 5500, 50, own_credential=True, needs_approval=False,
                contents=(
                    passes.Content(EVENT, DAY, TODAY), passes.Content(OTHER_EVENT, OTHER_DAY, SessionId(0))
                ),
            ),
        )  # fmt: skip


def _priced(connection: Connection, now_s: int) -> int:
    """Make the ticketing and put prices and times where they belong; returns its number."""
    made = houses.add_ticketing(
        connection, OWNER, houses.NewTicketing(name="Demo box office", currency=CURRENCY)
    )
    doors = datetime.fromtimestamp(now_s, UTC).replace(hour=DOORS_HOUR, minute=0, second=0, microsecond=0)
    begins = {
        (EVENT, TODAY): doors,
        (EVENT, TOMORROW): doors + timedelta(days=1),
        (OTHER_EVENT, TODAY): doors - timedelta(hours=3),
    }
    e, s, p = tables.event, tables.session, tables.product
    for (event, session), at in begins.items():
        at_s = int(at.timestamp())
        one = (s.c.event_id == event, s.c.id == session)
        connection.execute(update(s).where(*one).values(starts_s=at_s))
        if session == TODAY:
            connection.execute(update(e).where(e.c.id == event).values(ticketing_id=made, starts_s=at_s))
    connection.execute(update(p).where(p.c.event_id.in_([EVENT, OTHER_EVENT])).values(currency=CURRENCY))
    for (event, product), price in PRICES.items():
        quota = QUOTAS.get((event, product))
        values = {"price_minor": price, "quota": quota}
        connection.execute(update(p).where(p.c.event_id == event, p.c.id == product).values(**values))
    return made


def _sold_before(act: Act) -> None:
    """Add the ticket that numbers go on from: an ordinary one with a printed code."""
    key = digest_key_of(act.connection, EVENT)
    text = "DEMO-1000"
    code = rows.NewCredential(
        FIRST_SOLD, digest(CredentialKind.OPAQUE, text.encode(), key), CredentialKind.OPAQUE, text
    )
    rows.add_tickets(act.connection, EVENT, [Ticket(FIRST_SOLD, EVENT, DAY, session=TODAY)], [code])


def _people(act: Act, ticketing: int) -> None:
    day = Wanted(EVENT, DAY, TODAY)

    def order(payment: Payment, customer: int, *wanted: Wanted) -> int:
        return sale.place(act, Sale(ticketing, wanted, payment, customer))

    season, group = (EVENT, TicketId(3)), (EVENT, TicketId(6))
    ada = holding.claim(act, ADA, [season])
    order(Payment.CARD, ada, day, Wanted(EVENT, VIP_DAY, TODAY), Wanted(OTHER_EVENT, OTHER_DAY, TODAY))
    tags.assign(act, ada, EVENT, "04D1B2C3D4E501")
    tags.assign(act, ada, EVENT, "04D1B2C3D4E502")
    luca = holding.claim(act, LUCA, [group])
    order(Payment.INVOICE, luca, Wanted(EVENT, GROUP_OF_4, TODAY), Wanted(EVENT, REDUCED, TODAY))
    claire, _ = holding.activate(act, CLAIRE, EVENT, "04D1B2C3D4E503", ProductId(TWICE))
    order(Payment.ON_SITE, claire, day, day, Wanted(EVENT, TERRACE_DAY, TODAY))
    marta, _ = holding.activate(act, MARTA, EVENT, "04D1B2C3D4E504", ProductId(DAY))
    given_back = order(Payment.CASH, marta, day)
    cancelling.cancel(act, given_back, Refund(Method.CASH, "Fell ill"))
    noah, _ = holding.activate(act, NOAH, EVENT, "04D1B2C3D4E505", ProductId(SEASON))
    holding.ban(act, noah, "Climbed the fence")
    holding.activate(act, Profile(), EVENT, "04D1B2C3D4E506", ProductId(DAY))
    order(Payment.FREE, 0, Wanted(EVENT, DAY, TOMORROW), Wanted(EVENT, DAY, TOMORROW))
