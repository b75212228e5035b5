"""What a board shows of one event group, kept up by differences: pure, no database, no clock.

Records come in order of seq, log by log, each once. Of a ticket nothing is kept: whoever calls hands over its presence
rows as they were and as they are now (`Tally.ticket`), and the difference of what both amount to is added. So a group
with a million tickets costs the board a few kilobytes, and one that comes in anew costs what its new records cost.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from admission.entitlements import ZoneTree
from admission.ids import EventId, GateId, ProductId, TicketId, ZoneId
from admission.limits import NO_LIMITS, Limits
from admission.presence import Bounds, Double, PresenceRow, Resets, TicketPresence, fold, since_count
from admission.records import Direction, Flag, Kind, Outcome, Record

DOUBLES_SHOWN = 50
"""More are counted, not listed: whoever has that many looks for a cloned card first."""
MINUTES_MAX = 3 * 24 * 60
"""A festival of three days; older minutes are let go."""
MINUTE_US = 60_000_000

Key = TypeVar("Key", ZoneId, ProductId)

_IN, _OUT = 0, 1
_PASSAGES = (Kind.PASSAGE, Kind.LATE_PASSAGE)
_SCANS = (Kind.SCAN, Kind.STORED)


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that was one too many, of which ticket."""

    ticket: TicketId
    double: Double


@dataclass(frozen=True, slots=True)
class Weight:
    """What one ticket adds to the board. Pairs of lower and upper bound; people, not tickets.

    `by_gate`: those inside, by the gate that let them in from outside. `admitted`: likewise, each person once a session.
    """

    zones: Mapping[ZoneId, tuple[int, int]] = field(default_factory=dict)
    """Of a zone that staff counted by hand, what changed since: it may be below nothing."""
    inside: tuple[int, int] = (0, 0)
    by_gate: Mapping[GateId, int] = field(default_factory=dict)
    admitted: Mapping[GateId, int] = field(default_factory=dict)
    doubles: tuple[Double, ...] = ()
    fled: Mapping[ZoneId, int] = field(default_factory=dict)
    """People whom an alarm sent out of a zone that nobody has counted since."""
    open: bool = False
    """Somebody is inside, or was sent out by an alarm: a reset or an alarm may change it."""


NOTHING = Weight()


def weight(
    rows: Sequence[PresenceRow], resets: Resets, zones: ZoneTree, admits: int = 1, limits: Limits = NO_LIMITS
) -> Weight:
    """Return what a ticket with these presence rows adds."""
    if not rows:
        return NOTHING
    found = fold(rows, resets, zones)
    entries = {row.id: row for row in rows}
    counts = {one.zone: one for one in resets.counts}
    if not found.counted and not counts:
        return NOTHING
    seen: set[ZoneId] = set(counts)
    for name in found.counted:
        zone = entries[name].zone
        seen |= {zone, *zones.outer(zone)}
    bounds = {zone: _bounds(found, zone) for zone in seen}
    outermost = [zone for zone in seen if not zones.outer(zone)]
    shown = bounds | {
        zone: _pair(since_count(rows, found, one, resets, zones)) for zone, one in counts.items()
    }
    doors = _doors([entries[name] for name in found.counted], zones)
    fled = {zone: people for zone in seen if (people := found.fled(zone))}
    return Weight(
        {zone: pair for zone, pair in shown.items() if pair != (0, 0)},
        (sum(bounds[zone][0] for zone in outermost), sum(bounds[zone][1] for zone in outermost)),
        Counter(name.gate for name in found.live if entries[name].zone in doors),
        Counter(
            name.gate
            for name in found.counted
            if entries[name].zone in doors and not entries[name].flags & Flag.REENTRY
        ),
        found.doubles(admits, limits) if len(found.counted) > 1 else (),
        fled,
        bool(found.live or fled),
    )


def _doors(entries: Sequence[PresenceRow], zones: ZoneTree) -> set[ZoneId]:
    """Return the zones through which a ticket's people came from outside: of those entered, the outermost.

    A gate may lead straight into a zone that lies in another, where nobody is scanned.
    """
    found: dict[ZoneId, PresenceRow] = {}
    for row in entries:
        outer = zones.outer(row.zone)
        root = outer[-1] if outer else row.zone
        found[root] = min(
            found.get(root, row), row, key=lambda one: (len(zones.outer(one.zone)), one.time_us, one.id)
        )
    return {row.zone for row in found.values()}


def _bounds(found: TicketPresence, zone: ZoneId) -> tuple[int, int]:
    return _pair(found.bounds(zone))


def _pair(bounds: Bounds) -> tuple[int, int]:
    return bounds.low, bounds.high


class EventTally:
    """The numbers of one event."""

    def __init__(self) -> None:
        self.zones: dict[ZoneId, list[int]] = {}
        self.fled: Counter[ZoneId] = Counter()
        self.products: dict[ProductId, list[int]] = {}
        self.inside_by_gate: Counter[GateId] = Counter()
        self.admitted_by_gate: Counter[GateId] = Counter()
        self.admitted_by_product: Counter[ProductId] = Counter()
        self.denials: Counter[int] = Counter()
        self.denials_by_gate: Counter[GateId] = Counter()
        self.minutes: dict[int, list[int]] = {}
        self.open: dict[TicketId, ProductId] = {}
        """Tickets with somebody inside or sent out, or with a double: all that a reset may change."""
        self._doubles: dict[TicketId, tuple[Double, ...]] = {}

    @property
    def doubles(self) -> tuple[Found, ...]:
        """The newest doubles, newest first."""
        found = [Found(ticket, one) for ticket, several in self._doubles.items() for one in several]
        found.sort(key=lambda one: (one.double.second_us, one.double.second), reverse=True)
        return tuple(found[:DOUBLES_SHOWN])

    @property
    def doubles_count(self) -> int:
        """How many doubles there are in all."""
        return sum(map(len, self._doubles.values()))

    def add(self, tickets: Sequence[TicketId], product: ProductId, before: Weight, after: Weight) -> None:
        """Replace what each of these tickets of one product added by what it adds now."""
        times = len(tickets)
        for weight_, sign in ((before, -times), (after, times)):
            for zone, (low, high) in weight_.zones.items():
                _move(self.zones, zone, sign * low, sign * high)
            for zone, people in weight_.fled.items():
                self.fled[zone] += sign * people
            low, high = weight_.inside
            if low or high:
                _move(self.products, product, sign * low, sign * high)
            for gate, people in weight_.by_gate.items():
                self.inside_by_gate[gate] += sign * people
            for gate, people in weight_.admitted.items():
                self.admitted_by_gate[gate] += sign * people
                self.admitted_by_product[product] += sign * people
        for ticket in tickets:
            if after.doubles:
                self._doubles[ticket] = after.doubles
            elif before.doubles:
                self._doubles.pop(ticket, None)
            if after.open or after.doubles:
                self.open[ticket] = product
            else:
                self.open.pop(ticket, None)

    def deny(self, gate: GateId, reason: int, times: int) -> None:
        """Count denials."""
        self.denials[reason] += times
        self.denials_by_gate[gate] += times

    def pass_(self, time_us: int, way: Direction, people: int = 1) -> None:
        """Count a passage in from outside, or out."""
        minute = time_us // MINUTE_US
        at = self.minutes.get(minute)
        if at is None:
            if len(self.minutes) >= MINUTES_MAX:
                oldest = min(self.minutes)
                if minute < oldest:
                    return
                del self.minutes[oldest]
            at = self.minutes[minute] = [0, 0]
        at[_IN if way is Direction.ENTRY else _OUT] += people


def _move(pairs: dict[Key, list[int]], key: Key, low: int, high: int) -> None:
    pair = pairs.setdefault(key, [0, 0])
    pair[0] += low
    pair[1] += high


class Tally:
    """The boards of the events of one group."""

    def __init__(self, zones: ZoneTree, events: Iterable[EventId], served: Iterable[int] = ()) -> None:
        """`served`: zones that a lane leads into."""
        self.zones = zones
        self._served = frozenset(served)
        self.events = {event: EventTally() for event in events}
        self.resets = Resets((), zones)
        self.last_us: dict[GateId, int] = {}

    def inside(self, zone: ZoneId, event: EventId) -> tuple[int, int] | None:
        """Return how many people are in a zone at least and at most; None while nobody knows, after an alarm.

        Of one event, but where staff counted by hand: they asked nobody for which event he came.
        """
        if any(one.fled[zone] for one in self.events.values()):
            return None
        count = self.resets.counted(zone)
        if count is None:
            low, high = self.events[event].zones.get(zone, (0, 0))
            return low, high
        pairs = [one.zones.get(zone, (0, 0)) for one in self.events.values()]
        low, high = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
        return max(0, count.people + low), max(0, count.people + high)

    def high(self) -> dict[ZoneId, int]:
        """Return how many people are in each zone at most, of all events; without those of which nobody knows."""
        high: dict[ZoneId, int] = {}
        for zone in self.zones.by_id:
            fled = any(one.fled[zone] for one in self.events.values())
            if fled:
                continue
            count = self.resets.counted(zone)
            people = sum(one.zones.get(zone, (0, 0))[1] for one in self.events.values())
            high[zone] = max(0, people + (0 if count is None else count.people))
        return high

    def record(self, gate: GateId, body: Record, time_us: int) -> tuple[EventId, TicketId, ProductId] | None:
        """Count what a record says by itself; return the ticket whose presence it may change. `time_us`: corrected."""
        if time_us > self.last_us.get(gate, 0):
            self.last_us[gate] = time_us
        if body.flags & Flag.REHEARSAL:
            return None
        ticket, kind = body.ticket, body.kind
        if kind in _SCANS and body.outcome is Outcome.DENY:
            times = body.data if body.flags & Flag.REPEATED else 1
            # A code that nobody knows belongs to no event: each board of the group shows it.
            for event in (ticket[0],) if ticket else tuple(self.events):
                if event in self.events:
                    self.events[event].deny(gate, body.reason, times)
            return None
        if ticket is None or ticket[0] not in self.events:
            return None
        way = body.direction
        inner = not self._served.isdisjoint(self.zones.outer(body.zone))
        passed = kind in _PASSAGES or (kind is Kind.STORED and body.outcome is Outcome.GRANT)
        if passed and way is not Direction.NONE and not inner:
            self.events[ticket[0]].pass_(time_us, way)
        return ticket[0], ticket[1], body.product
