"""A list of a shop on its way in: read, checked, previewed and written, on each engine.

The floor: the same file taken apart by `csv`, and what comes of it put bare into the same tables with all their
indices, each engine's fastest way, as many rows a commit.
"""

import csv
import io
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table

from sync.customers.tables import customer
from sync.imports.files import CHUNK_ROWS
from sync.imports.tables import import_source
from sync.store.database import Database
from sync.tickets.tables import credential, ticket
from tests.bench.report import Goal, Row
from tests.bench.scale import Scale
from tests.postgres import postgres, programs
from tests.sync.imports.house import EVENT, NOW_S, check, furnish, run

FULL_ROWS, QUICK_ROWS = 200_000, 20_000
GOAL = Goal(20_000, at_least=True)
HEADING = b"code;product;order;name;email\n"


def measure(size: Scale) -> list[Row]:
    """Return rows per second, from the file's bytes to the last chunk's commit."""
    found = _rows(size, "import", "SQLite", lambda _name: "")
    if programs() is not None:
        with postgres(durable=True) as server:
            found += _rows(size, "import_pg", "PostgreSQL over a socket, fsync on, by COPY", server.make)
    return found


def _rows(size: Scale, name: str, engine: str, new_url: Callable[[str], str]) -> list[Row]:
    """Return an engine's figures. `new_url`: of a database that is made, by its name."""
    rows = QUICK_ROWS if size.name == "quick" else FULL_ROWS
    numbers = itertools.count()

    def rate(take: _Take, first: _Take | None = None) -> float:
        named = f"{name}_{next(numbers)}"
        return _rate(size.folder / named, new_url(named), rows, take, first)

    before, value, changed, after = rate(_bare), rate(_imported), rate(_changed, _imported), rate(_bare)
    said = (
        f"{engine}, {rows} rows of code, product, order, name and e-mail; each a ticket, a credential, half of them a "
        "customer"
    )
    return [
        Row(
            name=f"{name}_rows_per_s", value=value, unit="rows/s",
            floor=2 / (1 / before + 1 / after),  # two rates over the same number of rows
            goal=GOAL, conditions=f"{said}; floor, before and after: the same file by csv, bare into the same tables "
            "with their indices, as many rows a commit",
        ),
        Row(
            name=f"{name}_changed_rows_per_s", value=changed, unit="rows/s",
            conditions=f"{said}; the same list again, with another name in every row",
        ),
    ]  # fmt: skip


_Take = Callable[[Database, bytes], None]


def _rate(folder: Path, url: str, rows: int, take: _Take, first: _Take | None) -> float:
    """Return how many rows a second are taken, by a database that holds what the first one left."""
    folder.mkdir()
    database = Database.open(folder, url)
    try:
        furnish(database)
        data = HEADING + b"".join(_lines(rows))
        if first is not None:
            first(database, data)
        began = time.perf_counter()
        take(database, data)
        took = time.perf_counter() - began
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM credential").scalar() == rows
    finally:
        database.close()
        shutil.rmtree(folder)
    return rows / took


def _lines(rows: int) -> Iterator[bytes]:
    for number in range(rows):
        yield b"R%012d;VIP;O-%d;Anna M%d;p%d@example.org\n" % (
            number * 7919,
            number // 2,
            number,
            number // 2,
        )


def _imported(database: Database, data: bytes) -> None:
    run(database, check(database, data))


def _changed(database: Database, data: bytes) -> None:
    _imported(database, data.replace(b"Anna", b"Ada"))


# --- the floor -------------------------------------------------------------------------------------------------------

_Rows = list[tuple[Any, ...]]


def _bare(database: Database, data: bytes) -> None:
    lines = csv.reader(io.StringIO(data.decode()), delimiter=";")
    next(lines)
    first = 1
    while chunk := list(itertools.islice(lines, CHUNK_ROWS)):
        with database.writing() as connection:
            for table, rows in _of_tables(chunk, first):
                _put(connection, table, rows)
        first += len(chunk)


def _of_tables(lines: Sequence[Sequence[str]], first: int) -> Iterator[tuple[Table, _Rows]]:
    """Return what comes of lines, all columns in the tables' order; those by digest so that neighbours share pages."""
    sources: _Rows = []
    tickets: _Rows = []
    codes: _Rows = []
    people: _Rows = []
    for number, (code, _product, order, name, email) in enumerate(lines, start=first):
        digest = blake2b(code.encode(), digest_size=16).digest()
        sources.append((EVENT, digest, "shop", number, digest[:8], order, 0))
        tickets.append((EVENT, number, 2, number // 2, "[]", 0, 0, 0, 0, 1, 0, 0, 1))
        codes.append((EVENT, digest, number, "opaque", None, 0, 1))
        if number % 2:
            given, _, family = name.partition(" ")
            keys = (email, name.lower(), f"{family} {given}".lower())
            people.append((number, 1, email, given, family, *[""] * 6, False, False, "import", NOW_S, *keys))
    yield import_source, sorted(sources)
    yield ticket, tickets
    yield customer, people
    yield credential, sorted(codes)


def _put(connection: Connection, table: Table, rows: _Rows) -> None:
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(table.c))
        driver.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)
        return
    text = "".join(["\t".join(map(_text, row)) + "\n" for row in rows])
    with driver.cursor().copy(f"COPY {table.name} FROM STDIN") as copy:
        copy.write(text)


def _text(value: object) -> str:
    """Return a value as COPY's text format has it (PostgreSQL's manual, COPY)."""
    if value is None:
        return "\\N"
    return "\\\\x" + value.hex() if isinstance(value, bytes) else str(value)
