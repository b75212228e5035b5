"""What holds for every test."""

import asyncio
import os
import signal
from collections.abc import Generator
from io import StringIO

import pytest
from hypothesis import settings

from tests.remembered import remember
from tests.thaw import thaw

# No deadline: a shared machine's pauses say nothing about our code. In the CI the examples are the same each
# time, so that a red run can be repeated; elsewhere they differ, so that new ones are found.
settings.register_profile("gatehouse", deadline=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("gatehouse"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "gatehouse")


def pytest_runtest_logfinish() -> None:
    """Here a thousand gates live, one after the other."""
    thaw()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return how many tests run at a time: two a core, for half of their time they wait for an arm, a pulse or a page."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return 2 * len(os.sched_getaffinity(0))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Play whole venues first, half a minute each: begun last, they would leave all workers but one idle at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/venue/"))


HANGS_AFTER_S = 240
"""Sooner than the test is ended for it (`faulthandler_timeout`), which tells of threads alone."""


_stderr_fd = 2


def pytest_configure() -> None:
    """Keep the real standard error before tests' output is caught; compile each statement once."""
    global _stderr_fd  # noqa: PLW0603 - pytest's hooks have no other place
    _stderr_fd = os.dup(2)
    remember()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Have a test that hangs say which of its tasks waits where."""
    signal.signal(signal.SIGALRM, lambda *_: _tell_of_tasks())
    signal.alarm(HANGS_AFTER_S)
    try:
        return (yield)
    finally:
        signal.alarm(0)


def _tell_of_tasks() -> None:
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return  # no loop runs: the threads' stacks say it all
    told = StringIO()
    for task in tasks:
        task.print_stack(file=told)
    os.write(_stderr_fd, told.getvalue().encode())
