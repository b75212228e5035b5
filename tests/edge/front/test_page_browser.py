"""The page in a real browser, on a phone and on a desk, in light and dark: what a technician sees and presses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Page, async_playwright

from edge.front.pin import new_pin
from edge.link import Health, Part, Pulse, SetState
from tests.edge.front.fake_lane import TICKET, seen, status, tile, with_tile
from tests.edge.front.rig import Rig, rig

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 800}

CONTRAST = """() => {
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m; };
  const lum = ([r, g, b]) => [r, g, b].map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; })
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = (node) => { for (; node; node = node.parentElement) { const c = parse(getComputedStyle(node).backgroundColor); if (c) return c; } return [255, 255, 255]; };
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim());
    if (!own || !node.getClientRects().length || ["SCRIPT", "OPTION"].includes(node.tagName)) continue;
    const a = lum(parse(getComputedStyle(node).color)), b = lum(behind(node));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.push(`${node.tagName} ${node.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""
SMALL = """() => [...document.querySelectorAll("button, a, select, input, summary")]
  .filter((n) => n.getClientRects().length).map((n) => [n.textContent.trim() || n.id, n.getBoundingClientRect()])
  .filter(([, r]) => r.width < 44 || r.height < 43.9).map(([text, r]) => `${text} ${r.width}x${r.height}`)"""

WIDE = """() => [...document.querySelectorAll("body *")].filter((n) => n.getBoundingClientRect().right > innerWidth + .5)
  .map((n) => `${n.tagName}.${n.className} ${n.textContent.trim().slice(0, 30)}`)"""


@dataclass
class Seat:
    """A browser window on a rig. `trouble`: console errors, failed scripts, CSP violations."""

    page: Page
    rig: Rig
    trouble: list[str] = field(default_factory=list)

    async def log_in(self) -> None:
        await self.page.click("#unlock")
        await self.page.fill("#pin", self.rig.pin)
        await self.page.press("#pin", "Enter")
        await self.page.wait_for_selector("#staff", state="visible")


@contextlib.asynccontextmanager
async def seat(
    data: Path, size: dict[str, int], *, locale: str = "en-GB", scheme: str = "light"
) -> AsyncIterator[Seat]:
    async with rig(data, frozen=False) as r, async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        context = await chromium.new_context(
            viewport=size,  # type: ignore[arg-type]  # playwright's TypedDict is not exported
            locale=locale,
            color_scheme=scheme,  # type: ignore[arg-type]  # a literal in playwright's stub
            ignore_https_errors=True,
            reduced_motion="reduce",
        )
        page = await context.new_page()
        one = Seat(page, r)
        page.on("console", lambda said: one.trouble.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: one.trouble.append(str(error)))
        await page.goto(r.url)
        await page.wait_for_selector("#verdict.ready")
        try:
            yield one
        finally:
            await context.close()
            await chromium.close()


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "light"), (DESK, "dark")])
async def test_what_a_technician_sees(tmp_path: Path, size: dict[str, int], scheme: str) -> None:
    async with seat(tmp_path, size, locale="de-CH", scheme=scheme) as s:
        word = s.page.locator("#word")
        assert await word.inner_text() == "Bereit"
        box = await word.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < size["height"] / 2
        assert await s.page.locator("#scans li").count() == 6
        assert TICKET not in await s.page.content()
        gone = tile(Part.READER, "1.2", Health.BAD, "device.gone", args={"what": "/dev/x"}, lane=1)
        s.rig.lane.push(status(with_tile(gone)))
        await s.page.wait_for_selector("#verdict.degraded")
        assert "Leser 2 · Nord" in await s.page.inner_text("#cause")
        assert "Kabel" in await s.page.inner_text("#fix")
        assert "Leser 2 · Nord: Fehler" in await s.page.inner_text("#tiles li:first-child")
        await s.log_in()
        await s.page.click(".tests summary >> nth=0")
        await s.page.click("footer summary")
        assert await s.page.evaluate(CONTRAST) == []
        assert await s.page.evaluate(SMALL) == []
        assert await s.page.evaluate(WIDE) == []
        assert s.trouble == []


@pytest.mark.parametrize(("locale", "word"), [("fr-CH", "Prête"), ("it-CH", "Pronto")])
async def test_longer_words_have_room_on_a_phone(tmp_path: Path, locale: str, word: str) -> None:
    async with seat(tmp_path, PHONE, locale=locale) as s:
        assert await s.page.inner_text("#word") == word
        assert await s.page.input_value("#reasons") == locale[:2]
        await s.log_in()
        await s.page.click(".tests summary >> nth=0")
        await s.page.click("footer summary")
        assert await s.page.evaluate(SMALL) == []
        assert await s.page.evaluate(WIDE) == []
        assert s.trouble == []


async def test_pin_switch_pulse_and_live_scans(tmp_path: Path) -> None:
    async with seat(tmp_path, PHONE) as s:
        page, lane = s.page, s.rig.lane
        assert not await page.locator(".switch").first.is_visible()
        await page.click("#unlock")
        await page.fill("#pin", f"{(int(s.rig.pin) + 1) % 10**8:08d}")
        await page.press("#pin", "Enter")
        await page.wait_for_selector("#pin-said:has-text('Wrong PIN')")
        assert lane.commands.empty()
        await page.fill("#pin", s.rig.pin)
        await page.press("#pin", "Enter")
        await page.wait_for_selector("#staff", state="visible")
        await page.wait_for_selector(f"#scans:has-text('{TICKET}')")
        await page.fill("#steward", "42")
        rehearse = page.locator(".lane >> nth=0").locator("[data-state=rehearsal]")
        await rehearse.click()
        assert await rehearse.inner_text() == "Tap again"
        await rehearse.click()
        assert await asyncio.wait_for(lane.commands.get(), 10) == SetState(1, 1, "rehearsal", 42)
        await page.wait_for_selector("#said:text-is('Done')")
        await page.click(".tests summary >> nth=0")
        pulse = page.locator("[data-pulse='2']").first
        await pulse.click()
        await pulse.click()
        assert await asyncio.wait_for(lane.commands.get(), 10) == Pulse(2, 1, 2, 42)
        lane.hub.push(seen(9, outcome=4, reason=8, ticket="99"))
        await page.wait_for_selector("#scans li:first-child:has-text('Ticket 99')")
        assert "Refused" in await page.inner_text("#scans li:first-child")
        await page.select_option("#reasons", "fr")
        await page.wait_for_selector("#scans:has-text('Sortie libre')")
        await page.click("#lock")
        await page.wait_for_selector("#unlock", state="visible")
        await page.wait_for_selector(f"#scans:not(:has-text('{TICKET}'))")
        refused = [line for line in s.trouble if "401" in line]
        assert s.trouble == refused[:1]  # the browser itself reports the wrong PIN's answer


NAMED = """<img src=x onerror="document.title='owned'"></p><script>document.title='owned'</script>{{words}}"""


async def test_a_name_is_a_text_whatever_it_says(tmp_path: Path) -> None:
    """Of lanes, zones, gates, kinds of tickets and devices: others give those names."""
    async with seat(tmp_path, DESK) as s:
        await s.log_in()
        lane = s.rig.lane
        lanes = tuple(msgspec.structs.replace(one, name=NAMED) for one in lane.status.lanes)
        reader = tile(
            Part.READER, "1.1", Health.BAD, "device.gone", args={"what": NAMED, "hint": NAMED}, lane=1
        )
        lane.hub.push(status(with_tile(reader), name=NAMED, lanes=lanes, zones={1: NAMED}, gates={2: NAMED}))
        lane.hub.push(seen(9, outcome=4, reason=19, gate=2, product=NAMED))
        await s.page.wait_for_selector("#scans li:first-child:has-text('onerror')")
        for within in ("#lanes", "#tiles", "#scans", "#inside"):
            assert "<script>" in (await s.page.text_content(within) or "")
        display = await s.page.context.new_page()
        await display.goto(f"{s.rig.url}lanes/1/display")
        await display.wait_for_selector("#lane:has-text('onerror')")
        for page in (s.page, display):
            assert await page.evaluate("document.querySelectorAll('[onerror], main script').length") == 0
            assert await page.title() != "owned"
        assert s.trouble == []


async def test_a_lost_box_is_said_and_comes_back(tmp_path: Path) -> None:
    async with seat(tmp_path, PHONE) as s:
        await s.page.context.set_offline(True)
        await s.page.evaluate("dispatchEvent(new Event('offline'))")
        s.rig.page.closing.set()
        s.rig.lane.push(status())
        await s.page.wait_for_selector("#lost", state="visible")
        assert "No connection to the box since" in await s.page.inner_text("#lost")
        s.rig.page.closing.clear()
        await s.page.context.set_offline(False)
        await s.page.wait_for_selector("#lost", state="hidden")


async def test_a_session_that_ends_by_itself_leaves_no_ticket_on_the_page(tmp_path: Path) -> None:
    """Idle for too long, locked in another tab, or a new PIN: the phone lies there."""
    async with seat(tmp_path, PHONE) as s:
        await s.log_in()
        await s.page.wait_for_selector(f"#scans:has-text('{TICKET}')")
        new_pin(tmp_path)
        s.rig.lane.push(status())
        await s.page.wait_for_selector("#unlock", state="visible")
        await s.page.wait_for_selector(f"#scans:not(:has-text('{TICKET}'))")
        assert await s.page.locator("#scans li").count() == 6
        assert await s.page.locator(".annul:visible, .story:visible").count() == 0
        assert s.trouble == []
