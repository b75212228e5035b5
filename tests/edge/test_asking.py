"""A strict ticket at a gate whose uplink rests: it waits for the others to be asked, a named moment and no longer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from admission.entitlements import OfflinePolicy, Product
from admission.ids import GateId
from admission.reasons import Reason
from admission.records import Flag, Kind, Outcome
from edge.asking import ASK_MAX_S, Asking
from edge.front.lane_client import LaneClient
from edge.link import SOCKET, Health, HeardGates, UplinkSaid
from sync.wire.lists import GateInfo
from tests.edge.rig import ARENA, EVENT, GATE, PRODUCT, Gate, code, quick, row, running
from tests.edge.test_gate_people import answers
from tests.edge.test_gate_rules import listed

SOUTH = GateId(2)
RESTS = UplinkSaid(Health.OK, "uplink.rests", rests=True)
AWAKE = UplinkSaid(Health.OK, "uplink.ok")


class _Hand:
    """A clock turned by hand, and a front that counts how often it was asked."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.asked = 0
        self.is_there = True

    def ask(self) -> bool:
        self.asked += self.is_there
        return self.is_there

    def asking(self) -> Asking:
        return Asking(lambda: self.now_s, self.ask)


def test_the_others_are_asked_once_in_a_rest_and_hoped_for_a_moment() -> None:
    hand = _Hand()
    asking = hand.asking()
    assert not asking.hope(), "while it does not rest, who is not heard is away"
    asking.rests(rests=True)
    assert asking.hope()
    asking.rests(rests=True)  # said before the question came
    asking.rests(rests=False)
    hand.now_s += ASK_MAX_S - 0.01
    assert asking.hope()
    hand.now_s += 0.01
    assert not asking.hope()
    hand.now_s += 10_000
    assert not asking.hope(), "it is awake: who is not heard is away"
    asking.rests(rests=True)
    assert asking.hope()
    assert hand.asked == 2


def test_without_a_front_nobody_waits() -> None:
    hand = _Hand()
    asking = hand.asking()
    asking.rests(rests=True)
    hand.is_there = False
    assert not asking.hope()
    hand.is_there = True
    assert asking.hope()


@asynccontextmanager
async def at_rest(folder: Path, policy: OfflinePolicy) -> AsyncIterator[tuple[Gate, asyncio.Event]]:
    """A gate beside another that it has not heard, its uplink at rest; and what is set when its front is asked."""
    gates = tuple(GateInfo(number, f"Gate {number}", bytes(32), (ARENA,)) for number in (GATE, SOUTH))
    products = (Product(PRODUCT, EVENT, "Day", offline=policy),)
    listed(folder / "data", [row(number) for number in (1, 2, 3)], gates=gates, products=products)
    asked = asyncio.Event()
    async with running(folder, adjust=quick) as gate:
        client = LaneClient(gate.data / SOCKET)
        client.on_ask_others = asked.set
        talking = asyncio.create_task(client.run())
        try:
            await gate.ready()
            await gate.until(lambda: client.connected, "the front is connected")
            gate.daemon._said(RESTS)
            yield gate, asked
        finally:
            talking.cancel()
            with suppress(asyncio.CancelledError):
                await talking


async def test_who_comes_first_waits_until_the_others_are_heard_and_is_let_in(tmp_path: Path) -> None:
    async with at_rest(tmp_path, OfflinePolicy.DENY) as (gate, asked):
        await gate.hardware.entry.scan(code(1))
        assert await answers(gate, 1) == (Outcome.WAIT, Reason.ASKING)
        assert gate.hardware.lanes[1].releases.empty()
        async with asyncio.timeout(10):
            await asked.wait()
        gate.daemon._said(AWAKE)
        gate.daemon._said(HeardGates({SOUTH: 0}))
        assert await gate.hardware.lanes[1].releases.get() == "entry"
        assert not (await gate.recorded(Kind.SCAN)).flags & Flag.UNSURE
        assert gate.kinds().count(Kind.SCAN) == 1, "a wait is no record"


async def test_who_comes_first_is_turned_away_when_nobody_answers_in_time_and_the_next_at_once(
    tmp_path: Path,
) -> None:
    async with at_rest(tmp_path, OfflinePolicy.DENY) as (gate, asked):
        began_s = asyncio.get_running_loop().time()
        await gate.hardware.entry.scan(code(1))
        assert await answers(gate, 1) == (Outcome.WAIT, Reason.ASKING)
        assert asked.is_set() or await asked.wait()
        await gate.until(lambda: gate.daemon.recent[0].reason == Reason.OFFLINE, "refused in the end")
        assert asyncio.get_running_loop().time() - began_s < ASK_MAX_S + 1
        await gate.hardware.entry.scan(code(2))
        await gate.recorded(Kind.SCAN, 2)
        assert [one.reason for one in gate.records() if one.kind is Kind.SCAN] == [Reason.OFFLINE] * 2


async def test_where_people_are_let_in_all_the_same_nobody_waits(tmp_path: Path) -> None:
    async with at_rest(tmp_path, OfflinePolicy.ADMIT_AND_FLAG) as (gate, asked):
        await gate.hardware.entry.scan(code(1))
        assert await gate.hardware.lanes[1].releases.get() == "entry"
        async with asyncio.timeout(10):
            await asked.wait()
