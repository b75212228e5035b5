"""Quick cancel: tickets that were printed in advance and not sold are scanned, and are back on sale."""

from typing import Final

from sqlalchemy import select

from sync.orders import tables
from sync.orders.cancelling import Method, Refund, cancel, held_line, part_of_pass
from sync.orders.states import Payment
from sync.tickets import uses
from sync.tickets.codes import ticket_by_code
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import Refused

REASON: Final = "unsold, scanned back"


def take_back(act: Act, code: str) -> TicketRef:
    """Cancel the unsold ticket of a scanned code, and free its place; returns it. Refused for one that was sold."""
    ref = ticket_by_code(act, code)
    line = held_line(act, ref)
    if line is not None and line.pass_id is not None:
        raise part_of_pass()
    o = tables.order.c
    payment = (
        None
        if line is None
        else act.connection.execute(select(o.payment).where(o.id == line.order_id)).scalar_one()
    )
    if line is None or Payment(payment) is not Payment.STOCK:
        raise Refused(
            409, "sold", "This ticket was sold. Cancel it in its order, with a reason for the accounts."
        )
    if uses.used(act.connection, ref):
        raise Refused(409, "used", "This ticket was used at a gate, so somebody has bought it.")
    cancel(act, line.order_id, Refund(Method.NONE, REASON), [line.line])
    return ref
