"""The history of a real evening: the simulation's, filled by who stands beside the processes and reads their cards.

Nobody overhears a real gate's decisions. What it knew is bounded from both sides: at least what a look at its card found
before, at most what anybody had recorded by the time its own record, or its answer, was found. When a record was made its own
stamp says, milliseconds since the start of its run; when that run started is known from the record that was found soonest after
its stamp. So neither a late disk nor a late look moves a decision: the checker may miss what came too close, it accuses nobody of
what was not so. Which record an arm was opened for goes by the order of records, never by how close two things came.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from admission.ids import Epoch, GateId, RecordId
from admission.records import Direction, Flag, Kind, Outcome, Record, record_from_bytes
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch, StoredRecord
from tests.sim.history import History, Log, Release, Shown

STAMPS_S = 0.05
"""The soonest that a record of a run was found after its stamp: a commit, a relay's hop and a look."""
STALE_S = 15.0
"""An arm that could not be told is not told so much later."""
STARTS_S = 12.0
"""Six gates' programs and a centre start on two cores that are not theirs alone: seen to take 6 s."""
ORDERS_A_LOOK = 10_000
"""More records than any look finds: what a gate made between two looks is in an order of its own."""
Way = tuple[int, Direction]


class RealHistory(History):
    """A history of which looks at cards are the source."""

    def __init__(self) -> None:
        super().__init__()
        self.starts_s = self.deaf_s = STARTS_S
        self.found: dict[RecordId, int] = {}
        """By `order`, when a look found a record: whoever made it had made it by then."""

    def went_by(self, card: str, decision: RecordId, record: RecordId) -> bool:
        """What it made itself a gate knows at once, what others made is on its card when it was taken in."""
        if self.made_by.get(record) == card:
            return self.made[record] < self.made[decision]
        return self.knew(card, record, self.made[decision] - 1)

    def may_have_gone_by(self, card: str, decision: RecordId, record: RecordId) -> bool:
        """What others made is in a gate's memory before it is on its card, and while the disk is full it is only there."""
        if self.made_by.get(record) == card:
            return self.made[record] < self.made[decision]
        return self.may_know(card, record, self.found[decision])

    def may_know(self, card: str, record: RecordId, order: int) -> bool:  # noqa: ARG002 - any gate may have heard
        """Nobody knows a record before it was made."""
        return self.made.get(record, order + 1) <= order

    def moments(self, shown: Shown) -> tuple[tuple[int, int], ...]:
        """Return that an answer was decided after its code was shown, and before it was heard of."""
        return ((shown.answered, shown.order),)


class Diary:
    """What one card's log says, look by look, written into the history."""

    def __init__(self, history: RealHistory, card: str, gate: GateId, owners: dict[Epoch, str]) -> None:
        self._history, self._card, self._gate = history, card, gate
        self._owners = owners
        """By epoch, the card on which it was first seen: a copied card shows the original's."""
        self._ends: dict[Log, int] = {}
        self._marks_s: list[float] = []
        self._orders: list[int] = []
        """When looks were over, and by which `order`."""
        self._began_s: dict[Epoch, float] = {}
        """When each run began, at the latest."""
        self._heard_s: dict[tuple[Epoch, int], float] = {}
        """When an answer was heard whose record no look had found yet."""
        self._stamps: dict[RecordId, int] = {}
        """Own records in the order in which they were made, and their milliseconds since the run began."""
        self.unclaimed: dict[Way, deque[tuple[RecordId, Record]]] = {}
        """Grants nobody was yet seen to be let through on, oldest first, by lane and way."""
        self._exits: dict[int, list[tuple[RecordId, Record]]] = {}
        """By lane, every exit that was granted."""
        self._over: dict[RecordId, RecordId] = {}
        """Grants and the record that first says what became of them."""
        self._over_s: dict[RecordId, float] = {}
        """Grants of which the log says what became of them, and since when it is known to."""

    def look(self, reader: LogReader) -> None:
        """Read what is new. StoreFault as the disk says."""
        history = self._history
        rows = reader.epochs()
        now_s = history.now_s()
        for row in rows:
            log = (row.gate, row.epoch)
            after = self._ends.get(log, 0)
            if row.last_seq <= after:
                continue
            if row.gate == self._gate and self._owners.setdefault(row.epoch, self._card) == self._card:
                found = reader.records(row.gate, row.epoch, after, row.last_seq - after)
                self._own(found)
            else:
                history._learn(self._card, log, row.last_seq)
            self._ends[log] = row.last_seq
        self._mark(now_s)

    def _mark(self, now_s: float) -> None:
        self._marks_s.append(now_s)
        self._orders.append(self._history.order)
        self._history.order += ORDERS_A_LOOK

    def known_to(self, epoch: Epoch) -> int:
        """Return up to where the disk was found to hold this card's own log."""
        return self._ends.get((self._gate, epoch), 0)

    @property
    def newest_epoch(self) -> Epoch:
        """The last of this card's epochs that any look found."""
        own = [epoch for epoch, card in self._owners.items() if card == self._card]
        return own[-1] if own else Epoch(0)

    def heard(self, epoch: Epoch, seq: int) -> None:
        """The gate told of an answer: what it rests on was made by now, wherever it is."""
        if RecordId(self._gate, epoch, seq) not in self._stamps:
            self._heard_s.setdefault((epoch, seq), self._history.now_s())

    def made_s(self, name: RecordId) -> float:
        """Return when an own record was made, at the earliest."""
        return self._began_s[name.epoch] + self._stamps[name] / 1000 - STAMPS_S

    def settle(self) -> None:
        """Say in the history when each own record was made, now that no look will find more: not before the last look before."""
        last = 0
        for name in self._stamps:
            at = bisect_right(self._marks_s, self.made_s(name))
            last = max(last, self._orders[at - 1] if at else 0) + 1
            self._history.made[name] = min(self._history.found[name], last)

    def held(self, epoch: Epoch, first_seq: int, blobs: tuple[bytes, ...]) -> None:
        """The gate told of records that it holds in memory only, since its disk takes nothing."""
        now_s = self._history.now_s()
        log = (self._gate, epoch)
        known = self._ends.get(log, 0)
        new = [
            StoredRecord(self._gate, epoch, seq, blob)
            for seq, blob in enumerate(blobs, first_seq)
            if seq > known and RecordId(self._gate, epoch, seq) not in self._history.records
        ]
        self._made(new)
        self._mark(now_s)

    def _own(self, found: tuple[StoredRecord, ...]) -> None:
        self._made(
            [one for one in found if RecordId(one.gate, one.epoch, one.seq) not in self._history.records]
        )
        if found:
            last = found[-1]
            self._history.committed(self._card, (last.gate, last.epoch), last.seq)

    def _made(self, found: list[StoredRecord]) -> None:
        if not found:
            return
        history = self._history
        history.batch(self._card, Batch(0, tuple(found)), self._gate, found[0].epoch)
        now_s = history.now_s()
        for one in found:
            name = RecordId(one.gate, one.epoch, one.seq)
            history.found[name] = history.made[name]
            body = record_from_bytes(one.blob)
            if not isinstance(body, Record):
                continue
            self._stamps[name] = body.mono_ms
            began_s = min(now_s, self._heard_s.pop((one.epoch, one.seq), now_s)) - body.mono_ms / 1000
            self._began_s[one.epoch] = min(began_s, self._began_s.get(one.epoch, began_s))
            if body.ref:
                ended = RecordId(one.gate, one.epoch, body.ref)
                self._over_s.setdefault(ended, history.now_s())
                self._over.setdefault(ended, name)
            grants = body.kind is Kind.SCAN and body.outcome is Outcome.GRANT
            if (grants or body.kind is Kind.OVERRIDE) and not body.flags & Flag.NO_PULSE:
                ways = self.unclaimed.setdefault((body.lane, body.direction), deque())
                ways.append((name, body))
                if body.direction is Direction.EXIT:
                    self._exits.setdefault(body.lane, []).append((name, body))

    def claim(
        self, lane: int, way: Direction, epoch: Epoch, at_s: float
    ) -> tuple[RecordId, Record, float] | None:
        """Take the grant of a run that its arm was opened for at a time: the oldest that was made by then and not over."""
        ways = self.unclaimed.get((lane, way), deque())
        for found in tuple(ways):
            name, body = found
            made_s = self.made_s(name)
            if made_s > at_s:
                return None  # made after the arm moved, and so are all that follow
            is_over = self._over_s.get(name, at_s) < at_s or at_s - made_s > STALE_S
            if not is_over and name.epoch != epoch:
                continue
            ways.remove(found)
            if not is_over:
                return name, body, made_s  # no arm was opened for those that are over
        return None

    def settle_exits(self, releases: Iterable[Release]) -> None:
        """Say anew which record each exit's arm was opened for, now that the log says of each when it was over.

        An exit that waits for its arm is given back in the moment in which the arm opens for the next; that is found only
        after the arm moved, which so seemed to be the older one's.
        """
        left = {lane: deque(found) for lane, found in self._exits.items()}
        for release in sorted(releases, key=lambda one: one.at_s):
            ways, epoch = left.get(release.body.lane, deque()), release.record.epoch
            for found in tuple(ways):
                name, body = found
                if name.epoch != epoch:
                    continue
                made_s, over = self.made_s(name), self._over.get(name)
                if made_s > release.at_s:
                    break
                ways.remove(found)
                if over is None or self.made_s(over) > release.at_s:
                    release.record, release.body, release.made_s = name, body, made_s
                    break

    def began(self, reader: LogReader | None) -> None:
        """The gate starts anew: it knows what its card holds."""
        held: dict[Log, int] = {}
        if reader is not None:
            self.look(reader)
            held = {(row.gate, row.epoch): row.last_seq for row in reader.epochs()}
        self._history.began(self._card, held)

    def was_durable(self, name: RecordId) -> bool:
        """Whether a record was found on the disk."""
        return self._ends.get((name.gate, name.epoch), 0) >= name.seq
