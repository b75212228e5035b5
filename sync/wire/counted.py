"""Which records of a gate count, by the roster: those of a revoked one up to the heads named, exits only of who has an exit.

Pure, and the same at gates and centre. What does not count is kept and shown: it is in quarantine.
"""

from collections.abc import Iterable

import msgspec

from admission.ids import Epoch, GateId, RecordId
from admission.observed import PresenceRow, Reset, Role
from sync.wire.roster import Roster


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """How far one gate's records count.

    `ends`: of an epoch, the last seq that does; 0: none. `others`: whether epochs that are not named do. `exits`:
    whether the gate has a lane that is left by.
    """

    gate: GateId
    ends: dict[Epoch, int] = {}
    others: bool = True
    exits: bool = True


class Counted:
    """What counts, by the limits of gates; of a gate without one, all."""

    __slots__ = ("_limits",)

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._limits = {one.gate: one for one in limits}

    def __bool__(self) -> bool:
        return bool(self._limits)

    def record(self, of: RecordId) -> bool:
        """Whether a record counts."""
        limit = self._limits.get(of.gate)
        if limit is None:
            return True
        end = limit.ends.get(of.epoch)
        return limit.others if end is None else of.seq <= end

    def row(self, row: PresenceRow) -> bool:
        """Whether what a record says of its ticket counts."""
        return self.said(row.id, row.role)

    def said(self, of: RecordId, role: Role) -> bool:
        """Whether what a record is to its ticket counts."""
        limit = self._limits.get(of.gate)
        return limit is None or (self.record(of) and (limit.exits or role is not Role.EXIT))

    def rows(self, rows: Iterable[PresenceRow]) -> tuple[PresenceRow, ...]:
        """Return the rows that count."""
        return tuple(row for row in rows if self.row(row)) if self._limits else tuple(rows)

    def resets(self, resets: Iterable[Reset]) -> tuple[Reset, ...]:
        """Return the resets that count."""
        return tuple(reset for reset in resets if self.record(reset.id))


def end_of(head_seq: int) -> int:
    """Return the last seq that goes with a head: its own record. 0 for none."""
    return head_seq + 1 if head_seq else 0


def limits_of(roster: Roster, foreign: Iterable[tuple[GateId, Epoch]] = ()) -> tuple[Limit, ...]:
    """Return the limits that a roster sets. `foreign`: epochs held that are not their gate's by its present key."""
    enrolled = {one.id: one for one in roster.gates}
    ends = {one.gate: {head.epoch: end_of(head.seq) for head in one.heads} for one in roster.revoked}
    for gate, epoch in foreign:
        if gate in ends:
            ends[gate].setdefault(epoch, 0)
    named = {
        gate: Limit(
            gate, ends.get(gate, {}), gate in enrolled, enrolled[gate].has_exit if gate in enrolled else True
        )
        for gate in sorted({*ends, *(one.id for one in roster.gates if not one.has_exit)})
    }
    return tuple(named.values())
