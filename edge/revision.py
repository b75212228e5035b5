"""Presence made to fit once a clock is known: what was recorded before it was set lies where it belongs from then on.

What a log says stays as it is; only the times that presence goes by are corrected (`admission.corrected`), slice by slice
beside the scans. Which logs are not done yet is kept with the records that ask for it, so that a crash leaves none.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import NoReturn

import msgspec

from admission.corrected import EpochTime, is_believed, mark_of, reaches_back
from admission.ids import Epoch, GateId
from admission.observed import PresenceRow, Reset, reset_of, rows_of, tag_rows_of
from admission.records import FORMAT, ExtensionRecord, Kind, MalformedRecord, Record, record_from_bytes
from edge.gate import Gate
from edge.memory import bodies
from edge.store.faults import StoreFault
from edge.store.log_reader import LogReader
from edge.store.log_schema import REVISED_KEY, Batch, EpochRow

SLICE_ROWS = 64
"""Rows handed to the writer at once: some 0.3 ms of the loop, between two turns of it."""
FLUSH_RECORDS = 1024
"""Of so many the rows are on the disk before more are read: a card that is slow holds nothing up but this."""
SAVED_S = 5.0
"""Longest wait for the disk before it is tried again."""
AGAIN_S = 2.0
_CLOCK_STEP = bytes((FORMAT, Kind.CLOCK_STEP))
"""What a record that may tell when those before it were made begins with."""

Log = tuple[GateId, Epoch]

log = logging.getLogger("edge.revision")


class Revision:
    """Corrects what is known of logs whose clock was set. `run` for ever; `look` at whatever is appended."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._due: dict[Log, None] = dict.fromkeys(due_of(gate.reader))
        self._asked = asyncio.Event()
        if self._due:
            self._asked.set()

    def look(self, log_: Log, blobs: Iterable[bytes]) -> tuple[tuple[str, bytes], ...]:
        """See whether records of a log set its clock; returns what is to be kept in one commit with them."""
        steps = [
            one for one in blobs if one[:2] == _CLOCK_STEP
        ]  # all others of a neighbour's day are not read for it
        return self.ask(log_) if any(map(_may_reach_back, steps)) else ()

    def ask(self, log_: Log) -> tuple[tuple[str, bytes], ...]:
        """Correct a log by and by, if it needs it; returns what is to be kept of that, before what asks for it or with it."""
        self._due[log_] = None
        self._asked.set()
        return ((REVISED_KEY, _packed(self._due)),)

    async def run(self) -> NoReturn:
        """Correct one log after the other, as they are asked for."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            for one in tuple(self._due):
                try:
                    done = await self._gate.journal.saved(SAVED_S) and await self._correct(one)
                except StoreFault as fault:
                    self._gate.unreadable(fault)
                    done = False
                if done:
                    del self._due[one]
                    self._gate.journal.keep(REVISED_KEY, _packed(self._due))
            if self._due:
                await asyncio.sleep(AGAIN_S)
                self._asked.set()

    async def _correct(self, log_: Log) -> bool:
        """Place what a log recorded before its clock was set; whether that is done, durably."""
        gate = self._gate
        epoch = next((one for one in gate.reader.epochs() if (one.gate, one.epoch) == log_), None)
        first = None if epoch is None else await self._first_believed(epoch)
        if epoch is None or first is None or not reaches_back(first):
            return True
        mark = mark_of(first)
        rows: list[PresenceRow] = []
        resets: list[Reset] = []
        count = 0
        for body, extensions in bodies(gate.reader, epoch):
            if body.seq >= first.seq:
                break
            at = (*log_, body, extensions, EpochTime(back=mark).place(body))
            rows.extend((*rows_of(*at), *tag_rows_of(*at)))
            reset = reset_of(*at)
            resets.extend(() if reset is None else (reset,))
            count += 1
            if count % SLICE_ROWS == 0:
                self._hand_over(rows, resets)
                rows, resets = [], []
                await asyncio.sleep(0)
            if count % FLUSH_RECORDS == 0 and not await gate.journal.saved(SAVED_S):
                return False
        self._hand_over(rows, resets)
        if not await gate.journal.saved(SAVED_S):
            return False
        gate.memory.rezone(gate.judge.venue.zones)
        gate.changed()
        log.info("records from before the clock was set lie where they belong", extra={"records": count})
        return True

    async def _first_believed(self, epoch: EpochRow) -> Record | None:
        for count, (body, _) in enumerate(bodies(self._gate.reader, epoch)):
            if is_believed(body):
                return body
            if count % SLICE_ROWS == 0:
                await asyncio.sleep(0)
        return None

    def _hand_over(self, rows: Sequence[PresenceRow], resets: Sequence[Reset]) -> None:
        if rows or resets:
            self._gate.journal.carry(Batch(0, presence=tuple(rows), resets=tuple(resets)), urgent=False)


def due_of(reader: LogReader) -> tuple[Log, ...]:
    """Return the logs whose presence is not corrected yet. StoreFault as the disk says."""
    kept = reader.meta(REVISED_KEY)
    return msgspec.msgpack.decode(kept, type=tuple[Log, ...]) if kept else ()


def _packed(due: Iterable[Log]) -> bytes:
    return msgspec.msgpack.encode(tuple(due))


def _may_reach_back(blob: bytes) -> bool:
    try:
        record = record_from_bytes(blob)
    except MalformedRecord:
        return False
    return not isinstance(record, ExtensionRecord) and reaches_back(record)
