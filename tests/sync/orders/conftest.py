"""A box office on either engine."""

import pytest

from sync.store.database import Database
from tests.sync.orders.box_office import BoxOffice, prepare


@pytest.fixture
def office(database: Database) -> BoxOffice:
    prepare(database)
    return BoxOffice(database)
