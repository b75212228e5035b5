"""What an event has that its lists may name: products, zones and sessions, found by what people write."""

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256

import msgspec
from sqlalchemy import Connection, select

from sync.events import tables as events
from sync.imports.columns import plain

PRINT_CHARS = 16
"""Of what an event has, in hex: tells whether it changed since a file was read."""


class Catalogue(msgspec.Struct, frozen=True):
    """What an event has, by the names a list may use."""

    event: int
    timezone: str
    digest_key: bytes
    products: Mapping[str, int]
    zones: Mapping[str, int]
    sessions: Mapping[str, int]
    """Numbers by name, as `by_name` makes them."""
    days: Mapping[int, int]
    """yyyymmdd to the only session of that day."""
    defaults: Mapping[int, tuple[int, int, int, int]]
    """By product: the session, validity and number of people of a ticket whose row says nothing of them."""
    product_numbers: frozenset[int]
    zone_numbers: frozenset[int]
    session_numbers: frozenset[int]

    @property
    def print(self) -> str:
        """What changes with all that a row may mean."""
        plainly = msgspec.to_builtins(self, str_keys=True, order="deterministic")
        return sha256(msgspec.json.encode(plainly)).hexdigest()[:PRINT_CHARS]


def catalogue(connection: Connection, event: int) -> Catalogue | None:
    """Return what an event's lists may name; None where there is no such event."""
    e, g, p, s, z = events.event, events.event_group, events.product, events.session, events.zone
    found = connection.execute(
        select(e.c.timezone, e.c.group_id, g.c.digest_key)
        .join(g, g.c.id == e.c.group_id)
        .where(e.c.id == event)
    ).first()
    if found is None:
        return None
    products = connection.execute(select(p).where(p.c.event_id == event)).all()
    sessions = connection.execute(select(s).where(s.c.event_id == event)).all()
    zones = connection.execute(select(z.c.id, z.c.name).where(z.c.group_id == found.group_id)).all()
    per_day = Counter(row.day for row in sessions)
    return Catalogue(
        event=event,
        timezone=found.timezone,
        digest_key=found.digest_key,
        products=by_name((row.name, row.id) for row in products),
        zones=by_name((row.name, row.id) for row in zones),
        sessions=by_name((row.name, row.id) for row in sessions),
        days={row.day: row.id for row in sessions if per_day[row.day] == 1},
        defaults={row.id: (row.session, row.not_before, row.not_after, row.admits) for row in products},
        product_numbers=frozenset(row.id for row in products),
        zone_numbers=frozenset(row.id for row in zones),
        session_numbers=frozenset(row.id for row in sessions),
    )


def group_of(connection: Connection, event: int) -> int:
    """Return the group of an event that is there."""
    e = events.event.c
    return int(connection.execute(select(e.group_id).where(e.id == event)).scalar_one())


def outer_zones(connection: Connection, event: int) -> tuple[int, ...]:
    """Return the zones of an event's venue that lie in no other."""
    e, z = events.event.c, events.zone.c
    group = select(e.group_id).where(e.id == event).scalar_subquery()
    found = connection.execute(select(z.id).where(z.group_id == group, z.parent == 0).order_by(z.id))
    return tuple(found.scalars())


def by_name(named: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return numbers for `number_of`: by each name as it is, and as people write it; not where several have one name."""
    found: dict[str, set[int]] = {}
    for name, number in named:
        for key in {"=" + name.strip(), plain(name)} - {""}:
            found.setdefault(key, set()).add(number)
    return {key: numbers.pop() for key, numbers in found.items() if len(numbers) == 1}


def number_of(names: Mapping[str, int], text: str) -> int | None:
    """Return the number of what is called so; None where nothing is, or several things may be meant."""
    exact = names.get("=" + text)
    return names.get(plain(text)) if exact is None else exact
