"""A gate's day against a disk that loses power: what was acknowledged must be there, whole, wherever it stops."""

import itertools
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.chain import ROOT, Head, Predecessor, link, seed, verify
from admission.entitlements import CredentialStanding, Standing
from admission.ids import Epoch, EventId, GateId, HolderId, ProductId, RecordId, TicketId, ZoneId
from admission.presence import PresenceRow, Reset, reset_of, reset_payloads, rows_of
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    Trust,
    record_from_bytes,
    ticket_subject,
)
from edge.store.disk import LocalDisk
from edge.store.faults import StoreFault
from edge.store.list import ListStore, build
from edge.store.log import LogStore, Synchronous
from edge.store.log_reader import log_path
from edge.store.log_schema import Batch, Cursor, ListVersion, SnapshotMark, StandingChange, StoredRecord
from sync.wire.lists import EventInfo, ListHead, ListRow, Profile
from tests.edge.power_cut import Mark, Medium, RecordingDisk, crash_points
from tests.memory import memory_folder

OWN, PEER = GateId(7), GateId(0xFFFFFFFF)
EVENT = EventId(1)
STEPS = 30
TICKETS = 40
HEAD_EVERY = 6
SECOND_CUT_EVERY = 9
"""One crash point in so many is cut again while the gate starts from it."""


class QuietDisk(LocalDisk):
    """The box's disk without room for a reserve."""

    def free_bytes(self, path: Path) -> int:  # noqa: ARG002 - the Protocol's
        return 0


QUIET = QuietDisk()


@cache
def key_of(gate: GateId) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(gate.to_bytes(32, "big"))


def digest_of(ticket: int) -> bytes:
    return ticket.to_bytes(16, "big")


class Gate:
    """Writes a log as the shell does: seqs, chain, heads and what presence makes of it."""

    def __init__(self, gate: GateId) -> None:
        self.gate = gate
        self._predecessor = ROOT
        self._epoch = Epoch(0)
        self._seq = 0
        self._link = b""
        self._pending: list[tuple[Record, tuple[ExtensionRecord, ...]]] = []

    def begin(self, epoch: Epoch) -> None:
        """A daemon start."""
        if self._epoch:
            self._predecessor = Predecessor(self._epoch, self._seq, self._link)
        self._epoch, self._seq, self._link = epoch, 0, seed(self.gate, epoch)
        named = () if self._predecessor is ROOT else ((Extension.PREDECESSOR, self._predecessor.to_bytes()),)
        self._add(Kind.RESTART, extensions=named)

    def scan(self, ticket: int, direction: Direction = Direction.ENTRY) -> None:
        self._add(Kind.SCAN, ticket, outcome=Outcome.GRANT, direction=direction)
        self._add(Kind.PASSAGE, ticket, direction=direction, ref=self._seq)

    def reset(self) -> None:
        heard = (RecordId(self.gate, self._epoch, self._seq),)
        self._add(Kind.RESET, extensions=reset_payloads(heard))

    def batch(self, token: int, *, head: bool, **more: object) -> Batch:
        """Everything added since the last batch."""
        records: list[StoredRecord] = []
        presence: list[PresenceRow] = []
        resets: list[Reset] = []
        for body, extensions in self._pending:
            whole: tuple[Record | ExtensionRecord, ...] = (body, *extensions)
            for one in whole:
                records.append(StoredRecord(self.gate, self._epoch, one.seq, one.to_bytes()))
                self._link = link(self._link, one.to_bytes())
            presence += rows_of(self.gate, self._epoch, body, extensions, body.time_us)
            if (reset := reset_of(self.gate, self._epoch, body, extensions, body.time_us)) is not None:
                resets.append(reset)
        self._pending.clear()
        heads: tuple[Head, ...] = ()
        if head:
            heads = (Head.sign(key_of(self.gate), self.gate, self._epoch, self._seq, self._link),)
            self._seq += 1
            blob = ExtensionRecord(Extension.HEAD, self._seq, heads[0].payload()).to_bytes()
            records.append(StoredRecord(self.gate, self._epoch, self._seq, blob))
            self._link = link(self._link, blob)
        return Batch(token, tuple(records), tuple(presence), heads, tuple(resets), **more)  # type: ignore[arg-type]  # named by the caller

    def _add(
        self,
        kind: Kind,
        ticket: int = 0,
        *,
        outcome: Outcome = Outcome.NONE,
        direction: Direction = Direction.NONE,
        ref: int = 0,
        extensions: tuple[tuple[Extension, bytes], ...] = (),
    ) -> None:
        self._seq += 1
        body = Record(
            kind=kind,
            seq=self._seq,
            time_us=1_700_000_000_000_000 + self._seq,
            mono_ms=self._seq,
            zone=ZoneId(1),
            outcome=outcome,
            direction=direction,
            trust=Trust.SYNCED,
            flags=Flag.TICKET if ticket else Flag.NONE,
            subject=ticket_subject(EVENT, TicketId(ticket), ProductId(1)) if ticket else bytes(16),
            ref=ref,
        )
        followers = []
        for type_, payload in extensions:
            self._seq += 1
            followers.append(ExtensionRecord(type_, self._seq, payload))
        self._pending.append((body, tuple(followers)))


def list_head(version: int) -> ListHead:
    return ListHead(
        group=1,
        events=(EventInfo(EVENT, "Fair", 1, version, 1_700_000_000 + version),),
        products=(),
        sessions=(),
        zones=(),
        plans=(),
        gate_lanes={},
        keys=(),
        gates=(),
        profiles=(Profile(ProductId(1), (ZoneId(1),)),),
        digest_key=bytes(16),
    )


def list_rows(cancelled: set[int], count: int = TICKETS) -> list[ListRow]:
    return [
        ListRow(
            digest_of(ticket),
            EVENT,
            TicketId(ticket),
            0,
            HolderId(0),
            Standing.CANCELLED if ticket in cancelled else Standing.VALID,
            CredentialStanding.ACTIVE,
        )
        for ticket in range(1, count + 1)
    ]


@dataclass(slots=True)
class Story:
    """What the gate was to hold after each step: index 0 is before the first."""

    records: list[dict[tuple[int, int, int], bytes]] = field(default_factory=lambda: [{}])
    cancelled: list[frozenset[int]] = field(default_factory=lambda: [frozenset()])
    version: list[int] = field(default_factory=lambda: [0])
    listed: list[int] = field(default_factory=lambda: [0])

    def add(self, batch: Batch, *, listed: int) -> None:
        held = {(one.gate, one.epoch, one.seq): one.blob for one in batch.records}
        self.records.append(self.records[-1] | held)
        gone = {change.ticket for change in batch.standings if change.standing & Standing.CANCELLED}
        self.cancelled.append(self.cancelled[-1] | gone)
        self.version.append(max([self.version[-1], *(one.version for one in batch.list_versions)]))
        self.listed.append(listed)


def live(
    data: Path, disk: LocalDisk, chance: random.Random, synchronous: Synchronous, mark: Callable[[int], None]
) -> Story:
    """Run a gate for `STEPS` steps; `mark` hears of each one that was acknowledged."""
    story = Story()
    own, peer = Gate(OWN), Gate(PEER)
    own.begin(Epoch(chance.getrandbits(63) | 1 << 63))
    peer.begin(Epoch(chance.getrandbits(63) | 1))
    cancelled: set[int] = set()
    version = listed = 0
    store = LogStore.open(data, disk, synchronous)
    for step in range(1, STEPS + 1):
        writer = chance.choice((own, own, own, peer))
        for _ in range(chance.randint(1, 3)):
            writer.scan(chance.randint(1, TICKETS), chance.choice((Direction.ENTRY, Direction.EXIT)))
        more: dict[str, object] = {"cursors": (Cursor(GateId(0), OWN, Epoch(1), step),)}
        if chance.random() < 0.3:
            version += 1
            ticket = chance.randint(1, TICKETS)
            cancelled.add(ticket)
            change = StandingChange(EVENT, TicketId(ticket), b"", Standing.CANCELLED, 1, version)
            more |= {
                "standings": (change,),
                "list_versions": (ListVersion(EVENT, 1, version, step, bytes(16)),),
            }
        elif version > listed and chance.random() < 0.3:
            build(data / "list.sqlite3", list_head(version), list_rows(cancelled), disk)
            listed = version
            more |= {"snapshots": (SnapshotMark(EVENT, 1, version),)}
        if chance.random() < 0.1:
            own.reset()
        batch = writer.batch(step, head=chance.random() < 1 / HEAD_EVERY, **more)
        rest = own.batch(step, head=False) if writer is peer else peer.batch(step, head=False)
        whole = Batch(step, batch.records + rest.records, presence=batch.presence + rest.presence)
        story.add(
            Batch(step, whole.records, standings=batch.standings, list_versions=batch.list_versions),
            listed=listed,
        )
        store.append([batch, rest])
        mark(step)
        if chance.random() < 0.15:
            store.checkpoint(wait=chance.random() < 0.5)
        if chance.random() < 0.07:
            store.close()
            own.begin(Epoch(chance.getrandbits(63) | 1 << 63))
            store = LogStore.open(data, disk, synchronous)
    store.close()
    return story


@dataclass(slots=True)
class Result:
    """What the crash points came to. `undone`: cancels that were forgotten; `problems`: a few, in words."""

    points: int = 0
    acked_lost: int = 0
    corrupt: int = 0
    undone: int = 0
    problems: list[str] = field(default_factory=list)

    def complain(self, words: str) -> None:
        if len(self.problems) < 20:
            self.problems.append(words)


def run_points(count: int, seed: int, synchronous: Synchronous = Synchronous.FULL) -> Result:
    """Cut the power at `count` points, spread over the operations of as many seeded days as it takes."""
    result = Result()
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        for day in itertools.count():
            chance = random.Random(f"{seed} {day}")
            root = Path(folder) / f"day{day}"
            root.mkdir()
            disk = RecordingDisk()
            story = live(root, disk, chance, synchronous, lambda step, to=disk: to.record(Mark(step)))  # type: ignore[misc]  # mypy infers no type for the default
            disk.close()
            for number, marked, medium in crash_points(disk.trace):
                cut = Path(folder) / "cut"
                medium.cut(chance, root, cut)
                where = f"seed {seed} day {day} operation {number}"
                if result.points % SECOND_CUT_EVERY == 0:
                    _cut_while_starting(cut, chance, synchronous)
                check(cut, story, marked, result, where)
                shutil.rmtree(cut, ignore_errors=True)
                result.points += 1
                if result.points >= count:
                    return result
            shutil.rmtree(root)
    raise AssertionError("unreachable")


def _cut_while_starting(data: Path, chance: random.Random, synchronous: Synchronous) -> None:
    """Start the gate from what a power cut left, and cut it again somewhere in that start."""
    data.mkdir(exist_ok=True)
    medium = Medium.of_folder(data)
    disk = RecordingDisk()
    LogStore.open(data, disk, synchronous).close()
    disk.close()
    stop = chance.randint(0, len(disk.trace))
    again = data.with_name("again")
    for number, _, now in crash_points(disk.trace, medium):
        if number >= stop:
            now.cut(chance, data, again)
            break
    shutil.rmtree(data)
    if again.exists():
        again.rename(data)


def check(data: Path, story: Story, acked: int, result: Result, where: str) -> None:
    """Start the gate with the real code from what the power cut left, and hold it against what it had promised."""
    try:
        store = LogStore.open(data, QUIET)
    except StoreFault as fault:
        result.corrupt += 1
        result.complain(f"{where}: the log does not open: {fault}")
        return
    try:
        if store.salvaged is not None or _integrity(data) != "ok":
            result.corrupt += 1
            result.complain(f"{where}: the log is damaged: {store.salvaged}")
            return
        _check_records(store, story, acked, result, where)
        _check_chain(store, result, where)
        _check_derived(store, result, where)
        _check_cancels(store, data, story, acked, result, where)
    finally:
        store.close()


def _integrity(data: Path) -> object:
    connection = apsw.Connection(str(log_path(data)), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute("PRAGMA integrity_check").get
    finally:
        connection.close()


def _all_records(store: LogStore) -> dict[tuple[int, int, int], bytes]:
    return {
        (row.gate, row.epoch, record.seq): record.blob
        for row in store.epochs()
        for record in store.records(row.gate, row.epoch, 0, 10_000)
    }


def _check_records(store: LogStore, story: Story, acked: int, result: Result, where: str) -> None:
    held = _all_records(store)
    lost = sum(held.get(key) != blob for key, blob in story.records[acked].items())
    if lost:
        result.acked_lost += lost
        result.complain(f"{where}: {lost} acknowledged records are gone")
    elif held != story.records[acked] and (acked == STEPS or held != story.records[acked + 1]):
        result.corrupt += 1
        result.complain(f"{where}: neither step {acked} nor the next: {len(held)} records")


def _check_chain(store: LogStore, result: Result, where: str) -> None:
    for gate in (OWN, PEER):
        rows = [row for row in store.epochs() if row.gate == gate]
        report = verify(
            gate,
            key_of(gate).public_key(),
            [
                (row.epoch, [(one.seq, one.blob) for one in store.records(gate, row.epoch, 0, 10_000)])
                for row in rows
            ],
            [head for row in rows for head in store.heads(gate, row.epoch)],
        )
        if not report.ok:
            result.corrupt += 1
            result.complain(f"{where}: {report.problems}")


def _check_derived(store: LogStore, result: Result, where: str) -> None:
    """Presence and resets must be what the records held make of themselves."""
    rows: set[PresenceRow] = set()
    resets: set[Reset] = set()
    for row in store.epochs():
        read = [record_from_bytes(one.blob) for one in store.records(row.gate, row.epoch, 0, 10_000)]
        for at, body in enumerate(read):
            if isinstance(body, Record):
                behind = itertools.takewhile(lambda one: isinstance(one, ExtensionRecord), read[at + 1 :])
                extensions = tuple(one for one in behind if isinstance(one, ExtensionRecord))
                rows |= set(rows_of(row.gate, row.epoch, body, extensions, body.time_us))
                if (reset := reset_of(row.gate, row.epoch, body, extensions, body.time_us)) is not None:
                    resets.add(reset)
    if set(store.all_presence()) != rows or set(store.resets()) != resets or store.needs_fold():
        result.corrupt += 1
        result.complain(f"{where}: presence is not the fold of the records")


def _check_cancels(store: LogStore, data: Path, story: Story, acked: int, result: Result, where: str) -> None:
    """A cancel that was acknowledged is in the list or beside it; the highest seal seen is not forgotten."""
    gone = {int(change.ticket) for change in store.standings() if change.standing & Standing.CANCELLED}
    path = data / "list.sqlite3"
    version = 0
    if path.exists():
        try:
            opened = ListStore.open(path)
            opened.check()
        except StoreFault as fault:
            result.corrupt += 1
            result.complain(f"{where}: the list is unusable: {fault}")
            return
        version = opened.head.events[0].version
        for ticket in range(1, TICKETS + 1):
            ((found, _),) = opened.lookup(digest_of(ticket))
            gone |= {ticket} if found.standing & Standing.CANCELLED else set()
        opened.close()
    highest = max((one.version for one in store.list_versions()), default=0)
    if not story.cancelled[acked] <= gone or version < story.listed[acked] or highest < story.version[acked]:
        result.undone += 1
        result.complain(f"{where}: cancelled {sorted(story.cancelled[acked] - gone)} would be let in")
