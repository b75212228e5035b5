"""`make bench`: measures what DESIGN.md's budgets name, writes `build/bench.json` and `build/latency.svg`.

`ARGS=--quick` takes under two minutes and says so in each figure's conditions; `ARGS="--only latency"` takes one group.
Exit code 0 also where a goal was missed (`--strict`: 1), 1 where a group could not be measured.
"""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from tests.bench import (
    boards,
    cancel,
    crowd,
    deciding,
    drain,
    hostile,
    imports,
    ingest,
    latency,
    peers,
    readers,
    redeem,
    report,
    scale,
    search,
    sim,
    snapshots,
    starting,
    talking,
    uplink,
    venue_sync,
)
from tests.bench.report import Row
from tests.bench.scale import Scale

BUILD: Final = Path("build")
Group = Callable[[Scale], list[Row]]


def groups(picture: Path) -> Mapping[str, Group]:
    """What can be measured, in order: what takes the machine for itself first."""
    return {
        "latency": lambda size: latency.measure(size, picture),
        "many_readers": latency.many_readers,
        "starting": starting.measure,
        "deciding": deciding.measure,
        "readers": readers.measure,
        "snapshots": snapshots.measure,
        "ingest": ingest.measure,
        "crash": hostile.crash_points,
        "fuzz": hostile.fuzz,
        "sync": venue_sync.measure,
        "uplink": uplink.measure,
        "drain": drain.measure,
        "peers": peers.measure,
        "talking": talking.measure,
        "cancel": cancel.measure,
        "crowd": crowd.measure,
        "redeem": redeem.measure,
        "search": search.measure,
        "boards": boards.measure,
        "imports": imports.measure,
        "sim": sim.measure,
    }


def run(size: Scale, chosen: Mapping[str, Group], say: Callable[[str], None]) -> tuple[list[Row], list[str]]:
    """Measure the chosen groups; returns the rows, and the groups that failed."""
    rows: list[Row] = []
    failed: list[str] = []
    around = f"{size.name} run; {report.machine(size.folder)}"
    for name, group in chosen.items():
        began = time.perf_counter()
        try:
            found = group(size)
        except Exception:  # noqa: BLE001 - one group that fails must not take the others' figures along
            failed.append(name)
            say(f"{name} could not be measured:\n{traceback.format_exc()}")
            continue
        rows += [msgspec.structs.replace(row, conditions=f"{row.conditions}; {around}") for row in found]
        say(f"{name}: {time.perf_counter() - began:.0f} s")
    return rows, failed


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("make bench", description="Measures the gate.")
    parser.add_argument("--quick", action="store_true", help="small numbers, under two minutes")
    parser.add_argument("--only", nargs="*", default=[], metavar="GROUP", help="measure these groups only")
    parser.add_argument("--strict", action="store_true", help="fail where a goal is missed")
    parser.add_argument("--build", type=Path, default=BUILD, help="where results go (%(default)s)")
    parsed = parser.parse_args(arguments)
    parsed.build.mkdir(parents=True, exist_ok=True)
    known = groups(parsed.build / "latency.svg")
    unknown = [name for name in parsed.only if name not in known]
    if unknown:
        parser.error(f"no group is called {unknown[0]}; there are {', '.join(known)}")
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parsed.build)).resolve()
    try:
        size = scale.quick(folder) if parsed.quick else scale.full(folder)
        chosen = {name: known[name] for name in parsed.only or known}
        rows, failed = run(size, chosen, lambda line: print(line, flush=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.write(rows, parsed.build / "bench.json")
    print(report.table(rows))
    missed = [row.name for row in rows if row.missed]
    print(f"goals missed: {', '.join(missed)}" if missed else "every goal measured is reached")
    return 1 if failed or (parsed.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
