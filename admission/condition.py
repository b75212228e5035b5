"""What a lane is allowed and able to do now, what it has counted, and what one event makes it do."""

from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from admission.ids import ReaderId
from admission.lane import LaneEffect, LaneState, Show, Write
from admission.question import Verdict
from admission.reasons import Language, Reason, say
from admission.records import Direction, Flag, Outcome

REFUSED: Final = Verdict(Outcome.DENY, Reason.NOT_READY)
_ADMITTING: Final = frozenset((LaneState.CONTROLLED, LaneState.FREE_EXIT, LaneState.REHEARSAL))
_FREE_IN: Final = frozenset((LaneState.FREE_BOTH, LaneState.EMERGENCY))
_FREE_OUT: Final = _FREE_IN | {LaneState.FREE_EXIT}
_UNPULSED_OUT: Final = frozenset((LaneState.OUT_OF_SERVICE, LaneState.EMERGENCY))


@dataclass(slots=True)
class Counters:
    """Passages of one direction since the start; all but `passages` and `assumed` add up to `passages`."""

    passages: int = 0
    committed: int = 0
    late: int = 0
    intrusions: int = 0
    tailgates: int = 0
    free: int = 0
    tested: int = 0
    assumed: int = 0
    """Committed without a sensor: no passage was seen."""


@dataclass(slots=True)
class Condition:
    """What the lane is allowed and able to do now."""

    state: LaneState
    ready: bool = False
    fire: bool = False
    """Latched."""
    sensors: bool = True
    """The board of the passage contacts is there."""

    @property
    def alarm(self) -> bool:
        """Everybody shall leave."""
        return self.fire or self.state is LaneState.EMERGENCY

    @property
    def opens(self) -> bool:
        """Whether the lane state lets anybody in by a scan."""
        return self.state in _ADMITTING

    @property
    def admits(self) -> bool:
        """Whether an entry may be granted, and its arm released."""
        return self.opens and self.ready and not self.alarm

    @property
    def pulses_exits(self) -> bool:
        """Whether an exit moves the arm, or is only recorded."""
        return self.ready and not self.alarm and self.state not in _UNPULSED_OUT

    @property
    def rehearsal(self) -> Flag:
        """What every record about people carries now."""
        return Flag.REHEARSAL if self.state is LaneState.REHEARSAL else Flag.NONE

    def free(self, direction: Direction) -> bool:
        """Whether people may pass that way without a scan."""
        return self.fire or self.state in (_FREE_IN if direction is Direction.ENTRY else _FREE_OUT)


@dataclass(slots=True)
class Outbox:
    """Effects of one event in order; numbers the records."""

    effects: list[LaneEffect] = field(default_factory=list)
    token: int = 0

    def write(self, write: Write) -> int:
        """Add a record under the next token."""
        self.token += 1
        self.effects.append(replace(write, token=self.token))
        return self.token

    def add(self, effect: LaneEffect) -> None:
        """Add anything but a record."""
        self.effects.append(effect)

    def show(self, reader: ReaderId, verdict: Verdict) -> None:
        """Add the showing of a verdict."""
        saying = say(verdict.outcome, verdict.reason, Language.EN, direction=verdict.direction)
        self.effects.append(Show(saying.display, reader, verdict))

    def take(self) -> tuple[LaneEffect, ...]:
        """Return what has come together, and begin anew."""
        out, self.effects = tuple(self.effects), []
        return out
