"""Each planted bug is caught, in an evening that is kept well without it (`tests.sim.evenings` plays the same seeds)."""

import pytest

from tests.sim.bugs import BUGS
from tests.sim.evenings import SEEDS
from tests.sim.world import played, replay_command

BUGS_MIN = 60


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str) -> None:
    seed = BUGS[name].seed
    assert seed in range(SEEDS), "the same evening is played without the bug"
    assert played(seed, name), replay_command(seed, name)


def test_there_are_bugs_enough() -> None:
    assert len(BUGS) >= BUGS_MIN
