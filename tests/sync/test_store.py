"""The centre's files: tables made from nothing, keys that are never made anew behind anybody's back."""

import importlib
import pkgutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, select, text, update
from sqlalchemy.exc import IntegrityError

import sync
from admission.entitlements import Ticket
from admission.ids import EventId, ProductId, TicketId
from sync import compose
from sync.customers.tables import customer
from sync.events import houses, programme
from sync.events import rows as events
from sync.events import tables as event_tables
from sync.keys import FILE as KEY_FILE
from sync.keys import load_or_make, new_keys
from sync.store.database import FILE, NEWEST, CentreFault, Database
from sync.store.engines import DatabaseFault
from sync.store.migrate import MIGRATIONS, migrate
from sync.store.schema import METADATA, signed, unsigned
from sync.tickets import changes, rows, tables
from tests.sync.conftest import Home
from tests.sync.venue import venue_at

OLDER = (
    "INSERT INTO event_group (id, name, digest_key) VALUES (1, 'Hall', 'secret')",
    "INSERT INTO event VALUES (7, 1, 'Fair', 'UTC', 1, 3, 9)",
    "INSERT INTO product VALUES (7, 1, 'Day', '[]', 0, 0, 0, 0, 0, 0)",
    "INSERT INTO ticket_key VALUES (:key, 1, 'tk1', 0, 0, 0, 'active')",
    "INSERT INTO trouble VALUES (1, 2, 4, 'fork', 0, 0, 1)",
)
"""What the version before organizations may hold."""

NAMED = (
    "INSERT INTO organization (id, name, language, created_s) VALUES (1, 'Ours', 'en', 0), (2, 'Theirs', 'en', 0)",
    "INSERT INTO event_group (id, name, digest_key, organization_id) VALUES (1, 'Hall', 'x', 1), (2, 'Tent', 'y', 2)",
    "INSERT INTO gate (id, group_id, name, zones) VALUES (1, 1, 'North 1', '[]')",
    "INSERT INTO lane_plan VALUES (1, 4, 1, 0, '[]', TRUE)",
)
"""Two organizations, and a gate of the first one with its plan."""

UNCHECKED = tables.ticket.foreign_key_constraints | customer.foreign_key_constraints
"""Foreign keys that PostgreSQL does not have: `sync.store.schema.sqlite_only`."""


def test_the_migrations_make_the_tables_that_the_code_means(home: Home) -> None:
    for module in pkgutil.walk_packages(sync.__path__, "sync."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)
    home.open().close()
    engine = create_engine(home.url or f"sqlite:///{home.data / FILE}")
    with engine.connect() as connection:
        unchecked = {key.name for key in UNCHECKED} if home.url else set()
        meant = {"include_object": lambda _one, name, _kind, _found, _with: name not in unchecked}
        assert compare_metadata(MigrationContext.configure(connection, opts=meant), METADATA) == []
        for table in ("ticket", "customer"):
            keys = inspect(connection).get_foreign_keys(table)
            assert bool(keys) == (not home.url), "on PostgreSQL no row of a list waits for a foreign key"
        made = set(inspect(connection).get_table_names())
        if not home.url:
            plain = connection.exec_driver_sql(
                "SELECT name FROM pragma_table_list WHERE wr = 0 AND schema = 'main'"
            )
            by_key = {"record", "ticket", "credential", "log_epoch", "presence"}
            assert not by_key & set(plain.scalars()), "kept by their key alone"
    engine.dispose()
    assert made == {*METADATA.tables, "alembic_version"}


def test_the_newest_revision_is_the_one_the_code_means() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [NEWEST]


def test_a_database_of_before_is_brought_up_to_date(older: Home) -> None:
    """What the first versions wrote belongs to organization 1 afterwards, and nothing of it is lost."""
    engine = create_engine(older.url or f"sqlite:///{older.data / FILE}")
    with engine.begin() as connection:
        migrate(connection, "0003")
        for sql in OLDER:
            connection.execute(text(sql), {"key": b"k" * 32} if ":key" in sql else {})
    engine.dispose()
    database = older.open()
    with database.reading() as connection:
        assert houses.organization(connection, 1) == houses.Organization(id=1, name="Hall", language="en")
        event = programme.event(connection, 1, 7)
        assert (event.name, event.state, event.group) == ("Fair", "open", 1)
        product = programme.products(connection, 7, 0, 9)[0]
        assert (product.name, product.price_minor, product.quota, product.admits) == ("Day", 0, None, 1)
        assert [key.public for key in rows.read_keys(connection, 1)] == [b"k" * 32]
        assert connection.execute(text("SELECT seq FROM trouble")).scalar() == 4
    database.close()


def test_gates_of_before_and_what_points_to_them_stay_when_their_names_become_their_groups(
    older: Home,
) -> None:
    engine = create_engine(older.url or f"sqlite:///{older.data / FILE}")
    with engine.begin() as connection:
        migrate(connection, "0021")
        for sql in NAMED:
            connection.execute(text(sql))
    engine.dispose()
    database = older.open()
    with database.writing() as connection:
        plans = connection.execute(text("SELECT name, lane FROM gate JOIN lane_plan ON gate_id = gate.id"))
        assert [tuple(row) for row in plans] == [("North 1", 4)]
        connection.execute(
            text("INSERT INTO gate (id, group_id, name, zones) VALUES (2, 2, 'North 1', '[]')")
        )
        if not older.url:
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    for refused in (NAMED[2].replace("(1, 1,", "(3, 2,"), "DELETE FROM gate WHERE id = 1"):
        with pytest.raises(IntegrityError), database.writing() as connection:
            connection.execute(text(refused))
    database.close()


def test_an_opened_database_is_opened_again_as_it_was(home: Home) -> None:
    database = home.open()
    with database.writing() as connection:
        events.add_group(connection, "Venue", bytes(32))
    database.close()
    again = home.open()
    with again.reading() as connection:
        assert events.digest_key(connection, events.GROUP) == bytes(32)
        if home.url:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "1min"
        else:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    again.close()


def test_a_failed_change_is_undone(database: Database) -> None:
    def fail() -> None:
        with database.writing() as connection:
            events.add_group(connection, "Venue", bytes(32))
            events.add_group(connection, "Venue", bytes(32))

    with pytest.raises(IntegrityError):
        fail()
    with database.reading() as connection:
        assert events.digest_key(connection, events.GROUP) is None


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_u64_goes_through_sql(database: Database, number: int) -> None:
    assert unsigned(signed(number)) == number
    if not number:
        return
    with database.writing() as connection:
        events.add_group(connection, "Venue", bytes(32))
        events.add_event(connection, EventId(1), "Event", "UTC")
        rows.add_tickets(connection, EventId(1), [Ticket(TicketId(number), EventId(1), ProductId(1))], [])
        found = connection.execute(tables.ticket.select()).one()
    assert unsigned(found.id) == number


def test_event_0_and_ticket_0_are_refused(database: Database) -> None:
    with database.writing() as connection:
        events.add_group(connection, "Venue", bytes(32))
        with pytest.raises(ValueError, match="event 0"):
            events.add_event(connection, EventId(0), "Event", "UTC")
        with pytest.raises(ValueError, match="ticket 0"):
            rows.add_tickets(connection, EventId(1), [Ticket(TicketId(0), EventId(1), ProductId(1))], [])


def test_a_look_sees_one_state_while_others_write(database: Database) -> None:
    with database.reading() as looking:
        assert houses.organization(looking, 1) is None
        with database.writing() as writing:
            houses.add_organization(writing, houses.NewOrganization(name="New"), 0)
        assert houses.organization(looking, 1) is None
    with database.reading() as looking:
        assert houses.organization(looking, 1) is not None


def test_changes_of_one_list_queue_and_none_is_lost(database: Database) -> None:
    """Each looks at the last version before it writes; with two at a time one would overwrite what it has not seen."""
    with database.writing() as connection:
        events.add_group(connection, "Venue", bytes(32))
        events.add_event(connection, EventId(1), "0", "UTC")

    def count(_: int) -> None:
        with changes.change(database, [EventId(1)], 5) as connection:
            held = connection.execute(select(event_tables.event.c.name)).scalar_one()
            connection.execute(update(event_tables.event).values(name=str(int(held) + 1)))

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(count, range(30)))
    with database.reading() as connection:
        t = event_tables.event.c
        assert connection.execute(select(t.name, t.version)).one() == ("30", 30)


def test_closing_waits_for_who_still_looks_and_lets_nobody_else_in(home: Home) -> None:
    database = home.open()
    entered, leave = Event(), Event()

    def look() -> int:
        with database.reading() as connection:
            entered.set()
            leave.wait(20)
            return int(connection.execute(text("SELECT 7")).scalar_one())

    with ThreadPoolExecutor(2) as threads:
        looked = threads.submit(look)
        entered.wait(20)
        closed = threads.submit(database.close)
        leave.set()
        assert looked.result() == 7
        closed.result()
    with pytest.raises(DatabaseFault, match="closed"), database.reading():
        pass


def test_numbers_are_given_once_however_many_ask(database: Database) -> None:
    def make(number: int) -> int:
        new = houses.NewOrganization(name=f"Number {number}")
        return database.transact(lambda connection: houses.add_organization(connection, new, 0))

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(make, range(30))) == list(range(1, 31))


def test_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    keys = load_or_make(tmp_path, may_make=True)
    assert load_or_make(tmp_path, may_make=True) == keys
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert len({keys.held.identity, keys.held.lists, keys.held.time, keys.held.tickets}) == 4
    assert keys.held.tickets.hex() not in repr(keys)
    assert str(list(keys.held.tickets)[:4]) not in repr(keys)


def test_a_code_is_stored_under_a_key(tmp_path: Path) -> None:
    one, other = new_keys(), new_keys()
    assert one.code_digest("ABCD1234") == one.code_digest("ABCD1234") != one.code_digest("ABCD1235")
    assert one.code_digest("ABCD1234") != other.code_digest("ABCD1234")


async def test_lost_keys_are_not_made_anew_once_gates_are_enrolled(tmp_path: Path) -> None:
    async with venue_at(tmp_path / "centre") as venue:
        await venue.enrolled(tmp_path / "box")
    (tmp_path / "centre" / KEY_FILE).unlink()
    with pytest.raises(CentreFault) as fault:
        compose.open_centre(tmp_path / "centre")
    assert "backup" in fault.value.hint
    assert not (tmp_path / "centre" / KEY_FILE).exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"nonsense"])
def test_damaged_keys_are_said(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(damage)
    with pytest.raises(CentreFault, match="cannot be read"):
        compose.open_centre(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == damage


def test_a_folder_that_cannot_be_used_is_said_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for where in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CentreFault) as fault:
            compose.open_centre(where)
        assert "--data" in fault.value.hint
    (tmp_path / "centre").mkdir()
    (tmp_path / "centre" / FILE).write_bytes(
        b"this is no database, and longer than its header of 100 bytes" * 3
    )
    with pytest.raises(CentreFault) as fault:
        compose.open_centre(tmp_path / "centre")
    assert fault.value.hint


def test_a_database_of_a_newer_version_is_left_alone(home: Home) -> None:
    database = home.open()
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(CentreFault, match="another version"):
        home.open()


def test_a_ticket_of_an_event_that_is_not_there_leaves_nothing(home: Home) -> None:
    nowhere, one = EventId(404), Ticket(id=TicketId(1), event=EventId(404), product=ProductId(1))
    database = home.open()
    try:
        with (
            pytest.raises((LookupError, IntegrityError)),
            changes.change(database, (nowhere,), 0) as connection,
        ):
            rows.add_tickets(connection, nowhere, [one], [])
        with database.reading() as connection:
            assert connection.execute(select(tables.ticket)).all() == []
    finally:
        database.close()
