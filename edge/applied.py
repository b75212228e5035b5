"""How far changes go beyond the list in use, as the log keeps it: read by the lane, and by the front that asks for more."""

from collections.abc import Mapping
from typing import Protocol

import msgspec
from msgspec.structs import replace

from admission.ids import EventId
from edge.store.log_schema import APPLIED_KEY, SETTINGS_KEY
from sync.wire.deltas import with_settings
from sync.wire.lists import ListHead

GAP, FULL = "changes.gap", "changes.full"
"""What the front answers by fetching a whole list: these changes do not follow on what is held; too many are held."""
NO_LIST = "list.none"
"""There is no list that changes could lead on from, whatever lies on the card."""


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
    """Settings that came by changes, the digest they are named by, and with which changes; event 0: not known."""

    head: ListHead
    digest: bytes
    event: EventId = EventId(0)
    generation: int = 0
    version: int = 0

    def is_newer(self, listed: ListHead) -> bool:
        """Whether a list was made before them. One that was made later has settings as new, or newer."""
        if not self.event:
            return True
        place = (self.generation, self.version)
        return any(one.id == self.event and place > (one.generation, one.version) for one in listed.events)


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
    if settings is not None and settings.is_newer(head):
        head = with_settings(head, settings.head)
    events = tuple(
        replace(one, version=newer[one.id].version, sealed_at_s=newer[one.id].sealed_at_s or one.sealed_at_s)
        if one.id in newer
        else one
        for one in head.events
    )
    return replace(head, events=events)
