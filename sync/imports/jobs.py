"""One file's way in: checked and kept beside the tickets, then written chunk by chunk when a person says so.

A chunk is written, counted and removed in one transaction, so that whoever goes on after a crash, on whatever
replica, goes on with the next one. A file that was finished may come again: nothing changes.
"""

import io
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from typing import IO, Any, NamedTuple

import msgspec
from sqlalchemy import Connection, RowMapping, delete, select, update

from admission.ids import EventId
from sync.accounts import audit
from sync.accounts.principal import Actor
from sync.customers.tables import customer
from sync.events import tables as events
from sync.imports import intake, slabs, tables
from sync.imports.catalogue import Catalogue
from sync.imports.chunks import Ahead
from sync.imports.faults import NOTHING, BadCell, BadFile, CellFault, FileFault, Values
from sync.imports.files import How
from sync.store.schema import queue, queueing
from sync.store.together import Ask, Round, Statement, together
from sync.tickets import changes
from sync.tickets import tables as sold

KEPT_S = 7 * 86_400
"""A job that nobody goes on with holds names and codes, as do the bad rows of one that is done; after a week they are deleted."""
PIECE_BYTES = 256 * 1024
"""Of a file, read at a time."""

_GROWING = (customer, sold.ticket, sold.credential, tables.import_source)
"""What a chunk writes to, and looks things up in."""
_JOB = Statement(
    f"SELECT {', '.join(f'job.{column.name}' for column in tables.import_job.c)}, event_group.organization_id "  # noqa: S608 - fixed names
    "FROM import_job AS job JOIN event ON event.id = job.event_id JOIN event_group ON event_group.id = event.group_id "
    "WHERE job.id = :number AND job.state <> 'keeping'",
    *(column.name for column in tables.import_job.c),
    "organization_id",
)
_CHUNKS = Statement(
    "SELECT number, rows, entries FROM import_chunk WHERE job_id = :job ORDER BY number LIMIT 2",
    "number", "rows", "entries",
)  # fmt: skip
_CHUNK_GONE = Statement("DELETE FROM import_chunk WHERE job_id = :job AND number = :number")
_MOVING = (
    "state", "rows_done", "rows_new", "rows_changed", "rows_same", "rows_taken", "new_at", "changed_at_s",
)  # fmt: skip
"""What a chunk changes of its job."""
_MOVED = Statement(
    f"UPDATE import_job SET {', '.join(f'{name} = :{name}' for name in _MOVING)} WHERE id = :number"  # noqa: S608 - fixed names
)


KEEPING = "keeping"
"""State of a job whose file is not read to its end (`sync.imports.keeping`); it is nobody's to see."""


class State(StrEnum):
    """Where a job stands."""

    CHECKED = "checked"
    RUNNING = "running"
    DONE = "done"
    DISCARDED = "discarded"


class Job(msgspec.Struct, frozen=True):
    """An import, as people see it."""

    id: int
    event: int
    shop: str
    name: str
    state: State
    made_at_s: int
    encoding: str
    delimiter: str
    columns: dict[str, str]
    """What each column was taken for, and its heading."""
    ignored: tuple[str, ...]
    rows_good: int
    rows_bad: int
    rows_done: int
    rows_new: int
    rows_changed: int
    rows_same: int
    rows_taken: int


class Columns(msgspec.Struct, frozen=True):
    """What a job says of its file's columns: the heading by what it holds, and those nothing is taken from."""

    taken: dict[str, str]
    ignored: tuple[str, ...]
    known: str = ""
    """The print of what the event had when the file was read (`Catalogue.print`)."""


class Source(NamedTuple):
    """Where a file comes from. `shop`: the same name every time, as tickets are told apart by it."""

    shop: str
    name: str
    digest: bytes


def source(shop: str, name: str, data: bytes | IO[bytes], how: How) -> Source:
    """Return what tells one file and its reading from another."""
    digest = sha256(msgspec.json.encode([sorted(how.columns.items()), how.product, how.keeps_text]) + b"\n")
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    file.seek(0)
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return Source(shop[: tables.SHOP_CHARS], name[: tables.NAME_CHARS], digest.digest())


def open_job(connection: Connection, came: Source, known: Catalogue) -> Job | None:
    """Return the job of the same file that was begun and not finished; None where there is none.

    One that was only checked counts while the event is as it was: a product made since makes good rows of bad ones.
    """
    t = tables.import_job
    found = connection.execute(
        select(t)
        .where(t.c.event_id == known.event, t.c.digest == came.digest, t.c.shop == came.shop)
        .where(t.c.state.in_((State.CHECKED, State.RUNNING)))
        .order_by(t.c.id.desc())
    ).mappings()
    for row in found:
        if row["state"] == State.RUNNING or columns_of(row).known == known.print:
            return _job(row)
    return None


def job(connection: Connection, number: int) -> Job:
    """Return a job. LookupError where there is none."""
    return _job(_row(connection, number))


def jobs_of(connection: Connection, event: int, below: int, limit: int) -> list[Job]:
    """Return the jobs of an event, newest first; those with a number below `below`, 0 for all."""
    t = tables.import_job
    found = select(t).where(t.c.event_id == event, t.c.state != KEEPING).order_by(t.c.id.desc()).limit(limit)
    return [
        _job(row) for row in connection.execute(found.where(t.c.id < below) if below else found).mappings()
    ]


def bad_cells(connection: Connection, number: int, after: int, limit: int) -> list[tuple[int, BadCell]]:
    """Return what is wrong with a job's rows, in their order, numbered; those after number `after`."""
    t = tables.import_bad
    found = connection.execute(
        select(t).where(t.c.job_id == number, t.c.number > after).order_by(t.c.number).limit(limit)
    )
    return [(row.number, BadCell(row.row, row.column, row.value, *_said(row.what))) for row in found]


def start(connection: Connection, number: int, actor: Actor, now_s: int, *, keeps_good: bool) -> Job:
    """Let a checked job be written. BadFile where rows are bad and nobody said to go on without them."""
    found = _locked(connection, number)
    if found.state is State.RUNNING:
        return found
    if found.state is not State.CHECKED:
        raise BadFile(FileFault.OVER)
    if found.rows_bad and not keeps_good:
        raise BadFile(FileFault.ROWS_BAD, n=found.rows_bad)
    # What was foreseen is counted anew as it is done.
    values = {"state": State.RUNNING, "keeps_good": keeps_good, "changed_at_s": now_s}
    counts = {"rows_new": 0, "rows_changed": 0, "rows_same": 0}
    connection.execute(
        update(tables.import_job).where(tables.import_job.c.id == number).values(**values, **counts)
    )
    audit.note(
        connection, actor, _organization(connection, found.event), "import.start", f"import {number}",
        {"event": found.event, "rows": found.rows_good}, now_s=now_s,
    )  # fmt: skip
    return job(connection, number)


def advance(connection: Connection, number: int, now_s: int, ahead: Ahead | None = None) -> Job:
    """Write one chunk of a running job, as one version of the event's list; the job is done after its last one.

    `ahead`: readies the chunk behind it meanwhile, for whoever goes on with that. Nothing of the transaction may follow.
    BadFile where the job does not run.
    """
    found, chunks = _running(connection, number)
    if found is None:
        raise LookupError(number)
    row = found._asdict()
    if row["state"] == State.DONE:
        return _job(row)
    if row["state"] != State.RUNNING:
        raise BadFile(FileFault.NOT_STARTED)
    if not chunks:
        row.update(state=State.DONE, changed_at_s=now_s)
        together(connection, [_moved(row)])
        return _job(row)
    chunk, *behind = chunks
    place = intake.Place(row["event_id"], row["organization_id"], row["shop"])

    def meanwhile() -> None:
        if ahead is not None and behind:
            ahead.ready(number, behind[0].number, behind[0].entries)

    ready = (ahead or Ahead()).take(number, chunk.number, chunk.entries)
    written = intake.write(connection, place, ready, row["new_at"], now_s, meanwhile)
    row.update(
        rows_done=row["rows_done"] + chunk.rows,
        rows_new=row["rows_new"] + written.new,
        rows_changed=row["rows_changed"] + written.changed,
        rows_same=row["rows_same"] + written.same,
        rows_taken=row["rows_taken"] + written.taken,
        state=State.RUNNING if behind else State.DONE,
        new_at=written.new_at,
        changed_at_s=now_s,
    )
    asks = [_CHUNK_GONE.ask(job=number, number=chunk.number), _moved(row)]
    if written.new or written.changed:
        asks += changes.stamping(connection, EventId(place.event), now_s)
    together(connection, asks)
    return _job(row)


def _moved(row: Mapping[str, Any]) -> Ask:
    return _MOVED.ask(
        number=row["id"], **{name: row[name] for name in _MOVING} | {"state": str(row["state"])}
    )


def _running(connection: Connection, number: int) -> tuple[Any | None, list[Any]]:
    """Return a job's row and its next two chunks; no other transaction goes on with it until ours ends."""
    rows: list[Any] = []
    chunks: list[Any] = []
    round_ = Round(connection)
    look = slabs.prepare(round_, _GROWING)
    round_.add(queueing(f"import {number}"))
    round_.add(_JOB.ask(number=number), rows.extend)
    round_.add(_CHUNKS.ask(job=number), chunks.extend)
    round_.run()
    look()
    return (rows[0] if rows else None), chunks


def discard(connection: Connection, number: int, now_s: int) -> Job:
    """Give a job up: what is not written yet is deleted; what is written stays."""
    found = _locked(connection, number)
    if found.state in {State.CHECKED, State.RUNNING}:
        empty(connection, number, State.DISCARDED, now_s)
    return job(connection, number)


def empty(connection: Connection, number: int, state: State, now_s: int) -> None:
    """Delete what a job holds of people and codes; its numbers stay."""
    t = tables.import_job
    connection.execute(delete(tables.import_chunk).where(tables.import_chunk.c.job_id == number))
    connection.execute(delete(tables.import_bad).where(tables.import_bad.c.job_id == number))
    connection.execute(update(t).where(t.c.id == number).values(state=state, changed_at_s=now_s))


def forget_old(connection: Connection, now_s: int) -> int:
    """Empty jobs that nobody went on with, and forget what was wrong with those that are done; returns how many of the first."""
    t = tables.import_job
    bad = tables.import_bad
    done = select(t.c.id).where(t.c.state == State.DONE, t.c.changed_at_s < now_s - KEPT_S)
    connection.execute(delete(bad).where(bad.c.job_id.in_(done)))
    old = connection.execute(
        select(t.c.id).where(t.c.state.in_((State.CHECKED, State.RUNNING)), t.c.changed_at_s < now_s - KEPT_S)
    )
    numbers = old.scalars().all()
    for number in numbers:
        empty(connection, number, State.DISCARDED, now_s)
    return len(numbers)


def said_of(bad: BadCell) -> str:
    """Return what is wrong with a cell, as the table of bad rows keeps it."""
    return msgspec.json.encode((bad.fault, dict(bad.values))).decode()


_SAID = msgspec.json.Decoder(tuple[CellFault, dict[str, str | int]])


def _said(what: str) -> tuple[CellFault, Values]:
    try:
        return _SAID.decode(what)
    except (msgspec.ValidationError, msgspec.DecodeError):  # words, as the first versions kept them
        return CellFault.EARLIER, NOTHING


def _locked(connection: Connection, number: int) -> Job:
    """Return the job; no other transaction goes on with it until ours ends."""
    queue(connection, f"import {number}")
    return job(connection, number)


def _row(connection: Connection, number: int) -> RowMapping:
    t = tables.import_job
    row = connection.execute(select(t).where(t.c.id == number, t.c.state != KEEPING)).mappings().first()
    if row is None:
        raise LookupError(number)
    return row


def _organization(connection: Connection, event: int) -> int:
    e, g = events.event, events.event_group
    found = connection.execute(
        select(g.c.organization_id).join(e, e.c.group_id == g.c.id).where(e.c.id == event)
    )
    return int(found.scalar_one())


def columns_of(row: Mapping[Any, Any]) -> Columns:
    """Return what a job's row says of its file's columns."""
    return msgspec.json.decode(row["columns"], type=Columns)


_COUNTS = ("rows_good", "rows_bad", "rows_done", "rows_new", "rows_changed", "rows_same", "rows_taken")


def _job(row: Mapping[Any, Any]) -> Job:
    columns = columns_of(row)
    return Job(
        id=row["id"], event=row["event_id"], shop=row["shop"], name=row["name"], state=State(row["state"]),
        made_at_s=row["made_at_s"], encoding=row["encoding"], delimiter=row["delimiter"], columns=columns.taken,
        ignored=columns.ignored, **{name: row[name] for name in _COUNTS},
    )  # fmt: skip
