"""A seed is one history, whatever else is so; and a soak goes on where it stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from tests.sim.__main__ import INTERRUPTED, Soaked, main
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


def test_a_soak_that_is_interrupted_ends_and_keeps_its_place(tmp_path: Path) -> None:
    """Ctrl-C reaches its workers too."""
    place = tmp_path / "soak.json"
    asked = ["--soak", "1000", "--jobs", "1", "--place", str(place)]
    soak = subprocess.Popen([sys.executable, "-m", "tests.sim", *asked], start_new_session=True)
    while not place.exists():
        assert soak.poll() is None
        time.sleep(0.05)
    os.killpg(soak.pid, signal.SIGINT)
    assert soak.wait() == INTERRUPTED
    assert msgspec.json.decode(place.read_bytes(), type=Soaked).next >= 1
