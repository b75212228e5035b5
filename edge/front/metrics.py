"""`GET /metrics`: the status in Prometheus' text format (version 0.0.4). No code, name of a person or ticket is in it."""

import re
from collections.abc import Iterator, Mapping

from edge.board import VerdictWord
from edge.front.view import judged
from edge.link import Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_COUNTER = re.compile(r'([a-z][a-z0-9_]*)(\{(?:[a-z_]+="[^"\\\n]*",?)*\})?')

Sample = tuple[str, Mapping[str, str | int], float]


def metrics(status: Status | None, *, connected: bool) -> str:
    """Return the page of figures; the lane's own counters too, once it has spoken."""
    samples: dict[str, list[str]] = {}
    for name, labels, value in _samples(status, connected=connected):
        inner = ",".join(f'{key}="{_escaped(str(text))}"' for key, text in labels.items())
        samples.setdefault(name, []).append((f"{{{inner}}}" if inner else "") + f" {value:.17g}")
    if status is not None:
        own = set(samples)
        for key, value in status.counters.items():
            found = _COUNTER.fullmatch(key)
            if found and f"gatehouse_{found[1]}" not in own:
                samples.setdefault(f"gatehouse_{found[1]}", []).append(f"{found[2] or ''} {value:.17g}")
    return "".join(
        f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}\n"
        + "".join(f"{name}{line}\n" for line in lines)
        for name, lines in samples.items()
    )


def _samples(status: Status | None, *, connected: bool) -> Iterator[Sample]:
    word = judged(status, connected=connected).word
    for one in VerdictWord:
        yield "gatehouse_verdict", {"word": one.value}, float(one is word)
    yield "gatehouse_lane_connected", {}, float(connected)
    if status is None:
        return
    yield "gatehouse_info", {"gate": status.gate, "version": status.version, "epoch": status.epoch}, 1.0
    yield "gatehouse_start_time_seconds", {}, status.started_s
    for tile in status.tiles:
        labels = {"part": tile.part.value, "name": tile.name, "health": tile.health.value, "code": tile.code}
        yield "gatehouse_part", labels, 1.0
    for lane in status.lanes:
        yield "gatehouse_lane_state", {"lane": lane.id, "state": lane.state}, 1.0
        yield "gatehouse_lane_ready", {"lane": lane.id}, float(lane.ready)
        yield "gatehouse_lane_fire", {"lane": lane.id}, float(lane.fire)
        yield "gatehouse_passages_total", {"lane": lane.id, "direction": "entry"}, float(lane.entries)
        yield "gatehouse_passages_total", {"lane": lane.id, "direction": "exit"}, float(lane.exits)
    for zone, (low, high) in status.inside.items():
        yield "gatehouse_inside", {"zone": zone, "bound": "low"}, float(low)
        yield "gatehouse_inside", {"zone": zone, "bound": "high"}, float(high)
    yield "gatehouse_list_version", {}, float(status.list_version)
    yield "gatehouse_list_rows", {}, float(status.list_rows)
    yield "gatehouse_records", {}, float(status.records)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
