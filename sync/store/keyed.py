"""Statements that look for many keys at once, in a few shapes only, each key by the index that it is the key of.

`IN` with as many values as there happen to be is a new statement each time. On SQLite the list is filled up to one of a
few lengths by naming its last key again. On PostgreSQL the keys are one array, and each is looked for by itself: of a
table that grew since it was last analyzed the planner thinks that few rows have the first column of the index, and
reads all that do.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from sync.store.together import Ask, Statement, array, together

SHAPES = (4, 16, 64, 256)
"""Keys of one statement; more are asked for by several. Up to four times as many as needed are cheap to name twice."""
KEYS_MAX = SHAPES[-1]
_WHERE = "IN (:keys)"
_ARRAYS = {int: "bigint", bytes: "bytea", str: "text"}


class Keyed:
    """A query with `IN (:keys)` in it. `columns`: the names of what it returns, in order.

    `postgresql`: where that is to be told in which order it looks for things.
    """

    def __init__(self, sql: str, *columns: str, postgresql: str = "") -> None:
        assert _WHERE in sql, "that is where the keys go"
        self._shapes: list[tuple[tuple[str, ...], Statement]] = []
        for size in SHAPES:
            names = tuple(f"key_{number}" for number in range(size))
            keys = ", ".join(f":{name}" for name in names)
            self._shapes.append((names, Statement(sql.replace(":keys", keys), *columns)))
        one = (postgresql or sql).replace(_WHERE, "= wanted.key")
        self._arrays = {
            kind: Statement(
                # OFFSET 0 keeps the planner from turning it around: from the keys to the rows, never the other way.
                f"SELECT found.* FROM unnest(CAST(:keys AS {name}[])) AS wanted(key)"  # noqa: S608 - fixed names
                f" CROSS JOIN LATERAL ({one} OFFSET 0) AS found",
                *columns,
            )
            for kind, name in _ARRAYS.items()
        }

    def ask(self, connection: Connection, keys: Sequence[object], **more: object) -> Ask:
        """Return what asks for the rows of these keys, 1 to `KEYS_MAX`; `more` are the query's other values."""
        assert 0 < len(keys) <= KEYS_MAX, "asked for by several"
        if connection.dialect.name == "postgresql":
            return Ask(self._arrays[type(keys[0])], {"keys": array(tuple(dict.fromkeys(keys))), **more})
        names, statement = next(one for one in self._shapes if len(one[0]) >= len(keys))
        values: dict[str, object] = dict.fromkeys(names, keys[-1])
        values.update(zip(names, keys, strict=False))  # what is left over stays the last key
        values.update(more)
        return Ask(statement, values)

    def rows(self, connection: Connection, keys: Sequence[object], **more: object) -> list[Any]:
        """Return the rows of these keys, however many; `more` are the query's other values. No keys, no rows."""
        asks = [
            self.ask(connection, keys[start : start + KEYS_MAX], **more)
            for start in range(0, len(keys), KEYS_MAX)
        ]
        return [row for rows in together(connection, asks) for row in rows]
