"""The database: opened, migrated, and used by short transactions from a small pool of threads.

SQLite is a file in the data folder. PostgreSQL is named by a URL; then several replicas share it. Everything outside
this file and the ingest statements is written once for both.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import TypeVar

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError

from sync.store.engines import (
    STATEMENT_S,
    WRITES,
    CentreFault,
    DatabaseFault,
    faults,
    is_again,
    name_of,
    postgresql,
    sqlite,
)

__all__ = ["FILE", "NEWEST", "CentreFault", "Database", "upgrade"]

FILE = "centre.sqlite3"
THREADS = 4
"""SQLite has one writer, with a thread of its own: whoever waits to write keeps nobody from reading."""
THREADS_POSTGRESQL = 8
"""Enough to keep one machine's disk busy; more only take turns on two cores."""
TRIES = 5
"""How often a transaction begins that PostgreSQL ended so that another could go on (deadlock)."""
MIGRATION_LOCK = 0x6761_7465
"""PostgreSQL's advisory lock of the replica that migrates; any number of our own."""

NEWEST = "0023"
"""The revision of the tables that this code means, the last of `sync.store.migrations`."""

Result = TypeVar("Result")
BeforeUpgrade = Callable[[str], None]


class Database:
    """One database. `close` it when done."""

    def __init__(self, engine: Engine, threads: int) -> None:
        """Use `Database.open`."""
        self._engine = engine
        self._threads = ThreadPoolExecutor(threads, "database")
        self._writers = self._threads if self.is_postgresql else ThreadPoolExecutor(1, "database-writer")
        self._uses = 0
        self._closed = False
        self._unused = Condition()
        self.on_written: list[Callable[[], None]] = []
        """Called after each transaction of ours that may have changed a list, in the thread that made it."""

    @classmethod
    def open(cls, data: Path, url: str = "", before_upgrade: BeforeUpgrade | None = None) -> "Database":
        """Open the database and bring its tables up to date; CentreFault where it cannot be.

        `url`: of a PostgreSQL database; without one it is a SQLite file in the data folder. `before_upgrade`: runs
        before tables that stand are changed, and keeps them as they are by raising CentreFault.
        """
        try:
            engine = postgresql(url) if url else sqlite(data / FILE)
        except (ArgumentError, NoSuchModuleError) as error:
            raise CentreFault(
                "the database's URL cannot be read", "Give --database postgresql+psycopg://USER@HOST/NAME."
            ) from error
        name = name_of(engine)
        try:
            with faults(engine):
                upgrade(engine, before_upgrade)
        except CentreFault:
            engine.dispose()
            raise
        except DatabaseError as error:
            engine.dispose()
            hint = (
                "Let this user make tables in it, or name another with --database."
                if url
                else "Make the folder writable for this user, or give another one with --data; restore a damaged "
                "database from the backup."
            )
            raise CentreFault(f"the database {name} cannot be opened: {error.orig}", hint) from error
        return cls(engine, THREADS_POSTGRESQL if url else THREADS)

    def close(self) -> None:
        """Wait for who still uses it, then give the file, or the connections, back."""
        self._threads.shutdown()
        self._writers.shutdown()
        with self._unused:
            self._closed = True
            self._unused.wait_for(lambda: not self._uses, STATEMENT_S)
        self._engine.dispose()

    @contextmanager
    def _connected(self, **options: object) -> Iterator[Connection]:
        """Take a connection; DatabaseFault where it cannot be had, or the database is closed."""
        with self._unused:
            if self._closed:
                raise DatabaseFault("the database is closed", "Start the centre again.")
            self._uses += 1
        try:
            with faults(self._engine), self._engine.connect().execution_options(**options) as connection:
                yield connection
        finally:
            with self._unused:
                self._uses -= 1
                self._unused.notify_all()

    @property
    def is_postgresql(self) -> bool:
        """Whether several replicas may share it."""
        return self._engine.dialect.name == "postgresql"

    @property
    def url(self) -> str:
        """Where it is, with its password: for a connection outside the pool."""
        return self._engine.url.render_as_string(hide_password=False)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Look at one consistent state. CentreFault while the database cannot be had."""
        options = (
            {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.is_postgresql else {}
        )
        with self._connected(**options) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction; undone by any exception. CentreFault while the database cannot be had.

        On SQLite it is alone in writing from its start. On PostgreSQL others write too: whoever looks before it
        writes takes its place in a queue first (`sync.tickets.changes.change`, `sync.store.schema.queue`).
        """
        with self._writing() as connection:
            yield connection
        self._tell()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._connected(**{WRITES: True}) as connection, connection.begin():
            yield connection

    def _tell(self) -> None:
        for written in tuple(self.on_written):
            written()

    def transact(
        self, work: Callable[[Connection], Result], is_told: Callable[[Result], bool] = lambda _: True
    ) -> Result:
        """Run `work` in one transaction, again where PostgreSQL ended it for another's sake. Blocks.

        `is_told`: whether what came of it may have changed a list, so that `on_written` is called.
        """
        result = self._transacted(work)
        if is_told(result):
            self._tell()
        return result

    def _transacted(self, work: Callable[[Connection], Result]) -> Result:
        for _ in range(TRIES - 1):
            try:
                with self._writing() as connection:
                    return work(connection)
            except DatabaseError as error:
                if not is_again(error):
                    raise
        with self._writing() as connection:
            return work(connection)

    async def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a thread, on one consistent state."""

        def run() -> Result:
            with self.reading() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    async def write(
        self, work: Callable[[Connection], Result], is_told: Callable[[Result], bool] = lambda _: True
    ) -> Result:
        """Run `work` in a thread, in one transaction; it may run more than once, and counts once. `is_told`: as `transact`."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, self.transact, work, is_told)


def upgrade(engine: Engine, before: BeforeUpgrade | None = None) -> None:
    """Bring the tables up to date, in one transaction. Replicas that start together take turns.

    `before`: told the revision of tables that stand, before they change.
    """
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # a large table takes its time
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        revision = _revision(connection)
        if revision == NEWEST:
            return
        if before is not None and revision is not None:
            before(revision)
        from sync.store.migrate import migrate  # noqa: PLC0415 - costs 0.2 s and 10 MB where there is nothing to do

        migrate(connection, NEWEST)


def _revision(connection: Connection) -> str | None:
    """Return the revision of the tables that stand; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
