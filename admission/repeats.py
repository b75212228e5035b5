"""Repeats of one record, counted instead of written: a babbling reader or a chattering contact wears out no card.

Two limits together. *The same again*: a bad code denied again within a minute is counted, and the count is written
once a minute. *A ration*: however many different codes come, records come at `burst`, then one per `refill_ms`; what is
beyond is counted by kind and reason and written as one record every `flush_ms`. A denial costs no more than about one
record a second for ever: 1 per 2 s by ration, 32 counts and 8 overflow counts a minute.
Every repeat is in some count: nothing is dropped unsaid. Records given back have token 0; the lane numbers them.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from admission.ids import ReaderId, SessionId
from admission.lane import Write
from admission.records import NOBODY, Flag

CODES_MAX: Final = 32
"""Bad codes remembered per lane; a flashing screen shows more, and meets the ration."""
OVERFLOWS_MAX: Final = 8
"""Kinds of overflow counted apart; any further kind counts into the oldest."""
DATA_MAX: Final = 2**32 - 1
"""`data` is a u32 in the record; a count stops there."""


@dataclass(slots=True)
class _Counted:
    """A record that was written, and what came after it."""

    write: Write
    since_ms: int
    more: int = 0


class Repeats:
    """One lane's counts. Milliseconds."""

    def __init__(self, burst: int, refill_ms: int, flush_ms: int) -> None:
        self._refill_ms = refill_ms
        self._slack_ms = burst * refill_ms
        self._flush_ms = flush_ms
        self._spent_until_ms = 0
        self._codes: OrderedDict[Write, _Counted] = OrderedDict()
        self._overflow: OrderedDict[Write, _Counted] = OrderedDict()

    def coalesce(self, write: Write, now_ms: int) -> tuple[Write, ...]:
        """Take a record whose like may come again; give back what is to be written for it now."""
        out = tuple(self.due(now_ms))
        known = self._codes.get(write)
        if known is not None:
            known.more += 1
            self._codes.move_to_end(write)
            return out
        evicted = next(iter(self._codes.values())) if len(self._codes) >= CODES_MAX else None
        cost = 2 if evicted is not None and evicted.more else 1
        if not self._spend(cost, now_ms):
            self._count_overflow(write, now_ms)
            return out
        if evicted is not None:
            del self._codes[evicted.write]
            if evicted.more:
                out = (*out, _repeated(evicted))
        self._codes[write] = _Counted(write, now_ms)
        return (*out, write)

    def ration(self, write: Write, now_ms: int) -> tuple[Write, ...]:
        """Take a record that stands for itself; give it back unless there are too many of them."""
        if self._spend(1, now_ms):
            return (write,)
        self._count_overflow(write, now_ms)
        return ()

    def due(self, now_ms: int) -> Iterator[Write]:
        """Give back the counts whose time has come; a code not repeated is forgotten."""
        for counts in (self._codes, self._overflow):
            for key, counted in list(counts.items()):
                if now_ms - counted.since_ms < self._flush_ms:
                    continue
                if counted.more:
                    yield _repeated(counted)
                if counted.more and counts is self._codes:
                    counted.more, counted.since_ms = 0, now_ms
                else:
                    del counts[key]

    def rest(self) -> Iterator[Write]:
        """Give back every count and begin anew: the lane ends."""
        for counts in (self._codes, self._overflow):
            yield from (_repeated(counted) for counted in counts.values() if counted.more)
            counts.clear()

    @property
    def next_ms(self) -> int | None:
        """When `due` next has something to write."""
        return min(
            (
                counted.since_ms + self._flush_ms
                for counts in (self._codes, self._overflow)
                for counted in counts.values()
                if counted.more
            ),
            default=None,
        )

    def _spend(self, cost: int, now_ms: int) -> bool:
        spent_until_ms = max(self._spent_until_ms, now_ms) + cost * self._refill_ms
        if spent_until_ms - now_ms > self._slack_ms:
            return False
        self._spent_until_ms = spent_until_ms
        return True

    def _count_overflow(self, write: Write, now_ms: int) -> None:
        kept = write.flags & Flag.REHEARSAL
        bare = replace(
            write,
            reader=ReaderId(0),
            session=SessionId(0),
            flags=kept,
            subject=NOBODY,
            ref_token=0,
            extensions=(),
        )
        counted = self._overflow.get(bare)
        if counted is None and len(self._overflow) >= OVERFLOWS_MAX:
            counted = next((c for k, c in self._overflow.items() if k.flags == kept), None)
        if counted is None:
            counted = self._overflow[bare] = _Counted(bare, now_ms)
        counted.more += 1


def _repeated(counted: _Counted) -> Write:
    return replace(
        counted.write,
        flags=counted.write.flags | Flag.REPEATED,
        data=min(counted.more, DATA_MAX),
        extensions=(),
    )
