"""Backups of a centre: made while it serves, checked, and put back.

A restored centre is older than its gates. So each event's generation rises, by which gates tell its lists from those
of the centre that was lost; and the gates' records, which they keep for weeks, come in again by themselves.
"""

import shutil
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Connection, case, delete, inspect, literal, update

from sync import keys as venue_keys
from sync.accounts import tables as accounts
from sync.backup import engines, manifest
from sync.backup.manifest import Manifest
from sync.events import tables as events
from sync.gates import tables as gates
from sync.store.database import FILE, BeforeUpgrade, CentreFault, Database
from sync.store.engines import postgresql

GENERATIONS_FROM_S = 1_767_225_600
"""2026-01-01. A generation is the larger of one more than the backup's and of the seconds since then: two restores of
one backup never give the same one twice, and a 32-bit column lasts until 2094."""
KEPT_FOLDER = "backups"
"""In the data folder: what upgrades and restores put aside. Nothing there is ever deleted by us."""
KEPT_PER_SECOND_MAX = 100
"""Of one name; two in a second are a test's or a script's."""
_SERVING_FILE = "address"
_KNOCK_S = 1.0


class Restored(NamedTuple):
    """What a restore did. `aside`: where the data that stood there went, if there was any."""

    made: Manifest
    aside: Path | None


def make(data: Path, url: str, folder: Path, now_s: int) -> Manifest:
    """Write a backup into a folder that is not there yet; it gets its name when it is whole."""
    if folder.exists():
        raise CentreFault(f"{folder} is there already", "Name a new folder; a backup never overwrites one.")
    growing = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(growing, ignore_errors=True)  # of a run that was cut short
        growing.mkdir(mode=0o700, parents=True)
        made = _fill(growing, data, url, now_s)
        growing.rename(folder)
        manifest.sync_to_disk((folder.parent,))
    except OSError as error:
        raise CentreFault(
            f"the backup {folder} cannot be written: {error.strerror}",
            "Free some space, or choose another folder.",
        ) from error
    return made


def _fill(folder: Path, data: Path, url: str, now_s: int) -> Manifest:
    if url:
        name, engine = engines.POSTGRESQL_FILE, "postgresql"
        engines.dump_postgresql(url, folder / name)
        revision = _revision(url)
    else:
        name, engine = engines.SQLITE_FILE, "sqlite"
        engines.copy_sqlite(data / FILE, folder / name)
        revision = engines.check_sqlite(folder / name)
    files = [folder / name]
    keys = data / venue_keys.FILE
    if keys.exists():
        shutil.copyfile(keys, folder / venue_keys.FILE)
        (folder / venue_keys.FILE).chmod(0o600)
        files.append(folder / venue_keys.FILE)
    manifest.sync_to_disk(files)
    parts = tuple(manifest.part(path) for path in files)
    made = Manifest(
        engine="postgresql" if engine == "postgresql" else "sqlite",
        revision=revision,
        made_at_s=now_s,
        parts=parts,
    )
    manifest.write(folder, made)
    return made


def check(folder: Path) -> Manifest:
    """Return what a backup says of itself, once all of it could be read; CentreFault where it could not."""
    made = manifest.read(folder)
    names = {one.name for one in made.parts}
    if made.engine == "sqlite":
        if engines.check_sqlite(folder / engines.SQLITE_FILE) != made.revision:
            raise CentreFault(
                f"{folder} holds tables of another version than it says", "Take another backup."
            )
    else:
        engines.check_postgresql(folder / engines.POSTGRESQL_FILE)
    if venue_keys.FILE in names:
        try:
            msgspec.json.decode((folder / venue_keys.FILE).read_bytes())
        except msgspec.DecodeError as error:
            raise CentreFault(
                f"the keys in {folder} cannot be read: {error}", "Take another backup."
            ) from error
    return made


def restore(data: Path, url: str, folder: Path, now_s: int, *, replaces: bool) -> Restored:
    """Put a backup in the place of a centre's data, and raise the generation of every event.

    CentreFault where data is there and nobody said that it may go, or while a centre serves it. What was there is
    put aside, not deleted. The tables are brought up to date.
    """
    made = check(folder)
    if (made.engine == "postgresql") != bool(url):
        raise CentreFault(
            f"this is a backup of {made.engine}",
            "Give --database for one of PostgreSQL, and none for one of SQLite.",
        )
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _is_serving(data):
        raise CentreFault("a centre is serving this data", "Stop it first (every replica), then restore.")
    stands = _has_tables(url) if url else (data / FILE).exists()
    if (stands or (data / venue_keys.FILE).exists()) and not replaces:
        raise CentreFault(
            f"there is data in {data} already",
            "Add --yes to put it aside and restore the backup in its place.",
        )
    aside = _put_aside(data, url, now_s) if stands or (data / venue_keys.FILE).exists() else None
    try:
        if url:
            _put_back(url, folder / engines.POSTGRESQL_FILE, aside)
        else:
            _copy(folder / engines.SQLITE_FILE, data / FILE)
        if any(one.name == venue_keys.FILE for one in made.parts):
            _copy(folder / venue_keys.FILE, data / venue_keys.FILE)
    except OSError as error:
        raise CentreFault(
            f"the backup cannot be put into {data}: {error.strerror}",
            f"Free some space and restore again{'' if aside is None else f'; what was there is in {aside}'}.",
        ) from error
    database = Database.open(data, url)
    try:
        database.transact(lambda connection: _renew(connection, now_s))
    finally:
        database.close()
    return Restored(made, aside)


def _put_back(url: str, dump: Path, aside: Path | None) -> None:
    try:
        engines.restore_postgresql(url, dump)
    except CentreFault as fault:
        hint = (
            fault.hint
            if aside is None
            else f"{fault.hint} What was there is in {aside}: restore that to have it."
        )
        raise CentreFault(str(fault), hint) from fault


def before_upgrade(data: Path, url: str) -> BeforeUpgrade:
    """Return what is to run before a centre's tables are changed: a backup beside them."""

    def keep(revision: str) -> None:
        make(data, url, _kept(data, f"before-upgrade-of-{revision}", int(time.time())), int(time.time()))

    return keep


def _renew(connection: Connection, now_s: int) -> None:
    """Make lists a new generation; nobody stays signed in, and no enrolment code of that time works again."""
    e = events.event.c
    least = literal(now_s - GENERATIONS_FROM_S)
    risen = case((e.generation + 1 > least, e.generation + 1), else_=least)
    connection.execute(update(events.event).values(generation=risen))
    connection.execute(delete(gates.enrolment_code))
    connection.execute(delete(accounts.signed_in))


def _put_aside(data: Path, url: str, now_s: int) -> Path:
    aside = _kept(data, "before-restore", now_s)
    if url:
        make(data, url, aside, now_s)
    else:
        aside.mkdir(mode=0o700, parents=True)
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", venue_keys.FILE):
            if (data / name).exists():
                (data / name).rename(aside / name)
        manifest.sync_to_disk((aside, data))
    return aside


def _kept(data: Path, what: str, now_s: int) -> Path:
    folder = data / KEPT_FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CentreFault(
            f"{folder} cannot be made: {error.strerror}",
            "Make room for it: what is changed is put aside there first.",
        ) from error
    name = f"{datetime.fromtimestamp(now_s, UTC):%Y%m%dT%H%M%SZ}-{what}"
    numbered = (name, *(f"{name}-{number}" for number in range(2, KEPT_PER_SECOND_MAX)))
    return next((folder / one for one in numbered if not (folder / one).exists()), folder / name)


def _copy(from_: Path, to: Path) -> None:
    new = to.with_name(to.name + ".new")
    shutil.copyfile(from_, new)
    new.chmod(0o600)
    manifest.sync_to_disk((new,))
    new.rename(to)
    manifest.sync_to_disk((to.parent,))


def _is_serving(data: Path) -> bool:
    """Whether the process that wrote the address file still listens there; a crash leaves the file behind."""
    try:
        parts = urlsplit((data / _SERVING_FILE).read_text())
        with socket.create_connection((parts.hostname or "", parts.port or 0), _KNOCK_S):
            return True
    except (OSError, ValueError):
        return False


def _has_tables(url: str) -> bool:
    engine = postgresql(url)
    try:
        with engine.connect() as connection:
            return inspect(connection).has_table("event")
    finally:
        engine.dispose()


def _revision(url: str) -> str:
    engine = postgresql(url)
    try:
        with engine.connect() as connection:
            return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
    finally:
        engine.dispose()
