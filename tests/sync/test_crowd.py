"""Many gates at one centre, small: a cancel reaches real gates among many streams; all come back after a hard stop."""

import asyncio
import random
import signal
from contextlib import ExitStack
from pathlib import Path

import msgspec

from admission.entitlements import LanePlan, Mode, Product, Session, Zone
from admission.ids import GateId, LaneId, ProductId, SessionId, ZoneId
from admission.lane import LaneState
from sync import demo
from sync.compose import open_centre
from sync.events import rows as events
from sync.gates import roster
from sync.gates.group_settings import GroupSettings, settings_of
from sync.tickets import changes, rows
from sync.wire.lists import ListKey
from tests.bench.cancel import cancel_all, real_gates
from tests.bench.centre import child, fill, keys_file, serving
from tests.bench.listeners import Heard
from tests.bench.returning import Crowd, LightGate

REAL, STREAMS, BACK = 2, 50, 100
CANCELS = 6
QUESTION_MS = 500
"""How long a question for news waits at the centre; it counts as answered only then."""
WAIT_S = 60.0
"""Only reached where something is broken, or the machine is very busy."""


async def test_a_cancel_reaches_real_gates_and_every_stream(tmp_path: Path) -> None:
    house = await asyncio.to_thread(fill, tmp_path / "centre", REAL + STREAMS, 100)
    with ExitStack() as stack:
        centre = stack.enter_context(serving(house))
        async with real_gates(tmp_path, house.gates[:REAL], centre.url) as gates:
            keys = keys_file(tmp_path / "keys", house.gates[REAL:], centre.url)
            asked = ("tests.bench.listeners", str(keys), str(tmp_path / "heard"))
            crowd = stack.enter_context(child(tmp_path / "listeners.log", *asked))
            assert await asyncio.to_thread(crowd.line, "open") == str(STREAMS)
            found = await cancel_all(house, centre.url, gates, house.tickets[:CANCELS], mean_s=0.01)
            for gate in gates:
                await gate.refuses(house.text(house.tickets[0]))
            crowd.end()
    assert len(found.applied_s) == CANCELS * REAL
    heard = msgspec.json.decode((tmp_path / "heard").read_bytes(), type=Heard)
    assert (heard.opened, heard.lost, heard.refused) == (STREAMS, 0, 0)
    assert sum(heard.counts) == STREAMS * len(heard.counts), "each stream had each change"


async def test_all_gates_come_back_after_a_hard_stop_and_nobody_is_told_of_trouble(tmp_path: Path) -> None:
    house = await asyncio.to_thread(fill, tmp_path / "centre", BACK)
    said: asyncio.Queue[str] = asyncio.Queue()
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        centre = first.enter_context(serving(house))
        own = [msgspec.structs.replace(one, centre_url=centre.url) for one in house.gates]
        crowd = Crowd(own, said.put_nowait)
        chance = random.Random(2)
        talking = [asyncio.create_task(LightGate(one, crowd, chance, QUESTION_MS).run()) for one in own]
        try:
            await asyncio.wait_for(said.get(), WAIT_S)
            centre.process.end(signal.SIGKILL)
            port = int(centre.url.rpartition(":")[2])
            await asyncio.to_thread(lambda: stack.enter_context(serving(house, port)))
            await asyncio.wait_for(said.get(), WAIT_S)
            assert not crowd.left
            assert not crowd.wrong
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)


def test_settings_follow_every_row_that_they_are_made_of(tmp_path: Path) -> None:
    house = fill(tmp_path / "centre", 1)
    centre = open_centre(house.data)
    gate = house.gates[0].gate
    plan = LanePlan(LaneId(2), demo.ARENA, Mode.NORMAL, ((demo.EVENT, demo.TODAY),))
    kept = GroupSettings(centre.keys)
    try:
        digests = []
        for change in (
            lambda connection: roster.orders(connection, 1),
            lambda connection: events.add_products(
                connection, [Product(ProductId(90), demo.EVENT, "Late", (demo.FLOOR,))]
            ),
            lambda connection: events.add_sessions(
                connection, [Session(SessionId(90), demo.EVENT, "Late", 20261231, demo.ARENA)]
            ),
            lambda connection: events.add_zones(connection, [Zone(ZoneId(90), "Yard")], 1),
            lambda connection: rows.add_keys(connection, [ListKey(bytes(range(32)), "tk1")], 1),
            lambda connection: roster.add_gate(
                connection, roster.Gate(GateId(9_000), "New", (demo.ARENA,)), (), 1
            ),
            lambda connection: roster.set_plan(connection, gate, plan),
            lambda connection: roster.set_schedule(connection, gate, LaneId(1), [(5, LaneState.CLOSED)]),
            lambda connection: roster.order_state(connection, LaneState.CLOSED, 7, gate=gate, group=1),
            lambda connection: events.add_event(connection, 77, "Another", "UTC", 1),  # type: ignore[arg-type]  # an event's number
        ):
            with changes.change(centre.database, (demo.EVENT, demo.OTHER_EVENT), 1) as connection:
                change(connection)
            with centre.database.reading() as connection:
                told = kept.of(connection, 1)
                assert told.head == settings_of(connection, 1)
                assert kept.of(connection, 1) is told
            digests.append(told.digest)
        assert len(set(digests)) == kept.made == len(digests)
    finally:
        centre.close()
