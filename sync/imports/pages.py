"""An event's lists: a file from any shop goes in after everybody has seen what is wrong with it; tables come out."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from sync.accounts.principal import Role
from sync.events import programme
from sync.imports import export, jobs, keeping, wording
from sync.imports.catalogue import catalogue
from sync.imports.faults import BadFile
from sync.imports.files import How, read_file
from sync.web.api import Refused
from sync.web.pages import Answer, File, PageAsked, PageRoute, Redirect, View

BAD_SHOWN = 1_000
JOBS_SHOWN = 20


def pages() -> tuple[PageRoute, ...]:
    """Return the pages."""
    at, job = "/events/{event}/lists", "/events/{event}/lists/{job}"
    return (
        PageRoute("GET", at, lists, Role.ORGANIZER),
        PageRoute("POST", at, check, Role.ORGANIZER, prepare=read),
        PageRoute("GET", job, show, Role.ORGANIZER),
        PageRoute("POST", job, go_on, Role.ORGANIZER),
        PageRoute("GET", "/events/{event}/export/{what}", take_out, Role.ORGANIZER),
    )


def lists(connection: Connection, asked: PageAsked) -> Answer:
    """GET: what was pushed, and where the next file goes."""
    return View("imports/lists.html", _lists(connection, asked))


def read(connection: Connection, asked: PageAsked) -> int | BadFile:
    """Read the file that was sent and keep it, in short transactions that others write between; returns its job."""
    event = programme.event(connection, asked.who.organization, asked.number("event"))
    name, data = asked.form.files.get("file", ("", b""))
    if not data:
        data, name = asked.form.raw("pasted").encode(), "pasted.csv"
    known = catalogue(connection, event.id)
    if known is None:
        raise Refused(404, "not_found", asked.words("not_found"))
    how = How({}, asked.form.number("product", 0, 65_535) or 0, bool(asked.form.text("keep_text")))
    came = jobs.source(asked.form.text("shop") or "csv", name, data, how)
    begun = jobs.open_job(connection, came, known)
    if begun is not None:
        return begun.id
    try:
        transact = keeping.beside(connection)
        return keeping.keep(transact, known, read_file(data, known, how), came, asked.now_s)
    except BadFile as fault:
        return fault


def check(connection: Connection, asked: PageAsked) -> Answer:
    """POST: a file that was kept whole is shown; nothing of it is written yet."""
    event = programme.event(connection, asked.who.organization, asked.number("event"))
    found: int | BadFile = asked.prepared
    try:
        if isinstance(found, BadFile):
            raise found
        job = keeping.finish(connection, found, asked.now_s).job
    except BadFile as fault:
        shown = {**_lists(connection, asked), "form": asked.form}
        return View(
            "imports/lists.html", {**shown, "errors": {"file": str(wording.file(asked.words, fault))}}, 422
        )
    return Redirect(f"/events/{event.id}/lists/{job.id}")


def show(connection: Connection, asked: PageAsked) -> Answer:
    """GET: what a file would change, or how far it is; every bad row is named."""
    return View("imports/job.html", _job(connection, asked))


def go_on(connection: Connection, asked: PageAsked) -> Answer:
    """POST: begin to write, write on by one chunk, or give up."""
    job = _mine(connection, asked)
    do = asked.form.text("do")
    try:
        if do == "start":
            good = bool(asked.form.text("keep_good"))
            jobs.start(connection, job.id, asked.who.actor, asked.now_s, keeps_good=good)
        elif do == "advance" and job.state is jobs.State.RUNNING:
            jobs.advance(connection, job.id, asked.now_s)
        elif do == "discard":
            jobs.discard(connection, job.id, asked.now_s)
    except BadFile as fault:
        said = str(wording.file(asked.words, fault))
        return View("imports/job.html", {**_job(connection, asked), "said": said}, 422)
    if asked.partial:
        return View("imports/progress.html", _job(connection, asked))
    return Redirect(f"/events/{job.event}/lists/{job.id}")


def take_out(connection: Connection, asked: PageAsked) -> Answer:
    """GET: a table as CSV."""
    event = programme.event(connection, asked.who.organization, asked.number("event"))
    what = asked.path["what"]
    work = export.EXPORTS.get(what)
    if work is None:
        raise Refused(404, "not_found", asked.words("not_found"))
    of = asked.who.organization if what == "customers" else event.id
    return File(export.spooled(work(connection, of)), "text/csv", f"{what}-{of}.csv")


def _lists(connection: Connection, asked: PageAsked) -> dict[str, Any]:
    event = programme.event(connection, asked.who.organization, asked.number("event"))
    return {
        "event": event,
        "tab": "lists",
        "place": "events",
        "jobs": jobs.jobs_of(connection, event.id, 0, JOBS_SHOWN),
        "products": programme.products(connection, event.id, 0, 500),
        "may_change": asked.who.role.may(Role.ORGANIZER),
    }


def _mine(connection: Connection, asked: PageAsked) -> jobs.Job:
    event = programme.event(connection, asked.who.organization, asked.number("event"))
    try:
        job = jobs.job(connection, asked.number("job"))
    except LookupError as error:
        raise Refused(404, "not_found", asked.words("not_found")) from error
    if job.event != event.id:
        raise Refused(404, "not_found", asked.words("not_found"))
    return job


def _job(connection: Connection, asked: PageAsked) -> dict[str, Any]:
    job, words = _mine(connection, asked), asked.words
    columns = {wording.column(words, kind): heading for kind, heading in job.columns.items()}
    bad = [one for _, one in jobs.bad_cells(connection, job.id, 0, BAD_SHOWN)]
    return {
        "event": programme.event(connection, asked.who.organization, job.event),
        "tab": "lists",
        "place": "events",
        "job": msgspec.structs.replace(job, columns=columns),
        "bad": [{**one._asdict(), "what": wording.cell(words, one)} for one in bad],
        "may_change": asked.who.role.may(Role.ORGANIZER),
    }
