"""How customers come to be."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from sync.customers import profiles
from sync.customers.profiles import Origin, Profile
from sync.customers.tables import customer
from tests.sync.orders.box_office import BoxOffice


def test_a_customer_of_no_organization_is_refused_and_nothing_stays(office: BoxOffice) -> None:
    def nowhere() -> None:
        with office.act(organization=404) as act:
            profiles.add(act, Profile(last_name="M"), Origin.CLAIM)

    with pytest.raises((LookupError, IntegrityError)):
        nowhere()
    with office.database.reading() as connection:
        assert connection.execute(select(customer.c.id)).all() == []
