"""One box that finds everybody and everything, and a customer's page with what can be done for them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from sync.accounts.principal import Role
from sync.customers import history
from sync.customers.tables import customer as customers
from sync.events import programme, tables
from sync.web.acts import Act, Acts
from sync.web.pages import Answer, Form, PageAsked, PageRoute, View

FIELDS = ("first_name", "last_name", "email", "phone", "address", "postcode", "city", "country", "gender")
_U32 = 2**31 - 1


class CustomerPages:
    """The routes."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def pages(self) -> tuple[PageRoute, ...]:
        """Return the pages."""
        return (
            PageRoute("GET", "/search", self.search),
            PageRoute("GET", "/customers/{customer}", self.show),
            PageRoute("POST", "/customers/{customer}", self.act, Role.BOX_OFFICE),
            PageRoute("GET", "/customers/{customer}/history", self.history, Role.STEWARD),
        )

    def search(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: what the box found, and the page that the box leads to."""
        sought = asked.query.text("q")
        hits: list[Any] = []
        if sought:
            found = self._acts.do(connection, asked, "GET /api/v1/search", query={"q": sought[:1000]})
            names = event_names(connection, asked)
            hits = [
                {"hit": one, "path": _path(one), "event": names.get(one.event, "")} for one in found.items
            ]
        shown = {"sought": sought, "hits": hits, "place": "people"}
        return View("people/search.html", shown)

    def show(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: a customer with tickets and tags."""
        return View("people/customer.html", self._customer(connection, asked))

    def history(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: what happened to a customer, newest first; who changed what is for those who may see the audit log."""
        own = asked.who.organization
        one = self._acts.do(
            connection, asked, "GET /api/v1/customers/{customer}", {"customer": asked.number("customer")}
        )
        held = {(row.event, row.ticket) for row in (*one.tickets, *one.tags) if row.ticket}
        found = history.at_gates(connection, sorted(held), asked.words)
        zones = programme.events(connection, own, 0, 0, 500)
        timezone = next((event.timezone for event in zones if any(event.id == at for at, _ in held)), "UTC")
        if asked.who.role.may(Role.ORGANIZER):
            found += history.changes(connection, own, one, timezone, asked.words)
        shown = {"customer": one, "happenings": history.newest(found), "place": "people"}
        return View("people/happenings.html" if asked.partial else "people/history.html", shown)

    def act(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: one button of the page."""
        number = asked.number("customer")

        def again(errors: Mapping[str, str]) -> Answer:
            shown = {**self._customer(connection, asked), "form": asked.form, "errors": errors}
            return View("people/customer.html", {**shown, "said": errors.get("")}, 422)

        act = _button(asked.form, number)
        if asked.form.text("do") == "edit":
            act = self._edit(connection, asked, number)
        return self._acts.press(connection, asked, act, f"/customers/{number}", again)

    def _edit(self, connection: Connection, asked: PageAsked, number: int) -> Act:
        """Return what the form changes: what nobody touched there stays as somebody else made it meanwhile, or erased it."""
        at, form = {"customer": number}, asked.form
        now = self._acts.do(connection, asked, "GET /api/v1/customers/{customer}", at)
        values = {
            name: getattr(now, name) if form.text(name) == form.get(f"was_{name}") else form.text(name)
            for name in FIELDS
        }
        return Act("PUT /api/v1/customers/{customer}", at, values)

    def _customer(self, connection: Connection, asked: PageAsked) -> dict[str, Any]:
        number = asked.number("customer")
        one = self._acts.do(connection, asked, "GET /api/v1/customers/{customer}", {"customer": number})
        names = event_names(connection, asked)
        held = {row.event for row in (*one.tickets, *one.tags)}
        return {
            "customer": one,
            "fields": FIELDS,
            "events": names,
            "products": product_names(connection, held),
            "place": "people",
            "may_change": asked.who.role.may(Role.BOX_OFFICE),
            "sees_history": asked.who.role.may(Role.STEWARD),
            "done": asked.words("saved") if asked.query.text("done") else "",
        }


def _button(form: Form, customer: int) -> Act | None:
    """Return the operation of the button that was pressed."""
    at = {"customer": customer}
    do = form.text("do")
    event = form.number("event", 1, _U32) or 0
    tag = {"tag": form.number("tag", 1, 2**53) or 0}
    why = {"reason": form.text("reason")}
    base = "/api/v1/customers/{customer}"
    if do in {"ban_ticket", "unban_ticket", "redeem_ticket", "unredeem_ticket"}:
        ticket = {"event": event, "ticket": form.number("ticket", 1, 2**53) or 0}
        verb = do.removesuffix("_ticket")
        return Act("POST /api/v1/events/{event}/tickets/{ticket}/standing", ticket, {"verb": verb, **why})
    return {
        "shown_name": Act(f"PUT {base}/shown-name", at, {"name": form.text("shown_name")}),
        "ban": Act(f"POST {base}/ban", at, why),
        "unban": Act(f"POST {base}/unban", at, why),
        "assign_ticket": Act(
            f"POST {base}/tickets",
            at,
            {"tickets": [{"event": event, "ticket": form.number("ticket", 1, 2**53) or 0}]},
        ),
        "assign_tag": Act(
            f"POST {base}/tags",
            at,
            {
                "event": event,
                "uid": form.text("uid"),
                "product": form.number("product", 0, 65_535) or 0,
                "proof": form.text("proof") or "uid",
            },
        ),
        "activate_tag": Act("POST /api/v1/tags/{tag}/activate", tag),
        "ban_tag": Act("POST /api/v1/tags/{tag}/ban", tag, why),
        "unban_tag": Act("POST /api/v1/tags/{tag}/unban", tag, why),
    }.get(do)


def _path(hit: Any) -> str:
    """Return the page of something found."""
    if hit.kind == "ticket":
        return f"/events/{hit.event}/tickets/{hit.id}"
    if hit.kind == "tag":
        return f"/customers/{hit.customer}"
    return f"/{hit.kind}s/{hit.id}"


def event_names(connection: Connection, asked: PageAsked) -> dict[int, str]:
    """Return the organization's events by number, newest first."""
    found = programme.events(connection, asked.who.organization, 0, 0, 500)
    return {one.id: one.name for one in reversed(found)}


def product_names(connection: Connection, events: set[int]) -> dict[tuple[int, int], str]:
    """Return the products of these events by event and number."""
    p = tables.product.c
    found = connection.execute(select(p.event_id, p.id, p.name).where(p.event_id.in_(events)))
    return {(row.event_id, row.id): str(row.name) for row in found}


def customer_name(connection: Connection, organization: int, number: int) -> str:
    """Return whose something is, as a page names them; "" for nobody of this organization."""
    c = customers.c
    row = connection.execute(
        select(c.first_name, c.last_name, c.email).where(c.id == number, c.organization_id == organization)
    ).one_or_none()
    if row is None:
        return ""
    return f"{row.first_name} {row.last_name}".strip() or row.email or f"#{number}"
