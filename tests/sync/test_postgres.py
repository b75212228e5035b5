"""What only PostgreSQL has: a server that may be away, and other replicas."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sync.events import houses
from sync.store.database import CentreFault, Database
from sync.store.engines import DatabaseFault
from tests.memory import SERVER_BYTES, memory_folder
from tests.postgres import Postgres, postgres


def organizations(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(text("SELECT name FROM organization ORDER BY id")).scalars())


def add(database: Database, name: str) -> None:
    with database.writing() as connection:
        houses.add_organization(connection, houses.NewOrganization(name=name), 0)


def test_it_goes_on_by_itself_after_the_server_was_stopped_hard(tmp_path: Path) -> None:
    with postgres(folder=memory_folder(SERVER_BYTES)) as server:
        database = Database.open(tmp_path, server.make("centre"))
        add(database, "before")

        def stop_before_the_commit() -> None:
            with database.writing() as connection:
                houses.add_organization(connection, houses.NewOrganization(name="never committed"), 0)
                server.stop_hard()

        with pytest.raises(DatabaseFault):
            stop_before_the_commit()
        for _ in range(2):
            with pytest.raises(DatabaseFault, match="does not answer") as fault:
                organizations(database)
            assert "Start PostgreSQL" in fault.value.hint
            with pytest.raises(DatabaseFault):
                add(database, "while it was away")
        server.start()
        assert organizations(database) == ["before"]
        add(database, "after")
        assert organizations(database) == ["before", "after"]
        database.close()


def test_replicas_that_start_together_migrate_once(server: Postgres, tmp_path: Path) -> None:
    url = server.make("fresh")
    with ThreadPoolExecutor(4) as threads:
        opened = list(threads.map(lambda _: Database.open(tmp_path, url), range(4)))
    for number, one in enumerate(opened):
        add(one, str(number))
    assert organizations(opened[0]) == ["0", "1", "2", "3"]
    for one in opened:
        one.close()
    server.drop("fresh")


def test_what_two_transactions_wait_for_each_other_for_is_done_after_all(
    server: Postgres, tmp_path: Path
) -> None:
    database = Database.open(tmp_path, server.make("waiting", "migrated"))
    add(database, "0")
    add(database, "0")
    both = Barrier(2)
    met = [False, False]

    def count(first: int) -> None:
        def work(connection: Connection) -> None:
            for number in (first, 3 - first):
                connection.execute(
                    text("UPDATE organization SET name = CAST(name AS int) + 1 WHERE id = :id"),
                    {"id": number},
                )
                if not met[first - 1]:
                    met[first - 1] = True
                    both.wait(10)

        database.transact(work)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(count, (1, 2)))
    assert organizations(database) == ["2", "2"]
    database.close()
    server.drop("waiting")


def test_a_look_writes_nothing(server: Postgres, tmp_path: Path) -> None:
    database = Database.open(tmp_path, server.make("looking", "migrated"))
    with pytest.raises(DBAPIError, match="read-only"), database.reading() as connection:
        houses.add_organization(connection, houses.NewOrganization(name="sly"), 0)
    database.close()
    server.drop("looking")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://host/name", "cannot be read"),
        ("no url at all", "cannot be read"),
        ("postgresql+psycopg://gatehouse:Secret1@/nowhere?host={folder}", "does not answer"),
        ("postgresql://gatehouse:Secret1@127.0.0.1:1/nowhere", "does not answer"),
    ],
)
def test_a_database_that_cannot_be_had_is_said_without_its_password(
    server: Postgres, tmp_path: Path, url: str, said: str
) -> None:
    with pytest.raises(CentreFault, match=said) as fault:
        Database.open(tmp_path, url.format(folder=server.folder))
    assert fault.value.hint
    assert "Secret1" not in f"{fault.value} {fault.value.hint}"
