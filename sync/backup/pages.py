"""How long the organization keeps what: what new terms take away is said before they are set."""

from collections.abc import Mapping

from sqlalchemy import Connection

from sync.accounts.principal import Role
from sync.backup import retention
from sync.backup.retention import DAYS_MAX, Terms
from sync.web.pages import Answer, Form, PageAsked, PageRoute, Redirect, View
from sync.web.words import Words


def pages() -> tuple[PageRoute, ...]:
    """Return the pages."""
    return (
        PageRoute("GET", "/retention", show, Role.OWNER),
        PageRoute("POST", "/retention", change, Role.OWNER),
    )


def show(connection: Connection, asked: PageAsked) -> Answer:
    """GET: the terms."""
    done = asked.words("saved") if asked.query.text("done") else ""
    return View("backup/retention.html", {**_shown(connection, asked), "done": done})


def change(connection: Connection, asked: PageAsked) -> Answer:
    """POST: say what new terms take away, and set them once that was seen."""
    wanted, errors = read_terms(asked.form, asked.words)
    if wanted is None:
        shown = {**_shown(connection, asked), "form": asked.form, "errors": errors}
        return View("backup/retention.html", shown, 422)
    if (
        asked.form.text("do") == "set"
        and asked.form.text("seen") == f"{wanted.customer_days}/{wanted.scan_days}"
    ):
        retention.set_terms(connection, asked.who.organization, wanted, asked.who.actor, asked.now_s)
        return Redirect("/retention?done=saved")
    due = retention.due(connection, asked.who.organization, wanted, asked.now_s)
    return View("backup/retention.html", {**_shown(connection, asked), "terms": wanted, "due": due})


def read_terms(form: Form, words: Words) -> tuple[Terms | None, Mapping[str, str]]:
    """Return the terms that were typed, or what is wrong with them by field. Pure; an empty field: for ever."""
    errors: dict[str, str] = {}
    days: list[int] = []
    for name in Terms._fields:
        number = form.number(name, 1, DAYS_MAX) if form.text(name) else 0
        if number is None:
            errors[name] = words("bad_number", least=1, most=DAYS_MAX)
        days.append(number or 0)
    return (None, errors) if errors else (Terms(*days), errors)


def _shown(connection: Connection, asked: PageAsked) -> dict[str, object]:
    return {
        "terms": retention.terms(connection, asked.who.organization),
        "due": None,
        "most": DAYS_MAX,
        "place": "retention",
    }
