"""Exchange and reissue: a ticket is replaced by another, and the gates refuse the old one.

An exchange gives another product, date or event for it. A reissue gives the same entitlement another code: where the
old code is another shop's, the ticket stays and only its code changes; of our own codes the number is the ticket's, so
the ticket changes too. Uses belong to a ticket: the new one begins with none, so a used ticket is refused.
"""

from typing import Any, Final

from sqlalchemy import insert, select, update

from admission.digests import CredentialKind, ticket_digest
from admission.entitlements import CredentialStanding, Standing
from admission.ids import EventId, HolderId, ProductId, SessionId
from sync.customers.tables import customer
from sync.customers.tags import bind_tickets, move_own_ticket
from sync.orders import quota, sale
from sync.orders import tables as order_tables
from sync.orders.cancelling import held_line, part_of_pass
from sync.orders.states import Payment
from sync.store.schema import signed, unsigned
from sync.tickets import minting, rows, ruling, tables, uses
from sync.tickets.minting import NewTicket
from sync.tickets.ruling import Act, TicketRef
from sync.tickets.standing import refused
from sync.web.api import Refused

_KEPT: Final = Standing.UNPAID | Standing.UNAPPROVED
"""What a new ticket takes over from the old one."""
_NOT_REPLACED: Final = (
    (Standing.CANCELLED, "cancelled"),
    (Standing.REPLACED, "replaced"),
    (Standing.BANNED, "banned"),
    (Standing.REDEEMED, "redeemed"),
)


def exchange(
    act: Act, ref: TicketRef, event: EventId, product: ProductId, session: SessionId = SessionId(0)
) -> TicketRef:
    """Exchange a ticket for one of another product, date or event of the same ticketing; returns the new one."""
    line = held_line(act, ref)
    if line is not None and line.pass_id is not None:
        raise part_of_pass()
    order = None if line is None else _order(act, line.order_id)
    if order is not None and Payment(order.payment) is Payment.INVOICE:
        raise Refused(
            409, "invoice_whole",
            "The invoice would be wrong. Cancel the whole order, and place a new one with a new invoice.",
        )  # fmt: skip
    act.owned([ref[0], event])
    _hold_customer(act, ref)
    with act.changing([ref[0], event]):
        row = _replaceable(act, ref)
        wanted = minting.product_row(act.connection, event, product)
        if order is not None:
            sale.on_sale(act.connection, event, order.ticketing_id)
            sale.for_sale(wanted, order.currency, act.now_s)
        minting.check_session(act.connection, event, session)
        if (event, product, session or wanted.session) == (ref[0], row.product, row.session):
            raise Refused(
                422, "same_ticket", "That is the same product and date. To give it a new code, reissue it."
            )
        if line is not None:  # first, so that the last one of a product may change its date
            quota.give_back(act.connection, [(ref[0], ProductId(line.product))])
        quota.take(act.connection, [(event, product)])
        new = _replace(act, ref, row, NewTicket(event, product, session, _holder(row), _kept(row)))
        if event != ref[0]:
            bind_tickets(act, _holder(row), [new])
        if line is not None:
            price = 0 if Payment(_order(act, line.order_id).payment) is Payment.FREE else wanted.price_minor
            _rewrite(act, line, new, product, price)
        act.note("ticket.exchange", ruling.subject_of(ref), {"event": event, "ticket": new[1]})
    return new


def reissue(act: Act, ref: TicketRef) -> TicketRef:
    """Give a ticket a new code, and refuse the old ones; returns the ticket that the new code is for."""
    line = held_line(act, ref)
    if line is not None and line.pass_id is not None:
        raise part_of_pass()
    _hold_customer(act, ref)
    with act.changing([ref[0]]):
        row = _replaceable(act, ref, used_may=not _has_own_code(act, ref))
        if _has_own_code(act, ref):
            same = NewTicket(ref[0], ProductId(row.product), SessionId(row.session), _holder(row), _kept(row))
            new = _replace(act, ref, row, same)
            if line is not None:
                _rewrite(act, line, new, ProductId(line.product), line.price_minor)
        else:
            new = ref
            _recode(act, ref)
        act.note("ticket.reissue", ruling.subject_of(ref), {"ticket": new[1]})
    return new


def _hold_customer(act: Act, ref: TicketRef) -> None:
    """Keep the customer as it is, so that a ban of all their tickets does not miss the new one."""
    c = customer.c
    holder = ruling.ticket_of(act.connection, ref).holder
    act.connection.execute(select(c.id).where(c.id == holder).with_for_update())


def _replaceable(act: Act, ref: TicketRef, *, used_may: bool = False) -> Any:
    row = ruling.ticket_of(act.connection, ref)
    for bit, code in _NOT_REPLACED:
        if row.standing & bit:
            raise refused(code)
    if not used_may and uses.used(act.connection, ref):
        raise Refused(409, "used", "This ticket was used; a new one would let a second visitor in.")
    return row


def _replace(act: Act, ref: TicketRef, row: Any, wanted: NewTicket) -> TicketRef:
    """Make the new ticket, refuse the old one, and let the customer's tags stand for the new one too."""
    (new,) = minting.mint(act, [wanted])
    t, c = tables.ticket.c, tables.credential.c
    if (
        wanted.product == row.product and wanted.event == ref[0]
    ):  # what was this ticket's own, not its product's
        taken_over = ("zones", "not_before", "not_after", "admits", "home_gate", "attention")
        values = {name: getattr(row, name) for name in taken_over}
        if wanted.session != row.session and wanted.session:
            del values["not_before"], values["not_after"]
        act.connection.execute(
            update(tables.ticket).where(t.event_id == new[0], t.id == signed(new[1])).values(**values)
        )
    ruling.set_ticket(act.connection, ref, standing=int(Standing(row.standing) | Standing.REPLACED))
    if new[0] == ref[0]:
        worn = act.connection.execute(
            select(tables.credential).where(
                c.event_id == ref[0], c.ticket == row.id, c.kind == CredentialKind.UID.value
            )
        )
        for mapping in worn.mappings().all():
            values = {**mapping, "ticket": signed(new[1]), "version": None}
            act.connection.execute(insert(tables.credential).values(**values))
        move_own_ticket(act, ref, new, wanted.product)
    return new


def _recode(act: Act, ref: TicketRef) -> None:
    """Give a ticket with a foreign code one of ours; tags stay."""
    c = tables.credential.c
    act.connection.execute(
        update(tables.credential)
        .where(c.event_id == ref[0], c.ticket == signed(ref[1]), c.kind != CredentialKind.UID.value)
        .values(standing=int(CredentialStanding.REPLACED), version=None)
    )
    digest = ticket_digest(ref[0], ref[1], minting.digest_key_of(act.connection, ref[0]))
    new = rows.NewCredential(ref[1], digest, CredentialKind.TK1)
    rows.add_tickets(act.connection, ref[0], [], [new])


def _has_own_code(act: Act, ref: TicketRef) -> bool:
    c = tables.credential.c
    digest = ticket_digest(ref[0], ref[1], minting.digest_key_of(act.connection, ref[0]))
    found = act.connection.execute(
        select(c.ticket).where(c.event_id == ref[0], c.digest == digest, c.ticket == signed(ref[1]))
    )
    return found.first() is not None


def _rewrite(act: Act, line: Any, new: TicketRef, product: ProductId, price_minor: int) -> None:
    at = order_tables.order_line.c
    act.connection.execute(
        update(order_tables.order_line)
        .where(at.order_id == line.order_id, at.line == line.line)
        .values(event_id=new[0], product=product, ticket=signed(new[1]), price_minor=price_minor)
    )


def _order(act: Act, order: int) -> Any:
    return act.connection.execute(select(order_tables.order).where(order_tables.order.c.id == order)).one()


def _holder(row: Any) -> HolderId:
    return HolderId(unsigned(row.holder))


def _kept(row: Any) -> Standing:
    return Standing(row.standing) & _KEPT
