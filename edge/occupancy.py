"""How many people are in each zone, with its bounds; kept up as records are made, never on the scan path."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from admission.entitlements import ZoneTree
from admission.ids import EventId, TicketId, ZoneId
from admission.presence import Bounds, PresenceRow, Resets, TicketPresence, fold, since_count

SLICE_TICKETS = 4
"""Tickets counted in one go: under 1 ms also on a slow card, so that a scan meanwhile does not wait."""

TicketKey = tuple[EventId, TicketId]
RowsOf = Callable[[EventId, TicketId], Sequence[PresenceRow]]
"""Everything recorded about a ticket by now."""
PresenceOf = Callable[[EventId, TicketId], TicketPresence]
"""What that folds to, for the same resets and zones."""
_Share = tuple[ZoneId, int, int, int]
"""What one ticket adds to a zone: people at least and at most, and how many an alarm sent out."""
_Shares = tuple[_Share, ...]


class Occupancy:
    """Counts per zone. Unknown (None) until every ticket of the log was counted once, and after an alarm until staff
    counted by hand. From such a count on its number holds, and what was recorded since."""

    def __init__(self, zones: ZoneTree, resets: Resets, presence_of: PresenceOf | None = None) -> None:
        """`presence_of`: whoever keeps tickets folded; else each is folded here."""
        self._presence_of = presence_of
        self._zones = zones
        self._resets = resets
        self._by_hand = {zone: count for zone in zones.by_id if (count := resets.counted(zone)) is not None}
        """As things stood when the counting began: what is heard later is counted anew."""
        self._low: dict[ZoneId, int] = {}
        self._high: dict[ZoneId, int] = {}
        self._fled: dict[ZoneId, int] = {}
        self._counted: dict[EventId, dict[TicketId, _Shares]] = {}
        """Of the tickets that have any; no more is held of each than a place in here, for a day's log holds many thousands."""
        self._alike: dict[_Shares, _Shares] = {}
        """Nearly all are one person in one zone: what is equal is held once."""
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
        if self._presence_of is not None and not self._by_hand:
            self._put(event, ticket, (), self._presence_of(event, ticket))
            return
        # How many were inside when a zone was counted is found in the rows alone.
        rows = rows_of(event, ticket)
        self._put(event, ticket, rows, fold(rows, self._resets, self._zones))

    def _put(
        self, event: EventId, ticket: TicketId, rows: Sequence[PresenceRow], presence: TicketPresence
    ) -> None:
        """Replace a ticket's share. Only tickets that have one are remembered."""
        counted = self._counted.setdefault(event, {})
        for zone, low, high, fled in counted.pop(ticket, ()):
            self._low[zone] -= low
            self._high[zone] -= high
            self._fled[zone] -= fled
        if presence.is_empty and not self._resets:
            return
        shares = (self._share(zone, rows, presence) for zone in self._zones.by_id)
        share = tuple(one for one in shares if any(one[1:]))
        for zone, low, high, fled in share:
            self._low[zone] = self._low.get(zone, 0) + low
            self._high[zone] = self._high.get(zone, 0) + high
            self._fled[zone] = self._fled.get(zone, 0) + fled
        if share:
            counted[ticket] = self._alike.setdefault(share, share)

    def _share(self, zone: ZoneId, rows: Sequence[PresenceRow], presence: TicketPresence) -> _Share:
        count = self._by_hand.get(zone)
        own = (
            presence.bounds(zone)
            if count is None
            else since_count(rows, presence, count, self._resets, self._zones)
        )
        return zone, own.low, own.high, presence.fled(zone)

    @property
    def known(self) -> bool:
        """Whether every ticket was counted."""
        return self._known

    def is_unsettled(self, zone: ZoneId) -> bool:
        """Whether an alarm sent people out of a zone and nobody has counted since."""
        return self._fled.get(zone, 0) > 0

    def bounds(self, zone: ZoneId) -> Bounds | None:
        """Return at least and at most how many people are in a zone; None while unknown, and for a zone not counted."""
        if not self._known or zone not in self._zones.by_id or self.is_unsettled(zone):
            return None
        count = self._by_hand.get(zone)
        base = 0 if count is None else count.people
        return Bounds(max(0, base + self._low.get(zone, 0)), max(0, base + self._high.get(zone, 0)))
