"""The API of lists: a shop's file pushed, seen through and written; tables taken out as CSV."""

from typing import Annotated, NamedTuple

import msgspec
from sqlalchemy import Connection

from sync.accounts.audit import noted
from sync.events import programme
from sync.imports import export, jobs, keeping, tables, wording
from sync.imports.catalogue import catalogue
from sync.imports.columns import named
from sync.imports.faults import BadFile
from sync.imports.files import How, read_file
from sync.imports.jobs import Job
from sync.imports.texts import FILE_BYTES_MAX
from sync.web.api import (
    Asked,
    Body,
    Download,
    Page,
    Paged,
    Query,
    Refused,
    Role,
    Route,
    not_found,
    page_of,
    read_cursor,
)

CSV = "text/csv"


class Pushed(Query, frozen=True, kw_only=True):
    """Where a file is from, and how it is read. `shop`: the same name every time, as tickets are told apart by it."""

    shop: Annotated[str, msgspec.Meta(min_length=1, max_length=tables.SHOP_CHARS)] = "csv"
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=tables.NAME_CHARS)] = "list.csv"
    product: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    """Of rows that name none; 0: each must."""
    columns: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    """What a column holds where its heading does not tell: `code=HEADING`, one a line."""
    keep_text: bool = False
    """Keep codes readable, not only their digests."""


class Start(Body, frozen=True, kw_only=True):
    """Write what was checked. `keep_good`: though other rows are bad."""

    keep_good: bool = False


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a row, and what to do; `column` empty for the row as a whole. `fault`: a word that stays."""

    number: int
    row: int
    column: str
    value: str
    fault: str
    what: str


def _list(connection: Connection, asked: Asked) -> Page[Job]:
    position = read_cursor(asked.query.cursor, int)
    below = 0 if position is None else int(position[0])
    limit = asked.query.limit
    found = jobs.jobs_of(connection, asked.path["event"], below, limit + 1)
    return page_of(found, limit, lambda one: (one.id,))


class _Read(NamedTuple):
    """A pushed file, read and kept to its end: as a job that was begun before, or one that nobody sees yet."""

    job: int
    is_begun: bool


def _read(connection: Connection, asked: Asked) -> _Read:
    """Read the file that was pushed and keep it, which takes seconds, in short transactions that others write between."""
    event, query = asked.path["event"], asked.query
    known = catalogue(connection, event)
    if known is None:
        raise not_found("event")
    try:
        how = How(named(query.columns.splitlines()), query.product, query.keep_text)
        came = jobs.source(query.shop, query.name, asked.body, how)
        begun = jobs.open_job(connection, came, known)
        if begun is not None:
            return _Read(begun.id, is_begun=True)
        transact = keeping.beside(connection)
        number = keeping.keep(transact, known, read_file(asked.body, known, how), came, asked.now_s)
    except BadFile as fault:
        raise _refused(fault) from fault
    return _Read(number, is_begun=False)


def _push(connection: Connection, asked: Asked) -> Job:
    """Show a file that was kept; nothing of it is written. The same file again is the same job until it is done."""
    read: _Read = asked.body
    if read.is_begun:
        return jobs.job(connection, read.job)
    try:
        kept = keeping.finish(connection, read.job, asked.now_s)
    except BadFile as fault:
        raise _refused(fault) from fault
    if kept.is_new:
        _noted(connection, asked, "import.check", kept.job)
    return kept.job


def _one(connection: Connection, asked: Asked) -> Job:
    try:
        job = jobs.job(connection, asked.path["import"])
    except LookupError as error:
        raise not_found("import") from error
    if job.event != asked.path["event"]:
        raise not_found("import")
    return job


def _bad(connection: Connection, asked: Asked) -> Page[BadRow]:
    job = _one(connection, asked)
    position = read_cursor(asked.query.cursor, int)
    after = 0 if position is None else int(position[0])
    limit = asked.query.limit
    found = [
        BadRow(
            number=number, row=cell.row, column=cell.column, value=cell.value, fault=cell.fault.value,
            what=wording.cell(wording.ENGLISH, cell),
        )
        for number, cell in jobs.bad_cells(connection, job.id, after, limit + 1)
    ]  # fmt: skip
    return page_of(found, limit, lambda one: (one.number,))


def _start(connection: Connection, asked: Asked) -> Job:
    job = _one(connection, asked)
    actor = asked.principal.actor
    try:
        return jobs.start(connection, job.id, actor, asked.now_s, keeps_good=asked.body.keep_good)
    except BadFile as fault:
        raise _refused(fault) from fault


def _advance(connection: Connection, asked: Asked) -> Job:
    job = _one(connection, asked)
    try:
        return jobs.advance(connection, job.id, asked.now_s)
    except BadFile as fault:
        raise _refused(fault) from fault


def _discard(connection: Connection, asked: Asked) -> Job:
    job = _one(connection, asked)
    if job.state in {jobs.State.CHECKED, jobs.State.RUNNING}:
        _noted(connection, asked, "import.discard", job)
    return jobs.discard(connection, job.id, asked.now_s)


def _export(connection: Connection, asked: Asked) -> Download:
    what = asked.texts["what"]
    work = export.OF_EVENT.get(what)
    if work is None:
        raise not_found("table")
    event = programme.event(connection, asked.principal.organization, asked.path["event"])
    return Download(
        f"{CSV}; charset=utf-8", f"{what}-{event.id}.csv", export.spooled(work(connection, event.id))
    )


def _export_customers(connection: Connection, asked: Asked) -> Download:
    pieces = export.customers(connection, asked.principal.organization)
    return Download(f"{CSV}; charset=utf-8", "customers.csv", export.spooled(pieces))


def _refused(fault: BadFile) -> Refused:
    detail = str(wording.file_by_program(fault))
    return Refused(422, "bad_file", detail, more={"fault": fault.fault.value})


def _noted(connection: Connection, asked: Asked, what: str, job: Job) -> None:
    detail = {"event": job.event, "rows": job.rows_good, "bad": job.rows_bad}
    noted(connection, asked, what, f"import {job.id}", detail)


def routes() -> tuple[Route, ...]:
    """Return the operations on lists."""
    at, one = "/api/v1/events/{event}/imports", "/api/v1/events/{event}/imports/{import}"
    role = Role.ORGANIZER
    return (
        Route(method="GET", path=at, handler=_list, answer=Page[Job], query=Paged, role=role,
              summary="Lists that were pushed, newest first"),
        Route(method="POST", path=at, handler=_push, answer=Job, body=bytes, media_type=CSV, query=Pushed, role=role,
              body_bytes_max=FILE_BYTES_MAX, takes_file=True, prepare=_read, writes=True, idempotent=True, status=201,
              summary="Push a shop's list: it is checked, and nothing is written yet"),
        Route(method="GET", path=one, handler=_one, answer=Job, role=role,
              summary="What a list would change, or how far it is"),
        Route(method="GET", path=f"{one}/bad", handler=_bad, answer=Page[BadRow], query=Paged, role=role,
              summary="All that is wrong with a list's rows"),
        Route(method="POST", path=f"{one}/start", handler=_start, answer=Job, body=Start, role=role, writes=True,
              idempotent=True, summary="Let a checked list be written"),
        Route(method="POST", path=f"{one}/advance", handler=_advance, answer=Job, role=role, writes=True,
              idempotent=True, summary="Write the next rows, 2,000 at most; again until the state is done"),
        Route(method="POST", path=f"{one}/discard", handler=_discard, answer=Job, role=role, writes=True,
              idempotent=True, summary="Give a list up; what is written stays"),
        Route(method="GET", path="/api/v1/events/{event}/exports/{what:text}", handler=_export, answer=Download,
              role=role, summary="An event's tickets or scans as CSV"),
        Route(method="GET", path="/api/v1/exports/customers", handler=_export_customers, answer=Download, role=role,
              summary="The organization's customers as CSV"),
    )  # fmt: skip
