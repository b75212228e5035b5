"""What the uplink does again and again, and how soon after what it met; on virtual time."""

import asyncio
import logging
import random
from contextlib import suppress

import pytest

from edge.front.centre import UNPROVEN, CentreRefused, CutOff
from edge.front.defects import FORGOTTEN_S, Defects
from edge.front.documents import KeysRolled
from edge.front.doubt import AGAIN_S, Doubt
from edge.front.loops import Loops
from edge.front.pace import BACKOFF_MAX_S
from edge.link import Health, UplinkSaid
from tests.edge.front.test_uplink_tile import tile_of
from tests.edge.test_clock import HandClock
from tests.sim.loop import VirtualLoop

HOUR_S = 3600.0


def asked_within(seconds: float, answer: Exception, *, has_keys: bool) -> list[float]:
    """Return when a loop asked that is answered so for ever; `has_keys`: whether the venue says in between that its keys are those known
    here."""
    loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
    asked_s: list[float] = []

    async def ask() -> float:
        asked_s.append(loop.time() - began_s)
        raise answer

    async def main() -> None:
        doubt = Doubt(lambda: int(loop.time() * 1e9), asyncio.Event())
        loops = Loops(tile_of([], HandClock()), doubt, lambda _name: None, HandClock(), random.Random(1), 5.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                keeping = asyncio.create_task(loops.keep("feed", ask))
                while has_keys:
                    await asyncio.sleep(AGAIN_S / 2)
                    doubt.settle()
                await keeping

    began_s = loop.time()
    loop.run(main())
    loop.close()
    return asked_s


def test_who_is_answered_by_somebody_else_than_the_centre_asks_no_oftener_than_who_is_cut_off() -> None:
    """A page that says "back soon" in the centre's place, with 200: nothing of it is proved, nor do keys come that would prove it."""
    in_doubt = asked_within(HOUR_S, CentreRefused(UNPROVEN), has_keys=False)
    cut_off = asked_within(HOUR_S, CutOff(), has_keys=False)
    assert len(in_doubt) <= len(cut_off)
    assert in_doubt[1] - in_doubt[0] <= AGAIN_S, "keys that were rolled just now are here by then"


def test_what_is_in_doubt_is_refused_once_the_venue_has_no_other_keys() -> None:
    asked_s = asked_within(60.0, CentreRefused(UNPROVEN), has_keys=True)
    assert len(asked_s) <= 5


def test_a_defect_of_ours_holds_up_nothing_but_what_met_it_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
    said: list[UplinkSaid] = []
    met: list[Exception] = []
    tries: dict[str, int] = {"status": 0, "records": 0}

    async def broken() -> float:
        tries["status"] += 1
        raise KeyError("a defect")

    async def well() -> float:
        tries["records"] += 1
        return 1.0

    async def main() -> None:
        clock = HandClock()
        doubt = Doubt(clock.mono_ns, asyncio.Event())
        loops = Loops(
            tile_of(said, clock), doubt, lambda _name: None, clock, random.Random(1), 5.0, met.append
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(HOUR_S), asyncio.TaskGroup() as tasks:
                tasks.create_task(loops.keep("status", broken))
                tasks.create_task(loops.keep("records", well))

    with caplog.at_level(logging.ERROR):
        loop.run(main())
    loop.close()
    assert tries["records"] >= HOUR_S - 2
    assert HOUR_S / BACKOFF_MAX_S <= tries["status"] <= 2 * HOUR_S / BACKOFF_MAX_S + 10
    assert len(met) == tries["status"]
    assert [one.exc_info is not None for one in caplog.records] == [True]
    assert (said[-1].health, said[-1].code, said[-1].args["what"]) == (
        Health.DEGRADED,
        "uplink.defect",
        "status",
    )


def test_keys_that_were_rolled_end_the_uplink_as_ever() -> None:
    with pytest.raises(KeysRolled):
        asked_within(1.0, KeysRolled(), has_keys=False)


def test_what_went_well_for_long_is_tried_again_at_once(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [1e6]
    defects = Defects("it failed", "some.defect", 2.0, lambda: now_s[0], random.Random(1))
    waits_s = []
    for _ in range(12):
        waits_s.append(defects.met(ValueError()))
        now_s[0] += waits_s[-1]
    assert waits_s[0] <= 2.0
    assert BACKOFF_MAX_S / 2 <= waits_s[-1] <= BACKOFF_MAX_S
    now_s[0] += FORGOTTEN_S + 1
    assert defects.met(ExceptionGroup("several", [TypeError()])) <= 2.0
    assert len(caplog.records) == 2, "one of each kind"
