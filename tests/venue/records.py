"""The gate's log as the demo shows it: read from the log file, as any other process may."""

from pathlib import Path

from admission.chain import Head
from admission.ids import Epoch, GateId
from admission.reasons import Language, Reason, say
from admission.records import ExtensionRecord, Kind, MalformedRecord, Record, record_from_bytes
from edge.store.faults import StoreFault
from edge.store.log_reader import LogReader
from edge.store.log_schema import StoredRecord

SHOWN_MAX = 40
READ_MAX = 120
"""Heads and what else only frames the records are read over."""

Shown = dict[str, object]


class RecordsView:
    """The last records of one gate, newest first. Opens the log when it is there, and anew where it was replaced."""

    def __init__(self, data: Path, gate: GateId) -> None:
        self._data = data
        self._gate = gate
        self._reader: LogReader | None = None

    def close(self) -> None:
        """Give the file back."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def newest(self) -> list[Shown]:
        """Return the last records for the page; none while there is no log."""
        try:
            if self._reader is None:
                self._reader = LogReader.open(self._data)
            stored = self._reader.newest(self._gate, READ_MAX)
            signed = {epoch: self._signed(self._reader, epoch) for epoch in {one.epoch for one in stored}}
        except StoreFault:
            self.close()
            return []
        shown = [one for one in (_shown(each, signed[each.epoch]) for each in stored) if one is not None]
        return shown[:SHOWN_MAX]

    def count(self) -> dict[Kind, int]:
        """Return how many records of each kind the log holds, over all epochs."""
        reader = LogReader.open(self._data)
        try:
            counted: dict[Kind, int] = {}
            for epoch in reader.epochs():
                for one in reader.records(epoch.gate, epoch.epoch, 0, 10_000):
                    record = record_from_bytes(one.blob)
                    if isinstance(record, Record):
                        counted[record.kind] = counted.get(record.kind, 0) + 1
            return counted
        finally:
            reader.close()

    def _signed(self, reader: LogReader, epoch: Epoch) -> int:
        heads: tuple[Head, ...] = reader.heads_backwards(self._gate, epoch, 1)
        return heads[0].seq if heads else 0


def _shown(stored: StoredRecord, signed_seq: int) -> Shown | None:
    """Return a record as JSON takes it; None for what only frames others (extensions, heads)."""
    try:
        record = record_from_bytes(stored.blob)
    except MalformedRecord:
        return None
    if isinstance(record, ExtensionRecord) or record.kind is Kind.HEAD:
        return None
    ticket = record.ticket
    return {
        "id": f"{stored.epoch:016x}.{stored.seq}",
        "epoch": f"{stored.epoch:016x}"[:6],
        "seq": stored.seq,
        "time_ms": record.time_us // 1000,
        "kind": record.kind.name.lower(),
        "lane": record.lane,
        "way": record.direction.name.lower(),
        "outcome": record.outcome.name.lower(),
        "reason": "" if not record.reason else Reason(record.reason).name.lower(),
        "said": {
            language.value: say(record.outcome, Reason(record.reason), language).visitor
            for language in Language
        }
        if record.reason
        else {},
        "ticket": "" if ticket is None else f"{ticket[0]}-{ticket[1]}",
        "flags": [flag.name.lower() for flag in record.flags if flag.name],
        "ref": record.ref,
        "data": record.data,
        "signed": stored.seq <= signed_seq,
        "hex": stored.blob.hex(),
    }
