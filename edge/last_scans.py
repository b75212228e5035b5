"""The last scans as the page shows them: what was answered, and what became of it; also those of earlier runs."""

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from admission.ids import Epoch, RecordId
from admission.reasons import Line
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    MalformedRecord,
    Outcome,
    Record,
    record_from_bytes,
    stored_us,
    unpack_record_ids,
)
from edge.link import ASKED, BY_HAND, CHECK_IN, STORED, After, Seen
from edge.store.log_schema import StoredRecord

ROWS_MAX = 100
"""Last scans on the page; more belong in an export."""
RECALLED_MAX = 600
"""Records looked at when a gate starts: some 100 scans with their passages and heads, 5 ms of a Pi's time."""
_AFTER = {Kind.PASSAGE: After.PASSED, Kind.LATE_PASSAGE: After.LATE, Kind.GIVE_BACK: After.GIVEN_BACK}
_ORDER = tuple(After)
_ANSWERS = frozenset({Kind.SCAN, Kind.STORED, Kind.OVERRIDE, Kind.BIND})


def asked_at(kind: Kind, reader: int, flags: Flag) -> bool:
    """Whether a record is of a request to exit: readers count from 1, and this was at none, nor is it a count of many."""
    return kind is Kind.SCAN and not reader and not flags & Flag.REPEATED


def after_of(kind: Kind, flags: Flag) -> After:
    """Return what a record about somebody who was let through says became of them."""
    found = _AFTER.get(kind, After.NOTHING)
    return After.ASSUMED if found is After.PASSED and flags & Flag.ASSUMED else found


_KINDS = {Kind.OVERRIDE: BY_HAND, Kind.STORED: STORED, Kind.BIND: CHECK_IN}


class LastScans:
    """Rows of one gate, newest first."""

    def __init__(self) -> None:
        self.answers: deque[Seen] = deque(maxlen=ROWS_MAX)
        """What this run answered; a presentation that waited stands there twice."""
        self._earlier: deque[Seen] = deque(maxlen=ROWS_MAX)

    @property
    def rows(self) -> tuple[Seen, ...]:
        """Return each row as it stands now."""
        rows: dict[tuple[int, int, int], Seen] = {}
        for seen in (*self.answers, *self._earlier):
            rows.setdefault((seen.epoch, seen.lane, seen.row), seen)
        return tuple(rows.values())[:ROWS_MAX]

    def became(self, epoch: Epoch, seq: int, after: After) -> Seen | None:
        """Note what became of the one that record `seq` of `epoch` let through; return the row if it changed."""
        for rows in (self.answers, self._earlier):
            for at, seen in enumerate(rows):
                if (seen.epoch, seen.seq) == (epoch, seq):
                    rows[at] = changed = became(seen, after)
                    return None if changed is seen else changed
        return None

    def recall(self, newest: Iterable[StoredRecord]) -> None:
        """Take over what earlier runs left in the log; `newest`: the gate's last records, newest first."""
        fates: dict[RecordId, After] = {}
        named: list[RecordId] = []
        for stored, record in _read(newest):
            if isinstance(record, ExtensionRecord):
                # Newest first: what a body names comes before it.
                named += unpack_record_ids(record.payload) if record.type is Extension.OBSERVED else ()
                continue
            if record.kind is Kind.ANNUL:
                fates.update(dict.fromkeys(named, After.ANNULLED))
            elif record.ref and (after := after_of(record.kind, record.flags)) is not After.NOTHING:
                name = RecordId(stored.gate, stored.epoch, record.ref)
                fates[name] = max(after, fates.get(name, After.NOTHING), key=_ORDER.index)
            elif (
                record.kind in _ANSWERS
                and not record.flags & Flag.REPEATED
                and (record.kind is not Kind.BIND or record.ticket is not None)
            ):
                name = RecordId(stored.gate, stored.epoch, stored.seq)
                self._earlier.append(became(_seen(stored.epoch, record), fates.get(name, After.NOTHING)))
            named.clear()


def _read(blobs: Iterable[StoredRecord]) -> Iterator[tuple[StoredRecord, Record | ExtensionRecord]]:
    """Yield what is a record; `verify` tells of what is none."""
    for stored in blobs:
        try:
            yield stored, record_from_bytes(stored.blob)
        except MalformedRecord:
            continue


def _seen(epoch: Epoch, record: Record) -> Seen:
    """Return the row of what somebody was answered, of an override or of what a check-in station bound."""
    is_bind = record.kind is Kind.BIND
    return Seen(
        seq=record.seq,
        time_s=(stored_us(record) if record.kind is Kind.STORED else record.time_us) / 1e6,
        lane=record.lane,
        reader=record.reader,
        direction=record.direction,
        kind=ASKED if asked_at(record.kind, record.reader, record.flags) else _KINDS.get(record.kind, ""),
        outcome=Outcome.GRANT if is_bind else record.outcome,
        reason=record.reason,
        flags=int(record.flags),
        ticket="" if record.ticket is None else str(record.ticket[1]),
        epoch=epoch,
        row=record.seq,
        line=Line.BOUND if is_bind else "",
    )


def became(seen: Seen, after: After) -> Seen:
    """Return a row with what became of it; what is further on stays."""
    left_unpulsed = seen.direction == Direction.EXIT and seen.flags & Flag.NO_PULSE
    if _ORDER.index(after) <= _ORDER.index(seen.after) or (left_unpulsed and after is After.GIVEN_BACK):
        return seen  # an exit without a pulse counts as gone, also where no passage was seen
    return msgspec.structs.replace(seen, after=after)
