"""Corrected time: when records were made whose clock was not to be believed then, but is known by now.

The wall clock of a box without a battery may say any year until something sets it; the monotonic clock of its epoch tells
how long ago a record was made all the same. So, body by body in the order of one epoch's log:

* A body whose clock was believed (`Trust.RTC` or better) was made when it says.
* Any other was made as long after the last believed body before it as the monotonic clock says.
* Where none came before it: as long before the epoch's first believed body, if that is a CLOCK_STEP. A first believed body
  of any other kind says that the clock was right all along, since whoever moves it records that first.
* Until then it was made when it says.
* A STORED body lies where the device says that the code was read, whatever the gate's clocks said when it was handed over.

All of it follows from the bodies up to the first believed one and those after it alone: whoever holds the same prefix
places the same, in whatever pieces it came, and what was placed by a believed body is never placed anew.
"""

from collections.abc import Iterable, Iterator

import msgspec

from admission.records import Kind, Record, Trust, stored_us

_STORED = Kind.STORED
_MONO_MASK = 2**32 - 1
"""mono_ms wraps after 49.7 days: two bodies of one epoch are held to lie closer together."""


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A moment by both clocks of an epoch: microseconds since 1970, and the low 32 bits of its milliseconds."""

    time_us: int
    mono_ms: int


def is_believed(body: Record) -> bool:
    """Whether the clock that gave a body its time was to be believed."""
    return body.trust >= Trust.RTC


def mark_of(body: Record) -> Mark:
    """Return when a body was made by both clocks."""
    return Mark(body.time_us, body.mono_ms)


def after(mark: Mark, mono_ms: int) -> int:
    """Return the time (us) of a body made after a mark."""
    return mark.time_us + (mono_ms - mark.mono_ms & _MONO_MASK) * 1000


def before(mark: Mark, mono_ms: int) -> int:
    """Return the time (us) of a body made before a mark."""
    return mark.time_us - (mark.mono_ms - mono_ms & _MONO_MASK) * 1000


def reaches_back(body: Record) -> bool:
    """Whether a body, if it is the first believed one of its epoch, tells when those before it were made."""
    return body.kind is Kind.CLOCK_STEP and is_believed(body)


class EpochTime:
    """Corrected time of one epoch's bodies as they come, in order.

    `mark`: the last believed one before them; `back`: the first believed one after them, where it `reaches_back`; each
    None where it is not known, or there is none.
    """

    __slots__ = ("back", "mark")

    def __init__(self, mark: Mark | None = None, back: Mark | None = None) -> None:
        self.mark, self.back = mark, back

    def place(self, body: Record) -> int:
        """Return the corrected time (us) of the next body. What was placed before `revises(body)` is to be placed anew."""
        if body.trust >= Trust.RTC:
            self.mark = Mark(body.time_us, body.mono_ms)
            return body.time_us if body.kind is not _STORED else stored_us(body)
        if body.kind is _STORED:
            return stored_us(body)
        if self.mark is not None:
            return after(self.mark, body.mono_ms)
        return body.time_us if self.back is None else before(self.back, body.mono_ms)

    def revises(self, body: Record) -> bool:
        """Whether the next body tells when those before it were made; ask before `place`."""
        return self.mark is None and body.kind is Kind.CLOCK_STEP and body.trust >= Trust.RTC


def placed(bodies: Iterable[Record], mark: Mark | None = None) -> Iterator[tuple[Record, int]]:
    """Yield bodies of one epoch, in order, with their corrected times, as all of them together say."""
    epoch = EpochTime(mark)
    waiting: list[Record] = []
    for body in bodies:
        if epoch.mark is None and not is_believed(body):
            waiting.append(body)
            continue
        if waiting:
            yield from _back(waiting, body)
            waiting = []
        yield body, epoch.place(body)
    yield from ((one, EpochTime().place(one)) for one in waiting)


def _back(waiting: Iterable[Record], first: Record) -> Iterator[tuple[Record, int]]:
    mark = mark_of(first) if reaches_back(first) else None
    for one in waiting:
        yield one, EpochTime(back=mark).place(one)
