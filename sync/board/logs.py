"""What a board reads: new records by log, presence rows of the tickets they speak of, what is expected. All bounded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from admission.entitlements import Zone, ZoneTree
from admission.ids import EventId, GateId, ProductId, TicketId, ZoneId
from admission.limits import NO_LIMITS, Limits
from admission.observed import COLUMNS, RESET_COLUMNS, Reset, reset_from_columns
from sync.board.weights import Columns
from sync.events.rows import numbers, read_days, read_sessions
from sync.gates import feed, quarantine
from sync.store.keyed import Keyed
from sync.store.schema import signed
from sync.wire.counted import Limit

Log = tuple[GateId, int]
"""A gate and an epoch, the epoch as the table has it."""
PIECES_MAX = 5_000
"""Of the merged log, looked at in one step: some 30 ms. Those that are old hold a thousand records each."""

_LOGS = text("""
SELECT e.gate_id, e.epoch, CASE WHEN r.seq = 0 THEN 0 WHEN r.seq + 1 < e.seq THEN r.seq + 1 ELSE e.seq END AS seq
FROM log_epoch e JOIN gate g ON g.id = e.gate_id LEFT JOIN revoked_head r ON r.gate_id = e.gate_id AND r.epoch = e.epoch
WHERE g.group_id = :group AND e.seq > 0 ORDER BY e.gate_id, e.epoch
""")
_ORDER = text("""
SELECT n, gate_id, epoch, last_seq FROM arrival WHERE group_id = :group AND n > :after ORDER BY n LIMIT :most
""")
_RECORDS = text("""
SELECT seq, blob FROM record WHERE gate_id = :gate AND epoch = :epoch AND seq BETWEEN :first AND :last ORDER BY seq
""")
_ROWS = Keyed(
    f"SELECT {', '.join(COLUMNS)} FROM presence WHERE event = :event AND ticket IN (:keys)",  # noqa: S608 - fixed names
    *COLUMNS,
)
_RESETS = text(
    f"SELECT {', '.join('r.' + name for name in RESET_COLUMNS)} "  # noqa: S608 - fixed names
    "FROM presence_reset r JOIN gate g ON g.id = r.gate WHERE g.group_id = :group"
)
_ADMITS = Keyed("SELECT id, admits FROM ticket WHERE event_id = :event AND id IN (:keys)", "id", "admits")
_ZONES = text("SELECT id, name, parent, capacity, gate FROM zone WHERE group_id = :group ORDER BY id")
_EVENTS = text("SELECT id FROM event WHERE group_id = :group ORDER BY id")
_LIMITS = text("""
SELECT p.event_id, p.id, p.limit_session, p.limit_day, p.limit_total FROM product p JOIN event e ON e.id = p.event_id WHERE e.group_id = :group
""")
_SERVED = text(
    "SELECT DISTINCT p.zone FROM lane_plan p JOIN gate g ON g.id = p.gate_id WHERE g.group_id = :group"
)
_ANSWERED = text("SELECT zones FROM gate WHERE group_id = :group AND redeemed_s IS NOT NULL")
_EXPECTED = text("""
SELECT product, zones, SUM(admits) AS people FROM ticket WHERE event_id = :event AND standing = 0 GROUP BY product, zones
""")
_VERSION = text("SELECT version FROM event WHERE id = :event")


class Shape(NamedTuple):
    """What a group consists of; another shape means counting anew."""

    zones: tuple[tuple[int, int], ...]
    events: tuple[EventId, ...]
    limits: tuple[tuple[int, int, Limits], ...]
    """By event and product, where there are any."""
    counted: tuple[Limit, ...] = ()
    """Of gates whose records do not all count."""
    served: tuple[int, ...] = ()
    """Zones that a lane leads into, or that scanners are answered for."""


def shape(connection: Connection, group: int) -> Shape:
    """Return zones with their parents, events, the products' limits, and what does not count."""
    asked = {"group": group}
    return Shape(
        tuple((row.id, row.parent) for row in connection.execute(_ZONES, asked)),
        tuple(EventId(row.id) for row in connection.execute(_EVENTS, asked)),
        _limits(connection, group),
        quarantine.limits_of_group(connection, group),
        tuple(
            sorted({row.zone for row in connection.execute(_SERVED, asked)} | _answered(connection, group))
        ),
    )


def _limits(connection: Connection, group: int) -> tuple[tuple[int, int, Limits], ...]:
    """Read what products allow. Which sessions are of one day is asked only where a product says so much a day."""
    found = [
        (row, Limits(row.limit_session, row.limit_day, row.limit_total))
        for row in connection.execute(_LIMITS, {"group": group})
    ]
    of_day = any(limits.day for _, limits in found)
    days = read_days(connection, group, read_sessions(connection, group)) if of_day else {}
    return tuple(
        (row.event_id, row.id, limits._replace(days=days[EventId(row.event_id)]) if limits.day else limits)
        for row, limits in found
        if limits != NO_LIMITS
    )


def _answered(connection: Connection, group: int) -> set[int]:
    found = connection.execute(_ANSWERED, {"group": group}).scalars()
    return {zone for text_ in found for zone in numbers(text_)}


def tree(parents: Sequence[tuple[int, int]]) -> ZoneTree:
    """Return the tree of zones by their parents."""
    return ZoneTree(tuple(Zone(ZoneId(zone), "", parent=ZoneId(parent)) for zone, parent in parents))


def ends(connection: Connection, group: int) -> dict[Log, int]:
    """Return how far each log of the group's gates is held and counts."""
    return {(GateId(row.gate_id), row.epoch): row.seq for row in connection.execute(_LOGS, {"group": group})}


def ahead(
    connection: Connection,
    group: int,
    marks: Mapping[Log, int],
    ends: Mapping[Log, int],
    after: int,
    most: int,
) -> tuple[dict[Log, int], int]:
    """Return up to where in each log to count next, about `most` records in all, and up to which piece that is.

    In the order in which the centre came to know them (`sync.gates.feed`): read log by log, somebody who came in at one
    gate and left by another would be inside until the other's turn came. `after`: the piece that was counted last.
    """
    if sum(max(0, end - marks.get(log, 0)) for log, end in ends.items()) <= most:
        return dict(ends), feed.newest(connection, group)
    upto, left = dict(marks), most
    pieces = connection.execute(_ORDER, {"group": group, "after": after, "most": PIECES_MAX}).all()
    for n, gate, epoch, last_seq in pieces:
        log = (GateId(gate), epoch)
        end = min(last_seq, ends.get(log, 0))
        more = max(0, end - upto.get(log, 0))
        if more > left and left < most:
            return upto, after
        if more:
            upto[log], left = end, left - more
        after = n
    if len(pieces) < PIECES_MAX:  # what no head covers yet is in no piece, and nobody else heard of it
        for log, end in ends.items():
            more = min(max(0, end - upto.get(log, 0)), max(0, left))
            if more:
                upto[log], left = upto.get(log, 0) + more, left - more
    return upto, after


def records(connection: Connection, log: Log, first: int, last: int) -> Sequence[Any]:
    """Return the records of a log from one seq to another, as pairs of seq and bytes."""
    asked = {"gate": log[0], "epoch": log[1], "first": first, "last": last}
    return connection.execute(_RECORDS, asked).all()


def resets(connection: Connection, group: int) -> list[Reset]:
    """Return every reset the group's gates recorded."""
    return [reset_from_columns(tuple(row)) for row in connection.execute(_RESETS, {"group": group})]


def presence(
    connection: Connection, event: EventId, tickets: Iterable[TicketId]
) -> Mapping[TicketId, list[Columns]]:
    """Return the presence rows of these tickets, each once, by ticket."""
    wanted = {signed(one): one for one in tickets}
    found: dict[TicketId, list[Columns]] = {}
    for row in _ROWS.rows(connection, tuple(wanted), event=event):
        found.setdefault(wanted[row[1]], []).append(row)
    return found


def admits(connection: Connection, event: EventId, tickets: Iterable[TicketId]) -> dict[TicketId, int]:
    """Return how many people each of these tickets admits."""
    wanted = {signed(one): one for one in tickets}
    return {wanted[number]: people for number, people in _ADMITS.rows(connection, tuple(wanted), event=event)}


@dataclass(frozen=True, slots=True)
class Expected:
    """How many people valid tickets admit, at one version of the event's list."""

    version: int
    at_s: int
    products: Mapping[ProductId, int]
    zones: Mapping[ZoneId, int]


def version(connection: Connection, event: EventId) -> int:
    """Return the version of an event's list."""
    return int(connection.execute(_VERSION, {"event": event}).scalar_one())


def expected(connection: Connection, event: EventId, zones: ZoneTree, now_s: int) -> Expected:
    """Count the people that valid tickets admit: one walk over the event's tickets, so ask seldom."""
    at = version(connection, event)
    of_product = {
        row.id: numbers(row.zones)
        for row in connection.execute(
            text("SELECT id, zones FROM product WHERE event_id = :event"), {"event": event}
        )
    }
    products: dict[ProductId, int] = {}
    by_zone: dict[ZoneId, int] = {}
    for row in connection.execute(_EXPECTED, {"event": event}):
        people = int(row.people)
        products[ProductId(row.product)] = products.get(ProductId(row.product), 0) + people
        own = numbers(row.zones) or of_product.get(row.product, ())
        for zone in {ZoneId(one) for one in own} | {up for one in own for up in zones.outer(ZoneId(one))}:
            by_zone[zone] = by_zone.get(zone, 0) + people
    return Expected(at, now_s, products, by_zone)
