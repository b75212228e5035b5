"""One guest for all tests of the lab, and only where `make lab` asks for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import ROOT
from tests.lab.box import Box, Centre, machine_with_gate

ASKED = bool(os.environ.get("GATEHOUSE_LAB"))
MEASURED = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A guest takes a processor for minutes: not with the other tests."""
    if not ASKED:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="a guest of its own: make lab"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was measured, also where all passed."""
    if MEASURED in config.stash:
        terminalreporter.section("measured in the guest")
        for line in config.stash[MEASURED]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """The gate in its guest, enrolled, plugged in and admitting."""
    centre = Centre(tmp_path_factory.mktemp("centre"))
    try:
        machine, guest = machine_with_gate(ROOT / "build" / "lab", print)
        try:
            found = Box(guest, centre)
            request.config.stash[MEASURED] = found.notes
            found.open()
            yield found
        finally:
            guest.close()
            machine.stop()
    finally:
        centre.stop()


@pytest.fixture(autouse=True)
def well(box: Box) -> None:
    """Every test begins with a gate that admits."""
    box.until_well()
