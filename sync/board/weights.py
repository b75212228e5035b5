"""Weights of tickets, straight from the columns of their presence rows: each sort of ticket is folded once.

Nearly every ticket is one person who came in, and what that adds depends on where, by which gate and how, not on which
ticket it was or when. So such tickets share one `Weight`; all others, and whom a reset closed, are folded one by one.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from admission.entitlements import ZoneTree
from admission.limits import NO_LIMITS, Limits
from admission.observed import Role, from_columns
from admission.records import Flag
from admission.resets import Resets
from sync.board.tally import NOTHING, Weight, weight

Columns = Sequence[Any]
"""`admission.observed.COLUMNS` of one row, as the tables hold them."""

KNOWN_MAX = 10_000
"""Sorts remembered: gates times lanes times the ways to come in; a gate has a dozen."""
_ID = struct.Struct(">IQI")
_U64 = 2**64 - 1
_ENTRY, _STATE, _AFTER_RESTART = int(Role.ENTRY), int(Role.STATE), int(Flag.AFTER_RESTART)
_GATE, _EPOCH, _SEQ, _ROLE, _WHAT, _FLAGS, _NAMES = 2, 3, 4, 5, slice(7, 14), 13, 14


def has_several_entries(rows: Sequence[Columns]) -> bool:
    """Whether several of a ticket's rows are entries."""
    return len(rows) > 1 and sum(one[_ROLE] == _ENTRY for one in rows) > 1


def until(rows: Sequence[Columns], marks: Mapping[Any, int]) -> list[Columns]:
    """Return the rows as they were when the logs stood at these marks, by gate and epoch."""
    return [one for one in rows if one[_SEQ] <= marks.get((one[_GATE], one[_EPOCH]), 0)]


class Weights:
    """Returns what tickets add, under one tree of zones."""

    def __init__(self, zones: ZoneTree) -> None:
        self._zones = zones
        self._known: dict[object, Weight] = {}

    def of(
        self, rows: Sequence[Columns], resets: Resets, admits: int = 1, limits: Limits = NO_LIMITS
    ) -> Weight:
        """Return what a ticket with these rows adds; as `tally.weight`, and the same object for the same sort."""
        if not rows:
            return NOTHING
        # From a count by hand on it matters when a ticket's rows were made.
        sort = None if resets.counts else _sort_of(rows)
        if sort is not None and resets and resets.closing(from_columns(_entry_of(rows))) is not None:
            sort = None
        found = self._known.get(sort) if sort is not None else None
        if found is None:
            found = weight([from_columns(one) for one in rows], resets, self._zones, admits, limits)
            if sort is not None:
                if len(self._known) >= KNOWN_MAX:
                    self._known.clear()
                self._known[sort] = found
        return found


def _entry_of(rows: Sequence[Columns]) -> Columns:
    return rows[0] if rows[0][_ROLE] == _ENTRY else rows[-1]


def _sort_of(rows: Sequence[Columns]) -> tuple[object, ...] | None:
    """Return all that the weight of one entry, and of what is said of it, depends on; None for any other ticket."""
    if len(rows) > 2:
        return None
    entry, said = _entry_of(rows), rows[0] if rows[0][_ROLE] != _ENTRY else rows[-1]
    if entry[_ROLE] != _ENTRY or entry[_NAMES] or entry[_FLAGS] & _AFTER_RESTART:
        return None
    if len(rows) == 1:
        return (entry[_GATE], *entry[_WHAT])
    about = _ID.pack(entry[_GATE], entry[_EPOCH] & _U64, entry[_SEQ])
    if said[_ROLE] != _STATE or said[_NAMES] != about:
        return None
    return (entry[_GATE], *entry[_WHAT], *said[_WHAT])
