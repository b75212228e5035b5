"""One turn of the arm: from the reservation to the passage, or to its being given back.

Rule 1: what a turn does next stands in `TRANSITIONS`, nowhere else. A (phase, signal) pair that is not there is
nonsense, late or said twice: the turn ignores it.
Rule 2: the table knows no events and no clock. `admission.lane_machine` translates what comes in to signals, and
carries out the acts.

A turn holds one reservation per person (a group: several). Where an act uses one up and others are left, `WITH_MORE`, or
`TOGETHER` where all walk through one opening, says the phase instead of the table. Every reservation is used up by exactly one COMMIT, ASSUME or GIVE_BACK, or is
annulled; LATE takes back a GIVE_BACK. WITHDRAW is a GIVE_BACK because another gate reserved the same use.

    SAVING ──SAVED──> QUEUED ──CLEAR──> OPENING ──PULSED──> WINDOW ──WALKED──> PASSED ──OVER──> ENDED
                        │ UNPULSED ─────────────────────────>│ └──OVER──> GRACE ──WALKED──> PASSED
                        └── BARRED ──> ENDED (given back)    └──UNSEEN──> ENDED (assumed)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import Final

from admission.entitlements import Mode
from admission.ids import ReaderId, SessionId
from admission.question import Verdict
from admission.records import NOBODY, Direction, Flag


class Phase(IntEnum):
    """Where a turn stands."""

    SAVING = auto()  # written, not yet durable
    QUEUED = auto()  # durable; the arm is not free yet, or the next of a group is due
    OPENING = auto()  # the relay is commanded, no answer yet
    WINDOW = auto()  # the arm is open
    GRACE = auto()  # given back; a passage still commits it after all
    PASSED = auto()  # all went through; one more passage is on their backs
    ENDED = auto()


class Signal(IntEnum):
    """What happens to a turn."""

    SAVED = auto()  # its records are durable, or policy says go on without
    UNSAVED = auto()  # the disk took nothing, or never answered
    CLEAR = auto()  # the arm is free for it
    UNPULSED = auto()  # it goes on, and there is nothing to command
    PULSED = auto()
    DEAD = auto()  # the relay could not be commanded
    WALKED = auto()  # a passage of its direction that is its own
    TRIED = auto()  # a passage during a test pulse
    OVER = auto()  # its time is over
    UNSEEN = auto()  # its window is over, and no sensor could have seen the passage
    BARRED = auto()  # the lane may not let it in any more: READY dropped, closed
    ALARM = auto()  # fire or emergency
    ANNULLED = auto()  # staff took its last reservation back
    OUTDONE = auto()  # another gate reserved the same use, and ours gives way


class Act(IntEnum):
    """What the lane does at a transition."""

    NOTHING = auto()
    QUEUE = auto()
    RELEASE = auto()
    WATCH = auto()  # the window starts
    COMMIT = auto()
    ASSUME = auto()
    GIVE_BACK = auto()  # all that is left; the grace starts
    LATE = auto()
    TAILGATE = auto()
    TRY = auto()
    WITHHOLD = auto()
    WITHDRAW = auto()  # given back, and the release taken back


TRANSITIONS: Final[Mapping[Phase, Mapping[Signal, tuple[Act, Phase]]]] = {
    Phase.SAVING: {
        Signal.SAVED: (Act.QUEUE, Phase.QUEUED),
        Signal.UNSAVED: (Act.GIVE_BACK, Phase.ENDED),
        Signal.OVER: (Act.GIVE_BACK, Phase.ENDED),
        Signal.BARRED: (Act.GIVE_BACK, Phase.ENDED),
        Signal.ALARM: (Act.GIVE_BACK, Phase.ENDED),
        Signal.ANNULLED: (Act.NOTHING, Phase.ENDED),
        Signal.OUTDONE: (Act.WITHDRAW, Phase.ENDED),
    },
    Phase.QUEUED: {
        Signal.CLEAR: (Act.RELEASE, Phase.OPENING),
        Signal.UNPULSED: (Act.WATCH, Phase.WINDOW),
        Signal.OVER: (Act.GIVE_BACK, Phase.ENDED),
        Signal.BARRED: (Act.GIVE_BACK, Phase.ENDED),
        Signal.ALARM: (Act.GIVE_BACK, Phase.ENDED),
        Signal.ANNULLED: (Act.NOTHING, Phase.ENDED),
        Signal.OUTDONE: (Act.WITHDRAW, Phase.ENDED),
    },
    Phase.OPENING: {
        Signal.PULSED: (Act.WATCH, Phase.WINDOW),
        # The sensor may be heard before the relay's answer: the arm was commanded, so the passage is this turn's.
        Signal.WALKED: (Act.COMMIT, Phase.PASSED),
        Signal.TRIED: (Act.TRY, Phase.OPENING),
        Signal.DEAD: (Act.GIVE_BACK, Phase.GRACE),
        # Nobody answered for the pulse: given back even without a sensor, for nothing says that the arm moved.
        Signal.OVER: (Act.GIVE_BACK, Phase.GRACE),
        Signal.UNSEEN: (Act.GIVE_BACK, Phase.GRACE),
        Signal.ALARM: (Act.GIVE_BACK, Phase.ENDED),
        Signal.ANNULLED: (Act.WITHHOLD, Phase.ENDED),
        # An arm that was opened may be walked through all the same: that is a late passage, and a double that is told.
        Signal.OUTDONE: (Act.WITHDRAW, Phase.GRACE),
    },
    Phase.WINDOW: {
        Signal.WALKED: (Act.COMMIT, Phase.PASSED),
        Signal.TRIED: (Act.TRY, Phase.WINDOW),
        Signal.DEAD: (Act.GIVE_BACK, Phase.GRACE),
        Signal.OVER: (Act.GIVE_BACK, Phase.GRACE),
        Signal.UNSEEN: (Act.ASSUME, Phase.ENDED),
        Signal.ALARM: (Act.GIVE_BACK, Phase.ENDED),
        Signal.ANNULLED: (Act.WITHHOLD, Phase.ENDED),
        Signal.OUTDONE: (Act.WITHDRAW, Phase.GRACE),
    },
    Phase.GRACE: {
        Signal.WALKED: (Act.LATE, Phase.PASSED),
        Signal.TRIED: (Act.TRY, Phase.GRACE),
        Signal.OVER: (Act.NOTHING, Phase.ENDED),
        # "No use burned": who goes in during an alarm does not commit what was given back.
        Signal.ALARM: (Act.NOTHING, Phase.ENDED),
        Signal.ANNULLED: (Act.NOTHING, Phase.ENDED),
    },
    Phase.PASSED: {
        Signal.WALKED: (Act.TAILGATE, Phase.PASSED),
        Signal.OVER: (Act.NOTHING, Phase.ENDED),
        Signal.ALARM: (Act.NOTHING, Phase.ENDED),
    },
    Phase.ENDED: {},
}

WITH_MORE: Final[Mapping[Act, Phase]] = {
    # A turnstile's pulse lets one person through: each of a group gets a pulse and a window of their own.
    Act.COMMIT: Phase.QUEUED,
    Act.ASSUME: Phase.QUEUED,
    Act.LATE: Phase.GRACE,
}

TOGETHER: Final[Mapping[Act, Phase]] = {
    # A swing gate stays open for its whole hold: a wheelchair and who comes with it walk through one opening.
    Act.COMMIT: Phase.WINDOW,
    Act.ASSUME: Phase.WINDOW,
    Act.LATE: Phase.GRACE,
}

HOLDING: Final = frozenset((Phase.SAVING, Phase.QUEUED, Phase.OPENING, Phase.WINDOW))
"""Phases in which a turn keeps the arm from others."""
UNRELEASED: Final = frozenset((Phase.SAVING, Phase.QUEUED))
OPEN: Final = frozenset((Phase.OPENING, Phase.WINDOW))


@dataclass(slots=True)
class Turn:
    """One use of the arm. `tokens`: the open reservations' Writes, the next to pass first."""

    direction: Direction
    tokens: list[int]
    phase: Phase
    deadline_ms: int
    line: int | None
    reader: ReaderId = ReaderId(0)
    subject: bytes = NOBODY
    flags: Flag = Flag.NONE
    """What every record about this turn repeats: what kind of subject, and rehearsal."""
    session: SessionId = SessionId(0)
    mode: Mode = Mode.NORMAL
    verdict: Verdict | None = None
    test: bool = False
    asked: bool = False
    """By a request to exit: nobody's, and a further press begins it anew."""
    together: bool = False
    """All walk through one opening."""
    holds: bool = True
    """It keeps the arm from others; False where there is nothing to command and nothing to see."""
    last_token: int = field(default=0)
    """The last of its records: durable with it, all are."""
    first_token: int = field(default=0)
    released_token: int = field(default=0)
    """The reservation for which the relay was last commanded."""
    passed_token: int = field(default=0)
    """The reservation that was last used up by a passage."""

    def __post_init__(self) -> None:
        self.first_token, self.last_token = self.tokens[0], self.tokens[-1]

    @property
    def exit(self) -> bool:
        """Somebody's exit: never held, unlike entries and test pulses."""
        return self.direction is Direction.EXIT and not self.test
