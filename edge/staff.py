"""What each steward did by hand within the last hour: the limits of `[staff]`, also across restarts.

A steward is who they say they are: the number is typed at the page. The limit keeps one number from letting a crowd
in unnoticed; who used it stands in the log.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from enum import Enum

from admission.corrected import before, is_believed, mark_of
from admission.ids import Epoch, GateId
from admission.records import Extension, ExtensionRecord, Kind, MalformedRecord, Record, record_from_bytes
from edge.settings import StaffSettings
from edge.store.log_reader import LogReader
from edge.store.log_schema import StoredRecord

HOUR_S = 3600.0
ACTS_MAX = 4096
"""Acts of all stewards within an hour; a gate's whole staff does not come to one a second. Beyond, nothing is allowed."""
SLICE_RECORDS = 64
"""Records looked at in one go: below 1 ms, so that a scan meanwhile does not wait."""
RECALL_RECORDS_MAX = 50_000
"""Records looked at in all: more than 16 lanes make in an hour, and read within 2 s on a Pi."""


class Act(Enum):
    """What is limited."""

    OVERRIDE = Kind.OVERRIDE
    ANNUL = Kind.ANNUL
    WRITE_TAG = Kind.BIND
    """A BIND with a steward's number: who binds at a check-in station gives none."""


class StaffActs:
    """Counts acts; a person let in is one. Times are monotonic seconds."""

    def __init__(self, limits: StaffSettings, mono_s: Callable[[], float]) -> None:
        self._limits = {
            Act.OVERRIDE: limits.overrides_per_hour,
            Act.ANNUL: limits.annuls_per_hour,
            Act.WRITE_TAG: limits.tags_per_hour,
        }
        self._mono_s = mono_s
        self._acts: deque[tuple[float, Act, int]] = deque()
        self._done: Counter[tuple[Act, int]] = Counter()
        self._recalled = False
        self._recalling = asyncio.Lock()

    def refused(self, act: Act, steward: int, count: int) -> dict[str, str | int] | None:
        """Return why a steward may not do so many more now, as arguments of the sentence; None: they may."""
        self._forget()
        limit, done = self._limits[act], self._done[act, steward]
        if done + count <= limit and len(self._acts) + count <= ACTS_MAX:
            return None
        return {"steward": str(steward), "done": done, "most": limit}

    def did(self, act: Act, steward: int, count: int = 1) -> None:
        """Note what was done."""
        now_s = self._mono_s()
        self._acts.extend([(now_s, act, steward)] * count)
        self._done[act, steward] += count

    async def recall(self, reader: LogReader, gate: GateId, now_us: int) -> None:
        """Count what the log holds of the last hour; once, however often it is called. StoreFault: not done, ask again."""
        async with self._recalling:
            if self._recalled:
                return
            now_s = self._mono_s()
            found = [one async for one in _acts_of(reader, gate, now_us)]
            for age_s, act, steward in found:
                self._acts.appendleft((now_s - age_s, act, steward))
                self._done[act, steward] += 1
            self._recalled = True

    def _forget(self) -> None:
        since_s = self._mono_s() - HOUR_S
        while self._acts and self._acts[0][0] <= since_s:
            _, act, steward = self._acts.popleft()
            self._done[act, steward] -= 1
            if not self._done[act, steward]:
                del self._done[act, steward]


async def _acts_of(reader: LogReader, gate: GateId, now_us: int) -> AsyncIterator[tuple[float, Act, int]]:
    """Yield (age, act, steward) of the last hour, newest first."""
    since_us = now_us - int(HOUR_S * 1e6)
    run, later = None, None
    async for epoch, record, steward in _staff_backwards(reader, gate):
        if epoch != run:
            run, later = epoch, None
        if is_believed(record):
            later = mark_of(record)
        at_us = record.time_us if later is None else before(later, record.mono_ms)
        if at_us < since_us:
            if later is not None:
                return
            continue  # of a clock that nothing was known of, which may be years behind
        if record.kind in _KINDS and steward:
            yield max(0.0, (now_us - at_us) / 1e6), Act(record.kind), steward


_KINDS = frozenset(act.value for act in Act)


async def _staff_backwards(reader: LogReader, gate: GateId) -> AsyncIterator[tuple[Epoch, Record, int]]:
    """Yield each body of a gate's log, newest first, with its epoch and the number of the steward who did it; 0 for none."""
    steward = looked_at = 0
    own = [row for row in reader.epochs() if row.gate == gate]
    for row in sorted(own, key=lambda one: one.ordinal, reverse=True):
        last = row.last_seq
        while last > row.pruned_seq:
            first = max(row.pruned_seq, last - SLICE_RECORDS)
            for stored in reversed(reader.records(gate, row.epoch, first, last - first)):
                record = _record(stored)
                if isinstance(record, Record):
                    yield row.epoch, record, steward
                    steward = 0
                elif record is not None and record.type is Extension.STAFF:
                    steward = int.from_bytes(record.payload[:4], "big")
            last = first
            looked_at += SLICE_RECORDS
            if looked_at >= RECALL_RECORDS_MAX:
                return
            await asyncio.sleep(0)


def _record(stored: StoredRecord) -> Record | ExtensionRecord | None:
    """Read a record; None for what is none: `verify` tells of it."""
    try:
        return record_from_bytes(stored.blob)
    except MalformedRecord:
        return None
