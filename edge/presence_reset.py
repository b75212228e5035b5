"""A presence reset: from now on everybody heard of in a zone counts as outside (DESIGN.md, Records).

By hand at the page, or by a schedule: whoever asks, the record is put together here. Uses stay, so a ticket of one
entry is still used; a ticket in entry/exit mode gets in again, as a re-entry.
"""

from collections.abc import Iterable

from admission.ids import RecordId, ZoneId
from admission.lane import Write
from admission.lane_machine import REASON_BYTES_MAX
from admission.observed import LOGS_MAX
from admission.presence import reset_payloads
from admission.records import Extension, Kind
from edge.gate import Gate
from edge.journal import Stamp
from edge.store.log_schema import EpochRow


def reset_write(zone: ZoneId, heads: Iterable[RecordId], steward: int = 0, reason: str = "") -> Write:
    """Return the RESET that empties `zone` and the zones inside it; append it with `Stamp(zone=zone)`.

    `heads`: the last record heard of each log, most wanted first, since `LOGS_MAX` are named; the log that it is
    appended to needs no naming. `steward` 0: a schedule or the centre. ValueError for zone 0, which is no zone.
    """
    if not zone:
        raise ValueError("zone 0 is no zone: a reset of it would remove nobody")
    extensions = reset_payloads(heads)
    if steward:
        text = reason.encode("utf-8", "replace")[:REASON_BYTES_MAX].decode("utf-8", "ignore").encode()
        extensions = (*extensions, (Extension.STAFF, (steward & 0xFFFFFFFF).to_bytes(4, "big") + text))
    return Write(0, Kind.RESET, extensions=extensions, urgent=True)


def heads_of(epochs: Iterable[EpochRow], own: RecordId) -> tuple[RecordId, ...]:
    """Return the last record held of each log, the one met last first, without `own`'s: a reset counts in it by itself."""
    newest_first = sorted(epochs, key=lambda row: row.ordinal, reverse=True)
    heard = (RecordId(row.gate, row.epoch, row.last_seq) for row in newest_first if row.last_seq)
    return tuple(head for head in heard if head[:2] != own[:2])[:LOGS_MAX]


def reset_presence(gate: Gate, zone: ZoneId, steward: int = 0, reason: str = "") -> int:
    """Reset a zone of a running gate now; returns the record's seq. It is durable once `journal.saved` says so.

    Decisions take it into account at once; people are counted anew, slice by slice. StoreFault where the log cannot
    be read: nothing is written then. ValueError for zone 0.
    """
    journal = gate.journal
    heads = heads_of(gate.reader.epochs(), RecordId(journal.gate, journal.epoch, journal.last_seq))
    (seq,) = journal.append((reset_write(zone, heads, steward, reason),), Stamp(zone=zone))
    gate.memory.reset_made()
    gate.changed()
    return seq
