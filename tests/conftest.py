"""What holds for every test."""

import os

from hypothesis import settings

from tests.thaw import thaw

# No deadline: a shared machine's pauses say nothing about our code. In the CI the examples are the same each
# time, so that a red run can be repeated; elsewhere they differ, so that new ones are found.
settings.register_profile("gatehouse", deadline=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("gatehouse"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "gatehouse")


def pytest_runtest_logfinish() -> None:
    """Here a thousand gates live, one after the other."""
    thaw()
