"""Bugs of what a plan has a gate do at a moment of the night."""

from typing import Any

from edge import timetable
from edge.timetable import Timetable
from tests.sim.planted import Broken, Bug, instead


def _own_clock(_right: Any) -> object:
    def believed_s(self: Timetable) -> int:
        return int(self._clock.now_us() // 1_000_000)

    return believed_s


def _first_look_only(right: Any) -> object:
    def keep_looked(self: Timetable, looked: Any) -> None:
        if self._looked is None:
            right(self, looked)
        self._looked = looked

    return keep_looked


_NONE_IS_OURS = Broken(Timetable, "_was_reset", instead(lambda *_: False))


BUGS_OF_NIGHTS = {
    "night-by-any-clock": Bug(
        "a hall is emptied by a clock that somebody set", (Broken(Timetable, "_believed_s", _own_clock),), seed=17),
    "night-again-after-restart": Bug(
        "a hall that was emptied is emptied again after a start",
        (Broken(Timetable, "_keep_looked", _first_look_only), _NONE_IS_OURS), seed=28),
    "night-again-when-set-back": Bug(
        "a clock that is set back empties a hall again",
        (Broken(timetable, "looked_on", instead(lambda _, now_s: now_s)), _NONE_IS_OURS), seed=39),
    "night-missed": Bug("no plan empties a hall", (Broken(timetable, "resets_due", instead(lambda *_: {})),), seed=17),
}  # fmt: skip
