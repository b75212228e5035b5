"""What others recorded on its way to the lane: in order, and the cursor behind all that it stands for."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.front.intake import AT_ONCE, Intake
from edge.front.merged import Merged
from edge.link import Done, Foreign
from edge.store.disk import LocalDisk
from edge.store.log import LogStore
from tests.edge.front.test_merged import ONE, OWN, OWN_KEY, ROSTER, log_of

CURSOR = b"7"
TURNS = 20
"""Of the loop: whatever is to go goes meanwhile."""


class Lane:
    """Takes a slice once its card does."""

    def __init__(self) -> None:
        self.given: list[Foreign] = []
        self.card = asyncio.Event()
        self.is_full = False

    async def give(self, slice_: Foreign) -> Done:
        """Answer for records when the card is there, for the rest at once."""
        self.given.append(slice_)
        if not slice_.blobs:
            return Done(slice_.number, ok=True)
        await self.card.wait()
        return Done(slice_.number, ok=not self.is_full, code="command.not_saved" if self.is_full else "")

    @property
    def cursors(self) -> list[bytes]:
        """What was given of cursors."""
        return [one.cursor for one in self.given if one.cursor]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    made = LogStore.open(tmp_path, LocalDisk())
    yield made
    made.close()


def intake_of(store: LogStore, lane: Lane) -> Intake:
    async def here(work: Callable[[], Any]) -> Any:
        return work()

    public = OWN_KEY.public_key().public_bytes_raw()
    return Intake(Merged(store, OWN, public, lambda: ROSTER), lane, here)


async def test_the_cursor_goes_to_the_lane_behind_all_that_it_stands_for(store: LogStore) -> None:
    """Else it may be on the disk, and its records not: nobody would ask for them again."""
    lane = Lane()
    intake = intake_of(store, lane)
    log = log_of(ONE, 7).scans(30)
    log.sign()
    taking = asyncio.create_task(intake.feed(CURSOR, (log.chunk(),)))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert 0 < len(lane.given) < AT_ONCE
    assert lane.cursors == [], "the records are not taken yet"
    lane.card.set()
    assert await taking
    assert lane.cursors == [CURSOR]


async def test_where_records_are_not_taken_the_cursor_stays(store: LogStore) -> None:
    lane = Lane()
    lane.is_full = True
    lane.card.set()
    intake = intake_of(store, lane)
    log = log_of(ONE, 7).scans(30)
    log.sign()
    with pytest.raises(OSError, match="not_saved"):
        await intake.feed(CURSOR, (log.chunk(),))
    assert lane.cursors == []
    assert intake.merged.cursor == b"", "and is asked from again"
