"""Whether a reader ends its codes itself, learned from what it sends: then one that has no end was cut off. Sans-I/O.

A scanner without a suffix ends a code by silence, and so does one whose cable is pulled in the middle: behind a serial adapter
nothing else tells of it, and USB tells it later than the quiet gap is long. Half a code may be another ticket's whole one.
"""

from typing import Final

WHOLE_MIN: Final = 3
"""Codes in a row with an end of their own, each followed by silence, before one without is doubted: a visitor's code may hold a
line end, and so make a scanner without a suffix look like one that has it."""
BARE_MAX: Final = 3
"""As many in a row without an end are no accident: the scanner was set up anew, and people are trying again."""
AGAIN_NS: Final = 60_000_000_000
"""The same code without an end, shown again within so long, is whole where no rest came: no cable is pulled twice at the same byte.
Some scanners send a suffix with some symbologies only."""
DOUBT_LESS: Final = 4
"""Each time that a code without an end is believed, so many times more whole ones are wanted before the next one is doubted: a
scanner that ends only some of its codes is soon doubted no more, and one that was set up anew is again, later."""
WHOLE_MAX: Final = 3_000
REST_GAPS: Final = 4
"""What begins within so many gaps after a code that was cut off is its rest; nobody shows another one so soon."""


class Endings:
    """What one reader does, also when it is opened again. `gap_ns`: the quiet that ends a code. Times are the framer's."""

    def __init__(self, gap_ns: int) -> None:
        self._gap_ns = gap_ns
        self._wanted = WHOLE_MIN
        self._whole = 0
        self._bare = 0
        self._rest_until_ns = 0
        self._doubted = b""
        self._doubted_ns = 0

    def burst(self, *, ended: bool) -> None:
        """One or more codes came, and silence followed; `ended`: the last thing heard was an end."""
        self._whole = min(self._whole + 1, self._wanted) if ended else 0
        self._bare = 0

    def is_cut(self, code: bytes, now_ns: int) -> bool:
        """Whether a code that silence ended was cut off."""
        if self._whole < self._wanted:
            self._whole = 0
            return False
        self._bare += 1
        again = code == self._doubted and now_ns - self._doubted_ns < AGAIN_NS
        if again or self._bare >= BARE_MAX:
            self._whole = self._bare = 0
            self._wanted = min(self._wanted * DOUBT_LESS, WHOLE_MAX)
            return False
        self._doubted, self._doubted_ns = code, now_ns
        self._rest_until_ns = now_ns + REST_GAPS * self._gap_ns
        return True

    def is_rest(self, now_ns: int) -> bool:
        """Whether what begins now is the rest of a code that was cut off."""
        rest = now_ns < self._rest_until_ns
        if rest:
            # It was cut off for certain: a line that stalls does so again and again, and at the same byte.
            self._bare, self._doubted = 0, b""
        return rest
