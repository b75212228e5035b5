"""What the display at a lane shows: every reason in four languages, and its states in a real browser."""

import asyncio
import contextlib
import itertools
import math
import operator
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import aiohttp
import msgspec
import pytest
from playwright.async_api import Page as Window
from playwright.async_api import async_playwright

from admission.entitlements import Standing
from admission.reasons import Language, Reason
from admission.records import Outcome
from edge import compose
from edge.front.display import WORDS, display_page, words
from edge.front.pin import new_pin
from edge.front.server import PAGE, STREAMS_PER_ADDRESS_MAX
from edge.front.sessions import DISPLAY_AGE_S
from edge.front.view import Viewer, scan_view
from edge.link import After
from edge.parts import Factories
from sync.wire.shown_names import NamesTold
from tests.edge.front.fake_lane import NOW_S, TICKET, seen, status
from tests.edge.front.rig import Rig, rig
from tests.edge.front.test_page_browser import CONTRAST, SMALL, WIDE
from tests.edge.rig import Gate, code, quick, row, running
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

WATCH = """() => { window.changes = []; let before = document.body.dataset.state;
  new MutationObserver(() => { const now = document.body.dataset.state; if (now !== before) document.body.dataset.changes = changes.push(performance.now()); before = now; })
    .observe(document.body, { attributes: true }); }"""
BROKEN = """() => { const word = document.querySelector("#word"), broken = [];
  for (const words of Object.values(JSON.parse(document.body.dataset.words))) for (const said of Object.values(words)) {
    const long = said.split(" ").reduce((a, b) => b.length > a.length ? b : a);
    word.textContent = long; word.style.setProperty("--letters", long.length);
    if (word.getClientRects()[0].height > 1.5 * parseFloat(getComputedStyle(word).fontSize)) broken.push(long);
  }
  return broken; }"""
SOUNDS = """window.tones = [];
  window.AudioContext = class extends EventTarget { state = "suspended"; currentTime = 0; resume() { this.state = "running"; } };
  window.OscillatorNode = class { constructor(_, { frequency }) { this.hz = frequency; this.stopped = false; tones.push(this); }
    connect(to) { return to; } start() {} stop(at) { if (at === undefined) this.stopped = true; } };
  window.GainNode = class { connect(to) { return to; } };"""
COLOURS_APART = 15.0
"""CIE 1976: 2.3 is just seen, 10 at a glance."""
# What an eye lacks, in linear light (Machado, Oliveira, Fernandes 2009, severity 1).
EYES = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}  # fmt: skip


def lab(colour: str, eye: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    """A colour as this eye sees it, in CIE L*a*b* under daylight."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    r, g, b = (min(1.0, max(0.0, sum(map(operator.mul, line, linear)))) for line in eye)
    x, y, z = (
        one ** (1 / 3) if one > 0.008856 else 7.787 * one + 16 / 116
        for one in (
            (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
            0.2126 * r + 0.7152 * g + 0.0722 * b,
            (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
        )
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("eye", EYES)
def test_states_are_apart_for_every_eye(eye: str) -> None:
    css = (PAGE / "display.css").read_text()
    found = {
        state: re.search(rf"\.{state}\b[^{{]*{{ --back: (#[0-9a-f]{{6}})", css)
        for state in ("admit", "already_used", "refused", "check", "not_ready")
    }
    seen_as = {state: lab(one[1], EYES[eye]) for state, one in found.items() if one}
    assert seen_as.keys() == found.keys()
    for one, other in itertools.combinations(seen_as, 2):
        assert math.dist(seen_as[one], seen_as[other]) > COLOURS_APART, (one, other)


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


@pytest.mark.parametrize(
    ("at", "wanted"),
    [
        ("2026-11-29T14:05:00+01:00", "14:05"),
        ("2026-11-29T00:05:00+01:00", "00:05"),  # still the day before in UTC
        ("2026-11-28T23:55:00+01:00", "28.11. 23:55"),
        ("2025-11-29T14:05:00+01:00", "29.11.2025 14:05"),
    ],
)
def test_a_time_is_that_of_the_venues_clocks_and_of_another_day_with_its_date(at: str, wanted: str) -> None:
    """Whatever time zone the box itself was made with."""
    now_s = datetime.fromisoformat("2026-11-29T20:00:00+01:00").timestamp()
    venue = status(time_s=now_s, timezone="Europe/Zurich")
    used = SCANS["already_used"] | {"last_s": datetime.fromisoformat(at).timestamp()}
    assert f"({wanted})" in scan_view(seen(1, **used), venue, Viewer(Language.EN, Language.EN)).text
    early = used | {"reason": Reason.TOO_EARLY}
    assert f"from {wanted}" in scan_view(seen(1, **early), venue, Viewer(Language.EN, Language.EN)).text


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
    assert (shown.display, shown.word, shown.shown_s) == (state, line, 20)
    assert shown.may_annul is (line == "bound"), "the wrong band is taken back"
    assert words(language)[shown.word]
    assert shown.text
    assert shown.text != scan_view(seen(1), status(), Viewer(Language.EN, language)).text


def test_everything_a_display_says_is_there_in_each_language() -> None:
    script = (PAGE / "display.js").read_text()
    wanted = set(re.findall(r"words\.([a-z_]+)|all\[lang\]\.([a-z_]+)", script))
    assert {one or other for one, other in wanted} <= WORDS.keys()
    for key, said in WORDS.items():
        assert len(said) == len(Language), key
        assert all(one.strip() == one != "" for one in said), key
        assert len({one.casefold() for one in said}) > 1, f"{key}: nobody translated it"


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
async def a_window() -> AsyncIterator[Window]:
    """A browser window of a Swiss German, with a clock that a test can turn on. Whatever it complains of fails the test."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        context = await chromium.new_context(
            locale="de-CH", reduced_motion="reduce", ignore_https_errors=True
        )
        window, trouble = await context.new_page(), list[str]()
        window.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
        window.on("pageerror", lambda error: trouble.append(str(error)))
        await window.clock.install()
        try:
            yield window
        finally:
            await context.close()
            await chromium.close()
        assert [one for one in trouble if "ERR_FAILED" not in one] == []  # what a test itself cut off


@contextlib.asynccontextmanager
async def lane_display(data: Path) -> AsyncIterator[tuple[Window, Rig]]:
    """A display at lane 1 of a fake lane process."""
    async with rig(data, with_tls=False, frozen=False) as r, a_window() as window:
        await window.goto(f"{r.url}lanes/1/display")
        await window.wait_for_selector("body.idle")
        yield window, r


async def look(window: Window, state: str) -> None:
    """On a phone and on a small screen: readable, nothing beyond the edge, and a picture."""
    for width, height, scheme in SCREENS:
        await window.set_viewport_size({"width": width, "height": height})
        await window.emulate_media(color_scheme=scheme)
        for poor in (CONTRAST, SMALL, WIDE):
            assert await window.evaluate(poor) == []
        assert await window.evaluate(FITS)
        await window.screenshot(path=PICTURES / f"display-{state}-{width}.png")


@contextlib.asynccontextmanager
async def real_lane(folder: Path) -> AsyncIterator[tuple[Window, Gate]]:
    """A whole gate with its pages and its simulated devices, and a display at its lane 2."""

    def with_pages(parts: Factories) -> Factories:
        return replace(parts, front_argv=compose.front_argv)

    rows = (row(7), row(8, Standing.CANCELLED))
    async with running(folder, rows, adjust=quick, change=with_pages) as gate, a_window() as window:
        await gate.ready()
        await gate.until(lambda: gate.daemon.page_url, "the pages are up")
        await window.goto(f"{gate.daemon.page_url}lanes/2/display")
        await window.wait_for_selector("body.idle")
        yield window, gate


@pytest.mark.browser
async def test_scans_at_a_real_gate_drive_the_five_states(tmp_path: Path) -> None:
    PICTURES.mkdir(exist_ok=True)
    async with real_lane(tmp_path) as (window, gate):
        said = {}

        async def shows(state: str) -> None:
            await window.wait_for_selector(f"body.{state}")
            lines = {one: await window.inner_text(f"#{one}") for one in ("word", "text", "product", "hint")}
            said[state] = SimpleNamespace(**lines, looks=await window.evaluate(LOOKS))
            await look(window, state)

        await shows("idle")
        scanner = gate.hardware.second
        await scanner.scan(code(7))
        await gate.walk(2)
        await shows("admit")
        await window.clock.fast_forward(5000)
        await window.wait_for_selector("body.idle")
        await window.keyboard.press("l")
        await window.keyboard.press("l")
        async with window.expect_response("**/api/events?*lang=en*"):  # it listens anew
            await window.keyboard.press("l")
        for ticket, state in ((7, "already_used"), (8, "refused"), (99, "check")):
            await scanner.scan(code(ticket))
            await shows(state)
        gate.hardware.pull("relays")
        await shows("not_ready")
    words = [said[state].word for state in ("admit", "already_used", "refused", "check", "not_ready")]
    assert words == ["EINTRETEN", "ALREADY USED", "REFUSED", "CHECK", "NOT READY"]
    assert len({one.looks for one in said.values()}) == 6
    used = said["already_used"]
    assert re.search(r"already used \(\d\d:\d\d\)", used.text)
    assert re.search(r"\d\d:\d\d, North", used.hint)
    assert "cancelled" in said["refused"].text
    assert [said[one].product for one in ("admit", "already_used", "not_ready")] == ["Day", "Day", ""]
    assert "staff" in said["not_ready"].text


@pytest.mark.browser
async def test_a_display_forgets_is_taken_back_speaks_never_flashes_and_is_never_stale(
    tmp_path: Path,
) -> None:
    async with lane_display(tmp_path) as (window, r):
        await window.evaluate(WATCH)
        for number in range(1, 5):  # faster than visitors can show two codes in turn
            r.lane.hub.push(seen(100 + number, **SCANS["refused" if number % 2 else "admit"]))
            await window.wait_for_selector(f"body[data-changes='{number}']")
        times = await window.evaluate("changes")
        assert all(later - before >= 1000 / 3 for before, later in itertools.pairwise(times))
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
        for width, height, _ in SCREENS:
            await window.set_viewport_size({"width": width, "height": height})
            assert await window.evaluate(BROKEN) == []


@pytest.mark.browser
async def test_what_comes_late_is_never_shown_as_if_it_were_now(tmp_path: Path) -> None:
    async with lane_display(tmp_path) as (window, r):
        r.lane.hub.push(seen(31))
        await window.wait_for_selector("body.admit")
        now_s = await window.evaluate("Date.now()") / 1000
        await window.clock.set_system_time(now_s - 3600)  # the kiosk's clock is set right
        await window.clock.fast_forward(5100)
        assert await window.evaluate("document.body.dataset.state") == "idle"

        await window.reload()
        await window.wait_for_selector("body.idle")
        await window.evaluate(WATCH)
        await window.clock.fast_forward(400)
        r.lane.hub.push(seen(31, after=After.PASSED))  # of one who was shown before
        r.lane.hub.push(seen(32, **SCANS["refused"]))
        await window.wait_for_selector("body.refused")
        assert len(await window.evaluate("changes")) == 1, "no admission before it"
        await window.clock.fast_forward(5100)
        await window.wait_for_selector("body.idle")

        await window.evaluate("changes.length = 0")
        await window.clock.pause_at(await window.evaluate("Date.now()") / 1000 + 1)
        await window.clock.set_system_time(await window.evaluate("Date.now()") / 1000 + 4)
        async with window.expect_response("**/api/events*"):  # it listens anew
            r.lane.hub.push(seen(33))
        await window.clock.resume()
        r.lane.hub.push(seen(34, **SCANS["refused"]))
        await window.wait_for_selector("body.refused")
        assert len(await window.evaluate("changes")) == 1, "no admission before it"


@pytest.mark.parametrize(("query", "told"), [("", [1, 2]), ("?display=1", [2])])
async def test_a_display_that_took_nothing_is_told_of_no_scan_from_before(
    tmp_path: Path, query: str, told: list[int]
) -> None:
    async with rig(tmp_path) as r, r.browser() as session, session.get(f"/api/events{query}") as stream:
        while not (await stream.content.readline()).startswith(b"data:"):
            pass
        for number in (1, 2):
            r.lane.hub.push(seen(number))
            await r.heard.scans.get()
            r.now_s[0] += 3 if number == 1 else 0
        heard: list[int] = []
        while 2 not in heard:
            line = await stream.content.readline()
            if line.startswith(b'data: {"key"'):
                heard.append(msgspec.json.decode(line[6:])["seq"])
        assert heard == told


@pytest.mark.browser
async def test_a_rhythm_ends_the_one_before_and_is_not_begun_anew_within_it(tmp_path: Path) -> None:
    async with rig(tmp_path, with_tls=False, frozen=False) as r, a_window() as window:
        await window.add_init_script(SOUNDS)
        await window.goto(f"{r.url}lanes/1/display")
        await window.wait_for_selector("body.idle")
        await window.click("#sound")
        for number in range(1, 11):  # all of them at once
            r.lane.hub.push(seen(number, **SCANS["refused"]))
        await window.wait_for_selector("body.refused.scan")
        r.lane.hub.push(seen(20, **SCANS["check"]))
        await window.wait_for_selector("body.check.scan")
        begun = await window.evaluate("tones.map((one) => [one.hz, one.stopped])")
    assert [hz for hz, _ in begun] == [240, 240, 240, 660, 660]
    assert all(stopped is (hz == 240) for hz, stopped in begun), "refused was ended, check sounds on"


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


class Greeting:
    """A centre that gives names."""

    def __init__(self, **names: str) -> None:
        self.told = NamesTold(b"mark", {int(holder[1:]): name for holder, name in names.items()})

    async def names(self) -> NamesTold:
        return self.told


async def greets(r: Rig, **names: str) -> None:
    r.names.wants(b"mark")
    await r.names.ask(Greeting(**names), is_dear=False)


@pytest.mark.browser
async def test_a_display_greets_by_name_who_asked_for_it_and_nobody_else(tmp_path: Path) -> None:
    PICTURES.mkdir(exist_ok=True)
    name = "Anna-Maria Wunderbar-Wol"  # as long as one may be
    async with lane_display(tmp_path) as (window, r):
        await greets(r, h7=name)
        r.lane.hub.push(seen(1, holder=7, product="Day"))
        await window.wait_for_selector("body.admit.scan")
        assert await window.inner_text("#name") == name
        await look(window, "name")
        await window.clock.fast_forward(5100)
        await window.wait_for_selector("body.idle")
        assert name not in await window.content(), "it is gone after 5 s, out of the page too"
        for number, holder in enumerate((8, 0), 2):
            r.lane.hub.push(seen(number, holder=holder))
            await window.wait_for_selector("body.scan")
            assert await window.inner_text("#name") == ""
            await window.clock.fast_forward(5100)
            await window.wait_for_selector("body.idle")
        r.names.wants(b"another")  # taken back: the settings say so before anybody is asked
        r.lane.hub.push(seen(9, holder=7))
        await window.wait_for_selector("body.admit.scan")
        assert await window.inner_text("#name") == ""


@pytest.mark.parametrize("has_pin", [False, True])
async def test_a_name_goes_to_displays_that_may_show_it_and_into_nothing_else(
    tmp_path: Path, has_pin: bool
) -> None:
    """Over TLS, so not from the box itself: the page of a phone, a display, and what anybody may ask for."""
    async with rig(tmp_path) as r, r.browser() as session:
        if has_pin:
            await r.log_in(session)
        await greets(r, h7="Anna M.")
        heard = {}
        for query in ("", "?display=1"):
            async with session.get(f"/api/events{query}", headers={"Host": "gate.local"}) as stream:
                while not (await stream.content.readline()).startswith(b"data:"):
                    pass
                r.lane.hub.push(seen(len(query) + 1, holder=7))
                while not (line := await stream.content.readline()).startswith(b"data:"):
                    pass
                heard[query] = b"Anna" in line
        assert heard == {"": False, "?display=1": has_pin}
        async with session.get("/api/status") as answer:
            assert b"Anna" not in await answer.read()
        assert all(one.holder == 0 for one in r.client.recent)
        if has_pin:
            async with session.get("/api/bundle") as answer:
                assert answer.status == 200
                assert b"Anna" not in await answer.read()


async def names_heard(session: aiohttp.ClientSession, r: Rig, query: str, number: int) -> bool:
    """Open a stream as one that is not on the box itself, and have somebody enter who asked to be greeted."""
    async with session.get(f"/api/events{query}", headers={"Host": "gate.local"}) as stream:
        assert stream.status == 200
        while not (await stream.content.readline()).startswith(b"data:"):
            pass
        r.lane.hub.push(seen(number, holder=7))
        while not (line := await stream.content.readline()).startswith(b"data:"):
            pass
        return b"Anna" in line


async def test_a_display_that_was_put_up_with_the_pin_goes_on_all_evening_and_may_nothing_else(
    tmp_path: Path,
) -> None:
    away = {"Host": "gate.local"}
    here = {**away, "Origin": "https://gate.local", "Sec-Fetch-Site": "same-origin"}
    async with rig(tmp_path) as r, r.browser() as session, r.browser() as stranger:
        await greets(r, h7="Anna M.")
        await r.log_in(session)
        assert await names_heard(session, r, "?display=1", 1)
        r.now_s[0] += 12 * 3600
        async with session.post("/api/lane/1/fire", json={}, headers=here) as answer:
            assert answer.status == 401, "the session is over"
        async with session.get("/api/status", headers=away) as answer:
            assert (await answer.json())["session"] is False
        assert not await names_heard(session, r, "", 3)
        async with asyncio.timeout(10):
            while r.page._streams:  # nothing outside tells that the box noticed who went
                await asyncio.sleep(0.01)
        watching = [await stranger.get("/api/events", headers=away) for _ in range(STREAMS_PER_ADDRESS_MAX)]
        assert {one.status for one in watching} == {200}
        assert (await stranger.get("/api/events?display=1", headers=away)).status == 503
        assert await names_heard(session, r, "?display=1", 2), (
            "its place and the names are the display's still"
        )
        assert (await session.get("/api/events", headers=away)).status == 503, "the page's list is not"
        await asyncio.to_thread(new_pin, tmp_path)
        ended = await session.get("/api/events?display=1", headers=away)
        assert ended.status == 503, "a new PIN makes a stranger of it"
        for one in watching:
            one.close()


async def test_a_display_that_was_put_up_ends_a_day_later_and_outlives_its_technician(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session, r.browser() as phone:
        await greets(r, h7="Anna M.")
        await r.log_in(session)
        assert await names_heard(session, r, "?display=1", 1)
        async with session.post("/api/logout", json={}, headers=r.origin) as answer:
            assert answer.status == 200
        assert await names_heard(session, r, "?display=1", 2)
        r.now_s[0] += DISPLAY_AGE_S
        assert not await names_heard(session, r, "?display=1", 3)
        await r.log_in(phone)
        async with phone.post("/api/logout", json={}, headers=r.origin) as answer:
            assert answer.status == 200
        assert not await names_heard(phone, r, "?display=1", 4), "it was never put up as a display"


@pytest.mark.browser
async def test_at_a_check_in_station_a_wrong_wristband_is_no_refusal_and_the_ticket_waits_on(
    tmp_path: Path,
) -> None:
    desk = {"direction": 0, "kind": "check_in"}
    waits = {**desk, "outcome": int(Outcome.WAIT), "line": "tap_tag", "shown_s": 20}
    async with lane_display(tmp_path) as (window, r):
        r.lane.hub.push(seen(1, **waits))
        await window.wait_for_selector("body.wait.scan")
        assert await window.get_attribute("#shape", "href") == "#s-tap"
        assert await window.inner_text("#word") == "BAND HINHALTEN"
        wrong = {"outcome": int(Outcome.DENY), "reason": int(Reason.NOT_GENUINE)}
        r.lane.hub.push(seen(2, **desk, **wrong))
        await window.wait_for_selector("body.refused.scan")
        assert await window.inner_text("#word") == "ANDERES BAND"
        await look(window, "other-tag")
        await window.clock.fast_forward(5100)
        await window.wait_for_selector("body.wait.scan")
        assert await window.inner_text("#word") == "BAND HINHALTEN"
        r.lane.hub.push(seen(3, **desk, outcome=int(Outcome.GRANT), line="bound"))
        await window.wait_for_selector("body.admit.scan")
        await window.clock.fast_forward(5100)
        await window.wait_for_selector("body.idle")
    shown = scan_view(seen(3, **desk, line="bound"), status(), Viewer(Language.EN, Language.EN))
    assert shown.title == "Wristband bound", "nobody was admitted"
    of_ticket = scan_view(
        seen(4, **desk, outcome=int(Outcome.DENY), reason=int(Reason.CANCELLED)),
        status(),
        Viewer(Language.EN, Language.EN),
    )
    assert (of_ticket.word, of_ticket.title) == ("", "Refused")
    at_arm = scan_view(seen(5, **wrong), status(), Viewer(Language.EN, Language.EN))
    assert at_arm.word == "", "at an arm it is one"
