"""A gate that was enrolled anew: what its former key signed is taken still, what that key signs later is not."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admission.ids import Epoch
from admission.records import Kind, Record
from edge.enrolment import FILE, Enrolment
from edge.held_roster import former_keys
from edge.verify import known_keys, verify_log
from sync.store.schema import unsigned
from sync.wire.messages import CLOCK_OFF_MAX_S, Push
from tests.sync.logs import OTHER_KEY, EpochLog
from tests.sync.requests import GateClient
from tests.sync.test_cloned_card import one_run, pushing
from tests.sync.venue import NOW_S, Venue, query, venue_at


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(tmp_path / "centre") as made:
        yield made


@pytest.fixture
async def former(venue: Venue, tmp_path: Path) -> Enrolment:
    return await venue.enrolled(tmp_path / "former")


@pytest.fixture
async def gate(venue: Venue, former: Enrolment, tmp_path: Path) -> AsyncIterator[GateClient]:
    """The box after it was enrolled anew."""
    venue.now_s += 1000
    own = await venue.enrolled(tmp_path / "own")
    assert (own.gate, own.public != former.public) == (former.gate, True)
    async with GateClient(venue.url, own.gate, own.key, venue.now_s) as client:
        yield client


def begun(own: Enrolment, epoch: int, time_s: int = NOW_S) -> EpochLog:
    log = EpochLog(Epoch(epoch), own.gate, own.key)
    log.add(Record(Kind.RESTART, 1, time_s * 1_000_000, 0).to_bytes())
    return log


async def test_a_log_of_before_goes_up_whole_or_from_where_it_stood(
    venue: Venue, former: Enrolment, gate: GateClient
) -> None:
    log = begun(former, 5).scans(40)
    async with GateClient(venue.url, former.gate, former.key, venue.now_s) as old:
        assert (await old.ask("GET", "/api/v1/gate/have")).status == 401
    for first, last in ((1, 15), (16, 27), (28, None)):
        answer = await gate.push(Push((log.chunk(first, last),)))
        assert answer.pushed.troubles == ()
    assert answer.pushed.held[0].seq == len(log.blobs)


async def test_what_begins_after_the_keys_end_is_not_the_gates(former: Enrolment, gate: GateClient) -> None:
    end_s = NOW_S + 1000 + CLOCK_OFF_MAX_S
    good, late = begun(former, 5, end_s).scans(12), begun(former, 6, end_s + 1).scans(12)
    answer = await gate.push(Push((good.chunk(), late.chunk())))
    assert [(one.epoch, one.what) for one in answer.pushed.troubles] == [(6, "altered")]
    assert {one.epoch: one.seq for one in answer.pushed.held} == {5: len(good.blobs), 6: 0}


@pytest.mark.parametrize("split", [25, 35])
async def test_an_epoch_keeps_the_key_it_began_with(former: Enrolment, gate: GateClient, split: int) -> None:
    log = EpochLog(Epoch(7), former.gate, gate.key)
    log.add(Record(Kind.RESTART, 1, NOW_S * 1_000_000, 0).to_bytes())
    log.scans(20)
    log.key = former.key
    log.scans(20)
    if split == 25:
        assert (await gate.push(Push((log.chunk(1, 25),)))).pushed.troubles == ()
        answer = await gate.push(Push((log.chunk(26),)))
    else:
        answer = await gate.push(Push((log.chunk(),)))
    assert [one.what for one in answer.pushed.troubles] == ["altered"]


async def test_a_key_that_was_never_the_gates_is_not_taken(former: Enrolment, gate: GateClient) -> None:
    log = begun(former, 8)
    log.key = OTHER_KEY
    answer = await gate.push(Push((log.scans(12).chunk(),)))
    assert [one.what for one in answer.pushed.troubles] == ["altered"]


async def test_a_gates_own_verify_knows_the_key_it_had_before(venue: Venue, tmp_path: Path) -> None:
    venue.now_s = int(time.time())
    data = tmp_path / "data"
    former = await venue.enrolled(data)
    first = await one_run(tmp_path)
    (data / FILE).unlink()  # damaged, say: the log stays
    own = await venue.enrolled(data)
    assert (own.gate, own.public != former.public) == (former.gate, True)
    second = await one_run(tmp_path)
    assert verify_log(data, known_keys(data, own)).altered, "by its present key alone nobody can tell"
    async with pushing(data, own) as box:
        await box.until(box.is_drained)
        await box.until(lambda: former_keys(data, own))
    verdict = verify_log(data, known_keys(data, own), former_keys(data, own))
    assert not verdict.altered, list(verdict.lines())
    wanted = {Epoch(first), Epoch(second)}
    assert {Epoch(unsigned(epoch)) for (epoch,) in query(venue, "SELECT epoch FROM head")} == wanted  # type: ignore[arg-type]  # the column's type
