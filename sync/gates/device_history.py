"""What became of a gate's readers, relay boards and contacts, as the gate recorded it."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from admission.ids import GateId
from admission.records import (
    BODY_BYTES,
    FORMAT,
    DeviceChange,
    DeviceKind,
    Extension,
    ExtensionRecord,
    Kind,
    MalformedRecord,
    Record,
    device_of,
    record_from_bytes,
)

SHOWN_MAX = 30
"""The newest: enough to see a cable flap, and what came before it."""

# A walk over one gate's records, by format and kind; the time lies at offset 8, big-endian, so its bytes sort as it does.
_DEVICES = text("""
SELECT r.epoch, r.seq, r.blob, n.blob AS next FROM record r
LEFT JOIN record n ON n.gate_id = r.gate_id AND n.epoch = r.epoch AND n.seq = r.seq + 1
WHERE r.gate_id = :gate AND length(r.blob) = :bytes AND substr(r.blob, 1, 2) = :kind
ORDER BY substr(r.blob, 9, 8) DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class DeviceStep:
    """One change of a device. `name`: as the box's configuration has it, "" for a reader; `counted`: changes left out."""

    at_us: int
    kind: DeviceKind
    change: DeviceChange
    lane: int
    number: int
    name: str
    counted: int


def steps(connection: Connection, gate: GateId) -> list[DeviceStep]:
    """Return the newest changes of a gate's devices, newest first by its own clock."""
    asked = {"gate": gate, "bytes": BODY_BYTES, "kind": bytes((FORMAT, Kind.DEVICE)), "most": SHOWN_MAX}
    found = []
    for row in connection.execute(_DEVICES, asked):
        try:
            body = record_from_bytes(bytes(row.blob))
            if not isinstance(body, Record):
                continue
            kind, change, counted = device_of(body.data)
        except MalformedRecord:
            continue  # of a newer gate, whose devices are not known here
        name = _detail(row.next)
        found.append(DeviceStep(body.time_us, kind, change, body.lane, body.reader, name, counted))
    return found


def _detail(blob: bytes | None) -> str:
    """Return the words of the extension behind a record, if that is what stands there."""
    try:
        record = record_from_bytes(bytes(blob or b""))
    except (MalformedRecord, IndexError):
        return ""
    is_detail = isinstance(record, ExtensionRecord) and record.type is Extension.DETAIL
    return (
        record.payload.decode("utf-8", "replace") if is_detail and isinstance(record, ExtensionRecord) else ""
    )
