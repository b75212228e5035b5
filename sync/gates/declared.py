"""Which ways gates' lanes are passed, as their boxes told; and what follows for the exits they recorded.

What a box once told of a lane stays: a lane that lost its exit was left by before. So exits that counted count on.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from admission.ids import GateId, LaneId
from sync.gates import tables
from sync.wire.deltas import GateStatus, LaneWays
from sync.wire.roster import Ways

UNKNOWN = int(Ways.ENTRY | Ways.EXIT)
"""The lanes of a box that told nothing may be passed both ways."""
LANES_MAX = 64
"""As many as a status tells of."""


def of_group(connection: Connection, group: int) -> dict[GateId, dict[LaneId, int]]:
    """Return what boxes of a group told of their lanes, those that told something."""
    s, g = tables.gate_status.c, tables.gate.c
    wanted = (
        select(s.gate_id, s.status)
        .join_from(tables.gate_status, tables.gate, g.id == s.gate_id)
        .where(g.group_id == group)
    )
    return _read(connection.execute(wanted))


def of_gates(connection: Connection, gates: Iterable[GateId]) -> dict[GateId, dict[LaneId, int]]:
    """Return what the boxes of these gates told of their lanes, those that told something."""
    s = tables.gate_status.c
    return _read(connection.execute(select(s.gate_id, s.status).where(s.gate_id.in_(list(gates)))))


def without_exit(found: Mapping[GateId, Mapping[LaneId, int]]) -> frozenset[GateId]:
    """Return the gates that told of lanes, and of none that is left by: their exits do not count."""
    return frozenset(
        gate for gate, lanes in found.items() if not any(one & Ways.EXIT for one in lanes.values())
    )


def kept(before: Mapping[LaneId, int], told: GateStatus) -> GateStatus:
    """Return a status with what the gate told of its lanes earlier."""
    merged = dict(before)
    for one in told.lanes:
        lane = LaneId(one.lane)
        merged[lane] = merged.get(lane, 0) | one.ways
    lanes = tuple(LaneWays(lane, merged[lane]) for lane in sorted(merged)[:LANES_MAX])
    return msgspec.structs.replace(told, lanes=lanes)


def _read(found: Iterable[Any]) -> dict[GateId, dict[LaneId, int]]:
    """Read rows of gate and status."""
    told = {GateId(gate): msgspec.json.decode(status, type=GateStatus).lanes for gate, status in found}
    return {gate: {LaneId(one.lane): one.ways for one in lanes} for gate, lanes in told.items() if lanes}
