"""An organizer at a browser, before a centre that listens with the demo venue."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, Page, async_playwright

from sync.accounts import users
from sync.accounts.principal import Role
from sync.demo import EVENT
from tests.sync.people import stored
from tests.sync.venue import Venue, venue_at

EMAIL, PASSWORD = "ada@arena.example", "correct horse 17 battery"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 860}
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
EVENT_PATH = f"/events/{EVENT}"


@contextlib.asynccontextmanager
async def house(data: Path, role: Role = Role.OWNER, database: str = "") -> AsyncIterator[Venue]:
    """A centre with the demo venue and one person who may sign in. `database`: URL of PostgreSQL, else SQLite."""
    async with venue_at(data, database) as venue:
        with venue.centre.database.writing() as connection:
            known = stored(PASSWORD)
            users.add_hashed(connection, 1, EMAIL, "Ada Lovelace", role, known, venue.now_s)
        yield venue


@contextlib.asynccontextmanager
async def client(venue: Venue, *, signed_in: bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser without a screen: keeps cookies, says where its forms come from."""
    jar = aiohttp.CookieJar(unsafe=True)  # of an address, not a name
    headers = {"Origin": venue.url, "Sec-Fetch-Site": "same-origin", "Accept-Language": "en"}
    async with aiohttp.ClientSession(venue.url, cookie_jar=jar, headers=headers) as session:
        if signed_in:
            async with session.post("/sign-in", data={"email": EMAIL, "password": PASSWORD}) as answer:
                assert answer.status == 200, await answer.text()
                assert answer.url.path == "/"
        yield session


@dataclass
class Seat:
    """A browser window. `trouble`: what its console complains of, policy violations among it."""

    page: Page
    url: str
    trouble: list[str] = field(default_factory=list)

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def sign_in(self, code: str = "") -> None:
        await self.go("/sign-in")
        await self.page.fill("#f-email", EMAIL)
        await self.page.fill("#f-password", PASSWORD)
        await self.page.press("#f-password", "Enter")
        if code:
            await self.page.fill("#f-code", code)
            await self.page.press("#f-code", "Enter")
        await self.page.wait_for_selector("nav.main")

    async def press(self, selector: str) -> None:
        """Press a button that asks whether one is sure, and say so."""
        await self.page.click(selector)
        await self.page.click(selector)
        await self.page.wait_for_selector(".notice.good")

    async def open(self, summary: str) -> None:
        """Open what stands folded behind a summary."""
        await self.page.click(f"summary:text-is('{summary}')")

    async def violations(self) -> list[str]:
        """What axe-core finds against WCAG 2.2 AA and best practice."""
        # By the devtools, not by a tag in the page: the policy lets none in.
        await self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = json.loads(
            await self.page.evaluate("async () => JSON.stringify(await axe.run(document, {iframes: false}))")
        )
        return [
            f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    async def wide(self) -> list[str]:
        """What sticks out of the window, other than what scrolls by itself."""
        found: list[str] = await self.page.evaluate("""() => [...document.querySelectorAll("body *")]
          .filter((n) => n.getClientRects().length && n.getBoundingClientRect().right > innerWidth + 1 && !n.closest(".scroll, .tabs, nav.main, .sprite, .hidden"))
          .map((n) => `${n.tagName}.${n.className} ${n.textContent.trim().slice(0, 30)}`)""")
        return found

    async def small(self) -> list[str]:
        """What is too small for a thumb, everything unfolded; a link within a sentence may be."""
        found: list[str] = await self.page.evaluate("""() => {
          for (const one of document.querySelectorAll("details")) one.open = true;
          return [...document.querySelectorAll("button, a, select, input, textarea, summary, label:has([type=checkbox], [type=radio])")]
            .filter((n) => n.getClientRects().length && !["checkbox", "radio"].includes(n.type) && !n.matches(".skip, p:not(.sheet p, .crumbs, .actions) > a, .mono a"))
            .map((n) => [n.textContent.trim() || n.name, n.getBoundingClientRect()])
            .filter(([, r]) => r.width < 43.9 || r.height < 43.9).map(([text, r]) => `${text} ${r.width}x${r.height}`);
        }""")
        return found


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for several windows."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        try:
            yield chromium
        finally:
            await chromium.close()


@contextlib.asynccontextmanager
async def seat(
    chromium: Browser, url: str, size: dict[str, int], scheme: str = "light", locale: str = "en-GB"
) -> AsyncIterator[Seat]:
    """One window."""
    context = await chromium.new_context(
        viewport=size,  # type: ignore[arg-type]  # playwright's TypedDict is not exported
        color_scheme=scheme,  # type: ignore[arg-type]  # a literal in playwright's stub
        locale=locale,
        reduced_motion="reduce",
    )
    page = await context.new_page()
    one = Seat(page, url)
    page.on("console", lambda said: one.trouble.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: one.trouble.append(str(error)))
    try:
        yield one
    finally:
        await context.close()
        await asyncio.sleep(0)
