"""The lane machine: `Lane.handle` takes one event and gives back what is to be done, in order.

Rule 1: the order of every event is the same: what time has ended ends, the event is taken, then the arm goes to whom
it belongs to. `Release` comes from that last step alone, so it never outruns READY, fire or a closed lane that the same
event brought.
Rule 2: a turn's phases change only by the table in `admission.turn`; whose a passage is stands in `admission.arm`.
Rule 3: an exit is never held: what stops an entry (closed, disk, READY, fire) only takes the pulse from it, or nothing.

A free exit opens no barrier: no output holds an arm open; the passages of people who need no scan are counted.
Nothing here is unbounded: turns, readers, codes and counts each have their limit, beside which the reason stands.
"""

from typing import Final, assert_never

from msgspec.structs import replace

from admission import lane
from admission.arm import SUBJECT, Arm, Extensions
from admission.condition import REFUSED, Condition, Counters, Outbox
from admission.door import Door
from admission.ids import ReaderId, RecordId
from admission.lane import (
    Alert,
    JudgeAgain,
    Judged,
    LaneConfig,
    LaneEffect,
    LaneEvent,
    LaneState,
    Release,
    Show,
    Write,
)
from admission.presentations import Presentations
from admission.question import Verdict
from admission.reasons import DisplayState, Language, Line, Reason, say_line
from admission.records import NOBODY, Direction, Extension, Fire, Flag, Kind, Outcome, pack_record_ids
from admission.repeats import Repeats

GROUP_MAX: Final = 50
"""People of one group grant or override: a coach. Larger groups are let in by several acts, each with its record."""
REASON_BYTES_MAX: Final = 200
"""A steward's reason: a sentence, and a group's records stay one small commit."""
DENIAL_BURST: Final = 60
DENIAL_REFILL_MS: Final = 2_000
DENIAL_FLUSH_MS: Final = 60_000
"""A minute of a crowd at the wrong gate is written singly; a babbling reader meets one record per 2 s."""

STORED_BURST: Final = 2_000
"""Codes of nobody in one memory that are written singly; a cradle that babbles meets one record per 2 s."""

_SHUT: Final = frozenset((LaneState.CLOSED, LaneState.OUT_OF_SERVICE))
_STAFF: Final = ReaderId(0)
_NAMES: Final = Flag.TICKET | Flag.DIGEST
_OF_A_GRANT: Final = Flag.FLAGGED | Flag.UNSURE | Flag.REENTRY | Flag.UNLISTED | Flag.AFTER_RESTART
"""What a command may say of an override; the rest is this lane's to say."""


class Lane:
    """One lane. Pure of I/O; `now_ms` is monotonic, and a step back counts as no time at all."""

    def __init__(self, config: LaneConfig, state: LaneState) -> None:
        self.config = config
        self._condition = Condition(state)
        self._out = Outbox()
        self._arm = Arm(config, self._condition, self._out)
        self._door = Door(config.held_ms)
        self._fire_contact = False
        self._now_ms = 0
        self._ready_since_ms = self._ready_before_ms = 0
        self._presentations = Presentations(config.absent_ms, config.removed_ms, config.wait_ms)
        self._denials = Repeats(DENIAL_BURST, DENIAL_REFILL_MS, DENIAL_FLUSH_MS)
        self._stored = Repeats(STORED_BURST, DENIAL_REFILL_MS, DENIAL_FLUSH_MS)

    # --- what the shell asks ------------------------------------------------------------------------------------

    def handle(self, event: LaneEvent, now_ms: int) -> tuple[LaneEffect, ...]:
        """Take one event; return the effects to carry out in order. Total: any event at any time has an answer."""
        self._now_ms = max(self._now_ms, now_ms)
        self._arm.expire(self._now_ms)
        if self._door.is_held(self._now_ms) and not self._is_free():
            self._out.add(Alert("held"))
        for repeats in (self._denials, self._stored):
            for write in repeats.due(self._now_ms):
                self._out.write(write)
        self._take(event)
        self._arm.settle()
        for reader in self._presentations.judge_again(self._now_ms, self._arm.free):
            self._out.add(JudgeAgain(reader))
        return self._out.take()

    def presented(self, reader: ReaderId, code: bytes, now_ms: int) -> bool:
        """Take one read of a reader; True if it is a presentation to be judged, False for a re-read of the last.

        A re-read of a presentation that waits keeps it waiting.
        """
        return self._presentations.read(reader, code, now_ms)

    def removed(self, reader: ReaderId, now_ms: int) -> None:
        """The reader reports that the medium left."""
        self._presentations.removed(reader, now_ms)

    def facts(self, direction: Direction = Direction.ENTRY) -> tuple[bool, bool, bool]:
        """Return (open, ready, busy) for `LaneFacts`: does the lane admit at all, can it, is another one passing."""
        condition = self._condition
        return condition.opens, condition.ready and not condition.alarm, self._arm.busy(direction)

    def ready_ms(self, now_ms: int) -> int:
        """Return for how long READY was on in this run, all in all: many turnstiles drop it with each passage."""
        on_ms = now_ms - self._ready_since_ms if self._condition.ready else 0
        return self._ready_before_ms + max(0, on_ms)

    def release_of(self, token: int) -> Release | None:
        """Return the release with which `Durable(token)` will be answered if it is the very next event; None if with none.

        So whoever makes the record durable can command the arm at once, as long as nothing else was fed in before.
        """
        return self._arm.release_of(token)

    def reservations(self) -> tuple[tuple[int, bytes, Verdict | None], ...]:
        """Return the entries on which nobody has passed yet: token, subject, and the verdict they were let in by."""
        return self._arm.reservations()

    @property
    def state(self) -> LaneState:
        """As last set."""
        return self._condition.state

    @property
    def fire(self) -> bool:
        """Whether the alarm is latched."""
        return self._condition.fire

    @property
    def counters(self) -> dict[Direction, Counters]:
        """Passages by direction, in all states."""
        return self._arm.counters

    @property
    def next_deadline_ms(self) -> int | None:
        """When a `Tick` is due; None while nothing waits for time."""
        times = (
            self._arm.next_ms,
            self._arm.passages.next_ms,
            self._door.next_ms,
            self._denials.next_ms,
            self._stored.next_ms,
            self._presentations.next_ms(self._arm.free),
        )
        return min((at for at in times if at is not None), default=None)

    @property
    def notice(self) -> Show:
        """What the lane says to everybody while nobody is being answered."""
        if self._condition.alarm:
            return _show_line(Line.LEAVE)
        if self.state in _SHUT:
            return _show_line(Line.CLOSED)
        if not self._condition.ready:
            return Show(DisplayState.NOT_READY, _STAFF, REFUSED)
        return _show_line(Line.ADMIT if self.state is LaneState.FREE_BOTH else Line.WELCOME)

    def drain(self) -> tuple[LaneEffect, ...]:
        """Return the records of what was only counted so far: the daemon ends. Reservations stay open, unresolved."""
        for repeats in (self._denials, self._stored, self._arm.passages):
            for write in repeats.rest():
                self._out.write(write)
        return self._out.take()

    def _take(self, event: LaneEvent) -> None:
        match event:
            case Judged():
                self._judged(event)
            case lane.StoredJudged():
                self._keep_stored(event)
            case lane.Durable(token=token):
                self._arm.saved(token)
            case lane.NotDurable(token=token, admit=admit):
                self._arm.unsaved(token, admit=admit)
            case lane.Pulsed(token=token, ok=ok):
                if self._arm.pulsed(token, ok=ok):
                    self._out.add(Alert("relay"))
                    self._ready_changed(ready=False)
            case lane.Passed(direction=direction):
                if direction is not Direction.NONE:
                    self._arm.passed(direction)
            case lane.DoorChanged() | lane.Detected() | lane.ExitAsked():
                self._take_sense(event)
            case lane.Tick():
                pass
            case _:
                self._take_condition(event)

    def _take_sense(self, event: lane.DoorChanged | lane.Detected | lane.ExitAsked) -> None:
        """Take what doors and the turnstile's own detector tell besides passages."""
        match event:
            case lane.DoorChanged(open=True, first=first):
                self._door.opened(self._now_ms)
                if not first:
                    self._arm.opened()
            case lane.DoorChanged():
                self._door.shut()
            case lane.Detected():
                if not self._is_free():
                    self._arm.intruded("detector")
            case lane.ExitAsked():
                self._exit_asked()
            case _:
                assert_never(event)

    def _is_free(self) -> bool:
        """Whether people may pass without a scan, whichever way."""
        return self._condition.free(Direction.ENTRY) or self._condition.free(Direction.EXIT)

    def _exit_asked(self) -> None:
        """Open for nobody in particular, recorded as an exit of nobody: who wants out is never held."""
        self._arm.asked_again()
        if not self._arm.free(_STAFF, Direction.EXIT):
            return  # an earlier one waits for the arm still
        write = Write(
            token=0,
            kind=Kind.SCAN,
            direction=Direction.EXIT,
            outcome=Outcome.GRANT,
            reader=_STAFF,
            flags=self._condition.rehearsal,
        )
        if not self._babbles(write):
            self._arm.reserve(write, [()], None, asked=True)

    def _take_condition(
        self,
        event: lane.ReadyChanged
        | lane.SensorsChanged
        | lane.FireChanged
        | lane.StaffCleared
        | lane.StateSet
        | lane.Override
        | lane.Annul
        | lane.Conflict
        | lane.TestPulse,
    ) -> None:
        """Take what changes the lane as a whole, and what staff do."""
        match event:
            case lane.ReadyChanged(ready=ready):
                self._ready_changed(ready=ready)
            case lane.SensorsChanged(seen=seen):
                self._condition.sensors = seen
            case lane.FireChanged(active=active, still=still):
                self._fire_changed(active=active, still=still)
            case lane.StaffCleared(steward=steward):
                self._cleared(steward)
            case lane.StateSet():
                self._state_set(event)
            case lane.Override():
                self._override(event)
            case lane.Annul():
                self._annul(event)
            case lane.Conflict(token=token, verdict=verdict, withdraws=withdraws):
                self._arm.conflict(token, verdict, withdraws=withdraws)
            case lane.TestPulse():
                self._test_pulse(event)
            case _:
                assert_never(event)

    def _judged(self, event: Judged) -> None:
        verdict = event.verdict
        direction = _way(verdict.direction)
        if verdict.outcome is Outcome.GRANT and not verdict.repeated:
            verdict = self._as_the_lane_stands(event, direction)
        if verdict.outcome is Outcome.WAIT:
            free = self._arm.free(event.reader, direction)
            self._presentations.wait(event.reader, direction, self._now_ms, lane_free=free)
        else:
            self._presentations.answered(event.reader)
        if verdict.repeated or verdict.outcome in (Outcome.NONE, Outcome.WAIT):
            self._out.show(event.reader, verdict)
            return
        subject, flag = _subject_of(event)
        scan = Write(
            token=0,
            kind=Kind.SCAN,
            direction=direction,
            outcome=verdict.outcome,
            reason=verdict.reason,
            reader=event.reader,
            session=verdict.session,
            flags=verdict.flags & ~_NAMES | flag | self._condition.rehearsal,
            subject=subject,
            mode=event.mode,
            extensions=event.extensions,
        )
        if verdict.outcome is not Outcome.GRANT:
            self._refuse(scan, verdict)
            return
        if verdict.alert_staff:
            self._out.add(Alert(_alert_word(verdict)))
        if self._babbles(scan):
            self._out.show(event.reader, verdict)
            return
        first, *others = _split_observed(verdict.observed, event.count)
        self._arm.reserve(scan, [(*first, *event.extensions), *others], verdict)

    def _keep_stored(self, event: lane.StoredJudged) -> None:
        verdict = event.verdict
        if verdict.repeated or verdict.outcome in (Outcome.NONE, Outcome.WAIT):
            return
        subject, flag = _subject_of(event)
        write = Write(
            token=0,
            kind=Kind.STORED,
            direction=_way(verdict.direction),
            outcome=verdict.outcome,
            reason=verdict.reason,
            reader=event.reader,
            session=verdict.session,
            flags=verdict.flags & ~_NAMES | flag | Flag.NO_PULSE | self._condition.rehearsal,
            subject=subject,
            data=event.read_s,
            mode=event.mode,
        )
        if verdict.alert_staff:
            self._out.add(Alert(_alert_word(verdict)))
        if verdict.outcome is Outcome.GRANT and flag & Flag.TICKET:
            self._out.write(write)
            return
        for one in self._stored.ration(write, self._now_ms):
            self._out.write(one)

    def _as_the_lane_stands(self, event: Judged, direction: Direction) -> Verdict:
        """Hold a grant against the lane once more: it may have changed since `decide()` was told of it."""
        verdict = event.verdict
        if not 1 <= event.count <= GROUP_MAX or (direction is Direction.ENTRY and not self._condition.admits):
            return replace(verdict, outcome=Outcome.DENY, reason=Reason.NOT_READY)
        known = direction is Direction.EXIT and event.subject_flag & _NAMES
        if known and _is_single(verdict) and self._arm.leaving(event.subject):
            return replace(verdict, repeated=True)
        if not self._arm.free(event.reader, direction):
            return replace(verdict, outcome=Outcome.WAIT, reason=Reason.BUSY)
        return verdict

    def _refuse(self, scan: Write, verdict: Verdict) -> None:
        writes = self._denials.coalesce(scan, self._now_ms)
        for write in writes:
            self._out.write(write)
        if verdict.alert_staff and scan in writes:
            self._out.add(Alert(_alert_word(verdict)))
        entry = scan.direction is Direction.ENTRY
        if (
            entry
            and verdict.reason is Reason.NOT_READY
            and (self.state in _SHUT or self._condition.free(scan.direction))
        ):
            # The lane says why by itself: LEAVE, closed, or that no ticket is needed.
            self._out.add(replace(self.notice, reader=scan.reader, verdict=verdict))
        else:
            self._out.show(scan.reader, verdict)

    def _babbles(self, scan: Write) -> bool:
        """Whether an exit of a code nobody knows is one too many: no pulse paces such exits in an alarm."""
        if scan.direction is Direction.ENTRY or scan.flags & Flag.TICKET or self._arm.pulses(Direction.EXIT):
            return False
        return not self._denials.ration(scan, self._now_ms)

    # --- READY, fire, states ------------------------------------------------------------------------------------

    def _ready_changed(self, *, ready: bool) -> None:
        if ready == self._condition.ready:
            return
        self._condition.ready = ready
        if ready:
            self._ready_since_ms = self._now_ms
        else:
            self._ready_before_ms += self._now_ms - self._ready_since_ms
        self._out.add(self.notice)

    def _fire_changed(self, *, active: bool, still: bool) -> None:
        self._fire_contact = active
        if active and not self._condition.fire:
            self._condition.fire = True
            self._out.write(Write(0, Kind.FIRE, data=Fire.STILL if still else Fire.ALARM, urgent=True))
            self._arm.alarm()
            self._out.add(Alert("fire"))
            self._out.add(self.notice)

    def _cleared(self, steward: int) -> None:
        if self._condition.fire and not self._fire_contact:
            self._condition.fire = False
            self._out.write(
                Write(0, Kind.FIRE, data=Fire.CLEARED, extensions=(_staff(steward, ""),), urgent=True)
            )
        self._out.add(self.notice)

    def _state_set(self, event: lane.StateSet) -> None:
        if event.state is self.state:
            return
        self._condition.state = event.state
        # Never flagged as rehearsal, nor is FIRE: both are true of the lane whatever it rehearses.
        staff = (_staff(event.steward, ""),) if event.steward else ()
        self._out.write(Write(0, Kind.LANE_STATE, data=event.state, extensions=staff))
        if event.state is LaneState.EMERGENCY:
            self._arm.alarm()
            self._out.add(Alert("emergency"))
        self._out.add(self.notice)

    def _override(self, event: lane.Override) -> None:
        direction = _way(event.direction)
        if not 1 <= event.count <= GROUP_MAX:
            self._out.add(Show(DisplayState.REFUSED, _STAFF))
        elif direction is Direction.ENTRY and not self._condition.admits:
            self._out.add(self.notice)
        elif not self._arm.free(_STAFF, direction):
            self._out.show(_STAFF, Verdict(Outcome.WAIT, Reason.BUSY, direction))
        else:
            # the reason once, the steward's number with each
            reasons = [event.reason, *[""] * (event.count - 1)]
            entry = direction is Direction.ENTRY
            shares = _split_observed(event.observed, event.count) if entry else _first_observed(event)
            extensions = [
                (_staff(event.steward, reason), *share) for reason, share in zip(reasons, shares, strict=True)
            ]
            subject, flag = _subject_of(event)
            write = Write(
                token=0,
                kind=Kind.OVERRIDE,
                direction=direction,
                outcome=Outcome.GRANT,
                session=event.session,
                flags=event.flags & _OF_A_GRANT | flag | self._condition.rehearsal,
                subject=subject,
                mode=event.mode,
            )
            self._arm.reserve(write, extensions, None)

    def _annul(self, event: lane.Annul) -> None:
        rehearsal = self._arm.annul(event.token)
        subject, flag = _subject_of(event)
        self._out.write(
            Write(
                token=0,
                kind=Kind.ANNUL,
                direction=event.direction,
                session=event.session,
                flags=flag | rehearsal,
                subject=subject,
                ref_token=event.token if 0 < event.token <= self._out.token else 0,
                extensions=(*_observed((event.record, *event.also)), _staff(event.steward, event.reason)),
                urgent=True,
                mode=event.mode,
            )
        )

    def _test_pulse(self, event: lane.TestPulse) -> None:
        direction = _way(event.direction)
        line, _ = self._arm.wired(direction)
        if line is None or not self._condition.ready or self._condition.alarm:
            self._out.add(Show(DisplayState.NOT_READY, _STAFF, REFUSED))
        elif self._arm.busy(direction):
            self._out.show(_STAFF, Verdict(Outcome.WAIT, Reason.BUSY, direction))
        else:
            self._arm.test(
                Write(
                    token=0,
                    kind=Kind.TEST_PULSE,
                    direction=direction,
                    flags=self._condition.rehearsal,
                    data=self.config.pulse_ms,
                    extensions=(_staff(event.steward, ""),),
                    urgent=True,
                )
            )


def _way(direction: Direction) -> Direction:
    """A verdict without a way is an entry: only a ticket known inside is judged as an exit."""
    return Direction.EXIT if direction is Direction.EXIT else Direction.ENTRY


def _subject_of(event: Judged | lane.StoredJudged | lane.Override | lane.Annul) -> tuple[bytes, Flag]:
    """Return a subject with the one flag that says what it is: a record with none or two of them could not be read."""
    flag = event.subject_flag & SUBJECT
    if flag & _NAMES == _NAMES:
        flag &= ~Flag.DIGEST
    return (event.subject, flag) if flag & _NAMES else (NOBODY, flag)


def _is_single(verdict: Verdict) -> bool:
    """Whether a second presentation is the same person again; of a ticket that admits N it may be the next one."""
    return verdict.candidate is None or verdict.candidate.ticket.admits <= 1


def _alert_word(verdict: Verdict) -> str:
    return verdict.reason.name.lower() if verdict.reason is not Reason.NONE else "attention"


def _show_line(line: Line) -> Show:
    return Show(say_line(line, Language.EN).display, _STAFF, words=line)


def _staff(steward: int, reason: str) -> tuple[Extension, bytes]:
    """Return a STAFF extension: u32 number, UTF-8 reason cut at a character."""
    text = reason.encode("utf-8", "replace")[:REASON_BYTES_MAX].decode("utf-8", "ignore")
    return Extension.STAFF, (steward & 0xFFFFFFFF).to_bytes(4, "big") + text.encode()


def _observed(records: tuple[RecordId, ...]) -> Extensions:
    if not records:
        return ()
    return tuple((Extension.OBSERVED, payload) for payload in pack_record_ids(records))


def _first_observed(event: lane.Override) -> list[Extensions]:
    """Of a group that leaves the first names what one person's exit closes, each zone's; the others take what is left."""
    return [_observed(event.observed), *[()] * (event.count - 1)]


def _split_observed(records: tuple[RecordId, ...], count: int) -> list[Extensions]:
    """Share the entries that a grant names among the people of a group: one each, the last takes the rest."""
    if count == 1:
        return [_observed(records)]
    shares = [_observed(records[at : at + 1]) for at in range(count - 1)]
    return [*shares, _observed(records[count - 1 :])]
