"""Each engine's own way to copy a database while it is used, and to put the copy back."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect, make_url

from sync.store.engines import CentreFault, faults, postgresql

SQLITE_FILE = "centre.sqlite3"
POSTGRESQL_FILE = "centre.pgdump"
PROGRAM_S = 4 * 3600
"""Longest a dump or a restore may take."""


def copy_sqlite(database: Path, to: Path) -> None:
    """Copy the file as it is at one moment, whoever writes meanwhile (SQLite, Online Backup API)."""
    if not database.exists():
        raise CentreFault(f"there is no centre in {database.parent}", "Name its data folder with --data.")
    try:
        with (
            closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as here,
            closing(sqlite3.connect(to)) as there,
        ):
            here.backup(there)
            there.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
    except sqlite3.Error as error:
        raise CentreFault(
            f"{database} cannot be copied to {to}: {error}",
            "Free some space there, or choose another folder.",
        ) from error


def check_sqlite(file: Path) -> str:
    """Return the revision of a copy's tables; CentreFault where it is damaged."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as copy:
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise CentreFault(f"{file} is damaged: {found}", "Take another backup.")
            return str(copy.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except sqlite3.Error as error:
        raise CentreFault(f"{file} is damaged: {error}", "Take another backup.") from error


def dump_postgresql(url: str, to: Path) -> None:
    """Write a dump of PostgreSQL's custom format, of one moment, whoever writes meanwhile."""
    _run("pg_dump", ["--format=custom", "--no-owner", "--no-privileges", f"--file={to}"], url)


def check_postgresql(file: Path) -> None:
    """Read a dump's contents; CentreFault where that cannot be."""
    _run("pg_restore", ["--list", str(file)], "")


def restore_postgresql(url: str, file: Path) -> None:
    """Put a dump in the place of what the database holds, all of it or nothing.

    Tables that the dump does not have are gone before: a later version made them, and they may hold on to what is replaced.
    """
    _drop_later(url, _tables_in(file))
    options = [
        "--clean",
        "--if-exists",
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
    ]
    _run("pg_restore", [*options, "--dbname", make_url(url).database or "", str(file)], url)


def _tables_in(file: Path) -> frozenset[str]:
    """Return the tables of a dump, by its table of contents: `215; 1259 16389 TABLE public event gatehouse`."""
    lines = [line.split() for line in _run("pg_restore", ["--list", str(file)], "").splitlines()]
    return frozenset(line[5] for line in lines if line[3:4] == ["TABLE"] and line[4:5] != ["DATA"])


def _drop_later(url: str, kept: frozenset[str]) -> None:
    engine = postgresql(url)
    try:
        with faults(engine), engine.begin() as connection:
            quote = connection.dialect.identifier_preparer.quote
            for name in sorted(set(inspect(connection).get_table_names()) - kept):
                connection.exec_driver_sql(f"DROP TABLE {quote(name)} CASCADE")
    finally:
        engine.dispose()


def _run(program: str, arguments: list[str], url: str) -> str:
    """Return what a program printed; CentreFault where it failed."""
    found = shutil.which(program)
    if found is None:
        raise CentreFault(
            f"{program} is not installed",
            "Install PostgreSQL's client programs, of the server's version or newer (Debian: postgresql-client).",
        )
    done = subprocess.run(
        [found, *arguments], env={**os.environ, **_connection(url)}, capture_output=True, text=True, check=False,
        timeout=PROGRAM_S,
    )  # fmt: skip
    if done.returncode:
        raise CentreFault(
            f"{program} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}",
            "See that the server runs, that its version is not newer than the program's, and that the disk has room.",
        )
    return done.stdout


def _connection(url: str) -> Mapping[str, str]:
    """Return a database's URL as libpq's environment: a password is on no command line."""
    if not url:
        return {}
    parsed = make_url(url)
    host = parsed.host or parsed.query.get("host", "")
    said = {
        "PGHOST": host if isinstance(host, str) else ",".join(host),
        "PGPORT": str(parsed.port or ""),
        "PGUSER": parsed.username or "",
        "PGPASSWORD": str(parsed.password or ""),
        "PGDATABASE": parsed.database or "",
    }
    return {name: value for name, value in said.items() if value}
