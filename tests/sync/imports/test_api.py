"""Lists pushed and tables taken out over real HTTP: what programs of a shop see, and what is refused."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from sync.accounts.principal import Role
from sync.demo import EVENT
from sync.events import tables as programme
from sync.imports import jobs
from sync.imports.files import CHUNK_ROWS
from sync.imports.texts import FILE_BYTES_MAX
from sync.web.api import PAGE_ITEMS_MAX
from sync.wire.messages import PUSH_BYTES_MAX
from tests.sync.people import Caller, Said, other_organization, token_of
from tests.sync.venue import Venue, query

AT = f"/api/v1/events/{EVENT}/imports"


@pytest.fixture
async def shop(venue: Venue) -> AsyncIterator[Caller]:
    async with Caller(venue.url, token_of(venue.centre.database, Role.ORGANIZER)) as caller:
        yield caller


@pytest.fixture
def product(venue: Venue) -> int:
    with venue.centre.database.reading() as connection:
        p = programme.product.c
        return int(connection.execute(select(p.id).where(p.event_id == EVENT)).scalars().first() or 0)


async def push(shop: Caller, text: str, product: int, more: str = "", **headers: str) -> Said:
    path = f"{AT}?shop=kiosk&product={product}{more}"
    sent = {"Content-Type": "text/csv"} | {name.replace("_", "-"): value for name, value in headers.items()}
    file = io.BytesIO(text.encode())  # as a program sends a file, piece by piece
    async with shop.session.post(shop.url + path, data=file, headers={**shop.headers, **sent}) as answer:
        return Said(answer.status, await answer.read(), answer.headers)


def counted(venue: Venue) -> Any:
    return query(venue, f"SELECT count(*) FROM ticket WHERE event_id = {EVENT}")[0][0]


async def test_a_list_is_checked_started_written_and_taken_out(
    venue: Venue, shop: Caller, product: int
) -> None:
    before = counted(venue)
    rows = CHUNK_ROWS + 1
    text = "code,email\n" + "".join(f"K{n:05d},k{n}@example.org\n" for n in range(rows))
    said = await push(shop, text, product, "&keep_text=true")
    assert said.status == 201
    job = said.json
    assert (job["state"], job["rows_new"], job["rows_bad"], counted(venue)) == ("checked", rows, 0, before)
    assert (await push(shop, text, product, "&keep_text=true")).json["id"] == job["id"], "the same file"
    at = f"{AT}/{job['id']}"
    assert (await shop.ask("POST", f"{at}/advance")).code == "bad_file"
    assert (await shop.ask("POST", f"{at}/start", {})).json["state"] == "running"
    first = (await shop.ask("POST", f"{at}/advance", Idempotency_Key="one")).json
    assert (first["rows_done"], first["state"]) == (CHUNK_ROWS, "running")
    again = (await shop.ask("POST", f"{at}/advance", Idempotency_Key="one")).json
    assert again == first, "an answer that was lost is given again, and nothing is written"
    assert (await shop.ask("GET", at)).json == first
    done = (await shop.ask("POST", f"{at}/advance")).json
    assert (done["state"], done["rows_new"], counted(venue)) == ("done", rows, before + rows)
    out = await shop.ask("GET", f"/api/v1/events/{EVENT}/exports/tickets")
    assert out.headers["Content-Type"].startswith("text/csv")
    assert f"tickets-{EVENT}.csv" in out.headers["Content-Disposition"]
    lines = out.body.decode("utf-8-sig").splitlines()
    assert sum(line.endswith("@example.org,K00007") for line in lines) == 1
    people = (await shop.ask("GET", "/api/v1/exports/customers")).body.decode("utf-8-sig")
    assert people.count("@example.org") == rows
    assert (await shop.ask("GET", f"/api/v1/events/{EVENT}/exports/scans")).status == 200
    assert (await shop.ask("GET", f"/api/v1/events/{EVENT}/exports/customers")).code == "not_found"


async def test_every_bad_row_is_named_page_by_page(venue: Venue, shop: Caller, product: int) -> None:
    bad = PAGE_ITEMS_MAX + 3
    text = "code,email\nGOOD,\n" + "".join(f"B{n},nonsense\n" for n in range(bad))
    before = counted(venue)
    job = (await push(shop, text, product)).json
    at = f"{AT}/{job['id']}"
    assert (job["rows_good"], job["rows_bad"]) == (1, bad)
    named: list[Any] = []
    path = f"{at}/bad?limit={PAGE_ITEMS_MAX}"
    cursor: str | None = ""
    while cursor is not None:
        page = (await shop.ask("GET", path + (f"&cursor={cursor}" if cursor else ""))).json
        named += page["items"]
        cursor = page["next"]
    assert [one["row"] for one in named] == list(range(3, bad + 3))
    assert {(one["column"], one["value"]) for one in named} == {("email", "nonsense")}
    said = await shop.ask("POST", f"{at}/start", {})
    assert (said.status, said.code, counted(venue)) == (422, "bad_file", before)
    assert (await shop.ask("POST", f"{at}/start", {"keep_good": True})).json["state"] == "running"
    assert (await shop.ask("POST", f"{at}/advance")).json["rows_new"] == 1
    assert counted(venue) == before + 1


async def test_a_list_is_given_up_and_writes_nothing(venue: Venue, shop: Caller, product: int) -> None:
    before = counted(venue)
    job = (await push(shop, "code\nX1\nX2\n", product)).json
    at = f"{AT}/{job['id']}"
    assert (await shop.ask("POST", f"{at}/discard")).json["state"] == "discarded"
    assert (await shop.ask("POST", f"{at}/discard")).json["state"] == "discarded"
    assert (await shop.ask("POST", f"{at}/start", {})).code == "bad_file"
    assert counted(venue) == before
    said = query(venue, "SELECT what FROM audit_log WHERE what LIKE 'import.%' ORDER BY id")
    assert [row[0] for row in said] == ["import.check", "import.discard"]
    listed = (await shop.ask("GET", f"{AT}?limit=1")).json
    assert [one["id"] for one in listed["items"]] == [job["id"]]


async def test_an_idempotency_key_makes_one_push_of_two(venue: Venue, shop: Caller, product: int) -> None:
    first = await push(shop, "code\nY1\n", product, Idempotency_Key="push")
    assert (await push(shop, "code\nY1\n", product, Idempotency_Key="push")).body == first.body
    other = await push(shop, "code\nY2\n", product, Idempotency_Key="push")
    listed = (await shop.ask("GET", AT)).json["items"]
    assert (other.status, [one["id"] for one in listed]) == (422, [first.json["id"]])


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("", ""),
        ("name,order\nAda,1\n", ""),
        ("code\n", ""),
        ("a,b\n1,2\n", "&columns=code%3Dnone"),
        ("a\n1\n", "&columns=what%3Da"),
    ],
)
async def test_a_file_that_is_none_is_refused_with_what_to_do(
    venue: Venue, shop: Caller, product: int, text: str, more: str
) -> None:
    said = await push(shop, text, product, more)
    assert (said.status, said.code) == (422, "bad_file")
    assert query(venue, "SELECT id FROM import_job") == []


async def test_a_column_is_named_where_its_heading_does_not_tell(shop: Caller, product: int) -> None:
    job = (await push(shop, "xyz,other\nZ1,2\n", product, "&columns=code%3Dxyz")).json
    assert (job["columns"], job["ignored"]) == ({"code": "xyz"}, ["other"])


async def test_a_file_larger_than_a_body_may_be_is_kept_on_the_disk(shop: Caller, product: int) -> None:
    note = "n" * 4_000
    text = "code,note\n" + "".join(f"L{n},{note}\n" for n in range(PUSH_BYTES_MAX // len(note) + 100))
    said = await push(shop, text, product, Idempotency_Key="large")
    assert (said.status, said.json["rows_bad"], said.json["ignored"]) == (201, 0, ["note"])
    assert said.json["rows_new"] > PUSH_BYTES_MAX // len(note)
    assert (await push(shop, text, product, Idempotency_Key="large")).body == said.body
    assert (await push(shop, text + "M\n", product, Idempotency_Key="large")).status == 422


async def head(venue: Venue, token: str, size: int) -> str:
    """Begin a request that announces a file, send nothing of it, and return the status line of the answer."""
    host, port = venue.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        f"POST {AT} HTTP/1.1",
        f"Host: {host}:{port}",
        "Content-Type: text/csv",
        f"Content-Length: {size}",
    ]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    said = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return said.decode()


async def test_a_file_is_listened_to_only_from_those_who_may_and_up_to_its_limit(venue: Venue) -> None:
    database = venue.centre.database
    assert " 401 " in await head(venue, "", 1_000_000)
    assert " 403 " in await head(venue, token_of(database, Role.BOX_OFFICE), 1_000_000)
    assert " 413 " in await head(venue, token_of(database, Role.ORGANIZER), FILE_BYTES_MAX + 1)


async def test_other_media_other_roles_and_other_houses_are_refused(
    venue: Venue, shop: Caller, product: int
) -> None:
    job = (await push(shop, "code\nV1\n", product)).json
    at = f"{AT}/{job['id']}"
    assert (await shop.ask("POST", AT, b"code\nV1\n", Content_Type="text/plain")).code == "media_type"
    assert (await shop.ask("GET", f"/api/v1/events/{EVENT}/imports/{job['id'] + 1}")).code == "not_found"
    database = venue.centre.database
    async with Caller(venue.url, token_of(database, Role.BOX_OFFICE)) as clerk:
        for path in (
            AT,
            at,
            f"{at}/bad",
            f"/api/v1/events/{EVENT}/exports/tickets",
            "/api/v1/exports/customers",
        ):
            assert (await clerk.ask("GET", path)).code == "role", path
        assert (await clerk.ask("POST", f"{at}/start", {})).code == "role"
    rival = other_organization(database)
    async with Caller(venue.url, token_of(database, Role.OWNER, rival)) as theirs:
        for path in (AT, at, f"{at}/bad", f"/api/v1/events/{EVENT}/exports/tickets"):
            assert (await theirs.ask("GET", path)).code == "not_found", path
        assert (await theirs.ask("POST", f"{at}/discard")).code == "not_found"
    with database.reading() as connection:
        assert jobs.job(connection, job["id"]).state is jobs.State.CHECKED
