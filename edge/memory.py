"""What this gate remembers: the log on disk, what is on its way there, and standing changes newer than the list.

The one place where a decision looks for the past.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import msgspec

from admission.corrected import placed
from admission.entitlements import CredentialStanding, Standing, ZoneTree
from admission.ids import Epoch, EventId, GateId, RecordId, TicketId, ZoneId
from admission.observed import tag_rows_of
from admission.presence import Bounds, PresenceRow, Reset, Resets, TicketPresence, fold, reset_of, rows_of
from admission.records import ExtensionRecord, MalformedRecord, Record, record_from_bytes
from edge.claims import Doubts
from edge.journal import Journal
from edge.newcomers import Newcomers
from edge.occupancy import SLICE_TICKETS, Occupancy
from edge.store.faults import StoreFault
from edge.store.log import LogStore
from edge.store.log_reader import ROWS_MAX, LogReader
from edge.store.log_schema import COUNTED_KEY, DOUBTED_KEY, EpochRow, StandingChange
from edge.worn import Told, Worn
from sync.wire.counted import Counted, Limit

Seals = Mapping[EventId, tuple[int, int]]
"""Generation and version of each event of a list."""


class Memory:
    """Reads for one gate's decisions (`edge.judge.PresenceSource`). All on the loop; each read takes some 20 us."""

    def __init__(self, reader: LogReader, journal: Journal) -> None:
        self._reader = reader
        self._journal = journal
        self._resets = Resets((), ZoneTree(()))
        self._standings: dict[tuple[EventId, TicketId], Standing] = {}
        self._credentials: dict[tuple[EventId, bytes], CredentialStanding] = {}
        self._heard: dict[tuple[EventId, TicketId], StandingChange] = {}
        """Of each ticket the newest standing that the list does not hold; what came in this run may not be on the disk yet."""
        self._seals: Seals = {}
        self._zones = ZoneTree(())
        self._limits = kept_limits(reader)
        self._counted = Counted(self._limits)
        self._doubts = kept_doubts(reader)
        self._worn = Worn(self._resets, self._zones)
        self._newcomers = Newcomers()
        self._nothing_told = Told((), fold((), self._resets, self._zones))
        journal.on_presence = self._recorded_rows
        self._occupancy = Occupancy(self._zones, self._resets)
        self._next = self._occupancy
        self._counting: Iterator[int] = iter(())
        self._of_others: set[tuple[EventId, TicketId]] = set()
        """Tickets of which other gates said something, to be counted again."""
        self._resets_of_others: dict[RecordId, Reset] = {}
        """Heard in this run; the log may not hold them yet."""
        self.to_count = asyncio.Event()
        """Set while there is something to count, by `count_on`."""
        self.refresh(self._zones, {})

    @property
    def epoch(self) -> Epoch:
        """The running epoch."""
        return self._journal.epoch

    def refresh(self, zones: ZoneTree, seals: Seals) -> None:
        """Take up another zone tree, resets and standings; StoreFault where the log cannot be read: nothing changed then.

        People are counted anew, by `count_on`; until that is done the old count is in use, and kept up.
        """
        heard = (*self._journal.pending_resets(), *self._resets_of_others.values())
        # What is stored comes last: its time may have been corrected since it was heard.
        known = {one.id: one for one in (*heard, *self._reader.resets())}
        counted = self._counted.resets(known.values())
        resets = Resets(self._doubts.resets(counted), zones)
        kept = self._reader.standings()
        newest: dict[tuple[EventId, TicketId], StandingChange] = {}
        for one in (*kept, *self._heard.values()):
            key = (one.event, one.ticket)
            before = newest.get(key)
            least = seals.get(one.event, (0, 0)) if before is None else _place(before)
            if one.ticket and _place(one) > least:
                newest[key] = one
        self._heard, self._seals = newest, seals
        self._standings, self._credentials = standings_after(seals, (*kept, *self._heard.values()))
        self._zones, self._resets = zones, resets
        self._forget_folded()
        self.recount()

    def changed(self, changes: Iterable[StandingChange]) -> None:
        """Take in standings of tickets newer than the list's, for the next decision; older ones change nothing."""
        for one in changes:
            key, place = (one.event, one.ticket), _place(one)
            held = self._heard.get(key)
            newest = self._seals.get(one.event, (0, 0))
            if place > newest and (held is None or place > _place(held)):
                self._heard[key] = one
                self._standings[key] = Standing(one.standing)

    def rezone(self, zones: ZoneTree) -> None:
        """Take up another zone tree; StoreFault where the log cannot be read."""
        self.refresh(zones, self._seals)

    def believe(self, limits: tuple[Limit, ...]) -> bool:
        """Go by what the roster says of whose records count; whether that is news. People are counted anew then.

        StoreFault where the log cannot be read: nothing changed.
        """
        if limits == self._limits:
            return False
        before, self._counted = self._counted, Counted(limits)
        try:
            self.refresh(self._zones, self._seals)
        except StoreFault:
            self._counted = before
            raise
        self._limits = limits
        return True

    @property
    def limits(self) -> Mapping[GateId, Limit]:
        """What the roster says of whose records count."""
        return {one.gate: one for one in self._limits}

    @property
    def doubts(self) -> Doubts:
        """Whose claims are in doubt."""
        return self._doubts

    def doubt(self, doubts: Doubts) -> None:
        """Go by other doubts; people are counted anew then. StoreFault where the log cannot be read: nothing changed."""
        before, self._doubts = self._doubts, doubts
        try:
            self.refresh(self._zones, self._seals)
        except StoreFault:
            self._doubts = before
            raise

    def doubted(self, event: EventId, ticket: TicketId) -> bool:
        """Whether a gate in doubt claims a use of a ticket."""
        return bool(self._doubts) and self._doubts.takes(self._all_rows(event, ticket))

    def recount(self) -> None:
        """Begin to count anew."""
        self._next = Occupancy(self._zones, self._resets, self._presence)
        # What a failing disk has not taken stands in no table: those tickets are counted beside.
        known = self._newcomers.noting(self._reader.presence_tickets())
        tickets = chain(self._journal.pending_tickets(), known)
        self._counting = self._next.count(tickets, self.rows)
        self.to_count.set()

    def reset_made(self) -> None:
        """Take in the presence resets that were just written, and count anew whom they leave inside."""
        for reset in self._journal.pending_resets():
            self._resets.add(reset)
        self._forget_folded()
        self.recount()

    def heard(self, tickets: Iterable[tuple[EventId, TicketId]], resets: Collection[Reset]) -> None:
        """Another gate recorded something about these tickets, and these resets: counted by `count_on`."""
        self._of_others.update(tickets)
        for reset in resets:
            self._resets_of_others[reset.id] = reset
        counted = self._doubts.resets(self._counted.resets(resets))
        for reset in counted:
            self._resets.add(reset)
        if counted:
            self._forget_folded()
            self.recount()
        if self._of_others:
            self.to_count.set()

    def count_on(self) -> bool:
        """Count a slice of the log's people; True while there is more to count. After a StoreFault: `recount`."""
        if self._of_others:
            self.recorded([self._of_others.pop() for _ in range(min(SLICE_TICKETS, len(self._of_others)))])
            return True
        if next(self._counting, None) is not None:
            return True
        if self._next.known:
            self._occupancy = self._next
            self.to_count.clear()
        return False

    def recorded(self, tickets: Collection[tuple[EventId, TicketId]]) -> None:
        """Something was recorded about these tickets. StoreFault as the disk says: tell again of them then."""
        self._occupancy.update(tickets, self.rows)
        if self._next is not self._occupancy:
            self._next.update(tickets, self.rows)

    def rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        """Return what is recorded about one ticket, by gates that are not in doubt.

        A row that lands just now may come twice; folding is blind to it.
        """
        found = self._all_rows(event, ticket)
        return self._doubts.sure(found) if self._doubts else found

    def told(self, event: EventId, ticket: TicketId, zones: ZoneTree) -> Told:
        """Return what is recorded about one ticket, folded; of one with many uses at the cost of the newest."""
        is_ours = zones is self._zones or zones.by_id == self._zones.by_id
        if is_ours and self._newcomers.is_one(event, ticket):
            return self._nothing_told
        told = self._worn.told((event, ticket)) if is_ours else None
        if told is None:
            rows = self.rows(event, ticket)
            told = Told(rows, fold(rows, self._resets, zones))
            if is_ours:
                self._worn.keep((event, ticket), told)
        return told

    def _forget_folded(self) -> None:
        """Zones or resets are others: what was folded is folded anew."""
        self._worn.forget(self._resets, self._zones)
        self._nothing_told = Told((), fold((), self._resets, self._zones))

    def _presence(self, event: EventId, ticket: TicketId) -> TicketPresence:
        return self.told(event, ticket, self._zones).presence

    def _recorded_rows(self, rows: Sequence[PresenceRow]) -> None:
        for row in rows:
            self._newcomers.note(row.event, row.ticket)
        if self._counted or self._doubts:
            rows = self._doubts.sure(self._counted.rows(rows))
        self._worn.take(rows)

    def _all_rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        found = (*self._reader.presence_rows(event, ticket), *self._journal.pending(event, ticket))
        return self._counted.rows(found) if self._counted else found

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

    def is_unsettled(self, zone: ZoneId) -> bool:
        """Whether an alarm sent people out of a zone and nobody has counted since."""
        return self._occupancy.is_unsettled(zone)

    def occupancy_high(self, zone: ZoneId) -> int | None:
        """Return the upper bound of people in a zone; None while it is unknown. StoreFault as the disk says.

        Who was let in a moment ago is counted first: two lanes would give one last place to two.
        """
        self._occupancy.update(self._journal.uncounted_tickets(), self.rows)
        bounds = self._occupancy.bounds(zone)
        return None if bounds is None else bounds.high


def kept_limits(reader: LogReader) -> tuple[Limit, ...]:
    """Return what the roster last said of whose records count. StoreFault as the disk says."""
    kept = reader.meta(COUNTED_KEY)
    return msgspec.msgpack.decode(kept, type=tuple[Limit, ...]) if kept else ()


def kept_doubts(reader: LogReader) -> Doubts:
    """Return whose claims are in doubt. StoreFault as the disk says."""
    kept = reader.meta(DOUBTED_KEY)
    return Doubts(msgspec.msgpack.decode(kept, type=tuple[Limit, ...]) if kept else ())


def standings_after(
    seals: Seals, changes: Iterable[StandingChange]
) -> tuple[dict[tuple[EventId, TicketId], Standing], dict[tuple[EventId, bytes], CredentialStanding]]:
    """Return the standings of tickets and credentials that are newer than a list: its rows hold the older ones."""
    newer = [one for one in changes if _place(one) > seals.get(one.event, (0, 0))]
    return (
        {(one.event, one.ticket): Standing(one.standing) for one in newer if one.ticket},
        {(one.event, one.digest): CredentialStanding(one.standing) for one in newer if not one.ticket},
    )


def _place(change: StandingChange) -> tuple[int, int]:
    return change.generation, change.version


def refold(store: LogStore) -> None:
    """Derive presence from the records anew, after a salvage. StoreFault as the disk says.

    What is no record of ours contributes nothing: `verify` tells of it.
    """
    rows: list[PresenceRow] = []
    resets: list[Reset] = []
    for epoch in store.epochs():
        found = tuple(bodies(store, epoch))
        times = placed(body for body, _ in found)
        for (body, extensions), (_, time_us) in zip(found, times, strict=True):
            at = (epoch.gate, epoch.epoch, body, extensions, time_us)
            rows.extend((*rows_of(*at), *tag_rows_of(*at)))
            reset = reset_of(*at)
            resets.extend(() if reset is None else (reset,))
    store.rebuild_presence(rows, resets)


def bodies(store: LogReader, epoch: EpochRow) -> Iterator[tuple[Record, tuple[ExtensionRecord, ...]]]:
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
