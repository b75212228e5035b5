"""One guest for all tests of the lab, and only where `make lab` asks for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import ROOT
from tests.lab.box import Box, Centre, machine_with_gate

ASKED = bool(os.environ.get("GATEHOUSE_LAB"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A guest takes a processor for minutes: not with the other tests."""
    if not ASKED:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="a guest of its own: make lab"))


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """The gate in its guest, enrolled, plugged in and admitting."""
    centre = Centre(tmp_path_factory.mktemp("centre"))
    try:
        machine, guest = machine_with_gate(ROOT / "build" / "lab", print)
        try:
            found = Box(guest, centre)
            found.open()
            yield found
            print("\nmeasured in the guest:", *found.notes, sep="\n  ")
        finally:
            guest.close()
            machine.stop()
    finally:
        centre.stop()


@pytest.fixture(autouse=True)
def well(box: Box) -> None:
    """Every test begins with a gate that admits."""
    box.until_well()
