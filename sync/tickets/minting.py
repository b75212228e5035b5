"""New tickets: dense numbers per event, their entitlement from the product, and their signed text.

A ticket's text is not kept: its digest comes from its claims, so it is signed again whenever it is printed or mailed,
and the copy of a database prints nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from admission.codecs import cose
from admission.digests import CredentialKind, ticket_digest
from admission.entitlements import Attention, CredentialStanding, Standing, Ticket
from admission.ids import EventId, GateId, HolderId, ProductId, SessionId, TicketId
from sync.events import tables as programme
from sync.events.rows import numbers
from sync.store.schema import signed, unsigned
from sync.tickets import rows, tables
from sync.tickets.ruling import Act, TicketRef, ticket_of
from sync.web.api import Refused, not_found

_NOT_PRINTED = (
    (Standing.CANCELLED, "cancelled", "This ticket is cancelled; sell a new one."),
    (Standing.REPLACED, "replaced", "This ticket was replaced; print the one that replaced it."),
    (Standing.UNPAID, "unpaid", "This ticket is not paid; take the payment first."),
    (Standing.UNAPPROVED, "unapproved", "This pass is not approved; approve it first."),
)


class NewTicket(NamedTuple):
    """What a ticket is to be. `session` 0: the product's. `digest`: of another credential that it shares, or None."""

    event: EventId
    product: ProductId
    session: SessionId = SessionId(0)
    holder: HolderId = HolderId(0)
    standing: Standing = Standing.VALID
    digest: bytes | None = None


def product_row(connection: Connection, event: EventId, product: ProductId) -> Any:
    """Return a product's row; Refused where there is none."""
    p = programme.product.c
    found = connection.execute(
        select(programme.product).where(p.event_id == event, p.id == product)
    ).one_or_none()
    if found is None:
        raise not_found("product")
    return found


def check_session(connection: Connection, event: EventId, session: SessionId) -> None:
    """Refused where an event has no such session; 0 is the product's own."""
    s = programme.session.c
    if (
        session
        and connection.execute(select(s.id).where(s.event_id == event, s.id == session)).scalar() is None
    ):
        raise not_found("session")


def mint(act: Act, wanted: Sequence[NewTicket]) -> list[TicketRef]:
    """Make tickets, within `Act.changing` of their events; returns them in the order given."""
    made: list[TicketRef] = []
    last: dict[EventId, int] = {}
    tickets: dict[EventId, list[Ticket]] = {}
    credentials: dict[EventId, list[rows.NewCredential]] = {}
    products: dict[tuple[EventId, ProductId], Any] = {}
    digest_keys: dict[EventId, bytes] = {}
    for one in wanted:
        if one.event not in last:
            last[one.event] = _last_ticket(act.connection, one.event)
            digest_keys[one.event] = digest_key_of(act.connection, one.event)
        number = last[one.event] = last[one.event] + 1
        sold_as = (one.event, one.product)
        if sold_as not in products:
            products[sold_as] = product_row(act.connection, *sold_as)
        ticket = _ticket(TicketId(number), one, products[sold_as])
        digest = one.digest or ticket_digest(one.event, number, digest_keys[one.event])
        # A list makes the digests of TK1 rows from its tickets' numbers; one that is another ticket's is kept as given.
        kind = CredentialKind.TK1 if one.digest is None else CredentialKind.OPAQUE
        tickets.setdefault(one.event, []).append(ticket)
        credentials.setdefault(one.event, []).append(rows.NewCredential(ticket.id, digest, kind))
        made.append((one.event, ticket.id))
    for event, found in tickets.items():
        rows.add_tickets(act.connection, event, found, credentials[event])
    return made


def add_bare(act: Act, wanted: NewTicket) -> TicketId:
    """Make a ticket without a code, within `Act.changing`: what stands for it is the caller's."""
    number = TicketId(_last_ticket(act.connection, wanted.event) + 1)
    product = product_row(act.connection, wanted.event, wanted.product)
    rows.add_tickets(act.connection, wanted.event, [_ticket(number, wanted, product)], [])
    return number


def digest_key_of(connection: Connection, event: EventId) -> bytes:
    """Return the digest key of the event's group."""
    e, g = programme.event.c, programme.event_group.c
    key: bytes = connection.execute(
        select(g.digest_key).join(programme.event, e.group_id == g.id).where(e.id == event)
    ).scalar_one()
    return key


def text_of(act: Act, ref: TicketRef) -> str:
    """Return a ticket's signed text, to be printed or mailed. Refused where it would not be let in."""
    claims = claims_of(act, ref)
    c = tables.credential.c
    digest = ticket_digest(ref[0], ref[1], digest_key_of(act.connection, ref[0]))
    own = act.connection.execute(
        select(c.standing).where(c.event_id == ref[0], c.ticket == signed(ref[1]), c.digest == digest)
    ).scalar()
    if own is None or own & CredentialStanding.REPLACED:
        raise Refused(
            409, "no_text", "This ticket is presented by another code or tag; reissue it to print it."
        )
    return cose.mint(claims, act.keys.ticket_key)


def claims_of(act: Act, ref: TicketRef) -> cose.Claims:
    """Return what is signed of a ticket now. Refused where it would not be let in."""
    row = ticket_of(act.connection, ref)
    for bit, code, why in _NOT_PRINTED:
        if row.standing & bit:
            raise Refused(409, code, why)
    return cose.Claims(
        ticket=unsigned(row.id),
        event=ref[0],
        issued_at=act.now_s,
        not_before=row.not_before,
        not_after=row.not_after,
        zones=numbers(row.zones),
        product=row.product,
        admits=row.admits,
        session=row.session,
    )


def _last_ticket(connection: Connection, event: EventId) -> int:
    """Return the highest number given. Numbers from 2^63 are other shops' and not in the row."""
    t = tables.ticket.c
    found = connection.execute(select(func.max(t.id)).where(t.event_id == event)).scalar()
    return max(found or 0, 0)


def _ticket(number: TicketId, wanted: NewTicket, product: Any) -> Ticket:
    return Ticket(
        id=number,
        event=wanted.event,
        product=wanted.product,
        holder=wanted.holder,
        session=wanted.session or SessionId(product.session),
        standing=wanted.standing,
        not_before=product.not_before,
        not_after=product.not_after,
        admits=product.admits,
        home_gate=GateId(0),
        attention=Attention.NONE,
    )
