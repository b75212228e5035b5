"""What staff do on the page, in a real browser: acknowledge, annul, let in by hand, reset presence."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.link import (
    DOUBTED,
    Acknowledge,
    AdmitByHand,
    After,
    AnnulLast,
    BelieveAgain,
    CountPeople,
    Done,
    Health,
    Identify,
    LaneView,
    Part,
    Readmission,
    ResetPresence,
    Rung,
    StaffAlert,
    Tile,
)
from tests.edge.front.fake_lane import EPOCH, NOW_S, TICKET, seen, status
from tests.edge.front.test_page_browser import CONTRAST, DESK, PHONE, SMALL, WIDE, Seat, seat

pytestmark = pytest.mark.browser
PICTURES = Path(__file__).resolve().parents[3] / "build"
CALLED = (
    StaffAlert(71, 1, "intrusion", NOW_S, 3),
    StaffAlert(70, 2, "cancelled", NOW_S - 60),
)


async def commanded(s: Seat) -> object:
    return await asyncio.wait_for(s.rig.lane.commands.get(), 10)


async def test_a_gate_in_doubt_is_believed_again_behind_the_pin_with_a_number_and_a_second_tap(
    tmp_path: Path,
) -> None:
    told = Tile(Part.LOG, "claims 2", Health.DEGRADED, DOUBTED, {"gate": "South", "number": 2})
    async with seat(tmp_path, PHONE, locale="en-GB", scheme="light") as s:
        s.rig.lane.push(status(tiles=(told,)))
        await s.page.wait_for_selector("#tiles li:only-child")
        assert "South claims to have let more people through" in await s.page.inner_text("#tiles")
        assert not await s.page.locator(".believe").is_visible()
        await s.log_in()
        for _ in range(2):
            await s.page.click(".believe")
        assert "This needs your number" in await s.page.inner_text("#said")
        await s.page.fill("#steward", "17")
        for _ in range(2):
            await s.page.click(".believe")
        assert await commanded(s) == BelieveAgain(1, 2, 17)
        assert await s.page.evaluate(CONTRAST) == []
        assert await s.page.evaluate(SMALL) == []
        s.rig.lane.push(status(tiles=()))
        await s.page.wait_for_selector("#tiles li", state="detached")


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESK, "light")])
async def test_alerts_are_seen_by_all_and_acknowledged_behind_the_pin(
    tmp_path: Path, size: dict[str, int], scheme: str
) -> None:
    async with seat(tmp_path, size, locale="de-CH", scheme=scheme) as s:
        assert not await s.page.locator("#called").is_visible()
        s.rig.lane.push(status(alerts=CALLED))
        await s.page.wait_for_selector("#alerts li >> nth=1")
        first = await s.page.inner_text("#alerts li:first-child")
        assert "Durchgang ohne Ticket (3×)" in first
        assert "Nord" in first
        assert "Gesehen" not in first
        last = await s.page.inner_text("#alerts li:last-child")
        assert "Personal gebraucht" in last
        assert "Storniert" in last
        await s.log_in()
        await s.page.click("#alerts li:first-child button")
        assert await commanded(s) == Acknowledge(1, 71)
        assert await s.page.evaluate(CONTRAST) == []
        assert await s.page.evaluate(SMALL) == []
        assert await s.page.evaluate(WIDE) == []
        s.rig.lane.push(status(alerts=CALLED[1:]))
        await s.page.wait_for_selector("#alerts li:only-child")
        s.rig.lane.push(status())
        await s.page.wait_for_selector("#called", state="hidden")
        assert s.trouble == []


async def test_an_admission_is_annulled_with_number_and_reason(tmp_path: Path) -> None:
    async with seat(tmp_path, PHONE) as s:
        page, lane = s.page, s.rig.lane
        assert await page.locator(".annul:visible").count() == 0
        await s.log_in()
        row = page.locator("#scans li").first
        await row.locator(".annul").click()
        # Only entries on a ticket can be taken back: of six rows one.
        assert await page.locator(".annul:visible").count() == 0
        await row.locator("[name=reason]").fill("wrong person")
        await row.locator("[type=submit]").click()
        await page.wait_for_selector("#said.bad:has-text('your number')")
        assert lane.commands.empty()
        await page.fill("#steward", "42")
        # The passage is told meanwhile: the question stays open.
        lane.hub.push(seen(6, after=After.PASSED))
        await page.wait_for_selector("#scans li:first-child:has-text('passed')")
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(SMALL) == []
        assert await page.evaluate(WIDE) == []
        await row.locator("[type=submit]").click()
        assert await commanded(s) == AnnulLast(1, 1, EPOCH, 6, 42, "wrong person")
        lane.hub.push(seen(6, after=After.ANNULLED))
        await page.wait_for_selector("#scans li:first-child:has-text('Admission annulled')")
        assert await page.locator("#scans form").count() == 0
        assert await page.locator("#scans li").count() == 6
        lane.answer = lambda command: Done(
            command.number,
            ok=False,
            code="command.annuls_done",
            args={"steward": "42", "done": 60, "most": 60},
        )
        lane.hub.push(seen(7))
        await page.locator(".annul:visible").click()
        await page.locator("#scans [name=reason]").fill("x")
        await page.locator("#scans [type=submit]").click()
        await page.wait_for_selector("#said.bad:has-text('Number 42 took 60 admissions back')")


async def test_rows_are_corrected_in_their_place(tmp_path: Path) -> None:
    async with seat(tmp_path, DESK) as s:
        s.rig.lane.hub.push(seen(9, outcome=3, reason=45))
        await s.page.wait_for_selector("#scans li:first-child.wait")
        s.rig.lane.hub.push(seen(10))
        await s.page.wait_for_selector("#scans li:first-child.admit")
        s.rig.lane.hub.push(seen(9))
        await s.page.wait_for_selector("#scans li:nth-child(2).admit")
        s.rig.lane.hub.push(seen(9, after=After.GIVEN_BACK))
        await s.page.wait_for_selector("#scans li:nth-child(2).undone:has-text('Released, did not pass')")
        s.rig.lane.hub.push(seen(9, after=After.LATE))
        await s.page.wait_for_selector("#scans li:nth-child(2).admit:has-text('passed late')")
        assert await s.page.locator("#scans li").count() == 8
        # The page that is opened now says the same.
        await s.page.reload()
        await s.page.wait_for_selector("#scans li:nth-child(2):has-text('passed late')")
        assert await s.page.locator("#scans li").count() == 8


async def test_letting_in_by_hand_and_resetting_presence(tmp_path: Path) -> None:
    async with seat(tmp_path, PHONE, locale="de-CH") as s:
        page = s.page
        await s.log_in()
        s.rig.lane.push(msgspec.structs.replace(status(), admit_max=7))
        await page.click(".tests summary >> nth=0")
        form = page.locator(".by-hand").first
        await page.wait_for_selector("[name=count][max='7']")
        await form.locator("[name=reason]").fill("Ehrengast")
        await form.locator("[name=count]").fill("2")
        await form.locator("[name=code]").fill(f" {TICKET} ")
        await page.fill("#steward", "42")
        await form.locator("[type=submit]").click()
        assert await commanded(s) == AdmitByHand(1, 1, 1, 42, "Ehrengast", 2, TICKET)
        assert await form.locator("[name=code]").input_value() == ""
        await page.click("#anew summary")
        button = page.locator("#zones .empty")
        assert await button.inner_text() == "Arena: alle draussen"
        await button.click()
        assert await button.inner_text() == "381 Personen zählen als draussen. Nochmals tippen"
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(SMALL) == []
        assert await page.evaluate(WIDE) == []
        assert s.rig.lane.commands.empty()
        await button.click()
        assert await commanded(s) == ResetPresence(2, 1, 42)
        s.rig.lane.push(status(inside={1: (0, 0)}))
        await page.wait_for_selector("#inside:has-text('Arena: 0')")
        counting = page.locator("#zones .count")
        await counting.locator("[name=people]").fill("412")
        await counting.locator("[type=submit]").click()
        assert await commanded(s) == CountPeople(3, 1, 412, 42)


@pytest.mark.parametrize(
    ("size", "scheme", "locale", "said"),
    [
        (PHONE, "light", "de-CH", "Arena: unbekannt seit dem Brandalarm"),
        (PHONE, "dark", "en-GB", "Arena: unknown since the fire alarm"),
        (DESK, "dark", "de-CH", "Arena: unbekannt seit dem Brandalarm"),
        (DESK, "light", "en-GB", "Arena: unknown since the fire alarm"),
    ],
)
async def test_after_a_fire_staff_open_and_end_the_re_admission_and_count_by_hand(
    tmp_path: Path, size: dict[str, int], scheme: str, locale: str, said: str
) -> None:
    async with seat(tmp_path, size, locale=locale, scheme=scheme) as s:
        page, lane = s.page, s.rig.lane
        assert not await page.locator("#fires").is_visible()
        burning = LaneView(1, "Nord", "controlled", True, True, False, 412, 37, True, True)
        left: dict[str, Any] = {"inside": {}, "uncounted": (1,)}
        lane.push(status(alarms={1: Rung.OUT}, lanes=(burning,), **left))
        await page.wait_for_selector("#fires", state="visible")
        assert await page.inner_text("#inside") == said
        assert await page.locator("#fires button:visible, #fires input:visible").count() == 0, (
            "behind the PIN"
        )
        await s.log_in()
        readmit = page.locator("#fires .readmit")
        assert not await readmit.is_visible(), "first the alarm is cleared at its lane"
        lane.push(status(alarms={1: Rung.OUT}, **left))
        await readmit.wait_for(state="visible")
        await page.fill("#steward", "42")
        await readmit.click()
        await readmit.click()
        assert await commanded(s) == Readmission(1, 1, True, 42)
        lane.push(status(alarms={1: Rung.AGAIN}, **left))
        await page.wait_for_selector(
            f"#fires .readmit:has-text('{'beenden' if locale == 'de-CH' else 'End'}')"
        )
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(SMALL) == []
        assert await page.evaluate(WIDE) == []
        name = f"fire-{'phone' if size is PHONE else 'desk'}-{scheme}"
        await page.screenshot(path=PICTURES / f"{name}.png")
        counting = page.locator("#fires .count")
        await counting.locator("[name=people]").fill("370")
        await counting.locator("[type=submit]").click()
        assert await commanded(s) == CountPeople(2, 1, 370, 42)
        lane.push(status(alarms={1: Rung.AGAIN}, inside={1: (370, 372)}))
        await counting.wait_for(state="hidden")
        assert await page.inner_text("#inside") == "Arena: 370–372"
        await readmit.click()
        await readmit.click()
        assert await commanded(s) == Readmission(3, 1, False, 42)
        lane.push(status())
        await page.wait_for_selector("#fires", state="hidden")
        assert s.trouble == []


async def test_a_double_tap_lets_one_in(tmp_path: Path) -> None:
    """The second would let in one more, and on no ticket: the code is taken out for the next."""
    async with seat(tmp_path, PHONE) as s:
        await s.log_in()
        await s.page.fill("#steward", "42")
        await s.page.click(".tests summary >> nth=0")
        form = s.page.locator(".by-hand").first
        await form.locator("[name=reason]").fill("guest")
        await form.locator("[name=code]").fill(TICKET)
        await form.locator("[type=submit]").dblclick()
        assert await commanded(s) == AdmitByHand(1, 1, 1, 42, "guest", 1, TICKET)
        await s.page.click("#identify")
        assert await commanded(s) == Identify(2, 42)


async def test_a_second_tap_does_what_the_first_one_asked_for(tmp_path: Path) -> None:
    """Somebody else opened the re-admission meanwhile: it is not ended."""
    async with seat(tmp_path, PHONE) as s:
        left: dict[str, Any] = {"inside": {}, "uncounted": (1,)}
        s.rig.lane.push(status(alarms={1: Rung.OUT}, **left))
        await s.log_in()
        await s.page.fill("#steward", "42")
        readmit = s.page.locator("#fires .readmit")
        await readmit.click()
        s.rig.lane.push(status(alarms={1: Rung.AGAIN}, **left))
        await s.page.wait_for_selector("#fires [data-readmit='end']")
        await readmit.click()
        assert await commanded(s) == Readmission(1, 1, True, 42)
        await s.page.wait_for_selector("#fires .readmit:has-text('End')")


async def test_a_double_tap_or_a_key_held_down_is_no_second_tap(tmp_path: Path) -> None:
    """A phone in a pocket, or a hand that always taps twice: the arm stays as it is."""
    async with seat(tmp_path, PHONE) as s:
        await s.log_in()
        await s.page.fill("#steward", "42")
        emergency = s.page.locator("[data-state=emergency]").first
        await emergency.dblclick()
        assert await emergency.inner_text() == "Tap again"
        restart = s.page.locator("#restart")
        await restart.focus()
        for _ in range(3):  # down and not up: each after the first says that it repeats
            await s.page.keyboard.down("Enter")
        assert await restart.get_attribute("class") == "sure"
        await s.page.keyboard.up("Enter")
        await s.page.click("#identify")
        assert await commanded(s) == Identify(1, 42)
