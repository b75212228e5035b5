"""A centre that listens, a box that joined it, and its requests; a database on either engine for what runs on both."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from edge.enrolment import Enrolment
from sync.store.database import Database
from tests.memory import SERVER_BYTES, memory_folder
from tests.postgres import Postgres, postgres, programs
from tests.sync.ready import with_tables
from tests.sync.requests import GateClient
from tests.sync.venue import Venue, venue_at

TEMPLATE = "migrated"


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


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server for all tests of a run, with a migrated database to copy."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres(folder=memory_folder(SERVER_BYTES)) as running:
        Database.open(tmp_path_factory.mktemp("template"), running.make(TEMPLATE)).close()
        yield running


@dataclass(frozen=True)
class Home:
    """Where a centre keeps its data: a folder, and with PostgreSQL a database besides."""

    data: Path
    url: str

    def open(self) -> Database:
        return Database.open(self.data, self.url)


_numbers = count(1)


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A place for one centre, its tables made, nothing in them; on each engine in turn."""
    if request.param == "sqlite":
        yield Home(with_tables(tmp_path), "")
        return
    server: Postgres = request.getfixturevalue("server")
    name = f"test_{next(_numbers)}"
    yield Home(tmp_path, server.make(name, TEMPLATE))
    server.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A place for one centre, without a table; on each engine in turn."""
    if request.param == "sqlite":
        yield Home(tmp_path, "")
        return
    server: Postgres = request.getfixturevalue("server")
    name = f"empty_{next(_numbers)}"
    yield Home(tmp_path, server.make(name))
    server.drop(name)


@pytest.fixture
def database(home: Home) -> Iterator[Database]:
    """An opened database with its tables and nothing in them; on each engine in turn."""
    opened = home.open()
    yield opened
    opened.close()
