"""The latency distribution as an SVG: the gate's scans as bars, the floor's as a line, readable light and dark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bench.report import percentile

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 46, 44
BARS: Final = 90
_STYLE: Final = """
svg { color-scheme: light dark; font: 12px system-ui, sans-serif }
.ground { fill: #fff } .ink { fill: #1b1f24 } .quiet { fill: #57606a } .axis { stroke: #8c959f }
.bar { fill: #2f6fd0 } .floor { fill: none; stroke: #b3541e; stroke-width: 2 } .mark { stroke: #1b1f24; stroke-dasharray: 3 3 }
.key { fill: #b3541e }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } .ink { fill: #e6edf3 } .quiet { fill: #9aa4af } .axis { stroke: #57606a }
.bar { fill: #6ea8fe } .floor { stroke: #f0a36b } .mark { stroke: #e6edf3 } .key { fill: #f0a36b }
}
"""


def draw(gate_ms: Sequence[float], floor_ms: Sequence[float], caption: str) -> str:
    """Both distributions as one picture. Latencies beyond 1.5 times the gate's p99 are counted in the last bar."""
    top_ms = max(1.5 * percentile(gate_ms, 99), 1.1 * percentile(floor_ms, 99))
    gate, floor = _shares(gate_ms, top_ms), _shares(floor_ms, top_ms)
    most = max(*gate, *floor)
    plot_w, plot_h = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(ms: float) -> float:
        return round(LEFT + plot_w * min(ms, top_ms) / top_ms, 1)

    def y(share: float) -> float:
        return round(TOP + plot_h * (1 - share / most), 1)

    step = plot_w / BARS
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>Scan to relay: {caption}</title><style>{_STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="ink" x="{LEFT}" y="20" font-size="15">From the scan\'s last byte to the relay\'s command</text>',
        f'<text class="quiet" x="{LEFT}" y="37">{caption}</text>',
    ]
    parts += [
        f'<rect class="bar" x="{LEFT + n * step + 0.5:.1f}" y="{y(share)}" width="{step - 1:.1f}" '
        f'height="{TOP + plot_h - y(share):.1f}"/>'
        for n, share in enumerate(gate)
        if share
    ]
    line = " ".join(f"{LEFT + (n + 0.5) * step:.1f},{y(share)}" for n, share in enumerate(floor))
    parts.append(f'<polyline class="floor" points="{line}"/>')
    for percent in (50, 99):
        at = percentile(gate_ms, percent)
        parts.append(f'<line class="mark" x1="{x(at)}" x2="{x(at)}" y1="{TOP}" y2="{TOP + plot_h}"/>')
        parts.append(f'<text class="ink" x="{x(at) + 4}" y="{TOP + 12}">p{percent} {at:.2f} ms</text>')
    parts.append(
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{TOP + plot_h}" y2="{TOP + plot_h}"/>'
    )
    for n in range(6):
        at = top_ms * n / 5
        parts.append(
            f'<text class="quiet" x="{x(at)}" y="{TOP + plot_h + 16}" text-anchor="middle">{at:.2f}</text>'
        )
    parts += [
        f'<text class="quiet" x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">milliseconds</text>',
        (
            f'<text class="quiet" x="{LEFT}" y="{HEIGHT - 8}">bars: the gate, n = {len(gate_ms)} · '
            f'<tspan class="key">line: verify, look up, one FULL commit, pipe, n = {len(floor_ms)}</tspan></text>'
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _shares(values_ms: Sequence[float], top_ms: float) -> list[float]:
    counts = [0] * BARS
    for value in values_ms:
        counts[min(BARS - 1, int(value / top_ms * BARS))] += 1
    return [count / len(values_ms) for count in counts]


def save(gate_ms: Sequence[float], floor_ms: Sequence[float], caption: str, path: Path) -> None:
    """Draw into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(gate_ms, floor_ms, caption))
