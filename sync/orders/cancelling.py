"""Cancelling: whole orders or single lines, with a reason and how the money goes back; nothing is paid back by it.

The quota is free again, and the gates refuse the tickets. An order by invoice is cancelled only as a whole: its
invoice would be wrong otherwise.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from admission.entitlements import Standing
from sync.accounts.principal import SYSTEM
from sync.keys import VenueKeys
from sync.orders import lines, quota, tables
from sync.orders.sale import chosen_lines
from sync.orders.states import Payment, State, Step, after
from sync.store.database import Database
from sync.tickets import ruling
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import Refused

EXPIRED_AT_A_TIME = 200
"""Reservations that one round ends; each is a transaction of its own."""


class Method(Enum):
    """How a customer gets the money back, as the accounts want to know; the values are stored."""

    NONE = "none"
    CASH = "cash"
    CARD = "card"
    TRANSFER = "transfer"
    VOUCHER = "voucher"
    OTHER = "other"


class Refund(NamedTuple):
    """The note that is kept."""

    method: Method
    reason: str


def cancel(act: Act, order: int, refund: Refund, chosen: Iterable[int] | None = None) -> int:
    """Cancel an order, or some lines of it (`chosen`); returns the number of its refund note."""
    if not refund.reason.strip():
        raise Refused(422, "reason_missing", "Say why it is cancelled; the accounts will ask.")
    row = lines.held_order(act, order)
    if chosen is None:
        return _cancel(act, row, Step.CANCEL, refund, _live(act.connection, order))
    after(State(row.state), Step.CANCEL_SOME)
    if Payment(row.payment) is Payment.INVOICE:
        raise Refused(
            409, "invoice_whole",
            "An order by invoice is cancelled only as a whole. Cancel it, and place a new one with a new invoice.",
        )  # fmt: skip
    live = _live(act.connection, order)
    wanted = chosen_lines(lines.lines_of(act.connection, order), chosen)
    step = Step.CANCEL if len(wanted) == len(live) else Step.CANCEL_SOME
    return _cancel(act, row, step, refund, wanted)


def cancel_ticket(act: Act, ref: TicketRef, refund: Refund) -> int | None:
    """Cancel one ticket; returns the number of the refund note, None where no order sold it."""
    line = held_line(act, ref)
    if line is not None:
        if line.pass_id is not None:
            raise part_of_pass()
        return cancel(act, line.order_id, refund, [line.line])
    with act.changing([ref[0]]):
        standing = Standing(ruling.ticket_of(act.connection, ref).standing)
        for bit, code in ((Standing.CANCELLED, "cancelled"), (Standing.REPLACED, "replaced")):
            if standing & bit:
                raise Refused(409, code, f"This ticket is {code} already.")
        ruling.set_ticket(act.connection, ref, standing=int(standing | Standing.CANCELLED))
        act.note("ticket.cancel", ruling.subject_of(ref), refund.reason)
    return None


def held_line(act: Act, ref: TicketRef) -> Any:
    """Return the line that stands for a ticket, its order held; None where no order sold it.

    Refused where the ticket is not there, is not ours, or is none of its order's any more.
    """
    act.owned([ref[0]])
    row = ruling.ticket_of(act.connection, ref)
    found = lines.line_of_ticket(act.connection, ref)
    if found is None:
        if row.standing & Standing.REPLACED:
            raise Refused(409, "replaced", "This ticket was replaced; use the one that replaced it.")
        return None
    lines.held_order(act, found.order_id)
    again = lines.line_of_ticket(act.connection, ref)
    if again is None or again.order_id != found.order_id:
        raise Refused(409, "changed", "Somebody else just changed this order. Look at it again.")
    if again.refund is not None:
        raise Refused(409, "line_cancelled", "This ticket is cancelled already.")
    return again


def part_of_pass() -> Refused:
    """Return the refusal for a ticket that was bought as part of a pass."""
    return Refused(409, "part_of_pass", "This ticket is part of a pass. Cancel the pass's line of its order.")


def due(connection: Connection, now_s: int) -> list[tuple[int, int]]:
    """Return reservations that ran out, as (organization, order)."""
    o = tables.order.c
    wanted = select(o.organization_id, o.id).where(o.state == State.RESERVATION.value, o.expires_s <= now_s)
    found = connection.execute(wanted.order_by(o.expires_s).limit(EXPIRED_AT_A_TIME))
    return [(row.organization_id, row.id) for row in found]


def expire(act: Act, order: int) -> None:
    """Cancel a reservation that ran out."""
    row = lines.held_order(act, order)
    after(State(row.state), Step.EXPIRE)
    if row.expires_s > act.now_s:
        raise Refused(409, "not_expired", "This reservation still holds.")
    _cancel(
        act, row, Step.EXPIRE, Refund(Method.NONE, "the reservation ran out"), _live(act.connection, order)
    )


def expire_due(database: Database, keys: VenueKeys, now_s: int) -> int:
    """Cancel every reservation that ran out, each in a transaction of its own; returns how many. Blocks."""
    with database.reading() as connection:
        found = due(connection, now_s)
    done = 0
    for organization, order in found:
        try:
            database.transact(
                partial(_expire, keys=keys, now_s=now_s, organization=organization, order=order)
            )
            done += 1
        except Refused:
            continue  # paid, cancelled or prolonged since we looked
    return done


def _expire(connection: Connection, *, keys: VenueKeys, now_s: int, organization: int, order: int) -> None:
    expire(Act(connection, organization, SYSTEM, now_s, keys), order)


def _live(connection: Connection, order: int) -> list[Any]:
    return [one for one in lines.lines_of(connection, order) if one.refund is None]


def _cancel(act: Act, row: Any, step: Step, refund: Refund, chosen: Sequence[Any]) -> int:
    """Cancel lines of an order that is held. The order of writes: passes, then the events and what is theirs."""
    state = after(State(row.state), step)
    connection = act.connection
    tickets = lines.tickets_of(connection, chosen)
    at, n = tables.order_line.c, tables.refund.c
    number = (connection.execute(select(func.max(n.number)).where(n.order_id == row.id)).scalar() or 0) + 1
    with act.changing(lines.events_of(tickets)):
        quota.give_back_passes(connection, lines.kinds_of(connection, chosen))
        quota.give_back(connection, lines.sold_as(tickets))
        for ref, _ in tickets:
            ruling.set_bits(connection, ref, Standing.CANCELLED, Standing.VALID)
        # What comes back unsold from a point of sale was never paid, though the order counts as paid.
        unsold = Payment(row.payment) is Payment.STOCK and refund.method is Method.NONE
        paid = State(row.state) is State.PAID and not unsold
        connection.execute(
            insert(tables.refund).values(
                order_id=row.id,
                number=number,
                at_s=act.now_s,
                method=refund.method.value,
                reason=refund.reason.strip(),
                amount_minor=sum(one.price_minor for one in chosen) if paid else 0,
            )
        )
        connection.execute(
            update(tables.order_line)
            .where(at.order_id == row.id, at.line.in_([one.line for one in chosen]))
            .values(refund=number)
        )
        connection.execute(
            update(tables.order)
            .where(tables.order.c.id == row.id)
            .values(state=state.value, **({"expires_s": 0} if state is State.CANCELLED else {}))
        )
        act.note(f"order.{step.value}", f"order {row.id}", {"lines": len(chosen), "reason": refund.reason})
    return number
