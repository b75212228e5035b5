"""Changes newer than the list in use: taken in whole, used by the next decision, kept through restarts and newer lists."""

import struct

import msgspec

from admission.entitlements import CredentialStanding, Ticket
from admission.ids import TicketId
from admission.lane import Write
from admission.records import Extension, Kind
from edge.applied import FULL, GAP, NO_LIST, Applied, KeptSettings, applied_of, head_over, settings_of
from edge.gate import Gate
from edge.link import ChangedRow, Changes
from edge.overlay import REFUSALS_MAX, ROWS_MAX, NewRow, OverlaidList, Overlay, Place, Store
from edge.store.log_schema import APPLIED_KEY, SETTINGS_KEY, OverlayRow, StandingChange
from edge.venue import venue_of
from sync.wire.deltas import with_settings
from sync.wire.lists import ListHead

UNSAVED = "command.not_saved"
_LIST = struct.Struct(">IIQ16s")


class Deltas:
    """What goes over the list. `over` for each list taken up, `apply` for what comes after it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._applied = applied_of(gate.reader)
        self._settings = settings_of(gate.reader)
        self._overlay = Overlay(gate.reader.overlay())
        self._store: Store | None = None
        self._listed: ListHead | None = None
        self.head: ListHead | None = None
        """What is in force: the list's head, and what came over it."""

    def head_of(self, listed: ListHead) -> ListHead:
        """Return a list's head with what goes over it."""
        return head_over(listed, self._applied, self._settings)

    def over(self, store: Store, listed: ListHead) -> OverlaidList:
        """Take up a list: what it holds itself is forgotten here."""
        self._store, self._listed, self.head = store, listed, self.head_of(listed)
        self._overlay.prune({one.id: (one.generation, one.version) for one in listed.events})
        return OverlaidList(store, self._overlay, self.head)

    def drop(self) -> None:
        """There is no list to go over."""
        self._store = self._listed = self.head = None

    def apply(self, asked: Changes) -> str:
        """Take a slice of changes in; "" when done, else the code of what is wrong. ValueError for unusable settings.

        They hold for the next decision already; they are durable once the journal has saved them.
        """
        head = self.head
        if head is None or self._store is None:
            return NO_LIST
        seal = next((one for one in head.events if one.id == asked.event), None)
        if seal is None or seal.generation != asked.generation or asked.since > seal.version:
            return GAP
        if asked.to <= seal.version:
            return ""
        full = self._overlay.count + len(asked.rows) > ROWS_MAX
        rows = tuple(one for one in asked.rows if self._cannot_wait(one)) if full else asked.rows
        if self._overlay.count + len(rows) > REFUSALS_MAX:
            return FULL
        standings, overlay = self._take(asked, rows)
        if self._gate.in_memory_seq:  # a disk that takes nothing gets nothing more to hold: it is sent again
            return UNSAVED
        writes: tuple[Write, ...] = ()
        meta: tuple[tuple[str, bytes], ...] = ()
        if asked.is_last and not full:
            meta = self._advance(asked, head)
            payload = _LIST.pack(asked.event, asked.generation, asked.to, asked.settings_digest)
            writes = (Write(1, Kind.STANDING, data=asked.row_count, extensions=((Extension.LIST, payload),)),)
        self._gate.journal.changed(writes, standings, overlay, meta)
        return FULL if full else ""

    def _cannot_wait(self, row: ChangedRow) -> bool:
        """Whether a row refuses somebody, or changes what is said of somebody here: only what is new waits for a list."""
        if _refuses(row) or self._store is None:
            return True
        known = self._overlay.over(row.digest, self._store.lookup(row.digest))
        return any((ticket.event, ticket.id) == (row.ticket.event, row.ticket.id) for ticket, _ in known)

    def _advance(self, asked: Changes, head: ListHead) -> tuple[tuple[str, bytes], ...]:
        """Be at `to` from now on; returns what is to be kept of that. ValueError for unusable settings."""
        meta: list[tuple[str, bytes]] = []
        if asked.settings:
            decoded = msgspec.msgpack.decode(asked.settings, type=ListHead)
            venue_of(with_settings(head, decoded), self._gate.enrolment.gate)
            self._settings = KeptSettings(
                decoded, asked.settings_digest, asked.event, asked.generation, asked.to
            )
            meta.append((SETTINGS_KEY, msgspec.msgpack.encode(self._settings)))
        self._applied[asked.event] = Applied(asked.event, asked.generation, asked.to, asked.sealed_at_s)
        meta.append((APPLIED_KEY, msgspec.msgpack.encode(tuple(self._applied.values()))))
        return tuple(meta)

    def refreshed(self) -> OverlaidList | None:
        """Return the list again, as the changes leave it; None without one."""
        return self.over(self._store, self._listed) if self._store and self._listed else None

    def _take(
        self, asked: Changes, rows: tuple[ChangedRow, ...]
    ) -> tuple[tuple[StandingChange, ...], tuple[OverlayRow, ...]]:
        standings: dict[TicketId, StandingChange] = {}
        overlay: list[OverlayRow] = []
        for one in rows:
            place: Place = (asked.generation, one.version)
            ticket: Ticket = one.ticket
            standings[ticket.id] = StandingChange(asked.event, ticket.id, b"", ticket.standing, *place)
            row = NewRow(ticket, CredentialStanding(one.credential))
            if one.digest:
                self._overlay.put(one.digest, row, place)
                packed = msgspec.msgpack.encode(row)
                overlay.append(OverlayRow(asked.event, ticket.id, one.digest, packed, *place))
        told = tuple(standings.values())
        self._gate.memory.changed(told)
        return told, tuple(overlay)


def _refuses(row: ChangedRow) -> bool:
    return bool(row.ticket.standing or row.credential)
