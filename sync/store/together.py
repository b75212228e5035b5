"""Statements that go to the database in one go, and come back as plain rows.

Each statement by itself costs a way to PostgreSQL and back, and on both engines what SQLAlchemy does around it. Where
one transaction answers many requests, that is most of its time. Here PostgreSQL is sent them all before it is asked for
the first answer (libpq's pipeline mode), and SQLite runs them one after the other.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Values = Mapping[str, object]
_NAME = re.compile(r"(?<!:):([a-z][a-z0-9_]*)")
_VALUE = re.compile(r"%\(([a-z0-9_]+)\)s")


class Statement:
    """SQL with `:names` in it. `columns`: of the rows it returns, in order; `postgresql`: where the two engines differ.

    Rows are named tuples, of the types that the drivers give. Without `columns` there are none.
    """

    def __init__(self, sql: str, *columns: str, postgresql: str = "") -> None:
        self.sqlite = sql
        self.columns = columns
        self.postgresql = _NAME.sub(r"%(\1)s", (postgresql or sql).replace("%", "%%"))
        self.row: Callable[[Iterable[Any]], Any] | None = None
        if columns:
            named: Any = namedtuple("Row", columns)  # type: ignore[misc]  # noqa: PYI024 - its fields are given
            self.row = named._make

    def ask(self, **values: object) -> "Ask":
        """Return the statement with its values."""
        return Ask(self, values)


class Ask(NamedTuple):
    """A statement and its values; several rows of them on SQLite, where it is an `Insert`."""

    statement: Statement
    values: Values | Sequence[Sequence[object]]

    @property
    def named(self) -> Values:
        """Return its values by name; PostgreSQL has them so always."""
        assert isinstance(self.values, Mapping), "several rows are for SQLite alone"
        return self.values


class Insert:
    """An INSERT of several rows by one statement. `columns`: with the type that PostgreSQL has them of, in order."""

    def __init__(self, table: str, **columns: str) -> None:
        into = f"INSERT INTO {table} ({', '.join(columns)}) "
        arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
        self._statement = Statement(
            f"{into} VALUES ({', '.join('?' * len(columns))})",
            postgresql=f"{into} SELECT * FROM unnest({arrays})",  # noqa: S608 - fixed names
        )
        self._columns = tuple(columns)

    def ask(self, connection: Connection, rows: Sequence[Sequence[object]]) -> Ask:
        """Return what inserts rows, at least one; their values are of the drivers' own types: no member of an enum."""
        if connection.dialect.name == "sqlite":
            return Ask(self._statement, rows)
        return Ask(
            self._statement, dict(zip(self._columns, map(array, zip(*rows, strict=True)), strict=True))
        )


def together(connection: Connection, asks: Sequence[Ask]) -> list[list[Any]]:
    """Run statements in this order, in the transaction that is open; return the rows of each.

    SQLAlchemy's own errors, as from `Connection.execute`; after one nothing of what was asked counts.
    """
    if not asks:
        return []
    if connection.dialect.name == "postgresql":
        return _pipelined(connection, asks)
    return _one_by_one(connection, asks)


def array(values: Sequence[object]) -> str:
    """Return numbers, texts or bytes, all of one type, as PostgreSQL reads an array: psycopg's own way costs ten times as much.

    None is NULL.
    """
    first = values[0]
    if None in values:
        return f"{{{','.join(['NULL' if one is None else array([one])[1:-1] for one in values])}}}"
    if isinstance(first, int):
        return f"{{{','.join(map(str, values))}}}"
    if isinstance(first, bytes):
        return f"{{{','.join([_BYTES + one.hex() for one in values])}}}"  # type: ignore[attr-defined]  # as the first
    return f"{{{','.join([_quoted(str(one)) for one in values])}}}"


_BYTES = "\\\\x"
"""A backslash in an array is written twice (PostgreSQL, 8.15.6); `\\x` begins a bytea in hex (8.4.1)."""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_BY_KEYS = Statement(
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)"
)


class Round:
    """What is asked in one go: `add` each question with who takes its rows, then `run`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._asks: list[Ask] = []
        self._takers: list[Callable[[list[Any]], None]] = []

    @classmethod
    def by_keys(cls, connection: Connection) -> "Round":
        """Begin a transaction that looks everything up by keys: plans are kept, and never read a table from end to end.

        On PostgreSQL planning costs as much as all else. But a plan made while a table was small would be kept while it
        grows, so the server is kept from it: to the end of this transaction, for others know better by themselves.
        """
        round_ = cls(connection)
        if connection.dialect.name == "postgresql":
            round_.add(_BY_KEYS.ask())
        return round_

    def add(self, ask: Ask, take: Callable[[list[Any]], None] | None = None) -> None:
        """Ask this too."""
        self._asks.append(ask)
        self._takers.append(take or _nothing)

    def run(self) -> None:
        """Ask, and hand the answers over in the same order."""
        for take, rows in zip(self._takers, together(self.connection, self._asks), strict=True):
            take(rows)
        self._asks.clear()
        self._takers.clear()


class Changes:
    """Changes of which none looks at what another did: on PostgreSQL one statement, which costs it and us less.

    There each is a part of a WITH (PostgreSQL, 7.8.4): all see the tables as they were before, in no order. What one
    returns another may read by the name that it was given. On SQLite they are made one after the other.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parts: dict[str, Ask] = {}
        self._taker: tuple[str, Callable[[list[Any]], None]] | None = None

    def add(self, name: str, ask: Ask, take: Callable[[list[Any]], None] | None = None) -> None:
        """Make this change too. `take`: is told what it returns; only one may have one."""
        assert name not in self._parts, "each has a name of its own"
        self._parts[name] = ask
        if take is not None:
            assert self._taker is None, "one alone is told"
            self._taker = name, take

    def add_to(self, round_: "Round") -> None:
        """Have them made in a round."""
        told, take = self._taker or ("", _nothing)
        if self._connection.dialect.name != "postgresql":
            for name, ask in self._parts.items():
                round_.add(ask, take if name == told else _nothing)
        elif self._parts:
            named = tuple((name, ask.statement) for name, ask in self._parts.items())
            values = {
                f"{name}_{key}": value
                for name, ask in self._parts.items()
                for key, value in ask.named.items()
            }
            round_.add(Ask(_as_one(named, told), values), take)


def _nothing(_rows: list[Any]) -> None:
    """Take no notice."""


@cache
def _as_one(parts: tuple[tuple[str, Statement], ...], told: str) -> Statement:
    """Return one statement for these. There are as many as there are sets of changes: a dozen."""
    renamed = [(name, _VALUE.sub(rf"%({name}_\1)s", part.postgresql)) for name, part in parts]
    with_ = ", ".join([f"{name} AS ({sql})" for name, sql in renamed])
    columns = dict(parts)[told].columns if told else ()
    found = f"SELECT {', '.join(columns)} FROM {told}" if told else "SELECT 1"  # noqa: S608 - fixed names
    made = Statement("", *columns)
    made.postgresql = f"WITH {with_} {found}"
    return made


def _one_by_one(connection: Connection, asks: Sequence[Ask]) -> list[list[Any]]:
    found: list[list[Any]] = []
    with _driver(connection) as driver:
        for statement, values in asks:
            run = driver.execute if isinstance(values, Mapping) else driver.executemany
            found.append(_rows(statement, run(statement.sqlite, values)))
    return found


def _pipelined(connection: Connection, asks: Sequence[Ask]) -> list[list[Any]]:
    with _driver(connection) as driver:
        if len(asks) == 1:
            cursors = [driver.execute(asks[0].statement.postgresql, asks[0].values)]
        else:
            with driver.pipeline():
                cursors = [driver.execute(one.statement.postgresql, one.values) for one in asks]
        return [_rows(one.statement, cursor) for one, cursor in zip(asks, cursors, strict=True)]


def _rows(statement: Statement, cursor: Any) -> list[Any]:
    return [] if statement.row is None else list(map(statement.row, cursor.fetchall()))


@contextmanager
def _driver(connection: Connection) -> Iterator[Any]:
    """Return the driver's own connection; its errors go on as SQLAlchemy's, and one that broke is not used again."""
    dialect = connection.dialect
    errors = dialect.loaded_dbapi.Error
    driver = connection.connection.dbapi_connection
    assert driver is not None, "in a transaction"
    try:
        yield driver
    except errors as error:
        is_gone = dialect.is_disconnect(error, driver, None)
        if is_gone:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, errors, hide_parameters=True, connection_invalidated=is_gone, dialect=dialect
        ) from error
