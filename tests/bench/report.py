"""What was measured: one row per figure, as `build/bench.json` and as a table to read."""

import math
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec


class Goal(msgspec.Struct, frozen=True):
    """What a figure must reach (DESIGN.md, Budgets): at most, or at least, a number in the figure's unit."""

    number: float
    at_least: bool = False

    def reached(self, value: float) -> bool:
        return value >= self.number if self.at_least else value <= self.number

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.number:g}"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `floor`: the least that it could be, measured in the same run; `ratio`: value over floor."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    goal: Goal | None = None
    conditions: str

    @property
    def ratio(self) -> float | None:
        return None if not self.floor else round(self.value / self.floor, 3)

    @property
    def missed(self) -> bool:
        return self.goal is not None and not self.goal.reached(self.value)

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "floor": None if self.floor is None else round(self.floor, 4),
            "ratio": self.ratio,
            "goal": "reported" if self.goal is None else str(self.goal),
            "conditions": self.conditions,
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def machine(folder: Path) -> str:
    """What the figures were measured on, in one line."""
    return (
        f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}, "
        f"{file_system(folder)}, load average {os.getloadavg()[0]:.1f} at the start"
    )


def file_system(folder: Path) -> str:
    """Type and device of the file system that holds a folder."""
    best = ("", "?", "?")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, point, kind, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind, device)
    return f"{best[1]} on {best[2]}"


def write(rows: Iterable[Row], path: Path) -> None:
    """Write `build/bench.json`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode([row.as_json() for row in rows]), indent=2))


def table(rows: Iterable[Row]) -> str:
    """The rows as aligned text; `!` marks a goal that was missed."""
    cells = [("", "name", "value", "unit", "floor", "ratio", "goal")]
    cells += [
        (
            "!" if row.missed else "",
            row.name,
            f"{row.value:.4g}" if row.value < 10_000 else f"{row.value:.0f}",
            row.unit,
            "" if row.floor is None else f"{row.floor:.4g}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "reported" if row.goal is None else str(row.goal),
        )
        for row in rows
    ]
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
