"""The history of a real evening: the simulation's, filled by who stands beside the processes and reads their cards.

Nobody overhears a real gate's decisions. What it knew is bounded from both sides by looks at its log: it knew at least what
the last look before a presentation found, and at most what a look half a second after the answer finds. When a record was
made is taken to be before the last look that did not find it. So the checker may miss what came too close; it accuses nobody
of what was not so. Which record an arm was opened for goes by the order of records, never by how close two things came.
"""

from collections import deque

from admission.ids import Epoch, GateId, RecordId
from admission.records import Direction, Flag, Kind, Outcome, Record, record_from_bytes
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch, StoredRecord
from tests.sim.history import History, Log

MARGIN_S = 0.15
"""A decision is on the disk so long after it was made, at most, while the disk works."""
MARKS_KEPT = 400
STALE_S = 15.0
"""An arm that could not be told is not told so much later."""
ORDERS_A_LOOK = 10_000
"""More records than any look finds: what a gate made between two looks is in an order of its own."""
Way = tuple[int, Direction]


class RealHistory(History):
    """A history of which looks at cards are the source."""

    def __init__(self) -> None:
        super().__init__()
        self.blind: dict[str, list[tuple[int, int | None]]] = {}
        """By card, from and up to which `order` no look could find what its gate heard: the disk took nothing."""
        self.gave_back: set[RecordId] = set()

    def knew(self, card: str, record: RecordId, order: int) -> bool:
        """A gate knows all that it made itself; one whose disk is full may know what others gave back."""
        made = self.made.get(record)
        if made is not None and made <= order:
            if self.made_by[record] == card:
                return True
            if record in self.gave_back and self._is_blind(card, order):
                return True
        return super().knew(card, record, order)

    def _is_blind(self, card: str, order: int) -> bool:
        return any(
            since <= order + ORDERS_A_LOOK and (until is None or order <= until)
            for since, until in self.blind.get(card, ())
        )


class Diary:
    """What one card's log says, look by look, written into the history."""

    def __init__(self, history: RealHistory, card: str, gate: GateId, owners: dict[Epoch, str]) -> None:
        self._history, self._card, self._gate = history, card, gate
        self._owners = owners
        """By epoch, the card on which it was first seen: a copied card shows the original's."""
        self._ends: dict[Log, int] = {}
        self._marks: deque[tuple[float, int]] = deque(maxlen=MARKS_KEPT)
        self.unclaimed: dict[Way, deque[tuple[RecordId, Record, float]]] = {}
        """Grants nobody was yet seen to be let through on, oldest first, by lane and way; and since when they may be."""
        self._over_s: dict[RecordId, float] = {}
        """Grants of which the log says what became of them, and since when it is known to."""
        self._last_made = 0

    def look(self, reader: LogReader) -> None:
        """Read what is new. StoreFault as the disk says."""
        history = self._history
        rows = reader.epochs()
        now_s, order_before, made_s = history.now_s(), *self._before()
        for row in rows:
            log = (row.gate, row.epoch)
            after = self._ends.get(log, 0)
            if row.last_seq <= after:
                continue
            if row.gate == self._gate and self._owners.setdefault(row.epoch, self._card) == self._card:
                found = reader.records(row.gate, row.epoch, after, row.last_seq - after)
                self._own(found, order_before, made_s)
            else:
                history._learn(self._card, log, row.last_seq)
            self._ends[log] = row.last_seq
        self._mark(now_s)

    def _mark(self, now_s: float) -> None:
        self._marks.append((now_s, self._history.order))
        self._history.order += ORDERS_A_LOOK

    def blind(self, *, is_so: bool) -> None:
        """The disk takes nothing, or takes records again: what the gate hears of others is in its memory alone."""
        spans, order = self._history.blind.setdefault(self._card, []), self._history.order
        if is_so and (not spans or spans[-1][1] is not None):
            spans.append((order, None))
        elif not is_so and spans and spans[-1][1] is None:
            spans[-1] = (spans[-1][0], order)

    def known_to(self, epoch: Epoch) -> int:
        """Return up to where the disk was found to hold this card's own log."""
        return self._ends.get((self._gate, epoch), 0)

    @property
    def newest_epoch(self) -> Epoch:
        """The last of this card's epochs that any look found."""
        own = [epoch for epoch, card in self._owners.items() if card == self._card]
        return own[-1] if own else Epoch(0)

    def _before(self) -> tuple[int, float]:
        """Return how far the order had come when what is found now was certainly not made yet, and when that was."""
        if not self._marks:
            return 0, 0.0
        last_s = self._marks[-1][0] - MARGIN_S
        found = next(((at_s, order) for at_s, order in reversed(self._marks) if at_s <= last_s), (0.0, 0))
        return found[1], found[0]

    def held(self, epoch: Epoch, first_seq: int, blobs: tuple[bytes, ...]) -> None:
        """The gate told of records that it holds in memory only, since its disk takes nothing."""
        now_s, before = self._history.now_s(), self._before()
        log = (self._gate, epoch)
        known = self._ends.get(log, 0)
        new = [
            StoredRecord(self._gate, epoch, seq, blob)
            for seq, blob in enumerate(blobs, first_seq)
            if seq > known and RecordId(self._gate, epoch, seq) not in self._history.records
        ]
        self._made(new, *before)
        self._mark(now_s)

    def _own(self, found: tuple[StoredRecord, ...], order: int, made_s: float) -> None:
        self._made(
            [one for one in found if RecordId(one.gate, one.epoch, one.seq) not in self._history.records],
            order,
            made_s,
        )
        if found:
            last = found[-1]
            self._history.committed(self._card, (last.gate, last.epoch), last.seq)

    def _made(self, found: list[StoredRecord], order: int, made_s: float) -> None:
        if not found:
            return
        history = self._history
        history.batch(self._card, Batch(0, tuple(found)), self._gate, found[0].epoch)
        self._last_made = max(self._last_made, order)
        for one in found:
            name = RecordId(one.gate, one.epoch, one.seq)
            self._last_made += 1
            history.made[name] = min(history.made[name], self._last_made)
            body = record_from_bytes(one.blob)
            if not isinstance(body, Record):
                continue
            if body.ref:
                self._over_s.setdefault(RecordId(one.gate, one.epoch, body.ref), history.now_s())
            if body.kind is Kind.GIVE_BACK:
                history.gave_back.add(name)
            grants = body.kind is Kind.SCAN and body.outcome is Outcome.GRANT
            if (grants or body.kind is Kind.OVERRIDE) and not body.flags & Flag.NO_PULSE:
                ways = self.unclaimed.setdefault((body.lane, body.direction), deque())
                ways.append((name, body, made_s))

    def claim(
        self, lane: int, way: Direction, epoch: Epoch, at_s: float
    ) -> tuple[RecordId, Record, float] | None:
        """Take the grant of a run that its arm was opened for at a time: the oldest that was made by then and not over."""
        ways = self.unclaimed.get((lane, way), deque())
        for found in tuple(ways):
            name, _, made_s = found
            if made_s > at_s:
                return None  # made after the arm moved, and so are all that follow
            is_over = self._over_s.get(name, at_s) < at_s or at_s - made_s > STALE_S
            if not is_over and name.epoch != epoch:
                continue
            ways.remove(found)
            if not is_over:
                return found  # no arm was opened for those that are over
        return None

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
