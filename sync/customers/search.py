"""One box that finds everything: name, e-mail, order number, ticket number, tag UID, printed code.

Each kind is a range of one index, walked no further than what is shown: what people type is normalized as what is
stored was. Nothing is found in the middle of a word; a scan of all rows would be needed for that.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, select

from admission.digests import CredentialKind, text_digest
from sync.customers.tables import KEY_CHARS, customer, tag
from sync.events import tables as programme
from sync.orders.tables import NUMBER_CHARS, order
from sync.store.schema import unsigned
from sync.tickets.tables import credential, ticket

FOUND_MAX: Final = 20
"""Shown of each kind; whoever gets as many types one letter more."""
QUERY_CHARS_MIN: Final = 2
UID_CHARS_MIN: Final = 4
EVENTS_MAX: Final = 200
"""An organization's newest events that a ticket number is looked up in."""
_LAST: Final = "\U0010ffff"
_TICKET: Final = re.compile(r"(?:(\d{1,10})/)?(\d{1,19})")
_HEX: Final = re.compile(rf"[0-9A-F]{{{UID_CHARS_MIN},20}}")
_NUMBER: Final = re.compile(rf"[2-9A-HJ-NP-Z]{{2,{NUMBER_CHARS}}}")


class Hit(msgspec.Struct, frozen=True):
    """Something found. `kind`: customer, order, ticket or tag; `id` its number, of a ticket within its event."""

    kind: str
    id: int
    label: str
    event: int = 0
    customer: int = 0


def key_of(text: str) -> str:
    """Return text as it is looked for: lower case, without accents, one space between words."""
    if text.isascii():  # the same, and ten times as fast for a list of thousands
        return " ".join(text.lower().split())[:KEY_CHARS]
    # Twice: what a letter stands for may be upper case itself (a mathematical capital alpha has no lower case).
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = unicodedata.normalize("NFKD", plain.casefold())
    bare = "".join(one for one in plain if not unicodedata.combining(one))
    return " ".join(bare.split())[:KEY_CHARS]


def search(connection: Connection, organization: int, query: str) -> tuple[Hit, ...]:
    """Return what an organization has of that name or number, at most `FOUND_MAX` of each kind."""
    key = key_of(query)
    if len(key) < QUERY_CHARS_MIN:
        return tuple(_tickets(connection, organization, key)) if _TICKET.fullmatch(key) else ()
    plain = re.sub(r"[\s:\-]", "", query).upper()
    found: dict[tuple[str, int, int], Hit] = {}
    for hits in (
        _orders(connection, organization, plain),
        _tickets(connection, organization, query.strip()),
        _tags(connection, organization, plain),
        _customers(connection, organization, key),
    ):
        for hit in hits:
            found.setdefault((hit.kind, hit.event, hit.id), hit)
    return tuple(found.values())


def _customers(connection: Connection, organization: int, key: str) -> Iterator[Hit]:
    c = customer.c
    seen: set[int] = set()
    for column in (c.email_key, c.last_key, c.first_key):
        for row in _from(connection, customer, column, organization, key):
            if row.id not in seen and len(seen) < FOUND_MAX:
                seen.add(row.id)
                name = f"{row.first_name} {row.last_name}".strip()
                yield Hit("customer", row.id, f"{name} {row.email}".strip(), customer=row.id)


def _orders(connection: Connection, organization: int, plain: str) -> Iterator[Hit]:
    if _NUMBER.fullmatch(plain):
        for row in _from(connection, order, order.c.number, organization, plain):
            yield Hit("order", row.id, row.number, customer=row.customer_id or 0)


def _tags(connection: Connection, organization: int, plain: str) -> Iterator[Hit]:
    if _HEX.fullmatch(plain):
        for row in _from(connection, tag, tag.c.uid, organization, plain):
            yield Hit("tag", row.id, row.uid, event=row.event_id, customer=row.customer_id)


def _from(
    connection: Connection, table: Any, column: "Column[Any]", organization: int, key: str
) -> list[Any]:
    """Return the rows whose column begins so, in its order: a short walk along one index."""
    wanted = (
        select(table)
        .where(table.c.organization_id == organization, column >= key, column < key + _LAST)
        .order_by(table.c.organization_id, column)
        .limit(FOUND_MAX)
    )
    return list(connection.execute(wanted))


def _tickets(connection: Connection, organization: int, query: str) -> Iterator[Hit]:
    """Find tickets by number (`4711`, or `7/4711` in one event), and by a printed code that is not ours."""
    e, g, t, c = programme.event.c, programme.event_group.c, ticket.c, credential.c
    owned = (
        select(e.id, g.digest_key)
        .join(programme.event_group, g.id == e.group_id)
        .where(g.organization_id == organization)
        .order_by(e.id.desc())
        .limit(EVENTS_MAX)
    )
    keys = {row.id: row.digest_key for row in connection.execute(owned)}
    asked = _TICKET.fullmatch(query)
    if asked is not None and int(asked[2]) < 1 << 63:
        events = [one for one in keys if not asked[1] or one == int(asked[1])]
        wanted = select(t.event_id, t.id, t.holder).where(t.event_id.in_(events), t.id == int(asked[2]))
        yield from map(_ticket_hit, connection.execute(wanted.limit(FOUND_MAX)))
    text = query.encode()
    for event, digest_key in keys.items():
        digest = text_digest(CredentialKind.OPAQUE, text, digest_key)
        held = (
            select(t.event_id, t.id, t.holder)
            .join(ticket, (t.event_id == c.event_id) & (t.id == c.ticket))
            .where(c.event_id == event, c.digest == digest)
        )
        yield from map(_ticket_hit, connection.execute(held.limit(FOUND_MAX)))


def _ticket_hit(row: Any) -> Hit:
    number = unsigned(row.id)
    return Hit("ticket", number, f"{row.event_id}/{number}", row.event_id, unsigned(row.holder))
