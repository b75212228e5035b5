"""Two Modbus boards on one bus in the browser: looked for, and a relay of the second one placed; on a phone, in the light and in the dark."""

import asyncio
from pathlib import Path

import pytest

from drivers.sims.modbus_bus import ModbusBus
from tests.edge.commission.test_commission_browser import PICTURES, commissioning
from tests.edge.commission.test_osdp_browser import press
from tests.edge.front.test_page_browser import CONTRAST, SMALL, WIDE

pytestmark = pytest.mark.browser
SEARCH_MS = 40_000


async def test_two_boards_of_one_bus_are_found_and_a_relay_of_the_second_is_placed(tmp_path: Path) -> None:
    async with commissioning(tmp_path) as s:
        page = s.page
        bus = ModbusBus(8, 8, tmp_path / "bus", (1, 2))
        bus.attach(asyncio.get_running_loop())
        s.plugged.box.usb("1-3", "10c4:ea60", "CP2102 USB to UART", maker="Silicon Labs")
        s.plugged.box.serial("1-3", "ttyUSB2", Path(bus.path))
        s.plugged.box.mark("1-3")
        await page.fill("#gate-name", "North gate")
        await page.click("#plan button[type=submit]")
        await page.wait_for_selector("#devices li:has-text('CP2102') .badge.ok")
        assert bus.polls == 0
        await press(s, "CP2102", "Look for Modbus boards", "Only if nothing else hangs on this cable")
        await page.wait_for_selector(
            "#devices li:has-text('CP2102') .badge:has-text('Modbus, addresses: 1, 2')", timeout=SEARCH_MS
        )
        board = page.locator("#boards article:has-text('CP2102')")
        assert await board.locator("select >> nth=0").is_disabled()
        assert await board.locator(".pulses button").count() == 16
        pulse = board.locator(".pulses button >> nth=8")
        assert await pulse.inner_text() == "Pulse relay 2.1"
        await pulse.click()
        assert list(bus.changes) == []
        await pulse.click()
        await board.locator(".turned h3:has-text('Pulse relay 2.1')").wait_for()
        assert [(one.line, one.on) for one in bus.changes] == [(8, True), (8, False)]
        for scheme in ("dark", "light"):
            await page.emulate_media(color_scheme=scheme)
            assert await page.evaluate(CONTRAST) == []
            assert await page.evaluate(SMALL) == []
            assert await page.evaluate(WIDE) == []
            await board.screenshot(path=PICTURES / f"commission-modbus-{scheme}.png")
        assert await board.locator("[name=no_timer]").count() == 0  # several of a bus have to have one
        await board.locator(".turned button:has-text('inwards')").click()
        await page.wait_for_selector("#opened li:has-text('relay 2.1')")
        assert s.trouble == []
        bus.close()
