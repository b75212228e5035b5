"""The two engines: how each is connected to, when its transactions begin, and what its failures mean."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

WRITES = "gatehouse_writes"
"""Execution option of a connection that is going to write."""
BUSY_S = 10.0
"""Longest wait for another transaction: the command line beside the server, another replica."""
CACHE_KIB = 32 * 1024
"""Of one SQLite connection; filled only by what it touches. Presence is written where its tickets lie, all over."""
WAL_PAGES = 65_536
"""256 MiB of SQLite's log before it is carried into the file: a page written fifty times goes there once."""
STATEMENT_S = 60
"""Longest statement on PostgreSQL: a million tickets are read in ten."""
IDLE_S = 60
"""PostgreSQL ends a transaction whose replica says nothing for so long, and others get its locks."""
CONNECT_S = 5
CONNECTIONS = 16
"""Of one replica to PostgreSQL, whose default is 100 in all: the threads of `Database`, and those that build lists."""
TRUSTED_S = 1.0
"""A connection quiet for longer is asked whether it still stands, before it is used."""

_SERVER_SETTINGS = {
    "synchronous_commit": "on",  # what was answered is on the disk, whatever the server's own default says
    "statement_timeout": f"{STATEMENT_S}s",
    "lock_timeout": f"{BUSY_S:.0f}s",
    "idle_in_transaction_session_timeout": f"{IDLE_S}s",
    "jit": "off",  # compiling a statement takes longer than any of ours
    "timezone": "UTC",
    "client_min_messages": "warning",
}


class CentreFault(Exception):
    """The centre cannot go on. `hint` tells the operator the next step."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


class DatabaseFault(CentreFault):
    """The database cannot be had right now; the same again may work in a moment."""


def sqlite(path: Path) -> Engine:
    """WAL, and transactions that begin when we say so: Python's driver begins them late and by guess."""
    engine = create_engine(
        f"sqlite:///{path}",
        hide_parameters=True,
        pool_use_lifo=True,  # the connection used last has the pages in its cache
        connect_args={"timeout": BUSY_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def postgresql(url: str) -> Engine:
    """Connect when first asked, at most `CONNECTIONS` times. ArgumentError for a URL of something else."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise ArgumentError("not PostgreSQL")
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_use_lifo=True,  # the others may go to sleep
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=BUSY_S,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "gatehouse-sync",
            "options": " ".join(f"-c {name}={value}" for name, value in _SERVER_SETTINGS.items()),
        },
    )

    @event.listens_for(engine, "checkin")
    def given_back(_connection: Any, record: Any) -> None:
        record.info["used_s"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used_s", 0.0) < TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the server was away") from error  # the pool connects anew

    return engine


def name_of(engine: Engine) -> str:
    """Return how people know the database: without a password."""
    url = engine.url
    return str(url.database) if engine.dialect.name == "sqlite" else url.render_as_string(hide_password=True)


_BUSY_SQLITE = frozenset({"SQLITE_BUSY", "SQLITE_FULL"})
_AWAY = ("08", "53", "57", "58")
"""SQLSTATE classes: no connection · out of memory, disk or connections · stopped by somebody, or took too long · I/O."""
_LOCKED = "55P03"
_AGAIN = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock: PostgreSQL asks for the same again."""


@contextmanager
def faults(engine: Engine) -> Iterator[None]:
    """Say in the operator's words when the database cannot be had; whatever else went wrong goes through."""
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseFault(
            f"all {CONNECTIONS} connections to the database {name_of(engine)} are in use",
            "Try again in a moment; where it stays so, look for what PostgreSQL waits for (pg_stat_activity).",
        ) from error
    except DBAPIError as error:
        if not _is_away(error):
            raise
        if isinstance(error.orig, sqlite3.Error):
            hint = "Free some space on its disk; where it is locked, end the other command that uses it."
        else:
            hint = "Start PostgreSQL, or see its log; the centre goes on by itself as soon as it answers."
        raise DatabaseFault(
            f"the database {name_of(engine)} does not answer: {_first_line(error)}", hint
        ) from error


def is_again(error: DBAPIError) -> bool:
    """Whether a transaction was ended so that another could go on, and the same may just be tried again."""
    return getattr(error.orig, "sqlstate", None) in _AGAIN


def _is_away(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorname", "") in _BUSY_SQLITE
    state = getattr(error.orig, "sqlstate", None)
    if (
        state is None
    ):  # the server's answer never came: psycopg's own words for a connection that failed or broke
        return error.connection_invalidated or type(error.orig).__name__ == "OperationalError"
    return error.connection_invalidated or state == _LOCKED or state.startswith(_AWAY)


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0]
