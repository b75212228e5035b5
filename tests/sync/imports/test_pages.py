"""A list by the page, as a browser sends it: larger than a body may be, and from somebody who may not."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import update

from sync.accounts.principal import Role
from sync.accounts.tables import membership
from sync.demo import EVENT
from sync.wire.messages import PUSH_BYTES_MAX
from tests.sync.pages.seat import EVENT_PATH, client, house
from tests.sync.venue import Venue, query

AT = f"{EVENT_PATH}/lists"
NOTE = "n" * 4_000
ROWS = PUSH_BYTES_MAX // len(NOTE) + 100
LARGE = "code,note\n" + "".join(f"L{n},{NOTE}\n" for n in range(ROWS))


def form(text: str) -> aiohttp.FormData:
    made = aiohttp.FormData({"shop": "kiosk", "product": "1"})
    made.add_field("file", io.BytesIO(text.encode()), filename="list.csv", content_type="text/csv")
    return made


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with house(tmp_path / "centre") as made:
        yield made


async def test_a_large_file_is_checked_written_and_taken_out(venue: Venue) -> None:
    async with client(venue) as ada:
        async with ada.post(AT, data=form(LARGE)) as answer:
            assert answer.status == 200, await answer.text()
            job = answer.url.path
        said = query(venue, "SELECT rows_new, rows_bad, name, shop FROM import_job")
        assert [tuple(row) for row in said] == [(ROWS, 0, "list.csv", "kiosk")]
        async with ada.post(AT, data=form(LARGE)) as answer:
            assert answer.url.path == job, "the same file is the same job"
        for do in ("start", "advance"):
            async with ada.post(job, data={"do": do}) as answer:
                assert answer.status == 200
        async with ada.get(f"{EVENT_PATH}/export/tickets") as answer:
            lines = (await answer.read()).decode("utf-8-sig").splitlines()
        assert len(lines) == query(venue, f"SELECT count(*) FROM ticket WHERE event_id = {EVENT}")[0][0] + 1  # type: ignore[operator]  # a number


async def test_a_file_that_is_none_is_told_on_the_page(venue: Venue) -> None:
    async with client(venue) as ada, ada.post(AT, data=form("name,order\nAda,1\n")) as answer:
        assert (answer.status, "No column holds codes" in await answer.text()) == (422, True)
    assert query(venue, "SELECT id FROM import_job") == []


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="shop"\r\n\r\nki\xffosk',
        b"Content-Disposition: form-data\r\n\r\nnameless",
        b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in--",
    ],
)
async def test_a_form_that_no_page_of_ours_sends_is_refused(venue: Venue, part: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=out"}
    body = b"--out\r\n" + part + b"\r\n--out--\r\n"
    async with client(venue) as ada, ada.post(AT, data=body, headers=headers) as answer:
        assert answer.status == 400
    assert query(venue, "SELECT id FROM import_job") == []


async def test_strangers_and_lower_roles_push_nothing(venue: Venue, tmp_path: Path) -> None:
    async with client(venue, signed_in=False) as stranger, stranger.post(AT, data=form(LARGE)) as answer:
        assert answer.url.path == "/sign-in"
    async with house(tmp_path / "lower", Role.BOX_OFFICE) as lower, client(lower) as clerk:
        async with clerk.post(AT, data=form("code\nA1\n")) as answer:
            assert answer.status == 403
        assert query(lower, "SELECT id FROM import_job") == []
    assert query(venue, "SELECT id FROM import_job") == []


async def test_codes_in_bad_rows_are_shown_to_those_who_may_push_alone(tmp_path: Path) -> None:
    """The page as the API: a code of a bad row may be another ticket's, which opens."""
    async with house(tmp_path / "centre", Role.OWNER) as venue, client(venue) as ada:
        async with ada.post(AT, data=form("code\nOPENS-1\nOPENS-1\n")) as answer:
            job = answer.url.path
        for said in ({"do": "start", "keep_good": "1"}, {"do": "advance"}):
            async with ada.post(job, data=said) as answer:
                assert answer.status == 200
        async with ada.get(job) as answer:
            assert "OPENS-1" in await answer.text()
        for role in (Role.VIEWER, Role.STEWARD, Role.BOX_OFFICE):
            with venue.centre.database.writing() as connection:
                connection.execute(update(membership).values(role=role.value))
            for path in (AT, job):
                async with ada.get(path) as answer:
                    assert (answer.status, "OPENS-1" in await answer.text()) == (403, False)
            async with ada.get(EVENT_PATH) as answer:
                assert f'href="{AT}"' not in await answer.text()
