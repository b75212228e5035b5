"""The centre's files: tables made from nothing, keys that are never made anew behind anybody's back."""

import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError

from admission.entitlements import Ticket
from admission.ids import EventId, ProductId, TicketId
from sync import compose
from sync.gates import tables as gate_tables
from sync.keys import FILE as KEY_FILE
from sync.keys import load_or_make, new_keys
from sync.store.database import FILE, CentreFault, Database
from sync.store.schema import METADATA, signed, unsigned
from sync.tickets import rows, tables
from tests.sync.venue import venue_at


def test_the_migrations_make_the_tables_that_the_code_means(tmp_path: Path) -> None:
    Database.open(tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path / FILE}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        made = {
            name
            for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
        plain = {
            name
            for (name,) in connection.exec_driver_sql(
                "SELECT name FROM pragma_table_list WHERE wr = 0 AND schema = 'main'"
            )
        }
    engine.dispose()
    assert made == {*METADATA.tables, "alembic_version"}
    assert not plain & {"record", "ticket", "credential", "log_epoch"}, "kept by their key alone"
    assert gate_tables.record.name in made


def test_an_opened_database_is_opened_again_as_it_was(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with database.writing() as connection:
        rows.add_group(connection, "Venue", bytes(32))
    database.close()
    again = Database.open(tmp_path)
    with again.reading() as connection:
        assert rows.digest_key(connection) == bytes(32)
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    again.close()


def test_a_failed_change_is_undone(tmp_path: Path) -> None:
    database = Database.open(tmp_path)

    def fail() -> None:
        with database.writing() as connection:
            rows.add_group(connection, "Venue", bytes(32))
            rows.add_group(connection, "Venue", bytes(32))

    with pytest.raises(IntegrityError):
        fail()
    with database.reading() as connection:
        assert rows.digest_key(connection) is None
    database.close()


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_u64_goes_through_sql(tmp_path: Path, number: int) -> None:
    assert unsigned(signed(number)) == number
    if not number:
        return
    database = Database.open(tmp_path)
    with database.writing() as connection:
        rows.add_group(connection, "Venue", bytes(32))
        rows.add_event(connection, EventId(1), "Event", "UTC")
        rows.add_tickets(connection, EventId(1), [Ticket(TicketId(number), EventId(1), ProductId(1))], [])
        found = connection.execute(tables.ticket.select()).one()
    database.close()
    assert unsigned(found.id) == number


def test_event_0_and_ticket_0_are_refused(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with database.writing() as connection:
        rows.add_group(connection, "Venue", bytes(32))
        with pytest.raises(ValueError, match="event 0"):
            rows.add_event(connection, EventId(0), "Event", "UTC")
        with pytest.raises(ValueError, match="ticket 0"):
            rows.add_tickets(connection, EventId(1), [Ticket(TicketId(0), EventId(1), ProductId(1))], [])
    database.close()


def test_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    keys = load_or_make(tmp_path, may_make=True)
    assert load_or_make(tmp_path, may_make=True) == keys
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert len({keys.identity, keys.lists, keys.time, keys.tickets}) == 4
    assert keys.tickets.hex() not in repr(keys)
    assert str(list(keys.tickets)[:4]) not in repr(keys)


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


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(CentreFault, match="another version"):
        Database.open(tmp_path)
