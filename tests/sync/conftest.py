"""A centre that listens, a box that joined it, and its requests: for every test here that names no other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.enrolment import Enrolment
from tests.sync.requests import GateClient
from tests.sync.venue import Venue, venue_at


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(tmp_path / "centre") as made:
        yield made


@pytest.fixture
async def box(venue: Venue, tmp_path: Path) -> Enrolment:
    return await venue.enrolled(tmp_path / "box")


@pytest.fixture
async def gate(venue: Venue, box: Enrolment) -> AsyncIterator[GateClient]:
    async with GateClient(venue.url, box.gate, box.key) as client:
        yield client
