"""`gatehouse-edge export`: the log's records, decoded, for other programs. Digests and numbers only: it holds no codes."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final, TextIO

from admission.chain import Predecessor
from admission.reasons import Reason
from admission.records import (
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    MalformedRecord,
    Record,
    device_of,
    record_from_bytes,
    stored_us,
    unpack_bound,
    unpack_record_ids,
    unpack_tap,
)
from edge.store.log_reader import ROWS_MAX, LogReader
from edge.store.log_schema import StoredRecord

COLUMNS: Final = (
    *("gate", "epoch", "seq", "kind", "time", "trust", "mono_ms", "lane", "reader", "zone", "session"),
    *(
        "outcome",
        "reason",
        "direction",
        "mode",
        "flags",
        "event",
        "ticket",
        "product",
        "digest",
        "ref",
        "data",
    ),
    "detail",
)
"""In this order in CSV. `detail`: what an extension record holds, as JSON."""
_FORMULA: Final = re.compile(r"""^(?=[\t\r])|(?:^ *|[;\t\r\n][ "]*)(?=[=+\-@])""")
"""Before what a spreadsheet takes for a formula (OWASP, CSV Injection): where a cell begins, and behind what ends one for others
(half of Europe's split at `;`, and heed none of our quotation marks). As the centre's exports (`sync.customers.profiles`)."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Format(Enum):
    """What is written."""

    JSONL = "jsonl"
    CSV = "csv"


def export_log(data: Path, form: Format, out: TextIO) -> int:
    """Write every record of every gate, epochs in the order they were met; returns how many.

    StoreFault where the log cannot be read. A record that cannot be read is written as `malformed`, never skipped.
    """
    reader = LogReader.open(data)
    try:
        write = _csv_writer(out) if form is Format.CSV else _jsonl_writer(out)
        count = 0
        for record in _all(reader):
            write(row_of(record))
            count += 1
        return count
    finally:
        reader.close()


def row_of(stored: StoredRecord) -> dict[str, object]:
    """Return a record as plain values; keys are some of `COLUMNS`."""
    row: dict[str, object] = {"gate": stored.gate, "epoch": f"{stored.epoch:016x}", "seq": stored.seq}
    try:
        record = record_from_bytes(stored.blob)
        if isinstance(record, Record):
            return row | _body(record)
        detail = _detail(record)
        return row | {"kind": f"extension_{record.type.name.lower()}", "detail": detail}
    except MalformedRecord:
        return row | {"kind": "malformed", "detail": {"hex": stored.blob.hex()}}


def safe_cell(value: object) -> object:
    """Return a CSV cell that no spreadsheet runs, nor a part of it, wherever it splits: with apostrophes."""
    return _FORMULA.sub(r"\g<0>'", value) if isinstance(value, str) else value


def _all(reader: LogReader) -> Iterator[StoredRecord]:
    for row in reader.epochs():
        after = 0
        while found := reader.records(row.gate, row.epoch, after, ROWS_MAX):
            yield from found
            after = found[-1].seq


def _body(record: Record) -> dict[str, object]:
    ticket = record.ticket
    row: dict[str, object] = {
        "kind": record.kind.name.lower(),
        "time": _time(record.time_us),
        "trust": record.trust.name.lower(),
        "mono_ms": record.mono_ms,
        "lane": record.lane,
        "reader": record.reader,
        "zone": record.zone,
        "session": record.session,
        "outcome": record.outcome.name.lower(),
        "reason": _reason(record.reason),
        "direction": record.direction.name.lower(),
        "mode": record.mode.name.lower(),
        "flags": [flag.name.lower() for flag in Flag if record.flags & flag and flag.name],
        "ref": record.ref,
        "data": record.data,
    }
    if ticket is not None:
        row |= {"event": ticket[0], "ticket": ticket[1], "product": record.product}
    if record.flags & Flag.DIGEST:
        row["digest"] = record.subject.hex()
    if record.kind is Kind.STORED:
        row["detail"] = {"read": _time(stored_us(record))}
    if record.kind is Kind.DEVICE:
        row["detail"] = _device(record.data)
    return row


def _device(data: int) -> Mapping[str, object]:
    """Return what a DEVICE record says; a newer gate's log may hold devices that are not known here."""
    try:
        device, change, counted = device_of(data)
    except MalformedRecord:
        return {}
    return {"device": device.name.lower(), "change": change.name.lower(), "counted": counted}


def _time(time_us: int) -> str:
    """Return a gate's time as ISO 8601; a clock far beyond the calendar is told in microseconds."""
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds")
    except OverflowError:
        return f"{time_us} us after 1970"


def _reason(number: int) -> str:
    """Return a reason's word; a newer gate's log may hold reasons that are not known here."""
    try:
        return Reason(number).name.lower()
    except ValueError:
        return f"reason_{number}"


def _detail(record: ExtensionRecord) -> Mapping[str, object]:
    payload = record.payload
    match record.type:
        case Extension.HEAD:
            seq = int.from_bytes(payload[:4], "big")
            return {"signed_seq": seq, "link": payload[4:36].hex(), "signature": payload[36:].hex()}
        case Extension.PREDECESSOR:
            named = Predecessor.from_bytes(payload)
            return {"epoch": f"{named.epoch:016x}", "seq": named.seq, "link": named.link.hex()}
        case Extension.OBSERVED | Extension.RESET:
            ids = unpack_record_ids(payload)
            return {"records": [[one.gate, f"{one.epoch:016x}", one.seq] for one in ids]}
        case Extension.STAFF:
            return {
                "steward": int.from_bytes(payload[:4], "big"),
                "reason": payload[4:].decode(errors="replace"),
            }
        case Extension.LIST:
            numbers = [int.from_bytes(payload[a:b], "big") for a, b in ((0, 4), (4, 8), (8, 16))]
            event, generation, version = numbers
            return {
                "event": event,
                "generation": generation,
                "version": version,
                "digest": payload[16:].hex(),
            }
        case Extension.TAP:
            digest, counter = unpack_tap(payload)
            return {"digest": digest.hex(), "counter": counter}
        case Extension.BOUND:
            bound = unpack_bound(payload)
            return {"uid": bound.uid.hex().upper(), "tag": bound.tag.hex(), "code": bound.code.hex()}
        case Extension.DETAIL:
            return {"words": payload.decode(errors="replace")}


def _jsonl_writer(out: TextIO) -> Callable[[Mapping[str, object]], None]:
    def write(row: Mapping[str, object]) -> None:
        json.dump(row, out, separators=(",", ":"))
        out.write("\n")

    return write


def _csv_writer(out: TextIO) -> Callable[[Mapping[str, object]], None]:
    """Write as RFC 4180, with the names of the columns first."""
    rows = csv.writer(out)
    rows.writerow(COLUMNS)

    def write(row: Mapping[str, object]) -> None:
        rows.writerow([safe_cell(_cell(row.get(column, ""))) for column in COLUMNS])

    return write


def _cell(value: object) -> object:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return json.dumps(value, separators=(",", ":")) if isinstance(value, Mapping) else value
