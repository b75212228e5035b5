"""Evenings of a simulated venue, with all their troubles, keep every promise: part four of `tests.sim.evenings`."""

import pytest

from tests.sim.evenings import keep_every_promise, seeds_of


@pytest.mark.parametrize("seed", seeds_of(3))
def test_an_evening_with_all_its_troubles_keeps_every_promise(seed: int) -> None:
    keep_every_promise(seed)
