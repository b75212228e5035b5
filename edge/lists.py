"""The list in use: opened at start, switched when the builder has a newer one, given up when it cannot be read."""

import hashlib
import logging
import struct
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from admission.entitlements import Zone
from admission.ids import EventId, ZoneId
from admission.lane import Write
from admission.records import Extension, Kind
from edge.deltas import Deltas
from edge.gate import Gate
from edge.link import Changes, Health, Part
from edge.schedule import Schedule
from edge.store.disk import Disk
from edge.store.faults import FaultKind, StoreFault
from edge.store.list import LIST_FILE, ListStore
from edge.store.log_schema import ListVersion, SnapshotMark
from edge.venue import Venue, venue_of

FILE = LIST_FILE
OLD_AFTER_S = 24 * 3600
"""A list older than this is shown as old; it is used all the same (DESIGN.md: `list_max_age_h` is off)."""
AGAIN_S = 5.0
"""A list that could not be read is tried again so often: a card that failed for a moment must keep nobody out for good."""
RESEND_HINT = "Correct zones, keys and lane plans at the centre; it then sends a new list."
_LIST = struct.Struct(">IIQ16s")

log = logging.getLogger("edge.lists")


class Lists:
    """Holds the list in use."""

    def __init__(
        self, gate: Gate, disk: Disk | None = None, mono_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._gate = gate
        self._mono_s = mono_s
        self._disk = disk
        self._store: ListStore | None = None
        self._again_s: float | None = None
        """When a list that could not be read is tried again; None: there is none such."""
        self.schedule: Schedule | None = None
        """What the last list that could be used has happen by itself; a list given up leaves it."""
        self.on_schedule: Callable[[], None] = lambda: None
        """Called before it is another, and after: whoever set a lane by hand until then overrules the orders of before and not
        the new ones, and these hold when they are acknowledged."""
        self._deltas = Deltas(gate)
        self._proved_s: float | None = None
        """When the centre last proved that the list is what it was: monotonic, since the box's clock may be set meanwhile."""
        self._known = {one.event: (one.generation, one.version) for one in gate.reader.list_versions()}

    @property
    def rows(self) -> int:
        """Credentials in the list."""
        return 0 if self._store is None else self._store.row_count

    @property
    def version(self) -> int:
        """The newest version of any event in it; 0 without a list."""
        head = self._deltas.head
        return 0 if head is None else max((event.version for event in head.events), default=0)

    @property
    def names(self) -> bytes:
        """The mark of the names in force; empty where nobody asked to be shown by one."""
        head = self._deltas.head
        return head.names if head is not None and isinstance(head.names, bytes) else b""

    def open_newest(self) -> None:
        """Take the list that lies in the data folder, if there is a usable one."""
        path = self._gate.data / FILE
        code = self.take(path)
        if code and code != "list.none":
            log.error("the list cannot be used", extra={"code": code})

    def take(self, path: Path) -> str:
        """Switch to a list file; "" when done, else the code of what is wrong. The old one then stays in use.

        StoreFault where the log cannot be read; the old one stays in use then, too.
        """
        try:
            store = ListStore.open(path, self._disk)
        except StoreFault as fault:
            code = "list.none" if fault.kind is FaultKind.MISSING else "list.corrupt"
            if code == "list.none" and self._store is not None and path == self._gate.data / FILE:
                self._forget()  # removed by the front: the event group is over
                return ""
            return self._refuse(code, {"hint": fault.hint})
        for event in store.head.events:
            if (event.generation, event.version) < self._known.get(event.id, (0, 0)):
                store.close()
                return self._refuse("list.rolled_back", {"version": event.version})
        try:
            head = self._deltas.head_of(store.head)
            self._use(store, venue_of(head, self._gate.enrolment.gate))
        except ValueError as error:
            store.close()
            return self._refuse("list.corrupt", {"hint": f"{error}. {RESEND_HINT}"})
        except StoreFault:
            store.close()
            raise
        return ""

    def _refuse(self, code: str, args: dict[str, str | int]) -> str:
        if self._store is None:
            self._gate.board.put(Part.LIST, "list", Health.BAD, code, args, stops=True)
            self._gate.tell_lanes()
        return code

    def _use(self, store: ListStore, venue: Venue) -> None:
        gate, before = self._gate, self._store
        # First what may fail: a list is taken up whole or not at all.
        gate.memory.refresh(
            venue.facts.zones, {one.id: (one.generation, one.version) for one in store.head.events}
        )
        gate.judge.use_list(self._deltas.over(store, store.head), venue)
        for event in store.head.events:  # whoever brought it: the centre signed it, by its own time
            gate.time.signed_before(event.sealed_at_s)
        self._store, self._again_s = store, None
        self._now_serves(venue)
        self._remember(store)
        if before is not None:
            before.close()
        self.age_tile()
        gate.tell_lanes()
        log.info("list in use", extra={"version": self.version, "rows": store.row_count})

    def _now_serves(self, venue: Venue) -> None:
        self.on_schedule()
        self.schedule = venue.schedule
        for shell in self._gate.lanes.values():
            shell.list_changed()
        self.on_schedule()

    def change(self, asked: Changes) -> str:
        """Take in changes newer than the list; "" when done, else the code of what is wrong.

        ValueError for settings that cannot be used. StoreFault where the log cannot be read.
        """
        code = self._deltas.apply(asked)
        if not code and asked.settings:
            self._take_settings()
        elif not code and asked.sealed_at_s and asked.is_last:
            self._gate.judge.sealed(asked.event, asked.sealed_at_s)
            self._gate.time.signed_before(asked.sealed_at_s)
        if not code and asked.is_last:
            self._deltas.refreshed()
            self.age_tile()
            self._gate.changed()
        return code

    def _take_settings(self) -> None:
        """Judge by other settings over the same list."""
        source = self._deltas.refreshed()
        if source is None:
            return
        gate, before = self._gate, gate_zones(self._gate)
        venue = venue_of(source.head, gate.enrolment.gate)
        gate.judge.use_list(source, venue)
        if venue.facts.zones.by_id != before:
            gate.memory.rezone(venue.facts.zones)
        self._now_serves(venue)
        gate.tell_lanes()

    def _remember(self, store: ListStore) -> None:
        """Record what is newly in use, with the seals that no later list may undercut."""
        writes: list[Write] = []
        versions: list[ListVersion] = []
        marks: list[SnapshotMark] = []
        digest = hashlib.sha256(msgspec.msgpack.encode(store.head)).digest()[:16]
        for event in store.head.events:
            if self._known.get(event.id) == (event.generation, event.version):
                continue
            self._known[event.id] = (event.generation, event.version)
            payload = _LIST.pack(event.id, event.generation, event.version, digest)
            writes.append(Write(len(writes) + 1, Kind.LIST_APPLIED, extensions=((Extension.LIST, payload),)))
            versions.append(
                ListVersion(EventId(event.id), event.generation, event.version, event.sealed_at_s, digest)
            )
            marks.append(SnapshotMark(EventId(event.id), event.generation, event.version))
        if writes:
            self._gate.journal.applied(writes, tuple(versions), tuple(marks))

    def give_up(self, fault: StoreFault) -> None:
        """The list in use cannot be read any more: nobody is judged by it until a good one comes."""
        log.error("the list cannot be read", extra={"code": "list.corrupt"})
        if self._store is not None:
            self._store.close()
            self._store = None
        # A file that is damaged stays so; one that a failing card did not give up may be whole.
        self._again_s = self._mono_s() + AGAIN_S if fault.kind is FaultKind.IO else None
        self._deltas.drop()
        self._gate.judge.drop_list()
        self._refuse("list.corrupt", {"hint": fault.hint})

    def look_again(self) -> None:
        """Try a list that could not be read once more, when it is time. Called once a second, off the scan path."""
        if self._again_s is None or self._mono_s() < self._again_s:
            return
        self._again_s = self._mono_s() + AGAIN_S
        try:
            self.take(self._gate.data / FILE)
        except StoreFault as fault:
            self._gate.unreadable(fault)

    def _forget(self) -> None:
        """The list's file is gone on purpose: nobody is judged by it any more."""
        log.info("the list is forgotten: the event group is over")
        self.close()
        self._deltas.drop()
        self._gate.judge.drop_list()
        self._refuse("list.none", {})

    def close(self) -> None:
        """The gate ends."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def proved(self, ago_s: int) -> None:
        """Hear how long ago the centre proved that the list is what it was: nothing changed, and it is current."""
        self._proved_s = self._mono_s() - ago_s

    def age_tile(self) -> None:
        """Show the list with its age."""
        head = self._deltas.head
        if head is None:
            return
        sealed_s = min((event.sealed_at_s for event in head.events), default=0)
        age_s: float = self._gate.now_s() - sealed_s
        if self._proved_s is not None:
            age_s = min(age_s, self._mono_s() - self._proved_s)
        args: dict[str, str | int] = {"rows": self.rows, "version": self.version, "sealed_s": sealed_s}
        old = age_s > OLD_AFTER_S
        health, code = (Health.DEGRADED, "list.old") if old else (Health.OK, "list.ok")
        self._gate.board.put(Part.LIST, "list", health, code, args, stops=True)


def gate_zones(gate: Gate) -> dict[ZoneId, Zone]:
    """Return the zones that a gate judges by now."""
    return gate.judge.venue.zones.by_id
