"""A ticket's page: how it stands, and what the box office does to it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import segno
from markupsafe import Markup
from sqlalchemy import Connection

from admission.ids import EventId, TicketId
from sync.accounts import audit
from sync.accounts.principal import Role
from sync.customers.pages import customer_name, event_names, product_names
from sync.events import programme
from sync.tickets import ruling
from sync.tickets.handlers import Ticket
from sync.web.acts import Act, Acts, Faulty
from sync.web.pages import Answer, Form, PageAsked, PageRoute, View

METHODS = ("none", "cash", "card", "transfer", "voucher", "other")
CHANGES_MAX: Final = 100
"""So many of a ticket's newest changes are looked through for the one that replaced it, which is its last but for a print."""


class TicketPages:
    """The routes."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def pages(self) -> tuple[PageRoute, ...]:
        """Return the pages."""
        at = "/events/{event}/tickets/{ticket}"
        return (
            PageRoute("GET", at, self.show),
            PageRoute("POST", at, self.act, Role.BOX_OFFICE),
            PageRoute("POST", at + "/code", self.code, Role.BOX_OFFICE),
            PageRoute("GET", "/unsold", self.unsold, Role.BOX_OFFICE),
            PageRoute("POST", "/unsold", self.take_back, Role.BOX_OFFICE),
        )

    def show(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: a ticket."""
        return View("people/ticket.html", self._ticket(connection, asked))

    def act(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: one button of the page."""
        at = {"event": asked.number("event"), "ticket": asked.number("ticket")}

        def again(errors: Mapping[str, str]) -> Answer:
            shown = {**self._ticket(connection, asked), "form": asked.form, "errors": errors}
            return View("people/ticket.html", {**shown, "said": errors.get("")}, 422)

        def new(made: Ticket) -> str:
            return f"/events/{made.event}/tickets/{made.ticket}?done=new"

        here = f"/events/{at['event']}/tickets/{at['ticket']}"
        makes_new = asked.form.text("do") in {"exchange", "reissue"}
        return self._acts.press(connection, asked, _button(asked.form, at), new if makes_new else here, again)

    def code(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: the ticket's QR code, to show or print; that it was shown is written down."""
        at = {"event": asked.number("event"), "ticket": asked.number("ticket")}
        key = "POST /api/v1/events/{event}/tickets/{ticket}/text"
        text = self._acts.do(connection, asked, key, at).text
        picture = Markup(segno.make(text, error="m").svg_inline(border=4, omitsize=True))  # noqa: S704 - drawn here
        return View("people/code.html", {**self._ticket(connection, asked), "picture": picture})

    def unsold(self, _connection: Connection, _asked: PageAsked) -> Answer:
        """GET: where unsold tickets are scanned back."""
        return View("people/unsold.html", {"place": "people"})

    def take_back(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: one unsold ticket goes back on sale by its code."""
        try:
            one = self._acts.do(
                connection, asked, "POST /api/v1/unsold", body={"code": asked.form.raw("code")}
            )
        except Faulty as faulty:
            return View("people/unsold.html", {"place": "people", "said": faulty.detail}, 422)
        return View(
            "people/unsold.html", {"place": "people", "done": asked.words("taken_back", n=one.ticket)}
        )

    def _ticket(self, connection: Connection, asked: PageAsked) -> dict[str, Any]:
        at = {"event": asked.number("event"), "ticket": asked.number("ticket")}
        one = self._acts.do(connection, asked, "GET /api/v1/events/{event}/tickets/{ticket}", at)
        event = programme.event(connection, asked.who.organization, at["event"])
        sessions = {row.id: row.name for row in programme.sessions(connection, event.id, 0, 500)}
        zones = {row.id: row.name for row in programme.zones(connection, event.group, 0, 500)}
        return {
            "ticket": one,
            "event": event,
            "events": event_names(connection, asked),
            "products": product_names(connection, {event.id}),
            "sessions": sessions,
            "zones": zones,
            "holder": customer_name(connection, asked.who.organization, one.holder),
            "methods": METHODS,
            "place": "people",
            "may_change": asked.who.role.may(Role.BOX_OFFICE),
            "done": {"saved": asked.words("saved"), "new": asked.words("ticket_now")}.get(
                asked.query.text("done"), ""
            ),
            "replaced_by": _replaced_by(connection, asked, one) if "replaced" in one.standing else None,
        }


def _replaced_by(connection: Connection, asked: PageAsked, one: Ticket) -> tuple[int, int] | None:
    """Return event and number of the ticket that took a replaced one's place; None where no change says so."""
    subject = ruling.subject_of((EventId(one.event), TicketId(one.ticket)))
    for entry in audit.about(connection, asked.who.organization, [subject], CHANGES_MAX):
        if entry.what in {"ticket.exchange", "ticket.reissue"}:
            told = msgspec.json.decode(entry.detail)
            return told.get("event", one.event), told["ticket"]
    return None


def _button(form: Form, at: Mapping[str, int]) -> Act | None:
    """Return the operation of the button that was pressed."""
    do, base = form.text("do"), "POST /api/v1/events/{event}/tickets/{ticket}"
    if do in {"ban", "unban", "redeem", "unredeem"}:
        return Act(f"{base}/standing", at, {"verb": do, "reason": form.text("reason")})
    return {
        "cancel": Act(
            f"{base}/cancel", at, {"reason": form.text("reason"), "method": form.text("method") or "none"}
        ),
        "reissue": Act(f"{base}/reissue", at),
        "exchange": Act(f"{base}/exchange", at, {"product": form.number("product", 1, 65_535) or 0}),
    }.get(do)
