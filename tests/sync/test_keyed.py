"""Many keys in few shapes of one statement: each is found once, however many are asked for, on both engines."""

import pytest

from sync.store.database import Database
from sync.store.keyed import SHAPES, Keyed
from tests.sync.conftest import Home

SQUARES = Keyed("SELECT n, square FROM squares WHERE n IN (:keys) AND square < :below", "n", "square")
EDGES = sorted({0, 1, *(size + more for size in SHAPES for more in (-1, 0, 1)), 2 * SHAPES[-1] + 3})


@pytest.fixture
def database(home: Home) -> Database:
    opened = home.open()
    with opened.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE squares (n BIGINT PRIMARY KEY, square BIGINT NOT NULL)")
        values = ", ".join(f"({n}, {n * n})" for n in range(-1, 2 * SHAPES[-1] + 10))
        connection.exec_driver_sql(f"INSERT INTO squares VALUES {values}")
    return opened


def test_as_many_as_asked_for(database: Database) -> None:
    try:
        with database.reading() as connection:
            for asked in EDGES:
                found = SQUARES.rows(connection, list(range(asked)), below=2**40)
                assert sorted((row.n, row.square) for row in found) == [(n, n * n) for n in range(asked)]
            assert SQUARES.rows(connection, [-7, 10**12], below=2**40) == []
            assert [row.n for row in SQUARES.rows(connection, [9, 3, 5], below=26)] == [3, 5]
    finally:
        database.close()
