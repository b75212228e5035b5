"""The link to the lane: connects again, keeps what was said, answers each command or says that nobody did."""

import asyncio
import struct
from pathlib import Path

import pytest

from edge.front.lane_client import SEEN_MAX, LaneAway, LaneClient
from edge.link import Appended, Done, Health, PageSaid, Pulse, SetState, UplinkSaid
from tests.edge.front.fake_lane import RECENT, FakeLane, seen, status
from tests.edge.front.rig import Heard


def is_up(client: LaneClient) -> bool:
    return client.connected  # asked anew each time: a type checker takes a property for a constant


async def test_scans_are_kept_newest_first_and_bounded(tmp_path: Path) -> None:
    lane, client, heard = FakeLane(tmp_path / "s"), LaneClient(tmp_path / "s"), Heard()
    await lane.hub.start()
    with client.listening(heard):
        task = asyncio.create_task(client.run())
        await heard.changes.get()
        assert tuple(client.recent) == RECENT
        for at in range(SEEN_MAX + 1):
            lane.hub.push(seen(100 + at))
        for _ in range(SEEN_MAX + 1):
            await heard.scans.get()
        assert [one.seq for one in client.recent] == list(range(100 + SEEN_MAX, 100, -1))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await lane.hub.stop()


async def test_it_comes_back_and_says_again_what_it_said(tmp_path: Path) -> None:
    lane, client, heard = FakeLane(tmp_path / "s"), LaneClient(tmp_path / "s"), Heard()
    client.say(PageSaid("first"))
    client.say(PageSaid("https://box/"))
    client.say(UplinkSaid(Health.OK, "uplink.ok"))
    assert not is_up(client)
    with client.listening(heard):
        task = asyncio.create_task(client.run())
        for _ in range(2):
            await lane.hub.start()
            await heard.changes.get()
            assert is_up(client)
            assert await lane.said.get() == PageSaid("https://box/")
            assert await lane.said.get() == UplinkSaid(Health.OK, "uplink.ok")
            await lane.hub.stop()
            await heard.changes.get()
            assert not is_up(client)
            assert client.status == status(recent=RECENT)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_answers_find_their_commands(tmp_path: Path) -> None:
    lane, client, heard = FakeLane(tmp_path / "s"), LaneClient(tmp_path / "s"), Heard()
    lane.answer = lambda command: Done(command.number, ok=isinstance(command, Pulse), code="command.no_state")
    await lane.hub.start()
    grown: asyncio.Queue[Appended] = asyncio.Queue()
    client.on_appended = grown.put_nowait
    with client.listening(heard):
        task = asyncio.create_task(client.run())
        await heard.changes.get()
        first, second = await asyncio.gather(
            client.command(Pulse(0, 1, 1)), client.command(SetState(0, 1, "x"))
        )
        assert (first.ok, second.ok) == (True, False)
        assert first.number != second.number
        lane.hub.push(Appended(5, 12))
        assert await grown.get() == Appended(5, 12)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await lane.hub.stop()


async def test_a_lane_that_goes_away_leaves_no_command_waiting(tmp_path: Path) -> None:
    came = asyncio.Event()

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(struct.pack(">I", 2**31))  # no message of ours is so large
        await writer.drain()
        came.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(rude, tmp_path / "s")
    client = LaneClient(tmp_path / "s")
    with pytest.raises(LaneAway):
        await client.command(Pulse(0, 1, 1))
    task = asyncio.create_task(client.run())
    client.say(PageSaid("x"))
    await came.wait()
    while True:
        try:
            await client.command(Pulse(0, 1, 1))
        except LaneAway:
            break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    server.close()
