"""Gates: which there are and how they are, enrolling a box, lane plans, and lane states for a gate or a whole zone."""

from collections.abc import Mapping
from typing import Any

import msgspec
import segno
from markupsafe import Markup
from sqlalchemy import Connection, func, select

from admission.ids import GateId
from admission.lane import LaneState
from sync.accounts.principal import Role
from sync.events import houses, programme, rows
from sync.events import tables as events
from sync.gates import device_history, feed, fleet, key_rolls, quarantine, roster, tables
from sync.web.acts import Act, Acts, Faulty
from sync.web.api import Refused
from sync.web.pages import Answer, Form, PageAsked, PageRoute, Redirect, View
from sync.wire.deltas import GateStatus
from sync.wire.messages import CODE_MINUTES


class GatePages:
    """The routes. Everything that changes something is the API's own operation (`sync.gates.fleet`)."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def pages(self) -> tuple[PageRoute, ...]:
        """Return the pages."""
        return (
            PageRoute("GET", "/gates", self.gates),
            PageRoute("POST", "/gates", self.add, Role.ORGANIZER),
            PageRoute("POST", "/gates/states", self.order, Role.ORGANIZER),
            PageRoute("GET", "/gates/{gate}", self.show),
            PageRoute("POST", "/gates/{gate}", self.rename, Role.ORGANIZER),
            PageRoute("POST", "/gates/{gate}/code", self.code, Role.ORGANIZER),
            PageRoute("POST", "/gates/{gate}/roll", self.roll, Role.ORGANIZER),
            PageRoute("POST", "/gates/{gate}/revoke", self.revoke, Role.ORGANIZER),
            PageRoute("POST", "/gates/{gate}/plans", self.plan, Role.ORGANIZER),
            PageRoute("POST", "/gates/{gate}/plans/{lane}/drop", self.drop, Role.ORGANIZER),
        )

    def gates(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: the device board."""
        done = asked.words("saved") if asked.query.text("done") else ""
        return View("gates/gates.html", {**_board(connection, asked), "done": done})

    def add(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: one more gate, without a box yet. No zone chosen: all of them."""
        form = asked.form
        group = form.number("group", 1, 2**31 - 1) or 0
        houses.check_group(connection, asked.who.organization, group)
        zones = _numbers(form, "zones") or [zone.id for zone in programme.zones(connection, group, 0, 500)]
        body = {"name": form.text("name"), "zones": zones}
        try:
            made = self._acts.do(
                connection, asked, "POST /api/v1/groups/{group}/gates", {"group": group}, body
            )
        except Faulty as faulty:
            shown = {**_board(connection, asked), "form": form, "errors": faulty.fields}
            return View("gates/gates.html", {**shown, "said": faulty.detail}, 422)
        return Redirect(f"/gates/{made.id}")

    def show(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: one gate with its lanes."""
        done = asked.words("saved") if asked.query.text("done") else ""
        return View("gates/gate.html", {**_gate(connection, asked, asked.number("gate")), "done": done})

    def rename(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: another name; the zones stay."""
        row = _row(connection, asked, asked.number("gate"))
        body = {"name": asked.form.text("name"), "zones": list(rows.numbers(row.zones))}
        return self._press(connection, asked, row.id, Act("PUT /api/v1/gates/{gate}", {"gate": row.id}, body))

    def code(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: a one-time code as QR, shown this once; an older one of the gate is void."""
        gate = asked.number("gate")
        at, body = {"gate": gate}, {"url": asked.origin}
        try:
            made = self._acts.do(connection, asked, "POST /api/v1/gates/{gate}/codes", at, body)
        except Faulty as faulty:
            shown = _gate(connection, asked, gate)
            return View("gates/gate.html", {**shown, "said": faulty.detail}, 422)
        link = f"{asked.origin}#{made.fingerprint}"
        picture = Markup(segno.make(f"{link} {made.code}", error="m").svg_inline(border=4, omitsize=True))  # noqa: S704 - drawn here
        shown = {"code": made.code, "link": link, "picture": picture, "minutes": CODE_MINUTES}
        return View("gates/code.html", {**_gate(connection, asked, gate), **shown})

    def roll(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: the gate's box is asked for new keys."""
        gate = asked.number("gate")
        return self._press(connection, asked, gate, Act("POST /api/v1/gates/{gate}/rolls", {"gate": gate}))

    def revoke(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: the gate is shut out: its streams close, what it records from now on is quarantined."""
        gate = asked.number("gate")
        body = {"reason": asked.form.text("reason")}
        act = Act("POST /api/v1/gates/{gate}/revocations", {"gate": gate}, body)
        return self._press(connection, asked, gate, act)

    def plan(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: what one lane serves."""
        gate, form = asked.number("gate"), asked.form
        lane = form.number("lane", 1, fleet.LANE_MAX)
        served = [[int(number) for number in one.split(":")] for one in form.all("sessions") if _is_pair(one)]
        body = {
            "zone": form.number("zone", 1, 65_535) or 0,
            "mode": form.text("mode"),
            "sessions": served,
            "attended": bool(form.text("attended")),
        }
        if lane is None or len(served) < len(form.all("sessions")):
            shown = {**_gate(connection, asked, gate), "said": asked.words("bad_plan")}
            return View("gates/gate.html", shown, 422)
        act = Act("PUT /api/v1/gates/{gate}/lanes/{lane}", {"gate": gate, "lane": lane}, body)
        return self._press(connection, asked, gate, act)

    def drop(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: a lane serves nothing any more."""
        gate = asked.number("gate")
        at = {"gate": gate, "lane": asked.number("lane")}
        return self._press(connection, asked, gate, Act("DELETE /api/v1/gates/{gate}/lanes/{lane}", at))

    def order(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: a state for the lanes of a zone, a gate, or one lane."""
        form = asked.form
        group, gate = form.number("group", 1, 2**31 - 1) or 0, form.number("gate", 1, 2**32 - 1) or 0
        body = {
            "state": form.text("state"),
            "zone": form.number("zone", 1, 65_535) or 0,
            "gate": gate,
            "lane": form.number("lane", 1, fleet.LANE_MAX) or 0,
        }
        act = Act("POST /api/v1/groups/{group}/lane-states", {"group": group}, body)
        return self._press(connection, asked, gate, act)

    def _press(self, connection: Connection, asked: PageAsked, gate: int, act: Act) -> Answer:
        """Do what a button says and show the gate, or all of them where `gate` is 0, with what is wrong."""

        def again(errors: Mapping[str, str]) -> Answer:
            shown = _gate(connection, asked, gate) if gate else _board(connection, asked)
            form = {"form": asked.form, "errors": errors, "said": errors.get("")}
            return View("gates/gate.html" if gate else "gates/gates.html", {**shown, **form}, 422)

        return self._acts.press(connection, asked, act, f"/gates/{gate}" if gate else "/gates", again)


def _row(connection: Connection, asked: PageAsked, gate: int) -> Any:
    """Return a gate of the organization; Refused where there is none."""
    g, e = tables.gate, events.event_group
    row = connection.execute(
        select(g, e.c.name.label("group_name"))
        .join(e, e.c.id == g.c.group_id)
        .where(g.c.id == gate, e.c.organization_id == asked.who.organization)
    ).one_or_none()
    if row is None:
        raise Refused(404, "not_found", asked.words("not_found"))
    return row


def _numbers(form: Form, name: str) -> list[int]:
    return [int(one) for one in form.all(name) if one.isascii() and one.isdigit() and len(one) < 10]


def _is_pair(text: str) -> bool:
    event, _, session = text.partition(":")
    return event.isascii() and event.isdigit() and session.isascii() and session.isdigit() and len(text) < 20


def _board(connection: Connection, asked: PageAsked) -> dict[str, Any]:
    groups = houses.groups(connection, asked.who.organization, 0, 500)
    versions: dict[int, int] = {}
    for group in groups:
        for event in programme.events(connection, asked.who.organization, group.id, 0, 500):
            versions[event.id] = event.version
    return {
        "groups": [
            {
                "group": group,
                "zones": programme.zones(connection, group.id, 0, 500),
                "gates": _devices(connection, group.id, versions, asked.now_s),
            }
            for group in groups
        ],
        "states": [one.name.lower() for one in LaneState],
        "place": "gates",
        "may_change": asked.who.role.may(Role.ORGANIZER),
    }


def _devices(
    connection: Connection, group: int, versions: dict[int, int], now_s: int
) -> list[dict[str, Any]]:
    """Return each gate with how it said it is."""
    g, s, p = tables.gate, tables.gate_status, tables.lane_plan
    counted = connection.execute(
        select(p.c.gate_id, func.count())
        .join(g, g.c.id == p.c.gate_id)
        .where(g.c.group_id == group)
        .group_by(p.c.gate_id)
    )
    lanes: dict[int, int] = {row[0]: row[1] for row in counted}
    found = connection.execute(
        select(g.c.id, g.c.name, g.c.public, g.c.enrolled_at_s, s.c.heard_s, s.c.status)
        .outerjoin(s, s.c.gate_id == g.c.id)
        .where(g.c.group_id == group)
        .order_by(g.c.name)
    ).all()
    orders = key_rolls.orders_of_group(connection, group)
    unread = feed.unread(connection, group)
    said = {row.id: msgspec.json.decode(row.status, type=GateStatus) if row.status else None for row in found}
    doubted: dict[int, list[str]] = {}
    for row in found:
        for one in status.doubted if (status := said[row.id]) else ():
            doubted.setdefault(one, []).append(row.name)
    made = []
    for row in found:
        order, status = orders.get(GateId(row.id)), said[row.id]
        behind = (
            max((versions.get(one.event, one.version) - one.version for one in status.versions), default=0)
            if status
            else 0
        )
        made.append(
            {
                "id": row.id, "name": row.name, "enrolled": bool(row.public), "status": status,
                "heard_s": row.heard_s, "ago_s": now_s - row.heard_s if row.heard_s else None, "behind": behind,
                "lanes": lanes.get(row.id, 0), "tone": _tone(row, status, now_s),
                "doubted_by": doubted.get(row.id, []),
                "roll": order.state if order is not None and not order.done_s else "",
                "keys_s": max(row.enrolled_at_s or 0, order.done_s if order is not None else 0),
                "unread": unread.get(GateId(row.id)),
            }
        )  # fmt: skip
    return made


def _tone(row: Any, status: GateStatus | None, now_s: int) -> str:
    if not row.public or status is None:
        return "off"
    if now_s - row.heard_s > fleet.AWAY_S or status.verdict == "not_ready":
        return "bad"
    return "warn" if status.verdict == "degraded" else "ok"


def _gate(connection: Connection, asked: PageAsked, gate: int) -> dict[str, Any]:
    row = _row(connection, asked, gate)
    group = row.group_id
    held = programme.events(connection, asked.who.organization, group, 0, 500)
    versions = {one.id: one.version for one in held}
    dates = [
        (f"{event.id}:{session.id}", f"{event.name} · {session.name}")
        for event in held
        for session in programme.sessions(connection, event.id, 0, 500)
    ]
    plans = [plan for gate, plan in roster.plans(connection, group) if gate == row.id]
    device = next(one for one in _devices(connection, group, versions, asked.now_s) if one["id"] == row.id)
    return {
        "gate": row,
        "device": device,
        "timezone": held[0].timezone if held else "UTC",
        "plans": [
            {
                "plan": one,
                "sessions": {f"{event}:{session}" for event, session in one.sessions},
                "mode": one.mode.name.lower(),
            }
            for one in plans
        ],
        "steps": device_history.steps(connection, GateId(row.id)),
        "quarantined": quarantine.count(connection, GateId(row.id)),
        "next_lane": max((one.lane for one in plans), default=0) + 1,
        "zones": [(one.id, one.name) for one in programme.zones(connection, group, 0, 500)],
        "dates": dates,
        "states": [one.name.lower() for one in LaneState],
        "place": "gates",
        "may_change": asked.who.role.may(Role.ORGANIZER),
    }
