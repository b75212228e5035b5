"""Pages of others in the browser of somebody who is signed in here: whatever they send or ask for, nothing of ours moves.

Every page's form and every route is walked, also those that are written next.
"""

import pytest

from sync.web.app import api_routes
from tests.sync.pages.seat import client
from tests.sync.pages.test_every_page import Town, dump, filled, town  # noqa: F401 - a fixture
from tests.sync.web.test_every_route import filled as filled_route

ELSEWHERE = (
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
)
KINDS = ("application/x-www-form-urlencoded", "text/plain", "application/json")
"""What a foreign page may send: the first two without the browser asking us first."""


@pytest.mark.parametrize("headers", ELSEWHERE, ids=["cross site", "no origin", "forged"])
async def test_no_form_and_no_route_is_moved_by_a_page_of_others(
    town: Town,  # noqa: F811 - the fixture
    headers: dict[str, str],
) -> None:
    before = dump(town.venue.centre.database)
    walked = 0
    async with client(town.venue) as ada:
        paths = [filled(one, {"customer": town.customer}) for one in town.pages if one.method == "POST"]
        routes = [(one.method, filled_route(one)) for one in api_routes() if one.writes]
        for method, path in [*(("POST", one) for one in paths), *routes]:
            for kind in KINDS:
                sent = {**headers, "Content-Type": kind}
                async with ada.request(method, path, data=b"do=ban&reason=x", headers=sent) as answer:
                    assert answer.status == 403, (method, path, kind, await answer.text())
                walked += 1
    assert walked > 150
    assert dump(town.venue.centre.database) == before


async def test_a_look_moves_nothing(town: Town) -> None:  # noqa: F811 - the fixture
    """A picture or a link on a foreign page makes a browser look at any address of ours, with its cookie."""
    before = dump(town.venue.centre.database)
    walked = 0
    async with client(town.venue) as ada:
        paths = [filled(one, {"customer": town.customer}) for one in town.pages if one.method == "GET"]
        routes = [filled_route(one) for one in api_routes() if one.method == "GET"]
        for path in (*paths, *routes):
            if path == "/sign-out":
                continue
            async with ada.get(path, headers={"Sec-Fetch-Site": "cross-site"}) as answer:
                await answer.read()
                assert answer.status < 500, path
            walked += 1
    assert walked > 50
    assert dump(town.venue.centre.database) == before


async def test_a_name_of_others_that_leads_here_is_answered_by_no_route(town: Town) -> None:  # noqa: F811 - the fixture
    before = dump(town.venue.centre.database)
    async with client(town.venue) as ada:
        pages = [(one.method, filled(one, {"customer": town.customer})) for one in town.pages]
        routes = [(one.method, filled_route(one)) for one in api_routes()]
        for method, path in (*pages, *routes):
            for name in (
                "evil.example",
                f"127.0.0.1.evil.example:{town.venue.url.rsplit(':', 1)[1]}",
                "localhost.evil.example",
            ):
                async with ada.request(method, path, headers={"Host": name}) as answer:
                    page = await answer.text()
                    assert answer.status == 421, (method, path, name)
                    assert "Demo festival" not in page
    assert dump(town.venue.centre.database) == before
