"""Repeats of one record, counted instead of written: a babbling reader or a chattering contact wears out no card.

Two limits together. *The same again*: a bad code denied again within a minute is counted, and the count is written
once a minute. *A ration*: however many different codes come, records come at `burst`, then one per `refill_ms`; what is
beyond is counted by kind and reason and written as one record every `flush_ms`. A denial costs no more than about one
record a second for ever: 1 per 2 s by ration, 32 counts and 8 overflow counts a minute.
Every repeat is in some count: nothing is dropped unsaid. Records given back have token 0; the lane numbers them.
Every scan and every contact comes through here, so a presentation looks up a key or two and walks over no counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from admission.ids import ReaderId, SessionId
from admission.lane import Write
from admission.records import NOBODY, Flag

CODES_MAX: Final = 32
"""Bad codes remembered per lane; a flashing screen shows more, and meets the ration."""
OVERFLOWS_MAX: Final = 8
"""Kinds of overflow counted apart; any further kind counts into the oldest."""
DATA_MAX: Final = 2**32 - 1
"""`data` is a u32 in the record; a count stops there."""

_REHEARSAL: Final = int(Flag.REHEARSAL)

_Key = tuple[object, ...]
"""What makes two records the same again: a plain tuple, since a `Write` takes its hash anew from every field."""


@dataclass(slots=True)
class _Counted:
    """A record that was written, and what came after it."""

    key: _Key
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
        self._codes: dict[_Key, _Counted] = {}
        """The one seen longest ago first."""
        self._overflow: dict[_Key, _Counted] = {}
        self._over_ms: int | None = None
        """No count's time is over before."""
        self._next_ms: int | None = None

    def coalesce(self, write: Write, now_ms: int) -> tuple[Write, ...]:
        """Take a record whose like may come again; give back what is to be written for it now."""
        out = self.due(now_ms)
        key = _key(write)
        known = self._codes.pop(key, None)
        if known is not None:
            self._codes[key] = known
            self._count(known)
            return out
        evicted = next(iter(self._codes.values())) if len(self._codes) >= CODES_MAX else None
        cost = 2 if evicted is not None and evicted.more else 1
        if not self._spend(cost, now_ms):
            self._count_overflow(write, now_ms)
            return out
        if evicted is not None:
            del self._codes[evicted.key]
            if evicted.more:
                out = (*out, _repeated(evicted))
                self._look_ahead()
        self._codes[key] = self._begun(key, write, now_ms)
        return (*out, write)

    def ration(self, write: Write, now_ms: int) -> tuple[Write, ...]:
        """Take a record that stands for itself; give it back unless there are too many of them."""
        if self._spend(1, now_ms):
            return (write,)
        self._count_overflow(write, now_ms)
        return ()

    def due(self, now_ms: int) -> tuple[Write, ...]:
        """Give back the counts whose time has come; a code not repeated is forgotten."""
        if self._over_ms is None or now_ms < self._over_ms:
            return ()
        out: list[Write] = []
        for counts in (self._codes, self._overflow):
            for counted in list(counts.values()):
                if now_ms - counted.since_ms < self._flush_ms:
                    continue
                if counted.more:
                    out.append(_repeated(counted))
                if counted.more and counts is self._codes:
                    counted.more, counted.since_ms = 0, now_ms
                else:
                    del counts[counted.key]
        self._look_ahead()
        return tuple(out)

    def rest(self) -> tuple[Write, ...]:
        """Give back every count and begin anew: the lane ends."""
        out = tuple(_repeated(counted) for counted in self._all() if counted.more)
        self._codes.clear()
        self._overflow.clear()
        self._look_ahead()
        return out

    @property
    def next_ms(self) -> int | None:
        """When `due` next has something to write."""
        return self._next_ms

    def _all(self) -> Iterator[_Counted]:
        yield from self._codes.values()
        yield from self._overflow.values()

    def _begun(self, key: _Key, write: Write, now_ms: int) -> _Counted:
        over_ms = now_ms + self._flush_ms
        self._over_ms = over_ms if self._over_ms is None else min(self._over_ms, over_ms)
        return _Counted(key, write, now_ms)

    def _count(self, counted: _Counted) -> None:
        counted.more += 1
        if counted.more == 1:
            over_ms = counted.since_ms + self._flush_ms
            self._next_ms = over_ms if self._next_ms is None else min(self._next_ms, over_ms)

    def _look_ahead(self) -> None:
        """Find both times anew: a count has ended."""
        over = [(counted.since_ms + self._flush_ms, counted.more) for counted in self._all()]
        self._over_ms = min((at for at, _ in over), default=None)
        self._next_ms = min((at for at, more in over if more), default=None)

    def _spend(self, cost: int, now_ms: int) -> bool:
        spent_until_ms = max(self._spent_until_ms, now_ms) + cost * self._refill_ms
        if spent_until_ms - now_ms > self._slack_ms:
            return False
        self._spent_until_ms = spent_until_ms
        return True

    def _count_overflow(self, write: Write, now_ms: int) -> None:
        kept = int(write.flags) & _REHEARSAL
        key = (
            kept, write.kind, write.direction, write.outcome, write.reason, write.data, write.urgent, write.mode,
        )  # fmt: skip
        counted = self._overflow.get(key)
        if counted is None and len(self._overflow) >= OVERFLOWS_MAX:
            counted = next((one for one in self._overflow.values() if one.write.flags == kept), None)
        if counted is None:
            bare = replace(
                write,
                token=0,
                reader=ReaderId(0),
                session=SessionId(0),
                flags=Flag(kept),
                subject=NOBODY,
                ref_token=0,
                extensions=(),
            )
            counted = self._overflow[key] = self._begun(key, bare, now_ms)
        self._count(counted)


def _key(write: Write) -> _Key:
    """Return everything of a record that has no number yet."""
    return (
        write.kind, write.direction, write.outcome, write.reason, write.reader, write.session, write.flags,
        write.subject, write.ref_token, write.data, write.extensions, write.urgent, write.mode,
    )  # fmt: skip


def _repeated(counted: _Counted) -> Write:
    return replace(
        counted.write,
        flags=counted.write.flags | Flag.REPEATED,
        data=min(counted.more, DATA_MAX),
        extensions=(),
    )
