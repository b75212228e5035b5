"""`gatehouse-edge reset`: the factory reset. The box forgets its centre, keys, lists and records."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from edge import enrolment
from edge.complaint import Complaint
from edge.store.disk import Disk, LocalDisk, hold
from edge.store.faults import FaultKind, StoreFault
from edge.store.log_reader import LogReader
from edge.store.log_schema import CENTRE

KEYS: Final = (
    "enrolment.json*", "pin*.json*", "pin*.new", "page-*.pem*", "page-*.new", "page-*.unusable", "page-*.until",
    "secrets.sealed*", "keys.signed", "keys.new", "roster.ghr", "roster.new",
)  # fmt: skip
LISTS: Final = (
    "list*.sqlite3*", "snapshot.ghs*", "changes.kept*", "settings.kept*", "uplink_bytes.json", "uplink_bytes.new",
)  # fmt: skip
"""What the centre gave, also as it was signed for neighbours, and what is counted of the link to it."""
LOGS: Final = ("log", "log.salvaged", "log.aside-*", "log.reserve", "lane.sock")
READER_KEYS: Final = ("*.key", "*.key.new*")
"""Those that OSDP readers hold too, also as they were being given."""
LOCK: Final = "log.lock"
"""The last to go: who holds it keeps every daemon out."""


class ReaderKeys(Enum):
    """What becomes of the keys of OSDP readers. No reader can be relied on to take the specification's key back over the wire."""

    KEEP = "keep"
    """The box stays at its readers: a commissioning finds them again by these."""
    LOSE = "lose"
    """The box goes to others: each reader is reset with its maker's tool, and given another key then."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What is gone, and what else lies in the data folder, which is not ours to delete."""

    removed: tuple[str, ...]
    left: tuple[str, ...]


def reset(
    data: Path, *, lose_records: bool, reader_keys: ReaderKeys | None = None, disk: Disk | None = None
) -> Forgotten:
    """Delete all that makes this box a certain gate. Power may fail at any point: run it again.

    Complaint where there are records that the centre has not acknowledged, or that cannot be counted, unless
    `lose_records`, and where there are keys of readers and `reader_keys` is None; StoreFault HELD while a daemon runs.
    """
    disk = disk or LocalDisk()
    if not data.is_dir():
        raise Complaint(f"there is no data folder {data}", "Name the right one with --data or --config.")
    lock = hold(disk, data / LOCK)
    try:
        if not lose_records:
            _refuse_while_unsent(data)
        if reader_keys is None:
            _refuse_unless_chosen(data)
        removed = []
        # Keys first: with keys and without its log this box would go on as the same gate and look like a clone.
        lost = READER_KEYS if reader_keys is ReaderKeys.LOSE else ()
        for patterns in (KEYS, lost, LISTS, LOGS, (LOCK,)):
            for path in _matching(data, patterns):
                disk.remove(path)
                removed.append(path.name)
            disk.sync_folder(data)
    except OSError as error:
        hint = "Run the reset again as the gate's user or as root; a card that refuses must be destroyed."
        raise Complaint(f"{data} cannot be emptied: {error.strerror}", hint) from error
    finally:
        os.close(lock)
    return Forgotten(tuple(removed), tuple(sorted(path.name for path in data.iterdir())))


def unsent(data: Path) -> int:
    """Return how many records of this gate the centre has not acknowledged. StoreFault where it cannot be told."""
    try:
        reader = LogReader.open(data)
    except StoreFault as fault:
        if fault.kind is FaultKind.MISSING:
            return 0
        raise
    try:
        own = _own_gate(data)
        acked = {(one.gate, one.epoch): one.acked_seq for one in reader.cursors() if one.peer == CENTRE}
        return sum(
            max(0, row.last_seq - max(row.pruned_seq, acked.get((row.gate, row.epoch), 0)))
            for row in reader.epochs()
            if own is None or row.gate == own
        )
    finally:
        reader.close()


def _own_gate(data: Path) -> int | None:
    """Return this gate's number; None where it is not known any more, so that every record counts."""
    try:
        return enrolment.load(data).gate
    except (enrolment.NotEnrolled, ValueError, OSError):
        return None


def _refuse_while_unsent(data: Path) -> None:
    hint = (
        "Connect the gate until all are sent, or save them by `gatehouse-edge export` and add --lose-records."
    )
    try:
        count = unsent(data)
    except StoreFault as fault:
        raise Complaint(f"unsent records cannot be counted: {fault}", hint) from fault
    if count:
        raise Complaint(f"{count} records have not reached the centre", hint)


def _refuse_unless_chosen(data: Path) -> None:
    if count := len([*_matching(data, READER_KEYS)]):
        hint = (
            "Add --keep-keys where this box stays at these readers: its page finds them again. Add --lose-keys where it goes to others:"
            " each reader then has to be reset with its maker's tool or put into install mode, and takes a new key."
        )
        raise Complaint(f"{data} holds {count} keys of OSDP readers, which have them too", hint)


def _matching(data: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(data.glob(pattern))
