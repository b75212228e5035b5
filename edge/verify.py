"""`gatehouse-edge verify`: reads the whole log and says whether anything in it was altered, lost or doubled."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.chain import Problem, Report, Trouble, verify
from admission.ids import Epoch, GateId
from admission.keys import PUBLIC_BYTES
from edge.enrolment import Enrolment
from edge.lists import FILE as LIST_FILE
from edge.store.faults import StoreFault
from edge.store.list import ListStore
from edge.store.log_reader import ROWS_MAX, LogReader
from edge.store.log_schema import EpochRow, StoredRecord

PROBLEMS_SHOWN_MAX: Final = 50
"""Problems printed per gate: where there are more, the log is not looked through line by line."""

_WORDS: Final = {
    Trouble.GAP: "records are missing",
    Trouble.WRONG_SEQ: "a record stands where another belongs",
    Trouble.MALFORMED: "these bytes are no record",
    Trouble.ALTERED: "what stands here is not what was signed",
    Trouble.BAD_SIGNATURE: "the signature of a head is not this gate's",
    Trouble.NO_RESTART: "the log does not begin as logs begin",
    Trouble.TRUNCATED: "the log ends before a head or a successor that is known",
    Trouble.EPOCH_ORDER: "the epochs do not stand in their order",
    Trouble.FORK: "two epochs follow the same place: a card was cloned",
    Trouble.REWIND: "an older state was started again: a card or image was restored",
}


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What `verify` found about one gate's log. `report` None: its key is not known here."""

    gate: GateId
    report: Report | None
    forks: tuple[StoredRecord, ...] = ()
    """Records that stand beside others of the same number."""

    @property
    def altered(self) -> bool:
        """Something is wrong for certain."""
        return bool(self.forks) or (self.report is not None and not self.report.ok)


@dataclass(frozen=True, slots=True)
class LogVerdict:
    """All gates' verdicts, and how to say them."""

    gates: tuple[GateVerdict, ...]
    asides: tuple[str, ...] = field(default=())
    """Damaged logs that were set aside, by folder name."""

    @property
    def altered(self) -> bool:
        """Whether any log is."""
        return any(gate.altered for gate in self.gates)

    def lines(self) -> Iterator[str]:
        """Yield the report for people."""
        for gate in self.gates:
            yield from _lines_of(gate)
        for aside in self.asides:
            yield f"{aside}: a damaged log was set aside here; what was readable of it is in the present log"
        if not self.gates:
            yield "the log is empty"


def known_keys(data: Path, enrolment: Enrolment) -> dict[GateId, Ed25519PublicKey]:
    """Return the keys of the gates that the list in use names, and our own."""
    named: dict[GateId, bytes] = {}
    try:
        listed = ListStore.open(data / LIST_FILE)
        named = {gate.id: gate.public for gate in listed.head.gates}
        listed.close()
    except StoreFault:
        named = {}  # without a list our own log can be checked all the same
    named[enrolment.gate] = enrolment.public
    return {
        gate: Ed25519PublicKey.from_public_bytes(public)
        for gate, public in named.items()
        if len(public) == PUBLIC_BYTES
    }


def verify_log(
    data: Path,
    keys: Mapping[GateId, Ed25519PublicKey],
    former: Mapping[GateId, list[Ed25519PublicKey]] | None = None,
) -> LogVerdict:
    """Check every gate's log in a data folder against its gate's key. StoreFault where it cannot be read.

    `former`: keys of before, which older epochs may be signed by; also of a gate that was shut out and has no other.

    Safe beside a running daemon: heads are read before records, so that none is missed below a head.
    """
    reader = LogReader.open(data)
    try:
        epochs = reader.epochs()
        gates = sorted({row.gate for row in epochs})
        forks = reader.forks()
        verdicts = tuple(
            GateVerdict(
                gate,
                _verify_gate(
                    reader,
                    gate,
                    [row for row in epochs if row.gate == gate],
                    keys.get(gate),
                    (former or {}).get(gate, []),
                ),
                tuple(fork for fork in forks if fork.gate == gate),
            )
            for gate in gates
        )
        return LogVerdict(verdicts, tuple(sorted(path.name for path in data.glob("log.aside-*"))))
    finally:
        reader.close()


def _verify_gate(
    reader: LogReader,
    gate: GateId,
    rows: list[EpochRow],
    key: Ed25519PublicKey | None,
    former: list[Ed25519PublicKey],
) -> Report | None:
    if key is None and not former:
        return None
    heads = [head for row in rows for head in reader.heads(gate, row.epoch)]
    logs = [(epoch, _records(reader, gate, epoch)) for epoch in _in_order(reader, gate, rows)]
    return verify(gate, key or former[0], logs, heads, lambda _: former)


def _in_order(reader: LogReader, gate: GateId, rows: list[EpochRow]) -> Iterator[Epoch]:
    """Yield epochs as they follow on each other: what was heard of, or fetched back, came in any order."""
    left = {row.epoch: reader.predecessor(gate, row.epoch) for row in rows}
    while left:
        ready = [epoch for epoch, named in left.items() if named is None or named.epoch not in left]
        for epoch in ready or list(left):  # where they name each other in a ring, `verify` says so
            del left[epoch]
            yield epoch


def _records(reader: LogReader, gate: GateId, epoch: Epoch) -> Iterator[tuple[int, bytes]]:
    """Yield an epoch's records in slices, so that memory stays small however long the log."""
    after = 0
    while found := reader.records(gate, epoch, after, ROWS_MAX):
        yield from ((one.seq, one.blob) for one in found)
        after = found[-1].seq


def _lines_of(verdict: GateVerdict) -> Iterator[str]:
    report = verdict.report
    if report is None:
        yield f"gate {verdict.gate}: not checked: its key is not known here"
    else:
        word = "good" if report.ok else "ALTERED"
        yield (
            f"gate {verdict.gate}: {word}: {report.records} records, {report.heads} heads, "
            f"{report.epochs} epochs, {report.unsigned_tail} records behind the last head"
        )
        for problem in report.problems[:PROBLEMS_SHOWN_MAX]:
            yield f"  {_problem(problem)}"
        if report.problems_total > PROBLEMS_SHOWN_MAX:
            yield f"  and {report.problems_total - PROBLEMS_SHOWN_MAX} more"
    for fork in verdict.forks[:PROBLEMS_SHOWN_MAX]:
        yield f"  epoch {fork.epoch:016x} record {fork.seq}: another record has this number: a card was cloned"


def _problem(problem: Problem) -> str:
    place = f"epoch {problem.epoch:016x}"
    if problem.first:
        several = (
            f"s {problem.first} to {problem.last}" if problem.last > problem.first else f" {problem.first}"
        )
        place += f" record{several}"
    return f"{place}: {_WORDS[problem.trouble]}"
