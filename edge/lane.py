"""A lane's shell: feeds the lane machine with what devices and people do, and carries out what it answers.

Everything here runs on the event loop and returns within a fraction of a millisecond; the disk is the writer
thread's, the relay the guard's.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec
from msgspec.structs import replace

from admission.codecs import originality
from admission.companions import together
from admission.credentials import Identity, Known, Malformed, Medium, presentation_of
from admission.entitlements import LanePlan
from admission.ids import LaneId, ReaderId, RecordId, ZoneId
from admission.lane import (
    Alert,
    Durable,
    FireChanged,
    JudgeAgain,
    Judged,
    LaneEffect,
    LaneEvent,
    NotDurable,
    Pulsed,
    ReadyChanged,
    Release,
    Show,
    Tick,
    Withhold,
    Write,
)
from admission.lane_machine import Lane
from admission.observed import reset_payloads
from admission.question import LaneFacts
from admission.records import Direction, Fire, Flag, Kind, Outcome
from admission.rules import mode_for
from drivers.base import InputChanged, Removed, Scan, Signal, Stored
from edge.annunciator import Annunciator, ReaderLight
from edge.check_in import CheckIn
from edge.clock import Clock, TrustedTime
from edge.contacts import Contacts
from edge.failpoints import failpoint
from edge.journal import Journal, Stamp
from edge.judge import Answer, Judge
from edge.lane_rows import LaneRows, said_at, way_of
from edge.last_scans import after_of, asked_at
from edge.link import After, Seen
from edge.parts import HeldPulse
from edge.settings import LaneSettings, ReaderSettings, is_genuine_only
from edge.store.faults import StoreFault
from edge.stored import StoredScans

LATCHED = frozenset((str(Fire.ALARM.value).encode(), str(Fire.STILL.value).encode()))
"""What is kept of a lane whose alarm nobody cleared."""
TOKENS_MAX = 4096
"""Tokens whose record number is remembered; a reservation lives seconds, so thousands are plenty."""
BAD_SIGNATURES_IN_A_ROW = 10
"""So many from one reader are a scanner's keyboard layout, not so many forgers (DESIGN.md, Deciding)."""
AFTER_RESTART_S = 120
"""Of a run, in which somebody could be let in: whoever stood before the arm when the last one ended is there at once."""
LATENCIES_MAX = 4096
TELL_AFTER_S = 0.005
"""What only informs waits so long, so that on two cores it does not take one from disk and guard."""
HOLD_NS_MAX = 1_000_000_000
"""A pulse is held for the writer's thread so long, well within the time after which the machine gives up (5 s)."""
SCANS_TIMED_MAX = 8
"""Scans whose release is awaited for the latency figure; those given back meanwhile fall out."""

log = logging.getLogger("edge.lane")
_MEDIA = {one.value: one for one in Medium}


_ALREADY_DONE = frozenset((Write, Show))
"""Effects that `_do` has nothing to do for: records are in the journal by then, and `_tell` shows."""


class RelayLines(Protocol):
    """The guard's side of a lane's barrier."""

    def pulse(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> None:
        """Command one pulse now; `done(ok)` when the guard wrote it to the device, or could not."""
        ...

    def hold(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> HeldPulse | None:
        """Make a pulse ready for another thread to send, `done` as with `pulse`; None where that cannot be."""
        ...

    def drop(self, held: HeldPulse) -> bool:
        """Take a held pulse back: it has no answer then. False where it was sent."""
        ...

    def off_line(self, line: int) -> None:
        """Switch one line off."""
        ...


class _Held(msgspec.Struct, frozen=True, gc=False):
    """The pulse that the writer's thread sends once the record is durable, and the record's token."""

    token: int
    pulse: HeldPulse


class _Presentation(msgspec.Struct, frozen=True, gc=False):
    """What a reader delivered last; `last_ns` is when its last byte came."""

    data: bytes
    medium: Medium
    direction: Direction
    last_ns: int
    signature: bytes | None
    """Of a tag at a reader where only genuine chips count."""


@dataclass(slots=True)
class _AtReader:
    """What a lane remembers of one reader."""

    settings: ReaderSettings
    genuine_only: bool
    bad_signatures: int = 0
    latest: _Presentation | None = None
    feedback: Callable[[Signal], None] | None = None


class LaneShell:
    """One lane, alive."""

    def __init__(
        self,
        *,
        settings: LaneSettings,
        machine: Lane,
        judge: Judge,
        journal: Journal,
        clock: TrustedTime,
        relay: RelayLines | None,
        on_seen: Callable[[Seen], None],
        on_layout: Callable[..., None],
        on_fault: Callable[[StoreFault], None],
        on_became: Callable[[int, After], None] = lambda _seq, _after: None,
        on_alert: Callable[[str], None] = lambda _what: None,
        heard: Callable[[], tuple[RecordId, ...]] = tuple,
        on_fire: Callable[[], None] = lambda: None,
        lamps: RelayLines | None = None,
        strip: RelayLines | None = None,
    ) -> None:
        self.settings = settings
        self.machine = machine
        self.latencies_us: deque[int] = deque(maxlen=LATENCIES_MAX)
        self._judge = judge
        self._journal = journal
        self._clock = clock
        self._relay = relay
        self._on_layout = on_layout
        self._on_fault = on_fault
        self._on_became = on_became
        self._on_alert = on_alert
        self._heard, self._on_fire = heard, on_fire
        self._rows = LaneRows(settings.id, journal.epoch, clock, lambda: judge.venue.products, on_seen)
        self._stored = StoredScans(
            judge=judge, time=clock, rows=self._rows, drive=self.drive, seq_of=self.seq_of, on_fault=on_fault
        )
        self._lamps = Annunciator(settings, lamps, strip) if lamps or strip else None
        self._check_in = self._desk() if settings.check_in_s else None
        self._readers = {one.id: _AtReader(one, is_genuine_only(one)) for one in settings.readers}
        if any(one.genuine_only for one in self._readers.values()):
            originality.prepare()
        self._seqs: OrderedDict[int, int] = OrderedDict()
        self._awaiting: deque[tuple[int, int]] = deque()
        self._scan_ns: dict[int, int] = {}
        self._held: _Held | None = None
        self._sent: _Held | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._later: asyncio.TimerHandle | None = None
        self._to_tell: list[Callable[[], None]] = []
        self._contacts = Contacts(settings, self.drive, self._tell_ready, self._alert)
        self._relay_works = False
        self._memory = False
        self._memory_since_ms = self._memory_before_ms = 0
        self._ended = False
        self._plan = self.plan()
        journal.on_durable(self._durable)

    def _desk(self) -> CheckIn:
        return CheckIn(
            lane=LaneId(self.settings.id),
            window_s=self.settings.check_in_s,
            judge=self._judge,
            journal=self._journal,
            clock=self._clock,
            rows=self._rows,
            facts=lambda: self.facts(Direction.ENTRY),
            state=lambda: self.machine.state,
            drive=self.drive,
            seq_of=self.seq_of,
            signal=self.signal,
            on_fault=self._on_fault,
        )

    # --- what the lane serves -----------------------------------------------------------------------------------

    def plan(self) -> LanePlan:
        """What the lane serves now; a lane no plan names serves nothing."""
        plan = self._judge.plan(self.settings.id) or LanePlan(LaneId(self.settings.id), ZoneId(0))
        if self.settings.attended is not None:
            plan = LanePlan(plan.lane, plan.zone, plan.mode, plan.sessions, self.settings.attended)
        return plan

    @property
    def planned(self) -> bool:
        """Whether the list's plans name this lane."""
        return self._judge.plan(self.settings.id) is not None

    def token_of(self, seq: int) -> int:
        """Return the machine's token of a record of this run; 0 where it is no longer remembered."""
        return next((token for token, at in self._seqs.items() if at == seq), 0)

    def seq_of(self, token: int) -> int:
        """Return the record of the machine's token; 0 where it is no longer remembered."""
        return self._seqs.get(token, 0)

    def list_changed(self) -> None:
        """A newer list is in use."""
        self._plan = self.plan()

    def healthy(self, *, relay: bool, memory: bool) -> None:
        """Take what the daemon knows of the relay, and of list and log: without any one of them nobody is let in.

        Without list or log people are let out all the same: only a dead relay keeps the machine from moving the arm.
        """
        now_ms = self._now_ms()
        if memory and not self._memory:
            self._memory_since_ms = now_ms
        elif self._memory and not memory:
            self._memory_before_ms += now_ms - self._memory_since_ms
        self._relay_works, self._memory = relay, memory
        self._tell_ready()

    @property
    def ready(self) -> bool:
        """Whether somebody with a good ticket would be let in, as far as it is not for the lane's state."""
        return self._memory and self.machine.facts()[1]

    def contacts_lost(self, lines: Collection[int] | None = None) -> None:
        """The input board is gone, or these lines of it."""
        self._contacts.lost(lines)

    @property
    def trouble(self) -> str:
        """What its own contacts say is wrong with the turnstile, a sentence of `edge.words`; "" for nothing."""
        return self._contacts.trouble

    def _tell_ready(self) -> None:
        self.drive(ReadyChanged(self._relay_works and not self._contacts.trouble))

    def feedback_of(self, reader: int, feedback: Callable[[Signal], None]) -> None:
        """Let verdicts be shown on a reader's own light or beeper."""
        self._readers[reader].feedback = ReaderLight(feedback).feedback

    @property
    def is_busy(self) -> bool:
        """Whether somebody may be passing, in either direction."""
        return self.machine.facts(Direction.ENTRY)[2] or self.machine.facts(Direction.EXIT)[2]

    def signal(self, signal: Signal) -> None:
        """Show something on every reader's own light or beeper, as far as they have one. No arm moves by it."""
        for at in self._readers.values():
            if at.feedback is not None:
                at.feedback(signal)

    def latch_fire(self) -> None:
        """The last run ended with its alarm latched: so it is until staff clear it, whatever the contact says."""
        self.drive(FireChanged(active=True, still=True))
        self.drive(FireChanged(active=False))

    # --- what comes in ------------------------------------------------------------------------------------------

    def scanned(self, reader: int, scan: Scan) -> None:
        """A reader delivered a frame."""
        now_ms = self._now_ms()
        medium = _MEDIA[scan.medium]
        if not self.machine.presented(ReaderId(reader), presentation_of(scan.data, medium), now_ms):
            return
        failpoint("after_read")
        at = self._readers[reader]
        signature = scan.signature if at.genuine_only else None
        if self._check_in is not None:
            if not self._ended:
                self._check_in.scanned(reader, scan.data, medium, signature)
            return
        shown = _Presentation(scan.data, medium, way_of(at.settings.way), scan.last_ns, signature)
        self._present(at, shown)

    def stored(self, reader: int, event: Stored) -> None:
        """A device handed over a code that it read earlier."""
        if not self._ended:
            self._stored.take(self._readers[reader].settings, event, self._plan)

    def random_tag(self, reader: int) -> None:
        """A tag was tapped whose UID is another one each time; at an arm it is nobody, at a check-in station it is told."""
        if self._check_in is not None and not self._ended:
            self._check_in.random_tag(reader)

    def removed(self, reader: int, event: Removed) -> None:  # noqa: ARG002
        """The medium left the field."""
        self.machine.removed(ReaderId(reader), self._now_ms())

    def _present(self, at: _AtReader, shown: _Presentation) -> None:
        if self._ended:
            return
        self._settle_held()
        identity = self._judge.identify(shown.data, shown.medium, shown.signature)
        bad = not isinstance(identity, Known)
        if bad and isinstance(identity, Malformed) and identity.why == "empty":
            return
        if bad or at.bad_signatures:
            self._watch_layout(at, bad=bad)
        answer = self._answer(identity, shown.direction)
        failpoint("after_decide")
        at.latest = shown
        mode = mode_for(answer.verdict.candidate, self._plan)
        effects = self.machine.handle(
            Judged(
                ReaderId(at.settings.id),
                answer.verdict,
                answer.subject,
                answer.subject_flag,
                together(answer.verdict, mode, self.settings.companions),
                mode=mode,
                extensions=answer.extensions,
            ),
            self._now_ms(),
        )
        self._carry_out(effects)
        # All else waits until guard and disk have what they need: both want the processor now.
        scan = _scan_of(effects)
        if scan and answer.verdict.outcome is Outcome.GRANT:
            self._scan_ns[scan] = shown.last_ns
            while len(self._scan_ns) > SCANS_TIMED_MAX:
                del self._scan_ns[next(iter(self._scan_ns))]
        self._to_tell.append(partial(self._tell, at, shown, answer, effects, self._seqs.get(scan, 0)))

    def _tell(
        self, at: _AtReader, shown: _Presentation, answer: Answer, effects: tuple[LaneEffect, ...], seq: int
    ) -> None:
        """Tell reader and page."""
        verdict = said_at(at.settings.id, answer, effects)
        if at.feedback is not None:
            at.feedback(_SIGNALS[verdict.outcome])
        if self._lamps is not None:
            self._lamps.show(verdict)
        self._rows.answered(at.settings.id, shown, answer, verdict, effects, seq)

    def _tell_by_hand(self, write: Write, time_us: int) -> None:
        self._rows.by_hand(write, self._seqs.get(write.token, 0), time_us)

    def _became(self, write: Write) -> None:
        """Tell readers and page what became of somebody who was let through."""
        self.signal(Signal.NEXT)
        seq = self._seqs.get(write.ref_token, 0)
        if seq:
            self._on_became(seq, after_of(write.kind, write.flags))

    def _alert(self, what: str) -> None:
        log.warning("alert", extra={"lane": self.settings.id, "code": what})
        self._on_alert(what)

    def _answer(self, identity: Identity, direction: Direction) -> Answer:
        """Judge; where list or log cannot be read, entries are not ready and exits are granted all the same."""
        try:
            return self._judge.answer(identity, direction, self.facts(direction))
        except StoreFault as fault:
            self._on_fault(fault)
            facts = replace(self.facts(direction), ready=False)
            return self._judge.answer(identity, direction, facts, blind=True)

    def _watch_layout(self, at: _AtReader, *, bad: bool) -> None:
        """Count bad signatures in a row; tell the technician of a layout once, and when it is over."""
        if bad:
            at.bad_signatures += 1
            if at.bad_signatures == BAD_SIGNATURES_IN_A_ROW:
                self._on_layout(at.settings.id, wrong=True)
        elif at.bad_signatures:
            if at.bad_signatures >= BAD_SIGNATURES_IN_A_ROW:
                self._on_layout(at.settings.id, wrong=False)
            at.bad_signatures = 0

    def facts(self, direction: Direction) -> LaneFacts:
        """What the lane can do now, for `decide()`."""
        is_open, ready, busy = self.machine.facts(direction or Direction.ENTRY)
        now_ms = self._now_ms()
        memory_ms = self._memory_before_ms + (now_ms - self._memory_since_ms if self._memory else 0)
        able_ms = min(self.machine.ready_ms(now_ms), memory_ms)
        return LaneFacts(
            plan=self._plan,
            open=is_open,
            ready=ready and self._memory,
            busy=busy,
            after_restart=able_ms <= AFTER_RESTART_S * 1000,
            let_in_after_restart=self.settings.let_in_after_restart,
        )

    def input_changed(self, event: InputChanged) -> None:
        """A contact of this lane's input board changed."""
        self._contacts.changed(event)

    def drive(self, event: LaneEvent) -> tuple[LaneEffect, ...]:
        """Feed the machine and carry out its answer; returns what that was, nothing once the daemon ends."""
        if self._ended:
            return ()
        self._settle_held()
        effects = self.machine.handle(event, self._now_ms())
        self._carry_out(effects)
        return effects

    # --- what goes out ------------------------------------------------------------------------------------------

    def _hold(self, writes: list[Write]) -> Callable[[], None] | None:
        """Make the pulse ready with which these records will be answered; what the writer's thread shall call then.

        The way over the loop would cost the visitor a task switch (0.3 ms of 2.5). The machine still says it all: any
        other event first takes the pulse back (`_settle_held`).
        """
        last = writes[-1]
        if not last.urgent or self._relay is None or self._held is not None or self._journal.in_memory:
            return None
        release = self.machine.release_of(last.token)
        if release is None:
            return None
        pulse = self._relay.hold(release.line, release.pulse_ms, partial(self._answered, release.token))
        if pulse is None:
            return None
        self._held = _Held(last.token, pulse)
        return partial(_send, pulse, self._clock, self._clock.mono_ns() + HOLD_NS_MAX)

    def _settle_held(self) -> None:
        """Take back the pulse that is held, or, where the arm was told already, tell the machine so before all else."""
        held, self._held = self._held, None
        if held is None or self._relay is None or self._relay.drop(held.pulse):
            return
        self._sent = held
        self._carry_out(self.machine.handle(Durable(held.token), held.pulse.sent_ns // 1_000_000))
        self._sent = None

    def _carry_out(self, effects: tuple[LaneEffect, ...]) -> None:
        """Do what the machine says, in order."""
        writes = [effect for effect in effects if isinstance(effect, Write)]
        if writes:
            writes = [self._with_heard(one) if one.kind is Kind.FIRE else one for one in writes]
            for write in writes:
                if write.kind is Kind.FIRE:  # no power cut leaves the alarm without its latch
                    self._journal.keep_along(fire_key(self.settings.id), str(write.data).encode())
            then = self._hold(writes)
            seqs = self._journal.append(writes, self._stamp(), lambda token: self._seqs.get(token, 0), then)
            for write, seq in zip(writes, seqs, strict=True):
                self._seqs[write.token] = seq
                if write.urgent:
                    self._awaiting.append((seq, write.token))
            self._keep(writes)
            while len(self._seqs) > TOKENS_MAX:
                self._seqs.popitem(last=False)
        for effect in effects:
            if type(effect) not in _ALREADY_DONE:
                self._do(effect)
        if self._later is None:
            self._later = self._loop.call_later(TELL_AFTER_S, self._afterwards)

    def _with_heard(self, write: Write) -> Write:
        """Say with an alarm what was heard of each log: who is in the house goes out, and is let in again afterwards."""
        if write.data != Fire.ALARM:
            return write
        try:
            heard = self._heard()
        except StoreFault as fault:
            # The time says it as well of all whose clocks are right.
            self._on_fault(fault)
            return write
        return replace(write, extensions=(*write.extensions, *reset_payloads(heard)))

    def _do(self, effect: LaneEffect) -> None:
        match effect:
            case Release():
                self._release(effect)
            case Withhold(line=line):
                if self._relay is not None:
                    self._relay.off_line(line)
            case Alert(what=what):
                self._to_tell.append(partial(self._alert, what))
            case JudgeAgain(reader=reader):
                self._loop.call_soon(self._judge_again, reader, self._readers[reader].latest)

    def _keep(self, writes: list[Write]) -> None:
        """Have the lane's state and a latched alarm outlive this run: a fire is over when staff say so."""
        for write in writes:
            if write.kind is Kind.OVERRIDE or asked_at(write.kind, write.reader, write.flags):
                self._to_tell.append(partial(self._tell_by_hand, write, self._clock.now_us()))
            match write.kind:
                case Kind.LANE_STATE:
                    self._journal.keep(state_key(self.settings.id), str(write.data).encode())
                case Kind.FIRE:
                    self._on_fire()
                case Kind.SCAN if write.urgent:
                    failpoint("after_record")
                case Kind.PASSAGE | Kind.LATE_PASSAGE | Kind.GIVE_BACK:
                    if write.kind is Kind.PASSAGE:
                        failpoint("after_passage")
                    self._to_tell.append(partial(self._became, write))

    def _stamp(self) -> Stamp:
        return Stamp(LaneId(self.settings.id), self._plan.zone)

    def _release(self, effect: Release) -> None:
        if self._relay is None:
            self.drive(Pulsed(effect.token, ok=False))
            return
        at_ns = self._sent.pulse.sent_ns if self._sent is not None else 0
        if not at_ns:
            _command(self._relay.pulse, effect.line, effect.pulse_ms, partial(self._answered, effect.token))
            at_ns = self._clock.mono_ns()
        started = self._scan_ns.pop(effect.token, 0)
        if started:
            self.latencies_us.append((at_ns - started) // 1000)

    def _answered(self, token: int, ok: bool) -> None:
        failpoint("after_answer")
        self.drive(Pulsed(token, ok=ok))

    def _judge_again(self, reader: ReaderId, waited: _Presentation | None) -> None:
        at = self._readers[reader]
        # Whoever came since, in this very turn of the loop, has an answer already.
        if waited is not None and at.latest is waited:
            self._present(at, waited)

    def _durable(self, seq: int) -> None:
        while self._awaiting and self._awaiting[0][0] <= seq:
            _, token = self._awaiting.popleft()
            self.drive(Durable(token))

    def not_durable(self, seq: int, *, admit: bool) -> None:
        """The disk took nothing up to `seq`: by policy the waiting grants are released all the same, or taken back.

        A tag is bound by no policy: its ticket opens without it.
        """
        if self._check_in is not None:
            self._check_in.not_durable(seq)
        while self._awaiting and self._awaiting[0][0] <= seq:
            _, token = self._awaiting.popleft()
            self.drive(NotDurable(token, admit))

    def drain(self) -> None:
        """The daemon ends: write what was only counted so far, and wake up no more.

        Whatever comes after it is nobody's: with the contacts no longer read, the end of a window says nothing.
        """
        self._contacts.drain()
        self._settle_held()
        self._carry_out(self.machine.drain())
        self._ended = True
        for timer in (self._timer, self._later):
            if timer is not None:
                timer.cancel()

    def _afterwards(self) -> None:
        """Do what nobody at the arm waits for."""
        self._later = None
        to_tell, self._to_tell = self._to_tell, []
        for tell in to_tell:
            tell()
        self._arm_timer()

    def _arm_timer(self) -> None:
        """Wake up when the machine next has something to do. A timer that is early does no harm and stays."""
        deadline = self.machine.next_deadline_ms
        if deadline is None or (self._timer is not None and self._timer_ms <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        wait_s = max(0.0, (deadline - self._now_ms()) / 1000)
        self._timer, self._timer_ms = self._loop.call_later(wait_s, self._tick), deadline

    def _tick(self) -> None:
        self._timer = None
        self.drive(Tick())

    def _now_ms(self) -> int:
        return self._clock.mono_ns() // 1_000_000


def _send(pulse: HeldPulse, clock: Clock, until_ns: int) -> None:
    """Send a held pulse, by the writer's thread: its record is durable. Later than `until_ns` the loop decides."""
    failpoint("after_durable")
    now_ns = clock.mono_ns()
    if now_ns < until_ns:
        _command(pulse.send, now_ns)


def _command(send: Callable[..., None], *values: object) -> None:
    failpoint("before_pulse")
    send(*values)
    failpoint("after_pulse")


def _scan_of(effects: tuple[LaneEffect, ...]) -> int:
    """Return the token of the presentation's own record; counts of earlier ones may stand before it."""
    for one in reversed(effects):
        if isinstance(one, Write) and one.kind is Kind.SCAN and not one.flags & Flag.REPEATED:
            return one.token
    return 0


def state_key(lane: int) -> str:
    """Return the name under which a lane's state is kept beside the log."""
    return f"lane.{lane}"


def fire_key(lane: int) -> str:
    """Return the name under which it is kept whether a lane's alarm is latched."""
    return f"fire.{lane}"


_SIGNALS = {
    Outcome.NONE: Signal.REJECT,
    Outcome.GRANT: Signal.ACCEPT,
    Outcome.CHECK: Signal.WAIT,
    Outcome.WAIT: Signal.WAIT,
    Outcome.DENY: Signal.REJECT,
}
