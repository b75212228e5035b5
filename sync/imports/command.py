"""gatehouse-sync import and export: lists in, tables out, as typed."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from admission.ids import EventId
from sync.accounts.principal import Actor
from sync.imports import export, jobs, keeping, pretix, wording
from sync.imports.catalogue import Catalogue, catalogue, group_of, outer_zones
from sync.imports.chunks import Ahead
from sync.imports.columns import Column, named
from sync.imports.faults import BadFile
from sync.imports.files import How, Reading, read_file
from sync.store.database import CentreFault, Database
from sync.tickets import changes

EXIT_OK, EXIT_BAD_ROWS = 0, 1
BAD_SHOWN = 1000
"""Rows printed at a time; all of them are printed."""
BY_HAND = Actor("system", 0, "command line")

SHOP_PRETIX = "pretix"
_EVENTS_HINT = "See which there are: gatehouse-sync event list."

Say = Callable[[str], None]


Work = Callable[[Database, argparse.Namespace], int]
Shared = argparse.ArgumentParser


def add_import(commands: Any, shared: Shared, wrapped: Callable[[Work], object]) -> None:
    """Add `import csv`. `wrapped`: makes what the parser calls of what needs the database."""
    what = commands.add_parser("import", help="take lists in").add_subparsers(required=True, metavar="WHAT")
    csv = what.add_parser(
        "csv",
        parents=[shared],
        help="tickets that a shop sold, as CSV",
        description="Reads the whole file first and names every bad row; writes nothing while there are any, unless "
        "--keep-good. Interrupted, it goes on where it was when it is given the same file again.",
    )
    csv.add_argument("file", type=Path, metavar="FILE")
    csv.add_argument("--event", type=int, required=True, metavar="NUMBER")
    csv.add_argument(
        "--shop", default="csv", help="where the list is from, the same name every time (%(default)s)"
    )
    csv.add_argument(
        "--column", action="append", default=[], metavar="WHAT=HEADING",
        help=f"what a column holds where its heading does not tell: {', '.join(one.value for one in Column)}",
    )  # fmt: skip
    csv.add_argument("--product", type=int, default=0, metavar="NUMBER", help="of rows that name none")
    csv.set_defaults(run=wrapped(import_csv))
    theirs = what.add_parser(
        "pretix",
        parents=[shared],
        help="an event of pretix, from what its API answers",
        description="DIR holds event.json, items.json, orders.json and, where there are any, subevents.json, "
        "checkinlists.json, revokedsecrets.json and blockedsecrets.json: the API's answers, whole or as pages.",
    )
    theirs.add_argument("folder", type=Path, metavar="DIR")
    theirs.add_argument("--event", type=int, required=True, metavar="NUMBER")
    theirs.add_argument(
        "--zone", type=int, action="append", default=[], metavar="NUMBER",
        help="that new products open (default: every outer zone)",
    )  # fmt: skip
    for one in (csv, theirs):
        one.add_argument(
            "--keep-text", action="store_true", help="keep codes readable, not only their digests"
        )
        one.add_argument("--preview", action="store_true", help="only say what would be done")
        one.add_argument("--keep-good", action="store_true", help="write the good rows though others are bad")
    theirs.set_defaults(run=wrapped(import_pretix))


def add_export(what: Any, shared: Shared, wrapped: Callable[[Work], object]) -> None:
    """Add `export tickets`, `export customers` and `export scans`."""
    for name, work in export.EXPORTS.items():
        one = what.add_parser(name, parents=[shared], help=f"{name} as CSV, UTF-8")
        one.add_argument("--event" if name != "customers" else "--organization", dest="of", type=int, required=True,
                         metavar="NUMBER")  # fmt: skip
        one.set_defaults(run=wrapped(_exporting(work)))


def import_csv(database: Database, options: argparse.Namespace) -> int:
    """Check a file and write it; exit code 1 where rows are bad and nothing was written."""
    try:
        return _import_csv(database, options, _say)
    except BadFile as fault:
        raise CentreFault(*wording.file_by_program(fault)) from fault


def _import_csv(database: Database, options: argparse.Namespace, say: Say) -> int:
    how = How(named(options.column), options.product, options.keep_text)
    with _opened(options.file) as file:
        came = jobs.source(options.shop, options.file.name, file, how)
        with database.reading() as connection:
            known = catalogue(connection, options.event)
            if known is None:
                raise CentreFault(f"there is no event {options.event}", _EVENTS_HINT)
            job = jobs.open_job(connection, came, known)
        if job is None:
            job = _kept(database, known, read_file(file, known, how), came)
    return _go_on(database, job, options, say)


def _kept(database: Database, known: Catalogue, reading: Reading, came: jobs.Source) -> jobs.Job:
    number = keeping.keep(database.transact, known, reading, came, _now_s())
    return database.transact(lambda connection: keeping.finish(connection, number, _now_s())).job


def import_pretix(database: Database, options: argparse.Namespace) -> int:
    """Read a dump and write it; exit code 1 where positions are bad and nothing was written."""
    try:
        return _import_pretix(database, options, _say)
    except BadFile as fault:
        raise CentreFault(*wording.file_by_program(fault)) from fault


def _import_pretix(database: Database, options: argparse.Namespace, say: Say) -> int:
    dump = pretix.read_dump(options.folder)
    with database.reading() as connection:
        known = catalogue(connection, options.event)
        if known is None:
            raise CentreFault(f"there is no event {options.event}", _EVENTS_HINT)
        zones = tuple(options.zone) or outer_zones(connection, options.event)
        if not zones:
            raise CentreFault("the venue has no zone", "Make one first: tickets are for zones.")
        held = pretix.held(connection, dump, known)
    planned = pretix.plan(dump, known, zones)
    for one in planned.new_products:
        say(f"New product {one.id}: {one.name}")
    for session in planned.new_sessions:
        say(f"New session {session.id}: {session.name}")
    say(f"{len(planned.keys)} keys of signed tickets.")
    came = jobs.Source(SHOP_PRETIX, options.folder.name, pretix.digest_of(dump, options.keep_text))
    with database.reading() as connection:
        begun = jobs.open_job(connection, came, known)
    if begun is None:
        reading = pretix.read_tickets(dump, known, planned, held, keeps_text=options.keep_text)
        job = _kept(database, known, reading, came)
    else:
        job = begun
    if not options.preview and not (job.rows_bad and not options.keep_good):
        with changes.change(database, (EventId(options.event),), _now_s()) as connection:
            pretix.write_plan(connection, planned, group_of(connection, options.event))
    return _go_on(database, job, options, say)


def _go_on(database: Database, job: jobs.Job, options: argparse.Namespace, say: Say) -> int:
    if job.state is jobs.State.RUNNING:
        say(f"Going on with import {job.id} after {job.rows_done} rows.")
    _say_preview(database, job, say)
    if options.preview or (job.rows_bad and not options.keep_good):
        if not options.preview:
            say("Nothing was written. Mend the rows and send the file again, or add --keep-good.")
        return EXIT_BAD_ROWS if job.rows_bad else EXIT_OK
    number = job.id
    job = database.transact(
        lambda connection: jobs.start(connection, number, BY_HAND, _now_s(), keeps_good=options.keep_good)
    )
    ahead = Ahead()
    while job.state is jobs.State.RUNNING:
        job = database.transact(lambda connection: jobs.advance(connection, number, _now_s(), ahead))
        say(f"{job.rows_done} of {job.rows_good} rows")
    say(
        f"Done: {job.rows_new} new, {job.rows_changed} changed, {job.rows_same} as they were"
        + (f", {job.rows_taken} left out since their code became another ticket's" if job.rows_taken else "")
        + "."
    )
    return EXIT_OK


def _say_preview(database: Database, job: jobs.Job, say: Say) -> None:
    taken = ", ".join(f"{heading} as {column}" for column, heading in job.columns.items())
    say(f"Read as {job.encoding}, taking {taken}.")
    if job.ignored:
        say(f"Nothing is taken from: {', '.join(job.ignored)}.")
    after = 0
    while after < sys.maxsize:
        with database.reading() as connection:
            page = jobs.bad_cells(connection, job.id, after, BAD_SHOWN)
        for _, bad in page:
            where = f", {bad.column}" if bad.column else ""
            value = f" {bad.value!r}" if bad.value else ""
            say(f"Row {bad.row}{where}{value}: {wording.cell(wording.ENGLISH, bad)}")
        if not page:
            break
        after = page[-1][0]
    if job.state is jobs.State.CHECKED:
        say(
            f"{job.rows_good} good rows: {job.rows_new} new, {job.rows_changed} changed, {job.rows_same} as they "
            f"are; {job.rows_bad} bad."
        )


def _exporting(work: export.Export) -> Work:
    def run(database: Database, options: argparse.Namespace) -> int:
        with database.reading() as connection:
            for piece in work(connection, options.of):
                sys.stdout.buffer.write(piece.encode())
        sys.stdout.buffer.flush()
        return EXIT_OK

    return run


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file; what can be read only once, as a pipe, is put on the disk first."""
    try:
        with path.open("rb") as file:
            if file.seekable():
                yield file
                return
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(file, copy)
                yield copy
    except OSError as error:
        raise CentreFault(
            f"{path} cannot be read: {error.strerror or error}", "Give a CSV file this user may read."
        ) from error


def _now_s() -> int:
    return int(time.time())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
