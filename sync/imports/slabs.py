"""Many rows in one statement, as each engine takes them fastest.

SQLite runs one prepared statement row by row. PostgreSQL takes rows by COPY; what is looked up comes to it as one
array, since a list of thousands of parameters is parsed and planned anew each time, for longer than it runs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, repeat
from struct import Struct
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, LargeBinary, Table
from sqlalchemy.exc import DBAPIError

from sync.store.together import Round, Statement, array

ASKED_MAX = 10_000
"""Values in one statement; SQLite takes 32,766 (SQLITE_MAX_VARIABLE_NUMBER)."""
_KINDS = ((LargeBinary, "bytea"), (Boolean, "bool"), (BigInteger, "int8"), (Integer, "int4"))
"""How PostgreSQL writes what SQLAlchemy calls so; all else is text."""


class Same(NamedTuple):
    """One value for all rows of a column."""

    value: object


Values = Sequence[Any] | Same
"""A column's values, row by row."""


class Adding:
    """Adds rows to tables. On PostgreSQL a table's rows are inserted while those of the next one are made."""

    def __init__(self, connection: Connection) -> None:
        """Use `adding`."""
        self._connection = connection
        self._copying: ExitStack | None = None

    def add(self, table: Table, columns: Mapping[str, Values], rows: int) -> None:
        """Insert rows; each column has as many values, or one for all. Fails here or at the end of `adding`."""
        if not rows:
            return
        if self._connection.dialect.name == "sqlite":
            _insert(self._connection, table, columns, rows)
            return
        copied = _copied([(_kind(table.c[name]), values) for name, values in columns.items()], rows)
        self.end()
        driver: Any = self._connection.connection.dbapi_connection
        statement = f"COPY {_into(self._connection, table, columns)} FROM STDIN (FORMAT BINARY)"
        with ExitStack() as opened:
            opened.enter_context(_faults(self._connection, statement))
            cursor = opened.enter_context(driver.cursor())
            # What the socket's buffer holds is inserted from here on, whether we wait for it or not.
            opened.enter_context(cursor.copy(statement)).write(copied)
            self._copying = opened.pop_all()

    def end(self, error: BaseException | None = None) -> None:
        """Wait until all rows are there; with `error`, give up the last ones."""
        copying, self._copying = self._copying, None
        if copying is not None:
            copying.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)


@contextmanager
def adding(connection: Connection) -> Iterator[Adding]:
    """Add rows to several tables; until it ends, nothing else may be asked of the connection.

    IntegrityError where one is there already.
    """
    made = Adding(connection)
    try:
        yield made
    except BaseException as error:
        made.end(error)
        raise
    made.end()


@contextmanager
def _faults(connection: Connection, statement: str) -> Iterator[None]:
    """Say what goes wrong as SQLAlchemy says it of its own statements, so that it is met as theirs is."""
    base = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except base as error:
        lost = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        raise DBAPIError.instance(
            statement, None, error, base, dialect=connection.dialect, connection_invalidated=lost
        ) from error


def add(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Insert rows, their values in the order of `names`. IntegrityError where one is there already."""
    if rows:
        with adding(connection) as made:
            made.add(table, dict(zip(names, zip(*rows, strict=True), strict=True)), len(rows))


def change(
    connection: Connection, table: Table, columns: Mapping[str, Values], names: Sequence[str], rows: int
) -> None:
    """Change rows that are there: those of `names` become what `columns` say, which are whole rows, with their key.

    Found by their key whatever the table's statistics say: as rows that are there already when they are to be inserted.
    """
    if not rows:
        return
    quote = connection.dialect.identifier_preparer.quote
    key = ", ".join([quote(one.name) for one in table.primary_key])
    becomes = ", ".join([f"{quote(name)} = excluded.{quote(name)}" for name in names])
    instead = f" ON CONFLICT ({key}) DO UPDATE SET {becomes}"
    if connection.dialect.name == "sqlite":
        _insert(connection, table, columns, rows, instead)
        return
    same = {name: one.value for name, one in columns.items() if isinstance(one, Same)}
    many = {name: array(one) for name, one in columns.items() if not isinstance(one, Same)}
    given = ", ".join(
        [f"CAST(%s AS {_kind(table.c[name])})" if name in same else quote(name) for name in columns]
    )
    arrays = ", ".join([f"CAST(%s AS {_kind(table.c[name])}[])" for name in many])
    statement = (
        f"INSERT INTO {_into(connection, table, columns)} SELECT {given} "  # noqa: S608 - fixed names of our own
        f"FROM unnest({arrays}) AS said ({', '.join(map(quote, many))}){instead}"
    )
    connection.exec_driver_sql(statement, (*same.values(), *many.values()))


def _insert(
    connection: Connection, table: Table, columns: Mapping[str, Values], rows: int, instead: str = ""
) -> None:
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {_into(connection, table, columns)} VALUES ({marks}){instead}"  # noqa: S608 - fixed names of our own
    # The driver takes a bytearray as it is; for bytes it looks for an adapter first, which costs as much again.
    given = [
        repeat(values.value, rows)
        if isinstance(values, Same)
        else map(bytearray, values)
        if isinstance(table.c[name].type, LargeBinary)
        else values
        for name, values in columns.items()
    ]
    connection.exec_driver_sql(statement, list(zip(*given, strict=True)))


_HEAD, _TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
"""COPY's binary format (PostgreSQL's manual, COPY): a signature with no flags and no extension, rows, -1."""
_NULL = b"\xff\xff\xff\xff"
_COUNT, _SIZE, _INT8, _INT4, _BOOL = Struct("!h"), Struct("!i"), Struct("!iq"), Struct("!ii"), Struct("!i?")


def _copied(columns: Sequence[tuple[str, Values]], rows: int) -> bytes:
    """Return rows in COPY's binary format. Column by column, which is several times as fast as row by row."""
    fields: list[Iterable[bytes]] = []
    same = _COUNT.pack(len(columns))
    for kind, values in columns:
        pack = _PACKS[kind]
        if isinstance(values, Same):
            same += pack([values.value])[0]
            continue
        if values.count(values[0]) == rows:  # most columns of most lists say one thing, which one look tells
            same += pack(values[:1])[0]
            continue
        if same:
            fields.append(repeat(same, rows))
            same = b""
        fields.append(pack(values))
    if same:
        fields.append(repeat(same, rows))
    return b"".join((_HEAD, *chain.from_iterable(zip(*fields, strict=True)), _TAIL))


def _int8s(values: Iterable[int | None]) -> list[bytes]:
    pack = _INT8.pack
    return [_NULL if value is None else pack(8, value) for value in values]


def _int4s(values: Iterable[int]) -> list[bytes]:
    pack = _INT4.pack
    return [pack(4, value) for value in values]


def _bools(values: Iterable[bool]) -> list[bytes]:
    pack = _BOOL.pack
    return [pack(1, value) for value in values]


def _byteas(values: Iterable[bytes]) -> list[bytes]:
    size = _SIZE.pack
    return [size(len(value)) + value for value in values]


def _texts(values: Iterable[str | None]) -> list[bytes]:
    size = _SIZE.pack
    return [_NULL if value is None else size(len(raw := value.encode())) + raw for value in values]


_PACKS: Mapping[str, Callable[[Any], list[bytes]]] = {
    "int8": _int8s, "int4": _int4s, "bool": _bools, "bytea": _byteas, "text": _texts,
}  # fmt: skip


def find(
    connection: Connection,
    columns: "Sequence[Column[Any]]",
    key: "Column[Any]",
    keys: Sequence[object],
    **where: object,
) -> list[Any]:
    """Return these columns, as plain tuples, of the rows whose `key` is one of `keys` and whose others are as `where` says.

    `key` and `where` together begin an index: each key is looked for in it, however old the table's statistics are.
    """
    if not keys:
        return []
    quote = connection.dialect.identifier_preparer.quote
    wanted = ", ".join(quote(one.name) for one in columns)
    table = _name(connection, key.table)
    if connection.dialect.name == "sqlite":
        fixed = "".join(f"{quote(name)} = ? AND " for name in where)
        found: list[Any] = []
        for at in range(0, len(keys), ASKED_MAX):
            asked = keys[at : at + ASKED_MAX]
            if isinstance(key.type, LargeBinary):
                asked = [bytearray(one) for one in asked]  # type: ignore[call-overload]  # a column of bytes is asked for bytes
            marks = ", ".join("?" * len(asked))
            statement = f"SELECT {wanted} FROM {table} WHERE {fixed}{quote(key.name)} IN ({marks})"  # noqa: S608 - fixed names of our own
            found += _rows(connection, statement, (*where.values(), *asked))
        return found
    kind = _kind(key)
    fixed = "".join(f"{quote(name)} = %s AND " for name in where)
    # OFFSET 0 keeps the inner query whole: one walk down the index a key, never a join over the table.
    statement = (
        f"SELECT {wanted} FROM unnest(CAST(%s AS {kind}[])) AS asked (one) CROSS JOIN LATERAL "  # noqa: S608 - fixed names of our own
        f"(SELECT {wanted} FROM {table} WHERE {fixed}{quote(key.name)} = asked.one OFFSET 0) AS found"
    )
    return _rows(connection, statement, (array(keys), *where.values()))


def _rows(connection: Connection, statement: str, values: tuple[object, ...]) -> list[Any]:
    """Return rows as the driver gives them: SQLAlchemy's own cost as much as all the rest."""
    with connection.exec_driver_sql(statement, values) as result:
        assert result.cursor is not None, "a query"
        return list(result.cursor.fetchall())


def prepare(round_: Round, tables: Sequence[Table]) -> Callable[[], None]:
    """Ready a transaction for many rows: asks in its first round, and returns what is to be called behind that.

    PostgreSQL looks at tables that grew far since it last did. It would within minutes by itself; until then it takes a
    table for small and any index for as good as another: the first list of a new centre would be looked up row by row.
    And it keeps the plan by which a foreign key is checked: made anew for each row, it takes half of the time.
    """
    grown: list[str] = []
    connection = round_.connection
    if connection.dialect.name == "postgresql":
        names = array([table.name for table in tables])
        round_.add(_PLANS.ask())
        asked = _GROWN.ask(names=names, unknown=UNKNOWN_PAGES, times=GROWN_TIMES)
        round_.add(asked, lambda rows: grown.extend(row.name for row in rows))

    def look() -> None:
        for name in grown:
            # Who is looking at it already does so for us.
            quoted = connection.dialect.identifier_preparer.quote(name)
            connection.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {quoted}")

    return look


UNKNOWN_PAGES = 8
"""Of a table nobody looked at yet: from here on it matters which index is taken."""
GROWN_TIMES = 100
"""What PostgreSQL knows of a table it scales by the table's size; only what is true of few rows alone misleads it."""
_PLANS = Statement("", postgresql="SET LOCAL plan_cache_mode = auto")
_GROWN = Statement(
    "",
    "name",
    postgresql="""
SELECT relname FROM pg_class
WHERE oid = ANY(CAST(CAST(:names AS text[]) AS regclass[]))
  AND pg_relation_size(oid) > 8192 * CASE WHEN relpages = 0 THEN :unknown ELSE :times * CAST(relpages AS bigint) END
ORDER BY relname
""",
)


def _kind(column: "Column[Any]") -> str:
    return next((name for type_, name in _KINDS if isinstance(column.type, type_)), "text")


def _name(connection: Connection, table: Any) -> str:
    return connection.dialect.identifier_preparer.format_table(table)


def _into(connection: Connection, table: Table, names: Iterable[str]) -> str:
    quote = connection.dialect.identifier_preparer.quote
    return f"{_name(connection, table)} ({', '.join(quote(name) for name in names)})"
