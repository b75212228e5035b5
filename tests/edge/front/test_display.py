"""What the display at a lane shows: every reason in four languages, and its states in a real browser."""

import contextlib
import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from playwright.async_api import Page as Window
from playwright.async_api import async_playwright

from admission.reasons import Language, Reason
from admission.records import Outcome
from edge.front.display import WORDS, display_page, words
from edge.front.server import PAGE
from edge.front.view import Viewer, scan_view
from edge.link import After
from tests.edge.front.fake_lane import NOW_S, TICKET, seen, status
from tests.edge.front.rig import Rig, rig
from tests.edge.front.test_page_browser import CONTRAST, SMALL, WIDE
from tests.house import ROOT

PICTURES = ROOT / "build"
SCANS: dict[str, dict[str, float]] = {
    "admit": {},
    "already_used": {
        "outcome": int(Outcome.DENY),
        "reason": int(Reason.ALREADY_USED),
        "gate": 2,
        "last_s": NOW_S,
    },
    "refused": {"outcome": int(Outcome.DENY), "reason": int(Reason.WRONG_ZONE), "gate": 2},
    "check": {"outcome": int(Outcome.CHECK), "reason": int(Reason.UNLISTED)},
}
SCREENS: tuple[tuple[int, int, Literal["light", "dark"]], ...] = ((390, 844, "light"), (800, 480, "dark"))
LOST_MS = 6600
"""A little more than the page waits for a beat."""
FITS = "[document.documentElement, document.querySelector('main')].every((n) => n.scrollHeight <= n.clientHeight)"
LOOKS = """() => [document.body, ...document.querySelectorAll("#word, #shape")].map((n) =>
  n === document.body ? getComputedStyle(n).backgroundColor : n.getAttribute("href") ?? n.textContent).join()"""


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.NONE])
def test_each_reason_has_a_state_a_word_and_a_line(reason: Reason, language: Language) -> None:
    for outcome in (Outcome.DENY, Outcome.CHECK):
        one = seen(1, outcome=int(outcome), reason=int(reason), gate=2, last_s=NOW_S)
        shown = scan_view(one, status(), Viewer(Language.EN, language))
        assert words(language)[shown.display]
        assert shown.display not in {"admit", "exit", "undone", "idle"}
        assert shown.text
        assert TICKET not in msgspec.json.encode(shown).decode()


@pytest.mark.parametrize("language", Language)
def test_the_right_gate_is_named(language: Language) -> None:
    for state, changes in SCANS.items():
        shown = scan_view(seen(1, **changes), status(), Viewer(Language.EN, language))
        assert shown.display == state
        assert ("Süd" in shown.text + shown.steward) is ("gate" in changes)
        assert ("Süd" in shown.text) is (state == "refused")  # the visitor hears where to go
    assert re.search(
        r"\d\d:\d\d", scan_view(seen(1, **SCANS["already_used"]), status(), Viewer(language, language)).text
    )


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(
    ("line", "outcome", "state"),
    [
        ("tap_tag", Outcome.WAIT, "wait"),
        ("ticket_first", Outcome.WAIT, "wait"),
        ("bound", Outcome.GRANT, "admit"),
    ],
)
def test_a_check_in_station_has_words_of_its_own_in_the_same_states(
    line: str, outcome: Outcome, state: str, language: Language
) -> None:
    one = seen(1, outcome=int(outcome), direction=0, kind="check_in", line=line, shown_s=20)
    shown = scan_view(one, status(), Viewer(Language.EN, language, has_session=True))
    assert (shown.display, shown.word, shown.shown_s, shown.may_annul) == (state, line, 20, False)
    assert words(language)[shown.word]
    assert shown.text
    assert shown.text != scan_view(seen(1), status(), Viewer(Language.EN, language)).text


def test_states_have_their_own_word_shape_and_rhythm() -> None:
    script, source = (PAGE / "display.js").read_text(), (PAGE / "display.html").read_text()
    states = ("admit", "already_used", "refused", "check", "not_ready")
    for language in Language:
        assert len({words(language)[state] for state in states}) == len(states)
        assert "{{" not in display_page(source, 1, language)
    for state in WORDS.keys() & {*states, "exit", "wait", "idle"}:
        assert f'id="s-{state}"' in source
    for state, rhythm in re.findall(r"(\w+): (\[\[.*?\]\])", script):
        starts = [int(one) for one in re.findall(r"\[\d+, (\d+), \d+\]", rhythm)]
        assert all(b - a > 1000 / 3 for a, b in itertools.pairwise(starts)), state
    assert len({re.sub(r"\[\d+, ", "[", one) for one in re.findall(r"\w+: (\[\[.*?\]\])", script)}) == len(
        states
    )


@contextlib.asynccontextmanager
async def lane_display(data: Path) -> AsyncIterator[tuple[Window, Rig, list[str]]]:
    """A display at lane 1, with a clock that a test can turn on; console errors and CSP violations in the list."""
    async with rig(data, with_tls=False, frozen=False) as r, async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        context = await chromium.new_context(locale="de-CH", reduced_motion="reduce")
        window, trouble = await context.new_page(), list[str]()
        window.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
        window.on("pageerror", lambda error: trouble.append(str(error)))
        await window.clock.install()
        await window.goto(f"{r.url}lanes/1/display")
        await window.wait_for_selector("body.idle")
        try:
            yield window, r, trouble
        finally:
            await context.close()
            await chromium.close()


async def look(window: Window, state: str) -> None:
    """On a phone and on a small screen: readable, nothing beyond the edge, and a picture."""
    for width, height, scheme in SCREENS:
        await window.set_viewport_size({"width": width, "height": height})
        await window.emulate_media(color_scheme=scheme)
        for poor in (CONTRAST, SMALL, WIDE):
            assert await window.evaluate(poor) == []
        assert await window.evaluate(FITS)
        await window.screenshot(path=PICTURES / f"display-{state}-{width}.png")


@pytest.mark.browser
async def test_five_states_at_a_lane(tmp_path: Path) -> None:
    PICTURES.mkdir(exist_ok=True)
    async with lane_display(tmp_path) as (window, r, trouble):
        looks = {await window.evaluate(LOOKS)}
        await look(window, "idle")
        for number, (state, changes) in enumerate(SCANS.items(), 20):
            r.lane.hub.push(seen(number + 50, **changes))
            r.lane.hub.push(seen(number, lane=2, reason=int(Reason.BANNED), outcome=int(Outcome.DENY)))
            await window.wait_for_selector(f"body.{state}.scan")
            looks.add(await window.evaluate(LOOKS))
            await look(window, state)
        assert TICKET not in await window.content()
        unready = tuple(msgspec.structs.replace(one, ready=False) for one in status().lanes)
        r.lane.push(status(lanes=unready))
        await window.wait_for_selector("body.not_ready")
        looks.add(await window.evaluate(LOOKS))
        assert await window.inner_text("#word") == "NICHT BEREIT"
        await look(window, "not_ready")
        assert len(looks) == 6
        assert trouble == []


@pytest.mark.browser
async def test_a_display_forgets_is_taken_back_speaks_and_is_never_stale(tmp_path: Path) -> None:
    async with lane_display(tmp_path) as (window, r, _):
        r.lane.hub.push(seen(20))
        await window.wait_for_selector("body.admit")
        r.lane.hub.push(seen(20, after=After.GIVEN_BACK))
        await window.wait_for_selector("body.idle")
        for word in ("Présentez", "Mostri", "Show"):
            await window.keyboard.press("l")
            assert word in await window.inner_text("#word")
        async with window.expect_response("**/api/events?*lang=de*"):
            await window.click("#language")
        assert "Bitte" in await window.inner_text("#word")
        r.lane.hub.push(seen(21))
        await window.wait_for_selector("body.admit")
        await window.clock.fast_forward(3000)
        assert await window.inner_text("#word") == "EINTRETEN"
        await window.clock.fast_forward(2100)
        await window.wait_for_selector("body.idle")
        r.lane.hub.push(seen(22))
        await window.wait_for_selector("body.admit")
        await window.route("**/api/events*", lambda route: route.abort())
        await window.clock.fast_forward(LOST_MS)  # without a beat of the box
        await window.wait_for_selector("body.not_ready")
        assert "Keine Verbindung" in await window.inner_text("#text")
        r.lane.hub.push(seen(23))
        await window.unroute("**/api/events*")
        await window.clock.fast_forward(LOST_MS)
        await window.wait_for_selector("body.idle")  # and none of those before


async def test_a_display_hears_no_ticket_also_where_the_pin_was_given(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.log_in(session)
        heard = {}
        for query in ("", "?display=1"):
            async with session.get(f"/api/events{query}") as stream:
                while not (line := await stream.content.readline()).startswith(b"data:"):
                    assert line
                heard[query] = TICKET.encode() in line
        assert heard == {"": True, "?display=1": False}
