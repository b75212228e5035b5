"""A file's rows on their way into a job: slab by slab, each in a transaction of its own, so that others write in between.

Until its last slab is kept the job is nobody's to see or to start. A slab is compared, kept and counted in one
transaction: whoever sends the same file again after a crash goes on where it ended, and two who send it at a time
help each other, since the same file makes the same slabs.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from admission.ids import EventId
from sync.imports import intake, jobs, tables
from sync.imports.catalogue import Catalogue
from sync.imports.columns import Column, Layout
from sync.imports.entries import Entry
from sync.imports.faults import BadCell, BadFile, CellFault, FileFault, shown
from sync.imports.files import Reading, Slab, packed
from sync.imports.jobs import KEEPING, Columns, Job, Source, State
from sync.store.database import Database
from sync.store.engines import WRITES
from sync.store.schema import next_id, queue
from sync.tickets import changes

ABANDONED_S = 3600
"""A file that nobody goes on sending for so long is deleted as far as it was kept."""

Result = TypeVar("Result")


class Transact(Protocol):
    """Runs work in a short writing transaction, as `Database.transact` does."""

    def __call__(self, work: Callable[[Connection], Result], /) -> Result:
        """Return what `work` returns, once it is durable."""
        ...


class Kept(NamedTuple):
    """A job that was checked. `is_new`: by whoever asks."""

    job: Job
    is_new: bool


def beside(reading: Connection) -> Transact:
    """Return what makes writing transactions beside a reading one, which lets go of what it saw.

    A file is read for longer than a snapshot should stand, and than PostgreSQL lets a transaction be idle.
    """
    reading.rollback()

    def transact(work: Callable[[Connection], Result], /) -> Result:
        with reading.engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
            return work(connection)

    return transact


def keep(transact: Transact, known: Catalogue, reading: Reading, came: Source, now_s: int) -> int:
    """Read a file to its end and keep it; returns its job's number, for `finish`.

    Each slab is compared with what is there: rows whose code is another ticket's become bad ones. BadFile where the
    file is none after all; then nothing of it stays.
    """

    def begin(connection: Connection) -> int:
        return _begin(connection, known, reading, came, now_s)

    number, row = 0, 0
    try:
        for slab in reading.slabs:
            number = number or transact(begin)
            transact(_keeping(number, row, slab, reading.layout, known.event, came.shop, now_s))
            row = slab.last_row
    except BadFile:
        if number:
            transact(lambda connection: _drop(connection, number))
        raise
    return number or transact(begin)


def finish(connection: Connection, number: int, now_s: int) -> Kept:
    """Let a job be seen whose file was kept to its end. BadFile where it was given up meanwhile."""
    t = tables.import_job
    queue(connection, f"import {number}")
    row = connection.execute(select(t).where(t.c.id == number)).mappings().first()
    if row is None:
        raise BadFile(FileFault.OVER)
    if row["state"] != KEEPING:
        return Kept(jobs.job(connection, number), is_new=False)
    # Of the same file, read when the event was another.
    older = select(t.c.id).where(
        t.c.event_id == row["event_id"], t.c.digest == row["digest"], t.c.shop == row["shop"], t.c.id < number,
        t.c.state == State.CHECKED,
    )  # fmt: skip
    for one in connection.execute(older).scalars().all():
        jobs.empty(connection, one, State.DISCARDED, now_s)
    all_new = not row["rows_changed"] and not row["rows_same"]
    connection.execute(
        update(t)
        .where(t.c.id == number)
        .values(
            state=State.CHECKED, rows_done=0, new_at=row["new_at"] if all_new else None, changed_at_s=now_s
        )
    )
    return Kept(jobs.job(connection, number), is_new=True)


def _begin(connection: Connection, known: Catalogue, reading: Reading, came: Source, now_s: int) -> int:
    """Return the job of this file that was begun and not kept to its end, else a new one."""
    t, title = tables.import_job, reading.layout
    number = next_id(connection, t.c.id)  # first: from here on nobody else begins or forgets
    jobs.forget_old(connection, now_s)
    columns = Columns(
        {column.value: title.title(column) for column in title.places}, title.ignored, known.print
    )
    begun = connection.execute(select(t).where(t.c.state == KEEPING)).mappings().all()
    same = (known.event, came.digest, came.shop)
    for row in begun:
        is_same = (row["event_id"], bytes(row["digest"]), row["shop"]) == same
        if is_same and jobs.columns_of(row) == columns:
            return int(row["id"])
        if is_same or row["changed_at_s"] < now_s - ABANDONED_S:
            _drop(connection, row["id"])
    connection.execute(
        insert(t).values(
            id=number, event_id=known.event, shop=came.shop, digest=came.digest, name=came.name, state=KEEPING,
            made_at_s=now_s, changed_at_s=now_s, encoding=reading.encoding, delimiter=reading.delimiter,
            columns=msgspec.json.encode(columns).decode(), rows_good=0, rows_bad=0, rows_done=0, rows_new=0,
            rows_changed=0, rows_same=0, rows_taken=0, keeps_good=False,
            # First: what comes while we look raises it.
            new_at=changes.coming(connection, EventId(known.event)) - 1,
        )
    )  # fmt: skip
    return number


def _keeping(
    number: int, before: int, slab: Slab, layout: Layout, event: int, shop: str, now_s: int
) -> Callable[[Connection], None]:
    """Return what keeps a slab; `before`: the last row of the one before. `rows_done` is the last row kept."""
    t = tables.import_job

    def work(connection: Connection) -> None:
        queue(connection, f"import {number}")
        row = connection.execute(select(t).where(t.c.id == number)).mappings().first()
        if row is None or row["state"] == State.DISCARDED:
            raise BadFile(FileFault.OVER)
        if row["state"] != KEEPING or row["rows_done"] >= slab.last_row:
            return  # whoever sends the same was here before
        if row["rows_done"] != before:
            raise BadFile(
                FileFault.OVER
            )  # kept by a version that made other slabs: begun anew, it is dropped
        if connection.dialect.name == "postgresql":
            # Nobody is told of a slab: `finish` is, and what is durable then is all that was written before it.
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        found = intake.compare(connection, event, shop, slab.entries)
        entries, bad = slab.entries, slab.bad
        if found.taken:
            entries = [one for one in slab.entries if one.row not in found.taken]
            taken = [_taken(layout, one) for one in slab.entries if one.row in found.taken]
            bad = sorted((*slab.bad, *taken), key=lambda one: one.row)
        _add(connection, number, slab.number, entries, bad)
        connection.execute(
            update(t)
            .where(t.c.id == number)
            .values(
                rows_good=row["rows_good"] + len(entries),
                rows_bad=row["rows_bad"] + slab.rows_bad + len(found.taken),
                rows_done=slab.last_row,
                rows_new=row["rows_new"] + len(found.new),
                rows_changed=row["rows_changed"] + len(found.changed),
                rows_same=row["rows_same"] + found.same,
                changed_at_s=now_s,
            )
        )

    return work


def _add(connection: Connection, number: int, place: int, entries: list[Entry], bad: list[BadCell]) -> None:
    if entries:
        connection.execute(
            insert(tables.import_chunk).values(
                job_id=number, number=place, rows=len(entries), entries=packed(entries)
            )
        )
    if bad:
        t = tables.import_bad
        last = connection.execute(select(func.max(t.c.number)).where(t.c.job_id == number)).scalar() or 0
        connection.execute(
            insert(t),
            [
                {
                    "job_id": number, "number": at, "row": one.row, "column": one.column, "value": one.value,
                    "what": jobs.said_of(one),
                }
                for at, one in enumerate(bad, start=last + 1)
            ],
        )  # fmt: skip


def _drop(connection: Connection, number: int, before_s: int | None = None) -> None:
    """Delete a job that nobody saw; `before_s`: where nobody went on with it since."""
    queue(connection, f"import {number}")
    t = tables.import_job
    row = connection.execute(select(t.c.state, t.c.changed_at_s).where(t.c.id == number)).first()
    if row is not None and row.state == KEEPING and (before_s is None or row.changed_at_s < before_s):
        jobs.empty(connection, number, State.DISCARDED, 0)
        connection.execute(delete(t).where(t.c.id == number))


def forget_abandoned(database: Database, now_s: int) -> int:
    """Delete what nobody goes on sending, and empty jobs that nobody went on with; returns how many. Blocks."""
    t = tables.import_job
    with database.reading() as connection:
        begun = select(t.c.id).where(t.c.state == KEEPING, t.c.changed_at_s < now_s - ABANDONED_S)
        dropped = connection.execute(begun).scalars().all()
    for number in dropped:  # each by itself: a large list takes a while to go
        database.transact(partial(_drop, number=number, before_s=now_s - ABANDONED_S))
    return len(dropped) + database.transact(lambda connection: jobs.forget_old(connection, now_s))


def _taken(where: Layout, entry: Entry) -> BadCell:
    column = Column.CODE if Column.CODE in where.places else Column.UID
    text = next((code.text for code in entry.codes if code.text), "")
    return BadCell(entry.row, where.title(column), shown(text), CellFault.TAKEN)
