"""A real venue on this machine: processes, TLS, cables, cards; what people met held against what logs and centre say.

Only where it is asked for, `REAL_VENUE=1 make test ARGS=tests/real`: each takes half a minute in which it mostly waits, and root
for namespaces and cards. Nothing here is judged by when it was heard of: devices and records say themselves when they were.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from admission.records import Direction
from tests.real.evening import Evening, folder
from tests.real.faults import FOUND_S, Faults
from tests.venue.people import AWAY_S

pytestmark = pytest.mark.skipif(
    not os.environ.get("REAL_VENUE"),
    reason="takes the machine for itself: REAL_VENUE=1 make test ARGS=tests/real",
)
as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="namespaces and file systems of a gate's own need root"
)
DEFECT_S = 15.0
"""Some defects never heal: that is seen as well."""
Trouble = Callable[[Faults], Coroutine[object, object, None]]


@asynccontextmanager
async def evening(size: int, length_s: float, defect: str = "", seed: int = 1) -> AsyncIterator[Evening]:
    """A venue that is open."""
    place = folder()
    found = Evening(seed, size, length_s, place, defect)
    try:
        await found.open()
        assert not found.problems, "\n".join(found.problems)
        yield found
    finally:
        await found.close()
        shutil.rmtree(place, ignore_errors=True)


async def nothing(_faults: Faults) -> None:
    """Nothing breaks."""


@as_root
async def test_an_evening_with_a_cut_a_kill_a_slow_link_a_full_disk_and_a_new_address_loses_nothing() -> None:
    async with evening(3, 16.0) as venue:
        first, second, third = venue.gates.values()

        async def trouble(faults: Faults) -> None:
            faults.begin("slow_link", third, 8.0)
            faults.begin("isolated", second, 7.0)
            faults.begin("disk_full", first, 6.0)
            await asyncio.sleep(10.0)
            faults.begin("kill_lane", third, 0.0)
            faults.begin("address", second, 5.0)

        faults = await venue.play(trouble)
        await venue.heal()
        assert not venue.problems, "\n".join(venue.problems)
        assert set(faults.done) == {"slow_link", "isolated", "disk_full", "kill_lane", "address"}
        await venue.until(
            lambda: all(one.neighbours == 2 for one in venue.gates.values()), FOUND_S, "all talk to all again"
        )
        assert not venue.problems, "\n".join(venue.problems)
        figures = venue.figures(faults)
        assert figures["records lost"] == 0
        assert figures["walked through"] >= 3
        assert any(one.what == "card fails" for one in venue.history.conditions)
        assert figures["runs of gates"] == 4


@pytest.mark.parametrize(
    ("defect", "says"),
    [
        ("one_late", "was durable"),
        ("uses_forgotten", "granted although known"),
    ],
)
async def test_a_defect_planted_in_real_processes_is_seen(defect: str, says: str) -> None:
    async with evening(2, 12.0, defect) as venue:
        place = venue.crowd.places["gate1", 1, Direction.ENTRY]
        number = next(one for one in venue.tickets if one % 12 == 0)  # a day ticket: enters once

        async def again_and_again(_faults: Faults) -> None:
            while True:
                await venue.crowd.pass_(place, number)
                await asyncio.sleep(AWAY_S)  # shown again at once it is the same presentation

        await venue.play(again_and_again, organize=False)
        await venue.heal(DEFECT_S)
        assert [one for one in venue.problems if says in one], venue.problems


async def test_a_flood_on_any_open_port_keeps_nobody_out() -> None:
    async with evening(2, 14.0) as venue:
        target = venue.gates["gate1"]

        async def trouble(faults: Faults) -> None:
            for port in ("page", "peers", "centre"):
                said = await faults.flood_at(target, port, 3.5)
                assert "connections=" in said, said
                assert "connections=0 " not in said

        faults = await venue.play(trouble)
        await venue.heal()
        assert not venue.problems, "\n".join(venue.problems)
        assert venue.figures(faults)["walked through"] >= 3


async def test_a_copied_card_that_runs_in_a_second_box_is_told_of() -> None:
    async with evening(2, 1.0) as venue:
        original = venue.gates["gate1"]
        twin = await venue.clone(original)
        await venue.until(lambda: twin.ready, 60.0, "the copy admits")
        for number, gate in ((1, original), (2, twin), (4, original), (5, twin)):
            await venue.crowd.pass_(venue.crowd.places[gate.card, 2, Direction.ENTRY], number)
        told = ("fork", "rewind")

        def is_told() -> bool:
            centre = any(
                one in venue.centre.logs().troubles for one in ((original.id, what) for what in told)
            )
            beside = "others.fork" in venue.gates["gate2"].codes
            return centre and beside and any(f"uplink.{what}" in twin.codes for what in told)

        await venue.until(is_told, 60.0, "centre, neighbour and the copy tell of it")
        assert not venue.problems, "\n".join(venue.problems)
