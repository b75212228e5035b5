"""Tickets with many uses, kept folded: what is judged at an arm must not take longer for all the times before.

A staff pass has thousands of uses in a season, and whoever shows one code to an arm for an hour gives it thousands too. Such
a ticket is read and folded whole once; from then on each row that is recorded is folded on top (`admission.settled`), and a
row that does not fit, told late by another gate, has all of it folded anew. In memory alone: the log stays as it is, and
after a crash each is read whole once more, by `Occupancy` at the start or by its first scan.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from admission.entitlements import ZoneTree
from admission.ids import EventId, RecordId, TicketId
from admission.observed import PresenceRow, Role
from admission.presence import TicketPresence, fold_on
from admission.resets import Resets
from admission.settled import Settled, fits
from admission.settling import settle

WORN_ROWS: Final = 64
"""A ticket with more rows is kept folded: to read and fold so many takes half a millisecond."""
FRESH_ROWS: Final = 64
"""As many rows on top of the sum are put away again, where that can be."""
WORN_MAX: Final = 512
"""Tickets kept: staff and their passes. Some 15 kB each."""

Key = tuple[EventId, TicketId]
_COMINGS: Final = (Role.ENTRY, Role.EXIT)


class Told(NamedTuple):
    """What is recorded about a ticket. `rows`: all of them, or those on top of the sum; binds are among them always."""

    rows: Sequence[PresenceRow]
    presence: TicketPresence


class _Ticket:
    """One ticket's sum, and what stands on it."""

    __slots__ = ("comings", "presence", "rows", "settled")

    def __init__(self, presence: TicketPresence, rows: Iterable[PresenceRow]) -> None:
        self.presence: TicketPresence | None = presence
        self._put_away(presence, rows)

    def _put_away(self, presence: TicketPresence, rows: Iterable[PresenceRow]) -> None:
        self.settled: Settled
        self.settled, left = settle(presence, rows)
        self.rows = list(left)
        self.comings: Mapping[RecordId, PresenceRow] = {row.id: row for row in left if row.role in _COMINGS}

    def take(self, row: PresenceRow) -> bool:
        """Take one more row in; whether it fits."""
        if not fits(self.settled, self.comings, row):
            return False
        self.rows.append(row)
        if row.role in _COMINGS:
            self.comings = {**self.comings, row.id: row}
        self.presence = None
        return True

    def folded(self, resets: Resets, zones: ZoneTree) -> Told | None:
        """Return what it amounts to; None where all of its rows must be folded."""
        presence = self.presence
        if presence is None:
            presence = self.presence = fold_on(self.settled, self.rows, resets, zones)
        if presence is None:
            return None
        told = Told(tuple(self.rows), presence)
        if len(self.rows) > FRESH_ROWS:
            self._put_away(presence, self.rows)
        return told


class Worn:
    """The tickets kept, those asked for last. For one state of resets and zones: with others, `forget`."""

    def __init__(self, resets: Resets, zones: ZoneTree) -> None:
        self._resets, self._zones = resets, zones
        self._kept: OrderedDict[Key, _Ticket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def forget(self, resets: Resets, zones: ZoneTree) -> None:
        """Go by other resets and zones: each ticket is folded anew when it is asked for."""
        self._resets, self._zones = resets, zones
        self._kept.clear()

    def keep(self, key: Key, told: Told) -> None:
        """Keep a ticket that was read and folded whole, where it has so many rows."""
        if len(told.rows) <= WORN_ROWS:
            return
        self._kept[key] = _Ticket(told.presence, told.rows)
        if len(self._kept) > WORN_MAX:
            self._kept.popitem(last=False)

    def take(self, rows: Iterable[PresenceRow]) -> None:
        """Something was recorded, here or elsewhere."""
        for row in rows:
            key = row.event, row.ticket
            kept = self._kept.get(key)
            if kept is not None and not kept.take(row):
                del self._kept[key]

    def told(self, key: Key) -> Told | None:
        """Return what is recorded about a ticket that is kept; None for any other."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        told = kept.folded(self._resets, self._zones)
        if told is None:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return told


__all__ = ["FRESH_ROWS", "WORN_MAX", "WORN_ROWS", "Told", "Worn"]
