"""How many people are in each zone, with its bounds; kept up as records are made, never on the scan path."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from admission.entitlements import ZoneTree
from admission.ids import EventId, TicketId, ZoneId
from admission.presence import Bounds, PresenceRow, Resets, TicketPresence, fold

SLICE_TICKETS = 4
"""Tickets counted in one go: under 1 ms also on a slow card, so that a scan meanwhile does not wait."""

TicketKey = tuple[EventId, TicketId]
RowsOf = Callable[[EventId, TicketId], Sequence[PresenceRow]]
"""Everything recorded about a ticket by now."""


class Occupancy:
    """Counts per zone. Unknown (None) until every ticket of the log was counted once."""

    def __init__(self, zones: ZoneTree, resets: Resets) -> None:
        self._zones = zones
        self._resets = resets
        self._low: dict[ZoneId, int] = {}
        self._high: dict[ZoneId, int] = {}
        self._counted: dict[TicketKey, tuple[tuple[ZoneId, int, int], ...]] = {}
        self._known = False

    def count(self, tickets: Iterable[TicketKey], rows_of: RowsOf) -> Iterator[int]:
        """Count these tickets, a slice per step; yields how many were counted so far.

        Each is counted by what is recorded when its turn comes: nobody who moves meanwhile is counted as before.
        """
        for done, (event, ticket) in enumerate(tickets, 1):
            self._count(event, ticket, rows_of)
            if done % SLICE_TICKETS == 0:
                yield done
        self._known = True

    def update(self, tickets: Iterable[TicketKey], rows_of: RowsOf) -> None:
        """Count these tickets again: something was recorded about them."""
        for event, ticket in tickets:
            self._count(event, ticket, rows_of)

    def _count(self, event: EventId, ticket: TicketId, rows_of: RowsOf) -> None:
        self._put((event, ticket), fold(rows_of(event, ticket), self._resets, self._zones))

    def _put(self, key: TicketKey, presence: TicketPresence) -> None:
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

    @property
    def known(self) -> bool:
        """Whether every ticket was counted."""
        return self._known

    def bounds(self, zone: ZoneId) -> Bounds | None:
        """Return at least and at most how many people are in a zone; None while unknown, and for a zone not counted."""
        if not self._known or zone not in self._zones.by_id:
            return None
        return Bounds(self._low.get(zone, 0), self._high.get(zone, 0))
