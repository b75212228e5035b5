"""`python -m tests.real --minutes 2 --seed 7`: a real venue for an evening, with faults from a seed, and what the checker says.

Exit code 1 where something is wrong; the folder with all logs is kept then, and what plays it again is printed. A seed
chooses who comes where and what breaks; when exactly things happen is the machine's, so that it is alike, not the same.
"""

import argparse
import asyncio
import sys

from tests.real.evening import run


def main(arguments: list[str]) -> int:
    """Play an evening."""
    parser = argparse.ArgumentParser(prog="python -m tests.real", description="A real venue on one machine.")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long people come (default 2)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gates", type=int, default=6, choices=range(2, 7))
    parser.add_argument(
        "--defect", default="", help="with this defect planted in every gate (tests.real.defects)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the folder with all logs, whatever came of it"
    )
    options = parser.parse_args(arguments)
    length_s = options.minutes * 60
    outcome = asyncio.run(run(options.seed, options.gates, length_s, options.defect, keeps=options.keep))
    for name, value in outcome.figures.items():
        if isinstance(value, dict) and name == "warnings and errors":
            print(f"{name}:", *(f"\n  {count} x {kind}" for kind, count in value.items()), sep="")
        else:
            print(f"{name}: {value}")
    for problem in outcome.problems:
        print(f"WRONG: {problem}")
    print(f"seed {options.seed}, {options.gates} gates: {len(outcome.problems)} problems")
    if outcome.problems or options.keep:
        print(f"  logs: {outcome.folder}")
    if outcome.problems:
        again = f"python -m tests.real --minutes {options.minutes:g} --seed {options.seed} --gates {options.gates}"
        print(f"  again: {again}" + (f" --defect {options.defect}" if options.defect else ""))
    return bool(outcome.problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
