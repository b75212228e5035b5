"""Does what the list's schedule says is due: presence resets and lane states. Called once a second, off the scan path.

What was done is kept beside the log, so that a restart neither repeats nor forgets it. Fire and emergency are ended by
staff alone: a lane in either takes nothing from a plan.
"""

import logging
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from admission.ids import LaneId, ZoneId
from admission.lane import LaneState, StateSet
from admission.observed import Reset, ResetKind
from admission.records import MalformedRecord, Record, Trust, record_from_bytes
from edge.clock import Clock
from edge.gate import Gate
from edge.journal import MONO_MS_MASK
from edge.lane import LaneShell
from edge.link import Health, Part
from edge.presence_reset import reset_presence
from edge.schedule import LaneMark, Schedule, by_hand, looked_on, resets_due, state_due, timezone_of
from edge.store.faults import StoreFault

BELIEVED: Final = frozenset((Trust.SYNCED, Trust.RTC))
"""Clocks by which something happens by itself: with the others a box would empty its zones at any hour of the day."""
DRIFT_S: Final = 2
"""When somebody set a lane is corrected where the clock was off by more than this."""
KEY: Final = "schedule"
"""Under this name it is kept, beside the log, up to when resets were looked after."""

Kept = TypeVar("Kept")

log = logging.getLogger("edge.timetable")


class Looked(msgspec.Struct, frozen=True):
    """Moments up to `at_s` (Unix seconds) are dealt with, of the plan `of` (`Schedule.resets_id`)."""

    at_s: int
    of: bytes


class Timetable:
    """One gate's schedule, alive. `started_ns`: monotonic, no later than the running epoch's start."""

    def __init__(self, gate: Gate, clock: Clock, started_ns: int) -> None:
        self._gate = gate
        self._clock = clock
        self._started_ns = started_ns
        self._plan: Schedule | None = None
        self._plan_id = b""
        self._timezone: ZoneInfo | None = None
        self._looked = _decoded(gate.reader.meta(KEY), Looked)
        kept = {lane: _decoded(gate.reader.meta(mark_key(lane)), LaneMark) for lane in gate.lanes}
        self._marks = {lane: mark for lane, mark in kept.items() if mark is not None}
        self._by_hand_ns: dict[int, int] = {}
        """When somebody set a lane in this run, by the clock that nobody sets."""

    def tick(self) -> None:
        """Do what is due now."""
        listed = self._gate.lists.schedule
        if listed is None:
            return
        self.look_after_lanes()
        now_s = self._believed_s()
        if self._plan is None:
            self._use(listed)
        if now_s is None:
            return
        try:
            self._look_after_resets(now_s)
            # Not before: what the plan until now had for the time when the clock was not believed is made good first.
            if self._plan is not listed:
                self._use(listed)
                # From this very second on, or a moment that lies before the next look would be nobody's.
                self._look_after_resets(now_s)
        except StoreFault as fault:
            # Whom the log holds is not known now: the moment stays due.
            self._gate.unreadable(fault)

    def look_after_lanes(self) -> None:
        """Have each lane in the state that is due now."""
        listed = self._gate.lists.schedule
        if listed is None:
            return
        now_s = self._believed_s()
        for number, shell in self._gate.lanes.items():
            self._look_after_lane(LaneId(number), shell, listed, now_s)

    def _believed_s(self) -> int | None:
        return self._gate.now_s() if self._gate.time.trust in BELIEVED else None

    # --- resets -------------------------------------------------------------------------------------------------

    def _use(self, plan: Schedule) -> None:
        self._plan, self._plan_id = plan, plan.resets_id
        self._timezone = timezone_of(plan.timezone)
        if self._timezone is None and plan.nightly:
            self._gate.board.put(
                Part.CLOCK, "timezone", Health.DEGRADED, "clock.timezone", {"timezone": plan.timezone}
            )
        else:
            self._gate.board.remove(Part.CLOCK, "timezone")

    def _look_after_resets(self, now_s: int) -> None:
        """Reset what is due. StoreFault where the log cannot be read; it is tried again then."""
        looked = self._looked
        if self._plan is None:
            return
        if looked is None or looked.of != self._plan_id:
            # A plan that is new here: nothing of it was missed, and nobody expects a reset in the middle of a day.
            self._keep_looked(Looked(now_s, self._plan_id))
            return
        due = resets_due(self._plan, self._timezone, looked.at_s, now_s)
        tree, emptied = self._gate.judge.venue.zones, set[ZoneId]()
        # The outer zone first, whose reset is one of those inside; but one that staff made may lie before their moment.
        for zone, since_s in sorted(due.items(), key=lambda one: len(tree.outer(one[0]))):
            around = {zone, *tree.outer(zone)}
            if emptied.isdisjoint(around) and not self._was_reset(around, since_s, now_s):
                reset_presence(self._gate, zone)
                emptied.add(zone)
                log.info("presence reset by schedule", extra={"zone": zone})
        after = Looked(looked_on(looked.at_s, now_s), looked.of)
        if due or after.at_s < looked.at_s:
            self._keep_looked(after)
        self._looked = after

    def _keep_looked(self, looked: Looked) -> None:
        self._looked = looked
        self._gate.journal.keep(KEY, msgspec.msgpack.encode(looked))

    def _was_reset(self, zones: set[ZoneId], since_s: int, now_s: int) -> bool:
        """Whether this gate reset one of these zones since the moment: by hand, or just before it died."""
        journal = self._gate.journal
        made = (*self._gate.reader.resets(), *journal.pending_resets())
        return any(
            one.kind is ResetKind.EMPTIED
            and one.zone in zones
            and one.id.gate == journal.gate
            and since_s <= self._made_s(one, now_s) <= now_s
            for one in made
        )

    def _made_s(self, reset: Reset, now_s: int) -> int:
        """Return when a reset was made by the clock as it is now; of this run whatever the clock was then."""
        at_s = reset.time_us // 1_000_000
        if reset.id.epoch != self._gate.journal.epoch:
            return at_s
        blob = self._gate.reader.record(reset.id)
        try:
            record = record_from_bytes(blob) if blob else None
        except MalformedRecord:
            record = None
        if not isinstance(record, Record):
            return at_s
        running_ms = (self._clock.mono_ns() - self._started_ns) // 1_000_000
        return now_s - (running_ms - record.mono_ms & MONO_MS_MASK) // 1000

    # --- lane states --------------------------------------------------------------------------------------------

    def _look_after_lane(self, lane: LaneId, shell: LaneShell, listed: Schedule, now_s: int | None) -> None:
        state = shell.machine.state
        order = listed.orders.get(lane)
        before = self._marks.get(lane)
        mark = before or LaneMark(state)
        if mark.state is not state:
            mark = by_hand(mark, state, self._gate.now_s(), order)
            self._by_hand_ns[lane] = self._clock.mono_ns()
        elif now_s is not None and lane in self._by_hand_ns:
            set_s = now_s - (self._clock.mono_ns() - self._by_hand_ns[lane]) // 1_000_000_000
            if abs(set_s - mark.by_hand_s) > DRIFT_S:
                mark = msgspec.structs.replace(mark, by_hand_s=set_s)
        if not shell.machine.fire and state is not LaneState.EMERGENCY:
            mark = state_due(listed.states.get(lane, ()), order, mark, now_s)
            if mark.state is not state:
                shell.drive(StateSet(mark.state))
                log.info("lane state by plan", extra={"lane": lane, "state": mark.state.name.lower()})
                self._gate.changed()
        self._marks[lane] = mark
        if mark != (before or LaneMark(mark.state)):
            self._gate.journal.keep(mark_key(lane), msgspec.msgpack.encode(mark))


def mark_key(lane: int) -> str:
    """Return the name under which it is kept what a lane's plan has come to."""
    return f"schedule.{lane}"


def _decoded(found: bytes | None, kind: type[Kept]) -> Kept | None:
    """Return what was kept; what cannot be read is as if it had never been."""
    try:
        return msgspec.msgpack.decode(found, type=kind) if found else None
    except msgspec.DecodeError:
        return None
