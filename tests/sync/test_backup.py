"""Backups: made while the centre works, checked, put back; and gates that know more than the centre that came back."""

import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command, config
from sqlalchemy import create_engine, select, text

from sync import compose
from sync.backup import archive, engines, manifest
from sync.events import rows, tables
from sync.keys import FILE as KEYS
from sync.store.database import FILE, CentreFault, Database
from sync.store.migrate import MIGRATIONS, migrate
from tests.sync.conftest import Home
from tests.sync.imports.house import EVENT, NOW_S, furnish

LATER_S = NOW_S + 3600


def filled(home: Home) -> Database:
    """A centre with one event, its keys beside it."""
    compose.open_centre(home.data, home.url).close()
    database = home.open()
    furnish(database)
    return database


def generations(home: Home) -> list[tuple[int, str]]:
    database = home.open()
    try:
        with database.reading() as connection:
            e = tables.event.c
            return [tuple(row) for row in connection.execute(select(e.generation, e.name).order_by(e.id))]
    finally:
        database.close()


def rename(database: Database, name: str) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE event SET name = :name"), {"name": name})


def test_a_backup_is_of_one_moment_and_comes_back_as_a_new_generation(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "kept" / "monday"
    database = filled(home)
    keys = (home.data / KEYS).read_bytes()
    made = archive.make(home.data, home.url, folder, NOW_S)
    assert {one.name for one in made.parts} == {manifest.part(path).name for path in folder.iterdir()} - {
        manifest.FILE
    }
    assert archive.check(folder) == made
    rename(database, "Changed since")
    database.close()
    (home.data / KEYS).write_bytes(b"lost")
    with pytest.raises(CentreFault, match="there is data") as fault:
        archive.restore(home.data, home.url, folder, LATER_S, replaces=False)
    assert "--yes" in fault.value.hint
    assert generations(home)[0][1] == "Changed since"
    done = archive.restore(home.data, home.url, folder, LATER_S, replaces=True)
    assert done.aside is not None
    assert any(done.aside.iterdir()), "what was there is kept"
    assert (home.data / KEYS).read_bytes() == keys
    assert generations(home) == [(LATER_S - archive.GENERATIONS_FROM_S, "Fest")]
    archive.restore(home.data, home.url, folder, LATER_S + 60, replaces=True)
    assert generations(home) == [(LATER_S + 60 - archive.GENERATIONS_FROM_S, "Fest")], (
        "never the same one twice"
    )


def test_a_generation_rises_even_where_the_clock_went_back(home: Home, tmp_path: Path) -> None:
    database = filled(home)
    with database.writing() as connection:
        connection.execute(text("UPDATE event SET generation = 2000000000"))
    database.close()
    archive.make(home.data, home.url, tmp_path / "kept", NOW_S)
    archive.restore(home.data, home.url, tmp_path / "kept", NOW_S - 10**6, replaces=True)
    assert generations(home)[0][0] == 2_000_000_001


def test_a_backup_goes_to_an_empty_place_without_a_question(tmp_path: Path) -> None:
    home = Home(tmp_path / "old", "")
    filled(home).close()
    archive.make(home.data, "", tmp_path / "kept", NOW_S)
    fresh = Home(tmp_path / "new", "")
    assert archive.restore(fresh.data, "", tmp_path / "kept", LATER_S, replaces=False).aside is None
    assert generations(fresh)[0][1] == "Fest"
    assert (fresh.data / KEYS).stat().st_mode & 0o777 == 0o600


def test_writers_go_on_while_it_is_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "centre", "")
    database = filled(home)
    with database.writing() as connection:
        rows.add_event(connection, EVENT.__class__(8), "Half done", "UTC")
        archive.make(home.data, "", tmp_path / "kept", NOW_S)  # beside a transaction that is open
    with sqlite3.connect(tmp_path / "kept" / engines.SQLITE_FILE) as copy:
        assert copy.execute("SELECT name FROM event").fetchall() == [("Fest",)]
    copy.close()
    database.close()


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    home = Home(tmp_path / "centre", "")
    filled(home).close()
    archive.make(home.data, "", tmp_path / "kept", NOW_S)
    return tmp_path / "kept"


def cut(folder: Path) -> None:
    path = folder / engines.SQLITE_FILE
    path.write_bytes(path.read_bytes()[:-1])


def turn(folder: Path) -> None:
    path = folder / KEYS
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize(
    "harm",
    [
        cut, turn, lambda folder: (folder / KEYS).unlink(), lambda folder: (folder / manifest.FILE).unlink(),
        lambda folder: (folder / manifest.FILE).write_text("{"), shutil.rmtree,
        lambda folder: (folder / manifest.FILE).write_text(
            (folder / manifest.FILE).read_text().replace(KEYS, f"../centre/{KEYS}")
        ),
    ],
)  # fmt: skip
def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_touched(backup: Path, harm: object) -> None:
    harm(backup)  # type: ignore[operator]  # one of the harms above
    data = backup.parent / "centre"
    before = (data / FILE).read_bytes(), (data / KEYS).read_bytes()
    with pytest.raises(CentreFault) as fault:
        archive.restore(data, "", backup, LATER_S, replaces=True)
    assert fault.value.hint
    assert ((data / FILE).read_bytes(), (data / KEYS).read_bytes()) == before


def test_a_backup_overwrites_nothing(backup: Path) -> None:
    before = (backup / manifest.FILE).read_bytes()
    with pytest.raises(CentreFault, match="there already"):
        archive.make(backup.parent / "centre", "", backup, LATER_S)
    assert (backup / manifest.FILE).read_bytes() == before


def test_nothing_is_restored_under_a_centre_that_serves(backup: Path) -> None:
    data = backup.parent / "centre"
    with socket.socket() as serving:
        serving.bind(("127.0.0.1", 0))
        serving.listen()
        (data / compose.ADDRESS_FILE).write_text(f"http://127.0.0.1:{serving.getsockname()[1]}")
        with pytest.raises(CentreFault, match="serving"):
            archive.restore(data, "", backup, LATER_S, replaces=True)
    archive.restore(data, "", backup, LATER_S, replaces=True)  # the file alone is what a crash leaves


def test_a_backup_of_the_other_engine_is_refused(backup: Path) -> None:
    with pytest.raises(CentreFault, match="backup of sqlite"):
        archive.restore(backup.parent / "x", "postgresql+psycopg://u@/x", backup, LATER_S, replaces=True)


def test_an_upgrade_backs_up_first(tmp_path: Path) -> None:
    data = old_centre(tmp_path / "centre")
    before = dump(data / FILE)
    done = subprocess.run(
        [sys.executable, "-m", "sync", "migrate", "--data", str(data)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (kept,) = (data / archive.KEPT_FOLDER).iterdir()
    assert kept.name.endswith("-before-upgrade-of-0003")
    assert archive.check(kept).revision == "0003"
    assert dump(kept / engines.SQLITE_FILE) == before
    compose.open_centre(data).close()
    assert len(list((data / archive.KEPT_FOLDER).iterdir())) == 1, "no upgrade, no backup"
    archive.restore(
        data, "", kept, LATER_S, replaces=True
    )  # and the old backup goes back in, brought up to date
    assert generations(Home(data, ""))[0][1] == "Old fest"


def test_a_backup_of_before_an_upgrade_takes_the_place_of_what_the_upgrade_made(
    older: Home, tmp_path: Path
) -> None:
    """To go back to the version of before, or to begin the upgrade anew: tables that the backup knows nothing of go."""
    engine = create_engine(older.url or f"sqlite:///{older.data / FILE}")
    with engine.begin() as connection:
        migrate(connection, "0016")
        rows.add_group(connection, "Venue", bytes(32))
        rows.add_event(connection, EVENT, "Fest", "UTC")
    engine.dispose()
    folder = tmp_path / "before"
    made = archive.make(older.data, older.url, folder, NOW_S)
    database = older.open()
    rename(database, "Changed since")
    database.close()
    done = archive.restore(older.data, older.url, folder, LATER_S, replaces=True)
    assert (made.revision, done.made) == ("0016", made)
    assert generations(older) == [(LATER_S - archive.GENERATIONS_FROM_S, "Fest")]


def test_no_upgrade_where_no_backup_can_be_made(tmp_path: Path) -> None:
    data = old_centre(tmp_path / "centre")
    (data / archive.KEPT_FOLDER).write_text("in the way")
    before = dump(data / FILE)
    with pytest.raises(CentreFault):
        compose.open_centre(data)
    assert dump(data / FILE) == before


def old_centre(data: Path) -> Path:
    """A centre as the revision 0003 left it, with an event in it."""
    data.mkdir()
    engine = create_engine(f"sqlite:///{data / FILE}")
    settings = config.Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection, connection.begin():
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0003")
        connection.exec_driver_sql(
            "INSERT INTO event_group (id, name, digest_key) VALUES (1, 'House', x'00')"
        )
        connection.exec_driver_sql(
            "INSERT INTO event (id, group_id, name, timezone, generation, version, sealed_at_s) "
            "VALUES (1, 1, 'Old fest', 'UTC', 1, 5, 0)"
        )
    engine.dispose()
    return data


def dump(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_the_commands_as_they_are_typed(tmp_path: Path) -> None:
    data, kept = tmp_path / "centre", tmp_path / "kept"
    filled(Home(data, "")).close()

    def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-W", "error", "-m", "sync", *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    assert typed("backup", str(kept), "--data", str(data)).returncode == 0
    assert typed("check-backup", str(kept)).stdout.startswith("Whole: sqlite")
    refused = typed("restore", str(kept), "--data", str(data))
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    done = typed("restore", str(kept), "--yes", "--data", str(data))
    assert (done.returncode, "Start the centre." in done.stdout) == (0, True)
    missing = typed("backup", str(tmp_path / "none"), "--data", str(tmp_path / "nowhere"))
    assert (missing.returncode, "no centre" in missing.stderr) == (1, True)
