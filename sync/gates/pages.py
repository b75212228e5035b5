"""Gates: which there are and how they are, enrolling a box, lane plans, and lane states for a gate or a whole zone."""

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
import segno
from markupsafe import Markup
from sqlalchemy import Connection, delete, func, insert, select, update

from admission.entitlements import LanePlan, Mode
from admission.ids import EventId, GateId, LaneId, SessionId, ZoneId
from admission.lane import LaneState
from sync.accounts.audit import note
from sync.accounts.principal import Role
from sync.events import houses, programme
from sync.events import tables as events
from sync.gates import enrolment, roster, tables
from sync.keys import VenueKeys
from sync.store.database import CentreFault
from sync.store.schema import next_id
from sync.tickets import changes
from sync.web.acts import Act, Acts
from sync.web.api import Refused
from sync.web.pages import Answer, PageAsked, PageRoute, Redirect, View
from sync.wire.deltas import GateStatus
from sync.wire.messages import CODE_MINUTES, fingerprint_of

QUIET_S = 180
"""A gate says how it is every minute or so; three missed are worth a look."""
LANES_MAX = 16
NAME_CHARS = 200


class GatePages:
    """The routes."""

    def __init__(self, keys: VenueKeys, acts: Acts) -> None:
        self._keys, self._acts = keys, acts

    def pages(self) -> tuple[PageRoute, ...]:
        """Return the pages."""
        return (
            PageRoute("GET", "/gates", self.gates),
            PageRoute("POST", "/gates", self.add, Role.ORGANIZER),
            PageRoute("POST", "/gates/states", self.order, Role.STEWARD),
            PageRoute("GET", "/gates/{gate}", self.show),
            PageRoute("POST", "/gates/{gate}", self.rename, Role.ORGANIZER),
            PageRoute("POST", "/gates/{gate}/code", self.code, Role.ORGANIZER),
            PageRoute("POST", "/gates/{gate}/revoke", self.revoke, Role.ORGANIZER),
            PageRoute("POST", "/gates/{gate}/plans", self.plan, Role.ORGANIZER),
        )

    def gates(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: the device board."""
        done = asked.words("saved") if asked.query.text("done") else ""
        return View("gates/gates.html", {**_board(connection, asked), "done": done})

    def add(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: one more gate, without a box yet."""
        group = asked.form.number("group", 1, 2**31 - 1) or 0
        houses.check_group(connection, asked.who.organization, group)
        name = asked.form.text("name")
        zones = [ZoneId(int(one)) for one in asked.form.all("zones") if one.isascii() and one.isdigit()]
        known = {zone.id for zone in programme.zones(connection, group, 0, 500)}
        errors = _name_errors(connection, asked, name)
        if errors or not set(zones) <= known:
            shown = {**_board(connection, asked), "form": asked.form, "errors": errors}
            return View("gates/gates.html", shown, 422)
        with changes.change(connection, changes.events_of_group(connection, group), asked.now_s):
            number = next_id(connection, tables.gate.c.id)
            roster.add_gate(
                connection,
                roster.Gate(GateId(number), name, tuple(zones) or tuple(map(ZoneId, sorted(known)))),
                (),
                group,
            )
        _noted(connection, asked, "gate.make", f"gate {number}")
        return Redirect(f"/gates/{number}")

    def show(self, connection: Connection, asked: PageAsked) -> Answer:
        """GET: one gate with its lanes."""
        done = asked.words("saved") if asked.query.text("done") else ""
        return View("gates/gate.html", {**_gate(connection, asked), "done": done})

    def rename(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: another name."""
        row = _row(connection, asked)
        name = asked.form.text("name")
        errors = _name_errors(connection, asked, name, row.id)
        if errors:
            shown = {**_gate(connection, asked), "form": asked.form, "errors": errors}
            return View("gates/gate.html", shown, 422)
        with changes.change(connection, changes.events_of_group(connection, row.group_id), asked.now_s):
            connection.execute(update(tables.gate).where(tables.gate.c.id == row.id).values(name=name))
        _noted(connection, asked, "gate.rename", f"gate {row.id}")
        return Redirect(f"/gates/{row.id}?done=saved")

    def code(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: a one-time code as QR, shown this once; an older one of the gate is void."""
        row = _row(connection, asked)
        try:
            code = enrolment.new_code(connection, self._keys, row.name, asked.now_s, secrets.token_bytes(5))
        except CentreFault as fault:
            return View(
                "gates/gate.html", {**_gate(connection, asked), "said": f"{fault}. {fault.hint}"}, 422
            )
        _noted(connection, asked, "gate.code", f"gate {row.id}")
        pin = fingerprint_of(self._keys.identity_key.public_key().public_bytes_raw())
        link = f"{asked.origin}#{pin}"
        written = f"{code[:4]}-{code[4:]}"
        picture = Markup(segno.make(f"{link} {written}", error="m").svg_inline(border=4, omitsize=True))  # noqa: S704 - drawn here
        shown = {"code": written, "link": link, "picture": picture, "minutes": CODE_MINUTES}
        return View("gates/code.html", {**_gate(connection, asked), **shown})

    def revoke(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: the gate is shut out: its streams close, what it records from now on is quarantined."""
        at = {"gate": _row(connection, asked).id}

        def again(errors: Mapping[str, str]) -> Answer:
            shown = {**_gate(connection, asked), "form": asked.form, "errors": errors}
            return View("gates/gate.html", {**shown, "said": errors.get("")}, 422)

        act = Act("POST /api/v1/gates/{gate}/revocations", at, {"reason": asked.form.text("reason")})
        return self._acts.press(connection, asked, act, f"/gates/{at['gate']}", again)

    def plan(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: what one lane serves."""
        row = _row(connection, asked)
        form, group = asked.form, row.group_id
        lane = form.number("lane", 1, LANES_MAX)
        zone = form.number("zone", 1, 65_535)
        zones = {one.id for one in programme.zones(connection, group, 0, 500)}
        served = {tuple(map(int, one.split(":"))) for one in form.all("sessions") if _is_pair(one)}
        mode = {one.name.lower(): one for one in Mode}.get(form.text("mode"))
        if lane is None or zone not in zones or mode is None or not served <= _pairs(connection, group):
            raise Refused(422, "bad_plan", asked.words("bad_plan"))
        sessions = tuple((EventId(event), SessionId(session)) for event, session in sorted(served))
        plan = LanePlan(LaneId(lane), ZoneId(zone or 0), mode, sessions, bool(form.text("attended")))
        t = tables.lane_plan
        with changes.change(connection, changes.events_of_group(connection, group), asked.now_s):
            connection.execute(delete(t).where(t.c.gate_id == row.id, t.c.lane == lane))
            connection.execute(
                insert(t).values(
                    gate_id=row.id, lane=lane, zone=plan.zone, mode=plan.mode, attended=plan.attended,
                    sessions=msgspec.json.encode(plan.sessions).decode(),
                )
            )  # fmt: skip
        _noted(connection, asked, "lane.plan", f"gate {row.id} lane {lane}")
        return Redirect(f"/gates/{row.id}?done=saved")

    def order(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: a state for the lanes of a zone, a gate, or one lane."""
        form = asked.form
        group = form.number("group", 1, 2**31 - 1) or 0
        houses.check_group(connection, asked.who.organization, group)
        state = {one.name.lower(): one for one in LaneState}.get(form.text("state"))
        zone, gate = form.number("zone", 1, 65_535) or 0, form.number("gate", 1, 2**32 - 1) or 0
        lane = form.number("lane", 1, LANES_MAX) or 0
        mine = not gate or any(one.id == gate for one in roster.gates(connection, group))
        there = not zone or any(one.id == zone for one in programme.zones(connection, group, 0, 500))
        if state is None or bool(zone) == bool(gate) or not mine or not there:
            raise Refused(422, "bad_order", asked.words("bad_lane_order"))
        with changes.change(connection, changes.events_of_group(connection, group), asked.now_s):
            roster.order_state(
                connection,
                state,
                asked.now_s,
                zone=ZoneId(zone),
                gate=GateId(gate),
                lane=LaneId(lane),
                group=group,
            )
        _noted(connection, asked, "lane.state", f"zone {zone}" if zone else f"gate {gate} lane {lane}")
        return Redirect(f"/gates/{gate}?done=saved" if gate else "/gates?done=saved")


def _noted(connection: Connection, asked: PageAsked, what: str, subject: str) -> None:
    note(connection, asked.who.actor, asked.who.organization, what, subject, "", asked.now_s)


def _row(connection: Connection, asked: PageAsked) -> Any:
    """Return a gate of the organization; Refused where there is none."""
    g, e = tables.gate, events.event_group
    row = connection.execute(
        select(g, e.c.name.label("group_name"))
        .join(e, e.c.id == g.c.group_id)
        .where(g.c.id == asked.number("gate"), e.c.organization_id == asked.who.organization)
    ).one_or_none()
    if row is None:
        raise Refused(404, "not_found", asked.words("not_found"))
    return row


def _name_errors(connection: Connection, asked: PageAsked, name: str, own: int = 0) -> dict[str, str]:
    if not name:
        return {"name": asked.words("must")}
    if len(name) > NAME_CHARS:
        return {"name": asked.words("too_long", n=NAME_CHARS)}
    g = tables.gate.c
    taken = connection.execute(select(g.id).where(g.name == name, g.id != own)).first()
    return {"name": asked.words("name_taken")} if taken else {}


def _is_pair(text: str) -> bool:
    event, _, session = text.partition(":")
    return event.isascii() and event.isdigit() and session.isascii() and session.isdigit() and len(text) < 20


def _pairs(connection: Connection, group: int) -> set[tuple[int, ...]]:
    s, e = events.session.c, events.event
    found = connection.execute(
        select(s.event_id, s.id).join(e, e.c.id == s.event_id).where(e.c.group_id == group)
    )
    return {(row.event_id, row.id) for row in found}


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
        "may_order": asked.who.role.may(Role.STEWARD),
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
        select(g.c.id, g.c.name, g.c.enrolled_at_s, s.c.heard_s, s.c.status)
        .outerjoin(s, s.c.gate_id == g.c.id)
        .where(g.c.group_id == group)
        .order_by(g.c.name)
    )
    made = []
    for row in found:
        status = msgspec.json.decode(row.status, type=GateStatus) if row.status else None
        behind = (
            max((versions.get(one.event, one.version) - one.version for one in status.versions), default=0)
            if status
            else 0
        )
        made.append(
            {
                "id": row.id, "name": row.name, "enrolled": row.enrolled_at_s is not None, "status": status,
                "heard_s": row.heard_s, "ago_s": now_s - row.heard_s if row.heard_s else None, "behind": behind,
                "lanes": lanes.get(row.id, 0), "tone": _tone(row, status, now_s),
            }
        )  # fmt: skip
    return made


def _tone(row: Any, status: GateStatus | None, now_s: int) -> str:
    if row.enrolled_at_s is None or status is None:
        return "off"
    if now_s - row.heard_s > QUIET_S or status.verdict == "not_ready":
        return "bad"
    return "warn" if status.verdict == "degraded" else "ok"


def _gate(connection: Connection, asked: PageAsked) -> dict[str, Any]:
    row = _row(connection, asked)
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
        "plans": [
            {
                "plan": one,
                "sessions": {f"{event}:{session}" for event, session in one.sessions},
                "mode": one.mode.name.lower(),
            }
            for one in plans
        ],
        "next_lane": max((one.lane for one in plans), default=0) + 1,
        "zones": [(one.id, one.name) for one in programme.zones(connection, group, 0, 500)],
        "dates": dates,
        "states": [one.name.lower() for one in LaneState],
        "place": "gates",
        "may_change": asked.who.role.may(Role.ORGANIZER),
        "may_order": asked.who.role.may(Role.STEWARD),
    }
