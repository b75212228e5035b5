"""The support bundle: what somebody far away needs to see of this box, and nothing that is anybody's.

It is put together from what is named here, field by field; no file of the box is copied. Keys, PIN, codes, tickets,
digests, stewards' numbers and what people typed stay on the box, and words that come from elsewhere are scrubbed.
"""

import io
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from admission.ids import GateId
from admission.reasons import Language
from admission.records import ExtensionRecord, MalformedRecord, record_from_bytes
from edge.front.metrics import metrics
from edge.link import Status
from edge.store.faults import StoreFault
from edge.store.log_reader import LogReader
from edge.store.log_schema import StoredRecord
from edge.words import sentence

RECORDS_MAX = 2000
"""The last hour of a busy gate; 300 kB, 30 of them in the bundle."""
FILES_MAX = 1000
NUMBERS = (
    "lane",
    "reader",
    "zone",
    "session",
    "outcome",
    "reason",
    "direction",
    "mode",
    "trust",
    "flags",
    "ref",
)
"""What of a record is shown as its number, beside when it was and what kind it is. Never its subject, nor an extension's
payload: there stand tickets, digests, numbers of stewards and what they typed."""
SCRUBBED = "[removed]"
_TELLING = re.compile(
    r"//[^\s/]*@"  # who signs in by an address, and with what
    r"|[^\s@/]+@[^\s@]+"  # an e-mail address
    r"|TK1\S+"
    r"|\b[A-Za-z0-9+_=.-]{24,}"  # keys, tokens and codes; long names of devices too
    r"|\b\d{8,}\b"  # PIN, tickets of other systems, phone numbers
)


def scrub(text: str) -> str:
    """Take out of words whatever may be a code, a secret or somebody's address."""
    return _TELLING.sub(SCRUBBED, text)


def bundle(data: Path, status: Status | None, *, connected: bool) -> bytes:
    """Return the bundle, a zip file. Total: what cannot be read is said in it."""
    import zipfile  # noqa: PLC0415 - a megabyte with its compressors, and few boxes are ever asked

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("README.txt", _README)
        file.writestr("box.json", _json(_box(data, status, connected=connected)))
        file.writestr("files.json", _json(_files(data)))
        file.writestr("metrics.txt", metrics(status, connected=connected))
        if status is not None:
            file.writestr("parts.txt", "\n".join(_parts(status)) + "\n")
            file.writestr("records.jsonl", "\n".join(_records(data, GateId(status.gate))) + "\n")
            file.writestr("logs.json", _json(_logs(data)))
    return out.getvalue()


_README = """Support bundle of a Gatehouse gate.

box.json       which box and program, its lanes and figures
parts.txt      each part of the gate, as its page says it
records.jsonl  the last records of its log, newest first: numbers as in admission/records.py, without tickets
logs.json      how far the logs of this and other gates are held, and what was acknowledged
files.json     names and sizes of its files
metrics.txt    as /metrics

It holds no keys, no PIN, no tickets or codes, no numbers of stewards and nothing that people typed.
"""


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1)


def _box(data: Path, status: Status | None, *, connected: bool) -> dict[str, object]:
    usage = shutil.disk_usage(data)
    found: dict[str, object] = {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "disk_bytes": usage.total,
        "disk_free_bytes": usage.free,
        "lane_process": connected,
    }
    if status is None:
        return found
    lanes = [
        {name: getattr(lane, name) for name in lane.__struct_fields__ if name != "name"}
        for lane in status.lanes
    ]
    return found | {
        "gate": status.gate,
        "version": status.version,
        "epoch": status.epoch,
        "time_s": status.time_s,
        "started_s": status.started_s,
        "list_version": status.list_version,
        "list_rows": status.list_rows,
        "records": status.records,
        "in_memory": status.in_memory,
        "inside": {str(zone): bounds for zone, bounds in status.inside.items()},
        "lanes": lanes,
        "alerts": [{"lane": one.lane, "what": one.what, "count": one.count} for one in status.alerts],
    }


def _parts(status: Status) -> Iterator[str]:
    for tile in status.tiles:
        said = sentence(tile.code, tile.args, Language.EN)
        yield scrub(f"{tile.part.value} {tile.name}: {tile.health.value}, {tile.code}, {said.cause}")


def _files(data: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for path in sorted(data.rglob("*")):
        if len(found) >= FILES_MAX:
            break
        try:
            state = path.stat()
        except OSError:
            continue  # gone meanwhile
        name = scrub(str(path.relative_to(data)))
        found.append(
            {
                "name": name,
                "bytes": state.st_size,
                "mode": f"{state.st_mode:o}",
                "changed_s": int(state.st_mtime),
            }
        )
    return found


def _records(data: Path, gate: GateId) -> list[str]:
    try:
        reader = LogReader.open(data)
        try:
            return [msgspec.json.encode(_record(one)).decode() for one in reader.newest(gate, RECORDS_MAX)]
        finally:
            reader.close()
    except StoreFault as fault:
        return [msgspec.json.encode({"fault": fault.kind.value}).decode()]


def _record(stored: StoredRecord) -> dict[str, object]:
    where: dict[str, object] = {"epoch": f"{stored.epoch:016x}", "seq": stored.seq}
    try:
        record = record_from_bytes(stored.blob)
    except MalformedRecord:
        return where | {"malformed": len(stored.blob)}
    if isinstance(record, ExtensionRecord):
        return where | {"extension": record.type.name.lower(), "bytes": len(record.payload)}
    numbers = {name: int(value) for name in NUMBERS if (value := getattr(record, name))}
    return where | {
        "kind": record.kind.name.lower(),
        "time_us": record.time_us,
        "mono_ms": record.mono_ms,
        **numbers,
    }


def _logs(data: Path) -> dict[str, object]:
    try:
        reader = LogReader.open(data)
        try:
            epochs = [
                {
                    "gate": one.gate,
                    "epoch": f"{one.epoch:016x}",
                    "last": one.last_seq,
                    "pruned": one.pruned_seq,
                }
                for one in reader.epochs()
            ]
            cursors = [
                {"peer": one.peer, "gate": one.gate, "epoch": f"{one.epoch:016x}", "acked": one.acked_seq}
                for one in reader.cursors()
            ]
            return {"epochs": epochs, "cursors": cursors, "forks": len(reader.forks())}
        finally:
            reader.close()
    except StoreFault as fault:
        return {"fault": fault.kind.value}


__all__ = ["bundle", "scrub"]
