"""The chain over a log: what makes it append-only for whoever holds a head (DESIGN.md, Records).

    link 0    = SHA-256("gatehouse chain 0\\n" ‖ gate u32 ‖ epoch u64)
    link n    = SHA-256(link n-1 ‖ the bytes of record n)
    signature = Ed25519 over "gatehouse head 0\\n" ‖ gate u32 ‖ epoch u64 ‖ seq u32 ‖ link seq

All big-endian. A HEAD extension stands right behind the record it signs (its seq is the head's + 1). An epoch begins
with RESTART; a PREDECESSOR extension behind it names where the log of the epoch before stood, which no root epoch
has. It names the last durable record, signed or not, so the next head covers the tail that a crash left unsigned.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec.structs import replace

from admission.ids import Epoch, GateId
from admission.records import (
    BODY_BYTES,
    Extension,
    ExtensionRecord,
    Kind,
    MalformedRecord,
    Record,
    record_from_bytes,
)

LINK_BYTES = 32
PREDECESSOR_SEQ = 2
"""Where an epoch says what came before it."""
PROBLEMS_MAX = 1000
"""Problems listed by one `verify`; a log with more is not read record by record, and memory stays bounded."""

_CHAIN_TAG = b"gatehouse chain 0\n"
_HEAD_TAG = b"gatehouse head 0\n"
_LOG = struct.Struct(">IQ")
_POSITION = struct.Struct(">IQI32s")
_HEAD = struct.Struct(">I32s64s")
_PREDECESSOR = struct.Struct(">QI32s")


def seed(gate: GateId, epoch: Epoch) -> bytes:
    """Return link 0 of a log. Its 30 bytes of input are shorter than any link's, so neither passes for the other."""
    return sha256(_CHAIN_TAG + _LOG.pack(gate, epoch)).digest()


def link(previous: bytes, blob: bytes) -> bytes:
    """Return the link after the record `blob`."""
    return sha256(previous + blob).digest()


class Predecessor(msgspec.Struct, frozen=True, gc=False):
    """Where the log of the epoch before stood. `epoch` 0: there was none."""

    epoch: Epoch
    seq: int
    link: bytes

    def to_bytes(self) -> bytes:
        """Return the payload of a PREDECESSOR extension."""
        return _PREDECESSOR.pack(self.epoch, self.seq, self.link)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Predecessor":
        """Read a PREDECESSOR payload; MalformedRecord for another length."""
        try:
            epoch, seq, at = _PREDECESSOR.unpack(payload)
        except struct.error as error:
            raise MalformedRecord(str(error)) from error
        return cls(Epoch(epoch), seq, at)


ROOT = Predecessor(Epoch(0), 0, bytes(LINK_BYTES))
"""What an epoch without a PREDECESSOR extension names."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """A gate's word that its log up to and including `seq` ends in `link`."""

    gate: GateId
    epoch: Epoch
    seq: int
    link: bytes
    signature: bytes

    @classmethod
    def sign(cls, key: Ed25519PrivateKey, gate: GateId, epoch: Epoch, seq: int, at: bytes) -> "Head":
        """Sign the link `at`, which record `seq` ends in."""
        return cls(gate, epoch, seq, at, key.sign(_HEAD_TAG + _POSITION.pack(gate, epoch, seq, at)))

    def signed_by(self, key: Ed25519PublicKey) -> bool:
        """Whether the gate's key made the signature. About 0.1 ms."""
        try:
            key.verify(self.signature, _HEAD_TAG + _POSITION.pack(self.gate, self.epoch, self.seq, self.link))
        except InvalidSignature:
            return False
        return True

    def payload(self) -> bytes:
        """Return the payload of a HEAD extension. Gate and epoch are those of the log it stands in."""
        return _HEAD.pack(self.seq, self.link, self.signature)

    @classmethod
    def from_payload(cls, gate: GateId, epoch: Epoch, payload: bytes) -> "Head":
        """Read a HEAD payload; MalformedRecord for another length. Proves nothing before `signed_by`."""
        try:
            seq, at, signature = _HEAD.unpack(payload)
        except struct.error as error:
            raise MalformedRecord(str(error)) from error
        return cls(gate, epoch, seq, at, signature)


# --- what replication meets -------------------------------------------------------------------------------------


class Finding(IntEnum):
    """What an incoming record, or an epoch, is to the logs we hold."""

    NEW = 0
    DUPLICATE = 1
    GAP = 2  # records before it are missing here: ask for them
    MALFORMED = 3
    FORK = 4  # a cloned card: keep both, flag, show
    REWIND = 5  # a restored image or a lying card: the gate fetches its own tail back


class EpochState(msgspec.Struct, frozen=True, gc=False):
    """How far one log is held. `predecessor` None: not read yet. `head_seq`: highest seq under a head, 0 for none."""

    epoch: Epoch
    seq: int
    link: bytes
    head_seq: int = 0
    predecessor: Predecessor | None = None


class Anomaly(msgspec.Struct, frozen=True, gc=False):
    """Epochs of one gate that cannot all follow `after` honestly: FORK or REWIND. `epochs` ascend."""

    finding: Finding
    after: Epoch
    epochs: tuple[Epoch, ...]


def anomalies(states: Mapping[Epoch, EpochState]) -> tuple[Anomaly, ...]:
    """Find the forks and rewinds in what is held of one gate; the order in which it came does not matter.

    FORK: epochs that name the same place of the same epoch, or one seq with two links. REWIND: an epoch that names a
    place before the end held of the named epoch, signed or not, or before the place a sibling names; also a second root
    (a factory reset, or a new card for the same gate).
    """
    children: dict[Epoch, list[EpochState]] = {}
    for state in states.values():
        if state.predecessor is not None:
            children.setdefault(state.predecessor.epoch, []).append(state)
    found: list[Anomaly] = []
    for after in sorted(children):
        found.extend(_of_children(after, states.get(after), children[after]))
    return tuple(found)


def _of_children(after: Epoch, parent: EpochState | None, children: list[EpochState]) -> Iterable[Anomaly]:
    by_seq: dict[int, list[Epoch]] = {}
    for child in children:
        assert child.predecessor is not None  # only such are children
        by_seq.setdefault(child.predecessor.seq, []).append(child.epoch)
    if after == ROOT.epoch:
        if len(children) > 1:
            yield Anomaly(Finding.REWIND, after, tuple(sorted(child.epoch for child in children)))
        return
    newest = max(*by_seq, parent.seq) if parent is not None else max(by_seq)
    rewound = [epoch for seq, epochs in by_seq.items() if seq < newest for epoch in epochs]
    if rewound:
        yield Anomaly(Finding.REWIND, after, tuple(sorted(rewound)))
    for seq in sorted(by_seq):
        if len(by_seq[seq]) > 1:
            yield Anomaly(Finding.FORK, after, tuple(sorted(by_seq[seq])))


class LogSet:
    """What is held of one gate's logs, and what each incoming record is to it. Pure: it stores no record.

    Signatures are the caller's to check: it takes records in only up to a head it verified. Memory is one
    `EpochState` per epoch.
    """

    def __init__(self, gate: GateId, states: Iterable[EpochState] = ()) -> None:
        self.gate = gate
        self.states: dict[Epoch, EpochState] = {state.epoch: state for state in states}
        self.read: Record | ExtensionRecord | None = None
        """What the bytes last asked about say, so that nobody reads them twice; None where they say nothing."""

    def anomalies(self) -> tuple[Anomaly, ...]:
        """Return the forks and rewinds among all epochs held."""
        return anomalies(self.states)

    def classify(self, epoch: Epoch, seq: int, blob: bytes, stored: bytes | None = None) -> Finding:
        """Say what the record is, and change nothing. `stored`: the bytes held under the same key, if any.

        FORK and REWIND of a PREDECESSOR mean: keep it all the same. FORK of other bytes under a stored key: the
        caller keeps both. A record behind the tip without stored bytes was pruned: DUPLICATE.
        """
        return self._next(epoch, seq, blob, stored)[0]

    def accept(self, epoch: Epoch, seq: int, blob: bytes, stored: bytes | None = None) -> Finding:
        """Say what the record is, and if it continues its log, count it as held."""
        finding, state = self._next(epoch, seq, blob, stored)
        if state is not None:
            self.states[epoch] = state
        return finding

    def accept_bodies(self, epoch: Epoch, blobs: Sequence[bytes], start: int) -> list[Record]:
        """Count as held, and return, the bodies from index `start` that continue a log, up to what `accept` has to judge.

        That is an extension, what is malformed or out of place, and where an epoch begins: little of a log.
        """
        held = self.states.get(epoch)
        if held is None or held.seq < PREDECESSOR_SEQ:
            return []
        seq, at = held.seq, held.link
        found: list[Record] = []
        with suppress(MalformedRecord):
            for index in range(start, len(blobs)):
                blob = blobs[index]
                record = record_from_bytes(blob) if len(blob) == BODY_BYTES else None
                if not isinstance(record, Record) or record.seq != seq + 1:
                    break
                seq += 1
                at = sha256(at + blob).digest()
                found.append(record)
        if found:
            self.states[epoch] = replace(held, seq=seq, link=at)
        return found

    def _next(
        self, epoch: Epoch, seq: int, blob: bytes, stored: bytes | None
    ) -> tuple[Finding, EpochState | None]:
        if stored is not None:
            return (Finding.DUPLICATE if stored == blob else Finding.FORK), None
        held = self.states.get(epoch)
        tip = held.seq if held is not None else 0
        if seq > tip + 1:
            return Finding.GAP, None
        record = self.read = _read(blob)
        if record is None or record.seq != seq or seq < 1:
            return Finding.MALFORMED, None
        if seq <= tip:
            return Finding.DUPLICATE, None
        if held is None:
            if not _is_restart(record):
                return Finding.MALFORMED, None
            return Finding.NEW, EpochState(epoch, seq, link(seed(self.gate, epoch), blob))
        return self._continue(held, record, blob)

    def _continue(
        self, held: EpochState, record: Record | ExtensionRecord, blob: bytes
    ) -> tuple[Finding, EpochState | None]:
        after = replace(held, seq=record.seq, link=link(held.link, blob))
        if record.seq == PREDECESSOR_SEQ:
            named = _named(record)
            if named.epoch == held.epoch:
                return Finding.MALFORMED, None
            after = replace(after, predecessor=named)
            states = {**self.states, held.epoch: after}
            among = [
                one for one in anomalies(states) if one.after == named.epoch and held.epoch in one.epochs
            ]
            return (max(one.finding for one in among) if among else Finding.NEW), after
        if isinstance(record, ExtensionRecord) and record.type is Extension.PREDECESSOR:
            return Finding.MALFORMED, None
        if isinstance(record, ExtensionRecord) and record.type is Extension.HEAD:
            head = Head.from_payload(self.gate, held.epoch, record.payload)
            if head.seq != held.seq or head.link != held.link:
                return Finding.MALFORMED, None
            after = replace(after, head_seq=head.seq)
        return Finding.NEW, after


def _read(blob: bytes) -> Record | ExtensionRecord | None:
    try:
        return record_from_bytes(blob)
    except MalformedRecord:
        return None


def _is_restart(record: Record | ExtensionRecord) -> bool:
    return isinstance(record, Record) and record.kind is Kind.RESTART


def _named(record: Record | ExtensionRecord) -> Predecessor:
    """Return what an epoch's second record names."""
    if isinstance(record, ExtensionRecord) and record.type is Extension.PREDECESSOR:
        return Predecessor.from_bytes(record.payload)
    return ROOT


# --- verify -----------------------------------------------------------------------------------------------------


class Trouble(IntEnum):
    """What `verify` may find."""

    GAP = 1  # records are missing
    WRONG_SEQ = 2  # a record stands where another belongs
    MALFORMED = 3
    ALTERED = 4  # what stands here is not what was signed
    BAD_SIGNATURE = 5
    NO_RESTART = 6  # an epoch does not begin as epochs begin
    TRUNCATED = 7  # the log ends before a head or a successor that is known
    EPOCH_ORDER = 8  # an epoch stands before the one it names
    FORK = 9
    REWIND = 10


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One finding, in records `first` to `last` of an epoch (both 0: the epoch as a whole)."""

    trouble: Trouble
    epoch: Epoch
    first: int = 0
    last: int = 0


class Report(msgspec.Struct, frozen=True, gc=False):
    """What `verify` says. `unsigned`: (epoch, records behind the last head), where nothing later covers them."""

    records: int
    heads: int
    epochs: int
    problems: tuple[Problem, ...]
    problems_total: int
    unsigned: tuple[tuple[Epoch, int], ...]

    @property
    def ok(self) -> bool:
        """Nothing is wrong. An unsigned tail is not wrong: a crash leaves one."""
        return self.problems_total == 0

    @property
    def unsigned_tail(self) -> int:
        """Records whose bytes no signature vouches for."""
        return sum(count for _, count in self.unsigned)


def verify(
    gate: GateId,
    public_key: Ed25519PublicKey,
    epochs: Iterable[tuple[Epoch, Iterable[tuple[int, bytes]]]],
    heads: Iterable[Head] = (),
    former: Callable[[Epoch], Sequence[Ed25519PublicKey]] = lambda _: (),
) -> Report:
    """Check the logs of one gate, epochs oldest first. Never raises on what it reads; memory is bounded.

    `former`: keys of before the present one that may have signed an epoch; it keeps the one that signed its first head.

    `heads`: heads known besides the log, of the prefix that was pruned or from peers. A log may begin behind one of
    them, must agree with those inside it and reach those beyond it.
    """
    known: dict[Epoch, dict[int, Head]] = {}
    check = _Check(gate, public_key, former)
    for head in heads:
        if head.gate == gate and check.keys.signed(head):
            known.setdefault(head.epoch, {})[head.seq] = head
        else:
            check.problem(Trouble.BAD_SIGNATURE, head.epoch, head.seq, head.seq)
    for epoch, records in epochs:
        check.epoch(epoch, records, known.pop(epoch, {}))
    return check.report()


@dataclass(slots=True)
class _Walked:
    """Where the walk through one epoch stands. `sure`: `link` follows from the seed or a head without a gap."""

    state: EpochState
    sure: bool = True
    covered: int = 0
    """Highest seq that a good head or its own signed bytes cover."""


class EpochKeys:
    """Which of a gate's keys signs each epoch: one run of a gate has one key, so an epoch keeps the one it began with.

    `former`: the keys besides `key` that may have signed an epoch.
    """

    def __init__(self, key: Ed25519PublicKey, former: Callable[[Epoch], Sequence[Ed25519PublicKey]]) -> None:
        self._key = key
        self._former = former
        self._known: dict[Epoch, Ed25519PublicKey] = {}

    def signed(self, head: Head) -> bool:
        """Whether the gate signed a head, by the key of its epoch."""
        known = self._known.get(head.epoch)
        for key in (known,) if known is not None else (self._key, *self._former(head.epoch)):
            if head.signed_by(key):
                self._known[head.epoch] = key
                return True
        return False


class _Check:
    """One run of `verify`."""

    def __init__(
        self,
        gate: GateId,
        public_key: Ed25519PublicKey,
        former: Callable[[Epoch], Sequence[Ed25519PublicKey]],
    ) -> None:
        self._gate = gate
        self.keys = EpochKeys(public_key, former)
        self._walked: dict[Epoch, _Walked] = {}
        self._problems: list[Problem] = []
        self._total = self._records = self._heads = 0

    def problem(self, trouble: Trouble, epoch: Epoch, first: int = 0, last: int = 0) -> None:
        """Count a problem, and keep it while there is room."""
        self._total += 1
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(Problem(trouble, epoch, first, last))

    def epoch(self, epoch: Epoch, records: Iterable[tuple[int, bytes]], known: Mapping[int, Head]) -> None:
        """Walk through one epoch."""
        if epoch in self._walked:
            self.problem(Trouble.EPOCH_ORDER, epoch)
            return
        walk = self._walked[epoch] = _Walked(EpochState(epoch, 0, seed(self._gate, epoch)))
        for seq, blob in records:
            self._records += 1
            if walk.state.seq == 0 and seq - 1 in known:  # pruned up to a head
                walk.state = replace(walk.state, seq=seq - 1, link=known[seq - 1].link, head_seq=seq - 1)
                walk.covered = seq - 1
            if seq <= walk.state.seq:
                self.problem(Trouble.WRONG_SEQ, epoch, seq, seq)
                continue
            if seq > walk.state.seq + 1:
                self.problem(Trouble.GAP, epoch, walk.state.seq + 1, seq - 1)
                walk.sure = False
            self._record(walk, seq, blob)
            if seq in known:
                self._agrees(walk, known[seq])
        beyond = max(known, default=0)
        if beyond > walk.state.seq:
            self.problem(Trouble.TRUNCATED, epoch, walk.state.seq + 1, beyond)

    def _record(self, walk: _Walked, seq: int, blob: bytes) -> None:
        epoch, before = walk.state.epoch, walk.state.link
        walk.state = replace(walk.state, seq=seq, link=link(before, blob))
        record = _read(blob)
        if record is None:
            self.problem(Trouble.MALFORMED, epoch, seq, seq)
            return
        if record.seq != seq:
            self.problem(Trouble.WRONG_SEQ, epoch, seq, seq)
        if seq == 1 and not _is_restart(record):
            self.problem(Trouble.NO_RESTART, epoch, seq, seq)
        if seq == PREDECESSOR_SEQ:
            walk.state = replace(walk.state, predecessor=_named(record))
        if isinstance(record, ExtensionRecord):
            if record.type is Extension.HEAD:
                self._head(walk, Head.from_payload(self._gate, epoch, record.payload), before, blob)
            elif record.payload[:36] == ((seq - 1) % 2**32).to_bytes(4, "big") + before:
                self.problem(Trouble.ALTERED, epoch, seq, seq)  # a head whose type was changed
            elif record.type is Extension.PREDECESSOR and seq != PREDECESSOR_SEQ:
                self.problem(Trouble.NO_RESTART, epoch, seq, seq)

    def _head(self, walk: _Walked, head: Head, before: bytes, blob: bytes) -> None:
        """Check a head that stands in the log; a good one is believed from here on, so each wound shows once."""
        self._heads += 1
        epoch, seq = walk.state.epoch, walk.state.seq
        if not self.keys.signed(head):
            self.problem(Trouble.BAD_SIGNATURE, epoch, seq, seq)
            return
        if head.seq != seq - 1:
            self.problem(Trouble.WRONG_SEQ, epoch, seq, seq)
            return
        if head.link != before and walk.sure:
            self.problem(Trouble.ALTERED, epoch, walk.covered + 1, head.seq)
        walk.state = replace(walk.state, link=link(head.link, blob), head_seq=head.seq)
        walk.sure = True
        walk.covered = seq

    def _agrees(self, walk: _Walked, head: Head) -> None:
        """Compare with a head known besides the log."""
        if head.link != walk.state.link and walk.sure:
            self.problem(Trouble.ALTERED, walk.state.epoch, walk.covered + 1, head.seq)
            return  # the log's own later heads may vouch for what was put in its place: two stories, both signed
        walk.state = replace(walk.state, link=head.link, head_seq=head.seq)
        walk.sure = True
        walk.covered = max(walk.covered, head.seq)

    def report(self) -> Report:
        """Judge the epochs together."""
        seen: set[Epoch] = set()
        for epoch, walk in self._walked.items():
            seen.add(epoch)
            named = walk.state.predecessor
            if named is None or named.epoch not in self._walked:
                continue
            if named.epoch not in seen or named.epoch == epoch:
                self.problem(Trouble.EPOCH_ORDER, epoch)
                continue
            if walk.covered >= PREDECESSOR_SEQ:
                self._follows(self._walked[named.epoch], named)
        for anomaly in anomalies({epoch: walk.state for epoch, walk in self._walked.items()}):
            trouble = Trouble.FORK if anomaly.finding is Finding.FORK else Trouble.REWIND
            for epoch in anomaly.epochs:
                self.problem(trouble, epoch)
        unsigned = tuple(
            (epoch, walk.state.seq - walk.covered)
            for epoch, walk in self._walked.items()
            if walk.state.seq > walk.covered
        )
        return Report(
            self._records, self._heads, len(self._walked), tuple(self._problems), self._total, unsigned
        )

    def _follows(self, before: _Walked, named: Predecessor) -> None:
        """Hold the end of an epoch against what its successor, under a head of its own, says of it."""
        epoch, end = before.state.epoch, before.state.seq
        if named.seq > end:
            self.problem(Trouble.TRUNCATED, epoch, end + 1, named.seq)
        elif named.seq == end:
            if named.link != before.state.link and before.sure:
                self.problem(Trouble.ALTERED, epoch, before.covered + 1, end)
            before.covered = end
