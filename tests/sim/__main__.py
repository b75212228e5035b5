"""`python -m tests.sim`: plays evenings, one by number (`--seed 7`), or on and on from where the last run ended (`--soak`).

Exit code 1 where a seed fails; what replays it is printed.
"""

import argparse
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import msgspec

from tests.sim.bugs import BUGS
from tests.sim.world import SEEDS_A_WORKER, played_each, replay_command, run

PLACE = Path("build/soak.json")
INTERRUPTED = 130
"""As shells have it."""


class Soaked(msgspec.Struct):
    """How far the soak has come: one that is stopped, by whatever it is, goes on there."""

    next: int = 0
    failed: list[int] = []


def main(arguments: list[str]) -> int:
    """Play what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="A simulated venue from a seed.")
    parser.add_argument("--seed", type=int, help="play this one evening")
    parser.add_argument("--bug", choices=sorted(BUGS), metavar="BUG", help="with this bug planted")
    parser.add_argument(
        "--seeds", type=int, metavar="COUNT", help="with --bug: in how many of so many it is caught"
    )
    parser.add_argument(
        "--soak", type=int, metavar="COUNT", help="play so many more, from where the last soak ended"
    )
    parser.add_argument("--jobs", type=int, help="so many at a time (one a core)")
    parser.add_argument(
        "--turn",
        type=int,
        default=SEEDS_A_WORKER,
        help="after so many a new process takes over (%(default)s)",
    )
    parser.add_argument(
        "--place", type=Path, default=PLACE, help="where a soak keeps its place (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _one(options.seed, options.bug)
    if options.bug:
        return _caught(options.bug, options.seeds or 100, options.jobs)
    try:
        return _soak(options.soak or 100, options.place, options.jobs, options.turn)
    except KeyboardInterrupt:
        print("stopped; the next soak goes on from here")
        return INTERRUPTED


def _one(seed: int, bug: str | None) -> int:
    outcome = run(seed, BUGS[bug].planted() if bug else nullcontext())
    for problem in outcome.problems:
        print(f"seed {seed}: {problem}")
    print(f"seed {seed}: {len(outcome.problems)} problems, history {outcome.digest[:16]}")
    return bool(outcome.problems)


def _caught(bug: str, count: int, jobs: int | None) -> int:
    caught = [seed for seed, problems in played_each(range(count), bug, jobs=jobs) if problems]
    print(f"{bug}: caught in {len(caught)} of {count} seeds, first in {caught[:5]}")
    return not caught


def _soak(count: int, place: Path, jobs: int | None, turn: int) -> int:
    place.parent.mkdir(parents=True, exist_ok=True)
    soaked = msgspec.json.decode(place.read_bytes(), type=Soaked) if place.exists() else Soaked()
    first, began_s, failed = soaked.next, time.monotonic(), 0
    for seed, problems in played_each(range(first, first + count), jobs=jobs, turn=turn):
        soaked.next = seed + 1
        if problems:
            failed += 1
            soaked.failed.append(seed)
            print(f"seed {seed}: {problems[0]}\n  replay: {replay_command(seed)}", flush=True)
        place.with_suffix(".new").write_bytes(msgspec.json.encode(soaked))
        place.with_suffix(".new").replace(place)
    spent_s = time.monotonic() - began_s
    print(
        f"{count} seeds from {first} on, {failed} failed, {count / spent_s:.2f} seeds/s; "
        f"{len(soaked.failed)} of all {soaked.next} failed"
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
