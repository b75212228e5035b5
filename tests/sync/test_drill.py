"""The drill: a centre is lost, an older backup takes its place, and its gates bring it up to date again."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from admission.entitlements import Standing
from admission.ids import Epoch, TicketId
from edge.front.centre import CutOff
from edge.front.snapshot import PART_SUFFIX, SECRETS_FILE, Snapshots, tag_of_file
from edge.store.list import LIST_FILE, ListStore
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch, ListVersion
from sync import demo
from sync.backup import archive
from sync.store.database import FILE
from sync.tickets import changes, rows
from sync.wire.snapshots import Manifest, Published
from tests.sync.box import Box
from tests.sync.logs import EpochLog
from tests.sync.venue import NOW_S, Venue, query

LATER_S = NOW_S + 3600


@pytest.fixture
async def gate_box(venue: Venue, tmp_path: Path) -> AsyncIterator[Box]:
    made = Box(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
    yield made
    made.store.close()


def take_note(box: Box) -> tuple[int, int]:
    """What the lane does with a list it has taken: its versions go to the precious file. Returns the first event's."""
    store = ListStore.open(box.data / LIST_FILE)
    try:
        told = store.head.events
    finally:
        store.close()
    box.tokens += 1
    versions = tuple(
        ListVersion(one.id, one.generation, one.version, one.sealed_at_s, bytes(16)) for one in told
    )
    box.store.append([Batch(box.tokens, list_versions=versions)])
    return told[0].generation, told[0].version


def cancel(venue: Venue, ticket: int) -> None:
    with changes.change(venue.centre.database, [demo.EVENT], NOW_S + 1) as connection:
        rows.set_standing(connection, demo.EVENT, TicketId(ticket), Standing.CANCELLED)


def held(venue: Venue) -> dict[tuple[object, object], object]:
    return {(epoch, seq): blob for epoch, seq, blob in query(venue, "SELECT epoch, seq, blob FROM record")}


def of(log: EpochLog) -> dict[tuple[object, object], object]:
    return {(log.epoch, seq): blob for seq, blob in enumerate(log.blobs, start=1)}


async def test_a_gate_that_keeps_running_refills_a_restored_centre_with_every_run_of_its_log(
    venue: Venue, gate_box: Box, tmp_path: Path
) -> None:
    """It has nothing to push meanwhile: that the centre lost what it had is only found by asking."""
    box, key = gate_box, gate_box.enrolment.key
    first, second = EpochLog(Epoch(77), key=key).begin().scans(30), EpochLog(Epoch(78), key=key)
    archive.make(venue.data, "", tmp_path / "monday", NOW_S)
    box.append(first)
    box.append(second.begin(first).scans(10))
    both = of(first) | of(second)
    async with box.linked():
        await box.until(lambda: box.lists and box.is_drained() and held(venue) == both)
        await venue.stop()
        archive.restore(venue.data, "", tmp_path / "monday", LATER_S, replaces=True)
        box.lists.clear()
        venue.now_s = LATER_S
        await venue.start()
        assert held(venue) == {}
        await box.until(lambda: box.lists and held(venue) == both)


class _Asked:
    """A centre that keeps its list, and during whose first answer changes lead no further."""

    def __init__(self) -> None:
        self.tag = ""
        self.fresh: list[bool] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def manifest(self, tag: str, *, fresh: bool) -> tuple[str, Manifest]:  # noqa: ARG002 - as ListSource
        self.fresh.append(fresh)
        self.meanwhile()
        return "1", Manifest(1, Published("0" * 64, 1, self.tag), (), b"")

    async def fetch_snapshot(self, published: Published, into: Path) -> None:  # noqa: ARG002 - as ListSource
        raise AssertionError("nothing is to be fetched here")


async def test_a_list_that_is_wanted_while_the_centre_answers_is_asked_for_next(
    venue: Venue, gate_box: Box
) -> None:
    async with gate_box.linked():
        await gate_box.until(lambda: gate_box.lists)
    reader = LogReader.open(gate_box.data)
    snapshots = Snapshots(gate_box.enrolment, gate_box.data, reader, gate_box.take)
    snapshots.look()
    centre = _Asked()
    centre.tag = tag_of_file(gate_box.data / LIST_FILE)
    centre.meanwhile = snapshots.want

    async def here(work: Callable[[], None]) -> None:
        work()

    for _ in range(2):
        await snapshots.fetch(centre, lambda: None, here)
    centre.meanwhile = lambda: None
    for _ in range(2):
        await snapshots.fetch(centre, lambda: None, here)
    reader.close()
    assert centre.fresh == [False, True, True, False]


class _Cut(_Asked):
    """A centre that has another list, and whose line is cut each time."""

    def __init__(self, box: Box) -> None:
        super().__init__()
        self._secrets = (box.data / SECRETS_FILE).read_bytes()
        self.fetched: list[int] = []

    async def manifest(self, tag: str, *, fresh: bool) -> tuple[str, Manifest]:  # noqa: ARG002 - as ListSource
        return "1", Manifest(1, Published("0" * 64, 100, self.tag), (), self._secrets)

    async def fetch_snapshot(self, published: Published, into: Path) -> None:  # noqa: ARG002 - as ListSource
        held = into.stat().st_size if into.exists() else 0
        self.fetched.append(held)
        into.write_bytes(bytes(held + 10))
        raise CutOff("the radio dies")


async def test_a_list_that_was_begun_is_gone_on_with_though_another_would_wait_for_the_data_limit(
    venue: Venue, gate_box: Box
) -> None:
    """Meanwhile no change leads on from the one in place, no cancel either."""
    async with gate_box.linked():
        await gate_box.until(lambda: gate_box.lists)
    reader = LogReader.open(gate_box.data)
    grants = iter([True])
    snapshots = Snapshots(
        gate_box.enrolment, gate_box.data, reader, gate_box.take, may_bring=lambda: next(grants, False)
    )
    snapshots.look()
    snapshots.want()
    centre = _Cut(gate_box)
    centre.tag = "another"

    async def here(work: Callable[[], None]) -> None:
        work()

    for _ in range(3):
        with pytest.raises(CutOff):
            await snapshots.fetch(centre, lambda: None, here)
    assert (centre.fetched, snapshots.waits) == ([0, 10, 20], False)
    centre.tag = "a newer one"
    for part in gate_box.data.glob(f"*{PART_SUFFIX}"):
        part.unlink()
    await snapshots.fetch(centre, lambda: None, here)
    assert snapshots.waits
    reader.close()


async def test_gates_refill_a_restored_centre_and_refuse_the_lists_of_the_lost_one(
    venue: Venue, gate_box: Box, tmp_path: Path
) -> None:
    box, log = gate_box, EpochLog(Epoch(77), key=gate_box.enrolment.key).begin().scans(30)
    box.append(log)
    async with box.linked():
        await box.until(lambda: box.lists and box.is_drained())
    archive.make(venue.data, "", tmp_path / "monday", NOW_S)

    # The day goes on: more records, three changes of the list. Then the centre's disk is gone.
    first = len(log.blobs) + 1
    log.scans(40)
    box.append(log, first)
    for ticket in (1, 2, 3):
        cancel(venue, ticket)
    box.lists.clear()
    async with box.linked():
        await box.until(lambda: box.is_drained() and held(venue) == of(log))
    ((generation, version),) = query(venue, f"SELECT generation, version FROM event WHERE id = {demo.EVENT}")
    assert isinstance(generation, int)
    assert isinstance(version, int)
    before = (generation, version)
    box.tokens += 1
    seen = ListVersion(demo.EVENT, *before, NOW_S, bytes(16))
    box.store.append([Batch(box.tokens, list_versions=(seen,))])
    await venue.stop()
    restored = archive.restore(venue.data, "", tmp_path / "monday", LATER_S, replaces=True)
    assert restored.aside is not None

    venue.now_s = LATER_S
    await venue.start()
    assert len(held(venue)) < len(of(log)), "it is older than its gate"
    box.said.clear()
    box.lists.clear()
    async with box.linked():
        await box.until(lambda: box.lists and held(venue) == of(log))
    after = take_note(box)
    assert after > before
    assert after[1] < before[1], "an older version, taken since its generation is newer"

    # What was lost turns up again: lists of the older generation stay refused.
    await venue.stop()
    for suffix in ("", "-wal", "-shm"):
        (venue.data / f"{FILE}{suffix}").unlink(missing_ok=True)
    shutil.copyfile(restored.aside / FILE, venue.data / FILE)
    await venue.start()
    box.said.clear()
    box.lists.clear()
    async with box.linked():
        await box.until(lambda: any("rolled_back" in one.code or "refused" in one.code for one in box.said))
    assert box.lists == []
    store = ListStore.open(box.data / LIST_FILE)
    assert (store.head.events[0].generation, store.head.events[0].version) == after
    store.close()
