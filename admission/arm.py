"""The arm of one lane: the turns people take at it, who of them is next, and whose a passage is.

A passage belongs, in this order, to the oldest reservation that is open (an exit that took no pulse counts without one, and
comes after all others), to the one given back that is in its grace for
longest, to nobody where the way is free, to the back of the last one who passed (tailgate), to nobody (intrusion). While records
are still being saved the arm has not moved, so a passage then is never theirs.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from admission.condition import REFUSED, Condition, Counters, Outbox
from admission.ids import ReaderId
from admission.lane import Alert, LaneConfig, Release, Show, Withhold, Write
from admission.question import Verdict
from admission.reasons import DisplayState, Line, Reason
from admission.records import Direction, Extension, Flag, Kind
from admission.repeats import Repeats
from admission.turn import (
    HOLDING,
    OPEN,
    TOGETHER,
    TRANSITIONS,
    UNRELEASED,
    WITH_MORE,
    Act,
    Phase,
    Signal,
    Turn,
)

SAVE_MS_MAX: Final = 5_000
"""No answer of the disk for so long (a bad card stalls for 250 ms): the visitor is told, and the use is free again."""
EXIT_HELD_MS_MAX: Final = 10_000
"""An exit whose arm is busy gets its pulse at the latest then: nobody who wants out waits for a whole group."""
PULSE_GAP_MS: Final = 100
"""A line stays off for so long between two pulses: turnstiles take 100 ms as the shortest signal (PERCo TTR-04CW), and
two pulses that touch are one to them, which lets one person through."""
TOGETHER_MAX: Final = 4
"""People who get through one opening within its hold: a wheelchair with up to three; a coach has an opening each."""
TURNS_MAX: Final = 64
"""Turns remembered, those in their grace included; beyond, the one that matters least ends at once."""
PASSAGE_BURST: Final = 20
PASSAGE_REFILL_MS: Final = 500
PASSAGE_FLUSH_MS: Final = 5_000
"""Nobody walks through an arm more often than twice a second; a contact that chatters does."""

SUBJECT: Final = Flag.TICKET | Flag.DIGEST | Flag.MEDIUM_UID

Extensions = tuple[tuple[Extension, bytes], ...]


class Arm:
    """Turns of one lane, in the order in which they came. Times are monotonic milliseconds."""

    def __init__(self, config: LaneConfig, condition: Condition, out: Outbox) -> None:
        self.counters = {Direction.ENTRY: Counters(), Direction.EXIT: Counters()}
        self.passages = Repeats(PASSAGE_BURST, PASSAGE_REFILL_MS, PASSAGE_FLUSH_MS)
        """Passages of nobody, as far as they are only counted."""
        self._config = config
        self._condition = condition
        self._out = out
        self._window_ms = config.hold_ms + config.hold_margin_ms
        self._turns: list[Turn] = []
        self._off_ms: dict[int, int] = {}
        self._now_ms = 0
        self._acts: dict[Act, Callable[[Turn, int], None]] = {
            Act.NOTHING: _nothing,
            Act.QUEUE: self._queue,
            Act.RELEASE: self._release,
            Act.WATCH: self._watch,
            Act.COMMIT: self._commit,
            Act.ASSUME: self._assume,
            Act.GIVE_BACK: self._give_back,
            Act.LATE: self._late,
            Act.TAILGATE: self._tailgate,
            Act.TRY: self._try,
            Act.WITHHOLD: self._withhold,
            Act.WITHDRAW: self._withdraw,
        }

    # --- what is so ---------------------------------------------------------------------------------------------

    def busy(self, direction: Direction) -> bool:
        """Whether somebody passes, or is about to, on the way that `direction` takes."""
        return self._taken(direction, self._turns)

    def free(self, reader: ReaderId, direction: Direction) -> bool:
        """Whether a grant at `reader` can be reserved now.

        One exit per reader waits for the arm, recorded; whoever presents there next waits unrecorded.
        """
        if direction is Direction.EXIT:
            return not any(t.exit and t.reader == reader and t.phase in UNRELEASED for t in self._turns)
        return not self.busy(direction)

    def leaving(self, subject: bytes) -> bool:
        """Whether the same ticket or code is on its way out here already."""
        return any(turn.exit and turn.phase in HOLDING and turn.subject == subject for turn in self._turns)

    def pulses(self, direction: Direction) -> bool:
        """Whether a grant of that direction would move a barrier now."""
        able = self._condition.pulses_exits if direction is Direction.EXIT else self._condition.admits
        return able and self.wired(direction)[0] is not None

    def wired(self, direction: Direction) -> tuple[int | None, bool]:
        """Return the relay line and whether there is a sensor."""
        config = self._config
        if direction is Direction.EXIT:
            return config.exit_line, config.exit_sensor and self._condition.sensors
        return config.entry_line, config.entry_sensor and self._condition.sensors

    @property
    def next_ms(self) -> int | None:
        """When a turn's time is over, or the line that it waits for is off."""
        return min((self._next_ms_of(turn) for turn in self._turns), default=None)

    def _next_ms_of(self, turn: Turn) -> int:
        waits = turn.phase is Phase.QUEUED and self._line_off_ms(turn) > self._now_ms
        return self._line_off_ms(turn) if waits else turn.deadline_ms

    def _line_off_ms(self, turn: Turn) -> int:
        """When a pulse on the turn's line would be seen as one of its own."""
        return 0 if turn.line is None else self._off_ms.get(turn.line, 0)

    # --- turns begin and end ------------------------------------------------------------------------------------

    def reserve(
        self, write: Write, extensions: Sequence[Extensions], verdict: Verdict | None, *, asked: bool = False
    ) -> None:
        """Write one reservation per item of `extensions`, all in one commit, and begin the turn."""
        line, sensor = self.wired(write.direction)
        at_once = write.direction is Direction.EXIT and not self.pulses(Direction.EXIT)
        # On an exit this flag means that no passage will follow: presence takes it as gone by itself.
        unpulsed = at_once or (line is None and write.direction is Direction.ENTRY)
        flags = write.flags | (Flag.NO_PULSE if unpulsed else Flag.NONE)
        # Whoever of a group names no reservation was not caught by the restart, where others do name theirs; nor was he
        # inside when the alarm rang, where others name the entry that it froze.
        caught = [_names_entries(extension) for extension in extensions] if len(extensions) > 1 else [True]
        named = Flag.AFTER_RESTART if flags & Flag.AFTER_RESTART else Flag.REENTRY
        fresh = flags & ~named if any(caught) else flags
        tokens: list[int] = []
        for number, extension in enumerate(extensions, start=1):
            urgent = number == len(extensions) and not at_once
            own = flags if caught[number - 1] else fresh
            tokens.append(self._out.write(replace(write, flags=own, extensions=extension, urgent=urgent)))
        turn = Turn(
            direction=write.direction,
            tokens=tokens,
            phase=Phase.SAVING,
            deadline_ms=self._now_ms + SAVE_MS_MAX,
            line=line,
            reader=write.reader,
            subject=write.subject,
            flags=write.flags & (SUBJECT | Flag.REHEARSAL),
            session=write.session,
            mode=write.mode,
            verdict=verdict,
            asked=asked,
            together=self._config.together and len(tokens) <= TOGETHER_MAX,
            holds=line is not None or sensor,
        )
        if at_once:
            # Nothing is commanded, so nothing waits for the disk: the record rides the next group commit.
            turn.phase, turn.holds = Phase.WINDOW, False
            turn.deadline_ms = self._now_ms + self._window_ms
            self._show_admit(turn)
        elif self.busy(turn.direction):
            self._out.add(Show(DisplayState.WAIT, turn.reader, verdict))
        self._begin(turn)

    def test(self, write: Write) -> None:
        """Begin a test pulse, whose record is `write`."""
        line, _ = self.wired(write.direction)
        token = self._out.write(write)
        deadline_ms = self._now_ms + SAVE_MS_MAX
        self._begin(
            Turn(write.direction, [token], Phase.SAVING, deadline_ms, line, flags=write.flags, test=True)
        )

    def annul(self, token: int) -> Flag:
        """Take one reservation back, wherever it stands; return `REHEARSAL` where it was one."""
        turn = next((one for one in self._turns if token in one.tokens and not one.test), None)
        if turn is None:
            return Flag.NONE
        turn.tokens.remove(token)
        if not turn.tokens:
            self._signal(turn, Signal.ANNULLED, self._now_ms)
        return turn.flags & Flag.REHEARSAL

    def conflict(self, token: int, verdict: Verdict, *, withdraws: bool) -> None:
        """Another gate reserved the same use: give one reservation back before somebody passed on it, or only say so."""
        turn = next((one for one in self._turns if token in one.tokens and not one.test), None)
        if turn is None or turn.phase not in HOLDING or turn.exit:
            return
        if withdraws and len(turn.tokens) > 1:
            # One of a group: the others keep their uses, and whoever passes takes one of those.
            turn.tokens.remove(token)
            self._out.write(_withdrawn(turn, token))
        elif withdraws:
            self._signal(turn, Signal.OUTDONE, self._now_ms)
        self._out.show(turn.reader, verdict)

    def reservations(self) -> tuple[tuple[int, bytes, Verdict | None], ...]:
        """Return the entries on which nobody has passed yet: token, subject, and the verdict they were let in by."""
        return tuple(
            (token, turn.subject, turn.verdict)
            for turn in self._turns
            if turn.phase in HOLDING and turn.direction is Direction.ENTRY and not turn.test
            for token in turn.tokens
        )

    def alarm(self) -> None:
        """Nobody gets in any more, and no use is burned. Exits stay open: their passages commit them."""
        for turn in self._turns:
            if not turn.exit:
                self._signal(turn, Signal.ALARM, self._now_ms)

    def expire(self, now_ms: int) -> None:
        """End what time has ended, at the time it was due, however late we hear of it."""
        self._now_ms = now_ms
        for turn in list(self._turns):
            while turn.phase is not Phase.ENDED and turn.deadline_ms <= now_ms:
                if turn.phase is Phase.QUEUED and turn.exit:
                    break  # `settle` opens for it
                self._time_out(turn)
        self._prune()
        for write in self.passages.due(now_ms):
            self._out.write(write)

    def settle(self) -> None:
        """Bar whom the lane may not let in any more, and open for whose turn it is."""
        condition = self._condition
        for turn in self._turns:
            if turn.phase in UNRELEASED and not turn.exit:
                allowed = condition.ready and not condition.alarm if turn.test else condition.admits
                if not allowed:
                    self._signal(turn, Signal.BARRED, self._now_ms)
        for at, turn in enumerate(self._turns):
            overdue = turn.exit and turn.deadline_ms <= self._now_ms
            if turn.phase is not Phase.QUEUED or self._line_off_ms(turn) > self._now_ms:
                continue
            if overdue or not self._taken(turn.direction, self._turns[:at]):
                pulse = turn.line is not None and (turn.test or self.pulses(turn.direction))
                self._signal(turn, Signal.CLEAR if pulse else Signal.UNPULSED, self._now_ms)
                self._show_admit(turn)
        self._prune()

    # --- what comes back from disk, relay and sensors -----------------------------------------------------------

    def saved(self, token: int) -> None:
        """Everything up to `token` is durable."""
        for turn in self._turns:
            if turn.last_token <= token <= self._out.token and turn.phase is Phase.SAVING:
                self._signal(turn, Signal.SAVED, self._now_ms)

    def release_of(self, token: int) -> Release | None:
        """Return what `saved(token)` would let `settle` release, as things stand."""
        for at, turn in enumerate(self._turns):
            if turn.last_token == token and turn.phase is Phase.SAVING:
                free = self._line_off_ms(turn) <= self._now_ms and not self._taken(
                    turn.direction, self._turns[:at]
                )
                if free and turn.line is not None and (turn.test or self.pulses(turn.direction)):
                    return Release(turn.tokens[0], turn.line, self._config.pulse_ms)
        return None

    def unsaved(self, token: int, *, admit: bool) -> None:
        """Nothing still waiting up to `token` became durable; an exit opens all the same."""
        for turn in self._turns:
            if turn.last_token <= token <= self._out.token and turn.phase is Phase.SAVING:
                go_on = admit or turn.exit
                self._signal(turn, Signal.SAVED if go_on else Signal.UNSAVED, self._now_ms)

    def pulsed(self, token: int, *, ok: bool) -> bool:
        """The relay's answer; True where it says that the relay of an open turn is dead."""
        turn = next((one for one in self._turns if one.released_token == token and one.phase in OPEN), None)
        if turn is None or not token:
            return False
        self._signal(turn, Signal.PULSED if ok else Signal.DEAD, self._now_ms)
        return not ok

    def asked_again(self) -> None:
        """A request to exit comes anew: one whose strike may have fallen shut again is over, so that nobody waits for it."""
        for turn in self._turns:
            if turn.asked and turn.phase in OPEN:
                self._signal(turn, Signal.OVER, self._now_ms)

    def opened(self) -> None:
        """A door was opened: by whom it was released for, by whom it is free to, or by force. Its strike falls behind them."""
        turn = _first_open(self._turns)
        turn = turn or next((one for one in self._turns if one.phase is Phase.GRACE), None)
        if turn is not None and self._line_off_ms(turn) - PULSE_GAP_MS > self._now_ms:
            self._withhold(turn, self._now_ms)
        way = turn.direction if turn is not None else self._free_way()
        if way is Direction.NONE:
            turn = next((one for one in self._turns if one.phase is Phase.PASSED), None)
            way = turn.direction if turn is not None else Direction.NONE
        if self._config.door_counts:
            self.passed(way or Direction.ENTRY, alert="intrusion" if way else "forced")
        elif way is Direction.NONE:
            self.intruded("forced")

    def intruded(self, alert: str) -> None:
        """Somebody is where nobody was let in, and no passage is counted."""
        write = Write(0, Kind.INTRUSION, flags=self._condition.rehearsal)
        if self._unasked(write):
            self._out.add(Alert(alert))

    def _free_way(self) -> Direction:
        ways = (way for way in (Direction.EXIT, Direction.ENTRY) if self._condition.free(way))
        return next(ways, Direction.NONE)

    def passed(self, direction: Direction, alert: str = "intrusion") -> None:
        """Somebody went through. `alert`: what staff are called for where nobody was let in."""
        self.counters[direction].passages += 1
        turn = self._whose(direction)
        if turn is not None:
            self._signal(turn, Signal.TRIED if turn.test else Signal.WALKED, self._now_ms)
            return
        free = self._condition.free(direction)
        if free:
            self.counters[direction].free += 1
        else:
            self.counters[direction].intrusions += 1
        kind = Kind.PASSAGE if free else Kind.INTRUSION
        if self._unasked(Write(0, kind, direction, flags=self._condition.rehearsal)) and not free:
            self._out.add(Alert(alert))

    def _whose(self, direction: Direction) -> Turn | None:
        mine = [turn for turn in self._turns if turn.direction is direction]
        turn = _first_open(mine)
        if turn is not None:
            return turn
        # The arm was opened for it last, and may be open still where another gate's use took it back.
        late = [one for one in mine if one.phase is Phase.GRACE]
        if late:
            return max(late, key=lambda one: one.deadline_ms)
        if self._condition.free(direction):
            return None
        return next((one for one in mine if one.phase is Phase.PASSED), None)

    def _unasked(self, write: Write) -> bool:
        """Write a passage of nobody, unless there are too many: then it is counted. True where it was written."""
        writes = self.passages.ration(write, self._now_ms)
        for one in writes:
            self._out.write(one)
        return bool(writes)

    # --- the table at work --------------------------------------------------------------------------------------

    def _signal(self, turn: Turn, signal: Signal, at_ms: int) -> None:
        found = TRANSITIONS[turn.phase].get(signal)
        if found is not None:
            act, phase = found
            self._acts[act](turn, at_ms)
            more = TOGETHER if turn.together else WITH_MORE
            turn.phase = more.get(act, phase) if turn.tokens else phase

    def _time_out(self, turn: Turn) -> None:
        signal = Signal.OVER
        if turn.exit and turn.phase is Phase.SAVING:
            signal = Signal.SAVED
        elif turn.phase is Phase.OPENING:
            self._out.add(Alert("relay"))
        elif turn.phase is Phase.WINDOW and not turn.test and not self.wired(turn.direction)[1]:
            signal = Signal.UNSEEN
        self._signal(turn, signal, turn.deadline_ms)

    def _queue(self, turn: Turn, _at_ms: int) -> None:
        turn.deadline_ms = self._now_ms + EXIT_HELD_MS_MAX

    def _release(self, turn: Turn, at_ms: int) -> None:
        assert turn.line is not None
        turn.released_token = turn.tokens[0]
        turn.deadline_ms = at_ms + self._window_ms
        self._off_ms[turn.line] = self._now_ms + self._config.pulse_ms + PULSE_GAP_MS
        self._out.add(Release(turn.released_token, turn.line, self._config.pulse_ms))

    def _watch(self, turn: Turn, at_ms: int) -> None:
        turn.deadline_ms = at_ms + self._window_ms

    def _commit(self, turn: Turn, at_ms: int) -> None:
        self.counters[turn.direction].committed += 1
        self._use_up(turn, Kind.PASSAGE)
        if turn.tokens:
            if not turn.together:
                self._queue(turn, at_ms)
        else:
            turn.deadline_ms += self._config.grace_ms

    def _assume(self, turn: Turn, at_ms: int) -> None:
        self.counters[turn.direction].assumed += 1
        self._use_up(turn, Kind.PASSAGE, Flag.ASSUMED)
        if not turn.together:
            self._queue(turn, at_ms)

    def _late(self, turn: Turn, _at_ms: int) -> None:
        self.counters[turn.direction].late += 1
        self._use_up(turn, Kind.LATE_PASSAGE)

    def _use_up(self, turn: Turn, kind: Kind, flag: Flag = Flag.NONE) -> None:
        turn.passed_token = turn.tokens.pop(0)
        self._out.write(_about(turn, kind, turn.passed_token, flag))

    def _grace(self, turn: Turn, at_ms: int) -> None:
        """Wait for a latecomer. An arm that was commanded stays open until its hold is over, whatever came between."""
        over_ms = max(at_ms, turn.deadline_ms) if turn.phase in OPEN else at_ms
        turn.deadline_ms = over_ms + self._config.grace_ms

    def _give_back(self, turn: Turn, at_ms: int) -> None:
        self._grace(turn, at_ms)
        if turn.test:
            return
        for token in turn.tokens:
            self._out.write(_about(turn, Kind.GIVE_BACK, token))
        if turn.phase in UNRELEASED:
            self._out.add(Show(DisplayState.NOT_READY, turn.reader, REFUSED))

    def _tailgate(self, turn: Turn, _at_ms: int) -> None:
        self.counters[turn.direction].tailgates += 1
        if self._unasked(_about(turn, Kind.TAILGATE, turn.passed_token)):
            self._out.add(Alert("tailgate"))

    def _try(self, turn: Turn, _at_ms: int) -> None:
        self.counters[turn.direction].tested += 1
        self._unasked(_about(turn, Kind.PASSAGE, turn.first_token))

    def _withhold(self, turn: Turn, _at_ms: int) -> None:
        if turn.line is not None and turn.released_token:
            self._out.add(Withhold(turn.line))

    def _withdraw(self, turn: Turn, at_ms: int) -> None:
        self._withhold(turn, at_ms)
        self._grace(turn, at_ms)
        for token in turn.tokens:
            self._out.write(_withdrawn(turn, token))

    def _show_admit(self, turn: Turn) -> None:
        if not turn.test:
            left = len(turn.tokens)
            line = Line.GROUP if left > 1 else Line.EXIT if turn.exit else Line.ADMIT
            self._out.add(Show(DisplayState.ADMIT, turn.reader, turn.verdict, line, left))

    # --- the list of turns --------------------------------------------------------------------------------------

    def _taken(self, direction: Direction, turns: Iterable[Turn]) -> bool:
        shared = self._config.shared_path
        for turn in turns:
            if turn.holds and turn.phase in HOLDING and (shared or turn.direction is direction):
                return True
        return False

    def _begin(self, turn: Turn) -> None:
        while len(self._turns) >= TURNS_MAX:
            # First what is over but for a latecomer, then what keeps the arm from nobody, then the oldest.
            least = min(self._turns, key=lambda one: (one.phase in HOLDING, one.holds))
            while least.phase in HOLDING:
                self._time_out(least)
            self._turns.remove(least)
        self._turns.append(turn)

    def _prune(self) -> None:
        if self._turns:
            self._turns = [turn for turn in self._turns if turn.phase is not Phase.ENDED]


def _first_open(turns: Iterable[Turn]) -> Turn | None:
    """Return the oldest turn that is open; one that the arm moved for before an exit that was recorded without a pulse, and
    counts by itself."""
    return min((one for one in turns if one.phase in OPEN), key=lambda one: not one.holds, default=None)


def _names_entries(extensions: Extensions) -> bool:
    return any(kind is Extension.OBSERVED for kind, _ in extensions)


def _nothing(_turn: Turn, _at_ms: int) -> None:
    pass


def _withdrawn(turn: Turn, token: int) -> Write:
    """Return that a reservation gave way. Urgent: the other gate, and whoever counts uses, waits to hear of it."""
    return replace(
        _about(turn, Kind.GIVE_BACK, token, Flag.WITHDRAWN), reason=Reason.ALREADY_USED, urgent=True
    )


def _about(turn: Turn, kind: Kind, token: int, flag: Flag = Flag.NONE) -> Write:
    """Return a record about one reservation: it repeats the subject, so that presence finds it by ticket."""
    return Write(
        token=0,
        kind=kind,
        direction=turn.direction,
        reader=turn.reader,
        session=turn.session,
        flags=turn.flags | flag,
        subject=turn.subject,
        ref_token=token,
        mode=turn.mode,
    )
