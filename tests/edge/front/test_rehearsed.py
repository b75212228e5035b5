"""Go or no-go: a lane goes when somebody passed in rehearsal since the hour, and it counts tickets again."""

import time
from pathlib import Path

import msgspec
import pytest

from admission.records import Kind
from edge.front.rehearsed import go, since
from edge.link import Health, Part, SetState, Tile
from tests.edge.front.rig import rig
from tests.edge.rig import code, quick, row, running


async def test_every_lane_must_have_let_somebody_through_in_rehearsal(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=quick) as gate:
        await gate.ready()
        began_s = int(time.time()) - 5

        def found() -> dict[int, str]:
            answer = go(gate.data, gate.daemon.status.full(), began_s)
            assert answer.go == (not any(one.code for one in answer.lanes))
            return {one.lane: one.code for one in answer.lanes}

        # What counts is no rehearsal.
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE)
        assert found() == {1: "go.not_rehearsed", 2: "go.not_rehearsed"}
        assert (await gate.do(SetState(1, 0, "rehearsal"))).ok
        await gate.hardware.second.scan(code(8))
        assert gate.daemon.lanes[2].machine.state.name == "REHEARSAL"
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE, 2)
        assert found() == {1: "go.not_rehearsed", 2: "go.still_rehearsal"}
        await gate.hardware.entry.scan(code(8))
        await gate.walk()
        await gate.recorded(Kind.PASSAGE, 3)
        assert (await gate.do(SetState(2, 0, "controlled"))).ok
        await gate.until(lambda: not any(found().values()), "both lanes may go")
        status = gate.daemon.status.full()
        assert go(gate.data, status, began_s).go
        assert not go(gate.data, status, int(time.time()) + 60).go, "that was before the hour"
        stopped = (*status.tiles, Tile(Part.RELAY, "x", Health.BAD, "device.gone", stops=True))
        assert not go(gate.data, msgspec.structs.replace(status, tiles=stopped), began_s).go


def test_the_hour_is_the_last_that_was() -> None:
    now = time.mktime((2026, 11, 22, 18, 30, 0, 0, 0, -1))
    assert time.localtime(since("17:00", now))[2:5] == (22, 17, 0)
    assert time.localtime(since("19:15", now))[2:5] == (21, 19, 15)
    for text in ("24:00", "x", "", "12", "-1:00", "1:2:3"):
        with pytest.raises(ValueError):  # noqa: PT011 - the contract names no words
            since(text, now)


async def test_it_is_said_behind_the_pin(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        async with session.get("/api/go") as answer:
            assert answer.status == 401
        await r.log_in(session)
        async with session.get("/api/go?since=99") as answer:
            assert answer.status == 400
        async with session.get("/api/go?lang=en") as answer:  # the rig's box has no log
            assert answer.status == 409
