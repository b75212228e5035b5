"""What this gate remembers: the log on disk, what is on its way there, and standing changes newer than the list.

The one place where a decision looks for the past.
"""

from collections.abc import Iterator

from admission.entitlements import CredentialStanding, Standing, ZoneTree
from admission.ids import Epoch, EventId, TicketId, ZoneId
from admission.presence import Bounds, PresenceRow, Resets, fold
from edge.journal import Journal
from edge.occupancy import Occupancy
from edge.store.log_reader import LogReader


class Memory:
    """Reads for one gate's decisions (`edge.judge.PresenceSource`). All on the loop; each read takes some 20 us."""

    def __init__(self, reader: LogReader, journal: Journal) -> None:
        self._reader = reader
        self._journal = journal
        self._resets = Resets((), ZoneTree(()))
        self._standings: dict[tuple[EventId, TicketId], Standing] = {}
        self._credentials: dict[tuple[EventId, bytes], CredentialStanding] = {}
        self._zones = ZoneTree(())
        self._occupancy = Occupancy(self._zones)
        self._counting: Iterator[int] = iter(())
        self.refresh(self._zones)

    @property
    def epoch(self) -> Epoch:
        """The running epoch."""
        return self._journal.epoch

    def refresh(self, zones: ZoneTree) -> None:
        """Take up another zone tree, resets and standings; occupancy is counted anew, by `count_on`."""
        self._zones = zones
        self._resets = Resets(self._reader.resets(), zones)
        standings = self._reader.standings()
        self._standings = {(s.event, s.ticket): Standing(s.standing) for s in standings if s.ticket}
        self._credentials = {
            (s.event, s.digest): CredentialStanding(s.standing) for s in standings if not s.ticket
        }
        self._occupancy = Occupancy(zones)
        self._counting = self._occupancy.count(self._reader.all_presence(), self._resets)

    def count_on(self) -> bool:
        """Count a slice of the log's people; True while there is more to count."""
        return next(self._counting, None) is not None

    def landed(self, tickets: set[tuple[EventId, TicketId]]) -> None:
        """Something was recorded about these tickets."""
        self._occupancy.update(
            tickets, lambda event, ticket: fold(self.rows(event, ticket), self._resets, self._zones)
        )

    def rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        """Return everything recorded about one ticket. A row that lands just now may come twice; folding is blind to it."""
        return (*self._reader.presence_rows(event, ticket), *self._journal.pending(event, ticket))

    def resets(self) -> Resets:
        """Return the presence resets heard of."""
        return self._resets

    def standing_of(self, event: EventId, ticket: TicketId) -> Standing | None:
        """Return a ticket's standing newer than the list's."""
        return self._standings.get((event, ticket))

    def credential_of(self, event: EventId, digest: bytes) -> CredentialStanding | None:
        """Return a credential's standing newer than the list's."""
        return self._credentials.get((event, digest))

    def bounds(self, zone: ZoneId) -> Bounds | None:
        """Return at least and at most how many people are in a zone."""
        return self._occupancy.bounds(zone)

    def occupancy_high(self, zone: ZoneId) -> int | None:
        """Return the upper bound of people in a zone; None while it is unknown."""
        bounds = self._occupancy.bounds(zone)
        return None if bounds is None else bounds.high
