"""Go or no-go before doors open: was every lane rehearsed since an hour of today, and does it count tickets again.

A lane is rehearsed when, in the state rehearsal, somebody was granted and passed. Read from this gate's own log.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from admission.ids import Epoch, GateId
from admission.records import Direction, Flag, Kind, MalformedRecord, Outcome, Record, record_from_bytes
from edge.board import VerdictWord, verdict
from edge.link import LaneView, Status
from edge.store.log_reader import LogReader
from edge.store.log_schema import StoredRecord

RECORDS_MAX = 10_000
"""Records looked at, newest first: rehearsal is the last thing before doors, or long ago."""
SINCE = "17:00"
"""What is asked for where nothing else is."""
_PASSED = frozenset((Kind.PASSAGE, Kind.LATE_PASSAGE))


class LaneGo(msgspec.Struct, frozen=True):
    """One lane. `code` is "" where it may go; `at_s`: when it was last rehearsed, 0 where it was not."""

    lane: int
    code: str
    at_s: int


class Go(msgspec.Struct, frozen=True):
    """The answer: may the doors open, as far as this box can tell."""

    go: bool
    since_s: int
    lanes: tuple[LaneGo, ...]


def go(data: Path, status: Status, since_s: int) -> Go:
    """Say whether every lane may go. StoreFault where the log cannot be read."""
    reader = LogReader.open(data)
    try:
        last = rehearsals(reader.newest(GateId(status.gate), RECORDS_MAX), since_s)
    finally:
        reader.close()
    lanes = tuple(LaneGo(one.id, _lacks(one, last), last.get(_way(one), 0)) for one in status.lanes)
    is_able = verdict(status.tiles).word is not VerdictWord.NOT_READY
    return Go(is_able and bool(lanes) and not any(one.code for one in lanes), since_s, lanes)


def rehearsals(newest: Iterable[StoredRecord], since_s: int) -> dict[tuple[int, Direction], int]:
    """Return by lane and direction when somebody last passed in rehearsal, of records newest first."""
    passed: set[tuple[Epoch, int]] = set()
    found: dict[tuple[int, Direction], int] = {}
    for stored in newest:
        try:
            record = record_from_bytes(stored.blob)
        except MalformedRecord:
            continue
        if not isinstance(record, Record):
            continue
        if record.kind in _PASSED:
            passed.add((stored.epoch, record.ref))
        granted = record.kind is Kind.SCAN and record.outcome is Outcome.GRANT
        is_rehearsed = granted and record.flags & Flag.REHEARSAL and (stored.epoch, record.seq) in passed
        if is_rehearsed and record.time_us >= since_s * 1_000_000:
            found.setdefault((record.lane, record.direction), record.time_us // 1_000_000)
    return found


def since(text: str, now_s: float) -> int:
    """Return when it last was so late in the day, by this box's time zone. ValueError for what is no hour."""
    hour, minute = map(int, text.split(":"))
    if not (0 <= hour < 24 and 0 <= minute < 60):
        raise ValueError("no such hour")
    year, month, day = time.localtime(now_s)[:3]
    # mktime finds the day before the first, and whether summer time holds.
    today, before = (
        int(time.mktime((year, month, day - back, hour, minute, 0, 0, 0, -1))) for back in (0, 1)
    )
    return today if today <= now_s else before


def _way(lane: LaneView) -> tuple[int, Direction]:
    """Which way must have been rehearsed: in, where the lane lets in."""
    return lane.id, Direction.ENTRY if lane.has_entry else Direction.EXIT


def _lacks(lane: LaneView, last: Mapping[tuple[int, Direction], int]) -> str:
    if _way(lane) not in last:
        return "go.not_rehearsed"
    return "go.still_rehearsal" if lane.state == "rehearsal" else ""


__all__ = ["SINCE", "Go", "LaneGo", "go", "rehearsals", "since"]
