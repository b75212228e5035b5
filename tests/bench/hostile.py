"""Power cuts at every operation of the stores, and lines that nobody should send."""

import importlib
import time

from tests.bench.report import Goal, Row
from tests.bench.scale import Scale
from tests.edge.crash_points import run_points

SEED = 20261122


def crash_points(scale: Scale) -> list[Row]:
    """Cut the power; count what was acknowledged and is gone, or is there and wrong."""
    began = time.perf_counter()
    result = run_points(scale.points, SEED)
    spent = f"seed {SEED}, {time.perf_counter() - began:.0f} s"
    lost = result.acked_lost + result.corrupt + result.undone
    goal = Goal(10_000 if scale.name == "full" else scale.points, at_least=True)
    return [
        Row(name="crash_points", value=result.points, unit="cuts", goal=goal, conditions=spent),
        Row(
            name="acked_lost",
            value=lost,
            unit="records",
            goal=Goal(0),
            conditions=f"acknowledged records lost {result.acked_lost}, corrupt {result.corrupt}, cancels undone "
            f"{result.undone}, in {result.points} cuts; {'; '.join(result.problems) or 'no complaint'}",
        ),
    ]


def fuzz(scale: Scale) -> list[Row]:
    """Feed hostile lines from reader to verdict; count what escaped as an exception or hung."""
    began = time.perf_counter()
    found = importlib.import_module("tests.edge.fuzz").run_lines(scale.lines, SEED)
    spent = f"seed {SEED}, {time.perf_counter() - began:.0f} s"
    goal = Goal(1_000_000 if scale.name == "full" else scale.lines, at_least=True)
    return [
        Row(name="fuzz_lines", value=found.lines, unit="lines", goal=goal, conditions=spent),
        Row(name="fuzz_escapes", value=found.escapes, unit="escapes", goal=Goal(0), conditions=spent),
    ]
