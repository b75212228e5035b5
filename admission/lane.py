"""The lane machine: event in, new state and effects out. No I/O, no clock; `now_ms` is monotonic and comes in.

The shell (`edge.lane`, the simulated venue) asks `decide()`, feeds the verdict in and carries out the effects in
order. What needs durable records first comes as an effect only after `Durable` came in. The machine itself is
`admission.lane_machine`.
"""

from enum import IntEnum

import msgspec

from admission.entitlements import Mode
from admission.ids import LaneId, ReaderId, RecordId, SessionId
from admission.question import Verdict
from admission.reasons import DisplayState
from admission.records import Direction, Extension, Flag, Kind, Outcome


class LaneState(IntEnum):
    """Set by PIN, by schedule, from the centre or for a whole zone. Numbers are in records."""

    CLOSED = 0
    CONTROLLED = 1
    FREE_EXIT = 2
    FREE_BOTH = 3
    OUT_OF_SERVICE = 4
    EMERGENCY = 5
    REHEARSAL = 6


class LaneConfig(msgspec.Struct, frozen=True, gc=False):
    """One lane's lengths and wiring. Milliseconds."""

    lane: LaneId
    entry_line: int | None
    """Relay line that releases the arm inwards; None where the lane has no such barrier."""
    exit_line: int | None
    entry_sensor: bool
    """A passage contact for the way in is wired; without one, passage is assumed at the window's end."""
    exit_sensor: bool
    shared_path: bool = True
    """Both ways use the same arm: one passage at a time."""
    hold_ms: int = 5000
    hold_margin_ms: int = 1500
    pulse_ms: int = 300
    grace_ms: int = 3000
    absent_ms: int = 2000
    """A code unseen for so long is a new presentation when it comes again."""
    removed_ms: int = 500
    """The same, where the reader reported that the medium left."""
    wait_ms: int = 3000
    """A waiting presentation is judged again if it was last seen no longer ago."""
    together: bool = False
    """A few walk through one opening (a swing gate), not each through one of their own; larger groups do that."""
    door_counts: bool = False
    """The door's contact stands for passage contacts: who opens it after a grant, or a request to exit, has passed."""
    held_ms: int = 20_000
    """A door that is open for longer is told: staff shall look (Keri Systems' default of its door open time)."""


# --- events -----------------------------------------------------------------------------------------------------


class Judged(msgspec.Struct, frozen=True, gc=False):
    """`decide()` has answered a fresh presentation. `subject` and `subject_flag` as records carry them."""

    reader: ReaderId
    verdict: Verdict
    subject: bytes
    subject_flag: Flag
    count: int = 1
    """People a group grant lets in; more than 1 is a steward's act."""
    mode: Mode = Mode.NORMAL
    """What the ticket was judged by (`admission.rules.mode_for`); the lane plan's where no ticket was found."""
    extensions: tuple[tuple[Extension, bytes], ...] = ()
    """What the presentation's record is to carry besides. A WAIT has no record: judged again, it is carried then."""


class StoredJudged(msgspec.Struct, frozen=True, gc=False):
    """`decide()` has answered a scan that a device stored: it is written down, and no arm moves for it.

    As `Judged`. `read_s`: when the device read it, unix seconds.
    """

    reader: ReaderId
    verdict: Verdict
    subject: bytes
    subject_flag: Flag
    read_s: int
    mode: Mode = Mode.NORMAL


class Durable(msgspec.Struct, frozen=True, gc=False):
    """Every record of effects up to and including `token` is on disk. Tokens the machine never gave mean nothing."""

    token: int


class NotDurable(msgspec.Struct, frozen=True, gc=False):
    """The disk took nothing of what was still waiting up to `token`.

    `admit`: by policy the release happens all the same. The Write is out of the machine's hands by then, so the shell,
    which keeps the record in memory, sets `Flag.BEFORE_DURABLE` on it. An exit is released in either case.
    """

    token: int
    admit: bool


class Pulsed(msgspec.Struct, frozen=True, gc=False):
    """The relay was commanded for `token` (the guard took it), or could not be (`ok` False)."""

    token: int
    ok: bool = True


class Passed(msgspec.Struct, frozen=True, gc=False):
    """A passage contact closed: somebody went through, that way."""

    direction: Direction


class DoorChanged(msgspec.Struct, frozen=True, gc=False):
    """A door's contact changed. `first`: so it was found, which tells of nobody; a door whose contact cannot be seen is shut."""

    open: bool
    first: bool = False


class Detected(msgspec.Struct, frozen=True, gc=False):
    """The turnstile's own detector: somebody crawls under, climbs over, follows closely, or comes the wrong way."""


class ExitAsked(msgspec.Struct, frozen=True, gc=False):
    """A request to exit: a button, a push bar or a motion sensor on the inside. Nobody is asked for a ticket."""


class ReadyChanged(msgspec.Struct, frozen=True, gc=False):
    """The turnstile's READY contact, or the health of the lane's own devices, changed.

    A lane starts not ready, and is so after a pulse that failed; say True at the start where no contact is wired, and
    again when the relay was reopened.
    """

    ready: bool


class SensorsChanged(msgspec.Struct, frozen=True, gc=False):
    """The board of the passage contacts went away or is back. While it is away passage is assumed, as without one."""

    seen: bool


class FireChanged(msgspec.Struct, frozen=True, gc=False):
    """The fire contact changed. Active latches until `StaffCleared`.

    `still`: the last run ended with the alarm latched; nobody was let in since, so nobody is sent out anew.
    """

    active: bool
    still: bool = False


class StaffCleared(msgspec.Struct, frozen=True, gc=False):
    """Staff cleared the fire latch."""

    steward: int


class StateSet(msgspec.Struct, frozen=True, gc=False):
    """Somebody with the right to do so set the lane's state. `steward` 0: schedule or centre."""

    state: LaneState
    steward: int = 0


class Override(msgspec.Struct, frozen=True, gc=False):
    """Staff let `count` people through without (or against) a verdict. With a ticket as subject it uses the ticket.

    `observed`: at an entry the unresolved reservations (`Tally.unresolved_ids`) these people were caught with, one each;
    with `Flag.AFTER_RESTART` each counts as one with its own. At an exit the entries it closes, as in a `Verdict`.
    Of `flags` only what `decide()` says of a grant is recorded.
    """

    steward: int
    reason: str
    direction: Direction
    subject: bytes
    subject_flag: Flag
    session: SessionId = SessionId(0)
    count: int = 1
    mode: Mode = Mode.NORMAL
    observed: tuple[RecordId, ...] = ()
    flags: Flag = Flag.NONE


class Annul(msgspec.Struct, frozen=True, gc=False):
    """Staff take an admission back: the use is free again.

    `record` is the admission; `token` its Write where this lane wrote it in this epoch, 0 where not: a reservation that
    is still open is then taken back too.
    """

    steward: int
    reason: str
    record: RecordId
    subject: bytes
    subject_flag: Flag
    direction: Direction = Direction.ENTRY
    session: SessionId = SessionId(0)
    token: int = 0
    mode: Mode = Mode.NORMAL
    also: tuple[RecordId, ...] = ()
    """What the admission stands for, and would count again without it: the reservation that a restart caught."""


class Conflict(msgspec.Struct, frozen=True, gc=False):
    """Another gate reserved the same use before it heard of ours: `token`, one of this lane's reservations, not passed yet.

    `withdraws`: it is ours that gives way (`admission.conflict`); where not, people are only told. `verdict`: what they
    are told, at both gates.
    """

    token: int
    verdict: Verdict
    withdraws: bool


class TestPulse(msgspec.Struct, frozen=True, gc=False):
    """The technician's button: each is a logged opening. Works in every lane state, never without READY or in a fire."""

    __test__ = False  # not a test class, whatever its name says to pytest

    steward: int
    direction: Direction


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Time has come to `next_deadline_ms`."""


LaneEvent = (
    Judged
    | StoredJudged
    | Durable
    | NotDurable
    | Pulsed
    | Passed
    | DoorChanged
    | Detected
    | ExitAsked
    | ReadyChanged
    | SensorsChanged
    | FireChanged
    | StaffCleared
    | StateSet
    | Override
    | Annul
    | Conflict
    | TestPulse
    | Tick
)


# --- effects ----------------------------------------------------------------------------------------------------


class Write(msgspec.Struct, frozen=True, gc=False):
    """A record to append; the shell numbers and stamps it. `ref_token` names the Write it is about.

    `extensions` follow it in the same commit. `urgent`: commit now, with the Writes before it in the same answer; else it
    rides the next group commit (<= 1 s).

    `data` by kind: LANE_STATE the new `LaneState`; FIRE a `records.Fire`, to whose alarm the shell adds what was heard; TEST_PULSE milliseconds;
    STORED the unix seconds when it was read, of which the shell makes the record's;
    with `Flag.REPEATED` how many more like it the record stands for (scans of bad codes, passages beyond the ration).
    """

    token: int
    kind: Kind
    direction: Direction = Direction.NONE
    outcome: Outcome = Outcome.NONE
    reason: int = 0
    reader: ReaderId = ReaderId(0)
    session: SessionId = SessionId(0)
    flags: Flag = Flag.NONE
    subject: bytes = bytes(16)
    ref_token: int = 0
    data: int = 0
    extensions: tuple[tuple[Extension, bytes], ...] = ()
    urgent: bool = False
    mode: Mode = Mode.NORMAL


class Release(msgspec.Struct, frozen=True, gc=False):
    """Command the relay, once `Durable(token)` came back (the machine emits it only then)."""

    token: int
    line: int
    pulse_ms: int


class Withhold(msgspec.Struct, frozen=True, gc=False):
    """Take back a release that still runs (all off on `line`)."""

    line: int


class Show(msgspec.Struct, frozen=True, gc=False):
    """Tell the people at the lane. `verdict` None: a lane event. `words`: the value of a `reasons.Line`, or empty.

    `reader` 0: everybody at the lane. `count`: people of a group still to pass.
    """

    display: DisplayState
    reader: ReaderId
    verdict: Verdict | None = None
    words: str = ""
    count: int = 0


class Alert(msgspec.Struct, frozen=True, gc=False):
    """Call staff. `what`: intrusion, tailgate, forced, held, detector, fire, emergency, relay, or a reason's name in lower case."""

    what: str


class JudgeAgain(msgspec.Struct, frozen=True, gc=False):
    """The lane is free: the latest waiting presentation of `reader` may be judged again."""

    reader: ReaderId


LaneEffect = Write | Release | Withhold | Show | Alert | JudgeAgain
