"""The demo page in a real browser, on a phone and on a desktop: a ticket is held up, the arm turns, the record appears."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.venue.demo_process import READY_LINE, DemoProcess, started

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
PICTURES = Path(__file__).resolve().parents[2] / "build"
WAIT_MS = 20_000
"""The longest wait is for an arm that nobody turns: 6.5 s. A busy machine takes its time."""
WIDE_JS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SMALL_JS = (
    "[...document.querySelectorAll('button')].filter((b) => b.offsetHeight && b.offsetHeight < 34).length"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    """One running demo for all tests here; each uses tickets of its own."""
    with started(tmp_path_factory.mktemp("demo")) as running:
        running.until(READY_LINE)
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@contextmanager
def looking(browser: Browser, address: str, size: str, **context: str) -> Iterator[Page]:
    """Open a page; whatever it complains of, in its console too, fails the test."""
    width, height = SIZES[size]
    tab = browser.new_context(
        viewport={"width": width, "height": height},
        ignore_https_errors=True,
        locale=context.get("locale", "en-GB"),
        color_scheme="dark" if context.get("scheme") == "dark" else "light",
    )
    tab.set_default_timeout(WAIT_MS)
    page = tab.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    try:
        yield page
        assert complaints == []
    finally:
        tab.close()


def pick(page: Page, key: str) -> None:
    """Choose a ticket as a person does: on a phone the list is opened first."""
    if page.locator("#open-list").is_visible():
        page.locator("#open-list").click()
    page.locator(f".ticket-row[data-key={key}]").click()


def verdict(page: Page, outcome: str, reason: str = "none") -> Locator:
    """Wait for a verdict and return what shows it."""
    shown = page.locator("#verdict")
    expect(shown).to_have_attribute("data-outcome", outcome, timeout=WAIT_MS)
    expect(shown).to_have_attribute("data-reason", reason, timeout=WAIT_MS)
    return shown


def newest(page: Page, kind: str, text: str) -> None:
    """Wait until the newest record is of this kind and says so."""
    first = page.locator("#records .record").first
    expect(first).to_have_attribute("data-kind", kind, timeout=WAIT_MS)
    expect(first).to_contain_text(text)


def walking(page: Page, *, on: bool) -> None:
    """Have people walk, or not."""
    switch = page.locator("#walk")
    if (switch.get_attribute("aria-checked") == "true") is not on:
        switch.click()
    expect(switch).to_have_attribute("aria-checked", str(on).lower())


@pytest.mark.parametrize(
    ("size", "key", "label", "shy", "scheme"),
    [
        ("phone", "day", "Day ticket", "opaque", "dark"),
        ("desktop", "day_2", "Day ticket, another one", "opaque_2", "light"),
    ],
)
def test_a_ticket_turns_the_arm_is_used_once_and_given_back_unwalked(
    demo: DemoProcess, browser: Browser, size: str, key: str, label: str, shy: str, scheme: str
) -> None:
    with looking(browser, demo.address("Demo page"), size, scheme=scheme) as page:
        expect(page.locator("#gate")).to_have_class("ready", timeout=WAIT_MS)
        walking(page, on=True)
        pick(page, key)
        expect(page.locator("#label")).to_have_text(label)
        picture = page.locator("#code img")
        expect(picture).to_be_visible()
        assert picture.evaluate("(img) => img.decode().then(() => img.naturalWidth)") > 40
        scene = page.locator("#scene")
        turned = int(scene.get_attribute("data-turned") or "0")
        arms = [page.locator(f".arm[data-arm='{number}']") for number in range(3)]
        heights = [arm.get_attribute("y2") or "" for arm in arms]

        page.locator("#present").click()
        expect(verdict(page, "grant")).to_contain_text("Please enter")
        expect(scene).to_have_attribute("data-released", "entry", timeout=WAIT_MS)
        expect(page.locator(".lamp.go")).to_have_count(1)
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / f"demo-{size}.png")
        expect(scene).to_have_attribute("data-turned", str(turned + 1), timeout=WAIT_MS)
        expect(page.locator("#verdict")).to_contain_text("Walked through.")
        newest(page, "passage", "Lane 1 in")
        expect(page.locator(".person")).to_have_count(0)
        for number, arm in enumerate(arms):  # a third of a turn inwards: each arm lies where the next one lay
            expect(arm).to_have_attribute("y2", heights[(number + 1) % 3])

        page.locator("#present").click()
        expect(verdict(page, "deny", "already_used")).to_contain_text("already used")
        newest(page, "scan", "refused")
        expect(scene).to_have_attribute("data-turned", str(turned + 1))

        walking(page, on=False)
        pick(page, shy)
        page.locator("#present").click()
        verdict(page, "grant")
        newest(page, "give_back", "Given back")
        expect(page.locator("#verdict")).to_contain_text("the use is given back")
        walking(page, on=True)
        page.locator("#present").click()
        expect(scene).to_have_attribute("data-turned", str(turned + 2), timeout=WAIT_MS)
        newest(page, "passage", "Lane 1 in")

        assert page.evaluate(WIDE_JS) <= 0
        assert page.evaluate(SMALL_JS) == 0


def test_every_ticket_says_what_it_is_in_four_languages(demo: DemoProcess, browser: Browser) -> None:
    with looking(browser, demo.address("Demo page"), "desktop", locale="de-CH") as page:
        expect(page.locator(".ticket-row")).to_have_count(34)  # 33 tickets, and one's own code
        pick(page, "cancelled")
        expect(page.locator("#label")).to_have_text("Storniert")
        page.locator("#present").click()
        said = {}
        for language in ("DE", "FR", "IT", "EN"):
            page.locator("#languages").get_by_text(language).click()
            said[language] = verdict(page, "deny", "cancelled").locator("strong").inner_text()
        assert len(set(said.values())) == 4
        expect(page.locator("#label")).to_have_text("Cancelled")


def test_any_code_is_answered_at_every_reader(demo: DemoProcess, browser: Browser) -> None:
    with looking(browser, demo.address("Demo page"), "desktop") as page:
        pick(page, "own")
        page.locator("#text").fill("'; DROP TABLE tickets; --")
        page.locator("#present").click()
        verdict(page, "deny", "unknown")
        page.locator("[data-place='2-entry']").click()
        page.locator("#text").fill("Grüezi")
        page.locator("#text").press("Enter")
        verdict(page, "deny", "unknown")
        page.locator("[data-place='1-tags']").click()
        page.locator("#text").fill("04:A1:B2:C3:D4:E5:99")
        page.locator("#present").click()
        verdict(page, "deny", "unknown")
        page.locator("#text").fill("x" * 30)
        page.locator("#present").click()
        expect(page.locator("#why")).to_contain_text("4 to 10 bytes")


@pytest.mark.parametrize("size", SIZES)
def test_the_technicians_page_of_the_same_gate_opens(demo: DemoProcess, browser: Browser, size: str) -> None:
    with looking(browser, demo.address("Technician's page"), size) as page:
        expect(page.locator("#word")).to_have_text("Ready", timeout=WAIT_MS)
        expect(page.locator("body")).to_contain_text("Tripod")
        page.screenshot(path=PICTURES / f"page-{size}.png")


def test_power_plugs_and_fire(demo: DemoProcess, browser: Browser) -> None:
    with looking(browser, demo.address("Demo page"), "desktop") as page:
        expect(page.locator("#gate")).to_have_class("ready", timeout=WAIT_MS)
        pick(page, "cancelled")
        page.locator("[data-device='lane1-entry']").click()
        expect(page.locator("[data-device='lane1-entry']")).to_have_attribute("aria-checked", "false")
        page.locator("#present").click()
        expect(page.locator("#verdict")).to_contain_text("The reader gives no answer", timeout=WAIT_MS)
        page.locator("[data-device='lane1-entry']").click()

        page.locator("#fire").click()
        expect(page.locator("#gate")).to_have_class("not_ready", timeout=WAIT_MS)
        page.locator("#fire").click()
        page.locator("#clear").click()
        expect(page.locator("#gate")).to_have_class("ready", timeout=WAIT_MS)

        page.locator("#power").click()
        expect(page.locator("#gate")).to_have_class("off", timeout=WAIT_MS)
        expect(page.locator("#verdict")).to_contain_text("No power")
        page.locator("#power").click()
        expect(page.locator("#gate")).to_have_class("ready", timeout=WAIT_MS)
        expect(page.locator("#records .record[data-kind=restart]")).to_have_count(2)
