"""An OSDP reader in the browser: looked for, given a key of its own, placed by a card; on a phone, in the light and in the dark."""

from pathlib import Path

import pytest

from drivers.readers import osdp_search
from drivers.sims.osdp_reader import SCBK_D, OsdpBus, OsdpDevice
from edge import config
from edge.settings import OsdpReader, WiegandCarries
from tests.edge.commission.test_commission_browser import CARD, PICTURES, Seat, commissioning
from tests.edge.front.test_page_browser import CONTRAST, SMALL, WIDE

pytestmark = pytest.mark.browser
SEARCH_MS = 40_000
SCRIPT = b"<b>\x00\n\xff'\");--"
"""Of the second reader: what it says of itself is numbers, whatever it says."""


async def press(s: Seat, device: str, what: str, sure: str) -> None:
    """Press a button of a device, which asks once more."""
    button = s.page.locator(f"#devices li:has-text('{device}') button:has-text('{what}')")
    await button.click()
    await s.page.locator(f"#devices li:has-text('{device}') button:has-text('{sure}')").click()


async def can_be_read(s: Seat, picture: str) -> None:
    for scheme in ("dark", "light"):
        await s.page.emulate_media(color_scheme=scheme)
        assert await s.page.evaluate(CONTRAST) == []
        assert await s.page.evaluate(SMALL) == []
        assert await s.page.evaluate(WIDE) == []
        await s.page.locator("#devices").screenshot(path=PICTURES / f"{picture}-{scheme}.png")


async def test_an_osdp_reader_is_found_given_a_key_and_placed_without_a_file_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(osdp_search, "ADDRESSES", range(24))  # silence is waited for at each
    async with commissioning(tmp_path) as s:
        page = s.page
        bus = OsdpBus(tmp_path / "bus", OsdpDevice(0, SCBK_D), OsdpDevice(9, bytes(16), pdid=SCRIPT))
        bus.port.plug()
        s.plugged.box.usb("1-3", "10c4:ea60", "CP2102 USB to UART", maker="Silicon Labs")
        s.plugged.box.serial("1-3", "ttyUSB2", bus.port.link)
        s.plugged.box.mark("1-3")
        await page.fill("#gate-name", "North gate")
        await page.click("#plan button[type=submit]")
        await page.wait_for_selector("#devices li:has-text('CP2102') .badge.ok")
        assert [one.heard for one in bus.devices.values()] == [[], []]
        await press(s, "CP2102", "Look for OSDP readers", "Only if nothing else hangs on this cable")
        await page.wait_for_selector(
            "#devices li:has-text('CP2102') .badge:has-text('looking for OSDP readers')"
        )
        await page.click("#devices li:has-text('CP2102') button:has-text('Stop looking')")
        await page.wait_for_selector("#devices li:has-text('CP2102') .badge.ok")
        await press(s, "CP2102", "Look for OSDP readers", "Only if nothing else hangs on this cable")
        await page.wait_for_selector("#devices li:has-text('OSDP 0, CAFE00 12345678')", timeout=SEARCH_MS)
        assert "somebody else's key" in await page.inner_text(
            "#devices li:has-text('OSDP 9, 3C623E 292227FF')"
        )
        await can_be_read(s, "commission-osdp")
        await press(s, "OSDP 0", "Give it a key of its own", "Best alone on the cable")
        await page.wait_for_selector("#devices li:has-text('OSDP 0') .badge.ok")
        assert bus.devices[0].scbk != SCBK_D
        await press(s, "OSDP 9", "Give it a key of its own", "Best alone on the cable")
        await page.wait_for_selector("#said.bad:has-text('The reader takes no key')")
        await page.click(f"{s.seat('1-entry-uid')} button")
        await page.fill(f"{s.seat('1-entry-uid')} input", CARD)
        await page.press(f"{s.seat('1-entry-uid')} input", "Enter")
        await page.wait_for_selector("#asked h3:has-text('tag reader')")
        await page.wait_for_selector("#devices li:has-text('OSDP 0') .badge.ok")
        uid = bytes.fromhex(CARD.replace(":", ""))
        bus.devices[0].card(f"{int.from_bytes(uid):056b}", kind=0)
        await s.chosen("1-entry-uid", "OSDP 0, CAFE00 12345678")
        await page.screenshot(path=PICTURES / "commission-osdp-placed.png")
        assert bus.devices[0].scbk.hex() not in await page.content()
        for language, word in (("de", "zurücksetzen"), ("fr", "Le remettre à zéro"), ("it", "Azzerarlo")):
            await page.goto(f"{page.url.partition('?')[0]}?lang={language}")
            await page.wait_for_selector("#devices li:has-text('OSDP 9') .trouble")
            assert word in await page.inner_text("#devices li:has-text('OSDP 9')")
            assert await page.evaluate(SMALL) == []
            assert await page.evaluate(WIDE) == []
        await page.click("#write:enabled")
        assert await s.ended is True
        (refused,) = s.trouble  # the key that the second reader did not take
        assert "osdp-key" in refused or "status of 4" in refused
        bus.port.unplug()
    (reader,) = config.load(s.path).lanes[0].readers
    assert isinstance(reader, OsdpReader)
    assert (reader.address, reader.carries) == (0, WiegandCarries.UID)
    assert Path(reader.key_file).parent == s.data
