"""An order's page: what is in it, and what the box office does to it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from sync.accounts.principal import Role
from sync.customers.pages import customer_name, event_names, product_names
from sync.events import programme
from sync.tickets.pages import METHODS
from sync.web.acts import Act, Acts
from sync.web.pages import Answer, Form, PageAsked, PageRoute, View


class OrderPages:
    """The routes."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def pages(self) -> tuple[PageRoute, ...]:
        """Return the pages."""
        return (
            PageRoute("GET", "/orders/{order}", self.show),
            PageRoute("POST", "/orders/{order}", self.act, Role.BOX_OFFICE),
        )

    def show(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: an order."""
        return View("people/order.html", self._order(connection, asked))

    def act(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: one button of the page."""
        number = asked.number("order")

        def again(errors: Mapping[str, str]) -> Answer:
            shown = {**self._order(connection, asked), "form": asked.form, "errors": errors}
            return View("people/order.html", {**shown, "said": errors.get("")}, 422)

        act = _button(asked.form, number)
        return self._acts.press(connection, asked, act, f"/orders/{number}", again)

    def _order(self, connection: Connection, asked: PageAsked) -> dict[str, Any]:
        one = self._acts.do(connection, asked, "GET /api/v1/orders/{order}", {"order": asked.number("order")})
        return {
            "order": one,
            "events": event_names(connection, asked),
            "products": product_names(connection, {line.event for line in one.lines}),
            "buyer": customer_name(connection, asked.who.organization, one.customer),
            "timezone": _timezone(connection, asked.who.organization, [line.event for line in one.lines]),
            "methods": METHODS,
            "place": "people",
            "may_change": asked.who.role.may(Role.BOX_OFFICE),
            "done": asked.words("saved") if asked.query.text("done") else "",
        }


def _timezone(connection: Connection, organization: int, events: list[int]) -> str:
    """Return the time zone of the first of these events: an order's times are read where it is looked at."""
    found = programme.events(connection, organization, 0, 0, 1, events[0]) if events else []
    return found[0].timezone if found else "UTC"


def _button(form: Form, order: int) -> Act | None:
    """Return the operation of the button that was pressed. No line ticked: the whole order is cancelled."""
    at, base = {"order": order}, "POST /api/v1/orders/{order}"
    lines = [int(one) for one in form.all("line") if one.isascii() and one.isdigit()]
    return {
        "pay": Act(f"{base}/pay", at, {}),
        "split": Act(f"{base}/split", at, {"lines": lines}),
        "cancel": Act(
            f"{base}/cancel",
            at,
            {
                "reason": form.text("reason"),
                "method": form.text("method") or "none",
                "lines": lines or None,
            },
        ),
    }.get(form.text("do"))
