"""A list that lies damaged on the card: back within 30 s, by the snapshot beside it or by the centre, and no cancel undone."""

import shutil
import time
from pathlib import Path

import pytest

from admission.entitlements import Standing
from admission.ids import TicketId
from admission.question import Verdict
from admission.reasons import Reason
from admission.records import Outcome
from edge.front.snapshot import SNAPSHOT_FILE
from edge.link import Health, Part
from edge.store.faults import StoreFault
from edge.store.list import LIST_FILE, ListStore
from sync import demo
from sync.tickets import changes, rows
from tests.edge.rig import running
from tests.sync.box import Box
from tests.sync.connected import tickets
from tests.sync.fronted import OFTEN, Fronted, front_of, fronted
from tests.sync.test_deltas import NUMBERS
from tests.sync.venue import NOW_S, Venue, venue_at

HEALED_S = 30.0
"""What the venue is promised."""


def flip(path: Path, page: int, at: int = 0, count: int = 4096) -> None:
    """Flip every bit of a part of a file, in place, as a failing card would."""
    with path.open("r+b") as file:
        file.seek(page * 4096 + at)
        found = file.read(count)
        file.seek(page * 4096 + at)
        file.write(bytes(one ^ 0xFF for one in found))


def spoil(one: Fronted) -> None:
    """Damage the list under the running gate, which then has none of it in memory: others are larger."""
    path = one.gate.data / LIST_FILE
    for page in range(1, path.stat().st_size // 4096):
        flip(path, page)
    store = one.gate.daemon.lists._store
    assert store is not None
    store._connection.execute("PRAGMA shrink_memory").fetchall()


def ask(one: Fronted, data: str) -> Verdict | None:
    """What the gate says to a ticket; None where it finds its list unreadable only now, as the lane would."""
    try:
        return one.judged.verdict(data)
    except StoreFault as fault:
        one.gate.daemon.unreadable(fault)
        return None


def cancel(venue: Venue, key: str) -> None:
    with changes.change(venue.centre.database, [demo.EVENT], NOW_S + 1) as connection:
        assert rows.set_standing(connection, demo.EVENT, TicketId(NUMBERS[key]), Standing.CANCELLED)


def is_whole(one: Fronted) -> bool:
    return one.gate.code(Part.LIST, "list") in {"list.ok", "list.old"}


@pytest.mark.parametrize("has_snapshot", [True, False], ids=["by its snapshot", "by the centre"])
async def test_a_list_damaged_under_the_gate_is_back_and_a_cancel_is_not_undone(
    tmp_path: Path, has_snapshot: bool
) -> None:
    async with venue_at(tmp_path / "centre") as venue, fronted(venue, tmp_path / "box", OFTEN) as one:
        sold = tickets(venue)
        good = sold["day"].data
        verdict = ask(one, good)
        assert verdict is not None
        assert verdict.outcome is Outcome.GRANT
        cancel(venue, "day")
        await one.until(lambda: (v := ask(one, good)) and v.reason is Reason.CANCELLED, "the cancel holds")
        if not has_snapshot:
            (one.gate.data / SNAPSHOT_FILE).unlink()
        spoil(one)
        begun_s = time.monotonic()
        assert ask(one, good) is None
        assert one.gate.health(Part.LIST, "list") is Health.BAD
        # Meanwhile: what is signed is judged by its signature and by what is kept beside the log.
        if (meanwhile := ask(one, good)) is not None:
            assert (meanwhile.outcome, meanwhile.reason) == (Outcome.DENY, Reason.CANCELLED)
        await one.until(lambda: is_whole(one), "the list is back")
        assert time.monotonic() - begun_s < HEALED_S
        store = ListStore.open(one.gate.data / LIST_FILE)
        store.check()
        store.close()
        healed = ask(one, good)
        assert healed is not None
        assert (healed.outcome, healed.reason) == (Outcome.DENY, Reason.CANCELLED)


@pytest.mark.parametrize("page", [0, 1, 2], ids=["its head", "its directory", "its rows"])
async def test_a_list_damaged_while_the_gate_was_off_is_back_soon_after_it_starts(
    tmp_path: Path, page: int
) -> None:
    async with venue_at(tmp_path / "centre") as venue:
        async with fronted(venue, tmp_path / "box") as one:
            cancel(venue, "day")
            good = tickets(venue)["day"].data
            await one.until(
                lambda: (v := ask(one, good)) and v.reason is Reason.CANCELLED, "the cancel holds"
            )
        path = tmp_path / "box" / "data" / LIST_FILE
        for number in range(page, path.stat().st_size // 4096):
            flip(path, number)
        begun_s = time.monotonic()
        async with running(tmp_path / "box") as gate, front_of(gate, OFTEN) as one:
            if is_whole(one):  # only who looks for a ticket finds it
                assert ask(one, good) is None
            await one.until(lambda: is_whole(one), "the list is back")
            assert time.monotonic() - begun_s < HEALED_S
            verdict = ask(one, good)
            assert verdict is not None
            assert verdict.reason is Reason.CANCELLED


async def test_without_a_network_the_snapshot_on_the_card_is_enough(tmp_path: Path) -> None:
    async with venue_at(tmp_path / "centre") as venue:
        async with fronted(venue, tmp_path / "box", OFTEN) as one:
            good = tickets(venue)["day"].data
            await venue.stop()
            spoil(one)
            assert ask(one, good) is None
            await one.until(lambda: is_whole(one), "the list is back")
            verdict = ask(one, good)
            assert verdict is not None
            assert verdict.outcome is Outcome.GRANT
        await venue.start()


async def test_a_bit_that_nobody_asked_for_is_found_before_somebody_does(tmp_path: Path) -> None:
    async with venue_at(tmp_path / "centre") as venue:
        enrolment = await venue.enrolled(tmp_path / "box")
        box = Box(tmp_path / "box", enrolment)
        async with box.linked() as uplink:
            await box.until(lambda: len(box.lists) == 1)
            path = box.data / LIST_FILE
            await uplink.check_list()
            flip(path, 1, 4090, 1)  # the end of a page holds a row
            with pytest.raises(StoreFault):
                ListStore.open(path).check()
            await uplink.check_list()
            await box.until(lambda: len(box.lists) == 2)
            ListStore.open(path).check()
        box.store.close()


async def test_a_damaged_snapshot_is_no_way_back_and_does_no_harm(tmp_path: Path) -> None:
    async with venue_at(tmp_path / "centre") as venue, fronted(venue, tmp_path / "box", OFTEN) as one:
        good = tickets(venue)["day"].data
        whole = shutil.copy(one.gate.data / SNAPSHOT_FILE, tmp_path / "whole")
        flip(one.gate.data / SNAPSHOT_FILE, 0, 300, 64)
        spoil(one)
        assert ask(one, good) is None
        await one.until(lambda: is_whole(one), "the centre gave another")
        assert (one.gate.data / SNAPSHOT_FILE).read_bytes() == Path(whole).read_bytes()


@pytest.mark.parametrize("has_snapshot", [True, False], ids=["by its snapshot", "by the centre"])
async def test_a_list_that_was_put_there_behind_the_lanes_back_is_taken_up(
    tmp_path: Path, has_snapshot: bool
) -> None:
    """A builder that outlives its front puts the list in its place after the lane has looked for it."""
    async with venue_at(tmp_path / "centre") as venue:
        async with fronted(venue, tmp_path / "box") as one:
            path = one.gate.data / LIST_FILE
        aside = path.with_suffix(".aside")
        path.rename(aside)
        if not has_snapshot:
            (path.parent / SNAPSHOT_FILE).unlink()
        async with running(tmp_path / "box") as gate:
            await gate.until(lambda: gate.code(Part.LIST, "list") == "list.none", "the lane has no list")
            aside.rename(path)
            async with front_of(gate, OFTEN) as late:
                await late.until(lambda: gate.daemon.judge.has_list, "the lane judges by it")
                await late.until(lambda: is_whole(late), "and the page says so")
