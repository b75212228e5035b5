"""From a code of the centre to a door that admits, all of it on the page; and every other barrier that can be chosen there."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge import config
from edge.barrier_kinds import DEFAULTS
from edge.settings import Barrier
from sync import compose, demo
from sync.gates.enrolment import new_code
from sync.wire.messages import fingerprint_of
from tests.edge.commission.test_commission_browser import Seat, commissioning, contact, relay
from tests.edge.front.test_page_browser import CONTRAST, SMALL, WIDE
from tests.sync.venue import NOW_S

pytestmark = pytest.mark.browser
DOOR_INPUT, BUTTON_INPUT, FIRE_INPUT = 0, 2, 3
KINDS = {
    "de": ["Drehkreuz", "Speedgate", "Rollstuhltor", "Tür", "Drehkreuz ohne Sensor"],
    "fr": [
        "Tourniquet",
        "Portillon rapide",
        "Portillon pour fauteuils roulants",
        "Porte",
        "Tourniquet sans capteur",
    ],
    "it": [
        "Tornello",
        "Varco rapido",
        "Cancelletto per sedie a rotelle",
        "Porta",
        "Tornello senza sensore",
    ],
    "en": [
        "Tripod turnstile",
        "Speed gate",
        "Swing gate for wheelchairs",
        "Door",
        "Turnstile without a sensor",
    ],
}


@asynccontextmanager
async def a_centre(folder: Path, now_s: int = NOW_S) -> AsyncIterator[tuple[str, str]]:
    """A centre on loopback with the demo of that day; yields the address and the code that it shows for a gate."""
    centre = compose.open_centre(folder)
    demo.make_demo(centre.database, centre.keys, centre.data, now_s)
    with centre.database.writing() as connection:
        code = new_code(connection, centre.keys, demo.MAIN_GATE, int(time.time()), os.urandom(5))
    serving = await compose.listen(centre, "127.0.0.1", 0)
    try:
        yield f"{serving.url}#{fingerprint_of(centre.keys.document(NOW_S).identity)}", code
    finally:
        await serving.stop()
        centre.close()


async def speaks(s: Seat, language: str) -> None:
    """The page in a language says each barrier, and all that stands there can be read and pressed, by day and by night."""
    await s.page.goto(f"{s.page.url.partition('?')[0]}?lang={language}")
    await s.page.wait_for_selector(".plan select")
    assert await s.page.locator(".plan select option").all_inner_texts() == KINDS[language]
    for scheme in ("dark", "light"):
        await s.page.emulate_media(color_scheme=scheme)
        assert await s.page.evaluate(CONTRAST) == []
    assert await s.page.evaluate(SMALL) == []
    assert await s.page.evaluate(WIDE) == []
    title = s.page.locator("h1 span")
    assert await title.evaluate("(title) => title.scrollWidth <= title.clientWidth"), "the title is cut"


async def test_a_door_is_set_up_from_the_centre_s_code_to_go_without_a_file_edited(tmp_path: Path) -> None:
    async with a_centre(tmp_path / "centre") as (url, code), commissioning(tmp_path, is_joined=False) as s:
        page, plugged = s.page, s.plugged
        for language in KINDS:
            await speaks(s, language)
        await page.evaluate("sessionStorage.clear()")
        s.began_s = time.monotonic()
        await page.fill("#enrol input[name=url]", url)
        await page.fill("#enrol input[name=code]", code)
        await page.click("#enrol button")
        await page.wait_for_selector("#enrol", state="hidden")
        await page.select_option(".plan select", "door")
        await page.click("#plan button[type=submit]")
        await page.click(f"{s.seat('1-entry-barcode')} button")
        await plugged.entry.scan((await s.test_code()).encode())
        await s.chosen("1-entry-barcode", "NLS-FM430")
        await relay(s, 1, "Lane 1: opens")
        await page.click("#inputs article:has-text('FTDI') button")
        await page.wait_for_selector("#inputs article:has-text('Active: 2, 6')")
        await contact(s, "door_contact", DOOR_INPUT, "input 1, closes")
        await contact(s, "exit_button", BUTTON_INPUT, "input 3, closes")
        await contact(s, "fire_contact", FIRE_INPUT, "input 4, closes")
        assert await page.locator("[data-contact]").count() == len((DOOR_INPUT, BUTTON_INPUT, FIRE_INPUT))
        await s.work("a door, a scanner, a strike, three contacts, and joining the centre")
        await page.click("#write:enabled")
        assert await asyncio.wait_for(s.ended, 10) is True
        assert s.trouble == []
    settings = config.load(s.path, {})
    (lane,) = settings.lanes
    assert (lane.barrier, lane.entry_line, lane.exit_line) == (Barrier.DOOR, 1, 1)
    assert (lane.door_contact, lane.exit_button, lane.fire_contact) == (DOOR_INPUT, BUTTON_INPUT, FIRE_INPUT)
    assert {key: getattr(lane, key) for key in DEFAULTS[Barrier.DOOR]} == DEFAULTS[Barrier.DOOR]
    assert settings.relays[0].pulse_max_ms == lane.pulse_ms
