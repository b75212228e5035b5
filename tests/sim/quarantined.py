"""What a gate recorded that was shut out counts up to what the centre believes, and no further, at the centre and at every gate."""

from collections import defaultdict
from collections.abc import Iterator

from admission.records import ExtensionRecord, record_from_bytes
from sync.wire.replication import head_in
from tests.sim.evidence import Evidence
from tests.sim.history import Log


def quarantined(at: Evidence) -> Iterator[str]:
    """Look at every gate that was shut out: how much of it is believed, and what came in after."""
    for gate, shut in at.history.shut_out.items():
        heads = _heads(at)
        for log, held in shut.held.items():
            signed = [seq for seq in heads[log] if seq < held]
            last, end = (max(signed) + 1 if signed else 0), shut.ends.get(log, 0)
            if end > last:
                yield f"believed further than it was signed: gate {gate}, epoch {log[1]:016x}, {end} of {last}"
            if not shut.since_s and end != last:
                yield f"signed, heard, and not believed: gate {gate}, epoch {log[1]:016x}, {end} of {last}"
        for name in at.logs.records:
            if name.gate == gate and at.history.made_s[name] > shut.at_s:
                yield f"made after it was shut out, and taken: record {name.seq} of gate {gate}"
    for row in at.logs.rows:
        if at.history.is_quarantined(row.id):
            yield f"in quarantine, and counted: record {row.id.seq} of gate {row.id.gate}"


def _heads(at: Evidence) -> dict[Log, list[int]]:
    found: dict[Log, list[int]] = defaultdict(list)
    for name, blob in at.logs.records.items():
        if name.gate in at.history.shut_out and isinstance(record_from_bytes(blob), ExtensionRecord):
            head = head_in(name.gate, name.epoch, blob)
            if head is not None:
                found[name.gate, name.epoch].append(head.seq)
    return found


__all__ = ["quarantined"]
