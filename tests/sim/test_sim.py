"""Evenings of a simulated venue keep every promise, replay exactly, and show a planted bug."""

import os
import subprocess
import sys

import pytest

from tests.sim.planted import BUGS
from tests.sim.world import replay_command, run

SEEDS = 24
SEEDS_TO_CATCH = 6
"""Within so many evenings a planted bug must show."""
GROUPS = 6


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS // GROUPS))
def test_an_evening_with_all_its_troubles_keeps_every_promise(first: int) -> None:
    for seed in range(first, first + SEEDS // GROUPS):
        problems = run(seed).problems
        assert not problems, f"{problems[0]}\nreplay: {replay_command(seed)}"


@pytest.mark.parametrize("bug", sorted(BUGS))
def test_a_planted_bug_is_caught(bug: str) -> None:
    assert any(run(seed, BUGS[bug]()).problems for seed in range(SEEDS_TO_CATCH)), replay_command(0, bug)


def test_a_seed_is_one_history_whatever_the_order_of_hashes() -> None:
    digest = run(3).digest
    assert run(3).digest == digest
    for hash_seed in ("1", "77"):
        told = subprocess.run(
            [sys.executable, "-m", "tests.sim", "--seed", "3"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert digest[:16] in told
