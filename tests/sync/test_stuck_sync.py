"""Synchronising that fails the same way again and again: what is derived is fetched anew, the gate's own log is untouched."""

import random
from pathlib import Path

from admission.ids import Epoch
from edge.enrolment import Enrolment
from edge.front.snapshot import SNAPSHOT_FILE
from edge.front.stuck import STUCK_TIMES
from edge.link import Done, Foreign
from tests.sync.box import Box
from tests.sync.logs import EpochLog
from tests.sync.venue import query, venue_at


class Least(random.Random):
    """Chance that makes every pause the shortest it can be."""

    def random(self) -> float:
        return 0.0


class Refusing(Box):
    """A lane that does not take records of other gates, for a while."""

    def __init__(self, data: Path, enrolment: Enrolment) -> None:
        super().__init__(data, enrolment)
        self.chance = Least()
        self.refusals = 0
        self.refuses = True

    async def give(self, slice_: Foreign) -> Done:
        if self.refuses:
            self.refusals += 1
            return Done(slice_.number, ok=False, code="command.not_done")
        return await super().give(slice_)


def log_of(box: Box, epoch: int = 7, scans: int = 40) -> EpochLog:
    made = EpochLog(Epoch(epoch), box.enrolment.gate, box.enrolment.key).begin().scans(scans)
    made.sign()
    return made


def codes(box: Box) -> list[str]:
    return [one.code for one in box.said]


async def test_a_list_that_is_refused_again_and_again_is_fetched_anew_and_the_outbox_stays(
    tmp_path: Path,
) -> None:
    async with venue_at(tmp_path / "centre") as venue:
        box = Box(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
        box.answer = Done(0, ok=False, code="list.corrupt")
        log = log_of(box)
        box.append(log)
        async with box.linked():
            await box.until(lambda: "uplink.anew" in codes(box))
            assert len(box.lists) >= 1
            fetched = len(box.lists)
            # It does not turn hot: many polls later it has begun anew once.
            polls = len(box.said)
            await box.until(lambda: len(box.lists) > fetched)
            assert (box.data / SNAPSHOT_FILE).exists()
            box.answer = Done(0, ok=True)
            assert codes(box)[polls:].count("uplink.ok") == 0
        said = [one for one in box.said if one.code == "uplink.anew"]
        assert {one.args["what"] for one in said} == {"list"}
        async with box.linked():  # as after a restart of the front; or when the centre has another list
            await box.until(box.is_drained)
        assert len(query(venue, "SELECT seq FROM record")) == len(log.blobs)
        assert [one.blob for one in box.store.records(log.gate, log.epoch, 0, 999)] == log.blobs
        box.store.close()


async def test_records_of_others_that_are_not_taken_are_read_anew_from_the_beginning(tmp_path: Path) -> None:
    async with venue_at(tmp_path / "centre") as venue:
        other = Box(tmp_path / "other", await venue.enrolled(tmp_path / "other", "Terrace gate"))
        theirs = log_of(other, epoch=9)
        other.append(theirs)
        async with other.linked():
            await other.until(other.is_drained)
        box = Refusing(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
        ours = log_of(box)
        box.append(ours)
        async with box.linked():
            await box.until(lambda: "uplink.anew" in codes(box))
            assert box.refusals >= STUCK_TIMES
            assert next(one.args["what"] for one in box.said if one.code == "uplink.anew") == "feed"
            box.refuses = False
            held = box.store.records
            await box.until(lambda: len(held(theirs.gate, theirs.epoch, 0, 999)) == len(theirs.blobs))
            await box.until(box.is_drained)
        assert [one.blob for one in held(theirs.gate, theirs.epoch, 0, 999)] == theirs.blobs
        assert [one.blob for one in held(ours.gate, ours.epoch, 0, 999)] == ours.blobs
        assert len(query(venue, "SELECT seq FROM record")) == len(ours.blobs) + len(theirs.blobs)
        box.store.close()
        other.store.close()
