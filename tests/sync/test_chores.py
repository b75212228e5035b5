"""What the centre does by itself."""

import asyncio

import pytest

from sync.chores import keep_doing
from sync.store.engines import DatabaseFault


async def test_each_chore_is_done_again_and_again_whatever_the_others_do() -> None:
    done: list[str] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def away() -> None:
        done.append("away")
        raise DatabaseFault("the database is away", "Start it.")

    def broken() -> None:
        done.append("broken")
        raise ValueError("a defect")

    def good() -> None:
        done.append("good")
        if done.count("good") == 3:
            loop.call_soon_threadsafe(enough.set)

    task = asyncio.create_task(keep_doing([away, broken, good], every_s=0.0))
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done[:9] == ["away", "broken", "good"] * 3
