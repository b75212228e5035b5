"""The one search box over a million tickets and a million customers, on both engines.

Queries are those people type: beginnings of names and addresses, common and rare, whole numbers of orders, tickets and
tags, and what is not there. Each is asked in a transaction of its own, as the server does; the floor is the read of
one row by its key in the same manner, interleaved.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select, text

from sync.customers import search, tables
from sync.customers.profiles import FIRST_ID
from sync.events import rows as programme
from sync.events import tables as programme_tables
from sync.imports import slabs
from sync.orders.tables import order
from sync.store.database import Database
from sync.tickets.tables import ticket
from tests.bench.report import Goal, Row, percentile
from tests.bench.scale import Scale
from tests.postgres import postgres, programs

GOAL = Goal(50)
QUERIES = 1_200
SLAB = 20_000
FIRST = ("Anna", "Luca", "Zoë", "Jean-Luc", "Maria", "Mehmet", "Ørjan", "Giulia", "Noah", "Mia")
SYLLABLES = (
    "mül",
    "ber",
    "ros",
    "sal",
    "vin",
    "ker",
    "gar",
    "tos",
    "lem",
    "din",
    "ova",
    "eck",
    "ini",
    "ard",
    "ström",
)


def measure(size: Scale) -> list[Row]:
    """Measure on SQLite, and on PostgreSQL where it is installed."""
    found = [_row("sqlite", size, _on_sqlite)]
    if programs() is not None:
        found.append(_row("postgres", size, _on_postgres))
    return found


def _row(engine: str, size: Scale, opened: Callable[[Path], Any]) -> Row:
    with opened(size.folder) as database:
        _fill(database, size.tickets)
        took_ms, floor_ms = _ask(database, size.tickets)
    name = "search_1m_p99_ms" if engine == "sqlite" else "search_1m_pg_p99_ms"
    return Row(
        name=name,
        value=percentile(took_ms, 99),
        unit="ms",
        floor=percentile(floor_ms, 99),
        goal=GOAL,
        conditions=f"{engine}, {size.tickets} tickets, customers, orders and tags each; {len(took_ms)} queries, "
        f"p50 {percentile(took_ms, 50):.2f} ms",
    )


@contextmanager
def _on_sqlite(folder: Path) -> Iterator[Database]:
    data = folder / "search"
    data.mkdir()
    database = Database.open(data)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _on_postgres(_folder: Path) -> Iterator[Database]:
    with postgres() as server:
        database = Database.open(Path(), server.make("search"))
        try:
            yield database
        finally:
            database.close()


def _name(chance: random.Random) -> str:
    return "".join(chance.choices(SYLLABLES, k=3)).capitalize()


def _fill(database: Database, count: int) -> None:
    chance = random.Random(7)
    with database.writing() as connection:
        connection.execute(
            insert(programme_tables.organization).values(id=1, name="House", language="en", created_s=0)
        )
        connection.execute(
            insert(programme_tables.ticketing).values(id=1, organization_id=1, name="Box", currency="CHF")
        )
        programme.add_group(connection, "Venue", bytes(32), 1, 1)
        programme.add_event(connection, 1, "Event", "UTC", 1)  # type: ignore[arg-type]  # an event's number
    for start in range(0, count, SLAB):
        with database.writing() as connection:
            _slab(connection, range(start + 1, min(start + SLAB, count) + 1), chance)
    with database.writing() as connection:
        connection.execute(text("ANALYZE"))


def _slab(connection: Connection, numbers: Sequence[int], chance: random.Random) -> None:
    customers = []
    for number in numbers:
        first, last = chance.choice(FIRST), _name(chance)
        email = f"{first}.{last}{number}@example.org"
        customers.append(
            {
                "id": FIRST_ID + number, "organization_id": 1, "email": email, "first_name": first, "last_name": last,
                "phone": "", "postcode": "", "address": "", "city": "", "country": "", "gender": "", "anonymous": False,
                "banned": False, "origin": "import", "created_s": 0, "email_key": search.key_of(email),
                "first_key": search.key_of(f"{first} {last}"), "last_key": search.key_of(f"{last} {first}"),
            }
        )  # fmt: skip
    _add(connection, tables.customer, customers)
    _add(
        connection,
        ticket,
        [
            {
                "event_id": 1, "id": number, "product": 1, "holder": FIRST_ID + number, "zones": "[]", "session": 0,
                "standing": 0, "not_before": 0, "not_after": 0, "admits": 1, "home_gate": 0, "attention": 0, "version": 1,
            }
            for number in numbers
        ],
    )  # fmt: skip
    _add(
        connection,
        order,
        [
            {
                "id": number, "organization_id": 1, "ticketing_id": 1, "number": _order_number(number), "state": "paid",
                "customer_id": FIRST_ID + number, "payment": "card", "currency": "CHF", "expires_s": 0, "created_s": 0,
                "paid_s": 0,
            }
            for number in numbers
        ],
    )  # fmt: skip
    _add(
        connection,
        tables.tag,
        [
            {
                "id": number, "organization_id": 1, "customer_id": FIRST_ID + number, "event_id": 1,
                "digest": number.to_bytes(16, "big"), "uid": _uid(number), "product": 0, "ticket": 0, "active": True,
                "banned": False, "created_s": 0,
            }
            for number in numbers
        ],
    )  # fmt: skip


def _add(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows as a list of a shop is, so that a million are there in a minute on either engine."""
    names = list(rows[0])
    slabs.add(connection, table, names, [tuple(row[name] for name in names) for row in rows])


def _order_number(number: int) -> str:
    letters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
    mixed = number * 2_654_435_761 % (1 << 40)
    return "".join(letters[mixed >> 5 * place & 31] for place in range(8))


def _uid(number: int) -> str:
    return f"04{number * 2_654_435_761 % (1 << 48):012X}"


def _queries(count: int, chance: random.Random) -> Iterator[str]:
    kinds: tuple[Callable[[], str], ...] = (
        lambda: _name(chance)[: chance.randint(2, 9)],
        lambda: f"{chance.choice(FIRST)} {_name(chance)[:3]}",
        lambda: chance.choice(FIRST)[:2],
        lambda: f"{chance.choice(FIRST)}.{_name(chance)}"[:12],
        lambda: _order_number(chance.randint(1, count))[: chance.choice((3, 8))],
        lambda: str(chance.randint(1, count)),
        lambda: _uid(chance.randint(1, count))[: chance.choice((4, 14))],
        lambda: "nobody of this name",
        lambda: f"SHOP-{chance.randint(1, 9999)}",
    )
    while True:
        yield chance.choice(kinds)()


def _ask(database: Database, count: int) -> tuple[list[float], list[float]]:
    chance = random.Random(8)
    asked = _queries(count, chance)
    took: list[float] = []
    floor: list[float] = []
    for _ in range(QUERIES):
        query, number = next(asked), FIRST_ID + chance.randint(1, count)
        took.append(_timed(database, partial(search.search, organization=1, query=query)))
        floor.append(_timed(database, partial(_by_key, number=number)))
    return took, floor


def _by_key(connection: Connection, number: int) -> str:
    c = tables.customer.c
    email: str = connection.execute(select(c.email).where(c.id == number)).scalar_one()
    return email


def _timed(database: Database, work: Callable[[Connection], object]) -> float:
    began = time.perf_counter()
    with database.reading() as connection:
        work(connection)
    return (time.perf_counter() - began) * 1000
