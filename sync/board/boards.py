"""The boards of this replica: each group is counted while somebody watches, a bounded step at a time.

Any database thread may take a step; one at a time does, and one that comes within `FRESH_S` of the last is spared it.
A step reads at most `STEP_RECORDS` records, so that a board opened on a million records says how far it has counted
instead of holding a thread. It counts what gates pushed in the order in which it came, so that one that is behind shows
how all of them stood a while ago; one that counts anew shows the old numbers until it is done.
"""

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from admission.corrected import EpochTime
from admission.ids import Epoch, EventId, ProductId, TicketId, ZoneId
from admission.limits import NO_LIMITS
from admission.observed import RESETTING, reset_of
from admission.presence import Resets
from admission.records import ExtensionRecord, MalformedRecord, Record, record_from_bytes
from sync.board import logs
from sync.board.logs import Expected, Log, Shape
from sync.board.tally import Tally, Weight
from sync.board.weights import Weights, has_several_entries, until
from sync.gates import log_times
from sync.store.schema import unsigned

STEP_RECORDS = 20_000
"""About 300 ms of a core: longer would hold one of the few database threads."""
FRESH_S = 1.0
EXPECTED_S = 30
"""The walk over an event's tickets is taken at most so often, and only when its list has changed."""
STEP_TICKETS = 10_000
"""Weighed anew in one step, after a reset: as long as a step over records."""
IDLE_S = 900.0
"""A group nobody watched for so long is forgotten; it is counted anew when somebody does."""


@dataclass(slots=True)
class _Count:
    """One counting of a group: where it stands, and what it found."""

    shape: Shape
    tally: Tally
    weights: Weights
    known_resets: frozenset[tuple[int, int, int]]
    marks: dict[Log, int] = field(default_factory=dict)
    piece: int = 0
    """Of the merged log, up to which all is counted."""
    ends: dict[Log, int] = field(default_factory=dict)
    """How far each log was held at the last step."""
    clocks: dict[Log, EpochTime] = field(default_factory=dict)
    """What places the bodies of each log, from the mark on."""
    behind: int = 0
    unknown_reset: bool = False
    """A record told of a reset that the tally does not know yet."""
    former: Resets | None = None
    """What the tickets in `stale` were weighed by."""
    stale: dict[tuple[EventId, TicketId], ProductId] = field(default_factory=dict)
    """Tickets that a reset may have changed, not yet weighed anew."""


@dataclass(slots=True)
class _Watched:
    lock: threading.Lock = field(default_factory=threading.Lock)
    shown: _Count | None = None
    building: _Count | None = None
    expected: dict[EventId, Expected] = field(default_factory=dict)
    stepped_s: float = -1e9
    asked_s: float = 0.0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A board as it stands. `behind`: records still to be counted; `version` rises with each change."""

    tally: Tally
    expected: Expected
    behind: int
    version: int


@dataclass(frozen=True, slots=True)
class Inside:
    """How many people are in each zone of a group at most, as far as each log was counted."""

    high: Mapping[ZoneId, int]
    marks: Mapping[Log, int]
    behind: int = 0
    """Records that are not counted yet."""
    unknown: frozenset[ZoneId] = frozenset()
    """Of which nobody knows since a fire alarm."""


class Boards:
    """Hands out boards. `mono_s`: monotonic seconds."""

    def __init__(self, mono_s: Callable[[], float], step_records: int = STEP_RECORDS) -> None:
        self._mono_s, self._step_records = mono_s, step_records
        self._groups: dict[int, _Watched] = {}
        self._guard = threading.Lock()

    def see(self, connection: Connection, group: int, event: EventId, now_s: int) -> Seen | None:
        """Count on and return the board of an event; None where the group has no such event."""
        watched = self._watched(group)
        with watched.lock:
            self._count_on(connection, group, watched)
            count = watched.shown or watched.building
            if count is None or event not in count.tally.events:
                return None
            behind = watched.building.behind if watched.building is not None else count.behind
            expected = self._expected(connection, watched, count, event, now_s)
            return Seen(count.tally, expected, behind, watched.version)

    def inside(self, connection: Connection, group: int, steps: int = 1) -> Inside | None:
        """Count on, at most so many steps, and return how many are inside; None until all was counted once."""
        watched = self._watched(group)
        with watched.lock:
            for _ in range(steps):
                self._step(connection, group, watched)
                watched.stepped_s = self._mono_s()
                if watched.building is None and watched.shown is not None and not watched.shown.behind:
                    break
            count = watched.shown
            if count is None:
                return None
            behind = watched.building.behind if watched.building is not None else count.behind
            high = count.tally.high()
            unknown = frozenset(count.tally.zones.by_id.keys() - high)
            return Inside(high, dict(count.marks), behind, unknown)

    def _watched(self, group: int) -> _Watched:
        now = self._mono_s()
        with self._guard:
            for old in [
                one for one, it in self._groups.items() if now - it.asked_s > IDLE_S and one != group
            ]:
                del self._groups[old]
            watched = self._groups.setdefault(group, _Watched())
            watched.asked_s = now
        return watched

    def _count_on(self, connection: Connection, group: int, watched: _Watched) -> None:
        # Somebody else's step of just now is as good; but never wait a second while there is more to count.
        at = watched.building or watched.shown
        if at is None or at.behind or self._mono_s() - watched.stepped_s >= FRESH_S:
            self._step(connection, group, watched)
            watched.stepped_s = self._mono_s()

    def _step(self, connection: Connection, group: int, watched: _Watched) -> None:
        shape = logs.shape(connection, group)
        count = watched.building or watched.shown
        if count is None or count.shape != shape:
            count = watched.building = _begin(connection, group, shape)
            watched.version += 1
        moved, anew = _advance(connection, group, count, self._step_records)
        if anew and count.marks:
            watched.building = _begin(connection, group, shape)
            watched.version += 1
        elif count is watched.building and not count.behind:
            watched.shown, watched.building = count, None
            watched.version += 1
        elif moved:
            watched.version += 1

    def _expected(
        self, connection: Connection, watched: _Watched, count: _Count, event: EventId, now_s: int
    ) -> Expected:
        known = watched.expected.get(event)
        if known is not None and (
            now_s - known.at_s < EXPECTED_S or known.version == logs.version(connection, event)
        ):
            return known
        made = logs.expected(connection, event, count.tally.zones, now_s)
        watched.expected[event] = made
        watched.version += 1
        return made


def _begin(connection: Connection, group: int, shape: Shape) -> _Count:
    tally = Tally(logs.tree(shape.zones), shape.events, shape.served)
    count = _Count(shape, tally, Weights(tally.zones), frozenset(), behind=1)
    _take_resets(connection, group, count)
    return count


def _take_resets(connection: Connection, group: int, count: _Count) -> bool:
    """Learn every reset there is. Whom it may change is weighed anew in the steps that follow: those inside, no others.

    True where all must be: from a count by hand on, what was recorded before it changes nothing.
    """
    known = logs.resets(connection, group)
    count.former, count.tally.resets = count.tally.resets, Resets(known, count.tally.zones)
    count.known_resets = frozenset((int(one.id.gate), int(one.id.epoch), one.id.seq) for one in known)
    count.unknown_reset = False
    count.stale = {
        (event, ticket): product
        for event, tally in count.tally.events.items()
        for ticket, product in tally.open.items()
    }
    before = () if count.former is None else count.former.counts
    return count.tally.resets.counts != before


def _advance(connection: Connection, group: int, count: _Count, most: int) -> tuple[bool, bool]:
    """Count the next records; return whether there were any, and whether the count must begin anew.

    Anew: where rows have changed that were weighed before, because a push was cut between a record and its extensions, or
    a log's clock was set; and where staff counted people by hand.
    """
    ends = logs.ends(connection, group)
    before = dict(count.marks)
    upto, count.piece = logs.ahead(connection, group, before, ends, count.piece, most)
    moved = anew = False
    touched: dict[tuple[EventId, TicketId], ProductId] = {}
    for log, last in upto.items():
        mark = before.get(log, 0)
        if last <= mark:
            continue
        moved = True
        clock = count.clocks.get(log) or count.clocks.setdefault(log, _clock_of(connection, log))
        for seq, blob in logs.records(connection, log, mark + 1, last):
            try:
                body = record_from_bytes(blob)
            except MalformedRecord:
                continue  # of a format this version does not know; the log keeps it
            if isinstance(body, ExtensionRecord):
                anew = anew or (seq == mark + 1 and mark == count.ends.get(log))
                continue
            anew = anew or (clock.back is None and clock.revises(body))
            _count_record(count, log, body, clock.place(body), touched)
        count.marks[log] = last
    count.ends = ends
    moved = moved or bool(count.stale) or count.unknown_reset
    if not anew:
        if count.unknown_reset and not count.stale:
            anew = _take_resets(connection, group, count)
        _weigh(connection, count, before, touched)
        _weigh(connection, count, count.marks, dict(itertools.islice(count.stale.items(), STEP_TICKETS)))
    count.behind = sum(max(0, end - count.marks.get(log, 0)) for log, end in ends.items())
    count.behind += len(count.stale) + count.unknown_reset
    return moved, anew


def _clock_of(connection: Connection, log: Log) -> EpochTime:
    """Return what places a log's bodies from its first one on."""
    return EpochTime(back=log_times.mark_back(connection, *log))


def _count_record(
    count: _Count, log: Log, body: Record, time_us: int, touched: dict[tuple[EventId, TicketId], ProductId]
) -> None:
    """Count one record."""
    if body.kind in RESETTING:
        name = (log[0], unsigned(log[1]), body.seq)
        says = reset_of(log[0], Epoch(name[1]), body, (), time_us) is not None
        count.unknown_reset |= says and name not in count.known_resets
        return
    about = count.tally.record(log[0], body, time_us)
    if about is not None:
        touched[about[0], about[1]] = about[2]


def _weigh(
    connection: Connection,
    count: _Count,
    before: dict[Log, int],
    touched: dict[tuple[EventId, TicketId], ProductId],
) -> None:
    """Move the weight of these tickets from what their rows were at the marks of before to what they are now."""
    limits = {(event, product): limit for event, product, limit in count.shape.limits}
    by_event: dict[EventId, list[TicketId]] = {}
    for event, ticket in touched:
        by_event.setdefault(event, []).append(ticket)
    for event, tickets in by_event.items():
        rows = logs.presence(connection, event, tickets)
        several = [ticket for ticket, found in rows.items() if has_several_entries(found)]
        admits = logs.admits(connection, event, several)
        resets = count.tally.resets
        former = resets if count.former is None else count.former
        alike: dict[tuple[ProductId, int, int], tuple[list[TicketId], Weight, Weight]] = {}
        """Tickets that move from one weight to another together: weights of one sort are one object."""
        for ticket, found in rows.items():
            product = touched[event, ticket]
            rules = admits.get(ticket, 1), limits.get((event, product), NO_LIMITS)
            then = former if count.stale.pop((event, ticket), None) is not None else resets
            was = count.weights.of(until(found, before), then, *rules)
            now = count.weights.of(until(found, count.marks), resets, *rules)
            if was is not now:
                alike.setdefault((product, id(was), id(now)), ([], was, now))[0].append(ticket)
        for (product, _, _), (moved, was, now) in alike.items():
            count.tally.events[event].add(moved, product, was, now)
    for name in touched:
        count.stale.pop(name, None)  # one whose rows were taken away is not looked for again
