"""What is held of a customer, given to them whole, and taken away: by hand, or after a while by itself.

Erased: every field of the customer, their name at the gate, the search keys, the UIDs of their tags in readable form, codes
kept readable, what lists say of them that are still to be written, answers kept for whoever asks again, and the link from
their tickets. Kept: tickets, which stay valid and are
then nobody's; orders with their amounts, as the law of accounts asks; and in the audit log that it was done. Records of gates
name tickets by number and nobody else, so they become anonymous with the link.
"""

import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, exists, func, select, update

from admission.ids import EventId
from sync.accounts import audit, idempotency
from sync.accounts.principal import SYSTEM, Actor
from sync.customers import handlers, shown_names, tables
from sync.customers.profiles import FIELDS
from sync.events import tables as programme
from sync.imports import forgetting
from sync.orders import tables as orders
from sync.store.schema import signed, unsigned
from sync.tickets import changes
from sync.tickets import tables as sold

DAY_S = 86_400
DAYS_MIN = 1
_ANSWERED = frozenset(
    one.key for one in handlers.routes() if one.answer is handlers.Customer and one.idempotent
)
"""Operations whose answers, which are kept for whoever asks again, show a customer."""
NOBODYS, NOBODYS_BITS = 1 << 49, 48
"""Numbers of holders whom nobody knows: above every customer and every pass that is nobody's."""
PER_RUN = 500
"""Customers made anonymous in one transaction: others wait no longer than for a chunk of an import."""


def export(connection: Connection, organization: int, number: int) -> bytes | None:
    """Return all that is held of a customer as JSON; None where the organization has no such customer."""
    c, t, o, g = tables.customer.c, sold.ticket.c, orders.order.c, tables.tag.c
    row = connection.execute(
        select(tables.customer).where(c.id == number, c.organization_id == organization)
    ).one_or_none()
    if row is None:
        return None
    tickets = connection.execute(
        select(sold.ticket).where(t.holder == signed(number)).order_by(t.event_id, t.id)
    ).all()
    said = {
        "customer": {"id": row.id, **{name: getattr(row, name) for name in FIELDS}, "banned": row.banned,
                     "shown_name": shown_names.name_of(connection, row.id),
                     "origin": row.origin, "created_s": row.created_s},
        "tags": [_of(tag, ("event_id", "uid", "product", "active", "banned", "created_s")) for tag in
                 connection.execute(select(tables.tag).where(g.customer_id == number).order_by(g.id))],
        "tickets": [{"event": one.event_id, "ticket": unsigned(one.id), "product": one.product, "session": one.session,
                     "standing": one.standing, "codes": _codes(connection, one)} for one in tickets],
        "orders": [_of(one, ("number", "state", "payment", "currency", "created_s", "paid_s")) for one in
                   connection.execute(select(orders.order).where(o.customer_id == number).order_by(o.id))],
    }  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(said), indent=2)


def _of(row: Any, names: Sequence[str]) -> dict[str, object]:
    return {name: getattr(row, name) for name in names}


def _codes(connection: Connection, ticket: Any) -> list[str]:
    c = sold.credential.c
    found = select(c.text).where(c.event_id == ticket.event_id, c.ticket == ticket.id, c.text.is_not(None))
    return list(connection.execute(found.order_by(c.text)).scalars())


def erase(connection: Connection, organization: int, number: int, actor: Actor, now_s: int) -> bool:
    """Take away what is known of a customer; False where the organization has no such customer.

    One version of the lists of the events they hold tickets of: lists name holders by number.
    """
    _forget_in_lists(connection, organization, (number,))
    # Tickets of one code have one holder, or they let nobody in (`admission.decide`).
    nobody = NOBODYS + secrets.randbits(NOBODYS_BITS)
    events = _erase(connection, organization, number, actor, now_s, nobody)
    if events is None:
        return False
    idempotency.forget_answers(connection, organization, _ANSWERED, partial(_shows, number))
    changes.stamp(connection, events, now_s)
    return True


def _erase(
    connection: Connection, organization: int, number: int, actor: Actor, now_s: int, together: int = 0
) -> tuple[EventId, ...] | None:
    """Erase, and return the events whose lists are to be stamped; None where there is no such customer.

    `together`: who holds from now on what one code stands for; 0 where these tickets are over.
    """
    c = tables.customer.c
    mine = (c.id == number, c.organization_id == organization)
    if connection.execute(select(c.id).where(*mine).with_for_update()).one_or_none() is None:
        return None
    empty: dict[str, object] = dict.fromkeys((*FIELDS, "email_key", "first_key", "last_key"), "")
    connection.execute(update(tables.customer).where(*mine).values(**empty, anonymous=True))
    t, k, g = sold.ticket.c, sold.credential.c, tables.tag.c
    of_theirs = t.holder == signed(number)
    events = tuple(
        EventId(one) for one in connection.execute(select(t.event_id).where(of_theirs).distinct()).scalars()
    )
    changes.take(connection, events)
    for event, ticket in connection.execute(select(t.event_id, t.id).where(of_theirs)).all():
        connection.execute(
            update(sold.credential).where(k.event_id == event, k.ticket == ticket).values(text=None)
        )
    if together:
        shared = update(sold.ticket).where(of_theirs, _shares_its_code(number))
        connection.execute(shared.values(holder=together, version=None))
    connection.execute(update(sold.ticket).where(of_theirs).values(holder=0, version=None))
    connection.execute(update(tables.tag).where(g.customer_id == number).values(uid=""))
    shown_names.forget(connection, number)
    audit.note(connection, actor, organization, "customer.erase", f"customer {number}", now_s=now_s)
    return events


def _forget_in_lists(connection: Connection, organization: int, numbers: Sequence[int]) -> None:
    """Take customers out of lists that are to be written. First in the transaction, before the customers are locked."""
    lists = forgetting.take(connection, organization)
    if not lists:
        return
    c, t = tables.customer.c, sold.ticket.c
    mine = (c.id.in_(numbers), c.organization_id == organization)
    addresses = set(connection.execute(select(c.email_key).where(*mine, c.email_key != "")).scalars())
    still = select(c.email_key).where(c.organization_id == organization, c.id.not_in(numbers))
    addresses -= set(connection.execute(still.where(c.email_key.in_(addresses))).scalars())
    held = select(t.event_id, t.id).join(tables.customer, t.holder == c.id).where(*mine)
    forgetting.forget(
        connection, lists, addresses, {(one.event_id, one.id) for one in connection.execute(held)}
    )


class _Shown(msgspec.Struct, frozen=True):
    id: int


def _shows(number: int, body: bytes) -> bool:
    return msgspec.json.decode(body, type=_Shown).id == number


def _shares_its_code(number: int) -> ColumnElement[bool]:
    """Say of a customer's ticket whether a code, or a tag, stands for it and for another one of theirs."""
    t, k, other = sold.ticket.c, sold.credential.c, sold.credential.alias().c
    theirs = sold.ticket.alias().c
    shared = (
        select(other.digest)
        .where(theirs.event_id == other.event_id, theirs.id == other.ticket, theirs.holder == signed(number))
        .group_by(other.digest)
        .having(func.count() > 1)
    )
    return exists().where(k.event_id == t.event_id, k.ticket == t.id, k.digest.in_(shared))


def retain(connection: Connection, organization: int, days: int, now_s: int) -> int:
    """Make customers anonymous whose events all ended more than so many days ago; returns how many, `PER_RUN` at most.

    A customer with a ticket of an event whose end is not set is left alone, as is one with no ticket who is younger.
    ValueError for less than a day.
    """
    if days < DAYS_MIN:
        raise ValueError(f"personal data is kept for {DAYS_MIN} day or more")
    wanted = _overdue(organization, days, now_s)
    found = connection.execute(wanted.order_by(tables.customer.c.id).limit(PER_RUN))
    numbers = list(found.scalars())
    if numbers:
        _forget_in_lists(connection, organization, numbers)
    events: set[EventId] = set()
    for number in numbers:
        events |= set(_erase(connection, organization, number, SYSTEM, now_s) or ())
    changes.stamp(connection, events, now_s)
    return len(numbers)


def due(connection: Connection, organization: int, days: int, now_s: int) -> int:
    """Return how many customers `retain` would make anonymous in all."""
    overdue = _overdue(organization, days, now_s).subquery()
    return int(connection.execute(select(func.count()).select_from(overdue)).scalar_one())


def _overdue(organization: int, days: int, now_s: int) -> Select[int]:
    before = now_s - days * DAY_S
    c, t, e = tables.customer.c, sold.ticket.c, programme.event.c
    still = (
        select(t.id)
        .join(programme.event, e.id == t.event_id)
        .where(t.holder == c.id, (e.ends_s == 0) | (e.ends_s > before))
        .exists()
    )
    return select(c.id).where(
        c.organization_id == organization, c.created_s <= before, c.anonymous.is_(False), ~still
    )
