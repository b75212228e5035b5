"""The simulated venue: as many evenings as there is time for, how many of them failed, and which planted bugs are caught."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.bench.report import Goal, Row
from tests.bench.scale import Scale
from tests.sim.bugs import BUGS
from tests.sim.world import played, replay_command, workers_of

BUGS_MIN: Final = 25
FIRST_SEED: Final = 1_000_000
"""Beyond those that the tests play."""


def measure(size: Scale) -> list[Row]:
    """All of this group's figures."""
    with workers_of() as workers:
        return [*_evenings(size, workers), _bugs(size, workers)]


def _evenings(size: Scale, workers: ProcessPoolExecutor) -> Iterator[Row]:
    """Play in turns of a few seeds each until the time is over."""
    end_s = time.monotonic() + size.sim_s
    count, failed = 0, []
    while not count or time.monotonic() < end_s:
        turn = range(FIRST_SEED + count, FIRST_SEED + count + 4 * (os.cpu_count() or 1))
        for seed, problems in zip(turn, workers.map(played, turn), strict=True):
            failed += [seed] if problems else []
        count += len(turn)
    said = f"seeds from {FIRST_SEED} on in {size.sim_s:.0f} s, {os.cpu_count()} at a time"
    replays = "".join(f"; {replay_command(seed)}" for seed in failed[:5])
    yield Row(name="sim_seeds", value=count, unit="seeds", conditions=said)
    yield Row(
        name="sim_failures",
        value=len(failed),
        unit="seeds",
        goal=Goal(0),
        conditions=f"of {count} {said}{replays}",
    )


def _bugs(size: Scale, workers: ProcessPoolExecutor) -> Row:
    """Play each bug in the evening in which it is known to show."""
    named = [(bug.seed, name) for name, bug in BUGS.items()][: size.bugs]
    caught = sum(bool(found) for found in workers.map(played, *zip(*named, strict=True)))
    return Row(
        name="sim_bugs_caught",
        value=caught,
        unit="bugs",
        goal=Goal(min(BUGS_MIN, size.bugs), at_least=True),
        conditions=f"of {len(named)} planted, each in one evening",
    )
