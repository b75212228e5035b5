"""Many rows at a time, on both engines: what goes in comes out, and what goes wrong is said as of any statement."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from sync.customers.tables import customer, tag
from sync.imports import slabs
from sync.store.database import Database
from sync.store.engines import DatabaseFault
from sync.store.together import Round
from sync.tickets.tables import credential
from tests.sync.imports.house import EVENT, furnish

CODES = {
    "event_id": slabs.Same(int(EVENT)), "digest": [bytes([number]) * 16 for number in range(3)],
    "ticket": [1, 2, 2**53 - 1], "kind": slabs.Same("opaque"), "text": ["A", None, "Zoë 票 €"],
    "standing": [0, 1, 2], "version": slabs.Same(None),
}  # fmt: skip
PEOPLE = {
    name: slabs.Same("") for name in ("email", "phone", "postcode", "address", "city", "country", "gender")
} | {
    "id": range(5, 7), "organization_id": slabs.Same(1), "first_name": ["Zoë", "No"], "last_name": ["M", "One"],
    "anonymous": [True, False], "banned": slabs.Same(False), "origin": slabs.Same("import"), "created_s": slabs.Same(0),
    "email_key": slabs.Same(""), "first_key": slabs.Same(""), "last_key": slabs.Same(""),
}  # fmt: skip

TAG: dict[str, slabs.Values] = {
    "id": [1], "organization_id": [1], "customer_id": [77], "event_id": [int(EVENT)], "digest": [bytes(16)],
    "uid": ["04"], "product": [0], "ticket": [0], "active": [True], "banned": [False], "created_s": [0],
}  # fmt: skip
"""Of a customer that there is none of."""


def test_rows_come_out_as_they_went_in(database: Database) -> None:
    furnish(database)
    with database.writing() as connection, slabs.adding(connection) as adding:
        adding.add(credential, CODES, 3)
        adding.add(customer, PEOPLE, 2)
        adding.add(customer, {"id": []}, 0)
    with database.reading() as connection:
        codes = connection.execute(select(credential).order_by(credential.c.ticket)).all()
        c = customer.c
        people = connection.execute(select(c.id, c.first_name, c.anonymous, c.banned).order_by(c.id)).all()
    assert [tuple(row) for row in codes] == [
        (EVENT, bytes(16), 1, "opaque", "A", 0, None),
        (EVENT, b"\x01" * 16, 2, "opaque", None, 1, None),
        (EVENT, b"\x02" * 16, 2**53 - 1, "opaque", "Zoë 票 €", 2, None),
    ]
    assert [tuple(row) for row in people] == [(5, "Zoë", True, False), (6, "No", False, False)]


def test_rows_by_row_are_the_same(database: Database) -> None:
    furnish(database)
    names = ("event_id", "digest", "ticket", "kind", "text", "standing", "version")
    with database.writing() as connection:
        slabs.add(connection, credential, names, [(EVENT, b"x" * 16, 1, "uid", "04A1", 0, 9)])
        slabs.add(connection, credential, names, [])
    with database.reading() as connection:
        assert [tuple(row) for row in connection.execute(select(credential))] == [
            (EVENT, b"x" * 16, 1, "uid", "04A1", 0, 9)
        ]


def test_only_what_is_named_changes_of_the_rows_that_are_meant(database: Database) -> None:
    furnish(database)
    texts = ["B", None, 'a "b", {c} \\']
    changed = {**CODES, "text": texts, "standing": slabs.Same(7), "version": slabs.Same(3)}
    last = {name: one if isinstance(one, slabs.Same) else one[1:] for name, one in changed.items()}
    with database.writing() as connection:
        with slabs.adding(connection) as adding:
            adding.add(credential, CODES, 3)
        slabs.change(connection, credential, last, ("text", "version"), 2)
        slabs.change(connection, credential, {}, ("text",), 0)
    with database.reading() as connection:
        c = credential.c
        rows = connection.execute(select(c.ticket, c.text, c.standing, c.version).order_by(c.ticket)).all()
    assert [tuple(row) for row in rows] == [(1, "A", 0, None), (2, None, 1, 3), (2**53 - 1, texts[2], 2, 3)]


@pytest.mark.parametrize("twice", [CODES, {**CODES, "digest": [b"n" * 16] * 3, "ticket": slabs.Same(4)}])
def test_what_is_there_already_is_refused_and_nothing_of_it_stays(
    database: Database, twice: dict[str, slabs.Values]
) -> None:
    furnish(database)
    with database.writing() as connection, slabs.adding(connection) as adding:
        adding.add(credential, CODES, 3)

    def again() -> None:
        with database.writing() as connection, slabs.adding(connection) as adding:
            adding.add(customer, PEOPLE, 2)
            adding.add(credential, twice, 3)

    with pytest.raises(IntegrityError):
        again()
    with database.reading() as connection:
        assert len(connection.execute(select(credential.c.ticket)).all()) == 3
        assert connection.execute(select(customer.c.id)).all() == []


def test_what_names_something_that_is_not_there_is_refused_by_the_database_itself(database: Database) -> None:
    def orphan() -> None:
        with database.writing() as connection, slabs.adding(connection) as adding:
            adding.add(tag, TAG, 1)

    furnish(database)
    with pytest.raises(IntegrityError):
        orphan()


def test_a_connection_that_is_lost_meanwhile_is_the_databases_fault(database: Database) -> None:
    furnish(database)
    if not database.is_postgresql:
        pytest.skip("SQLite has no connection to lose")

    def lost() -> None:
        with database.writing() as connection:
            own = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with database.writing() as other:
                assert other.execute(
                    text("SELECT pg_terminate_backend(:own, 5000)"), {"own": own}
                ).scalar_one()
            with slabs.adding(connection) as adding:
                adding.add(credential, CODES, 3)

    with pytest.raises(DatabaseFault):
        lost()
    with database.writing() as connection, slabs.adding(connection) as adding:
        adding.add(credential, CODES, 3)


def test_a_check_of_a_foreign_key_is_planned_once(database: Database) -> None:
    """Whatever the server, or the connection, says of plans elsewhere: planned for each row it takes half of the time."""
    furnish(database)
    if database.is_postgresql:
        with database.writing() as connection:
            connection.execute(text("SET plan_cache_mode = force_custom_plan"))
            round_ = Round(connection)
            slabs.prepare(round_, (customer,))
            round_.run()
            assert connection.execute(text("SHOW plan_cache_mode")).scalar_one() == "auto"
