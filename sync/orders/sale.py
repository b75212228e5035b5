"""Selling: an order is placed, paid, invoiced, split; a reservation runs out. One version of each event it touches."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, insert, select, update

from admission.entitlements import Standing
from admission.ids import EventId, HolderId, ProductId, SessionId
from sync.customers.tables import customer as customers
from sync.customers.tags import bind_tickets
from sync.events import tables as programme
from sync.orders import lines, passes, quota, tables
from sync.orders.states import BEGINS, SETTLES, STANDING, Payment, State, Step, after
from sync.store.schema import next_id, signed
from sync.tickets import minting, ruling
from sync.tickets.minting import NewTicket
from sync.tickets.ruling import Act
from sync.web.api import Refused, not_found

LINES_MAX: Final = 500
"""Of one order: a coach party or a school; more are several orders. Each is a row to write while others wait."""
RESERVED_S: Final = 7 * 86_400
"""How long a reservation holds where nothing else is said."""
RESERVED_S_MAX: Final = 400 * 86_400
NUMBER_CHARS: Final = 8
_READABLE: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without 0, 1, I and O, which are read wrong aloud and on paper; 32^8 numbers are not guessed."""


class Wanted(NamedTuple):
    """Something to buy: a product of an event, or a kind of pass (`kind`)."""

    event: EventId = EventId(0)
    product: ProductId = ProductId(0)
    session: SessionId = SessionId(0)
    kind: int = 0


class Sale(NamedTuple):
    """What is bought by whom. `expires_s` 0: a reservation holds `RESERVED_S`."""

    ticketing: int
    wanted: Sequence[Wanted]
    payment: Payment
    customer: int = 0
    expires_s: int = 0


def place(act: Act, sale: Sale) -> int:
    """Place an order and make its tickets; returns its id. Refused where a quota is used up."""
    if not 1 <= len(sale.wanted) <= LINES_MAX:
        raise Refused(422, "too_many_lines", f"An order has 1 to {LINES_MAX} lines. Place several.")
    state, currency = BEGINS[sale.payment], _currency(act, sale.ticketing)
    number = next_id(act.connection, tables.order.c.id)
    act.connection.execute(
        insert(tables.order).values(
            id=number,
            organization_id=act.organization,
            ticketing_id=sale.ticketing,
            number=new_number(),
            customer_id=_customer(act, sale.customer),
            state=state.value,
            payment=sale.payment.value,
            currency=currency,
            expires_s=_expiry(sale, state, act.now_s),
            created_s=act.now_s,
            paid_s=act.now_s if state is State.PAID else 0,
        )
    )
    kinds = passes.kinds(act, {one.kind for one in sale.wanted if one.kind}, sale.ticketing)
    first_pass = next_id(act.connection, tables.pass_.c.id) if kinds else 0
    events = {one.event for one in sale.wanted if not one.kind}
    events.update(EventId(row.event_id) for kind in kinds.values() for row in kind.contents)
    with act.changing(events):
        for kind in kinds.values():
            passes.check_open(act, kind)
        quota.take_passes(act.connection, (one.kind for one in sale.wanted if one.kind))
        found = _Lines(act, number, sale, STANDING[state], currency)
        for one in sale.wanted:
            if one.kind:
                found.add_pass(kinds[one.kind], first_pass)
                first_pass += 1
            else:
                found.add_ticket(one)
        found.write()
        act.note("order.place", f"order {number}", {"lines": len(sale.wanted), "payment": sale.payment.value})
    return number


class _Lines:
    """The lines of a new order, gathered before anything is written."""

    def __init__(self, act: Act, order: int, sale: Sale, standing: Standing, currency: str) -> None:
        self._act, self._order, self._standing = act, order, standing
        self._ticketing, self._currency = sale.ticketing, currency
        self._free = sale.payment is Payment.FREE
        self._holder = HolderId(sale.customer)
        self._events: dict[EventId, Any] = {}
        self._products: dict[tuple[EventId, ProductId], Any] = {}
        self._tickets: list[NewTicket] = []
        self._rows: list[dict[str, object]] = []
        self._passes: list[tuple[int, passes.Kind]] = []

    def add_ticket(self, one: Wanted) -> None:
        product = self._product(one)
        self._tickets.append(NewTicket(one.event, one.product, one.session, self._holder, self._standing))
        self._add(product.price_minor, event_id=one.event, product=one.product)

    def add_pass(self, kind: passes.Kind, number: int) -> None:
        self._passes.append((number, kind))
        self._add(kind.row.price_minor, pass_id=number)

    def _add(self, price: int, **values: object) -> None:
        empty: dict[str, object] = {"event_id": None, "product": None, "ticket": None, "pass_id": None}
        self._rows.append(
            {
                **empty,
                **values,
                "order_id": self._order,
                "line": len(self._rows) + 1,
                "price_minor": 0 if self._free else price,
            }
        )

    def _product(self, one: Wanted) -> Any:
        connection = self._act.connection
        if one.event not in self._events:
            self._events[one.event] = on_sale(connection, one.event, self._ticketing)
        sold_as = (one.event, one.product)
        if sold_as not in self._products:
            self._products[sold_as] = for_sale(
                minting.product_row(connection, *sold_as), self._currency, self._act.now_s
            )
        minting.check_session(connection, one.event, one.session)
        return self._products[sold_as]

    def write(self) -> None:
        """Take the quotas and make the tickets, passes and lines."""
        connection = self._act.connection
        quota.take(connection, ((one.event, one.product) for one in self._tickets))
        made = minting.mint(self._act, self._tickets)
        unsold = iter(made)
        for row in self._rows:
            if row["pass_id"] is None:
                row["ticket"] = signed(next(unsold)[1])
        for number, kind in self._passes:
            made += passes.make(self._act, number, kind, self._holder, self._standing)
        connection.execute(insert(tables.order_line), self._rows)
        bind_tickets(self._act, self._holder, made)


def pay(act: Act, order: int, payment: Payment | None) -> None:
    """Take an order as paid: its tickets are let in. `payment`: by what, where that was left open; None: as agreed."""
    row = lines.held_order(act, order)
    state = after(State(row.state), Step.PAY)
    settled = payment or Payment(row.payment)
    if settled is Payment.ON_SITE:
        raise Refused(422, "payment_missing", "Say how it was paid on site: cash, card, transfer or free.")
    if payment is not None and payment not in SETTLES:
        raise Refused(422, "not_a_payment", "An order is paid by cash, card, transfer, online or free.")
    if Payment(row.payment) is Payment.INVOICE:
        settled = Payment.INVOICE  # its tickets are cancelled as a whole only, however the money came
    if settled is Payment.FREE:
        # As where it was free from the start: nothing was paid, so that nothing is to be paid back.
        at = tables.order_line.c
        act.connection.execute(
            update(tables.order_line).where(at.order_id == order, at.refund.is_(None)).values(price_minor=0)
        )
    _move(act, row, state, payment=settled.value, paid_s=act.now_s, expires_s=0)
    act.note("order.pay", f"order {order}", {"payment": settled.value})


def invoice(act: Act, order: int) -> None:
    """Turn a reservation into an order by invoice: it no longer runs out, and waits for its payment."""
    row = lines.held_order(act, order)
    state = after(State(row.state), Step.INVOICE)
    _move(act, row, state, payment=Payment.INVOICE.value, expires_s=0)
    act.note("order.invoice", f"order {order}")


def split(act: Act, order: int, chosen: Iterable[int]) -> int:
    """Move some lines of a reservation to a new one, which is returned; the rest stays as it was.

    Nothing changes at the gates, so no list gets a version.
    """
    row = lines.held_order(act, order)
    after(State(row.state), Step.SPLIT)
    wanted = chosen_lines(lines.lines_of(act.connection, order), chosen)
    live = [one for one in lines.lines_of(act.connection, order) if one.refund is None]
    if len(wanted) == len(live):
        raise Refused(
            422, "nothing_left", "A split leaves at least one line. To take all of them, pay the order."
        )
    number = next_id(act.connection, tables.order.c.id)
    copied = {
        **row._asdict(),
        "id": number,
        "number": new_number(),
        "created_s": act.now_s,
        "split_from": order,
    }
    act.connection.execute(insert(tables.order).values(**copied))
    at = tables.order_line.c
    for new, one in enumerate(wanted, start=1):
        act.connection.execute(
            update(tables.order_line)
            .where(at.order_id == order, at.line == one.line)
            .values(order_id=number, line=new)
        )
    act.note("order.split", f"order {order}", {"new_order": number, "lines": len(wanted)})
    return number


def chosen_lines(found: Sequence[Any], chosen: Iterable[int]) -> list[Any]:
    """Return the lines of these numbers; Refused for one that is not there or is cancelled."""
    by_number = {one.line: one for one in found}
    wanted = []
    for number in sorted(set(chosen)):
        line = by_number.get(number)
        if line is None:
            raise Refused(422, "no_such_line", f"This order has no line {number}.")
        if line.refund is not None:
            raise Refused(409, "line_cancelled", f"Line {number} is cancelled already.")
        wanted.append(line)
    if not wanted:
        raise Refused(422, "no_lines", "Name at least one line.")
    return wanted


def on_sale(connection: Connection, event: EventId, ticketing: int) -> Any:
    """Return an event's row; Refused where it is not sold in this ticketing, or is closed."""
    e = programme.event.c
    row = connection.execute(select(programme.event).where(e.id == event)).one()
    if row.ticketing_id != ticketing:
        raise Refused(422, "other_ticketing", f"{row.name} is not on sale in this ticketing.")
    if row.state != "open":
        raise Refused(409, "event_closed", f"{row.name} is not open; nothing is sold for it.")
    return row


def for_sale(product: Any, currency: str, now_s: int) -> Any:
    """Return the product; Refused where it is not on sale now, or not in this currency."""
    if product.currency and product.currency != currency:
        raise Refused(422, "other_currency", f"{product.name} is sold in {product.currency}, not {currency}.")
    if product.sale_from_s > now_s or 0 < product.sale_until_s <= now_s:
        raise Refused(409, "not_on_sale", f"{product.name} is not on sale now; its product says when.")
    return product


def new_number() -> str:
    """Return a number that people read aloud; that it is taken already is next to impossible, and then refused."""
    return "".join(secrets.choice(_READABLE) for _ in range(NUMBER_CHARS))


def _move(act: Act, row: Any, state: State, **values: object) -> None:
    """Change a live order's state, and tell the gates."""
    live = [one for one in lines.lines_of(act.connection, row.id) if one.refund is None]
    tickets = lines.tickets_of(act.connection, live)
    with act.changing(lines.events_of(tickets)):
        before = STANDING[State(row.state)]
        for ref, _ in tickets:
            ruling.set_bits(act.connection, ref, STANDING[state], before)
        act.connection.execute(
            update(tables.order).where(tables.order.c.id == row.id).values(state=state.value, **values)
        )


def _currency(act: Act, ticketing: int) -> str:
    t = programme.ticketing.c
    found = act.connection.execute(
        select(t.currency).where(t.id == ticketing, t.organization_id == act.organization)
    ).scalar()
    if found is None:
        raise not_found("ticketing")
    return str(found)


def _customer(act: Act, customer: int) -> int | None:
    if not customer:
        return None
    c = customers.c
    row = act.connection.execute(
        select(c.banned).where(c.id == customer, c.organization_id == act.organization).with_for_update()
    ).one_or_none()
    if row is None:
        raise not_found("customer")
    if row.banned:
        raise Refused(409, "customer_banned", "This customer is banned; lift the ban to sell to them.")
    return customer


def _expiry(sale: Sale, state: State, now_s: int) -> int:
    if state is not State.RESERVATION:
        return 0
    expires_s = sale.expires_s or now_s + RESERVED_S
    if not now_s < expires_s <= now_s + RESERVED_S_MAX:
        raise Refused(422, "bad_expiry", "A reservation runs out in the future, within 400 days.")
    return expires_s
