"""`python -m tests.sim`: plays evenings, one by number (`--seed 7`), or on and on from where the last run ended (`--soak`).

Exit code 1 where a seed fails; what replays it is printed.
"""

import argparse
import sys
import time
from pathlib import Path

from tests.sim.planted import BUGS
from tests.sim.world import Bug, replay_command, run

PLACE = Path("build/soak.txt")
"""The next seed of a soak: one that is stopped goes on there."""


def main(arguments: list[str]) -> int:
    """Play what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="A simulated venue from a seed.")
    parser.add_argument("--seed", type=int, help="play this one evening")
    parser.add_argument("--bug", choices=sorted(BUGS), help="with this bug planted")
    parser.add_argument(
        "--soak", type=int, metavar="SEEDS", help="play so many more, from where the last soak ended"
    )
    options = parser.parse_args(arguments)
    if options.seed is not None:
        outcome = run(options.seed, BUGS[options.bug]() if options.bug else Bug())
        for problem in outcome.problems:
            print(f"seed {options.seed}: {problem}")
        print(f"seed {options.seed}: {len(outcome.problems)} problems, history {outcome.digest[:16]}")
        return bool(outcome.problems)
    return _soak(options.soak or 100)


def _soak(count: int) -> int:
    PLACE.parent.mkdir(exist_ok=True)
    first = int(PLACE.read_text()) if PLACE.exists() else 0
    failed, began_s = 0, time.monotonic()
    for seed in range(first, first + count):
        outcome = run(seed)
        PLACE.write_text(str(seed + 1))
        if outcome.problems:
            failed += 1
            print(f"seed {seed}: {outcome.problems[0]}\n  replay: {replay_command(seed)}", flush=True)
    spent_s = time.monotonic() - began_s
    print(f"{count} seeds from {first} on, {failed} failed, {count / spent_s:.2f} seeds/s")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
