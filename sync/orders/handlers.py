"""The API of orders and passes."""

from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, select

from admission.ids import EventId, ProductId, SessionId
from sync.orders import cancelling, lines, passes, sale, tables
from sync.orders.cancelling import Method, Refund
from sync.orders.passes import Content, Decision, NewKind, Validity
from sync.orders.sale import LINES_MAX, Sale, Wanted
from sync.orders.states import Payment, State
from sync.store.schema import unsigned
from sync.tickets.ruling import Act
from sync.web.api import (
    Asked,
    Body,
    Count,
    Id,
    Line,
    Name,
    Page,
    Paged,
    Refused,
    Role,
    Route,
    Seconds,
    not_found,
    page_of,
    read_cursor,
)

Number16 = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Number32 = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
ChosenLines = Annotated[
    tuple[Annotated[int, msgspec.Meta(ge=1, le=LINES_MAX)], ...], msgspec.Meta(max_length=LINES_MAX)
]


class WantedLine(Body, frozen=True, kw_only=True):
    """So many tickets of a product, or passes of a kind."""

    event: Number32 = 0
    product: Number16 = 0
    session: Number16 = 0
    pass_kind: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0
    count: Annotated[int, msgspec.Meta(ge=1, le=LINES_MAX)] = 1


class NewOrder(Body, frozen=True, kw_only=True):
    """An order to place. How it is paid says whether it is paid, waits for its payment or is a reservation."""

    ticketing: Id
    lines: Annotated[tuple[WantedLine, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]
    payment: Payment
    customer: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0
    expires_s: Seconds = 0


class PayOrder(Body, frozen=True, kw_only=True):
    """`payment`: by what, where that was left open."""

    payment: Payment | None = None


class SplitOrder(Body, frozen=True, kw_only=True):
    """Lines that become an order of their own."""

    lines: ChosenLines


class CancelOrder(Body, frozen=True, kw_only=True):
    """Why, and how the money goes back (nothing is paid by it). Without lines: the whole order."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    method: Method = Method.NONE
    lines: ChosenLines | None = None


class OrderLine(msgspec.Struct, frozen=True):
    """One ticket or one pass of an order. `refund`: the note it was cancelled with, 0 while it stands."""

    line: int
    price_minor: int
    event: int = 0
    product: int = 0
    ticket: int = 0
    pass_id: int = 0
    refund: int = 0


class RefundNote(msgspec.Struct, frozen=True):
    """What was noted with a cancellation."""

    number: int
    at_s: int
    method: Method
    reason: str
    amount_minor: int


class OrderHead(msgspec.Struct, frozen=True, kw_only=True):
    """An order, without what is in it."""

    id: int
    number: str
    ticketing: int
    customer: int
    state: State
    payment: Payment
    currency: str
    created_s: int
    expires_s: int
    paid_s: int
    split_from: int


class Order(OrderHead, frozen=True, kw_only=True):
    """An order with its lines. `total_minor`: of what is not cancelled."""

    total_minor: int
    lines: tuple[OrderLine, ...]
    refunds: tuple[RefundNote, ...]


class Orders(Paged, frozen=True, kw_only=True):
    """`state`: only those; `customer`: only theirs."""

    state: str = ""
    customer: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0


class PassContent(Body, frozen=True, kw_only=True):
    """One ticket of a kind of pass."""

    event: Number32
    product: Number16
    session: Number16 = 0


class NewPassKind(Body, frozen=True, kw_only=True):
    """A kind of pass: a pack with a code for each ticket, or one with a code of its own."""

    ticketing: Id
    name: Name
    price_minor: Count = 0
    quota: Count | None = None
    own_credential: bool = False
    needs_approval: bool = False
    contents: Annotated[tuple[PassContent, ...], msgspec.Meta(min_length=1, max_length=passes.CONTENTS_MAX)]


class PassKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of pass."""

    id: int
    ticketing: int
    name: str
    price_minor: int
    currency: str
    quota: int | None
    sold: int
    own_credential: bool
    needs_approval: bool


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """A pass somebody bought."""

    id: int
    kind: int
    validity: Validity
    reason: str
    decided_s: int
    tickets: tuple[tuple[int, int], ...]


class Passes(Paged, frozen=True, kw_only=True):
    """`validity`: only those."""

    validity: str = ""


class Decide(Body, frozen=True, kw_only=True):
    """A decision; why is needed to withdraw or refuse."""

    decision: Decision
    reason: Line = ""


def place(connection: Connection, asked: Asked) -> Order:
    """Place an order."""
    body: NewOrder = asked.body
    wanted = [_wanted(one) for one in body.lines for _ in range(one.count)]
    order = sale.place(
        Act.of(connection, asked),
        Sale(body.ticketing, wanted, body.payment, body.customer, body.expires_s),
    )
    return read(connection, asked.principal.organization, order)


def listed(connection: Connection, asked: Asked) -> Page[OrderHead]:
    """List orders, newest first."""
    o, query = tables.order.c, asked.query
    wanted = select(tables.order).where(o.organization_id == asked.principal.organization)
    if query.state:
        wanted = wanted.where(o.state == _word(State, query.state))
    if query.customer:
        wanted = wanted.where(o.customer_id == query.customer)
    after = read_cursor(query.cursor, int)
    if after is not None:
        wanted = wanted.where(o.id < after[0])
    found = connection.execute(wanted.order_by(o.id.desc()).limit(query.limit + 1))
    return page_of([_head(row) for row in found], query.limit, lambda one: (one.id,))


def one(connection: Connection, asked: Asked) -> Order:
    """Show an order."""
    return read(connection, asked.principal.organization, asked.path["order"])


def pay(connection: Connection, asked: Asked) -> Order:
    """Take an order as paid."""
    sale.pay(Act.of(connection, asked), asked.path["order"], asked.body.payment)
    return one(connection, asked)


def invoice(connection: Connection, asked: Asked) -> Order:
    """Turn a reservation into an order by invoice."""
    sale.invoice(Act.of(connection, asked), asked.path["order"])
    return one(connection, asked)


def split(connection: Connection, asked: Asked) -> Order:
    """Split a reservation; answers the new order."""
    new = sale.split(Act.of(connection, asked), asked.path["order"], asked.body.lines)
    return read(connection, asked.principal.organization, new)


def cancel(connection: Connection, asked: Asked) -> Order:
    """Cancel an order, or lines of it."""
    body: CancelOrder = asked.body
    refund = Refund(body.method, body.reason)
    cancelling.cancel(Act.of(connection, asked), asked.path["order"], refund, body.lines)
    return one(connection, asked)


def add_kind(connection: Connection, asked: Asked) -> PassKind:
    """Make a kind of pass."""
    body: NewPassKind = asked.body
    contents = tuple(
        Content(EventId(one.event), ProductId(one.product), SessionId(one.session)) for one in body.contents
    )
    new = NewKind(
        body.ticketing, body.name, body.price_minor, body.quota, body.own_credential, body.needs_approval, contents
    )  # fmt: skip
    number = passes.add_kind(Act.of(connection, asked), new)
    k = tables.pass_kind.c
    return _kind(connection.execute(select(tables.pass_kind).where(k.id == number)).one())


def kinds(connection: Connection, asked: Asked) -> Page[PassKind]:
    """List kinds of passes."""
    k = tables.pass_kind.c
    after = read_cursor(asked.query.cursor, int) or (0,)
    found = connection.execute(
        select(tables.pass_kind)
        .where(k.organization_id == asked.principal.organization, k.id > after[0])
        .order_by(k.id)
        .limit(asked.query.limit + 1)
    )
    return page_of([_kind(row) for row in found], asked.query.limit, lambda one: (one.id,))


def passes_listed(connection: Connection, asked: Asked) -> Page[Pass]:
    """List passes; `validity=to_approve` are those that wait for somebody."""
    p, query = tables.pass_.c, asked.query
    act = Act.of(connection, asked)
    wanted = select(tables.pass_).where(p.organization_id == act.organization)
    if query.validity:
        wanted = wanted.where(p.validity == _word(Validity, query.validity))
    after = read_cursor(query.cursor, int) or (0,)
    found = connection.execute(wanted.where(p.id > after[0]).order_by(p.id).limit(query.limit + 1)).all()
    return page_of([_pass(act, row) for row in found], query.limit, lambda one: (one.id,))


def decide(connection: Connection, asked: Asked) -> Pass:
    """Approve, withdraw or refuse a pass."""
    act, number = Act.of(connection, asked), asked.path["pass"]
    passes.decide(act, number, asked.body.decision, asked.body.reason)
    p = tables.pass_.c
    return _pass(act, connection.execute(select(tables.pass_).where(p.id == number)).one())


def read(connection: Connection, organization: int, order: int) -> Order:
    """Return an order of an organization. Refused where there is none."""
    o, r = tables.order.c, tables.refund.c
    row = connection.execute(
        select(tables.order).where(o.id == order, o.organization_id == organization)
    ).one_or_none()
    if row is None:
        raise not_found("order")
    found = lines.lines_of(connection, order)
    notes = connection.execute(select(tables.refund).where(r.order_id == order).order_by(r.number))
    return Order(
        **msgspec.structs.asdict(_head(row)),
        total_minor=sum(line.price_minor for line in found if line.refund is None),
        lines=tuple(map(_line, found)),
        refunds=tuple(
            RefundNote(note.number, note.at_s, Method(note.method), note.reason, note.amount_minor)
            for note in notes
        ),
    )


def routes() -> tuple[Route, ...]:
    """Return the routes of orders and passes."""
    box: Any = {"role": Role.BOX_OFFICE, "writes": True, "idempotent": True}
    return (
        Route(method="POST", path="/api/v1/orders", handler=place, answer=Order, body=NewOrder, status=201, summary="Place an order", **box),
        Route(method="GET", path="/api/v1/orders", handler=listed, answer=Page[OrderHead], query=Orders, summary="List orders"),
        Route(method="GET", path="/api/v1/orders/{order}", handler=one, answer=Order, summary="Show an order"),
        Route(method="POST", path="/api/v1/orders/{order}/pay", handler=pay, answer=Order, body=PayOrder, summary="Take an order as paid", **box),
        Route(method="POST", path="/api/v1/orders/{order}/invoice", handler=invoice, answer=Order, summary="Invoice a reservation", **box),
        Route(method="POST", path="/api/v1/orders/{order}/split", handler=split, answer=Order, body=SplitOrder, status=201, summary="Split a reservation", **box),
        Route(method="POST", path="/api/v1/orders/{order}/cancel", handler=cancel, answer=Order, body=CancelOrder, summary="Cancel an order or lines of it", **box),
        Route(method="POST", path="/api/v1/pass-kinds", handler=add_kind, answer=PassKind, body=NewPassKind, status=201, role=Role.ORGANIZER, writes=True, idempotent=True, summary="Make a kind of pass"),
        Route(method="GET", path="/api/v1/pass-kinds", handler=kinds, answer=Page[PassKind], query=Paged, summary="List kinds of passes"),
        Route(method="GET", path="/api/v1/passes", handler=passes_listed, answer=Page[Pass], query=Passes, summary="List passes"),
        Route(method="POST", path="/api/v1/passes/{pass}/decision", handler=decide, answer=Pass, body=Decide, role=Role.ORGANIZER, writes=True, idempotent=True, summary="Approve, withdraw or refuse a pass"),
    )  # fmt: skip


def _wanted(line: WantedLine) -> Wanted:
    is_pass = bool(line.pass_kind)
    if is_pass == bool(line.event) or is_pass == bool(line.product):
        raise Refused(422, "bad_line", "A line names an event and a product, or a kind of pass.")
    return Wanted(EventId(line.event), ProductId(line.product), SessionId(line.session), line.pass_kind)


def _word(kind: type[State | Validity], word: str) -> str:
    if word not in {one.value for one in kind}:
        words = ", ".join(one.value for one in kind)
        raise Refused(400, "bad_filter", f"It is one of: {words}.")
    return word


def _head(row: Any) -> OrderHead:
    return OrderHead(
        id=row.id,
        number=row.number,
        ticketing=row.ticketing_id,
        customer=row.customer_id or 0,
        state=State(row.state),
        payment=Payment(row.payment),
        currency=row.currency,
        created_s=row.created_s,
        expires_s=row.expires_s,
        paid_s=row.paid_s,
        split_from=row.split_from or 0,
    )


def _line(row: Any) -> OrderLine:
    return OrderLine(
        row.line,
        row.price_minor,
        row.event_id or 0,
        row.product or 0,
        unsigned(row.ticket or 0),
        row.pass_id or 0,
        row.refund or 0,
    )


def _kind(row: Any) -> PassKind:
    return PassKind(
        id=row.id,
        ticketing=row.ticketing_id,
        name=row.name,
        price_minor=row.price_minor,
        currency=row.currency,
        quota=row.quota,
        sold=row.sold,
        own_credential=bool(row.own_credential),
        needs_approval=bool(row.needs_approval),
    )


def _pass(act: Act, row: Any) -> Pass:
    return Pass(
        id=row.id,
        kind=row.kind_id,
        validity=Validity(row.validity),
        reason=row.reason,
        decided_s=row.decided_s,
        tickets=tuple((int(event), int(ticket)) for event, ticket in passes.tickets_of(act, row.id)),
    )
