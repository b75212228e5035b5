"""A centre with its pages, and somebody signed in."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.sync.pages.seat import client, house
from tests.sync.venue import Venue


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    """A centre with the demo event."""
    async with house(tmp_path / "centre") as made:
        yield made


@pytest.fixture
async def ada(venue: Venue) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser of the organizer, signed in."""
    async with client(venue) as session:
        yield session
