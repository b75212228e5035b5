"""An organizer's whole evening in a real browser, on either database: what the pages do is what the gates are told."""

import asyncio
import csv
import io
import time
from datetime import UTC, datetime
from pathlib import Path

import pyotp
import pytest

from admission.digests import CredentialKind, digest
from admission.entitlements import CredentialStanding, Standing
from admission.reasons import Reason
from admission.records import Outcome
from edge.enrol import enrol
from sync.accounts import users
from sync.customers import tags
from sync.demo import EVENT
from sync.gates.lists import content
from sync.store.database import Database
from tests.edge import rig
from tests.sync.conftest import Home
from tests.sync.gates import WAIT_S
from tests.sync.lan import with_front
from tests.sync.pages.seat import DESK, EVENT_PATH, PASSWORD, PHONE, Seat, browser, client, house, seat
from tests.sync.people import other_organization
from tests.sync.venue import Venue, query

pytestmark = pytest.mark.browser

LIST = "code;product\nWINTER-0001;Normal\nWINTER-0002;Normal\nWINTER-0003;Balcony\n"
UIDS = ("04A0B0C0D0E001", "04A0B0C0D0E002")


def told(database: Database, group: int) -> dict[tuple[int, int], Standing]:
    """How the tickets of a group stand in the list that gates get, by event and number."""
    with database.reading() as connection:
        head, rows = content(connection, group)
    tickets = [head.ticket(row) for row in rows]
    return {(ticket.event, ticket.id): ticket.standing for ticket in tickets}


async def test_an_evening_from_the_first_page_to_the_export(home: Home, tmp_path: Path) -> None:
    async with house(home.data, database=home.url) as venue, browser() as chromium:
        venue.now_s = int(time.time())  # the box has a clock of its own
        secret = pyotp.random_base32()
        with venue.centre.database.writing() as connection:
            users.set_totp(connection, venue.centre.keys, 1, secret)
        async with seat(chromium, venue.url, DESK) as s:
            await s.sign_in(pyotp.TOTP(secret).at(venue.now_s))
            event = await creates_an_event(s)
            await pushes_a_list(s, tmp_path, event)
            await plans_a_gate(s)
            await watches_the_board(s, venue, tmp_path, event)
            await cancels_one_and_bans_one(s, event)
            await switches_a_tag(s, venue, event)
            await exports(s, event)
            assert [one for one in s.trouble if "422" not in one] == []
        standing = told(venue.centre.database, 2)
        assert standing == {(3, 1): Standing.CANCELLED, (3, 2): Standing.BANNED}
        what = {row[0] for row in query(venue, "SELECT what FROM audit_log WHERE organization_id = 1")}
        assert what >= {
            "event.make",
            "import.start",
            "gate.make",
            "gate.code",
            "lane.plan",
            "ticket.cancel",
            "ticket.ban",
            "tag.activate",
        }


def hurried(text: str) -> str:
    """Each read is a new presentation; what is recorded is pushed soon."""
    return text.replace("push_s = 0.2", "push_s = 0.05").replace("[[lanes]]\n", "[[lanes]]\nabsent_ms = 0\n")


async def creates_an_event(s: Seat) -> str:
    await s.page.click("text=New event")
    for field, value in {
        "name": "Winter concert", "starts": f"{datetime.now(UTC):%Y-%m-%dT%H:%M}", "venue_name": "Hall 7", "zones": "Hall 1200",
        "ticketing_name": "Box office", "product_name": "Normal", "price": "25.50",
    }.items():  # fmt: skip
        await s.page.fill(f"#f-{field}", value)
    await s.page.click("button:text('Create event')")
    await s.page.wait_for_selector("h1:text('Winter concert')")
    return s.page.url.removeprefix(s.url).partition("?")[0]


async def pushes_a_list(s: Seat, folder: Path, event: str) -> None:
    file = folder / "winter.csv"
    file.write_text(LIST)
    await s.page.click(".tabs >> text=Lists")
    await s.page.set_input_files("#f-file", file)
    await s.page.click("button:text('Check')")
    await s.page.wait_for_selector(
        "td:has-text('Balcony')"
    )  # the bad row is named before anything is written
    assert await s.page.inner_text("#progress form p") == "Nothing is written yet."
    await s.page.check("input[name=keep_good]")
    await s.page.click("button:text('Write')")
    await s.page.wait_for_selector(".badge:has-text('Done'), p[role=status]:has-text('2 of 2')")
    assert s.page.url.startswith(s.url + event)


async def plans_a_gate(s: Seat) -> None:
    await s.page.click("nav.main >> text=Gates")
    section = "section:has-text('Winter concert')"
    await s.page.click(f"{section} >> summary:has-text('Add a gate')")
    await s.page.fill(f"{section} input[name=name]", "Door")
    await s.page.click(f"{section} button:text('Add')")
    await s.page.wait_for_selector("h1:text('Door')")
    await s.page.check("input[name=sessions]")
    await s.page.select_option("select[name=mode]", "entry_exit")
    await s.page.click("button:text('Save')")
    await s.page.wait_for_selector(".notice.good")
    await s.page.click("button:text('Enrol a box')")
    await s.page.wait_for_selector(".qr svg")


async def watches_the_board(s: Seat, venue: Venue, folder: Path, event: str) -> None:
    """A box joins by the code that the page shows, and people walk in at it while the board is open."""
    code = (await s.page.inner_text(".secret")).strip()
    data = folder / "box" / "data"
    data.mkdir(parents=True)
    await asyncio.to_thread(enrol, data, venue.url, code, "box")
    await s.go(f"{event}/board")
    await s.page.wait_for_selector("#chart canvas")
    async with rig.running(folder / "box", adjust=hurried, change=with_front) as gate:
        await gate.until(lambda: gate.daemon.lanes[1].ready, "the list and the plan are here", WAIT_S)
        for count, text in enumerate((b"WINTER-0001", b"WINTER-0002", b"WINTER-0003"), 1):
            await gate.hardware.entry.scan(text)
            seen = await gate.seen(count)
            if seen.outcome is Outcome.GRANT:
                await gate.walk()
        assert (seen.outcome, seen.reason) == (Outcome.DENY, Reason.UNKNOWN), "its row was bad, and not kept"
        await s.page.wait_for_selector(".big .lead dd:text-is('2')")
        await s.go(f"{event}/tickets/1/way")
        await s.page.wait_for_selector("text=Walked in")


async def cancels_one_and_bans_one(s: Seat, event: str) -> None:
    await s.go(f"{event}/tickets/1")
    await s.page.fill("#f-reason", "Fell ill")
    await s.press("button[value=cancel]")
    await s.go(f"{event}/tickets/2")
    await s.press("button[value=ban]")
    await s.page.fill("#find", "WINTER")
    await s.page.press("#find", "Enter")
    await s.page.wait_for_selector("main")


async def switches_a_tag(s: Seat, venue: Venue, event: str) -> None:
    """Somebody's second tag is made the active one, and the first again, by the button on their page."""
    async with client(venue, signed_in=False) as ada:
        cookie = {one["name"]: one["value"] for one in await s.page.context.cookies()}
        person = {
            "customer": {"first_name": "Grace", "last_name": "Hopper"},
            "event": 1, "uid": UIDS[0], "product": 1,
        }  # fmt: skip
        async with ada.post("/api/v1/activations", json=person, cookies=cookie) as answer:
            made = await answer.json()
            assert answer.status == 201, made
    await s.page.fill("#find", "Hopper")
    await s.page.press("#find", "Enter")
    await s.page.click("a:has-text('Grace Hopper')")
    await s.open("Assign a tag")
    await s.page.select_option("#f-tag-event", "1")
    await s.page.fill("#f-uid", UIDS[1])
    await s.page.fill("#tags #f-product", "1")
    await s.page.click("button[value=assign_tag]")
    await s.page.wait_for_selector(
        f"tr:has-text('{UIDS[1]}') >> text=Inactive >> visible=true", state="detached"
    )
    await s.page.click(f"tr:has-text('{UIDS[0]}') >> button[value=activate_tag]")
    await s.page.wait_for_selector(f"tr:has-text('{UIDS[0]}') >> .badge.ok")
    database = venue.centre.database
    with database.reading() as connection:
        head, rows = content(connection, 1)
    standing = {row.digest: row.credential_standing for row in rows}
    first, second = (
        standing[digest(CredentialKind.UID, tags.canonical_uid(uid), head.digest_key)] for uid in UIDS
    )
    assert (first, second) == (CredentialStanding.ACTIVE, CredentialStanding.INACTIVE_TAG)


async def exports(s: Seat, event: str) -> None:
    await s.go(f"{event}/lists")
    async with s.page.expect_download() as coming:
        await s.page.click("a:has-text('Tickets as CSV')")
    saved = await (await coming.value).path()
    rows = list(csv.reader(io.StringIO(Path(saved).read_text())))
    assert len(rows) == 3


async def test_a_ticket_is_exchanged_and_reissued_and_a_reservation_split(home: Home) -> None:
    async with house(home.data, database=home.url) as venue, browser() as chromium:
        async with client(venue) as ada:
            async with ada.post("/api/v1/ticketings", json={"name": "Till", "currency": "CHF"}) as answer:
                till = (await answer.json())["id"]
            async with ada.get(f"/api/v1/events/{EVENT}") as answer:
                body = {
                    key: value
                    for key, value in (await answer.json()).items()
                    if key in {"group", "name", "timezone", "starts_s", "ends_s", "state"}
                }
            async with ada.put(f"/api/v1/events/{EVENT}", json={**body, "ticketing": till}) as answer:
                assert answer.status == 200, await answer.text()
            with venue.centre.database.writing() as connection:
                connection.exec_driver_sql(
                    "UPDATE product SET currency = 'CHF', price_minor = 4500 WHERE event_id = 1"
                )
            lines = [{"event": EVENT, "product": 1, "session": 1} for _ in range(3)]
            sale = {"ticketing": till, "payment": "on_site", "lines": lines}
            async with ada.post("/api/v1/orders", json=sale) as answer:
                order = await answer.json()
                assert answer.status == 201, order
        async with seat(chromium, venue.url, PHONE) as s:
            await s.sign_in()
            await s.go(f"{EVENT_PATH}/tickets/1")
            await s.page.select_option("#f-product", label="VIP day ticket")
            await s.page.click("button[value=exchange]")
            # The visitor wants the new one: its page is where its code is shown, and who comes with the old one finds it.
            await s.page.wait_for_selector(".notice.good:has-text('This ticket is valid now')")
            assert await s.page.inner_text("dd >> nth=1") == "VIP day ticket"
            new = s.page.url.partition("?")[0]
            await s.go(f"{EVENT_PATH}/tickets/1")
            await s.page.click("dt:text-is('Replaced by') + dd a")
            await s.page.wait_for_url(new)
            await s.go(f"{EVENT_PATH}/tickets/2")
            await s.press("button[value=reissue]")
            await s.go(f"/orders/{order['id']}")
            await s.page.check("input[name=line][value='2']")
            await s.page.click("button[value=split]")
            await s.page.wait_for_selector(".notice.good")
            assert await s.page.locator("input[name=line]").count() == 2
            assert await s.violations() == []
            assert s.trouble == []
        standing = told(venue.centre.database, 1)
        assert standing[EVENT, 1] & Standing.REPLACED
        assert standing[EVENT, 2] & Standing.REPLACED or not standing[EVENT, 2]
        halves = query(
            venue,
            'SELECT state, COUNT(*) FROM "order" JOIN order_line ON id = order_id GROUP BY id, state ORDER BY id',
        )
        assert halves == [("reservation", 2), ("reservation", 1)]


async def test_codes_are_set_up_by_the_picture_and_the_organization_is_switched(tmp_path: Path) -> None:
    async with (
        house(tmp_path / "centre") as venue,
        browser() as chromium,
        seat(chromium, venue.url, PHONE) as s,
    ):
        rival = other_organization(venue.centre.database)
        with venue.centre.database.writing() as connection:
            connection.exec_driver_sql(f"INSERT INTO membership VALUES (1, {rival}, 'steward')")
        await s.sign_in()
        await s.page.click("summary:has(svg)")
        await s.page.click(".sheet >> text=Your account")
        await s.page.fill("#t-password", PASSWORD)
        await s.page.click("button:text('Set up an app')")
        await s.page.wait_for_selector(".qr svg")
        assert await s.violations() == []
        assert await s.wide() == []
        app = pyotp.TOTP((await s.page.inner_text(".secret")).replace(" ", ""))
        await s.page.fill("#f-code", app.at(venue.now_s))
        await s.page.click("button:text('Turn on')")
        await s.page.wait_for_selector(".notice.good")
        await s.page.click("tr:has-text('The rival') >> button")
        await s.page.wait_for_selector("text=No event yet.")
        await s.page.click("summary:has(svg)")
        await s.page.click("button:text('Sign out')")
        await s.page.wait_for_selector("#f-password")
        venue.now_s += 60
        await s.sign_in(app.at(venue.now_s))
        await s.page.wait_for_selector("text=Demo festival")
        assert s.trouble == []
