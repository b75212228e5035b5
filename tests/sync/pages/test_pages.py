"""Pages as a browser without a screen asks for them: who may, what a form says back, what stays harmless."""

import io
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from sync.accounts.principal import Role
from sync.demo import MAIN_GATE
from tests.sync.pages.seat import EMAIL, EVENT_PATH, PASSWORD, client, house
from tests.sync.venue import Venue, query

EVIL = "=1+1<script>alert(1)</script>'; DROP TABLE event; --{{ 7*7 }}"
ESCAPED = "=1+1&lt;script&gt;alert(1)&lt;/script&gt;&#39;; DROP TABLE event; --{{ 7*7 }}"


NEW = {
    "name": "Winter concert", "venue_name": "Hall 7", "timezone": "Europe/Zurich", "zones": "Hall 1200\n  Gallery 300",
    "ticketing_name": "Box office", "currency": "CHF", "starts": "2026-12-01T19:00", "ends": "2026-12-01T23:00",
    "product_name": "Normal", "price": "25.50", "quota": "900",
}  # fmt: skip


async def test_nobody_sees_a_page_without_signing_in(venue: Venue) -> None:
    async with client(venue, signed_in=False) as stranger:
        for path in ("/", EVENT_PATH, f"{EVENT_PATH}/board", "/search?q=a", "/gates", f"{EVENT_PATH}/lists"):
            async with stranger.get(path, allow_redirects=False) as answer:
                assert answer.status == 303, path
                assert answer.headers["Location"].startswith("/sign-in")
                assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        async with stranger.get(f"{EVENT_PATH}/board/live") as answer:
            assert answer.status == 404


async def test_what_was_sent_after_the_session_ended_is_said_not_to_be_done_and_leads_back(
    venue: Venue,
) -> None:
    """Left open over night, or signed out in another window."""
    html = {"Accept": "text/html"}
    for sent, page in (
        (f"{EVENT_PATH}/tickets/1", f"{EVENT_PATH}/tickets/1"),
        (f"{EVENT_PATH}/products", EVENT_PATH),
    ):
        async with client(venue, signed_in=False) as left:
            async with left.post(sent, data={"do": "ban"}) as answer:
                assert answer.url.path == "/sign-in"
                assert "What you just sent was not done" in await answer.text()
                to = answer.url.query["to"]
            form = {"email": EMAIL, "password": PASSWORD, "to": to}
            async with left.post("/sign-in", data=form, headers=html) as answer:
                assert (answer.status, answer.url.path) == (200, page)
    assert query(venue, "SELECT standing FROM ticket WHERE event_id = 1 AND id = 1") == [(0,)]


async def test_the_language_is_chosen_on_the_answer_to_a_form_too(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    html = {"Accept": "text/html"}
    for sent, page in (
        (f"{EVENT_PATH}/products", EVENT_PATH),
        (f"/gates/{MAIN_GATE}/plans/1/drop", f"/gates/{MAIN_GATE}"),
    ):
        async with ada.post("/language", data={"to": sent, "language": "fr"}, headers=html) as answer:
            assert (answer.status, answer.url.path) == (200, page)
            assert 'lang="fr"' in await answer.text()
        async with ada.get(sent, headers={"Accept": "*/*"}) as answer:
            assert answer.status == 405


async def test_a_wrong_password_is_said_and_the_right_one_leads_on(venue: Venue) -> None:
    async with client(venue, signed_in=False) as stranger:
        async with stranger.post("/sign-in", data={"email": EMAIL, "password": "wrong"}) as answer:
            assert answer.status == 401
            assert "E-mail, password or code is wrong." in await answer.text()
        async with stranger.post(
            "/sign-in", data={"email": EMAIL, "password": PASSWORD, "to": "//evil.example"}
        ) as answer:
            assert answer.url.path == "/"
            assert "Ada Lovelace" in await answer.text()
        async with stranger.post("/sign-out") as answer:
            assert answer.url.path == "/sign-in"
        async with stranger.get("/", allow_redirects=False) as answer:
            assert answer.status == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
)
async def test_a_form_from_elsewhere_changes_nothing(
    venue: Venue, ada: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    cookies = {cookie.key: cookie.value for cookie in ada.cookie_jar}
    async with (
        aiohttp.ClientSession(venue.url, cookies=cookies, cookie_jar=aiohttp.CookieJar(unsafe=True)) as other,
        other.post("/events/new", data=NEW, headers=headers) as answer,
    ):
        assert answer.status == 403
    assert query(venue, "SELECT COUNT(*) FROM event") == [(2,)]


async def test_an_event_from_nothing(venue: Venue, ada: aiohttp.ClientSession) -> None:
    async with ada.post("/events/new", data=NEW) as answer:
        page = await answer.text()
        assert answer.status == 200, page
    for said in ("Winter concert", "Gallery", "CHF 25.50", "2026-12-01 19:00"):
        assert said in page
    assert query(venue, "SELECT name, parent, capacity FROM zone WHERE group_id = 2 ORDER BY id") == [
        ("Hall", 0, 1200),
        ("Gallery", 1, 300),
    ]
    made = query(
        venue,
        "SELECT starts_s, quota, price_minor FROM session JOIN product USING (event_id) WHERE event_id = 3",
    )
    assert made == [(1_796_148_000, 900, 2550)]  # 19:00 in Zurich is 18:00 UTC


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "This is needed."),
        ("timezone", "Mars/Olympus", "There is no such time zone"),
        ("currency", "francs", "Give three capital letters"),
        ("starts", "tomorrow", "Give a date and a time."),
        ("ends", "2026-11-30T10:00", "The end lies before the beginning."),
        ("price", "1.005", "Give an amount"),
        ("quota", "-1", "Give a whole number"),
        ("zones", "", "This is needed."),
    ],
)
async def test_an_error_stands_at_its_field_and_nothing_is_written(
    venue: Venue, ada: aiohttp.ClientSession, field: str, value: str, said: str
) -> None:
    async with ada.post("/events/new", data={**NEW, field: value}) as answer:
        page = await answer.text()
        assert answer.status == 422
    assert said in page.partition(f'id="e-{field}"')[2].partition("</p>")[0]
    assert 'value="Hall 7"' in page
    assert query(venue, "SELECT COUNT(*) FROM venue") == [(1,)]


async def test_text_of_any_kind_stays_text(venue: Venue, ada: aiohttp.ClientSession) -> None:
    async with ada.post(
        "/events/new", data={**NEW, "name": EVIL, "product_name": EVIL, "zones": EVIL}
    ) as answer:
        page = await answer.text()
        assert answer.status == 200, page
    assert ESCAPED in page
    assert "<script>alert" not in page
    for path in ("/", "/events/3/board", "/events/3/lists", "/gates"):
        async with ada.get(path) as answer:
            page = await answer.text()
            assert answer.status == 200
            assert "<script>alert" not in page
            assert EVIL not in page
    async with ada.get("/search", params={"q": EVIL}) as answer:
        assert ESCAPED in await answer.text()
    assert query(venue, "SELECT COUNT(*) FROM event") == [(3,)]


async def test_an_orders_times_are_those_of_the_place(venue: Venue, ada: aiohttp.ClientSession) -> None:
    """Until when a reservation is held is read at the counter, by the clock on the wall."""
    async with ada.post("/events/new", data=NEW) as answer:
        assert answer.status == 200
    ((till,),) = query(venue, "SELECT ticketing_id FROM event WHERE id = 3")
    ((product, session),) = query(
        venue, "SELECT product.id, session.id FROM product JOIN session USING (event_id) WHERE event_id = 3"
    )
    lines = [{"event": 3, "product": product, "session": session}]
    async with ada.post(
        "/api/v1/orders", json={"ticketing": till, "payment": "on_site", "lines": lines}
    ) as answer:
        order = await answer.json()
        assert answer.status == 201, order
    created = datetime.fromtimestamp(order["created_s"], ZoneInfo("Europe/Zurich"))
    async with ada.get(f"/orders/{order['id']}") as answer:
        page = await answer.text()
    assert f"{created:%Y-%m-%d %H:%M}" in page
    assert f"{created.astimezone(UTC):%Y-%m-%d %H:%M}" not in page


async def test_a_time_of_no_place_says_that_it_is_utc(ada: aiohttp.ClientSession) -> None:
    """Of the sessions of an account: nobody knows where its owner is."""
    async with ada.get("/account") as answer:
        assert re.search(r"<time [^>]+>\d{4}-\d\d-\d\d \d\d:\d\d UTC</time>", await answer.text())


async def test_a_viewer_is_told_that_the_role_is_too_low(tmp_path: Path) -> None:
    async with house(tmp_path / "centre", Role.VIEWER) as venue, client(venue) as session:
        async with session.get(f"{EVENT_PATH}/board") as answer:
            assert answer.status == 200
        for path in ("/events/new", f"/gates/{MAIN_GATE}/code", f"{EVENT_PATH}/lists"):
            async with session.post(path, data=NEW) as answer:
                assert answer.status == 403, path
                assert "Your role does not allow this." in await answer.text()


async def test_what_is_not_there_is_a_page_that_says_so(ada: aiohttp.ClientSession) -> None:
    for path in (
        "/events/99",
        "/events/x",
        "/customers/5",
        "/orders/5",
        "/gates/77",
        f"{EVENT_PATH}/tickets/99999",
    ):
        async with ada.get(path) as answer:
            assert answer.status == 404, path
            assert answer.content_type == "text/html"


async def test_a_pasted_list_is_shown_first_and_written_when_told(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    rows = "code;product\nABCDEFGH1234;Day ticket\nABCDEFGH1235;No such product\n"
    before = query(venue, "SELECT COUNT(*) FROM ticket")
    async with ada.post(f"{EVENT_PATH}/lists", data={"pasted": rows, "shop": "kiosk"}) as answer:
        page = await answer.text()
        assert answer.status == 200, page
        assert "No such product" in page
        job = answer.url.path
    assert query(venue, "SELECT COUNT(*) FROM ticket") == before
    async with ada.post(job, data={"do": "start"}) as answer:
        assert answer.status == 422
    async with ada.post(job, data={"do": "start", "keep_good": "1"}) as answer:
        assert answer.status == 200
    async with ada.post(job, data={"do": "advance"}) as answer:
        assert "1 of 1 rows written" in await answer.text()
    assert query(venue, "SELECT COUNT(*) FROM ticket")[0][0] == int(str(before[0][0])) + 1


@pytest.mark.parametrize("size", [1, 300_000])
async def test_a_file_that_was_chosen_is_read_as_a_browser_sends_it(
    venue: Venue, ada: aiohttp.ClientSession, size: int
) -> None:
    rows = "code;product\n" + "".join(f"FILE{n:07d};Day ticket\n" for n in range(size // 24 + 1))
    form = aiohttp.FormData({"shop": "kiosk", "pasted": "", "keep_text": "1"}, quote_fields=False)
    form.add_field("file", io.BytesIO(rows.encode()), filename="list ü.csv", content_type="text/csv")
    async with ada.post(f"{EVENT_PATH}/lists", data=form) as answer:
        page = await answer.text()
        assert answer.status == 200, page
    assert "list ü.csv" in page
    assert "Every row is good." in page


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no parts at all",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut off',
        b"--x\r\nContent-Disposition: form-data\r\n\r\nnameless\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\xfe\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\na\x00b\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 401 + b"--x--\r\n",
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\n--y--\r\n--x--\r\n",
    ],
)
async def test_a_form_that_no_page_sends_is_refused(ada: aiohttp.ClientSession, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with ada.post("/language", data=body, headers=headers, allow_redirects=False) as answer:
        assert answer.status in {303, 400}
        assert answer.status == 400 or body == b""


async def test_a_gate_is_named_enrolled_planned_and_its_lanes_set(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    async with ada.post("/gates", data={"group": "1", "name": "North gate", "zones": "1"}) as answer:
        path = answer.url.path
    async with ada.post(path + "/code") as answer:
        page = await answer.text()
        assert "<svg" in page
        assert venue.url in page
    plan = {"lane": "1", "zone": "1", "mode": "entry_exit", "sessions": "1:1", "attended": "1"}
    async with ada.post(path + "/plans", data=plan) as answer:
        assert answer.status == 200
    gate = path.rpartition("/")[2]
    assert query(venue, f"SELECT zone, mode, sessions FROM lane_plan WHERE gate_id = {gate}") == [
        (1, 1, "[[1,1]]")
    ]
    async with ada.post("/gates/states", data={"group": "1", "zone": "1", "state": "emergency"}) as answer:
        assert answer.status == 200
    assert query(venue, "SELECT state, zone FROM lane_order") == [(5, 1)]
    async with ada.post(path + "/plans", data={**plan, "sessions": "77:1"}) as answer:
        assert answer.status == 422


@pytest.mark.parametrize(
    ("currency", "price", "minor", "shown"),
    [
        ("JPY", "2500", 2500, "JPY 2\u202f500"),
        ("KWD", "7.505", 7505, "KWD 7.505"),
        ("CHF", "25.5", 2550, "CHF 25.50"),
    ],
)
async def test_a_price_is_in_the_minor_unit_of_its_currency(
    venue: Venue, ada: aiohttp.ClientSession, currency: str, price: str, minor: int, shown: str
) -> None:
    async with ada.post("/events/new", data={**NEW, "currency": currency, "price": price}) as answer:
        assert answer.status == 200
        assert shown in await answer.text()
    made = "SELECT price_minor, currency FROM product WHERE event_id = "
    assert query(venue, made + "3") == [(minor, currency)]
    own = query(venue, "SELECT ticketing_id FROM event WHERE id = 3")[0][0]
    # a second event in the same ticketing: what the form says in its currency field is of no account
    second = {**NEW, "name": "Second", "ticketing": str(own), "currency": "EUR", "price": price}
    async with ada.post("/events/new", data=second) as answer:
        assert answer.status == 200
        assert shown in await answer.text()
    assert query(venue, made + "4") == [(minor, currency)]
    async with ada.post(
        "/events/3/products", data={"product_name": "Fine", "currency": currency, "price": "1.00005"}
    ) as answer:
        assert answer.status == 422
        assert {"JPY": "as 25.", "KWD": "as 25.500.", "CHF": "as 25.50."}[currency] in await answer.text()
