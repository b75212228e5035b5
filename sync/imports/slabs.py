"""Many rows in one statement, as each engine takes them fastest.

SQLite runs one prepared statement row by row. PostgreSQL takes rows by COPY; what is looked up comes to it as one
array, since a list of thousands of parameters is parsed and planned anew each time, for longer than it runs.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, LargeBinary, Table, text

ASKED_MAX = 10_000
"""Values in one statement; SQLite takes 32,766 (SQLITE_MAX_VARIABLE_NUMBER)."""
_KINDS = ((LargeBinary, "bytea"), (Boolean, "bool"), (BigInteger, "int8"), (Integer, "int4"))
"""How PostgreSQL writes what SQLAlchemy calls so; all else is text."""


def add(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Insert rows, their values in the order of `names`. IntegrityError where one is there already."""
    if not rows:
        return
    columns = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in names)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {_name(connection, table)} ({columns}) VALUES ({marks})"  # noqa: S608 - fixed names of our own
        connection.exec_driver_sql(statement, [tuple(row) for row in rows])
        return
    driver = connection.connection.dbapi_connection
    assert driver is not None, "in a transaction"
    statement = f"COPY {_name(connection, table)} ({columns}) FROM STDIN (FORMAT BINARY)"
    with driver.cursor().copy(statement) as copy:
        copy.set_types([_kind(table.c[name]) for name in names])
        write = copy.write_row
        for row in rows:
            write(row)


def find(
    connection: Connection,
    columns: "Sequence[Column[Any]]",
    key: "Column[Any]",
    keys: Sequence[object],
    **where: object,
) -> list[Any]:
    """Return these columns of the rows whose `key` is one of `keys` and whose other columns are as `where` says.

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
            found += connection.exec_driver_sql(statement, (*where.values(), *asked)).all()
        return found
    kind = _kind(key)
    fixed = "".join(f"{quote(name)} = %s AND " for name in where)
    # OFFSET 0 keeps the inner query whole: one walk down the index a key, never a join over the table.
    statement = (
        f"SELECT {wanted} FROM unnest(%b::{kind}[]) AS asked (one) CROSS JOIN LATERAL "  # noqa: S608 - fixed names of our own
        f"(SELECT {wanted} FROM {table} WHERE {fixed}{quote(key.name)} = asked.one OFFSET 0) AS found"
    )
    return list(connection.exec_driver_sql(statement, (list(keys), *where.values())).all())


def know_sizes(connection: Connection, tables: Sequence[Table]) -> None:
    """Let PostgreSQL look at tables that grew far since it last did; ask before anything else of a transaction.

    It would within minutes by itself. Until then it takes a table for small and any index for as good as another:
    the first list of a new centre would be looked up row by row.
    """
    if connection.dialect.name == "sqlite":
        return
    names = [table.name for table in tables]
    asked = {"names": names, "unknown": UNKNOWN_PAGES, "times": GROWN_TIMES}
    for name in connection.execute(_GROWN, asked).scalars():
        # Who is looking at it already does so for us.
        connection.exec_driver_sql(
            f"ANALYZE (SKIP_LOCKED) {connection.dialect.identifier_preparer.quote(name)}"
        )


UNKNOWN_PAGES = 8
"""Of a table nobody looked at yet: from here on it matters which index is taken."""
GROWN_TIMES = 100
"""What PostgreSQL knows of a table it scales by the table's size; only what is true of few rows alone misleads it."""
_GROWN = text("""
SELECT relname FROM pg_class
WHERE oid = ANY(CAST(:names AS regclass[]))
  AND pg_relation_size(oid) > 8192 * CASE WHEN relpages = 0 THEN :unknown ELSE :times * CAST(relpages AS bigint) END
ORDER BY relname
""")


def _kind(column: "Column[Any]") -> str:
    return next((name for type_, name in _KINDS if isinstance(column.type, type_)), "text")


def _name(connection: Connection, table: Any) -> str:
    return connection.dialect.identifier_preparer.format_table(table)
