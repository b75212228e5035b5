"""A radio that is gone without a word: the stream is found dead by its own silence, and what matters comes all the same.

Gate, sockets and centre are real; the loop's time is turned by hand, so that beats and polls come due as in a long evening.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from admission.entitlements import Standing
from admission.records import Outcome
from edge.clock import SystemClock
from edge.enrolment import save
from edge.front.centre import SILENCE_S
from edge.front.lane_client import LaneClient
from edge.front.pace import IDLE, Beat, Idle
from edge.front.shown_names import ShownNames
from edge.front.stream import POLL_S, STREAM_LATE_S
from edge.front.uplink import Uplink
from edge.link import SOCKET, Done, Part, TakeList
from edge.store.log_reader import LogReader
from tests.edge.front.slow_link import SlowLink
from tests.edge.rig import running
from tests.sync.connected import SETTINGS, Connected, tickets
from tests.sync.test_deltas import stand
from tests.sync.venue import Venue, venue_at

STEP_S: Final = 0.5
LOOK_S: Final = 0.02
"""Of real time, in which whatever became due has begun to happen; time stands while bytes pass."""
LATE_S: Final = 15.0
"""A machine that is busy takes longer to begin than it is looked at: so many steps may be turned meanwhile."""
TOLD_S: Final = 5.0
"""Of real time, until a stream that lives told something; a poll comes seldomer."""
WAIT_S: Final = 20.0
"""Only reached where something is broken."""
CLOSED: Final = Idle(quiet_after_s=0.0)
"""A venue where nobody comes: whatever the stream tells is not asked for."""


class TurnedLoop(asyncio.SelectorEventLoop):
    """A loop whose time is ahead by what it was turned."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


class LoopClock(SystemClock):
    """The clock of a box whose time is the loop's."""

    def __init__(self, loop: TurnedLoop) -> None:
        self._loop = loop

    def mono_ns(self) -> int:
        return int(self._loop.time() * 1e9)

    def now_us(self) -> int:
        return super().now_us() + int(self._loop.ahead_s * 1e6)


class Evening:
    """A gate behind a link, and the hand at the clock."""

    def __init__(self, loop: TurnedLoop, venue: Venue, link: SlowLink, one: Connected) -> None:
        self.loop, self.venue, self.link, self.one = loop, venue, link, one

    async def turned_until(
        self, holds: Callable[[], object], limit_s: float, step_s: float = STEP_S
    ) -> float:
        """Turn the clock until something is true; returns how far. It must come within `limit_s`."""
        began_s = self.loop.ahead_s
        while not holds():
            pieces = self.link.pieces
            await asyncio.sleep(LOOK_S)
            if self.link.pieces == pieces:
                self.loop.ahead_s += step_s
                self.venue.mono_now_s = self.loop.time()
            assert self.loop.ahead_s - began_s <= limit_s, "not in time"
        return self.loop.ahead_s - began_s

    async def turn(self, seconds: float) -> None:
        end_s = self.loop.ahead_s + seconds
        await self.turned_until(lambda: self.loop.ahead_s >= end_s, seconds + STEP_S)

    def is_refused(self, key: str) -> bool:
        """Whether the gate would turn a ticket away, which it let in before."""
        return self.one.of(tickets(self.venue)[key]).outcome is Outcome.DENY

    def is_sent(self) -> bool:
        """Whether the centre has all that was recorded."""
        tiles = self.one.gate.daemon.board.tiles
        tile = next(one for one in tiles if (one.part, one.name) == (Part.UPLINK, "centre"))
        return tile.args.get("queued") == 0

    async def scan(self, key: str) -> None:
        """Have somebody come; their records are durable here."""
        gate = self.one.gate
        before = gate.daemon.journal.last_seq
        await gate.hardware.entry.scan(tickets(self.venue)[key].data.encode())
        await gate.until(lambda: gate.daemon.journal.last_seq > before, "it is recorded", WAIT_S)

    async def cancel_comes_by_itself(self, key: str) -> None:
        """A stream lives: a cancel is here though no time passes in which anything could be asked for."""
        ahead_s = self.loop.ahead_s
        assert not self.is_refused(key)
        await asyncio.to_thread(stand, self.venue, key, Standing.CANCELLED)
        await self.one.gate.until(lambda: self.is_refused(key), "the stream told", TOLD_S)
        assert self.loop.ahead_s == ahead_s


@asynccontextmanager
async def evening(
    folder: Path, idle: Idle, arrange: Callable[[Venue], object] = lambda _venue: None
) -> AsyncIterator[Evening]:
    """`arrange`: what the venue is like, before there is a gate."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TurnedLoop)
    async with venue_at(folder / "centre") as venue, SlowLink(int(venue.url.rsplit(":", 1)[1])) as link:
        arrange(venue)
        data = folder / "data"
        made = await venue.enrolled(data)
        behind = msgspec.structs.replace(made, centre_url=f"http://127.0.0.1:{link.port}")
        save(data, behind)
        async with running(folder) as gate:
            client = LaneClient(data / SOCKET)

            async def take_list(path: Path) -> Done:
                return await client.command(TakeList(0, str(path)))

            uplink = Uplink(
                behind, data, SETTINGS, LogReader.open(data), client.say, take_list, client,
                clock=LoopClock(loop), idle=idle,
            )  # fmt: skip
            client.on_appended, client.on_ask_others = uplink.appended, uplink.ask_others
            tasks: list[asyncio.Task[None]] = [asyncio.create_task(client.run())]
            await gate.until(lambda: client.connected, "the front is connected")
            tasks.append(asyncio.create_task(uplink.run()))
            one = Connected(gate, client, uplink, behind, ShownNames())
            try:
                await one.listed()
                made_evening = Evening(loop, venue, link, one)
                await made_evening.turned_until(made_evening.is_sent, WAIT_S)
                await made_evening.turn(2 * STREAM_LATE_S)
                yield made_evening
            finally:
                for task in tasks[::-1]:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task


def on_turned_time(scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=TurnedLoop) as runner:
        runner.run(scenario)


def test_a_cancel_behind_a_half_open_stream_is_here_within_a_poll_and_the_next_by_a_stream(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with evening(tmp_path, IDLE) as night:
            await night.cancel_comes_by_itself("day_2")
            assert night.link.half_open() > 0
            await asyncio.to_thread(stand, night.venue, "day", Standing.CANCELLED)
            await night.turned_until(lambda: night.is_refused("day"), 1.25 * POLL_S + SILENCE_S + LATE_S)
            await night.cancel_comes_by_itself("vip")

    on_turned_time(scenario())


def test_a_half_open_stream_is_found_by_its_silence_though_nothing_is_asked_and_records_go_up(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with evening(tmp_path, CLOSED) as night:
            opened = night.link.opened
            night.link.swallows = True
            assert night.link.half_open() > 0
            await night.scan("day")
            await night.turn(60)
            assert not night.is_sent(), "the radio is gone"
            night.link.swallows = False
            dead_s = 60 + await night.turned_until(night.is_sent, Beat().silence_s)
            await night.turn(max(0.0, Beat().silence_s + LATE_S - dead_s))
            assert night.link.opened > opened
            await night.cancel_comes_by_itself("day_2")

    on_turned_time(scenario())
