"""A list of a shop on its way in: read, checked, previewed and written, on each engine."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from sync.store.database import Database
from tests.bench.report import Goal, Row
from tests.bench.scale import Scale
from tests.postgres import postgres, programs
from tests.sync.imports.house import check, furnish, run

FULL_ROWS, QUICK_ROWS = 200_000, 20_000
GOAL = Goal(20_000, at_least=True)


def measure(size: Scale) -> list[Row]:
    """Return rows per second, from the file's bytes to the last chunk's commit."""
    rows = QUICK_ROWS if size.name == "quick" else FULL_ROWS
    said = (
        f"{rows} rows of code, product, order, name and e-mail; each a ticket, a credential, half of them a customer; "
        "floor, before and after: the same codes into one bare table, chunks of 2,000 as here"
    )
    value, floor = _between(
        lambda: _rate(size.folder / "sqlite", "", rows), lambda: _floor(size.folder, rows)
    )
    found = [
        Row(
            name="import_rows_per_s", value=value, unit="rows/s", floor=floor,
            goal=GOAL, conditions=f"SQLite, {said}",
        )
    ]  # fmt: skip
    if programs() is not None:
        with postgres(durable=True) as server:
            url, bare = server.make("bench_imports"), server.make("bench_bare")
            value, floor = _between(
                lambda: _rate(size.folder / "pg", url, rows), lambda: _floor_postgres(bare, rows)
            )
        found.append(
            Row(
                name="import_pg_rows_per_s", value=value, unit="rows/s", floor=floor,
                goal=GOAL, conditions=f"PostgreSQL over a socket, fsync on, {said}, by COPY",
            )
        )  # fmt: skip
    return found


def _between(value: Callable[[], float], floor: Callable[[], float]) -> tuple[float, float]:
    """Return a rate, and its floor's of before and after together: two rates over the same number of rows."""
    before, found, after = floor(), value(), floor()
    return found, 2 / (1 / before + 1 / after)


def _rate(folder: Path, url: str, rows: int) -> float:
    folder.mkdir()
    database = Database.open(folder, url)
    try:
        furnish(database)
        data = b"code;product;order;name;email\n" + b"".join(_lines(rows))
        began = time.perf_counter()
        done = run(database, check(database, data))
        took = time.perf_counter() - began
    finally:
        database.close()
        shutil.rmtree(folder)
    assert done.rows_new == rows
    return rows / took


def _lines(rows: int) -> Iterator[bytes]:
    for number in range(rows):
        yield b"R%012d;VIP;O-%d;Anna M%d;p%d@example.org\n" % (
            number * 7919,
            number // 2,
            number,
            number // 2,
        )


def _floor(folder: Path, rows: int) -> float:
    with closing(sqlite3.connect(folder / "floor.sqlite3", isolation_level=None)) as bare:
        bare.execute("PRAGMA journal_mode=WAL")
        bare.execute("PRAGMA synchronous=FULL")
        bare.execute("DROP TABLE IF EXISTS code")
        bare.execute("CREATE TABLE code (code BLOB PRIMARY KEY, line TEXT) WITHOUT ROWID")
        began = time.perf_counter()
        lines = [line.decode().split(";", 1) for line in _lines(rows)]
        for at in range(0, rows, 2000):
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany("INSERT INTO code VALUES (?, ?)", lines[at : at + 2000])
            bare.execute("COMMIT")
        return rows / (time.perf_counter() - began)


def _floor_postgres(database: str, rows: int) -> float:
    address = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as bare:
        bare.execute("DROP TABLE IF EXISTS code")
        bare.execute("CREATE TABLE code (code text PRIMARY KEY, line text)")
        bare.commit()
        began = time.perf_counter()
        lines = [b"\t".join(line.split(b";", 1)) for line in _lines(rows)]
        for at in range(0, rows, 2000):
            with bare.cursor().copy("COPY code FROM STDIN") as copy:
                copy.write(b"".join(lines[at : at + 2000]))
            bare.commit()
        return rows / (time.perf_counter() - began)
