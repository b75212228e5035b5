"""The database: opened, migrated, and used by short transactions from a small pool of threads."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import alembic.command
import alembic.config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DatabaseError

FILE = "centre.sqlite3"
THREADS = 4
"""SQLite has one writer; more threads would only wait for it."""
BUSY_S = 10.0
"""Longest wait for another process's transaction (the command line beside the server)."""

MIGRATIONS = Path(__file__).parent / "migrations"

Result = TypeVar("Result")


class CentreFault(Exception):
    """The centre cannot go on. `hint` tells the operator the next step."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


class Database:
    """One database file. `close` it when done."""

    def __init__(self, engine: Engine) -> None:
        """Use `Database.open`."""
        self._engine = engine
        self._threads = ThreadPoolExecutor(THREADS, "database")

    @classmethod
    def open(cls, data: Path) -> "Database":
        """Open the database in a data folder and bring its tables up to date; CentreFault where it cannot be."""
        path = data / FILE
        engine = _sqlite(path)
        try:
            upgrade(engine)
        except CommandError as error:
            engine.dispose()
            raise CentreFault(
                f"the database {path} was made by another version: {error}",
                "Install that version of gatehouse again, or restore the backup made before it.",
            ) from error
        except DatabaseError as error:
            engine.dispose()
            raise CentreFault(
                f"the database {path} cannot be opened: {error.orig}",
                "Make the folder writable for this user, or give another one with --data; restore a damaged "
                "database from the backup.",
            ) from error
        return cls(engine)

    def close(self) -> None:
        """End the threads and give the file back."""
        self._threads.shutdown()
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Look at one consistent state."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, alone in writing from its start; undone by any exception."""
        with self._engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
            yield connection

    async def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a thread, on one consistent state."""

        def run() -> Result:
            with self.reading() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    async def write(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a thread, in one transaction."""

        def run() -> Result:
            with self.writing() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)


def upgrade(engine: Engine) -> None:
    """Bring the tables up to date, in one transaction."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")


_WRITES = "gatehouse_writes"


def _sqlite(path: Path) -> Engine:
    """WAL, and transactions that begin when we say so: Python's driver begins them late and by guess."""
    engine = create_engine(
        f"sqlite:///{path}",
        hide_parameters=True,
        connect_args={"timeout": BUSY_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
