"""An event's lists: a file from any shop goes in after everybody has seen what is wrong with it; tables come out."""

from typing import Any, NamedTuple

from sqlalchemy import Connection

from sync.accounts.principal import Role
from sync.events import programme
from sync.imports import export, jobs
from sync.imports.faults import BadFile
from sync.imports.files import Checked, How, catalogue, read_file
from sync.web.api import Refused
from sync.web.pages import Answer, File, PageAsked, PageRoute, Redirect, View

BAD_SHOWN = 1_000
JOBS_SHOWN = 20


def pages() -> tuple[PageRoute, ...]:
    """Return the pages."""
    at, job = "/events/{event}/lists", "/events/{event}/lists/{job}"
    return (
        PageRoute("GET", at, lists),
        PageRoute("POST", at, check, Role.ORGANIZER, prepare=read),
        PageRoute("GET", job, show),
        PageRoute("POST", job, go_on, Role.ORGANIZER),
        PageRoute("GET", "/events/{event}/export/{what}", take_out, Role.ORGANIZER),
    )


def lists(connection: Connection, asked: PageAsked) -> Answer:
    """GET: what was pushed, and where the next file goes."""
    return View("imports/lists.html", _lists(connection, asked))


class _Read(NamedTuple):
    """A file that was sent, read."""

    came: jobs.Source
    checked: Checked


def read(connection: Connection, asked: PageAsked) -> _Read | BadFile:
    """Read the file that was sent, which takes seconds, before anything is kept from being written."""
    event = programme.event(connection, asked.who.organization, asked.number("event"))
    name, data = asked.form.files.get("file", ("", b""))
    if not data:
        data, name = asked.form.raw("pasted").encode(), "pasted.csv"
    known = catalogue(connection, event.id)
    if known is None:
        raise Refused(404, "not_found", asked.words("not_found"))
    how = How({}, asked.form.number("product", 0, 65_535) or 0, bool(asked.form.text("keep_text")))
    try:
        return _Read(
            jobs.source(asked.form.text("shop") or "csv", name, data, how), read_file(data, known, how)
        )
    except BadFile as fault:
        return fault


def check(connection: Connection, asked: PageAsked) -> Answer:
    """POST: a file that was read whole is kept; nothing of it is written yet."""
    event = programme.event(connection, asked.who.organization, asked.number("event"))
    found: _Read | BadFile = asked.prepared
    if isinstance(found, BadFile):
        shown = {**_lists(connection, asked), "form": asked.form}
        return View("imports/lists.html", {**shown, "errors": {"file": f"{found}. {found.hint}"}}, 422)
    job = jobs.open_job(connection, event.id, found.came.digest, found.came.shop)
    if job is None:
        job = jobs.keep(connection, event.id, found.checked, found.came, asked.now_s)
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
        return View("imports/job.html", {**_job(connection, asked), "said": f"{fault}. {fault.hint}"}, 422)
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
    job = _mine(connection, asked)
    return {
        "event": programme.event(connection, asked.who.organization, job.event),
        "tab": "lists",
        "place": "events",
        "job": job,
        "bad": [bad for _, bad in jobs.bad_cells(connection, job.id, 0, BAD_SHOWN)],
        "may_change": asked.who.role.may(Role.ORGANIZER),
    }
