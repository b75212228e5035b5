"""Logs replicate: the one machine that gates, peers and centre all drive (DESIGN.md, Between gates and centre).

Pure: no I/O, no clock. `Replica` is the receiver's side for one gate's logs: it checks every record against the chain
(`admission.chain`) and says what to store. `Sender` is the other side: it cuts the log into pushes and takes up again
wherever the receiver's answer says. Both may be thrown away at any time and made anew from what is stored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.chain import (
    LINK_BYTES,
    PREDECESSOR_SEQ,
    Anomaly,
    EpochKeys,
    EpochState,
    Finding,
    Head,
    LogSet,
    link,
    seed,
)
from admission.ids import Epoch, GateId
from admission.records import (
    EXTENSION_BYTES_MAX,
    SEQ_MAX,
    Extension,
    ExtensionRecord,
    MalformedRecord,
    Record,
    record_from_bytes,
)
from sync.wire.messages import (
    CHUNKS_MAX,
    PUSH_BYTES_MAX,
    PUSH_RECORDS_MAX,
    Chunk,
    Held,
    Push,
    Pushed,
    Trouble,
)

RECORD_FRAME_BYTES = 5
"""What MessagePack adds to a record, at most."""
PUSH_BUDGET_BYTES = PUSH_BYTES_MAX - 64 * 1024
"""Room for the records of a push; the rest is for its frames."""
UNSIGNED_MAX = 4096
"""A gate of ours signs every 256 records. Where more than these stand unsigned between, nothing of them is passed on, and
they are not gone through for an end that a later epoch names."""


class Source(Enum):
    """Who hands records over."""

    GATE = "gate"
    """The gate itself, whose key signed the request: its word is enough for a tail that no head covers yet."""
    CARRIER = "carrier"
    """Somebody else: only what the gate's own heads cover is taken, and of the tail that a crash left unsigned what a later
    epoch names as its end under a head of its own."""


class Why(Enum):
    """Why records were not taken; the values are words of `Trouble.what`."""

    ALTERED = "altered"
    MALFORMED = "malformed"
    FOREIGN = "foreign"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class Refused:
    """Record `seq` and those behind it were not taken."""

    epoch: Epoch
    seq: int
    why: Why


@dataclass(frozen=True, slots=True)
class Accepted:
    """Store `blobs` from `first_seq` on, the `heads` among them, and the replica's new `state` of the epoch."""

    epoch: Epoch
    first_seq: int
    blobs: tuple[bytes, ...]
    heads: tuple[Head, ...]
    state: EpochState
    refused: Refused | None = None
    """What came behind them and was not taken."""
    records: tuple[Record | ExtensionRecord, ...] = ()
    """The blobs, read."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """All of it is held already, byte for byte."""

    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Gap:
    """Records before these are missing; `expected` is the next one wanted."""

    epoch: Epoch
    expected: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Another log under the same number: keep `blobs`, from `first_seq` on, beside the one held."""

    epoch: Epoch
    first_seq: int
    blobs: tuple[bytes, ...]

    @property
    def last_seq(self) -> int:
        """The last record of the other branch that came."""
        return self.first_seq + len(self.blobs) - 1


Answer = Accepted | Duplicate | Gap | Fork | Refused
Stored = Callable[[Epoch, int, int], Sequence[bytes | None]]
"""What is stored of an epoch from one seq to another, both inclusive; None for a record that was pruned."""


Former = Callable[[Epoch], Sequence[Ed25519PublicKey]]
"""The keys besides the present one by which a gate's heads in an epoch may be signed."""


def no_former(_epoch: Epoch) -> Sequence[Ed25519PublicKey]:
    """Return none: the gate never had another key."""
    return ()


class Replica:
    """What is held of one gate's logs. Every answer must be stored before the next chunk is offered.

    `states`: one per epoch held. `forked`: per epoch with another branch, the highest seq kept of it. `former`: keys
    of before the gate was enrolled anew; one run of a gate has one key, so an epoch keeps the one it began with.
    """

    def __init__(
        self,
        gate: GateId,
        key: Ed25519PublicKey,
        states: Iterable[EpochState] = (),
        forked: Iterable[tuple[Epoch, int]] = (),
        former: Former = no_former,
    ) -> None:
        self.gate = gate
        self._keys = EpochKeys(key, former)
        self._logs = LogSet(gate, states)
        self._forked = dict(forked)

    def have(self, epochs: Iterable[Epoch] | None = None) -> tuple[Held, ...]:
        """Return how far these epochs are held (all, without an argument); 0 of an epoch that is not."""
        wanted = sorted(self._logs.states if epochs is None else set(epochs))
        return tuple(Held(self.gate, epoch, *self._tip(epoch)) for epoch in wanted)

    def anomalies(self) -> tuple[Anomaly, ...]:
        """Return the forks and rewinds that the epochs held show, by what they name as their predecessors."""
        return self._logs.anomalies()

    def ends(self, epochs: Iterable[Epoch], stored: Stored) -> dict[Epoch, int]:
        """Return the unsigned ends that a later epoch vouches for by now, as far as these epochs may have to do with it.

        A crash leaves records that no head of their own epoch will ever cover; whoever reads on needs them all the same.
        Where a card was set back meanwhile more is held than the later epoch knew of: it vouches for what it names.
        """
        states, named = self._logs.states, self._named(stored)
        found: dict[Epoch, int] = {}
        for epoch in epochs:
            at = states.get(epoch)
            while at is not None:
                for seq, end in named.get(at.epoch, {}).items():
                    beyond = seq > max(at.head_seq + 1, found.get(at.epoch, 0))
                    if beyond and self._link_at(at, seq, stored) == end:
                        found[at.epoch] = seq
                # What lies before an epoch with a head was vouched for when that came.
                ended = at.epoch != epoch and at.head_seq >= PREDECESSOR_SEQ
                at = states.get(at.predecessor.epoch) if at.predecessor is not None and not ended else None
        return found

    def offer(self, chunk: Chunk, stored: Stored, source: Source = Source.GATE) -> Answer:
        """Judge a chunk. `stored` is asked only for records that are held, of the chunk's epoch and of those that vouch for it."""
        epoch = Epoch(chunk.epoch)
        refused = self._form(chunk)
        if refused is not None:
            return refused
        tip, held_link = self._tip(epoch)
        if chunk.first_seq > tip + 1:
            if chunk.first_seq <= self._forked.get(epoch, 0) + 1:
                return self._other_branch(chunk, 0, source)
            return Gap(epoch, tip + 1)
        overlap = chunk.blobs[: tip - chunk.first_seq + 1]
        differs = self._difference(epoch, chunk.first_seq, overlap, stored)
        if differs is not None:
            return self._other_branch(chunk, differs, source)
        fresh = chunk.blobs[len(overlap) :]
        if not fresh:
            return Duplicate(epoch)
        at = chunk.link or seed(self.gate, epoch)
        for blob in overlap:
            at = link(at, blob)
        if at != held_link:
            return self._other_branch(chunk, len(overlap), source)
        named = self._named(stored).get(epoch, {}) if source is Source.CARRIER else {}
        return self._continue(epoch, tip + 1, fresh, source, named)

    def _named(self, stored: Stored) -> dict[Epoch, dict[int, bytes]]:
        """Return where epochs end by what later ones say, which a head covers or others vouch for likewise: link by seq."""
        states = self._logs.states
        found: dict[Epoch, dict[int, bytes]] = {}
        covered = [one for one in states.values() if one.head_seq >= PREDECESSOR_SEQ]
        seen = {one.epoch for one in covered}
        while covered:
            named = covered.pop().predecessor
            if named is None:
                continue
            found.setdefault(named.epoch, {})[named.seq] = named.link
            ended = states.get(named.epoch)
            if ended is None or ended.epoch in seen or named.seq < PREDECESSOR_SEQ:
                continue
            if self._link_at(ended, named.seq, stored) == named.link:
                seen.add(ended.epoch)
                covered.append(ended)
        return found

    def _link_at(self, state: EpochState, seq: int, stored: Stored) -> bytes | None:
        """Return what an epoch that is held ends in at a seq behind its last head; None where that is not held."""
        if seq == state.seq:
            return state.link
        if not state.head_seq + 1 < seq < state.seq or seq - state.head_seq > UNSIGNED_MAX:
            return None
        blobs = stored(state.epoch, state.head_seq + 1, seq)
        at = seed(self.gate, state.epoch)
        if state.head_seq:
            head = None if blobs[0] is None else head_in(self.gate, state.epoch, blobs[0])
            if head is None:
                return None
            at = head.link
        for blob in blobs:
            if blob is None:
                return None
            at = link(at, blob)
        return at

    def _tip(self, epoch: Epoch) -> tuple[int, bytes]:
        state = self._logs.states.get(epoch)
        return (state.seq, state.link) if state is not None else (0, seed(self.gate, epoch))

    def _form(self, chunk: Chunk) -> Refused | None:
        """Refuse what no sender of ours makes, before anything is looked up."""
        epoch, first = Epoch(chunk.epoch), chunk.first_seq
        if chunk.gate != self.gate:
            return Refused(epoch, first, Why.FOREIGN)
        sized = 1 <= len(chunk.blobs) <= PUSH_RECORDS_MAX and all(
            len(blob) <= EXTENSION_BYTES_MAX for blob in chunk.blobs
        )
        linked = len(chunk.link) == LINK_BYTES or (first == 1 and not chunk.link)
        placed = 1 <= chunk.epoch < 1 << 64 and 1 <= first <= SEQ_MAX - len(chunk.blobs)
        if sized and linked and placed:
            return None
        return Refused(epoch, first, Why.MALFORMED)

    @staticmethod
    def _difference(epoch: Epoch, first: int, overlap: Sequence[bytes], stored: Stored) -> int | None:
        """Return the index of the first record that we hold with other bytes."""
        if not overlap:
            return None
        held = stored(epoch, first, first + len(overlap) - 1)
        for index, (ours, theirs) in enumerate(zip(held, overlap, strict=True)):
            if ours is not None and ours != theirs:
                return index
        return None

    def _continue(
        self, epoch: Epoch, first: int, blobs: Sequence[bytes], source: Source, named: Mapping[int, bytes]
    ) -> Answer:
        """Take the records that go on from the tip, up to the first that cannot be; `named`: ends that are vouched for."""
        trial = LogSet(self.gate, self._logs.states.values())
        heads: list[Head] = []
        records: list[Record | ExtensionRecord] = []
        good = trial.states.get(epoch)  # up to where the gate vouches
        refused: Refused | None = None
        while len(records) < len(blobs):
            stops = (seq - first + 1 for seq in named if seq - first + 1 > len(records))
            records += trial.accept_bodies(epoch, blobs[: min(stops, default=len(blobs))], len(records))
            good = _at_end(trial.states.get(epoch), named) or good
            if len(records) == len(blobs):
                break
            seq, blob = first + len(records), blobs[len(records)]
            head = head_in(self.gate, epoch, blob)
            if head is not None and not self._keys.signed(head):
                refused = Refused(epoch, seq, Why.ALTERED)
                break
            if trial.accept(epoch, seq, blob) is Finding.MALFORMED:
                refused = Refused(epoch, seq, Why.MALFORMED if head is None else Why.ALTERED)
                break
            assert trial.read is not None, "what was taken was read"
            records.append(trial.read)
            if head is not None:
                heads.append(head)
                good = trial.states[epoch]
            good = _at_end(trial.states[epoch], named) or good
        state = trial.states.get(epoch)
        if refused is not None and refused.why is Why.ALTERED:
            state = good  # whatever lies between the last good head and a bad one may be what was altered
        elif source is Source.CARRIER and state != good:
            state = good
            refused = refused or Refused(epoch, (good.seq if good else 0) + 1, Why.UNSIGNED)
        if state is None or state.seq < first:
            return refused or Refused(epoch, first, Why.MALFORMED)
        self._logs.states[epoch] = state
        count = state.seq - first + 1
        return Accepted(
            epoch, first, tuple(blobs[:count]), tuple(heads), state, refused, tuple(records[:count])
        )

    def _other_branch(self, chunk: Chunk, at: int, source: Source) -> Answer:
        """Keep what differs, from index `at` of the chunk on, as far as it is this gate's word at all."""
        epoch, first = Epoch(chunk.epoch), chunk.first_seq
        count, vouched = len(chunk.blobs), 0
        before = chunk.link or seed(self.gate, epoch)
        refused = Refused(epoch, first + at, Why.UNSIGNED)
        for index, blob in enumerate(chunk.blobs):
            try:
                seq = record_from_bytes(blob).seq
            except MalformedRecord:
                seq = 0
            if seq != first + index:
                count, refused = index, Refused(epoch, first + index, Why.MALFORMED)
                break
            head = head_in(self.gate, epoch, blob)
            if head is not None:
                if (head.seq, head.link) != (seq - 1, before) or not self._keys.signed(head):
                    count, refused = vouched, Refused(epoch, seq, Why.ALTERED)
                    break
                vouched = index + 1
            before = link(before, blob)
        kept = chunk.blobs[at : vouched if source is Source.CARRIER else count]
        if not kept:
            return refused
        fork = Fork(epoch, first + at, kept)
        self._forked[epoch] = max(self._forked.get(epoch, 0), fork.last_seq)
        return fork


def _at_end(state: EpochState | None, named: Mapping[int, bytes]) -> EpochState | None:
    """Return how far an epoch is held where that is an end which is named; else None."""
    return state if state is not None and named.get(state.seq) == state.link else None


def head_in(gate: GateId, epoch: Epoch, blob: bytes) -> Head | None:
    """Return the head that a record holds, its signature not yet checked; None for any other record."""
    if len(blob) < 2 or not blob[0] & 0x80 or blob[1] != Extension.HEAD:
        return None  # bodies are by far the most
    try:
        record = record_from_bytes(blob)
    except MalformedRecord:
        return None
    if not isinstance(record, ExtensionRecord):
        return None
    return Head.from_payload(gate, epoch, record.payload)


def troubles_of(gate: GateId, answer: Answer) -> tuple[Trouble, ...]:
    """Return what the sender is told went wrong with a chunk."""
    match answer:
        case (
            Accepted(refused=Refused(epoch=epoch, seq=seq, why=why)) | Refused(epoch=epoch, seq=seq, why=why)
        ):
            return (Trouble(gate, epoch, seq, why.value),)
        case Gap(epoch=epoch, expected=expected):
            return (Trouble(gate, epoch, expected, "gap"),)
        case Fork(epoch=epoch):
            return (Trouble(gate, epoch, answer.last_seq, "fork"),)
        case _:
            return ()


def troubles_of_epochs(gate: GateId, anomalies: Iterable[Anomaly]) -> tuple[Trouble, ...]:
    """Return one trouble for each epoch that cannot follow its predecessor honestly."""
    return tuple(
        Trouble(gate, epoch, 0, "fork" if one.finding is Finding.FORK else "rewind")
        for one in anomalies
        for epoch in one.epochs
    )


Read = Callable[[Epoch, int, int], Sequence[tuple[int, bytes]]]
"""Up to so many records (seq, bytes) of an epoch above a seq, in order."""
LinkAt = Callable[[Epoch, int], bytes | None]
"""What our own log ends in at a seq; None where we hold no such record (seq 0 is the seed)."""


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The receiver has our log up to `seq`, which ends in `link`."""

    seq: int
    link: bytes


class Sender:
    """What the receiver still wants of our logs. Losing it loses nothing: the receiver's next answer makes it again."""

    def __init__(self, gate: GateId, link_at: LinkAt) -> None:
        self._gate = gate
        self._link_at = link_at
        self._cursors: dict[Epoch, _Cursor] = {}
        self._sent: dict[Epoch, _Cursor] = {}
        self.forked: set[Epoch] = set()
        """Epochs of which the receiver holds another log under the same number."""
        self.stuck: dict[Epoch, str] = {}
        """Epochs the receiver would not take on from, with the word of its trouble."""
        self.rewound: dict[Epoch, int] = {}
        """Epochs of which the receiver holds more than we do: our tail was lost."""

    def retry(self) -> None:
        """Offer the stuck epochs again."""
        self.stuck.clear()

    def acked(self, epoch: Epoch) -> int:
        """Return up to where the receiver has our log."""
        cursor = self._cursors.get(epoch)
        return cursor.seq if cursor is not None else 0

    def answered(self, answer: Pushed) -> None:
        """Take the answer to the last push."""
        in_trouble = {trouble.epoch for trouble in answer.troubles}
        for epoch in self.forked - in_trouble:
            if epoch in self._sent:  # it lay before the parting, so the receiver had nothing to keep
                self._cursors[epoch] = self._sent[epoch]
        self.heard(answer)

    def heard_all(self, answer: Pushed) -> None:
        """Take the receiver's whole account: of an epoch that it does not name it holds nothing, or nothing any more."""
        named = {Epoch(held.epoch) for held in answer.held if held.gate == self._gate}
        for epoch in self._cursors.keys() - named:
            del self._cursors[epoch]
            self.forked.discard(epoch)
        self.heard(answer)

    def heard(self, answer: Pushed) -> None:
        """Take the receiver's word for what it holds, asked or not; go on from there, or back to there."""
        for trouble in answer.troubles:
            epoch = Epoch(trouble.epoch)
            if trouble.gate != self._gate or trouble.seq == 0 or trouble.what == "gap":
                continue  # of whole epochs only people can judge; a gap is mended from `held`
            if trouble.what == "fork":
                self.forked.add(epoch)
                at = self._own(epoch, trouble.seq)
                if at is not None and trouble.seq > self.acked(epoch):
                    self._cursors[epoch] = _Cursor(trouble.seq, at)
            else:
                self.stuck[epoch] = trouble.what
        for held in answer.held:
            if held.gate == self._gate:
                self._held(Epoch(held.epoch), held.seq, held.link)
        self._sent.clear()

    def _held(self, epoch: Epoch, seq: int, at: bytes) -> None:
        own = self._own(epoch, seq)
        if own is None:
            self.rewound[epoch] = seq
            return
        self.rewound.pop(epoch, None)
        if own == at:
            if epoch not in self.forked or seq > self.acked(epoch):
                self._cursors[epoch] = _Cursor(seq, own)
        elif epoch not in self.forked:
            # The receiver has another log by this number: send ours from the start, so that it keeps both.
            self.forked.add(epoch)
            self._cursors.pop(epoch, None)

    def _own(self, epoch: Epoch, seq: int) -> bytes | None:
        for known in (self._sent.get(epoch), self._cursors.get(epoch)):
            if known is not None and known.seq == seq:
                return known.link
        return seed(self._gate, epoch) if seq == 0 else self._link_at(epoch, seq)

    def next(
        self,
        epochs: Iterable[Epoch],
        read: Read,
        records: int = PUSH_RECORDS_MAX,
        room: int = PUSH_BUDGET_BYTES,
    ) -> Push | None:
        """Return the next records to push, at most so many and of so many bytes; None when the receiver has all.

        Oldest epoch first, as given.
        """
        self._sent.clear()
        chunks: list[Chunk] = []
        for epoch in epochs:
            if epoch in self.stuck or epoch in self.rewound:
                continue
            if records < 1 or room < EXTENSION_BYTES_MAX or len(chunks) == CHUNKS_MAX:
                break
            cursor = self._cursors.get(epoch) or _Cursor(0, seed(self._gate, epoch))
            found = read(epoch, cursor.seq, records)
            if not found:
                continue
            if found[0][0] != cursor.seq + 1:
                self.stuck[epoch] = "gap"  # pruned here and missing there: only people can mend it
                continue
            blobs: list[bytes] = []
            at = cursor.link
            for _, blob in found:
                room -= len(blob) + RECORD_FRAME_BYTES
                if room < 0:
                    break
                blobs.append(blob)
                at = link(at, blob)
            records -= len(blobs)
            if blobs:
                chunks.append(Chunk(self._gate, epoch, cursor.seq + 1, tuple(blobs), cursor.link))
                self._sent[epoch] = _Cursor(cursor.seq + len(blobs), at)
        return Push(tuple(chunks)) if chunks else None


__all__ = [
    "CHUNKS_MAX",
    "Accepted",
    "Answer",
    "Duplicate",
    "Fork",
    "Gap",
    "Refused",
    "Replica",
    "Sender",
    "Source",
    "Why",
    "head_in",
    "troubles_of",
    "troubles_of_epochs",
]
