"""How many people are in each zone, with its bounds; kept up as records land, never on the scan path."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from admission.entitlements import ZoneTree
from admission.ids import EventId, TicketId, ZoneId
from admission.presence import Bounds, PresenceRow, Resets, TicketPresence, fold

SLICE_TICKETS = 50
"""Tickets counted in one go at the start: under 1 ms, so that a scan meanwhile does not wait."""

PresenceOf = Callable[[EventId, TicketId], TicketPresence]


class Occupancy:
    """Counts per zone. Unknown (None) until everything in the log was counted once."""

    def __init__(self, zones: ZoneTree) -> None:
        self._zones = zones
        self._low: dict[ZoneId, int] = {}
        self._high: dict[ZoneId, int] = {}
        self._counted: dict[tuple[EventId, TicketId], tuple[tuple[ZoneId, int, int], ...]] = {}
        self._known = False

    def count(self, rows: Iterable[PresenceRow], resets: Resets) -> Iterator[int]:
        """Count a whole log, a slice per step: rows of one ticket come together. Yields the tickets counted so far."""
        tickets = groupby(rows, key=lambda row: (row.event, row.ticket))
        for done, (key, own) in enumerate(tickets, 1):
            if key not in self._counted:
                self._put(key, fold(tuple(own), resets, self._zones))
            if done % SLICE_TICKETS == 0:
                yield done
        self._known = True

    def update(self, tickets: Iterable[tuple[EventId, TicketId]], presence_of: PresenceOf) -> None:
        """Count these tickets again: something was recorded about them."""
        for key in tickets:
            self._put(key, presence_of(*key))

    def _put(self, key: tuple[EventId, TicketId], presence: TicketPresence) -> None:
        """Replace a ticket's share. Only tickets with somebody inside are remembered."""
        for zone, low, high in self._counted.pop(key, ()):
            self._low[zone] -= low
            self._high[zone] -= high
        if not presence.live:
            return
        share = tuple(
            (zone, own.low, own.high) for zone in self._zones.by_id if (own := presence.bounds(zone)).high
        )
        for zone, low, high in share:
            self._low[zone] = self._low.get(zone, 0) + low
            self._high[zone] = self._high.get(zone, 0) + high
        self._counted[key] = share

    def bounds(self, zone: ZoneId) -> Bounds | None:
        """Return at least and at most how many people are in a zone; None while unknown."""
        return Bounds(self._low.get(zone, 0), self._high.get(zone, 0)) if self._known else None
