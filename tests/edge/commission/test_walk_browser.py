"""A technician's whole walk, counted: from a fresh box to a ticket that opens the arm; and what goes wrong on the way."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from edge.commission import shell
from edge.front.pin import new_pin
from sync import demo
from tests.edge.commission.test_commission_browser import (
    CARD,
    COUNTING,
    WAIT_MS,
    Plugged,
    Seat,
    commissioning,
    relay,
)
from tests.edge.commission.test_door_browser import a_centre
from tests.edge.front.test_page_browser import PHONE, WIDE
from tests.house import ROOT

pytestmark = pytest.mark.browser
TAP_S, LETTER_S, DEVICE_S = 6, 1, 20
"""What a person may take, generously: to read and tap, to type a letter on a phone, to walk to a device and do something there."""
IN_VIEW = """(one) => { const { top, bottom, right } = one.getBoundingClientRect();
  const seen = document.elementFromPoint(right / 2, (top + bottom) / 2);
  return top >= 0 && bottom <= innerHeight && one.scrollWidth <= one.clientWidth && one.contains(seen); }"""
"""Whether all of it is within the window, and nothing lies over it."""
PROMISE_S = 600
"""Issue 5: from enrolment to go in under ten minutes."""


@contextlib.asynccontextmanager
async def a_box(folder: Path, plugged: Plugged) -> AsyncIterator[tuple[str, str, Path]]:
    """A fresh box that was switched on: `gatehouse-edge run`, as its unit starts it; yields its page's address, its PIN and its data."""
    for name in ("etc", "data"):
        (folder / name).mkdir(parents=True)
    data, pin = folder / "data", new_pin(folder / "data")
    said = (folder / "stderr").open("wb")
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "run", "--port", "0", "--root", str(plugged.root),
        stdout=asyncio.subprocess.PIPE,
        stderr=said,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CONFIGURATION_DIRECTORY": str(folder / "etc"),
            "STATE_DIRECTORY": str(data),
        },
    )  # fmt: skip
    assert running.stdout is not None
    try:
        address = (await asyncio.wait_for(running.stdout.readline(), 30)).decode()
        yield f"https://127.0.0.1:{address.strip().rstrip('/').rpartition(':')[2]}/", pin, data
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.terminate()
        await asyncio.wait_for(running.communicate(), 30)
        said.close()


@contextlib.asynccontextmanager
async def a_phone(address: str) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        context = await chromium.new_context(
            viewport=PHONE,  # type: ignore[arg-type]  # playwright's TypedDict is not exported
            locale="en-GB",
            reduced_motion="reduce",
            ignore_https_errors=True,
        )
        page = await context.new_page()
        page.set_default_timeout(WAIT_MS)
        await page.add_init_script(COUNTING)
        await page.goto(address)
        try:
            yield page
        finally:
            await context.close()
            await chromium.close()


async def test_from_a_fresh_box_to_the_first_ticket_in_less_than_ten_minutes(tmp_path: Path) -> None:
    """The gate that goes on is the box's own process: it reads its new file, starts its guard and its front, and has the centre's list."""
    centre, plugged = tmp_path / "centre", Plugged(tmp_path / "devices")
    async with (
        a_centre(centre, int(time.time())) as (url, code),
        a_box(tmp_path / "box", plugged) as (address, pin, data),
        a_phone(address) as page,
    ):
        began_s = time.monotonic()
        s = Seat(page, plugged, data, data / "gate.toml", asyncio.ensure_future(asyncio.sleep(0, True)))
        await page.fill("#pin", pin)
        await page.click("#pin-form button")
        # The centre's line is pasted whole into the field for the address.
        await page.fill("#enrol input[name=url]", f"gatehouse-edge enrol {url} {code}")
        assert await page.input_value("#enrol input[name=code]") == code
        await page.click("#enrol button")
        await page.wait_for_selector("#enrol", state="hidden")
        await expect(page.locator("#gate-name")).to_have_value("Main gate")  # as the centre calls it
        await page.click("#plan button[type=submit]")
        await page.click(f"{s.seat('1-entry-barcode')} button")
        await plugged.entry.scan((await s.test_code()).encode())
        await s.chosen("1-entry-barcode", "NLS-FM430")
        await page.click(f"{s.seat('1-entry-uid')} button")
        await page.fill(f"{s.seat('1-entry-uid')} input", CARD)
        await page.click(f"{s.seat('1-entry-uid')} form button")
        await page.wait_for_selector("#asked h3:has-text('tag reader')")
        await plugged.tags.scan(CARD.replace(":", ""))
        await s.chosen("1-entry-uid", "TWN4")
        await relay(s, 0, "Lane 1: inwards")
        await page.wait_for_selector("#opened li:has-text('Lane 1: inwards · relay 1')")
        at_devices = 4  # a code is scanned, a card held, an arm watched, the first ticket shown
        await page.wait_for_selector("#write:enabled")
        # Each tap but the last is counted by now.
        counts = "['taps', 'typed', 'letters'].map((kind) => Number(sessionStorage[kind] ?? 0))"
        taps, typed, letters = await page.evaluate(counts)
        await page.click("#write")
        written_s = time.monotonic()
        before = len(plugged.relays.changes)
        ticket = next(one.data for one in demo.demo_tickets(centre) if one.key == "day")
        async with asyncio.timeout(60):
            while b"list in use" not in (tmp_path / "box" / "stderr").read_bytes():
                await asyncio.sleep(0.05)
            await plugged.entry.scan(ticket.encode())
            while len(plugged.relays.changes) == before:
                await asyncio.sleep(0.05)
        ended_s = time.monotonic()
    plugged.close()
    page_s, start_s = written_s - began_s, ended_s - written_s
    person_s = TAP_S * (taps + 1) + LETTER_S * letters + DEVICE_S * at_devices
    print(
        f"from a fresh box to the first ticket: {taps + 1} taps, {typed} fields with {letters} letters, {at_devices} things at devices;"
        f" the software takes {page_s:.1f} s of the page (a browser that does not read) and {start_s:.1f} s to go on as a gate;"
        f" with {TAP_S} s a tap, {LETTER_S} s a letter, {DEVICE_S} s a device: {(person_s + page_s + start_s) / 60:.1f} minutes"
    )
    assert plugged.relays.changes[before].line == 0
    assert person_s < PROMISE_S


async def test_two_technicians_at_once_lose_nothing_of_each_other_s_lanes(tmp_path: Path) -> None:
    async with commissioning(tmp_path) as s:
        one, other = s.page, await s.page.context.new_page()
        await other.goto(one.url)
        await other.wait_for_selector("#devices li >> nth=5")
        await one.fill(".plan input >> nth=0", "Half typed")
        await other.click("#add")
        await other.fill("#gate-name", "North")
        await other.click("#plan button[type=submit]")
        # Who was typing is told, and has before him what holds now: his press would have taken the other's second lane.
        await one.wait_for_selector("#said.bad:has-text('Somebody else')")
        assert await one.locator(".plan").count() == 2
        assert await one.input_value(".plan input >> nth=0") == "Lane 1"
        assert await one.input_value("#gate-name") == "North"
        await one.click(f"{s.seat('2-entry-barcode')} button")
        await other.wait_for_selector("#asked h3:has-text('Lane 2')")
        await one.fill(".plan input >> nth=0", "Left")
        await one.click("#plan button[type=submit]")
        await expect(other.locator(".plan input >> nth=0")).to_have_value("Left")
        assert await other.inner_text("#said") == ""


async def test_a_code_that_one_technician_shows_is_not_taken_away_by_another_one_s_question(
    tmp_path: Path,
) -> None:
    async with commissioning(tmp_path) as s:
        one, browser = s.page, s.page.context.browser
        assert browser is not None
        await one.click("#add")
        await one.click("#plan button[type=submit]")
        await one.click(f"{s.seat('1-entry-barcode')} button")
        shown = await s.test_code()
        context = await browser.new_context(locale="en-GB")
        other = await context.new_page()
        await other.goto(one.url)
        await other.fill("#pin", s.pin)
        await other.press("#pin", "Enter")
        await other.click(f"{s.seat('2-entry-barcode')} button")
        await other.wait_for_selector("#said.bad:has-text('Another phone is asking')")
        assert await s.test_code() == shown
        await s.plugged.entry.scan(shown.encode())
        await s.chosen("1-entry-barcode", "NLS-FM430")
        await other.click(f"{s.seat('2-entry-barcode')} button")
        await other.wait_for_selector("#asked h3:has-text('Lane 2')")
        await one.click("#stop")  # whoever finds a question that nobody waits for ends it
        await one.click(f"{s.seat('2-entry-barcode')} button")
        await one.wait_for_selector("#asked h3:has-text('Lane 2')")
        await context.close()


async def test_a_reader_that_reads_something_else_and_one_that_is_pulled_are_told(tmp_path: Path) -> None:
    async with commissioning(tmp_path) as s:
        page = s.page
        await page.click("#plan button[type=submit]")
        await page.click(f"{s.seat('1-entry-barcode')} button")
        shown = await s.test_code()
        await s.plugged.entry.scan(b"a ticket")
        await page.wait_for_selector("#asked p:has-text('NLS-FM430 read something else. Hold this code')")
        s.plugged.box.pull("1-1.1")
        s.plugged.entry.port.unplug()
        await page.wait_for_selector("#devices li:has-text('NLS-FM430')", state="detached")
        assert await page.is_visible("#asked")
        s.plugged.box.put_back("1-1.1")
        s.plugged.entry.port.plug()
        await page.wait_for_selector("#devices li:has-text('NLS-FM430') .badge.ok")
        await s.plugged.entry.scan(shown.encode())
        await s.chosen("1-entry-barcode", "NLS-FM430")
        await page.wait_for_selector("#missing li.ok")
        s.plugged.box.pull("1-1.1")
        await page.wait_for_selector("#missing li:has-text('Plugged in no more: Newland NLS-FM430 · 1-1.1')")
        assert await page.is_enabled("#write")
        s.plugged.box.put_back("1-1.1")
        await page.wait_for_selector("#missing li.ok")


async def test_joining_is_pressed_once_and_an_address_needs_no_scheme(tmp_path: Path) -> None:
    async with a_centre(tmp_path / "centre") as (url, code), commissioning(tmp_path, is_joined=False) as s:
        page = s.page
        await page.fill("#enrol input[name=url]", "centre.invalid")
        await page.fill("#enrol input[name=code]", code)
        async with page.expect_request("**/api/commission/enrol") as asked:
            await page.click("#enrol button")
        sent = (await asked.value).post_data_json
        assert sent is not None
        assert sent["url"] == "https://centre.invalid"
        await page.wait_for_selector("#said.bad:has-text('No centre answers')")
        for where, given, said in (
            (url, "AAAA-BBBB", "The code is wrong, used already, or expired. Type it"),
            (url, "AAAA", "The code is wrong"),
            (url.replace("127.0.0.1", "centre.example"), code, "not encrypted"),
            (f"{url.partition('#')[0]}#{'0' * 16}", code, "Another centre answers"),
            ("https:///", code, "no address"),
        ):
            await page.fill("#enrol input[name=url]", where)
            await page.fill("#enrol input[name=code]", given)
            await page.click("#enrol button:enabled")
            await page.wait_for_selector(f"#said.bad:has-text('{said}')")
        # Two presses, as from two phones: the code is good for one, and the box has joined.
        told = await page.evaluate(
            """([url, code]) => Promise.all([1, 2].map(() => fetch("/api/commission/enrol", {
              method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ url, code }) })
              .then((answer) => answer.status)))""",
            [url, code],
        )
        assert told == [200, 200]
        await page.wait_for_selector("#enrol", state="hidden")


async def test_what_goes_wrong_is_seen_wherever_the_technician_is_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "PULSE_WAIT_S", 2.0)
    async with commissioning(tmp_path) as s:
        page = s.page
        await page.click("#plan button[type=submit]")
        s.plugged.relays.close()
        pulse = page.locator(".pulses button >> nth=0")
        await pulse.click()
        await pulse.click()
        await page.wait_for_selector("#said.bad:has-text('the device does not answer')")
        assert not (await page.inner_text("#said")).endswith(").")
        await page.wait_for_selector(
            "#devices .badge:has-text('unplugged')"
        )  # with the whole name of its port
        assert await page.evaluate(WIDE) == []
        assert await page.locator("#said").evaluate(IN_VIEW)
        await page.route("**/api/commission", lambda route: route.abort("connectionrefused"))
        await page.wait_for_selector("#lost:visible")
        assert await page.locator("#lost").evaluate(IN_VIEW)
        await page.unroute("**/api/commission")
        await page.wait_for_selector("#lost", state="hidden")
