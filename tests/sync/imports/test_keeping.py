"""Lists on their way into a job, on both engines: others write in between, and a crash costs nothing twice."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from admission.entitlements import Product
from admission.ids import ProductId
from sync.events import rows as programme
from sync.events import tables as events
from sync.imports import jobs, keeping, tables
from sync.imports.faults import BadFile, CellFault, FileFault
from sync.imports.files import CHUNK_ROWS, How, Reading, Slab, read_file
from sync.store.database import Database
from tests.sync.imports.house import EVENT, NOW_S, check, furnish, kept, known, run

SLABS = 4
DATA = b"code;product\n" + b"".join(b"R%06d;VIP\n" % number for number in range(SLABS * CHUNK_ROWS - 1))


class Cut(Exception):
    """Stands for a crash."""


def reading(
    database: Database, data: bytes = DATA, between: Callable[[int], None] = lambda _number: None
) -> Reading:
    """A file whose reader is somewhere else between its slabs: `between` has the number of the one behind."""
    found = read_file(data, known(database), How())

    def slabs() -> Iterator[Slab]:
        for slab in found.slabs:
            between(slab.number)
            yield slab

    return found._replace(slabs=slabs())


def source(data: bytes = DATA) -> jobs.Source:
    return jobs.source("shop", "list.csv", data, How())


def keep(database: Database, read: Reading, data: bytes = DATA, now_s: int = NOW_S) -> int:
    return keeping.keep(database.transact, known(database), read, source(data), now_s)


def finish(database: Database, number: int) -> keeping.Kept:
    return database.transact(lambda connection: keeping.finish(connection, number, NOW_S))


def cut_before(number: int) -> Callable[[int], None]:
    def between(at: int) -> None:
        if at == number:
            raise Cut

    return between


def kept_rows(database: Database) -> list[tuple[int, int, int]]:
    with database.reading() as connection:
        c = tables.import_chunk.c
        found = connection.execute(select(c.job_id, c.number, c.rows).order_by(c.job_id, c.number))
        return [tuple(row) for row in found]


def all_jobs(database: Database) -> list[tuple[int, str]]:
    with database.reading() as connection:
        t = tables.import_job.c
        return [tuple(row) for row in connection.execute(select(t.id, t.state).order_by(t.id))]


def test_others_write_between_the_slabs(database: Database) -> None:
    """On SQLite a writer that finds the database taken for 10 s is refused: here it would be, were it one transaction."""
    furnish(database)
    seen: list[int] = []

    def between(number: int) -> None:
        with database.writing() as connection:
            e = events.event
            connection.execute(update(e).where(e.c.id == EVENT).values(name=f"Fest {number}"))
            seen.append(
                connection.execute(select(func.count()).select_from(tables.import_chunk)).scalar_one()
            )

    number = keep(database, reading(database, between=between))
    assert seen == list(range(SLABS)), "what is kept is there for good, slab by slab"
    with database.reading() as connection:
        assert connection.execute(select(events.event.c.name)).scalar_one() == f"Fest {SLABS}"
    assert finish(database, number).job.rows_new == SLABS * CHUNK_ROWS - 1


def test_a_file_that_is_read_for_a_request_holds_no_snapshot(database: Database) -> None:
    furnish(database)
    with database.reading() as connection:
        connection.execute(select(events.event.c.id)).all()
        transact = keeping.beside(connection)
        assert not connection.in_transaction()
        number = keeping.keep(transact, known(database), reading(database), source(), NOW_S)
    assert finish(database, number).job.state == "checked"


def test_what_is_not_kept_to_its_end_is_nobodys_to_see(database: Database) -> None:
    furnish(database)
    with pytest.raises(Cut):
        keep(database, reading(database, between=cut_before(3)))
    assert all_jobs(database) == [(1, jobs.KEEPING)]
    with database.reading() as connection:
        assert jobs.jobs_of(connection, EVENT, 0, 10) == []
        assert jobs.open_job(connection, source(), known(database)) is None
        with pytest.raises(LookupError):
            jobs.job(connection, 1)
    for work in (jobs.advance, jobs.discard):
        with pytest.raises(LookupError):
            database.transact(lambda connection, work=work: work(connection, 1, NOW_S))  # type: ignore[misc]  # bound


def test_the_same_file_again_goes_on_where_it_was_cut(database: Database) -> None:
    furnish(database)
    with pytest.raises(Cut):
        keep(database, reading(database, between=cut_before(3)))
    before = kept_rows(database)
    assert before == [(1, 1, CHUNK_ROWS), (1, 2, CHUNK_ROWS)]
    with database.writing() as connection:  # what was kept is not kept again
        c = tables.import_chunk
        connection.execute(update(c).where(c.c.number == 1).values(rows=CHUNK_ROWS - 1))
    number = keep(database, reading(database), now_s=NOW_S + 5)
    job = finish(database, number).job
    assert (job.id, job.made_at_s, job.rows_good, job.rows_new) == (
        1,
        NOW_S,
        SLABS * CHUNK_ROWS - 1,
        job.rows_good,
    )
    assert [rows for _, _, rows in kept_rows(database)] == [
        CHUNK_ROWS - 1,
        *[CHUNK_ROWS] * (SLABS - 2),
        CHUNK_ROWS - 1,
    ]
    assert finish(database, number).is_new is False, "finished once"


def test_a_kill_while_a_list_is_kept_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    furnish(database)
    script = """
import os, signal, sys
from pathlib import Path
from sync.store.database import Database
from tests.sync.imports.test_keeping import keep, reading
database = Database.open(Path(sys.argv[1]))
def between(number):
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
keep(database, reading(database, between=between))
"""
    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60, cwd=Path.cwd()
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(kept_rows(database)) == 3
    done = run(database, finish(database, keep(database, reading(database))).job)
    assert (done.id, done.rows_new, done.state) == (1, SLABS * CHUNK_ROWS - 1, "done")
    database.close()


def test_two_who_send_the_same_file_at_a_time_make_one_job(database: Database) -> None:
    furnish(database)
    theirs: list[keeping.Kept] = []

    def between(number: int) -> None:
        if number == 3:
            theirs.append(finish(database, keep(database, reading(database))))

    number = keep(database, reading(database, between=between))
    ours = finish(database, number)
    assert (theirs[0].is_new, ours.is_new) == (True, False)
    assert ours.job == theirs[0].job
    assert [at for _, at, _ in kept_rows(database)] == list(range(1, SLABS + 1))
    assert run(database, ours.job).rows_new == SLABS * CHUNK_ROWS - 1


def test_a_file_that_turns_out_to_be_none_leaves_nothing(database: Database) -> None:
    furnish(database)
    bad = DATA + b'"never closed;VIP\n'
    with pytest.raises(BadFile) as fault:
        keep(database, reading(database, bad), bad)
    assert fault.value.fault is FileFault.CUT_OFF
    assert (all_jobs(database), kept_rows(database)) == ([], [])


def test_a_job_given_up_while_another_sends_it_is_told(database: Database) -> None:
    furnish(database)

    def between(number: int) -> None:
        if number == 4:
            other = finish(database, keep(database, reading(database))).job
            database.transact(lambda connection: jobs.discard(connection, other.id, NOW_S))

    with pytest.raises(BadFile) as fault:
        finish(database, keep(database, reading(database, between=between)))
    assert fault.value.fault is FileFault.OVER
    assert all_jobs(database) == [(1, "discarded")]


def test_what_nobody_goes_on_sending_is_deleted_by_the_next(database: Database) -> None:
    furnish(database)
    with pytest.raises(Cut):
        keep(database, reading(database, between=cut_before(2)))
    other = b"code;product\nX;VIP\n"
    late_s = NOW_S + keeping.ABANDONED_S
    keep(database, reading(database, other), other, late_s)
    assert len(all_jobs(database)) == 2, "not yet"
    keep(database, reading(database, other), other, late_s + 1)
    assert all_jobs(database) == [(2, jobs.KEEPING)], "and the same file again asks for no new job"
    assert {number for number, _, _ in kept_rows(database)} == {2}


def test_what_nobody_goes_on_sending_is_deleted_also_when_nobody_sends_another(database: Database) -> None:
    furnish(database)
    with pytest.raises(Cut):
        keep(database, reading(database, between=cut_before(2)))
    checked = check(database, b"code;product\nX;VIP\n")
    assert keeping.forget_abandoned(database, NOW_S + keeping.ABANDONED_S) == 0
    assert len(all_jobs(database)) == 2, "not yet"
    assert keeping.forget_abandoned(database, NOW_S + keeping.ABANDONED_S + 1) == 1
    assert all_jobs(database) == [(checked.id, "checked")]
    assert {number for number, _, _ in kept_rows(database)} == {checked.id}
    assert keeping.forget_abandoned(database, NOW_S + jobs.KEPT_S + 1) == 1
    assert all_jobs(database) == [(checked.id, "discarded")]
    assert kept_rows(database) == []


def test_the_same_file_is_judged_anew_when_the_event_has_what_it_lacked(database: Database) -> None:
    furnish(database)
    data = b"code;product\nA;VIP\nB;Loge\n"
    first = check(database, data)
    assert (first.rows_good, first.rows_bad) == (1, 1)
    with database.reading() as connection:
        assert jobs.open_job(connection, source(data), known(database)) == first
    with database.writing() as connection:
        programme.add_products(connection, [Product(ProductId(3), EVENT, "Loge")])
    with database.reading() as connection:
        assert jobs.open_job(connection, source(data), known(database)) is None
    second = check(database, data)
    assert (second.rows_good, second.rows_bad) == (2, 0)
    assert all_jobs(database) == [(first.id, "discarded"), (second.id, "checked")]


def test_bad_rows_of_all_slabs_are_named_in_their_order(database: Database) -> None:
    """Rows that are bad by themselves and rows whose code is another's, over several slabs, some with no good row."""
    furnish(database)
    run(database, check(database, b"code;product\nR000010;VIP\nR004000;VIP\n", shop="another"))
    lines = [b"R%06d;VIP\n" % number for number in range(5_000)]
    lines[3_000:3_000] = [b"B%06d;Loge\n" % number for number in range(2_500)]
    data = b"code;product\n" + b"".join(lines)
    job = check(database, data)
    assert (job.rows_good, job.rows_new, job.rows_bad) == (4_998, 4_998, 2_502)
    with database.reading() as connection:
        found = jobs.bad_cells(connection, job.id, 0, 10_000)
    assert [number for number, _ in found] == list(range(1, 2_503))
    rows = [bad.row for _, bad in found]
    assert rows == sorted(rows)
    taken = [(bad.row, bad.value) for _, bad in found if bad.fault is CellFault.TAKEN]
    assert taken == [(12, ""), (6_502, "")]
    assert run(database, job, keeps_good=True).rows_done == 4_998


def test_words_that_an_earlier_version_kept_do_not_hinder(database: Database) -> None:
    furnish(database)
    job = check(database, b"code;product\nA;VIP\n")
    with database.writing() as connection:
        row = {"job_id": job.id, "number": 1, "row": 2, "column": "code", "value": "A", "what": "No product."}
        connection.execute(insert(tables.import_bad), [row])
    with database.reading() as connection:
        ((_, bad),) = jobs.bad_cells(connection, job.id, 0, 10)
    assert (bad.fault, bad.row) == (CellFault.EARLIER, 2)


def test_a_reading_without_rows_is_a_job_too(database: Database) -> None:
    """As a dump of pretix of an event that has sold nothing yet."""
    furnish(database)
    empty = read_file(b"code;product\nA;VIP\n", known(database), How())
    assert len(list(islice(empty.slabs, 5))) == 1
    job = kept(database, empty, source(b""), known(database))
    assert (job.rows_good, job.state) == (0, "checked")
    assert run(database, job).state == "done"
