"""Statements sent together: the same rows on both engines, in order, all or none, and errors that say what to do next."""

from pathlib import Path
from threading import Barrier, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from sync.store.database import Database
from sync.store.engines import DatabaseFault
from sync.store.schema import queue
from sync.store.together import Changes, Insert, Round, Statement, together
from tests.memory import SERVER_BYTES, memory_folder
from tests.postgres import postgres, programs

THINGS = Insert("thing", n="bigint", name="text", blob="bytea")
ALL = Statement("SELECT n, name, blob FROM thing WHERE n > :least ORDER BY n", "n", "name", "blob")
COUNT = Statement("SELECT count(*) FROM thing", "many")
NAMED = Statement("UPDATE thing SET name = :name WHERE n = :n RETURNING n", "n")
POSTGRESQL = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")


@pytest.fixture
def things(database: Database) -> Database:
    with database.writing() as connection:
        blob = "BYTEA" if database.is_postgresql else "BLOB"
        connection.exec_driver_sql(
            f"CREATE TABLE thing (n BIGINT PRIMARY KEY, name TEXT NOT NULL, blob {blob} NOT NULL)"
        )
    return database


def count(database: Database) -> int:
    with database.reading() as connection:
        return int(together(connection, [COUNT.ask()])[0][0].many)


def test_each_is_answered_in_its_turn_and_sees_what_came_before(things: Database) -> None:
    rows = [(n, f"thing {n}", bytes([n])) for n in range(1, 4)]
    with things.writing() as connection:
        before, nothing, all_, renamed, some = together(
            connection,
            [
                COUNT.ask(), THINGS.ask(connection, rows), ALL.ask(least=0), NAMED.ask(n=3, name="other"),
                ALL.ask(least=2),
            ],
        )  # fmt: skip
        assert [one.many for one in before] == [0]
        assert nothing == []
        assert all_ == rows
        assert renamed == [(3,)]
        assert [(one.name, one.blob) for one in some] == [("other", b"\x03")]
        assert together(connection, []) == []
        assert together(connection, [NAMED.ask(n=9, name="nobody")]) == [[]]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.binary()),
        min_size=1,
        max_size=8,
    )
)
def test_any_text_and_any_bytes_come_back_as_they_were(
    things: Database, values: list[tuple[str, bytes]]
) -> None:
    rows = [(n, name, blob) for n, (name, blob) in enumerate(values, start=-2)]
    with things.writing() as connection:
        connection.execute(text("DELETE FROM thing"))
        asks = [THINGS.ask(connection, rows), ALL.ask(least=-9)]
        assert together(connection, asks)[1] == rows


def test_nothing_comes_back_as_nothing_and_its_word_as_a_word(things: Database) -> None:
    """On PostgreSQL it became the text "None"."""
    blob = "BYTEA" if things.is_postgresql else "BLOB"
    bare = Insert("bare", n="bigint", name="text", blob="bytea")
    all_ = Statement("SELECT n, name, blob FROM bare", "n", "name", "blob")
    rows = [(None, "a", None), (2, None, b"\x02"), (None, None, b""), (4, "NULL", None), (5, "None", b"NULL")]
    with things.writing() as connection:
        connection.exec_driver_sql(f"CREATE TABLE bare (n BIGINT, name TEXT, blob {blob})")
        assert together(connection, [bare.ask(connection, rows), all_.ask()])[1] == rows
        nobody = [(None, None, None)]
        assert together(connection, [bare.ask(connection, nobody), all_.ask()])[1] == rows + nobody


def test_a_round_hands_each_answer_to_who_asked_and_can_be_run_again(things: Database) -> None:
    told: list[object] = []
    with things.writing() as connection:
        round_ = Round(connection)
        round_.add(THINGS.ask(connection, [(1, "a", b"")]))
        round_.add(COUNT.ask(), told.extend)
        round_.run()
        round_.run()
        assert told == [(1,)]
        round_.add(ALL.ask(least=0), told.extend)
        round_.run()
    assert told == [(1,), (1, "a", b"")]


def test_changes_made_at_once_leave_what_they_leave_one_after_the_other(things: Database) -> None:
    copy = "INSERT INTO thing (n, name, blob) SELECT n + 10, :name, :blob FROM "
    told: list[object] = []
    with things.writing() as connection:
        together(connection, [THINGS.ask(connection, [(1, "a", b"\x01"), (2, "b", b"\x02")])])
        round_, changes = Round(connection), Changes(connection)
        changes.add("named", NAMED.ask(n=1, name="50 %"), told.extend)
        changes.add("made", THINGS.ask(connection, [(3, "c:d", b"\x03"), (4, "%(n)s", b"")]))
        copied = Statement(f"{copy} thing WHERE n = 1", postgresql=f"{copy} named")
        changes.add("copied", copied.ask(name="of it", blob=b"\xff"))
        changes.add_to(round_)
        round_.add(COUNT.ask(), told.extend)
        round_.run()
        left = together(connection, [ALL.ask(least=0)])[0]
    assert told == [(1,), (5,)]
    assert left == [
        (1, "50 %", b"\x01"), (2, "b", b"\x02"), (3, "c:d", b"\x03"), (4, "%(n)s", b""), (11, "of it", b"\xff"),
    ]  # fmt: skip


def test_changes_may_be_none_and_one_that_changed_nothing_says_so(things: Database) -> None:
    told: list[list[object]] = []
    with things.writing() as connection:
        round_ = Round(connection)
        Changes(connection).add_to(round_)
        for _ in range(2):
            changes = Changes(connection)
            changes.add("named", NAMED.ask(n=9, name="nobody"), told.append)
            changes.add_to(round_)
        round_.run()
        untold = Changes(connection)
        untold.add("named", NAMED.ask(n=9, name="nobody"))
        untold.add_to(round_)
        round_.run()
    assert told == [[], []]


def test_what_fails_leaves_nothing_behind(things: Database) -> None:
    with things.writing() as connection:
        together(connection, [THINGS.ask(connection, [(1, "a", b"")])])

    def twice(connection: Connection) -> None:
        together(
            connection, [THINGS.ask(connection, [(2, "b", b"")]), THINGS.ask(connection, [(1, "c", b"")])]
        )

    with pytest.raises(IntegrityError):
        things.transact(twice)
    assert count(things) == 1
    with things.writing() as connection:
        together(connection, [THINGS.ask(connection, [(2, "b", b"")])])
    assert count(things) == 2


def test_how_plans_are_made_is_said_for_one_transaction_only(things: Database) -> None:
    """Every check of a foreign key is a plan too: made anew for each row, a list of tickets takes half as long again."""
    mode = Statement(
        "SELECT 'auto', 'on'",
        *("plans", "scans"),
        postgresql="SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan')",
    )
    found: list[tuple[str, str]] = []
    with things.writing() as connection:
        round_ = Round.by_keys(connection)
        round_.add(mode.ask(), found.extend)
        round_.run()
    with things.writing() as connection:
        found += together(connection, [mode.ask()])[0]
    assert found[0] == (("force_generic_plan", "off") if things.is_postgresql else ("auto", "on"))
    assert found[1] == ("auto", "on")


@POSTGRESQL
def test_a_server_that_went_away_is_a_fault_and_the_next_transaction_has_a_new_connection(
    tmp_path: Path,
) -> None:
    with postgres(folder=memory_folder(SERVER_BYTES)) as server:
        database = Database.open(tmp_path, server.make("centre"))
        one = Statement("SELECT count(*) FROM event", "many")

        def stopped(connection: Connection) -> None:
            together(connection, [one.ask(), one.ask()])
            server.stop_hard()
            together(connection, [one.ask(), one.ask()])

        with pytest.raises(DatabaseFault, match="does not answer"):
            database.transact(stopped)
        server.start()
        with database.writing() as connection:
            assert together(connection, [one.ask(), one.ask()]) == [[(0,)], [(0,)]]
        database.close()


def test_a_deadlock_is_ended_and_both_are_done(things: Database) -> None:
    if not things.is_postgresql:
        pytest.skip("SQLite has one writer")
    met = Barrier(2, timeout=20)
    done: list[str] = []

    def work(first: str, second: str) -> None:
        tries: list[int] = []

        def locked(connection: Connection) -> None:
            queue(connection, first)
            if not tries:
                tries.append(1)
                met.wait()
            queue(connection, second)

        things.transact(locked)
        done.append(first)

    threads = [Thread(target=work, args=names) for names in (("a", "b"), ("b", "a"))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(done) == ["a", "b"]
