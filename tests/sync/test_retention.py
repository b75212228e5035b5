"""What an organization keeps for so many days goes by itself afterwards, on either database; nothing younger does."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from sync import demo
from sync.accounts.principal import SYSTEM, Role
from sync.backup import retention
from sync.backup.retention import Due, Terms
from sync.compose import Centre
from sync.demo import ARENA, EVENT, MAIN_GATE, TERRACE, TERRACE_GATE
from sync.demo_sales import make_sales
from sync.gates import ingest
from sync.keys import load_or_make
from sync.store.database import Database
from sync.wire.messages import Push
from tests.sync.conftest import Home
from tests.sync.pages.evening import KEYS, GateLog, busy
from tests.sync.pages.seat import client, house
from tests.sync.people import other_organization
from tests.sync.requests import NOW_S
from tests.sync.venue import Venue, query

DAY_S = 86_400
END_S = NOW_S + 6 * 3600


@pytest.fixture
def centre(home: Home) -> Iterator[Centre]:
    """The demo venue after an evening: six customers, five of them with a name, and the records of two gates."""
    database = home.open()
    made = Centre(home.data, database, load_or_make(home.data, may_make=True))
    demo.make_demo(database, made.keys, home.data, NOW_S)
    make_sales(database, made.keys, NOW_S)
    with database.writing() as connection:
        busy(connection, EVENT, (MAIN_GATE, TERRACE_GATE), (ARENA, TERRACE), NOW_S)
    yield made
    made.close()


def ends(database: Database, *events: int, at_s: int = END_S) -> None:
    with database.writing() as connection:
        for event in events:
            connection.exec_driver_sql(f"UPDATE event SET ends_s = {at_s} WHERE id = {event}")


def keep(database: Database, customer_days: int = 0, scan_days: int = 0) -> None:
    with database.writing() as connection:
        retention.set_terms(connection, 1, Terms(customer_days, scan_days), SYSTEM, NOW_S)


def count(database: Database, table: str, where: str = "1 = 1") -> int:
    with database.reading() as connection:
        return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table} WHERE {where}").scalar_one())


NAMED = "last_name <> ''"


def test_customers_go_so_many_days_after_their_last_event(centre: Centre) -> None:
    database = centre.database
    keep(database, customer_days=30)
    ends(database, 1, 2)
    assert count(database, "customer", NAMED) == 5
    assert retention.run_due(database, END_S + 30 * DAY_S - 1) == 0
    assert count(database, "customer", NAMED) == 5
    with database.reading() as connection:
        assert retention.due(connection, 1, Terms(30, 0), END_S + 31 * DAY_S) == Due(5, 0)
    assert retention.run_due(database, END_S + 31 * DAY_S) == 5
    assert count(database, "customer", NAMED) == 0
    assert count(database, "ticket", "holder > 100000") == 1  # of a tag that nobody gave a name to
    assert count(database, "record") > 100
    noted = "what = 'retention.run' AND actor_kind = 'system'"
    assert count(database, "audit_log", noted) == 1
    assert count(database, "audit_log", "what = 'customer.erase'") == 5


def test_an_event_without_an_end_keeps_what_belongs_to_it(centre: Centre) -> None:
    database = centre.database
    keep(database, customer_days=1, scan_days=1)
    ends(database, 1)  # the matinee, in the same group, has none
    retention.run_due(database, END_S + 400 * DAY_S)
    assert count(database, "record") > 100
    assert count(database, "customer", NAMED) == 1  # Ada has a ticket for the matinee


def test_scans_go_with_what_was_derived_and_no_gate_sends_them_again(centre: Centre) -> None:
    database = centre.database
    ends(database, 1, 2)
    keep(database, scan_days=7)
    log = GateLog(MAIN_GATE, EVENT, epoch=70)
    for ticket in range(1, 20):
        log.enter(ticket, 1, ARENA, NOW_S + ticket)
    with database.writing() as connection:
        for table in (
            "log_epoch",
            "record",
            "head",
            "presence",
            "arrival",
        ):  # one log that the test can send again
            connection.exec_driver_sql(f"DELETE FROM {table}")
        log.push(connection, NOW_S)
    held = count(database, "record")
    with database.reading() as connection:
        assert retention.due(connection, 1, Terms(0, 7), END_S + 8 * DAY_S) == Due(0, held)
        before = connection.exec_driver_sql("SELECT gate_id, epoch, seq, link FROM log_epoch").all()
    assert retention.run_due(database, END_S + 8 * DAY_S) == held
    for table in ("record", "record_fork", "presence", "presence_reset"):
        assert count(database, table) == 0, table
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT gate_id, epoch, seq, link FROM log_epoch").all() == before
    public = KEYS[MAIN_GATE].public_key().public_bytes_raw()
    with database.writing() as connection:
        again = ingest.take(connection, MAIN_GATE, public, Push((log.log.chunk(1),)), NOW_S)
    assert again.troubles == ()
    assert count(database, "record") == 0
    assert count(database, "ticket") > 28
    assert count(database, "customer", NAMED) == 5


def test_another_organizations_data_and_young_groups_stay(centre: Centre) -> None:
    database = centre.database
    ends(database, 1, 2)
    rival = other_organization(database)
    with database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE event_group SET organization_id = {rival}")
        connection.exec_driver_sql(f"UPDATE customer SET organization_id = {rival}")
    keep(database, customer_days=1, scan_days=1)
    assert retention.run_due(database, END_S + 400 * DAY_S) == 0
    assert count(database, "customer", NAMED) == 5


def test_it_is_looked_at_once_an_hour_by_one_replica(centre: Centre) -> None:
    database = centre.database
    ends(database, 1, 2)
    late_s = END_S + 31 * DAY_S
    keep(database, customer_days=30)
    assert retention.run_due(database, late_s) == 5
    assert count(database, "retention", f"done_s = {late_s}") == 1
    with database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE customer SET last_name = 'Back', anonymous = FALSE WHERE id = 4294967296"
        )
    assert retention.run_due(database, late_s + retention.EVERY_S - 1) == 0
    keep(database, customer_days=29)
    assert retention.run_due(database, late_s + 10) == 1  # new terms are looked at at once


@pytest.mark.parametrize("days", [-1, retention.DAYS_MAX + 1])
def test_what_are_no_days_is_refused(centre: Centre, days: int) -> None:
    with pytest.raises(ValueError, match="0 to 36500"):
        keep(centre.database, customer_days=days)
    assert count(centre.database, "retention") == 0


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def venue_(tmp_path: Path) -> AsyncIterator[Venue]:
    async with house(tmp_path / "centre", Role.OWNER) as venue:
        make_sales(venue.centre.database, venue.centre.keys, venue.now_s)
        ends(venue.centre.database, 1, 2)
        venue.now_s = END_S + 31 * DAY_S
        yield venue


async def posted(browser: aiohttp.ClientSession, **form: str) -> tuple[int, str]:
    async with browser.post("/retention", data=form) as answer:
        return answer.status, await answer.text()


async def test_what_new_terms_take_away_is_said_before_they_are_set(venue_: Venue) -> None:
    async with client(venue_) as ada:
        status, page = await posted(ada, customer_days="30", scan_days="", do="look")
        assert status == 200
        assert "5 customers are made anonymous and 0 records" in page
        assert query(venue_, "SELECT COUNT(*) FROM retention") == [(0,)]
        for seen in ("", "0/0", "31/0"):  # set unseen: shown again instead
            status, page = await posted(ada, customer_days="30", do="set", seen=seen)
            assert "5 customers are made anonymous" in page
        assert query(venue_, "SELECT COUNT(*) FROM retention") == [(0,)]
        status, page = await posted(ada, customer_days="30", do="set", seen="30/0")
        assert (status, "Saved." in page, 'value="30"' in page) == (200, True, True)
    assert query(venue_, "SELECT customer_days, scan_days FROM retention") == [(30, 0)]
    noted = query(venue_, "SELECT actor_name, detail FROM audit_log WHERE what = 'retention.change'")
    assert noted == [
        ("Ada Lovelace", '{"from":{"customer_days":0,"scan_days":0},"to":{"customer_days":30,"scan_days":0}}')
    ]


@pytest.mark.parametrize("days", ["x", "-1", "0", "36501", "1.5"])
async def test_days_that_are_none_are_said_at_the_field(venue_: Venue, days: str) -> None:
    async with client(venue_) as ada:
        status, page = await posted(ada, customer_days=days, do="set", seen=f"{days}/0")
    assert status == 422
    assert 'id="e-customer_days"' in page
    assert query(venue_, "SELECT COUNT(*) FROM retention") == [(0,)]
