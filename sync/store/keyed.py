"""Statements that look for many keys at once, in a few shapes only.

`IN` with as many values as there happen to be is a new statement each time: SQLAlchemy writes it anew, and the database
reads and plans it anew. Here the list is filled up to one of a few lengths by naming its last key again.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, column, text

SHAPES = (4, 16, 64, 256)
"""Keys of one statement; more are asked for by several. Up to four times as many as needed are cheap to name twice."""


class Keyed:
    """A query with `IN (:keys)` in it. `columns`: the names of what it returns, so that nobody looks each time."""

    def __init__(self, sql: str, *columns: str) -> None:
        self._shapes = [
            (
                names,
                text(sql.replace(":keys", ", ".join(f":{name}" for name in names))).columns(
                    *map(column, columns)
                ),
            )
            for names in (tuple(f"key_{number}" for number in range(size)) for size in SHAPES)
        ]

    def rows(self, connection: Connection, keys: Sequence[object], **more: object) -> list[Any]:
        """Return the rows of these keys; `more` are the query's other values. No keys, no rows."""
        found: list[Any] = []
        for start in range(0, len(keys), SHAPES[-1]):
            some = keys[start : start + SHAPES[-1]]
            names, statement = next(one for one in self._shapes if len(one[0]) >= len(some))
            values: dict[str, object] = dict.fromkeys(names, some[-1])
            values.update(zip(names, some, strict=False))  # what is left over stays the last key
            values.update(more)
            found += connection.execute(statement, values).all()
        return found
