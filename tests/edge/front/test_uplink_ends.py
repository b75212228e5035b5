"""The end of the uplink: what uses its thread beside it is over before that is."""

import asyncio
from pathlib import Path

import pytest

from tests.sync.box import Box
from tests.sync.venue import venue_at


async def test_who_uses_the_thread_beside_the_uplink_is_over_before_it_ends(tmp_path: Path) -> None:
    async with venue_at(tmp_path / "centre") as venue:
        box = Box(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
        uplink = box.uplink()
        shared, done = uplink.shared(), asyncio.Event()
        read: list[str] = []

        async def talk() -> None:
            try:
                while True:
                    await shared.in_thread(lambda: read.append("talk"))
                    done.set()
            finally:
                await shared.in_thread(lambda: read.append("last words"))

        running = asyncio.create_task(uplink.run(talk))
        await done.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert read[-1] == "last words"
        with pytest.raises(RuntimeError):
            await shared.in_thread(lambda: None)
        box.store.close()
