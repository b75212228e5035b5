"""A board as its template shows it: names beside numbers, sorted, with shares. One look at small tables each."""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from admission.ids import EventId, GateId, ProductId, ZoneId
from admission.reasons import Reason, say
from admission.records import Outcome
from sync.board.boards import Seen
from sync.board.tally import EventTally
from sync.events.programme import Event
from sync.gates import quarantine
from sync.web.words import Words

SPANS = {"hours": (120, 1), "day": (24 * 60, 15)}
"""Minutes shown, and minutes a bar counts."""
TROUBLES_MAX = 20

_ZONES = text("SELECT id, name, parent, capacity FROM zone WHERE group_id = :group ORDER BY id")
_PRODUCTS = text("SELECT id, name FROM product WHERE event_id = :event ORDER BY id")
_GATES = text("SELECT id, name FROM gate WHERE group_id = :group ORDER BY name")
_TROUBLES = text("""
SELECT t.gate_id, t.what, MIN(t.first_s) AS first_s, MAX(t.last_s) AS last_s, SUM(t.times) AS times
FROM trouble t JOIN gate g ON g.id = t.gate_id WHERE g.group_id = :group
GROUP BY t.gate_id, t.what ORDER BY MAX(t.last_s) DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table. `low` and `high` bound who is inside; `share` of `expected` in percent, None without any."""

    name: str
    low: int = 0
    high: int = 0
    expected: int = 0
    admitted: int = 0
    denied: int = 0
    depth: int = 0
    capacity: int = 0
    last_s: int = 0
    is_unknown: bool = False
    """Since a fire alarm nobody knows how many are inside."""
    quarantined: int = 0
    """Records of a gate that was shut out before them: they count in no number here."""

    @property
    def share(self) -> int | None:
        """How full: of the capacity, or else of those expected."""
        of = 0 if self.is_unknown else self.capacity or self.expected
        return min(100, round(100 * self.high / of)) if of else None


def sheet(
    connection: Connection, event: Event, seen: Seen | None, now_s: int, span: str, words: Words
) -> dict[str, Any]:
    """Return what `board/figures.html` shows."""
    tally = seen.tally.events[EventId(event.id)] if seen is not None else EventTally()
    gates = {GateId(row.id): str(row.name) for row in connection.execute(_GATES, {"group": event.group})}
    zones = _zones(connection, event, seen)
    outermost = [one for one in zones if not one.depth]
    return {
        "now_s": now_s,
        "span": span,
        "behind": seen.behind if seen is not None else 0,
        "low": sum(one.low for one in outermost),
        "high": sum(one.high for one in outermost),
        "is_unknown": any(one.is_unknown for one in outermost),
        "admitted": sum(tally.admitted_by_gate.values()),
        "expected": sum(seen.expected.products.values()) if seen is not None else 0,
        "denied": sum(tally.denials.values()),
        "zones": zones,
        "products": _products(connection, event, seen, tally),
        "gates": _gates(connection, gates, seen, tally),
        "denials": _denials(tally, words),
        "bars": _bars(tally, event.timezone, now_s, span),
        "doubles": [
            {
                "ticket": one.ticket,
                "kind": one.double.kind.name.lower(),
                "first_gate": gates.get(one.double.first.gate, f"#{one.double.first.gate}"),
                "second_gate": gates.get(one.double.second.gate, f"#{one.double.second.gate}"),
                "first_s": one.double.first_us // 1_000_000,
                "second_s": one.double.second_us // 1_000_000,
            }
            for one in tally.doubles
        ],
        "doubles_count": tally.doubles_count,
        "troubles": [
            {"gate": gates.get(row.gate_id, ""), "what": row.what, "last_s": row.last_s, "times": row.times}
            for row in connection.execute(_TROUBLES, {"group": event.group, "most": TROUBLES_MAX})
        ],
    }


def _zones(connection: Connection, event: Event, seen: Seen | None) -> list[Line]:
    rows = list(connection.execute(_ZONES, {"group": event.group}))
    inner: dict[int, list[Any]] = {}
    for row in rows:
        inner.setdefault(row.parent, []).append(row)
    made: list[Line] = []

    def walk(parent: int, depth: int) -> None:
        for row in inner.get(parent, ()):
            inside = (0, 0) if seen is None else seen.tally.inside(ZoneId(row.id), EventId(event.id))
            low, high = inside or (0, 0)
            expected = seen.expected.zones.get(ZoneId(row.id), 0) if seen is not None else 0
            capacity = row.capacity if inside is not None else 0
            made.append(
                Line(row.name, low, high, expected, depth=depth, capacity=capacity, is_unknown=inside is None)
            )
            walk(row.id, depth + 1)

    walk(0, 0)
    return made


def _products(connection: Connection, event: Event, seen: Seen | None, tally: EventTally) -> list[Line]:
    names = {row.id: str(row.name) for row in connection.execute(_PRODUCTS, {"event": event.id})}
    expected: Mapping[ProductId, int] = seen.expected.products if seen is not None else {}
    made = []
    for product in sorted({*names, *expected, *tally.products}):
        low, high = tally.products.get(ProductId(product), (0, 0))
        made.append(
            Line(
                names.get(product, f"#{product}"),
                low,
                high,
                expected.get(ProductId(product), 0),
                tally.admitted_by_product[ProductId(product)],
            )
        )
    return made


def _gates(
    connection: Connection, names: Mapping[GateId, str], seen: Seen | None, tally: EventTally
) -> list[Line]:
    last: Mapping[GateId, int] = seen.tally.last_us if seen is not None else {}
    return [
        Line(
            name,
            tally.inside_by_gate[gate],
            tally.inside_by_gate[gate],
            admitted=tally.admitted_by_gate[gate],
            denied=tally.denials_by_gate[gate],
            last_s=last.get(gate, 0) // 1_000_000,
            quarantined=quarantine.count(connection, gate),
        )
        for gate, name in names.items()
    ]


def _denials(tally: EventTally, words: Words) -> list[dict[str, Any]]:
    total = sum(tally.denials.values()) or 1
    made = []
    for number, times in tally.denials.most_common():
        try:
            reason = Reason(number)
            saying = say(Outcome.DENY, reason, words.language)
            made.append({"name": saying.visitor, "times": times, "share": round(100 * times / total)})
        except ValueError:  # of a newer gate: its number says more than nothing
            made.append({"name": f"#{number}", "times": times, "share": round(100 * times / total)})
    return made


def _bars(tally: EventTally, timezone: str, now_s: int, span: str) -> list[dict[str, Any]]:
    """Return entries and exits by minute (or quarter of an hour), oldest first, up to now."""
    minutes, step = SPANS[span]
    last = now_s // 60 // step * step
    first = last - minutes + step
    zone = ZoneInfo(timezone)
    starts = list(range(first, last + step, step))
    bars = [[0, 0] for _ in starts]
    for minute, (entries, exits) in list(tally.minutes.items()):
        if first <= minute < last + step:
            bar = bars[bisect.bisect_right(starts, minute) - 1]
            bar[0] += entries
            bar[1] += exits
    return [
        {
            "at_s": start * 60,
            "clock": datetime.fromtimestamp(start * 60, UTC).astimezone(zone).strftime("%H:%M"),
            "entries": entries,
            "exits": exits,
        }
        for start, (entries, exits) in zip(starts, bars, strict=True)
    ]
