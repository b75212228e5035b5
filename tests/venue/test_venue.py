"""`make run`, tried as a user does: real processes, every demo ticket, a clean end, and an end that is none of ours."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from admission.reasons import Reason
from admission.records import Kind, Outcome
from tests.venue import script
from tests.venue.demo_process import READY_LINE, gone, started
from tests.venue.people import PLACES, Pace, Phase, Visitor
from tests.venue.programs import Program, VenueFault, call, session
from tests.venue.venue import Venue

HASTY = Pace(walk_s=0.0, clear_s=0.0, leave_s=0.0, answer_s=0.3)
"""For who is to get no answer at all."""


def test_every_demo_ticket_gets_its_right_verdict(tmp_path: Path) -> None:
    with started(tmp_path, "--script", "--exit") as demo:
        line = demo.until("got a wrong answer")
        assert "33 tickets, 14 turned the arm, 0 got a wrong answer" in line
        assert demo.end() == 0
        assert not [one for one in demo.said if one.startswith("WRONG")]
        assert sum(one.startswith("ok ") for one in demo.said) == 33
        assert gone(demo)


def test_a_signal_stops_everything_in_order_and_the_folder_serves_again(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with started(tmp_path) as demo:
            demo.until(READY_LINE)
            assert len(demo.children()) >= 3  # the centre, the gate, its front
            assert demo.end(number) == 0
            assert gone(demo)
            said = "\n".join(demo.said)
        assert "Stopping" in said
        assert "Traceback" not in said
    gate = (tmp_path / "gate.log").read_text()
    assert gate.count("gate is down") == 2
    assert '"level": "error"' not in gate
    centre = (tmp_path / "centre.log").read_text()
    assert "Traceback" not in centre
    assert centre.count("is enrolled") == 1


def test_a_process_that_dies_ends_the_demo_and_is_named(tmp_path: Path) -> None:
    with started(tmp_path) as demo:
        demo.until(READY_LINE)
        (pid,) = demo.children("-m edge run")
        os.kill(pid, signal.SIGKILL)
        assert demo.end() == 1
        said = "\n".join(demo.said)
        assert "The demo ends: the gate ended by itself (exit -9)" in said
        assert "gate is up" in said  # the last lines of its log
        assert gone(demo)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Venue]:
    """Run the venue in this process, its centre and gate in theirs."""
    venue = Venue(folder, pace=script.BRISK)
    try:
        await venue.start()
        yield venue
    finally:
        await venue.stop()


async def show(venue: Venue, key: str, place: str = "1-entry", pace: Pace = script.BRISK) -> Visitor:
    """Have somebody come with a demo ticket and wait until they are gone."""
    venue.people.pace = pace
    ticket = next(one for one in venue.tickets if one.key == key)
    visitor = await venue.people.come(PLACES[place], ticket.data)
    assert visitor.task is not None
    await asyncio.wait((visitor.task,))
    return visitor


def told(visitor: Visitor) -> tuple[Outcome, Reason]:
    """What the gate told somebody."""
    assert visitor.seen is not None
    return Outcome(visitor.seen.outcome), Reason(visitor.seen.reason)


async def until(venue: Venue, **counts: int) -> None:
    """Wait until the log holds so many records of some kinds."""
    async with asyncio.timeout(10):
        while any(
            venue.records.count().get(Kind[kind.upper()], 0) != count for kind, count in counts.items()
        ):
            await asyncio.sleep(0.01)


async def test_a_power_cut_closes_the_arm_and_loses_no_record(tmp_path: Path) -> None:
    async with running(tmp_path) as venue:
        assert (await show(venue, "season")).turned
        assert (await show(venue, "season", "1-exit")).turned
        assert (await show(venue, "day")).turned
        await until(venue, passage=3)
        before = {one["id"] for one in venue.records.newest()}
        leader = venue.program("the gate").pid
        assert len(session(leader)) == 3  # the lane, its guard, its front
        await venue.cut_power()
        assert session(leader) == []
        assert venue.hardware.relays.levels == [False] * 4
        assert (await show(venue, "day_2", pace=HASTY)).seen is None
        await venue.restore_power()
        await venue.until_ready()
        assert before < {one["id"] for one in venue.records.newest()}
        assert told(await show(venue, "day")) == (Outcome.DENY, Reason.ALREADY_USED)
        assert (await show(venue, "day_2")).turned


async def test_trouble_is_answered_and_passes(tmp_path: Path) -> None:
    async with running(tmp_path) as venue:
        venue.plug("lane1-entry", into=False)
        assert (await show(venue, "day", pace=HASTY)).seen is None
        venue.plug("lane1-entry", into=True)
        await venue.until_ready()

        venue.plug("relays", into=False)
        await seen_unready(venue)
        assert told(await show(venue, "day")) == (Outcome.DENY, Reason.NOT_READY)
        venue.plug("relays", into=True)
        await venue.until_ready()

        venue.set_fire(on=True)
        await seen_unready(venue)
        assert told(await show(venue, "vip")) == (Outcome.DENY, Reason.NOT_READY)
        venue.set_fire(on=False)
        async with asyncio.timeout(10):
            while not await venue.clear_fire():  # the gate sees the contact open only once it has settled
                await asyncio.sleep(0.01)
        await venue.until_ready()
        assert (await show(venue, "vip", "2-entry")).turned
        assert told(await show(venue, "home", "2-entry")) == (Outcome.DENY, Reason.WRONG_ZONE)


async def test_a_steward_lets_in_who_is_to_be_looked_at(tmp_path: Path) -> None:
    async with running(tmp_path) as venue:
        ticket = next(one for one in venue.tickets if one.key == "reduced")
        venue.people.pace = Pace(walk_s=0.35, clear_s=0.0, leave_s=0.0)
        visitor = await venue.people.come(PLACES["1-entry"], ticket.data)
        async with asyncio.timeout(10):
            while visitor.seen is None:
                await asyncio.sleep(0.01)
        assert told(visitor) == (Outcome.CHECK, Reason.CHECK_REDUCED_FARE)
        assert visitor.phase is Phase.WAITS
        assert await venue.admit(1)
        assert visitor.task is not None
        await asyncio.wait((visitor.task,))
        assert visitor.turned
        assert not await venue.admit(1)  # nobody is there any more


async def seen_unready(venue: Venue) -> None:
    """Wait until the gate itself says that it is not ready."""
    async with asyncio.timeout(10):
        while not venue.unready():
            await asyncio.sleep(0.01)


async def test_a_command_that_fails_says_what_it_printed() -> None:
    with pytest.raises(VenueFault) as caught:
        await call(["sh", "-c", "echo why >&2; exit 3"])
    assert caught.value.lines == ("why",)
    assert "exit 3" in str(caught.value)


async def test_a_program_is_cut_off_with_all_it_started(tmp_path: Path) -> None:
    program = await Program.start("it", ["sh", "-c", "sleep 600 & echo up; wait"], tmp_path / "log")
    assert await program.line("up") == ""
    assert len(session(program.pid)) == 2
    async with asyncio.timeout(
        60
    ):  # whoever was left over would keep its end of the pipe open for ten minutes
        await program.cut()
    assert session(program.pid) == []
    with pytest.raises(VenueFault, match=r"it ended by itself \(exit -9\)"):
        await program.line("never")
    assert (tmp_path / "log").read_bytes() == b"up\n"
