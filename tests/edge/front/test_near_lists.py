"""Lists that come of neighbours, of whom some give what is none; and what is kept of changes for them."""

import hashlib
import random
import struct
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from admission.ids import EventId, GateId
from edge.clock import SystemClock
from edge.front.kept_changes import CHANGES_FILE, KeptChanges
from edge.front.near_lists import NearLists
from edge.front.stream import News
from edge.link import Changes, Done
from edge.store.disk import LocalDisk
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from sync.wire.peer_lists import PART_BYTES_MAX, GivePart, Lists, Part
from sync.wire.snapshots import Announced, Published, announce
from tests.sync.logs import KEY, PUBLIC

SNAPSHOT = random.Random(3).randbytes(PART_BYTES_MAX + 1000)
ADDRESS = hashlib.sha256(SNAPSHOT).hexdigest()
ANNOUNCED = Announced(1, Published(ADDRESS, len(SNAPSHOT), "tag"), 1_000)
OFFER = Lists(announce(ANNOUNCED, KEY))


class Nobody:
    """A centre that is not asked."""

    async def changes(self, event: EventId, generation: int, since: int) -> bytes:
        raise AssertionError((event, generation, since))

    async def settings(self) -> bytes:
        raise AssertionError

    async def listen(self, silence_s: float, beat_s: int) -> AsyncGenerator[tuple[str, bytes], None]:
        yield "", b""
        raise AssertionError((silence_s, beat_s))


@pytest.fixture
def near(tmp_path: Path) -> Iterator[NearLists]:
    store = LogStore.open(tmp_path, LocalDisk())
    reader = LogReader.open(tmp_path)

    async def hand_over(asked: Changes) -> Done:
        return Done(asked.number, ok=True)

    news = News(
        PUBLIC, tmp_path, reader, Nobody(), hand_over, lambda: None,
        lambda: None, lambda: None, lambda: False, SystemClock(), random.Random(1),
    )  # fmt: skip
    yield NearLists(1, PUBLIC, tmp_path / "snapshot", tmp_path / "announced", news, lambda _folder: 2**40)
    reader.close()
    store.close()


class Giver:
    """A neighbour that gives `data`, and is gone after so many parts."""

    def __init__(self, near: NearLists, gate: int, data: bytes, parts: int = 100) -> None:
        self._near, self._data, self._parts = near, data, parts
        self._self = near.joined(GateId(gate), self._asked)
        near.heard(self._self, OFFER)
        self.asked: list[int] = []

    def _asked(self, asked: GivePart) -> None:
        self.asked.append(asked.offset)
        if len(self.asked) > self._parts:
            self._near.left(self._self)
            return
        data = self._data[asked.offset : asked.offset + PART_BYTES_MAX]
        assert self._near.part(self._self, Part(asked.address, asked.offset, data))


async def test_what_one_neighbour_began_falsely_is_not_laid_to_the_next(
    near: NearLists, tmp_path: Path
) -> None:
    """Who gives the end cannot know what the beginning was."""
    Giver(near, 2, bytes(len(SNAPSHOT)), parts=1)
    honest = Giver(near, 3, SNAPSHOT)
    into = tmp_path / "part"
    await near.fetch(ANNOUNCED, into)
    assert into.read_bytes() == SNAPSHOT
    assert honest.asked == [PART_BYTES_MAX, 0, PART_BYTES_MAX]


async def test_who_gives_all_of_another_snapshot_is_asked_no_more(near: NearLists, tmp_path: Path) -> None:
    false = Giver(near, 2, bytes(len(SNAPSHOT)))
    Giver(near, 3, SNAPSHOT)
    into = tmp_path / "part"
    await near.fetch(ANNOUNCED, into)
    assert into.read_bytes() == SNAPSHOT
    assert false.asked == [0, PART_BYTES_MAX]


def page(since: int, rest: bytes = b"rows") -> bytes:
    """A page as far as it says where it leads."""
    return struct.pack(">4sIIQQ32s", b"GHD0", 1, 1, since, since + 1, bytes(32)) + bytes(64) + rest


def test_a_page_that_a_power_cut_tore_keeps_none_of_those_after_it_back(tmp_path: Path) -> None:
    kept = KeptChanges(tmp_path)
    for since in (1, 2):
        kept.add(page(since))
    path = tmp_path / CHANGES_FILE
    path.write_bytes(path.read_bytes()[:-2])
    for _ in range(2):
        kept = KeptChanges(tmp_path)
        assert list(kept.after(EventId(1), 1, 1)) == [page(1)]
    kept.add(page(2))
    kept.add(page(3))
    kept = KeptChanges(tmp_path)
    assert list(kept.after(EventId(1), 1, 1)) == [page(1), page(2), page(3)]


async def test_a_card_that_takes_nothing_any_more_keeps_no_uplink_from_its_list(tmp_path: Path) -> None:
    """What is kept for neighbours cannot be removed from it either."""
    kept = KeptChanges(tmp_path)
    (tmp_path / CHANGES_FILE).mkdir()
    for since in (1, 2):
        kept.add(page(since))
    kept.lead_on_from({EventId(1): (1, 2)})
    assert list(kept.after(EventId(1), 1, 2)) == [page(2)]


async def test_who_gives_a_list_drop_by_drop_is_asked_no_more(near: NearLists, tmp_path: Path) -> None:
    """It would keep a box without a list from asking anybody else, for as long as it likes."""

    class Drops(Giver):
        def _asked(self, asked: GivePart) -> None:
            self.asked.append(asked.offset)
            assert self._near.part(
                self._self, Part(asked.address, asked.offset, self._data[asked.offset : asked.offset + 1])
            )

    drops = Drops(near, 2, SNAPSHOT)
    Giver(near, 3, SNAPSHOT)
    into = tmp_path / "part"
    await near.fetch(ANNOUNCED, into)
    assert into.read_bytes() == SNAPSHOT
    assert drops.asked == [0]
