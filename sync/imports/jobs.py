"""One file's way in: checked and kept beside the tickets, then written chunk by chunk when a person says so.

A chunk is written, counted and removed in one transaction, so that whoever goes on after a crash, on whatever
replica, goes on with the next one. A file that was finished may come again: nothing changes.
"""

import io
from enum import StrEnum
from hashlib import sha256
from typing import IO, NamedTuple

import msgspec
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from admission.ids import EventId
from sync.accounts import audit
from sync.accounts.principal import Actor
from sync.customers.tables import customer
from sync.events import tables as events
from sync.imports import intake, slabs, tables
from sync.imports.columns import Column, Layout
from sync.imports.entries import Entry
from sync.imports.faults import BadCell, BadFile, shown
from sync.imports.files import Checked, How, packed, unpacked
from sync.store.schema import next_id, queue
from sync.tickets import changes
from sync.tickets import tables as sold

KEPT_S = 7 * 86_400
"""A job that nobody goes on with holds names and codes; after a week they are deleted."""
PIECE_BYTES = 256 * 1024
"""Of a file, read at a time."""
SLAB_ROWS = 500
"""Bad rows written at a time."""


_GROWING = (customer, sold.ticket, sold.credential, tables.import_source)
"""What a chunk writes to, and looks things up in."""


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


class _Columns(msgspec.Struct, frozen=True):
    taken: dict[str, str]
    ignored: tuple[str, ...]


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


def open_job(connection: Connection, event: int, digest: bytes, shop: str) -> Job | None:
    """Return the job of the same file that was begun and not finished; None where there is none."""
    t = tables.import_job
    found = connection.execute(
        select(t)
        .where(t.c.event_id == event, t.c.digest == digest, t.c.shop == shop)
        .where(t.c.state.in_((State.CHECKED, State.RUNNING)))
        .order_by(t.c.id.desc())
        .limit(1)
    )
    row = found.mappings().first()
    return None if row is None else _job(row)


def keep(connection: Connection, event: int, checked: Checked, came: Source, now_s: int) -> Job:
    """Keep a checked file until it is written or discarded; says how it compares with what is there.

    Rows whose code is another ticket's become bad ones.
    """
    t = tables.import_job
    _forget_old(connection, now_s)
    number = next_id(connection, t.c.id)
    title = checked.layout
    columns = _Columns({column.value: title.title(column) for column in title.places}, title.ignored)
    connection.execute(
        insert(t).values(
            id=number, event_id=event, shop=came.shop, digest=came.digest, name=came.name, state=State.CHECKED,
            made_at_s=now_s, changed_at_s=now_s, encoding=checked.encoding, delimiter=checked.delimiter,
            columns=msgspec.json.encode(columns).decode(), rows_good=0, rows_bad=0, rows_done=0, rows_new=0,
            rows_changed=0, rows_same=0, rows_taken=0, keeps_good=False, new_at=None,
        )
    )  # fmt: skip
    version = changes.coming(connection, EventId(event)) - 1  # first: what comes while we look raises it
    bad, taken_rows = list(checked.bad), 0
    good = new = changed = same = 0
    for place, chunk in enumerate(checked.chunks, start=1):
        entries = unpacked(chunk.packed)
        found = intake.compare(connection, event, came.shop, entries)
        kept = chunk
        if found.taken:
            taken_rows += len(found.taken)
            bad += (_taken(title, entry) for entry in entries if entry.row in found.taken)
            kept = packed([entry for entry in entries if entry.row not in found.taken])
        good, new, changed = good + kept.rows, new + len(found.new), changed + len(found.changed)
        same += found.same
        if kept.rows:
            connection.execute(
                insert(tables.import_chunk).values(
                    job_id=number, number=place, rows=kept.rows, entries=kept.packed
                )
            )
    bad.sort(key=lambda one: one.row)
    for start in range(0, len(bad), SLAB_ROWS):
        slab = [
            {"job_id": number, "number": at, **one._asdict()}
            for at, one in enumerate(bad[start : start + SLAB_ROWS], start=start + 1)
        ]
        connection.execute(insert(tables.import_bad), slab)
    connection.execute(
        update(t)
        .where(t.c.id == number)
        .values(
            rows_good=good,
            rows_bad=checked.rows_bad + taken_rows,
            rows_new=new,
            rows_changed=changed,
            rows_same=same,
            new_at=None if changed or same else version,
        )
    )
    return job(connection, number)


def job(connection: Connection, number: int) -> Job:
    """Return a job. LookupError where there is none."""
    row = (
        connection.execute(select(tables.import_job).where(tables.import_job.c.id == number))
        .mappings()
        .first()
    )
    if row is None:
        raise LookupError(number)
    return _job(row)


def jobs_of(connection: Connection, event: int, below: int, limit: int) -> list[Job]:
    """Return the jobs of an event, newest first; those with a number below `below`, 0 for all."""
    t = tables.import_job
    found = select(t).where(t.c.event_id == event).order_by(t.c.id.desc()).limit(limit)
    return [
        _job(row) for row in connection.execute(found.where(t.c.id < below) if below else found).mappings()
    ]


def bad_cells(connection: Connection, number: int, after: int, limit: int) -> list[tuple[int, BadCell]]:
    """Return what is wrong with a job's rows, in their order, numbered; those after number `after`."""
    t = tables.import_bad
    found = connection.execute(
        select(t).where(t.c.job_id == number, t.c.number > after).order_by(t.c.number).limit(limit)
    )
    return [(row.number, BadCell(row.row, row.column, row.value, row.what)) for row in found]


def start(connection: Connection, number: int, actor: Actor, now_s: int, *, keeps_good: bool) -> Job:
    """Let a checked job be written. BadFile where rows are bad and nobody said to go on without them."""
    found = _locked(connection, number)
    if found.state is State.RUNNING:
        return found
    if found.state is not State.CHECKED:
        raise BadFile("this import is finished or was discarded", "Send the file again.")
    if found.rows_bad and not keeps_good:
        raise BadFile(
            f"{found.rows_bad} rows are bad",
            "Mend them and send the file again, or say that the good ones are taken without them.",
        )
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


def advance(connection: Connection, number: int, now_s: int) -> Job:
    """Write one chunk of a running job, as one version of the event's list; the job is done after its last one.

    Nothing of the transaction may follow. BadFile where the job does not run.
    """
    slabs.know_sizes(connection, _GROWING)
    found = _locked(connection, number)
    if found.state is State.DONE:
        return found
    if found.state is not State.RUNNING:
        raise BadFile("this import does not run", "Start it first.")
    t, c = tables.import_job, tables.import_chunk
    chunk = connection.execute(select(c).where(c.c.job_id == number).order_by(c.c.number).limit(1)).first()
    if chunk is None:
        connection.execute(update(t).where(t.c.id == number).values(state=State.DONE, changed_at_s=now_s))
        return job(connection, number)
    house = _organization(connection, found.event)
    new_at = connection.execute(select(t.c.new_at).where(t.c.id == number)).scalar()
    entries = unpacked(chunk.entries)
    written = intake.write(connection, found.event, found.shop, house, entries, new_at, now_s)
    connection.execute(delete(c).where(c.c.job_id == number, c.c.number == chunk.number))
    left = connection.execute(select(func.count()).select_from(c).where(c.c.job_id == number)).scalar_one()
    connection.execute(
        update(t)
        .where(t.c.id == number)
        .values(
            rows_done=t.c.rows_done + chunk.rows,
            rows_new=t.c.rows_new + written.new,
            rows_changed=t.c.rows_changed + written.changed,
            rows_same=t.c.rows_same + written.same,
            rows_taken=t.c.rows_taken + written.taken,
            state=State.RUNNING if left else State.DONE,
            new_at=written.new_at,
            changed_at_s=now_s,
        )
    )
    done = job(connection, number)
    if written.new or written.changed:
        changes.stamp(connection, (EventId(found.event),), now_s)
    return done


def discard(connection: Connection, number: int, now_s: int) -> Job:
    """Give a job up: what is not written yet is deleted; what is written stays."""
    found = _locked(connection, number)
    if found.state in {State.CHECKED, State.RUNNING}:
        _empty(connection, (number,), State.DISCARDED, now_s)
    return job(connection, number)


def _taken(where: Layout, entry: Entry) -> BadCell:
    column = Column.CODE if Column.CODE in where.places else Column.UID
    text = next((code.text for code in entry.codes if code.text), "")
    what = "Another ticket of the event has this code; cancel that one, or take the row out."
    return BadCell(entry.row, where.title(column), shown(text), what)


def _locked(connection: Connection, number: int) -> Job:
    """Return the job; no other transaction goes on with it until ours ends."""
    queue(connection, f"import {number}")
    return job(connection, number)


def _forget_old(connection: Connection, now_s: int) -> None:
    t = tables.import_job
    old = connection.execute(
        select(t.c.id).where(t.c.state.in_((State.CHECKED, State.RUNNING)), t.c.changed_at_s < now_s - KEPT_S)
    )
    _empty(connection, tuple(old.scalars()), State.DISCARDED, now_s)


def _empty(connection: Connection, numbers: tuple[int, ...], state: State, now_s: int) -> None:
    for number in numbers:
        connection.execute(delete(tables.import_chunk).where(tables.import_chunk.c.job_id == number))
        connection.execute(delete(tables.import_bad).where(tables.import_bad.c.job_id == number))
        connection.execute(
            update(tables.import_job)
            .where(tables.import_job.c.id == number)
            .values(state=state, changed_at_s=now_s)
        )


def _organization(connection: Connection, event: int) -> int:
    e, g = events.event, events.event_group
    found = connection.execute(
        select(g.c.organization_id).join(e, e.c.group_id == g.c.id).where(e.c.id == event)
    )
    return int(found.scalar_one())


def _job(row: RowMapping) -> Job:
    columns = msgspec.json.decode(row["columns"], type=_Columns)
    counts = {
        name: row[name]
        for name in (
            "rows_good",
            "rows_bad",
            "rows_done",
            "rows_new",
            "rows_changed",
            "rows_same",
            "rows_taken",
        )
    }
    return Job(
        id=row["id"], event=row["event_id"], shop=row["shop"], name=row["name"], state=State(row["state"]),
        made_at_s=row["made_at_s"], encoding=row["encoding"], delimiter=row["delimiter"], columns=columns.taken,
        ignored=columns.ignored, **counts,
    )  # fmt: skip
