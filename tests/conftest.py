"""What holds for every test."""

import gc
import itertools
import os

from hypothesis import settings

# No deadline: a shared machine's pauses say nothing about our code. In the CI the examples are the same each
# time, so that a red run can be repeated; elsewhere they differ, so that new ones are found.
settings.register_profile("gatehouse", deadline=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("gatehouse"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "gatehouse")

THAWED_EVERY = 16
"""After so many tests that ran a gate in this process memory is swept: a sweep takes a fifth of a second."""
_thawed = itertools.count(1)


def pytest_runtest_logfinish() -> None:
    """A gate freezes what it loaded, once in its life. Here a thousand of them live: what they left would stay for ever."""
    if gc.get_freeze_count():
        gc.unfreeze()
        if next(_thawed) % THAWED_EVERY == 0:
            gc.collect()
