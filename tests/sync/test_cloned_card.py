"""A card that was cloned: two real gates go on from one log, and the centre tells of it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from admission.ids import Epoch
from edge.enrolment import Enrolment
from edge.link import Health, Part
from edge.store.log_reader import LogReader
from tests.edge.rig import running
from tests.sync.box import Box
from tests.sync.fronted import OFTEN, front_of
from tests.sync.venue import query, venue_at

TROUBLES = "SELECT epoch, what FROM trouble"


async def one_run(folder: Path) -> Epoch:
    """Run a gate once; return its epoch."""
    async with running(folder) as gate:
        await gate.until(lambda: gate.health(Part.RELAY, "relays") is Health.OK, "the gate is up")
        return gate.daemon.journal.epoch


@asynccontextmanager
async def pushing(data: Path, enrolment: Enrolment) -> AsyncIterator[Box]:
    """Push a log up, as its front would."""
    box = Box(data, enrolment)
    box.store.close()
    async with box.linked():
        yield box


async def test_two_boxes_on_one_card_are_told_as_what_they_are(tmp_path: Path) -> None:
    original, clone = tmp_path / "original", tmp_path / "clone"
    async with venue_at(tmp_path / "centre") as venue:
        enrolment = await venue.enrolled(original / "data")
        await one_run(original)
        shutil.copytree(original / "data", clone / "data")
        first = await one_run(original)
        async with pushing(original / "data", enrolment) as box:
            await box.until(box.is_drained)
        assert query(venue, TROUBLES) == []
        twin = await one_run(clone)
        async with pushing(clone / "data", enrolment) as box:
            await box.until(lambda: (twin, "fork") in query(venue, TROUBLES))
            # On the clone's own page too: the card is to be taken out of one of the two boxes.
            await box.until(lambda: any(one.args.get("why") == "fork" for one in box.said))
            assert box.said[-1].health is not Health.OK
        assert {what for _, what in query(venue, TROUBLES)} == {"fork"}
        kept = {epoch for (epoch,) in query(venue, "SELECT DISTINCT epoch FROM record")}
        assert kept >= {first, twin}, "both logs"


async def test_the_original_says_it_on_its_own_page_too_and_keeps_what_the_twin_recorded(
    tmp_path: Path,
) -> None:
    """The twin was the first to be heard: to the original it looks as if its own card had lost that."""
    original, clone = tmp_path / "original", tmp_path / "clone"
    async with venue_at(tmp_path / "centre") as venue:
        enrolment = await venue.enrolled(original / "data")
        await one_run(original)
        shutil.copytree(original / "data", clone / "data")
        twin = await one_run(clone)
        async with pushing(clone / "data", enrolment) as box:
            await box.until(box.is_drained)
        async with running(original) as gate, front_of(gate, OFTEN) as one:
            await one.until(lambda: gate.code(Part.UPLINK, "centre") == "uplink.fork", "the page says it")
            reader = LogReader.open(original / "data")
            await one.until(lambda: reader.records(enrolment.gate, twin, 0, 9), "the twin's records are kept")
            await one.until(
                lambda: "fork" in {what for _, what in query(venue, TROUBLES)}, "the centre says it"
            )
            reader.close()
