"""What each reader of a lane is shown: re-reads of one presentation, and presentations that wait for the lane.

A re-read is the same presentation until the code was unseen for `absent_ms`, and a passage does not end it: a phone
left on the glass must not burn N. Codes are kept as digests only.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from admission.ids import ReaderId
from admission.records import Direction

CODES_MAX: Final = 32
"""Codes remembered per reader: two phones side by side alternate, a screen that flashes more is hostile anyway."""
READERS_MAX: Final = 16
"""Readers of one lane; more than a box has ports."""
WAIT_RETRY_MS: Final = 500
"""A wait for something else than this lane (an exit at another one) is asked again twice a second."""
_DIGEST_BYTES: Final = 16

Free = Callable[[ReaderId, Direction], bool]


@dataclass(slots=True)
class _Code:
    """One code before one reader."""

    seen_ms: int
    removed: bool = False


@dataclass(slots=True)
class _View:
    """One reader's codes, the oldest first, and whether the latest presentation waits."""

    codes: OrderedDict[bytes, _Code] = field(default_factory=OrderedDict)
    latest: _Code | None = None
    waits: Direction | None = None
    retry_ms: int = 0


class Presentations:
    """Times in milliseconds of one monotonic clock."""

    def __init__(self, absent_ms: int, removed_ms: int, wait_ms: int) -> None:
        self._absent_ms = absent_ms
        self._removed_ms = removed_ms
        self._wait_ms = wait_ms
        self._views: OrderedDict[ReaderId, _View] = OrderedDict()

    def read(self, reader: ReaderId, code: bytes, now_ms: int) -> bool:
        """Take one read; True for a new presentation, False for a re-read of one already judged."""
        view = self._view(reader)
        key = blake2b(code, digest_size=_DIGEST_BYTES).digest()
        known = view.codes.get(key)
        if known is not None:
            absent_ms = self._removed_ms if known.removed else self._absent_ms
            fresh = now_ms - known.seen_ms >= absent_ms
            known.seen_ms, known.removed = max(known.seen_ms, now_ms), False
            view.codes.move_to_end(key)
            if not fresh:
                return False
        else:
            known = view.codes[key] = _Code(now_ms)
            while len(view.codes) > CODES_MAX:
                view.codes.popitem(last=False)
        view.latest, view.waits = known, None
        return True

    def removed(self, reader: ReaderId, now_ms: int) -> None:
        """The reader reports that the medium left: until now it was there, and it counts as gone sooner."""
        view = self._views.get(reader)
        if view is not None and view.latest is not None:
            view.latest.seen_ms = max(view.latest.seen_ms, now_ms)
            view.latest.removed = True

    def wait(self, reader: ReaderId, direction: Direction, now_ms: int, *, lane_free: bool) -> None:
        """The latest presentation of `reader` waits; with `lane_free` for something else than this lane."""
        view = self._view(reader)
        if view.latest is None:
            view.latest = _Code(now_ms)
        view.waits = direction
        view.retry_ms = now_ms + WAIT_RETRY_MS if lane_free else now_ms

    def answered(self, reader: ReaderId) -> None:
        """The latest presentation of `reader` has its final answer."""
        view = self._views.get(reader)
        if view is not None:
            view.waits = None

    def judge_again(self, now_ms: int, free: Free) -> tuple[ReaderId, ...]:
        """Return, and forget as waiting, the readers whose latest presentation may be judged again now."""
        again: list[ReaderId] = []
        for reader, view in self._views.items():
            if view.waits is None:
                continue
            if view.latest is None or now_ms - view.latest.seen_ms > self._wait_ms:
                view.waits = None
            elif now_ms >= view.retry_ms and free(reader, view.waits):
                view.waits = None
                again.append(reader)
        return tuple(again)

    def next_ms(self, free: Free) -> int | None:
        """Return when `judge_again` may next have an answer although nothing happens at the lane."""
        return min(
            (v.retry_ms for r, v in self._views.items() if v.waits is not None and free(r, v.waits)),
            default=None,
        )

    def _view(self, reader: ReaderId) -> _View:
        view = self._views.get(reader)
        if view is None:
            view = self._views[reader] = _View()
            while len(self._views) > READERS_MAX:
                self._views.popitem(last=False)
        else:
            self._views.move_to_end(reader)
        return view
