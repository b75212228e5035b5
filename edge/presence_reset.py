"""What staff say of a whole zone: that nobody is inside, how many are, that those an alarm sent out may come in again.

A presence reset: from now on everybody heard of in a zone counts as outside (DESIGN.md, Records).

By hand at the page, or by a schedule: whoever asks, the record is put together here. Uses stay, so a ticket of one
entry is still used; a ticket in entry/exit mode gets in again, as a re-entry.
"""

from collections.abc import Iterable
from typing import Protocol

from msgspec.structs import replace

from admission.ids import RecordId, ZoneId
from admission.lane import Write
from admission.lane_machine import REASON_BYTES_MAX
from admission.observed import LOGS_MAX, counted_data
from admission.presence import reset_payloads
from admission.records import Extension, Fire, Kind
from edge.gate import Gate
from edge.journal import Journal, Stamp
from edge.store.log_reader import LogReader
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
    return _say(gate, zone, reset_write(zone, heard_by(gate), steward, reason))


def count_people(gate: Gate, zone: ZoneId, people: int, steward: int) -> int:
    """Say how many people staff counted in a zone by hand, just now; as `reset_presence`."""
    write = reset_write(zone, heard_by(gate), steward)
    return _say(gate, zone, replace(write, data=counted_data(people)))


def readmission(gate: Gate, zone: ZoneId, steward: int, *, is_open: bool) -> int:
    """Let those in again whom an alarm sent out of a zone, or let no more of them in; as `reset_presence`."""
    if not zone:
        raise ValueError("zone 0 is no zone: nobody is in it")
    staff = (Extension.STAFF, (steward & 0xFFFFFFFF).to_bytes(4, "big"))
    data = Fire.CLEARED if is_open else Fire.ENDED
    return _say(gate, zone, Write(0, Kind.FIRE, data=data, extensions=(staff,), urgent=True))


def heard_by(gate: "Logs") -> tuple[RecordId, ...]:
    """Return the last record this gate holds of each other log, as `heads_of`. StoreFault where the log cannot be read."""
    journal = gate.journal
    return heads_of(gate.reader.epochs(), RecordId(journal.gate, journal.epoch, journal.last_seq))


def _say(gate: Gate, zone: ZoneId, write: Write) -> int:
    (seq,) = gate.journal.append((write,), Stamp(zone=zone))
    gate.memory.reset_made()
    gate.changed()
    return seq


class Logs(Protocol):
    """The logs that a gate holds."""

    reader: LogReader
    journal: Journal
