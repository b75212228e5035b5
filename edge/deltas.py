"""Changes newer than the list in use: taken in whole, used by the next decision, kept through restarts and newer lists."""

import struct
from collections.abc import Mapping
from typing import Protocol

import msgspec
from msgspec.structs import replace

from admission.entitlements import CredentialStanding, Ticket
from admission.ids import EventId, TicketId
from admission.lane import Write
from admission.records import Extension, Kind
from edge.gate import Gate
from edge.link import ChangedRow, Changes
from edge.overlay import REFUSALS_MAX, ROWS_MAX, NewRow, OverlaidList, Overlay, Place, Store
from edge.store.log_schema import APPLIED_KEY, SETTINGS_KEY, OverlayRow, StandingChange
from edge.venue import venue_of
from sync.wire.deltas import with_settings
from sync.wire.lists import ListHead

GAP, FULL = "changes.gap", "changes.full"
"""What the front answers by fetching a whole list: these changes do not follow on what is held; too many are held."""
UNSAVED = "command.not_saved"
_LIST = struct.Struct(">IIQ16s")


class KeptValues(Protocol):
    """Small values beside the log (`edge.store.log_reader.LogReader`)."""

    def meta(self, key: str) -> bytes | None:
        """Return a value that was kept under a name."""
        ...


class Applied(msgspec.Struct, frozen=True, array_like=True):
    """How far an event's list is by changes; `sealed_at_s` 0 while more of them are known to come."""

    event: EventId
    generation: int
    version: int
    sealed_at_s: int


class KeptSettings(msgspec.Struct, frozen=True, array_like=True):
    """Settings newer than a list's, and the digest they are named by."""

    head: ListHead
    digest: bytes


def applied_of(reader: KeptValues) -> dict[EventId, Applied]:
    """Return how far each event is by changes, as the log says. StoreFault as the disk says."""
    kept = reader.meta(APPLIED_KEY)
    found = msgspec.msgpack.decode(kept, type=tuple[Applied, ...]) if kept else ()
    return {one.event: one for one in found}


def settings_of(reader: KeptValues) -> KeptSettings | None:
    """Return the newest settings that came by changes. StoreFault as the disk says."""
    kept = reader.meta(SETTINGS_KEY)
    return msgspec.msgpack.decode(kept, type=KeptSettings) if kept else None


def head_over(head: ListHead, applied: Mapping[EventId, Applied], settings: KeptSettings | None) -> ListHead:
    """Return a list's head as the changes that go beyond it leave it."""
    newer = {
        one.id: found
        for one in head.events
        if (found := applied.get(one.id)) is not None
        and found.generation == one.generation
        and found.version > one.version
    }
    if not newer:
        return head
    if settings is not None:
        head = with_settings(head, settings.head)
    events = tuple(
        replace(one, version=newer[one.id].version, sealed_at_s=newer[one.id].sealed_at_s or one.sealed_at_s)
        if one.id in newer
        else one
        for one in head.events
    )
    return replace(head, events=events)


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
            return "list.none"
        seal = next((one for one in head.events if one.id == asked.event), None)
        if seal is None or seal.generation != asked.generation or asked.since > seal.version:
            return GAP
        if asked.to <= seal.version:
            return ""
        full = self._overlay.count + len(asked.rows) > ROWS_MAX
        rows = tuple(one for one in asked.rows if _refuses(one)) if full else asked.rows
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

    def _advance(self, asked: Changes, head: ListHead) -> tuple[tuple[str, bytes], ...]:
        """Be at `to` from now on; returns what is to be kept of that. ValueError for unusable settings."""
        meta: list[tuple[str, bytes]] = []
        if asked.settings:
            decoded = msgspec.msgpack.decode(asked.settings, type=ListHead)
            venue_of(with_settings(head, decoded), self._gate.enrolment.gate)
            self._settings = KeptSettings(decoded, asked.settings_digest)
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
