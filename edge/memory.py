"""What this gate remembers: the log on disk, what is on its way there, and standing changes newer than the list.

The one place where a decision looks for the past.
"""

from collections.abc import Iterator

from admission.entitlements import CredentialStanding, Standing, ZoneTree
from admission.ids import Epoch, EventId, TicketId, ZoneId
from admission.presence import Bounds, PresenceRow, Reset, Resets, fold, reset_of, rows_of
from admission.records import ExtensionRecord, MalformedRecord, Record, record_from_bytes
from edge.journal import Journal
from edge.occupancy import Occupancy
from edge.store.log import LogStore
from edge.store.log_reader import ROWS_MAX, LogReader
from edge.store.log_schema import EpochRow


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


def refold(store: LogStore) -> None:
    """Derive presence from the records anew, after a salvage. StoreFault as the disk says.

    Times are those of the records' own bodies. What is no record of ours contributes nothing: `verify` tells of it.
    """
    rows: list[PresenceRow] = []
    resets: list[Reset] = []
    for epoch in store.epochs():
        for body, extensions in _bodies(store, epoch):
            at = (epoch.gate, epoch.epoch, body, extensions, body.time_us)
            rows.extend(rows_of(*at))
            reset = reset_of(*at)
            resets.extend(() if reset is None else (reset,))
    store.rebuild_presence(rows, resets)


def _bodies(store: LogStore, epoch: EpochRow) -> Iterator[tuple[Record, tuple[ExtensionRecord, ...]]]:
    """Yield each body of an epoch with the extensions that follow it; those after a gap belong to nobody."""
    body: Record | None = None
    extensions: list[ExtensionRecord] = []
    last = epoch.pruned_seq
    while found := store.records(epoch.gate, epoch.epoch, last, ROWS_MAX):
        for stored in found:
            try:
                record = record_from_bytes(stored.blob)
            except MalformedRecord:
                record = None
            follows = isinstance(record, ExtensionRecord) and stored.seq == last + 1
            last = stored.seq
            if follows and isinstance(record, ExtensionRecord):
                extensions.append(record)
                continue
            if body is not None:
                yield body, tuple(extensions)
            body, extensions = record if isinstance(record, Record) else None, []
    if body is not None:
        yield body, tuple(extensions)
