"""Two who have the same customer's page open: what one changes the other does not put back by saving something else."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sync.accounts.principal import SYSTEM
from sync.customers import erasure
from sync.demo import EVENT
from tests.sync.pages.seat import client, house
from tests.sync.venue import Venue, query

FIELD = re.compile(r'<input [^>]*?name="(?P<name>[\w]+)"[^>]*?value="(?P<value>[^"]*)"')


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with house(tmp_path / "centre") as made:
        yield made


async def claimed(clerk: aiohttp.ClientSession) -> str:
    """Return the page of a customer who has a ticket."""
    person = {"first_name": "Zoe", "last_name": "Quill", "phone": "1", "city": "Bern"}
    wanted = {"customer": person, "tickets": [{"event": EVENT, "ticket": 1}]}
    async with clerk.post("/api/v1/claims", json=wanted) as answer:
        assert answer.status == 201, await answer.text()
        return f"/customers/{(await answer.json())['id']}"


async def opened(clerk: aiohttp.ClientSession, page: str) -> dict[str, str]:
    """Return the form that changes a customer, filled as the browser has it."""
    async with clerk.get(page) as answer:
        text = await answer.text()
    (form,) = [one for one in re.findall(r"<form.*?</form>", text, re.DOTALL) if 'value="edit"' in one]
    return {one["name"]: html.unescape(one["value"]) for one in FIELD.finditer(form)} | {"do": "edit"}


def held(venue: Venue) -> list[tuple[object, ...]]:
    return query(venue, "SELECT last_name, phone, city FROM customer WHERE last_name != '' OR anonymous")


async def test_what_one_changes_stays_when_the_other_saves_something_else(venue: Venue) -> None:
    async with client(venue) as ada, client(venue) as bob:
        page = await claimed(ada)
        first, second = await opened(ada, page), await opened(bob, page)
        async with ada.post(page, data=first | {"phone": "2"}) as answer:
            assert answer.status == 200
        async with bob.post(page, data=second | {"city": "Basel"}) as answer:
            assert answer.status == 200
    assert ("Quill", "2", "Basel") in held(venue)


async def test_a_page_that_was_open_brings_no_erased_person_back(venue: Venue) -> None:
    async with client(venue) as ada:
        page = await claimed(ada)
        form = await opened(ada, page)
        number = int(page.rpartition("/")[2])
        with venue.centre.database.writing() as connection:
            assert erasure.erase(connection, 1, number, SYSTEM, venue.now_s)
        async with ada.post(page, data=form) as answer:
            assert answer.status == 200
    assert "Quill" not in {row[0] for row in held(venue)}
