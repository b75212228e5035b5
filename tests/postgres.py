"""A PostgreSQL server of Debian's package, for as long as tests or measurements last; on a Unix socket only."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg

USER = "gatehouse"
UNPRIVILEGED = "postgres"
"""initdb refuses to run as root."""
READY = b"database system is ready to accept connections"
FORGETFUL = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",  # it may be in memory
    "max_wal_size": "64MB",
}
"""For tests that are not about what a power cut leaves: a commit costs nothing."""
COPIES_FILES = 15
"""From this version on a database is copied through the log, page by page, unless told otherwise."""


def programs() -> Path | None:
    """Return the folder of the newest PostgreSQL installed; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda one: int(one.parts[-3]))
    return found[-1].parent if found else None


class Postgres:
    """One server with a folder of its own. `start`, then `stop` or `stop_hard`, as often as a test likes."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._programs = programs()
        assert self._programs is not None, "install postgresql"
        self.folder = folder
        self._settings = {} if durable else FORGETFUL
        self._server: subprocess.Popen[bytes] | None = None
        self._as: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam(UNPRIVILEGED)
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        made = ["--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run("initdb", "-D", str(folder / "data"), *made)

    def _run(self, program: str, *arguments: str) -> None:
        assert self._programs is not None
        command = [*self._as, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        assert self._programs is not None
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), **self._settings}
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # Where this process is killed, the server goes too.
        bound = ["setpriv", "--pdeathsig=INT", *self._as[1:]]
        command = [*bound, str(self._programs / "postgres"), "-D", str(self.folder / "data"), *given]
        self._server = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=self.folder)
        assert self._server.stderr is not None
        said: list[bytes] = []
        for line in self._server.stderr:
            said.append(line)
            if READY in line:
                threading.Thread(target=_drain, args=(self._server.stderr,), daemon=True).start()
                return
        raise AssertionError(b"".join(said).decode())

    def stop(self) -> None:
        """Stop it in an orderly way."""
        self._stop(signal.SIGINT)

    def stop_hard(self) -> None:
        """Stop it as a crash would: nothing is finished, no connection is told."""
        self._stop(signal.SIGQUIT)

    def _stop(self, how: signal.Signals) -> None:
        # Not by pg_ctl, which fails where it is on its way out already: one that a thread started goes when that thread ends.
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait()

    def url(self, name: str) -> str:
        """Return the URL of a database, as `gatehouse-sync --database` takes it."""
        return f"postgresql+psycopg://{USER}@/{name}?host={self.folder}"

    def make(self, name: str, template: str = "template0") -> str:
        """Make a database as a copy of another, and return its URL."""
        assert self._programs is not None
        how = " STRATEGY file_copy" if int(self._programs.parent.name) >= COPIES_FILES else ""
        self._say(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{how}')
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever still uses it."""
        self._say(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _say(self, sql: str) -> None:
        with psycopg.connect(
            f"user={USER} dbname=postgres host={self.folder}", autocommit=True
        ) as connection:
            connection.execute(sql.encode())


def _drain(said: IO[bytes]) -> None:
    with said:
        for _ in said:
            pass


@contextmanager
def postgres(*, durable: bool = False, folder: Path | None = None) -> Iterator[Postgres]:
    """A server that is gone afterwards. `folder`: on the file system that a measurement is about."""
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder))
    server = Postgres(home, durable=durable)
    server.start()
    try:
        yield server
    finally:
        server.stop_hard()
        shutil.rmtree(home, ignore_errors=True)
