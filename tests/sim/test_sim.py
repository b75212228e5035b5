"""A seed is one history, whatever else is so; and a soak goes on where it stopped."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.sim.__main__ import Soaked, main
from tests.sim.world import run

SEED = 38
"""A short evening."""


def test_a_seed_is_one_history_whatever_the_order_of_hashes() -> None:
    digest = run(SEED).digest
    assert run(SEED).digest == digest
    for hash_seed in ("1", "77"):
        told = subprocess.run(
            [sys.executable, "-m", "tests.sim", "--seed", str(SEED)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert digest[:16] in told


def test_a_soak_goes_on_where_it_stopped_and_when_a_new_process_takes_over(tmp_path: Path) -> None:
    place = tmp_path / "soak.json"
    for end in (1, 3):
        asked = ["--soak", str(end - (end > 1)), "--place", str(place), "--jobs", "1", "--turn", "1"]
        assert main(asked) == 0
        assert msgspec.json.decode(place.read_bytes(), type=Soaked) == Soaked(end, [])
