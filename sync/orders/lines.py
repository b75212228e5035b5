"""An order and its lines as rows: read, held against other changes, and what tickets a line stands for."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from admission.ids import EventId, ProductId, TicketId
from sync.orders import tables
from sync.orders.quota import Sold
from sync.store.schema import signed, unsigned
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import not_found


def held_order(act: Act, order: int) -> Any:
    """Return an order's row; nobody else changes it until our transaction ends. Refused where it is not ours."""
    o = tables.order.c
    found = act.connection.execute(
        select(tables.order).where(o.id == order, o.organization_id == act.organization).with_for_update()
    ).one_or_none()
    if found is None:
        raise not_found("order")
    return found


def lines_of(connection: Connection, order: int) -> list[Any]:
    """Return all lines of an order, in order; those with a `refund` are cancelled."""
    at = tables.order_line.c
    return list(
        connection.execute(select(tables.order_line).where(at.order_id == order).order_by(at.line)).all()
    )


def line_of_ticket(connection: Connection, ref: TicketRef) -> Any:
    """Return the line that sold a ticket, or its pass; None where no order did."""
    at, inside = tables.order_line.c, tables.pass_ticket.c
    found = connection.execute(
        select(tables.order_line).where(at.event_id == ref[0], at.ticket == signed(ref[1]))
    ).first()
    if found is not None:
        return found
    return connection.execute(
        select(tables.order_line)
        .join(tables.pass_ticket, inside.pass_id == at.pass_id)
        .where(inside.event_id == ref[0], inside.ticket == signed(ref[1]))
    ).first()


def tickets_of(connection: Connection, lines: Iterable[Any]) -> list[tuple[TicketRef, ProductId]]:
    """Return the tickets that lines stand for, with the products they are counted as."""
    found: list[tuple[TicketRef, ProductId]] = []
    passes = []
    for line in lines:
        if line.pass_id is None:
            found.append((_ref(line), ProductId(line.product)))
        else:
            passes.append(line.pass_id)
    inside = tables.pass_ticket
    if passes:
        wanted = select(inside).where(inside.c.pass_id.in_(passes)).order_by(inside.c.event_id)
        found += [(_ref(row), ProductId(row.product)) for row in connection.execute(wanted)]
    return found


def events_of(tickets: Iterable[tuple[TicketRef, ProductId]]) -> list[EventId]:
    """Return the events of tickets."""
    return sorted({ref[0] for ref, _ in tickets})


def sold_as(tickets: Iterable[tuple[TicketRef, ProductId]]) -> list[Sold]:
    """Return what tickets took of quotas."""
    return [(ref[0], product) for ref, product in tickets]


def kinds_of(connection: Connection, lines: Iterable[Any]) -> list[int]:
    """Return the kinds of the passes among these lines, as often as they are there."""
    passes = [line.pass_id for line in lines if line.pass_id is not None]
    if not passes:
        return []
    p = tables.pass_.c
    kinds = {
        row.id: row.kind_id for row in connection.execute(select(p.id, p.kind_id).where(p.id.in_(passes)))
    }
    return [kinds[one] for one in passes]


def _ref(row: Any) -> TicketRef:
    return EventId(row.event_id), TicketId(unsigned(row.ticket))
