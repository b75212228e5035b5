"""What a technician does to the box as a whole on its page, in a real browser: find it, have it ask, go or not, bundle, restart."""

import asyncio
import zipfile
from pathlib import Path

import pytest

from edge.link import Identify, Restart
from tests.edge.front.test_page_browser import CONTRAST, PHONE, SMALL, WIDE, seat
from tests.edge.front.test_timeline import kept

pytestmark = pytest.mark.browser


async def test_a_box_is_found_asks_at_once_says_go_or_not_gives_its_bundle_and_begins_anew(
    tmp_path: Path,
) -> None:
    kept(tmp_path)  # a log without a rehearsal
    async with seat(tmp_path, PHONE) as s:
        page, lane, pressed = s.page, s.rig.lane, list[int]()
        s.rig.client.on_sync = lambda: pressed.append(1)
        assert not await page.locator("#box").is_visible()
        await s.log_in()
        await page.click("#identify")
        assert await asyncio.wait_for(lane.commands.get(), 10) == Identify(1, 0)
        async with page.expect_response("**/api/box/sync*"):
            await page.click("#sync")
        assert pressed == [1]
        await page.click("#go button")
        await page.wait_for_selector("#go-said.bad")
        said = await page.inner_text("#go-said")
        assert said.startswith("No-go")
        assert said.count("not rehearsed since") == 2, said
        assert all(one in said for one in ("Nord", "VIP")), said
        async with page.expect_download() as download:
            await page.click("#box a[download]")
        with zipfile.ZipFile(await (await download.value).path()) as bundle:
            assert {"parts.txt", "records.jsonl", "logs.json"} <= set(bundle.namelist())
        await page.click("#restart")
        assert lane.commands.empty(), "a second tap is asked for"
        await page.click("#restart.sure")
        assert await asyncio.wait_for(lane.commands.get(), 10) == Restart(2, 0)
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(SMALL) == []
        assert await page.evaluate(WIDE) == []
        assert s.trouble == []
