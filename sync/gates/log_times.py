"""When the records of a log were made, where its own clock was not to be believed (`admission.corrected`): asked of the tables.

Epochs as the tables have them. Most logs begin with a clock that is believed, and are never asked about.
"""

from sqlalchemy import Connection, text

from admission.corrected import EpochTime, Mark, is_believed, mark_of, reaches_back
from admission.ids import GateId
from admission.records import BODY_BYTES, FORMAT, Record, Trust, record_from_bytes

_TRUST_AT = 32
"""Where a body has the trust of its clock (`admission.records`: offset 31), counted from 1 as SQL does."""
_BELIEVED = bytes((Trust.RTC,))

_WHERE = (
    "SELECT blob FROM record WHERE gate_id = :gate AND epoch = :epoch AND length(blob) = :bytes "
    "AND substr(blob, 1, 1) = :format AND substr(blob, :at, 1) >= :believed "
)
_BEFORE = text(_WHERE + "AND seq < :seq ORDER BY seq DESC LIMIT 1")
_FIRST = text(_WHERE + "ORDER BY seq LIMIT 1")
_ASKED = {"bytes": BODY_BYTES, "format": bytes((FORMAT,)), "at": _TRUST_AT, "believed": _BELIEVED}


def mark_before(connection: Connection, gate: GateId, epoch: int, seq: int) -> Mark | None:
    """Return the last moment before a record at which the log's clock was believed; None where there was none."""
    row = connection.execute(_BEFORE, {**_ASKED, "gate": gate, "epoch": epoch, "seq": seq}).first()
    return None if row is None else mark_of(_body(row.blob))


def mark_back(connection: Connection, gate: GateId, epoch: int) -> Mark | None:
    """Return the moment that tells when all records before it were made; None where the log holds none such."""
    row = connection.execute(_FIRST, {**_ASKED, "gate": gate, "epoch": epoch}).first()
    first = None if row is None else _body(row.blob)
    return mark_of(first) if first is not None and reaches_back(first) else None


def time_of(connection: Connection, gate: GateId, epoch: int, body: Record) -> int:
    """Return the corrected time (us) of a stored body."""
    if is_believed(body):
        return EpochTime().place(body)
    if (mark := mark_before(connection, gate, epoch, body.seq)) is not None:
        return EpochTime(mark).place(body)
    return EpochTime(back=mark_back(connection, gate, epoch)).place(body)


def _body(blob: bytes) -> Record:
    body = record_from_bytes(bytes(blob))
    assert isinstance(body, Record), "an extension record has another first byte"
    return body
