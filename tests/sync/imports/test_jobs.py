"""Lists on their way into the tables, on both engines: previews, chunks, crashes, and the same file twice."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from admission.entitlements import CredentialStanding, Standing
from admission.ids import GateId, ZoneId
from sync.customers.tables import customer
from sync.events import tables as events
from sync.gates import roster
from sync.gates import tables as gates
from sync.imports import export, jobs, keeping, tables
from sync.imports.chunks import Ahead
from sync.imports.faults import BadFile, CellFault
from sync.imports.files import How
from sync.store.database import Database
from sync.tickets import tables as sold
from tests.sync.imports.house import ACTOR, EVENT, NOW_S, check, furnish, known, run
from tests.sync.pages.evening import GateLog, enrolled

LIST = b"code;product;name;email;order\nA-1;VIP;Zo\xc3\xab M;z@example.org;O-1\nA-2;Tageskarte;;Z@Example.org;O-1\nA-3;VIP;No One;;\n"


def state(database: Database) -> list[tuple[object, ...]]:
    """Everything that a list could have changed."""
    found: list[tuple[object, ...]] = []
    with database.reading() as connection:
        for table in (sold.ticket, sold.credential, tables.import_source, customer, events.event):
            found += sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
    return found


def version(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(select(events.event.c.version)).scalar_one())


def tickets(database: Database) -> list[tuple[int, int, int]]:
    with database.reading() as connection:
        t = sold.ticket.c
        return [tuple(row) for row in connection.execute(select(t.id, t.product, t.standing).order_by(t.id))]


def test_nothing_is_written_before_somebody_says_so(database: Database) -> None:
    furnish(database)
    before = state(database)
    job = check(database, LIST)
    assert (job.rows_good, job.rows_new, job.rows_bad, job.state) == (3, 3, 0, "checked")
    assert state(database) == before


def test_a_list_becomes_tickets_codes_and_customers_in_one_version(database: Database) -> None:
    furnish(database)
    done = run(database, check(database, LIST))
    assert (done.state, done.rows_done, done.rows_new) == ("done", 3, 3)
    assert tickets(database) == [(1, 2, 0), (2, 1, 0), (3, 2, 0)]
    with database.reading() as connection:
        people = connection.execute(select(customer).order_by(customer.c.id)).all()
        holders = connection.execute(select(sold.ticket.c.holder).order_by(sold.ticket.c.id)).scalars().all()
        versions = set(connection.execute(select(sold.ticket.c.version)).scalars())
    assert [(row.email, row.first_name, row.last_name) for row in people] == [
        ("z@example.org", "Zoë", "M"), ("", "No", "One"),
    ]  # fmt: skip
    assert holders == [people[0].id, people[0].id, people[1].id], (
        "an address is one customer, however it is written"
    )
    assert versions == {1}


def test_the_same_file_twice_changes_nothing(database: Database) -> None:
    furnish(database)
    run(database, check(database, LIST))
    before = state(database)
    again = check(database, LIST)
    assert (again.rows_new, again.rows_changed, again.rows_same) == (0, 0, 3)
    done = run(database, again)
    assert (done.state, done.rows_same) == ("done", 3)
    assert state(database) == before


def test_a_changed_row_changes_its_ticket_and_no_act_of_people_is_undone(database: Database) -> None:
    furnish(database)
    first = b"ticket id;code;product;status\n1;A-1;VIP;paid\n2;A-2;VIP;paid\n"
    run(database, check(database, first))
    with database.writing() as connection:
        banned = int(Standing.BANNED)
        connection.execute(update(sold.ticket).where(sold.ticket.c.id == 1).values(standing=banned))
    second = b"ticket id;code;product;status\n1;A-9;Tageskarte;cancelled\n2;A-2;VIP;paid\n"
    job = check(database, second)
    assert (job.rows_new, job.rows_changed, job.rows_same) == (0, 1, 1)
    run(database, job)
    assert tickets(database) == [(1, 1, int(Standing.BANNED | Standing.CANCELLED)), (2, 2, 0)]
    with database.reading() as connection:
        c = sold.credential.c
        codes = connection.execute(
            select(c.standing, c.version).where(c.ticket == 1).order_by(c.standing)
        ).all()
    assert [tuple(row) for row in codes] == [(0, 2), (int(CredentialStanding.REPLACED), 2)]
    run(database, check(database, first))
    assert tickets(database)[0] == (1, 2, int(Standing.BANNED)), "the shop takes its own cancel back"


def test_a_list_whose_every_row_changed_changes_what_it_says_and_nothing_else(database: Database) -> None:
    """In chunks, as one version each; gates hear of each ticket, and of the code that it has besides."""
    furnish(database)
    rows = [f"{n},A-{n},VIP,Ada L,a{n}@example.org" for n in range(1, 2_501)]
    run(database, check(database, "\n".join(["ticket id,code,product,name,email", *rows]).encode()))
    with database.writing() as connection:
        t = sold.ticket.c
        connection.execute(
            update(sold.ticket).values(home_gate=t.id + 7, attention=2, standing=int(Standing.BANNED))
        )
    heading = "ticket id,code,uid,product,name,email,valid from,people"
    second = [
        f"{n},A-{n},04A1B2C3D4{n:04X},Tageskarte,Ada L,a{n}@example.org,2026-11-27,3" for n in range(1, 2_501)
    ]
    done = run(database, check(database, "\n".join([heading, *second]).encode()))
    assert (done.rows_new, done.rows_changed, done.rows_same) == (0, 2_500, 0)
    with database.reading() as connection:
        found = connection.execute(select(sold.ticket).order_by(t.id)).mappings().all()
        codes = connection.execute(
            select(sold.credential.c.ticket, sold.credential.c.version).where(sold.credential.c.kind == "uid")
        ).all()
    newest = version(database)
    assert [(one["id"], one["home_gate"]) for one in found] == [(n, n + 7) for n in range(1, 2_501)]
    said = {(one["product"], one["session"], one["admits"], one["not_before"] > 0) for one in found}
    assert said == {(1, 0, 3, True)}
    assert {(one["attention"], one["standing"]) for one in found} == {(2, int(Standing.BANNED))}
    assert len({one["holder"] for one in found}) == 2_500
    assert {(one["id"] > 2_000, one["version"]) for one in found} == {(False, newest - 1), (True, newest)}
    assert {(one.ticket > 2_000, one.version) for one in codes} == {(False, newest - 1), (True, newest)}
    assert len(codes) == 2_500


def test_a_code_that_is_another_tickets_is_a_bad_row(database: Database) -> None:
    furnish(database)
    run(database, check(database, LIST))
    job = check(database, b"code;product\nA-1;VIP\nB-1;VIP\n", shop="another")
    assert (job.rows_good, job.rows_bad) == (1, 1)
    with database.reading() as connection:
        ((_, bad),) = jobs.bad_cells(connection, job.id, 0, 10)
    assert (bad.row, bad.column) == (2, "code")
    assert bad.fault is CellFault.TAKEN


def test_good_rows_are_kept_only_where_a_person_says_so(database: Database) -> None:
    furnish(database)
    job = check(database, b"code;product\nA-1;VIP\nA-2;Loge\n")
    before = state(database)
    with pytest.raises(BadFile, match="rows_bad n=1"):
        run(database, job)
    assert state(database) == before
    assert run(database, job, keeps_good=True).rows_done == 1
    assert len(tickets(database)) == 1


def rows_of(count: int) -> bytes:
    return b"code;product\n" + b"".join(b"R%06d;VIP\n" % number for number in range(count))


def test_chunks_are_versions_and_any_replica_goes_on(database: Database) -> None:
    furnish(database)
    data = rows_of(4_100)
    job = check(database, data)
    database.transact(lambda c: jobs.start(c, job.id, ACTOR, NOW_S, keeps_good=False))
    ours = Ahead()
    halfway = database.transact(lambda c: jobs.advance(c, job.id, NOW_S, ours))
    assert (halfway.rows_done, halfway.state) == (2_000, "running")
    with database.reading() as connection:
        found = jobs.open_job(connection, jobs.source("shop", "list.csv", data, How()), known(database))
    assert found is not None
    assert found.id == job.id
    database.transact(lambda c: jobs.advance(c, job.id, NOW_S))  # another's: what we readied is over
    done = database.transact(lambda c: jobs.advance(c, job.id, NOW_S, ours))
    assert (done.rows_done, done.rows_new, done.state) == (4_100, 4_100, "done")
    assert len(tickets(database)) == 4_100
    assert version(database) == 3
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(tables.import_chunk)).scalar() == 0


def test_what_came_since_the_preview_counts(database: Database) -> None:
    """One ticket of our second chunk comes from elsewhere in the very version that brings all of our first."""
    furnish(database)
    run(database, check(database, b"code;product\nR000000;VIP\n", shop="another"))
    ours = check(database, rows_of(2_001))
    assert (ours.rows_good, ours.rows_new, ours.rows_bad) == (2_000, 2_000, 1)
    more = check(database, rows_of(2_002))
    before = version(database)
    other = b"code;product\n" + b"".join(b"R%06d;VIP\n" % number for number in range(1, 2_001))
    run(database, check(database, other))
    assert version(database) == before + 1
    done = run(database, ours, keeps_good=True)
    assert (done.rows_new, done.rows_same, done.rows_taken) == (0, 2_000, 0)
    done = run(database, more, keeps_good=True)
    assert (done.rows_new, done.rows_same) == (1, 2_000)
    assert len(tickets(database)) == 2_002


def test_the_tables_sizes_are_known_while_they_grow(database: Database) -> None:
    """Else PostgreSQL takes any index of an organization's customers for as good as another."""
    furnish(database)
    people = b"code;product;email\n" + b"".join(b"R%06d;VIP;p%d@example.org\n" % (n, n) for n in range(4_100))
    run(database, check(database, people))
    if database.is_postgresql:
        with database.reading() as connection:
            known = connection.exec_driver_sql(
                "SELECT relname FROM pg_class WHERE reltuples > 1000 AND relname IN ('customer', 'import_source')"
            )
            assert len(known.all()) == 2


def test_a_discarded_job_leaves_nothing_and_does_not_run(database: Database) -> None:
    furnish(database)
    job = check(database, LIST)
    before = version(database)
    assert database.transact(lambda c: jobs.discard(c, job.id, NOW_S)).state == "discarded"
    with pytest.raises(BadFile):
        run(database, job)
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(tables.import_chunk)).scalar() == 0
    assert version(database) == before


def test_a_forgotten_job_is_emptied(database: Database) -> None:
    furnish(database)
    old = check(database, LIST)
    with database.writing() as connection:
        t = tables.import_job
        connection.execute(update(t).values(changed_at_s=NOW_S - jobs.KEPT_S - 1))
    check(database, b"code;product\nB;VIP\n")
    with database.reading() as connection:
        assert jobs.job(connection, old.id).state == "discarded"
        assert set(connection.execute(select(tables.import_chunk.c.job_id)).scalars()) != {old.id}


def test_what_was_wrong_with_a_list_that_is_done_is_forgotten_after_a_week(database: Database) -> None:
    furnish(database)
    done = run(database, check(database, b"code;product;email\nA;VIP;zoe@quill\nB;VIP;\n"), keeps_good=True)
    assert (done.state, done.rows_bad) == ("done", 1)
    t, bad = tables.import_job, tables.import_bad
    for age_s, left in ((jobs.KEPT_S, ["zoe@quill"]), (jobs.KEPT_S + 1, [])):
        keeping.forget_abandoned(database, NOW_S + age_s)
        with database.reading() as connection:
            assert connection.execute(select(bad.c.value)).scalars().all() == left
            assert connection.execute(select(t.c.state, t.c.rows_bad)).all() == [("done", 1)]


def test_tickets_go_out_as_they_came_in(database: Database) -> None:
    furnish(database)
    run(database, check(database, LIST, keeps_text=True))
    with database.reading() as connection:
        lines = "".join(export.tickets(connection, EVENT)).splitlines()
        people = "".join(export.customers(connection, 1)).splitlines()
    assert lines[1] == "1,VIP,,,valid,,,1,O-1,shop,Zoë,M,z@example.org,A-1"
    assert len(lines) == 4
    assert len(people) == 3


FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "=cmd|'/C calc'!A0")


def test_no_export_holds_a_formula_whoever_wrote_it(database: Database) -> None:
    furnish(database, {1: "=HYPERLINK(1)", 2: "@VIP"})
    lines = ["code;product;order;first_name;last_name"]
    lines += [f'{text}-{n};@VIP;"{text}";"{text}";"{text}"' for n, text in enumerate(FORMULAS)]
    job = check(database, "\n".join(lines).encode(), "=shop", keeps_text=True)
    run(database, job, keeps_good=True)
    with database.reading() as connection:
        written = ["".join(export.tickets(connection, EVENT)), "".join(export.customers(connection, 1))]
        written.append("".join(export.scans(connection, EVENT)))
    rows = [row for text in written for row in csv.reader(io.StringIO(text))]
    assert len(rows) >= 3 + 2 * (len(FORMULAS) - 1)
    for cell in (one for row in rows for one in row):
        assert not cell.lstrip().startswith(("=", "+", "-", "@")), cell


NAMED = (
    (events.product, "name"), (events.session, "name"), (events.zone, "name"), (gates.gate, "name"),
    (tables.import_source, "shop"), (tables.import_source, "reference"), (sold.credential, "text"),
    *((customer, name) for name in
      ("first_name", "last_name", "email", "phone", "address", "postcode", "city", "country", "gender", "origin")),
)  # fmt: skip
"""Every column of text that goes into an export."""


def test_a_formula_in_any_column_is_a_text_in_every_export(database: Database) -> None:
    furnish(database)
    run(
        database,
        check(database, b"code;product;zone;session;name\nA-1;VIP;Arena;Freitag;Ada L\n", keeps_text=True),
    )
    log = GateLog(GateId(5), EVENT)
    with database.writing() as connection:
        roster.add_gate(connection, roster.Gate(GateId(5), "Gate", (ZoneId(1),)), (), 1)
        enrolled(connection, GateId(5))
        log.enter(1, 2, 1, NOW_S)
        log.push(connection, NOW_S)
        for number, (table, name) in enumerate(NAMED):
            connection.execute(update(table).values({name: f"=1+{number:02}"}))
    found: set[str] = set()
    with database.reading() as connection:
        for one, of in (("tickets", EVENT), ("scans", EVENT), ("customers", 1)):
            for row in csv.reader(io.StringIO("".join(export.EXPORTS[one](connection, of)))):
                assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in row), row
                found.update(text for cell in row for text in re.findall(r"=1\+\d\d", cell))
    assert found == {f"=1+{number:02}" for number in range(len(NAMED))}, "each of them was seen"


def test_a_kill_in_the_middle_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """The command as it is typed, killed after its first chunk, and given the same file again."""
    data, file = tmp_path / "centre", tmp_path / "list.csv"
    data.mkdir()
    database = Database.open(data)
    furnish(database)
    database.close()
    file.write_bytes(rows_of(9_000))
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "sync",
        "import",
        "csv",
        str(file),
        "--event",
        "7",
        "--data",
        str(data),
    ]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    for line in first.stdout:
        if line.startswith("2000 of"):
            os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Going on with import 1" in second.stdout
    assert "Done: 9000 new" in second.stdout
    third = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Done: 0 new, 0 changed, 9000 as they were." in third.stdout
    database = Database.open(data)
    assert [number for number, _, _ in tickets(database)] == list(range(1, 9_001))
    database.close()


def test_the_command_names_bad_rows_and_writes_nothing(tmp_path: Path) -> None:
    data, file = tmp_path / "centre", tmp_path / "list.csv"
    data.mkdir()
    database = Database.open(data)
    furnish(database)
    file.write_bytes(b"code;product\nA-1;VIP\nA-2;<script>alert(1)</script>\n")
    command = [sys.executable, "-m", "sync", "import", "csv", str(file), "--event", "7", "--data", str(data)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "Row 3, product '<script>alert(1)</script>': The event has no product" in refused.stdout
    assert tickets(database) == []
    kept = subprocess.run([*command, "--keep-good"], capture_output=True, text=True, timeout=60, check=False)
    assert kept.returncode == 0
    assert len(tickets(database)) == 1
    out = [sys.executable, "-m", "sync", "export", "tickets", "--event", "7", "--data", str(data)]
    exported = subprocess.run(out, capture_output=True, timeout=60, check=True)
    assert exported.stdout.decode("utf-8-sig").splitlines()[1].startswith("1,VIP")
    database.close()
