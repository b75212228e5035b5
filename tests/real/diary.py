"""The history of a real evening: the simulation's, filled by who stands beside the processes and reads their cards.

Nobody overhears a real gate's decisions. What it knew is bounded from both sides by looks at its log: it knew at least what
the last look before a presentation found, and at most what a look half a second after the answer finds. When a record was
made is taken to be before the last look that did not find it. So the checker may miss what came too close; it accuses nobody
of what was not so.
"""

from collections import deque

from admission.ids import Epoch, GateId, RecordId
from admission.records import Direction, Kind, Outcome, Record, record_from_bytes
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch, StoredRecord
from tests.sim.history import History, Log

MARGIN_S = 0.15
"""A decision is on the disk so long after it was made, at most, while the disk works."""
MARKS_KEPT = 400
STALE_S = 15.0
"""An arm that could not be told is not told so much later."""
Way = tuple[int, Direction]


class Diary:
    """What one card's log says, look by look, written into the history."""

    def __init__(self, history: History, card: str, gate: GateId, owners: dict[Epoch, str]) -> None:
        self._history, self._card, self._gate = history, card, gate
        self._owners = owners
        """By epoch, the card on which it was first seen: a copied card shows the original's."""
        self._ends: dict[Log, int] = {}
        self._marks: deque[tuple[float, int]] = deque(maxlen=MARKS_KEPT)
        self.unclaimed: dict[Way, deque[tuple[RecordId, Record, float]]] = {}
        """Grants nobody was yet seen to be let through on, oldest first, by lane and way; and when they were made."""

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
        self._marks.append((now_s, history.order))

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
        log = (self._gate, epoch)
        known = self._ends.get(log, 0)
        new = [
            StoredRecord(self._gate, epoch, seq, blob)
            for seq, blob in enumerate(blobs, first_seq)
            if seq > known and RecordId(self._gate, epoch, seq) not in self._history.records
        ]
        self._made(new, *self._before())

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
        for one in found:
            name = RecordId(one.gate, one.epoch, one.seq)
            history.made[name] = min(history.made[name], order + 1)
            body = record_from_bytes(one.blob)
            if isinstance(body, Record) and (
                (body.kind is Kind.SCAN and body.outcome is Outcome.GRANT) or body.kind is Kind.OVERRIDE
            ):
                ways = self.unclaimed.setdefault((body.lane, body.direction), deque())
                ways.append((name, body, made_s))

    def claim(self, lane: int, way: Direction, epoch: Epoch) -> tuple[RecordId, Record, float] | None:
        """Take the newest grant of this run that somebody at this arm can have been let through on; older ones were not."""
        ways = self.unclaimed.get((lane, way))
        if not ways or ways[-1][0].epoch != epoch:
            return None
        found = ways[-1]
        ways.clear()
        return found if self._history.now_s() - found[2] < STALE_S else None

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
