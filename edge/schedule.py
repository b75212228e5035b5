"""What the list has happen by itself at one gate, and what of it is due. Pure: the time comes in, nothing is done here.

Two sorts, since they are made good differently. A *presence reset* cannot be undone: each moment is acted on once,
also after a restart or a clock that went back, and late where the box was off. A *lane state* can: the lane takes what
the plan says now, unless somebody set it by hand after the plan's last moment. `edge.timetable` does what is due.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from admission.entitlements import LaneOrder, LanePlan, ZoneTree
from admission.ids import GateId, LaneId, ZoneId
from admission.lane import LaneState
from sync.wire.lists import ListHead

DAY_MINUTES: Final = 24 * 60
U16_MAX: Final = 2**16 - 1
"""A zone in a RESET record."""
CALENDAR_S: Final = 4_102_444_800
"""2100-01-01: no plan goes beyond, and Python's calendar still holds what lies a day around it."""
RESET_BACK_S: Final = 26 * 3600
"""A clock set back by no more than this does no reset again (a day, and an hour of daylight saving); one set back
further was so wrong that what it did says nothing of today."""
STATE_BACK_S: Final = 300
"""The same of lane states: a time server moves a clock by seconds; beyond it the plan is read anew, for the lane has
been given the state of another hour."""


class Schedule(msgspec.Struct, frozen=True):
    """What the list plans for one gate."""

    timezone: str
    nightly: tuple[tuple[int, ZoneId], ...]
    """(minutes after local midnight, zone)."""
    ends: tuple[tuple[int, ZoneId], ...]
    """(Unix seconds, zone), of sessions."""
    states: dict[LaneId, tuple[tuple[int, LaneState], ...]]
    """(Unix seconds, state), in order of time."""
    orders: dict[LaneId, LaneOrder]
    """The newest order of each lane."""

    @property
    def resets_id(self) -> bytes:
        """Which resets are planned: moments that another plan would have had are not made good."""
        return hashlib.sha256(msgspec.json.encode((self.timezone, self.nightly, self.ends))).digest()[:16]


def schedule_of(head: ListHead, gate: GateId, plans: Iterable[LanePlan], zones: ZoneTree) -> Schedule:
    """Return what a list plans for `gate`. ValueError where it cannot be meant so, whichever gate that concerns."""
    for schedule in head.schedules:
        if [from_s for from_s, _ in schedule.entries] != sorted({from_s for from_s, _ in schedule.entries}):
            raise ValueError(f"the schedule of lane {schedule.lane} is not in order of time")
        for _, state in schedule.entries:
            if LaneState(state) is LaneState.EMERGENCY:
                raise ValueError(f"the schedule of lane {schedule.lane} plans an emergency")
    for order in head.orders:
        LaneState(order.state)
        if not order.zone and not order.gate:
            raise ValueError(f"order {order.version} names neither a zone nor a gate")
    for zone in head.zones:
        if not -1 <= zone.reset_at < DAY_MINUTES:
            raise ValueError(f"zone {zone.id} is reset at minute {zone.reset_at} of the day")
    for session in head.sessions:
        if session.zone and session.zone not in zones.by_id:
            raise ValueError(f"session {session.id} takes place in zone {session.zone}, which does not exist")
    plans = tuple(plans)
    serves = {plan.zone for plan in plans}
    serves.update(zone for one in head.gates if one.id == gate for zone in one.zones)

    def is_ours(zone: ZoneId) -> bool:
        # A reset covers the zones inside; of those this gate may be the only one whose log holds entries.
        return 0 < zone <= U16_MAX and not serves.isdisjoint((zone, *zones.inner(zone)))

    return Schedule(
        timezone=head.events[0].timezone if head.events else "UTC",
        nightly=tuple((one.reset_at, one.id) for one in head.zones if one.reset_at >= 0 and is_ours(one.id)),
        ends=tuple(
            sorted({(one.end, one.zone) for one in head.sessions if one.end > 0 and is_ours(one.zone)})
        ),
        states={
            one.lane: tuple((from_s, LaneState(state)) for from_s, state in one.entries)
            for one in head.schedules
            if one.gate == gate
        },
        orders={plan.lane: newest for plan in plans if (newest := _newest(head.orders, gate, plan, zones))},
    )


def _newest(orders: Iterable[LaneOrder], gate: GateId, plan: LanePlan, zones: ZoneTree) -> LaneOrder | None:
    around = (plan.zone, *zones.outer(plan.zone))
    found = [
        one
        for one in orders
        if (one.zone in around if one.zone else one.gate == gate and one.lane in {0, plan.lane})
    ]
    return max(found, key=lambda one: one.version, default=None)


# --- presence resets --------------------------------------------------------------------------------------------


def nightly_s(minutes: int, timezone: ZoneInfo, now_s: int) -> int:
    """Return the last moment up to `now_s` at which the venue's clocks showed this time; Unix seconds.

    Once a date whatever the clocks do: of a time that comes twice the first, of one that is left out the moment at
    which it would have been (PEP 495, fold 0).
    """
    today = datetime.fromtimestamp(now_s, timezone).date()
    moments = []
    for days in (1, 0, -1, -2):
        midnight = datetime.combine(today + timedelta(days), datetime.min.time())
        local = (midnight + timedelta(minutes=minutes)).replace(tzinfo=timezone)
        moments.append(int(local.astimezone(UTC).timestamp()))
    return max(moment for moment in moments if moment <= now_s)


def timezone_of(name: str) -> ZoneInfo | None:
    """Return a time zone; None where this box does not know it."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # Not there, no name of one, or a folder of them.
        return None


def resets_due(schedule: Schedule, timezone: ZoneInfo | None, looked_s: int, now_s: int) -> dict[ZoneId, int]:
    """Return the zones to be reset and since when, for moments after `looked_s` up to `now_s`; one reset for many.

    `timezone` None: it is not known here, so no night is.
    """
    if not 0 <= looked_s < now_s < CALENDAR_S:
        return {}
    due: dict[ZoneId, int] = {}
    if timezone is not None:
        moments = {
            minutes: nightly_s(minutes, timezone, now_s) for minutes in {m for m, _ in schedule.nightly}
        }
        for minutes, zone in schedule.nightly:
            if moments[minutes] > looked_s:
                due[zone] = moments[minutes]
    for end_s, zone in schedule.ends:
        if looked_s < end_s <= now_s:
            due[zone] = max(end_s, due.get(zone, 0))
    return due


def looked_on(looked_s: int, now_s: int) -> int:
    """Return up to when all moments are dealt with, once those up to `now_s` are: never back, but from a wild clock."""
    return now_s if looked_s > now_s + RESET_BACK_S else max(looked_s, now_s)


# --- lane states ------------------------------------------------------------------------------------------------


class LaneMark(msgspec.Struct, frozen=True):
    """What a lane's plan has come to, kept across restarts. Unix seconds; 0: never."""

    state: LaneState
    """How the lane was left. Found otherwise, somebody set it by hand."""
    applied_s: int = 0
    """The plan's moment that the lane has taken."""
    by_hand_s: int = 0
    order: int = 0
    """The newest order that was taken, or that somebody overruled by hand."""


def by_hand(mark: LaneMark, state: LaneState, now_s: int, order: LaneOrder | None) -> LaneMark:
    """Return the mark of a lane that somebody set: that holds until the plan's next moment, and against orders heard."""
    return LaneMark(state, mark.applied_s, now_s, max(mark.order, order.version if order else 0))


def state_due(
    entries: tuple[tuple[int, LaneState], ...], order: LaneOrder | None, mark: LaneMark, now_s: int | None
) -> LaneMark:
    """Return the mark as it should be now; its `state` is what the lane should be in. `mark` itself: nothing is due.

    `now_s` None: the clock is not to be believed; then only an order is taken, which needs none.
    """
    planned = None
    if now_s is not None and (at := bisect_right(entries, now_s, key=lambda one: one[0])):
        planned = entries[at - 1]
    if order is not None and order.version > mark.order:
        if planned is None or planned[0] <= order.at:
            # A clock that is behind the centre's: by its own time the lane has been given that state now, not later.
            at_s = order.at if now_s is None else min(order.at, now_s)
            return LaneMark(LaneState(order.state), max(mark.applied_s, at_s), mark.by_hand_s, order.version)
        mark = LaneMark(mark.state, mark.applied_s, mark.by_hand_s, order.version)
    if planned is None or now_s is None:
        return mark
    held_s = (one for one in (mark.applied_s, mark.by_hand_s) if one <= now_s + STATE_BACK_S)
    if planned[0] <= max(held_s, default=0):
        return mark
    return LaneMark(planned[1], planned[0], mark.by_hand_s, mark.order)
