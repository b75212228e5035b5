"""The API of tickets: looked at, printed, and what may be done to one."""

from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, select

from admission.entitlements import Standing
from admission.ids import EventId, ProductId, SessionId, TicketId
from sync.customers.profiles import standing_words
from sync.events.rows import numbers
from sync.orders import cancelling, passes
from sync.orders.cancelling import Method, Refund
from sync.orders.lines import line_of_ticket
from sync.store.schema import unsigned
from sync.tickets import exchange as exchanging
from sync.tickets import minting, ruling, tables, unsold, uses
from sync.tickets import standing as rules
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import Asked, Body, Line, Page, Paged, Role, Route, page_of, read_cursor


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket. `holder`: its customer, 0 for nobody known; `order`: what sold it, 0 for none of ours."""

    event: int
    ticket: int
    product: int
    session: int
    zones: tuple[int, ...]
    holder: int
    standing: tuple[str, ...]
    not_before: int
    not_after: int
    admits: int
    order: int
    used: bool


class TicketHead(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket in a list."""

    event: int
    ticket: int
    product: int
    session: int
    holder: int
    standing: tuple[str, ...]


class Change(Body, frozen=True, kw_only=True):
    """What to do to a ticket, and why."""

    verb: rules.Verb
    reason: Line = ""


class CancelTicket(Body, frozen=True, kw_only=True):
    """Why, and how the money goes back (nothing is paid by it)."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    method: Method = Method.NONE


class Exchange(Body, frozen=True, kw_only=True):
    """What the ticket is exchanged for; event 0 is the same, session 0 the product's."""

    product: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    event: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    session: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0


class Scanned(Body, frozen=True, kw_only=True):
    """The text of a barcode."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class Text(msgspec.Struct, frozen=True):
    """What the QR code of a ticket holds."""

    text: str


def listed(connection: Connection, asked: Asked) -> Page[TicketHead]:
    """List the tickets of an event, by number."""
    event, t = asked.path["event"], tables.ticket.c
    Act.of(connection, asked).owned([EventId(event)])
    after = read_cursor(asked.query.cursor, int) or (0,)
    found = connection.execute(
        select(tables.ticket)
        .where(t.event_id == event, t.id > after[0])
        .order_by(t.id)
        .limit(asked.query.limit + 1)
    )
    return page_of([_head(row) for row in found], asked.query.limit, lambda one: (one.ticket,))


def one(connection: Connection, asked: Asked) -> Ticket:
    """Show a ticket."""
    return read(Act.of(connection, asked), _ref(asked))


def change(connection: Connection, asked: Asked) -> Ticket:
    """Ban, unban, redeem or un-redeem a ticket."""
    act = Act.of(connection, asked)
    rules.apply(act, _ref(asked), asked.body.verb, asked.body.reason)
    return read(act, _ref(asked))


def cancel(connection: Connection, asked: Asked) -> Ticket:
    """Cancel a ticket."""
    act = Act.of(connection, asked)
    cancelling.cancel_ticket(act, _ref(asked), Refund(asked.body.method, asked.body.reason))
    return read(act, _ref(asked))


def exchange(connection: Connection, asked: Asked) -> Ticket:
    """Exchange a ticket for another; answers the new one."""
    act, ref, body = Act.of(connection, asked), _ref(asked), asked.body
    event = EventId(body.event) or ref[0]
    return read(act, exchanging.exchange(act, ref, event, ProductId(body.product), SessionId(body.session)))


def reissue(connection: Connection, asked: Asked) -> Ticket:
    """Give a ticket a new code; answers the ticket that the code is for."""
    act = Act.of(connection, asked)
    return read(act, exchanging.reissue(act, _ref(asked)))


def text(connection: Connection, asked: Asked) -> Text:
    """Return what a ticket's QR code holds, and note that somebody printed it."""
    act, ref = Act.of(connection, asked), _ref(asked)
    act.owned([ref[0]])
    made = minting.text_of(act, passes.home_of(act, ref))
    act.note("ticket.print", ruling.subject_of(ref))
    return Text(made)


def take_back(connection: Connection, asked: Asked) -> Ticket:
    """Cancel an unsold ticket by its scanned code."""
    act = Act.of(connection, asked)
    return read(act, unsold.take_back(act, asked.body.code))


def read(act: Act, ref: TicketRef) -> Ticket:
    """Return a ticket of the act's organization. Refused where there is none."""
    act.owned([ref[0]])
    row = ruling.ticket_of(act.connection, ref)
    line = line_of_ticket(act.connection, ref)
    return Ticket(
        **msgspec.structs.asdict(_head(row)),
        zones=numbers(row.zones),
        not_before=row.not_before,
        not_after=row.not_after,
        admits=row.admits,
        order=0 if line is None else line.order_id,
        used=uses.used(act.connection, ref),
    )


def routes() -> tuple[Route, ...]:
    """Return the routes of tickets."""
    at = "/api/v1/events/{event}/tickets/{ticket}"
    box: Any = {"role": Role.BOX_OFFICE, "writes": True, "idempotent": True, "answer": Ticket}
    return (
        Route(method="GET", path="/api/v1/events/{event}/tickets", handler=listed, answer=Page[TicketHead], query=Paged, summary="List tickets"),
        Route(method="GET", path=at, handler=one, answer=Ticket, summary="Show a ticket"),
        Route(method="POST", path=f"{at}/standing", handler=change, body=Change, summary="Ban, unban, redeem or un-redeem a ticket", **box),
        Route(method="POST", path=f"{at}/cancel", handler=cancel, body=CancelTicket, summary="Cancel a ticket", **box),
        Route(method="POST", path=f"{at}/exchange", handler=exchange, body=Exchange, status=201, summary="Exchange a ticket", **box),
        Route(method="POST", path=f"{at}/reissue", handler=reissue, status=201, summary="Give a ticket a new code", **box),
        Route(method="POST", path=f"{at}/text", handler=text, answer=Text, role=Role.BOX_OFFICE, writes=True, summary="What a ticket's QR code holds, to be printed"),
        Route(method="POST", path="/api/v1/unsold", handler=take_back, body=Scanned, summary="Put an unsold ticket back on sale by its code", **box),
    )  # fmt: skip


def _ref(asked: Asked) -> TicketRef:
    return EventId(asked.path["event"]), TicketId(asked.path["ticket"])


def _head(row: Any) -> TicketHead:
    return TicketHead(
        event=row.event_id,
        ticket=unsigned(row.id),
        product=row.product,
        session=row.session,
        holder=unsigned(row.holder),
        standing=standing_words(Standing(row.standing)),
    )
