"""The link to the lane: connects again, keeps what was said, answers each command or says that nobody did."""

import asyncio
import contextlib
import struct
from pathlib import Path

import pytest

from admission.ids import Epoch
from edge.front import lane_client
from edge.front.lane_client import SEEN_MAX, SILENT_PINGS, LaneAway, LaneClient
from edge.link import (
    ACKED_MAX,
    DOUBTED,
    Acked,
    After,
    Answer,
    Appended,
    Asked,
    Done,
    GiveHeld,
    Health,
    HeldRecords,
    LinkBroken,
    PageSaid,
    Part,
    Ping,
    Pulse,
    SetState,
    Tile,
    UplinkSaid,
    pack,
    read_from_front,
)
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


async def test_a_row_told_again_stays_in_its_place(tmp_path: Path) -> None:
    lane, client, heard = FakeLane(tmp_path / "s"), LaneClient(tmp_path / "s"), Heard()
    await lane.hub.start()
    with client.listening(heard):
        task = asyncio.create_task(client.run())
        await heard.changes.get()
        passed, unknown = seen(5, after=After.PASSED), seen(99, after=After.PASSED)
        for one in (unknown, passed, seen(7), seen(6, outcome=4)):
            lane.hub.push(one)
        assert [await heard.scans.get() for _ in range(2)] == [seen(7), seen(6, outcome=4)]
        assert heard.corrections.get_nowait() == passed
        assert heard.corrections.empty()
        assert tuple(client.recent) == (seen(7), seen(6, outcome=4), passed, *RECENT[2:])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await lane.hub.stop()


def test_the_centre_is_told_what_the_page_says_not_how_the_uplink_is(tmp_path: Path) -> None:
    client = LaneClient(tmp_path / "s")
    assert (client.verdict, client.doubted) == ("", ())
    bad = Tile(Part.LOG, "log", Health.BAD, "log.full", {}, stops=True)
    doubts = Tile(Part.LOG, "claims 2", Health.DEGRADED, DOUBTED, {"gate": "South", "number": 2})
    client.status = status(tiles=(doubts,))
    assert (client.verdict, client.doubted) == ("degraded", (2,))
    client.status = status(tiles=(doubts, bad))
    assert client.verdict == "not_ready"
    client.status = status(tiles=())
    assert (client.verdict, client.doubted) == ("ready", ())


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


async def test_a_lane_that_hangs_is_away_until_it_speaks_again_while_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_client, "PING_S", 0.01)
    lives, asked = asyncio.Event(), asyncio.Queue[object]()
    lives.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(pack(status()))
        with contextlib.suppress(LinkBroken):
            while True:
                asked.put_nowait(await read_from_front(reader))
                await lives.wait()
                writer.write(pack(Done(0, ok=True)))
        writer.close()

    server = await asyncio.start_unix_server(serve, str(tmp_path / "s"))
    client, heard = LaneClient(tmp_path / "s"), Heard()
    task = asyncio.create_task(client.run())
    with client.listening(heard):
        await heard.changes.get()
        for _ in range(2 * SILENT_PINGS):
            assert await asked.get() == Ping()
        assert is_up(client)
        assert heard.changes.empty()
        lives.clear()
        await heard.changes.get()
        assert not is_up(client)
        assert client.status == status()
        lives.set()
        await heard.changes.get()
        assert is_up(client)
    while not asked.empty():
        asked.get_nowait()
    await asyncio.sleep(0.1)
    assert asked.qsize() <= SILENT_PINGS  # what was on its way; nobody looks any more
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    server.close()


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


async def test_what_the_centre_has_is_told_in_slices_and_again_to_a_new_lane(tmp_path: Path) -> None:
    lane, client, heard = FakeLane(tmp_path / "s"), LaneClient(tmp_path / "s"), Heard()
    told = {Epoch(number): number for number in range(1, ACKED_MAX + 2)}
    client.say_acked(told)
    with client.listening(heard):
        task = asyncio.create_task(client.run())
        for _ in range(2):
            await lane.hub.start()
            await heard.changes.get()
            first, second = await lane.said.get(), await lane.said.get()
            assert isinstance(first, Acked)
            assert isinstance(second, Acked)
            assert len(first.epochs) == ACKED_MAX
            assert dict(first.epochs + second.epochs) == told
            await lane.hub.stop()
            await heard.changes.get()
            told[Epoch(2**64 - 1)] = 7
            client.say_acked({Epoch(2**64 - 1): 7})
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_records_in_memory_are_told_of_and_given_when_asked_for(tmp_path: Path) -> None:
    lane, client, heard = FakeLane(tmp_path / "s"), LaneClient(tmp_path / "s"), Heard()
    news: asyncio.Queue[tuple[Epoch, int]] = asyncio.Queue()
    client.on_in_memory = lambda: news.put_nowait(client.in_memory)

    def answer(asked: Asked) -> Answer:
        assert isinstance(asked, GiveHeld)
        if asked.after == 9:
            return Done(asked.number, ok=False, code="command.not_done")
        return HeldRecords(asked.number, 5, asked.after + 1, (b"a", b"b"))

    lane.answer = answer
    await lane.hub.start()
    with client.listening(heard):
        task = asyncio.create_task(client.run())
        epoch, none = await news.get()
        assert (epoch, none) == (Epoch(int(status().epoch, 16)), 0)
        lane.push(status(in_memory=8))
        assert await news.get() == (epoch, 8)
        given = await client.held(6)
        assert (given.epoch, given.first_seq, given.blobs) == (5, 7, (b"a", b"b"))
        with pytest.raises(LaneAway):
            await client.held(9)
        lane.push(status())
        assert await news.get() == (epoch, 0)
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
