"""What holds of a lane whatever comes, in whatever order, however late, however often."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from admission import lane
from admission.arm import EXIT_HELD_MS_MAX
from admission.ids import Epoch, GateId, LaneId, ReaderId, RecordId
from admission.lane import (
    Alert,
    DoorChanged,
    FireChanged,
    Judged,
    LaneConfig,
    LaneEffect,
    LaneEvent,
    LaneState,
    NotDurable,
    Passed,
    Pulsed,
    ReadyChanged,
    Release,
    StaffCleared,
    StateSet,
    Tick,
    Write,
)
from admission.lane_machine import Lane
from admission.question import Verdict
from admission.reasons import Reason
from admission.records import Direction, ExtensionRecord, Flag, Kind, Outcome, Record, record_from_bytes
from admission.repeats import CODES_MAX, Repeats
from tests.admission.lanes import subject

ENTRY_LINE, EXIT_LINE = 0, 1
_ADMITTING = {LaneState.CONTROLLED, LaneState.FREE_EXIT, LaneState.REHEARSAL}
_ADMISSIONS = {Kind.SCAN, Kind.OVERRIDE}
_PASSAGES = {Kind.PASSAGE, Kind.LATE_PASSAGE, Kind.INTRUSION, Kind.TAILGATE}
_OF_PEOPLE = _ADMISSIONS | _PASSAGES | {Kind.TEST_PULSE}
_ENDS = ([Kind.PASSAGE], [Kind.GIVE_BACK], [Kind.GIVE_BACK, Kind.LATE_PASSAGE])
_ALERTS = {
    "intrusion",
    "tailgate",
    "forced",
    "held",
    "detector",
    "fire",
    "emergency",
    "relay",
    "attention",
    "cancelled",
    "busy",
    "not_ready",
}
_BOTH_WAYS = st.sampled_from((Direction.ENTRY, Direction.EXIT))

configs = st.builds(
    LaneConfig,
    lane=st.just(LaneId(1)),
    entry_line=st.sampled_from((ENTRY_LINE, ENTRY_LINE, ENTRY_LINE, None)),
    exit_line=st.sampled_from((EXIT_LINE, EXIT_LINE, EXIT_LINE, None)),
    entry_sensor=st.booleans(),
    exit_sensor=st.booleans(),
    shared_path=st.booleans(),
    together=st.booleans(),
    door_counts=st.booleans(),
)
verdicts = st.builds(
    Verdict,
    outcome=st.sampled_from((Outcome.GRANT, Outcome.GRANT, Outcome.GRANT, *Outcome)),
    reason=st.sampled_from((Reason.NONE, Reason.CANCELLED, Reason.BUSY, Reason.NOT_READY)),
    direction=st.sampled_from((Direction.ENTRY, Direction.ENTRY, Direction.EXIT, Direction.NONE)),
    alert_staff=st.booleans(),
    observed=st.lists(
        st.builds(RecordId, st.just(GateId(1)), st.just(Epoch(2)), st.integers(1, 99)), max_size=3
    ).map(tuple),
    repeated=st.sampled_from((False, False, False, True)),
)
subjects = st.integers(1, 3).map(subject)
tokens = st.integers(
    -1, 3
)  # how far back from the newest: an answer to it, to an older one, or to none at all
events = st.one_of(
    st.builds(
        Judged,
        reader=st.integers(1, 4).map(ReaderId),
        verdict=verdicts,
        subject=subjects,
        subject_flag=st.sampled_from((Flag.TICKET, Flag.DIGEST, Flag.NONE, Flag.TICKET | Flag.DIGEST)),
        count=st.sampled_from((1, 1, 1, 3, 50, 51, 0)),
    ),
    st.builds(lane.Durable, tokens),
    st.builds(lane.Durable, tokens),
    st.builds(NotDurable, tokens, st.booleans()),
    st.builds(Pulsed, tokens, st.sampled_from((True, True, False))),
    st.builds(Passed, st.sampled_from((*Direction, Direction.ENTRY))),
    st.builds(DoorChanged, st.booleans(), st.sampled_from((False, False, True))),
    st.sampled_from((lane.Detected(), lane.ExitAsked())),
    st.builds(ReadyChanged, st.sampled_from((True, True, False))),
    st.builds(FireChanged, st.sampled_from((False, False, True))),
    st.builds(StaffCleared, st.integers(0, 9)),
    st.builds(
        StateSet, st.sampled_from((LaneState.CONTROLLED, LaneState.CONTROLLED, *LaneState)), st.integers(0, 9)
    ),
    st.builds(
        lane.Override,
        steward=st.integers(0, 2**33),
        reason=st.text(max_size=300),
        direction=_BOTH_WAYS,
        subject=subjects,
        subject_flag=st.sampled_from((Flag.TICKET, Flag.NONE)),
        count=st.sampled_from((1, 1, 2, 50, 51)),
    ),
    st.builds(
        lane.Annul,
        steward=st.integers(0, 9),
        reason=st.text(max_size=5),
        record=st.just(RecordId(GateId(1), Epoch(2), 3)),
        subject=subjects,
        subject_flag=st.just(Flag.TICKET),
        token=tokens,
    ),
    st.builds(lane.Conflict, tokens, st.just(Verdict(Outcome.DENY, Reason.ALREADY_USED)), st.booleans()),
    st.builds(lane.TestPulse, st.integers(0, 9), _BOTH_WAYS),
    st.just(Tick()),
)
gaps = st.sampled_from((0, 0, 1, 10, 400, 1000, 3000, 6500, 9000, 61_000, -500))
steps = st.lists(st.tuples(events, gaps, st.booleans()), min_size=10, max_size=80)


@dataclass
class Onlooker:
    """A lane, and beside it what somebody knows who only watches; the laws are checked as things happen."""

    config: LaneConfig
    state: LaneState
    auto: bool
    """Disk and relay answer at once and well; else only by the events drawn."""
    lane: Lane = field(init=False)
    now_ms: int = 0
    ready: bool = False
    contact: bool = False
    fire: bool = False
    newest: int = 0
    commanded: int = 0
    event: int = 0
    durable_to: int = 0
    released: set[int] = field(default_factory=set)
    writes: dict[int, Write] = field(default_factory=dict)
    written_at: dict[int, int] = field(default_factory=dict)
    ends: dict[int, list[Kind]] = field(default_factory=dict)
    annulled: set[int] = field(default_factory=set)
    passages: Counter[Direction] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.lane = Lane(self.config, self.state)

    def meant(self, event: LaneEvent, *, well: bool) -> LaneEvent:
        """Make the small numbers of answers and annuls speak of real tokens; unless `well`, of nonsense too."""
        match event:
            case lane.Durable(token=back):
                return lane.Durable(self.newest if well else self.newest - back)
            case NotDurable(token=back, admit=admit):
                return NotDurable(self.newest if well else self.newest - back, admit)
            case Pulsed(token=back, ok=ok):
                return Pulsed(self.commanded if well else self.newest - back, ok)
            case lane.Annul() | lane.Conflict():
                return replace(event, token=self.newest - event.token)
        return event

    def do(self, event: LaneEvent, after_ms: int = 0) -> None:
        before_ms, now_ms = self.now_ms, self.now_ms + after_ms
        self.now_ms = max(self.now_ms, now_ms)
        self.event += 1
        states = {self.state}
        self._note(event)
        foretold = None
        if isinstance(event, lane.Durable) and now_ms <= before_ms:
            foretold = self.lane.release_of(event.token)
        before = {way: self.lane.counters[way].passages for way in self.lane.counters}
        effects = self.lane.handle(event, now_ms)
        if isinstance(event, DoorChanged):
            self._through_the_door(event, before)
        if isinstance(event, lane.Durable) and now_ms <= before_ms:
            released = [one for one in effects if isinstance(one, Release)]
            assert foretold in (None, *released), "the arm is commanded before the machine is asked"
            assert foretold is not None or all(one.token != event.token for one in released)
        for effect in effects:
            match effect:
                case Write():
                    self._written(effect, states | {self.state})
                case Release():
                    self._released(effect)
                case Alert(what=what):
                    assert what in _ALERTS
        if isinstance(event, lane.Annul) and event.token in self.admissions():
            self.annulled.add(event.token)
        self._one_at_a_time()
        due = self.lane.next_deadline_ms
        assert due is None or due > self.now_ms
        if self.auto:
            self._answer(effects)

    def _through_the_door(self, event: DoorChanged, before: dict[Direction, int]) -> None:
        """One person at most, and none where a door is found open or shuts."""
        gone = {way: counters.passages - before[way] for way, counters in self.lane.counters.items()}
        assert sum(gone.values()) == int(self.config.door_counts and event.open and not event.first)
        for way, people in gone.items():
            self.passages[way] += people

    def _answer(self, effects: Sequence[LaneEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Write) and effect.urgent:
                self.do(lane.Durable(effect.token))
            elif isinstance(effect, Release):
                self.do(Pulsed(effect.token))

    def _note(self, event: LaneEvent) -> None:
        match event:
            case lane.Durable(token=token) | NotDurable(token=token, admit=True) if token <= self.newest:
                self.durable_to = max(self.durable_to, token)
            case ReadyChanged(ready=ready):
                self.ready = ready
            case FireChanged(active=active):
                self.contact = active
                self.fire |= active
            case StaffCleared():
                self.fire &= self.contact
            case StateSet(state=state):
                self.state = state
            case Passed(direction=direction):
                self.passages[direction] += 1
            case _:
                pass

    def _written(self, write: Write, states: set[LaneState]) -> None:
        assert write.token == self.newest + 1
        self.newest = write.token
        self.writes[write.token] = write
        self.written_at[write.token] = self.event
        if write.ref_token and write.kind is not Kind.ANNUL:
            whole = self.writes[write.ref_token]
            assert (whole.flags ^ write.flags) & Flag.REHEARSAL == 0
            assert (write.subject, write.session, write.mode) == (whole.subject, whole.session, whole.mode)
            assert whole.direction is write.direction
            if write.kind is not Kind.TAILGATE:
                self.ends.setdefault(write.ref_token, []).append(write.kind)
        elif write.kind in _OF_PEOPLE and not write.flags & Flag.REPEATED:
            assert bool(write.flags & Flag.REHEARSAL) in {state is LaneState.REHEARSAL for state in states}
        _as_record(write)

    def _released(self, release: Release) -> None:
        self.commanded = release.token
        assert release.token not in self.released, "one pulse a reservation"
        self.released.add(release.token)
        scan = self.writes[release.token]
        assert release.line == (EXIT_LINE if scan.direction is Direction.EXIT else ENTRY_LINE)
        assert self.ready
        assert not self.fire
        assert self.state is not LaneState.EMERGENCY
        assert release.token not in self.ends, "what was given back stays shut"
        assert release.token not in self.annulled
        if scan.kind in _ADMISSIONS and scan.direction is Direction.ENTRY:
            assert self.state in _ADMITTING
            assert release.token <= self.durable_to

    def _one_at_a_time(self) -> None:
        """At most one grant (of one person or a group) holds an arm's way in."""
        if self.config.entry_line is None and not self.config.entry_sensor:
            return
        open_entries = {
            self.written_at[token]
            for token, write in self.admissions().items()
            if write.direction is Direction.ENTRY and token not in self.ends and token not in self.annulled
        }
        assert len(open_entries) <= 1

    def admissions(self) -> dict[int, Write]:
        return {
            token: write
            for token, write in self.writes.items()
            if write.kind in _ADMISSIONS
            and write.outcome is Outcome.GRANT
            and not write.flags & Flag.REPEATED
        }

    def finish(self) -> None:
        """Let everything end that time can end."""
        for _ in range(1000):
            due = self.lane.next_deadline_ms
            if due is None:
                break
            self.do(Tick(), due - self.now_ms)
        assert self.lane.next_deadline_ms is None
        for effect in self.lane.drain():
            assert not isinstance(effect, Write), "what was counted has been written by then"


def _as_record(write: Write) -> None:
    """Every Write fits the bytes that are stored for ever."""
    record = Record(
        write.kind,
        write.token,
        0,
        0,
        reader=write.reader,
        session=write.session,
        outcome=write.outcome,
        reason=write.reason,
        direction=write.direction,
        mode=write.mode,
        flags=write.flags,
        subject=write.subject,
        data=write.data,
    )
    assert record_from_bytes(record.to_bytes()) == record
    for kind, payload in write.extensions:
        ExtensionRecord(kind, write.token + 1, payload).to_bytes()


@given(configs, st.sampled_from(LaneState), st.booleans(), steps)
@settings(max_examples=200, deadline=None)
def test_laws(
    config: LaneConfig, state: LaneState, auto: bool, drawn: list[tuple[LaneEvent, int, bool]]
) -> None:
    watch = Onlooker(config, state, auto)
    watch.do(ReadyChanged(ready=True))
    for event, after_ms, well in drawn:
        watch.do(watch.meant(event, well=well), after_ms)
    watch.finish()
    # every reservation has exactly one end
    for token in watch.admissions():
        end = watch.ends.get(token, [])
        assert end in _ENDS or (token in watch.annulled and not end)
    # every passage is somebody's, or somebody is called, or the way was free
    for direction, counters in watch.lane.counters.items():
        kinds: Counter[Kind] = Counter()
        tested = assumed = 0
        for write in watch.writes.values():
            if write.direction is direction and write.kind in _PASSAGES:
                of_test = write.ref_token and watch.writes[write.ref_token].kind is Kind.TEST_PULSE
                tested += 1 if of_test else 0
                assumed += 1 if write.flags & Flag.ASSUMED else 0
                kinds[write.kind] += write.data or 1
        assert counters.passages == watch.passages[direction]
        assert counters.passages == (
            counters.committed
            + counters.late
            + counters.intrusions
            + counters.tailgates
            + counters.free
            + counters.tested
        )
        assert kinds[Kind.INTRUSION] == counters.intrusions
        assert kinds[Kind.TAILGATE] == counters.tailgates
        assert kinds[Kind.LATE_PASSAGE] == counters.late
        assert assumed == counters.assumed
        assert tested <= counters.tested
        assert kinds[Kind.PASSAGE] == counters.committed + counters.free + counters.tested + counters.assumed


@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.integers(0, 3), st.integers(0, 4000)), min_size=20, max_size=300
    )
)
@settings(max_examples=60, deadline=None)
def test_every_repeat_is_in_one_count(denials: list[tuple[int, int, int]]) -> None:
    repeats = Repeats(burst=5, refill_ms=2000, flush_ms=10_000)
    written: list[Write] = []
    now_ms = 0
    for told, (code, reason, gap_ms) in enumerate(denials, start=1):
        due_ms, now_ms = repeats.next_ms, now_ms + gap_ms
        out = repeats.due(now_ms)
        assert bool(out) == (due_ms is not None and due_ms <= now_ms)
        written += out
        scan = Write(
            0, Kind.SCAN, outcome=Outcome.DENY, reason=reason, subject=subject(code), flags=Flag.TICKET
        )
        written += repeats.coalesce(scan, now_ms)
        due_ms = repeats.next_ms
        # a count that is not yet written is announced, within its time
        open_counts = told - sum(write.data or 1 for write in written)
        assert (due_ms is not None) == (open_counts > 0)
        assert due_ms is None or now_ms < due_ms <= now_ms + 10_000
    singles = sum(not write.flags & Flag.REPEATED for write in written)
    assert singles <= 5 + now_ms / 2000
    written += repeats.rest()
    assert sum(write.data or 1 for write in written) == len(denials)
    assert repeats.next_ms is None


def test_a_code_that_makes_room_leaves_its_count_and_asks_for_no_time_any_more() -> None:
    repeats = Repeats(burst=100, refill_ms=10, flush_ms=10_000)
    codes = [Write(0, Kind.SCAN, subject=subject(n), flags=Flag.TICKET) for n in range(CODES_MAX + 1)]
    assert repeats.coalesce(codes[0], 0) == (codes[0],)
    assert repeats.coalesce(codes[0], 5) == ()
    assert (repeats.next_ms,) == (10_000,)
    for code in codes[1:-1]:
        assert repeats.coalesce(code, 10) == (code,)
    count = replace(codes[0], flags=Flag.TICKET | Flag.REPEATED, data=1)
    assert repeats.coalesce(codes[-1], 20) == (count, codes[-1])
    assert repeats.next_ms is None
    assert repeats.due(10_020) == ()
    assert repeats.coalesce(codes[-1], 10_020) == (codes[-1],)  # forgotten, so new


@given(configs, st.integers(0, 30), st.integers(0, 20_000))
@settings(max_examples=50, deadline=None)
def test_an_exit_is_never_held_longer_than_its_limit(config: LaneConfig, people: int, gap_ms: int) -> None:
    watch = Onlooker(replace(config, exit_line=EXIT_LINE), LaneState.CONTROLLED, auto=True)
    watch.do(ReadyChanged(ready=True))
    watch.do(Judged(ReaderId(1), Verdict(Outcome.GRANT), subject(1), Flag.TICKET, count=people + 1))
    watch.do(
        Judged(ReaderId(2), Verdict(Outcome.GRANT, direction=Direction.EXIT), subject(2), Flag.TICKET), gap_ms
    )
    asked_ms = watch.now_ms
    scan = next(token for token, write in watch.writes.items() if write.direction is Direction.EXIT)
    while scan not in watch.released:
        due = watch.lane.next_deadline_ms
        assert due is not None
        watch.do(Tick(), due - watch.now_ms)
    assert watch.now_ms - asked_ms <= EXIT_HELD_MS_MAX


@given(
    st.lists(
        st.tuples(
            st.integers(1, 2), st.sampled_from((b"A", b"B", b"C")), st.integers(0, 2500), st.booleans()
        ),
        max_size=60,
    )
)
@settings(max_examples=100, deadline=None)
def test_a_presentation_lasts_until_its_code_was_unseen(reads: list[tuple[int, bytes, int, bool]]) -> None:
    machine = Lane(LaneConfig(LaneId(1), 0, 1, True, True), LaneState.CONTROLLED)
    machine.handle(ReadyChanged(ready=True), 0)
    seen: dict[tuple[int, bytes], int] = {}
    judged = written = 0
    now_ms = 0
    for reader, code, gap_ms, walks in reads:
        now_ms += gap_ms
        key = (reader, code)
        fresh = machine.presented(ReaderId(reader), code, now_ms)
        assert fresh is (key not in seen or now_ms - seen[key] >= 2000)
        seen[key] = now_ms
        if fresh:
            judged += 1
            verdict = Verdict(Outcome.GRANT)
            effects = machine.handle(Judged(ReaderId(reader), verdict, subject(1), Flag.TICKET), now_ms)
            written += sum(isinstance(one, Write) and one.kind is Kind.SCAN for one in effects)
        if walks:
            machine.handle(Passed(Direction.ENTRY), now_ms)
    assert written <= judged
