"""What changed in each event's list: read once per version and kept in memory, however many gates ask at once."""

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, text

from admission.entitlements import Attention, CredentialStanding, Standing
from admission.ids import EventId, GateId, HolderId, ProductId, SessionId, TicketId, ZoneId
from sync.events import rows as events
from sync.events import tables
from sync.gates.group_settings import GroupSettings, Told
from sync.gates.seal_clock import SealClock
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.store.schema import unsigned
from sync.wire.deltas import (
    DELTA_ROWS_MAX,
    INLINE_ROWS_MAX,
    INLINE_SETTINGS_BYTES_MAX,
    PAGE_ROWS_MAX,
    Delta,
    DeltaRow,
    pack_delta,
    pack_settings,
)
from sync.wire.lists import Profile
from sync.wire.seals import Seal, sign_seal

PAGES_MAX = 256
"""Pages kept of an event, one for each version gates ask from; most ask from the same."""

_COLUMNS = (
    "c.digest, t.id, t.product, t.zones, t.session, t.not_before, t.not_after, t.admits, t.home_gate, t.attention, "
    "t.holder, t.standing, c.standing AS credential_standing, t.version AS ticket_version, "
    "c.version AS credential_version"
)
# Each goes by the index of one version: a condition on either of both would read the whole event.
_BY_TICKET = text(
    f"SELECT {_COLUMNS} FROM ticket t LEFT JOIN credential c ON c.event_id = t.event_id AND c.ticket = t.id "  # noqa: S608 - fixed names
    "WHERE t.event_id = :event AND t.version > :since LIMIT :most"
)
_BY_CREDENTIAL = text(
    f"SELECT {_COLUMNS} FROM credential c JOIN ticket t ON t.event_id = c.event_id AND t.id = c.ticket "  # noqa: S608 - fixed names
    "WHERE c.event_id = :event AND c.version > :since AND t.version <= :since LIMIT :most"
)


class EventState(NamedTuple):
    """How far an event's list is."""

    event: EventId
    group: int
    generation: int
    version: int
    sealed_at_s: int


class News(NamedTuple):
    """What became of one group since the last look. `parts`: SSE event names with what they carry, in order."""

    group: int
    parts: tuple[tuple[str, bytes], ...]
    public: dict[GateId, bytes]
    """The keys of the group's gates; whoever has another one is a gate no longer, whether or not the settings changed."""


class TooFar(Exception):
    """There is no way by changes: the gate takes the whole list."""


class _Row(NamedTuple):
    digest: bytes
    ticket: TicketId
    profile: Profile
    holder: HolderId
    standing: Standing
    credential_standing: CredentialStanding
    version: int


class _Recent:
    """The rows of one event that changed after `floor`, each at its newest."""

    def __init__(self, state: EventState) -> None:
        self.state = state
        self.floor = state.version
        self.rows: dict[tuple[bytes, TicketId], _Row] = {}
        self.too_far = -1
        """From this version or an earlier one the way is too long; asked once."""
        self.pages: dict[int, bytes] = {}

    def take(self, found: Sequence[_Row]) -> None:
        """Take in what changed up to `state`, which is the present one already."""
        if len(found) > DELTA_ROWS_MAX:
            self.too_far, self.floor = self.state.version - 1, self.state.version
            self.rows.clear()
            return
        for row in found:
            if row.digest:
                self.rows.pop((b"", row.ticket), None)
            self.rows[row.digest, row.ticket] = row
        if len(self.rows) > DELTA_ROWS_MAX:
            self.too_far, self.floor = self.state.version - 1, self.state.version
            self.rows.clear()


class Changes:
    """Pages of changes for gates. Methods block: they are for threads."""

    def __init__(self, database: Database, keys: VenueKeys, clock: SealClock | None = None) -> None:
        """`clock`: what else seals in this process has the same."""
        self._database = database
        self.clock = clock or SealClock(database)
        self._keys = keys
        self._signed_as = keys.number
        """The number of the keys that signed what is kept."""
        self._lock = threading.Lock()
        self._recent: dict[EventId, _Recent] = {}
        self._sealed: dict[int, tuple[int, tuple[EventState, ...], tuple[bytes, ...]]] = {}
        """By group: the seals of a second, which all streams that open then are told."""
        self._group_settings = GroupSettings(keys)
        self._settings: dict[int, Told] = {}
        """By group, as of the last look."""
        self._untold: dict[int, dict[EventId, int]] = {}
        """By group that changed since `look` told of it: up to which version of each event it did."""
        self._said: dict[int, bytes] = {}
        """By group, the digest of the settings that `look` told last."""
        self.reads = 0
        """How often the tables were read for rows: not once per gate."""

    def page(self, group: int, event: EventId, generation: int, since: int) -> bytes:
        """Return the changes of an event of this group after a version, signed. TooFar where only a list helps."""
        with self._lock:
            self._renew()
            known = self._recent.get(event)
            if known is None:
                self._look()
                known = self._recent.get(event)
            if known is None or known.state.group != group:
                raise TooFar
            if known.state.generation != generation or not 0 <= since <= known.state.version:
                raise TooFar
            if since not in known.pages:
                if since < known.floor:
                    self._deepen(known, since)
                if len(known.pages) >= PAGES_MAX:
                    known.pages.clear()
                known.pages[since] = self._made(known, since)
            return known.pages[since]

    def settings(self, group: int) -> bytes:
        """Return a group's settings, signed. TooFar where there is no such group."""
        with self._lock:
            self._renew()
            if group not in self._settings:
                self._look()
            if group not in self._settings:
                raise TooFar
            return self._settings[group].packed

    def seals(self, group: int, now_s: int) -> tuple[bytes, ...]:
        """Return what every event of a group is sealed at, as of the last look."""
        now_s = self.clock.now_s(now_s)
        with self._lock:
            self._renew()
            states = tuple(one.state for _, one in sorted(self._recent.items()) if one.state.group == group)
            known = self._sealed.get(group)
            if known is None or known[:2] != (now_s, states):
                made = tuple(self._seal(state, now_s) for state in states)
                known = self._sealed[group] = (now_s, states, made)
            return known[2]

    @property
    def groups(self) -> frozenset[int]:
        """The groups that have an event, as of the last look."""
        with self._lock:
            return frozenset(one.state.group for one in self._recent.values())

    def look(self, now_s: int) -> tuple[News, ...]:
        """Read what is new in the tables; returns it by group, with small changes whole.

        All of it is told once, also what another question came upon. Where reading fails, the next look tells it.
        """
        with self._lock:
            self._renew()
            self._look()
            news = tuple(self._news(group, fresh, now_s) for group, fresh in sorted(self._untold.items()))
            self._untold.clear()
            return news

    # --- under the lock -----------------------------------------------------------------------------------------

    def _renew(self) -> None:
        """Sign anew what is kept where the venue's keys are others than those that signed it."""
        number = self._keys.number
        if number == self._signed_as:
            return
        self._sealed.clear()
        for one in self._recent.values():
            one.pages = {}
        for group, told in self._settings.items():
            self._settings[group] = Told(*pack_settings(told.head, self._keys.list_key), told.head)
        self._signed_as = number

    def _look(self) -> None:
        with self._database.reading() as connection:
            found = states(connection)
            changed = [one for one in found if self._is_news(one)]
            if not changed:
                return
            told = {
                group: self._group_settings.of(connection, group) for group in {one.group for one in changed}
            }
            read = {one.event: self._read(connection, one) for one in changed}
        # All of it was read: from here on nothing fails, so that what is noted as known was noted as untold, too.
        for gone in set(self._recent) - {one.event for one in found}:
            del self._recent[gone]
        self._settings.update(told)
        for state in changed:
            fresh, rows = self._untold.setdefault(state.group, {}), read[state.event]
            known = self._recent.get(state.event)
            if known is None or rows is None:
                self._recent[state.event] = _Recent(state)
                continue
            fresh.setdefault(state.event, known.state.version)
            known.state, known.pages = state, {}
            known.take(rows)

    def _is_news(self, state: EventState) -> bool:
        known = self._recent.get(state.event)
        return known is None or known.state != state

    def _news(self, group: int, fresh: dict[EventId, int], now_s: int) -> News:
        told = self._settings[group]
        moved = self._said.get(group) != told.digest
        self._said[group] = told.digest
        parts: list[tuple[str, bytes]] = []
        if moved and len(told.packed) <= INLINE_SETTINGS_BYTES_MAX:
            parts.append(("settings", told.packed))
        for event, one in sorted(self._recent.items()):
            if one.state.group != group or (event not in fresh and not moved):
                continue
            if event in fresh and self._is_small(one, fresh[event]):
                one.pages[fresh[event]] = self._made(one, fresh[event])
                parts.append(("changes", one.pages[fresh[event]]))
            parts.append(("seal", self._seal(one.state, now_s)))
        return News(group, tuple(parts), {gate.id: gate.public for gate in told.head.gates})

    def _is_small(self, known: _Recent, since: int) -> bool:
        newer = (1 for row in known.rows.values() if row.version > since)
        return since >= known.floor and sum(newer) <= INLINE_ROWS_MAX

    def _seal(self, state: EventState, now_s: int) -> bytes:
        """Seal an event: `digest` is that of the settings, which all replicas make alike."""
        digest = self._settings[state.group].digest
        time_s = self.clock.of(state.event, (state.generation, state.version), state.sealed_at_s, now_s)
        seal = Seal(state.event, state.generation, state.version, digest, time_s)
        return sign_seal(seal, self._keys.list_key)

    def _read(self, connection: Connection, state: EventState) -> list[_Row] | None:
        """Return the rows that changed since what is kept of an event; None where nothing is, or of another generation."""
        known = self._recent.get(state.event)
        if known is None or known.state.generation != state.generation:
            return None
        self.reads += 1
        return rows_since(connection, state.event, known.state.version)

    def _deepen(self, known: _Recent, since: int) -> None:
        """Reach further back, with one reading for all who ask from there on."""
        if since <= known.too_far:
            raise TooFar
        self.reads += 1
        with self._database.reading() as connection:
            found = rows_since(connection, known.state.event, since)
        # Before anything is left out: of more than these not all was read, and what is missing need not be the newest.
        if len(found) > DELTA_ROWS_MAX:
            known.too_far = since
            raise TooFar
        found = [
            one
            for one in found
            if one.version <= known.state.version  # what was written just now comes with the next look
        ]
        before, known.rows = known.rows, {(one.digest, one.ticket): one for one in found}
        known.rows.update({key: row for key, row in before.items() if key not in known.rows})
        known.floor = since

    def _made(self, known: _Recent, since: int) -> bytes:
        state = known.state
        newer = sorted((row for row in known.rows.values() if row.version > since), key=_order)
        to = state.version
        if len(newer) > PAGE_ROWS_MAX:
            # A page ends between two versions: what one transaction changed is never told by halves.
            last = newer[PAGE_ROWS_MAX].version
            cut = [row for row in newer if row.version < last] or [
                row for row in newer if row.version == last
            ]
            to, newer = cut[-1].version, cut
        shared: dict[Profile, int] = {}
        told = tuple(
            DeltaRow(
                row.digest,
                row.ticket,
                shared.setdefault(row.profile, len(shared)),
                row.holder,
                row.standing,
                row.credential_standing,
                row.version,
            )
            for row in newer
        )
        return pack_delta(
            Delta(
                event=state.event,
                generation=state.generation,
                since=since,
                to=to,
                newest=state.version,
                sealed_at_s=state.sealed_at_s,
                settings=self._settings[state.group].digest,
                profiles=tuple(shared),
                rows=told,
            ),
            self._keys.list_key,
        )


def _order(row: _Row) -> tuple[int, TicketId, bytes]:
    return row.version, row.ticket, row.digest


def states(connection: Connection) -> tuple[EventState, ...]:
    """Return how far every event's list is."""
    t = tables.event.c
    found = connection.execute(
        select(t.id, t.group_id, t.generation, t.version, t.sealed_at_s).order_by(t.id)
    )
    return tuple(EventState(EventId(row[0]), *row[1:]) for row in found)


def rows_since(connection: Connection, event: EventId, since: int) -> list[_Row]:
    """Return the rows of an event that changed after a version; more than `DELTA_ROWS_MAX` means: too many."""
    asked = {"event": event, "since": since, "most": DELTA_ROWS_MAX + 1}
    found = list(connection.execute(_BY_TICKET, asked))
    if len(found) <= DELTA_ROWS_MAX:
        found += connection.execute(_BY_CREDENTIAL, asked)
    return [_row(one) for one in found]


def _row(one: Any) -> _Row:
    return _Row(
        digest=bytes(one.digest or b""),
        ticket=TicketId(unsigned(one.id)),
        profile=Profile(
            product=ProductId(one.product),
            zones=tuple(ZoneId(number) for number in events.numbers(one.zones)),
            session=SessionId(one.session),
            not_before=one.not_before,
            not_after=one.not_after,
            admits=one.admits,
            home_gate=GateId(one.home_gate),
            attention=Attention(one.attention),
        ),
        holder=HolderId(unsigned(one.holder)),
        standing=Standing(one.standing),
        credential_standing=CredentialStanding(one.credential_standing or 0),
        version=max(one.ticket_version, one.credential_version or 0),
    )
