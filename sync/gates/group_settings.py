"""The settings of a group as gates are told them: put together anew only when the rows behind them changed.

A group may have 2,000 gates, and every cancelled ticket asks whether the settings are still the same. Reading the rows
and comparing them costs a tenth of putting together what they say.
"""

import threading
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, select

from admission.entitlements import LanePlan
from admission.ids import EventId, GateId
from sync.events import rows as events
from sync.events import tables
from sync.gates import roster, shown_names
from sync.gates import tables as gates
from sync.keys import VenueKeys
from sync.tickets import rows as tickets
from sync.tickets.tables import ticket_key
from sync.wire.deltas import pack_settings, settings_head
from sync.wire.lists import EventInfo, ListHead

_GROUP: Any = bindparam("group")
_EVENTS = select(tables.event.c.id).where(tables.event.c.group_id == _GROUP)
_GATES = select(gates.gate.c.id).where(gates.gate.c.group_id == _GROUP)
_E, _G = tables.event.c, gates.gate.c
_BEHIND = (
    select(_E.id, _E.name, _E.timezone).where(_E.group_id == _GROUP).order_by(_E.id),
    select(tables.product).where(tables.product.c.event_id.in_(_EVENTS)).order_by(
        tables.product.c.event_id, tables.product.c.id
    ),
    select(tables.session).where(tables.session.c.event_id.in_(_EVENTS)).order_by(
        tables.session.c.event_id, tables.session.c.id
    ),
    select(tables.zone).where(tables.zone.c.group_id == _GROUP).order_by(tables.zone.c.id),
    select(ticket_key).where(ticket_key.c.group_id == _GROUP).order_by(ticket_key.c.public),
    select(_G.id, _G.name, _G.zones, _G.public).where(_G.group_id == _GROUP).order_by(_G.id),
    select(gates.lane_plan).where(gates.lane_plan.c.gate_id.in_(_GATES)).order_by(
        gates.lane_plan.c.gate_id, gates.lane_plan.c.lane
    ),
    select(gates.lane_schedule).where(gates.lane_schedule.c.gate_id.in_(_GATES)).order_by(
        gates.lane_schedule.c.gate_id, gates.lane_schedule.c.lane, gates.lane_schedule.c.from_s
    ),
    select(gates.lane_order).where(gates.lane_order.c.group_id == _GROUP).order_by(gates.lane_order.c.version),
    shown_names.MARKS,
)  # fmt: skip
"""Every row that `settings_of` reads. What is missing here would be told only after a restart: a test compares."""


_Rows = list[list[tuple[Any, ...]]]


class Told(NamedTuple):
    """A group's settings: their digest, as they travel, and what they say."""

    digest: bytes
    packed: bytes
    head: ListHead


class GroupSettings:
    """Hands out settings, signed. From any thread."""

    def __init__(self, keys: VenueKeys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[_Rows, int, Told]] = {}
        """By group: the rows, the number of the keys that signed, and what was signed."""
        self.made = 0
        """How often settings were put together."""

    def of(self, connection: Connection, group: int) -> Told:
        """Return a group's settings as the tables have them."""
        asked = {"group": group}
        rows = [[tuple(row) for row in connection.execute(one, asked)] for one in _BEHIND]
        number = self._keys.number
        with self._lock:
            kept = self._kept.get(group)
        if kept is not None and kept[:2] == (rows, number):
            return kept[2]
        head = settings_of(connection, group)
        told = Told(*pack_settings(head, self._keys.list_key), head)
        with self._lock:
            self._kept[group] = (rows, number, told)
            self.made += 1
        return told


def settings_of(connection: Connection, group: int) -> ListHead:
    """Return all that a group's list says beside its rows, without seals and keys that are not public."""
    gate_plans = roster.plans(connection, group)
    lanes: dict[GateId, tuple[int, ...]] = {}
    for index, (gate, _) in enumerate(gate_plans):
        lanes[gate] = (*lanes.get(gate, ()), index)
    t = tables.event.c
    named = connection.execute(select(t.id, t.name, t.timezone).where(t.group_id == group).order_by(t.id))
    head = ListHead(
        group=group,
        events=tuple(EventInfo(EventId(row.id), row.name, 0, 0, 0, row.timezone) for row in named),
        products=events.read_products(connection, group),
        sessions=events.read_sessions(connection, group),
        zones=events.read_zones(connection, group),
        plans=tuple[LanePlan, ...](plan for _, plan in gate_plans),
        gate_lanes=lanes,
        keys=tickets.read_keys(connection, group),
        gates=tuple(gate.info() for gate in roster.gates(connection, group)),
        profiles=(),
        digest_key=b"",
        schedules=roster.schedules(connection, group),
        orders=roster.orders(connection, group),
        names=shown_names.mark(connection, group) or msgspec.UNSET,
    )
    return settings_head(head)
