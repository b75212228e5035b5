"""Logs for the tests: strategies for records, and a small writer of chained, signed logs."""

from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from admission import chain
from admission.entitlements import Mode
from admission.ids import Epoch, GateId, LaneId, ReaderId, SessionId, ZoneId
from admission.records import (
    NOBODY,
    PAYLOAD_BYTES_MAX,
    SEQ_MAX,
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    Trust,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
GATE = GateId(3)
Log = list[tuple[int, bytes]]

_U16 = st.integers(0, 2**16 - 1)
_U32 = st.integers(0, 2**32 - 1)
_SEQ = st.integers(1, SEQ_MAX)


@st.composite
def bodies(draw: st.DrawFn, seq: st.SearchStrategy[int] = _SEQ) -> Record:
    """Any body a gate may write."""
    flags = Flag(draw(_U16) & ~(Flag.TICKET | Flag.DIGEST)) | draw(
        st.sampled_from([Flag.NONE, Flag.TICKET, Flag.DIGEST])
    )
    about = bool(flags & (Flag.TICKET | Flag.DIGEST))
    return Record(
        kind=draw(st.sampled_from(Kind)),
        seq=draw(seq),
        time_us=draw(st.integers(-(2**63), 2**63 - 1)),
        mono_ms=draw(_U32),
        lane=LaneId(draw(_U16)),
        reader=ReaderId(draw(_U16)),
        zone=ZoneId(draw(_U16)),
        session=SessionId(draw(_U16)),
        outcome=draw(st.sampled_from(Outcome)),
        reason=draw(st.integers(0, 255)),
        direction=draw(st.sampled_from(Direction)),
        mode=draw(st.sampled_from(Mode)),
        trust=draw(st.sampled_from(Trust)),
        flags=flags,
        subject=draw(st.binary(min_size=16, max_size=16)) if about else NOBODY,
        ref=draw(_U32),
        data=draw(_U32),
    )


@st.composite
def extension_records(
    draw: st.DrawFn,
    seq: st.SearchStrategy[int] = _SEQ,
    types: Iterable[Extension] = tuple(Extension),
) -> ExtensionRecord:
    """Any extension a gate may write."""
    kind = draw(st.sampled_from(list(types)))
    fixed = {
        Extension.HEAD: 100,
        Extension.PREDECESSOR: 44,
        Extension.LIST: 32,
        Extension.TAP: 20,
        Extension.BOUND: 43,
    }
    if kind in fixed:
        size = fixed[kind]
    elif kind in {Extension.OBSERVED, Extension.RESET}:
        size = 16 * draw(st.integers(0, PAYLOAD_BYTES_MAX // 16))
    else:
        size = draw(st.integers(4, PAYLOAD_BYTES_MAX))
    return ExtensionRecord(kind, draw(seq), draw(st.binary(min_size=size, max_size=size)))


class Writer:
    """One epoch of a log, chained and signed as a gate does it."""

    def __init__(self, epoch: int, after: "Writer | None" = None, gate: GateId = GATE) -> None:
        self.gate, self.epoch = gate, Epoch(epoch)
        self.link = chain.seed(gate, self.epoch)
        self.log: Log = []
        self.body(Kind.RESTART)
        if after is not None:
            self.extend(
                Extension.PREDECESSOR, chain.Predecessor(after.epoch, after.seq, after.link).to_bytes()
            )

    @property
    def seq(self) -> int:
        return len(self.log)

    def _append(self, blob: bytes) -> None:
        self.log.append((self.seq + 1, blob))
        self.link = chain.link(self.link, blob)

    def body(self, kind: Kind = Kind.TEST_PULSE) -> "Writer":
        self._append(Record(kind, self.seq + 1, 1_790_000_000_000_000 + self.seq, self.seq).to_bytes())
        return self

    def extend(self, kind: Extension, payload: bytes) -> "Writer":
        self._append(ExtensionRecord(kind, self.seq + 1, payload).to_bytes())
        return self

    def bodies(self, count: int) -> "Writer":
        for _ in range(count):
            self.body()
        return self

    def head(self) -> "Writer":
        return self.extend(Extension.HEAD, self.signed().payload())

    def signed(self) -> chain.Head:
        return chain.Head.sign(KEY, self.gate, self.epoch, self.seq, self.link)
