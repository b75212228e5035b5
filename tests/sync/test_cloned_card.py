"""A card that was cloned: two real gates go on from one log, and the centre tells of it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edge.enrolment import Enrolment
from edge.link import Health, Part
from tests.edge.rig import running
from tests.sync.box import Box
from tests.sync.venue import query, venue_at

TROUBLES = "SELECT epoch, what FROM trouble"


async def one_run(folder: Path) -> int:
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
        await one_run(original)
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
