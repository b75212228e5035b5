"""An organizer's evening in a real browser; every page looked over by axe-core, on a phone and on a desk, light and dark."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Route

from sync.demo import ARENA, EVENT, MAIN_GATE, TERRACE, TERRACE_GATE
from sync.demo_sales import make_sales
from tests.sync.conftest import Home
from tests.sync.pages.evening import GateLog, busy, enrolled
from tests.sync.pages.seat import DESK, EVENT_PATH, PHONE, Seat, browser, client, house, seat
from tests.sync.venue import Venue, query

pytestmark = pytest.mark.browser


LOOKS = {
    "sqlite": ((DESK, "dark", "de-CH"), (PHONE, "light", "fr-CH")),
    "postgresql": ((PHONE, "dark", "it-CH"),),
}
"""How the pages are looked at: on either database, since what they show is read from it."""


@asynccontextmanager
async def signed_in(folder: Path, look: dict[str, Any], **more: Any) -> AsyncIterator[tuple[Venue, Seat]]:
    """The demo venue's centre, and its owner signed in."""
    async with (
        house(folder / "centre") as venue,
        browser() as chromium,
        seat(chromium, venue.url, look, **more) as s,
    ):
        await s.sign_in()
        yield venue, s


async def looks_at_the_board(s: Seat) -> None:
    """Open the board, with a clock that a test moves, and wait until it hears."""
    await s.page.clock.install()
    async with s.page.expect_response("**/board/live**"):
        await s.go(f"{EVENT_PATH}/board")
    await s.page.wait_for_selector("#chart canvas")


async def test_axe_finds_nothing_and_nothing_sticks_out(home: Home) -> None:
    async with house(home.data, database=home.url) as venue, browser() as chromium:
        with venue.centre.database.writing() as connection:
            busy(connection, EVENT, (MAIN_GATE, TERRACE_GATE), (ARENA, TERRACE), venue.now_s)
        make_sales(venue.centre.database, venue.centre.keys, venue.now_s)
        async with client(venue) as ada:
            person = {
                "customer": {"first_name": "Grace", "last_name": "Hopper", "email": "grace@navy.example"},
                "tickets": [{"event": EVENT, "ticket": 1}],
            }
            async with ada.post("/api/v1/claims", json=person) as answer:
                made = await answer.json()
                assert answer.status == 201, made
                customer = made["id"]
        paths = (
            "/", "/events/new", EVENT_PATH, f"{EVENT_PATH}/board", f"{EVENT_PATH}/lists", "/search?q=grace", "/unsold",
            f"{EVENT_PATH}/tickets/1", f"{EVENT_PATH}/tickets/500001/way",
            f"/customers/{customer}", f"/customers/{customer}/history", "/orders/1", "/gates", f"/gates/{MAIN_GATE}",
            "/account", "/retention",
        )  # fmt: skip
        for size, scheme, locale in LOOKS["postgresql" if home.url else "sqlite"]:
            async with seat(chromium, venue.url, size, scheme, locale) as s:
                await s.go("/sign-in")
                assert await s.violations() == []
                await s.sign_in()
                for path in paths:
                    await s.go(path)
                    assert await s.violations() == [], path
                    assert await s.wide() == [], path
                    assert size is not PHONE or await s.small() == [], path
                assert s.trouble == []


async def test_the_board_follows_what_gates_push(tmp_path: Path) -> None:
    async with house(tmp_path / "centre") as venue, browser() as chromium:
        log = GateLog(MAIN_GATE, EVENT)
        with venue.centre.database.writing() as connection:
            enrolled(connection, MAIN_GATE)
        async with seat(chromium, venue.url, PHONE) as s:
            await s.sign_in()
            await s.go(f"{EVENT_PATH}/board")
            await s.page.wait_for_selector("#chart canvas")
            assert await s.page.inner_text(".big .lead dd") == "0"
            log.enter(1, 1, ARENA, venue.now_s - 30)
            log.enter(2, 1, ARENA, venue.now_s - 20)
            with venue.centre.database.writing() as connection:
                log.push(connection, venue.now_s)
            await s.page.wait_for_selector(".big .lead dd:text-is('2')")
            await s.page.wait_for_selector("#chart canvas")
            assert s.trouble == []


async def test_names_and_figures_of_the_board_have_room_on_a_phone(tmp_path: Path) -> None:
    """German words are long: names of gates and products were broken letter by letter, figures stuck out of their boxes."""
    async with signed_in(tmp_path, PHONE, locale="de-CH") as (_, s):
        await s.go(f"{EVENT_PATH}/board")
        tight = await s.page.evaluate("""() => [
          ...[...document.querySelectorAll("#board .big > div")].filter((n) => n.scrollWidth > n.clientWidth),
          ...[...document.querySelectorAll("#board .big dt")].filter((n) => n.clientHeight > 30), // a second line
          ...[...document.querySelectorAll("#board .columns tbody th[scope=row]")].filter((n) => n.clientWidth < 100),
        ].map((n) => n.textContent)""")
        assert tight == []


async def test_a_board_that_hears_nothing_says_so_and_asks_anew(tmp_path: Path) -> None:
    """A connection that died on its way tells a browser nothing, and each minute brings a board."""
    async with signed_in(tmp_path, DESK) as (_, s):
        await looks_at_the_board(s)
        await s.page.route("**/board/live**", lambda route: route.abort())
        assert not await s.page.is_visible("#lost")
        await s.page.clock.fast_forward(200_000)
        await s.page.wait_for_selector("#lost", state="visible")
        await s.page.unroute("**/board/live**")
        await s.page.clock.fast_forward(70_000)
        await s.page.wait_for_selector("#lost", state="hidden")


async def test_a_board_whose_session_ended_leads_to_the_sign_in_page_and_back(tmp_path: Path) -> None:
    """Left on a wall for an evening: it said that the connection is lost, for ever."""
    async with signed_in(tmp_path, DESK) as (venue, s):
        await looks_at_the_board(s)
        with venue.centre.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM signed_in")
        await s.page.clock.fast_forward(200_000)
        await s.page.wait_for_selector("#f-email")
        assert await s.page.input_value("[name=to]") == f"{EVENT_PATH}/board"


async def test_a_form_that_is_under_way_is_not_sent_again(tmp_path: Path) -> None:
    """Over a slow link somebody presses again: there would be two of what it makes."""
    async with signed_in(tmp_path, PHONE) as (venue, s):
        await s.go(EVENT_PATH)
        await s.open("Add a date")
        await s.page.fill("#f-session_name", "Third day")
        await s.page.fill("#f-starts", "2026-12-01T19:00")
        under_way: asyncio.Queue[Route] = asyncio.Queue()
        await s.page.route("**/sessions", under_way.put)
        async with s.page.expect_console_message(lambda said: said.text == "pressed again"):
            await s.page.evaluate("""() => {
              const button = document.querySelector("form[action$=sessions] button");
              button.click();
              setTimeout(() => { button.click(); console.log("pressed again"); }, 300);
            }""")
        await (await under_way.get()).continue_()
        await s.page.wait_for_selector(".notice.good")
        assert under_way.empty()
        assert query(venue, "SELECT COUNT(*) FROM session WHERE name = 'Third day'") == [(1,)]


async def test_whoever_goes_by_the_keyboard_stays_where_they_were_as_the_board_changes(
    tmp_path: Path,
) -> None:
    async with (
        house(tmp_path / "centre") as venue,
        browser() as chromium,
        seat(chromium, venue.url, DESK) as s,
    ):
        log = GateLog(MAIN_GATE, EVENT)
        with venue.centre.database.writing() as connection:
            enrolled(connection, MAIN_GATE)
        await s.sign_in()
        await s.go(f"{EVENT_PATH}/board")
        await s.page.wait_for_selector("#chart canvas")
        for number, place in enumerate(("[data-print]", "[href='?span=day']", "details.asTable summary"), 1):
            await s.page.focus(place)
            log.enter(number, 1, ARENA, venue.now_s - 30 + number)
            with venue.centre.database.writing() as connection:
                log.push(connection, venue.now_s)
            await s.page.wait_for_selector(f".big .lead dd:text-is('{number}')")
            assert await s.page.evaluate("(place) => document.activeElement.matches(place)", place), place


async def test_a_button_that_is_left_says_again_what_it_said(tmp_path: Path) -> None:
    """What only a screen reader is told stays so."""
    async with signed_in(tmp_path, DESK) as (_, s):
        await s.go(f"/gates/{MAIN_GATE}")
        button = s.page.locator("button[data-sure]:has(.hidden)").first
        before = await button.inner_html()
        await button.click()
        assert await button.inner_html() != before
        await s.page.focus("#find")
        assert await button.inner_html() == before


async def test_an_event_from_nothing_by_hand(tmp_path: Path) -> None:
    async with house(tmp_path / "centre") as venue, browser() as chromium:
        async with seat(chromium, venue.url, DESK) as s:
            await s.sign_in()
            await s.page.click("text=New event")
            await s.page.fill("#f-name", "Winter concert")
            await s.page.fill("#f-starts", "2026-12-01T19:00")
            await s.page.fill("#f-venue_name", "Hall 7")
            await s.page.fill("#f-ticketing_name", "Box office")
            await s.page.fill("#f-product_name", "Normal")
            await s.page.fill("#f-price", "25.50")
            await s.page.click("button:text('Create event')")
            # Zones were forgotten: said at the field, and the cursor stands there.
            await s.page.wait_for_selector("#e-zones")
            assert await s.page.evaluate("document.activeElement.id") == "f-zones"
            await s.page.fill("#f-zones", "Hall 1200")
            await s.page.click("button:text('Create event')")
            await s.page.wait_for_selector("h1:text('Winter concert')")
            await s.page.click("nav.main >> text=Gates")
            await s.page.click("section:has-text('Winter concert') >> text=Add a gate")
            await s.page.fill("section:has-text('Winter concert') input[name=name]", "Door")
            await s.page.click("section:has-text('Winter concert') button:text('Add')")
            await s.page.wait_for_selector("h1:text('Door')")
            await s.page.click("button:text('Enrol a box')")
            await s.page.wait_for_selector(".qr svg")
            assert await s.violations() == []
            await s.page.emulate_media(media="print")
            assert not await s.page.is_visible("nav.main")
            # The browser itself reports the answer 422 of the forgotten field.
            assert [one for one in s.trouble if "422" not in one] == []
        assert query(venue, "SELECT name FROM gate ORDER BY id")[-1] == ("Door",)


async def test_a_ban_is_asked_for_twice(tmp_path: Path) -> None:
    async with signed_in(tmp_path, PHONE) as (venue, s):
        await s.go(f"{EVENT_PATH}/tickets/1")
        # A double tap and a key held down ask once, and do nothing.
        await s.page.dblclick("button[value=ban]")
        for _ in range(3):
            await s.page.keyboard.down("Enter")
        await s.page.keyboard.up("Enter")
        assert await s.page.inner_text("button[value=ban]") == "Really ban?"
        assert query(venue, "SELECT standing FROM ticket WHERE event_id = 1 AND id = 1") == [(0,)]
        await s.page.click("button[value=ban]")
        await s.page.wait_for_selector(".badge:has-text('Banned')")
        assert query(venue, "SELECT standing FROM ticket WHERE event_id = 1 AND id = 1") == [(4,)]
