"""What the uplink does again and again, and how soon after what it met; on virtual time."""

import asyncio
import random
from contextlib import suppress

from edge.front.centre import UNPROVEN, CentreRefused, CutOff
from edge.front.doubt import AGAIN_S, Doubt
from edge.front.loops import Loops
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
