"""Dialects for tests, by which a statement is compiled once in a process: each centre of a test has an engine of its own."""

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine

_COMPILED: dict[Any, Any] = {}
"""SQLAlchemy's compiled statements, shared by all engines: the tables are the same."""


class _Alike:
    """Equal to any other of its class: SQLAlchemy looks up what was compiled by statement and dialect."""

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=_COMPILED)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class Sqlite(_Alike, SQLiteDialect_pysqlite):
    """SQLite as the product has it."""

    supports_statement_cache = True


class Postgresql(_Alike, PGDialect_psycopg):
    """PostgreSQL as the product has it; all servers of a run are of one version."""

    supports_statement_cache = True


def remember() -> None:
    """Have all engines that are made from now on share what was compiled."""
    registry.register("sqlite", __name__, "Sqlite")
    registry.register("postgresql.psycopg", __name__, "Postgresql")
